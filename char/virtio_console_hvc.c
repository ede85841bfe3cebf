// SPDX-License-Identifier: GPL-2.0
/*
 * Ports as consoles: /dev/hvcN, through the kernel's hvc layer. That calls
 * with a lock of its own held and interrupts off, from a thread, from whoever
 * writes, and from printk.
 *
 * Locks: hvc's own, virtcons_hvc_lock, the slot's.
 */
#include <linux/delay.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "virtio_console.h"

/*
 * A console waits for room, since what printk cannot get rid of is lost: once
 * for so long, and then no more until there has been some. For a terminal, hvc
 * tries again.
 */
#define VIRTCONS_SPIN_MS	10
#define VIRTCONS_SPIN_US	10

/* What hvc collects for a terminal before it has to wait. */
#define VIRTCONS_HVC_BUF	PAGE_SIZE

/* All consoles, and what of a port is said to be with it. */
static LIST_HEAD(virtcons_consoles);
static DEFINE_SPINLOCK(virtcons_hvc_lock);
static DEFINE_IDA(virtcons_vtermno_ida);

/* With virtcons_hvc_lock held. */
static struct virtcons_port *virtcons_find_console(u32 vtermno)
{
	struct virtcons_port *port;

	list_for_each_entry(port, &virtcons_consoles, hvc_list)
		if (port->vtermno == vtermno)
			return port;
	return NULL;
}

/* With the slot's lock held. */
static int virtcons_take_chars(struct virtcons_port *port, char *data,
			       int count)
{
	int done = 0, n;

	while (done < count && !port->gone && virtcons_fetch(port)) {
		n = min_t(unsigned int, count - done,
			  port->cur->len - port->cur->pos);
		memcpy(data + done, port->cur->data + port->cur->pos, n);
		virtcons_consume(port, n);
		done += n;
	}
	return done;
}

/* hv_ops::get_chars. Any context. */
static int virtcons_get_chars(u32 vtermno, char *data, int count)
{
	struct virtcons_port *port;
	unsigned long flags;
	int done = 0;

	spin_lock_irqsave(&virtcons_hvc_lock, flags);
	port = virtcons_find_console(vtermno);
	if (port) {
		spin_lock(&port->slot->lock);
		done = virtcons_take_chars(port, data, count);
		spin_unlock(&port->slot->lock);
	}
	spin_unlock_irqrestore(&virtcons_hvc_lock, flags);
	return done;
}

/* With the slot's lock held. */
static int virtcons_send_chars(struct virtcons_port *port,
			       struct virtcons_buf *buf)
{
	unsigned int tries = VIRTCONS_SPIN_MS * 1000 / VIRTCONS_SPIN_US;
	struct virtcons_slot *slot = port->slot;
	int err;

	if (port->gone)
		return -ENODEV;
	err = virtcons_submit(slot, buf);
	for (; err == -EAGAIN && !slot->stuck && tries; tries--) {
		udelay(VIRTCONS_SPIN_US);
		err = virtcons_submit(slot, buf);
	}
	if (err == -EAGAIN)
		slot->stuck = true;
	return err;
}

/*
 * hv_ops::put_chars. Any context. What cannot be sent for now is 0 bytes, and
 * not -EAGAIN, with which printk would try for ever.
 */
static int virtcons_put_chars(u32 vtermno, const char *data, int count)
{
	struct virtcons_port *port;
	struct virtcons_buf *buf;
	unsigned long flags;
	int err = -ENODEV;

	/* A buffer of no bytes is none, section 2.7.5. */
	if (count <= 0)
		return 0;
	count = min_t(int, count, VIRTCONS_HVC_BUF);
	buf = virtcons_alloc_buf(count, GFP_ATOMIC);
	if (!buf)
		return 0;
	memcpy(buf->data, data, count);

	spin_lock_irqsave(&virtcons_hvc_lock, flags);
	port = virtcons_find_console(vtermno);
	if (port) {
		spin_lock(&port->slot->lock);
		err = virtcons_send_chars(port, buf);
		spin_unlock(&port->slot->lock);
	}
	spin_unlock_irqrestore(&virtcons_hvc_lock, flags);

	if (!err)
		return count;
	kfree(buf);
	return err == -EAGAIN ? 0 : err;
}

/* hv_ops::notifier_add: somebody opens it first. */
static int virtcons_tty_opens(struct hvc_struct *hp, int vtermno)
{
	struct virtcons_port *port;
	struct winsize ws = { 0 };
	unsigned long flags;

	spin_lock_irqsave(&virtcons_hvc_lock, flags);
	port = virtcons_find_console(vtermno);
	if (port) {
		port->tty_open = true;
		ws = port->ws;
	}
	spin_unlock_irqrestore(&virtcons_hvc_lock, flags);
	if (!port)
		return -ENODEV;

	hvc_is_notified(hp);
	if (ws.ws_row && ws.ws_col)
		hvc_resize(hp, ws);
	return 0;
}

