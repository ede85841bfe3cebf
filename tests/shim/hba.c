// SPDX-License-Identifier: GPL-2.0
/*
 * A SCSI controller in software.
 */
#include "hba.h"

#define DRIVER_BUG_ON(hba, cond)	BUG_ON(!(hba)->fn.lying && (cond))

static struct hba *hba_of(struct fn *fn)
{
	return container_of(fn, struct hba, fn);
}

static struct ring *ring_of(struct hba *hba, unsigned int queue)
{
	return &hba->fn.queue[queue].ring;
}

static void hba_signal(struct hba *hba)
{
	unsigned int i;

	for (i = 0; i < hba->fn.num_queues; i++)
		if (hba->fn.queue[i].enable && ring_wants_irq(ring_of(hba, i)))
			fn_queue_irq(&hba->fn, i);
}

static struct hba_lun *hba_find(struct hba *hba, u8 target, u16 lun)
{
	unsigned int i;

	for (i = 0; i < hba->num_luns; i++)
		if (hba->luns[i].target == target && hba->luns[i].lun == lun)
			return &hba->luns[i];
	return NULL;
}

static bool hba_has_target(struct hba *hba, u8 target)
{
	unsigned int i;

	for (i = 0; i < hba->num_luns; i++)
		if (hba->luns[i].target == target)
			return true;
	return false;
}

/* Section 5.6.6.1: a target, and a flat LUN. */
static void hba_get_lun(struct hba *hba, const u8 *lun, u8 *target, u16 *n)
{
	DRIVER_BUG_ON(hba, lun[0] != 1 || (lun[2] & 0xc0) != 0x40);
	DRIVER_BUG_ON(hba, lun[4] || lun[5] || lun[6] || lun[7]);
	*target = lun[1];
	*n = (lun[2] & 0x3f) << 8 | lun[3];
}

static void hba_put_lun(u8 *lun, u16 n)
{
	lun[0] = n > 255 ? 0x40 | n >> 8 : 0;
	lun[1] = n;
}

/* Commands */

/* Where in a chain the answer is: behind what the device reads. */
static unsigned int resp_at(const struct chain *chain)
{
	unsigned int i;

	for (i = 0; i < chain->n && !chain->seg[i].write; i++)
		;
	return i;
}

/* Bytes from and to the driver's data; how many were moved. */
static u32 data_out(const struct chain *chain, u8 *to, u32 room)
{
	u32 n, done = 0;
	unsigned int i;

	for (i = 1; i < resp_at(chain); i++) {
		n = min(chain->seg[i].len, room - done);
		memcpy(to + done, chain->seg[i].p, n);
		done += n;
	}
	return done;
}

static u32 data_in(const struct chain *chain, const u8 *from, u32 len)
{
	u32 n, done = 0;
	unsigned int i;

	for (i = resp_at(chain) + 1; i < chain->n; i++) {
		n = min(chain->seg[i].len, len - done);
		memcpy(chain->seg[i].p, from + done, n);
		done += n;
	}
	return done;
}

static u32 data_len(const struct chain *chain)
{
	unsigned int i;
	u32 len = 0;

	for (i = 1; i < chain->n; i++)
		if (i != resp_at(chain))
			len += chain->seg[i].len;
	return len;
}

static void check_condition(struct virtio_scsi_cmd_resp *resp, u8 key, u8 asc)
{
	resp->status = 2;
	resp->sense_len = 18;
	memset(resp->sense, 0, 18);
	resp->sense[0] = 0x70;
	resp->sense[2] = key;
	resp->sense[7] = 10;
	resp->sense[12] = asc;
}

static u32 hba_inquiry(struct hba *hba, struct hba_cmd *cmd)
{
	u8 data[36];

	memset(data, 0, sizeof(data));
	if (!hba_find(hba, cmd->target, cmd->lun))
		data[0] = 0x7f;
	data[2] = 5;
	data[4] = 31;
	memcpy(data + 8, "RIG     DISK", 12);
	return data_in(&cmd->chain, data, sizeof(data));
}

