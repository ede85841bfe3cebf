// SPDX-License-Identifier: GPL-2.0
/*
 * A model of 2.6.32's request_fn block layer, as far as a driver notices: an
 * elevator that hands requests on in their order, a queue that a driver peeks
 * at, and what makes a flush of a durable write. With BUG_ON() where the real
 * one has them.
 *
 * There are two kinds of flush. EL6 6.0: a barrier waits until the queue is
 * drained, and then becomes flush, write, flush. 6.1 and later: flushes are
 * flags of a write, and one flush serves all who wait for one.
 */
#include <shim/shim.h>

#ifndef COMPAT_HAVE_BLK_MQ_ALLOC_DISK

/* Requests on their way into the queue */

static struct request *rq_alloc(struct request_queue *q, struct shim_io *io)
{
	struct request *rq = calloc(1, sizeof(*rq));
	unsigned int i;

	INIT_LIST_HEAD(&rq->queuelist);
	INIT_LIST_HEAD(&rq->flush_list);
	rq->q = q;
	rq->io = io;
	rq->cmd_type = io->op == IO_OTHER ? REQ_TYPE_BLOCK_PC : REQ_TYPE_FS;
	rq->cmd_flags = REQ_ALLOCED | (io->op == IO_READ ? 0 : REQ_WRITE);
	rq->sector = io->sector;
	for (i = 0; i < io->num_segs; i++)
		rq->bytes += io->segs[i].len;
	q->rq.count[rq_data_dir(rq)]++;
	return rq;
}

static void rq_init(struct request_queue *q, struct request *rq)
{
	memset(rq, 0, sizeof(*rq));
	INIT_LIST_HEAD(&rq->queuelist);
	INIT_LIST_HEAD(&rq->flush_list);
	rq->q = q;
	rq->cmd_type = REQ_TYPE_FS;
	rq->sector = (sector_t)-1;
}

/* Running the queue */

static bool queue_empty(struct request_queue *q)
{
	return list_empty(&q->queue_head) && list_empty(&q->elevator);
}

/* __blk_run_queue() */
static void run_queue_locked(struct request_queue *q)
{
	BUG_ON(!q->queue_lock->locked);
	q->plugged = false;
	if (q->stopped || queue_empty(q))
		return;
#ifdef SHIM_FLUSH_FLAGS
	/* 6.6 has no guard: a driver had better not get here twice. */
	BUG_ON(q->running);
#else
	/* 6.0: from within request_fn, a thread does it. */
	if (q->running) {
		schedule_work(&q->run_work);
		return;
	}
#endif
	q->running = true;
	q->request_fn(q);
	q->running = false;
}

/*
 * An empty queue is plugged when a request gets there, so that more of them
 * come together. A submitter who waits pulls the plug, or a timer does. A
 * queue that is not plugged is the driver's to come back to.
 */
static void unplug_locked(struct request_queue *q)
{
	if (q->stopped || !q->plugged)
		return;
	q->plugged = false;
	q->request_fn(q);
}

static void unplug(struct request_queue *q)
{
	unsigned long flags;

	spin_lock_irqsave(q->queue_lock, flags);
	unplug_locked(q);
	spin_unlock_irqrestore(q->queue_lock, flags);
}

static void unplug_work(struct work_struct *work)
{
	unplug(container_of(work, struct request_queue, unplug_work.work));
}

static void plug(struct request_queue *q)
{
	if (q->stopped || q->plugged || !queue_empty(q))
		return;
	q->plugged = true;
	cancel_delayed_work_sync(&q->unplug_work);
	schedule_delayed_work(&q->unplug_work, 3);
}

static void run_queue(struct request_queue *q)
{
	unsigned long flags;

	spin_lock_irqsave(q->queue_lock, flags);
	run_queue_locked(q);
	spin_unlock_irqrestore(q->queue_lock, flags);
}

static void run_work(struct work_struct *work)
{
	run_queue(container_of(work, struct request_queue, run_work));
}

void blk_start_queue(struct request_queue *q)
{
	WARN_ON(!irqs_disabled());
	q->stopped = false;
	run_queue_locked(q);
}

