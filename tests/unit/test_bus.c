// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio bus: virtio.c between a transport and a driver that are both in
 * this file and write down what is asked of them.
 */
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include "unit.h"

#define F(bit)	(1ULL << (bit))
#define ACK	VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRV	VIRTIO_CONFIG_S_DRIVER
#define OK	VIRTIO_CONFIG_S_DRIVER_OK
#define FEAT	VIRTIO_CONFIG_S_FEATURES_OK
#define FAILED	VIRTIO_CONFIG_S_FAILED
#define RESET	VIRTIO_CONFIG_S_NEEDS_RESET

static struct device parent = { .name = "parent" };

/* The transport */

static struct virtio_device *vdev;
static u8 status, statuses[32];
static unsigned int num_statuses, resets, released, synced, generations;
static unsigned int restarts;
static u64 offered, accepted;
static bool refuse_features;
static int reset_error, finalize_error, restart_error;
static u8 config[64];

static void t_get(struct virtio_device *dev, unsigned int offset, void *buf,
		  unsigned int len)
{
	memcpy(buf, config + offset, len);
	if (generations)
		memset(config, generations, sizeof(config));
}

static u32 t_generation(struct virtio_device *dev)
{
	return generations ? generations-- : 0;
}

static u8 t_get_status(struct virtio_device *dev)
{
	return status;
}

static void t_set_status(struct virtio_device *dev, u8 s)
{
	assert_int_not_equal(s, 0);
	if (refuse_features)
		s &= ~FEAT;
	status = s;
	if (num_statuses < ARRAY_SIZE(statuses))
		statuses[num_statuses++] = s;
}

static int t_reset(struct virtio_device *dev)
{
	resets++;
	if (reset_error)
		return reset_error;
	status = 0;
	if (num_statuses < ARRAY_SIZE(statuses))
		statuses[num_statuses++] = 0;
	return 0;
}

static void t_synchronize(struct virtio_device *dev)
{
	synced++;
}

static u64 t_get_features(struct virtio_device *dev)
{
	assert_int_equal(status, ACK | DRV);
	return offered;
}

static int t_finalize(struct virtio_device *dev)
{
	assert_int_equal(status, ACK | DRV);
	accepted = dev->features;
	return finalize_error;
}

static const char *t_bus_name(struct virtio_device *dev)
{
	return "0000:00:07.0";
}

static int t_restart_vqs(struct virtio_device *dev)
{
	restarts++;
	assert_int_equal(status, ACK | DRV | FEAT);
	return restart_error;
}

static const struct virtio_config_ops ops = {
	.get			= t_get,
	.generation		= t_generation,
	.get_status		= t_get_status,
	.set_status		= t_set_status,
	.reset			= t_reset,
	.synchronize_cbs	= t_synchronize,
	.get_features		= t_get_features,
	.finalize_features	= t_finalize,
	.bus_name		= t_bus_name,
	.restart_vqs		= t_restart_vqs,
};

static void t_release(struct device *dev)
{
	released++;
	free(dev_to_virtio(dev));
}

static int add_device(u32 type, u32 vendor)
{
	int err;

	vdev = calloc(1, sizeof(*vdev));
	vdev->dev.parent = &parent;
	vdev->dev.release = t_release;
	vdev->id.device = type;
	vdev->id.vendor = vendor;
	vdev->config = &ops;
	err = register_virtio_device(vdev);
	if (err)
		put_device(&vdev->dev);
	return err;
}

/* The driver */

static unsigned int probes, scans, removes, changes, fails, validates;
static unsigned int suspends, resumes, shutdowns;
static int probe_error, validate_error, suspend_error;
static u64 clear_in_validate;
static bool ready_in_probe, break_in_probe, change_in_probe, break_in_remove;

static int d_validate(struct virtio_device *dev)
{
	validates++;
	assert_int_equal(status, ACK | DRV);
	dev->features &= ~clear_in_validate;
	return validate_error;
}

static int d_probe(struct virtio_device *dev)
{
	probes++;
	assert_int_equal(status, ACK | DRV | FEAT);
	if (change_in_probe) {
		virtio_config_changed(dev);
		virtio_config_changed(dev);
		assert_int_equal(changes, 0);
	}
	if (ready_in_probe) {
		virtio_device_ready(dev);
		assert_int_equal(status, ACK | DRV | FEAT | OK);
	}
	if (break_in_probe) {
		virtio_break_device(dev);
		shim_run();
	}
	return probe_error;
}

