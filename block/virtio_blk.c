// SPDX-License-Identifier: GPL-2.0
/*
 * virtio block device, virtio 1.2 section 5.2.
 */
#include <linux/module.h>
#include <linux/blkdev.h>
#include <linux/blk-mq.h>
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/hdreg.h>
#include <linux/idr.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

/* vda is minor 0, vdb minor 16: as the in-tree driver has it. */
#define VIRTBLK_PART_BITS	4
#define VIRTBLK_MAX_DISKS	(1 << (MINORBITS - VIRTBLK_PART_BITS))

/* A header in front of the data and a status behind it. */
#define VIRTBLK_EXTRA_SGS	2

/*
 * Data segments in a request: at most, and in one that is common. The block
 * layer makes requests of up to 512 KiB, which is 128 scattered pages; what is
 * larger does without an indirect table.
 */
#define VIRTBLK_MAX_SEGS	254
#define VIRTBLK_USUAL_SEGS	128

#define VIRTBLK_MAX_DEPTH	256

/* How long a sleep or a shutdown waits for what the device has to do. */
#define VIRTBLK_DRAIN_S		20

/* A device that does not tell its name in this time is used without. */
#define VIRTBLK_ID_TIMEOUT_S	10

/**
 * struct virtblk_req - what the device sees of a request besides its data
 * @out_hdr:	what it shall do
 * @status:	how that went
 */
struct virtblk_req {
	struct virtio_blk_outhdr out_hdr;
	u8 status;
};

/**
 * struct virtblk_vq - a request queue of the device
 * @vq:		the virtqueue
 * @lock:	protects @vq and @sg; taken in interrupt context
 * @sg:		data segments of the request that is being added
 * @name:	of the queue
 */
struct virtblk_vq {
	struct virtqueue *vq;
	spinlock_t lock;
	struct scatterlist *sg;
	char name[16];
} ____cacheline_aligned_in_smp;

/**
 * struct virtblk_id - the question for the disk's serial number
 * @vbr:	the request
 * @done:	it was answered, or failed
 * @text:	the answer, with a byte more for the NUL that it may lack
 */
struct virtblk_id {
	struct virtblk_req vbr;
	struct completion done;
	char text[VIRTIO_BLK_ID_BYTES + 1];
};

/**
 * struct virtio_blk - a disk
 * @vdev:	the device; NULL once it was removed, see virtblk_mutex
 * @disk:	what the block layer sees
 * @tag_set:	what blk-mq needs to know
 * @config_work: looks at a config change
 * @config_lock: one reader of the capacity, one writer of the cache mode
 * @index:	0 for vda
 * @refs:	the device itself and each opener, see virtblk_mutex
 * @blk_size:	logical block size in bytes
 * @size_max:	bytes in a segment
 * @max_segs:	data segments in a request
 * @num_vqs:	how many queues
 * @vqs:	the queues
 * @id:		the serial number
 * @writeback:	the cache mode to return to after a sleep
 */
struct virtio_blk {
	struct virtio_device *vdev;
	struct gendisk *disk;
	struct blk_mq_tag_set tag_set;
	struct work_struct config_work;
	struct mutex config_lock;
	int index;
	unsigned int refs;
	u32 blk_size;
	u32 size_max;
	unsigned int max_segs;
	unsigned int num_vqs;
	struct virtblk_vq *vqs;
	struct virtblk_id id;
	bool writeback;
};

static int virtblk_major;
static DEFINE_IDA(virtblk_index_ida);

/*
 * Protects the way from a disk to its struct virtio_blk, vdev and refs, since
 * openers outlive the device.
 */
static DEFINE_MUTEX(virtblk_mutex);

/* "0000:01:00.0: vda: " in front of what a person reads. */
#define virtblk_err(_vdev, fmt, ...)					\
	dev_err(&(_vdev)->dev, "%s: " fmt,				\
		(_vdev)->config->bus_name(_vdev), ##__VA_ARGS__)
#define virtblk_warn(_vdev, fmt, ...)					\
	dev_warn(&(_vdev)->dev, "%s: " fmt,				\
		 (_vdev)->config->bus_name(_vdev), ##__VA_ARGS__)

#define CONFIG(_field)	offsetof(struct virtio_blk_config, _field)

/* Requests */

static bool virtblk_req_type(struct request *rq, u32 *type)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		*type = VIRTIO_BLK_T_IN;
		return true;
	case REQ_OP_WRITE:
		*type = VIRTIO_BLK_T_OUT;
		return true;
	case REQ_OP_FLUSH:
		*type = VIRTIO_BLK_T_FLUSH;
		return true;
	default:
		return false;
	}
}

