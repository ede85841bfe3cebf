// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio bus: devices that a transport found on one side, drivers for
 * device types on the other, and the steps of virtio 1.2 section 3.1 that
 * bring the two together.
 */
#include <linux/module.h>
#include <linux/idr.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

/* The N of virtioN. */
static DEFINE_IDA(virtio_index_ida);

/*
 * Where broken devices are cleaned up after. Not keventd: something in there
 * may wait for I/O that only this ends.
 */
static struct workqueue_struct *virtio_wq;

/*
 * How often a read of the config space is repeated because the device
 * changed it meanwhile. A device that changes it without end gets the last
 * thing that it said.
 */
#define CONFIG_READ_TRIES	32

/* sysfs: the attributes, and their formats, are those of the EL6 kernels. */

static ssize_t device_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return snprintf(buf, PAGE_SIZE, "%hu",
			(u16)dev_to_virtio(dev)->id.device);
}

static ssize_t vendor_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return snprintf(buf, PAGE_SIZE, "%hu",
			(u16)dev_to_virtio(dev)->id.vendor);
}

static ssize_t status_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct virtio_device *vdev = dev_to_virtio(dev);

	return snprintf(buf, PAGE_SIZE, "0x%08x",
			vdev->config->get_status(vdev));
}

static ssize_t modalias_show(struct device *dev, struct device_attribute *attr,
			     char *buf)
{
	struct virtio_device *vdev = dev_to_virtio(dev);

	return snprintf(buf, PAGE_SIZE, "virtio:d%08Xv%08X\n",
			vdev->id.device, vdev->id.vendor);
}

/* One character a bit, bit 0 first. */
static ssize_t features_show(struct device *dev, struct device_attribute *attr,
			     char *buf)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	unsigned int i;

	for (i = 0; i < 64; i++)
		buf[i] = virtio_has_feature(vdev, i) ? '1' : '0';
	buf[i++] = '\n';
	return i;
}

static struct device_attribute dev_attr_device = __ATTR_RO(device);
static struct device_attribute dev_attr_vendor = __ATTR_RO(vendor);
static struct device_attribute dev_attr_status = __ATTR_RO(status);
static struct device_attribute dev_attr_modalias = __ATTR_RO(modalias);
static struct device_attribute dev_attr_features = __ATTR_RO(features);

static struct attribute *virtio_dev_attrs[] = {
	&dev_attr_device.attr,
	&dev_attr_vendor.attr,
	&dev_attr_status.attr,
	&dev_attr_modalias.attr,
	&dev_attr_features.attr,
	NULL
};

static struct attribute_group virtio_dev_group = {
	.attrs = virtio_dev_attrs,
};

static const struct attribute_group *virtio_dev_groups[] = {
	&virtio_dev_group,
	NULL
};

static bool virtio_id_match(const struct virtio_device *vdev,
			    const struct virtio_device_id *id)
{
	if (id->device != vdev->id.device && id->device != VIRTIO_DEV_ANY_ID)
		return false;

	return id->vendor == VIRTIO_DEV_ANY_ID || id->vendor == vdev->id.vendor;
}

static int virtio_dev_match(struct device *dev, struct device_driver *driver)
{
	const struct virtio_device_id *id;

	for (id = drv_to_virtio(driver)->id_table; id->device; id++)
		if (virtio_id_match(dev_to_virtio(dev), id))
			return 1;
	return 0;
}

static int virtio_uevent(struct device *dev, struct kobj_uevent_env *env)
{
	struct virtio_device *vdev = dev_to_virtio(dev);

	return add_uevent_var(env, "MODALIAS=virtio:d%08Xv%08X",
			      vdev->id.device, vdev->id.vendor);
}

static void virtio_add_status(struct virtio_device *vdev, u8 status)
{
	vdev->config->set_status(vdev, vdev->config->get_status(vdev) | status);
}

/**
 * virtio_cread_bytes - read from the config space, all of one moment
 * @vdev:	the device
 * @offset:	where, in bytes
 * @buf:	what was read, in the device's byte order
 * @len:	how much, in bytes
 *
 * Repeats the read while the generation counter says that the device changed
 * its config in the middle of it, section 2.5.3. Any context.
 */
