// SPDX-License-Identifier: GPL-2.0
/*
 * virtio SCSI host, virtio 1.2 section 5.6.
 */
#include <linux/module.h>
#include <linux/delay.h>
#include <linux/slab.h>
#include <linux/virtio_ids.h>
#include "virtio_scsi.h"

#define CONFIG(_field)	offsetof(struct virtio_scsi_config, _field)

/* How long a scan or an error handler that is about to end is waited for. */
#define VIRTSCSI_POLL_MS	10

/* Queues */

/**
 * virtscsi_set_state - what becomes of a command from now on
 * @vscsi:	the host
 * @state:	that
 *
 * When it returns, nobody acts on the old state any more. Process context.
 */
void virtscsi_set_state(struct virtio_scsi *vscsi, enum virtscsi_state state)
{
	unsigned int i;

	WRITE_ONCE(vscsi->state, state);
	for (i = 0; i < vscsi->num_reqs; i++) {
		spin_lock_irq(&vscsi->reqs[i].lock);
		spin_unlock_irq(&vscsi->reqs[i].lock);
	}
	spin_lock_irq(&vscsi->ctrl.lock);
	spin_unlock_irq(&vscsi->ctrl.lock);
	spin_lock_irq(&vscsi->event.lock);
	spin_unlock_irq(&vscsi->event.lock);
}

/**
 * virtscsi_write_sizes - agree on the sizes of commands and sense data
 * @vscsi:	the host; its features are negotiated
 *
 * They are what they are after a reset, unless somebody thought otherwise; what
 * is in a buffer, and where, depends on them. Section 5.6.4. Returns 0, or
 * -EINVAL if the device wants more than there is. Process context.
 */
int virtscsi_write_sizes(struct virtio_scsi *vscsi)
{
	struct virtio_device *vdev = vscsi->vdev;
	u32 cdb_size, sense_size;

	if (virtio_cread32(vdev, CONFIG(cdb_size)) != VIRTIO_SCSI_CDB_SIZE)
		virtio_cwrite32(vdev, CONFIG(cdb_size), VIRTIO_SCSI_CDB_SIZE);
	if (virtio_cread32(vdev, CONFIG(sense_size)) != VIRTIO_SCSI_SENSE_SIZE)
		virtio_cwrite32(vdev, CONFIG(sense_size),
				VIRTIO_SCSI_SENSE_SIZE);

	cdb_size = virtio_cread32(vdev, CONFIG(cdb_size));
	sense_size = virtio_cread32(vdev, CONFIG(sense_size));
	if (cdb_size != VIRTIO_SCSI_CDB_SIZE) {
		virtscsi_err(vdev, "cdb_size stays %u, not %u: controller not used\n",
			     cdb_size, VIRTIO_SCSI_CDB_SIZE);
		return -EINVAL;
	}
	if (sense_size > VIRTIO_SCSI_SENSE_SIZE) {
		virtscsi_err(vdev, "sense_size stays %u, not %u: controller not used\n",
			     sense_size, VIRTIO_SCSI_SENSE_SIZE);
		return -EINVAL;
	}
	vscsi->sense_size = sense_size;
	return 0;
}

static void virtscsi_init_vq(struct virtscsi_vq *svq, struct virtqueue_info *info,
			     const char *name, vq_callback_t *callback)
{
	spin_lock_init(&svq->lock);
	INIT_LIST_HEAD(&svq->held);
	strcpy(svq->name, name);
	info->name = svq->name;
	info->callback = callback;
}

