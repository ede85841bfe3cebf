// SPDX-License-Identifier: GPL-2.0
/*
 * compat/blk_mq.c: blk-mq's contract over request_fn, with a driver that does
 * all that the contract allows. Only in the EL6 shapes.
 */
#include <linux/blkdev.h>
#include <linux/blk-mq.h>
#include "unit.h"

#define MANY	64

/* The driver: what it answers, and what it holds. */
static blk_status_t answer;
static unsigned int accept_first, offers, commits, num_held, ended;
static bool complete_at_once, stop_when_full;
static blk_status_t end_with;
static struct request *held[MANY * 4];
static sector_t accepted[MANY * 4];
static unsigned int num_accepted;
static struct list_head *driver_data = (struct list_head *)&num_held;

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx,
			     const struct blk_mq_queue_data *bd)
{
	u8 *pdu = blk_mq_rq_to_pdu(bd->rq);

	offers++;
	assert_true(irqs_disabled());
	assert_ptr_equal(hctx->driver_data, driver_data);
	assert_ptr_equal(blk_mq_rq_from_pdu(pdu), bd->rq);
	memset(pdu, offers, 40);
	if (answer != BLK_STS_OK && !accept_first) {
		if (answer == BLK_STS_DEV_RESOURCE && stop_when_full)
			blk_mq_stop_hw_queue(hctx);
		return answer;
	}
	if (accept_first)
		accept_first--;
	blk_mq_start_request(bd->rq);
	accepted[num_accepted++] = blk_rq_pos(bd->rq);
	held[num_held++] = bd->rq;
	/* The device can be done before the request is off the queue. */
	if (complete_at_once)
		blk_mq_complete_request(held[--num_held]);
	return BLK_STS_OK;
}

static void commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	commits++;
}

static void complete_rq(struct request *rq)
{
	ended++;
	blk_mq_end_request(rq, end_with);
}

static int init_hctx(struct blk_mq_hw_ctx *hctx, void *data, unsigned int index)
{
	hctx->driver_data = data;
	return 0;
}

static const struct blk_mq_ops mq_ops = {
	.queue_rq	= queue_rq,
	.commit_rqs	= commit_rqs,
	.complete	= complete_rq,
	.init_hctx	= init_hctx,
};

static const struct block_device_operations fops;
static struct blk_mq_tag_set set;
static struct gendisk *disk;
static struct device parent = { .name = "parent" };

static struct gendisk *make(unsigned int depth)
{
	memset(&set, 0, sizeof(set));
	set.ops = &mq_ops;
	set.nr_hw_queues = 1;
	set.queue_depth = depth;
	set.cmd_size = 40;
	set.numa_node = NUMA_NO_NODE;
	set.flags = BLK_MQ_F_SHOULD_MERGE;
	set.driver_data = driver_data;
	if (blk_mq_alloc_tag_set(&set))
		return NULL;
	disk = blk_mq_alloc_disk(&set, NULL);
	if (IS_ERR(disk))
		return NULL;
	disk->fops = &fops;
	blk_queue_max_segments(disk->queue, 16);
	blk_queue_max_hw_sectors(disk->queue, UINT_MAX);
	blk_queue_physical_block_size(disk->queue, 512);
	blk_queue_max_segment_size(disk->queue, 65536);
	blk_queue_write_cache(disk->queue, true, false);
	set_capacity_and_notify(disk, 1000);
	assert_int_equal(device_add_disk(&parent, disk, NULL), 0);
	return disk;
}

static void drop(void)
{
	del_gendisk(disk);
	put_disk(disk);
	blk_mq_free_tag_set(&set);
}

static int mq_setup(void **state)
{
	unit_setup(state);
	answer = BLK_STS_OK;
	end_with = BLK_STS_OK;
	accept_first = offers = commits = num_held = ended = num_accepted = 0;
	complete_at_once = stop_when_full = false;
	return 0;
}

static struct shim_io *ios[MANY];

static void submit(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		ios[i] = shim_io_new(i % 2 ? IO_READ : IO_WRITE, i, 512, 512);
		shim_io_submit(disk, ios[i], true);
	}
}

