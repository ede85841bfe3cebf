// SPDX-License-Identifier: GPL-2.0
/*
 * The split ring: virtio_ring.c against a device that holds it to the
 * specification (device.c). No PCI here: the "transport" is below.
 */
#include "unit.h"

#define F(bit)	(1ULL << (bit))
#define INDIRECT	F(VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT		F(VIRTIO_RING_F_EVENT_IDX)
#define PLATFORM	F(VIRTIO_F_ACCESS_PLATFORM)

static struct device parent = { .name = "parent" };
static struct virtio_device vdev;
static struct virtqueue *vq;
static struct ring ring;
static unsigned int kicks, callbacks, resets, failed;

static bool notify(struct virtqueue *q)
{
	kicks++;
	return true;
}

static void callback(struct virtqueue *q)
{
	callbacks++;
}

static const char *bus_name(struct virtio_device *dev)
{
	return "0000:00:05.0";
}

static const struct virtio_config_ops config_ops = { .bus_name = bus_name };

/* A queue of at most @num, chains of @max_sgs in indirect tables. */
static void make(unsigned int num, unsigned int max_sgs, u64 features)
{
	struct vring_layout layout = {
		.index = 3, .max_num = num, .align = 4, .weak_barriers = true,
	};
	struct virtqueue_info info = {
		.name = "q", .callback = callback, .max_sgs = max_sgs,
	};

	memset(&vdev, 0, sizeof(vdev));
	vdev.dev.parent = &parent;
	vdev.dev.name = "virtio0";
	vdev.config = &config_ops;
	vdev.features = F(VIRTIO_F_VERSION_1) | features;
	spin_lock_init(&vdev.fail_lock);
	INIT_LIST_HEAD(&vdev.vqs);
	kicks = callbacks = resets = failed = 0;

	vq = vring_create_virtqueue(&vdev, &layout, &info, notify);
	if (!vq)
		return;
	memset(&ring, 0, sizeof(ring));
	ring.num = virtqueue_get_vring_size(vq);
	ring.desc = virtqueue_desc_addr(vq);
	ring.avail = virtqueue_avail_addr(vq);
	ring.used = virtqueue_used_addr(vq);
	ring.dma = features & PLATFORM;
	ring.event = features & EVENT;
	ring.indirect = features & INDIRECT;
}

static void drop(void)
{
	vring_del_virtqueue(vq);
	assert_true(list_empty(&vdev.vqs));
}

static u8 mem[65536] __attribute__((aligned(4096)));

/*
 * Adds @out + @in buffers of 16 bytes, one list each if @lists, one list for
 * each direction otherwise.
 */
static int add(unsigned int out, unsigned int in, bool lists, void *data)
{
	struct scatterlist sg[RING_MAX_SEGS], *sgs[RING_MAX_SEGS];
	unsigned int i, n = 0, num_out = 0;

	sg_init_table(sg, RING_MAX_SEGS);
	for (i = 0; i < out + in; i++) {
		sg[i].last = lists || i == out - 1 || i == out + in - 1;
		sg_set_buf(&sg[i], mem + i * 64, 16);
		if (lists || i == 0 || i == out)
			sgs[n++] = &sg[i];
		if (i < out)
			num_out = n;
	}
	return virtqueue_add_sgs(vq, sgs, num_out, n - num_out, data);
}

static void *token(unsigned long n)
{
	return (void *)(n + 1);
}

/* The device takes a chain of @out + @in, and gives it back. */
static void serve(unsigned int out, unsigned int in, bool indirect, u32 len)
{
	struct chain chain;
	unsigned int i;

	assert_true(ring_pop(&ring, &chain));
	assert_int_equal(chain.n, out + in);
	assert_int_equal(chain.indirect, indirect);
	for (i = 0; i < chain.n; i++) {
		assert_ptr_equal(chain.seg[i].p, mem + i * 64);
		assert_int_equal(chain.seg[i].len, 16);
		assert_int_equal(chain.seg[i].write, i >= out);
	}
	ring_push(&ring, chain.head, len);
}

