// SPDX-License-Identifier: GPL-2.0
/*
 * Commands, virtio 1.2 section 5.6.6.1. A command belongs to the device from
 * when it is in a request queue until it comes back from there; nothing else
 * ends it, except that the device is reset.
 */
#include <linux/module.h>
#include "virtio_scsi.h"

/**
 * virtscsi_set_lun - the device's way of naming a LUN
 * @lun:	8 bytes
 * @sdev:	the LUN
 *
 * A target, and a single level LUN structure in the flat format, which has
 * room for all that there may be. Section 5.6.6.1.
 */
void virtscsi_set_lun(u8 *lun, const struct scsi_device *sdev)
{
	memset(lun, 0, 8);
	lun[0] = 1;
	lun[1] = sdev->id;
	lun[2] = ((sdev->lun >> 8) & 0x3f) | (VIRTSCSI_LUN_FLAT >> 8);
	lun[3] = sdev->lun & 0xff;
}

/* Adds the command to its queue, whose lock is held. */
static int virtscsi_add_cmd(struct virtio_scsi *vscsi, struct virtscsi_vq *svq,
			    struct virtscsi_cmd *cmd)
{
	struct scatterlist req, resp, *sgs[3];
	struct scsi_cmnd *sc = cmd->sc;
	unsigned int out = 0, in = 0;

	sg_init_one(&req, &cmd->req, sizeof(cmd->req));
	sgs[out++] = &req;
	if (scsi_sg_count(sc) && sc->sc_data_direction == DMA_TO_DEVICE)
		sgs[out++] = scsi_sglist(sc);
	sg_init_one(&resp, &cmd->resp, offsetof(struct virtio_scsi_cmd_resp,
						sense) + vscsi->sense_size);
	sgs[out + in++] = &resp;
	if (scsi_sg_count(sc) && sc->sc_data_direction == DMA_FROM_DEVICE)
		sgs[out + in++] = scsi_sglist(sc);

	return virtqueue_add_sgs(svq->vq, sgs, out, in, cmd);
}

static void virtscsi_fill_req(struct virtscsi_cmd *cmd)
{
	struct scsi_cmnd *sc = cmd->sc;

	memset(&cmd->req, 0, sizeof(cmd->req));
	virtscsi_set_lun(cmd->req.lun, sc->device);
	cmd->req.task_attr = VIRTIO_SCSI_TASK_SIMPLE;
	memcpy(cmd->req.cdb, sc->cmnd, min_t(unsigned int, sc->cmd_len,
					     sizeof(cmd->req.cdb)));
	memset(&cmd->resp, 0, sizeof(cmd->resp));
	/* Not an answer: the device has to write one. */
	cmd->resp.response = 0xff;
}

/* With the lock of the queue held, as what follows. */
static void virtscsi_hold(struct virtscsi_vq *svq, struct virtscsi_cmd *cmd)
{
	cmd->held = true;
	list_add_tail(&cmd->list, &svq->held);
}

static void virtscsi_unhold(struct virtscsi_cmd *cmd)
{
	list_del(&cmd->list);
	cmd->held = false;
}

/* A command that the device has not seen. */
static int virtscsi_fail_cmd(struct scsi_cmnd *sc, int host_byte)
{
	scsi_set_resid(sc, scsi_bufflen(sc));
	sc->result = host_byte << 16;
	scsi_done(sc);
	return 0;
}

/**
 * virtscsi_queuecommand - scsi_host_template::queuecommand
 * @shost:	the host
 * @sc:		the command
 *
 * Any context. Returns 0 if the command is the driver's now, or has failed;
 * SCSI_MLQUEUE_HOST_BUSY if there is no room for it.
 */
int virtscsi_queuecommand(struct Scsi_Host *shost, struct scsi_cmnd *sc)
{
	struct virtio_scsi *vscsi = shost_priv(shost);
	struct virtscsi_vq *svq = &vscsi->reqs[compat_scsi_hw_queue(sc)];
	struct virtscsi_cmd *cmd = scsi_cmd_priv(sc);
	enum virtscsi_state state;
	unsigned long flags;
	bool notify = false;
	int err = 0;

	cmd->sc = sc;
	cmd->timed_out = false;
	cmd->more_time = 0;
	cmd->lun_done = atomic_read(&sc->device->iodone_cnt);
	virtscsi_fill_req(cmd);

	spin_lock_irqsave(&svq->lock, flags);
	state = vscsi->state;
	if (likely(state == VIRTSCSI_UP)) {
		cmd->tag = svq->next_tag;
		cmd->req.tag = cpu_to_le64(cmd->tag);
		err = virtscsi_add_cmd(vscsi, svq, cmd);
		if (!err) {
			svq->next_tag += vscsi->num_reqs;
			virtscsi_hold(svq, cmd);
		}
		if (err || compat_scsi_is_last(sc))
			notify = virtqueue_kick_prepare(svq->vq);
	} else if (state == VIRTSCSI_SHUT_DOWN) {
		virtscsi_hold(svq, cmd);
	}
	/* The device may be done with it, and so may we, from here on. */
	spin_unlock_irqrestore(&svq->lock, flags);

	if (notify)
		virtqueue_notify(svq->vq);

	if (unlikely(state == VIRTSCSI_RESETTING || state == VIRTSCSI_ASLEEP))
		return SCSI_MLQUEUE_HOST_BUSY;
	if (unlikely(state == VIRTSCSI_GONE))
		return virtscsi_fail_cmd(sc, DID_NO_CONNECT);

	switch (err) {
	case 0:
		return 0;
	case -ENOSPC:
	case -ENOMEM:
		return SCSI_MLQUEUE_HOST_BUSY;
	case -EIO:
		return virtscsi_fail_cmd(sc, DID_NO_CONNECT);
	default:
		return virtscsi_fail_cmd(sc, DID_ERROR);
	}
}

