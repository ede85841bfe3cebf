// SPDX-License-Identifier: GPL-2.0
/*
 * The block driver, with a disk that says anything in its config space,
 * answers with any status, length and id in any order, breaks, asks for a
 * reset or is pulled out, while I/O is submitted. Every I/O ends, once.
 */
#include "feed.h"

#define MAX_IO	256

static struct disk the_disk, *disk = &the_disk;
static struct shim_io *io[MAX_IO];
static unsigned int num_io;
static struct gendisk *opened;

/*
 * Somebody waits. The device has its whims, but is not dead; and if it was
 * pulled out, the PCI bus finds out.
 */
static unsigned int patience;

static void idle(void)
{
	unsigned int i;

	fn_serve_all();
	if (patience && !--patience) {
		disk->hold = false;
		if (!disk->fn.gone)
			disk_release(disk);
		else if (fn_vdev(&disk->fn))
			virtio_break_device(fn_vdev(&disk->fn));
		fn_queue_irq(&disk->fn, 0);
		for (i = 0; i < disk->fn.num_queues; i++)
			if (disk->fn.queue[i].ring.lied)
				disk->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		fn_config_irq(&disk->fn);
	}
}

static void configure(void)
{
	struct fn *fn = &disk->fn;
	u8 what = feed_u8();
	unsigned int i, num;

	if (what & 1)
		for (i = feed_u8() % 16; i; i--)
			fn->device_config[feed_u8() % 64] = feed_number();
	feed_function(fn, what);
	num = 1 << (2 + feed_u8() % 7);
	fn->num_queues = 1 + feed_u8() % 4;
	shim_cpus = 1 + feed_u8() % 4;
	for (i = 0; i < FN_MAX_QUEUES; i++) {
		fn->queue[i].max = num;
		fn->queue[i].size = num;
	}
	fn->pci.msix_table = feed_u8() % 6;
	disk->hold = what & 64;
}

static void submit(void)
{
	struct gendisk *gd = shim_disk(0);
	enum shim_op op = feed_u8() % 4;
	unsigned int len = 0, segs = 0, seg = 512 << feed_u8() % 4;
	u8 how = feed_u8();

	if (!gd || num_io == MAX_IO)
		return;
	if (op == IO_READ || op == IO_WRITE) {
		segs = 1 + feed_u8() % 16;
		segs = min_t(unsigned int, segs, gd->queue->limits.max_segments);
		seg = min(seg, gd->queue->limits.max_segment_size);
		len = segs * seg;
	}
	io[num_io] = shim_io_new(op, feed_u16(), len, seg);
	io[num_io]->durable = op == IO_WRITE && how & 2;
	if (how & 4)
		shim_fail_nth(1 + feed_u8() % 8, FAIL_MAP);
	shim_io_submit(gd, io[num_io++], how & 1);
	shim_fail_nth(0, 0);
}

static void disk_acts(void)
{
	struct fn *fn = &disk->fn;
	unsigned int q = feed_u8() % fn->num_queues;
	u8 op = feed_u8();

	if (fn->gone)
		return;
	switch (op % 12) {
	case 0 ... 3:
		fn_serve_all();
		break;
	case 4:
		disk_release(disk);
		break;
	case 5:
		disk->hold = op & 0x80;
		disk->reverse = op & 0x40;
		break;
	case 6:
		disk->status = op & 0x80 ? feed_u8() : -1;
		break;
	case 7:
		disk->used_len = op & 0x80 ? feed_number() : -1;
		break;
	case 8:		/* something that nobody asked for */
		if (fn->queue[q].enable)
			feed_push(fn, q, feed_number());
		break;
	case 9:
		fn_queue_irq(fn, q);
		break;
	case 10:
		fn->device_config[feed_u8() % 64] = feed_number();
		fn_config_irq(fn);
		break;
	case 11:
		feed_break(fn, op);
		break;
	}
}

static void host_acts(void)
{
	struct gendisk *gd = shim_disk(0);
	struct block_device bdev = { gd };
	struct hd_geometry geo;
	static char page[4096];

	switch (feed_u8() % 12) {
	case 0:
		if (gd && !opened && !shim_open(gd))
			opened = gd;
		break;
	case 1:
		if (opened)
			shim_close(opened);
		opened = NULL;
		break;
	case 2:
		if (gd)
			shim_attr_store(disk_to_dev(gd), "cache_type",
					feed_u8() & 1 ? "write back\n" :
					"write through");
		break;
	case 3:
		if (gd) {
			shim_attr_show(disk_to_dev(gd), "serial", page);
			shim_attr_show(disk_to_dev(gd), "cache_type", page);
		}
		break;
	case 4:
		if (gd)
			gd->fops->getgeo(&bdev, &geo);
		break;
	case 5:
		feed_rebind(&disk->fn);
		break;
	case 6 ... 8:
		shim_run();
		break;
	case 9:
		shim_run_for(feed_u8() % 8);
		break;
	case 10:
		feed_sleep(&disk->fn, feed_u8());
		break;
	case 11:
		feed_shutdown(&disk->fn);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	unsigned int i;

	feed_start(data, size);
	shim_idle = idle;
	BUG_ON(shim_init_virtio() || shim_init_virtio_pci() ||
	       shim_init_virtio_blk());
	disk_init(disk, 1);
	disk->fn.lying = true;
	num_io = 0;
	opened = NULL;
	configure();
	patience = 400;
	fn_plug(&disk->fn);
	while (feed_left) {
		u8 who = feed_u8() % 8;

		patience = 400;
		shim_still_alive();
		if (who < 3)
			submit();
		else if (who < 6)
			disk_acts();
		else
			host_acts();
	}

	/* A disk that still works works on; one that does not is given up. */
	if (data && size && data[0] & 1)
		disk->fn.gone = true;
	if (disk->hold && !disk->fn.gone) {
		disk->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		fn_config_irq(&disk->fn);
	}
	patience = 400;
	shim_still_alive();
	fn_unplug(&disk->fn);
	if (opened)
		shim_close(opened);
	for (i = 0; i < num_io; i++)
		shim_io_free(io[i]);

	shim_exit_virtio_blk();
	shim_exit_virtio_pci();
	shim_exit_virtio();
	shim_finish();
	return 0;
}
