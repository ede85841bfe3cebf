// SPDX-License-Identifier: GPL-2.0
/*
 * virtio over PCI: virtio_pci_common.c and virtio_pci_modern.c against a PCI
 * function in software. The driver on top is one that only takes queues.
 */
#include <linux/virtio_config.h>
#include "take.h"

static struct fn fn;

static int pci_setup(void **state)
{
	stack_setup(state);
	take_start(3);
	fn_init(&fn, VIRTIO_PCI_MODERN_ID_MIN + TAKE_ID, 5);
	fn.num_queues = 4;
	return 0;
}

static int pci_teardown(void **state)
{
	unregister_virtio_driver(&take_driver);
	return stack_teardown(state);
}

/* A device like the last one, without capabilities. */
static void bare(void)
{
	free(fn.pci.dev.name);
	fn_bare(&fn, VIRTIO_PCI_MODERN_ID_MIN + TAKE_ID, 5);
	fn.num_queues = 4;
}

static u32 cap(u8 type, u8 bar, u32 offset, u32 length)
{
	return fn_add_cap(&fn, PCI_CAP_ID_VNDR, type,
			  type == VIRTIO_PCI_CAP_NOTIFY_CFG ||
			  type == VIRTIO_PCI_CAP_PCI_CFG ? 20 : 16,
			  bar, offset, length);
}

static bool works(void)
{
	return fn_vdev(&fn) && fn_vdev(&fn)->dev.driver &&
	       fn.status == 0x0f && fn.queue[0].enable;
}

/* A buffer goes there and back, with an interrupt, on each queue. */
static void use(void)
{
	static u8 buf[64] __attribute__((aligned(64)));
	struct scatterlist sg;
	struct chain chain;
	unsigned int i, kicks, before;

	for (i = 0; i < wanted_queues; i++) {
		if (!vqs[i])
			continue;
		sg_init_one(&sg, buf, sizeof(buf));
		assert_int_equal(virtqueue_add_inbuf(vqs[i], &sg, 1, buf), 0);
		kicks = fn.queue[vqs[i]->index].kicks;
		assert_true(virtqueue_kick(vqs[i]));
		assert_int_equal(fn.queue[vqs[i]->index].kicks, kicks + 1);
		assert_true(ring_pop(&fn.queue[vqs[i]->index].ring, &chain));
		ring_want_kick(&fn.queue[vqs[i]->index].ring, true);
		ring_push(&fn.queue[vqs[i]->index].ring, chain.head, 64);
		before = callbacks;
		fn_queue_irq(&fn, vqs[i]->index);
		assert_int_equal(callbacks, before + 1);
	}
}

static void standard(void **state)
{
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_true(fn.config[PCI_COMMAND] & PCI_COMMAND_MASTER);
	assert_int_equal(fn_vdev(&fn)->id.device, TAKE_ID);
	assert_int_equal(fn_vdev(&fn)->id.vendor, VIRTIO_PCI_VENDOR);
	assert_int_equal(fn.pci.regions, 1 << FN_BAR);
	use();
	fn_unplug(&fn);
	assert_int_equal(shim_log_count('E'), 0);
	assert_int_equal(shim_log_count('I'), 0);
}