/**
 * virtscsi_commit_rqs - scsi_host_template::commit_rqs
 * @shost:	the host
 * @hwq:	the request queue
 *
 * The last of a series of commands was queued. Any context.
 */
void virtscsi_commit_rqs(struct Scsi_Host *shost, u16 hwq)
{
	struct virtio_scsi *vscsi = shost_priv(shost);
	struct virtscsi_vq *svq = &vscsi->reqs[hwq];
	unsigned long flags;
	bool notify = false;

	spin_lock_irqsave(&svq->lock, flags);
	if (vscsi->state == VIRTSCSI_UP)
		notify = virtqueue_kick_prepare(svq->vq);
	spin_unlock_irqrestore(&svq->lock, flags);

	if (notify)
		virtqueue_notify(svq->vq);
}

/* Those that SAM has. To 2.6.32, an odd one would be its neighbour. */
static bool virtscsi_status_ok(u8 status)
{
	switch (status) {
	case SAM_STAT_GOOD:
	case SAM_STAT_CHECK_CONDITION:
	case SAM_STAT_CONDITION_MET:
	case SAM_STAT_BUSY:
	case SAM_STAT_INTERMEDIATE:
	case SAM_STAT_INTERMEDIATE_CONDITION_MET:
	case SAM_STAT_RESERVATION_CONFLICT:
	case SAM_STAT_COMMAND_TERMINATED:
	case SAM_STAT_TASK_SET_FULL:
	case SAM_STAT_ACA_ACTIVE:
	case SAM_STAT_TASK_ABORTED:
		return true;
	default:
		return false;
	}
}

static void virtscsi_complain(struct virtio_scsi *vscsi,
			      const struct scsi_cmnd *sc, const char *field,
			      u8 value)
{
	if (printk_ratelimit())
		virtscsi_warn(vscsi->vdev, "target %u LUN %llu: %s 0x%02x makes no sense: the command fails\n",
			      sc->device->id,
			      (unsigned long long)sc->device->lun, field,
			      value);
}

/* What the device says has become of the command, in the mid-layer's words. */
static int virtscsi_result(struct virtio_scsi *vscsi,
			   const struct virtscsi_cmd *cmd)
{
	/* Once: it may write still. */
	u8 response = READ_ONCE(cmd->resp.response);
	u8 status = READ_ONCE(cmd->resp.status);

	switch (response) {
	case VIRTIO_SCSI_S_OK:
		if (virtscsi_status_ok(status))
			return status;
		virtscsi_complain(vscsi, cmd->sc, "status", status);
		return DID_ERROR << 16;
	case VIRTIO_SCSI_S_ABORTED:
		return DID_ABORT << 16;
	case VIRTIO_SCSI_S_BAD_TARGET:
		return DID_BAD_TARGET << 16;
	case VIRTIO_SCSI_S_TARGET_FAILURE:
		/* It is there, but another try would not help. */
		return DID_NO_CONNECT << 16;
	case VIRTIO_SCSI_S_RESET:
		/* Not DID_RESET: after that, 6.0 would try without end. */
		return DID_SOFT_ERROR << 16;
	case VIRTIO_SCSI_S_BUSY:
		return DID_BUS_BUSY << 16;
	case VIRTIO_SCSI_S_TRANSPORT_FAILURE:
		return DID_TRANSPORT_DISRUPTED << 16;
	case VIRTIO_SCSI_S_NEXUS_FAILURE:
		/* Another path might. */
		return SAM_STAT_RESERVATION_CONFLICT;
	case VIRTIO_SCSI_S_OVERRUN:
	case VIRTIO_SCSI_S_FAILURE:
		return DID_ERROR << 16;
	default:
		virtscsi_complain(vscsi, cmd->sc, "response", response);
		return DID_ERROR << 16;
	}
}