static u32 hba_report_luns(struct hba *hba, struct hba_cmd *cmd)
{
	static u8 data[8 * (HBA_MAX_LUNS + 1)];
	unsigned int i, n = 0;

	memset(data, 0, sizeof(data));
	for (i = 0; i < hba->num_luns; i++)
		if (hba->luns[i].target == cmd->target)
			hba_put_lun(&data[8 * ++n], hba->luns[i].lun);
	data[2] = 8 * n >> 8;
	data[3] = 8 * n;
	return data_in(&cmd->chain, data, 8 * (n + 1));
}

static u32 hba_rw(struct hba *hba, struct hba_cmd *cmd, const u8 *cdb,
		  struct virtio_scsi_cmd_resp *resp)
{
	u64 pos = 512ULL * (cdb[2] << 24 | cdb[3] << 16 | cdb[4] << 8 | cdb[5]);
	u32 len = 512 * (cdb[7] << 8 | cdb[8]);

	if (pos + len > sizeof(hba->data)) {
		check_condition(resp, 5, 0x21);
		return 0;
	}
	if (len > data_len(&cmd->chain)) {
		resp->response = VIRTIO_SCSI_S_OVERRUN;
		return 0;
	}
	if (cdb[0] == READ_10)
		return data_in(&cmd->chain, hba->data + pos, len);
	return data_out(&cmd->chain, hba->data + pos, len);
}

/* Does what a command asks for; bytes of data that were moved. */
static u32 hba_do(struct hba *hba, struct hba_cmd *cmd, const u8 *cdb,
		  struct virtio_scsi_cmd_resp *resp)
{
	struct hba_lun *lun = hba_find(hba, cmd->target, cmd->lun);

	if (!hba_has_target(hba, cmd->target)) {
		resp->response = VIRTIO_SCSI_S_BAD_TARGET;
		return 0;
	}
	if (cdb[0] == INQUIRY)
		return hba_inquiry(hba, cmd);
	if (cdb[0] == REPORT_LUNS)
		return hba_report_luns(hba, cmd);

	if (hba->served < ARRAY_SIZE(hba->order))
		hba->order[hba->served] = cmd->tag;
	hba->served++;
	if (!lun) {
		check_condition(resp, 5, 0x25);
		return 0;
	}
	if (lun->reset) {
		lun->reset = false;
		check_condition(resp, 6, 0x29);
		return 0;
	}
	switch (cdb[0]) {
	case TEST_UNIT_READY:
	case SYNCHRONIZE_CACHE:
		return 0;
	case READ_10:
	case WRITE_10:
		return hba_rw(hba, cmd, cdb, resp);
	default:
		check_condition(resp, 5, 0x20);
		return 0;
	}
}

static u32 sense_size(const struct hba *hba)
{
	u32 size = hba->config.sense_size;

	if (!hba->stuck_sizes)
		memcpy(&size, hba->fn.device_config +
		       offsetof(struct virtio_scsi_config, sense_size), 4);
	return min(size, (u32)VIRTIO_SCSI_SENSE_SIZE);
}

/* @response: what the command ends with, if it is not done. */
static void hba_answer(struct hba *hba, struct hba_cmd *cmd, int response)
{
	struct chain *chain = &cmd->chain;
	const struct virtio_scsi_cmd_req *req = (void *)chain->seg[0].p;
	struct virtio_scsi_cmd_resp resp;
	unsigned int at = resp_at(chain);
	u32 moved = 0, len = data_len(chain), size = chain->seg[at].len;
	u8 cdb[VIRTIO_SCSI_CDB_SIZE];

	memset(&resp, 0, sizeof(resp));
	memcpy(cdb, req->cdb, sizeof(cdb));
	if (response < 0)
		moved = hba_do(hba, cmd, cdb, &resp);
	else
		resp.response = response;
	resp.resid = len - moved;
	if (hba->response >= 0)
		resp.response = hba->response;
	if (hba->status >= 0)
		resp.status = hba->status;
	if (hba->sense_len >= 0)
		resp.sense_len = hba->sense_len;
	if (hba->resid >= 0)
		resp.resid = hba->resid;
	if (hba->response != HBA_NO_RESPONSE)
		memcpy(chain->seg[at].p, &resp, min(size, (u32)sizeof(resp)));
	/* QEMU counts what it has read, too. */
	ring_push(ring_of(hba, cmd->queue), chain->head,
		  hba->used_len < 0 ? size + len : (u32)hba->used_len);
}

