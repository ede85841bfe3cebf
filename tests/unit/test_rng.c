// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-rng.c on the whole stack, with entropy devices in software, under
 * both shapes of the hwrng core.
 */
#include "unit.h"
#include "entropy.h"
#include <shim/rng.h>

#define BUFFER	64	/* what the device is asked for at a time */
#define ADDRESS	"0000:01:00.0"

static struct entropy first, second;
static u8 buf[1024];

static int rng_setup(void **state)
{
	stack_setup(state);
	entropy_init(&first, 1);
	entropy_init(&second, 2);
	memset(buf, 0xee, sizeof(buf));
	return 0;
}

static int rng_teardown(void **state)
{
	int ret = stack_teardown(state);

	free(first.fn.pci.dev.name);
	free(second.fn.pci.dev.name);
	first.fn.pci.dev.name = NULL;
	second.fn.pci.dev.name = NULL;
	return ret;
}

/* A device like the last one, unused. */
static void renew(struct entropy *entropy, unsigned int slot)
{
	free(entropy->fn.pci.dev.name);
	entropy_init(entropy, slot);
}

static void plug(struct entropy *entropy)
{
	assert_int_equal(fn_plug(&entropy->fn), 0);
	assert_non_null(fn_vdev(&entropy->fn)->dev.driver);
}

static void unplug(struct entropy *entropy)
{
	fn_unplug(&entropy->fn);
}


/* @len numbers in a row, the first of them @from. */
static void assert_row(u8 from, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		assert_int_equal(buf[i], (u8)(from + i));
}

static void reads(void **state)
{
	static const size_t lens[] = { 1, 3, 4, 5, 60, 64, 65, 128, 1000 };
	unsigned int i;
	u8 next = 0;

	plug(&first);
	assert_string_equal(shim_rng_current(), "virtio_rng.0");
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		assert_int_equal(shim_rng_read(buf, lens[i], false), lens[i]);
#ifdef COMPAT_HAVE_HWRNG_READ
		/* A call reads a buffer's worth, and all of it is new. */
		if (i)
			assert_int_equal(buf[0], next);
		assert_int_equal(buf[0] % BUFFER, 0);
		next = ALIGN(buf[0] + lens[i], BUFFER);
#else
		/* Of a word, what is not wanted is lost. */
		assert_int_equal(buf[0], next);
		next = ALIGN(next + lens[i], 4);
#endif
		assert_row(buf[0], lens[i]);
	}
	/* The device has a buffer of its own now, and nothing is asked twice. */
	settle();
	i = first.served;
	settle();
	assert_int_equal(first.served, i);
	assert_int_equal(shim_log_count('E'), 0);
	unplug(&first);
	assert_null(shim_rng_current());
	assert_int_equal(shim_rng_read(buf, 1, false), -ENODEV);
}

/* In each way that a device can interrupt. */
static void interrupts(void **state)
{
	unsigned int way;

	for (way = 0; way < 3; way++) {
		renew(&first, 1);
		first.fn.pci.msix_table = way;
		plug(&first);
		assert_int_equal(shim_rng_read(buf, 500, false), 500);
		assert_true(first.fn.irqs >= 500 / BUFFER);
		/* One vector is one too few for a queue and the config. */
		assert_int_equal(!!first.fn.pci.msix_on, way == 2);
		/* One that is not about the queue. */
		fn_queue_irq(&first.fn, 0);
		fn_config_irq(&first.fn);
		assert_int_equal(shim_rng_read(buf, 100, false), 100);
		unplug(&first);
	}
	assert_int_equal(shim_log_count('E'), 0);
}

static void several_devices(void **state)
{
	plug(&first);
	plug(&second);
	second.next = 128;
	assert_string_equal(shim_rng_available(), "virtio_rng.0 virtio_rng.1 ");
	assert_string_equal(shim_rng_current(), "virtio_rng.0");
	assert_int_equal(shim_rng_read(buf, 64, false), 64);
	assert_true(buf[0] < 128);
	assert_int_equal(shim_rng_select("virtio_rng.1"), 0);
	settle();
	assert_int_equal(shim_rng_read(buf, 64, false), 64);
	assert_int_equal(shim_rng_read(buf, 64, false), 64);
	assert_true(buf[0] >= 128);

	/* The other one takes over; the name that is free is used again. */
	unplug(&second);
	assert_string_equal(shim_rng_current(), "virtio_rng.0");
	assert_int_equal(shim_rng_read(buf, 64, false), 64);
	renew(&second, 2);
	plug(&second);
	assert_string_equal(shim_rng_available(), "virtio_rng.0 virtio_rng.1 ");
	unplug(&first);
	assert_string_equal(shim_rng_available(), "virtio_rng.1 ");
	assert_int_equal(shim_rng_read(buf, 64, false), 64);
	unplug(&second);
}