static void take(void *expected, unsigned int expected_len)
{
	unsigned int len = 0xdead;

	assert_ptr_equal(virtqueue_get_buf(vq, &len), expected);
	if (expected)
		assert_int_equal(len, expected_len);
}

/* All shapes that a chain can have, direct and indirect, mapped and not. */
static void chains(void **state)
{
	static const u64 features[] = {
		0, INDIRECT, PLATFORM, INDIRECT | PLATFORM,
		INDIRECT | PLATFORM | EVENT,
	};
	unsigned int f, out, in, lists;

	for (f = 0; f < ARRAY_SIZE(features); f++) {
		make(16, 10, features[f]);
		for (out = 0; out <= 12; out++)
			for (in = out ? 0 : 1; in <= 4; in++)
				for (lists = 0; lists < 2; lists++) {
					bool table = features[f] & INDIRECT &&
						     out + in > 1 &&
						     out + in <= 10;

					assert_int_equal(add(out, in, lists,
							     token(7)), 0);
					assert_int_equal(vq->num_free, 16 -
							 (table ? 1 : out + in));
					serve(out, in, table, in * 16);
					take(token(7), in * 16);
					assert_int_equal(vq->num_free, 16);
					assert_int_equal(shim_counts.maps, 0);
				}
		take(NULL, 0);
		drop();
	}
}

/* Refused by the caller's own fault. */
static void chains_that_cannot_be(void **state)
{
	make(8, 4, INDIRECT);
	shim_expect_warn();
	assert_int_equal(add(5, 4, false, token(0)), -EINVAL);
	assert_true(shim_warned());
	shim_expect_warn();
	assert_int_equal(add(0, 0, false, token(0)), -EINVAL);
	assert_true(shim_warned());
	shim_expect_warn();
	assert_int_equal(add(1, 0, false, NULL), -EINVAL);
	assert_true(shim_warned());
	assert_int_equal(vq->num_free, 8);
	/* The longest that can. */
	assert_int_equal(add(4, 4, false, token(0)), 0);
	serve(4, 4, false, 0);
	take(token(0), 0);
	drop();
}