/*
 * Adds a request whose data, if any, is in @data. Called with the queue's lock
 * held. Returns what virtqueue_add_sgs() does.
 */
static int virtblk_add_req(struct virtqueue *vq, struct virtblk_req *vbr,
			   struct scatterlist *data, bool write)
{
	struct scatterlist hdr, status, *sgs[3];
	unsigned int out = 0, in = 0;

	sg_init_one(&hdr, &vbr->out_hdr, sizeof(vbr->out_hdr));
	sgs[out++] = &hdr;
	if (data && write)
		sgs[out++] = data;
	else if (data)
		sgs[out + in++] = data;
	/* Not a status: the device has to write one. */
	vbr->status = 0xff;
	sg_init_one(&status, &vbr->status, sizeof(vbr->status));
	sgs[out + in++] = &status;

	return virtqueue_add_sgs(vq, sgs, out, in, vbr);
}

static blk_status_t virtblk_queue_rq(struct blk_mq_hw_ctx *hctx,
				     const struct blk_mq_queue_data *bd)
{
	struct virtblk_vq *vbq = hctx->driver_data;
	struct request *rq = bd->rq;
	struct virtblk_req *vbr = blk_mq_rq_to_pdu(rq);
	bool notify = false;
	unsigned long flags;
	unsigned int segs;
	u32 type;
	int err;

	if (!virtblk_req_type(rq, &type))
		return BLK_STS_NOTSUPP;

	vbr->out_hdr.type = cpu_to_le32(type);
	vbr->out_hdr.ioprio = cpu_to_le32(req_get_ioprio(rq));
	vbr->out_hdr.sector = cpu_to_le64(type == VIRTIO_BLK_T_FLUSH ?
					  0 : blk_rq_pos(rq));

	blk_mq_start_request(rq);

	spin_lock_irqsave(&vbq->lock, flags);
	segs = type == VIRTIO_BLK_T_FLUSH ? 0 :
	       blk_rq_map_sg(hctx->queue, rq, vbq->sg);
	err = virtblk_add_req(vbq->vq, vbr, segs ? vbq->sg : NULL,
			      type == VIRTIO_BLK_T_OUT);
	/* Under the lock: the completion that makes room starts it again. */
	if (err == -ENOSPC)
		blk_mq_stop_hw_queue(hctx);
	if (err || bd->last)
		notify = virtqueue_kick_prepare(vbq->vq);
	spin_unlock_irqrestore(&vbq->lock, flags);

	if (notify)
		virtqueue_notify(vbq->vq);

	switch (err) {
	case 0:
		return BLK_STS_OK;
	case -ENOSPC:
		return BLK_STS_DEV_RESOURCE;
	case -ENOMEM:
		return BLK_STS_RESOURCE;
	default:
		return BLK_STS_IOERR;
	}
}

/* The last of a series of requests was queued. */
static void virtblk_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct virtblk_vq *vbq = hctx->driver_data;
	unsigned long flags;
	bool notify;

	spin_lock_irqsave(&vbq->lock, flags);
	notify = virtqueue_kick_prepare(vbq->vq);
	spin_unlock_irqrestore(&vbq->lock, flags);

	if (notify)
		virtqueue_notify(vbq->vq);
}

/* The device, or the lack of one, is done with it. */
static void virtblk_finish(struct virtio_blk *vblk, struct virtblk_req *vbr)
{
	if (vbr == &vblk->id.vbr)
		complete(&vblk->id.done);
	else
		blk_mq_complete_request(blk_mq_rq_from_pdu(vbr));
}

/* Interrupt: the device used buffers. No more interrupts until it is dry. */
static void virtblk_done(struct virtqueue *vq)
{
	struct virtio_blk *vblk = vq->vdev->priv;
	struct virtblk_vq *vbq = &vblk->vqs[vq->index];
	struct virtblk_req *vbr;
	bool overrun, done = false;
	unsigned long flags;
	unsigned int len;

	spin_lock_irqsave(&vbq->lock, flags);
	do {
		virtqueue_disable_cb(vq);
		while ((vbr = virtqueue_get_buf_check(vq, &len, &overrun))) {
			/*
			 * It may have written where it should not. Legacy ones
			 * only count in what they have read, section 2.7.8.3.
			 */
			if (unlikely(overrun && !virtio_is_legacy(vq->vdev)))
				vbr->status = VIRTIO_BLK_S_IOERR;
			virtblk_finish(vblk, vbr);
			done = true;
		}
	} while (!virtqueue_enable_cb(vq));

	if (done && vblk->disk)
		blk_mq_start_stopped_hw_queues(vblk->disk->queue, true);
	spin_unlock_irqrestore(&vbq->lock, flags);
}