/* The queues, and what depends on how large they are. */
static int virtscsi_init_vqs(struct virtio_scsi *vscsi, unsigned int max_segs)
{
	unsigned int i, num = VIRTIO_SCSI_VQ_REQUEST + vscsi->num_reqs;
	struct virtqueue_info *info;
	struct virtqueue **vqs;
	char name[sizeof(vscsi->ctrl.name)] = "request";
	int err = -ENOMEM;

	vscsi->reqs = kcalloc(vscsi->num_reqs, sizeof(*vscsi->reqs),
			      GFP_KERNEL);
	vqs = kcalloc(num, sizeof(*vqs), GFP_KERNEL);
	info = kcalloc(num, sizeof(*info), GFP_KERNEL);
	if (!vscsi->reqs || !vqs || !info)
		goto out;

	virtscsi_init_vq(&vscsi->ctrl, &info[VIRTIO_SCSI_VQ_CONTROL], "control",
			 virtscsi_ctrl_done);
	virtscsi_init_vq(&vscsi->event, &info[VIRTIO_SCSI_VQ_EVENT], "event",
			 virtscsi_event_done);
	for (i = 0; i < vscsi->num_reqs; i++) {
		/* The in-tree driver's name for its only queue. */
		if (vscsi->num_reqs > 1)
			snprintf(name, sizeof(name), "request.%u", i);
		virtscsi_init_vq(&vscsi->reqs[i],
				 &info[VIRTIO_SCSI_VQ_REQUEST + i], name,
				 virtscsi_req_done);
		info[VIRTIO_SCSI_VQ_REQUEST + i].max_sgs =
			min_t(unsigned int, max_segs, VIRTSCSI_USUAL_SEGS) +
			VIRTSCSI_EXTRA_SGS;
		vscsi->reqs[i].next_tag = i;
	}

	err = virtio_find_vqs(vscsi->vdev, num, vqs, info);
	if (err)
		goto out;
	vscsi->ctrl.vq = vqs[VIRTIO_SCSI_VQ_CONTROL];
	vscsi->event.vq = vqs[VIRTIO_SCSI_VQ_EVENT];
	for (i = 0; i < vscsi->num_reqs; i++)
		vscsi->reqs[i].vq = vqs[VIRTIO_SCSI_VQ_REQUEST + i];
out:
	kfree(info);
	kfree(vqs);
	return err;
}

/* A queue for each CPU: say so, if that is how it came out. */
static void virtscsi_set_affinity(struct virtio_scsi *vscsi)
{
	unsigned int i;

	if (vscsi->num_reqs == 1 || vscsi->num_reqs != num_online_cpus())
		return;
	for (i = 0; i < vscsi->num_reqs; i++) {
		struct virtscsi_vq *svq = &vscsi->reqs[i];

		if (!cpu_online(i))
			continue;
		/* Not cpumask_of(): what it needs is not on the kABI lists. */
		cpumask_set_cpu(i, &svq->affinity);
		vscsi->vdev->config->set_vq_affinity(svq->vq, &svq->affinity);
	}
}

/* The host */

/*
 * Only one number for each LUN: the mid-layer would take the same LUN by
 * another one for another disk.
 */
static int virtscsi_slave_alloc(struct scsi_device *sdev)
{
	struct virtio_scsi *vscsi = shost_priv(sdev->host);
	u64 lun = sdev->lun;

	if (lun > 255) {
		if (!(lun & VIRTSCSI_LUN_FLAT))
			return -ENXIO;
		lun -= VIRTSCSI_LUN_FLAT;
		if (lun <= 255)
			return -ENXIO;
	}
	if (sdev->channel || sdev->id > VIRTSCSI_MAX_TARGET ||
	    lun > vscsi->max_lun)
		return -ENXIO;
	return 0;
}

static int virtscsi_change_queue_depth(struct scsi_device *sdev, int depth)
{
	return scsi_change_queue_depth(sdev, min_t(int, depth,
						   sdev->host->cmd_per_lun));
}