static void no_space(void **state)
{
	unsigned int i;

	make(8, 0, 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(add(1, 1, true, token(i)), 0);
	assert_int_equal(vq->num_free, 0);
	assert_int_equal(add(1, 0, true, token(9)), -ENOSPC);
	serve(1, 1, false, 0);
	/* Not before the driver has taken it back. */
	assert_int_equal(add(1, 0, true, token(9)), -ENOSPC);
	take(token(0), 0);
	assert_int_equal(add(2, 1, true, token(9)), -ENOSPC);
	assert_int_equal(add(1, 1, true, token(9)), 0);
	for (i = 1; i <= 4; i++) {
		serve(1, 1, false, 0);
		take(token(i < 4 ? i : 9), 0);
	}
	drop();
}

/* Tables take 512 KiB at most: after the last one, the ring itself is used. */
static void tables_run_out(void **state)
{
	unsigned int i, tables = (512 << 10) / (200 * 16);
	struct chain chain;
	u64 features;
	int round;

	for (round = 0; round < 2; round++) {
		features = round ? INDIRECT | PLATFORM : INDIRECT;
		make(512, 200, features);
		assert_in_range(tables, 1, 511);
		for (i = 0; i < tables; i++)
			assert_int_equal(add(1, 2, true, token(i)), 0);
		assert_int_equal(vq->num_free, 512 - tables);
		/* Now without. */
		assert_int_equal(add(2, 2, true, token(i)), 0);
		assert_int_equal(vq->num_free, 512 - tables - 4);
		for (i = 0; i < tables; i++) {
			serve(1, 2, true, 32);
			take(token(i), 32);
		}
		serve(2, 2, false, 0);
		take(token(i), 0);
		/* They are there again. */
		assert_int_equal(add(1, 2, true, token(0)), 0);
		assert_true(ring_pop(&ring, &chain));
		assert_true(chain.indirect);
		ring_push(&ring, chain.head, 0);
		take(token(0), 0);
		assert_int_equal(vq->num_free, 512);
		drop();
	}
}

/* Short of memory there are fewer tables, and never a failure. */
static void tables_without_memory(void **state)
{
	unsigned int n, kind, round;

	for (round = 0; round < 2; round++) {
		kind = FAIL_ALLOC | (round ? FAIL_COHERENT : FAIL_PAGES);
		/* The first four are the queue's own. */
		for (n = 5; n < 30; n++) {
			shim_fail_nth(n, kind);
			make(16, 4, INDIRECT | (round ? PLATFORM : 0));
			shim_fail_nth(0, 0);
			assert_non_null(vq);
			assert_int_equal(ring.num, 16);
			assert_int_equal(add(1, 1, true, token(1)), 0);
			assert_int_equal(add(2, 2, true, token(2)), 0);
			drop();
			/* Buffers that nobody detached are the driver's. */
			shim_counts.maps = 0;
		}
	}
}

/* 65536 and a few more: every index wraps, with chains of many lengths. */
static void wrap_around(void **state)
{
	unsigned long put = 0, got = 0;
	unsigned int in_flight = 0;
	unsigned int lens[256];

	make(32, 6, INDIRECT | EVENT);
	while (got < 70000) {
		unsigned int n = 1 + put % 8;

		if (in_flight < 7 + put % 5 &&
		    add(n, 1, false, token(put)) == 0) {
			lens[put++ % 256] = n;
			in_flight++;
			virtqueue_kick(vq);
			continue;
		}
		assert_int_not_equal(in_flight, 0);
		n = lens[got % 256];
		serve(n, 1, n + 1 <= 6, got % 17);
		ring_want_kick(&ring, true);
		assert_true(ring_wants_irq(&ring));
		take(token(got), got % 17);
		got++;
		in_flight--;
	}
	/* It was busy all the time: after the first it needed no other. */
	assert_int_equal(kicks, 1);
	drop();
}

/* The device answers in any order. */
static void out_of_order(void **state)
{
	struct chain chain[8];
	unsigned int i;

	make(16, 0, 0);
	for (i = 0; i < 8; i++)
		assert_int_equal(add(1, 1, true, token(i)), 0);
	for (i = 0; i < 8; i++)
		assert_true(ring_pop(&ring, &chain[i]));
	for (i = 0; i < 8; i++)
		ring_push(&ring, chain[(i * 5) % 8].head, i);
	for (i = 0; i < 8; i++)
		take(token((i * 5) % 8), i);
	assert_int_equal(vq->num_free, 16);
	drop();
}

/* Which adds need a kick. */
static void kick_suppression(void **state)
{
	/* By flag. */
	make(16, 0, 0);
	assert_false(virtqueue_kick_prepare(vq));
	assert_int_equal(add(1, 0, true, token(0)), 0);
	assert_true(virtqueue_kick_prepare(vq));
	assert_false(virtqueue_kick_prepare(vq));
	ring_want_kick(&ring, false);
	assert_int_equal(add(1, 0, true, token(1)), 0);
	assert_false(virtqueue_kick_prepare(vq));
	ring_want_kick(&ring, true);
	/* What was added before is not its business any more. */
	assert_false(virtqueue_kick_prepare(vq));
	drop();

	/* By index: only when it is passed. */
	make(16, 0, EVENT);
	((u16 *)&ring_used(&ring)->ring[16])[0] = 2;
	assert_int_equal(add(1, 0, true, token(0)), 0);
	assert_int_equal(add(1, 0, true, token(1)), 0);
	assert_false(virtqueue_kick_prepare(vq));
	assert_int_equal(add(1, 0, true, token(2)), 0);
	assert_true(virtqueue_kick_prepare(vq));
	assert_int_equal(add(1, 0, true, token(3)), 0);
	assert_false(virtqueue_kick_prepare(vq));
	((u16 *)&ring_used(&ring)->ring[16])[0] = 4;
	assert_int_equal(add(1, 0, true, token(4)), 0);
	assert_int_equal(add(1, 0, true, token(5)), 0);
	assert_true(virtqueue_kick(vq));
	assert_int_equal(kicks, 1);
	drop();
}

/*
 * More adds than 16 bits count, without a kick in between: the device finds
 * them by polling.
 */
static void num_added_wraps(void **state)
{
	unsigned int i;

	make(4, 0, EVENT);
	for (i = 0; i < 65534; i++) {
		ring_want_kick(&ring, false);
		assert_int_equal(add(1, 0, true, token(0)), 0);
		serve(1, 0, false, 0);
		take(token(0), 0);
	}
	assert_int_equal(kicks, 0);
	/* The 65535th passes every event index: that is a kick, not a loss. */
	assert_int_equal(add(1, 0, true, token(0)), 0);
	assert_int_equal(kicks, 1);
	assert_false(virtqueue_kick_prepare(vq));
	drop();
}

/* The device interrupts when the driver wants it to, and only then. */
static void interrupt_suppression(void **state)
{
	unsigned int i, round;

	for (round = 0; round < 2; round++) {
		make(16, 0, round ? EVENT : 0);
		for (i = 0; i < 8; i++)
			assert_int_equal(add(1, 0, true, token(i)), 0);
		serve(1, 0, false, 0);
		assert_true(ring_wants_irq(&ring));
		assert_true(vring_interrupt(vq));
		assert_int_equal(callbacks, 1);

		virtqueue_disable_cb(vq);
		take(token(0), 0);
		serve(1, 0, false, 0);
		assert_false(ring_wants_irq(&ring));
		take(token(1), 0);
		serve(1, 0, false, 0);
		assert_false(ring_wants_irq(&ring));
		/* One is there already. */
		assert_false(virtqueue_enable_cb(vq));
		take(token(2), 0);
		assert_true(virtqueue_enable_cb(vq));
		serve(1, 0, false, 0);
		assert_true(ring_wants_irq(&ring));
		take(token(3), 0);
		/* Interrupts are on: each get asks for the next. */
		serve(1, 0, false, 0);
		assert_true(ring_wants_irq(&ring));
		take(token(4), 0);
		/* Nothing there: not for us. */
		assert_false(vring_interrupt(vq));
		assert_int_equal(callbacks, 1);
		drop();
	}
}

/* disable_cb() holds for as many as the device can use before it wraps. */
static void disabled_for_long(void **state)
{
	unsigned int i;

	make(4, 0, EVENT);
	virtqueue_disable_cb(vq);
	for (i = 0; i < 65000; i++) {
		assert_int_equal(add(1, 0, true, token(0)), 0);
		serve(1, 0, false, 0);
		assert_false(ring_wants_irq(&ring));
		take(token(0), 0);
	}
	assert_true(virtqueue_enable_cb(vq));
	assert_int_equal(add(1, 0, true, token(0)), 0);
	serve(1, 0, false, 0);
	assert_true(ring_wants_irq(&ring));
	drop();
}

static void poll_and_prepare(void **state)
{
	unsigned int where;

	make(16, 0, EVENT);
	virtqueue_disable_cb(vq);
	assert_int_equal(add(1, 0, true, token(0)), 0);
	where = virtqueue_enable_cb_prepare(vq);
	assert_false(virtqueue_poll(vq, where));
	serve(1, 0, false, 0);
	assert_true(virtqueue_poll(vq, where));
	assert_true(ring_wants_irq(&ring));
	take(token(0), 0);
	assert_false(virtqueue_poll(vq, virtqueue_enable_cb_prepare(vq)));
	drop();
}

/* Three quarters of what is in flight, then the interrupt. */
static void enable_cb_delayed(void **state)
{
	unsigned int i;

	make(16, 0, EVENT);
	virtqueue_disable_cb(vq);
	for (i = 0; i < 8; i++)
		assert_int_equal(add(1, 0, true, token(i)), 0);
	assert_true(virtqueue_enable_cb_delayed(vq));
	for (i = 0; i < 6; i++) {
		serve(1, 0, false, 0);
		assert_false(ring_wants_irq(&ring));
	}
	serve(1, 0, false, 0);
	assert_true(ring_wants_irq(&ring));
	/* All but one are there: more than what would be waited for. */
	virtqueue_disable_cb(vq);
	assert_false(virtqueue_enable_cb_delayed(vq));
	for (i = 0; i < 7; i++)
		take(token(i), 0);
	drop();

	/* Without event indices there is no "later". */
	make(16, 0, 0);
	virtqueue_disable_cb(vq);
	for (i = 0; i < 8; i++)
		assert_int_equal(add(1, 0, true, token(i)), 0);
	virtqueue_enable_cb_delayed(vq);
	serve(1, 0, false, 0);
	assert_true(ring_wants_irq(&ring));
	drop();
}

/* A queue without a callback wants none. */
static void no_callback(void **state)
{
	struct vring_layout layout = { .max_num = 4, .align = 4 };
	struct virtqueue_info info = { .name = "q" };
	unsigned int round;

	for (round = 0; round < 2; round++) {
		make(4, 0, round ? EVENT : 0);
		drop();
		vq = vring_create_virtqueue(&vdev, &layout, &info, notify);
		ring.desc = virtqueue_desc_addr(vq);
		ring.avail = virtqueue_avail_addr(vq);
		ring.used = virtqueue_used_addr(vq);
		assert_int_equal(add(1, 0, true, token(0)), 0);
		serve(1, 0, false, 0);
		assert_false(ring_wants_irq(&ring));
		assert_true(vring_interrupt(vq));
		drop();
	}
}

/* After a reset, what is in flight comes back: each once, unmapped. */
static void detach(void **state)
{
	unsigned int i, seen = 0;
	void *data;

	make(32, 4, INDIRECT | PLATFORM);
	for (i = 0; i < 6; i++)
		assert_int_equal(add(1 + i, 1, false, token(i)), 0);
	serve(1, 1, true, 0);
	take(token(0), 0);
	while ((data = virtqueue_detach_unused_buf(vq)))
		seen |= 1 << ((unsigned long)data - 1);
	assert_int_equal(seen, 0x3e);
	assert_int_equal(vq->num_free, 32);
	assert_int_equal(shim_counts.maps, 0);
	drop();
}

/* The n-th buffer cannot be mapped: nothing is left mapped, all is as it was. */
static void mapping_fails(void **state)
{
	unsigned int n, round;

	for (round = 0; round < 2; round++) {
		make(16, 8, PLATFORM | (round ? INDIRECT : 0));
		for (n = 1; n <= 5; n++) {
			shim_fail_nth(n, FAIL_MAP);
			assert_int_equal(add(3, 2, false, token(0)), -ENOMEM);
			assert_true(shim_failed());
			shim_fail_nth(0, 0);
			assert_int_equal(shim_counts.maps, 0);
			assert_int_equal(vq->num_free, 16);
			assert_int_equal(ring_avail(&ring)->idx, n - 1);
			/* And goes on working. */
			assert_int_equal(add(3, 2, false, token(n)), 0);
			serve(3, 2, round, 32);
			take(token(n), 32);
			assert_int_equal(shim_counts.maps, 0);
		}
		drop();
	}
}

/* The ring gets smaller until there is memory for it. */
static void smaller_ring(void **state)
{
	struct vring_layout layout = { .max_num = 64, .align = 4, .fixed = true };
	struct virtqueue_info info = { .name = "q", .callback = callback };
	unsigned int round, n;

	for (round = 0; round < 2; round++) {
		shim_fail_nth(1, round ? FAIL_COHERENT : FAIL_PAGES);
		make(64, 4, INDIRECT | (round ? PLATFORM : 0));
		assert_non_null(vq);
		assert_int_equal(ring.num, 32);
		assert_int_equal(vq->num_free, 32);
		for (n = 0; n < 32; n++)
			assert_int_equal(add(1, 0, true, token(n)), 0);
		assert_int_equal(add(1, 0, true, token(n)), -ENOSPC);
		while (virtqueue_detach_unused_buf(vq))
			;
		drop();
	}

	/* Not where the device does not let us. */
	shim_fail_nth(1, FAIL_COHERENT);
	assert_null(vring_create_virtqueue(&vdev, &layout, &info, notify));
	shim_fail_nth(0, 0);

	/* No memory at all, for each thing that needs it. */
	for (n = 0; n < 3; n++) {
		shim_fail_each(n ? n == 1 ? FAIL_PAGES : FAIL_COHERENT :
			       FAIL_ALLOC);
		make(64, 4, INDIRECT | (n == 2 ? PLATFORM : 0));
		shim_fail_nth(0, 0);
		assert_null(vq);
	}
	/* And once for each. */
	for (n = 1;; n++) {
		shim_fail_nth(n, FAIL_ALLOC | FAIL_COHERENT);
		make(64, 4, INDIRECT | PLATFORM);
		if (vq)
			drop();
		if (!shim_failed())
			break;
	}
	assert_in_range(n, 8, 200);
	shim_fail_nth(0, 0);
}

/* Rings of one and of the most that there may be. */
static void extreme_sizes(void **state)
{
	unsigned int i;

	make(1, 4, INDIRECT | EVENT);
	for (i = 0; i < 5; i++) {
		assert_int_equal(add(1, 0, true, token(i)), 0);
		assert_int_equal(add(1, 0, true, token(i)), -ENOSPC);
		serve(1, 0, false, 0);
		take(token(i), 0);
	}
	drop();

	make(32768, 4, INDIRECT | EVENT | PLATFORM);
	assert_int_equal(ring.num, 32768);
	for (i = 0; i < 40000; i++) {
		assert_int_equal(add(1, 0, true, token(i)), 0);
		serve(1, 0, false, 0);
		take(token(i), 0);
	}
	drop();
}

/* What the device says must not be trusted: it is given up instead. */
static void bad_ids(void **state)
{
	static const u32 ids[] = { 8, 0xffff, 0x10000, 0xffffffff };
	unsigned int i, len;
	bool overrun;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		make(8, 0, 0);
		assert_int_equal(add(1, 0, true, token(0)), 0);
		shim_log_clear();
		ring_push(&ring, ids[i], 0);
		assert_null(virtqueue_get_buf_check(vq, &len, &overrun));
		assert_one_error("0000:00:05.0", "out of range");
		assert_true(virtqueue_is_broken(vq));
		/* Quiet from now on, and closed. */
		ring_push(&ring, ids[i], 0);
		assert_null(virtqueue_get_buf_check(vq, &len, &overrun));
		assert_int_equal(add(1, 0, true, token(1)), -EIO);
		assert_false(virtqueue_notify(vq));
		assert_false(vring_interrupt(vq));
		assert_true(virtqueue_enable_cb(vq));
		assert_true(virtqueue_enable_cb_delayed(vq));
		assert_int_equal(shim_log_count('E'), 1);
		assert_ptr_equal(virtqueue_detach_unused_buf(vq), token(0));
		assert_null(virtqueue_detach_unused_buf(vq));
		drop();
	}
}

