// SPDX-License-Identifier: GPL-2.0
/*
 * virtio entropy device, virtio 1.2 section 5.4: a source for the kernel's
 * hwrng core, which is what /dev/hwrng reads.
 */
#include <linux/module.h>
#include <linux/hw_random.h>
#include <linux/idr.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

/* What the device is asked for at a time: what today's hwrng core reads. */
#define VIRTRNG_BYTES	64

/*
 * Bits of entropy in 1024 bits, for kernels that feed their pool by
 * themselves: as much as the in-tree driver promises.
 */
#define VIRTRNG_QUALITY	1000

/**
 * struct virtrng - an entropy device
 * @hwrng:	what the hwrng core sees of it
 * @vdev:	the device
 * @vq:		its queue
 * @fail_work:	takes it from the core when it broke
 * @list_lock:	protects @listed, and the step from one to the other
 * @listed:	the core knows of it
 * @index:	the N of its name
 * @name:	virtio_rng.N
 * @vq_lock:	protects @vq and what follows; taken in interrupt context
 * @lent:	@data is with the device
 * @empty:	the device has sent it back with nothing in it
 * @empty_logged: and somebody was told
 * @avail:	bytes of @data that nobody has read yet
 * @pos:	where they begin
 * @data:	the only buffer
 */
struct virtrng {
	struct hwrng hwrng;
	struct virtio_device *vdev;
	struct virtqueue *vq;
	struct work_struct fail_work;
	struct mutex list_lock;
	bool listed;
	int index;
	char name[24];

	spinlock_t vq_lock;
	bool lent;
	bool empty;
	bool empty_logged;
	unsigned int avail;
	unsigned int pos;
	u8 data[VIRTRNG_BYTES] ____cacheline_aligned;
};

static DEFINE_IDA(virtrng_index_ida);

/*
 * The hwrng core holds a mutex while a driver reads, whichever it is, and
 * wants the same mutex to add or remove any. So a reader that waits for one
 * device lets go as soon as another one comes or goes: all wait here, and
 * virtrng_wanted counts those who need them to return.
 */
static DECLARE_WAIT_QUEUE_HEAD(virtrng_wait);
static atomic_t virtrng_wanted = ATOMIC_INIT(0);

/* Hands the buffer to the device, which may fill it. vq_lock is held. */
static int virtrng_ask(struct virtrng *vr)
{
	struct scatterlist sg;
	int err;

	sg_init_one(&sg, vr->data, sizeof(vr->data));
	err = virtqueue_add_inbuf(vr->vq, &sg, 1, vr);
	if (err)
		return err;
	WRITE_ONCE(vr->lent, true);
	virtqueue_kick(vr->vq);
	return 0;
}

/* The device has returned the buffer, section 5.4.6. */
static void virtrng_done(struct virtqueue *vq)
{
	struct virtrng *vr = vq->vdev->priv;
	unsigned long flags;
	unsigned int len;
	bool overrun;

	spin_lock_irqsave(&vr->vq_lock, flags);
	while (virtqueue_get_buf_check(vq, &len, &overrun)) {
		vr->pos = 0;
		vr->avail = len;
		vr->empty = !len;
		WRITE_ONCE(vr->lent, false);
	}
	spin_unlock_irqrestore(&vr->vq_lock, flags);

	wake_up_all(&virtrng_wait);
}

/*
 * Copies what there is, up to @max bytes, and asks for more as soon as nothing
 * is left. Returns how many, 0 when the device owes an answer, or an error.
 */
