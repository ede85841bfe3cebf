// SPDX-License-Identifier: GPL-2.0
/*
 * Ports: their buffers, and how they come and go.
 *
 * A port lives in two worlds. To the device it is a pair of queues in a slot,
 * under the slot's lock. To a process it is a file, which may outlive the port,
 * and the device; from the moment when it is gone, everything but closing it
 * fails.
 */
#include <linux/module.h>
#include <linux/idr.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "virtio_console.h"

struct class *virtcons_class;
dev_t virtcons_devt;
static DEFINE_IDA(virtcons_minor_ida);

/* Ports that can be opened. */
static LIST_HEAD(virtcons_ports);
static DEFINE_MUTEX(virtcons_ports_lock);

/* Section 5.3.2: port 0, the control queues, port 1 … */
static struct virtcons_slot *virtcons_slot_of(struct virtqueue *vq)
{
	struct virtio_console *vcon = vq->vdev->priv;

	return &vcon->slots[vq->index < 2 ? 0 : vq->index / 2 - 1];
}

/* Buffers; all of this with the slot's lock held */

/**
 * virtcons_alloc_buf - memory for data of a port
 * @size:	bytes of data
 * @gfp:	how to allocate it
 *
 * NULL: there is none. Any context that @gfp allows.
 */
struct virtcons_buf *virtcons_alloc_buf(size_t size, gfp_t gfp)
{
	struct virtcons_buf *buf = kmalloc(sizeof(*buf) + size, gfp);

	if (buf) {
		buf->len = size;
		buf->pos = 0;
	}
	return buf;
}

/* Gives a buffer to the device, to be filled. */
static bool virtcons_post(struct virtcons_slot *slot, struct virtcons_buf *buf)
{
	struct scatterlist sg;

	sg_init_one(&sg, buf->data, VIRTCONS_IN_SIZE);
	return slot->in_vq && !slot->asleep &&
	       !virtqueue_add_inbuf(slot->in_vq, &sg, 1, buf);
}

/* Gives one back: it was read. */
static void virtcons_recycle(struct virtcons_slot *slot,
			     struct virtcons_buf *buf)
{
	if (virtcons_post(slot, buf)) {
		virtqueue_kick(slot->in_vq);
		return;
	}
	slot->in_num--;
	kfree(buf);
}

/**
 * virtcons_fetch - is there data to read?
 * @port:	the port
 *
 * If so, port->cur has some of it. With the slot's lock held.
 */
bool virtcons_fetch(struct virtcons_port *port)
{
	struct virtcons_slot *slot = port->slot;
	unsigned int tries = VIRTCONS_IN_BUFS;
	struct virtcons_buf *buf;
	unsigned int len;

	if (!port->cur && !list_empty(&slot->received)) {
		port->cur = list_first_entry(&slot->received,
					     struct virtcons_buf, list);
		list_del(&port->cur->list);
	}
	/* A device that sends nothing, over and over, gets a rest. */
	while (!port->cur && slot->in_vq && tries--) {
		buf = virtqueue_get_buf(slot->in_vq, &len);
		if (!buf)
			break;
		buf->len = len;
		buf->pos = 0;
		if (len)
			port->cur = buf;
		else
			virtcons_recycle(slot, buf);
	}
	return port->cur;
}

/**
 * virtcons_consume - some of port->cur was read
 * @port:	the port
 * @len:	how many bytes
 *
 * With the slot's lock held.
 */
void virtcons_consume(struct virtcons_port *port, unsigned int len)
{
	struct virtcons_buf *buf = port->cur;

	buf->pos += len;
	if (buf->pos < buf->len && !port->gone)
		return;
	port->cur = NULL;
	virtcons_recycle(port->slot, buf);
}

/**
 * virtcons_discard - throw data away that nobody wants
 * @slot:	where
 *
 * With the slot's lock held. What comes while it runs may stay: as long as it
 * does, the device has fewer buffers.
 */