/* The capabilities in whatever order, the useless ones before the good. */
static void capability_orders(void **state)
{
	static const u8 types[4] = { 1, 2, 3, 4 };
	static const u32 offsets[4] = {
		FN_COMMON, FN_NOTIFY, FN_ISR, FN_DEVICE
	};
	unsigned int order, i, n;

	for (order = 0; order < 24; order++) {
		unsigned int left = 0xf, rest = order;

		bare();
		fn_add_cap(&fn, 0x01, 0, 8, 0, 0, 0);
		for (n = 4; n; n--) {
			unsigned int pick = rest % n;

			rest /= n;
			for (i = 0; !(left & 1 << i) || pick--; i++)
				;
			left &= ~(1 << i);
			cap(types[i], FN_BAR, offsets[i], 0x100);
		}
		assert_int_equal(fn_plug(&fn), 0);
		assert_true(works());
		use();
		fn_unplug(&fn);
	}
	assert_int_equal(shim_log_count('E'), 0);

	/* Of several of a type, the first that can be used. */
	bare();
	cap(VIRTIO_PCI_CAP_COMMON_CFG, 7, 0, 0x100);
	cap(VIRTIO_PCI_CAP_COMMON_CFG, FN_BAR, FN_COMMON, 0x38);
	cap(VIRTIO_PCI_CAP_COMMON_CFG, FN_BAR, FN_NOTIFY, 0x38);
	cap(VIRTIO_PCI_CAP_NOTIFY_CFG, FN_BAR, FN_NOTIFY, 0x100);
	cap(VIRTIO_PCI_CAP_ISR_CFG, FN_BAR, FN_ISR, 1);
	cap(8, FN_BAR, 0, 0x100);
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	use();
	fn_unplug(&fn);
	assert_one_error("0000:05:00.0", "bar 7 does not exist");

	/* An I/O port BAR is passed over without a word. */
	shim_log_clear();
	bare();
	fn.pci.bar[0].start = 0xc000;
	fn.pci.bar[0].len = 0x1000;
	fn.pci.bar[0].flags = IORESOURCE_IO;
	cap(VIRTIO_PCI_CAP_NOTIFY_CFG, 0, 0, 0x100);
	fn.last_cap = cap(VIRTIO_PCI_CAP_COMMON_CFG, FN_BAR, FN_COMMON, 0x38);
	cap(VIRTIO_PCI_CAP_NOTIFY_CFG, FN_BAR, FN_NOTIFY, 0x100);
	cap(VIRTIO_PCI_CAP_ISR_CFG, FN_BAR, FN_ISR, 1);
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_int_equal(shim_log_count('E'), 0);
	fn_unplug(&fn);
}

