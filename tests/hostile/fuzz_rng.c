// SPDX-License-Identifier: GPL-2.0
/*
 * The entropy driver, with a device that answers with any length and id, does
 * not answer, breaks, asks for a reset or is pulled out, while somebody reads.
 * Every read ends, and its bytes are such as the device has written.
 */
#include "feed.h"
#include "entropy.h"
#include <shim/rng.h>

static struct entropy entropy;
static u8 buf[512];

/*
 * Somebody waits. The device has its whims, but is not dead; and if it was
 * pulled out, the PCI bus finds out.
 */
static unsigned int patience;

static void idle(void)
{
	fn_serve_all();
	if (!patience || --patience)
		return;
	if (entropy.fn.gone && fn_vdev(&entropy.fn))
		virtio_break_device(fn_vdev(&entropy.fn));
	if (!entropy.fn.gone && entropy.fn.queue[0].ring.lied)
		entropy.fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	fn_config_irq(&entropy.fn);
}

static void configure(void)
{
	struct fn *fn = &entropy.fn;
	u8 what = feed_u8();
	unsigned int i, num = 1 << feed_u8() % 9;

	feed_function(fn, what);
	fn->num_queues = 1 + feed_u8() % 2;
	for (i = 0; i < FN_MAX_QUEUES; i++) {
		fn->queue[i].max = num;
		fn->queue[i].size = num;
	}
	fn->pci.msix_table = feed_u8() % 4;
	entropy.hold = what & 64;
}

/* Waits, and is interrupted when nothing more comes. */
static ssize_t read_blocking(unsigned int len)
{
	shim_reader_start(buf, len);
	if (!shim_reader_run(HZ + 100)) {
		shim_signal = true;
		shim_reader_run(1);
	}
	return shim_reader_end();
}

static void person_acts(void)
{
	unsigned int len = 1 + feed_u8() % (sizeof(buf) - 1);
	u8 how = feed_u8();
	ssize_t got;

	if (how & 4)
		shim_fail_nth(1 + feed_u8() % 4, FAIL_MAP);
	memset(buf, 0xee, sizeof(buf));
	got = how & 1 ? shim_rng_read(buf, len, true) : read_blocking(len);
	shim_fail_nth(0, 0);
	BUG_ON(!got || got > (ssize_t)len);
	/* Nothing behind that, whatever the device says that it has written. */
	for (got = max_t(ssize_t, got, 0); got < (ssize_t)sizeof(buf); got++)
		BUG_ON(buf[got] != 0xee);
	shim_signal = false;
}

static void device_acts(void)
{
	struct fn *fn = &entropy.fn;
	u8 op = feed_u8();

	if (fn->gone)
		return;
	switch (op % 10) {
	case 0 ... 2:
		fn_serve_all();
		break;
	case 3:
		if (fn->queue[0].enable)
			entropy_release(&entropy);
		break;
	case 4:
		entropy.hold = op & 0x80;
		break;
	case 5:
		entropy.written = op & 0x80 ? feed_u8() : ~0U;
		break;
	case 6:
		entropy.used_len = op & 0x80 ? feed_number() : -1;
		break;
	case 7:		/* something that nobody asked for */
		if (fn->queue[0].enable)
			feed_push(fn, 0, feed_number());
		break;
	case 8:
		fn_queue_irq(fn, 0);
		break;
	case 9:
		feed_break(fn, op);
		break;
	}
}

static void host_acts(void)
{
	switch (feed_u8() % 8) {
	case 0:
		feed_rebind(&entropy.fn);
		break;
	case 1:
		shim_exit_virtio_rng();
		BUG_ON(shim_rng_current());
		BUG_ON(shim_init_virtio_rng());
		break;
	case 2 ... 3:
		shim_run();
		break;
	case 4:
		feed_sleep(&entropy.fn, feed_u8());
		break;
	case 5:
		feed_shutdown(&entropy.fn);
		break;
	default:
		shim_run_for(feed_u8() % 8);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	feed_start(data, size);
	shim_idle = idle;
	BUG_ON(shim_init_virtio() || shim_init_virtio_pci() ||
	       shim_init_virtio_rng());
	entropy_init(&entropy, 1);
	entropy.fn.lying = true;
	configure();
	patience = 400;
	fn_plug(&entropy.fn);
	while (feed_left) {
		u8 who = feed_u8() % 8;

		patience = 400;
		shim_still_alive();
		if (who < 3)
			person_acts();
		else if (who < 6)
			device_acts();
		else
			host_acts();
	}

	if (data && size && data[0] & 1)
		entropy.fn.gone = true;
	patience = 400;
	shim_still_alive();
	fn_unplug(&entropy.fn);
	BUG_ON(shim_rng_current());

	shim_exit_virtio_rng();
	shim_exit_virtio_pci();
	shim_exit_virtio();
	shim_finish();
	return 0;
}
