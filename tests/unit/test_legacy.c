// SPDX-License-Identifier: GPL-2.0
/*
 * The legacy interface: virtio_pci_legacy.c, and the choice between it and
 * the modern one. What the drivers do with it, their own tests find out, which
 * are run once more on legacy devices (see the Makefile); here is what those
 * have no reason to look at.
 */
#include <linux/virtio_config.h>
#include "nic.h"
#include "take.h"

#define F(bit)	(1ULL << (bit))
#define SLOT	"0000:05:00.0"

extern bool *shim_param_force_legacy;

static struct fn fn;

static void fresh(void)
{
	free(fn.pci.dev.name);
	fn_init(&fn, VIRTIO_PCI_MODERN_ID_MIN + TAKE_ID, 5);
	fn.num_queues = 3;
	shim_log_clear();
}

static void transitional(void)
{
	fresh();
	fn_make_transitional(&fn);
}

static void legacy_only(void)
{
	fresh();
	fn_make_legacy(&fn);
}

static int legacy_setup(void **state)
{
	stack_setup(state);
	take_start(3);
	legacy_only();
	return 0;
}

static int legacy_teardown(void **state)
{
	unregister_virtio_driver(&take_driver);
	*shim_param_force_legacy = false;
	return stack_teardown(state);
}

static bool works(void)
{
	return fn_vdev(&fn) && fn_vdev(&fn)->dev.driver && fn.queue[0].enable;
}

static bool is_legacy(void)
{
	return works() && fn.by_ports && fn.status == 0x07 &&
	       virtio_is_legacy(fn_vdev(&fn));
}

static bool is_modern(void)
{
	return works() && !fn.by_ports && fn.status == 0x0f &&
	       !virtio_is_legacy(fn_vdev(&fn));
}

/* A buffer goes there and back, with an interrupt, on each queue. */
static void use(void)
{
	static u8 buf[64] __attribute__((aligned(64)));
	struct scatterlist sg;
	struct chain chain;
	unsigned int i, before;

	for (i = 0; i < wanted_queues; i++) {
		sg_init_one(&sg, buf, sizeof(buf));
		assert_int_equal(virtqueue_add_inbuf(vqs[i], &sg, 1, buf), 0);
		before = fn.queue[i].kicks;
		assert_true(virtqueue_kick(vqs[i]));
		assert_int_equal(fn.queue[i].kicks, before + 1);
		assert_true(ring_pop(&fn.queue[i].ring, &chain));
		ring_want_kick(&fn.queue[i].ring, true);
		ring_push(&fn.queue[i].ring, chain.head, 64);
		before = callbacks;
		fn_queue_irq(&fn, i);
		assert_int_equal(callbacks, before + 1);
	}
}