/* Everything that one capability can be wrong in. */
static void bad_capabilities(void **state)
{
	static const struct {
		u8 bar;
		u32 offset, length;
		const char *say;
	} bad[] = {
		{ 6, 0, 0x100, "bar 6 does not exist" },
		{ 255, 0, 0x100, "bar 255 does not exist" },
		{ FN_BAR, 0, 0x37, "length 55 is below the minimum of 56" },
		{ FN_BAR, 0, 0, "length 0 is below" },
		{ FN_BAR, 2, 0x100, "offset 0x2 is not aligned" },
		{ FN_BAR, FN_BAR_LEN - 0x20, 0x38, "is beyond" },
		{ FN_BAR, 0, 0xffffffff, "is beyond" },
		{ FN_BAR, 0xfffffffc, 0x100, "is beyond" },
		{ FN_BAR, 0xffffff00, 0xffffff00, "is beyond" },
		/* No such BAR, and no window either. */
		{ 2, 0, 0x100, "bar 2 cannot be mapped" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		bare();
		cap(VIRTIO_PCI_CAP_COMMON_CFG, bad[i].bar, bad[i].offset,
		    bad[i].length);
		cap(VIRTIO_PCI_CAP_NOTIFY_CFG, FN_BAR, FN_NOTIFY, 0x100);
		cap(VIRTIO_PCI_CAP_ISR_CFG, FN_BAR, FN_ISR, 1);
		shim_log_clear();
		assert_int_not_equal(fn_plug(&fn), 0);
		assert_non_null(shim_log_find(bad[i].say));
		assert_non_null(strstr(shim_log_find(bad[i].say),
				       "0000:05:00.0"));
		fn_unplug(&fn);
	}
}

/* Lists that are linked in ways that lead nowhere. */
static void bad_lists(void **state)
{
	u8 next[] = { 0x40, 0x54, 0x01, 0x3c, 0x04, 0xff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(next); i++) {
		bare();
		cap(VIRTIO_PCI_CAP_COMMON_CFG, FN_BAR, FN_COMMON, 0x38);
		cap(VIRTIO_PCI_CAP_NOTIFY_CFG, FN_BAR, FN_NOTIFY, 0x100);
		fn.config[fn.last_cap + 1] = next[i];
		shim_log_clear();
		assert_int_not_equal(fn_plug(&fn), 0);
		if (next[i] != 0xff)
			assert_non_null(shim_log_find("capability list"));
		assert_non_null(shim_log_find("no ISR capability"));
		fn_unplug(&fn);
	}

	/* All that is needed is there, and then it goes in circles. */
	bare();
	fn_add_standard_caps(&fn);
	fn.config[fn.last_cap + 1] = 0x40;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	fn_unplug(&fn);

	/* The last one does not fit into the config space, or is too short. */
	for (i = 0; i < 2; i++) {
		bare();
		fn_add_standard_caps(&fn);
		fn.config[fn.last_cap + 1] = 0xf4;
		fn.config[0xf4] = PCI_CAP_ID_VNDR;
		fn.config[0xf6] = i ? 15 : 20;
		fn.config[0xf7] = VIRTIO_PCI_CAP_COMMON_CFG;
		shim_log_clear();
		assert_int_equal(fn_plug(&fn), 0);
		assert_true(works());
		assert_one_error("0000:05:00.0", i ? "cap_len 15 is too short" :
				 "cap_len 20 is beyond the config space");
		fn_unplug(&fn);
	}

	/* None at all. */
	bare();
	shim_log_clear();
	assert_int_equal(fn_plug(&fn), -ENODEV);
	assert_one_error("0000:05:00.0", "common config");
	fn_unplug(&fn);
}

/* Offsets and addresses beyond 32 bits. */
static void large_addresses(void **state)
{
	/* 32768 * 131072 is 0 in 32 bits. */
	bare();
	fn.multiplier = 131072;
	fn.queue[0].notify_off = 0;
	fn.queue[1].notify_off = 32768;
	fn_add_standard_caps(&fn);
	assert_int_equal(fn_plug(&fn), 0);
	assert_false(works());
	assert_int_equal(probe_error, -EINVAL);
	assert_one_error("0000:05:00.0",
			 "queue 1: queue_notify_off 32768 * notify_off_multiplier 131072");
	fn_unplug(&fn);
}

static void notify_multipliers(void **state)
{
	static const u32 multipliers[] = { 0, 2, 4, 64 };
	unsigned int i, q;

	for (i = 0; i < ARRAY_SIZE(multipliers); i++) {
		bare();
		fn.multiplier = multipliers[i];
		for (q = 0; q < FN_MAX_QUEUES; q++)
			fn.queue[q].notify_off = FN_MAX_QUEUES - q;
		fn_add_standard_caps(&fn);
		assert_int_equal(fn_plug(&fn), 0);
		assert_true(works());
		use();
		fn_unplug(&fn);
	}

	/* An address that no 16-bit access should go to. */
	bare();
	fn.multiplier = 5;
	fn.queue[1].notify_off = 1;
	fn_add_standard_caps(&fn);
	shim_log_clear();
	assert_int_equal(fn_plug(&fn), 0);
	assert_false(works());
	assert_int_equal(shim_log_count('E'), 1);
	fn_unplug(&fn);

	/* The last two bytes of the region will do, one less will not. */
	for (i = 0; i < 2; i++) {
		bare();
		fn.queue[2].notify_off = 4;
		cap(VIRTIO_PCI_CAP_COMMON_CFG, FN_BAR, FN_COMMON, 0x38);
		cap(VIRTIO_PCI_CAP_NOTIFY_CFG, FN_BAR, FN_NOTIFY, 18 - i);
		cap(VIRTIO_PCI_CAP_ISR_CFG, FN_BAR, FN_ISR, 1);
		shim_log_clear();
		assert_int_equal(fn_plug(&fn), 0);
		assert_int_equal(works(), !i);
		assert_int_equal(shim_log_count('E'), i);
		fn_unplug(&fn);
	}
}

/* The names in /proc/interrupts are the in-tree driver's. */
static void vector_per_queue(void **state)
{
	info[1].callback = NULL;
	fn.pci.msix_table = 3;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_int_equal(fn.pci.msix_on, 3);
	assert_string_equal(shim_irq_name(1500), "virtio0-config");
	assert_string_equal(shim_irq_name(1501), "virtio0-a");
	assert_string_equal(shim_irq_name(1502), "virtio0-c");
	assert_int_equal(fn.queue[0].vector, 1);
	assert_int_equal(fn.queue[1].vector, VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(fn.queue[2].vector, 2);
	assert_int_equal(fn.msix_config, 0);
	fn_unplug(&fn);
}

static void shared_vector(void **state)
{
	fn.pci.msix_table = 3;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_int_equal(fn.pci.msix_on, 2);
	assert_string_equal(shim_irq_name(1500), "virtio0-config");
	assert_string_equal(shim_irq_name(1501), "virtio0-virtqueues");
	assert_int_equal(fn.queue[2].vector, 1);
	assert_non_null(shim_log_find("share one"));
	use();
	fn_unplug(&fn);
}

static void interrupt_line(void **state)
{
	fn.pci.msix_table = 0;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_int_equal(shim_irq_count(), 1);
	assert_string_equal(shim_irq_name(15), "virtio0");
	use();
	/* Somebody else's interrupt. */
	shim_intx(&fn.pci);
	assert_int_equal(shim_irqs_unhandled, 1);
	/* Queue and config at once. */
	fn.isr = VIRTIO_PCI_ISR_QUEUE;
	fn_config_irq(&fn);
	assert_int_equal(fn.isr, 0);
	assert_int_equal(shim_irqs_unhandled, 1);
	/* Gone, and the line is shared with somebody who interrupts. */
	fn.gone = true;
	shim_intx(&fn.pci);
	assert_int_equal(shim_irqs_unhandled, 2);
	fn_unplug(&fn);
}

/*
 * Each step on the way to a vector per queue fails once: what was done is
 * undone, and the next layout is tried.
 */
static void vector_fallback(void **state)
{
	unsigned int n, modes = 0;

	for (n = 1; n < 8; n++) {
		fn_plug(&fn);
		assert_true(works());
		fn_unplug(&fn);
		bare();
		fn_add_standard_caps(&fn);

		shim_log_clear();
		shim_fail_nth(n, FAIL_MSIX | FAIL_IRQ);
		assert_int_equal(fn_plug(&fn), 0);
		assert_true(works());
		modes |= 1 << fn.pci.msix_on;
		use();
		if (!shim_failed())
			break;
		assert_int_equal(fn.pci.msix_on, 2);
		shim_fail_nth(0, 0);
		fn_unplug(&fn);
		bare();
		fn_add_standard_caps(&fn);
	}
	/* Enabling, config, three queues. */
	assert_int_equal(n, 6);
	assert_int_equal(modes, 1 << 2 | 1 << 4);
	shim_fail_nth(0, 0);
	fn_unplug(&fn);

	/* All of MSI-X fails: the line. */
	bare();
	fn_add_standard_caps(&fn);
	shim_log_clear();
	shim_fail_each(FAIL_MSIX);
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_int_equal(fn.pci.msix_on, 0);
	assert_non_null(shim_log_find("using interrupt line 15"));
	use();
	fn_unplug(&fn);

	/* And that as well. */
	bare();
	fn_add_standard_caps(&fn);
	shim_log_clear();
	shim_fail_each(FAIL_MSIX | FAIL_IRQ);
	assert_int_equal(fn_plug(&fn), 0);
	assert_false(works());
	assert_int_equal(probe_error, -EBUSY);
	assert_one_error("0000:05:00.0", "cannot get interrupt line 15");
	assert_int_equal(shim_irq_count(), 0);
	fn_unplug(&fn);
}

/* The device has no vector left when it comes to that. */
static void vectors_refused(void **state)
{
	unsigned int q;

	fn.no_config_vector = true;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_int_equal(fn.pci.msix_on, 0);
	use();
	fn_unplug(&fn);

	for (q = 0; q < 3; q++) {
		bare();
		fn_add_standard_caps(&fn);
		fn.no_queue_vector = q;
		assert_int_equal(fn_plug(&fn), 0);
		assert_true(works());
		assert_int_equal(fn.pci.msix_on, 0);
		use();
		fn_unplug(&fn);
	}
}

static void skipped_queues(void **state)
{
	info[1].skip = true;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_null(vqs[1]);
	/* Section 2.6: the ones that are there are numbered through. */
	assert_int_equal(vqs[2]->index, 1);
	assert_string_equal(shim_irq_name(1502), "virtio0-c");
	use();
	fn_unplug(&fn);
}

static void affinity(void **state)
{
	const struct virtio_config_ops *ops;

	assert_int_equal(fn_plug(&fn), 0);
	ops = fn_vdev(&fn)->config;
	assert_int_equal(ops->set_vq_affinity(vqs[1], cpumask_of(3)), 0);
	assert_ptr_equal(shim_irq_hint(1502), cpumask_of(3));
	assert_null(shim_irq_hint(1501));
#ifdef COMPAT_HAVE_IRQ_SET_AFFINITY_AND_HINT
	assert_ptr_equal(shim_irq_affinity(1502), cpumask_of(3));
	assert_null(shim_irq_affinity(1501));
#endif
	assert_int_equal(ops->set_vq_affinity(vqs[1], NULL), 0);
	assert_null(shim_irq_hint(1502));
	/* free_irq() in the shim insists that the hint is taken back. */
	assert_int_equal(ops->set_vq_affinity(vqs[1], cpumask_of(2)), 0);
	fn_unplug(&fn);

#ifndef COMPAT_HAVE_IRQ_SET_AFFINITY_AND_HINT
	shim_no_symbol = "irq_set_affinity_hint";
	assert_int_equal(fn_plug(&fn), 0);
	assert_int_equal(ops->set_vq_affinity(vqs[1], cpumask_of(3)), 0);
	assert_null(shim_irq_hint(1502));
	fn_unplug(&fn);
	shim_no_symbol = NULL;
#endif

	bare();
	fn_add_standard_caps(&fn);
	fn.pci.msix_table = 2;
	assert_int_equal(fn_plug(&fn), 0);
	assert_int_equal(ops->set_vq_affinity(vqs[1], cpumask_of(3)), -EINVAL);
	fn_unplug(&fn);
}

/* A device takes its time to reset. */
static void slow_reset(void **state)
{
	unsigned long before = jiffies;

	fn.reset_polls = 100;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_true(jiffies - before >= 100);
	assert_int_equal(shim_log_count('E'), 0);
	fn_unplug(&fn);
}

/* Config space: each width, generation, and what is beyond. */
static void config_access(void **state)
{
	struct virtio_device *vdev;
	u8 bytes[8];
	unsigned int i;

	for (i = 0; i < 64; i++)
		fn.device_config[i] = i;
	fn_plug(&fn);
	vdev = fn_vdev(&fn);
	assert_int_equal(virtio_cread8(vdev, 5), 5);
	assert_int_equal(fn.widths, 1);
	assert_int_equal(virtio_cread16(vdev, 6), 0x0706);
	assert_int_equal(fn.widths, 1 | 2);
	assert_int_equal(virtio_cread32(vdev, 8), 0x0b0a0908);
	assert_int_equal(fn.widths, 1 | 2 | 4);
	fn.widths = 0;
	assert_true(virtio_cread64(vdev, 16) == 0x1716151413121110ULL);
	assert_int_equal(fn.widths, 4);
	fn.widths = 0;
	virtio_cread_bytes(vdev, 3, bytes, 6);
	assert_int_equal(fn.widths, 1);
	assert_int_equal(bytes[5], 8);
	virtio_cwrite8(vdev, 9, 0x77);
	assert_int_equal(fn.device_config[9], 0x77);
	vdev->config->set(vdev, 24, "\1\2\3\4\5\6\7\10", 8);
	assert_int_equal(fn.device_config[31], 8);
	vdev->config->set(vdev, 26, "\11\12", 2);
	assert_int_equal(fn.device_config[27], 10);

	/* Not there: reads as 0, writes go nowhere; both are said. */
	assert_int_equal(shim_log_count('E'), 0);
	assert_int_equal(virtio_cread8(vdev, 64), 0);
	assert_one_error("0000:05:00.0", "bytes 64 to 64 are beyond its 64");
	assert_int_equal(virtio_cread32(vdev, 62), 0);
	assert_int_equal(virtio_cread32(vdev, 0xfffffffe), 0);
	virtio_cwrite8(vdev, 64, 1);
	assert_int_equal(shim_log_count('E'), 4);
	fn_unplug(&fn);
}

static unsigned int changes;

/* Changes the config after each of its reads, @changes times. */
static u32 changing(struct fn *f, int bar, u64 offset, unsigned int width,
		    u32 v)
{
	if (bar == FN_BAR && offset >= FN_DEVICE && offset < FN_NOTIFY &&
	    changes) {
		changes--;
		f->generation++;
		f->device_config[offset - FN_DEVICE]++;
	}
	return v;
}

static void generation(void **state)
{
	fn_plug(&fn);
	fn.hook = changing;
	/* Of two halves, each changes twice while it is read. */
	changes = 4;
	assert_true(virtio_cread64(fn_vdev(&fn), 16) == 0x0000000200000002ULL);
	assert_int_equal(changes, 0);
	assert_int_equal(shim_log_count('W'), 0);
	/* It never stops. */
	changes = 1000000;
	virtio_cread64(fn_vdev(&fn), 16);
	assert_true(changes > 1000000 - 100);
	assert_int_equal(shim_log_count('W'), 1);
	assert_non_null(shim_log_find("config_generation never settles"));
	fn_unplug(&fn);
}

/* All of it through PCI config space: BARs that cannot be mapped. */
static void window(void **state)
{
	static const unsigned int kinds[] = { 0, FAIL_IOREMAP };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		bare();
		fn_add_standard_caps(&fn);
		if (!kinds[i]) {
			/* The bus has no room for it. */
			fn.pci.bar[FN_BAR].start = 0;
		}
		shim_fail_each(kinds[i]);
		assert_int_equal(fn_plug(&fn), 0);
		assert_true(works());
		assert_int_equal(shim_counts.ioremaps, 0);
		use();
		assert_int_equal(virtio_cread32(fn_vdev(&fn), 0), 0);
		assert_int_equal(virtio_cread16(fn_vdev(&fn), 0), 0);
		virtio_cwrite8(fn_vdev(&fn), 9, 0x77);
		assert_int_equal(fn.device_config[9], 0x77);
		fn_unplug(&fn);
		shim_fail_nth(0, 0);
	}
	assert_int_equal(shim_log_count('E'), 0);
}

/* Everything that can fail does, once each: nothing is left behind. */
static void failures(void **state)
{
	unsigned int n, q, platform, bound = 0;
	bool failed;

	for (platform = 0; platform < 2; platform++) {
		for (n = 1, failed = true; failed; n++) {
			bare();
			fn_add_standard_caps(&fn);
			for (q = 0; q < 3; q++) {
				fn.queue[q].max = 8;
				fn.queue[q].size = 8;
			}
			if (platform)
				fn.features |= 1ULL << VIRTIO_F_ACCESS_PLATFORM;
			shim_fail_nth(n, FAIL_ALL & ~FAIL_IOREMAP);
			fn_plug(&fn);
			failed = shim_failed();
			shim_fail_nth(0, 0);
			if (works()) {
				use();
				bound += failed;
			} else {
				assert_true(failed);
			}
			fn_unplug(&fn);
			shim_log_clear();
			assert_int_equal(shim_counts.allocs, 0);
			assert_int_equal(shim_counts.pages, 0);
			assert_int_equal(shim_counts.coherent, 0);
			assert_int_equal(shim_counts.ioremaps, 0);
			assert_int_equal(shim_irq_count(), 0);
		}
		assert_in_range(n, 30, 200);
	}
	/* Some of it can be done without. */
	assert_true(bound > 10);
}

/* Pulled out while it worked. */
static void surprise_removal(void **state)
{
	unsigned int msix;

	for (msix = 0; msix < 6; msix += 5) {
		bare();
		fn_add_standard_caps(&fn);
		fn.pci.msix_table = msix;
		fn_plug(&fn);
		assert_true(works());
		use();
		fn.gone = true;
		fn_unplug(&fn);
	}
	/* No waiting for a reset that nobody can do. */
	assert_int_equal(shim_log_count('E'), 0);
}

/* Gone before anybody looked, or its memory is not decoded. */
static void gone_at_once(void **state)
{
	fn.gone = true;
	assert_int_equal(fn_plug(&fn), -ENODEV);
	fn_unplug(&fn);
	assert_int_equal(shim_log_count('E'), 1);
}

static u32 status_ones(struct fn *f, int bar, u64 offset, unsigned int width,
		       u32 v)
{
	return bar == FN_BAR ? ~0U : v;
}

static void bar_reads_as_ones(void **state)
{
	fn.hook = status_ones;
	assert_int_equal(fn_plug(&fn), -ENODEV);
	assert_one_error("0000:05:00.0", "device_status reads 0xff");
	fn_unplug(&fn);
}

/* Ids that are virtio's, and are not. */
static void device_ids(void **state)
{
	static const struct {
		u16 device, subsystem;
		int err;
		u32 type;
	} ids[] = {
		{ 0x0fff, 4, -ENODEV, 0 },
		{ 0x1040, 4, -ENODEV, 0 },	/* type 0 */
		{ 0x1041, 0x1100, 0, 1 },
		{ 0x107f, 0x1100, 0, 63 },
		{ 0x1080, 4, -ENODEV, 0 },
		/* Transitional: the subsystem has the type. */
		{ 0x1005, 4, 0, 4 },
		{ 0x1005, 0, -ENODEV, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		bare();
		fn_add_standard_caps(&fn);
		fn.pci.device = ids[i].device;
		fn.pci.subsystem_device = ids[i].subsystem;
		assert_int_equal(fn_plug(&fn), ids[i].err);
		if (!ids[i].err)
			assert_int_equal(fn_vdev(&fn)->id.device, ids[i].type);
		fn_unplug(&fn);
	}
}

/* The function works again after its driver was unbound, and with 32 bits. */
static void bind_again(void **state)
{
	fn.pci.dma_mask = DMA_BIT_MASK(32);
	assert_int_equal(fn_plug(&fn), 0);
	shim_unbind(&fn_vdev(&fn)->dev);
	assert_int_equal(fn.status & ~1, 0);
	assert_int_equal(shim_bind(&fn_vdev(&fn)->dev), 0);
	assert_true(works());
	use();
	fn_unplug(&fn);

	bare();
	fn_add_standard_caps(&fn);
	fn.pci.dma_mask = DMA_BIT_MASK(24);
	assert_int_equal(fn_plug(&fn), -EIO);
	assert_one_error("0000:05:00.0", "DMA mask");
	fn_unplug(&fn);
}

/* Memory is short: the device is told the size that it became. */
static void smaller_queue(void **state)
{
	shim_fail_nth(1, FAIL_PAGES);
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(works());
	assert_int_equal(fn.queue[0].size, 128);
	assert_int_equal(fn.queue[1].size, 256);
	assert_non_null(shim_log_find("128 descriptors instead of 256"));
	use();
	fn_unplug(&fn);
}

/* Interrupts at the wrong moment: before the driver is ready, and after. */
static u32 early_irq(struct fn *f, int bar, u64 offset, unsigned int width,
		     u32 v)
{
	unsigned int i;

	for (i = 0; bar == FN_BAR && i < f->pci.msix_on; i++)
		shim_msix(&f->pci, i);
	if (bar == FN_BAR && offset != FN_ISR)
		shim_intx(&f->pci);
	return v;
}

static void early_interrupts(void **state)
{
	unsigned int msix;

	for (msix = 0; msix < 6; msix++) {
		bare();
		fn_add_standard_caps(&fn);
		fn.pci.msix_table = msix;
		fn.hook = early_irq;
		assert_int_equal(fn_plug(&fn), 0);
		assert_true(works());
		assert_int_equal(callbacks, 0);
		fn_unplug(&fn);
	}
}

#define pci_test(f)	cmocka_unit_test_setup_teardown(f, pci_setup, pci_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		pci_test(standard),
		pci_test(capability_orders),
		pci_test(bad_capabilities),
		pci_test(bad_lists),
		pci_test(large_addresses),
		pci_test(notify_multipliers),
		pci_test(vector_per_queue),
		pci_test(shared_vector),
		pci_test(interrupt_line),
		pci_test(vector_fallback),
		pci_test(vectors_refused),
		pci_test(skipped_queues),
		pci_test(affinity),
		pci_test(slow_reset),
		pci_test(config_access),
		pci_test(generation),
		pci_test(window),
		pci_test(failures),
		pci_test(surprise_removal),
		pci_test(gone_at_once),
		pci_test(bar_reads_as_ones),
		pci_test(device_ids),
		pci_test(bind_again),
		pci_test(smaller_queue),
		pci_test(early_interrupts),
	};

	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