/* hv_ops::notifier_del and notifier_hangup: the last one has closed it. */
static void virtcons_tty_closes(struct hvc_struct *hp, int vtermno)
{
	struct virtcons_port *port;
	unsigned long flags;

	spin_lock_irqsave(&virtcons_hvc_lock, flags);
	port = virtcons_find_console(vtermno);
	if (port)
		port->tty_open = false;
	spin_unlock_irqrestore(&virtcons_hvc_lock, flags);
}

static const struct hv_ops virtcons_hv_ops = {
	.get_chars	= virtcons_get_chars,
	.put_chars	= virtcons_put_chars,
	.notifier_add	= virtcons_tty_opens,
	.notifier_del	= virtcons_tty_closes,
	.notifier_hangup = virtcons_tty_closes,
};

/* A port that somebody has opened as a file stays one. */
static int virtcons_claim(struct virtcons_port *port)
{
	int err = 0;

	spin_lock_irq(&port->slot->lock);
	if (port->guest_open)
		err = -EBUSY;
	else
		port->console = port->guest_open = true;
	spin_unlock_irq(&port->slot->lock);
	return err;
}

static void virtcons_unclaim(struct virtcons_port *port)
{
	spin_lock_irq(&port->slot->lock);
	port->console = port->guest_open = false;
	port->hvc = NULL;
	spin_unlock_irq(&port->slot->lock);
}

static void virtcons_list_console(struct virtcons_port *port, bool on)
{
	unsigned long flags;

	spin_lock_irqsave(&virtcons_hvc_lock, flags);
	if (on)
		list_add_tail(&port->hvc_list, &virtcons_consoles);
	else
		list_del(&port->hvc_list);
	spin_unlock_irqrestore(&virtcons_hvc_lock, flags);
}

static int virtcons_alloc_hvc(struct virtcons_port *port)
{
	struct hvc_struct *hvc;

	port->vtermno = ida_alloc(&virtcons_vtermno_ida, GFP_KERNEL);
	if (port->vtermno < 0)
		return port->vtermno;

	/* First, since printk may have something for it at once. */
	virtcons_list_console(port, true);
	hvc = hvc_alloc(port->vtermno, port->vtermno, &virtcons_hv_ops,
			VIRTCONS_HVC_BUF);
	if (IS_ERR(hvc)) {
		virtcons_list_console(port, false);
		ida_free(&virtcons_vtermno_ida, port->vtermno);
		return PTR_ERR(hvc);
	}
	spin_lock_irq(&port->slot->lock);
	port->hvc = hvc;
	spin_unlock_irq(&port->slot->lock);
	return 0;
}

/**
 * virtcons_make_console - a port is a console
 * @port:	the port
 *
 * Process context. Returns 0, or a negative errno and the port is what it was.
 */
int virtcons_make_console(struct virtcons_port *port)
{
	int err = virtcons_claim(port);

	if (!err) {
		err = virtcons_alloc_hvc(port);
		if (err)
			virtcons_unclaim(port);
	}
	if (err)
		virtcons_warn(port->vcon->vdev, "port %u: not used as a console: %s (%d)\n",
			      port->id, err == -EOPNOTSUPP ?
			      "this kernel has no hvc" : "error", err);
	return err;
}

/**
 * virtcons_remove_console - a console goes
 * @port:	the port, which is gone
 *
 * Hangs up whoever has it open. Process context.
 */
void virtcons_remove_console(struct virtcons_port *port)
{
	/* What hvc still asks for, it does not get. */
	virtcons_list_console(port, false);
	hvc_remove(port->hvc);
	ida_free(&virtcons_vtermno_ida, port->vtermno);
}

/**
 * virtcons_resize_console - the host's window has another size
 * @port:	the port; not removed at the same time
 * @cols:	columns
 * @rows:	lines
 *
 * Process context.
 */
void virtcons_resize_console(struct virtcons_port *port, u16 cols, u16 rows)
{
	struct winsize ws = { .ws_row = rows, .ws_col = cols };
	unsigned long flags;
	bool open;

	spin_lock_irqsave(&virtcons_hvc_lock, flags);
	port->ws = ws;
	open = port->tty_open;
	spin_unlock_irqrestore(&virtcons_hvc_lock, flags);

	if (port->hvc && open)
		hvc_resize(port->hvc, ws);
}
