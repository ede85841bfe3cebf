/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_H
#define _LINUX_VIRTIO_H

/*
 * What a virtio driver and a virtio transport see of each other. This header
 * takes the place of the kernel's own: the whole stack is of one make.
 */

#include <linux/types.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/device.h>
#include <linux/mod_devicetable.h>
#include <linux/gfp.h>
#include <linux/workqueue.h>

struct virtio_device;
struct virtqueue;

typedef void vq_callback_t(struct virtqueue *vq);

/**
 * struct virtqueue_info - what a driver asks of one queue
 * @name:	name of the queue, seen in /proc/interrupts; not copied, it must
 *		live as long as the queue
 * @callback:	called in interrupt context when buffers were used; NULL: the
 *		driver never wants an interrupt for this queue
 * @max_sgs:	scatterlist entries in the largest chain that the driver adds
 *		often; indirect tables of this size are allocated beforehand.
 *		0: no indirect tables
 * @skip:	leave this queue out; its place in the array of queues is NULL
 */
struct virtqueue_info {
	const char *name;
	vq_callback_t *callback;
	unsigned int max_sgs;
	bool skip;
};

/**
 * struct virtqueue - a queue of buffers that the device works through
 * @list:	entry in the list of all queues of the device
 * @callback:	from struct virtqueue_info
 * @name:	from struct virtqueue_info
 * @vdev:	the device
 * @index:	number of the queue on its device
 * @num_free:	descriptors that are free; an indirect chain takes one
 * @priv:	for the transport
 */
struct virtqueue {
	struct list_head list;
	vq_callback_t *callback;
	const char *name;
	struct virtio_device *vdev;
	unsigned int index;
	unsigned int num_free;
	void *priv;
};

int virtqueue_add_sgs(struct virtqueue *vq, struct scatterlist *sgs[],
		      unsigned int out_sgs, unsigned int in_sgs, void *data);
int virtqueue_add_outbuf(struct virtqueue *vq, struct scatterlist *sg,
			 unsigned int num, void *data);
int virtqueue_add_inbuf(struct virtqueue *vq, struct scatterlist *sg,
			unsigned int num, void *data);

bool virtqueue_kick_prepare(struct virtqueue *vq);
bool virtqueue_notify(struct virtqueue *vq);
bool virtqueue_kick(struct virtqueue *vq);

void *virtqueue_get_buf(struct virtqueue *vq, unsigned int *len);
void *virtqueue_get_buf_check(struct virtqueue *vq, unsigned int *len,
			      bool *overrun);
void *virtqueue_detach_unused_buf(struct virtqueue *vq);

void virtqueue_disable_cb(struct virtqueue *vq);
bool virtqueue_enable_cb(struct virtqueue *vq);
unsigned int virtqueue_enable_cb_prepare(struct virtqueue *vq);
bool virtqueue_poll(struct virtqueue *vq, unsigned int last_used);
unsigned int virtqueue_enable_cb_after(struct virtqueue *vq, unsigned int ahead);
bool virtqueue_poll_after(struct virtqueue *vq, unsigned int last_used,
			  unsigned int ahead);
bool virtqueue_enable_cb_delayed(struct virtqueue *vq);

unsigned int virtqueue_get_vring_size(const struct virtqueue *vq);
bool virtqueue_is_broken(const struct virtqueue *vq);

/**
 * struct virtio_device - a device on the virtio bus
 * @index:	unique number on the bus: the N in virtioN
 * @dev:	the device as the driver core knows it
 * @id:		device type and vendor; matched against a driver's table
 * @config:	operations of the transport
 * @vqs:	the device's queues
 * @features:	bits that both sides agreed on, section 2.2
 * @priv:	for the driver
 * @ready:	DRIVER_OK was set for the driver that is bound
 * @asleep:	the driver's suspend() stopped it, and resume() is due
 * @shut_down:	it was stopped because the machine restarts
 * @config_lock: protects the next two; held while config_changed() runs
 * @config_enabled: config changes may be passed on to the driver
 * @config_pending: one came while they might not
 * @fail_lock:	protects the next two; taken under any other lock, because a
 *		device may be found out wherever its queues are looked at
 * @broken:	the device broke the rules, asked for a reset or is gone;
 *		nothing more is submitted to it
 * @fail_armed: the driver's fail() may be called
 * @fail_work:	calls it
 */