void virtcons_discard(struct virtcons_slot *slot)
{
	struct virtcons_port *port = slot->port;
	unsigned int tries = VIRTCONS_IN_BUFS;
	struct virtcons_buf *buf;
	unsigned int len;

	if (port && port->cur && !port->busy) {
		buf = port->cur;
		port->cur = NULL;
		virtcons_recycle(slot, buf);
	}
	while (!list_empty(&slot->received)) {
		buf = list_first_entry(&slot->received, struct virtcons_buf,
				       list);
		list_del(&buf->list);
		virtcons_recycle(slot, buf);
	}
	while (slot->in_vq && tries-- &&
	       (buf = virtqueue_get_buf(slot->in_vq, &len)))
		virtcons_recycle(slot, buf);
}

static void virtcons_reap(struct virtcons_slot *slot)
{
	struct virtcons_buf *buf;
	unsigned int len;

	while (slot->out_vq && (buf = virtqueue_get_buf(slot->out_vq, &len))) {
		if (--slot->out_num <= VIRTCONS_OUT_BUFS / 2)
			slot->stuck = false;
		list_del(&buf->list);
		kfree(buf);
	}
}

/**
 * virtcons_has_room - may more be sent?
 * @slot:	where
 *
 * If not, who waits is woken when it may. With the slot's lock held.
 */
bool virtcons_has_room(struct virtcons_slot *slot)
{
	unsigned int most = slot->port && slot->port->console ?
			    VIRTCONS_OUT_CONSOLE : VIRTCONS_OUT_BUFS;

	virtcons_reap(slot);
	slot->full = slot->out_num >= most || !slot->out_vq || slot->asleep ||
		     !slot->out_vq->num_free;
	return !slot->full;
}

/**
 * virtcons_submit - send something
 * @slot:	where
 * @buf:	what; the device's if 0 is returned
 *
 * With the slot's lock held. -EAGAIN when there is no room, another negative
 * errno when the device does not work.
 */
int virtcons_submit(struct virtcons_slot *slot, struct virtcons_buf *buf)
{
	struct scatterlist sg;
	int err;

	if (!slot->out_vq || slot->asleep)
		return -ENODEV;
	if (!virtcons_has_room(slot))
		return -EAGAIN;
	sg_init_one(&sg, buf->data, buf->len);
	err = virtqueue_add_outbuf(slot->out_vq, &sg, 1, buf);
	if (err)
		return err == -ENOSPC ? -EAGAIN : err;
	list_add_tail(&buf->list, &slot->sent);
	slot->out_num++;
	virtqueue_kick(slot->out_vq);
	return 0;
}

/* Interrupts */

/* With the slot's lock held. */
static void virtcons_wake(struct virtcons_port *port, int band)
{
	wake_up_interruptible(&port->wq);
	kill_fasync(&port->async, SIGIO, band);
	if (port->hvc)
		hvc_kick();
}

/**
 * virtcons_in_done - virtqueue_info::callback of what a port receives
 * @vq:		the queue
 *
 * Interrupt context. Data stays where it is until somebody reads it: that the
 * device has no more buffers is what holds the host up.
 */
void virtcons_in_done(struct virtqueue *vq)
{
	struct virtcons_slot *slot = virtcons_slot_of(vq);
	unsigned long flags;

	spin_lock_irqsave(&slot->lock, flags);
	if (slot->port && slot->port->guest_open)
		virtcons_wake(slot->port, POLL_IN);
	else
		virtcons_discard(slot);
	spin_unlock_irqrestore(&slot->lock, flags);
}

/**
 * virtcons_out_done - virtqueue_info::callback of what a port sends
 * @vq:		the queue
 *
 * Interrupt context.
 */
void virtcons_out_done(struct virtqueue *vq)
{
	struct virtcons_slot *slot = virtcons_slot_of(vq);
	unsigned long flags;

	spin_lock_irqsave(&slot->lock, flags);
	do {
		virtqueue_disable_cb(vq);
		virtcons_reap(slot);
	} while (!virtqueue_enable_cb(vq));
	if (slot->full && virtcons_has_room(slot) && slot->port)
		virtcons_wake(slot->port, POLL_OUT);
	spin_unlock_irqrestore(&slot->lock, flags);
}

/* How ports come */

static ssize_t name_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	struct virtcons_port *port = dev_get_drvdata(dev);

	return snprintf(buf, PAGE_SIZE, "%s\n", port->name);
}

static struct device_attribute dev_attr_name = __ATTR_RO(name);