/* The interrupt: the device is done with the first @n. */
static void complete_held(unsigned int n)
{
	unsigned int i;

	shim_irq_enter();
	for (i = 0; i < n; i++)
		blk_mq_complete_request(held[i]);
	num_held -= n;
	memmove(held, held + n, num_held * sizeof(*held));
	shim_irq_exit();
	shim_run();
}

/* All of them, once each, in the order in which they came. */
static void all_in_order(unsigned int n)
{
	unsigned int i;

	assert_int_equal(num_accepted, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(accepted[i], i);
		assert_int_equal(shim_io_free(ios[i]), 0);
	}
}

/* More requests than tags: the rest waits, and a completion brings one on. */
static void tags(void **state)
{
	make(8);
	submit(MANY);
	assert_int_equal(num_held, 8);
	while (num_held) {
		assert_in_range(num_held, 1, 8);
		complete_held(1);
	}
	all_in_order(MANY);
	drop();
}

/* No room in the device, said by stopping the queue. */
static void device_full(void **state)
{
	unsigned int i;

	make(32);
	answer = BLK_STS_DEV_RESOURCE;
	stop_when_full = true;
	accept_first = 3;
	submit(MANY);
	assert_int_equal(num_held, 3);
	/* A stopped queue is left alone. */
	i = offers;
	shim_run_queue(disk);
	assert_int_equal(offers, i);
	for (i = 0; num_held; i++) {
		accept_first = 2;
		complete_held(1);
		blk_mq_start_stopped_hw_queues(disk->queue, true);
		shim_run();
		assert_true(i < 1000);
	}
	all_in_order(MANY);
	drop();
}

/* The same by the answer alone: a completion restarts it. */
static void device_full_not_stopped(void **state)
{
	make(32);
	answer = BLK_STS_DEV_RESOURCE;
	accept_first = 3;
	submit(MANY);
	assert_int_equal(num_held, 3);
	while (num_held) {
		accept_first = 1;
		complete_held(1);
	}
	all_in_order(MANY);
	drop();
}

/* No memory: nothing in flight that could restart it, so a timer does. */
static void no_memory(void **state)
{
	unsigned int i;

	make(32);
	answer = BLK_STS_RESOURCE;
	submit(10);
	assert_int_equal(num_held, 0);
	i = offers;
	shim_run_for(1);
	assert_int_equal(offers, i);
	shim_run_for(10);
	assert_true(offers > i);
	answer = BLK_STS_OK;
	shim_run_for(10);
	assert_int_equal(num_held, 10);
	complete_held(10);
	all_in_order(10);
	drop();
}

/* Completed before queue_rq() has returned, and blk_start_request() was called. */
static void completed_at_once(void **state)
{
	unsigned int i;

	make(4);
	complete_at_once = true;
	for (i = 0; i < MANY; i++) {
		ios[i] = shim_io_new(IO_READ, i, 512, 512);
		shim_io_submit(disk, ios[i], true);
		if (i % 3)
			shim_run();
	}
	shim_run();
	assert_int_equal(ended, MANY);
	all_in_order(MANY);
	drop();
}

/* A run of the queue ends in one commit; one without requests in none. */
static void commit_once(void **state)
{
	unsigned int i;

	make(32);
	for (i = 0; i < 20; i++) {
		ios[i] = shim_io_new(IO_READ, i, 512, 512);
		shim_io_submit(disk, ios[i], false);
	}
	shim_run_queue(disk);
	assert_int_equal(commits, 1);
	shim_run_queue(disk);
	assert_int_equal(commits, 1);
	complete_held(20);
	all_in_order(20);
	drop();
}

/* What the driver refuses, and how the ends are told. */
static void errors(void **state)
{
	static const struct {
		blk_status_t status;
		int error;
	} e[] = {
		{ BLK_STS_NOTSUPP, -EOPNOTSUPP }, { BLK_STS_IOERR, -EIO },
	};
	unsigned int i;

	make(4);
	for (i = 0; i < ARRAY_SIZE(e); i++) {
		answer = e[i].status;
		submit(1);
		assert_int_equal(shim_io_free(ios[0]), e[i].error);
		answer = BLK_STS_OK;
		end_with = e[i].status;
		submit(1);
		complete_held(1);
		assert_int_equal(shim_io_free(ios[0]), e[i].error);
	}
	end_with = BLK_STS_OK;
	/* No tag was lost over that. */
	submit(4);
	assert_int_equal(num_held, 4);
	complete_held(4);
	for (i = 0; i < 4; i++)
		shim_io_free(ios[i]);
	drop();
}