static void virtblk_complete(struct request *rq)
{
	struct virtblk_req *vbr = blk_mq_rq_to_pdu(rq);

	switch (vbr->status) {
	case VIRTIO_BLK_S_OK:
		blk_mq_end_request(rq, BLK_STS_OK);
		break;
	case VIRTIO_BLK_S_UNSUPP:
		blk_mq_end_request(rq, BLK_STS_NOTSUPP);
		break;
	default:
		blk_mq_end_request(rq, BLK_STS_IOERR);
	}
}

static int virtblk_init_hctx(struct blk_mq_hw_ctx *hctx, void *driver_data,
			     unsigned int index)
{
	struct virtio_blk *vblk = driver_data;

	hctx->driver_data = &vblk->vqs[index];
	return 0;
}

static const struct blk_mq_ops virtblk_mq_ops = {
	.queue_rq	= virtblk_queue_rq,
	.commit_rqs	= virtblk_commit_rqs,
	.complete	= virtblk_complete,
	.init_hctx	= virtblk_init_hctx,
};

/*
 * The device broke and was reset: whatever it held has failed. What is queued
 * from now on fails in virtblk_queue_rq().
 */
static void virtblk_fail(struct virtio_device *vdev)
{
	struct virtio_blk *vblk = vdev->priv;
	struct virtblk_req *vbr;
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < vblk->num_vqs; i++) {
		struct virtblk_vq *vbq = &vblk->vqs[i];

		spin_lock_irqsave(&vbq->lock, flags);
		while ((vbr = virtqueue_detach_unused_buf(vbq->vq))) {
			vbr->status = VIRTIO_BLK_S_IOERR;
			virtblk_finish(vblk, vbr);
		}
		spin_unlock_irqrestore(&vbq->lock, flags);
	}
	if (vblk->disk)
		blk_mq_start_stopped_hw_queues(vblk->disk->queue, true);
}

/* The disk and its openers */

static void virtblk_put(struct virtio_blk *vblk)
{
	struct gendisk *disk = vblk->disk;
	unsigned int refs;

	mutex_lock(&virtblk_mutex);
	refs = --vblk->refs;
	if (!refs)
		disk->private_data = NULL;
	mutex_unlock(&virtblk_mutex);
	if (refs)
		return;

	put_disk(disk);
	blk_mq_free_tag_set(&vblk->tag_set);
	/* Not before: a name that is taken would be given out again. */
	ida_free(&virtblk_index_ida, vblk->index);
	kfree(vblk->vqs);
	kfree(vblk);
}

static int virtblk_open(struct block_device *bdev, fmode_t mode)
{
	struct virtio_blk *vblk;
	int err = -ENXIO;

	mutex_lock(&virtblk_mutex);
	vblk = bdev->bd_disk->private_data;
	if (vblk && vblk->vdev) {
		vblk->refs++;
		err = 0;
	}
	mutex_unlock(&virtblk_mutex);
	return err;
}

static void virtblk_close(struct gendisk *disk)
{
	virtblk_put(disk->private_data);
}

COMPAT_DISK_RELEASE(virtblk_release, virtblk_close)

static int virtblk_getgeo(struct block_device *bdev, struct hd_geometry *geo)
{
	struct virtio_blk *vblk = bdev->bd_disk->private_data;
	struct virtio_device *vdev;
	int err = 0;

	mutex_lock(&virtblk_mutex);
	vdev = vblk->vdev;
	if (!vdev) {
		err = -ENXIO;
	} else if (virtio_has_feature(vdev, VIRTIO_BLK_F_GEOMETRY)) {
		geo->cylinders = virtio_cread16(vdev,
						CONFIG(geometry.cylinders));
		geo->heads = virtio_cread8(vdev, CONFIG(geometry.heads));
		geo->sectors = virtio_cread8(vdev, CONFIG(geometry.sectors));
	} else {
		/* What partitioning tools have come to expect. */
		geo->heads = 1 << 6;
		geo->sectors = 1 << 5;
		geo->cylinders = get_capacity(bdev->bd_disk) >> 11;
	}
	mutex_unlock(&virtblk_mutex);
	return err;
}

static const struct block_device_operations virtblk_fops = {
	.owner		= THIS_MODULE,
	.open		= virtblk_open,
	.release	= virtblk_release,
	.getgeo		= virtblk_getgeo,
};

/* Capacity */