static int virtrng_take(struct virtrng *vr, void *buf, size_t max)
{
	unsigned long flags;
	bool log = false;
	int err = 0, ret = 0;

	spin_lock_irqsave(&vr->vq_lock, flags);
	if (vr->avail) {
		ret = min_t(size_t, max, vr->avail);
		memcpy(buf, vr->data + vr->pos, ret);
		/* Who has it now is the only one who has it. */
		memset(vr->data + vr->pos, 0, ret);
		vr->pos += ret;
		vr->avail -= ret;
	} else if (vr->empty) {
		vr->empty = false;
		log = !vr->empty_logged;
		vr->empty_logged = true;
		ret = -EIO;
	}
	if (!vr->avail && !vr->lent)
		err = virtrng_ask(vr);
	spin_unlock_irqrestore(&vr->vq_lock, flags);

	if (log)
		dev_err(&vr->vdev->dev,
			"%s: the device has answered with 0 bytes: reads fail; this is logged once\n",
			vr->vdev->config->bus_name(vr->vdev));
	return ret ? ret : err;
}

/*
 * A reader waits for a second at most: the core holds a mutex meanwhile, and
 * asks again.
 */
static int virtrng_read(struct hwrng *rng, void *buf, size_t max, bool wait)
{
	struct virtrng *vr = container_of(rng, struct virtrng, hwrng);
	struct virtio_device *vdev = vr->vdev;
	long left;
	int ret;

	if (wait && atomic_read(&virtrng_wanted))
		return 0;
	if (virtio_device_is_broken(vdev))
		return -ENODEV;
	ret = virtrng_take(vr, buf, max);
	if (ret || !wait)
		return ret;

	left = wait_event_interruptible_timeout(virtrng_wait,
						!READ_ONCE(vr->lent) ||
						virtio_device_is_broken(vdev) ||
						atomic_read(&virtrng_wanted),
						HZ);
	if (left < 0)
		return left;
	if (virtio_device_is_broken(vdev))
		return -ENODEV;
	return virtrng_take(vr, buf, max);
}

/* From now on the core may read from it. */
static int virtrng_enlist(struct virtrng *vr)
{
	int err = -EIO;

	mutex_lock(&vr->list_lock);
	/* Or the work that takes it off the list has been and gone. */
	if (!virtio_device_is_broken(vr->vdev)) {
		atomic_inc(&virtrng_wanted);
		wake_up_all(&virtrng_wait);
		err = hwrng_register(&vr->hwrng);
		atomic_dec(&virtrng_wanted);
		vr->listed = !err;
	}
	mutex_unlock(&vr->list_lock);
	return err;
}

/* Nobody reads from it when this returns, nor will. */
static void virtrng_delist(struct virtrng *vr)
{
	mutex_lock(&vr->list_lock);
	if (vr->listed) {
		atomic_inc(&virtrng_wanted);
		wake_up_all(&virtrng_wait);
		hwrng_unregister(&vr->hwrng);
		atomic_dec(&virtrng_wanted);
		vr->listed = false;
	}
	mutex_unlock(&vr->list_lock);
}

static void virtrng_fail_work(struct work_struct *work)
{
	virtrng_delist(container_of(work, struct virtrng, fail_work));
}

/*
 * The device broke and was reset. Its readers get an error now; the core hears
 * of it from a work, since its mutexes may be with somebody who waits for a
 * disk that broke as well, and whose turn is after this.
 */
static void virtrng_fail(struct virtio_device *vdev)
{
	struct virtrng *vr = vdev->priv;

	wake_up_all(&virtrng_wait);
	schedule_work(&vr->fail_work);
}

static void virtrng_free(struct virtrng *vr)
{
	ida_free(&virtrng_index_ida, vr->index);
	kfree(vr);
}

/* The core does not know of it, or no longer does. */
static void virtrng_stop(struct virtrng *vr)
{
	virtio_reset_device(vr->vdev);
	/* No more of them come: the reset saw to that. */
	cancel_work_sync(&vr->fail_work);
	virtqueue_detach_unused_buf(vr->vq);
	virtio_del_vqs(vr->vdev);
	virtrng_free(vr);
}

static struct virtrng *virtrng_alloc(struct virtio_device *vdev)
{
	struct virtrng *vr = kzalloc(sizeof(*vr), GFP_KERNEL);
	int index;