void blk_stop_queue(struct request_queue *q)
{
	q->stopped = true;
}

#ifdef SHIM_FLUSH_FLAGS

/* Flush by flag */

enum {
	SEQ_PREFLUSH	= 1,
	SEQ_DATA	= 2,
	SEQ_POSTFLUSH	= 4,
};

void blk_queue_flush(struct request_queue *q, unsigned int flags)
{
	BUG_ON(flags & ~(REQ_FLUSH | REQ_FUA));
	WARN_ON((flags & REQ_FUA) && !(flags & REQ_FLUSH));
	q->flush_flags = flags;
}

static void flush_end_io(struct request *flush_rq, int error);

/* One flush at a time, for all that wait for one. */
static bool kick_flush(struct request_queue *q)
{
	struct request *rq = &q->flush_rq;

	if (q->flush_busy || list_empty(&q->flush_wait))
		return false;
	q->flush_busy = true;
	list_splice_init(&q->flush_wait, &q->flush_run);
	rq_init(q, rq);
	rq->cmd_flags = REQ_WRITE | REQ_FLUSH | REQ_FLUSH_SEQ;
	rq->end_io = flush_end_io;
	list_add_tail(&rq->queuelist, &q->queue_head);
	return true;
}

/* The next thing that this request wants done. True: something was queued. */
static bool flush_next(struct request *rq, int error)
{
	struct request_queue *q = rq->q;
	bool queued = false;

	if (error)
		rq->flush_seq = 0;
	if (!rq->flush_seq) {
		rq->end_io = NULL;
		__blk_end_request_all(rq, error);
	} else if (rq->flush_seq & SEQ_PREFLUSH || !(rq->flush_seq & SEQ_DATA)) {
		list_add_tail(&rq->flush_list, &q->flush_wait);
	} else {
		list_add(&rq->queuelist, &q->queue_head);
		queued = true;
	}
	return kick_flush(q) | queued;
}

/*
 * The queue is run only where it was empty: if it was not, the driver is still
 * to come back to it by itself.
 */
static void flush_data_end_io(struct request *rq, int error)
{
	struct request_queue *q = rq->q;
	bool was_empty = queue_empty(q);

	BUG_ON(rq->flush_seq & SEQ_PREFLUSH);
	rq->flush_seq &= ~SEQ_DATA;
	if (flush_next(rq, error) && was_empty)
		schedule_work(&q->run_work);
}

static void flush_end_io(struct request *flush_rq, int error)
{
	struct request_queue *q = flush_rq->q;
	bool was_empty = queue_empty(q), queued = false;
	struct request *rq;
	LIST_HEAD(done);

	BUG_ON(!q->flush_busy);
	q->flush_busy = false;
	list_splice_init(&q->flush_run, &done);
	while (!list_empty(&done)) {
		rq = list_first_entry(&done, struct request, flush_list);
		list_del_init(&rq->flush_list);
		rq->flush_seq &= ~(rq->flush_seq & SEQ_PREFLUSH ?
				   SEQ_PREFLUSH : SEQ_POSTFLUSH);
		queued |= flush_next(rq, error);
	}
	if (queued && was_empty)
		schedule_work(&q->run_work);
}

static void insert(struct request_queue *q, struct request *rq)
{
	struct shim_io *io = rq->io;

	if (!io->durable && io->op != IO_FLUSH) {
		list_add_tail(&rq->queuelist, &q->elevator);
		return;
	}
	if (q->flush_flags & REQ_FLUSH) {
		rq->flush_seq = SEQ_PREFLUSH;
		if (!(q->flush_flags & REQ_FUA) && rq->bytes)
			rq->flush_seq |= SEQ_POSTFLUSH;
	}
	if (rq->bytes)
		rq->flush_seq |= SEQ_DATA;
	if (rq->flush_seq == SEQ_DATA) {
		list_add_tail(&rq->queuelist, &q->queue_head);
		return;
	}
	rq->cmd_flags |= REQ_FLUSH_SEQ;
	rq->end_io = flush_data_end_io;
	flush_next(rq, 0);
}

