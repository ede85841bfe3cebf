// SPDX-License-Identifier: GPL-2.0
/*
 * Ports as character devices: /dev/vportNpM.
 *
 * When nobody listens on the host, a read finds the end of the file, and a
 * write waits, or would.
 */
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "virtio_console.h"

/*
 * Takes the port unless somebody has it. What came before, and nobody read, is
 * not for who comes now.
 */
static int virtcons_take(struct virtcons_port *port)
{
	struct virtcons_slot *slot = port->slot;
	int err = 0;

	spin_lock_irq(&slot->lock);
	if (port->gone || port->console) {
		err = -ENXIO;
	} else if (port->guest_open) {
		err = -EBUSY;
	} else {
		virtcons_discard(slot);
		port->guest_open = true;
	}
	spin_unlock_irq(&slot->lock);
	return err;
}

static int virtcons_open(struct inode *inode, struct file *filp)
{
	struct virtcons_port *port;
	int err;

	port = virtcons_find_minor(iminor(inode) - MINOR(virtcons_devt));
	if (!port)
		return -ENXIO;

	err = virtcons_ctrl_wait(port->vcon);
	if (!err)
		err = virtcons_take(port);
	if (err) {
		virtcons_put_port(port);
		return err;
	}

	filp->private_data = port;
	virtcons_ctrl_send(port->vcon, port->id, VIRTIO_CONSOLE_PORT_OPEN, 1);
	return nonseekable_open(inode, filp);
}

static int virtcons_release(struct inode *inode, struct file *filp)
{
	struct virtcons_port *port = filp->private_data;
	struct virtcons_slot *slot = port->slot;
	bool gone;

	spin_lock_irq(&slot->lock);
	port->guest_open = false;
	gone = port->gone;
	if (!gone)
		virtcons_discard(slot);
	spin_unlock_irq(&slot->lock);

	/* Else it would be about whatever port is there now. */
	if (!gone)
		virtcons_ctrl_send(port->vcon, port->id,
				   VIRTIO_CONSOLE_PORT_OPEN, 0);
	virtcons_put_port(port);
	return 0;
}

/*
 * Reserves the data that comes next for the caller. Returns how much; 0 at the
 * end of the file, -EAGAIN if there is none yet, -ENODEV if there never will
 * be.
 */
static int virtcons_begin_read(struct virtcons_port *port)
{
	int len;

	spin_lock_irq(&port->slot->lock);
	if (port->gone) {
		len = -ENODEV;
	} else if (virtcons_fetch(port)) {
		len = port->cur->len - port->cur->pos;
		port->busy = true;
	} else {
		len = port->host_open ? -EAGAIN : 0;
	}
	spin_unlock_irq(&port->slot->lock);
	return len;
}

static void virtcons_end_read(struct virtcons_port *port, unsigned int len)
{
	spin_lock_irq(&port->slot->lock);
	port->busy = false;
	virtcons_consume(port, len);
	spin_unlock_irq(&port->slot->lock);
}

/* As much as there is. Returns what virtcons_begin_read() does. */
static ssize_t virtcons_read_some(struct virtcons_port *port,
				  char __user *ubuf, size_t count)
{
	size_t done = 0, n;
	int len = 0;

	while (done < count) {
		len = virtcons_begin_read(port);
		if (len <= 0)
			break;
		n = min_t(size_t, len, count - done);
		if (copy_to_user(ubuf + done, port->cur->data + port->cur->pos,
				 n)) {
			virtcons_end_read(port, 0);
			len = -EFAULT;
			break;
		}
		virtcons_end_read(port, n);
		done += n;
	}
	return done ? done : len;
}

static bool virtcons_may_read(struct virtcons_port *port)
{
	bool may;

	spin_lock_irq(&port->slot->lock);
	may = port->gone || !port->host_open || virtcons_fetch(port);
	spin_unlock_irq(&port->slot->lock);
	return may;
}

