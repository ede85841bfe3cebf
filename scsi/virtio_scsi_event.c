// SPDX-License-Identifier: GPL-2.0
/*
 * Events, virtio 1.2 section 5.6.6.3: LUNs that come, go and change. The
 * interrupt only collects them; a work looks at each, in their order, since
 * that takes commands to the device, and for these it may have to wait.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include "virtio_scsi.h"

#define VIRTSCSI_INQUIRY_LEN		36
#define VIRTSCSI_INQUIRY_TIMEOUT_S	30
#define VIRTSCSI_INQUIRY_RETRIES	3

/* How long the error handler is left alone before a look whether it is done. */
#define VIRTSCSI_RECOVERY_MS		100

/* SPC: parameters, or INQUIRY data, have changed. */
#define VIRTSCSI_ASC_PARAMETERS		0x2a
#define VIRTSCSI_ASC_TARGET		0x3f
#define VIRTSCSI_ASCQ_INQUIRY		0x03

/* An event for one LUN. */
struct virtscsi_where {
	unsigned int target;
	unsigned int lun;	/* the device's number: 0 to VIRTSCSI_MAX_LUN */
};

/*
 * The mid-layer's number for a LUN: that which it makes of an answer to REPORT
 * LUNS, so that a LUN has the same name however it was found.
 */
static unsigned int virtscsi_sdev_lun(const struct virtscsi_where *where)
{
	return where->lun > 255 ? where->lun | VIRTSCSI_LUN_FLAT : where->lun;
}

/* Event buffers */

/* With the lock of the event queue held. */
static void virtscsi_post_event(struct virtio_scsi *vscsi,
				struct virtscsi_event *event)
{
	struct scatterlist sg;

	sg_init_one(&sg, &event->u, vscsi->event_size);
	event->sent = !virtqueue_add_inbuf(vscsi->event.vq, &sg, 1, event);
}

/**
 * virtscsi_start_events - give the device all the buffers that it may have
 * @vscsi:	the host, whose device works
 *
 * Process context.
 */
void virtscsi_start_events(struct virtio_scsi *vscsi)
{
	struct virtscsi_event *event;
	unsigned int i;

	spin_lock_irq(&vscsi->event.lock);
	for (i = 0; i < vscsi->num_events; i++) {
		event = &vscsi->events[i];
		if (!event->sent && list_empty(&event->list))
			virtscsi_post_event(vscsi, event);
	}
	virtqueue_kick(vscsi->event.vq);
	spin_unlock_irq(&vscsi->event.lock);
}

/* Collects what the device has filled, with the lock of the queue held. */
static void virtscsi_reap_events(struct virtio_scsi *vscsi)
{
	struct virtscsi_event *event;
	unsigned int len;

	while ((event = virtqueue_get_buf(vscsi->event.vq, &len))) {
		event->sent = false;
		event->len = len;
		list_add_tail(&event->list, &vscsi->events_done);
	}
}

/* With the lock of the queue held. */
static void virtscsi_queue_work(struct virtio_scsi *vscsi, unsigned int ms)
{
	if (!vscsi->events_off)
		queue_delayed_work(vscsi->wq, &vscsi->event_work,
				   msecs_to_jiffies(ms));
}

/**
 * virtscsi_event_done - virtqueue_info::callback of the event queue
 * @vq:		the queue
 *
 * Interrupt context.
 */
void virtscsi_event_done(struct virtqueue *vq)
{
	struct virtio_scsi *vscsi = vq->vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&vscsi->event.lock, flags);
	do {
		virtqueue_disable_cb(vq);
		virtscsi_reap_events(vscsi);
	} while (!virtqueue_enable_cb(vq));
	if (!list_empty(&vscsi->events_done))
		virtscsi_queue_work(vscsi, 0);
	spin_unlock_irqrestore(&vscsi->event.lock, flags);
}

/**
 * virtscsi_detach_events - take back what a device that was reset held
 * @vscsi:	the host
 *
 * What it has reported before is looked at still. Process context.
 */
void virtscsi_detach_events(struct virtio_scsi *vscsi)
{
	struct virtscsi_event *event;

	spin_lock_irq(&vscsi->event.lock);
	virtscsi_reap_events(vscsi);
	while ((event = virtqueue_detach_unused_buf(vscsi->event.vq)))
		event->sent = false;
	if (!list_empty(&vscsi->events_done))
		virtscsi_queue_work(vscsi, 0);
	spin_unlock_irq(&vscsi->event.lock);
}

