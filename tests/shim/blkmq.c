// SPDX-License-Identifier: GPL-2.0
/*
 * A model of blk-mq: tags, and the contract of queue_rq(). A request that the
 * driver has no room for stays at the head; DEV_RESOURCE means that the driver
 * starts the queue again, RESOURCE that a timer does.
 */
#include <shim/shim.h>

#ifdef COMPAT_HAVE_BLK_MQ_ALLOC_DISK

int blk_mq_alloc_tag_set(struct blk_mq_tag_set *set)
{
	BUG_ON(!set->queue_depth || !set->nr_hw_queues || !set->ops);
	if (shim_fail(FAIL_BLK))
		return -ENOMEM;
	set->allocated = true;
	return 0;
}

void blk_mq_free_tag_set(struct blk_mq_tag_set *set)
{
	BUG_ON(!set->allocated);
	set->allocated = false;
}

static void run_hctx(struct blk_mq_hw_ctx *hctx)
{
	struct request_queue *q = hctx->queue;
	const struct blk_mq_ops *ops = q->set->ops;
	struct blk_mq_queue_data bd;
	bool queued = false;
	blk_status_t status;

	while (!hctx->stopped && !list_empty(&hctx->pending) &&
	       hctx->tags < q->set->queue_depth) {
		bd.rq = list_first_entry(&hctx->pending, struct request,
					 queuelist);
		list_del_init(&bd.rq->queuelist);
		bd.last = list_empty(&hctx->pending) ||
			  hctx->tags + 1 == q->set->queue_depth;
		hctx->tags++;
		status = ops->queue_rq(hctx, &bd);
		if (status == BLK_STS_OK) {
			queued = !bd.last;
			continue;
		}
		if (status == BLK_STS_RESOURCE ||
		    status == BLK_STS_DEV_RESOURCE) {
			hctx->tags--;
			bd.rq->started = false;
			list_add(&bd.rq->queuelist, &hctx->pending);
			if (status == BLK_STS_RESOURCE)
				schedule_delayed_work(&q->run_work, 3);
			break;
		}
		blk_mq_end_request(bd.rq, status);
		/* Those before it still want their kick. */
		if (bd.last && queued)
			break;
	}
	if (queued && ops->commit_rqs)
		ops->commit_rqs(hctx);
}

static void run_queue(struct request_queue *q)
{
	unsigned int i;

	might_sleep();
	if (q->running)
		return;
	q->running = true;
	for (i = 0; i < q->set->nr_hw_queues; i++)
		run_hctx(&q->hctx[i]);
	q->running = false;
}

static void run_work(struct work_struct *work)
{
	run_queue(container_of(work, struct request_queue, run_work.work));
}


void blk_mq_start_request(struct request *rq)
{
	BUG_ON(rq->started);
	rq->started = true;
}

bool blk_mq_complete_request(struct request *rq)
{
	BUG_ON(!rq->started || rq->completed);
	rq->completed = true;
	rq->q->set->ops->complete(rq);
	return true;
}

void blk_mq_end_request(struct request *rq, blk_status_t status)
{
	struct request_queue *q = rq->q;
	struct blk_mq_hw_ctx *hctx = rq->mq_hctx;

	BUG_ON(!hctx->tags);
	hctx->tags--;
	q->in_flight--;
	shim_io_end(rq->io, status == BLK_STS_OK ? 0 :
		    status == BLK_STS_NOTSUPP ? -EOPNOTSUPP : -EIO);
	if (!list_empty(&hctx->pending) && !q->run_work.work.pending)
		schedule_delayed_work(&q->run_work, 0);
	free(rq);
}

void blk_mq_stop_hw_queue(struct blk_mq_hw_ctx *hctx)
{
	hctx->stopped = true;
}

void blk_mq_start_stopped_hw_queues(struct request_queue *q, bool async)
{
	unsigned int i;
	bool any = false;

	BUG_ON(!async && shim_in_atomic());
	for (i = 0; i < q->set->nr_hw_queues; i++) {
		any |= q->hctx[i].stopped;
		q->hctx[i].stopped = false;
	}
	if (any && !q->run_work.work.pending)
		schedule_delayed_work(&q->run_work, 0);
}

void blk_freeze_queue_start(struct request_queue *q)
{
	q->frozen++;
}

/* Nobody gets in any more: until the last one is out. */
int blk_mq_freeze_queue_wait_timeout(struct request_queue *q,
				     unsigned long timeout)
{
	unsigned long end = jiffies + timeout;

	might_sleep();
	BUG_ON(!q->frozen);
	while (q->in_flight) {
		if (time_after(jiffies, end))
			return 0;
		run_queue(q);
		if (q->in_flight)
			msleep(10);
	}
	return 1;
}

void blk_mq_unfreeze_queue(struct request_queue *q)
{
	struct shim_io *io, *next;

	might_sleep();
	BUG_ON(!q->frozen);
	if (--q->frozen)
		return;
	io = q->entering;
	q->entering = NULL;
	q->entering_end = &q->entering;
	for (; io; io = next) {
		next = io->next;
		shim_io_submit(q->disk, io, true);
	}
}

struct gendisk *blk_mq_alloc_disk(struct blk_mq_tag_set *set, void *queuedata)
{
	struct request_queue *q;
	struct gendisk *disk;
	unsigned int i;
	int err;

