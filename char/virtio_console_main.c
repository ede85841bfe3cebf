// SPDX-License-Identifier: GPL-2.0
/*
 * virtio console device, virtio 1.2 section 5.3: one console or, where device
 * and host have it, any number of ports. Config space, queues, and the life of
 * the device.
 */
#include <linux/module.h>
#include <linux/idr.h>
#include <linux/slab.h>
#include <linux/virtio_ids.h>
#include "virtio_console.h"

static DEFINE_IDA(virtcons_index_ida);

/* How long after a sleep the host has time to say who listens. */
#define VIRTCONS_SETTLE_S	5

#define CONFIG(_field)	offsetof(struct virtio_console_config, _field)

static void virtcons_release(struct kref *ref)
{
	struct virtio_console *vcon =
		container_of(ref, struct virtio_console, ref);

	kfree(vcon->slots);
	kfree(vcon);
}

/**
 * virtcons_put - somebody does not need a device's data any more
 * @vcon:	the device
 *
 * Process context.
 */
void virtcons_put(struct virtio_console *vcon)
{
	kref_put(&vcon->ref, virtcons_release);
}

/* Config space */

static int virtcons_read_config(struct virtio_console *vcon)
{
	struct virtio_device *vdev = vcon->vdev;
	u32 ports;

	vcon->num_ports = 1;
	vcon->multiport = virtio_has_feature(vdev, VIRTIO_CONSOLE_F_MULTIPORT);
	if (!vcon->multiport)
		return 0;

	ports = virtio_cread32(vdev, CONFIG(max_nr_ports));
	if (!ports) {
		virtcons_err(vdev, "max_nr_ports is 0: device not used\n");
		return -EINVAL;
	}
	if (ports > VIRTCONS_MAX_PORTS) {
		dev_warn(&vdev->dev, "%s: max_nr_ports is %u: ports from %u on are not used\n",
			 vdev->config->bus_name(vdev), ports,
			 VIRTCONS_MAX_PORTS);
		ports = VIRTCONS_MAX_PORTS;
	}
	vcon->num_ports = ports;
	return 0;
}

/* cols and rows are about the first console, section 5.3.4. */
static void virtcons_read_size(struct virtio_console *vcon)
{
	struct virtcons_port *port = vcon->slots[0].port;
	struct virtio_console_config config;

	if (!port || !virtio_has_feature(vcon->vdev, VIRTIO_CONSOLE_F_SIZE))
		return;
	virtio_cread_bytes(vcon->vdev, CONFIG(cols), &config,
			   CONFIG(max_nr_ports));
	virtcons_resize_console(port, le16_to_cpu(config.cols),
				le16_to_cpu(config.rows));
}

static void virtcons_config_work(struct work_struct *work)
{
	virtcons_read_size(container_of(work, struct virtio_console,
					config_work));
}

static void virtcons_config_changed(struct virtio_device *vdev)
{
	struct virtio_console *vcon = vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&vcon->ctrl_lock, flags);
	if (!vcon->closing)
		queue_work(vcon->wq, &vcon->config_work);
	spin_unlock_irqrestore(&vcon->ctrl_lock, flags);
}

/* Queues */

/* The queues of a port; the control queues are after those of port 0. */
static unsigned int virtcons_in_vq(unsigned int id)
{
	return id ? 2 * id + 2 : VIRTIO_CONSOLE_VQ_IN0;
}

static void virtcons_describe_vqs(struct virtio_console *vcon,
				  struct virtqueue_info *info)
{
	unsigned int id;

	for (id = 0; id < vcon->num_ports; id++) {
		info[virtcons_in_vq(id)].name = "input";
		info[virtcons_in_vq(id)].callback = virtcons_in_done;
		info[virtcons_in_vq(id) + 1].name = "output";
		info[virtcons_in_vq(id) + 1].callback = virtcons_out_done;
	}
	if (!vcon->multiport)
		return;
	info[VIRTIO_CONSOLE_VQ_CTRL_IN].name = "control-i";
	info[VIRTIO_CONSOLE_VQ_CTRL_IN].callback = virtcons_ctrl_in_done;
	info[VIRTIO_CONSOLE_VQ_CTRL_OUT].name = "control-o";
	info[VIRTIO_CONSOLE_VQ_CTRL_OUT].callback = virtcons_ctrl_out_done;
}

static int virtcons_init_vqs(struct virtio_console *vcon)
{
	unsigned int id, num = 2 * (vcon->num_ports + vcon->multiport);
	struct virtqueue_info *info;
	struct virtqueue **vqs;
	int err = -ENOMEM;

	vqs = kcalloc(num, sizeof(*vqs), GFP_KERNEL);
	info = kcalloc(num, sizeof(*info), GFP_KERNEL);
	if (!vqs || !info)
		goto out;

	virtcons_describe_vqs(vcon, info);
	err = virtio_find_vqs(vcon->vdev, num, vqs, info);
	if (err)
		goto out;
	for (id = 0; id < vcon->num_ports; id++) {
		vcon->slots[id].in_vq = vqs[virtcons_in_vq(id)];
		vcon->slots[id].out_vq = vqs[virtcons_in_vq(id) + 1];
	}
	if (vcon->multiport) {
		vcon->ctrl_in = vqs[VIRTIO_CONSOLE_VQ_CTRL_IN];
		vcon->ctrl_out = vqs[VIRTIO_CONSOLE_VQ_CTRL_OUT];
	}
out:
	kfree(info);
	kfree(vqs);
	return err;
}

