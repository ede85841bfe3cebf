// SPDX-License-Identifier: GPL-2.0
/*
 * virtio transport of the kernel's 9p client: a host folder, which a guest
 * mounts by the tag that its device has. The module is called 9pnet_virtio, as
 * in the kernel.
 *
 * A request is two buffers in the device's only queue, the message and room
 * for the answer. Both belong to the client; what it does not hear about, it
 * keeps. So each request that was given to the device is reported to the client
 * exactly once: when the device has used it, when the device is broken or gone,
 * and at the latest when the client leaves.
 */
#include <linux/module.h>
#include <linux/bitops.h>
#include <linux/dma-mapping.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>
#include <asm/unaligned.h>
#include <net/9p/9p.h>
#include <net/9p/client.h>
#include <net/9p/transport.h>
#include <linux/virtio.h>
#include <linux/virtio_9p.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

/*
 * The largest message, as the kernel's own transport has it, so that the same
 * mount options lead to the same.
 */
#define P9V_MAX_SIZE	(125 * 4096)

/* Message and answer. The client has each in one piece. */
#define P9V_SGS		2

/* Size, type and tag in front of every message. */
#define P9V_HDR_SIZE	7

#define P9V_TAGS	(1 << 16)

/* Bytes in a mount tag: less than a page with its NUL, as sysfs wants it. */
#define P9V_MAX_TAG	(PAGE_SIZE - 2)

/**
 * struct p9v_chan - a device, and the client that uses it
 * @list:	in p9v_chans, as long as there is a device
 * @client:	whose mount this is; NULL: nobody's. Changes under p9v_mutex
 *		and @lock
 * @vdev:	the device; NULL once it was removed, under p9v_mutex
 * @max_size:	bytes in a message
 * @tag:	its name
 * @lock:	protects what follows, and keeps @client from leaving
 * @vq:		the queue; NULL: nothing is submitted any more
 * @num_held:	requests that the device has
 * @held:	their tags
 * @flushed:	of those, which may come back without an answer
 * @rooms:	counts what may have made room in the queue
 * @room:	who waits for that
 */
struct p9v_chan {
	struct list_head list;
	struct p9_client *client;
	struct virtio_device *vdev;
	int max_size;
	char *tag;

	spinlock_t lock;
	struct virtqueue *vq;
	unsigned int num_held;
	DECLARE_BITMAP(held, P9V_TAGS);
	DECLARE_BITMAP(flushed, P9V_TAGS);
	unsigned int rooms;
	wait_queue_head_t room;
};

/* Protects the way from a tag to its channel, and who has one. */
static DEFINE_MUTEX(p9v_mutex);
static LIST_HEAD(p9v_chans);