/* In sectors of 512 bytes, whatever the block size is. */
static u64 virtblk_read_capacity(struct virtio_blk *vblk)
{
	struct virtio_device *vdev = vblk->vdev;
	u64 capacity = virtio_cread64(vdev, CONFIG(capacity));

	if (capacity > (u64)LLONG_MAX >> 9 || (sector_t)capacity != capacity) {
		virtblk_warn(vdev, "%s: capacity 0x%llx is more than this kernel can address: using none of it\n",
			     vblk->disk->disk_name,
			     (unsigned long long)capacity);
		return 0;
	}
	return capacity;
}

static void virtblk_update_capacity(struct virtio_blk *vblk)
{
	u64 capacity;

	mutex_lock(&vblk->config_lock);
	capacity = virtblk_read_capacity(vblk);
	dev_info(&vblk->vdev->dev, "%s: %s: %llu sectors of 512 bytes (%llu MiB)\n",
		 vblk->vdev->config->bus_name(vblk->vdev),
		 vblk->disk->disk_name, (unsigned long long)capacity,
		 (unsigned long long)capacity >> 11);
	set_capacity_and_notify(vblk->disk, capacity);
	mutex_unlock(&vblk->config_lock);
}

static void virtblk_config_work(struct work_struct *work)
{
	struct virtio_blk *vblk =
		container_of(work, struct virtio_blk, config_work);

	u64 capacity = virtblk_read_capacity(vblk);

	/* One that is gone reads as all ones. */
	if (!virtio_device_is_broken(vblk->vdev) &&
	    vblk->vdev->config->get_status(vblk->vdev) != 0xff &&
	    capacity != get_capacity(vblk->disk))
		virtblk_update_capacity(vblk);
}

static void virtblk_config_changed(struct virtio_device *vdev)
{
	struct virtio_blk *vblk = vdev->priv;

	schedule_work(&vblk->config_work);
}

/* sysfs */

static ssize_t serial_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct virtio_blk *vblk = dev_to_disk(dev)->private_data;

	/* No newline: udev rules of EL6 compare the whole of it. */
	return snprintf(buf, PAGE_SIZE, "%s", vblk->id.text);
}

/* Whether the device has a volatile cache, section 5.2.5.2. */
static bool virtblk_is_writeback(struct virtio_device *vdev)
{
	/* A cache that cannot be flushed had better not be mentioned. */
	if (!virtio_has_feature(vdev, VIRTIO_BLK_F_FLUSH))
		return false;
	if (virtio_has_feature(vdev, VIRTIO_BLK_F_CONFIG_WCE))
		return virtio_cread8(vdev, CONFIG(wce));
	return true;
}

static const char *const virtblk_cache_types[] = {
	"write through", "write back"
};

static ssize_t cache_type_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct virtio_blk *vblk = dev_to_disk(dev)->private_data;

	return snprintf(buf, PAGE_SIZE, "%s\n",
			virtblk_cache_types[virtblk_is_writeback(vblk->vdev)]);
}

static ssize_t cache_type_store(struct device *dev,
				struct device_attribute *attr,
				const char *buf, size_t count)
{
	struct virtio_blk *vblk = dev_to_disk(dev)->private_data;
	size_t len = count;
	unsigned int i;

	if (len && buf[len - 1] == '\n')
		len--;
	for (i = 0; i < ARRAY_SIZE(virtblk_cache_types); i++) {
		if (len != strlen(virtblk_cache_types[i]) ||
		    strncmp(buf, virtblk_cache_types[i], len))
			continue;
		/*
		 * The block layer flushes from before there is a cache. It
		 * goes on doing so afterwards, for what is in there still.
		 */
		mutex_lock(&vblk->config_lock);
		if (i)
			blk_queue_write_cache(vblk->disk->queue, true, false);
		virtio_cwrite8(vblk->vdev, CONFIG(wce), i);
		mutex_unlock(&vblk->config_lock);
		return count;
	}
	return -EINVAL;
}

static struct device_attribute dev_attr_serial = __ATTR_RO(serial);
static struct device_attribute dev_attr_cache_type_ro =
	__ATTR(cache_type, S_IRUGO, cache_type_show, NULL);
static struct device_attribute dev_attr_cache_type_rw =
	__ATTR(cache_type, S_IRUGO | S_IWUSR, cache_type_show,
	       cache_type_store);

static struct attribute *virtblk_attrs_ro[] = {
	&dev_attr_serial.attr, &dev_attr_cache_type_ro.attr, NULL
};

static struct attribute *virtblk_attrs_rw[] = {
	&dev_attr_serial.attr, &dev_attr_cache_type_rw.attr, NULL
};

