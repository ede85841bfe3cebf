// SPDX-License-Identifier: GPL-2.0
/*
 * The SCSI driver, with a controller that says anything in its config space,
 * answers with any response, length and id in any order or not at all, reports
 * events that make no sense, breaks, asks for a reset or is pulled out, while
 * commands are sent, time out and are aborted. Every command ends, once, and
 * not before the device has let go of it.
 */
#include "feed.h"
#include "hba.h"

#define MAX_CMD		256
#define PATIENCE	300

static struct hba the_hba, *hba = &the_hba;
static struct shim_cmd *cmd[MAX_CMD];
static unsigned int num_cmd;
static bool lie_config, lie_status;

/* Event buffers that were taken from their queue. */
static struct chain events[256];
static unsigned int num_events;
static void (*hba_on_reset)(struct fn *fn);

static void on_reset(struct fn *fn)
{
	num_events = 0;
	hba_on_reset(fn);
}

static u32 lie(struct fn *fn, int bar, u64 offset, unsigned int width, u32 v)
{
	if (bar != FN_BAR || !feed_left)
		return v;
	if (lie_config && offset >= FN_DEVICE && offset < FN_NOTIFY) {
		if (feed_u8() & 1)
			v = feed_number();
		if (feed_u8() & 1)
			fn->generation++;
	}
	if (lie_status && offset == FN_COMMON + 20 && feed_u8() < 16)
		v |= feed_number();
	return v;
}

/* The device behaves, from now on. */
static void reform(void)
{
	hba->hold = false;
	hba->hold_lun = -1;
	hba->mute = 0;
	hba->stubborn = 0;
	hba->response = -1;
	hba->status = -1;
	hba->tmf_response = -1;
	if (hba->fn.reset_polls < 0) {
		hba->fn.reset_polls = 0;
		hba->fn.polls_left = 0;
	}
	if (!hba->fn.gone && hba->fn.status & VIRTIO_CONFIG_S_DRIVER_OK) {
		hba_release(hba);
		hba_release_tmfs(hba);
	}
	/* It does not know what is in its queues. */
	if (!hba->fn.gone && hba->lost) {
		hba->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		fn_config_irq(&hba->fn);
	}
}

/*
 * Somebody waits. The device has its whims, but is not dead; and if it was
 * pulled out, the PCI bus finds out.
 */
static unsigned int patience;

static void idle(void)
{
	unsigned int i;

	fn_serve_all();
	if (!patience || --patience)
		return;
	reform();
	if (hba->fn.gone && fn_vdev(&hba->fn))
		virtio_break_device(fn_vdev(&hba->fn));
	for (i = 0; i < hba->fn.num_queues && !hba->fn.gone; i++)
		fn_queue_irq(&hba->fn, i);
}

static void configure(void)
{
	struct fn *fn = &hba->fn;
	u8 what = feed_u8();
	unsigned int i, num;

	hba->config.max_target = feed_u8() % 4;
	hba->config.num_queues = 1 + feed_u8() % 4;
	hba_set_config(hba);
	fn->num_queues = VIRTIO_SCSI_VQ_REQUEST + hba->config.num_queues;
	if (what & 1)
		for (i = feed_u8() % 16; i; i--)
			fn->device_config[feed_u8() % 36] = feed_number();
	if (what & 2)
		fn->features ^= feed_u32() & 0xf;
	if (what & 4)
		fn->features ^= (u64)feed_u8() << 28;
	if (what & 8)
		fn->features |= 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	fn->features |= 1ULL << VIRTIO_F_VERSION_1;
	shim_cpus = 1 + feed_u8() % 4;
	for (i = 0; i < FN_MAX_QUEUES; i++) {
		num = 1 << (feed_u8() % 9);
		fn->queue[i].max = num;
		fn->queue[i].size = num;
	}
	for (i = feed_u8() % 8; i; i--)
		hba_add_lun(hba, feed_u8() % 4, feed_u16() % 600);
	fn->pci.msix_table = feed_u8() % 8;
	lie_config = what & 16;
	lie_status = what & 32;
	hba->hold = what & 64 && what & 128;
	shim_async_scan = what & 128;
	fn->hook = lie;
	hba_on_reset = fn->on_reset;
	fn->on_reset = on_reset;
}

/* Any of those that there are. */
static struct scsi_device *any_sdev(void)
{
	struct Scsi_Host *shost = shim_host(0);
	unsigned int n = shim_num_sdevs();
	struct scsi_device *sdev;

	if (!n)
		return NULL;
	n = feed_u8() % n;
	list_for_each_entry(sdev, &shost->devices, siblings)
		if (sdev->sdev_state == SDEV_RUNNING && !n--)
			return sdev;
	return NULL;
}