static bool do_ordered(struct request_queue *q, struct request **rqp)
{
	return true;
}

int blk_queue_ordered(struct request_queue *q, unsigned int ordered,
		      prepare_flush_fn *prepare)
{
	SHIM_BUG("blk_queue_ordered() is not on the list from 6.1 on");
	return -EINVAL;
}

#else

/* Flush by barrier */

enum {
	DO_PREFLUSH	= 0x10,
	DO_POSTFLUSH	= 0x20,

	ORD_STARTED	= 1,
	ORD_DRAIN	= 2,
	ORD_PREFLUSH	= 4,
	ORD_BAR		= 8,
	ORD_POSTFLUSH	= 16,
	ORD_DONE	= 32,
};

int blk_queue_ordered(struct request_queue *q, unsigned int ordered,
		      prepare_flush_fn *prepare)
{
	BUG_ON(ordered != QUEUE_ORDERED_DRAIN &&
	       ordered != QUEUE_ORDERED_DRAIN_FLUSH);
	BUG_ON(!prepare);
	q->ordered = ordered;
	q->next_ordered = ordered;
	q->prepare_flush_fn = prepare;
	return 0;
}

static unsigned int ord_current(struct request_queue *q)
{
	unsigned int seq = ORD_STARTED;

	while (seq & q->ordseq)
		seq <<= 1;
	return seq;
}

static unsigned int ord_of(struct request_queue *q, struct request *rq)
{
	if (rq == &q->pre_flush_rq)
		return ORD_PREFLUSH;
	if (rq == &q->bar_rq)
		return ORD_BAR;
	if (rq == &q->post_flush_rq)
		return ORD_POSTFLUSH;
	/* Something that came before the barrier is drained; else it waits. */
	return rq->cmd_flags & REQ_STARTED ? ORD_DRAIN : ORD_DONE;
}

static bool ord_complete(struct request_queue *q, unsigned int seq, int error)
{
	struct request *rq;

	if (error && !q->orderr)
		q->orderr = error;
	BUG_ON(q->ordseq & seq);
	q->ordseq |= seq;
	if (ord_current(q) != ORD_DONE)
		return false;
	q->ordseq = 0;
	rq = q->orig_bar_rq;
	__blk_end_request_all(rq, q->orderr);
	return true;
}

static void pre_flush_end_io(struct request *rq, int error)
{
	ord_complete(rq->q, ORD_PREFLUSH, error);
}

static void bar_end_io(struct request *rq, int error)
{
	ord_complete(rq->q, ORD_BAR, error);
}

static void post_flush_end_io(struct request *rq, int error)
{
	ord_complete(rq->q, ORD_POSTFLUSH, error);
}

static void queue_flush(struct request_queue *q, struct request *rq,
			void (*end_io)(struct request *rq, int error))
{
	rq_init(q, rq);
	rq->cmd_flags = REQ_HARDBARRIER;
	rq->end_io = end_io;
	q->prepare_flush_fn(q, rq);
	list_add(&rq->queuelist, &q->queue_head);
}

/* The barrier @rq is at the head of the queue: puts its parts there. */
static bool start_ordered(struct request_queue *q, struct request **rqp)
{
	struct request *rq = *rqp;
	unsigned int skip = 0;

	q->orderr = 0;
	q->ordered = q->next_ordered;
	q->ordseq = ORD_STARTED;
	list_del_init(&rq->queuelist);
	q->orig_bar_rq = rq;
	*rqp = NULL;

	if (q->ordered & DO_POSTFLUSH && rq->bytes) {
		queue_flush(q, &q->post_flush_rq, post_flush_end_io);
		*rqp = &q->post_flush_rq;
	} else {
		skip |= ORD_POSTFLUSH;
	}
	if (rq->bytes) {
		*rqp = &q->bar_rq;
		rq_init(q, *rqp);
		(*rqp)->cmd_flags = REQ_WRITE;
		(*rqp)->io = rq->io;
		(*rqp)->sector = rq->sector;
		(*rqp)->bytes = rq->bytes;
		(*rqp)->end_io = bar_end_io;
		list_add(&(*rqp)->queuelist, &q->queue_head);
	} else {
		skip |= ORD_BAR;
	}
	if (q->ordered & DO_PREFLUSH) {
		queue_flush(q, &q->pre_flush_rq, pre_flush_end_io);
		*rqp = &q->pre_flush_rq;
	} else {
		skip |= ORD_PREFLUSH;
	}
	if (q->in_flight)
		*rqp = NULL;
	else
		skip |= ORD_DRAIN;
	return !ord_complete(q, skip, 0);
}