static enum compat_req_op seen[8];

static blk_status_t note_op(struct blk_mq_hw_ctx *hctx,
			    const struct blk_mq_queue_data *bd)
{
	seen[num_accepted] = req_op(bd->rq);
	return queue_rq(hctx, bd);
}

static void operations(void **state)
{
	static struct blk_mq_ops ops;
	unsigned int i;

	ops = mq_ops;
	ops.queue_rq = note_op;
	make(8);
	((struct compat_mq *)disk->queue->queuedata)->ops = &ops;
	for (i = 0; i < 4; i++) {
		ios[i] = shim_io_new(i == 0 ? IO_READ : i == 1 ? IO_WRITE :
				     i == 2 ? IO_OTHER : IO_FLUSH, i,
				     i < 2 ? 512 : 0, 512);
		shim_io_submit(disk, ios[i], true);
		complete_held(num_held);
	}
	assert_int_equal(seen[0], REQ_OP_READ);
	assert_int_equal(seen[1], REQ_OP_WRITE);
	assert_int_equal(seen[2], REQ_OP_DRV_IN);
	assert_int_equal(seen[3], REQ_OP_FLUSH);
	for (i = 0; i < 4; i++)
		assert_int_equal(shim_io_free(ios[i]), 0);
	drop();
}

/* Requests in every place that there is: each ends. */
static void idle_completes(void)
{
	if (num_held) {
		shim_irq_enter();
		blk_mq_complete_request(held[--num_held]);
		shim_irq_exit();
	}
}

static void teardown(void **state)
{
	unsigned int i, n;

	make(8);
	submit(20);			/* 8 in flight, 12 behind them */
	for (i = 20; i < 30; i++) {	/* in the elevator */
		ios[i] = shim_io_new(IO_READ, i, 512, 512);
		shim_io_submit(disk, ios[i], false);
	}
	shim_idle = idle_completes;
	n = offers;
	drop();
	/* The driver was not bothered with those it did not have yet. */
	assert_int_equal(offers, n);
	for (i = 0; i < 30; i++)
		assert_int_equal(shim_io_free(ios[i]), i < 8 ? 0 : -EIO);
}

static void teardown_while_starved(void **state)
{
	unsigned int how, i;

	for (how = 0; how < 3; how++) {
		make(8);
		answer = how == 1 ? BLK_STS_RESOURCE : BLK_STS_DEV_RESOURCE;
		stop_when_full = how == 2;
		accept_first = how ? 1 : 0;
		num_accepted = 0;
		submit(10);
		shim_idle = idle_completes;
		drop();
		shim_idle = NULL;
		for (i = 0; i < 10; i++)
			assert_int_equal(shim_io_free(ios[i]),
					 how && i == 0 ? 0 : -EIO);
	}
}

/* Durable writes among others, with room for few and one that does not fit. */
static void durable(void **state)
{
	unsigned int i, round;

	for (round = 0; round < 3; round++) {
		make(2);
		num_accepted = 0;
		for (i = 0; i < 12; i++) {
			ios[i] = shim_io_new(IO_WRITE, i, 512, 512);
			ios[i]->durable = i % 4 == 3;
			/* DEV_RESOURCE: a completion is still to come. */
			if (i % 3 == 0 && round)
				answer = round == 2 && num_held ?
					 BLK_STS_DEV_RESOURCE : BLK_STS_RESOURCE;
			shim_io_submit(disk, ios[i], true);
			answer = BLK_STS_OK;
		}
		for (i = 0; i < 100; i++) {
			complete_held(num_held ? 1 : 0);
			shim_run_for(1);
		}
		/* 12 writes, 3 of them with a flush on either side. */
		assert_in_range(num_accepted, 12 + 2, 12 + 6);
		for (i = 0; i < 12; i++)
			assert_int_equal(shim_io_free(ios[i]), 0);
		drop();
	}
}

