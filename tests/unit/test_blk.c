// SPDX-License-Identifier: GPL-2.0
/*
 * virtio_blk.c on the whole stack: bus, ring and PCI, with a disk in software.
 * In the EL6 shapes the block layer is request_fn, behind compat/blk_mq.c.
 */
#include "unit.h"

#define F(bit)	(1ULL << (bit))

static struct disk *disk;
static char page[4096];

static int blk_setup(void **state)
{
	stack_setup(state);
	disk = disk_new(1);
	return 0;
}

static int blk_teardown(void **state)
{
	int ret = stack_teardown(state);

	free(disk->fn.pci.dev.name);
	disk_free(disk);
	return ret;
}

/* A disk like the last one, unused. */
static void renew(void)
{
	free(disk->fn.pci.dev.name);
	disk_free(disk);
	disk = disk_new(1);
}

/* The config as it is now in @disk->config. */
static void set_config(void)
{
	memcpy(disk->fn.device_config, &disk->config, sizeof(disk->config));
}

static struct gendisk *plug(void)
{
	assert_int_equal(fn_plug(&disk->fn), 0);
	return shim_disk(0);
}

static void unplug(void)
{
	fn_unplug(&disk->fn);
}

static struct shim_io *submit(enum shim_op op, sector_t sector,
			      unsigned int len)
{
	struct shim_io *io = shim_io_new(op, sector, len, 4096);

	shim_io_submit(shim_disk(0), io, true);
	return io;
}

static int finish(struct shim_io *io)
{
	settle();
	return shim_io_free(io);
}

static int do_io(enum shim_op op, sector_t sector, unsigned int len)
{
	return finish(submit(op, sector, len));
}

static void read_and_write(void **state)
{
	static const unsigned int lens[] = { 512, 4096, 5120, 65536, 524288 };
	struct gendisk *gd = plug();
	struct shim_io *io;
	unsigned int i, s;

	assert_non_null(gd);
	assert_int_equal(gd->capacity, 2048);
	assert_int_equal(gd->major, 252);
	assert_int_equal(gd->minors, 16);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		memset(disk->data, i, sizeof(disk->data));
		io = submit(IO_READ, 8, lens[i]);
		settle();
		assert_int_equal(io->ended, 1);
		for (s = 0; s < io->num_segs; s++)
			assert_memory_equal(io->segs[s].buf, disk->data + 4096,
					    io->segs[s].len);
		assert_int_equal(finish(io), 0);

		assert_int_equal(do_io(IO_WRITE, 16, lens[i]), 0);
		assert_int_equal(disk->data[16 * 512 - 1], i);
		assert_int_equal(disk->data[16 * 512], 0x5a);
		assert_int_equal(disk->data[16 * 512 + lens[i] - 1], 0x5a);
		assert_int_equal(disk->data[16 * 512 + lens[i]], i);
	}
	assert_int_equal(do_io(IO_FLUSH, 0, 0), 0);
	assert_int_equal(disk->log[disk->served - 1], VIRTIO_BLK_T_FLUSH);
	/* What the driver does not know never gets to the device. */
	i = disk->served;
	assert_int_not_equal(do_io(IO_OTHER, 0, 0), 0);
	assert_int_equal(disk->served, i);
	assert_int_equal(shim_log_count('E'), 0);
	unplug();
}

static void statuses(void **state)
{
	static const struct {
		u8 status;
		int error;
	} s[] = {
		{ 0, 0 }, { 1, -EIO }, { 2, -EOPNOTSUPP }, { 3, -EIO },
		{ 0x80, -EIO }, { 0xff, -EIO },
	};
	unsigned int i;

	plug();
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		disk->status = s[i].status;
		assert_int_equal(do_io(IO_READ, 0, 4096), s[i].error);
		assert_int_equal(do_io(IO_FLUSH, 0, 0), s[i].error);
	}
	disk->status = -1;
	/* Beyond the end. */
	assert_int_equal(do_io(IO_WRITE, 2047, 4096), -EIO);
	assert_int_equal(do_io(IO_WRITE, 2040, 4096), 0);
	unplug();
}

