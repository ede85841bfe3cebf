// SPDX-License-Identifier: GPL-2.0
/*
 * Error recovery, virtio 1.2 section 5.6.6.2. The mid-layer asks for an abort,
 * then for resets of a LUN, a target and the host, until one of them succeeds.
 *
 * One succeeds when the device holds none of the commands that it is about,
 * since the mid-layer then does with them, and with their memory, what it likes.
 * What the device answers says nothing about that; what has come back from the
 * request queues does. The last step, a reset of the device, takes everything
 * back and cannot fail, and each of the others is given up after a while.
 */
#include <linux/module.h>
#include "virtio_scsi.h"

/* A device that does not answer in this time may do so later, or never. */
#define VIRTSCSI_TMF_TIMEOUT_S	10

/* Each timeout is put off this often at most, while the LUN is getting on. */
#define VIRTSCSI_MORE_TIME	4

static const char *const virtscsi_tmf_names[VIRTSCSI_NUM_TMFS] = {
	[VIRTSCSI_ABORT]	= "ABORT TASK",
	[VIRTSCSI_LUN_RESET]	= "LOGICAL UNIT RESET",
	[VIRTSCSI_TARGET_RESET]	= "I_T NEXUS RESET",
};

static const u32 virtscsi_tmf_subtypes[VIRTSCSI_NUM_TMFS] = {
	[VIRTSCSI_ABORT]	= VIRTIO_SCSI_T_TMF_ABORT_TASK,
	[VIRTSCSI_LUN_RESET]	= VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET,
	[VIRTSCSI_TARGET_RESET]	= VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET,
};

/* Whether a step of error recovery is about this command. */
static bool virtscsi_concerns(enum virtscsi_tmf_kind kind,
			      const struct scsi_cmnd *sc,
			      const struct scsi_cmnd *other)
{
	switch (kind) {
	case VIRTSCSI_ABORT:
		return other == sc;
	case VIRTSCSI_LUN_RESET:
		return other->device == sc->device;
	default:
		return other->device->channel == sc->device->channel &&
		       other->device->id == sc->device->id;
	}
}

/*
 * Whether the device holds any command that a step is about, after what it is
 * done with was taken from it; @tag is that of one of them.
 */
static bool virtscsi_holds(struct virtio_scsi *vscsi,
			   enum virtscsi_tmf_kind kind,
			   const struct scsi_cmnd *sc, u64 *tag)
{
	struct virtscsi_cmd *cmd;
	bool found = false;
	unsigned int i;

	virtscsi_reap_cmds(vscsi);
	for (i = 0; i < vscsi->num_reqs && !found; i++) {
		struct virtscsi_vq *svq = &vscsi->reqs[i];

		spin_lock_irq(&svq->lock);
		list_for_each_entry(cmd, &svq->held, list) {
			if (!virtscsi_concerns(kind, sc, cmd->sc))
				continue;
			*tag = cmd->tag;
			found = true;
			break;
		}
		spin_unlock_irq(&svq->lock);
	}
	return found;
}

/* Takes answers from the control queue, whose lock is held. */
static void virtscsi_reap_tmfs(struct virtio_scsi *vscsi)
{
	struct virtscsi_tmf *tmf;
	unsigned int len;

	while ((tmf = virtqueue_get_buf(vscsi->ctrl.vq, &len))) {
		tmf->sent = false;
		complete(&tmf->done);
	}
}

/**
 * virtscsi_ctrl_done - virtqueue_info::callback of the control queue
 * @vq:		the queue
 *
 * Interrupt context.
 */
void virtscsi_ctrl_done(struct virtqueue *vq)
{
	struct virtio_scsi *vscsi = vq->vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&vscsi->ctrl.lock, flags);
	do {
		virtqueue_disable_cb(vq);
		virtscsi_reap_tmfs(vscsi);
	} while (!virtqueue_enable_cb(vq));
	spin_unlock_irqrestore(&vscsi->ctrl.lock, flags);
}

/**
 * virtscsi_end_tmfs - take back what a device that was reset held
 * @vscsi:	the host
 *
 * Who waits for an answer finds that there is none. Process context.
 */
void virtscsi_end_tmfs(struct virtio_scsi *vscsi)
{
	struct virtscsi_tmf *tmf;

	spin_lock_irq(&vscsi->ctrl.lock);
	virtscsi_reap_tmfs(vscsi);
	while ((tmf = virtqueue_detach_unused_buf(vscsi->ctrl.vq))) {
		tmf->sent = false;
		complete(&tmf->done);
	}
	spin_unlock_irq(&vscsi->ctrl.lock);
}

/*
 * Not while the device owes an answer to one like it, or to a stronger one: it
 * would be waited for in vain, and a host may have hundreds of commands.
 */