static void virtcons_release_port(struct kref *ref)
{
	struct virtcons_port *port =
		container_of(ref, struct virtcons_port, ref);

	ida_free(&virtcons_minor_ida, port->minor);
	virtcons_put(port->vcon);
	kfree(port->name);
	kfree(port);
}

/**
 * virtcons_put_port - somebody is done with a port
 * @port:	the port
 *
 * Process context.
 */
void virtcons_put_port(struct virtcons_port *port)
{
	kref_put(&port->ref, virtcons_release_port);
}

/**
 * virtcons_find_minor - the port of a character device
 * @minor:	from 0 on
 *
 * NULL: it was unplugged. Otherwise the caller puts it. Process context.
 */
struct virtcons_port *virtcons_find_minor(unsigned int minor)
{
	struct virtcons_port *port, *found = NULL;

	mutex_lock(&virtcons_ports_lock);
	list_for_each_entry(port, &virtcons_ports, list)
		if (port->minor == minor) {
			kref_get(&port->ref);
			found = port;
			break;
		}
	mutex_unlock(&virtcons_ports_lock);
	return found;
}

static dev_t virtcons_port_devt(const struct virtcons_port *port)
{
	return MKDEV(MAJOR(virtcons_devt), MINOR(virtcons_devt) + port->minor);
}

/* Buffers for what comes in, as far as there is memory: one will do. */
static int virtcons_fill_slot(struct virtcons_slot *slot)
{
	struct virtcons_buf *buf;
	bool more = true;

	while (more) {
		buf = virtcons_alloc_buf(VIRTCONS_IN_SIZE, GFP_KERNEL);
		if (!buf)
			break;
		spin_lock_irq(&slot->lock);
		more = slot->in_num < VIRTCONS_IN_BUFS &&
		       virtcons_post(slot, buf);
		slot->in_num += more;
		spin_unlock_irq(&slot->lock);
		if (!more)
			kfree(buf);
	}

	spin_lock_irq(&slot->lock);
	if (slot->in_num)
		virtqueue_kick(slot->in_vq);
	more = slot->in_num;
	spin_unlock_irq(&slot->lock);
	return more ? 0 : -ENOMEM;
}

static struct virtcons_port *virtcons_new_port(struct virtio_console *vcon,
					       u32 id)
{
	struct virtcons_port *port;

	port = kzalloc(sizeof(*port), GFP_KERNEL);
	if (!port)
		return NULL;
	port->minor = ida_alloc_max(&virtcons_minor_ida, VIRTCONS_MINORS - 1,
				    GFP_KERNEL);
	if (port->minor < 0) {
		kfree(port);
		return NULL;
	}
	kref_init(&port->ref);
	kref_get(&vcon->ref);
	port->vcon = vcon;
	port->slot = &vcon->slots[id];
	port->id = id;
	/* Without control messages nobody tells. */
	port->host_open = !vcon->multiport;
	mutex_init(&port->read_lock);
	init_waitqueue_head(&port->wq);
	INIT_LIST_HEAD(&port->list);
	INIT_LIST_HEAD(&port->hvc_list);
	return port;
}

/* The port can be seen, and opened at once. */
static int virtcons_show_port(struct virtcons_port *port)
{
	int err;

	port->cdev = cdev_alloc();
	if (!port->cdev)
		return -ENOMEM;
	port->cdev->ops = &virtcons_fops;
	port->cdev->owner = THIS_MODULE;
	err = cdev_add(port->cdev, virtcons_port_devt(port), 1);
	if (err)
		goto del_cdev;

	mutex_lock(&virtcons_ports_lock);
	list_add_tail(&port->list, &virtcons_ports);
	mutex_unlock(&virtcons_ports_lock);

	port->dev = device_create(virtcons_class, &port->vcon->vdev->dev,
				  virtcons_port_devt(port), port,
				  "vport%up%u", port->vcon->index, port->id);
	if (IS_ERR(port->dev)) {
		err = PTR_ERR(port->dev);
		port->dev = NULL;
		goto unlist;
	}
	return 0;

unlist:
	mutex_lock(&virtcons_ports_lock);
	list_del(&port->list);
	mutex_unlock(&virtcons_ports_lock);
del_cdev:
	cdev_del(port->cdev);
	return err;
}