/* A device that writes less than it says, or more than it may. */
static void used_lengths(void **state)
{
	/* Section 2.7.8.3: a legacy device may count in what it has read. */
	bool legacy = fn_face == FN_LEGACY;
	int err = legacy ? 0 : -EIO;

	plug();
	disk->used_len = 0;
	assert_int_equal(do_io(IO_READ, 0, 4096), 0);
	disk->used_len = 4098;
	assert_int_equal(do_io(IO_READ, 0, 4096), err);
	disk->used_len = 0xffffffff;
	assert_int_equal(do_io(IO_FLUSH, 0, 0), err);
	disk->used_len = -1;
	/* Done, it says, and has not told how it went. */
	disk->status = DISK_NO_STATUS;
	assert_int_equal(do_io(IO_READ, 0, 4096), -EIO);
	disk->status = -1;
	assert_int_equal(do_io(IO_READ, 0, 4096), 0);
	if (!legacy)
		assert_one_error("0000:01:00.0",
				 "length 4098 exceeds the 4097 bytes");
	assert_int_equal(shim_log_count('E'), !legacy);
	unplug();
}

static void segment_limits(void **state)
{
	static const struct {
		u32 seg_max;
		u16 queue_size;
		unsigned int segs;
	} s[] = {
		{ 0, 256, 1 }, { 1, 256, 1 }, { 126, 128, 126 },
		{ 254, 256, 254 }, { 255, 256, 254 }, { 0xffffffff, 256, 254 },
		{ 254, 128, 126 }, { 254, 4, 2 }, { 254, 1024, 254 },
	};
	struct shim_io *io;
	unsigned int i, indirect;

	for (i = 0; i < ARRAY_SIZE(s); i++)
		for (indirect = 0; indirect < 2; indirect++) {
			renew();
			disk->config.seg_max = s[i].seg_max;
			set_config();
			disk->fn.queue[0].max = s[i].queue_size;
			disk->fn.queue[0].size = s[i].queue_size;
			if (!indirect)
				disk->fn.features &=
					~F(VIRTIO_RING_F_INDIRECT_DESC);
			plug();
			assert_int_equal(shim_disk(0)->queue->limits.max_segments,
					 s[i].segs);
			io = shim_io_new(IO_WRITE, 0, s[i].segs * 512, 512);
			shim_io_submit(shim_disk(0), io, true);
			assert_int_equal(finish(io), 0);
			unplug();
		}

	/* Without the feature: one. */
	renew();
	disk->fn.features &= ~F(VIRTIO_BLK_F_SEG_MAX);
	plug();
	assert_int_equal(shim_disk(0)->queue->limits.max_segments, 1);
	unplug();
}

/* What a device says of itself, and what becomes of the limits. */
static void limits(void **state)
{
	struct queue_limits *l;

	disk->fn.features |= F(VIRTIO_BLK_F_SIZE_MAX) |
			     F(VIRTIO_BLK_F_TOPOLOGY) | F(VIRTIO_BLK_F_RO);
	disk->config.size_max = 65536;
	disk->config.blk_size = 1024;
	disk->config.topology.physical_block_exp = 2;
	disk->config.topology.alignment_offset = 1;
	disk->config.topology.min_io_size = 8;
	disk->config.topology.opt_io_size = 64;
	set_config();
	l = &plug()->queue->limits;
	assert_int_equal(l->max_segment_size, 65536);
	assert_int_equal(l->logical_block_size, 1024);
	assert_int_equal(l->physical_block_size, 4096);
	assert_int_equal(l->alignment_offset, 1024);
	assert_int_equal(l->io_min, 8192);
	assert_int_equal(l->io_opt, 65536);
	assert_true(shim_disk(0)->ro);
	/* In sectors of 512 bytes all the same. */
	assert_int_equal(shim_disk(0)->capacity, 2048);
	unplug();

	renew();
	disk->fn.features |= F(VIRTIO_BLK_F_TOPOLOGY);
	disk->config.topology.physical_block_exp = 9;
	set_config();
	l = &plug()->queue->limits;
	assert_int_equal(l->physical_block_size, 512);
	assert_non_null(shim_log_find("physical_block_exp 9"));
	unplug();
}

static void serials(void **state)
{
	plug();
	shim_attr_show(disk_to_dev(shim_disk(0)), "serial", page);
	assert_string_equal(page, "rig-disk");
	unplug();

	/* All of its 20 bytes, and no NUL. */
	renew();
	memcpy(disk->serial, "12345678901234567890", 20);
	plug();
	shim_attr_show(disk_to_dev(shim_disk(0)), "serial", page);
	assert_string_equal(page, "12345678901234567890");
	unplug();

	/* It has none. */
	renew();
	disk->status = VIRTIO_BLK_S_UNSUPP;
	plug();
	disk->status = -1;
	shim_attr_show(disk_to_dev(shim_disk(0)), "serial", page);
	assert_string_equal(page, "");
	assert_int_equal(do_io(IO_READ, 0, 4096), 0);
	unplug();
}

