// SPDX-License-Identifier: GPL-2.0
/*
 * virtio_balloon on the whole stack: bus, ring and PCI, with a device in
 * software that knows which pages it has been given.
 */
#include "unit.h"
#include "balloon.h"

#define F(bit)		(1ULL << (bit))
#define BATCH		256
#define SPARE		2048		/* must be free for the balloon to grow */
#define TOTALRAM	65536

static struct balloon *balloon;

static int balloon_setup(void **state)
{
	stack_setup(state);
	shim_set_totalram(TOTALRAM);
	balloon = balloon_new(1);
	return 0;
}

static int balloon_teardown(void **state)
{
	int ret;

	/* Whatever a test has made of it: the device goes along. */
	balloon->hold = false;
	ret = stack_teardown(state);
	free(balloon->fn.pci.dev.name);
	balloon_free(balloon);
	return ret;
}

static void plug(void)
{
	assert_int_equal(fn_plug(&balloon->fn), 0);
	settle();
	assert_non_null(fn_vdev(&balloon->fn));
}

/* Everything that can be done now is done. */
static void work(void)
{
	unsigned int i;

	for (i = 0; i < 30; i++)
		settle();
}

static void wait_s(unsigned int s)
{
	while (s--) {
		shim_run_for(1000);
		fn_serve_all();
	}
	work();
}

static void want(u32 pages)
{
	balloon_want(balloon, pages);
	work();
}

/* So many pages are the host's, and everybody knows. */
static void assert_size(unsigned int pages)
{
	assert_int_equal(balloon->num_owned, pages);
	assert_int_equal(balloon_actual(balloon), pages);
	assert_int_equal(shim_get_totalram(), TOTALRAM - pages);
}

/* Nothing but queues, and what else is there without a balloon. */
static long pages_at_rest;

static void start(void)
{
	plug();
	pages_at_rest = shim_counts.pages;
}

/* Pages go and come */