static bool do_ordered(struct request_queue *q, struct request **rqp)
{
	struct request *rq = *rqp;
	bool fs = rq->cmd_type == REQ_TYPE_FS;

	if (!q->ordseq) {
		if (!fs || !(rq->cmd_flags & REQ_HARDBARRIER))
			return true;
		return start_ordered(q, rqp);
	}
	if (!fs && rq != &q->pre_flush_rq && rq != &q->post_flush_rq)
		return true;
	WARN_ON(ord_of(q, rq) < ord_current(q));
	if (ord_of(q, rq) > ord_current(q))
		*rqp = NULL;
	return true;
}

static void insert(struct request_queue *q, struct request *rq)
{
	if (rq->io->durable || rq->io->op == IO_FLUSH)
		rq->cmd_flags |= REQ_HARDBARRIER;
	list_add_tail(&rq->queuelist, &q->elevator);
}
#endif

/* What a driver does */

struct request *blk_peek_request(struct request_queue *q)
{
	struct request *rq;

	BUG_ON(!q->queue_lock->locked);
	for (;;) {
		while (!list_empty(&q->queue_head)) {
			rq = list_first_entry(&q->queue_head, struct request,
					      queuelist);
			if (!do_ordered(q, &rq))
				continue;
			if (rq)
				rq->cmd_flags |= REQ_STARTED;
			return rq;
		}
		if (list_empty(&q->elevator))
			return NULL;
		rq = list_first_entry(&q->elevator, struct request, queuelist);
		list_del(&rq->queuelist);
		list_add_tail(&rq->queuelist, &q->queue_head);
	}
}

void blk_start_request(struct request *rq)
{
	BUG_ON(!rq->q->queue_lock->locked);
	BUG_ON(list_empty(&rq->queuelist));
	list_del_init(&rq->queuelist);
	rq->q->in_flight++;
	rq->resid_len = rq->bytes;
}

static void rq_free(struct request *rq)
{
	struct request_queue *q = rq->q;

	if (!(rq->cmd_flags & REQ_ALLOCED))
		return;
	BUG_ON(!list_empty(&rq->queuelist) || !list_empty(&rq->flush_list));
	q->rq.count[rq_data_dir(rq)]--;
	free(rq);
}

void __blk_end_request_all(struct request *rq, int error)
{
	struct request_queue *q = rq->q;

	BUG_ON(!q->queue_lock->locked);
	BUG_ON(!list_empty(&rq->queuelist));
	/* The next use of it must not find the driver's part of this one. */
	BUG_ON(rq->special);
#ifdef SHIM_FLUSH_FLAGS
	if (rq->end_io) {
		BUG_ON(!q->in_flight);
		q->in_flight--;
		rq->end_io(rq, error);
		return;
	}
	if (rq->cmd_flags & REQ_FLUSH_SEQ) {
		shim_io_end(rq->io, error);
		rq_free(rq);
		return;
	}
#else
	if (rq == q->orig_bar_rq) {
		q->orig_bar_rq = NULL;
		shim_io_end(rq->io, error);
		rq_free(rq);
		return;
	}
	if (rq->end_io) {
		BUG_ON(!q->in_flight);
		q->in_flight--;
		rq->end_io(rq, error);
		return;
	}
#endif
	BUG_ON(!q->in_flight);
	q->in_flight--;
	shim_io_end(rq->io, error);
	rq_free(rq);
#ifndef SHIM_FLUSH_FLAGS
	/*
	 * The last one that a barrier waited for. From here to its end, nobody
	 * runs the queue but the driver, when it completes a part of it.
	 */
	if (q->ordseq && ord_current(q) == ORD_DRAIN && !q->in_flight) {
		ord_complete(q, ORD_DRAIN, 0);
		run_queue_locked(q);
	}
#endif
}