void virtio_cread_bytes(struct virtio_device *vdev, unsigned int offset,
			void *buf, unsigned int len)
{
	u32 before, after;
	int tries = CONFIG_READ_TRIES;

	after = vdev->config->generation ? vdev->config->generation(vdev) : 0;
	do {
		before = after;
		vdev->config->get(vdev, offset, buf, len);
		if (!vdev->config->generation)
			return;
		after = vdev->config->generation(vdev);
	} while (after != before && --tries);

	if (!tries && printk_ratelimit())
		dev_warn(&vdev->dev,
			 "%s: config_generation never settles, config bytes %u to %u may be torn\n",
			 vdev->config->bus_name(vdev), offset,
			 offset + len - 1);
}
EXPORT_SYMBOL_GPL(virtio_cread_bytes);

/**
 * virtio_break_device - give up on a device
 * @vdev:	the device
 *
 * Nothing more is submitted to it, and the driver's fail() gets to end what
 * is in flight. Whoever calls this says why in the log. Any context.
 */
void virtio_break_device(struct virtio_device *vdev)
{
	unsigned long flags;

	spin_lock_irqsave(&vdev->fail_lock, flags);
	WRITE_ONCE(vdev->broken, true);
	if (vdev->fail_armed) {
		vdev->fail_armed = false;
		queue_work(virtio_wq, &vdev->fail_work);
	}
	spin_unlock_irqrestore(&vdev->fail_lock, flags);
}
EXPORT_SYMBOL_GPL(virtio_break_device);

static void virtio_fail_work(struct work_struct *work)
{
	struct virtio_device *vdev =
		container_of(work, struct virtio_device, fail_work);
	struct virtio_driver *drv = drv_to_virtio(vdev->dev.driver);

	vdev->config->reset(vdev);
	vdev->config->synchronize_cbs(vdev);
	drv->fail(vdev);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_FAILED);
}

/* From now on it is the driver's business when the device breaks. */
static void virtio_arm_fail(struct virtio_device *vdev)
{
	struct virtio_driver *drv = drv_to_virtio(vdev->dev.driver);
	unsigned long flags;

	if (!drv->fail)
		return;

	spin_lock_irqsave(&vdev->fail_lock, flags);
	if (vdev->broken)
		queue_work(virtio_wq, &vdev->fail_work);
	else
		vdev->fail_armed = true;
	spin_unlock_irqrestore(&vdev->fail_lock, flags);
}

static void virtio_disarm_fail(struct virtio_device *vdev)
{
	unsigned long flags;

	spin_lock_irqsave(&vdev->fail_lock, flags);
	vdev->fail_armed = false;
	spin_unlock_irqrestore(&vdev->fail_lock, flags);

	cancel_work_sync(&vdev->fail_work);
}

/* Called with config_lock held, so the driver is never called twice at once. */
static void __virtio_config_changed(struct virtio_device *vdev)
{
	struct virtio_driver *drv = drv_to_virtio(vdev->dev.driver);

	vdev->config_pending = false;
	if (drv->config_changed)
		drv->config_changed(vdev);
}

/**
 * virtio_config_changed - the transport saw a configuration change interrupt
 * @vdev:	the device
 *
 * Passes it to the driver at once, or as soon as the driver is ready for it.
 * A device that reports DEVICE_NEEDS_RESET (section 2.1.2) is given up.
 * Interrupt context.
 */
void virtio_config_changed(struct virtio_device *vdev)
{
	u8 status = vdev->config->get_status(vdev);
	unsigned long flags;

	/* What a broken device has to say is of no use. */
	if (virtio_device_is_broken(vdev))
		return;

	if (status & VIRTIO_CONFIG_S_NEEDS_RESET) {
		dev_err(&vdev->dev,
			"%s: status 0x%02x: the device %s, its I/O fails from now on\n",
			vdev->config->bus_name(vdev), status,
			status == 0xff ? "is gone" : "asks for a reset");
		virtio_break_device(vdev);
		return;
	}

	spin_lock_irqsave(&vdev->config_lock, flags);
	if (vdev->config_enabled)
		__virtio_config_changed(vdev);
	else
		vdev->config_pending = true;
	spin_unlock_irqrestore(&vdev->config_lock, flags);
}
EXPORT_SYMBOL_GPL(virtio_config_changed);

static void virtio_config_disable(struct virtio_device *vdev)
{
	unsigned long flags;

	spin_lock_irqsave(&vdev->config_lock, flags);
	vdev->config_enabled = false;
	spin_unlock_irqrestore(&vdev->config_lock, flags);
}

static void virtio_config_enable(struct virtio_device *vdev)
{
	unsigned long flags;

	spin_lock_irqsave(&vdev->config_lock, flags);
	vdev->config_enabled = true;
	if (vdev->config_pending)
		__virtio_config_changed(vdev);
	spin_unlock_irqrestore(&vdev->config_lock, flags);
}