static void grows_and_shrinks(void **state)
{
	start();
	assert_size(0);
	want(1000);
	assert_size(1000);
	assert_int_equal(shim_counts.pages, pages_at_rest + 1000);
	assert_int_equal(balloon->arrays[0], 4);
	assert_int_equal(balloon->largest, BATCH);

	want(300);
	assert_size(300);
	assert_int_equal(shim_counts.pages, pages_at_rest + 300);
	want(301);
	assert_size(301);
	want(0);
	assert_size(0);
	assert_int_equal(shim_counts.pages, pages_at_rest);
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

/* What the host wanted before there was a driver. */
static void wants_at_once(void **state)
{
	balloon->fn.device_config[1] = 2;
	/* And what an earlier driver had said. */
	balloon->fn.device_config[5] = 1;
	plug();
	work();
	assert_size(512);
}

static void remove_tells_the_host(void **state)
{
	start();
	want(1000);
	fn_unplug(&balloon->fn);
	assert_int_equal(balloon->left, 0);
	assert_int_equal(balloon->arrays[1], 4);
	assert_int_equal(balloon_actual(balloon), 0);
	assert_int_equal(shim_get_totalram(), TOTALRAM);
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

static void rebind(void **state)
{
	unsigned int i;

	start();
	want(600);
	for (i = 0; i < 3; i++) {
		struct device *dev = &fn_vdev(&balloon->fn)->dev;

		shim_unbind(dev);
		assert_int_equal(balloon->left, 0);
		assert_size(0);
		assert_int_equal(shim_bind(dev), 0);
		work();
		assert_size(600);
	}
}

/* A page is the guest's again when the device has said so, not before. */
static void waits_for_the_host(void **state)
{
	start();
	want(256);
	balloon->hold = true;
	want(0);
	assert_true(balloon->holds);
	assert_int_equal(balloon->held_queue, VIRTIO_BALLOON_VQ_DEFLATE);
	assert_int_equal(shim_counts.pages, pages_at_rest + 256);
	assert_int_equal(shim_get_totalram(), TOTALRAM - 256);
	assert_int_equal(balloon_actual(balloon), 256);
	balloon_release(balloon);
	work();
	assert_size(0);
	assert_int_equal(shim_counts.pages, pages_at_rest);
}

/* The host says something else each time, and takes its time. */
static void changes_of_mind(void **state)
{
	unsigned int i;

	start();
	for (i = 0; i < 300; i++) {
		balloon->hold = i % 3;
		balloon_want(balloon, i * 7919 % 2000);
		if (i % 2)
			settle();
		if (i % 5 == 0)
			balloon_release(balloon);
	}
	balloon->hold = false;
	balloon_release(balloon);
	want(777);
	assert_size(777);
	assert_int_equal(shim_counts.pages, pages_at_rest + 777);
}

/* Any length in the used ring: nothing is written to these queues. */
static void used_lengths(void **state)
{
	start();
	balloon->used_len = 0xfffffff0;
	want(500);
	assert_size(500);
	balloon_ask_stats(balloon);
	work();
	assert_true(balloon->stats);
	want(0);
	assert_size(0);
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

static void with_msix(void **state)
{
	balloon->fn.pci.msix_table = 5;
	start();
	assert_int_equal(balloon->fn.pci.msix_on, 4);
	want(500);
	assert_size(500);
	want(0);
	assert_size(0);
}

static void features(void **state)
{
	balloon->fn.features |= 0x3f | F(VIRTIO_F_ACCESS_PLATFORM);
	plug();
	assert_int_equal(balloon->fn.accepted,
			 F(VIRTIO_BALLOON_F_MUST_TELL_HOST) |
			 F(VIRTIO_BALLOON_F_STATS_VQ) |
			 F(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |
			 F(VIRTIO_RING_F_INDIRECT_DESC) |
			 F(VIRTIO_RING_F_EVENT_IDX) | F(VIRTIO_F_VERSION_1));
	want(300);
	assert_size(300);
}

/* Pages have numbers, and no addresses that an IOMMU could have made. */
static void not_behind_an_iommu(void **state)
{
	balloon->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
	balloon->fn.refuse = F(VIRTIO_F_ACCESS_PLATFORM);
	start();
	want(300);
	assert_size(300);
}

static void without_stats(void **state)
{
	balloon->fn.features &= ~F(VIRTIO_BALLOON_F_STATS_VQ);
	balloon->fn.num_queues = 2;
	start();
	want(300);
	assert_size(300);
	want(0);
	assert_size(0);
}

/* A queue of one descriptor is enough. */
static void short_queues(void **state)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		balloon->fn.queue[i].max = 1;
		balloon->fn.queue[i].size = 1;
	}
	start();
	want(1000);
	assert_size(1000);
	balloon_ask_stats(balloon);
	work();
	assert_true(balloon->stats);
	want(0);
	assert_size(0);
}

/* Memory is short */

static void no_memory(void **state)
{
	unsigned long made;
	const char *line;

	start();
	shim_page_budget = SPARE + 500;
	want(1000);
	/* All but the spare, and that is free again. */
	assert_size(500);
	assert_int_equal(shim_page_budget, SPARE);
	line = shim_log_find("no memory is free for more");
	assert_non_null(line);
	assert_non_null(strstr(line, "0000:01:00.0: "));

	/* From time to time it tries again, without a word, and not often. */
	made = shim_pages_made;
	wait_s(600);
	assert_size(500);
	assert_int_equal(shim_page_budget, SPARE);
	assert_in_range(shim_pages_made - made, 6 * SPARE, 20 * SPARE);
	assert_int_equal(shim_log_count('W'), 1);

	/* Then there is some. */
	shim_page_budget += 2000;
	wait_s(61);
	assert_size(1000);
	assert_int_equal(shim_page_budget, SPARE + 2000 - 500);
	assert_int_equal(shim_log_count('W'), 1);

	/* The next time is worth a line again. */
	want(4000);
	assert_size(2500);
	assert_int_equal(shim_log_count('W'), 2);
	want(0);
	assert_size(0);
}

static void no_memory_at_all(void **state)
{
	start();
	shim_page_budget = SPARE - 1;
	want(1);
	assert_size(0);
	assert_int_equal(shim_page_budget, SPARE - 1);
	assert_int_equal(shim_log_count('W'), 1);
	/* Shrinking needs none, and neither does going away. */
	shim_page_budget = SPARE + 300;
	wait_s(10);
	assert_size(1);
	shim_page_budget = 0;
	want(0);
	assert_size(0);
}

/* While it waits for memory it listens: the host wants less. */
static void shrinks_in_a_pause(void **state)
{
	start();
	shim_page_budget = SPARE + 500;
	want(1000);
	want(100);
	assert_size(100);
	/* What came back may be had again at once. */
	want(450);
	assert_size(450);
}

static void wants_too_much(void **state)
{
	const unsigned int total = 10000;
	const unsigned int keep = 8192 + total / 128;
	const char *line;

	start();
	shim_set_totalram(total);
	want(0xffffffff);
	assert_int_equal(balloon->num_owned, total - keep);
	assert_int_equal(shim_get_totalram(), keep);
	line = shim_log_find("stay with the guest");
	assert_non_null(line);
	assert_non_null(strstr(line, "0000:01:00.0: the host wants 16777215 MiB of 39 MiB: 32 MiB"));
	wait_s(100);
	assert_int_equal(shim_log_count('W'), 1);
	want(100);
	assert_int_equal(balloon->num_owned, 100);
	shim_set_totalram(TOTALRAM - 100);
}

static void guest_is_too_small(void **state)
{
	start();
	shim_set_totalram(4000);
	want(10);
	assert_int_equal(balloon->num_owned, 0);
	shim_set_totalram(TOTALRAM);
}

/* The guest gets smaller by other means: what the host has it keeps. */
static void guest_gets_smaller(void **state)
{
	start();
	want(1000);
	shim_set_totalram(5000);
	want(1100);
	assert_int_equal(balloon->num_owned, 1000);
	assert_int_equal(shim_log_count('W'), 1);
	want(900);
	assert_int_equal(balloon->num_owned, 900);
	shim_set_totalram(TOTALRAM - 900);
}

/* The device knows numbers of 32 bits. */
static void pages_out_of_reach(void **state)
{
	start();
	shim_next_pfn = 0xffffffffUL - SPARE + 1;
	want(10);
	assert_size(0);
	assert_int_equal(shim_counts.pages, pages_at_rest);
	assert_int_equal(shim_log_count('W'), 1);
	shim_next_pfn = 100;
	wait_s(10);
	assert_size(10);
}

/* The device does not answer, or not in time */

static void late_answer(void **state)
{
	start();
	balloon->hold = true;
	want(600);
	assert_true(balloon->holds);
	wait_s(9);
	assert_int_equal(shim_log_count('W'), 0);
	/* The spare is held, and 256 pages are under way. */
	assert_int_equal(shim_counts.pages, pages_at_rest + SPARE + BATCH);
	wait_s(3);
	assert_int_equal(shim_log_count('W'), 1);
	assert_non_null(shim_log_find("0000:01:00.0: queue 0 (inflate): no answer in 10 s"));
	/* Who does not answer does not cost the guest more than that. */
	assert_int_equal(shim_counts.pages, pages_at_rest + BATCH);
	wait_s(100);
	want(0);
	assert_int_equal(shim_log_count('W'), 1);

	balloon->hold = false;
	balloon_release(balloon);
	work();
	assert_size(0);
	want(600);
	assert_size(600);
}

static void no_answer_at_removal(void **state)
{
	unsigned long begin;

	start();
	want(600);
	balloon->hold = true;
	begin = jiffies;
	fn_unplug(&balloon->fn);
	/* Five seconds of that may be the reset's. */
	assert_in_range(jiffies - begin, 9000, 16000);
	assert_non_null(shim_log_find("no answer: 600 pages of the balloon are used again"));
	assert_int_equal(shim_get_totalram(), TOTALRAM);
}

/* It is known already: nobody waits for it again. */
static void late_at_removal(void **state)
{
	unsigned long begin;

	start();
	want(600);
	balloon->hold = true;
	want(0);
	wait_s(12);
	begin = jiffies;
	fn_unplug(&balloon->fn);
	assert_in_range(jiffies - begin, 0, 100);
	assert_int_equal(shim_get_totalram(), TOTALRAM);
}

/* Slow, but steady: it gets the time that it needs. */
static void slow_at_removal_idle(void)
{
	static unsigned long last;

	if (time_before(jiffies, last + 5000) && last < jiffies)
		return;
	last = jiffies;
	balloon->hold = true;
	fn_serve_all();
	balloon_release(balloon);
}

static void slow_at_removal(void **state)
{
	unsigned long begin;

	start();
	want(1000);
	shim_idle = slow_at_removal_idle;
	begin = jiffies;
	fn_unplug(&balloon->fn);
	shim_idle = fn_serve_all;
	assert_true(jiffies - begin > 14000);
	assert_int_equal(balloon->left, 0);
	assert_int_equal(shim_log_count('W'), 0);
}

/* The device lies, breaks, or is gone */

static void assert_all_back(void)
{
	assert_int_equal(shim_counts.pages, pages_at_rest);
	assert_int_equal(shim_get_totalram(), TOTALRAM);
}

static void lies(void **state)
{
	start();
	want(700);
	balloon->fn.lying = true;
	balloon->hold = true;
	want(100);
	ring_push(&balloon->fn.queue[VIRTIO_BALLOON_VQ_DEFLATE].ring, 200, 0);
	fn_queue_irq(&balloon->fn, VIRTIO_BALLOON_VQ_DEFLATE);
	settle();
	assert_one_error("0000:01:00.0", "not in flight");
	assert_all_back();
	want(5000);
	assert_all_back();
}

static void lies_about_stats(void **state)
{
	start();
	want(700);
	balloon->fn.lying = true;
	ring_push(&balloon->fn.queue[VIRTIO_BALLOON_VQ_STATS].ring, 70000, 0);
	fn_queue_irq(&balloon->fn, VIRTIO_BALLOON_VQ_STATS);
	settle();
	assert_one_error("0000:01:00.0", "out of range");
	assert_all_back();
}

/* Interrupts for nothing, on any queue. */
static void interrupts_for_nothing(void **state)
{
	unsigned int i;

	start();
	want(300);
	for (i = 0; i < 100; i++) {
		fn_queue_irq(&balloon->fn, i % 3);
		if (i % 4 == 0)
			fn_config_irq(&balloon->fn);
		shim_run();
	}
	work();
	assert_size(300);
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

static void asks_for_a_reset(void **state)
{
	start();
	want(700);
	balloon->hold = true;
	want(1000);
	balloon->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	fn_config_irq(&balloon->fn);
	settle();
	assert_one_error("0000:01:00.0", "asks for a reset");
	assert_all_back();
	balloon_ask_stats(balloon);
	want(100);
	assert_all_back();
}

static void surprise_removal(void **state)
{
	unsigned long begin;

	start();
	want(700);
	balloon->hold = true;
	want(1000);
	balloon->fn.gone = true;
	begin = jiffies;
	fn_unplug(&balloon->fn);
	assert_in_range(jiffies - begin, 0, 100);
	assert_int_equal(shim_get_totalram(), TOTALRAM);
}

/* In the middle of a removal that the device was asked for. */
static void breaks_at_removal_idle(void)
{
	static int n;

	if (++n == 20)
		virtio_break_device(fn_vdev(&balloon->fn));
}

static void breaks_at_removal(void **state)
{
	unsigned long begin;

	start();
	want(700);
	balloon->hold = true;
	shim_idle = breaks_at_removal_idle;
	begin = jiffies;
	fn_unplug(&balloon->fn);
	shim_idle = fn_serve_all;
	assert_in_range(jiffies - begin, 100, 1000);
	assert_int_equal(shim_get_totalram(), TOTALRAM);
}

static void never_resets(void **state)
{
	start();
	want(700);
	balloon->fn.reset_polls = -1;
	fn_unplug(&balloon->fn);
	assert_one_error("0000:01:00.0", "device_status still");
	assert_int_equal(shim_get_totalram(), TOTALRAM);
}

/* A kernel that restarts leaves a device that does nothing any more. */
static void shutdown_stops_it(void **state)
{
	start();
	want(700);
	shim_shutdown(&fn_vdev(&balloon->fn)->dev);
	assert_int_equal(balloon->fn.status, 0);
	balloon_want(balloon, 100);
	work();
	fn_unplug(&balloon->fn);
	assert_int_equal(shim_get_totalram(), TOTALRAM);
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

/*
 * All pages are given back before the machine falls asleep, and what the host
 * wants by then is taken after it.
 */
static void sleeps(void **state)
{
	unsigned int kind;

	start();
	for (kind = 0; kind < SHIM_SLEEP_KINDS; kind++) {
		want(700);
		assert_size(700);
		shim_pm_notify(kind ? PM_HIBERNATION_PREPARE :
			       PM_SUSPEND_PREPARE);
		assert_size(0);
		want(800);
		assert_size(0);
		assert_int_equal(fn_sleep(&balloon->fn, kind), 0);
		assert_int_equal(fn_wake(&balloon->fn, kind), 0);
		work();
		assert_size(0);
		shim_pm_notify(kind ? PM_POST_HIBERNATION : PM_POST_SUSPEND);
		work();
		assert_size(800);
	}

	/* The machine stays awake after all. */
	shim_pm_notify(PM_SUSPEND_PREPARE);
	assert_size(0);
	shim_pm_notify(PM_POST_SUSPEND);
	work();
	assert_size(800);
	fn_unplug(&balloon->fn);
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

/* With pages that the host does not give back in time, or all of a sudden. */
static void sleeps_with_pages(void **state)
{
	unsigned int notified;
	unsigned long begin;

	for (notified = 0; notified < 2; notified++) {
		start();
		want(700);
		balloon->hold = true;
		begin = jiffies;
		if (notified)
			shim_pm_notify(PM_SUSPEND_PREPARE);
		assert_int_equal(fn_sleep(&balloon->fn, SHIM_SLEEP_RAM), 0);
		assert_true(jiffies - begin < 12 * HZ);
		assert_int_equal(shim_get_totalram(), TOTALRAM);
		balloon->hold = false;
		assert_int_equal(fn_wake(&balloon->fn, SHIM_SLEEP_RAM), 0);
		shim_pm_notify(PM_POST_SUSPEND);
		wait_s(3);
		assert_size(700);
		fn_unplug(&balloon->fn);
		free(balloon->fn.pci.dev.name);
		balloon_free(balloon);
		balloon = balloon_new(1);
	}
}

static void does_not_wake(void **state)
{
	start();
	want(700);
	shim_pm_notify(PM_SUSPEND_PREPARE);
	assert_int_equal(fn_sleep(&balloon->fn, SHIM_SLEEP_RAM), 0);
	balloon->fn.gone = true;
	assert_true(fn_wake(&balloon->fn, SHIM_SLEEP_RAM) < 0);
	shim_pm_notify(PM_POST_SUSPEND);
	work();
	assert_int_equal(shim_get_totalram(), TOTALRAM);
	fn_unplug(&balloon->fn);
}

static void gone_asleep(void **state)
{
	start();
	want(700);
	assert_int_equal(fn_sleep(&balloon->fn, SHIM_SLEEP_RAM), 0);
	fn_unplug(&balloon->fn);
	assert_int_equal(shim_get_totalram(), TOTALRAM);
}

/* Statistics */

static void statistics(void **state)
{
	shim_events[PSWPIN] = 5;
	shim_events[PSWPOUT] = 6;
	shim_events[PGFAULT] = 1000;
	shim_events[PGMAJFAULT] = 10;
	shim_sysinfo.freeram = 1234;
	vm_stat[NR_FILE_PAGES].counter = 99;
	start();
	assert_true(balloon->stats);
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_SWAP_IN), 5 * 4096);
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_SWAP_OUT), 6 * 4096);
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_MAJFLT), 10);
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_MINFLT), 990);
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_MEMFREE), 1234 * 4096);
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_MEMTOT), TOTALRAM * 4096ULL);
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_CACHES), 99 * 4096);
#ifdef COMPAT_HAVE_SI_MEM_AVAILABLE
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_AVAIL), 1241 * 4096);
#else
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_AVAIL), ~0ULL);
#endif

	/* They stay what they are until there is a question. */
	shim_events[PSWPIN] = 1ULL << 40;
	work();
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_SWAP_IN), 5 * 4096);
	balloon_ask_stats(balloon);
	work();
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_SWAP_IN), 1ULL << 52);
	want(1000);
	balloon_ask_stats(balloon);
	work();
	assert_int_equal(balloon_stat(balloon, VIRTIO_BALLOON_S_MEMTOT),
			 (TOTALRAM - 1000) * 4096ULL);
}