/* Queues */

struct request_queue *blk_init_queue(request_fn_proc *rfn, spinlock_t *lock)
{
	struct request_queue *q;

	might_sleep();
	if (shim_fail(FAIL_BLK))
		return NULL;
	q = calloc(1, sizeof(*q));
	spin_lock_init(&q->lock);
	q->queue_lock = lock ? lock : &q->lock;
	q->request_fn = rfn;
	q->holders = 1;
	q->unplug_thresh = 4;
	INIT_LIST_HEAD(&q->elevator);
	INIT_LIST_HEAD(&q->queue_head);
	INIT_LIST_HEAD(&q->flush_wait);
	INIT_LIST_HEAD(&q->flush_run);
	INIT_WORK(&q->run_work, run_work);
	INIT_DELAYED_WORK(&q->unplug_work, unplug_work);
	q->limits.logical_block_size = 512;
	q->limits.physical_block_size = 512;
	q->limits.max_segments = 128;
	q->limits.max_segment_size = 65536;
	return q;
}

/* add_disk() has taken a reference, and del_gendisk() given it back. */
void blk_cleanup_queue(struct request_queue *q)
{
	might_sleep();
	cancel_work_sync(&q->run_work);
	cancel_delayed_work_sync(&q->unplug_work);
	BUG_ON(q->holders != 1);
	BUG_ON(!queue_empty(q) || q->in_flight || q->rq.count[0] ||
	       q->rq.count[1]);
	free(q);
}

void blk_queue_bounce_limit(struct request_queue *q, u64 limit)
{
	BUG_ON(limit != BLK_BOUNCE_ANY);
}

/* Disks */

struct gendisk *alloc_disk(int minors)
{
	struct gendisk *disk;

	might_sleep();
	if (shim_fail(FAIL_BLK))
		return NULL;
	disk = calloc(1, sizeof(*disk));
	disk->minors = minors;
	disk->holders = 1;
	return disk;
}

void add_disk(struct gendisk *disk)
{
	might_sleep();
	BUG_ON(!disk->minors || !disk->fops || !disk->queue->limits.max_segments);
	disk->dev.parent = disk->driverfs_dev;
	disk->flags |= GENHD_FL_UP;
	disk->queue->holders++;
	list_add_tail(&disk->list, &shim_disks);
}

/* Writes back what is dirty, and waits for that. */
void del_gendisk(struct gendisk *disk)
{
	might_sleep();
	BUG_ON(!(disk->flags & GENHD_FL_UP));
	if (shim_flush_before_del) {
		shim_writeback = shim_io_new(IO_WRITE, 8, 4096, 4096);
		shim_io_submit(disk, shim_writeback, true);
		while (!shim_writeback->ended)
			msleep(10);
	}
	disk->flags &= ~GENHD_FL_UP;
	disk->dev.groups = NULL;
	disk->queue->holders--;
	list_del(&disk->list);
	disk->deleted = true;
}

void put_disk(struct gendisk *disk)
{
	might_sleep();
	BUG_ON(!disk->holders || disk->private_data);
	if (!--disk->holders)
		free(disk);
}

int revalidate_disk(struct gendisk *disk)
{
	might_sleep();
	return 0;
}

/* I/O. An elevator that holds on to it until the queue is run. */

void shim_run_queue(struct gendisk *disk)
{
	unplug(disk->queue);
}

void shim_io_submit(struct gendisk *disk, struct shim_io *io, bool run)
{
	struct request_queue *q = disk->queue;
	unsigned long flags;

	might_sleep();
	shim_io_check(q, io);
	plug(q);
	spin_lock_irqsave(q->queue_lock, flags);
	insert(q, rq_alloc(q, io));
	if (q->plugged && q->rq.count[0] + q->rq.count[1] -
			  (int)q->in_flight >= q->unplug_thresh)
		unplug_locked(q);
	spin_unlock_irqrestore(q->queue_lock, flags);
	if (run)
		unplug(q);
}
#endif