static void d_scan(struct virtio_device *dev)
{
	scans++;
	assert_true(status & OK || break_in_probe);
}

static void d_remove(struct virtio_device *dev)
{
	unsigned int before = changes, failed = fails;

	removes++;
	/* Changes are held back from now on. */
	virtio_config_changed(dev);
	assert_int_equal(changes, before);
	if (break_in_remove) {
		/* Its I/O must not hang: fail() comes even now. */
		virtio_break_device(dev);
		shim_run();
		assert_int_equal(fails, failed + 1);
	}
	virtio_reset_device(dev);
	/* But not any more. */
	virtio_break_device(dev);
	shim_run();
	assert_int_equal(fails, failed + break_in_remove);
}

static void d_changed(struct virtio_device *dev)
{
	changes++;
}

static void d_fail(struct virtio_device *dev)
{
	fails++;
	assert_int_equal(status, 0);
	might_sleep();
}

static int d_suspend(struct virtio_device *dev)
{
	unsigned int before = changes;

	suspends++;
	virtio_config_changed(dev);
	assert_int_equal(changes, before);
	if (!suspend_error)
		virtio_reset_device(dev);
	return suspend_error;
}

static void d_resume(struct virtio_device *dev)
{
	unsigned int before = changes;

	resumes++;
	if (!virtio_device_is_broken(dev))
		assert_int_equal(status, ACK | DRV | FEAT);
	virtio_config_changed(dev);
	assert_int_equal(changes, before);
	virtio_device_ready(dev);
}

static void d_shutdown(struct virtio_device *dev)
{
	shutdowns++;
	virtio_config_changed(dev);
	virtio_reset_device(dev);
}

static const unsigned int features[] = { 1, 5, 40 };

static const struct virtio_device_id ids[] = {
	{ 4, 0x1af4 }, { 5, VIRTIO_DEV_ANY_ID }, { 0 }
};

static struct virtio_driver driver = {
	.driver.name		= "d",
	.id_table		= ids,
	.feature_table		= features,
	.feature_table_size	= ARRAY_SIZE(features),
	.validate		= d_validate,
	.probe			= d_probe,
	.scan			= d_scan,
	.remove			= d_remove,
	.config_changed		= d_changed,
	.fail			= d_fail,
	.suspend		= d_suspend,
	.resume			= d_resume,
	.shutdown		= d_shutdown,
};

static int bus_setup(void **state)
{
	unit_setup(state);
	status = 0x55;
	num_statuses = resets = released = synced = generations = 0;
	offered = F(VIRTIO_F_VERSION_1) | F(1) | F(2) | F(5);
	refuse_features = false;
	reset_error = finalize_error = probe_error = validate_error = 0;
	restart_error = suspend_error = 0;
	suspends = resumes = shutdowns = restarts = 0;
	driver.suspend = d_suspend;
	driver.shutdown = d_shutdown;
	probes = scans = removes = changes = fails = validates = 0;
	clear_in_validate = 0;
	ready_in_probe = break_in_probe = change_in_probe = false;
	break_in_remove = false;
	assert_int_equal(shim_init_virtio(), 0);
	assert_int_equal(register_virtio_driver(&driver), 0);
	return 0;
}

static int bus_teardown(void **state)
{
	unregister_virtio_driver(&driver);
	shim_exit_virtio();
	return unit_teardown(state);
}

static void assert_statuses(const u8 *expected, unsigned int n)
{
	unsigned int i;

	assert_int_equal(num_statuses, n);
	for (i = 0; i < n; i++)
		assert_int_equal(statuses[i], expected[i]);
}

/* Section 3.1.1, step by step. */
static void status_sequence(void **state)
{
	static const u8 expected[] = {
		0, ACK, 0, ACK, ACK | DRV, ACK | DRV | FEAT,
		ACK | DRV | FEAT | OK,
	};

	assert_int_equal(add_device(4, 0x1af4), 0);
	assert_statuses(expected, ARRAY_SIZE(expected));
	assert_int_equal(probes, 1);
	assert_int_equal(scans, 1);
	assert_true(accepted == (F(VIRTIO_F_VERSION_1) | F(1) | F(5)));
	unregister_virtio_device(vdev);
	assert_int_equal(removes, 1);
	assert_int_equal(released, 1);
}

