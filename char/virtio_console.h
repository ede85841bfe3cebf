/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the console driver share.
 *
 *	virtio_console_main.c	config, queues, the device's life
 *	virtio_console_ctrl.c	the control queues
 *	virtio_console_port.c	ports: their buffers, how they come, and go
 *	virtio_console_file.c	ports as character devices
 *	virtio_console_hvc.c	ports as consoles
 */
#ifndef _VIRTIO_CONSOLE_PRIV_H
#define _VIRTIO_CONSOLE_PRIV_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/tty.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/hvc_console.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>

/* Ports of one device that are used; QEMU has 31. */
#define VIRTCONS_MAX_PORTS	256

/* Ports of all devices. */
#define VIRTCONS_MINORS		8192

/*
 * Buffers of a port: those that the device fills are a page each; at most so
 * many are with the device, each way.
 */
#define VIRTCONS_IN_BUFS	16
#define VIRTCONS_IN_SIZE	(PAGE_SIZE - sizeof(struct virtcons_buf))
#define VIRTCONS_OUT_BUFS	16
#define VIRTCONS_OUT_SIZE	(4 * PAGE_SIZE - sizeof(struct virtcons_buf))

/* A console's are a few bytes each. */
#define VIRTCONS_OUT_CONSOLE	128

/* Control messages: those that the device may send, and their size. */
#define VIRTCONS_CTRL_BUFS	32
#define VIRTCONS_CTRL_SIZE	512

/**
 * struct virtcons_buf - data of a port, on its way in or out
 * @list:	in virtcons_slot::sent or ::received
 * @len:	bytes in @data
 * @pos:	how many of them were read
 * @data:	the data
 */
struct virtcons_buf {
	struct list_head list;
	unsigned int len;
	unsigned int pos;
	char data[];
};

/**
 * struct virtcons_slot - where the device may have a port
 * @lock:	protects what follows and the port's state; taken in interrupt
 *		context
 * @in_vq:	what the device sends; NULL once it was removed
 * @out_vq:	what it is sent; likewise
 * @port:	the port that is there now, or NULL
 * @in_num:	buffers that the device, or a reader, has
 * @out_num:	buffers that the device has
 * @sent:	these, in their order
 * @received:	what the device had sent before it fell asleep, and nobody had
 *		read yet
 * @asleep:	nothing is given to the device
 * @full:	somebody could not send for lack of room
 * @stuck:	a console has waited for room, in vain
 *
 * Buffers belong to it and not to the port, for a queue cannot be reset: those
 * that the device has when a port goes are there for the next one.
 */
struct virtcons_slot {
	spinlock_t lock;
	struct virtqueue *in_vq;
	struct virtqueue *out_vq;
	struct virtcons_port *port;
	unsigned int in_num;
	unsigned int out_num;
	struct list_head sent;
	struct list_head received;
	bool asleep;
	bool full;
	bool stuck;
};

/**
 * struct virtcons_port - a port
 * @ref:	the slot, and whoever has it open
 * @vcon:	its device, which lives as long as the port
 * @slot:	its place there
 * @list:	in virtcons_ports, until it is unplugged
 * @id:		number on the device
 * @minor:	of its character device; nobody else's while it lives
 * @cdev:	the character device
 * @dev:	the same in sysfs
 * @name:	what the host calls it, or NULL; never changes once it is set
 * @read_lock:	one reader at a time
 * @wq:		those who wait for data, room or the end
 * @async:	those who want a signal then
 * @host_open:	somebody listens on the host
 * @guest_open:	somebody does here
 * @again:	after a sleep: the device has not announced it anew
 * @unsure:	after a sleep: nor said that somebody listens
 * @gone:	unplugged, or the device broke: nothing works any more
 * @busy:	a reader copies from @cur
 * @cur:	data that was not read yet
 * @console:	it is a console, and has no file
 * @tty_open:	the console is open; with @hvc_lock
 * @vtermno:	the console's number
 * @hvc:	the console
 * @ws:		its size
 * @hvc_list:	in the list of all consoles
 */
struct virtcons_port {
	struct kref ref;
	struct virtio_console *vcon;
	struct virtcons_slot *slot;
	struct list_head list;
	u32 id;
	int minor;
	struct cdev *cdev;
	struct device *dev;
	char *name;

	struct mutex read_lock;
	wait_queue_head_t wq;
	struct fasync_struct *async;
	bool host_open;
	bool guest_open;
	bool again;
	bool unsure;
	bool gone;
	bool busy;
	struct virtcons_buf *cur;

	bool console;
	bool tty_open;
	int vtermno;
	struct hvc_struct *hvc;
	struct winsize ws;
	struct list_head hvc_list;
};