/**
 * virtio_device_ready - let the device work
 * @vdev:	the device
 *
 * Sets DRIVER_OK. A driver calls it in its probe() as soon as its queues can
 * be used, if probe() itself needs the device to answer; otherwise the bus
 * does it after probe(). Process context.
 */
void virtio_device_ready(struct virtio_device *vdev)
{
	vdev->ready = true;
	virtio_arm_fail(vdev);
	/* One that was given up may not be in a state for it. */
	if (!virtio_device_is_broken(vdev))
		virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER_OK);
}
EXPORT_SYMBOL_GPL(virtio_device_ready);

/**
 * virtio_reset_device - stop a device
 * @vdev:	the device
 *
 * After it returns, the device touches no buffer any more (one that does not
 * complete the reset is cut off from memory), none of its interrupt handlers
 * runs and neither does the driver's fail(), for good. The device forgot the
 * negotiated features and its queues.
 * Process context; may sleep for as long as the device takes, at most the
 * bound that the transport sets. Returns what the transport's reset returned;
 * even then nothing more is to be expected of the device.
 */
int virtio_reset_device(struct virtio_device *vdev)
{
	int err;

	virtio_disarm_fail(vdev);
	err = vdev->config->reset(vdev);
	vdev->config->synchronize_cbs(vdev);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_reset_device);

static u64 virtio_table_to_bits(const unsigned int *table, unsigned int size)
{
	u64 bits = 0;
	unsigned int i;

	for (i = 0; i < size; i++)
		bits |= 1ULL << table[i];
	return bits;
}

/* What of @offered is in vdev->features, and whether the device agrees. */
static int virtio_accept_features(struct virtio_device *vdev, u64 offered)
{
	int err = vdev->config->finalize_features(vdev);

	if (err)
		return err;

	/* A legacy device has no FEATURES_OK. */
	if (!virtio_has_feature(vdev, VIRTIO_F_VERSION_1))
		return 0;

	virtio_add_status(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK)) {
		dev_err(&vdev->dev,
			"%s: the device refuses the features 0x%llx (of 0x%llx that it offers)\n",
			vdev->config->bus_name(vdev),
			(unsigned long long)vdev->features,
			(unsigned long long)offered);
		return -ENODEV;
	}
	return 0;
}

/* Steps 4 to 6 of section 3.1.1. */
static int virtio_negotiate(struct virtio_device *vdev,
			    struct virtio_driver *drv)
{
	u64 offered = vdev->config->get_features(vdev);
	u64 known;
	unsigned int i;
	int err;

	if (drv->feature_table_legacy && !(offered & (1ULL << VIRTIO_F_VERSION_1)))
		known = virtio_table_to_bits(drv->feature_table_legacy,
					     drv->feature_table_size_legacy);
	else
		known = virtio_table_to_bits(drv->feature_table,
					     drv->feature_table_size);

	/* What a modern device does without saying so. */
	if (!(offered & (1ULL << VIRTIO_F_VERSION_1)))
		known |= 1ULL << VIRTIO_F_ANY_LAYOUT;

	/* The transport and the ring pick theirs in finalize_features(). */
	for (i = VIRTIO_TRANSPORT_F_START; i < VIRTIO_TRANSPORT_F_END; i++)
		known |= 1ULL << i;

	vdev->features = offered & known;

	if (drv->validate) {
		err = drv->validate(vdev);
		if (err)
			return err;
	}

	return virtio_accept_features(vdev, offered);
}

/**
 * virtio_restart_device - start a device that was reset
 * @vdev:	the device; virtio_reset_device() has succeeded, and the driver
 *		has taken back every buffer of every queue
 *
 * With the features and the queues that it had; after success the driver fills
 * these and calls virtio_device_ready(). Nothing is allocated. Process context.
 * Returns 0, or a negative errno when the device does not come back as it was
 * or was given up: it is then as virtio_reset_device() left it. Section 3.1.1.
 */
int virtio_restart_device(struct virtio_device *vdev)
{
	u64 offered, features = vdev->features;
	int err;

	if (virtio_device_is_broken(vdev))
		return -EIO;

	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);

	offered = vdev->config->get_features(vdev);
	if (features & ~offered) {
		dev_err(&vdev->dev,
			"%s: after a reset the device no longer offers the features 0x%llx\n",
			vdev->config->bus_name(vdev),
			(unsigned long long)(features & ~offered));
		err = -ENODEV;
		goto fail;
	}
	err = virtio_accept_features(vdev, offered);
	if (!err)
		err = vdev->config->restart_vqs(vdev);
	if (!err)
		return 0;

