// SPDX-License-Identifier: GPL-2.0
/*
 * The control queues, virtio 1.2 section 5.3.6.2: which ports there are, what
 * they are called, and who has them open.
 *
 * What the device says is handled by a work, one message after the other, so
 * ports come and go one at a time. What it is told waits in a list when its
 * queue is full; while that list is long, it is not listened to, and nobody
 * opens a port.
 */
#include <linux/sched.h>
#include <linux/slab.h>
#include "virtio_console.h"

/* Messages that are handled before others get the processor. */
#define VIRTCONS_CTRL_BATCH	32

/* Messages for the device that may wait before there come no more. */
#define VIRTCONS_CTRL_WAITING	64

/* What the device is told */

/* With ctrl_lock held. Everything that fits goes to the device. */
static void virtcons_ctrl_push(struct virtio_console *vcon)
{
	struct virtcons_msg *msg;
	struct scatterlist sg;
	unsigned int len;

	if (!vcon->ctrl_out)
		return;
	while ((msg = virtqueue_get_buf(vcon->ctrl_out, &len)))
		kfree(msg);
	while (!list_empty(&vcon->msgs)) {
		msg = list_first_entry(&vcon->msgs, struct virtcons_msg, list);
		sg_init_one(&sg, &msg->ctrl, sizeof(msg->ctrl));
		if (virtqueue_add_outbuf(vcon->ctrl_out, &sg, 1, msg))
			break;
		list_del(&msg->list);
		vcon->num_msgs--;
	}
	virtqueue_kick(vcon->ctrl_out);
}

/* With ctrl_lock held. */
static void virtcons_queue_work(struct virtio_console *vcon)
{
	if (!vcon->closing)
		queue_work(vcon->wq, &vcon->ctrl_work);
}

static bool virtcons_ctrl_busy(struct virtio_console *vcon)
{
	return READ_ONCE(vcon->num_msgs) > VIRTCONS_CTRL_WAITING;
}

/**
 * virtcons_ctrl_out_done - virtqueue_info::callback of messages for the device
 * @vq:		the queue
 *
 * Interrupt context.
 */
void virtcons_ctrl_out_done(struct virtqueue *vq)
{
	struct virtio_console *vcon = vq->vdev->priv;
	unsigned long flags;
	bool busy;

	spin_lock_irqsave(&vcon->ctrl_lock, flags);
	busy = virtcons_ctrl_busy(vcon);
	virtcons_ctrl_push(vcon);
	if (busy && !virtcons_ctrl_busy(vcon)) {
		virtcons_queue_work(vcon);
		wake_up_interruptible(&vcon->msg_wq);
	}
	spin_unlock_irqrestore(&vcon->ctrl_lock, flags);
}

/**
 * virtcons_ctrl_wait - wait until the device takes messages
 * @vcon:	the device
 *
 * Process context; sleeps, and a signal ends it. Returns 0 or a negative
 * errno.
 */
int virtcons_ctrl_wait(struct virtio_console *vcon)
{
	if (!virtcons_ctrl_busy(vcon))
		return 0;
	return wait_event_interruptible(vcon->msg_wq,
					!virtcons_ctrl_busy(vcon));
}

/**
 * virtcons_ctrl_send - tell the device something
 * @vcon:	the device
 * @id:		the port that it is about
 * @event:	VIRTIO_CONSOLE_…
 * @value:	goes with that
 *
 * Does not wait for it to be heard. Process context.
 */
void virtcons_ctrl_send(struct virtio_console *vcon, u32 id, u16 event,
			u16 value)
{
	struct virtcons_msg *msg;

	if (!vcon->multiport)
		return;
	msg = kmalloc(sizeof(*msg), GFP_KERNEL);
	spin_lock_irq(&vcon->ctrl_lock);
	if (msg && vcon->ctrl_out && !vcon->asleep &&
	    !virtio_device_is_broken(vcon->ctrl_out->vdev)) {
		msg->ctrl.id = cpu_to_le32(id);
		msg->ctrl.event = cpu_to_le16(event);
		msg->ctrl.value = cpu_to_le16(value);
		list_add_tail(&msg->list, &vcon->msgs);
		vcon->num_msgs++;
		virtcons_ctrl_push(vcon);
		msg = NULL;
	}
	spin_unlock_irq(&vcon->ctrl_lock);
	kfree(msg);
}