static void hba_drop(struct hba *hba, unsigned int i)
{
	hba->num_held--;
	memmove(&hba->held[i], &hba->held[i + 1],
		(hba->num_held - i) * sizeof(hba->held[0]));
}

static bool hba_holds(const struct hba *hba, const struct hba_cmd *cmd)
{
	const struct virtio_scsi_cmd_req *req = (void *)cmd->chain.seg[0].p;

	if (hba->hold)
		return true;
	return hba->hold_lun >= 0 && !cmd->target && cmd->lun == hba->hold_lun &&
	       (req->cdb[0] == READ_10 || req->cdb[0] == WRITE_10);
}

static void hba_work(struct hba *hba)
{
	unsigned int i = 0, at;

	while (i < hba->num_held) {
		at = hba->reverse ? hba->num_held - 1 - i : i;
		if (hba_holds(hba, &hba->held[at])) {
			i++;
			continue;
		}
		hba_answer(hba, &hba->held[at], -1);
		hba_drop(hba, at);
	}
}

static void hba_take(struct hba *hba, unsigned int queue)
{
	struct ring *ring = ring_of(hba, queue);
	const struct virtio_scsi_cmd_req *req;
	struct hba_cmd *cmd;
	unsigned int i, at;

	while (hba->num_held < HBA_MAX_HELD) {
		cmd = &hba->held[hba->num_held];
		if (!ring_pop(ring, &cmd->chain))
			break;
		ring_want_kick(ring, true);
		at = resp_at(&cmd->chain);
		BUG_ON(!at || at == cmd->chain.n);
		BUG_ON(cmd->chain.seg[0].len != sizeof(*req));
		DRIVER_BUG_ON(hba, cmd->chain.seg[at].len !=
			      12 + sense_size(hba));
		req = (void *)cmd->chain.seg[0].p;
		cmd->queue = queue;
		cmd->tag = req->tag;
		hba_get_lun(hba, req->lun, &cmd->target, &cmd->lun);
		for (i = 0; i < hba->num_held; i++)
			DRIVER_BUG_ON(hba, hba->held[i].tag == cmd->tag);
		hba->num_held++;
	}
}

void hba_release(struct hba *hba)
{
	hba_work(hba);
	hba_signal(hba);
}

/* Task management, section 5.6.6.2 */

static bool tmf_concerns(u32 subtype, const struct hba_cmd *cmd, u8 target,
			 u16 lun, u64 tag)
{
	switch (subtype) {
	case VIRTIO_SCSI_T_TMF_ABORT_TASK:
		return cmd->tag == tag && cmd->lun == lun &&
		       cmd->target == target;
	case VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET:
		return cmd->lun == lun && cmd->target == target;
	default:
		return cmd->target == target;
	}
}

static void tmf_do(struct hba *hba, u32 subtype, u8 target, u16 lun, u64 tag)
{
	bool abort = subtype == VIRTIO_SCSI_T_TMF_ABORT_TASK;
	unsigned int i = 0;

	while (i < hba->num_held) {
		if (!tmf_concerns(subtype, &hba->held[i], target, lun, tag)) {
			i++;
			continue;
		}
		hba_answer(hba, &hba->held[i], abort ? VIRTIO_SCSI_S_ABORTED :
						       VIRTIO_SCSI_S_RESET);
		hba_drop(hba, i);
	}
	for (i = 0; i < hba->num_luns && !abort; i++)
		if (hba->luns[i].target == target &&
		    (hba->luns[i].lun == lun ||
		     subtype == VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET))
			hba->luns[i].reset = true;
}