/* The question for the serial is not answered: not for now, or never. */
static void serial_unanswered(void **state)
{
	unsigned int platform;

	for (platform = 0; platform < 2; platform++) {
		renew();
		if (platform)
			disk->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
		disk->hold = true;
		plug();
		assert_non_null(shim_log_find("no answer to GET_ID"));
		assert_non_null(shim_disk(0));
		shim_attr_show(disk_to_dev(shim_disk(0)), "serial", page);
		assert_string_equal(page, "");
		if (platform) {
			/* Never, and the memory is not the device's any more. */
			unplug();
			assert_int_equal(shim_counts.maps, 0);
			continue;
		}
		/* Late: nobody waits for it. */
		disk->hold = false;
		assert_int_equal(do_io(IO_READ, 0, 4096), 0);
		unplug();
	}
}

static void cache_type(void **state)
{
	struct device *dev;

	plug();
	dev = disk_to_dev(shim_disk(0));
	assert_int_equal(shim_attr_mode(dev, "cache_type"), 0644);
	shim_attr_show(dev, "cache_type", page);
	assert_string_equal(page, "write back\n");
	assert_int_equal(shim_attr_store(dev, "cache_type", "write through\n"),
			 14);
	assert_int_equal(disk->config.wce, 0);
	shim_attr_show(dev, "cache_type", page);
	assert_string_equal(page, "write through\n");
	assert_int_equal(shim_attr_store(dev, "cache_type", "write back"), 10);
	assert_int_equal(disk->config.wce, 1);
	assert_int_equal(shim_attr_store(dev, "cache_type", "write bac"),
			 -EINVAL);
	assert_int_equal(shim_attr_store(dev, "cache_type", "write backk\n"),
			 -EINVAL);
	assert_int_equal(shim_attr_store(dev, "cache_type", ""), -EINVAL);
	assert_int_equal(shim_attr_store(dev, "cache_type", "\n"), -EINVAL);
	assert_int_equal(disk->config.wce, 1);
	unplug();

	/* It cannot be changed. */
	renew();
	disk->fn.features &= ~F(VIRTIO_BLK_F_CONFIG_WCE);
	plug();
	dev = disk_to_dev(shim_disk(0));
	assert_int_equal(shim_attr_mode(dev, "cache_type"), 0444);
	shim_attr_show(dev, "cache_type", page);
	assert_string_equal(page, "write back\n");
	unplug();

	/* There is no flush: whatever the device says. */
	renew();
	disk->fn.features &= ~F(VIRTIO_BLK_F_FLUSH);
	plug();
	shim_attr_show(disk_to_dev(shim_disk(0)), "cache_type", page);
	assert_string_equal(page, "write through\n");
	assert_int_equal(do_io(IO_FLUSH, 0, 0), 0);
	unplug();
}

static void resize(u64 capacity)
{
	disk->config.capacity = capacity;
	set_config();
	fn_config_irq(&disk->fn);
	shim_run();
}

static void capacity_change(void **state)
{
	unsigned int msix;

	for (msix = 0; msix < 6; msix += 5) {
		renew();
		disk->fn.pci.msix_table = msix;
		plug();
		resize(2040);
		assert_int_equal(shim_disk(0)->capacity, 2040);
		assert_int_equal(shim_disk(0)->uevents, 1);
		assert_non_null(shim_log_find("vda: 2040 sectors"));
		/* Something else changed. */
		resize(2040);
		assert_int_equal(shim_disk(0)->uevents, 1);
		/* What cannot be. */
		resize(~0ULL);
		assert_int_equal(shim_disk(0)->capacity, 0);
		assert_non_null(shim_log_find("capacity 0xffffffffffffffff"));
		resize(2048);
		assert_int_equal(shim_disk(0)->capacity, 2048);
		/* An interrupt that is not worked off before it goes. */
		fn_config_irq(&disk->fn);
		unplug();
	}
}

/* While the driver was not ready for it: it hears of it afterwards, once. */
static u32 resize_early(struct fn *fn, int bar, u64 offset, unsigned int width,
			u32 v)
{
	if (bar == FN_BAR && offset == FN_COMMON + 20 && v == 0x0f &&
	    disk->config.capacity == 2048) {
		disk->config.capacity = 1024;
		set_config();
		fn_config_irq(fn);
		fn_config_irq(fn);
	}
	return v;
}