/* "0000:01:00.0: share: " in front of what a person reads. */
#define p9v_err(_chan, fmt, ...)					\
	dev_err(&(_chan)->vdev->dev, "%s: %s: " fmt,			\
		(_chan)->vdev->config->bus_name((_chan)->vdev),		\
		(_chan)->tag, ##__VA_ARGS__)
#define p9v_dev_err(_vdev, fmt, ...)					\
	dev_err(&(_vdev)->dev, "%s: " fmt,				\
		(_vdev)->config->bus_name(_vdev), ##__VA_ARGS__)

#define CONFIG(_field)	offsetof(struct virtio_9p_config, _field)

/* Requests */

static u16 p9v_tag(struct p9_req_t *req)
{
	return get_unaligned_le16(compat_p9_tc(req)->sdata + 5);
}

/*
 * What the device says of its answer, before anybody believes it. The client
 * goes by the size in the message, and by the type of its question. Nobody
 * waits for one that was flushed: it may have no answer, and the client may
 * have written another question over the first.
 */
static int p9v_check_reply(struct p9v_chan *chan, struct p9_req_t *req,
			   unsigned int len, bool flushed)
{
	struct p9_fcall *rc = compat_p9_rc(req);
	unsigned int question = compat_p9_tc(req)->sdata[4];
	unsigned int type = 0, tag = 0;
	u32 size = 0;

	if (len >= P9V_HDR_SIZE) {
		size = get_unaligned_le32(rc->sdata);
		type = rc->sdata[4];
		tag = get_unaligned_le16(rc->sdata + 5);
	}
	if (size >= P9V_HDR_SIZE && size <= len && tag == p9v_tag(req) &&
	    (type == question + 1 || compat_p9_is_error(type))) {
		rc->size = size;
		return 0;
	}

	if (!flushed && printk_ratelimit())
		p9v_err(chan, "an answer of %u bytes (size %u, type %u, tag %u) to a question of type %u, tag %u: the request fails\n",
			len, size, type, tag, question, p9v_tag(req));
	return flushed ? -EINTR : -EIO;
}

/* The client's again; called with the lock held. It may be gone afterwards. */
static void p9v_end(struct p9v_chan *chan, struct p9_req_t *req, int err)
{
	if (err)
		req->t_err = err;
	p9_client_cb(chan->client, req,
		     err ? REQ_STATUS_ERROR : REQ_STATUS_RCVD);
}

/* The device has it no more; called with the lock held. */
static bool p9v_take(struct p9v_chan *chan, struct p9_req_t *req)
{
	u16 tag = p9v_tag(req);

	chan->num_held--;
	clear_bit(tag, chan->held);
	return test_and_clear_bit(tag, chan->flushed);
}

/* Who waits may try again; called with the lock held. */
static void p9v_made_room(struct p9v_chan *chan)
{
	WRITE_ONCE(chan->rooms, chan->rooms + 1);
	wake_up_all(&chan->room);
}

/* Interrupt: the device used buffers. */
static void p9v_done(struct virtqueue *vq)
{
	struct p9v_chan *chan = vq->vdev->priv;
	struct p9_req_t *req;
	bool overrun, flushed, done = false;
	unsigned long flags;
	unsigned int len;
	int err;

	spin_lock_irqsave(&chan->lock, flags);
	do {
		virtqueue_disable_cb(vq);
		while ((req = virtqueue_get_buf_check(vq, &len, &overrun))) {
			flushed = p9v_take(chan, req);
			/* It may have written where it should not. */
			err = unlikely(overrun) ? -EIO :
			      p9v_check_reply(chan, req, len, flushed);
			p9v_end(chan, req, err);
			done = true;
		}
	} while (!virtqueue_enable_cb(vq));

	if (done)
		p9v_made_room(chan);
	spin_unlock_irqrestore(&chan->lock, flags);
}

/* The device was reset: what it held has failed. Called with the lock held. */
static void p9v_fail_held(struct p9v_chan *chan, struct virtqueue *vq)
{
	struct p9_req_t *req;

	while ((req = virtqueue_detach_unused_buf(vq))) {
		p9v_take(chan, req);
		p9v_end(chan, req, -EIO);
	}
	p9v_made_room(chan);
}

/* The device broke and was reset. */
static void p9v_fail(struct virtio_device *vdev)
{
	struct p9v_chan *chan = vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&chan->lock, flags);
	if (chan->vq)
		p9v_fail_held(chan, chan->vq);
	spin_unlock_irqrestore(&chan->lock, flags);
}

/*
 * Gives a request to the device. -ENOSPC: not now, but after chan->rooms is
 * another than *@rooms.
 */
static int p9v_submit(struct p9v_chan *chan, struct p9_req_t *req,
		      unsigned int *rooms)
{
	struct p9_fcall *tc = compat_p9_tc(req), *rc = compat_p9_rc(req);
	struct scatterlist out, in, *sgs[P9V_SGS] = { &out, &in };
	unsigned long flags;
	int err = -EIO;
	u16 tag;

	sg_init_one(&out, tc->sdata, tc->size);
	sg_init_one(&in, rc->sdata, rc->capacity);
	tag = p9v_tag(req);

	spin_lock_irqsave(&chan->lock, flags);
	*rooms = chan->rooms;
	if (!chan->vq || virtqueue_is_broken(chan->vq))
		goto out;

	/*
	 * Some clients use a request anew when their user has lost patience,
	 * and the device has it still.
	 */
	err = -ENOSPC;
	if (test_bit(tag, chan->held))
		goto out;

	/* Before the device can answer, which changes it. */
	WRITE_ONCE(req->status, REQ_STATUS_SENT);
	err = virtqueue_add_sgs(chan->vq, sgs, 1, 1, req);
	if (err)
		goto out;
	chan->num_held++;
	set_bit(tag, chan->held);
	/* Under the lock: the queue may be gone after it. */
	virtqueue_kick(chan->vq);
out:
	spin_unlock_irqrestore(&chan->lock, flags);
	return err;
}

/*
 * Takes a request from the client, and waits for room. An error that is
 * returned ends the connection, as the client has it; a request that fails by
 * itself has an error of its own.
 */
static int p9v_request(struct p9_client *client, struct p9_req_t *req)
{
	struct p9v_chan *chan = client->trans;
	unsigned long flags;
	unsigned int rooms;
	int err;

	for (;;) {
		err = p9v_submit(chan, req, &rooms);
		if (err != -ENOSPC)
			break;
		if (wait_event_killable(chan->room,
					READ_ONCE(chan->rooms) != rooms)) {
			err = -EINTR;
			break;
		}
	}

	if (!err || err == -EIO)
		return err;
	spin_lock_irqsave(&chan->lock, flags);
	p9v_end(chan, req, err);
	spin_unlock_irqrestore(&chan->lock, flags);
	return 0;
}

/*
 * The client's user does not want to wait for this one. There is nothing to be
 * done here but to say whether the device has it: then it needs to be told.
 */
static int p9v_cancel(struct p9_client *client, struct p9_req_t *req)
{
	struct p9v_chan *chan = client->trans;
	u16 tag = p9v_tag(req);
	unsigned long flags;
	int held;

	spin_lock_irqsave(&chan->lock, flags);
	held = test_bit(tag, chan->held);
	if (held)
		set_bit(tag, chan->flushed);
	spin_unlock_irqrestore(&chan->lock, flags);
	return held;
}

/* Channels */

static void p9v_free(struct p9v_chan *chan)
{
	kfree(chan->tag);
	kfree(chan);
}

/* Stops the device, and fails what it holds. Called with p9v_mutex held. */
static int p9v_stop(struct p9v_chan *chan)
{
	struct virtqueue *vq = chan->vq;
	unsigned long flags;
	int err;

	spin_lock_irqsave(&chan->lock, flags);
	chan->vq = NULL;
	spin_unlock_irqrestore(&chan->lock, flags);

	err = virtio_reset_device(chan->vdev);

	spin_lock_irqsave(&chan->lock, flags);
	p9v_fail_held(chan, vq);
	spin_unlock_irqrestore(&chan->lock, flags);
	return err;
}

/*
 * The client leaves, and takes along what the device may still write to: the
 * device is reset, which is the only way to get it back.
 */
static void p9v_restart(struct p9v_chan *chan)
{
	struct virtio_device *vdev = chan->vdev;
	bool broken = virtio_device_is_broken(vdev);
	struct virtqueue *vq = chan->vq;
	int err;

	if (!broken)
		dev_info(&vdev->dev, "%s: %s: resetting the device, which has %u requests of a mount that is no more\n",
			 vdev->config->bus_name(vdev), chan->tag,
			 chan->num_held);
	err = p9v_stop(chan);
	chan->vq = vq;
	/* The kernel that comes next must not find it at work. */
	if (vdev->shut_down)
		return;
	if (!err)
		err = virtio_restart_device(vdev);
	if (!err) {
		virtio_device_ready(vdev);
		return;
	}
	if (!broken) {
		p9v_err(chan, "the device does not come back (%d): it cannot be mounted any more\n",
			err);
		virtio_break_device(vdev);
	}
}

static struct p9v_chan *p9v_find(const char *tag, int *err)
{
	struct p9v_chan *chan;

	*err = -ENOENT;
	list_for_each_entry(chan, &p9v_chans, list) {
		if (strcmp(chan->tag, tag))
			continue;
		*err = chan->client ? -EBUSY :
		       virtio_device_is_broken(chan->vdev) ? -EIO : 0;
		if (!*err)
			return chan;
	}
	return NULL;
}

/* A mount; @tag is the name of what is mounted. */
static int p9v_create(struct p9_client *client, const char *tag, char *args)
{
	struct p9v_chan *chan;
	int err;

	if (!tag)
		return -EINVAL;

	mutex_lock(&p9v_mutex);
	chan = p9v_find(tag, &err);
	if (chan) {
		chan->client = client;
		client->trans = chan;
		client->status = Connected;
		if ((int)client->msize > chan->max_size)
			client->msize = chan->max_size;
	}
	mutex_unlock(&p9v_mutex);

	if (err)
		pr_err("%s: \"%s\": %s\n", KBUILD_MODNAME, tag,
		       err == -EBUSY ? "this device is mounted already" :
		       err == -EIO ? "this device is broken" :
		       "no virtio device has this mount tag");
	return err;
}

/* The last that the client does; also where p9v_create() has failed. */
static void p9v_close(struct p9_client *client)
{
	struct p9v_chan *chan = client->trans;
	unsigned long flags;
	bool gone;

	if (!chan)
		return;
	client->trans = NULL;
	client->status = Disconnected;

	mutex_lock(&p9v_mutex);
	if (chan->vdev && chan->num_held)
		p9v_restart(chan);
	/* Whoever calls the client back has done so when we have the lock. */
	spin_lock_irqsave(&chan->lock, flags);
	chan->client = NULL;
	spin_unlock_irqrestore(&chan->lock, flags);
	gone = !chan->vdev;
	mutex_unlock(&p9v_mutex);

	if (gone)
		p9v_free(chan);
}

static struct p9_trans_module p9v_trans = {
	.name		= "virtio",
	.create		= p9v_create,
	.close		= p9v_close,
	.request	= p9v_request,
	.cancel		= p9v_cancel,
	.maxsize	= P9V_MAX_SIZE,
	.def		= 1,
	.owner		= THIS_MODULE,
};

/* Devices */

/* With a NUL at its end, as today's kernel has it: user space relies on that. */
static ssize_t mount_tag_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	struct p9v_chan *chan = dev_to_virtio(dev)->priv;
	size_t len = strlen(chan->tag) + 1;

	memcpy(buf, chan->tag, len);
	return len;
}