/* The driver switches it on itself: only once. */
static void ready_early(void **state)
{
	ready_in_probe = true;
	assert_int_equal(add_device(4, 0x1af4), 0);
	assert_int_equal(num_statuses, 7);
	assert_int_equal(status, ACK | DRV | FEAT | OK);
	unregister_virtio_device(vdev);
}

static void negotiation(void **state)
{
	/* Bits of the transport go through to it; no one else's do. */
	offered = ~0ULL;
	clear_in_validate = F(5);
	assert_int_equal(add_device(4, 0x1af4), 0);
	assert_true(accepted == (F(1) | 0x3fffULL << 28));
	assert_int_equal(validates, 1);
	unregister_virtio_device(vdev);
}

static void negotiation_fails(void **state)
{
	unsigned int how;

	for (how = 0; how < 4; how++) {
		refuse_features = how == 0;
		validate_error = how == 1 ? -EINVAL : 0;
		finalize_error = how == 2 ? -EINVAL : 0;
		probe_error = how == 3 ? -ENOMEM : 0;
		ready_in_probe = how == 3;
		shim_log_clear();
		assert_int_equal(add_device(4, 0x1af4), 0);
		assert_null(vdev->dev.driver);
		assert_true(status & FAILED);
		assert_false(how != 3 && status & OK);
		assert_int_equal(probes, how == 3);
		if (how == 0)
			assert_one_error("0000:00:07.0", "refuses the features");
		/* Nothing of it is delivered later. */
		virtio_break_device(vdev);
		shim_run();
		assert_int_equal(fails, 0);

		/* It may be tried again. */
		refuse_features = false;
		validate_error = finalize_error = probe_error = 0;
		assert_int_equal(shim_bind(&vdev->dev), 0);
		assert_int_equal(status, ACK | DRV | FEAT | OK);
		unregister_virtio_device(vdev);
		probes = 0;
	}
}

/* A device without VERSION_1, on a transport that puts up with that. */
static void legacy(void **state)
{
	static const unsigned int old[] = { 2 };
	static const u8 expected[] = { 0, ACK, 0, ACK, ACK | DRV, };

	driver.feature_table_legacy = old;
	driver.feature_table_size_legacy = 1;
	driver.probe = NULL;
	offered &= ~F(VIRTIO_F_VERSION_1);
	finalize_error = -EIO;	/* as far as it goes here */
	assert_int_equal(add_device(4, 0x1af4), 0);
	assert_true(accepted == F(2));
	assert_memory_equal(statuses, expected, sizeof(expected));
	finalize_error = 0;
	driver.feature_table_legacy = NULL;
	driver.probe = d_probe;
	unregister_virtio_device(vdev);
}

static void reset_fails(void **state)
{
	reset_error = -ETIMEDOUT;
	assert_int_equal(add_device(4, 0x1af4), -ETIMEDOUT);
	assert_int_equal(released, 1);
	assert_int_equal(num_statuses, 0);
	reset_error = 0;
	/* Its index is free again. */
	assert_int_equal(add_device(4, 0x1af4), 0);
	assert_string_equal(dev_name(&vdev->dev), "virtio0");
	unregister_virtio_device(vdev);
}

static void registration_fails(void **state)
{
	unsigned int n;

	for (n = 1;; n++) {
		shim_fail_nth(n, FAIL_ALL);
		if (!add_device(4, 0x1af4))
			break;
		assert_int_equal(released, n);
	}
	assert_in_range(n, 3, 5);
	shim_fail_nth(0, 0);
	assert_string_equal(dev_name(&vdev->dev), "virtio0");
	unregister_virtio_device(vdev);
}