static void submit(void)
{
	static const u8 opcodes[] = {
		TEST_UNIT_READY, INQUIRY, SYNCHRONIZE_CACHE, 0x1b, 0xff,
	};
	struct scsi_device *sdev = any_sdev();
	unsigned int segs, seg = 512 << feed_u8() % 4;
	u8 how = feed_u8();

	if (!sdev || num_cmd == MAX_CMD)
		return;
	shim_cpu = feed_u8() % shim_cpus;
	if (how & 1) {
		segs = 1 + feed_u8() % 16;
		segs = min_t(unsigned int, segs, sdev->host->sg_tablesize);
		segs = min(segs, sdev->host->max_sectors * 512 / seg);
		cmd[num_cmd] = shim_rw_new(sdev, how & 2, feed_u16() % 2100,
					   max(segs, 1u) * seg, seg);
	} else {
		cmd[num_cmd] = shim_cmd_new(sdev, opcodes[feed_u8() % 5],
					    how & 2 ? DMA_FROM_DEVICE :
					    DMA_TO_DEVICE, how & 4 ? seg : 0,
					    seg);
		if (how & 8)
			cmd[num_cmd]->cdb_len = 32;
	}
	sdev->timeout_ms = how & 16 ? 20 : 30000;
	if (how & 32)
		shim_fail_nth(1 + feed_u8() % 8, FAIL_MAP);
	shim_cmd_submit(cmd[num_cmd++]);
	shim_fail_nth(0, 0);
}

static void drop(unsigned int i)
{
	hba->held[i] = hba->held[--hba->num_held];
}

/*
 * Returns @id, whatever that is. If it is one that the device holds, it is none
 * of its business any more: the driver may have freed the memory.
 */
static void push_any(unsigned int q, u32 id)
{
	bool hold = hba->hold;
	u32 mute = hba->mute;
	struct ring *ring = &hba->fn.queue[q].ring;
	unsigned int i, before;

	if (q == VIRTIO_SCSI_VQ_EVENT) {
		while (!(hba->lost & 1 << q) &&
		       num_events < ARRAY_SIZE(events) &&
		       ring_pop(ring, &events[num_events]))
			num_events++;
		before = num_events;
		for (i = 0; i < num_events; i++)
			if (events[i].head == id)
				events[i] = events[--num_events];
		if (before == num_events)
			hba->lost |= 1 << q;
	} else {
		hba->hold = true;
		hba->mute = ~0;
		hba->fn.serve(&hba->fn, q);
		hba->hold = hold;
		hba->mute = mute;
		before = hba->num_held + hba->num_held_tmfs;
		for (i = 0; i < hba->num_held; i++)
			if (hba->held[i].queue == q &&
			    hba->held[i].chain.head == id)
				drop(i);
		for (i = 0; i < hba->num_held_tmfs && !q; i++)
			if (hba->held_tmfs[i].head == id)
				hba->held_tmfs[i] =
					hba->held_tmfs[--hba->num_held_tmfs];
		/* What is added next may be taken to be what was returned. */
		if (before == hba->num_held + hba->num_held_tmfs)
			hba->lost |= 1 << q;
	}
	ring_push(ring, id, feed_number());
}