static void capacity_change_in_probe(void **state)
{
	MODERN_ONLY();
	disk->fn.hook = resize_early;
	plug();
	shim_run();
	assert_int_equal(shim_disk(0)->capacity, 1024);
	unplug();
}

static void names(void **state)
{
	enum { NUM = 29 };
	struct disk *more[NUM];
	unsigned int i;

	for (i = 0; i < NUM; i++) {
		more[i] = disk_new(i + 2);
		more[i]->fn.features &= ~F(VIRTIO_RING_F_INDIRECT_DESC);
		assert_int_equal(fn_plug(&more[i]->fn), 0);
	}
	assert_string_equal(shim_disk(0)->disk_name, "vda");
	assert_string_equal(shim_disk(25)->disk_name, "vdz");
	assert_string_equal(shim_disk(26)->disk_name, "vdaa");
	assert_string_equal(shim_disk(28)->disk_name, "vdac");
	assert_int_equal(shim_disk(26)->first_minor, 26 * 16);

	/* The second one goes; the next that comes is that. */
	fn_unplug(&more[1]->fn);
	plug();
	assert_string_equal(shim_disk(28)->disk_name, "vdb");
	unplug();
	for (i = 0; i < NUM; i++) {
		if (i != 1)
			fn_unplug(&more[i]->fn);
		disk_free(more[i]);
	}
}

/* Openers outlive the device; its name is free when the last one is gone. */
static void open_while_removed(void **state)
{
	struct disk *other = disk_new(2);
	struct gendisk *gd = plug();

	assert_int_equal(shim_open(gd), 0);
	assert_int_equal(shim_open(gd), 0);
	shim_close(gd);
	unplug();
	assert_int_equal(shim_open(gd), -ENXIO);
	assert_int_equal(fn_plug(&other->fn), 0);
	assert_string_equal(shim_disk(0)->disk_name, "vdb");
	shim_close(gd);
	fn_unplug(&other->fn);

	free(other->fn.pci.dev.name);
	disk_free(other);
	other = disk_new(2);
	assert_int_equal(fn_plug(&other->fn), 0);
	assert_string_equal(shim_disk(0)->disk_name, "vda");
	fn_unplug(&other->fn);
	disk_free(other);
}

static void geometry(void **state)
{
	struct hd_geometry geo;
	struct block_device bdev;

	bdev.bd_disk = plug();
	assert_int_equal(shim_open(bdev.bd_disk), 0);
	assert_int_equal(bdev.bd_disk->fops->getgeo(&bdev, &geo), 0);
	assert_int_equal(geo.heads, 64);
	assert_int_equal(geo.sectors, 32);
	assert_int_equal(geo.cylinders, 1);
	unplug();
	assert_int_equal(bdev.bd_disk->fops->getgeo(&bdev, &geo), -ENXIO);
	shim_close(bdev.bd_disk);

	renew();
	disk->fn.features |= F(VIRTIO_BLK_F_GEOMETRY);
	disk->config.geometry.cylinders = 1000;
	disk->config.geometry.heads = 16;
	disk->config.geometry.sectors = 63;
	set_config();
	bdev.bd_disk = plug();
	assert_int_equal(bdev.bd_disk->fops->getgeo(&bdev, &geo), 0);
	assert_int_equal(geo.cylinders, 1000);
	assert_int_equal(geo.heads, 16);
	assert_int_equal(geo.sectors, 63);
	unplug();
}

#define MANY	600

/* More requests than there is room: none is lost, none overtakes another. */
static void back_pressure(void **state)
{
	static const u16 sizes[] = { 4, 8, 64, 256 };
	struct shim_io *io[MANY];
	unsigned int i, s, features, last = 0;

	for (s = 0; s < ARRAY_SIZE(sizes); s++)
		for (features = 0; features < 2; features++) {
			renew();
			disk->fn.queue[0].max = sizes[s];
			disk->fn.queue[0].size = sizes[s];
			if (!features)
				disk->fn.features &=
					~(F(VIRTIO_RING_F_INDIRECT_DESC) |
					  F(VIRTIO_RING_F_EVENT_IDX));
			plug();
			for (i = 0; i < MANY; i++) {
				io[i] = submit(IO_WRITE, i * 2, 1024);
				if (i % 50 == 49)
					fn_serve_all();
			}
			for (i = 0; i < MANY; i++)
				settle();
			for (i = 0; i < MANY; i++) {
				assert_int_equal(io[i]->ended, 1);
				if (i)
					assert_int_equal(io[i]->order, last + 1);
				last = io[i]->order;
				assert_int_equal(shim_io_free(io[i]), 0);
			}
			unplug();
		}
}