static void id_not_in_flight(void **state)
{
	struct chain chain;
	unsigned int len;

	/* Twice the same. */
	make(8, 0, 0);
	assert_int_equal(add(1, 1, true, token(0)), 0);
	assert_true(ring_pop(&ring, &chain));
	ring_push(&ring, chain.head, 0);
	ring_push(&ring, chain.head, 0);
	take(token(0), 0);
	assert_null(virtqueue_get_buf(vq, &len));
	assert_one_error("queue 3 (q)", "not in flight");
	assert_true(virtqueue_is_broken(vq));
	drop();

	/* The middle of a chain. */
	make(8, 0, 0);
	shim_log_clear();
	assert_int_equal(add(1, 1, true, token(0)), 0);
	assert_true(ring_pop(&ring, &chain));
	ring_push(&ring, chain.head + 1, 0);
	assert_null(virtqueue_get_buf(vq, &len));
	assert_one_error("0000:00:05.0", "not in flight");
	drop();
}

/* A length beyond the buffers is cut down, and said once. */
static void used_length(void **state)
{
	unsigned int len;
	bool overrun;

	make(8, 4, INDIRECT);
	assert_int_equal(add(1, 2, false, token(0)), 0);
	serve(1, 2, true, 33);
	assert_ptr_equal(virtqueue_get_buf_check(vq, &len, &overrun), token(0));
	assert_true(overrun);
	assert_int_equal(len, 32);
	assert_one_error("0000:00:05.0", "length 33 exceeds the 32 bytes");

	assert_int_equal(add(1, 0, false, token(1)), 0);
	serve(1, 0, false, 0xffffffff);
	assert_ptr_equal(virtqueue_get_buf_check(vq, &len, &overrun), token(1));
	assert_true(overrun);
	assert_int_equal(len, 0);
	assert_int_equal(shim_log_count('E'), 1);

	assert_int_equal(add(1, 2, false, token(2)), 0);
	serve(1, 2, true, 32);
	assert_ptr_equal(virtqueue_get_buf_check(vq, &len, &overrun), token(2));
	assert_false(overrun);
	assert_false(virtqueue_is_broken(vq));
	drop();
}