/*
 * Frozen: what the driver holds is waited for, and only that; what comes waits
 * in its order, whatever else has the queue run.
 */
static void frozen(void **state)
{
	unsigned int i, offered;

	make(8);
	submit(20);
	blk_freeze_queue_start(disk->queue);
	assert_int_equal(blk_mq_freeze_queue_wait_timeout(disk->queue, HZ), 0);
	assert_int_equal(num_held, 8);
	offered = offers;
	complete_held(8);
	assert_int_equal(blk_mq_freeze_queue_wait_timeout(disk->queue, HZ), 1);
	blk_mq_start_stopped_hw_queues(disk->queue, true);
	shim_run_queue(disk);
	shim_run_for(1000);
	assert_int_equal(offers, offered);
	assert_int_equal(num_held, 0);

	blk_mq_unfreeze_queue(disk->queue);
	for (i = 0; i < 20; i++) {
		shim_run();
		complete_held(num_held);
	}
	all_in_order(20);
	drop();
}

/* Stopped for want of room, or starved, when it is frozen: it goes on later. */
static void frozen_while_full(void **state)
{
	static const blk_status_t full[] = {
		BLK_STS_DEV_RESOURCE, BLK_STS_RESOURCE
	};
	unsigned int how, i;

	for (how = 0; how < 2; how++) {
		mq_setup(state);
		make(8);
		answer = full[how];
		stop_when_full = how == 0;
		accept_first = 2;
		submit(6);
		assert_int_equal(num_held, 2);
		blk_freeze_queue_start(disk->queue);
		complete_held(2);
		blk_mq_start_stopped_hw_queues(disk->queue, true);
		assert_int_equal(blk_mq_freeze_queue_wait_timeout(disk->queue,
								  HZ), 1);
		answer = BLK_STS_OK;
		shim_run_for(100);
		assert_int_equal(num_held, 0);
		blk_mq_unfreeze_queue(disk->queue);
		shim_run_for(100);
		for (i = 0; i < 6; i++)
			complete_held(num_held);
		all_in_order(6);
		drop();
	}
}

/* A barrier in the middle, and a disk that goes while it is frozen. */
static void frozen_and_gone(void **state)
{
	struct shim_io *io;

	make(8);
	io = shim_io_new(IO_WRITE, 0, 512, 512);
	io->durable = true;
	shim_io_submit(disk, io, true);
	blk_freeze_queue_start(disk->queue);
	complete_held(num_held);
	assert_int_equal(blk_mq_freeze_queue_wait_timeout(disk->queue, HZ), 1);
	shim_run_for(100);
	assert_int_equal(io->ended, 0);
	drop();
	assert_int_equal(shim_io_free(io), -EIO);
}

static void allocation_failures(void **state)
{
	unsigned int n;

	for (n = 1;; n++) {
		shim_fail_nth(n, FAIL_ALL);
		if (make(4)) {
			shim_fail_nth(0, 0);
			drop();
			break;
		}
		assert_int_equal(shim_counts.allocs, 0);
	}
	assert_int_equal(n, 9);		/* mq, pdus, 4, queue, disk */

	set.queue_depth = 0;
	assert_int_equal(blk_mq_alloc_tag_set(&set), -EINVAL);
	set.queue_depth = 4;
	set.nr_hw_queues = 2;
	assert_int_equal(blk_mq_alloc_tag_set(&set), -EINVAL);
}

#define mq_test(f)	cmocka_unit_test_setup_teardown(f, mq_setup, unit_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		mq_test(tags),
		mq_test(device_full),
		mq_test(device_full_not_stopped),
		mq_test(no_memory),
		mq_test(completed_at_once),
		mq_test(commit_once),
		mq_test(errors),
		mq_test(operations),
		mq_test(teardown),
		mq_test(teardown_while_starved),
		mq_test(durable),
		mq_test(frozen),
		mq_test(frozen_while_full),
		mq_test(frozen_and_gone),
		mq_test(allocation_failures),
	};

	return cmocka_run_group_tests_name("blk_mq", tests, NULL, NULL);
}