static struct device_attribute dev_attr_mount_tag = __ATTR_RO(mount_tag);

static int p9v_read_tag(struct p9v_chan *chan)
{
	struct virtio_device *vdev = chan->vdev;
	unsigned int i, len;

	if (!virtio_has_feature(vdev, VIRTIO_9P_MOUNT_TAG)) {
		p9v_dev_err(vdev, "no mount tag: device not used\n");
		return -EINVAL;
	}

	len = virtio_cread16(vdev, CONFIG(tag_len));
	if (!len || len > P9V_MAX_TAG) {
		p9v_dev_err(vdev, "tag_len %u is not from 1 to %lu: device not used\n",
			    len, P9V_MAX_TAG);
		return -EINVAL;
	}

	chan->tag = kzalloc(len + 1, GFP_KERNEL);
	if (!chan->tag)
		return -ENOMEM;
	/* Byte by byte: that is the width of the field. */
	for (i = 0; i < len; i++) {
		chan->tag[i] = virtio_cread8(vdev, CONFIG(tag) + i);
		if (!chan->tag[i])
			break;
	}
	if (i < len) {
		p9v_dev_err(vdev, "tag_len is %u, but the tag ends after %u bytes: device not used\n",
			    len, i);
		return -EINVAL;
	}
	return 0;
}