/**
 * virtscsi_missed_events - anything may have happened
 * @vscsi:	the host
 *
 * Has all targets looked at, when there is time for it. Any context.
 */
void virtscsi_missed_events(struct virtio_scsi *vscsi)
{
	unsigned long flags;

	if (!vscsi->num_events)
		return;
	spin_lock_irqsave(&vscsi->event.lock, flags);
	vscsi->rescan = true;
	virtscsi_queue_work(vscsi, 0);
	spin_unlock_irqrestore(&vscsi->event.lock, flags);
}

/* What to do about them */

/*
 * The mid-layer looks for no LUNs while it recovers from errors; and at some
 * point nobody is interested any more.
 */
static bool virtscsi_may_scan(struct virtio_scsi *vscsi)
{
	return !READ_ONCE(vscsi->events_off) &&
	       !scsi_host_in_recovery(vscsi->shost);
}

/* Adds what is there and not known yet; SCAN_WILD_CARD: any LUN. */
static void virtscsi_scan_target(struct virtio_scsi *vscsi, unsigned int target,
				 u64 lun)
{
	scsi_scan_target(&vscsi->shost->shost_gendev, 0, target, lun,
			 SCSI_SCAN_RESCAN);
}

/* Asks the device whether it still has the LUN. */
static bool virtscsi_is_gone(struct scsi_device *sdev)
{
	static const u8 cdb[6] = { INQUIRY, 0, 0, 0, VIRTSCSI_INQUIRY_LEN, 0 };
	u8 *data = kzalloc(VIRTSCSI_INQUIRY_LEN, GFP_KERNEL);
	bool gone = false;
	int result, pq;

	if (!data)
		return false;
	result = scsi_execute_req(sdev, cdb, DMA_FROM_DEVICE, data,
				  VIRTSCSI_INQUIRY_LEN, NULL,
				  VIRTSCSI_INQUIRY_TIMEOUT_S * HZ,
				  VIRTSCSI_INQUIRY_RETRIES, NULL);
	/* The peripheral qualifier: no such LUN, or nothing behind it. */
	pq = data[0] >> 5;
	if (!result)
		gone = pq == SCSI_INQ_PQ_NOT_CAP ||
		       (pq && pq != sdev->inq_periph_qual);
	else if (result > 0)
		gone = host_byte(result) == DID_BAD_TARGET;
	kfree(data);
	return gone;
}

/* Removes what is not there any more, of a target or of all of them. */
static void virtscsi_prune(struct virtio_scsi *vscsi, unsigned int target)
{
	struct scsi_device *sdev;

	shost_for_each_device(sdev, vscsi->shost) {
		if (target != SCAN_WILD_CARD && sdev->id != target)
			continue;
		if (!virtscsi_may_scan(vscsi)) {
			scsi_device_put(sdev);
			return;
		}
		if (virtscsi_is_gone(sdev))
			scsi_remove_device(sdev);
	}
}

static void virtscsi_rescan(struct virtio_scsi *vscsi)
{
	unsigned int target;

	virtscsi_prune(vscsi, SCAN_WILD_CARD);
	for (target = 0; target < vscsi->shost->max_id &&
	     virtscsi_may_scan(vscsi); target++)
		virtscsi_scan_target(vscsi, target, SCAN_WILD_CARD);
}

/*
 * Does it to one LUN, if the mid-layer knows it. Not by scsi_device_lookup():
 * EL6's takes one that is on its way out for the one that came after it.
 */
static void virtscsi_with_lun(struct virtio_scsi *vscsi,
			      const struct virtscsi_where *where,
			      void (*fn)(struct scsi_device *sdev))
{
	unsigned int lun = virtscsi_sdev_lun(where);
	struct scsi_device *sdev;

	shost_for_each_device(sdev, vscsi->shost) {
		if (sdev->channel || sdev->id != where->target ||
		    sdev->lun != lun)
			continue;
		fn(sdev);
		scsi_device_put(sdev);
		return;
	}
}