static struct attribute_group virtblk_group_ro = { .attrs = virtblk_attrs_ro };
static struct attribute_group virtblk_group_rw = { .attrs = virtblk_attrs_rw };

static const struct attribute_group *virtblk_groups_ro[] = {
	&virtblk_group_ro, NULL
};

/* The cache mode can be changed. */
static const struct attribute_group *virtblk_groups_rw[] = {
	&virtblk_group_rw, NULL
};

/* Setting a disk up */

/* vda … vdz, vdaa … : bijective base 26. */
static void virtblk_name_disk(char *name, size_t size, unsigned int index)
{
	char digits[8];
	unsigned int n = sizeof(digits);

	digits[--n] = '\0';
	for (index++; index; index = (index - 1) / 26)
		digits[--n] = 'a' + (index - 1) % 26;
	snprintf(name, size, "vd%s", &digits[n]);
}

/*
 * What the device says of itself, read once, so that what is used is what was
 * checked. Refuses a device with which the block layer could not work.
 */
static int virtblk_read_config(struct virtio_blk *vblk)
{
	struct virtio_device *vdev = vblk->vdev;

	vblk->blk_size = 512;
	if (virtio_has_feature(vdev, VIRTIO_BLK_F_BLK_SIZE))
		vblk->blk_size = virtio_cread32(vdev, CONFIG(blk_size));
	if (vblk->blk_size < 512 || vblk->blk_size > PAGE_SIZE ||
	    (vblk->blk_size & (vblk->blk_size - 1))) {
		virtblk_err(vdev, "blk_size %u is no power of 2 from 512 to %lu: disk not used\n",
			    vblk->blk_size, PAGE_SIZE);
		return -EINVAL;
	}

	vblk->size_max = UINT_MAX;
	if (virtio_has_feature(vdev, VIRTIO_BLK_F_SIZE_MAX))
		vblk->size_max = virtio_cread32(vdev, CONFIG(size_max));
	if (vblk->size_max < PAGE_SIZE) {
		virtblk_err(vdev, "size_max %u is below the page size of %lu: disk not used\n",
			    vblk->size_max, PAGE_SIZE);
		return -EINVAL;
	}
	/* What is bounced must fit where it is bounced to. */
	if (virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM))
		vblk->size_max = min_t(size_t, vblk->size_max,
				       dma_max_mapping_size(vdev->dev.parent));

	/* No segment is not enough for anybody. */
	vblk->max_segs = 1;
	if (virtio_has_feature(vdev, VIRTIO_BLK_F_SEG_MAX))
		vblk->max_segs = clamp_t(u32, virtio_cread32(vdev,
							     CONFIG(seg_max)),
					 1, VIRTBLK_MAX_SEGS);

	vblk->num_vqs = 1;
	if (virtio_has_feature(vdev, VIRTIO_BLK_F_MQ))
		vblk->num_vqs = min_t(unsigned int, COMPAT_BLK_MQ_QUEUES,
				      virtio_cread16(vdev, CONFIG(num_queues)));
	if (!vblk->num_vqs) {
		virtblk_err(vdev, "num_queues is 0: disk not used\n");
		return -EINVAL;
	}
	return 0;
}

/* When there is no request: after it, the queues are empty. */
static void virtblk_reset(struct virtio_blk *vblk)
{
	unsigned int i;

	virtio_reset_device(vblk->vdev);
	/* At most the question for the serial number, if it got no answer. */
	for (i = 0; i < vblk->num_vqs; i++)
		while (virtqueue_detach_unused_buf(vblk->vqs[i].vq))
			;
}

static void virtblk_free_vqs(struct virtio_blk *vblk)
{
	unsigned int i;

	virtblk_reset(vblk);
	virtio_del_vqs(vblk->vdev);
	for (i = 0; i < vblk->num_vqs; i++)
		kfree(vblk->vqs[i].sg);
}

/* The queues, once their sizes are known, decide how long a request may be. */
static int virtblk_init_sgs(struct virtio_blk *vblk)
{
	unsigned int i, size;

	for (i = 0; i < vblk->num_vqs; i++) {
		size = virtqueue_get_vring_size(vblk->vqs[i].vq);
		if (size <= VIRTBLK_EXTRA_SGS) {
			virtblk_err(vblk->vdev, "queue %u: queue_size %u leaves no room for data: disk not used\n",
				    i, size);
			return -EINVAL;
		}
		vblk->max_segs = min(vblk->max_segs, size - VIRTBLK_EXTRA_SGS);
	}

	for (i = 0; i < vblk->num_vqs; i++) {
		vblk->vqs[i].sg = kcalloc(vblk->max_segs,
					  sizeof(*vblk->vqs[i].sg), GFP_KERNEL);
		if (!vblk->vqs[i].sg)
			return -ENOMEM;
		sg_init_table(vblk->vqs[i].sg, vblk->max_segs);
	}
	return 0;
}

