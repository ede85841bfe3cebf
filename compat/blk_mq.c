// SPDX-License-Identifier: GPL-2.0
/*
 * blk-mq's contract with a driver, on top of request_fn. Part of the driver
 * that includes <linux/blk-mq.h>; see there.
 *
 * Locks: the queue lock is taken first, the driver's own (in queue_rq) second.
 * A driver completes requests under its own lock, where the queue lock must
 * not be taken, so that blk_mq_complete_request() only collects them, and a
 * tasklet hands them to the driver's complete(), with no lock held.
 *
 * A request is taken off the queue only after the driver accepted it. The
 * device may be done with it earlier than that, but ending it takes the queue
 * lock, which is held from before queue_rq() until after it was taken off. A
 * request that the driver has no room for therefore never leaves its place.
 */
#ifndef COMPAT_HAVE_BLK_MQ_ALLOC_DISK
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/slab.h>
#include <linux/timer.h>

/* A request queue's bits, in compat_mq::state. */
enum {
	COMPAT_MQ_STOPPED,	/* by the driver, for want of room */
	COMPAT_MQ_FROZEN,	/* by the driver: everything waits */
	COMPAT_MQ_DYING,	/* everything fails */
};

/*
 * Requests that are collected before the queue is run for their sake alone.
 * 2.6.32 says 4, which suits a disk; here each run may be a kick, and an exit.
 * Whoever waits for a request, or is done submitting, has the queue run anyway.
 */
#define COMPAT_MQ_UNPLUG	32

/* How long a driver that is out of memory is left alone. */
#define COMPAT_MQ_RETRY_MS	3

/* In front of the driver's data of a request. */
struct compat_pdu {
	struct request *rq;
	struct list_head list;	/* free, or completed and not yet ended */
} ____cacheline_aligned;

struct compat_mq {
	const struct blk_mq_ops *ops;
	struct request_queue *q;
	struct blk_mq_hw_ctx hctx;
	unsigned long state;

	struct list_head free;	/* pdus; under the queue lock */
	unsigned int in_flight;	/* requests with a pdu; likewise */
	unsigned int depth;
	struct compat_pdu **pdus;

	spinlock_t done_lock;
	struct list_head done;	/* pdus of completed requests */
	struct tasklet_struct tasklet;

	struct timer_list retry;
};

static inline struct compat_mq *compat_mq_of(const struct request_queue *q)
{
	return q->queuedata;
}

static inline void *blk_mq_rq_to_pdu(struct request *rq)
{
	return (struct compat_pdu *)rq->special + 1;
}

static inline struct request *blk_mq_rq_from_pdu(void *pdu)
{
	return ((struct compat_pdu *)pdu - 1)->rq;
}

/* REQ_FLUSH from 6.1 on; 6.0 has no such bit. */
#define COMPAT_REQ_FLUSH	(1 << 26)

/*
 * 6.0 makes a flush out of prepare_flush_fn, later releases out of a flag; a
 * request with that flag and data was sequenced by the block layer, and the
 * data is what is left of it.
 */
static bool compat_is_flush(const struct request *rq)
{
#ifdef REQ_FLUSH
	BUILD_BUG_ON(REQ_FLUSH != COMPAT_REQ_FLUSH);
#endif
	if (rq->cmd_type == REQ_TYPE_LINUX_BLOCK)
		return rq->cmd[0] == REQ_LB_OP_FLUSH;
	return rq->cmd_type == REQ_TYPE_FS &&
	       (rq->cmd_flags & COMPAT_REQ_FLUSH) && !blk_rq_bytes(rq);
}

static enum compat_req_op req_op(const struct request *rq)
{
	if (compat_is_flush(rq))
		return REQ_OP_FLUSH;
	if (rq->cmd_type != REQ_TYPE_FS)
		return REQ_OP_DRV_IN;
	if (rq->cmd_flags & REQ_DISCARD)
		return REQ_OP_DISCARD;
	return rq_data_dir(rq) == WRITE ? REQ_OP_WRITE : REQ_OP_READ;
}