static void standard(void **state)
{
	unsigned int i;

	assert_int_equal(fn_plug(&fn), 0);
	assert_true(is_legacy());
	assert_true(fn.config[PCI_COMMAND] & PCI_COMMAND_MASTER);
	assert_int_equal(fn_vdev(&fn)->id.device, TAKE_ID);
	assert_int_equal(fn_vdev(&fn)->id.vendor, VIRTIO_PCI_VENDOR);
	assert_int_equal(fn.pci.regions, 1 << FN_PORTS_BAR);
	assert_true(fn.accepted == (F(VIRTIO_F_ANY_LAYOUT) |
				    F(VIRTIO_RING_F_INDIRECT_DESC) |
				    F(VIRTIO_RING_F_EVENT_IDX)));
	/* No step that such a device does not know. */
	for (i = 0; i < fn.num_statuses; i++)
		assert_false(fn.statuses[i] & VIRTIO_CONFIG_S_FEATURES_OK);
	/* The ring is where the device computes that it is. */
	assert_int_equal(virtqueue_used_addr(vqs[0]), fn.queue[0].ring.used);
	assert_int_equal(virtqueue_avail_addr(vqs[0]), fn.queue[0].ring.avail);
	assert_int_equal(virtqueue_used_addr(vqs[0]) % 4096, 0);
	use();
	assert_non_null(shim_log_find("driven as a legacy device, I/O ports at 0xc280"));
	fn_unplug(&fn);
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

static void queue_sizes(void **state)
{
	static const unsigned int sizes[] = { 1, 2, 8, 64, 128, 256, 1024 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		legacy_only();
		fn.queue[1].max = sizes[i];
		assert_int_equal(fn_plug(&fn), 0);
		assert_true(is_legacy());
		assert_int_equal(virtqueue_get_vring_size(vqs[1]), sizes[i]);
		assert_int_equal(virtqueue_used_addr(vqs[1]),
				 fn.queue[1].ring.used);
		use();
		fn_unplug(&fn);
	}
}

static void bad_queues(void **state)
{
	static const struct {
		u16 size;
		int err;
		const char *say;
	} bad[] = {
		{ 0, -ENOENT, "queue 1: its size is 0" },
		{ 3, -EINVAL, "queue 1: size 3 is no power of 2" },
		{ 0xffff, -EINVAL, "queue 1: size 65535 is no power of 2" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		legacy_only();
		fn.queue[1].max = bad[i].size;
		assert_int_equal(fn_plug(&fn), 0);
		assert_int_equal(probe_error, bad[i].err);
		assert_one_error(SLOT, bad[i].say);
		/* The one before it is not the device's any more. */
		assert_int_equal(fn.queue[0].pfn, 0);
		fn_unplug(&fn);
	}
	/* All sizes are the device's choice: there is no smaller one. */
	legacy_only();
	shim_fail_nth(1, FAIL_PAGES);
	fn_plug(&fn);
	shim_fail_nth(0, 0);
	assert_int_equal(probe_error, -ENOMEM);
	assert_one_error(SLOT, "no memory for the 256 descriptors");
	fn_unplug(&fn);
}

static u32 pfn_after_reset(struct fn *f, int bar, u64 offset,
			   unsigned int width, u32 v)
{
	return bar == FN_PORTS_BAR && offset == VIRTIO_PCI_LEGACY_QUEUE_PFN ?
	       0x1234 : v;
}

static void bad_addresses(void **state)
{
	fn.hook = pfn_after_reset;
	fn_plug(&fn);
	assert_int_equal(probe_error, -EINVAL);
	assert_one_error(SLOT, "queue 0: its address is 0x1234 right after");
	fn_unplug(&fn);

	/* Memory that a page number of 32 bits does not lead to. */
	legacy_only();
	shim_phys = SHIM_PHYS;
	fn_plug(&fn);
	assert_int_equal(probe_error, -E2BIG);
	assert_one_error(SLOT, "a legacy device knows 44 bits");
	fn_unplug(&fn);
}

/* Offset 20 without MSI-X, 24 with; and what is beyond the ports. */
static void config_access(void **state)
{
	unsigned int vectors, i;
	struct virtio_device *vdev;

	for (vectors = 0; vectors < 6; vectors++) {
		legacy_only();
		fn.pci.msix_table = vectors;
		for (i = 0; i < 64; i++)
			fn.device_config[i] = i;
		fn_plug(&fn);
		assert_true(is_legacy());
		assert_int_equal(fn.pci.msix_on, vectors < 2 ? 0 :
				 vectors < 4 ? 2 : 4);
		vdev = fn_vdev(&fn);
		fn.widths = 0;
		assert_int_equal(virtio_cread8(vdev, 5), 5);
		assert_int_equal(virtio_cread16(vdev, 6), 0x0706);
		assert_int_equal(virtio_cread32(vdev, 8), 0x0b0a0908);
		assert_true(virtio_cread64(vdev, 16) == 0x1716151413121110ULL);
		virtio_cwrite8(vdev, 9, 0x77);
		assert_int_equal(fn.device_config[9], 0x77);
		virtio_cwrite32(vdev, 12, 0x01020304);
		assert_int_equal(virtio_cread32(vdev, 12), 0x01020304);
		assert_int_equal(fn.widths, 1);
		use();

		assert_int_equal(shim_log_count('E'), 0);
		assert_int_equal(virtio_cread32(vdev, FN_PORTS_LEN - 22), 0);
		assert_one_error(SLOT, "are beyond the 128 of bar 0");
		assert_int_equal(virtio_cread8(vdev, 0xffffffff), 0);
		virtio_cwrite8(vdev, FN_PORTS_LEN, 1);
		assert_int_equal(shim_log_count('E'), 3);
		/* Bound anew, it is without MSI-X to begin with. */
		shim_unbind(&vdev->dev);
		assert_int_equal(virtio_cread8(vdev, 5), 5);
		assert_int_equal(shim_bind(&vdev->dev), 0);
		assert_int_equal(virtio_cread8(vdev, 5), 5);
		fn_unplug(&fn);
	}
}

static unsigned int changes;

static u32 changing(struct fn *f, int bar, u64 offset, unsigned int width,
		    u32 v)
{
	if (fn_is_config(f, bar, &offset) && changes) {
		changes--;
		f->device_config[offset]++;
	}
	return v;
}

/* No generation counter: until it is the same twice. */
static void torn_reads(void **state)
{
	fn_plug(&fn);
	fn.hook = changing;
	changes = 20;
	assert_true(virtio_cread64(fn_vdev(&fn), 16) ==
		    0x0202020203030303ULL);
	assert_int_equal(changes, 0);
	assert_int_equal(shim_log_count('W'), 0);
	changes = 1000000;
	virtio_cread32(fn_vdev(&fn), 16);
	assert_true(changes > 1000000 - 200);
	assert_int_equal(shim_log_count('W'), 1);
	assert_non_null(shim_log_find("never read the same twice"));
	fn_unplug(&fn);
}

static void interrupts(void **state)
{
	unsigned int q;

	/* All of its own, one for all, the line. */
	fn_plug(&fn);
	assert_string_equal(shim_irq_name(1500), "virtio0-config");
	assert_string_equal(shim_irq_name(1503), "virtio0-c");
	assert_int_equal(fn.msix_config, 0);
	assert_int_equal(fn.queue[2].vector, 3);
	use();
	fn_unplug(&fn);

	legacy_only();
	fn.pci.msix_table = 2;
	fn_plug(&fn);
	assert_string_equal(shim_irq_name(1501), "virtio0-virtqueues");
	use();
	fn_unplug(&fn);

	legacy_only();
	fn.pci.msix_table = 0;
	fn_plug(&fn);
	assert_string_equal(shim_irq_name(15), "virtio0");
	use();
	shim_intx(&fn.pci);
	assert_int_equal(shim_irqs_unhandled, 1);
	fn_unplug(&fn);

	/* The device answers NO_VECTOR. */
	legacy_only();
	fn.no_config_vector = true;
	fn_plug(&fn);
	assert_int_equal(fn.pci.msix_on, 0);
	use();
	fn_unplug(&fn);
	for (q = 0; q < 3; q++) {
		legacy_only();
		fn.no_queue_vector = q;
		fn_plug(&fn);
		assert_true(is_legacy());
		assert_int_equal(fn.pci.msix_on, 0);
		use();
		fn_unplug(&fn);
	}
}

static void reset_and_removal(void **state)
{
	unsigned long before = jiffies;

	fn.reset_polls = 100;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(is_legacy());
	assert_true(jiffies - before >= 100);
	fn_unplug(&fn);

	legacy_only();
	fn.reset_polls = -1;
	assert_int_not_equal(fn_plug(&fn), 0);
	assert_one_error(SLOT, "10000 ms after a reset");
	fn_unplug(&fn);

	/* Pulled out. */
	legacy_only();
	fn_plug(&fn);
	use();
	fn.gone = true;
	fn_unplug(&fn);
	assert_int_equal(shim_log_count('E'), 0);

	legacy_only();
	fn.gone = true;
	assert_int_equal(fn_plug(&fn), -ENODEV);
	assert_one_error(SLOT, "the status reads 0xff");
	fn_unplug(&fn);
}

/* Which interface it is to be. */
static void choice(void **state)
{
	/* Both: the modern one, and not a word. */
	transitional();
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(is_modern());
	assert_int_equal(fn_vdev(&fn)->id.device, TAKE_ID);
	/* Offered to others. */
	assert_false(fn.accepted & F(VIRTIO_F_ANY_LAYOUT));
	use();
	assert_int_equal(shim_log_count('E') + shim_log_count('W') +
			 shim_log_count('I'), 0);
	fn_unplug(&fn);

	/* There are no ports to be had: modern all the same. */
	transitional();
	fn.pci.bar[FN_PORTS_BAR].start = 0;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(is_modern());
	assert_false(fn.pci.io_on);
	use();
	fn_unplug(&fn);

	/* Somebody wants it so. */
	*shim_param_force_legacy = true;
	transitional();
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(is_legacy());
	use();
	assert_non_null(shim_log_find("force_legacy: driven as a legacy device"));
	fn_unplug(&fn);

	/* That is not possible: said, and driven as it can be. */
	fresh();
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(is_modern());
	assert_non_null(shim_log_find("force_legacy: no usable I/O BAR (its PCI id is"));
	fn_unplug(&fn);
	transitional();
	fn.pci.bar[FN_PORTS_BAR].start = 0;
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(is_modern());
	assert_non_null(shim_log_find("force_legacy: no usable I/O BAR (BAR 0 was not assigned"));
	fn_unplug(&fn);
	assert_int_equal(shim_log_count('E'), 0);
}

static u32 no_version_1(struct fn *f, int bar, u64 offset, unsigned int width,
			u32 v)
{
	return bar == FN_BAR && offset == FN_COMMON + 4 && f->feature_select ?
	       v & ~1U : v;
}

static u32 ones(struct fn *f, int bar, u64 offset, unsigned int width, u32 v)
{
	return bar == FN_BAR ? ~0U : v;
}

/* A modern part that cannot be used, for every reason that there is. */
static void fall_back(void **state)
{
	static const char *const say[] = {
		"bar 6 does not exist", "no ISR capability",
		"device_status reads 0xff", "VERSION_1 is not offered",
		"and there is no PCI_CFG capability",
	};
	unsigned int how;

	for (how = 0; how < ARRAY_SIZE(say); how++) {
		transitional();
		switch (how) {
		case 0:
			/* The last one that was added is the common config. */
			fn.config[fn.last_cap + 4] = 6;
			break;
		case 1:
			fn.config[fn.last_cap - 0x14] = 0x01;
			break;
		case 2:
			fn.hook = ones;
			break;
		case 3:
			fn.hook = no_version_1;
			break;
		case 4:
			fn.pci.bar[FN_BAR].start = 0;
			/* The window is the second. */
			fn.config[0x54] = 0x01;
			break;
		}
		assert_int_equal(fn_plug(&fn), 0);
		assert_true(is_legacy());
		assert_int_equal(fn.pci.regions, 1 << FN_PORTS_BAR);
		assert_one_error(SLOT, say[how]);
		assert_int_equal(shim_log_count('W'), 1);
		assert_non_null(shim_log_find("the modern interface cannot be used"));
		assert_non_null(shim_log_find("driven as a legacy device"));
		use();
		fn_unplug(&fn);
	}
}

/* No way to drive it: one line that says what can be done. */
static void no_ports(void **state)
{
	static const char *const say[] = {
		"BAR 0 is no I/O BAR, or its bus", "BAR 0 was not assigned",
		"BAR 0 is too small", "its PCI revision is not 0",
	};
	unsigned int how;

	for (how = 0; how < ARRAY_SIZE(say); how++) {
		legacy_only();
		switch (how) {
		case 0:
			fn.pci.bar[FN_PORTS_BAR].flags = IORESOURCE_MEM;
			break;
		case 1:
			fn.pci.bar[FN_PORTS_BAR].start = 0;
			break;
		case 2:
			fn.pci.bar[FN_PORTS_BAR].len = 16;
			break;
		case 3:
			fn.pci.revision = 1;
			break;
		}
		assert_int_equal(fn_plug(&fn), -ENODEV);
		assert_one_error(SLOT, say[how]);
		assert_non_null(shim_log_find("disable-modern=off"));
		fn_unplug(&fn);
	}

	legacy_only();
	fn.pci.subsystem_device = 0;
	assert_int_equal(fn_plug(&fn), -ENODEV);
	assert_one_error(SLOT, "PCI id 1af4:1029 has no device type");
	fn_unplug(&fn);

	legacy_only();
	fn.pci.dma_mask = DMA_BIT_MASK(24);
	assert_int_equal(fn_plug(&fn), -EIO);
	assert_one_error(SLOT, "no usable DMA mask");
	fn_unplug(&fn);
	legacy_only();
	fn.pci.dma_mask = DMA_BIT_MASK(32);
	assert_int_equal(fn_plug(&fn), 0);
	assert_true(is_legacy());
	fn_unplug(&fn);
}

/* Everything that can fail does, once each: nothing is left behind. */
static void failures(void **state)
{
	unsigned int n, bound = 0, which;
	bool failed;

	for (which = 0; which < 2; which++) {
		for (n = 1, failed = true; failed; n++) {
			if (which)
				transitional();
			else
				legacy_only();
			shim_fail_nth(n, FAIL_ALL);
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
			assert_int_equal(shim_counts.allocs, 0);
			assert_int_equal(shim_counts.pages, 0);
			assert_int_equal(shim_counts.ioremaps, 0);
			assert_int_equal(shim_irq_count(), 0);
		}
		assert_in_range(n, 20, 200);
	}
	assert_true(bound > 5);
}

/* Network: headers of 10 bytes or 12, in descriptors of their own or not. */
static void framing(void **state)
{
	static u8 packet[9000] = { 0x52, 0x54, 0, 1, 2, 3, 2, 2, 2, 2, 2, 2, 8 };
	static const struct virtio_net_hdr hdr;
	static u8 copy[sizeof(packet)];
	struct net_device *dev;
	unsigned int i, len;
	struct sk_buff *skb;
	struct nic *nic;

	for (i = 0; i < 8; i++) {
		nic = nic_new(1);
		fn_make_legacy(&nic->fn);
		if (i & 1)
			nic->fn.features &= ~F(VIRTIO_F_ANY_LAYOUT);
		if (i & 2)
			nic->fn.features &= ~F(VIRTIO_NET_F_MRG_RXBUF);
		if (i & 4)
			nic->fn.features &= ~(F(VIRTIO_NET_F_GUEST_TSO4) |
					      F(VIRTIO_NET_F_GUEST_TSO6) |
					      F(VIRTIO_NET_F_GUEST_UFO) |
					      F(VIRTIO_RING_F_INDIRECT_DESC));
		assert_int_equal(fn_plug(&nic->fn), 0);
		dev = shim_netdev(0);
		assert_non_null(dev);
		assert_int_equal(nic_hdr_len(nic), i & 2 ? 10 : 12);
		assert_int_equal(shim_net_open(dev), 0);
		/* The card looks at how its buffers are cut. */
		for (len = 60; len < (i & 4 && i & 2 ? 1500 : 9000); len += 97) {
			packet[len - 1] = len;
			assert_true(nic_receive(nic, 0, &hdr, packet, len));
			shim_run();
			skb = shim_received();
			assert_non_null(skb);
			assert_int_equal(skb->len + ETH_HLEN, len);
			shim_skb_copy(skb, 0, copy, skb->len);
			assert_memory_equal(copy, packet + ETH_HLEN, skb->len);
			dev_kfree_skb_any(skb);
		}
		shim_net_close(dev);
		fn_unplug(&nic->fn);
		assert_int_equal(shim_log_count('E'), 0);
		nic_free(nic);
	}
}

#define legacy_test(f)	cmocka_unit_test_setup_teardown(f, legacy_setup, legacy_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		legacy_test(standard),
		legacy_test(queue_sizes),
		legacy_test(bad_queues),
		legacy_test(bad_addresses),
		legacy_test(config_access),
		legacy_test(torn_reads),
		legacy_test(interrupts),
		legacy_test(reset_and_removal),
		legacy_test(choice),
		legacy_test(fall_back),
		legacy_test(no_ports),
		legacy_test(failures),
		legacy_test(framing),
	};

	return cmocka_run_group_tests_name("legacy", tests, NULL, NULL);
}