/* A queue for each CPU: say so, if that is how it came out. */
static void virtblk_set_affinity(struct virtio_blk *vblk)
{
	unsigned int i;

	if (COMPAT_BLK_MQ_QUEUES == 1 || vblk->num_vqs == 1 ||
	    vblk->num_vqs != num_online_cpus())
		return;
	for (i = 0; i < vblk->num_vqs; i++)
		if (cpu_online(i))
			vblk->vdev->config->set_vq_affinity(vblk->vqs[i].vq,
							    cpumask_of(i));
}

static int virtblk_init_vqs(struct virtio_blk *vblk)
{
	struct virtio_device *vdev = vblk->vdev;
	struct virtqueue_info *info;
	struct virtqueue **vqs;
	unsigned int i, num = vblk->num_vqs;
	int err = -ENOMEM;

	vblk->vqs = kcalloc(num, sizeof(*vblk->vqs), GFP_KERNEL);
	vqs = kcalloc(num, sizeof(*vqs), GFP_KERNEL);
	info = kcalloc(num, sizeof(*info), GFP_KERNEL);
	if (!vblk->vqs || !vqs || !info)
		goto out;

	for (i = 0; i < num; i++) {
		spin_lock_init(&vblk->vqs[i].lock);
		/* The in-tree driver's name for its only queue. */
		if (num == 1)
			strcpy(vblk->vqs[i].name, "requests");
		else
			snprintf(vblk->vqs[i].name, sizeof(vblk->vqs[i].name),
				 "req.%u", i);
		info[i].name = vblk->vqs[i].name;
		info[i].callback = virtblk_done;
		info[i].max_sgs = min_t(unsigned int, vblk->max_segs,
					VIRTBLK_USUAL_SEGS) + VIRTBLK_EXTRA_SGS;
	}

	err = virtio_find_vqs(vdev, num, vqs, info);
	if (err)
		goto out;
	for (i = 0; i < num; i++)
		vblk->vqs[i].vq = vqs[i];

	err = virtblk_init_sgs(vblk);
	if (err)
		virtblk_free_vqs(vblk);
	else
		virtblk_set_affinity(vblk);
out:
	kfree(info);
	kfree(vqs);
	if (err) {
		kfree(vblk->vqs);
		vblk->vqs = NULL;
	}
	return err;
}

/* Section 5.2.6: the serial number. A disk without one is none the worse. */
static void virtblk_read_id(struct virtio_blk *vblk)
{
	struct virtblk_vq *vbq = &vblk->vqs[0];
	struct virtblk_id *id = &vblk->id;
	struct scatterlist data;
	unsigned long flags;
	int err;

	init_completion(&id->done);
	id->vbr.out_hdr.type = cpu_to_le32(VIRTIO_BLK_T_GET_ID);
	sg_init_one(&data, id->text, VIRTIO_BLK_ID_BYTES);

	spin_lock_irqsave(&vbq->lock, flags);
	err = virtblk_add_req(vbq->vq, &id->vbr, &data, false);
	if (!err)
		virtqueue_kick(vbq->vq);
	spin_unlock_irqrestore(&vbq->lock, flags);
	if (err)
		return;

	if (!wait_for_completion_timeout(&id->done, VIRTBLK_ID_TIMEOUT_S * HZ))
		virtblk_warn(vblk->vdev, "no answer to GET_ID in %u s: the serial number is unknown\n",
			     VIRTBLK_ID_TIMEOUT_S);
	if (id->vbr.status != VIRTIO_BLK_S_OK)
		id->text[0] = '\0';
}

/* Hints, section 5.2.5: nonsense among them is left out. */
static void virtblk_set_topology(struct virtio_blk *vblk)
{
	struct request_queue *q = vblk->disk->queue;
	struct virtio_device *vdev = vblk->vdev;
	u32 blk_size = vblk->blk_size;
	u8 exp = virtio_cread8(vdev, CONFIG(topology.physical_block_exp));
	u8 align = virtio_cread8(vdev, CONFIG(topology.alignment_offset));
	u16 min_io = virtio_cread16(vdev, CONFIG(topology.min_io_size));
	u32 opt_io = virtio_cread32(vdev, CONFIG(topology.opt_io_size));

	if (exp > 8 || opt_io > U32_MAX / blk_size) {
		virtblk_warn(vdev, "topology (physical_block_exp %u, opt_io_size %u) makes no sense: ignored\n",
			     exp, opt_io);
		return;
	}
	if (exp)
		blk_queue_physical_block_size(q, blk_size << exp);
	if (align)
		blk_queue_alignment_offset(q, blk_size * align);
	if (min_io)
		blk_queue_io_min(q, blk_size * min_io);
	if (opt_io)
		blk_queue_io_opt(q, blk_size * opt_io);
}