static int p9v_init_vq(struct p9v_chan *chan)
{
	struct virtqueue_info info = {
		.name		= "requests",
		.callback	= p9v_done,
		.max_sgs	= P9V_SGS,
	};
	struct virtio_device *vdev = chan->vdev;
	unsigned int size;
	int err;

	err = virtio_find_vqs(vdev, 1, &chan->vq, &info);
	if (err)
		return err;
	size = virtqueue_get_vring_size(chan->vq);
	if (size >= P9V_SGS)
		return 0;

	p9v_err(chan, "queue_size %u has no room for a request: device not used\n",
		size);
	virtio_reset_device(vdev);
	virtio_del_vqs(vdev);
	return -EINVAL;
}

static int p9v_probe(struct virtio_device *vdev)
{
	struct p9v_chan *chan;
	int err;

	chan = kzalloc(sizeof(*chan), GFP_KERNEL);
	if (!chan)
		return -ENOMEM;
	chan->vdev = vdev;
	vdev->priv = chan;
	spin_lock_init(&chan->lock);
	init_waitqueue_head(&chan->room);
	chan->max_size = P9V_MAX_SIZE;
	/* What is bounced must fit where it is bounced to. */
	if (virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM))
		chan->max_size = min_t(size_t, chan->max_size,
				       dma_max_mapping_size(vdev->dev.parent));

	err = p9v_read_tag(chan);
	if (err)
		goto free;
	err = p9v_init_vq(chan);
	if (err)
		goto free;
	err = device_create_file(&vdev->dev, &dev_attr_mount_tag);
	if (err)
		goto del_vqs;
	virtio_device_ready(vdev);

	mutex_lock(&p9v_mutex);
	list_add_tail(&chan->list, &p9v_chans);
	mutex_unlock(&p9v_mutex);

	/* There is a tag now: rules that mount by it want to know. */
	kobject_uevent(&vdev->dev.kobj, KOBJ_CHANGE);
	return 0;