/* A request cannot be mapped for DMA, now and then. */
static void mapping_failures(void **state)
{
	struct shim_io *io[40];
	unsigned int i, last = 0;

	disk->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
	plug();
	for (i = 0; i < 40; i++) {
		shim_fail_nth(1 + i % 7, FAIL_MAP);
		io[i] = submit(IO_READ, i, 8192);
		shim_fail_nth(0, 0);
		if (i % 5 == 0)
			settle();
	}
	settle();
	settle();
	for (i = 0; i < 40; i++) {
		assert_int_equal(io[i]->ended, 1);
		assert_true(!i || io[i]->order > last);
		last = io[i]->order;
		assert_int_equal(shim_io_free(io[i]), 0);
	}
	assert_int_equal(shim_counts.maps, 0);
	unplug();
}

/* A run of the queue is one kick, and its completions one interrupt. */
static void kicks_and_interrupts(void **state)
{
	struct shim_io *io[32];
	unsigned int i, kicks, irqs;

	plug();
	disk->hold = true;
	kicks = disk->fn.queue[0].kicks;
	irqs = disk->fn.irqs;
	for (i = 0; i < 32; i++) {
		io[i] = shim_io_new(IO_READ, i, 4096, 4096);
		shim_io_submit(shim_disk(0), io[i], false);
	}
	shim_run_queue(shim_disk(0));
	assert_int_equal(disk->fn.queue[0].kicks, kicks + 1);
	fn_serve_all();
	disk_release(disk);
	assert_int_equal(disk->fn.irqs, irqs + 1);
	disk->hold = false;
	settle();
	for (i = 0; i < 32; i++)
		assert_int_equal(shim_io_free(io[i]), 0);
	unplug();
}

static void in_flight(struct shim_io *io[], unsigned int n)
{
	unsigned int i;

	disk->hold = true;
	for (i = 0; i < n; i++)
		io[i] = submit(i % 2 ? IO_READ : IO_WRITE, i, 4096);
	fn_serve_all();
}

static void all_failed(struct shim_io *io[], unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		assert_int_equal(io[i]->ended, 1);
		assert_int_equal(shim_io_free(io[i]), -EIO);
	}
}

/* Answers last to first. */
static void reverse_order(void **state)
{
	struct shim_io *io[20];
	unsigned int i;

	plug();
	in_flight(io, 20);
	disk->reverse = true;
	disk_release(disk);
	disk->hold = false;
	settle();
	for (i = 0; i < 20; i++)
		assert_int_equal(shim_io_free(io[i]), 0);
	unplug();
}

/*
 * The device breaks with requests in flight and more behind them: all of them
 * end, and so does what comes later. Bound anew, it works again.
 */
static void broken(void **state)
{
	struct shim_io *io[300];
	struct virtio_device *vdev;
	unsigned int how;

	for (how = 0; how < 3; how++) {
		renew();
		if (how)
			disk->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
		plug();
		shim_log_clear();
		vdev = fn_vdev(&disk->fn);
		in_flight(io, 300);
		if (how == 2) {
			disk->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
			fn_config_irq(&disk->fn);
			assert_one_error("0000:01:00.0", "asks for a reset");
		} else {
			ring_push(&disk->fn.queue[0].ring, 9999, 1);
			fn_queue_irq(&disk->fn, 0);
			assert_one_error("0000:01:00.0", "id 9999 is out of range");
		}
		settle();
		all_failed(io, 300);
		assert_int_equal(shim_counts.maps, 0);
		assert_int_equal(do_io(IO_READ, 0, 4096), -EIO);
		assert_int_equal(do_io(IO_FLUSH, 0, 0), -EIO);
		assert_true(disk->fn.status & VIRTIO_CONFIG_S_FAILED);

		disk->hold = false;
		shim_unbind(&vdev->dev);
		assert_null(shim_disk(0));
		assert_int_equal(shim_bind(&vdev->dev), 0);
		assert_int_equal(do_io(IO_READ, 0, 4096), 0);
		unplug();
	}
}

/* Pulled out with requests in flight, and something still to be written. */
static void surprise_removal(void **state)
{
	struct shim_io *io[300];
	unsigned int dirty;

	for (dirty = 0; dirty < 2; dirty++) {
		renew();
		plug();
		in_flight(io, 300);
		shim_flush_before_del = dirty;
		disk->fn.gone = true;
		unplug();
		all_failed(io, 300);
		if (dirty)
			assert_int_equal(shim_io_free(shim_writeback), -EIO);
		shim_flush_before_del = false;
		assert_int_equal(shim_log_count('E'), 0);
	}
}