	if (shim_fail(FAIL_BLK))
		return ERR_PTR(-ENOMEM);
	q = calloc(1, sizeof(*q));
	q->hctx = calloc(set->nr_hw_queues, sizeof(*q->hctx));
	q->set = set;
	q->queuedata = queuedata;
	q->entering_end = &q->entering;
	q->limits.logical_block_size = 512;
	q->limits.physical_block_size = 512;
	q->limits.max_segments = 128;
	q->limits.max_segment_size = 65536;
	INIT_DELAYED_WORK(&q->run_work, run_work);
	for (i = 0; i < set->nr_hw_queues; i++) {
		q->hctx[i].queue = q;
		q->hctx[i].queue_num = i;
		INIT_LIST_HEAD(&q->hctx[i].pending);
		err = set->ops->init_hctx(&q->hctx[i], set->driver_data, i);
		BUG_ON(err);
	}
	disk = calloc(1, sizeof(*disk));
	disk->queue = q;
	disk->holders = 1;
	q->disk = disk;
	return disk;
}

void blk_queue_max_segments(struct request_queue *q, unsigned short max)
{
	BUG_ON(!max);
	q->limits.max_segments = max;
}

void blk_queue_max_hw_sectors(struct request_queue *q, unsigned int max)
{
	q->limits.max_hw_sectors = max;
}

void blk_queue_physical_block_size(struct request_queue *q, unsigned int size)
{
	q->limits.physical_block_size = max(size,
					    q->limits.logical_block_size);
}

void blk_queue_write_cache(struct request_queue *q, bool wc, bool fua)
{
	q->write_cache = wc;
}

bool set_capacity_and_notify(struct gendisk *disk, sector_t size)
{
	sector_t old = disk->capacity;

	might_sleep();
	disk->capacity = size;
	if (!(disk->flags & GENHD_FL_UP) || old == size || !old || !size)
		return false;
	disk->uevents++;
	return true;
}

/* The partition table is read at once. */
int device_add_disk(struct device *parent, struct gendisk *disk,
		    const struct attribute_group **groups)
{
	might_sleep();
	if (shim_fail(FAIL_BLK))
		return -EEXIST;
	BUG_ON(!disk->minors || !disk->fops || !disk->queue->limits.max_segments);
	disk->dev.parent = parent;
	disk->dev.groups = groups;
	disk->flags |= GENHD_FL_UP;
	list_add_tail(&disk->list, &shim_disks);
	return 0;
}

static void wait_idle(struct gendisk *disk)
{
	BUG_ON(disk->queue->frozen);
	while (disk->queue->in_flight) {
		run_queue(disk->queue);
		if (disk->queue->in_flight)
			msleep(10);
	}
}

void del_gendisk(struct gendisk *disk)
{
	might_sleep();
	BUG_ON(!(disk->flags & GENHD_FL_UP));
	if (shim_flush_before_del) {
		shim_writeback = shim_io_new(IO_WRITE, 8, 4096, 4096);
		shim_io_submit(disk, shim_writeback, true);
	}
	wait_idle(disk);
	disk->queue->dying = true;
	disk->dev.groups = NULL;
	disk->flags &= ~GENHD_FL_UP;
	list_del(&disk->list);
	disk->deleted = true;
}

void put_disk(struct gendisk *disk)
{
	struct request_queue *q = disk->queue;

	might_sleep();
	BUG_ON(!disk->holders || disk->private_data);
	if (--disk->holders)
		return;
	BUG_ON(disk->flags & GENHD_FL_UP || q->in_flight);
	BUG_ON(!q->set->allocated);
	cancel_delayed_work_sync(&q->run_work);
	free(q->hctx);
	free(q);
	free(disk);
}

void shim_run_queue(struct gendisk *disk)
{
	run_queue(disk->queue);
}

void shim_io_submit(struct gendisk *disk, struct shim_io *io, bool run)
{
	static unsigned int next_hctx;
	struct request_queue *q = disk->queue;
	struct blk_mq_hw_ctx *hctx;
	struct request *rq;
	unsigned int i;

	if (q->dying) {
		shim_io_end(io, -EIO);
		return;
	}
	if (q->frozen) {
		io->next = NULL;
		*q->entering_end = io;
		q->entering_end = &io->next;
		return;
	}
	/* A flush where there is no cache has nothing to do. */
	if (io->op == IO_FLUSH && !q->write_cache) {
		shim_io_end(io, 0);
		return;
	}
	shim_io_check(q, io);
	hctx = &q->hctx[next_hctx++ % q->set->nr_hw_queues];
	/* The driver's part is not zeroed from one use to the next. */
	rq = malloc(sizeof(*rq) + q->set->cmd_size);
	memset(rq, 0, sizeof(*rq));
	memset(rq + 1, 0xa5, q->set->cmd_size);
	rq->q = q;
	rq->mq_hctx = hctx;
	rq->io = io;
	rq->op = io->op == IO_READ ? REQ_OP_READ :
		 io->op == IO_WRITE ? REQ_OP_WRITE :
		 io->op == IO_FLUSH ? REQ_OP_FLUSH : REQ_OP_DISCARD;
	rq->sector = io->op == IO_FLUSH ? (sector_t)-1 : io->sector;
	for (i = 0; i < io->num_segs; i++)
		rq->bytes += io->segs[i].len;
	q->in_flight++;
	list_add_tail(&rq->queuelist, &hctx->pending);
	if (run)
		run_queue(q);
}

#endif