del_vqs:
	virtio_reset_device(vdev);
	virtio_del_vqs(vdev);
free:
	p9v_free(chan);
	return err;
}

/*
 * Of a mount there may be, only requests fail from now on; the channel stays
 * until it is unmounted.
 */
static void p9v_remove(struct virtio_device *vdev)
{
	struct p9v_chan *chan = vdev->priv;
	bool mounted;

	device_remove_file(&vdev->dev, &dev_attr_mount_tag);
	kobject_uevent(&vdev->dev.kobj, KOBJ_CHANGE);

	mutex_lock(&p9v_mutex);
	list_del(&chan->list);
	p9v_stop(chan);
	virtio_del_vqs(vdev);
	mounted = chan->client;
	if (mounted)
		dev_warn(&vdev->dev, "%s: %s: removed while it is mounted, which fails all access until it is unmounted\n",
			 vdev->config->bus_name(vdev), chan->tag);
	chan->vdev = NULL;
	mutex_unlock(&p9v_mutex);

	if (!mounted)
		p9v_free(chan);
}

/*
 * A device that is reset forgets the files of a mount, and nobody could open
 * them for it again.
 */
static int p9v_suspend(struct virtio_device *vdev)
{
	struct p9v_chan *chan = vdev->priv;
	int err = 0;

	mutex_lock(&p9v_mutex);
	if (chan->client) {
		p9v_err(chan, "a mount does not outlast a sleep: unmount it before\n");
		err = -EBUSY;
	} else {
		virtio_reset_device(vdev);
	}
	mutex_unlock(&p9v_mutex);
	return err;
}

static void p9v_resume(struct virtio_device *vdev)
{
	virtio_device_ready(vdev);
}

static const struct virtio_device_id p9v_id_table[] = {
	{ VIRTIO_ID_9P, VIRTIO_DEV_ANY_ID },
	{ 0 }
};
MODULE_DEVICE_TABLE(virtio, p9v_id_table);

static const unsigned int p9v_features[] = {
	VIRTIO_9P_MOUNT_TAG,
};

static struct virtio_driver p9v_driver = {
	.driver.name		= KBUILD_MODNAME,
	.driver.owner		= THIS_MODULE,
	.id_table		= p9v_id_table,
	.feature_table		= p9v_features,
	.feature_table_size	= ARRAY_SIZE(p9v_features),
	.probe			= p9v_probe,
	.remove			= p9v_remove,
	.fail			= p9v_fail,
	.suspend		= p9v_suspend,
	.resume			= p9v_resume,
};

static int __init p9v_init(void)
{
	int err = register_virtio_driver(&p9v_driver);

	/* Not before: who mounts by it finds its devices. */
	if (!err)
		v9fs_register_trans(&p9v_trans);
	return err;
}

static void __exit p9v_exit(void)
{
	v9fs_unregister_trans(&p9v_trans);
	unregister_virtio_driver(&p9v_driver);
}

module_init(p9v_init);
module_exit(p9v_exit);

MODULE_ALIAS_9P("virtio");
MODULE_DESCRIPTION("virtio transport for 9p");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