/* A device that has little to give, nothing, or more than there is room for. */
static void lengths(void **state)
{
	unsigned int i;

	plug(&first);
	settle();
	shim_rng_read(buf, BUFFER, false);
	for (i = 1; i <= 5; i++) {
		first.written = i;
		settle();
		shim_rng_read(buf, BUFFER, false);
		assert_int_equal(shim_rng_read(buf, 20, false), 20);
		assert_row(buf[0], 20);
	}
	assert_int_equal(shim_log_count('E'), 0);

	/* Reads fail, and are none the worse for it when there is more. */
	first.written = 0;
	settle();
	shim_rng_read(buf, BUFFER, false);
	settle();
	for (i = 0; i < 3; i++) {
		assert_int_equal(shim_rng_read(buf, 1, false), -EIO);
		settle();
	}
	assert_one_error(ADDRESS, "answered with 0 bytes");
	assert_int_equal(shim_rng_read(buf, 1, true), -EIO);
	first.written = ~0U;
	assert_int_equal(shim_rng_read(buf, BUFFER, true), -EAGAIN);
	settle();
	assert_int_equal(shim_rng_read(buf, BUFFER, false), BUFFER);
	assert_row(buf[0], BUFFER);

	shim_log_clear();
	for (i = 0; i < 2; i++) {
		first.used_len = i ? 0xffffffff : BUFFER + 1;
		settle();
		assert_int_equal(shim_rng_read(buf, 3 * BUFFER, false),
				 3 * BUFFER);
		assert_row(buf[0], 3 * BUFFER);
	}
	assert_one_error(ADDRESS, "length 65 exceeds the 64 bytes");
	unplug(&first);
}

/* It says that it has written what it has not: nobody gets the last data. */
static void nothing_twice(void **state)
{
	unsigned int i;

	plug(&first);
	settle();
	assert_int_equal(shim_rng_read(buf, BUFFER, false), BUFFER);
	first.written = 0;
	first.used_len = BUFFER;
	settle();
	/* What has been written already. */
	shim_rng_read(buf, BUFFER, false);
	settle();
	assert_int_equal(shim_rng_read(buf, BUFFER, false), BUFFER);
	for (i = 0; i < BUFFER; i++)
		assert_int_equal(buf[i], 0);
	unplug(&first);
}

/* A host that has none: who does not want to wait does not. */
static void nonblocking(void **state)
{
	unsigned long before;

	first.hold = true;
	plug(&first);
	before = jiffies;
	assert_int_equal(shim_rng_read(buf, 4, true), -EAGAIN);
	assert_int_equal(shim_rng_read(buf, 4, true), -EAGAIN);
	assert_int_equal(jiffies, before);
	settle();
	entropy_release(&first);
	assert_int_equal(shim_rng_read(buf, 4, true), 4);
	assert_row(0, 4);
	unplug(&first);
}

/* Who waits gets what comes, and is in nobody's way meanwhile. */
static void waits(void **state)
{
	first.hold = true;
	second.hold = true;
	plug(&first);
	plug(&second);
	shim_reader_start(buf, 4);
	assert_false(shim_reader_run(3000));
	/* A person switches to another one: within a second, the core can. */
	assert_int_equal(shim_rng_select("virtio_rng.1"), 0);
	assert_true(shim_rng_waited <= HZ + 2);
	assert_false(shim_reader_run(3 * HZ));
	assert_true(second.holds);
	entropy_release(&second);
	assert_true(shim_reader_run(1));
	assert_int_equal(shim_reader_end(), 4);
	assert_row(0, 4);

	shim_reader_start(buf, 4 * BUFFER);
	assert_false(shim_reader_run(100));
	shim_signal = true;
	assert_true(shim_reader_run(1));
	assert_int_equal(shim_reader_end() % 4, 0);
	shim_signal = false;

	/* With nothing read at all, it is the signal that is returned. */
	settle();
	shim_rng_select("virtio_rng.0");
	shim_reader_start(buf, 4);
	shim_signal = true;
	assert_true(shim_reader_run(1));
	assert_int_equal(shim_reader_end(), -ERESTARTSYS);
	shim_signal = false;
	unplug(&first);
	unplug(&second);
}