static struct compat_scsi_template virtscsi_template = {
	.module			= THIS_MODULE,
	.name			= "Virtio SCSI HBA",
	.proc_name		= "virtio_scsi",
	.this_id		= -1,
	.cmd_size		= sizeof(struct virtscsi_cmd),
	.queuecommand		= virtscsi_queuecommand,
	.commit_rqs		= virtscsi_commit_rqs,
	.change_queue_depth	= virtscsi_change_queue_depth,
	.track_queue_depth	= 1,
	.slave_alloc		= virtscsi_slave_alloc,
	.eh_timed_out		= virtscsi_eh_timed_out,
	.eh_abort_handler	= virtscsi_eh_abort,
	.eh_device_reset_handler = virtscsi_eh_device_reset,
	.eh_target_reset_handler = virtscsi_eh_target_reset,
	.eh_host_reset_handler	= virtscsi_eh_host_reset,
	.skip_settle_delay	= 1,
	.dma_boundary		= UINT_MAX,
};

/*
 * What the device says of itself, read once, so that what is used is what was
 * checked.
 */
static int virtscsi_read_config(struct virtio_scsi *vscsi, u32 *max_segs)
{
	struct virtio_device *vdev = vscsi->vdev;
	struct Scsi_Host *shost = vscsi->shost;
	u32 num_queues, max_sectors;

	num_queues = virtio_cread32(vdev, CONFIG(num_queues));
	if (!num_queues) {
		virtscsi_err(vdev, "num_queues is 0: controller not used\n");
		return -EINVAL;
	}
	vscsi->num_reqs = min_t(u32, num_queues, nr_cpu_ids);

	/* No segment is not enough for anybody. */
	*max_segs = clamp_t(u32, virtio_cread32(vdev, CONFIG(seg_max)), 1,
			    VIRTSCSI_MAX_SEGS);

	/* A hint; the block layer wants room for a page. */
	max_sectors = virtio_cread32(vdev, CONFIG(max_sectors));
	if (!max_sectors || max_sectors > U16_MAX)
		max_sectors = U16_MAX;
	shost->max_sectors = max_t(u32, max_sectors, PAGE_SIZE >> 9);

	/* Hints, too: what the scan need not look at. There is no channel. */
	vscsi->max_lun = min_t(u32, virtio_cread32(vdev, CONFIG(max_lun)),
			       VIRTSCSI_MAX_LUN);
	shost->max_id = min_t(u16, virtio_cread16(vdev, CONFIG(max_target)),
			      VIRTSCSI_MAX_TARGET) + 1;
	shost->max_channel = 0;
	shost->max_lun = vscsi->max_lun + 1;
	if (vscsi->max_lun > 255)
		shost->max_lun += VIRTSCSI_LUN_FLAT;
	shost->max_cmd_len = VIRTIO_SCSI_CDB_SIZE;
	return 0;
}

/* How much the host can take at a time, once its queues are known. */
static int virtscsi_init_limits(struct virtio_scsi *vscsi, u32 max_segs)
{
	struct virtio_device *vdev = vscsi->vdev;
	unsigned int i, size, depth = VIRTSCSI_MAX_DEPTH;

	size = virtqueue_get_vring_size(vscsi->ctrl.vq);
	if (size < 2) {
		virtscsi_err(vdev, "queue 0: queue_size %u leaves no room for a request: controller not used\n",
			     size);
		return -EINVAL;
	}
	for (i = 0; i < vscsi->num_reqs; i++) {
		size = virtqueue_get_vring_size(vscsi->reqs[i].vq);
		if (size <= VIRTSCSI_EXTRA_SGS) {
			virtscsi_err(vdev, "queue %u: queue_size %u leaves no room for data: controller not used\n",
				     VIRTIO_SCSI_VQ_REQUEST + i, size);
			return -EINVAL;
		}
		max_segs = min(max_segs, size - VIRTSCSI_EXTRA_SGS);
		depth = min(depth, size);
	}
	vscsi->shost->sg_tablesize = max_segs;
	vscsi->shost->can_queue = depth;
	vscsi->shost->cmd_per_lun =
		clamp_t(u32, virtio_cread32(vdev, CONFIG(cmd_per_lun)), 1,
			depth);
	compat_scsi_set_hw_queues(vscsi->shost, vscsi->num_reqs);
	return 0;
}