static void virtscsi_transport_reset(struct virtio_scsi *vscsi,
				     const struct virtscsi_where *where,
				     u32 reason)
{
	switch (reason) {
	case VIRTIO_SCSI_EVT_RESET_HARD:
		/* Its unit attention says so too. */
		break;
	case VIRTIO_SCSI_EVT_RESET_RESCAN:
		/* LUN 0 may stand for all of the target. */
		virtscsi_scan_target(vscsi, where->target, where->lun ?
				     virtscsi_sdev_lun(where) :
				     (u64)SCAN_WILD_CARD);
		break;
	case VIRTIO_SCSI_EVT_RESET_REMOVED:
		virtscsi_with_lun(vscsi, where, scsi_remove_device);
		if (!where->lun)
			virtscsi_prune(vscsi, where->target);
		break;
	default:
		if (printk_ratelimit())
			virtscsi_warn(vscsi->vdev, "event: reason %u of a transport reset is unknown: ignored\n",
				      reason);
	}
}

static void virtscsi_param_change(struct virtio_scsi *vscsi,
				  const struct virtscsi_where *where,
				  u32 reason)
{
	u8 asc = reason & 0xff, ascq = (reason >> 8) & 0xff;

	if (asc == VIRTSCSI_ASC_PARAMETERS ||
	    (asc == VIRTSCSI_ASC_TARGET && ascq == VIRTSCSI_ASCQ_INQUIRY))
		virtscsi_with_lun(vscsi, where, compat_scsi_rescan_device);
}

/* False if it is no LUN that the device can have. */
static bool virtscsi_get_where(struct virtio_scsi *vscsi, const u8 *lun,
			       struct virtscsi_where *where)
{
	where->target = lun[1];
	where->lun = (lun[2] << 8 | lun[3]) & VIRTSCSI_MAX_LUN;
	/* Peripheral or flat: the two formats that have nothing else in them. */
	if (lun[0] == 1 && !(lun[2] & 0x80) &&
	    where->target < vscsi->shost->max_id &&
	    where->lun <= vscsi->max_lun)
		return true;

	if (printk_ratelimit())
		virtscsi_warn(vscsi->vdev, "event: lun %02x %02x %02x %02x is none of this device: ignored\n",
			      lun[0], lun[1], lun[2], lun[3]);
	return false;
}

static void virtscsi_handle_event(struct virtio_scsi *vscsi,
				  const struct virtio_scsi_event *event)
{
	u32 what = le32_to_cpu(event->event);
	u32 reason = le32_to_cpu(event->reason);
	struct virtscsi_where where;

	if (what & VIRTIO_SCSI_T_EVENTS_MISSED) {
		virtscsi_missed_events(vscsi);
		what &= ~VIRTIO_SCSI_T_EVENTS_MISSED;
	}

	switch (what) {
	case VIRTIO_SCSI_T_NO_EVENT:
	case VIRTIO_SCSI_T_ASYNC_NOTIFY:
		break;
	case VIRTIO_SCSI_T_TRANSPORT_RESET:
		if (virtscsi_get_where(vscsi, event->lun, &where))
			virtscsi_transport_reset(vscsi, &where, reason);
		break;
	case VIRTIO_SCSI_T_PARAM_CHANGE:
		if (virtscsi_get_where(vscsi, event->lun, &where))
			virtscsi_param_change(vscsi, &where, reason);
		break;
	default:
		if (printk_ratelimit())
			virtscsi_warn(vscsi->vdev, "event %u is unknown: ignored\n",
				      what);
	}
}

/*
 * Takes the first event, whose buffer goes back to the device at once: the more
 * it has, the fewer are missed. False if there is none.
 */
static bool virtscsi_next_event(struct virtio_scsi *vscsi,
				struct virtio_scsi_event *copy,
				unsigned int *len)
{
	struct virtscsi_event *event;

	spin_lock_irq(&vscsi->event.lock);
	if (vscsi->events_off || list_empty(&vscsi->events_done)) {
		spin_unlock_irq(&vscsi->event.lock);
		return false;
	}
	event = list_first_entry(&vscsi->events_done, struct virtscsi_event,
				 list);
	list_del_init(&event->list);
	*copy = event->u.event;
	*len = event->len;
	/* Otherwise, virtscsi_start_events() sees to it. */
	if (vscsi->state == VIRTSCSI_UP) {
		virtscsi_post_event(vscsi, event);
		virtqueue_kick(vscsi->event.vq);
	}
	spin_unlock_irq(&vscsi->event.lock);
	return true;
}

static bool virtscsi_wants_rescan(struct virtio_scsi *vscsi)
{
	bool rescan;

	spin_lock_irq(&vscsi->event.lock);
	rescan = vscsi->rescan && !vscsi->events_off;
	vscsi->rescan = false;
	spin_unlock_irq(&vscsi->event.lock);
	return rescan;
}