static void virtscsi_copy_sense(struct virtio_scsi *vscsi,
				struct virtscsi_cmd *cmd)
{
	u32 len = le32_to_cpu(READ_ONCE(cmd->resp.sense_len));

	len = min_t(u32, len, SCSI_SENSE_BUFFERSIZE);
	len = min(len, vscsi->sense_size);
	memcpy(cmd->sc->sense_buffer, cmd->resp.sense, len);
}

/*
 * The device is done with the command. With the lock of its queue held: who
 * has held that lock since knows that nobody looks at the command any more.
 */
static void virtscsi_finish(struct virtio_scsi *vscsi, struct virtscsi_cmd *cmd)
{
	struct scsi_cmnd *sc = cmd->sc;
	u32 bufflen = scsi_bufflen(sc);
	u32 resid = le32_to_cpu(READ_ONCE(cmd->resp.resid));

	resid = min(resid, bufflen);
	virtscsi_unhold(cmd);

	sc->result = virtscsi_result(vscsi, cmd);
	/* The error handler tries again, or gives up with this. */
	if (sc->result && cmd->timed_out)
		sc->result = DID_TIME_OUT << 16;
	if (sc->result == SAM_STAT_CHECK_CONDITION)
		virtscsi_copy_sense(vscsi, cmd);
	/* Half a sector is no success, and would be asked for without end. */
	if (sc->result == SAM_STAT_GOOD && bufflen - resid < sc->underflow)
		sc->result = DID_ERROR << 16;
	scsi_set_resid(sc, resid);
	scsi_done(sc);
}

/*
 * Takes what the device has used from a queue whose lock is held. Nobody looks
 * at the length: QEMU's has the data in it that it has read.
 */
static void virtscsi_reap(struct virtio_scsi *vscsi, struct virtscsi_vq *svq)
{
	struct virtscsi_cmd *cmd;
	unsigned int len;

	while ((cmd = virtqueue_get_buf_check(svq->vq, &len, NULL)))
		virtscsi_finish(vscsi, cmd);
}

/**
 * virtscsi_req_done - virtqueue_info::callback of a request queue
 * @vq:		the queue
 *
 * No more interrupts until it is dry. Interrupt context.
 */
void virtscsi_req_done(struct virtqueue *vq)
{
	struct virtio_scsi *vscsi = vq->vdev->priv;
	struct virtscsi_vq *svq =
		&vscsi->reqs[vq->index - VIRTIO_SCSI_VQ_REQUEST];
	unsigned long flags;

	spin_lock_irqsave(&svq->lock, flags);
	do {
		virtqueue_disable_cb(vq);
		virtscsi_reap(vscsi, svq);
	} while (!virtqueue_enable_cb(vq));
	spin_unlock_irqrestore(&svq->lock, flags);
}

/**
 * virtscsi_reap_cmds - take what the device is done with
 * @vscsi:	the host
 *
 * Of all request queues, without waiting for an interrupt. A command that is
 * not held after this has been ended, in full. Process context.
 */
void virtscsi_reap_cmds(struct virtio_scsi *vscsi)
{
	unsigned int i;

	for (i = 0; i < vscsi->num_reqs; i++) {
		struct virtscsi_vq *svq = &vscsi->reqs[i];

		spin_lock_irq(&svq->lock);
		virtscsi_reap(vscsi, svq);
		spin_unlock_irq(&svq->lock);
	}
}

/**
 * virtscsi_detach_cmds - take all commands from a device that was reset
 * @vscsi:	the host
 *
 * What it has answered ends as it says. The others are held still, but not by
 * the device. Process context.
 */
void virtscsi_detach_cmds(struct virtio_scsi *vscsi)
{
	unsigned int i;

	for (i = 0; i < vscsi->num_reqs; i++) {
		struct virtscsi_vq *svq = &vscsi->reqs[i];

		spin_lock_irq(&svq->lock);
		virtscsi_reap(vscsi, svq);
		while (virtqueue_detach_unused_buf(svq->vq))
			;
		spin_unlock_irq(&svq->lock);
	}
}

/**
 * virtscsi_end_cmds - end all commands that are held, after that
 * @vscsi:	the host
 * @host_byte:	DID_…
 *
 * Process context.
 */
void virtscsi_end_cmds(struct virtio_scsi *vscsi, int host_byte)
{
	struct virtscsi_cmd *cmd, *next;
	unsigned int i;

	for (i = 0; i < vscsi->num_reqs; i++) {
		struct virtscsi_vq *svq = &vscsi->reqs[i];

		spin_lock_irq(&svq->lock);
		list_for_each_entry_safe(cmd, next, &svq->held, list) {
			virtscsi_unhold(cmd);
			virtscsi_fail_cmd(cmd->sc, cmd->timed_out ?
					  DID_TIME_OUT : host_byte);
		}
		spin_unlock_irq(&svq->lock);
	}
}