/* Descriptors are the device's to read only: what it writes there is moot. */
static void device_scribbles(void **state)
{
	struct vring_desc *desc;
	struct chain chain;
	unsigned int i;

	make(8, 4, INDIRECT | PLATFORM);
	for (i = 0; i < 50; i++) {
		assert_int_equal(add(2, 1 + i % 4, true, token(i)), 0);
		assert_true(ring_pop(&ring, &chain));
		desc = ring_ptr(&ring, ring.desc, 8 * 16, false);
		if (desc[chain.head].flags & VRING_DESC_F_INDIRECT)
			memset(ring_ptr(&ring, desc[chain.head].addr,
					desc[chain.head].len, true), 0xff,
			       desc[chain.head].len);
		memset(desc, 0xff, 8 * 16);
		memset(ring_avail(&ring)->ring, 0xff, 2 * 8);
		ring_push(&ring, chain.head, 0);
		take(token(i), 0);
		assert_int_equal(shim_counts.maps, 0);
	}
	assert_int_equal(vq->num_free, 8);
	drop();
}

/* The device may run ahead as far as it likes: each entry is looked at. */
static void used_index_jumps(void **state)
{
	unsigned int i, len, got = 0;

	make(8, 0, 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(add(1, 0, true, token(i)), 0);
	for (i = 0; i < 4; i++)
		serve(1, 0, false, 0);
	ring_used(&ring)->idx = 40000;
	while (virtqueue_get_buf(vq, &len))
		got++;
	assert_int_equal(got, 4);
	assert_true(virtqueue_is_broken(vq));
	assert_int_equal(shim_log_count('E'), 1);
	drop();
}

static void transport_features(void **state)
{
	make(4, 0, 0);
	vdev.features = ~0ULL;
	vring_transport_features(&vdev);
	assert_int_equal(vdev.features & F(VIRTIO_F_RING_PACKED), 0);
	/* 28, 29, 32, 33 and 36 of 28 … 41, and the devices' own. */
	assert_true(vdev.features == (~(0x3fffULL << 28) |
				      INDIRECT | EVENT | PLATFORM |
				      F(VIRTIO_F_VERSION_1) |
				      F(VIRTIO_F_ORDER_PLATFORM)));
	drop();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		ring_test(chains),
		ring_test(chains_that_cannot_be),
		ring_test(no_space),
		ring_test(tables_run_out),
		ring_test(tables_without_memory),
		ring_test(wrap_around),
		ring_test(out_of_order),
		ring_test(kick_suppression),
		ring_test(num_added_wraps),
		ring_test(interrupt_suppression),
		ring_test(disabled_for_long),
		ring_test(poll_and_prepare),
		ring_test(enable_cb_delayed),
		ring_test(no_callback),
		ring_test(detach),
		ring_test(mapping_fails),
		ring_test(smaller_ring),
		ring_test(extreme_sizes),
		ring_test(bad_ids),
		ring_test(id_not_in_flight),
		ring_test(used_length),
		ring_test(device_scribbles),
		ring_test(used_index_jumps),
		ring_test(transport_features),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