/* With the slot's lock held. Whoever waits gets out. */
static void virtcons_end_port(struct virtcons_port *port)
{
	if (port->gone)
		return;
	port->gone = true;
	virtcons_wake(port, POLL_HUP);
}

static void virtcons_leave_slot(struct virtcons_port *port)
{
	struct virtcons_slot *slot = port->slot;

	spin_lock_irq(&slot->lock);
	virtcons_end_port(port);
	/* A reader who is at it gives the buffer back. */
	virtcons_discard(slot);
	slot->port = NULL;
	spin_unlock_irq(&slot->lock);
}

/**
 * virtcons_add_port - the device has a port
 * @vcon:	the device
 * @id:		the port's number, which is free
 *
 * Process context. Returns 0 or a negative errno.
 */
int virtcons_add_port(struct virtio_console *vcon, u32 id)
{
	struct virtcons_slot *slot = &vcon->slots[id];
	struct virtcons_port *port;
	int err;

	port = virtcons_new_port(vcon, id);
	if (!port)
		return -ENOMEM;

	err = virtcons_fill_slot(slot);
	if (err)
		goto put;

	spin_lock_irq(&slot->lock);
	/* What the one before has left. */
	virtcons_discard(slot);
	slot->port = port;
	port->gone = virtio_device_is_broken(vcon->vdev);
	spin_unlock_irq(&slot->lock);

	err = virtcons_show_port(port);
	if (!err)
		return 0;
	virtcons_leave_slot(port);
put:
	virtcons_put_port(port);
	return err;
}

/**
 * virtcons_name_port - the host calls a port something
 * @port:	the port
 * @name:	what; there need not be a NUL
 * @len:	bytes that are the name's
 *
 * udev looks for it when it hears of a change. Process context.
 */
void virtcons_name_port(struct virtcons_port *port, const char *name,
			size_t len)
{
	struct virtio_device *vdev = port->vcon->vdev;
	int err;

	if (port->name || !port->dev)
		return;
	port->name = kstrndup(name, len, GFP_KERNEL);
	if (!port->name) {
		virtcons_warn(vdev, "port %u: no memory for its name\n",
			      port->id);
		return;
	}
	err = device_create_file(port->dev, &dev_attr_name);
	if (err)
		virtcons_warn(vdev, "port %u: no attribute for its name: %d\n",
			      port->id, err);
	else
		kobject_uevent(&port->dev->kobj, KOBJ_CHANGE);
}

/**
 * virtcons_host_opens - somebody begins to listen on the host, or ends
 * @port:	the port
 * @open:	begins
 *
 * Process context.
 */
void virtcons_host_opens(struct virtcons_port *port, bool open)
{
	spin_lock_irq(&port->slot->lock);
	port->unsure = false;
	if (port->host_open != open) {
		port->host_open = open;
		virtcons_wake(port, open ? POLL_OUT : POLL_HUP);
	}
	spin_unlock_irq(&port->slot->lock);
}

/* How they go */

/**
 * virtcons_unplug_port - a port goes
 * @port:	the port; not valid any more afterwards
 *
 * Process context.
 */
void virtcons_unplug_port(struct virtcons_port *port)
{
	virtcons_leave_slot(port);

	mutex_lock(&virtcons_ports_lock);
	list_del(&port->list);
	mutex_unlock(&virtcons_ports_lock);

	if (port->console)
		virtcons_remove_console(port);
	device_destroy(virtcons_class, virtcons_port_devt(port));
	cdev_del(port->cdev);
	virtcons_put_port(port);
}

/**
 * virtcons_fail_slot - the device broke, and was reset
 * @slot:	one of its slots
 *
 * The port stays to be seen until the device is removed. Process context.
 */
void virtcons_fail_slot(struct virtcons_slot *slot)
{
	spin_lock_irq(&slot->lock);
	if (slot->port)
		virtcons_end_port(slot->port);
	spin_unlock_irq(&slot->lock);
	virtcons_drain_slot(slot);
}

/* What the device had to fill; with the slot's lock held. */
static void virtcons_drain_in(struct virtcons_slot *slot)
{
	struct virtcons_buf *buf;

	while (slot->in_vq &&
	       (buf = virtqueue_detach_unused_buf(slot->in_vq))) {
		slot->in_num--;
		kfree(buf);
	}
}