/*
 * True while the error handler works. It may have begun in the middle of
 * something (@redo), and made nothing of it.
 */
static bool virtscsi_come_back(struct virtio_scsi *vscsi, bool redo)
{
	if (!scsi_host_in_recovery(vscsi->shost))
		return false;

	spin_lock_irq(&vscsi->event.lock);
	vscsi->rescan |= redo;
	virtscsi_queue_work(vscsi, VIRTSCSI_RECOVERY_MS);
	spin_unlock_irq(&vscsi->event.lock);
	return true;
}

/* What comes in meanwhile has this work done once more. */
static void virtscsi_event_work(struct work_struct *work)
{
	struct virtio_scsi *vscsi = container_of(work, struct virtio_scsi,
						 event_work.work);
	struct virtio_scsi_event event;
	unsigned int len;

	if (virtscsi_come_back(vscsi, false))
		return;

	while (virtscsi_next_event(vscsi, &event, &len)) {
		if (len >= sizeof(event))
			virtscsi_handle_event(vscsi, &event);
		else if (printk_ratelimit())
			virtscsi_warn(vscsi->vdev, "event: %u bytes are too few: ignored\n",
				      len);
		if (virtscsi_come_back(vscsi, true))
			return;
	}
	if (virtscsi_wants_rescan(vscsi)) {
		virtscsi_rescan(vscsi);
		virtscsi_come_back(vscsi, true);
	}
}

/* Setting up */

/**
 * virtscsi_init_events - get ready for events
 * @vscsi:	the host; it has its queues
 *
 * Process context. Returns 0 or a negative errno.
 */
int virtscsi_init_events(struct virtio_scsi *vscsi)
{
	struct virtio_device *vdev = vscsi->vdev;
	unsigned int i, num;
	u32 size;

	INIT_LIST_HEAD(&vscsi->events_done);
	INIT_DELAYED_WORK(&vscsi->event_work, virtscsi_event_work);
	if (!virtio_has_feature(vdev, VIRTIO_SCSI_F_HOTPLUG) &&
	    !virtio_has_feature(vdev, VIRTIO_SCSI_F_CHANGE))
		return 0;

	/* Of a longer one, nothing more would be looked at. */
	size = virtio_cread32(vdev, offsetof(struct virtio_scsi_config,
					     event_info_size));
	vscsi->event_size = clamp_t(u32, size, sizeof(struct virtio_scsi_event),
				    VIRTSCSI_EVENT_SIZE_MAX);
	num = min_t(unsigned int, VIRTSCSI_EVENTS,
		    virtqueue_get_vring_size(vscsi->event.vq));
	vscsi->events = kcalloc(num, sizeof(*vscsi->events), GFP_KERNEL);
	if (!vscsi->events)
		return -ENOMEM;
	for (i = 0; i < num; i++)
		INIT_LIST_HEAD(&vscsi->events[i].list);

	/*
	 * Not keventd: what is waited for here may need it. Freezable: disks
	 * do not come and go while the machine falls asleep or wakes up.
	 */
	snprintf(vscsi->wq_name, sizeof(vscsi->wq_name), "virtio_scsi%u",
		 vscsi->shost->host_no);
	vscsi->wq = create_freezable_workqueue(vscsi->wq_name);
	if (!vscsi->wq) {
		kfree(vscsi->events);
		vscsi->events = NULL;
		return -ENOMEM;
	}
	vscsi->num_events = num;
	return 0;
}

/**
 * virtscsi_stop_events - no event is looked at any more
 * @vscsi:	the host
 *
 * Waits for the one that is. Process context.
 */
void virtscsi_stop_events(struct virtio_scsi *vscsi)
{
	spin_lock_irq(&vscsi->event.lock);
	vscsi->events_off = true;
	spin_unlock_irq(&vscsi->event.lock);

	cancel_delayed_work_sync(&vscsi->event_work);
}

/**
 * virtscsi_free_events - undo virtscsi_init_events()
 * @vscsi:	the host; its device was reset, and events are stopped
 *
 * Process context.
 */
void virtscsi_free_events(struct virtio_scsi *vscsi)
{
	if (vscsi->wq)
		destroy_workqueue(vscsi->wq);
	kfree(vscsi->events);
}