/* The device was reset: takes everything back, and forgets the queues. */
static void virtcons_del_vqs(struct virtio_console *vcon)
{
	struct virtcons_slot *slot;
	unsigned int id;

	virtcons_ctrl_drain(vcon);
	spin_lock_irq(&vcon->ctrl_lock);
	vcon->ctrl_in = NULL;
	vcon->ctrl_out = NULL;
	spin_unlock_irq(&vcon->ctrl_lock);

	for (id = 0; id < vcon->num_ports; id++) {
		slot = &vcon->slots[id];
		virtcons_drain_slot(slot);
		spin_lock_irq(&slot->lock);
		slot->in_vq = NULL;
		slot->out_vq = NULL;
		spin_unlock_irq(&slot->lock);
	}
	virtio_del_vqs(vcon->vdev);
}

/* The device's life */

/*
 * The device broke and was reset: who reads or writes gets an error, and
 * nothing is with the device any more.
 */
static void virtcons_fail(struct virtio_device *vdev)
{
	struct virtio_console *vcon = vdev->priv;
	unsigned int id;

	virtcons_ctrl_drain(vcon);
	for (id = 0; id < vcon->num_ports; id++)
		virtcons_fail_slot(&vcon->slots[id]);
}

/* Those that run are over; the device may have new ones queued. */
static void virtcons_cancel_works(struct virtio_console *vcon)
{
	cancel_work_sync(&vcon->ctrl_work);
	cancel_work_sync(&vcon->config_work);
	cancel_delayed_work_sync(&vcon->settle_work);
}

/* From now on no work runs. */
static void virtcons_stop_works(struct virtio_console *vcon)
{
	spin_lock_irq(&vcon->ctrl_lock);
	vcon->closing = true;
	spin_unlock_irq(&vcon->ctrl_lock);
	virtcons_cancel_works(vcon);
}

static void virtcons_settle_work(struct work_struct *work)
{
	struct virtio_console *vcon =
		container_of(work, struct virtio_console, settle_work.work);
	unsigned int id;

	for (id = 0; id < vcon->num_ports; id++)
		if (vcon->slots[id].port)
			virtcons_settle_port(vcon->slots[id].port);
}

static void virtcons_init_slot(struct virtcons_slot *slot)
{
	spin_lock_init(&slot->lock);
	INIT_LIST_HEAD(&slot->sent);
	INIT_LIST_HEAD(&slot->received);
}

static struct virtio_console *virtcons_alloc(struct virtio_device *vdev)
{
	struct virtio_console *vcon;
	unsigned int id;

	vcon = kzalloc(sizeof(*vcon), GFP_KERNEL);
	if (!vcon)
		return NULL;
	kref_init(&vcon->ref);
	vcon->vdev = vdev;
	spin_lock_init(&vcon->ctrl_lock);
	INIT_LIST_HEAD(&vcon->msgs);
	init_waitqueue_head(&vcon->msg_wq);
	INIT_WORK(&vcon->ctrl_work, virtcons_ctrl_work);
	INIT_WORK(&vcon->config_work, virtcons_config_work);
	INIT_DELAYED_WORK(&vcon->settle_work, virtcons_settle_work);
	if (virtcons_read_config(vcon)) {
		kfree(vcon);
		return ERR_PTR(-EINVAL);
	}

	vcon->slots = kcalloc(vcon->num_ports, sizeof(*vcon->slots),
			      GFP_KERNEL);
	if (!vcon->slots) {
		kfree(vcon);
		return NULL;
	}
	for (id = 0; id < vcon->num_ports; id++)
		virtcons_init_slot(&vcon->slots[id]);
	return vcon;
}

/* A device without control queues has one port, which is a console. */
static int virtcons_start(struct virtio_console *vcon)
{
	int err;

	if (vcon->multiport)
		return virtcons_ctrl_start(vcon);

	err = virtcons_add_port(vcon, 0);
	if (err)
		return err;
	virtcons_make_console(vcon->slots[0].port);
	virtcons_read_size(vcon);
	return 0;
}