/* A tag whose source is not there is left out. */
#ifndef COMPAT_HAVE_SI_MEM_AVAILABLE
static void statistics_unknown(void **state)
{
	static const struct {
		const char *symbol;
		u16 tag, other;
	} cases[] = {
		{ "all_vm_events", VIRTIO_BALLOON_S_MINFLT, VIRTIO_BALLOON_S_MEMTOT },
		{ "si_meminfo", VIRTIO_BALLOON_S_MEMTOT, VIRTIO_BALLOON_S_CACHES },
		{ "vm_stat", VIRTIO_BALLOON_S_CACHES, VIRTIO_BALLOON_S_MINFLT },
	};
	unsigned int i;

	start();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		shim_no_symbol = cases[i].symbol;
		balloon_ask_stats(balloon);
		work();
		assert_int_equal(balloon_stat(balloon, cases[i].tag), ~0ULL);
		assert_int_not_equal(balloon_stat(balloon, cases[i].other), ~0ULL);
	}
	shim_no_symbol = NULL;
}
#endif

/* The kernel runs out of memory */

static void start_oom(void)
{
	balloon->fn.features |= F(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	start();
	assert_true(shim_oom_registered());
}

static void oom(void **state)
{
	start_oom();
	assert_int_equal(shim_oom(), 0);
	want(1000);
	assert_int_equal(shim_oom(), BATCH);
	assert_int_equal(shim_oom(), BATCH);
	assert_size(1000 - 2 * BATCH);
	/* It does not come back for it before somebody asks. */
	wait_s(300);
	assert_size(1000 - 2 * BATCH);
	want(1001);
	assert_size(1001);
	want(100);
	assert_int_equal(shim_oom(), 100);
	assert_int_equal(shim_oom(), 0);
	assert_size(0);
	fn_unplug(&balloon->fn);
	assert_false(shim_oom_registered());
}

/* Nobody is kept waiting by a device that does not answer. */
static void oom_no_answer(void **state)
{
	unsigned long begin;

	start_oom();
	want(600);
	balloon->hold = true;
	begin = jiffies;
	assert_int_equal(shim_oom(), 0);
	assert_in_range(jiffies - begin, 900, 1500);
	balloon->hold = false;
	balloon_release(balloon);
	work();
	assert_size(600 - BATCH);
	assert_int_equal(shim_oom(), BATCH);
}

/* While it grows: what is under way goes on, and then some come back. */
static void oom_while_growing(void **state)
{
	start_oom();
	balloon->hold = true;
	want(600);
	balloon->hold = false;
	balloon_release(balloon);
	assert_int_equal(shim_oom(), BATCH);
	work();
	assert_size(0);
	want(600);
	assert_size(600);
}

static void oom_when_broken(void **state)
{
	unsigned long begin;

	start_oom();
	want(600);
	virtio_break_device(fn_vdev(&balloon->fn));
	settle();
	assert_all_back();
	begin = jiffies;
	assert_int_equal(shim_oom(), 0);
	assert_in_range(jiffies - begin, 0, 50);
}

#ifndef COMPAT_HAVE_OOM_CONTROL
static void oom_not_heard_of(void **state)
{
	balloon->fn.features |= F(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	shim_no_symbol = "register_oom_notifier";
	start();
	shim_no_symbol = NULL;
	assert_false(shim_oom_registered());
	assert_int_equal(shim_log_count('W'), 1);
	want(600);
	assert_size(600);
}
#endif

static void no_oom_feature(void **state)
{
	start();
	assert_false(shim_oom_registered());
}

/* Whatever fails while it starts */
static void failures(void **state)
{
	unsigned int n;
	bool failed;

	balloon->fn.features |= F(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	for (n = 1, failed = true; failed; n++) {
		shim_fail_nth(n, FAIL_ALL & ~FAIL_DEVICE);
		fn_plug(&balloon->fn);
		failed = shim_failed();
		shim_fail_nth(0, 0);
		settle();
		if (!failed)
			assert_non_null(fn_vdev(&balloon->fn)->dev.driver);
		fn_unplug(&balloon->fn);
		assert_int_equal(shim_counts.pages, 0);
		assert_false(shim_oom_registered());
		free(balloon->fn.pci.dev.name);
		balloon_init(balloon, 1);
		balloon->fn.features |= F(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	}
	assert_true(n > 10);
}

static void no_workqueue(void **state)
{
	unsigned int n;

	for (n = 1; n < 6; n++) {
		balloon->fn.features |= F(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
		shim_fail_nth(n, FAIL_DEVICE);
		fn_plug(&balloon->fn);
		shim_fail_nth(0, 0);
		settle();
		fn_unplug(&balloon->fn);
		free(balloon->fn.pci.dev.name);
		balloon_init(balloon, 1);
	}
}

/* A queue that the device does not have. */
static void missing_queue(void **state)
{
	balloon->fn.queue[VIRTIO_BALLOON_VQ_DEFLATE].max = 0;
	balloon->fn.queue[VIRTIO_BALLOON_VQ_DEFLATE].size = 0;
	assert_int_equal(fn_plug(&balloon->fn), 0);
	settle();
	assert_null(fn_vdev(&balloon->fn)->dev.driver);
	assert_true(shim_log_count('E') >= 1);
}

#define balloon_test(f)							\
	cmocka_unit_test_setup_teardown(f, balloon_setup, balloon_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		balloon_test(grows_and_shrinks),
		balloon_test(wants_at_once),
		balloon_test(remove_tells_the_host),
		balloon_test(rebind),
		balloon_test(waits_for_the_host),
		balloon_test(changes_of_mind),
		balloon_test(used_lengths),
		balloon_test(with_msix),
		balloon_test(features),
		balloon_test(not_behind_an_iommu),
		balloon_test(without_stats),
		balloon_test(short_queues),
		balloon_test(no_memory),
		balloon_test(no_memory_at_all),
		balloon_test(shrinks_in_a_pause),
		balloon_test(wants_too_much),
		balloon_test(guest_is_too_small),
		balloon_test(guest_gets_smaller),
		balloon_test(pages_out_of_reach),
		balloon_test(late_answer),
		balloon_test(no_answer_at_removal),
		balloon_test(late_at_removal),
		balloon_test(slow_at_removal),
		balloon_test(lies),
		balloon_test(lies_about_stats),
		balloon_test(interrupts_for_nothing),
		balloon_test(asks_for_a_reset),
		balloon_test(surprise_removal),
		balloon_test(breaks_at_removal),
		balloon_test(never_resets),
		balloon_test(shutdown_stops_it),
		balloon_test(sleeps),
		balloon_test(sleeps_with_pages),
		balloon_test(does_not_wake),
		balloon_test(gone_asleep),
		balloon_test(statistics),
#ifndef COMPAT_HAVE_SI_MEM_AVAILABLE
		balloon_test(statistics_unknown),
#endif
		balloon_test(oom),
		balloon_test(oom_no_answer),
		balloon_test(oom_while_growing),
		balloon_test(oom_when_broken),
#ifndef COMPAT_HAVE_OOM_CONTROL
		balloon_test(oom_not_heard_of),
#endif
		balloon_test(no_oom_feature),
		balloon_test(failures),
		balloon_test(no_workqueue),
		balloon_test(missing_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
