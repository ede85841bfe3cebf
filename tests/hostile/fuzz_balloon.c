// SPDX-License-Identifier: GPL-2.0
/*
 * The balloon driver, with a device that wants any number of pages, answers
 * when and with what it likes, breaks, asks for a reset or is pulled out, while
 * memory runs out and comes back. Every page comes back in the end.
 */
#include "feed.h"
#include "balloon.h"

#define TOTALRAM	20000

static struct balloon the_balloon, *balloon = &the_balloon;

static void configure(void)
{
	struct fn *fn = &balloon->fn;
	u8 what = feed_u8();
	unsigned int i, num;

	if (what & 1)
		for (i = feed_u8() % 16; i; i--)
			fn->device_config[feed_u8() % 8] = feed_number();
	feed_function(fn, what);
	num = 1 << feed_u8() % 5;
	fn->num_queues = 1 + feed_u8() % 4;
	for (i = 0; i < FN_MAX_QUEUES; i++) {
		fn->queue[i].max = num;
		fn->queue[i].size = num;
	}
	fn->pci.msix_table = feed_u8() % 6;
	balloon->hold = what & 64;
}

static void device_acts(void)
{
	struct fn *fn = &balloon->fn;
	unsigned int q = feed_u8() % fn->num_queues;
	u8 op = feed_u8();

	if (fn->gone)
		return;
	switch (op % 12) {
	case 0 ... 2:
		fn_serve_all();
		break;
	case 3:
		if (fn->queue[balloon->held_queue].enable)
			balloon_release(balloon);
		break;
	case 4:
		balloon->hold = op & 0x80;
		balloon->used_len = op & 0x40 ? feed_number() : 0;
		break;
	case 5 ... 7:
		balloon_want(balloon, feed_u16() % 3000);
		break;
	case 8:
		balloon_want(balloon, feed_number());
		break;
	case 9:
		if (fn->num_queues > VIRTIO_BALLOON_VQ_STATS &&
		    fn->queue[VIRTIO_BALLOON_VQ_STATS].enable)
			balloon_ask_stats(balloon);
		break;
	case 10:	/* something that nobody asked for */
		if (op & 0x80)
			fn_queue_irq(fn, q);
		else if (fn->queue[q].enable)
			feed_push(fn, q, feed_number());
		break;
	case 11:
		feed_break(fn, op);
		break;
	}
}

static void guest_acts(void)
{
	switch (feed_u8() % 11) {
	case 0:
		shim_page_budget = feed_u8() & 1 ? -1 : feed_u16() % 6000;
		break;
	case 1:
		shim_oom();
		break;
	case 2:
		feed_rebind(&balloon->fn);
		break;
	case 3 ... 5:
		shim_run();
		break;
	case 6:
		shim_run_for(feed_u8() % 8);
		break;
	case 7:
		shim_run_for(feed_u8() * 100);
		break;
	case 8:
		shim_pm_notify(1 + feed_u8() % PM_POST_RESTORE);
		break;
	case 9:
		feed_sleep(&balloon->fn, feed_u8());
		break;
	case 10:
		feed_shutdown(&balloon->fn);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	feed_start(data, size);
	shim_idle = fn_serve_all;
	BUG_ON(shim_init_virtio() || shim_init_virtio_pci() ||
	       shim_init_virtio_balloon());
	shim_set_totalram(TOTALRAM);
	balloon_init(balloon, 1);
	balloon->fn.lying = true;
	configure();
	fn_plug(&balloon->fn);
	while (feed_left) {
		shim_still_alive();
		if (feed_u8() % 8 < 5)
			device_acts();
		else
			guest_acts();
	}

	shim_still_alive();
	fn_unplug(&balloon->fn);
	BUG_ON(shim_get_totalram() != TOTALRAM);
	shim_exit_virtio_balloon();
	shim_exit_virtio_pci();
	shim_exit_virtio();
	shim_finish();
	return 0;
}
