/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The block layer in two shapes: blk-mq as Linux 6.1 has it (blkmq.c), and
 * request_fn as 2.6.32 has it (blk2632.c), the latter with the flush interface
 * of EL6 6.0 or of 6.1 and later. What tests do with a disk, struct shim_io,
 * is the same for all.
 */
#ifndef _SHIM_BLK_H
#define _SHIM_BLK_H

#include <shim/driver.h>

struct request;
struct request_queue;
struct gendisk;
struct shim_io;
struct blk_mq_tag_set;

#define NUMA_NO_NODE	(-1)
#define MINORBITS	20
#define READ		0
#define WRITE		1

struct hd_geometry {
	unsigned char heads, sectors;
	unsigned short cylinders;
	unsigned long start;
};

struct block_device {
	struct gendisk *bd_disk;
};

struct block_device_operations {
	struct module *owner;
	int (*open)(struct block_device *bdev, fmode_t mode);
#ifdef COMPAT_HAVE_DISK_RELEASE_VOID
	void (*release)(struct gendisk *disk, fmode_t mode);
#else
	int (*release)(struct gendisk *disk, fmode_t mode);
#endif
	int (*getgeo)(struct block_device *bdev, struct hd_geometry *geo);
};

struct gendisk {
	struct device dev;
	struct device *driverfs_dev;
	char disk_name[32];
	int major, first_minor, minors;
	unsigned int flags;
	void *private_data;
	const struct block_device_operations *fops;
	struct request_queue *queue;
	sector_t capacity;
	bool ro;
	unsigned int uevents;	/* RESIZE=1 */
	unsigned int holders;	/* of the structure */
	bool deleted;
	struct list_head list;
};

#define GENHD_FL_UP	0x10
#define disk_to_dev(d)	(&(d)->dev)
#define dev_to_disk(d)	container_of(d, struct gendisk, dev)

struct queue_limits {
	unsigned int max_sectors, max_hw_sectors;
	unsigned int max_segment_size;
	unsigned int logical_block_size, physical_block_size;
	unsigned int alignment_offset, io_min, io_opt;
	unsigned short max_segments;
};

int register_blkdev(unsigned int major, const char *name);
void unregister_blkdev(unsigned int major, const char *name);
sector_t get_capacity(struct gendisk *disk);
void set_capacity(struct gendisk *disk, sector_t size);
void set_disk_ro(struct gendisk *disk, int ro);

void blk_queue_max_segment_size(struct request_queue *q, unsigned int size);
void blk_queue_logical_block_size(struct request_queue *q, unsigned int size);
void blk_queue_alignment_offset(struct request_queue *q, unsigned int offset);
void blk_queue_io_min(struct request_queue *q, unsigned int min);
void blk_queue_io_opt(struct request_queue *q, unsigned int opt);
int blk_rq_map_sg(struct request_queue *q, struct request *rq,
		  struct scatterlist *sg);

#define blk_rq_pos(rq)		((rq)->sector)
#define blk_rq_bytes(rq)	((rq)->bytes)
#define blk_rq_sectors(rq)	((rq)->bytes >> 9)
#define req_get_ioprio(rq)	((rq)->ioprio)

/* A piece of a request's data, physically contiguous. */
struct shim_seg {
	void *buf;
	unsigned int len;
};

#ifdef COMPAT_HAVE_BLK_MQ_ALLOC_DISK

typedef u8 blk_status_t;
#define BLK_STS_OK		0
#define BLK_STS_NOTSUPP		1
#define BLK_STS_RESOURCE	9
#define BLK_STS_IOERR		10
#define BLK_STS_DEV_RESOURCE	13
#define BLK_MQ_F_SHOULD_MERGE	1

enum req_op {
	REQ_OP_READ, REQ_OP_WRITE, REQ_OP_FLUSH, REQ_OP_DISCARD,
	REQ_OP_DRV_IN = 34,
};

struct request {
	struct request_queue *q;
	struct blk_mq_hw_ctx *mq_hctx;
	struct list_head queuelist;
	struct shim_io *io;
	enum req_op op;
	sector_t sector;
	unsigned int bytes, ioprio;
	bool started, completed;
};
#define req_op(rq)	((rq)->op)

