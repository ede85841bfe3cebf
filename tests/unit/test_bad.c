// SPDX-License-Identifier: GPL-2.0
/*
 * Devices that are wrong in one way: each ends with one line in the log that
 * names the PCI address and the field, the device unbound or its I/O failed,
 * and everything else going on as before.
 */
#include "unit.h"

#define ADDRESS	"0000:01:00.0"

static struct disk *disk, *good;

/* The good disk, vda, is there throughout and works in the end. */
static int bad_setup(void **state)
{
	stack_setup(state);
	good = disk_new(9);
	disk = disk_new(1);
	assert_int_equal(fn_plug(&good->fn), 0);
	shim_log_clear();
	return 0;
}

static int do_read(unsigned int n)
{
	struct shim_io *io = shim_io_new(IO_READ, 0, 4096, 4096);
	unsigned int i;

	shim_io_submit(shim_disk(n), io, true);
	for (i = 0; i < 5; i++) {
		fn_serve_all();
		shim_run_for(5);
	}
	return shim_io_free(io);
}

static int bad_teardown(void **state)
{
	int err = do_read(0);
	int ret = stack_teardown(state);

	free(disk->fn.pci.dev.name);
	disk_free(good);
	disk_free(disk);
	return ret || err;
}

/* Plugging it in gives no disk, and says why: @field. */
static void refused(const char *field)
{
	fn_plug(&disk->fn);
	shim_run();
	assert_null(shim_disk(1));
	assert_one_error(ADDRESS, field);
	/* Whoever got that far is told that it failed. */
	if (fn_vdev(&disk->fn) && fn_vdev(&disk->fn)->config)
		assert_null(fn_vdev(&disk->fn)->dev.driver);
	fn_unplug(&disk->fn);
	assert_int_equal(shim_log_count('E'), 1);
}

/* It works, and then its I/O fails. */
static void fails(const char *field)
{
	assert_int_equal(do_read(1), -EIO);
	assert_one_error(ADDRESS, field);
	assert_int_equal(do_read(1), -EIO);
	assert_int_equal(shim_log_count('E'), 1);
	fn_unplug(&disk->fn);
}

static void set_config(void)
{
	memcpy(disk->fn.device_config, &disk->config, sizeof(disk->config));
}

/* The last capability points into the header. */
static void capability_into_header(void **state)
{
	disk->fn.config[disk->fn.last_cap + 1] = 0x10;
	fn_plug(&disk->fn);
	assert_one_error(ADDRESS, "capability list: points into the header at 0x10");
	/* What is needed came before it. */
	assert_int_equal(do_read(1), 0);
	fn_unplug(&disk->fn);
}

static void capability_loop(void **state)
{
	disk->fn.config[disk->fn.last_cap + 1] = disk->fn.last_cap;
	fn_plug(&disk->fn);
	assert_one_error(ADDRESS, "capability list: does not end");
	assert_int_equal(do_read(1), 0);
	fn_unplug(&disk->fn);
}

static void capability_beyond_bar(void **state)
{
	u32 length = FN_BAR_LEN + 1;

	/* The common config's, which is the last one. */
	memcpy(&disk->fn.config[disk->fn.last_cap + 12], &length, 4);
	refused("offset 0x0 + length 0x4001 is beyond");
}

static void pci_config_of_ones(void **state)
{
	memset(disk->fn.config, 0xff, sizeof(disk->fn.config));
	refused("common config");
}

static void device_config_of_ones(void **state)
{
	memset(disk->fn.device_config, 0xff, sizeof(disk->fn.device_config));
	refused("blk_size 4294967295");
}

static void queue_size_0(void **state)
{
	disk->fn.queue[0].max = disk->fn.queue[0].size = 0;
	refused("queue 0: queue_size is 0");
}

static void queue_size_odd(void **state)
{
	disk->fn.queue[0].max = disk->fn.queue[0].size = 100;
	refused("queue 0: queue_size 100 is no power of 2");
}

static void queue_size_huge(void **state)
{
	disk->fn.queue[0].max = disk->fn.queue[0].size = 0xffff;
	refused("queue 0: queue_size 65535");
}

static void queue_size_tiny(void **state)
{
	disk->fn.queue[0].max = disk->fn.queue[0].size = 2;
	refused("queue 0: queue_size 2 leaves no room");
}

static void no_queue(void **state)
{
	disk->fn.num_queues = 0;
	refused("num_queues is 0");
}

static void num_queues_0(void **state)
{
	disk->fn.features |= 1ULL << VIRTIO_BLK_F_MQ;
	disk->config.num_queues = 0;
	set_config();
	refused("num_queues is 0");
}

static void blk_sizes(void **state)
{
	static const u32 sizes[] = { 0, 1, 256, 511, 513, 3000, 8192, 65536 };
	char field[32];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		free(disk->fn.pci.dev.name);
		disk_free(disk);
		disk = disk_new(1);
		disk->config.blk_size = sizes[i];
		set_config();
		shim_log_clear();
		snprintf(field, sizeof(field), "blk_size %u ", sizes[i]);
		refused(field);
	}
}

static void size_max_0(void **state)
{
	disk->fn.features |= 1ULL << VIRTIO_BLK_F_SIZE_MAX;
	refused("size_max 0");
}

static void features_refused(void **state)
{
	disk->fn.refuse = 1ULL << VIRTIO_RING_F_EVENT_IDX;
	refused("features 0x");
}

static void no_version_1(void **state)
{
	disk->fn.features &= ~(1ULL << VIRTIO_F_VERSION_1);
	refused("device_feature: VERSION_1");
}