static void matching(void **state)
{
	static const struct {
		u32 type, vendor;
		bool bound;
	} m[] = {
		{ 4, 0x1af4, true }, { 4, 0x1af5, false }, { 5, 1, true },
		{ 6, 0x1af4, false },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(m); i++) {
		assert_int_equal(add_device(m[i].type, m[i].vendor), 0);
		assert_int_equal(vdev->dev.driver != NULL, m[i].bound);
		assert_int_equal(status == ACK, !m[i].bound);
		unregister_virtio_device(vdev);
	}

	/* A driver that wants a bit that does not exist. */
	{
		static const unsigned int bad[] = { 64 };
		struct virtio_driver d = driver;

		d.feature_table = bad;
		d.feature_table_size = 1;
		shim_expect_warn();
		assert_int_equal(register_virtio_driver(&d), -EINVAL);
		assert_true(shim_warned());
	}
}

/* The formats of EL6's kernels. */
static void sysfs(void **state)
{
	static char page[4096], bits[66];
	struct kobj_uevent_env env;

	assert_int_equal(add_device(4, 0x1af4), 0);
	shim_attr_show(&vdev->dev, "device", page);
	assert_string_equal(page, "4");
	shim_attr_show(&vdev->dev, "vendor", page);
	assert_string_equal(page, "6900");
	shim_attr_show(&vdev->dev, "status", page);
	assert_string_equal(page, "0x0000000f");
	shim_attr_show(&vdev->dev, "modalias", page);
	assert_string_equal(page, "virtio:d00000004v00001AF4\n");
	memset(bits, '0', 64);
	bits[1] = bits[5] = bits[32] = '1';
	bits[64] = '\n';
	shim_attr_show(&vdev->dev, "features", page);
	assert_string_equal(page, bits);
	vdev->dev.bus->uevent(&vdev->dev, &env);
	assert_string_equal(env.buf, "MODALIAS=virtio:d00000004v00001AF4");
	unregister_virtio_device(vdev);
}

/* Changes are passed on one by one; what came too early, once, later. */
static void config_changes(void **state)
{
	change_in_probe = true;
	assert_int_equal(add_device(4, 0x1af4), 0);
	assert_int_equal(changes, 1);
	virtio_config_changed(vdev);
	assert_int_equal(changes, 2);
	virtio_config_changed(vdev);
	assert_int_equal(changes, 3);

	/* One that came in vain, while it went, is not the next one's. */
	shim_unbind(&vdev->dev);
	change_in_probe = false;
	assert_int_equal(shim_bind(&vdev->dev), 0);
	assert_int_equal(changes, 3);
	unregister_virtio_device(vdev);
	assert_int_equal(changes, 3);
}

static void needs_reset(void **state)
{
	assert_int_equal(add_device(4, 0x1af4), 0);
	status |= RESET;
	virtio_config_changed(vdev);
	assert_one_error("0000:00:07.0", "status 0x4f");
	assert_true(virtio_device_is_broken(vdev));
	assert_int_equal(changes, 0);
	assert_int_equal(fails, 0);
	shim_run();
	assert_int_equal(fails, 1);
	assert_true(synced > 0);
	assert_true(status & FAILED);
	/* Said once, done once. */
	status |= RESET;
	virtio_config_changed(vdev);
	virtio_break_device(vdev);
	shim_run();
	assert_int_equal(fails, 1);
	assert_int_equal(shim_log_count('E'), 1);

	/* Bound anew, it is as good as new. */
	shim_unbind(&vdev->dev);
	assert_int_equal(shim_bind(&vdev->dev), 0);
	assert_false(virtio_device_is_broken(vdev));
	assert_int_equal(status, ACK | DRV | FEAT | OK);
	virtio_break_device(vdev);
	shim_run();
	assert_int_equal(fails, 2);
	unregister_virtio_device(vdev);
}