fail:
	vdev->config->reset(vdev);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_restart_device);

static int virtio_dev_probe(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	struct virtio_driver *drv = drv_to_virtio(dev->driver);
	int err;

	/*
	 * An earlier driver may have left FAILED behind. This also starts the
	 * device afresh if it had been given up.
	 */
	err = vdev->config->reset(vdev);
	if (err)
		return err;
	vdev->broken = false;
	vdev->ready = false;
	vdev->asleep = false;
	vdev->shut_down = false;
	vdev->config_pending = false;

	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);

	err = virtio_negotiate(vdev, drv);
	if (err)
		goto fail;

	err = drv->probe(vdev);
	if (err)
		goto fail;

	if (!vdev->ready)
		virtio_device_ready(vdev);

	if (drv->scan)
		drv->scan(vdev);

	virtio_config_enable(vdev);
	return 0;

fail:
	virtio_disarm_fail(vdev);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_FAILED);
	return err;
}

static void virtio_dev_remove(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	struct virtio_driver *drv = drv_to_virtio(dev->driver);

	virtio_config_disable(vdev);

	/* It never wakes up; what waits for that has to end. */
	if (vdev->asleep) {
		vdev->asleep = false;
		virtio_break_device(vdev);
		drv->resume(vdev);
	}

	/* All ones: it is gone, and nothing that it holds will ever complete. */
	if (vdev->config->get_status(vdev) == 0xff)
		virtio_break_device(vdev);

	/* fail() stays armed until the driver resets: its I/O must not hang. */
	drv->remove(vdev);
	virtio_disarm_fail(vdev);

	/* The driver has reset it; nobody drives it, but it was seen. */
	if (!virtio_device_is_broken(vdev))
		virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

COMPAT_BUS_REMOVE(virtio_bus_remove, virtio_dev_remove)

/* Restart or kexec: it must not write into the memory of what comes next. */
static void virtio_dev_shutdown(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	struct virtio_driver *drv;

	/* A device that sleeps was reset for that. */
	if (!dev->driver || vdev->asleep || vdev->shut_down)
		return;

	drv = drv_to_virtio(dev->driver);
	vdev->shut_down = true;
	virtio_config_disable(vdev);
	if (drv->shutdown)
		drv->shutdown(vdev);
	else
		virtio_reset_device(vdev);
}

/**
 * virtio_suspend_device - have a device's driver stop it before a sleep
 * @vdev:	the device
 *
 * For the transport, before the device loses power or memory is written to
 * disk. Process context. Returns 0 (too if there is nothing to stop, because
 * nobody drives the device or it was stopped or given up), or a negative errno,
 * after a line of log, if the machine must stay awake.
 */
int virtio_suspend_device(struct virtio_device *vdev)
{
	struct virtio_driver *drv;
	int err;

	if (!vdev->dev.driver || vdev->asleep || vdev->shut_down ||
	    virtio_device_is_broken(vdev))
		return 0;

	drv = drv_to_virtio(vdev->dev.driver);
	if (!drv->suspend) {
		dev_err(&vdev->dev, "%s: the driver %s cannot stop the device for a sleep; unload it before\n",
			vdev->config->bus_name(vdev), drv->driver.name);
		return -EBUSY;
	}

	virtio_config_disable(vdev);
	err = drv->suspend(vdev);
	if (err) {
		dev_err(&vdev->dev, "%s: cannot stop the device for a sleep now (%d); the machine stays awake\n",
			vdev->config->bus_name(vdev), err);
		/* What it was about to do about a change it may have dropped. */
		vdev->config_pending = true;
		virtio_config_enable(vdev);
		return err;
	}
	vdev->asleep = true;
	return 0;
}
EXPORT_SYMBOL_GPL(virtio_suspend_device);

/**
 * virtio_resume_device - have a device work again after a sleep
 * @vdev:	the device
 *
 * The counterpart of virtio_suspend_device(): does nothing for a device that
 * was not stopped. Whatever the sleep left, the device is reset and set up anew
 * (section 3.1.1). One that does not work any more is given up, and so is its
 * I/O. Process context. Returns 0 or a negative errno, after a line of log.
 */
int virtio_resume_device(struct virtio_device *vdev)
{
	int err;

	if (!vdev->asleep)
		return 0;

	vdev->asleep = false;
	err = vdev->config->reset(vdev);
	if (!err)
		err = virtio_restart_device(vdev);
	if (err) {
		dev_err(&vdev->dev, "%s: the device does not work any more after a sleep (%d): its I/O fails from now on\n",
			vdev->config->bus_name(vdev), err);
		virtio_break_device(vdev);
	}
	drv_to_virtio(vdev->dev.driver)->resume(vdev);

	/* The config may be another one by now. */
	if (!err)
		vdev->config_pending = true;
	virtio_config_enable(vdev);
	return err;
}
EXPORT_SYMBOL_GPL(virtio_resume_device);

static struct bus_type virtio_bus = {
	.name	= "virtio",
	.match	= virtio_dev_match,
	.uevent	= virtio_uevent,
	.probe	= virtio_dev_probe,
	.remove	= virtio_bus_remove,
	.shutdown = virtio_dev_shutdown,
};

/**
 * register_virtio_driver - add a driver to the bus
 * @drv:	the driver
 *
 * Binds it to every device of its types that has none. Process context.
 * Returns 0 or a negative errno.
 */
int register_virtio_driver(struct virtio_driver *drv)
{
	unsigned int i;

	/* Transport bits are not the driver's to ask for. */
	for (i = 0; i < drv->feature_table_size; i++)
		if (WARN_ON(drv->feature_table[i] >= 64))
			return -EINVAL;

	drv->driver.bus = &virtio_bus;
	return driver_register(&drv->driver);
}
EXPORT_SYMBOL_GPL(register_virtio_driver);

/**
 * unregister_virtio_driver - take a driver off the bus
 * @drv:	the driver
 *
 * Its remove() has run for each of its devices when this returns. Process
 * context.
 */
void unregister_virtio_driver(struct virtio_driver *drv)
{
	driver_unregister(&drv->driver);
}
EXPORT_SYMBOL_GPL(unregister_virtio_driver);

/**
 * register_virtio_device - add a device to the bus
 * @vdev:	the device; the transport has set dev.parent, dev.release, id and
 *		config, and the rest is zero
 *
 * Resets the device, acknowledges it and offers it to the drivers. Process
 * context. Whether or not it succeeds, the caller gives the device up with
 * put_device() (after unregister_virtio_device() if it did succeed the latter
 * does it). Returns 0 or a negative errno.
 */
int register_virtio_device(struct virtio_device *vdev)
{
	int err;

	spin_lock_init(&vdev->config_lock);
	spin_lock_init(&vdev->fail_lock);
	INIT_WORK(&vdev->fail_work, virtio_fail_work);
	INIT_LIST_HEAD(&vdev->vqs);

	vdev->dev.bus = &virtio_bus;
	vdev->dev.groups = virtio_dev_groups;
	device_initialize(&vdev->dev);

	err = ida_alloc(&virtio_index_ida, GFP_KERNEL);
	if (err < 0)
		return err;
	vdev->index = err;
	err = dev_set_name(&vdev->dev, "virtio%u", vdev->index);
	if (err)
		goto free_index;

	/*
	 * Whoever ran before us (firmware, a kernel that crashed) may have
	 * left it running.
	 */
	err = vdev->config->reset(vdev);
	if (err)
		goto free_index;
	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);

	err = device_add(&vdev->dev);
	if (err) {
		virtio_add_status(vdev, VIRTIO_CONFIG_S_FAILED);
		goto free_index;
	}
	return 0;

free_index:
	ida_free(&virtio_index_ida, vdev->index);
	return err;
}
EXPORT_SYMBOL_GPL(register_virtio_device);

/**
 * unregister_virtio_device - take a device off the bus
 * @vdev:	the device
 *
 * Its driver's remove() has run when this returns. Drops the reference that
 * register_virtio_device() took: @vdev may be gone afterwards. Process
 * context.
 */
void unregister_virtio_device(struct virtio_device *vdev)
{
	int index = vdev->index;

	device_unregister(&vdev->dev);
	ida_free(&virtio_index_ida, index);
}
EXPORT_SYMBOL_GPL(unregister_virtio_device);

static int __init virtio_init(void)
{
	int err;

	virtio_wq = create_singlethread_workqueue("virtio");
	if (!virtio_wq)
		return -ENOMEM;

	/* A failed load, not a panic: the guest may not even need us. */
	err = bus_register(&virtio_bus);
	if (err) {
		pr_err("virtio: cannot register the bus (%d): is another virtio stack loaded?\n",
		       err);
		destroy_workqueue(virtio_wq);
	}
	return err;
}

static void __exit virtio_exit(void)
{
	bus_unregister(&virtio_bus);
	destroy_workqueue(virtio_wq);
}

/* As early as the in-tree one when it is built in. */
core_initcall(virtio_init);
module_exit(virtio_exit);

MODULE_DESCRIPTION("virtio bus");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