/**
 * struct virtcons_msg - a control message for the device
 * @list:	while there is no room for it in the queue
 * @ctrl:	the message
 */
struct virtcons_msg {
	struct list_head list;
	struct virtio_console_control ctrl;
};

/**
 * struct virtio_console - a device
 * @ref:	the driver, and each port
 * @vdev:	the device; not valid once it was removed
 * @index:	the N in vportNpM
 * @multiport:	it has control queues
 * @num_ports:	how many @slots there are
 * @slots:	where its ports may be
 * @wq:		for the works that follow
 * @ctrl_work:	handles control messages, and with that ports
 * @config_work: looks at a config change
 * @settle_work: some time after a sleep: who has not been heard of is not there
 * @ctrl_lock:	protects what follows; taken in interrupt context
 * @ctrl_in:	messages of the device; NULL once it was removed
 * @ctrl_out:	messages for it; likewise
 * @closing:	no work is queued any more
 * @asleep:	nothing is given to the device
 * @msgs:	messages for which there was no room
 * @num_msgs:	how many
 * @msg_wq:	those who wait for there to be fewer
 */
struct virtio_console {
	struct kref ref;
	struct virtio_device *vdev;
	int index;
	bool multiport;
	unsigned int num_ports;
	struct virtcons_slot *slots;
	struct workqueue_struct *wq;
	struct work_struct ctrl_work;
	struct work_struct config_work;
	struct delayed_work settle_work;

	spinlock_t ctrl_lock;
	struct virtqueue *ctrl_in;
	struct virtqueue *ctrl_out;
	bool closing;
	bool asleep;
	struct list_head msgs;
	unsigned int num_msgs;
	wait_queue_head_t msg_wq;
};

/* "0000:01:00.0: " in front of what a person reads; not more than is useful. */
#define virtcons_err(_vdev, fmt, ...)					\
	dev_err(&(_vdev)->dev, "%s: " fmt,				\
		(_vdev)->config->bus_name(_vdev), ##__VA_ARGS__)
#define virtcons_warn(_vdev, fmt, ...) do {				\
	if (printk_ratelimit())						\
		dev_warn(&(_vdev)->dev, "%s: " fmt,			\
			 (_vdev)->config->bus_name(_vdev),		\
			 ##__VA_ARGS__);				\
} while (0)

/* virtio_console_main.c */
void virtcons_put(struct virtio_console *vcon);

/* virtio_console_ctrl.c */
void virtcons_ctrl_in_done(struct virtqueue *vq);
void virtcons_ctrl_out_done(struct virtqueue *vq);
void virtcons_ctrl_work(struct work_struct *work);
int virtcons_ctrl_start(struct virtio_console *vcon);
void virtcons_ctrl_drain(struct virtio_console *vcon);
int virtcons_ctrl_wait(struct virtio_console *vcon);
void virtcons_ctrl_send(struct virtio_console *vcon, u32 id, u16 event,
			u16 value);

/* virtio_console_port.c */
extern struct class *virtcons_class;
extern dev_t virtcons_devt;
void virtcons_in_done(struct virtqueue *vq);
void virtcons_out_done(struct virtqueue *vq);
struct virtcons_buf *virtcons_alloc_buf(size_t size, gfp_t gfp);
bool virtcons_fetch(struct virtcons_port *port);
void virtcons_consume(struct virtcons_port *port, unsigned int len);
void virtcons_discard(struct virtcons_slot *slot);
bool virtcons_has_room(struct virtcons_slot *slot);
int virtcons_submit(struct virtcons_slot *slot, struct virtcons_buf *buf);
int virtcons_add_port(struct virtio_console *vcon, u32 id);
void virtcons_name_port(struct virtcons_port *port, const char *name,
			size_t len);
void virtcons_host_opens(struct virtcons_port *port, bool open);
void virtcons_park_slot(struct virtcons_slot *slot);
void virtcons_unpark_slot(struct virtcons_slot *slot, bool multiport);
bool virtcons_announced_again(struct virtcons_port *port);
void virtcons_settle_port(struct virtcons_port *port);
void virtcons_unplug_port(struct virtcons_port *port);
void virtcons_fail_slot(struct virtcons_slot *slot);
void virtcons_drain_slot(struct virtcons_slot *slot);
struct virtcons_port *virtcons_find_minor(unsigned int minor);
void virtcons_put_port(struct virtcons_port *port);

/* virtio_console_file.c */
extern const struct file_operations virtcons_fops;

/* virtio_console_hvc.c */
int virtcons_make_console(struct virtcons_port *port);
void virtcons_remove_console(struct virtcons_port *port);
void virtcons_resize_console(struct virtcons_port *port, u16 cols, u16 rows);

#endif /* _VIRTIO_CONSOLE_PRIV_H */