static bool virtscsi_may_send(struct virtio_scsi *vscsi,
			      enum virtscsi_tmf_kind kind)
{
	unsigned int i;

	for (i = kind; i < VIRTSCSI_NUM_TMFS; i++)
		if (vscsi->tmfs[i].sent)
			return false;
	return true;
}

/* False if the device does not get it. */
static bool virtscsi_send_tmf(struct virtio_scsi *vscsi,
			      enum virtscsi_tmf_kind kind,
			      const struct scsi_device *sdev, u64 tag)
{
	struct virtscsi_tmf *tmf = &vscsi->tmfs[kind];
	struct scatterlist req, resp, *sgs[2] = { &req, &resp };
	bool sent = false;

	spin_lock_irq(&vscsi->ctrl.lock);
	if (vscsi->state == VIRTSCSI_UP && virtscsi_may_send(vscsi, kind)) {
		tmf->req.type = cpu_to_le32(VIRTIO_SCSI_T_TMF);
		tmf->req.subtype = cpu_to_le32(virtscsi_tmf_subtypes[kind]);
		virtscsi_set_lun(tmf->req.lun, sdev);
		tmf->req.tag = cpu_to_le64(tag);
		/* Not an answer: the device has to write one. */
		tmf->resp.response = 0xff;
		sg_init_one(&req, &tmf->req, sizeof(tmf->req));
		sg_init_one(&resp, &tmf->resp, sizeof(tmf->resp));
		init_completion(&tmf->done);
		sent = !virtqueue_add_sgs(vscsi->ctrl.vq, sgs, 1, 1, tmf);
		tmf->sent = sent;
		if (sent)
			virtqueue_kick(vscsi->ctrl.vq);
	}
	spin_unlock_irq(&vscsi->ctrl.lock);
	return sent;
}

/* Sends a task management function, and waits until it is answered. */
static void virtscsi_tmf(struct virtio_scsi *vscsi, enum virtscsi_tmf_kind kind,
			 const struct scsi_device *sdev, u64 tag)
{
	struct virtscsi_tmf *tmf = &vscsi->tmfs[kind];
	unsigned int lun = sdev->lun & VIRTSCSI_MAX_LUN;
	u8 response;
	bool sent;

	mutex_lock(&vscsi->tmf_lock);
	if (!virtscsi_send_tmf(vscsi, kind, sdev, tag))
		goto out;

	wait_for_completion_timeout(&tmf->done, VIRTSCSI_TMF_TIMEOUT_S * HZ);

	spin_lock_irq(&vscsi->ctrl.lock);
	virtscsi_reap_tmfs(vscsi);
	sent = tmf->sent;
	response = READ_ONCE(tmf->resp.response);
	spin_unlock_irq(&vscsi->ctrl.lock);

	if (sent)
		virtscsi_warn(vscsi->vdev, "target %u LUN %u: no answer to %s in %u s\n",
			      sdev->id, lun, virtscsi_tmf_names[kind],
			      VIRTSCSI_TMF_TIMEOUT_S);
	else if (response != VIRTIO_SCSI_S_FUNCTION_COMPLETE &&
		 response != VIRTIO_SCSI_S_FUNCTION_SUCCEEDED)
		virtscsi_warn(vscsi->vdev, "target %u LUN %u: %s failed (response %u)\n",
			      sdev->id, lun, virtscsi_tmf_names[kind],
			      response);
out:
	mutex_unlock(&vscsi->tmf_lock);
}

/* A step of error recovery that asks the device. */
static int virtscsi_recover(struct scsi_cmnd *sc, enum virtscsi_tmf_kind kind)
{
	struct virtio_scsi *vscsi = shost_priv(sc->device->host);
	enum virtscsi_state state;
	u64 tag = 0;

	/* Once it is gone for good, and not only about to be. */
	mutex_lock(&vscsi->reset_lock);
	state = vscsi->state;
	mutex_unlock(&vscsi->reset_lock);
	if (state == VIRTSCSI_GONE)
		return SUCCESS;

	/* A reset is wanted all the same, an abort has nothing to do then. */
	if (!virtscsi_holds(vscsi, kind, sc, &tag) && kind == VIRTSCSI_ABORT)
		return SUCCESS;
	virtscsi_tmf(vscsi, kind, sc->device, tag);
	return virtscsi_holds(vscsi, kind, sc, &tag) ? FAILED : SUCCESS;
}

/**
 * virtscsi_eh_timed_out - scsi_host_template::eh_timed_out
 * @sc:		the command
 *
 * A device has its own ways with commands that take long, and its own idea of
 * which are more urgent. While commands of the same LUN come back there is
 * nothing to recover from, and the command gets more time; but not without
 * end, since it may have been forgotten. Interrupt context.
 */
