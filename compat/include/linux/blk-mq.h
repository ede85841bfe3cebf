/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_BLK_MQ_H
#define _COMPAT_LINUX_BLK_MQ_H

/*
 * COMPAT_DISK_RELEASE(name, fn) defines a block_device_operations::release
 * out of a function that returns nothing. It became void in 3.10; before, it
 * returned an int that nobody looked at.
 */
#ifdef COMPAT_HAVE_DISK_RELEASE_VOID
#define COMPAT_DISK_RELEASE(name, fn)				\
static void name(struct gendisk *disk, fmode_t mode)		\
{								\
	fn(disk);						\
}
#else
#define COMPAT_DISK_RELEASE(name, fn)				\
static int name(struct gendisk *disk, fmode_t mode)		\
{								\
	fn(disk);						\
	return 0;						\
}
#endif

#ifdef COMPAT_HAVE_BLK_MQ_ALLOC_DISK
#include_next <linux/blk-mq.h>

/* How many hardware queues a disk may have. */
#define COMPAT_BLK_MQ_QUEUES	nr_cpu_ids
#else
/*
 * blk-mq for a kernel whose block layer is a request_fn and one lock. What is
 * declared here does what its namesake does on 6.1; where less of it is
 * there, it says so. In compat/blk_mq.c, which is part of the driver that
 * includes this: a driver's module is one source file.
 */
#include <linux/genhd.h>
#include <linux/types.h>
#include <linux/blkdev.h>

typedef u8 blk_status_t;

#define BLK_STS_OK		0
#define BLK_STS_NOTSUPP		1
#define BLK_STS_IOERR		10
#define BLK_STS_RESOURCE	9	/* try again in a moment */
#define BLK_STS_DEV_RESOURCE	13	/* a completion will make room */

/* What a request wants, whatever this kernel's way of saying it is. */
enum compat_req_op {
	REQ_OP_READ	= 0,
	REQ_OP_WRITE	= 1,
	REQ_OP_FLUSH	= 2,
	REQ_OP_DISCARD	= 3,
	REQ_OP_DRV_IN	= 34,	/* anything that no driver here knows */
};

struct blk_mq_tag_set;

/* One lock, one queue. */
#define COMPAT_BLK_MQ_QUEUES	1

#ifndef NUMA_NO_NODE
#define NUMA_NO_NODE		(-1)
#endif

struct blk_mq_hw_ctx {
	struct request_queue *queue;
	void *driver_data;
	unsigned int queue_num;
};

struct blk_mq_queue_data {
	struct request *rq;
	bool last;		/* never: commit_rqs() follows */
};

struct blk_mq_ops {
	blk_status_t (*queue_rq)(struct blk_mq_hw_ctx *hctx,
				 const struct blk_mq_queue_data *bd);
	void (*commit_rqs)(struct blk_mq_hw_ctx *hctx);
	void (*complete)(struct request *rq);
	int (*init_hctx)(struct blk_mq_hw_ctx *hctx, void *driver_data,
			 unsigned int index);
};

struct blk_mq_tag_set {
	const struct blk_mq_ops *ops;
	unsigned int nr_hw_queues;
	unsigned int queue_depth;	/* requests that the driver holds */
	unsigned int cmd_size;		/* driver data of a request, bytes */
	int numa_node;
	unsigned int flags;
	void *driver_data;
};

#define BLK_MQ_F_SHOULD_MERGE	0	/* the elevator always does */

static int blk_mq_alloc_tag_set(struct blk_mq_tag_set *set);
static void blk_mq_free_tag_set(struct blk_mq_tag_set *set);
static struct gendisk *blk_mq_alloc_disk(struct blk_mq_tag_set *set,
					 void *queuedata);
static enum compat_req_op req_op(const struct request *rq);
static void blk_mq_complete_request(struct request *rq);
static void blk_mq_end_request(struct request *rq, blk_status_t status);
static void blk_mq_stop_hw_queue(struct blk_mq_hw_ctx *hctx);
static void blk_mq_start_stopped_hw_queues(struct request_queue *q,
					   bool async);
static void blk_freeze_queue_start(struct request_queue *q);
static int blk_mq_freeze_queue_wait_timeout(struct request_queue *q,
					    unsigned long timeout);
static void blk_mq_unfreeze_queue(struct request_queue *q);
static void compat_blk_queue_write_cache(struct request_queue *q, bool wc,
					 bool fua);
static void compat_del_gendisk(struct gendisk *disk);
static void compat_put_disk(struct gendisk *disk);

#include "../../blk_mq.c"

/* 4.7 */
#define blk_queue_write_cache	compat_blk_queue_write_cache

/* In 5.14 to 6.0 these two came to take care of the queue. */
#define del_gendisk		compat_del_gendisk
#define put_disk		compat_put_disk

/*
 * Limits, as functions. What EL6 has of them is not on the kABI lists of all
 * its releases, or changed its argument's type on the way; the structure
 * behind them has the same layout throughout.
 */
#define blk_queue_max_segments	compat_blk_queue_max_segments
static inline void compat_blk_queue_max_segments(struct request_queue *q,
						 unsigned short max)
{
	q->limits.max_segments = max;
}

#define blk_queue_max_hw_sectors	compat_blk_queue_max_hw_sectors
static inline void compat_blk_queue_max_hw_sectors(struct request_queue *q,
						   unsigned int max)
{
	q->limits.max_hw_sectors = max;
	q->limits.max_sectors = min_t(unsigned int, max, BLK_DEF_MAX_SECTORS);
}

#define blk_queue_physical_block_size	compat_blk_queue_physical_block_size
static inline void
compat_blk_queue_physical_block_size(struct request_queue *q, unsigned int size)
{
	q->limits.physical_block_size =
		max_t(unsigned int, size, q->limits.logical_block_size);
	q->limits.io_min = max_t(unsigned int, q->limits.io_min,
				 q->limits.physical_block_size);
}

/* 5.10: tell everybody, whoever has the device open among them. */
#define set_capacity_and_notify	compat_set_capacity_and_notify
static inline bool compat_set_capacity_and_notify(struct gendisk *disk,
						  sector_t size)
{
	char *envp[] = { "RESIZE=1", NULL };
	sector_t old = get_capacity(disk);

	set_capacity(disk, size);
	/* Before add_disk() nobody is there to be told. */
	if (!(disk->flags & GENHD_FL_UP))
		return false;
	revalidate_disk(disk);
	if (old == size || !old || !size)
		return false;
	kobject_uevent_env(&disk_to_dev(disk)->kobj, KOBJ_CHANGE, envp);
	return true;
}

/*
 * 4.20 takes attribute groups, 5.15 returns an error. The groups are there
 * before udev hears of the disk.
 */
#define device_add_disk		compat_device_add_disk
static inline int compat_device_add_disk(struct device *parent,
					 struct gendisk *disk,
					 const struct attribute_group **groups)
{
	disk->driverfs_dev = parent;
	disk_to_dev(disk)->groups = groups;
	add_disk(disk);
	return 0;
}
#endif

#endif /* _COMPAT_LINUX_BLK_MQ_H */