static int virtcons_probe(struct virtio_device *vdev)
{
	struct virtio_console *vcon;
	int err = -ENOMEM;

	vcon = virtcons_alloc(vdev);
	if (IS_ERR(vcon))
		return PTR_ERR(vcon);
	if (!vcon)
		return -ENOMEM;
	vdev->priv = vcon;

	vcon->index = ida_alloc(&virtcons_index_ida, GFP_KERNEL);
	if (vcon->index < 0)
		goto put;
	/* Ports do not come or go while the machine falls asleep or wakes up. */
	vcon->wq = create_freezable_workqueue(dev_name(&vdev->dev));
	if (!vcon->wq)
		goto free_index;
	err = virtcons_init_vqs(vcon);
	if (err)
		goto destroy_wq;

	virtio_device_ready(vdev);
	err = virtcons_start(vcon);
	if (err)
		goto del_vqs;
	return 0;

del_vqs:
	virtcons_stop_works(vcon);
	virtio_reset_device(vdev);
	virtcons_del_vqs(vcon);
destroy_wq:
	destroy_workqueue(vcon->wq);
free_index:
	ida_free(&virtcons_index_ida, vcon->index);
put:
	virtcons_put(vcon);
	return err;
}

static void virtcons_remove(struct virtio_device *vdev)
{
	struct virtio_console *vcon = vdev->priv;
	unsigned int id;

	virtcons_stop_works(vcon);
	for (id = 0; id < vcon->num_ports; id++)
		if (vcon->slots[id].port)
			virtcons_unplug_port(vcon->slots[id].port);

	virtio_reset_device(vdev);
	virtcons_del_vqs(vcon);
	destroy_workqueue(vcon->wq);
	ida_free(&virtcons_index_ida, vcon->index);
	virtcons_put(vcon);
}

/*
 * Files stay open, and data stays; ports that came or went meanwhile the device
 * announces when it is asked anew.
 */
static int virtcons_suspend(struct virtio_device *vdev)
{
	struct virtio_console *vcon = vdev->priv;
	unsigned int id;

	virtcons_cancel_works(vcon);
	spin_lock_irq(&vcon->ctrl_lock);
	vcon->asleep = true;
	spin_unlock_irq(&vcon->ctrl_lock);
	virtio_reset_device(vdev);
	cancel_work_sync(&vcon->ctrl_work);

	virtcons_ctrl_drain(vcon);
	for (id = 0; id < vcon->num_ports; id++)
		virtcons_park_slot(&vcon->slots[id]);
	return 0;
}

static void virtcons_resume(struct virtio_device *vdev)
{
	struct virtio_console *vcon = vdev->priv;
	unsigned int id;

	virtio_device_ready(vdev);
	spin_lock_irq(&vcon->ctrl_lock);
	vcon->asleep = false;
	spin_unlock_irq(&vcon->ctrl_lock);
	for (id = 0; id < vcon->num_ports; id++)
		virtcons_unpark_slot(&vcon->slots[id], vcon->multiport);
	if (!vcon->multiport)
		return;

	if (virtcons_ctrl_start(vcon) && !virtio_device_is_broken(vdev))
		virtcons_err(vdev, "no memory for control messages: its ports stay as they are\n");
	queue_delayed_work(vcon->wq, &vcon->settle_work,
			   VIRTCONS_SETTLE_S * HZ);
}

static const struct virtio_device_id virtcons_id_table[] = {
	{ VIRTIO_ID_CONSOLE, VIRTIO_DEV_ANY_ID },
	{ 0 }
};
MODULE_DEVICE_TABLE(virtio, virtcons_id_table);

static const unsigned int virtcons_features[] = {
	VIRTIO_CONSOLE_F_SIZE, VIRTIO_CONSOLE_F_MULTIPORT,
};

static struct virtio_driver virtcons_driver = {
	.driver.name		= KBUILD_MODNAME,
	.driver.owner		= THIS_MODULE,
	.id_table		= virtcons_id_table,
	.feature_table		= virtcons_features,
	.feature_table_size	= ARRAY_SIZE(virtcons_features),
	.probe			= virtcons_probe,
	.remove			= virtcons_remove,
	.config_changed		= virtcons_config_changed,
	.fail			= virtcons_fail,
	.suspend		= virtcons_suspend,
	.resume			= virtcons_resume,
};

static int __init virtcons_init(void)
{
	int err;

	/* The layout is the device's, not the compiler's. */
	BUILD_BUG_ON(sizeof(struct virtio_console_config) != 12);
	BUILD_BUG_ON(sizeof(struct virtio_console_control) != 8);

	virtcons_class = class_create(THIS_MODULE, "virtio-ports");
	if (IS_ERR(virtcons_class))
		return PTR_ERR(virtcons_class);
	err = alloc_chrdev_region(&virtcons_devt, 0, VIRTCONS_MINORS,
				  "virtio-portsdev");
	if (err)
		goto destroy_class;
	err = register_virtio_driver(&virtcons_driver);
	if (err)
		goto unregister;
	return 0;

unregister:
	unregister_chrdev_region(virtcons_devt, VIRTCONS_MINORS);
destroy_class:
	class_destroy(virtcons_class);
	return err;
}

static void __exit virtcons_exit(void)
{
	unregister_virtio_driver(&virtcons_driver);
	unregister_chrdev_region(virtcons_devt, VIRTCONS_MINORS);
	class_destroy(virtcons_class);
	hvc_put_symbols();
}

module_init(virtcons_init);
module_exit(virtcons_exit);

MODULE_DESCRIPTION("virtio console and ports");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