static void tmf_answer(struct hba *hba, struct chain *chain)
{
	u8 response = VIRTIO_SCSI_S_FUNCTION_COMPLETE;

	if (hba->tmf_response >= 0)
		response = hba->tmf_response;
	if (hba->tmf_response != HBA_NO_RESPONSE)
		*chain->seg[1].p = response;
	ring_push(ring_of(hba, VIRTIO_SCSI_VQ_CONTROL), chain->head, 1);
}

void hba_release_tmfs(struct hba *hba)
{
	unsigned int i, n = hba->num_held_tmfs;

	hba->num_held_tmfs = 0;
	for (i = 0; i < n; i++)
		tmf_answer(hba, &hba->held_tmfs[i]);
	hba_signal(hba);
}

static void hba_control(struct hba *hba)
{
	struct ring *ring = ring_of(hba, VIRTIO_SCSI_VQ_CONTROL);
	const struct virtio_scsi_ctrl_tmf_req *req;
	struct chain chain;
	u8 target;
	u16 lun;

	while (ring_pop(ring, &chain)) {
		ring_want_kick(ring, true);
		BUG_ON(chain.n != 2 || chain.seg[0].len != sizeof(*req));
		BUG_ON(chain.seg[0].write || !chain.seg[1].write);
		BUG_ON(chain.seg[1].len != 1);
		req = (void *)chain.seg[0].p;
		BUG_ON(req->type != VIRTIO_SCSI_T_TMF || req->subtype > 7);
		hba_get_lun(hba, req->lun, &target, &lun);
		hba->tmfs[req->subtype]++;
		if (hba->mute & 1 << req->subtype) {
			BUG_ON(hba->num_held_tmfs == ARRAY_SIZE(hba->held_tmfs));
			hba->held_tmfs[hba->num_held_tmfs++] = chain;
			continue;
		}
		if (!hba->late && !(hba->stubborn & 1 << req->subtype))
			tmf_do(hba, req->subtype, target, lun, req->tag);
		tmf_answer(hba, &chain);
		if (hba->late) {
			tmf_do(hba, req->subtype, target, lun, req->tag);
			/* As if they had been told of before. */
			ring_wants_irq(ring_of(hba, VIRTIO_SCSI_VQ_REQUEST));
		}
	}
}

/* Events, section 5.6.6.3 */

bool hba_raw_event(struct hba *hba, const void *data, unsigned int len,
		   u32 used_len)
{
	struct ring *ring = ring_of(hba, VIRTIO_SCSI_VQ_EVENT);
	struct chain chain;

	if (!hba->fn.queue[VIRTIO_SCSI_VQ_EVENT].enable ||
	    !(hba->fn.status & VIRTIO_CONFIG_S_DRIVER_OK) ||
	    !ring_pop(ring, &chain)) {
		hba->missed++;
		return false;
	}
	ring_want_kick(ring, true);
	BUG_ON(chain.n != 1 || !chain.seg[0].write);
	memcpy(chain.seg[0].p, data, min(len, chain.seg[0].len));
	ring_push(ring, chain.head, used_len);
	hba->missed = 0;
	hba_signal(hba);
	return true;
}

bool hba_event(struct hba *hba, u32 event, u8 target, u16 lun, u32 reason)
{
	struct virtio_scsi_event e;

	memset(&e, 0, sizeof(e));
	e.event = event | (hba->missed ? VIRTIO_SCSI_T_EVENTS_MISSED : 0);
	e.lun[0] = 1;
	e.lun[1] = target;
	hba_put_lun(&e.lun[2], lun);
	e.reason = reason;
	return hba_raw_event(hba, &e, sizeof(e), sizeof(e));
}