/*
 * The device broke and was reset: whatever it held has failed. What is queued
 * from now on fails in virtscsi_queuecommand().
 */
static void virtscsi_fail(struct virtio_device *vdev)
{
	struct virtio_scsi *vscsi = vdev->priv;

	virtscsi_detach_cmds(vscsi);
	virtscsi_end_cmds(vscsi, DID_NO_CONNECT);
	virtscsi_end_tmfs(vscsi);
	virtscsi_detach_events(vscsi);
}

/* For good. */
static void virtscsi_shut(struct virtio_scsi *vscsi, enum virtscsi_state state)
{
	mutex_lock(&vscsi->reset_lock);
	virtscsi_set_state(vscsi, state);
	virtscsi_stop(vscsi);
	if (state == VIRTSCSI_GONE)
		virtscsi_end_cmds(vscsi, DID_NO_CONNECT);
	mutex_unlock(&vscsi->reset_lock);
}

/*
 * The mid-layer's own threads, which call into this module: one may scan the
 * host still, another recover from errors.
 */
static void virtscsi_wait_threads(struct virtio_scsi *vscsi)
{
	while (vscsi->shost->async_scan || scsi_host_in_recovery(vscsi->shost))
		msleep(VIRTSCSI_POLL_MS);
}

static int virtscsi_init(struct virtio_scsi *vscsi)
{
	u32 max_segs;
	int err;

	err = virtscsi_read_config(vscsi, &max_segs);
	if (!err)
		err = virtscsi_write_sizes(vscsi);
	if (!err)
		err = virtscsi_init_vqs(vscsi, max_segs);
	if (err)
		return err;

	err = virtscsi_init_limits(vscsi, max_segs);
	if (!err)
		err = virtscsi_init_events(vscsi);
	if (err) {
		virtio_reset_device(vscsi->vdev);
		virtio_del_vqs(vscsi->vdev);
	}
	return err;
}

static int virtscsi_probe(struct virtio_device *vdev)
{
	struct virtio_scsi *vscsi;
	struct Scsi_Host *shost;
	int err;

	shost = scsi_host_alloc(&virtscsi_template, sizeof(*vscsi));
	if (!shost)
		return -ENOMEM;
	vscsi = shost_priv(shost);
	vscsi->vdev = vdev;
	vscsi->shost = shost;
	mutex_init(&vscsi->reset_lock);
	mutex_init(&vscsi->tmf_lock);
	vdev->priv = vscsi;

	err = virtscsi_init(vscsi);
	if (err)
		goto put;
	virtscsi_set_affinity(vscsi);

	/* As soon as there is a host, somebody may look for what is on it. */
	virtio_device_ready(vdev);
	err = scsi_add_host_with_dma(shost, &vdev->dev, vdev->dev.parent);
	if (err)
		goto del_vqs;
	virtscsi_start_events(vscsi);
	return 0;

del_vqs:
	virtscsi_stop_events(vscsi);
	virtscsi_shut(vscsi, VIRTSCSI_GONE);
	virtio_del_vqs(vdev);
	virtscsi_free_events(vscsi);
put:
	kfree(vscsi->reqs);
	vscsi->reqs = NULL;
	scsi_host_put(shost);
	return err;
}

static void virtscsi_scan(struct virtio_device *vdev)
{
	struct virtio_scsi *vscsi = vdev->priv;

	scsi_scan_host(vscsi->shost);
}

static void virtscsi_remove(struct virtio_device *vdev)
{
	struct virtio_scsi *vscsi = vdev->priv;

	virtscsi_stop_events(vscsi);
	/* Nobody is to wait for a device that was shut down. */
	if (vscsi->state == VIRTSCSI_SHUT_DOWN)
		virtscsi_shut(vscsi, VIRTSCSI_GONE);
	/* Writes back what is cached, which the device still takes. */
	scsi_remove_host(vscsi->shost);

	virtscsi_shut(vscsi, VIRTSCSI_GONE);
	virtscsi_wait_threads(vscsi);
	virtio_del_vqs(vdev);
	virtscsi_free_events(vscsi);
	kfree(vscsi->reqs);
	scsi_host_put(vscsi->shost);
}