static u32 enabled(struct fn *fn, int bar, u64 offset, unsigned int width,
		   u32 v)
{
	return bar == FN_BAR && offset == FN_COMMON + 28 ? 1 : v;
}

static void queue_enabled_after_reset(void **state)
{
	disk->fn.hook = enabled;
	refused("queue_enable is 1");
}

/* The bound is ten seconds; it is not exceeded by much. */
static void never_leaves_reset(void **state)
{
	unsigned long before = jiffies;

	disk->fn.reset_polls = -1;
	refused("device_status still 0x0f");
	assert_in_range(jiffies_to_msecs(jiffies - before), 10000, 11000);
}

static bool may_access_memory(void)
{
	return disk->fn.config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

/*
 * It stops resetting when it is in use: remove takes its time, ends, and what
 * the device had of our memory is out of its reach. Until it is better.
 */
static void reset_stops_working(void **state)
{
	struct virtio_device *vdev;

	fn_plug(&disk->fn);
	assert_int_equal(do_read(1), 0);
	assert_true(may_access_memory());
	vdev = fn_vdev(&disk->fn);
	disk->fn.reset_polls = -1;
	shim_unbind(&vdev->dev);
	assert_one_error(ADDRESS, "device_status still");
	assert_false(may_access_memory());

	disk->fn.reset_polls = disk->fn.polls_left = 0;
	assert_int_equal(shim_bind(&vdev->dev), 0);
	assert_true(may_access_memory());
	assert_int_equal(do_read(1), 0);
	fn_unplug(&disk->fn);
	assert_int_equal(shim_log_count('E'), 1);
}

static void serve_bad_id(struct fn *fn, unsigned int queue)
{
	ring_push(&fn->queue[queue].ring, 256, 1);
	fn_queue_irq(fn, queue);
	fn->serve = NULL;
}

static void used_id_out_of_range(void **state)
{
	fn_plug(&disk->fn);
	disk->fn.serve = serve_bad_id;
	fails("queue 0 (requests): used ring: id 256 is out of range");
}

static void serve_unknown_id(struct fn *fn, unsigned int queue)
{
	ring_push(&fn->queue[queue].ring, 200, 1);
	fn_queue_irq(fn, queue);
	fn->serve = NULL;
}

static void used_id_not_in_flight(void **state)
{
	fn_plug(&disk->fn);
	disk->fn.serve = serve_unknown_id;
	fails("queue 0 (requests): used ring: id 200 is not in flight");
}

static void used_length_too_long(void **state)
{
	fn_plug(&disk->fn);
	disk->used_len = 1000000;
	assert_int_equal(do_read(1), -EIO);
	assert_one_error(ADDRESS, "used ring: length 1000000 exceeds");
	/* That request only: the next one is welcome. */
	disk->used_len = -1;
	assert_int_equal(do_read(1), 0);
	fn_unplug(&disk->fn);
	assert_int_equal(shim_log_count('E'), 1);
}

static void needs_reset(void **state)
{
	fn_plug(&disk->fn);
	disk->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	fn_config_irq(&disk->fn);
	fails("status 0x4f: the device asks for a reset");
}

/* What is read twice may differ: what was checked is what is used. */
static unsigned int reads;

static u32 second_thoughts(struct fn *fn, int bar, u64 offset,
			   unsigned int width, u32 v)
{
	if (bar == FN_BAR && offset >= FN_DEVICE && offset < FN_NOTIFY) {
		/* Fields are good when they are read first, and 0 later. */
		static u8 seen[64];

		if (!reads++)
			memset(seen, 0, sizeof(seen));
		if (seen[offset - FN_DEVICE])
			return 0;
		seen[offset - FN_DEVICE] = 1;
	}
	return v;
}

static void config_changes_its_mind(void **state)
{
	reads = 0;
	shim_cpus = 2;
	disk->fn.num_queues = 2;
	disk->fn.features |= 1ULL << VIRTIO_BLK_F_MQ |
			     1ULL << VIRTIO_BLK_F_SIZE_MAX |
			     1ULL << VIRTIO_BLK_F_TOPOLOGY;
	disk->config.num_queues = 2;
	disk->config.size_max = 65536;
	disk->config.topology.opt_io_size = 8;
	set_config();
	disk->fn.hook = second_thoughts;
	fn_plug(&disk->fn);
	assert_non_null(shim_disk(1));
	assert_int_equal(shim_disk(1)->queue->limits.logical_block_size, 512);
	assert_int_equal(do_read(1), 0);
	fn_unplug(&disk->fn);
	assert_int_equal(shim_log_count('E'), 0);
}

#define bad_test(f)	cmocka_unit_test_setup_teardown(f, bad_setup, bad_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		bad_test(capability_into_header),
		bad_test(capability_loop),
		bad_test(capability_beyond_bar),
		bad_test(pci_config_of_ones),
		bad_test(device_config_of_ones),
		bad_test(queue_size_0),
		bad_test(queue_size_odd),
		bad_test(queue_size_huge),
		bad_test(queue_size_tiny),
		bad_test(no_queue),
		bad_test(num_queues_0),
		bad_test(blk_sizes),
		bad_test(size_max_0),
		bad_test(features_refused),
		bad_test(no_version_1),
		bad_test(queue_enabled_after_reset),
		bad_test(never_leaves_reset),
		bad_test(reset_stops_working),
		bad_test(used_id_out_of_range),
		bad_test(used_id_not_in_flight),
		bad_test(used_length_too_long),
		bad_test(needs_reset),
		bad_test(config_changes_its_mind),
	};

	return cmocka_run_group_tests_name("bad input", tests, NULL, NULL);
}