struct blk_mq_hw_ctx {
	struct request_queue *queue;
	void *driver_data;
	unsigned int queue_num;
	bool stopped;
	struct list_head pending;	/* not yet given to the driver */
	unsigned int tags;		/* in use */
};

struct request_queue {
	struct queue_limits limits;
	void *queuedata;
	struct gendisk *disk;
	struct blk_mq_tag_set *set;
	struct blk_mq_hw_ctx *hctx;
	bool write_cache, dying, running;
	struct delayed_work run_work;
	unsigned int in_flight, frozen;
	struct shim_io *entering, **entering_end;	/* wait for the thaw */
};

struct blk_mq_queue_data {
	struct request *rq;
	bool last;
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
	unsigned int queue_depth;
	unsigned int cmd_size;
	int numa_node;
	unsigned int flags;
	void *driver_data;
	bool allocated;
};

int blk_mq_alloc_tag_set(struct blk_mq_tag_set *set);
void blk_mq_free_tag_set(struct blk_mq_tag_set *set);
struct gendisk *blk_mq_alloc_disk(struct blk_mq_tag_set *set, void *queuedata);
void blk_mq_start_request(struct request *rq);
bool blk_mq_complete_request(struct request *rq);
void blk_mq_end_request(struct request *rq, blk_status_t status);
void blk_mq_stop_hw_queue(struct blk_mq_hw_ctx *hctx);
void blk_mq_start_stopped_hw_queues(struct request_queue *q, bool async);
void blk_freeze_queue_start(struct request_queue *q);
int blk_mq_freeze_queue_wait_timeout(struct request_queue *q,
				     unsigned long timeout);
void blk_mq_unfreeze_queue(struct request_queue *q);
#define blk_mq_rq_to_pdu(rq)		((void *)((struct request *)(rq) + 1))
#define blk_mq_rq_from_pdu(pdu)		((struct request *)(pdu) - 1)

void blk_queue_max_segments(struct request_queue *q, unsigned short max);
void blk_queue_max_hw_sectors(struct request_queue *q, unsigned int max);
void blk_queue_physical_block_size(struct request_queue *q, unsigned int size);
void blk_queue_write_cache(struct request_queue *q, bool wc, bool fua);
bool set_capacity_and_notify(struct gendisk *disk, sector_t size);
int device_add_disk(struct device *parent, struct gendisk *disk,
		    const struct attribute_group **groups);
void del_gendisk(struct gendisk *disk);
void put_disk(struct gendisk *disk);

#else /* 2.6.32 */

#define BLK_DEF_MAX_SECTORS	1024
#define BLK_BOUNCE_ANY		(~0ULL)

enum rq_cmd_type_bits {
	REQ_TYPE_FS = 1, REQ_TYPE_BLOCK_PC, REQ_TYPE_LINUX_BLOCK,
	REQ_TYPE_SPECIAL,
};
#define REQ_LB_OP_FLUSH	0x41

#define REQ_WRITE	0x01u
#define REQ_DISCARD	0x02u
#define REQ_STARTED	0x04u
#define REQ_ALLOCED	0x08u
#define REQ_FLUSH_SEQ	0x10u
#ifdef SHIM_FLUSH_FLAGS
#define REQ_FLUSH	(1 << 26)
#define REQ_FUA		0x40u
#endif
#define REQ_HARDBARRIER	0x80u
#define REQ_FAILFAST_DEV 0x100u
#define rq_data_dir(rq)	((rq)->cmd_flags & REQ_WRITE)

struct request {
	struct request_queue *q;
	struct list_head queuelist;
	struct list_head flush_list;
	struct shim_io *io;
	unsigned int cmd_flags;
	enum rq_cmd_type_bits cmd_type;
	unsigned char cmd[16];
	sector_t sector;
	unsigned int bytes, resid_len, ioprio;
	unsigned int flush_seq;
	void *special;
	void (*end_io)(struct request *rq, int error);
};

struct request_list {
	int count[2];
};