static int compat_status_to_errno(blk_status_t status)
{
	switch (status) {
	case BLK_STS_OK:
		return 0;
	case BLK_STS_NOTSUPP:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

/* A request is started when the driver has accepted it, and never times out. */
static inline void blk_mq_start_request(struct request *rq)
{
}

static inline void compat_give_pdu(struct compat_mq *mq, struct request *rq,
				   struct compat_pdu *pdu)
{
	rq->special = pdu;
	pdu->rq = rq;
	mq->in_flight++;
}

static void compat_take_pdu(struct compat_mq *mq, struct request *rq)
{
	struct compat_pdu *pdu = rq->special;

	rq->special = NULL;
	pdu->rq = NULL;
	list_add(&pdu->list, &mq->free);
	mq->in_flight--;
}

/* Off the queue, and over. The queue lock is held. */
static void compat_fail_request(struct request *rq, blk_status_t status)
{
	blk_start_request(rq);
	__blk_end_request_all(rq, compat_status_to_errno(status));
}

/*
 * Offers the request at the head of the queue to the driver. False: the queue
 * has to wait.
 */
static bool compat_queue_one(struct compat_mq *mq, struct request *rq)
{
	struct blk_mq_queue_data bd = { .rq = rq };
	struct compat_pdu *pdu;
	blk_status_t status;

	if (list_empty(&mq->free))
		return false;

	pdu = list_first_entry(&mq->free, struct compat_pdu, list);
	list_del(&pdu->list);
	compat_give_pdu(mq, rq, pdu);

	status = mq->ops->queue_rq(&mq->hctx, &bd);
	if (status == BLK_STS_OK) {
		blk_start_request(rq);
		return true;
	}

	compat_take_pdu(mq, rq);
	if (status == BLK_STS_RESOURCE)
		mod_timer(&mq->retry,
			  jiffies + msecs_to_jiffies(COMPAT_MQ_RETRY_MS));
	if (status == BLK_STS_RESOURCE || status == BLK_STS_DEV_RESOURCE)
		return false;

	compat_fail_request(rq, status);
	return true;
}

/* request_fn: the queue lock is held, interrupts are off. */
static void compat_request_fn(struct request_queue *q)
{
	struct compat_mq *mq = compat_mq_of(q);
	bool queued = false;
	struct request *rq;

	while ((rq = blk_peek_request(q)) != NULL) {
		if (test_bit(COMPAT_MQ_DYING, &mq->state)) {
			compat_fail_request(rq, BLK_STS_IOERR);
			continue;
		}
		if (test_bit(COMPAT_MQ_STOPPED, &mq->state) ||
		    test_bit(COMPAT_MQ_FROZEN, &mq->state) ||
		    !compat_queue_one(mq, rq))
			break;
		queued = true;
	}
	if (queued)
		mq->ops->commit_rqs(&mq->hctx);
}

/* Not by a work: keventd may be waiting for this very disk. */
static void compat_retry(unsigned long data)
{
	struct compat_mq *mq = (struct compat_mq *)data;

	tasklet_schedule(&mq->tasklet);
}

static void blk_mq_stop_hw_queue(struct blk_mq_hw_ctx *hctx)
{
	set_bit(COMPAT_MQ_STOPPED, &compat_mq_of(hctx->queue)->state);
}

/* Always from another context: the driver may hold its lock. */
static void blk_mq_start_stopped_hw_queues(struct request_queue *q, bool async)
{
	struct compat_mq *mq = compat_mq_of(q);

	if (test_and_clear_bit(COMPAT_MQ_STOPPED, &mq->state))
		tasklet_schedule(&mq->tasklet);
}

/* What is submitted from now on stays in the queue. It does not nest. */
static void blk_freeze_queue_start(struct request_queue *q)
{
	set_bit(COMPAT_MQ_FROZEN, &compat_mq_of(q)->state);
}

/*
 * Waits until the driver holds no request; what it has not seen is not waited
 * for. Whoever is in request_fn has the queue lock, and counted what it took.
 */
static int blk_mq_freeze_queue_wait_timeout(struct request_queue *q,
					    unsigned long timeout)
{
	struct compat_mq *mq = compat_mq_of(q);
	unsigned long end = jiffies + timeout;
	unsigned int busy;

	for (;;) {
		spin_lock_irq(q->queue_lock);
		busy = mq->in_flight;
		spin_unlock_irq(q->queue_lock);
		if (!busy)
			return 1;
		if (time_after(jiffies, end))
			return 0;
		msleep(1);
	}
}

static void blk_mq_unfreeze_queue(struct request_queue *q)
{
	struct compat_mq *mq = compat_mq_of(q);

	clear_bit(COMPAT_MQ_FROZEN, &mq->state);
	tasklet_schedule(&mq->tasklet);
}

static void blk_mq_complete_request(struct request *rq)
{
	struct compat_mq *mq = compat_mq_of(rq->q);
	struct compat_pdu *pdu = rq->special;
	unsigned long flags;

	spin_lock_irqsave(&mq->done_lock, flags);
	list_add_tail(&pdu->list, &mq->done);
	spin_unlock_irqrestore(&mq->done_lock, flags);
	tasklet_schedule(&mq->tasklet);
}

/*
 * Whether the queue should be run now that requests have ended. What waits on
 * it to be fetched, a request that found no room or tag or a part of one of
 * 6.0's barriers, nobody else would fetch, and an elevator may have held back
 * what it now lets go. Not while the queue is plugged and all that is in the
 * elevator is new: whoever submits that is not done.
 */
static bool compat_wants_run(struct compat_mq *mq)
{
	if (test_bit(COMPAT_MQ_STOPPED, &mq->state) ||
	    test_bit(COMPAT_MQ_FROZEN, &mq->state))
		return false;
	return !blk_queue_plugged(mq->q) || !list_empty(&mq->q->queue_head);
}

/* Ends what was completed, and makes use of the room. */
static void compat_tasklet(unsigned long data)
{
	struct compat_mq *mq = (struct compat_mq *)data;
	struct compat_pdu *pdu;
	LIST_HEAD(done);

	spin_lock_irq(&mq->done_lock);
	list_splice_init(&mq->done, &done);
	spin_unlock_irq(&mq->done_lock);

	while (!list_empty(&done)) {
		pdu = list_first_entry(&done, struct compat_pdu, list);
		list_del(&pdu->list);
		mq->ops->complete(pdu->rq);
	}

	spin_lock_irq(mq->q->queue_lock);
	if (compat_wants_run(mq))
		blk_start_queue(mq->q);
	spin_unlock_irq(mq->q->queue_lock);
}

/* Called from the driver's complete(); the tasklet then runs the queue. */
static void blk_mq_end_request(struct request *rq, blk_status_t status)
{
	struct request_queue *q = rq->q;
	unsigned long flags;

	spin_lock_irqsave(q->queue_lock, flags);
	compat_take_pdu(compat_mq_of(q), rq);
	__blk_end_request_all(rq, compat_status_to_errno(status));
	spin_unlock_irqrestore(q->queue_lock, flags);
}

static void compat_prepare_flush(struct request_queue *q, struct request *rq)
{
	rq->cmd_type = REQ_TYPE_LINUX_BLOCK;
	rq->cmd[0] = REQ_LB_OP_FLUSH;
}

/*
 * blk_queue_flush() is there from 6.1 on and blk_queue_ordered() on the kABI
 * list at 6.0 only, so that both are looked up: a module that was built for
 * one release runs on another. On 6.0 a barrier waits for the requests before
 * it, and is flushed around if there is a cache; the lock is for its code,
 * which reads what is changed here twice.
 */
static void compat_blk_queue_write_cache(struct request_queue *q, bool wc,
					 bool fua)
{
	void (*flush)(struct request_queue *q, unsigned int flags) =
		(void *)__symbol_get("blk_queue_flush");
	int (*ordered)(struct request_queue *q, unsigned int how,
		       prepare_flush_fn *prepare) = NULL;

	if (!flush)
		ordered = (void *)__symbol_get("blk_queue_ordered");

	spin_lock_irq(q->queue_lock);
	if (flush)
		flush(q, wc ? COMPAT_REQ_FLUSH : 0);
	else if (ordered)
		ordered(q, wc ? QUEUE_ORDERED_DRAIN_FLUSH :
			QUEUE_ORDERED_DRAIN, compat_prepare_flush);
	spin_unlock_irq(q->queue_lock);

	if (flush)
		__symbol_put("blk_queue_flush");
	if (ordered)
		__symbol_put("blk_queue_ordered");
}

static void compat_mq_free(struct compat_mq *mq)
{
	unsigned int i;

	for (i = 0; i < mq->depth && mq->pdus; i++)
		kfree(mq->pdus[i]);
	kfree(mq->pdus);
	kfree(mq);
}

static struct compat_mq *compat_mq_alloc(struct blk_mq_tag_set *set)
{
	struct compat_mq *mq = kzalloc(sizeof(*mq), GFP_KERNEL);
	unsigned int i;

	if (!mq)
		return NULL;
	mq->ops = set->ops;
	mq->depth = set->queue_depth;
	spin_lock_init(&mq->done_lock);
	INIT_LIST_HEAD(&mq->free);
	INIT_LIST_HEAD(&mq->done);
	tasklet_init(&mq->tasklet, compat_tasklet, (unsigned long)mq);
	setup_timer(&mq->retry, compat_retry, (unsigned long)mq);

	mq->pdus = kcalloc(mq->depth, sizeof(*mq->pdus), GFP_KERNEL);
	for (i = 0; mq->pdus && i < mq->depth; i++) {
		mq->pdus[i] = kzalloc(sizeof(struct compat_pdu) +
				      set->cmd_size, GFP_KERNEL);
		if (!mq->pdus[i])
			break;
		list_add_tail(&mq->pdus[i]->list, &mq->free);
	}
	if (!mq->pdus || i < mq->depth) {
		compat_mq_free(mq);
		return NULL;
	}
	return mq;
}

static int blk_mq_alloc_tag_set(struct blk_mq_tag_set *set)
{
	/* What a request needs is allocated with its queue. */
	if (!set->queue_depth || set->nr_hw_queues > COMPAT_BLK_MQ_QUEUES)
		return -EINVAL;
	return 0;
}

static void blk_mq_free_tag_set(struct blk_mq_tag_set *set)
{
}

/* The caller sets major, minors, first_minor, fops and private_data. */
static struct gendisk *blk_mq_alloc_disk(struct blk_mq_tag_set *set,
					 void *queuedata)
{
	struct compat_mq *mq = compat_mq_alloc(set);
	struct gendisk *disk;
	int err = -ENOMEM;

	if (!mq)
		return ERR_PTR(-ENOMEM);

	mq->q = blk_init_queue(compat_request_fn, NULL);
	if (!mq->q)
		goto free_mq;
	mq->q->queuedata = mq;
	mq->hctx.queue = mq->q;
	mq->q->unplug_thresh = COMPAT_MQ_UNPLUG;
	blk_queue_bounce_limit(mq->q, BLK_BOUNCE_ANY);

	err = set->ops->init_hctx(&mq->hctx, set->driver_data, 0);
	if (err)
		goto free_queue;

	err = -ENOMEM;
	disk = alloc_disk(1);
	if (!disk)
		goto free_queue;
	disk->queue = mq->q;
	return disk;

free_queue:
	blk_cleanup_queue(mq->q);
free_mq:
	compat_mq_free(mq);
	return ERR_PTR(err);
}

/*
 * Waits until the driver holds no request, and no request reaches it any more.
 * With @all, until there is none at all: the elevator may hold some back for a
 * while. They fail.
 */
static void compat_mq_kill(struct compat_mq *mq, bool all)
{
	struct request_list *rl = &mq->q->rq;
	bool idle;

	set_bit(COMPAT_MQ_DYING, &mq->state);
	for (;;) {
		spin_lock_irq(mq->q->queue_lock);
		blk_start_queue(mq->q);
		idle = !mq->in_flight &&
		       (!all || (!rl->count[0] && !rl->count[1]));
		spin_unlock_irq(mq->q->queue_lock);
		if (idle)
			return;
		msleep(1);
	}
}

/* No request reaches the driver after this; openers get errors. */
static void compat_del_gendisk(struct gendisk *disk)
{
	del_gendisk(disk);
	compat_mq_kill(compat_mq_of(disk->queue), false);
}

/* Only when nobody has the disk open. */
static void compat_put_disk(struct gendisk *disk)
{
	struct compat_mq *mq = compat_mq_of(disk->queue);

	compat_mq_kill(mq, true);
	del_timer_sync(&mq->retry);
	tasklet_kill(&mq->tasklet);
	blk_cleanup_queue(mq->q);
	compat_mq_free(mq);
	put_disk(disk);
}

#endif