/* What the device says */

/* It slept, and forgot what it was told of its ports. */
static void virtcons_port_is_back(struct virtio_console *vcon, u32 id)
{
	virtcons_ctrl_send(vcon, id, VIRTIO_CONSOLE_PORT_READY, 1);
	if (READ_ONCE(vcon->slots[id].port->guest_open))
		virtcons_ctrl_send(vcon, id, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static void virtcons_port_add(struct virtio_console *vcon, u32 id)
{
	struct virtcons_port *port = vcon->slots[id].port;
	int err;

	if (port && virtcons_announced_again(port)) {
		virtcons_port_is_back(vcon, id);
		return;
	}
	if (port) {
		virtcons_warn(vcon->vdev, "port %u is added, and was there\n",
			      id);
		return;
	}
	err = virtcons_add_port(vcon, id);
	if (err)
		virtcons_warn(vcon->vdev, "port %u: cannot be set up: %d\n",
			      id, err);
	virtcons_ctrl_send(vcon, id, VIRTIO_CONSOLE_PORT_READY, !err);
}

static void virtcons_port_console(struct virtcons_port *port)
{
	struct virtio_console *vcon = port->vcon;

	if (!port->console && !virtcons_make_console(port))
		virtcons_ctrl_send(vcon, port->id, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static void virtcons_port_resize(struct virtcons_port *port, const void *data,
				 unsigned int len)
{
	struct virtio_console_resize size;

	if (len < sizeof(size)) {
		virtcons_warn(port->vcon->vdev, "port %u: RESIZE with %u bytes, not %zu: ignored\n",
			      port->id, len, sizeof(size));
		return;
	}
	memcpy(&size, data, sizeof(size));
	virtcons_resize_console(port, le16_to_cpu(size.cols),
				le16_to_cpu(size.rows));
}

static void virtcons_port_event(struct virtcons_port *port, u16 event,
				u16 value, const void *data, unsigned int len)
{
	switch (event) {
	case VIRTIO_CONSOLE_PORT_REMOVE:
		virtcons_unplug_port(port);
		break;
	case VIRTIO_CONSOLE_CONSOLE_PORT:
		if (value)
			virtcons_port_console(port);
		break;
	case VIRTIO_CONSOLE_RESIZE:
		virtcons_port_resize(port, data, len);
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		virtcons_host_opens(port, value);
		break;
	case VIRTIO_CONSOLE_PORT_NAME:
		/* With a NUL, or without; nothing is no name. */
		len = strnlen(data, len);
		if (len)
			virtcons_name_port(port, data, len);
		break;
	}
}

static void virtcons_ctrl_handle(struct virtio_console *vcon, const void *data,
				 unsigned int len)
{
	const struct virtio_console_control *ctrl = data;
	struct virtcons_port *port;
	u16 event;
	u32 id;

	if (len < sizeof(*ctrl)) {
		virtcons_warn(vcon->vdev, "control message of %u bytes, not %zu: ignored\n",
			      len, sizeof(*ctrl));
		return;
	}
	id = le32_to_cpu(ctrl->id);
	event = le16_to_cpu(ctrl->event);
	if (id >= vcon->num_ports) {
		virtcons_warn(vcon->vdev, "control message %u for port %u, of %u: ignored\n",
			      event, id, vcon->num_ports);
		return;
	}
	if (event == VIRTIO_CONSOLE_PORT_ADD) {
		virtcons_port_add(vcon, id);
		return;
	}

	/* Only this work, and the driver without it, sets it. */
	port = vcon->slots[id].port;
	if (!port) {
		virtcons_warn(vcon->vdev, "control message %u for port %u, which was not added: ignored\n",
			      event, id);
		return;
	}
	virtcons_port_event(port, event, le16_to_cpu(ctrl->value), ctrl + 1,
			    len - sizeof(*ctrl));
}

/* With ctrl_lock held. */
static bool virtcons_ctrl_post(struct virtio_console *vcon, void *data)
{
	struct scatterlist sg;

	sg_init_one(&sg, data, VIRTCONS_CTRL_SIZE);
	return vcon->ctrl_in && !vcon->asleep &&
	       !virtqueue_add_inbuf(vcon->ctrl_in, &sg, 1, data);
}

/* Takes the next message, unless enough was said for now. */
static void *virtcons_ctrl_next(struct virtio_console *vcon, unsigned int *len)
{
	void *data = NULL;

	spin_lock_irq(&vcon->ctrl_lock);
	if (vcon->ctrl_in && !virtcons_ctrl_busy(vcon))
		data = virtqueue_get_buf(vcon->ctrl_in, len);
	spin_unlock_irq(&vcon->ctrl_lock);
	return data;
}

/**
 * virtcons_ctrl_work - virtio_console::ctrl_work
 * @work:	the work
 *
 * Process context.
 */
void virtcons_ctrl_work(struct work_struct *work)
{
	struct virtio_console *vcon =
		container_of(work, struct virtio_console, ctrl_work);
	unsigned int n, len;
	void *data;

	for (n = 0; n < VIRTCONS_CTRL_BATCH; n++) {
		data = virtcons_ctrl_next(vcon, &len);
		if (!data)
			return;
		virtcons_ctrl_handle(vcon, data, len);

		spin_lock_irq(&vcon->ctrl_lock);
		if (virtcons_ctrl_post(vcon, data)) {
			virtqueue_kick(vcon->ctrl_in);
			data = NULL;
		}
		spin_unlock_irq(&vcon->ctrl_lock);
		kfree(data);
	}

	/* It has more to say, but is not the only one. */
	cond_resched();
	spin_lock_irq(&vcon->ctrl_lock);
	virtcons_queue_work(vcon);
	spin_unlock_irq(&vcon->ctrl_lock);
}

/**
 * virtcons_ctrl_in_done - virtqueue_info::callback of the device's messages
 * @vq:		the queue
 *
 * Interrupt context.
 */
void virtcons_ctrl_in_done(struct virtqueue *vq)
{
	struct virtio_console *vcon = vq->vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&vcon->ctrl_lock, flags);
	virtcons_queue_work(vcon);
	spin_unlock_irqrestore(&vcon->ctrl_lock, flags);
}

/**
 * virtcons_ctrl_start - let the device talk
 * @vcon:	the device, which works
 *
 * Process context. Returns 0 or -ENOMEM.
 */
int virtcons_ctrl_start(struct virtio_console *vcon)
{
	unsigned int posted = 0;
	bool more = true;
	void *data;

	while (more && posted < VIRTCONS_CTRL_BUFS) {
		data = kmalloc(VIRTCONS_CTRL_SIZE, GFP_KERNEL);
		if (!data)
			break;
		spin_lock_irq(&vcon->ctrl_lock);
		more = virtcons_ctrl_post(vcon, data);
		spin_unlock_irq(&vcon->ctrl_lock);
		posted += more;
		if (!more)
			kfree(data);
	}
	if (!posted)
		return -ENOMEM;

	spin_lock_irq(&vcon->ctrl_lock);
	virtqueue_kick(vcon->ctrl_in);
	spin_unlock_irq(&vcon->ctrl_lock);
	virtcons_ctrl_send(vcon, VIRTIO_CONSOLE_BAD_ID,
			   VIRTIO_CONSOLE_DEVICE_READY, 1);
	return 0;
}

/**
 * virtcons_ctrl_drain - take back what a device that was reset held
 * @vcon:	the device
 *
 * What it was still to be told is forgotten, and nobody waits for it. Process
 * context.
 */
void virtcons_ctrl_drain(struct virtio_console *vcon)
{
	struct virtcons_msg *msg;
	void *data;

	spin_lock_irq(&vcon->ctrl_lock);
	while (vcon->ctrl_in &&
	       (data = virtqueue_detach_unused_buf(vcon->ctrl_in)))
		kfree(data);
	while (vcon->ctrl_out &&
	       (msg = virtqueue_detach_unused_buf(vcon->ctrl_out)))
		kfree(msg);
	while (!list_empty(&vcon->msgs)) {
		msg = list_first_entry(&vcon->msgs, struct virtcons_msg, list);
		list_del(&msg->list);
		kfree(msg);
	}
	vcon->num_msgs = 0;
	wake_up_interruptible(&vcon->msg_wq);
	spin_unlock_irq(&vcon->ctrl_lock);
}