/* It breaks at the wrong moments. */
static void breaks(void **state)
{
	/* In probe, before and after the driver is ready for fail(). */
	break_in_probe = true;
	assert_int_equal(add_device(4, 0x1af4), 0);
	shim_run();
	assert_int_equal(fails, 1);
	unregister_virtio_device(vdev);

	ready_in_probe = true;
	fails = 0;
	assert_int_equal(add_device(4, 0x1af4), 0);
	shim_run();
	assert_int_equal(fails, 1);
	unregister_virtio_device(vdev);

	/* And probe fails: nothing is called when the driver is gone. */
	fails = 0;
	probe_error = -EIO;
	break_in_probe = false;
	assert_int_equal(add_device(4, 0x1af4), 0);
	virtio_break_device(vdev);
	shim_run();
	assert_int_equal(fails, 0);
	unregister_virtio_device(vdev);

	/* In remove, until the driver has reset it. */
	probe_error = 0;
	break_in_remove = true;
	assert_int_equal(add_device(4, 0x1af4), 0);
	unregister_virtio_device(vdev);
	assert_int_equal(fails, 1);
	break_in_remove = false;

	/* Scheduled, and removed before it ran: the shim looks for leftovers. */
	fails = 0;
	assert_int_equal(add_device(4, 0x1af4), 0);
	virtio_break_device(vdev);
	unregister_virtio_device(vdev);
	assert_int_equal(fails, 0);
}

static void consistent_reads(void **state)
{
	u8 buf[8];
	unsigned int i;

	assert_int_equal(add_device(4, 0x1af4), 0);
	memset(config, 0x77, sizeof(config));
	generations = 9;
	virtio_cread_bytes(vdev, 0, buf, 8);
	for (i = 1; i < 8; i++)
		assert_int_equal(buf[i], buf[0]);
	assert_int_equal(shim_log_count('W'), 0);
	generations = 1000;
	virtio_cread_bytes(vdev, 8, buf, 8);
	assert_true(generations > 900);
	assert_int_equal(shim_log_count('W'), 1);
	assert_non_null(strstr(shim_log_find("config_generation"),
			       "0000:00:07.0"));
	generations = 0;
	unregister_virtio_device(vdev);
}

/* Drivers come and go as well. */
static void driver_comes_late(void **state)
{
	unregister_virtio_driver(&driver);
	assert_int_equal(add_device(4, 0x1af4), 0);
	assert_int_equal(status, ACK);
	assert_int_equal(register_virtio_driver(&driver), 0);
	assert_int_equal(probes, 1);
	assert_int_equal(status, ACK | DRV | FEAT | OK);
	unregister_virtio_driver(&driver);
	assert_int_equal(removes, 1);
	assert_int_equal(register_virtio_driver(&driver), 0);
	assert_int_equal(probes, 2);
	unregister_virtio_device(vdev);
}

/* Asleep, and awake with what it had; changes wait until it works again. */
static void sleeps(void **state)
{
	static const u8 expected[] = {
		0, 0, ACK, ACK | DRV, ACK | DRV | FEAT, ACK | DRV | FEAT | OK,
	};

	assert_int_equal(add_device(4, 0x1af4), 0);
	accepted = 0;
	num_statuses = 0;
	assert_int_equal(virtio_suspend_device(vdev), 0);
	assert_int_equal(status, 0);
	assert_int_equal(virtio_resume_device(vdev), 0);
	assert_statuses(expected, ARRAY_SIZE(expected));
	assert_true(accepted == (F(VIRTIO_F_VERSION_1) | F(1) | F(5)));
	assert_int_equal(suspends, 1);
	assert_int_equal(resumes, 1);
	assert_int_equal(restarts, 1);
	/* One that says: look again. */
	assert_int_equal(changes, 1);
	virtio_config_changed(vdev);
	assert_int_equal(changes, 2);

	/* Awake already. */
	assert_int_equal(virtio_resume_device(vdev), 0);
	assert_int_equal(resumes, 1);

	/* It still breaks as ever. */
	virtio_break_device(vdev);
	shim_run();
	assert_int_equal(fails, 1);

	/* It goes away meanwhile: what waits for it ends. */
	fails = suspends = resumes = 0;
	unregister_virtio_device(vdev);
	assert_int_equal(add_device(4, 0x1af4), 0);
	assert_int_equal(virtio_suspend_device(vdev), 0);
	assert_int_equal(virtio_suspend_device(vdev), 0);
	break_in_remove = true;
	fails = 0;
	unregister_virtio_device(vdev);
	break_in_remove = false;
	assert_int_equal(suspends, 1);
	assert_int_equal(resumes, 1);
	assert_int_equal(fails, 1);
	assert_int_equal(add_device(4, 0x1af4), 0);
	virtio_break_device(vdev);
	shim_run();

	/* One that was given up, or that nobody drives, is no obstacle. */
	assert_int_equal(virtio_suspend_device(vdev), 0);
	assert_int_equal(virtio_resume_device(vdev), 0);
	unregister_virtio_device(vdev);
	assert_int_equal(add_device(9, 0x1af4), 0);
	assert_int_equal(virtio_suspend_device(vdev), 0);
	assert_int_equal(virtio_resume_device(vdev), 0);
	assert_int_equal(suspends + resumes, 2);
	unregister_virtio_device(vdev);
	assert_int_equal(shim_log_count('E'), 0);
}