	if (!vr)
		return ERR_PTR(-ENOMEM);
	index = ida_alloc(&virtrng_index_ida, GFP_KERNEL);
	if (index < 0) {
		kfree(vr);
		return ERR_PTR(index);
	}

	vr->vdev = vdev;
	vr->index = index;
	mutex_init(&vr->list_lock);
	spin_lock_init(&vr->vq_lock);
	INIT_WORK(&vr->fail_work, virtrng_fail_work);
	snprintf(vr->name, sizeof(vr->name), "virtio_rng.%d", index);
	vr->hwrng.name = vr->name;
	vr->hwrng.read = virtrng_read;
	vr->hwrng.quality = VIRTRNG_QUALITY;
	return vr;
}

static int virtrng_probe(struct virtio_device *vdev)
{
	struct virtqueue_info info = {
		.name = "input", .callback = virtrng_done,
	};
	struct virtrng *vr = virtrng_alloc(vdev);
	unsigned long flags;
	int err;

	if (IS_ERR(vr))
		return PTR_ERR(vr);
	vdev->priv = vr;

	err = virtio_find_vqs(vdev, 1, &vr->vq, &info);
	if (err) {
		virtrng_free(vr);
		return err;
	}

	/*
	 * Today's core reads while it registers, without waiting for an
	 * answer, so ask early. If that fails, the next reader tries again.
	 */
	virtio_device_ready(vdev);
	spin_lock_irqsave(&vr->vq_lock, flags);
	virtrng_ask(vr);
	spin_unlock_irqrestore(&vr->vq_lock, flags);

	err = virtrng_enlist(vr);
	if (err)
		virtrng_stop(vr);
	return err;
}

static void virtrng_remove(struct virtio_device *vdev)
{
	struct virtrng *vr = vdev->priv;

	virtrng_delist(vr);
	virtrng_stop(vr);
}

/*
 * While it sleeps it is as if the device owed an answer. What was not read is
 * forgotten: it is in a memory image, perhaps, and would be given out twice.
 */
static int virtrng_suspend(struct virtio_device *vdev)
{
	struct virtrng *vr = vdev->priv;

	virtio_reset_device(vdev);
	spin_lock_irq(&vr->vq_lock);
	virtqueue_detach_unused_buf(vr->vq);
	WRITE_ONCE(vr->lent, true);
	vr->avail = 0;
	vr->empty = false;
	memset(vr->data, 0, sizeof(vr->data));
	spin_unlock_irq(&vr->vq_lock);
	return 0;
}

static void virtrng_resume(struct virtio_device *vdev)
{
	struct virtrng *vr = vdev->priv;

	virtio_device_ready(vdev);
	spin_lock_irq(&vr->vq_lock);
	WRITE_ONCE(vr->lent, false);
	/* If that fails, the next reader tries again. */
	virtrng_ask(vr);
	spin_unlock_irq(&vr->vq_lock);
}

/* Nor is it asked for anything under the next kernel. */
static void virtrng_shutdown(struct virtio_device *vdev)
{
	virtrng_suspend(vdev);
}

static const struct virtio_device_id virtrng_id_table[] = {
	{ VIRTIO_ID_RNG, VIRTIO_DEV_ANY_ID },
	{ 0 }
};
MODULE_DEVICE_TABLE(virtio, virtrng_id_table);

static struct virtio_driver virtrng_driver = {
	.driver.name	= KBUILD_MODNAME,
	.driver.owner	= THIS_MODULE,
	.id_table	= virtrng_id_table,
	.probe		= virtrng_probe,
	.remove		= virtrng_remove,
	.fail		= virtrng_fail,
	.suspend	= virtrng_suspend,
	.resume		= virtrng_resume,
	.shutdown	= virtrng_shutdown,
};

static int __init virtrng_init(void)
{
	return register_virtio_driver(&virtrng_driver);
}

static void __exit virtrng_exit(void)
{
	unregister_virtio_driver(&virtrng_driver);
}

module_init(virtrng_init);
module_exit(virtrng_exit);

MODULE_DESCRIPTION("virtio entropy device");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