/* A device comes, and devices go, while somebody waits for one. */
static void removal_while_read(void **state)
{
	first.hold = true;
	second.hold = true;
	plug(&first);
	shim_reader_start(buf, 8);
	assert_false(shim_reader_run(100));
	plug(&second);
	assert_true(shim_rng_waited < 10);
	assert_false(shim_reader_run(100));

	/* The one that is not read from; and again. */
	unplug(&second);
	assert_true(shim_rng_waited < 10);
	renew(&second, 2);
	second.hold = true;
	plug(&second);
	assert_true(shim_rng_waited < 10);
	assert_false(shim_reader_run(100));

	/* The one that is: the reader goes on with the other one. */
	unplug(&first);
	assert_true(shim_rng_waited < 10);
	assert_string_equal(shim_rng_current(), "virtio_rng.1");
	assert_false(shim_reader_run(100));
	second.hold = false;
	entropy_release(&second);
	assert_true(shim_reader_run(10));
	assert_int_equal(shim_reader_end(), 8);
	assert_row(0, 8);

	/* The last one. */
	second.hold = true;
	shim_rng_read(buf, BUFFER, true);
	shim_rng_read(buf, BUFFER, true);
	shim_reader_start(buf, 8);
	assert_false(shim_reader_run(100));
	unplug(&second);
	assert_true(shim_rng_waited < 10);
	assert_true(shim_reader_run(10));
	assert_int_equal(shim_reader_end(), -ENODEV);
	assert_int_equal(shim_log_count('E'), 0);
}

/* The ways in which a device ends. */
enum end { BAD_ID, TWICE, NEEDS_RESET, GONE, NUM_ENDS };

static void end(struct entropy *entropy, enum end how)
{
	struct fn *fn = &entropy->fn;

	switch (how) {
	case BAD_ID:
		ring_push(&fn->queue[0].ring, 4711, 64);
		fn_queue_irq(fn, 0);
		break;
	case TWICE:
		ring_push(&fn->queue[0].ring, entropy->held.head, 64);
		ring_push(&fn->queue[0].ring, entropy->held.head, 64);
		fn_queue_irq(fn, 0);
		shim_rng_read(buf, sizeof(buf), true);
		break;
	case NEEDS_RESET:
		fn->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		fn_config_irq(fn);
		break;
	case GONE:
		fn->gone = true;
		fn_config_irq(fn);
		break;
	case NUM_ENDS:
		break;
	}
}

static void broken(void **state)
{
	static const char *const said[] = {
		"id 4711 is out of range", "is not in flight",
		"asks for a reset", "is gone",
	};
	enum end how;

	for (how = 0; how < NUM_ENDS; how++) {
		shim_log_clear();
		renew(&first, 1);
		first.fn.lying = true;
		first.hold = true;
		plug(&first);
		settle();
		assert_true(first.holds);
		if (how != TWICE) {
			shim_reader_start(buf, 8);
			assert_false(shim_reader_run(100));
		}
		end(&first, how);
		if (how != TWICE) {
			assert_true(shim_reader_run(1));
			assert_int_equal(shim_reader_end(), -ENODEV);
		}
		assert_one_error(ADDRESS, said[how]);
		/* The core has forgotten it, and does not mind another one. */
		settle();
		assert_null(shim_rng_current());
		assert_int_equal(shim_rng_read(buf, 1, false), -ENODEV);
		renew(&second, 2);
		plug(&second);
		assert_string_equal(shim_rng_available(), "virtio_rng.1 ");
		assert_int_equal(shim_rng_read(buf, 8, false), 8);
		unplug(&second);
		unplug(&first);
	}
}

/* It breaks before the core has heard of it. */
static void notified(void)
{
	shim_at_barrier = NULL;
	if (first.fn.queue[0].enable && first.fn.status & 4) {
		ring_push(&first.fn.queue[0].ring, 4711, 64);
		fn_queue_irq(&first.fn, 0);
		return;
	}
	shim_at_barrier = notified;
}

static void broken_at_once(void **state)
{
	first.fn.lying = true;
	shim_at_barrier = notified;
	fn_plug(&first.fn);
	assert_null(shim_at_barrier);
	assert_null(fn_vdev(&first.fn)->dev.driver);
	assert_null(shim_rng_current());
	assert_one_error(ADDRESS, "id 4711 is out of range");
	unplug(&first);
}

/*
 * What it was asked for before a sleep, or had and was not read, nobody gets;
 * what comes after is new. A reader waits meanwhile.
 */