/* The controller */

static void hba_serve(struct fn *fn, unsigned int queue)
{
	struct hba *hba = hba_of(fn);

	if (hba->lost & 1 << queue)
		;
	else if (queue == VIRTIO_SCSI_VQ_CONTROL)
		hba_control(hba);
	else if (queue >= VIRTIO_SCSI_VQ_REQUEST)
		hba_take(hba, queue);
	hba_work(hba);
	hba_signal(hba);
}

static void hba_on_reset(struct fn *fn)
{
	struct hba *hba = hba_of(fn);
	unsigned int i;

	hba->num_held = 0;
	hba->num_held_tmfs = 0;
	hba->lost = 0;
	if (fn->old_status & VIRTIO_CONFIG_S_DRIVER_OK)
		hba->resets++;
	for (i = 0; i < hba->num_luns; i++)
		hba->luns[i].reset = true;
	if (!hba->stuck_sizes)
		hba_set_config(hba);
}

void hba_set_config(struct hba *hba)
{
	memcpy(hba->fn.device_config, &hba->config, sizeof(hba->config));
}

static u32 hba_stuck(struct fn *fn, int bar, u64 offset, unsigned int width,
		     u32 v)
{
	struct hba *hba = hba_of(fn);

	if (hba->stuck_sizes && fn_is_config(fn, bar, &offset))
		memcpy(&v, (u8 *)&hba->config + offset, width);
	return v;
}

void hba_add_lun(struct hba *hba, u8 target, u16 lun)
{
	BUG_ON(hba->num_luns == HBA_MAX_LUNS);
	hba->luns[hba->num_luns].target = target;
	hba->luns[hba->num_luns].lun = lun;
	hba->luns[hba->num_luns++].reset = false;
}

void hba_remove_lun(struct hba *hba, u8 target, u16 lun)
{
	struct hba_lun *found = hba_find(hba, target, lun);

	BUG_ON(!found);
	*found = hba->luns[--hba->num_luns];
}

void hba_init(struct hba *hba, unsigned int slot)
{
	struct fn *fn = &hba->fn;

	memset(hba, 0, offsetof(struct hba, held));
	fn_init(fn, VIRTIO_PCI_MODERN_ID_MIN + VIRTIO_ID_SCSI, slot);
	fn->num_queues = VIRTIO_SCSI_VQ_REQUEST + 1;
	fn->serve = hba_serve;
	fn->on_reset = hba_on_reset;
	fn->hook = hba_stuck;
	fn->features |= 1ULL << VIRTIO_SCSI_F_INOUT |
			1ULL << VIRTIO_SCSI_F_HOTPLUG |
			1ULL << VIRTIO_SCSI_F_CHANGE |
			1ULL << VIRTIO_SCSI_F_T10_PI;
	hba->config.num_queues = 1;
	hba->config.seg_max = 254;
	hba->config.max_sectors = 0xffff;
	hba->config.cmd_per_lun = 128;
	hba->config.event_info_size = sizeof(struct virtio_scsi_event);
	hba->config.sense_size = VIRTIO_SCSI_SENSE_SIZE;
	hba->config.cdb_size = VIRTIO_SCSI_CDB_SIZE;
	hba->config.max_target = 7;
	hba->config.max_lun = 16383;
	hba->hold_lun = -1;
	hba->response = -1;
	hba->status = -1;
	hba->sense_len = -1;
	hba->resid = -1;
	hba->used_len = -1;
	hba->tmf_response = -1;
	hba_set_config(hba);
	hba_add_lun(hba, 0, 0);
}

struct hba *hba_new(unsigned int slot)
{
	struct hba *hba = calloc(1, sizeof(*hba));

	hba_init(hba, slot);
	return hba;
}

void hba_free(struct hba *hba)
{
	free(hba);
}
