// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI function, modern or legacy or both, whose config space is bent, whose
 * registers say something else each time, that refuses vectors, interrupts when
 * it likes and may never finish a reset. On top, a driver that only takes
 * queues.
 */
#include "feed.h"

#define NUM_QUEUES	3

extern bool *shim_param_force_legacy;

static struct fn fn;
static struct virtqueue *vqs[NUM_QUEUES];
static unsigned int lies;	/* how many reads in 256 are lies */

static void callback(struct virtqueue *vq)
{
	unsigned int len;

	while (virtqueue_get_buf(vq, &len))
		;
}

static int take_probe(struct virtio_device *vdev)
{
	static const struct virtqueue_info info[NUM_QUEUES] = {
		{ "a", callback, 4, false },
		{ "b", NULL, 0, false },
		{ "c", callback, 4, false },
	};
	u8 bytes[8];
	int err;

	virtio_cread16(vdev, 4);
	virtio_cread_bytes(vdev, feed_u8() & ~7, bytes, feed_u8() % 9);
	err = virtio_find_vqs(vdev, NUM_QUEUES, vqs, info);
	if (!err)
		virtio_device_ready(vdev);
	return err;
}

static void take_remove(struct virtio_device *vdev)
{
	unsigned int i;

	virtio_reset_device(vdev);
	for (i = 0; i < NUM_QUEUES; i++)
		while (virtqueue_detach_unused_buf(vqs[i]))
			;
	virtio_del_vqs(vdev);
}

static void take_config_changed(struct virtio_device *vdev)
{
	virtio_cread32(vdev, 0);
}

/* What the driver held is gone with the ring. */
static void take_fail(struct virtio_device *vdev)
{
	unsigned int i;

	for (i = 0; i < NUM_QUEUES; i++)
		while (virtqueue_detach_unused_buf(vqs[i]))
			;
}

static const struct virtio_device_id take_ids[] = {
	{ VIRTIO_DEV_ANY_ID, VIRTIO_DEV_ANY_ID },
	{ 0 }
};

static struct virtio_driver take_driver = {
	.driver.name	= "take",
	.id_table	= take_ids,
	.probe		= take_probe,
	.remove		= take_remove,
	.config_changed	= take_config_changed,
	.fail		= take_fail,
};

static u32 lie(struct fn *f, int bar, u64 offset, unsigned int width, u32 v)
{
	if (feed_left && feed_u8() < lies)
		v = feed_number();
	if (feed_left && lies && !(feed_u8() & 0x1f)) {
		shim_msix(&f->pci, feed_u8() % 5);
		shim_intx(&f->pci);
	}
	return v;
}

/* A capability says something else: fields in turn, values at the edges. */
static void bend_cap(void)
{
	static const u8 fields[] = { 0, 1, 2, 3, 4, 8, 12, 16 };
	unsigned int pos = 0x40 + feed_u8() % 7 * 0x14;
	u8 field = fields[feed_u8() % ARRAY_SIZE(fields)], how = feed_u8();
	u32 v = how & 1 ? feed_number() :
		(how & 2 ? FN_BAR_LEN : 0) + (signed char)feed_u8();

	if (field < 8)
		fn.config[pos + field] = v;
	else
		memcpy(&fn.config[pos + field], &v, sizeof(v));
}

static void bend(void)
{
	unsigned int n = feed_u8() % 12, bytes = n & 2 ? n : 0;
	u8 what = feed_u8();

	while (n & 1 && (feed_u8() & 3))
		bend_cap();
	while (bytes--) {
		unsigned int pos = feed_u8();

		/* More often than not, in the capabilities. */
		if (pos < 0x40 && pos != PCI_CAPABILITY_LIST &&
		    pos != PCI_STATUS)
			pos += 0x40;
		fn.config[pos] = feed_number();
	}
	if (what & 1) {
		fn.pci.bar[FN_BAR].len = feed_number();
		fn.pci.bar[FN_BAR].flags = what & 2 ? IORESOURCE_MEM :
					   what & 4 ? IORESOURCE_IO : 0;
	}
	if (what & 1 && fn.has_ports) {
		fn.pci.bar[FN_PORTS_BAR].len = feed_u8();
		fn.pci.revision = feed_u8() & 0x80;
	}
	if (what & 8)
		fn.pci.device = 0x1000 + feed_u8();
	if (what & 16)
		fn.features = (u64)feed_u32() << 32 | feed_u32();
	if (what & 32)
		fn.reset_polls = feed_u8() & 1 ? -1 : feed_u8();
	fn.pci.msix_table = feed_u8() % 6;
	fn.no_config_vector = what & 64;
	if (what & 128)
		fn.no_queue_vector = feed_u8() % 4;
	for (n = 0; n < NUM_QUEUES; n++) {
		u8 size = feed_u8();

		fn.queue[n].max = size & 0x80 ? feed_number() : 1 << size % 9;
		fn.queue[n].size = fn.queue[n].max;
		if (size & 0x40)
			fn.queue[n].notify_off = feed_number();
	}
}

static u8 buf[16];

static void use(void)
{
	struct virtio_device *vdev = fn_vdev(&fn);
	struct scatterlist sg;
	u8 op = feed_u8();

	if (!vdev || !vdev->dev.driver)
		return;
	switch (op % 8) {
	case 0:
		sg_init_one(&sg, buf, sizeof(buf));
		virtqueue_add_inbuf(vqs[op >> 3 & 1], &sg, 1, buf);
		virtqueue_kick(vqs[op >> 3 & 1]);
		break;
	case 1:
		shim_msix(&fn.pci, op >> 3);
		break;
	case 2:
		fn.isr = op >> 3;
		shim_intx(&fn.pci);
		break;
	case 3:
		fn_config_irq(&fn);
		break;
	case 4:
		fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		break;
	case 5:
		virtio_cread64(vdev, (op >> 3) * 4);
		break;
	case 6:
		feed_rebind(&fn);
		break;
	case 7:
		shim_run();
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	feed_start(data, size);
	BUG_ON(shim_init_virtio() || shim_init_virtio_pci());
	BUG_ON(register_virtio_driver(&take_driver));

	fn_init(&fn, VIRTIO_PCI_MODERN_ID_MIN + VIRTIO_ID_RNG, 5);
	fn.num_queues = NUM_QUEUES;
	fn.lying = true;
	/* Of the end: what is in front decides the rest, as it always did. */
	switch (data && size ? data[size - 1] >> 1 & 3 : 0) {
	case 1:
		*shim_param_force_legacy = data[size - 1] & 8;
		fn_make_transitional(&fn);
		break;
	case 2:
		fn_make_legacy(&fn);
		break;
	}
	lies = feed_u8();
	lies = lies < 128 ? 0 : lies < 192 ? 8 : lies - 192;
	fn.hook = lie;
	bend();
	shim_fail_nth(feed_u8() & 0x3f, FAIL_ALL);
	fn_plug(&fn);
	shim_fail_nth(0, 0);
	while (feed_left) {
		shim_still_alive();
		use();
	}
	fn.gone = data && size && data[size - 1] & 1;
	fn_unplug(&fn);

	*shim_param_force_legacy = false;
	unregister_virtio_driver(&take_driver);
	shim_exit_virtio_pci();
	shim_exit_virtio();
	shim_finish();
	return 0;
}