static ssize_t virtcons_read(struct file *filp, char __user *ubuf,
			     size_t count, loff_t *pos)
{
	struct virtcons_port *port = filp->private_data;
	ssize_t ret;

	if (!count)
		return 0;
	for (;;) {
		ret = mutex_lock_interruptible(&port->read_lock);
		if (ret)
			return ret;
		ret = virtcons_read_some(port, ubuf, count);
		mutex_unlock(&port->read_lock);

		if (ret != -EAGAIN || filp->f_flags & O_NONBLOCK)
			return ret;
		ret = wait_event_interruptible(port->wq,
					       virtcons_may_read(port));
		if (ret)
			return ret;
	}
}

/* With the slot's lock held. */
static int virtcons_writable(struct virtcons_port *port)
{
	if (port->gone)
		return -ENODEV;
	if (!port->host_open || !virtcons_has_room(port->slot))
		return -EAGAIN;
	return 0;
}

static int virtcons_may_write(struct virtcons_port *port)
{
	int err;

	spin_lock_irq(&port->slot->lock);
	err = virtcons_writable(port);
	spin_unlock_irq(&port->slot->lock);
	return err;
}

/* A piece of what is written. Returns its length, or -EAGAIN and the like. */
static ssize_t virtcons_write_piece(struct virtcons_port *port,
				    const char __user *ubuf, size_t count)
{
	struct virtcons_buf *buf;
	int err;

	err = virtcons_may_write(port);
	if (err)
		return err;
	count = min_t(size_t, count, VIRTCONS_OUT_SIZE);
	buf = virtcons_alloc_buf(count, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	if (copy_from_user(buf->data, ubuf, count)) {
		kfree(buf);
		return -EFAULT;
	}

	spin_lock_irq(&port->slot->lock);
	err = virtcons_writable(port);
	if (!err)
		err = virtcons_submit(port->slot, buf);
	spin_unlock_irq(&port->slot->lock);
	if (!err)
		return count;
	kfree(buf);
	return err;
}

static ssize_t virtcons_write(struct file *filp, const char __user *ubuf,
			      size_t count, loff_t *pos)
{
	struct virtcons_port *port = filp->private_data;
	ssize_t ret = 0;
	size_t done = 0;

	while (done < count) {
		ret = virtcons_write_piece(port, ubuf + done, count - done);
		if (ret > 0) {
			done += ret;
			continue;
		}
		if (ret != -EAGAIN || filp->f_flags & O_NONBLOCK)
			break;
		ret = wait_event_interruptible(port->wq,
					virtcons_may_write(port) != -EAGAIN);
		if (ret)
			break;
	}
	return done ? done : ret;
}

static __poll_t virtcons_poll(struct file *filp, poll_table *wait)
{
	struct virtcons_port *port = filp->private_data;
	__poll_t events = 0;

	poll_wait(filp, &port->wq, wait);

	spin_lock_irq(&port->slot->lock);
	if (port->gone) {
		events = EPOLLHUP;
	} else {
		/* The end of the file can be read, too. */
		if (!port->host_open)
			events |= EPOLLHUP | EPOLLIN | EPOLLRDNORM;
		else if (virtcons_fetch(port))
			events |= EPOLLIN | EPOLLRDNORM;
		if (!virtcons_writable(port))
			events |= EPOLLOUT | EPOLLWRNORM;
	}
	spin_unlock_irq(&port->slot->lock);
	return events;
}

static int virtcons_fasync(int fd, struct file *filp, int on)
{
	struct virtcons_port *port = filp->private_data;

	return fasync_helper(fd, filp, on, &port->async);
}

const struct file_operations virtcons_fops = {
	.owner		= THIS_MODULE,
	.open		= virtcons_open,
	.release	= virtcons_release,
	.read		= virtcons_read,
	.write		= virtcons_write,
	.poll		= virtcons_poll,
	.fasync		= virtcons_fasync,
};