struct virtio_device {
	int index;
	struct device dev;
	struct virtio_device_id id;
	const struct virtio_config_ops *config;
	struct list_head vqs;
	u64 features;
	void *priv;
	bool ready;
	bool asleep;
	bool shut_down;

	spinlock_t config_lock;
	bool config_enabled;
	bool config_pending;

	spinlock_t fail_lock;
	bool broken;
	bool fail_armed;
	struct work_struct fail_work;
};

#define dev_to_virtio(_dev)	container_of(_dev, struct virtio_device, dev)

int register_virtio_device(struct virtio_device *vdev);
void unregister_virtio_device(struct virtio_device *vdev);
void virtio_config_changed(struct virtio_device *vdev);
void virtio_break_device(struct virtio_device *vdev);
int virtio_reset_device(struct virtio_device *vdev);
int virtio_restart_device(struct virtio_device *vdev);
int virtio_suspend_device(struct virtio_device *vdev);
int virtio_resume_device(struct virtio_device *vdev);

/**
 * virtio_device_is_broken - may nothing more be asked of the device?
 * @vdev:	the device
 *
 * True once the device broke the rules, asked for a reset or vanished. Any
 * context.
 */
static inline bool virtio_device_is_broken(const struct virtio_device *vdev)
{
	return READ_ONCE(vdev->broken);
}

/**
 * struct virtio_driver - a driver for one or more device types
 * @driver:	for the driver core; the caller sets @driver.name and .owner
 * @id_table:	types that it drives; ends with a zero entry
 * @feature_table: feature bits that it understands on a modern device
 * @feature_table_size: how many
 * @feature_table_legacy: the same for a legacy device; NULL: as above
 * @feature_table_size_legacy: how many
 * @validate:	may refuse a device, or clear features that its config space
 *		contradicts, before any of them is acknowledged (may be NULL)
 * @probe:	a device was found; DRIVER_OK is set after it returns 0 unless
 *		it called virtio_device_ready() itself
 * @scan:	called after DRIVER_OK was set (may be NULL)
 * @remove:	the device goes away, or the driver does
 * @config_changed: the device's config changed; may be called in interrupt
 *		context, never at the same time as itself (may be NULL)
 * @fail:	the device broke and was reset: end everything that is in flight
 *		with an error. Between virtio_device_ready() and
 *		virtio_reset_device(), so @probe and @remove may be running
 *		(may be NULL)
 * @suspend:	the machine goes to sleep, or is written to disk: stop, end with
 *		virtio_reset_device() and take every buffer back, so that what
 *		was not done is done after @resume. An error keeps the machine
 *		awake; the device must work as before then. NULL: it stays awake
 * @resume:	the device was started anew with the features and queues that it
 *		had: fill these, tell it again what it was told, and call
 *		virtio_device_ready(). If it did not start, it is broken, and
 *		@fail comes after virtio_device_ready() as ever
 * @shutdown:	the machine is about to restart or to run another kernel: end
 *		with virtio_reset_device(), so that the device writes nothing
 *		into that one's memory. NULL: that reset is all there is to do
 *
 * All but @config_changed are called in process context.
 */
struct virtio_driver {
	struct device_driver driver;
	const struct virtio_device_id *id_table;
	const unsigned int *feature_table;
	unsigned int feature_table_size;
	const unsigned int *feature_table_legacy;
	unsigned int feature_table_size_legacy;
	int (*validate)(struct virtio_device *vdev);
	int (*probe)(struct virtio_device *vdev);
	void (*scan)(struct virtio_device *vdev);
	void (*remove)(struct virtio_device *vdev);
	void (*config_changed)(struct virtio_device *vdev);
	void (*fail)(struct virtio_device *vdev);
	int (*suspend)(struct virtio_device *vdev);
	void (*resume)(struct virtio_device *vdev);
	void (*shutdown)(struct virtio_device *vdev);
};

#define drv_to_virtio(_drv)	container_of(_drv, struct virtio_driver, driver)

int register_virtio_driver(struct virtio_driver *drv);
void unregister_virtio_driver(struct virtio_driver *drv);

#endif /* _LINUX_VIRTIO_H */