static void stays_awake(void **state)
{
	assert_int_equal(add_device(4, 0x1af4), 0);
	suspend_error = -EBUSY;
	assert_int_equal(virtio_suspend_device(vdev), -EBUSY);
	assert_non_null(strstr(shim_log_find("stays awake"), "0000:00:07.0"));
	assert_int_equal(status, ACK | DRV | FEAT | OK);
	/* The change that came meanwhile. */
	assert_int_equal(changes, 1);
	assert_int_equal(virtio_resume_device(vdev), 0);
	assert_int_equal(resumes, 0);

	driver.suspend = NULL;
	assert_int_equal(virtio_suspend_device(vdev), -EBUSY);
	assert_non_null(strstr(shim_log_find("unload it"), "0000:00:07.0"));
	assert_int_equal(shim_log_count('E'), 2);
	unregister_virtio_device(vdev);
}

/* It comes back with less, or not at all: its I/O ends, and nothing else. */
static void does_not_wake(void **state)
{
	unsigned int how;

	for (how = 0; how < 4; how++) {
		fails = resumes = 0;
		assert_int_equal(add_device(4, 0x1af4), 0);
		assert_int_equal(virtio_suspend_device(vdev), 0);
		reset_error = how == 0 ? -EIO : 0;
		restart_error = how == 1 ? -ENODEV : 0;
		refuse_features = how == 2;
		if (how == 3)
			offered &= ~F(5);
		assert_true(virtio_resume_device(vdev) < 0);
		assert_true(virtio_device_is_broken(vdev));
		assert_non_null(strstr(shim_log_find("after a sleep"),
				       "0000:00:07.0"));
		assert_int_equal(resumes, 1);
		reset_error = 0;
		shim_run();
		assert_int_equal(fails, 1);
		unregister_virtio_device(vdev);
		reset_error = restart_error = 0;
		refuse_features = false;
		offered |= F(5);
		shim_log_clear();
	}
}

/* With and without a driver's own, what comes next finds a device at rest. */
static void shut_down(void **state)
{
	assert_int_equal(add_device(4, 0x1af4), 0);
	shim_shutdown(&vdev->dev);
	shim_shutdown(&vdev->dev);
	assert_int_equal(shutdowns, 1);
	assert_int_equal(changes, 0);
	assert_int_equal(virtio_suspend_device(vdev), 0);
	assert_int_equal(suspends, 0);
	assert_int_equal(status, 0);
	unregister_virtio_device(vdev);

	driver.shutdown = NULL;
	assert_int_equal(add_device(4, 0x1af4), 0);
	shim_shutdown(&vdev->dev);
	assert_int_equal(shutdowns, 1);
	assert_int_equal(status, 0);
	unregister_virtio_device(vdev);

	assert_int_equal(add_device(9, 0x1af4), 0);
	shim_shutdown(&vdev->dev);
	assert_int_equal(status, ACK);
	unregister_virtio_device(vdev);
}

#define bus_test(f)	cmocka_unit_test_setup_teardown(f, bus_setup, bus_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		bus_test(status_sequence),
		bus_test(ready_early),
		bus_test(negotiation),
		bus_test(negotiation_fails),
		bus_test(legacy),
		bus_test(reset_fails),
		bus_test(registration_fails),
		bus_test(matching),
		bus_test(sysfs),
		bus_test(config_changes),
		bus_test(needs_reset),
		bus_test(breaks),
		bus_test(consistent_reads),
		bus_test(driver_comes_late),
		bus_test(sleeps),
		bus_test(stays_awake),
		bus_test(does_not_wake),
		bus_test(shut_down),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