static void virtblk_set_limits(struct virtio_blk *vblk)
{
	struct request_queue *q = vblk->disk->queue;

	blk_queue_max_segments(q, vblk->max_segs);
	blk_queue_max_hw_sectors(q, UINT_MAX);
	blk_queue_max_segment_size(q, vblk->size_max);
	blk_queue_logical_block_size(q, vblk->blk_size);
	if (virtio_has_feature(vblk->vdev, VIRTIO_BLK_F_TOPOLOGY))
		virtblk_set_topology(vblk);
}

static int virtblk_alloc_disk(struct virtio_blk *vblk)
{
	unsigned int i, depth = VIRTBLK_MAX_DEPTH;
	struct gendisk *disk;
	int err;

	for (i = 0; i < vblk->num_vqs; i++)
		depth = min(depth, virtqueue_get_vring_size(vblk->vqs[i].vq));

	vblk->tag_set.ops = &virtblk_mq_ops;
	vblk->tag_set.nr_hw_queues = vblk->num_vqs;
	vblk->tag_set.queue_depth = depth;
	vblk->tag_set.cmd_size = sizeof(struct virtblk_req);
	vblk->tag_set.numa_node = NUMA_NO_NODE;
	vblk->tag_set.flags = BLK_MQ_F_SHOULD_MERGE;
	vblk->tag_set.driver_data = vblk;
	err = blk_mq_alloc_tag_set(&vblk->tag_set);
	if (err)
		return err;

	disk = blk_mq_alloc_disk(&vblk->tag_set, vblk);
	if (IS_ERR(disk)) {
		blk_mq_free_tag_set(&vblk->tag_set);
		return PTR_ERR(disk);
	}

	virtblk_name_disk(disk->disk_name, sizeof(disk->disk_name),
			  vblk->index);
	disk->major = virtblk_major;
	disk->first_minor = vblk->index << VIRTBLK_PART_BITS;
	disk->minors = 1 << VIRTBLK_PART_BITS;
	disk->private_data = vblk;
	disk->fops = &virtblk_fops;
	vblk->disk = disk;
	return 0;
}

/* The device works. Show it to the world, which reads it at once. */
static int virtblk_add_disk(struct virtio_blk *vblk)
{
	struct virtio_device *vdev = vblk->vdev;

	virtblk_set_limits(vblk);
	blk_queue_write_cache(vblk->disk->queue, virtblk_is_writeback(vdev),
			      false);
	virtblk_update_capacity(vblk);
	if (virtio_has_feature(vdev, VIRTIO_BLK_F_RO))
		set_disk_ro(vblk->disk, 1);

	virtio_device_ready(vdev);
	virtblk_read_id(vblk);

	return device_add_disk(&vdev->dev, vblk->disk,
			       virtio_has_feature(vdev, VIRTIO_BLK_F_CONFIG_WCE) &&
			       virtio_has_feature(vdev, VIRTIO_BLK_F_FLUSH) ?
			       virtblk_groups_rw : virtblk_groups_ro);
}

static int virtblk_probe(struct virtio_device *vdev)
{
	struct virtio_blk *vblk;
	int err;

	vblk = kzalloc(sizeof(*vblk), GFP_KERNEL);
	if (!vblk)
		return -ENOMEM;
	vblk->vdev = vdev;
	vblk->refs = 1;
	mutex_init(&vblk->config_lock);
	INIT_WORK(&vblk->config_work, virtblk_config_work);
	vdev->priv = vblk;

	err = virtblk_read_config(vblk);
	if (err)
		goto free_vblk;

	err = ida_alloc_max(&virtblk_index_ida, VIRTBLK_MAX_DISKS - 1,
			    GFP_KERNEL);
	if (err < 0)
		goto free_vblk;
	vblk->index = err;

	err = virtblk_init_vqs(vblk);
	if (err)
		goto free_index;
	err = virtblk_alloc_disk(vblk);
	if (err)
		goto free_vqs;
	err = virtblk_add_disk(vblk);
	if (err)
		goto put;
	return 0;

put:
	virtblk_free_vqs(vblk);
	virtblk_put(vblk);
	return err;

free_vqs:
	virtblk_free_vqs(vblk);
	kfree(vblk->vqs);
free_index:
	ida_free(&virtblk_index_ida, vblk->index);
free_vblk:
	kfree(vblk);
	return err;
}

