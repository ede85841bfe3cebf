// SPDX-License-Identifier: GPL-2.0
/*
 * The block layer: what both shapes have in common, and I/O for tests.
 */
#include <shim/shim.h>

LIST_HEAD(shim_disks);
bool shim_flush_before_del;
struct shim_io *shim_writeback;
static unsigned int shim_order;

int register_blkdev(unsigned int major, const char *name)
{
	return shim_fail(FAIL_BLK) ? -EBUSY : 252;
}

void unregister_blkdev(unsigned int major, const char *name)
{
	BUG_ON(major != 252);
}

sector_t get_capacity(struct gendisk *disk)
{
	return disk->capacity;
}

void set_capacity(struct gendisk *disk, sector_t size)
{
	disk->capacity = size;
}

void set_disk_ro(struct gendisk *disk, int ro)
{
	disk->ro = ro;
}

/* Limits. The kernel would stumble over these sooner or later. */

void blk_queue_max_segment_size(struct request_queue *q, unsigned int size)
{
	BUG_ON(size < PAGE_SIZE);
	q->limits.max_segment_size = size;
}

void blk_queue_logical_block_size(struct request_queue *q, unsigned int size)
{
	BUG_ON(size < 512 || size > PAGE_SIZE || size & (size - 1));
	q->limits.logical_block_size = size;
	q->limits.physical_block_size = max(q->limits.physical_block_size,
					    size);
	q->limits.io_min = max(q->limits.io_min,
			       q->limits.physical_block_size);
}

void blk_queue_alignment_offset(struct request_queue *q, unsigned int offset)
{
	q->limits.alignment_offset = offset &
				     (q->limits.physical_block_size - 1);
}

void blk_queue_io_min(struct request_queue *q, unsigned int min)
{
	q->limits.io_min = max(min, q->limits.physical_block_size);
}

void blk_queue_io_opt(struct request_queue *q, unsigned int opt)
{
	q->limits.io_opt = opt;
}

int blk_rq_map_sg(struct request_queue *q, struct request *rq,
		  struct scatterlist *sg)
{
	struct shim_io *io = rq->io;
	unsigned int i;

	for (i = 0; i < io->num_segs; i++) {
		sg[i].last = false;
		sg_set_buf(&sg[i], io->segs[i].buf, io->segs[i].len);
	}
	if (io->num_segs)
		sg_mark_end(&sg[io->num_segs - 1]);
	return io->num_segs;
}

/* I/O */

struct gendisk *shim_disk(unsigned int n)
{
	struct gendisk *disk;

	list_for_each_entry(disk, &shim_disks, list)
		if (!n--)
			return disk;
	return NULL;
}

struct shim_io *shim_io_new(enum shim_op op, sector_t sector, unsigned int len,
			    unsigned int seg)
{
	struct shim_io *io = calloc(1, sizeof(*io));
	unsigned int i;

	io->op = op;
	io->sector = sector;
	io->num_segs = len ? DIV_ROUND_UP(len, seg) : 0;
	io->segs = calloc(io->num_segs + 1, sizeof(*io->segs));
	for (i = 0; i < io->num_segs; i++, len -= seg) {
		io->segs[i].len = min(len, seg);
		io->segs[i].buf = malloc(io->segs[i].len);
		memset(io->segs[i].buf, 0x5a, io->segs[i].len);
	}
	return io;
}

/* The block layer keeps to the limits that the driver set. */
void shim_io_check(struct request_queue *q, struct shim_io *io)
{
	unsigned int i;

	BUG_ON(io->num_segs > q->limits.max_segments);
	for (i = 0; i < io->num_segs; i++)
		BUG_ON(io->segs[i].len > q->limits.max_segment_size);
	BUG_ON(io->ended);
}

void shim_io_end(struct shim_io *io, int error)
{
	if (io->ended++)
		SHIM_BUG("an I/O ended twice");
	io->error = error;
	io->order = shim_order++;
}

int shim_io_free(struct shim_io *io)
{
	unsigned int i;
	int error = io->error;

	if (io->ended != 1)
		SHIM_BUG("an I/O never ended");
	for (i = 0; i < io->num_segs; i++)
		free(io->segs[i].buf);
	free(io->segs);
	free(io);
	return error;
}

int shim_open(struct gendisk *disk)
{
	struct block_device bdev = { disk };

	return disk->fops->open(&bdev, 0);
}

void shim_close(struct gendisk *disk)
{
	disk->fops->release(disk, 0);
}