static void sleeps(void **state)
{
	unsigned int kind, unread;

	for (kind = 0; kind < SHIM_SLEEP_KINDS; kind++) {
		for (unread = 0; unread < 2; unread++) {
			renew(&first, 1);
			plug(&first);
			assert_int_equal(shim_rng_read(buf, 64, false), 64);
			if (unread)
				settle();
			else
				first.hold = true;
			assert_int_equal(fn_sleep(&first.fn, kind), 0);
			first.hold = false;
			assert_int_equal(shim_rng_read(buf, 1, true), -EAGAIN);
			assert_int_equal(first.fn.status, 0);
			first.next = 200;
			assert_int_equal(fn_wake(&first.fn, kind), 0);
			settle();
			assert_int_equal(shim_rng_read(buf, 32, true), 32);
			assert_row(200, 32);
			unplug(&first);
		}
	}
	assert_int_equal(shim_log_count('E'), 0);
}

/* Gone when it should wake, or never awake again: readers get an error. */
static void does_not_wake(void **state)
{
	plug(&first);
	assert_int_equal(fn_sleep(&first.fn, SHIM_SLEEP_RAM), 0);
	first.fn.gone = true;
	assert_true(fn_wake(&first.fn, SHIM_SLEEP_RAM) < 0);
	settle();
	assert_int_equal(shim_rng_read(buf, 1, false), -ENODEV);
	unplug(&first);

	renew(&first, 1);
	plug(&first);
	assert_int_equal(fn_sleep(&first.fn, SHIM_SLEEP_RAM), 0);
	unplug(&first);
	assert_null(shim_rng_current());

	/* Shut down: nobody gets anything, and it can go. */
	renew(&first, 1);
	plug(&first);
	settle();
	shim_shutdown(&fn_vdev(&first.fn)->dev);
	assert_int_equal(first.fn.status, 0);
	/* A reader waits, which is no busy loop. */
	assert_int_equal(shim_rng_read(buf, 64, true), -EAGAIN);
	assert_int_equal(first.fn.status, 0);
	unplug(&first);
}

/* Whatever can fail while it is plugged in does, and nothing is left. */
static void failures(void **state)
{
	unsigned int n;
	bool failed;

	for (n = 1; ; n++) {
		renew(&first, 1);
		shim_fail_nth(n, FAIL_ALL);
		fn_plug(&first.fn);
		failed = shim_failed();
		shim_fail_nth(0, 0);
		if (fn_vdev(&first.fn) && fn_vdev(&first.fn)->dev.driver)
			assert_int_equal(shim_rng_read(buf, 100, false), 100);
		else
			assert_null(shim_rng_current());
		unplug(&first);
		assert_int_equal(shim_counts.rngs, 0);
		if (!failed)
			break;
	}
	assert_true(n > 10);
}

/* With no room to map the buffer, a read fails, and the next one does not. */
static void unmapped(void **state)
{
	first.fn.features |= 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	plug(&first);
	settle();
	shim_fail_each(FAIL_MAP);
	assert_int_equal(shim_rng_read(buf, BUFFER, false), BUFFER);
	assert_int_equal(shim_rng_read(buf, BUFFER, false), -ENOMEM);
	assert_int_equal(shim_rng_read(buf, BUFFER, true), -ENOMEM);
	shim_fail_nth(0, 0);
	assert_int_equal(shim_rng_read(buf, BUFFER, false), BUFFER);
	assert_row(buf[0], BUFFER);
	unplug(&first);
}

/* The module goes, with devices in use, and comes back. */
static void reload(void **state)
{
	first.hold = true;
	plug(&first);
	plug(&second);
	shim_reader_start(buf, 4);
	assert_false(shim_reader_run(100));
	shim_exit_virtio_rng();
	assert_true(shim_reader_run(10));
	assert_int_equal(shim_counts.rngs, 0);
	shim_reader_end();
	assert_int_equal(shim_init_virtio_rng(), 0);
	assert_string_equal(shim_rng_available(), "virtio_rng.0 virtio_rng.1 ");
	first.hold = false;
	assert_int_equal(shim_rng_read(buf, 100, false), 100);
	unplug(&first);
	unplug(&second);
}

#define rng_test(f)	cmocka_unit_test_setup_teardown(f, rng_setup, rng_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		rng_test(reads),
		rng_test(interrupts),
		rng_test(several_devices),
		rng_test(lengths),
		rng_test(nothing_twice),
		rng_test(nonblocking),
		rng_test(waits),
		rng_test(removal_while_read),
		rng_test(broken),
		rng_test(broken_at_once),
		rng_test(sleeps),
		rng_test(does_not_wake),
		rng_test(failures),
		rng_test(unmapped),
		rng_test(reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