typedef void (request_fn_proc)(struct request_queue *q);
typedef void (prepare_flush_fn)(struct request_queue *q, struct request *rq);

struct request_queue {
	struct request_list rq;
	struct queue_limits limits;
	void *queuedata;
	spinlock_t *queue_lock;

	spinlock_t lock;
	request_fn_proc *request_fn;
	struct list_head elevator;	/* not yet dispatched */
	struct list_head queue_head;	/* dispatched */
	bool stopped, running, plugged;
	int unplug_thresh;
	struct delayed_work unplug_work;
	struct work_struct run_work;	/* kblockd */
	unsigned int in_flight, holders;

	/* Flush by flag: one flush for all that wait. */
	unsigned int flush_flags;
	struct list_head flush_wait, flush_run;
	struct request flush_rq;
	bool flush_busy;

	/* Flush by barrier: drain, flush, barrier, flush. */
	unsigned int ordered, next_ordered, ordseq;
	int orderr;
	prepare_flush_fn *prepare_flush_fn;
	struct request pre_flush_rq, bar_rq, post_flush_rq, *orig_bar_rq;
};

struct request_queue *blk_init_queue(request_fn_proc *rfn, spinlock_t *lock);
void blk_cleanup_queue(struct request_queue *q);
void blk_queue_bounce_limit(struct request_queue *q, u64 limit);
struct request *blk_peek_request(struct request_queue *q);
void blk_start_request(struct request *rq);
void __blk_end_request_all(struct request *rq, int error);
void blk_start_queue(struct request_queue *q);
void blk_stop_queue(struct request_queue *q);
#define blk_queue_plugged(q)	((q)->plugged)
void blk_queue_flush(struct request_queue *q, unsigned int flags);
#define QUEUE_ORDERED_DRAIN		0x01u
#define QUEUE_ORDERED_DRAIN_FLUSH	0x31u
int blk_queue_ordered(struct request_queue *q, unsigned int ordered,
		      prepare_flush_fn *prepare);

struct gendisk *alloc_disk(int minors);
void add_disk(struct gendisk *disk);
void del_gendisk(struct gendisk *disk);
void put_disk(struct gendisk *disk);
int revalidate_disk(struct gendisk *disk);
#endif

/* What a test does with a disk. */

enum shim_op {
	IO_READ, IO_WRITE, IO_FLUSH,
	IO_OTHER,		/* something that the driver does not know */
};

/**
 * struct shim_io - an I/O, as the one who wants it sees it
 * @op:		what
 * @sector:	where
 * @segs:	data
 * @num_segs:	pieces of it
 * @durable:	a write that shall survive a power failure when it ends: FUA, or
 *		a barrier
 * @ended:	how often it ended: once, in the end
 * @error:	how
 * @order:	which one it was to end
 */
struct shim_io {
	enum shim_op op;
	sector_t sector;
	struct shim_seg *segs;
	unsigned int num_segs;
	bool durable;
	unsigned int ended;
	int error;
	unsigned int order;
	struct shim_io *next;	/* for the model */
};

extern struct list_head shim_disks;
/* The @n-th disk there is; NULL: no such one. */
struct gendisk *shim_disk(unsigned int n);
/*
 * Makes an I/O of @len bytes in pieces of @seg bytes, on memory of its own,
 * and shim_io_submit() hands it to the disk. With @run false it waits in the
 * elevator for a shim_run_queue().
 */
struct shim_io *shim_io_new(enum shim_op op, sector_t sector, unsigned int len,
			    unsigned int seg);
void shim_io_submit(struct gendisk *disk, struct shim_io *io, bool run);
void shim_run_queue(struct gendisk *disk);
/* Ended exactly once? And over. Returns its error. */
int shim_io_free(struct shim_io *io);
/* Called by the models. */
void shim_io_end(struct shim_io *io, int error);
void shim_io_check(struct request_queue *q, struct shim_io *io);
extern bool shim_flush_before_del;	/* del_gendisk() writes something back */
extern struct shim_io *shim_writeback;

int shim_open(struct gendisk *disk);
void shim_close(struct gendisk *disk);

#endif /* _SHIM_BLK_H */