/* They are in virtcons_slot::sent still; with its lock held. */
static void virtcons_drain_out(struct virtcons_slot *slot)
{
	while (slot->out_vq && virtqueue_detach_unused_buf(slot->out_vq))
		;
}

/**
 * virtcons_drain_slot - take back what a device that was reset held
 * @slot:	one of its slots
 *
 * Process context.
 */
void virtcons_drain_slot(struct virtcons_slot *slot)
{
	struct virtcons_buf *buf;

	spin_lock_irq(&slot->lock);
	virtcons_drain_in(slot);
	while (!list_empty(&slot->received)) {
		buf = list_first_entry(&slot->received, struct virtcons_buf,
				       list);
		list_del(&buf->list);
		slot->in_num--;
		kfree(buf);
	}
	virtcons_drain_out(slot);
	while (!list_empty(&slot->sent)) {
		buf = list_first_entry(&slot->sent, struct virtcons_buf, list);
		list_del(&buf->list);
		slot->out_num--;
		kfree(buf);
	}
	spin_unlock_irq(&slot->lock);
}

/* Sleep */

/**
 * virtcons_park_slot - the device was reset, and falls asleep
 * @slot:	one of its slots
 *
 * Takes back what it held. Data that nobody has read stays to be read, and
 * what it had not taken is sent again by virtcons_unpark_slot(). A host that
 * did not read may have taken a part of the first of that: then this part
 * comes twice, and else it would be lost. Process context.
 */
void virtcons_park_slot(struct virtcons_slot *slot)
{
	struct virtcons_buf *buf;
	unsigned int len;

	spin_lock_irq(&slot->lock);
	slot->asleep = true;
	while (slot->in_vq && (buf = virtqueue_get_buf(slot->in_vq, &len))) {
		buf->len = len;
		buf->pos = 0;
		if (len) {
			list_add_tail(&buf->list, &slot->received);
		} else {
			slot->in_num--;
			kfree(buf);
		}
	}
	virtcons_drain_in(slot);
	virtcons_reap(slot);
	virtcons_drain_out(slot);
	spin_unlock_irq(&slot->lock);
}

/**
 * virtcons_unpark_slot - the device works again
 * @slot:	one of its slots
 * @multiport:	the device will say which ports there are
 *
 * Process context.
 */
void virtcons_unpark_slot(struct virtcons_slot *slot, bool multiport)
{
	struct virtcons_buf *buf;
	struct scatterlist sg;
	bool port;

	spin_lock_irq(&slot->lock);
	slot->asleep = false;
	/* It had room for them before. */
	list_for_each_entry(buf, &slot->sent, list) {
		sg_init_one(&sg, buf->data, buf->len);
		if (virtqueue_add_outbuf(slot->out_vq, &sg, 1, buf))
			break;
	}
	virtqueue_kick(slot->out_vq);
	port = slot->port;
	if (port && multiport)
		slot->port->again = slot->port->unsure = true;
	spin_unlock_irq(&slot->lock);

	/* With less memory, fewer of them. */
	if (port)
		virtcons_fill_slot(slot);

	spin_lock_irq(&slot->lock);
	/* The interrupt may have been lost in the reset. */
	if (!list_empty(&slot->received) && slot->port)
		virtcons_wake(slot->port, POLL_IN);
	if (slot->full && virtcons_has_room(slot) && slot->port)
		virtcons_wake(slot->port, POLL_OUT);
	spin_unlock_irq(&slot->lock);
}

/**
 * virtcons_announced_again - after a sleep, the device says that a port is there
 * @port:	the port
 *
 * True for the first time only. Process context.
 */
bool virtcons_announced_again(struct virtcons_port *port)
{
	bool again;

	spin_lock_irq(&port->slot->lock);
	again = port->again;
	port->again = false;
	spin_unlock_irq(&port->slot->lock);
	return again;
}

/**
 * virtcons_settle_port - some time has passed since a sleep
 * @port:	the port
 *
 * That nobody listens on the host any more, the device does not say. Process
 * context.
 */
void virtcons_settle_port(struct virtcons_port *port)
{
	bool unsure;

	spin_lock_irq(&port->slot->lock);
	unsure = port->unsure;
	spin_unlock_irq(&port->slot->lock);
	if (unsure)
		virtcons_host_opens(port, false);
}