/* An event with anything in it. */
static void event(void)
{
	struct ring *ring = &hba->fn.queue[VIRTIO_SCSI_VQ_EVENT].ring;
	struct virtio_scsi_event e;
	unsigned int i;
	u8 how = feed_u8();

	if (!hba->fn.queue[VIRTIO_SCSI_VQ_EVENT].enable ||
	    !(hba->fn.status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (!num_events && (hba->lost & 1 << VIRTIO_SCSI_VQ_EVENT ||
			    !ring_pop(ring, &events[0])))
		return;
	num_events = max(num_events, 1u);
	memset(&e, 0, sizeof(e));
	e.event = how & 1 ? feed_number() : 1 + feed_u8() % 3;
	e.reason = how & 2 ? feed_number() : how & 64 ? 0x092a :
		   feed_u8() % 3;
	e.lun[0] = 1;
	e.lun[1] = feed_u8() % 4;
	e.lun[2] = 0x40 | feed_u8() % 3;
	e.lun[3] = feed_u8();
	for (i = 0; i < 8 && how & 4; i++)
		e.lun[i] = feed_u8();
	/* What came and went, besides, unless it is a lie. */
	if (how & 8 && hba->num_luns < 40)
		hba_add_lun(hba, feed_u8() % 4, feed_u16() % 600);
	if (how & 16 && hba->num_luns)
		hba->num_luns--;
	memcpy(events[--num_events].seg[0].p, &e,
	       min(events[num_events].seg[0].len, (u32)sizeof(e)));
	ring_push(ring, events[num_events].head,
		  how & 32 ? feed_number() : sizeof(e));
	fn_queue_irq(&hba->fn, VIRTIO_SCSI_VQ_EVENT);
}

static void hba_acts(void)
{
	struct fn *fn = &hba->fn;
	unsigned int q = feed_u8() % fn->num_queues;
	u8 op = feed_u8();

	if (fn->gone)
		return;
	switch (op % 17) {
	case 0 ... 3:
		fn_serve_all();
		break;
	case 4:
		if (fn->status & VIRTIO_CONFIG_S_DRIVER_OK)
			hba_release(hba);
		break;
	case 5:
		if (fn->status & VIRTIO_CONFIG_S_DRIVER_OK)
			hba_release_tmfs(hba);
		break;
	case 6:
		hba->hold = op & 0x80;
		hba->reverse = op & 0x40;
		hba->hold_lun = op & 0x20 ? 0 : -1;
		break;
	case 7:
		hba->response = op & 0x80 ? feed_u8() : -1;
		break;
	case 8:
		hba->status = op & 0x80 ? feed_u8() : -1;
		break;
	case 9:
		hba->sense_len = op & 0x80 ? feed_number() : -1;
		hba->resid = op & 0x40 ? feed_number() : -1;
		break;
	case 10:
		hba->used_len = op & 0x80 ? feed_number() : -1;
		break;
	case 11:
		hba->mute = op & 0x80 ? feed_u8() : 0;
		hba->stubborn = op & 0x40 ? feed_u8() : 0;
		hba->tmf_response = op & 0x20 ? feed_u8() : -1;
		hba->late = op & 0x10;
		break;
	case 12:	/* something that nobody asked for */
		if (fn->queue[q].enable)
			push_any(q, feed_number());
		break;
	case 13:
		fn_queue_irq(fn, q);
		break;
	case 14:
		fn->device_config[feed_u8() % 36] = feed_number();
		fn_config_irq(fn);
		break;
	case 15:
		event();
		break;
	case 16:
		if (op & 0x80)
			fn->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		else if (op & 0x40)
			fn->gone = true;
		else if (op & 0x20)
			fn->reset_polls = op & 0x10 ? -1 : 3;
		else
			fn->queue[q].max = fn->queue[q].max / 2 + 1;
		break;
	}
}

static void host_acts(void)
{
	struct virtio_device *vdev = fn_vdev(&hba->fn);
	struct scsi_device *sdev;
	u8 what = feed_u8();

	switch (what % 11) {
	case 0:
		sdev = any_sdev();
		if (sdev && !scsi_host_in_recovery(sdev->host))
			shim_reset(sdev, 1 + (what >> 4) % 3);
		break;
	case 1:
		if (shim_host(0))
			shim_scan(feed_u8() % 4, feed_u16());
		break;
	case 2:
		sdev = any_sdev();
		if (sdev)
			shim_set_depth(sdev, feed_u16());
		break;
	case 3:
		feed_rebind(&hba->fn);
		break;
	case 4:
		if (vdev && vdev->dev.driver)
			shim_shutdown(&vdev->dev);
		break;
	case 5 ... 7:
		shim_run();
		break;
	case 8:
		shim_run_for(feed_u8() % 8);
		break;
	case 9:
		shim_run_for(30);
		break;
	case 10:
		feed_sleep(&hba->fn, what >> 4);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	unsigned int i;

	feed_start(data, size);
	shim_idle = idle;
	BUG_ON(shim_init_virtio() || shim_init_virtio_pci() ||
	       shim_init_virtio_scsi());
	hba_init(hba, 1);
	hba->fn.lying = true;
	num_cmd = 0;
	num_events = 0;
	configure();
	patience = PATIENCE;
	fn_plug(&hba->fn);
	while (feed_left) {
		u8 who = feed_u8() % 8;

		patience = PATIENCE;
		shim_still_alive();
		if (who < 3)
			submit();
		else if (who < 6)
			hba_acts();
		else
			host_acts();
	}

	/* A controller that still works works on; others are given up. */
	if (data && size && data[0] & 1)
		hba->fn.gone = true;
	if (hba->hold && !hba->fn.gone) {
		hba->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		fn_config_irq(&hba->fn);
	}
	patience = PATIENCE;
	shim_still_alive();
	fn_unplug(&hba->fn);
	for (i = 0; i < num_cmd; i++)
		shim_cmd_free(cmd[i]);

	shim_exit_virtio_scsi();
	shim_exit_virtio_pci();
	shim_exit_virtio();
	shim_finish();
	return 0;
}