/* What the device had, the mid-layer sends again when it works again. */
static int virtscsi_suspend(struct virtio_device *vdev)
{
	struct virtio_scsi *vscsi = vdev->priv;

	mutex_lock(&vscsi->reset_lock);
	virtscsi_set_state(vscsi, VIRTSCSI_ASLEEP);
	virtscsi_stop(vscsi);
	virtscsi_end_cmds(vscsi, DID_RESET);
	mutex_unlock(&vscsi->reset_lock);
	return 0;
}

static void virtscsi_resume(struct virtio_device *vdev)
{
	struct virtio_scsi *vscsi = vdev->priv;

	mutex_lock(&vscsi->reset_lock);
	/* The last one has said what is wrong. */
	if (!virtio_device_is_broken(vdev) && virtscsi_write_sizes(vscsi))
		virtio_break_device(vdev);
	virtio_device_ready(vdev);
	virtscsi_set_state(vscsi, VIRTSCSI_UP);
	if (!virtio_device_is_broken(vdev)) {
		virtscsi_start_events(vscsi);
		/* Of what went on meanwhile nobody tells. */
		virtscsi_missed_events(vscsi);
	}
	mutex_unlock(&vscsi->reset_lock);
}

/*
 * The kernel that comes next must not find events in its memory. Disks have
 * been shut down before this. Who wants something of them all the same waits:
 * with an error, the first process may die, and that would be a panic.
 */
static void virtscsi_shutdown(struct virtio_device *vdev)
{
	struct virtio_scsi *vscsi = vdev->priv;

	virtscsi_stop_events(vscsi);
	virtscsi_shut(vscsi, VIRTSCSI_SHUT_DOWN);
}

static const struct virtio_device_id virtscsi_id_table[] = {
	{ VIRTIO_ID_SCSI, VIRTIO_DEV_ANY_ID },
	{ 0 }
};
MODULE_DEVICE_TABLE(virtio, virtscsi_id_table);

static const unsigned int virtscsi_features[] = {
	VIRTIO_SCSI_F_HOTPLUG, VIRTIO_SCSI_F_CHANGE,
};

static struct virtio_driver virtscsi_driver = {
	.driver.name		= KBUILD_MODNAME,
	.driver.owner		= THIS_MODULE,
	.id_table		= virtscsi_id_table,
	.feature_table		= virtscsi_features,
	.feature_table_size	= ARRAY_SIZE(virtscsi_features),
	.probe			= virtscsi_probe,
	.scan			= virtscsi_scan,
	.remove			= virtscsi_remove,
	.suspend		= virtscsi_suspend,
	.resume			= virtscsi_resume,
	.shutdown		= virtscsi_shutdown,
	.fail			= virtscsi_fail,
};

static int __init virtscsi_module_init(void)
{
	/* The layout is the device's, not the compiler's. */
	BUILD_BUG_ON(sizeof(struct virtio_scsi_config) != 36);
	BUILD_BUG_ON(sizeof(struct virtio_scsi_cmd_req) != 51);
	BUILD_BUG_ON(sizeof(struct virtio_scsi_cmd_resp) != 108);
	BUILD_BUG_ON(sizeof(struct virtio_scsi_ctrl_tmf_req) != 24);
	BUILD_BUG_ON(sizeof(struct virtio_scsi_event) != 16);

	return register_virtio_driver(&virtscsi_driver);
}

static void __exit virtscsi_module_exit(void)
{
	unregister_virtio_driver(&virtscsi_driver);
}

module_init(virtscsi_module_init);
module_exit(virtscsi_module_exit);

MODULE_DESCRIPTION("virtio SCSI host");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