enum blk_eh_timer_return virtscsi_eh_timed_out(struct scsi_cmnd *sc)
{
	struct virtio_scsi *vscsi = shost_priv(sc->device->host);
	struct virtscsi_cmd *cmd = scsi_cmd_priv(sc);
	int lun_done = atomic_read(&sc->device->iodone_cnt);

	/* It has come back at the last moment. */
	if (!cmd || !READ_ONCE(cmd->held))
		return BLK_EH_DONE;

	if (lun_done != cmd->lun_done && cmd->more_time < VIRTSCSI_MORE_TIME &&
	    !virtio_device_is_broken(vscsi->vdev)) {
		cmd->lun_done = lun_done;
		cmd->more_time++;
		return BLK_EH_RESET_TIMER;
	}
	cmd->timed_out = true;
	return BLK_EH_DONE;
}

/**
 * virtscsi_eh_abort - scsi_host_template::eh_abort_handler
 * @sc:		the command
 *
 * Process context. SUCCESS if the device does not hold the command any more.
 */
int virtscsi_eh_abort(struct scsi_cmnd *sc)
{
	return virtscsi_recover(sc, VIRTSCSI_ABORT);
}

/**
 * virtscsi_eh_device_reset - scsi_host_template::eh_device_reset_handler
 * @sc:		a command
 *
 * Process context. SUCCESS if the device holds no command for the LUN.
 */
int virtscsi_eh_device_reset(struct scsi_cmnd *sc)
{
	return virtscsi_recover(sc, VIRTSCSI_LUN_RESET);
}

/**
 * virtscsi_eh_target_reset - scsi_host_template::eh_target_reset_handler
 * @sc:		a command
 *
 * Process context. SUCCESS if the device holds no command for the target.
 */
int virtscsi_eh_target_reset(struct scsi_cmnd *sc)
{
	return virtscsi_recover(sc, VIRTSCSI_TARGET_RESET);
}

/**
 * virtscsi_stop - reset the device and take back all that it holds
 * @vscsi:	the host, with reset_lock held
 *
 * Process context. Returns what virtio_reset_device() does: the device holds
 * nothing in any case.
 */
int virtscsi_stop(struct virtio_scsi *vscsi)
{
	int err = virtio_reset_device(vscsi->vdev);

	virtscsi_detach_cmds(vscsi);
	virtscsi_end_tmfs(vscsi);
	virtscsi_detach_events(vscsi);
	return err;
}

/* The device was reset and holds nothing: once more from the start. */
static int virtscsi_restart(struct virtio_scsi *vscsi)
{
	struct virtio_device *vdev = vscsi->vdev;
	int err = virtio_restart_device(vdev);

	if (err)
		return err;
	err = virtscsi_write_sizes(vscsi);
	if (err)
		virtio_reset_device(vdev);
	else
		virtio_device_ready(vdev);
	return err;
}

/**
 * virtscsi_eh_host_reset - scsi_host_template::eh_host_reset_handler
 * @sc:		a command
 *
 * Resets the device and starts it again. Whether or not it comes back, it holds
 * nothing, and that is what the mid-layer has to know. Nothing is allocated:
 * what needs the memory may be waiting for this. Process context. SUCCESS.
 */
int virtscsi_eh_host_reset(struct scsi_cmnd *sc)
{
	struct virtio_scsi *vscsi = shost_priv(sc->device->host);
	struct virtio_device *vdev = vscsi->vdev;
	int err;

	mutex_lock(&vscsi->reset_lock);
	/* It was reset for its sleep, and will be again. */
	if (vscsi->state == VIRTSCSI_ASLEEP)
		goto out;
	if (vscsi->state != VIRTSCSI_UP) {
		/* It was shut down, and here we are still. */
		virtscsi_set_state(vscsi, VIRTSCSI_GONE);
		virtscsi_end_cmds(vscsi, DID_NO_CONNECT);
		goto out;
	}

	virtscsi_warn(vdev, "resetting the device: its commands are sent again\n");
	virtscsi_set_state(vscsi, VIRTSCSI_RESETTING);
	err = virtscsi_stop(vscsi);
	virtscsi_end_cmds(vscsi, DID_RESET);
	if (!err)
		err = virtscsi_restart(vscsi);
	if (err) {
		virtscsi_err(vdev, "the device does not come back (%d): its I/O fails from now on\n",
			     err);
		virtio_break_device(vdev);
	}
	virtscsi_set_state(vscsi, VIRTSCSI_UP);
	if (!err) {
		virtscsi_start_events(vscsi);
		/* Of what went on meanwhile nobody tells. */
		virtscsi_missed_events(vscsi);
	}
out:
	mutex_unlock(&vscsi->reset_lock);
	return SUCCESS;
}