/* The bus tells the driver by a config interrupt that reads as ones. */
static void gone_by_interrupt(void **state)
{
	struct shim_io *io[10];

	plug();
	in_flight(io, 10);
	disk->fn.gone = true;
	shim_msix(&disk->fn.pci, 0);
	assert_one_error("0000:01:00.0", "is gone");
	settle();
	all_failed(io, 10);
	unplug();
}

/* Unbound while it is busy: the device still answers, and all is done. */
static void busy_removal(void **state)
{
	struct shim_io *io[300];
	unsigned int i;

	plug();
	in_flight(io, 300);
	disk->hold = false;
	shim_flush_before_del = true;
	unplug();
	assert_int_equal(shim_io_free(shim_writeback), 0);
	for (i = 0; i < 300; i++)
		assert_int_equal(io[i]->ended, 1);
	for (i = 0; i < 100; i++)
		assert_int_equal(io[i]->error, 0);
	for (i = 0; i < 300; i++)
		shim_io_free(io[i]);
	assert_int_equal(shim_log_count('E'), 0);
}

/* It breaks while remove waits for it. */
static void broken_during_removal(void **state)
{
	struct shim_io *io[20];

	plug();
	in_flight(io, 20);
	ring_push(&disk->fn.queue[0].ring, 9999, 1);
	fn_queue_irq(&disk->fn, 0);
	/* fail() is scheduled, and has not run. */
	unplug();
	all_failed(io, 20);
}

static void failures(void **state)
{
	unsigned int n, platform, works = 0;
	bool failed;

	for (platform = 0; platform < 2; platform++) {
		for (n = 1, failed = true; failed; n++) {
			renew();
			disk->fn.queue[0].max = 16;
			disk->fn.queue[0].size = 16;
			if (platform)
				disk->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
			shim_fail_nth(n, FAIL_ALL);
			fn_plug(&disk->fn);
			failed = shim_failed();
			shim_fail_nth(0, 0);
			if (shim_disk(0)) {
				assert_int_equal(do_io(IO_WRITE, 0, 8192), 0);
				works += failed;
			} else {
				assert_true(failed);
			}
			unplug();
			shim_log_clear();
			assert_int_equal(shim_counts.allocs, 0);
			assert_int_equal(shim_counts.pages, 0);
			assert_int_equal(shim_counts.maps, 0);
			assert_int_equal(shim_counts.coherent, 0);
			assert_int_equal(shim_counts.ioremaps, 0);
			assert_null(shim_disk(0));
		}
		assert_in_range(n, 30, 200);
	}
	assert_true(works > 5);
}

#ifndef COMPAT_HAVE_BLK_MQ_ALLOC_DISK	/* blk-mq does this for a driver */
/* A write that has to survive: with a cache, around and behind it is flushed. */
static void durable_writes(void **state)
{
	struct shim_io *io[3];
	unsigned int i, before;

	plug();
	before = disk->served;
	for (i = 0; i < 3; i++) {
		io[i] = shim_io_new(IO_WRITE, i * 8, 4096, 4096);
		io[i]->durable = i == 1;
		shim_io_submit(shim_disk(0), io[i], true);
	}
	for (i = 0; i < 6; i++)
		settle();
	for (i = 0; i < 3; i++)
		assert_int_equal(shim_io_free(io[i]), 0);
	assert_int_equal(disk->served, before + 5);
#ifndef SHIM_FLUSH_FLAGS
	/* A barrier: strictly in order. */
	assert_int_equal(disk->log[before], VIRTIO_BLK_T_OUT);
	assert_int_equal(disk->log[before + 1], VIRTIO_BLK_T_FLUSH);
	assert_int_equal(disk->log[before + 2], VIRTIO_BLK_T_OUT);
	assert_int_equal(disk->log[before + 3], VIRTIO_BLK_T_FLUSH);
#endif

	/* Write-through from now on: what was written before is flushed. */
	assert_int_equal(shim_attr_store(disk_to_dev(shim_disk(0)),
					 "cache_type", "write through"), 13);
	before = disk->served;
	io[0] = shim_io_new(IO_WRITE, 0, 4096, 4096);
	io[0]->durable = true;
	shim_io_submit(shim_disk(0), io[0], true);
	assert_int_equal(finish(io[0]), 0);
	assert_int_equal(disk->served, before + 3);

	/* The flush fails: so does the write. */
	assert_int_equal(shim_attr_store(disk_to_dev(shim_disk(0)),
					 "cache_type", "write back"), 10);
	disk->status = VIRTIO_BLK_S_IOERR;
	io[0] = shim_io_new(IO_WRITE, 0, 4096, 4096);
	io[0]->durable = true;
	shim_io_submit(shim_disk(0), io[0], true);
	settle();
	settle();
	assert_int_equal(finish(io[0]), -EIO);
	disk->status = -1;
	assert_int_equal(do_io(IO_FLUSH, 0, 0), 0);
	unplug();
}
#endif