/*
 * From now on requests wait, and the bus holds config changes back. Returns
 * whether the device is done with what it had.
 */
static bool virtblk_quiesce(struct virtio_blk *vblk)
{
	struct request_queue *q = vblk->disk->queue;

	cancel_work_sync(&vblk->config_work);
	blk_freeze_queue_start(q);
	return blk_mq_freeze_queue_wait_timeout(q, VIRTBLK_DRAIN_S * HZ) > 0;
}

static int virtblk_suspend(struct virtio_device *vdev)
{
	struct virtio_blk *vblk = vdev->priv;

	if (!virtblk_quiesce(vblk)) {
		virtblk_err(vdev, "%s: requests were not answered in %u s\n",
			    vblk->disk->disk_name, VIRTBLK_DRAIN_S);
		blk_mq_unfreeze_queue(vblk->disk->queue);
		return -EBUSY;
	}
	vblk->writeback = virtblk_is_writeback(vdev);
	virtblk_reset(vblk);
	return 0;
}

static void virtblk_resume(struct virtio_device *vdev)
{
	struct virtio_blk *vblk = vdev->priv;

	if (virtio_has_feature(vdev, VIRTIO_BLK_F_CONFIG_WCE) &&
	    virtio_has_feature(vdev, VIRTIO_BLK_F_FLUSH))
		virtio_cwrite8(vdev, CONFIG(wce), vblk->writeback);
	virtio_device_ready(vdev);
	blk_mq_unfreeze_queue(vblk->disk->queue);
}

/*
 * What was submitted is on the disk, then it is at rest. Who wants something
 * of it all the same waits: with an error, the first process may die, and that
 * would be a panic.
 */
static void virtblk_shutdown(struct virtio_device *vdev)
{
	struct virtio_blk *vblk = vdev->priv;

	if (!virtblk_quiesce(vblk))
		virtblk_warn(vdev, "%s: requests were not answered in %u s: given up\n",
			     vblk->disk->disk_name, VIRTBLK_DRAIN_S);
	virtio_reset_device(vdev);
}

static void virtblk_remove(struct virtio_device *vdev)
{
	struct virtio_blk *vblk = vdev->priv;

	/* No more of them come: the bus holds config changes back. */
	cancel_work_sync(&vblk->config_work);

	/* Nobody waits any longer for one that was shut down. */
	if (vdev->shut_down) {
		virtio_break_device(vdev);
		virtblk_fail(vdev);
		blk_mq_unfreeze_queue(vblk->disk->queue);
	}

	/* Writes back what is dirty, which the device still takes. */
	del_gendisk(vblk->disk);

	mutex_lock(&virtblk_mutex);
	virtblk_free_vqs(vblk);
	vblk->vdev = NULL;
	mutex_unlock(&virtblk_mutex);

	virtblk_put(vblk);
}

static const struct virtio_device_id virtblk_id_table[] = {
	{ VIRTIO_ID_BLOCK, VIRTIO_DEV_ANY_ID },
	{ 0 }
};
MODULE_DEVICE_TABLE(virtio, virtblk_id_table);

static const unsigned int virtblk_features[] = {
	VIRTIO_BLK_F_SIZE_MAX, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_GEOMETRY,
	VIRTIO_BLK_F_RO, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH,
	VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_MQ,
};

static struct virtio_driver virtblk_driver = {
	.driver.name		= KBUILD_MODNAME,
	.driver.owner		= THIS_MODULE,
	.id_table		= virtblk_id_table,
	.feature_table		= virtblk_features,
	.feature_table_size	= ARRAY_SIZE(virtblk_features),
	.probe			= virtblk_probe,
	.remove			= virtblk_remove,
	.config_changed		= virtblk_config_changed,
	.fail			= virtblk_fail,
	.suspend		= virtblk_suspend,
	.resume			= virtblk_resume,
	.shutdown		= virtblk_shutdown,
};

static int __init virtblk_init(void)
{
	int err = register_blkdev(0, "virtblk");

	if (err < 0)
		return err;
	virtblk_major = err;

	err = register_virtio_driver(&virtblk_driver);
	if (err)
		unregister_blkdev(virtblk_major, "virtblk");
	return err;
}

static void __exit virtblk_exit(void)
{
	unregister_virtio_driver(&virtblk_driver);
	unregister_blkdev(virtblk_major, "virtblk");
}

module_init(virtblk_init);
module_exit(virtblk_exit);

MODULE_DESCRIPTION("virtio block device");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