/* A device forgets at a reset what it was told, as QEMU's does. */
static void disk_forgets(struct fn *fn)
{
	disk->config.wce = 1;
	set_config();
}

/*
 * What is in flight is done before the sleep, what comes later after it; and
 * the cache mode is what it was.
 */
static void sleeps(void **state)
{
	enum { NUM = 40 };
	struct shim_io *io[NUM], *late[NUM];
	unsigned int i, kind, served;

	disk->fn.on_reset = disk_forgets;
	for (kind = 0; kind < SHIM_SLEEP_KINDS; kind++) {
		plug();
		assert_int_equal(shim_attr_store(disk_to_dev(shim_disk(0)),
						 "cache_type", "write through"),
				 13);
		for (i = 0; i < NUM; i++)
			io[i] = submit(IO_WRITE, 8 * i, 4096);
		assert_int_equal(fn_sleep(&disk->fn, kind), 0);
		served = disk->served;
		for (i = 0; i < NUM; i++) {
			assert_int_equal(shim_io_free(io[i]), 0);
			late[i] = submit(IO_READ, 8 * i, 4096);
		}
		settle();
		assert_int_equal(disk->served, served);
		for (i = 0; i < NUM; i++)
			assert_int_equal(late[i]->ended, 0);

		assert_int_equal(fn_wake(&disk->fn, kind), 0);
		settle();
		for (i = 0; i < NUM; i++)
			assert_int_equal(shim_io_free(late[i]), 0);
		shim_attr_show(disk_to_dev(shim_disk(0)), "cache_type", page);
		assert_string_equal(page, "write through\n");
		assert_int_equal(disk->config.wce, 0);
		assert_int_equal(do_io(IO_FLUSH, 0, 0), 0);
		unplug();
		renew();
		disk->fn.on_reset = disk_forgets;
	}
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

/* Its size is another one when it wakes. */
static void grows_asleep(void **state)
{
	plug();
	assert_int_equal(fn_sleep(&disk->fn, SHIM_SLEEP_RAM), 0);
	disk->config.capacity = 1024;
	set_config();
	assert_int_equal(fn_wake(&disk->fn, SHIM_SLEEP_RAM), 0);
	shim_run();
	assert_int_equal(shim_disk(0)->capacity, 1024);
	unplug();
}

/* It does not answer: the machine stays awake, and nothing is lost. */
static void stays_awake(void **state)
{
	struct shim_io *io[4], *late;
	unsigned int i;

	plug();
	disk->hold = true;
	for (i = 0; i < 4; i++)
		io[i] = submit(IO_WRITE, 8 * i, 4096);
	assert_int_equal(fn_sleep(&disk->fn, SHIM_SLEEP_RAM), -EBUSY);
	assert_non_null(strstr(shim_log_find("not answered in 20 s"), "vda"));
	late = submit(IO_READ, 0, 4096);
	disk->hold = false;
	settle();
	for (i = 0; i < 4; i++)
		assert_int_equal(finish(io[i]), 0);
	assert_int_equal(finish(late), 0);
	/* And the next time it sleeps. */
	assert_int_equal(fn_sleep(&disk->fn, SHIM_SLEEP_RAM), 0);
	assert_int_equal(fn_wake(&disk->fn, SHIM_SLEEP_RAM), 0);
	assert_int_equal(do_io(IO_READ, 0, 4096), 0);
	unplug();
}

/* The question for its name is still unanswered: it is no reason to stay. */
static void sleeps_without_name(void **state)
{
	disk->hold = true;
	plug();
	assert_int_equal(fn_sleep(&disk->fn, SHIM_SLEEP_RAM), 0);
	disk->hold = false;
	assert_int_equal(fn_wake(&disk->fn, SHIM_SLEEP_RAM), 0);
	assert_int_equal(do_io(IO_READ, 0, 4096), 0);
	unplug();
}

/* Broken before or during the sleep, gone at its end, or never awake again. */
static void does_not_wake(void **state)
{
	struct shim_io *early, *late;
	unsigned int how;

	for (how = 0; how < 4; how++) {
		renew();
		plug();
		early = submit(IO_WRITE, 0, 4096);
		if (how == 0) {
			disk->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
			fn_config_irq(&disk->fn);
		}
		assert_int_equal(fn_sleep(&disk->fn, SHIM_SLEEP_RAM), 0);
		late = submit(IO_WRITE, 8, 4096);
		if (how == 1)
			disk->fn.gone = true;
		if (how == 2)
			disk->fn.features &= ~F(VIRTIO_BLK_F_SEG_MAX);
		if (how != 3)
			fn_wake(&disk->fn, SHIM_SLEEP_RAM);
		if (how != 3)
			assert_int_equal(finish(late), -EIO);
		unplug();
		if (how == 3)
			assert_int_equal(shim_io_free(late), -EIO);
		assert_int_equal(shim_io_free(early), how ? 0 : -EIO);
	}
}

/*
 * A machine that restarts: what was submitted is done, what comes later gets no
 * error, unless the disk goes after all.
 */
static void shut_down(void **state)
{
	struct shim_io *io[40], *late;
	unsigned int i, stuck;

	for (stuck = 0; stuck < 2; stuck++) {
		renew();
		plug();
		disk->hold = stuck;
		for (i = 0; i < 40; i++)
			io[i] = submit(IO_WRITE, 8 * i, 4096);
		shim_shutdown(&fn_vdev(&disk->fn)->dev);
		assert_int_equal(disk->fn.status, 0);
		for (i = 0; i < 40; i++)
			assert_int_equal(io[i]->ended, !stuck);
		assert_int_equal(shim_log_count('W'), stuck);
		late = submit(IO_READ, 0, 4096);
		settle();
		assert_int_equal(late->ended, 0);
		unplug();
		for (i = 0; i < 40; i++)
			assert_int_equal(shim_io_free(io[i]),
					 stuck ? -EIO : 0);
		assert_int_equal(shim_io_free(late), -EIO);
	}
}

/* As many queues as there are CPUs, on a kernel that can. */
static void many_queues(void **state)
{
	struct shim_io *io[64];
	unsigned int i;

	shim_cpus = 4;
	disk->fn.num_queues = 4;
	disk->fn.features |= F(VIRTIO_BLK_F_MQ);
	disk->config.num_queues = 4;
	set_config();
	plug();
	for (i = 0; i < 64; i++)
		io[i] = submit(IO_WRITE, i, 4096);
	settle();
	for (i = 0; i < 64; i++)
		assert_int_equal(shim_io_free(io[i]), 0);
#ifdef COMPAT_HAVE_BLK_MQ_ALLOC_DISK
	assert_int_equal(disk->fn.pci.msix_on, 5);
	assert_string_equal(shim_irq_name(1102), "virtio0-req.1");
	for (i = 0; i < 4; i++) {
		assert_true(disk->fn.queue[i].kicks > 0);
		assert_ptr_equal(shim_irq_hint(1101 + i), cpumask_of(i));
	}
#else
	assert_int_equal(disk->fn.pci.msix_on, 2);
	assert_string_equal(shim_irq_name(1101), "virtio0-requests");
#endif
	unplug();
}

#define blk_test(f)	cmocka_unit_test_setup_teardown(f, blk_setup, blk_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		blk_test(read_and_write),
		blk_test(statuses),
		blk_test(used_lengths),
		blk_test(segment_limits),
		blk_test(limits),
		blk_test(serials),
		blk_test(serial_unanswered),
		blk_test(cache_type),
		blk_test(capacity_change),
		blk_test(capacity_change_in_probe),
		blk_test(names),
		blk_test(open_while_removed),
		blk_test(geometry),
		blk_test(back_pressure),
		blk_test(mapping_failures),
		blk_test(kicks_and_interrupts),
		blk_test(reverse_order),
		blk_test(broken),
		blk_test(surprise_removal),
		blk_test(gone_by_interrupt),
		blk_test(busy_removal),
		blk_test(broken_during_removal),
		blk_test(failures),
#ifndef COMPAT_HAVE_BLK_MQ_ALLOC_DISK
		blk_test(durable_writes),
#endif
		blk_test(sleeps),
		blk_test(grows_asleep),
		blk_test(stays_awake),
		blk_test(sleeps_without_name),
		blk_test(does_not_wake),
		blk_test(shut_down),
		blk_test(many_queues),
	};

	return cmocka_run_group_tests_name("blk", tests, NULL, NULL);
}
