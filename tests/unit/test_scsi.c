// SPDX-License-Identifier: GPL-2.0
/*
 * virtio_scsi on the whole stack: bus, ring and PCI, with a controller in
 * software. In the EL6 shapes the mid-layer is 2.6.32's, behind
 * compat/scsi_host.c.
 */
#include "unit.h"
#include "hba.h"

#define F(bit)		(1ULL << (bit))
#define FLAT(lun)	(0x4000 | (lun))

#define ABORT		VIRTIO_SCSI_T_TMF_ABORT_TASK
#define LUN_RESET	VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET
#define TARGET_RESET	VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET

static struct hba *hba;

static int scsi_setup(void **state)
{
	stack_setup(state);
	hba = hba_new(1);
	return 0;
}

static int scsi_teardown(void **state)
{
	int ret = stack_teardown(state);

	free(hba->fn.pci.dev.name);
	hba_free(hba);
	return ret;
}

/* A controller like the last one, unused. */
static void renew(void)
{
	free(hba->fn.pci.dev.name);
	hba_free(hba);
	hba = hba_new(1);
}

/* For a long time: for timeouts, and what comes of them. */
static void wait_s(unsigned int s)
{
	unsigned int i;

	for (i = 0; i < s * 10; i++) {
		shim_run_for(100);
		fn_serve_all();
	}
	shim_run();
}

static struct scsi_device *plug(void)
{
	assert_int_equal(fn_plug(&hba->fn), 0);
	settle();
	return shim_sdev(0, 0);
}

static void unplug(void)
{
	fn_unplug(&hba->fn);
	assert_null(shim_host(0));
}

static void set_queue_size(unsigned int queue, u16 size)
{
	hba->fn.queue[queue].max = size;
	hba->fn.queue[queue].size = size;
}

static struct shim_cmd *send(struct scsi_device *sdev, bool write,
			     unsigned int block, unsigned int len)
{
	struct shim_cmd *cmd = shim_rw_new(sdev, write, block, len, 4096);

	shim_cmd_submit(cmd);
	return cmd;
}

/* It may be tried more than once. */
static int finish(struct shim_cmd *cmd)
{
	unsigned int i;

	for (i = 0; i < 5 && !cmd->ended; i++)
		settle();
	return shim_cmd_free(cmd);
}

static int do_rw(bool write, unsigned int block, unsigned int len)
{
	return finish(send(shim_sdev(0, 0), write, block, len));
}

/* Without anybody trying again, and with no length that it must have. */
static struct shim_cmd *once(u8 opcode, unsigned int len)
{
	struct shim_cmd *cmd = shim_cmd_new(shim_sdev(0, 0), opcode,
					    DMA_FROM_DEVICE, len, 4096);

	cmd->cdb[7] = len / 512 >> 8;
	cmd->cdb[8] = len / 512;
	shim_cmd_submit(cmd);
	settle();
	assert_int_equal(cmd->ended, 1);
	return cmd;
}

/* Unit attentions have been seen, and do not get into the way. */
static void ready(void)
{
	struct scsi_device *sdev;
	unsigned int i;

	for (i = 0; i < hba->num_luns; i++)
		hba->luns[i].reset = false;
	list_for_each_entry(sdev, &shim_host(0)->devices, siblings)
		sdev->timeout_ms = 30000;
	hba->served = 0;
}

static struct scsi_device *start(void)
{
	struct scsi_device *sdev = plug();

	assert_non_null(sdev);
	ready();
	hba->resets = 0;
	return sdev;
}

/* Commands */

static void read_and_write(void **state)
{
	static const unsigned int lens[] = { 512, 4096, 5120, 65536, 524288 };
	struct shim_cmd *cmd;
	unsigned int i, s;

	start();
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		memset(hba->data, i, sizeof(hba->data));
		cmd = send(shim_sdev(0, 0), false, 8, lens[i]);
		settle();
		assert_int_equal(cmd->ended, 1);
		for (s = 0; s < cmd->num_segs; s++)
			assert_memory_equal(cmd->buf[s], hba->data + 4096,
					    min(4096u, lens[i] - s * 4096));
		assert_int_equal(cmd->resid, 0);
		assert_int_equal(finish(cmd), 0);

		assert_int_equal(do_rw(true, 16, lens[i]), 0);
		assert_int_equal(hba->data[16 * 512 - 1], i);
		assert_int_equal(hba->data[16 * 512], 0x5a);
		assert_int_equal(hba->data[16 * 512 + lens[i] - 1], 0x5a);
		assert_int_equal(hba->data[16 * 512 + lens[i]], i);
	}
	assert_int_equal(shim_log_count('E'), 0);
	assert_int_equal(shim_log_count('W'), 0);
	unplug();
}

static void host_and_features(void **state)
{
	struct Scsi_Host *shost;

	start();
	shost = shim_host(0);
	assert_int_equal(hba->fn.accepted & 0xff, F(VIRTIO_SCSI_F_HOTPLUG) |
			 F(VIRTIO_SCSI_F_CHANGE));
	assert_string_equal(shost->hostt->proc_name, "virtio_scsi");
	assert_int_equal(shost->this_id, -1);
	assert_int_equal(shost->max_id, 8);
	assert_int_equal(shost->max_channel, 0);
	assert_int_equal(shost->max_lun, FLAT(16383) + 1);
	assert_int_equal(shost->max_cmd_len, 32);
	assert_int_equal(shost->can_queue, 256);
	assert_int_equal(shost->cmd_per_lun, 128);
	assert_int_equal(shost->sg_tablesize, 254);
	assert_int_equal(shost->max_sectors, 0xffff);
	assert_int_equal(shim_sdev(0, 0)->queue_depth, 128);
	assert_string_equal(shim_irq_name(1101), "virtio0-control");
	assert_string_equal(shim_irq_name(1102), "virtio0-event");
	assert_string_equal(shim_irq_name(1103), "virtio0-request");
	unplug();
}

/* Where LUNs are, and that each of them is one device. */
static void luns(void **state)
{
	static const u16 where[] = { 1, 7, 255, 256, 300, 4097, 16383 };
	struct shim_cmd *cmd;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(where); i++) {
		hba_add_lun(hba, 0, where[i]);
		hba_add_lun(hba, 5, where[i]);
	}
	start();
	assert_int_equal(shim_num_sdevs(), 1 + 2 * ARRAY_SIZE(where));
	for (i = 0; i < ARRAY_SIZE(where); i++) {
		u64 lun = where[i] > 255 ? FLAT(where[i]) : where[i];

		assert_non_null(shim_sdev(0, lun));
		assert_non_null(shim_sdev(5, lun));
		assert_null(shim_sdev(1, lun));
		/* The device checks what it is asked for. */
		cmd = send(shim_sdev(5, lun), true, i, 512);
		assert_int_equal(finish(cmd), 0);
		/* By hand, by whatever number: there is none but this. */
		shim_scan(5, where[i]);
		shim_scan(5, FLAT(where[i]));
		shim_scan(5, 0x8000 | where[i]);
		assert_int_equal(shim_num_sdevs(),
				 1 + 2 * ARRAY_SIZE(where));
	}
	unplug();
}

/* A target without LUN 0, and a limit below what is there. */
static void sparse_luns(void **state)
{
	hba_add_lun(hba, 3, 9);
	hba_add_lun(hba, 3, 400);
	hba_add_lun(hba, 4, 20);
	hba_add_lun(hba, 4, 21);
	hba->config.max_lun = 20;
	hba_set_config(hba);
	start();
	assert_int_equal(shim_num_sdevs(), 3);
	assert_non_null(shim_sdev(3, 9));
	assert_non_null(shim_sdev(4, 20));
	shim_scan(4, 21);
	assert_int_equal(shim_num_sdevs(), 3);
	unplug();
}

static void responses(void **state)
{
	static const struct {
		u8 response;
		int result;
	} s[] = {
		{ VIRTIO_SCSI_S_OK, 0 },
		{ VIRTIO_SCSI_S_OVERRUN, DID_ERROR << 16 },
		{ VIRTIO_SCSI_S_ABORTED, DID_ABORT << 16 },
		{ VIRTIO_SCSI_S_BAD_TARGET, DID_BAD_TARGET << 16 },
		{ VIRTIO_SCSI_S_RESET, DID_SOFT_ERROR << 16 },
		{ VIRTIO_SCSI_S_BUSY, DID_BUS_BUSY << 16 },
		{ VIRTIO_SCSI_S_TRANSPORT_FAILURE,
		  DID_TRANSPORT_DISRUPTED << 16 },
		{ VIRTIO_SCSI_S_TARGET_FAILURE, DID_NO_CONNECT << 16 },
		{ VIRTIO_SCSI_S_NEXUS_FAILURE, SAM_STAT_RESERVATION_CONFLICT },
		{ VIRTIO_SCSI_S_FAILURE, DID_ERROR << 16 },
		{ 10, DID_ERROR << 16 }, { 0x80, DID_ERROR << 16 },
		{ 0xff, DID_ERROR << 16 },
	};
	unsigned int i;

	start();
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		hba->response = s[i].response;
		assert_int_equal(shim_cmd_free(once(READ_10, 4096)),
				 s[i].result);
		/* With tries left, it comes to the same in the end. */
		assert_int_equal(do_rw(true, 0, 4096), s[i].result);
	}
	assert_non_null(shim_log_find("target 0 LUN 0: response 0x0a makes no sense"));
	assert_non_null(shim_log_find("response 0xff"));
	assert_null(shim_log_find("response 0x09"));
	hba->response = -1;
	assert_int_equal(do_rw(false, 0, 4096), 0);
	unplug();
}

static void statuses(void **state)
{
	static const u8 good[] = { 0x00, 0x02, 0x04, 0x08, 0x10, 0x14, 0x18,
				   0x22, 0x28, 0x30, 0x40 };
	unsigned int i, status;

	start();
	for (status = 0; status < 256; status++) {
		for (i = 0; i < ARRAY_SIZE(good) && good[i] != status; i++)
			;
		/* Those after which it is tried again have a test elsewhere. */
		if (status == SAM_STAT_BUSY || status == SAM_STAT_TASK_SET_FULL)
			continue;
		hba->status = status;
		assert_int_equal(shim_cmd_free(once(TEST_UNIT_READY, 0)),
				 i < ARRAY_SIZE(good) ? (int)status :
							DID_ERROR << 16);
	}
	hba->status = -1;
	assert_non_null(shim_log_find("status 0x01 makes no sense"));
	unplug();
}

static void sense(void **state)
{
	static const struct {
		long long len;
		unsigned int copied;
	} s[] = {
		{ -1, 18 }, { 0, 0 }, { 1, 1 }, { 17, 17 }, { 96, 96 },
		{ 97, 96 }, { 0x7fffffff, 96 }, { 0xffffffffLL, 96 },
	};
	static const u8 none[SCSI_SENSE_BUFFERSIZE];
	struct shim_cmd *cmd;
	unsigned int i;

	start();
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		hba->sense_len = s[i].len;
		cmd = once(0x1b, 0);
		assert_int_equal(cmd->result, SAM_STAT_CHECK_CONDITION);
		assert_int_equal(cmd->sense[0], s[i].copied ? 0x70 : 0);
		assert_int_equal(cmd->sense[2], s[i].copied > 2 ? 5 : 0);
		assert_int_equal(cmd->sense[12], s[i].copied > 12 ? 0x20 : 0);
		shim_cmd_free(cmd);
	}
	/* There is none without CHECK CONDITION, whatever it says. */
	hba->sense_len = 96;
	hba->status = SAM_STAT_GOOD;
	cmd = once(0x1b, 0);
	assert_memory_equal(cmd->sense, none, sizeof(none));
	assert_int_equal(shim_cmd_free(cmd), 0);
	unplug();
}

static void residuals(void **state)
{
	static const struct {
		long long says;
		unsigned int resid;
	} s[] = {
		{ -1, 0 }, { 0, 0 }, { 1, 1 }, { 4096, 4096 }, { 4097, 4096 },
		{ 0x80000000LL, 4096 }, { 0xffffffffLL, 4096 },
	};
	struct shim_cmd *cmd;
	unsigned int i;

	start();
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		hba->resid = s[i].says;
		cmd = once(READ_10, 4096);
		assert_int_equal(cmd->resid, s[i].resid);
		assert_int_equal(shim_cmd_free(cmd), 0);
		/* A disk's driver wants all of it. */
		assert_int_equal(do_rw(false, 0, 4096),
				 s[i].resid ? DID_ERROR << 16 : 0);
	}
	unplug();
}

/* What the used ring says of lengths is of no interest. */
static void used_lengths(void **state)
{
	static const long lens[] = { 0, 1, 12, 107, 4204, 5000, 0xffffffffL };
	unsigned int i;

	start();
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		hba->used_len = lens[i];
		assert_int_equal(do_rw(false, 0, 4096), 0);
		assert_int_equal(do_rw(true, 0, 4096), 0);
	}
	hba->used_len = -1;
	/* Done, it says, and has not told how it went. */
	hba->response = HBA_NO_RESPONSE;
	assert_int_equal(do_rw(false, 0, 4096), DID_ERROR << 16);
	hba->response = -1;
	assert_int_equal(shim_log_count('E'), 0);
	unplug();
}

/* A command of 32 bytes, one of 6, and one that the device does not know. */
static void cdbs(void **state)
{
	struct shim_cmd *cmd;

	start();
	cmd = shim_cmd_new(shim_sdev(0, 0), 0x7f, DMA_NONE, 0, 1);
	cmd->cdb_len = 32;
	memset(cmd->cdb + 1, 0xee, 31);
	shim_cmd_submit(cmd);
	assert_int_equal(finish(cmd), SAM_STAT_CHECK_CONDITION);
	assert_int_equal(shim_cmd_free(once(TEST_UNIT_READY, 0)), 0);
	unplug();
}

/* Limits */

static void segment_limits(void **state)
{
	static const struct {
		u32 seg_max;
		u16 queue_size;
		unsigned int segs;
	} s[] = {
		{ 0, 256, 1 }, { 1, 256, 1 }, { 126, 128, 126 },
		{ 254, 256, 254 }, { 255, 256, 254 }, { 0xffffffff, 256, 254 },
		{ 254, 128, 126 }, { 254, 4, 2 }, { 254, 1024, 254 },
	};
	struct shim_cmd *cmd;
	unsigned int i, indirect;

	for (i = 0; i < ARRAY_SIZE(s); i++)
		for (indirect = 0; indirect < 2; indirect++) {
			renew();
			hba->config.seg_max = s[i].seg_max;
			hba_set_config(hba);
			set_queue_size(VIRTIO_SCSI_VQ_REQUEST, s[i].queue_size);
			if (!indirect)
				hba->fn.features &=
					~F(VIRTIO_RING_F_INDIRECT_DESC);
			start();
			assert_int_equal(shim_host(0)->sg_tablesize, s[i].segs);
			cmd = shim_rw_new(shim_sdev(0, 0), true, 0,
					  s[i].segs * 512, 512);
			shim_cmd_submit(cmd);
			assert_int_equal(finish(cmd), 0);
			cmd = shim_rw_new(shim_sdev(0, 0), false, 0,
					  s[i].segs * 512, 512);
			shim_cmd_submit(cmd);
			assert_int_equal(finish(cmd), 0);
			unplug();
		}
}

static void config_limits(void **state)
{
	static const struct {
		u32 max_sectors, cmd_per_lun, max_lun;
		u16 max_target, max_channel;
		unsigned int sectors, depth, luns, ids;
	} s[] = {
		{ 0, 0, 0, 0, 0, 0xffff, 1, 1, 1 },
		{ 1, 1, 255, 255, 0, 8, 1, 256, 256 },
		{ 7, 128, 256, 256, 7, 8, 128, FLAT(256) + 1, 256 },
		{ 128, 300, 16383, 3, 0xffff, 128, 256, FLAT(16383) + 1, 4 },
		{ 0xffff, 0xffffffff, 16384, 1, 0, 0xffff, 256, FLAT(16383) + 1, 2 },
		{ 0xffffffff, 0x80000000, 0xffffffff, 0xffff, 0,
		  0xffff, 256, FLAT(16383) + 1, 256 },
	};
	struct Scsi_Host *shost;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(s); i++) {
		renew();
		hba->config.max_sectors = s[i].max_sectors;
		hba->config.cmd_per_lun = s[i].cmd_per_lun;
		hba->config.max_lun = s[i].max_lun;
		hba->config.max_target = s[i].max_target;
		hba->config.max_channel = s[i].max_channel;
		hba_set_config(hba);
		start();
		shost = shim_host(0);
		assert_int_equal(shost->max_sectors, s[i].sectors);
		assert_int_equal(shost->cmd_per_lun, s[i].depth);
		assert_int_equal(shost->max_lun, s[i].luns);
		assert_int_equal(shost->max_id, s[i].ids);
		assert_int_equal(shost->max_channel, 0);
		assert_int_equal(do_rw(true, 0, 4096), 0);
		unplug();
	}
}

static void refused(const char *why)
{
	shim_log_clear();
	fn_plug(&hba->fn);
	assert_null(shim_host(0));
	assert_one_error("0000:01:00.0", why);
	unplug();
	assert_int_equal(shim_counts.hosts, 0);
}

/* With this, there is no point in going on. */
static void useless_devices(void **state)
{
	hba->config.num_queues = 0;
	hba_set_config(hba);
	refused("num_queues is 0");

	renew();
	set_queue_size(VIRTIO_SCSI_VQ_REQUEST, 2);
	refused("queue 2: queue_size 2 leaves no room for data");

	renew();
	set_queue_size(VIRTIO_SCSI_VQ_CONTROL, 1);
	refused("queue 0: queue_size 1 leaves no room");

	renew();
	hba->stuck_sizes = true;
	hba->config.cdb_size = 16;
	refused("cdb_size stays 16");

	renew();
	hba->stuck_sizes = true;
	hba->config.sense_size = 97;
	refused("sense_size stays 97");
}

/* Sizes that somebody has left behind, and one that is smaller for good. */
static void sizes(void **state)
{
	struct virtio_scsi_config *config = (void *)hba->fn.device_config;
	struct shim_cmd *cmd;

	hba->config.sense_size = 252;
	hba->config.cdb_size = 64;
	hba_set_config(hba);
	start();
	assert_int_equal(config->sense_size, 96);
	assert_int_equal(config->cdb_size, 32);
	assert_int_equal(do_rw(true, 0, 4096), 0);
	unplug();

	renew();
	hba->stuck_sizes = true;
	hba->config.sense_size = 14;
	hba_set_config(hba);
	start();
	cmd = once(0x1b, 0);
	assert_int_equal(cmd->sense[0], 0x70);
	assert_int_equal(cmd->sense[12], 0x20);
	assert_int_equal(shim_cmd_free(cmd), SAM_STAT_CHECK_CONDITION);
	hba->sense_len = 96;
	assert_int_equal(shim_cmd_free(once(0x1b, 0)),
			 SAM_STAT_CHECK_CONDITION);
	unplug();
}

#define MANY	600

/* More commands than there is room: none is lost, none overtakes another. */
static void back_pressure(void **state)
{
	static const u16 queue_sizes[] = { 4, 8, 64, 256 };
	struct shim_cmd *cmd[MANY];
	struct scsi_device *sdev;
	unsigned int i, s, features, last = 0;

	for (s = 0; s < ARRAY_SIZE(queue_sizes); s++)
		for (features = 0; features < 2; features++) {
			renew();
			set_queue_size(VIRTIO_SCSI_VQ_REQUEST, queue_sizes[s]);
			if (!features)
				hba->fn.features &=
					~(F(VIRTIO_RING_F_INDIRECT_DESC) |
					  F(VIRTIO_RING_F_EVENT_IDX));
			sdev = start();
			for (i = 0; i < MANY; i++) {
				cmd[i] = send(sdev, true, i, 1024);
				if (i % 50 == 49)
					fn_serve_all();
			}
			for (i = 0; i < MANY; i++)
				settle();
			for (i = 0; i < MANY; i++) {
				assert_int_equal(cmd[i]->ended, 1);
				if (i)
					assert_int_equal(cmd[i]->order,
							 last + 1);
				last = cmd[i]->order;
				assert_int_equal(shim_cmd_free(cmd[i]), 0);
			}
			unplug();
		}
}

/* A command cannot be mapped for DMA, now and then. */
static void mapping_failures(void **state)
{
	struct scsi_device *sdev;
	struct shim_cmd *cmd[40];
	unsigned int i, last = 0;

	hba->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
	sdev = start();
	for (i = 0; i < 40; i++) {
		shim_fail_nth(1 + i % 7, FAIL_MAP);
		cmd[i] = send(sdev, false, i, 8192);
		shim_fail_nth(0, 0);
		if (i % 5 == 0)
			settle();
	}
	settle();
	settle();
	for (i = 0; i < 40; i++) {
		assert_int_equal(cmd[i]->ended, 1);
		assert_true(!i || cmd[i]->order > last);
		last = cmd[i]->order;
		assert_int_equal(shim_cmd_free(cmd[i]), 0);
	}
	unplug();
	assert_int_equal(shim_counts.maps, 0);
}

static void queue_depth(void **state)
{
	struct scsi_device *sdev = start();
	struct shim_cmd *cmd;

	assert_int_equal(shim_set_depth(sdev, 16), 16);
	assert_int_equal(sdev->queue_depth, 16);
	/* No more than the device takes. */
	assert_int_equal(shim_set_depth(sdev, 1000), 128);
	assert_int_equal(shim_set_depth(sdev, 0), 128);

	/* It says that it has had enough. */
	hba->status = SAM_STAT_TASK_SET_FULL;
	cmd = send(sdev, true, 0, 512);
	settle();
	assert_int_equal(cmd->ended, 0);
	assert_true(sdev->queue_fulls > 0);
	assert_true(sdev->queue_depth < 128);
	hba->status = -1;
	settle();
	assert_int_equal(finish(cmd), 0);

	hba->status = SAM_STAT_BUSY;
	cmd = send(sdev, true, 0, 512);
	settle();
	assert_int_equal(cmd->ended, 0);
	hba->status = -1;
	settle();
	assert_int_equal(finish(cmd), 0);
	unplug();
}

/* Queues */

static void four_queues(void)
{
	shim_cpus = 4;
	hba->config.num_queues = 6;
	hba_set_config(hba);
	hba->fn.num_queues = VIRTIO_SCSI_VQ_REQUEST + 6;
	hba_add_lun(hba, 0, 1);
	hba->fn.pci.msix_table = 8;
}

/* As many queues as there are CPUs, each for one of them. */
static void many_queues(void **state)
{
	struct shim_cmd *cmd[64];
	struct scsi_device *sdev;
	unsigned int i, kicks[4];

	four_queues();
	sdev = start();
	assert_int_equal(hba->fn.pci.msix_on, 7);
	assert_string_equal(shim_irq_name(1104), "virtio0-request.1");
	assert_int_equal(hba->fn.queue[VIRTIO_SCSI_VQ_REQUEST + 4].enable, 0);
	for (i = 0; i < 4; i++)
		kicks[i] = hba->fn.queue[VIRTIO_SCSI_VQ_REQUEST + i].kicks;
	for (i = 0; i < 64; i++) {
		shim_cpu = i % 4;
		cmd[i] = send(sdev, true, i, 512);
		settle();
	}
	for (i = 0; i < 64; i++)
		assert_int_equal(shim_cmd_free(cmd[i]), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(hba->fn.queue[VIRTIO_SCSI_VQ_REQUEST + i].kicks,
				 kicks[i] + 16);
#if defined(COMPAT_HAVE_SCSI_DONE) || defined(SHIM_FLUSH_FLAGS)
		assert_int_equal(shim_irq_hint(1103 + i)->bits, 1 << i);
#endif
	}
	unplug();
}

/*
 * 2.6.32 has one queue for a LUN, and hands out commands in its order: that is
 * kept, whatever CPU they come from.
 */
static void lun_stays_on_its_queue(void **state)
{
#ifndef COMPAT_HAVE_SCSI_DONE
	struct shim_cmd *cmd[12];
	unsigned int i, queue;

	four_queues();
	start();
	hba->hold = true;
	for (i = 0; i < 12; i++) {
		shim_cpu = (1 + i) % 4;
		cmd[i] = send(shim_sdev(0, i % 2), true, i, 512);
	}
	fn_serve_all();
	assert_int_equal(hba->num_held, 12);
	/* LUN 0 was on CPU 1 first, LUN 1 on CPU 2. */
	for (i = 0; i < 12; i++)
		assert_int_equal(hba->held[i].queue, VIRTIO_SCSI_VQ_REQUEST +
				 1 + hba->held[i].lun);
	hba->hold = false;
	settle();
	for (i = 0; i < 12; i++)
		assert_int_equal(shim_cmd_free(cmd[i]), 0);

	/* Nothing is under way any more: it goes where it is convenient. */
	queue = VIRTIO_SCSI_VQ_REQUEST + 3;
	shim_cpu = 3;
	i = hba->fn.queue[queue].kicks;
	assert_int_equal(do_rw(true, 0, 512), 0);
	assert_int_equal(hba->fn.queue[queue].kicks, i + 1);
	unplug();
#endif
}

/* With one vector for all queues, and with none. */
static void fewer_vectors(void **state)
{
	unsigned int vectors;

	for (vectors = 0; vectors < 4; vectors++) {
		renew();
		hba->fn.pci.msix_table = vectors;
		if (vectors & 1)
			hba->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
		start();
		assert_int_equal(do_rw(true, 0, 4096), 0);
		hba_add_lun(hba, 2, 0);
		hba_event(hba, VIRTIO_SCSI_T_TRANSPORT_RESET, 2, 0,
			  VIRTIO_SCSI_EVT_RESET_RESCAN);
		settle();
		assert_int_equal(shim_num_sdevs(), 2);
		/* They are given to the device once more. */
		assert_int_equal(shim_reset(shim_sdev(0, 0), 3), SUCCESS);
		ready();
		assert_int_equal(do_rw(true, 0, 4096), 0);
		unplug();
	}
}

/* A series of commands is one kick. */
static void kicks_and_interrupts(void **state)
{
	struct shim_cmd *cmd[32];
	struct scsi_device *sdev = start();
	struct fn_queue *q = &hba->fn.queue[VIRTIO_SCSI_VQ_REQUEST];
	unsigned int i, kicks, irqs;

	/* They wait for the first one. */
	hba->hold = true;
	shim_set_depth(sdev, 1);
	for (i = 0; i < 32; i++)
		cmd[i] = send(sdev, true, i, 512);
	fn_serve_all();
	shim_set_depth(sdev, 32);
	kicks = q->kicks;
	hba->hold = false;
	hba_release(hba);
	hba->hold = true;
	shim_run();
	assert_int_equal(q->kicks, kicks + 1);
	fn_serve_all();
	irqs = hba->fn.irqs;
	hba->hold = false;
	hba_release(hba);
	assert_int_equal(hba->fn.irqs, irqs + 1);
	settle();
	for (i = 0; i < 32; i++)
		assert_int_equal(shim_cmd_free(cmd[i]), 0);
	unplug();
}

/* Events */

static void add(u8 target, u16 lun)
{
	hba_add_lun(hba, target, lun);
	hba_event(hba, VIRTIO_SCSI_T_TRANSPORT_RESET, target, lun,
		  VIRTIO_SCSI_EVT_RESET_RESCAN);
}

static void take(u8 target, u16 lun)
{
	hba_remove_lun(hba, target, lun);
	hba_event(hba, VIRTIO_SCSI_T_TRANSPORT_RESET, target, lun,
		  VIRTIO_SCSI_EVT_RESET_REMOVED);
}

static void hot_plug(void **state)
{
	start();
	add(0, 1);
	add(0, 300);
	add(6, 2);
	settle();
	assert_int_equal(shim_num_sdevs(), 4);
	assert_non_null(shim_sdev(0, 1));
	assert_non_null(shim_sdev(0, FLAT(300)));
	assert_non_null(shim_sdev(6, 2));
	/* Once is enough. */
	hba_event(hba, VIRTIO_SCSI_T_TRANSPORT_RESET, 0, 300,
		  VIRTIO_SCSI_EVT_RESET_RESCAN);
	settle();
	assert_int_equal(shim_num_sdevs(), 4);

	take(0, 300);
	take(6, 2);
	settle();
	assert_int_equal(shim_num_sdevs(), 2);
	assert_null(shim_sdev(0, FLAT(300)));
	/* It is gone already. */
	hba_event(hba, VIRTIO_SCSI_T_TRANSPORT_RESET, 0, 300,
		  VIRTIO_SCSI_EVT_RESET_REMOVED);
	/* And another one comes in its place, at once. */
	take(0, 1);
	add(0, 1);
	settle();
	assert_int_equal(shim_num_sdevs(), 2);
	assert_int_equal(do_rw(true, 0, 512), 0);
	assert_int_equal(shim_log_count('E'), 0);
	unplug();
}

/* An event for LUN 0 may stand for all of a target. */
static void whole_targets(void **state)
{
	start();
	hba_add_lun(hba, 2, 5);
	hba_add_lun(hba, 2, 6);
	add(2, 0);
	settle();
	assert_int_equal(shim_num_sdevs(), 4);

	hba_remove_lun(hba, 2, 5);
	take(2, 0);
	settle();
	assert_int_equal(shim_num_sdevs(), 2);
	assert_non_null(shim_sdev(2, 6));
	hba_remove_lun(hba, 2, 6);
	hba_event(hba, VIRTIO_SCSI_T_TRANSPORT_RESET, 2, 0,
		  VIRTIO_SCSI_EVT_RESET_REMOVED);
	settle();
	assert_int_equal(shim_num_sdevs(), 1);
	unplug();
}

/* 256 of them, in a queue of 4 buffers. */
static void many_luns(void **state)
{
	unsigned int i;

	set_queue_size(VIRTIO_SCSI_VQ_EVENT, 4);
	start();
	for (i = 1; i < 256; i++) {
		add(0, i);
		if (i % 3 == 0)
			settle();
	}
	settle();
	assert_int_equal(shim_num_sdevs(), 256);
	for (i = 1; i < 256; i++) {
		take(0, i);
		if (i % 3 == 0)
			settle();
	}
	settle();
	assert_int_equal(shim_num_sdevs(), 1);
	unplug();
}

/* The driver is too slow for them: it looks at everything. */
static void missed_events(void **state)
{
	unsigned int i;

	hba_add_lun(hba, 1, 1);
	hba_add_lun(hba, 1, 2);
	hba_add_lun(hba, 4, 0);
	set_queue_size(VIRTIO_SCSI_VQ_EVENT, 2);
	start();
	assert_int_equal(shim_num_sdevs(), 4);
	for (i = 3; i < 20; i++)
		add(1, i);
	take(1, 1);
	take(4, 0);
	assert_true(hba->missed > 0);
	settle();
	/* What made it into the two buffers. */
	assert_int_equal(shim_num_sdevs(), 6);
	/* The next one tells, though it has nothing to say by itself. */
	hba_event(hba, VIRTIO_SCSI_T_NO_EVENT, 0, 0, 0);
	settle();
	assert_int_equal(shim_num_sdevs(), 1 + 1 + 17);
	assert_null(shim_sdev(1, 1));
	assert_null(shim_sdev(4, 0));
	assert_non_null(shim_sdev(1, 19));
	unplug();
}

/* A LUN that does not answer is not one that is gone. */
static void rescan_of_the_faulty(void **state)
{
	static const u8 kept[] = {
		VIRTIO_SCSI_S_BUSY, VIRTIO_SCSI_S_TRANSPORT_FAILURE,
		VIRTIO_SCSI_S_TARGET_FAILURE, VIRTIO_SCSI_S_FAILURE, 0x77,
	};
	unsigned int i;

	hba_add_lun(hba, 0, 3);
	start();
	for (i = 0; i < ARRAY_SIZE(kept); i++) {
		hba->response = kept[i];
		hba_event(hba, VIRTIO_SCSI_T_EVENTS_MISSED, 0, 0, 0);
		settle();
		assert_int_equal(shim_num_sdevs(), 2);
	}
	hba->response = VIRTIO_SCSI_S_BAD_TARGET;
	hba_event(hba, VIRTIO_SCSI_T_EVENTS_MISSED, 0, 0, 0);
	settle();
	assert_int_equal(shim_num_sdevs(), 0);
	unplug();
}

static void changes(void **state)
{
	static const struct {
		u32 reason;
		bool rescan;
	} s[] = {
		{ 0x2a | 0x09 << 8, true },	/* capacity */
		{ 0x2a | 0x01 << 8, true },	/* mode parameters */
		{ 0x3f | 0x03 << 8, true },	/* INQUIRY data */
		{ 0x3f | 0x0e << 8, false },	/* other LUNs */
		{ 0x28, false }, { 0, false }, { 0xffffffff, false },
	};
	unsigned int i, before;

	hba_add_lun(hba, 2, 500);
	start();
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		before = shim_sdev(2, FLAT(500))->rescans;
		hba_event(hba, VIRTIO_SCSI_T_PARAM_CHANGE, 2, 500,
			  s[i].reason);
		settle();
		assert_int_equal(shim_sdev(2, FLAT(500))->rescans,
				 before + s[i].rescan);
		assert_int_equal(shim_sdev(0, 0)->rescans, 0);
	}
	/* Of a LUN that is not there. */
	hba_event(hba, VIRTIO_SCSI_T_PARAM_CHANGE, 2, 1, 0x092a);
	settle();
	assert_int_equal(shim_num_sdevs(), 2);
	unplug();
}

static void garbage_events(void **state)
{
	static const struct {
		struct virtio_scsi_event e;
		u32 used_len;
		const char *log;
	} s[] = {
		{ { 1, { 0, 0, 0, 0 }, 1 }, 16, "lun 00 00 00 00" },
		{ { 1, { 1, 8, 0, 0 }, 1 }, 16, "lun 01 08 00 00" },
		{ { 1, { 1, 0, 0x80, 0 }, 2 }, 16, "lun 01 00 80 00" },
		{ { 1, { 0xc1, 1 }, 2 }, 16, "lun c1 01 00 00" },
		{ { 3, { 9, 0, 0, 0 }, 0x092a }, 16, "lun 09 00 00 00" },
		{ { 1, { 1, 0, 0, 0 }, 3 }, 16, "reason 3" },
		{ { 1, { 1, 0, 0, 0 }, 0xffffffff }, 16, "reason 4294967295" },
		{ { 4, { 1, 0, 0, 0 }, 1 }, 16, "event 4 is unknown" },
		{ { 0x7fffffff, { 1 }, 1 }, 16, "event 2147483647" },
		{ { 1, { 1, 0, 0, 0 }, 2 }, 15, "event: 15 bytes" },
		{ { 1, { 1, 0, 0, 0 }, 2 }, 0, "event: 0 bytes" },
	};
	unsigned int i;

	start();
	for (i = 0; i < ARRAY_SIZE(s); i++) {
		shim_log_clear();
		assert_true(hba_raw_event(hba, &s[i].e, 16, s[i].used_len));
		settle();
		assert_int_equal(shim_log_count('W'), 1);
		if (!shim_log_find(s[i].log))
			print_error("nothing about %s\n", s[i].log);
		assert_non_null(shim_log_find(s[i].log));
		assert_int_equal(shim_num_sdevs(), 1);
	}
	/* Nothing to be said about these. */
	shim_log_clear();
	hba_event(hba, VIRTIO_SCSI_T_ASYNC_NOTIFY, 0, 0, 1);
	hba_event(hba, VIRTIO_SCSI_T_NO_EVENT, 77, 0, 1);
	hba_event(hba, VIRTIO_SCSI_T_TRANSPORT_RESET, 0, 0,
		  VIRTIO_SCSI_EVT_RESET_HARD);
	settle();
	assert_int_equal(shim_log_count('W'), 0);
	assert_int_equal(shim_num_sdevs(), 1);
	unplug();
}

/* The device wants more room for an event, or cannot have any. */
static void event_sizes(void **state)
{
	static const u32 event_sizes[] = { 0, 15, 24, 64, 65, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(event_sizes); i++) {
		renew();
		hba->config.event_info_size = event_sizes[i];
		hba_set_config(hba);
		start();
		add(0, 2);
		settle();
		assert_int_equal(shim_num_sdevs(), 2);
		unplug();
	}

	renew();
	hba->fn.features &= ~(F(VIRTIO_SCSI_F_HOTPLUG) |
			      F(VIRTIO_SCSI_F_CHANGE));
	start();
	assert_false(hba_event(hba, VIRTIO_SCSI_T_TRANSPORT_RESET, 0, 0, 1));
	assert_int_equal(shim_reset(shim_sdev(0, 0), 3), SUCCESS);
	ready();
	assert_int_equal(do_rw(true, 0, 512), 0);
	unplug();
}

/* Error recovery */

/* @n commands for LUN 0 that the device sits on, until they time out. */
static void stall(struct shim_cmd *cmd[], unsigned int n, unsigned int allowed)
{
	unsigned int i;

	shim_sdev(0, 0)->timeout_ms = 1000;
	hba->hold_lun = 0;
	for (i = 0; i < n; i++) {
		cmd[i] = shim_rw_new(shim_sdev(0, 0), true, i, 4096, 4096);
		cmd[i]->allowed = allowed;
		shim_cmd_submit(cmd[i]);
	}
	fn_serve_all();
}

static void all_ended(struct shim_cmd *cmd[], unsigned int n, int result)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		assert_int_equal(cmd[i]->ended, 1);
		assert_int_equal(shim_cmd_free(cmd[i]), result);
	}
}

static void aborts(void **state)
{
	struct Scsi_Host *shost;
	struct shim_cmd *cmd[3];

	start();
	shost = shim_host(0);
	/* Not tried again: that it took too long is how it ends. */
	stall(cmd, 3, 0);
	wait_s(2);
	all_ended(cmd, 3, DID_TIME_OUT << 16);
	assert_int_equal(hba->tmfs[ABORT], 3);
	assert_int_equal(hba->tmfs[LUN_RESET], 0);
	assert_int_equal(shost->resets[0], 3);

	/* Tried again, by which time the device has got over it. */
	ready();
	stall(cmd, 3, 5);
	shim_run_for(1100);
	hba->hold_lun = -1;
	wait_s(2);
	all_ended(cmd, 3, 0);
	assert_int_equal(shost->shost_state, SHOST_RUNNING);
	assert_int_equal(shim_log_count('E'), 0);
	unplug();
}

/* It never gets over it: that is an I/O error, in the end. */
static void stalled_for_good(void **state)
{
	struct shim_cmd *cmd[3];

	start();
	stall(cmd, 3, 5);
	wait_s(20);
	all_ended(cmd, 3, DID_TIME_OUT << 16);
	assert_int_equal(hba->tmfs[ABORT], 18);
	unplug();
}

/* From step to step, as far as is needed. */
static void escalation(void **state)
{
	static const struct {
		u32 mute, stubborn;
		int tmf_response;
		unsigned int step;
	} s[] = {
		{ 0, 0, -1, 0 },
		{ 1 << ABORT, 0, -1, 1 },
		{ 1 << ABORT | 1 << LUN_RESET, 0, -1, 2 },
		{ 1 << ABORT | 1 << LUN_RESET | 1 << TARGET_RESET, 0, -1, 3 },
		{ 0, 1 << ABORT, -1, 1 },
		{ 0, 1 << ABORT | 1 << LUN_RESET, -1, 2 },
		{ 0, 1 << ABORT | 1 << LUN_RESET | 1 << TARGET_RESET, -1, 3 },
		{ 1 << LUN_RESET, 1 << ABORT, -1, 2 },
		/* What it says is one thing, what it does another. */
		{ 0, 0, VIRTIO_SCSI_S_FUNCTION_SUCCEEDED, 0 },
		{ 0, 0, VIRTIO_SCSI_S_FUNCTION_REJECTED, 0 },
		{ 0, 0, VIRTIO_SCSI_S_INCORRECT_LUN, 0 },
		{ 0, 0, HBA_NO_RESPONSE, 0 },
		{ 0, ~0U, VIRTIO_SCSI_S_FUNCTION_REJECTED, 3 },
		{ 0, ~0U, 0xee, 3 },
	};
	struct shim_cmd *cmd[3];
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(s); i++) {
		renew();
		start();
		stall(cmd, 3, 5);
		hba->mute = s[i].mute;
		hba->stubborn = s[i].stubborn;
		hba->tmf_response = s[i].tmf_response;
		shim_run_for(1100);
		hba->hold_lun = -1;
		wait_s(50);
		all_ended(cmd, 3, 0);
		for (n = 0; n < 4; n++)
			assert_int_equal(shim_host(0)->resets[n] > 0,
					 n == s[i].step);
		assert_int_equal(hba->resets, s[i].step == 3);
		assert_int_equal(hba->tmfs[LUN_RESET] > 0, s[i].step >= 1);
		assert_int_equal(hba->tmfs[TARGET_RESET] > 0, s[i].step >= 2);
		/* The answers come late, to questions that nobody has. */
		hba_release_tmfs(hba);
		hba->mute = 0;
		ready();
		assert_int_equal(do_rw(false, 0, 4096), 0);
		unplug();
	}
}

/* A device that answers nothing at all: how long it takes to be sure. */
static void recovery_ends(void **state)
{
	struct shim_cmd *cmd[100];
	unsigned long begin;

	start();
	stall(cmd, 100, 0);
	hba->mute = ~0;
	begin = jiffies;
	while (!cmd[0]->ended)
		wait_s(1);
	/* One timeout, three unanswered functions, and a reset. */
	assert_true(jiffies - begin < 40 * HZ);
	all_ended(cmd, 100, DID_TIME_OUT << 16);
	assert_int_equal(hba->tmfs[ABORT], 1);
	assert_int_equal(hba->tmfs[LUN_RESET], 1);
	assert_int_equal(hba->tmfs[TARGET_RESET], 1);
	assert_int_equal(hba->resets, 1);
	assert_non_null(shim_log_find("no answer to ABORT TASK in 10 s"));
	assert_non_null(shim_log_find("no answer to LOGICAL UNIT RESET"));
	assert_non_null(shim_log_find("no answer to I_T NEXUS RESET"));
	assert_non_null(shim_log_find("resetting the device"));
	unplug();
}

/* What a function ended comes after its answer, and without an interrupt. */
static void late_completions(void **state)
{
	struct shim_cmd *cmd[3];

	start();
	stall(cmd, 3, 0);
	hba->late = true;
	wait_s(2);
	all_ended(cmd, 3, DID_TIME_OUT << 16);
	assert_int_equal(hba->tmfs[ABORT], 3);
	assert_int_equal(hba->tmfs[LUN_RESET], 0);
	assert_int_equal(hba->resets, 0);
	unplug();
}

static void gives_in(void)
{
	if (hba->tmfs[ABORT])
		hba->hold_lun = -1;
	fn_serve_all();
}

/* It answers after all, while it is asked to abort: but not to that. */
static void answers_at_last(void **state)
{
	struct shim_cmd *cmd[3];

	start();
	stall(cmd, 3, 5);
	hba->mute = 1 << ABORT;
	hba->reverse = true;
	shim_idle = gives_in;
	wait_s(15);
	shim_idle = fn_serve_all;
	hba_release_tmfs(hba);
	wait_s(2);
	all_ended(cmd, 3, 0);
	assert_int_equal(hba->tmfs[LUN_RESET], 0);
	assert_int_equal(hba->resets, 0);
	unplug();
}

/* Slow, but getting on: there is nothing to recover from, for a while. */
static void more_time(void **state)
{
	struct scsi_device *sdev = start();
	struct shim_cmd *slow, *cmd;
	unsigned int s;

	sdev->timeout_ms = 1000;
	hba->hold_lun = 0;
	slow = send(sdev, true, 0, 512);
	for (s = 0; !hba->tmfs[ABORT] && s < 20; s++) {
		assert_int_equal(shim_cmd_free(once(TEST_UNIT_READY, 0)), 0);
		wait_s(1);
	}
	/* The first timeout, and four more. */
	assert_int_equal(s, 5);
	hba->hold_lun = -1;
	assert_int_equal(slow->ended, 0);
	assert_int_equal(finish(slow), 0);

	/* Another LUN's progress is no reason to wait. */
	add(0, 1);
	settle();
	ready();
	sdev->timeout_ms = 1000;
	hba->hold_lun = 0;
	slow = send(sdev, true, 0, 512);
	cmd = send(shim_sdev(0, 1), true, 0, 512);
	settle();
	assert_int_equal(shim_cmd_free(cmd), 0);
	hba->tmfs[ABORT] = 0;
	wait_s(2);
	assert_true(hba->tmfs[ABORT] > 0);
	hba->hold_lun = -1;
	wait_s(2);
	assert_int_equal(finish(slow), 0);
	unplug();
}

/* By hand, with commands under way that have done nothing wrong. */
static void resets_by_hand(void **state)
{
	struct shim_cmd *cmd[20];
	unsigned int step, i;

	hba_add_lun(hba, 0, 1);
	hba_add_lun(hba, 4, 0);
	start();
	for (step = 1; step <= 3; step++) {
		ready();
		hba->hold = true;
		for (i = 0; i < 20; i++)
			cmd[i] = send(i % 3 == 0 ? shim_sdev(4, 0) :
				      shim_sdev(0, i % 2), true, i, 512);
		fn_serve_all();
		assert_int_equal(shim_reset(shim_sdev(0, 0), step), SUCCESS);
		for (i = 0; i < hba->num_luns; i++)
			hba->luns[i].reset = false;
		hba->hold = false;
		settle();
		all_ended(cmd, 20, 0);
	}
	assert_int_equal(hba->tmfs[LUN_RESET], 1);
	assert_int_equal(hba->tmfs[TARGET_RESET], 1);
	assert_int_equal(hba->resets, 1);
	unplug();
}

/* LUNs that came and went while the device was reset, and events after it. */
static void events_and_resets(void **state)
{
	struct shim_cmd *cmd[1];

	hba_add_lun(hba, 3, 3);
	start();
	stall(cmd, 1, 5);
	hba->mute = ~0;
	/* In the buffers, when the device is reset; or nowhere. */
	add(0, 1);
	hba_add_lun(hba, 0, 2);
	hba_remove_lun(hba, 3, 3);
	shim_run_for(1100);
	hba->hold_lun = -1;
	wait_s(50);
	hba->mute = 0;
	all_ended(cmd, 1, 0);
	assert_int_equal(hba->resets, 1);
	assert_int_equal(shim_num_sdevs(), 3);
	assert_null(shim_sdev(3, 3));
	assert_non_null(shim_sdev(0, 1));
	assert_non_null(shim_sdev(0, 2));
	add(5, 0);
	settle();
	assert_non_null(shim_sdev(5, 0));
	unplug();
}

/* An event in the middle of error recovery: it is not lost. */
static void event_in_recovery(void **state)
{
	struct shim_cmd *cmd[1];

	start();
	stall(cmd, 1, 5);
	hba->mute = 1 << ABORT;
	shim_run_for(900);
	add(0, 1);
	shim_run_for(300);
	hba->hold_lun = -1;
	add(0, 2);
	wait_s(30);
	all_ended(cmd, 1, 0);
	assert_int_equal(shim_num_sdevs(), 3);
	unplug();
}

/* A reset after which the device is not what it was. */
static void no_comeback(void **state)
{
	const char *const logs[] = {
		"no longer offers the features 0x2",
		fn_face == FN_LEGACY ?
		"size 128 after a reset, where it was 256" :
		"queue_size 128 after a reset, where it took 256",
		"does not take its MSI-X vectors",
		"cdb_size stays 16",
		fn_face == FN_LEGACY ? "still 0x07 10000 ms after a reset" :
		"still 0x0f 10000 ms after a reset",
	};
	struct virtio_device *vdev;
	struct shim_cmd *cmd[3];
	unsigned int how;

	for (how = 0; how < ARRAY_SIZE(logs); how++) {
		renew();
		start();
		vdev = fn_vdev(&hba->fn);
		stall(cmd, 3, 5);
		hba->mute = ~0;
		switch (how) {
		case 0:
			hba->fn.features &= ~F(VIRTIO_SCSI_F_HOTPLUG);
			break;
		case 1:
			hba->fn.queue[2].max = 128;
			break;
		case 2:
			hba->fn.no_queue_vector = 1;
			break;
		case 3:
			hba->stuck_sizes = true;
			hba->config.cdb_size = 16;
			break;
		case 4:
			hba->fn.reset_polls = -1;
			break;
		}
		wait_s(100);
		if (!shim_log_find(logs[how]))
			print_error("nothing about %s\n", logs[how]);
		assert_non_null(shim_log_find(logs[how]));
		assert_non_null(shim_log_find("the device does not come back"));
		all_ended(cmd, 3, DID_TIME_OUT << 16);
		assert_null(shim_sdev(0, 0));
		assert_int_equal(shim_host(0)->shost_state, SHOST_RUNNING);

		/* Whatever it was, it is over; bound anew, it works again. */
		hba->fn.features |= F(VIRTIO_SCSI_F_HOTPLUG);
		set_queue_size(2, 256);
		hba->fn.no_queue_vector = ~0U;
		hba->stuck_sizes = false;
		hba->config.cdb_size = 32;
		hba_set_config(hba);
		hba->fn.reset_polls = 0;
		hba->fn.polls_left = 0;
		hba->mute = 0;
		hba->hold_lun = -1;
		shim_unbind(&vdev->dev);
		assert_null(shim_host(0));
		assert_int_equal(shim_bind(&vdev->dev), 0);
		settle();
		ready();
		assert_int_equal(do_rw(true, 0, 4096), 0);
		unplug();
	}
}

/* The end */

static void in_flight(struct shim_cmd *cmd[], unsigned int n)
{
	unsigned int i;

	hba->hold = true;
	for (i = 0; i < n; i++)
		cmd[i] = send(shim_sdev(0, 0), i % 2, i, 4096);
	fn_serve_all();
}

/*
 * The device breaks with commands in flight and more behind them: all of them
 * end, and so does what comes later. Bound anew, it works again.
 */
static void broken(void **state)
{
	struct virtio_device *vdev;
	struct shim_cmd *cmd[300];
	unsigned int how;

	for (how = 0; how < 5; how++) {
		renew();
		if (how)
			hba->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
		start();
		shim_log_clear();
		vdev = fn_vdev(&hba->fn);
		in_flight(cmd, 300);
		if (how == 4) {
			hba->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
			fn_config_irq(&hba->fn);
			assert_one_error("0000:01:00.0", "asks for a reset");
		} else if (how == 3) {
			/* One comes back twice. */
			ring_push(&hba->fn.queue[2].ring,
				  hba->held[0].chain.head, 1);
			ring_push(&hba->fn.queue[2].ring,
				  hba->held[0].chain.head, 1);
			fn_queue_irq(&hba->fn, 2);
			assert_one_error("0000:01:00.0", "is not in flight");
		} else {
			/* On each of the queues. */
			ring_push(&hba->fn.queue[how].ring, 9999, 1);
			fn_queue_irq(&hba->fn, how);
			assert_one_error("0000:01:00.0",
					 "id 9999 is out of range");
		}
		settle();
		all_ended(cmd, 300, DID_NO_CONNECT << 16);
		assert_int_equal(do_rw(false, 0, 4096), DID_NO_CONNECT << 16);
		assert_true(hba->fn.status & VIRTIO_CONFIG_S_FAILED);
		/* And the error handler has something to say, too. */
		assert_int_equal(shim_reset(shim_sdev(0, 0), 1), SUCCESS);
		assert_int_equal(shim_reset(shim_sdev(0, 0), 3), SUCCESS);

		hba->hold = false;
		shim_unbind(&vdev->dev);
		assert_null(shim_host(0));
		assert_int_equal(shim_counts.maps, 0);
		assert_int_equal(shim_bind(&vdev->dev), 0);
		settle();
		ready();
		assert_int_equal(do_rw(false, 0, 4096), 0);
		unplug();
	}
}

static unsigned int breaks_at;

static void breaks(void)
{
	fn_serve_all();
	if (!hba->tmfs[breaks_at] || virtio_device_is_broken(fn_vdev(&hba->fn)))
		return;
	ring_push(&hba->fn.queue[0].ring, 9999, 1);
	fn_queue_irq(&hba->fn, 0);
}

/* It breaks while it is asked to abort, or to reset. */
static void broken_in_recovery(void **state)
{
	static const unsigned int at[] = { ABORT, LUN_RESET, TARGET_RESET };
	struct shim_cmd *cmd[3];
	unsigned long begin;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		renew();
		start();
		stall(cmd, 3, 5);
		hba->mute = ~0;
		breaks_at = at[i];
		shim_idle = breaks;
		begin = jiffies;
		while (!cmd[0]->ended)
			wait_s(1);
		shim_idle = fn_serve_all;
		/* Nobody waits for an answer that cannot come. */
		assert_true(jiffies - begin < (3 + 10 * i) * HZ);
		all_ended(cmd, 3, DID_TIME_OUT << 16);
		assert_int_equal(hba->resets, 1);
		unplug();
	}
}

/* Pulled out with commands in flight. */
static void surprise_removal(void **state)
{
	struct shim_cmd *cmd[300];

	start();
	in_flight(cmd, 300);
	hba->fn.gone = true;
	unplug();
	all_ended(cmd, 300, DID_NO_CONNECT << 16);
	assert_int_equal(shim_log_count('E'), 0);
}

/* The bus tells the driver by a config interrupt that reads as ones. */
static void gone_by_interrupt(void **state)
{
	struct shim_cmd *cmd[10];

	start();
	in_flight(cmd, 10);
	hba->fn.gone = true;
	shim_msix(&hba->fn.pci, 0);
	assert_one_error("0000:01:00.0", "is gone");
	settle();
	all_ended(cmd, 10, DID_NO_CONNECT << 16);
	unplug();
}

/* Unbound while it is busy, and while it is stuck. */
static void busy_removal(void **state)
{
	struct shim_cmd *cmd[300];
	unsigned int i, stuck;

	for (stuck = 0; stuck < 2; stuck++) {
		renew();
		start();
		in_flight(cmd, 300);
		hba->hold = stuck;
		hba->mute = stuck ? ~0 : 0;
		unplug();
		for (i = 0; i < 300; i++) {
			assert_int_equal(cmd[i]->ended, 1);
			if (!stuck && i < 128)
				assert_int_equal(cmd[i]->result, 0);
			shim_cmd_free(cmd[i]);
		}
	}
}

/* Unbound in the middle of error recovery. */
static void removal_in_recovery(void **state)
{
	struct shim_cmd *cmd[3];
	unsigned int ms;

	for (ms = 1000; ms <= 1003; ms++) {
		renew();
		start();
		stall(cmd, 3, 5);
		hba->mute = ~0;
		shim_run_for(ms - 3);
		unplug();
		assert_int_equal(cmd[0]->ended, 1);
		assert_int_equal(cmd[1]->ended, 1);
		assert_int_equal(cmd[2]->ended, 1);
		shim_cmd_free(cmd[0]);
		shim_cmd_free(cmd[1]);
		shim_cmd_free(cmd[2]);
	}
}

/*
 * Commands would time out while the device takes its time to let go of them:
 * when nobody takes care of them any more but who resets it.
 */
static void slow_removal(void **state)
{
	struct shim_cmd *cmd[3];

	start();
	stall(cmd, 3, 0);
	hba->fn.reset_polls = -1;
	unplug();
	assert_int_equal(cmd[0]->ended, 1);
	assert_int_equal(cmd[1]->ended, 1);
	assert_int_equal(cmd[2]->ended, 1);
	shim_cmd_free(cmd[0]);
	shim_cmd_free(cmd[1]);
	shim_cmd_free(cmd[2]);
}

/* Unbound while the mid-layer's thread looks for LUNs. */
static void removal_in_scan(void **state)
{
	shim_async_scan = true;
	assert_int_equal(fn_plug(&hba->fn), 0);
	assert_int_equal(shim_num_sdevs(), 0);
	unplug();
}

static void removal_with_events(void **state)
{
	start();
	add(0, 1);
	add(2, 0);
	hba_event(hba, VIRTIO_SCSI_T_EVENTS_MISSED, 0, 0, 0);
	unplug();
}

/*
 * A machine that is shut down: what comes after it must not find a device, and
 * nobody gets an error, unless it goes after all, or somebody has it reset.
 */
static void shutdown(void **state)
{
	struct virtio_device *vdev;
	struct shim_cmd *cmd[10], *late;
	unsigned int i, reset;

	for (reset = 0; reset < 2; reset++) {
		renew();
		start();
		vdev = fn_vdev(&hba->fn);
		in_flight(cmd, 10);
		shim_shutdown(&vdev->dev);
		assert_int_equal(hba->fn.status, 0);
		settle();
		late = send(shim_sdev(0, 0), true, 0, 512);
		wait_s(10);
		for (i = 0; i < 10; i++)
			assert_int_equal(cmd[i]->ended, 0);
		assert_int_equal(late->ended, 0);
		assert_false(hba_event(hba, VIRTIO_SCSI_T_TRANSPORT_RESET, 1, 0,
				       1));
		if (reset) {
			assert_int_equal(shim_reset(shim_sdev(0, 0), 1),
					 FAILED);
			assert_int_equal(shim_reset(shim_sdev(0, 0), 3),
					 SUCCESS);
		}
		assert_int_equal(hba->fn.status, 0);
		unplug();
		all_ended(cmd, 10, DID_NO_CONNECT << 16);
		assert_int_equal(finish(late), DID_NO_CONNECT << 16);
	}
}

/*
 * What the device had when it fell asleep, and what comes meanwhile, it does
 * when it works again; and of LUNs that came or went it tells nobody.
 */
static void sleeps(void **state)
{
	struct shim_cmd *cmd[10], *late;
	unsigned int i, kind;

	for (kind = 0; kind < SHIM_SLEEP_KINDS; kind++) {
		renew();
		start();
		add(0, 1);
		settle();
		ready();
		assert_int_equal(shim_num_sdevs(), 2);
		in_flight(cmd, 10);
		assert_int_equal(fn_sleep(&hba->fn, kind), 0);
		hba->hold = false;
		late = send(shim_sdev(0, 0), true, 0, 512);
		hba_remove_lun(hba, 0, 1);
		hba_add_lun(hba, 3, 2);
		wait_s(5);
		for (i = 0; i < 10; i++)
			assert_int_equal(cmd[i]->ended, 0);
		assert_int_equal(late->ended, 0);
		/* Error recovery finds nothing to do, and asks for nothing. */
		for (i = 1; i <= 3; i++)
			assert_int_equal(shim_reset(shim_sdev(0, 0), i),
					 SUCCESS);
		assert_int_equal(hba->fn.status, 0);

		assert_int_equal(fn_wake(&hba->fn, kind), 0);
		/* For a disk, the unit attention is a reason to try again. */
		ready();
		wait_s(5);
		all_ended(cmd, 10, 0);
		assert_int_equal(finish(late), 0);
		assert_int_equal(shim_num_sdevs(), 2);
		assert_null(shim_sdev(0, 1));
		assert_non_null(shim_sdev(3, 2));
		/* And of those that come now it does. */
		add(4, 0);
		settle();
		assert_int_equal(shim_num_sdevs(), 3);
		assert_int_equal(do_rw(true, 0, 4096), 0);
		unplug();
	}
}

/* Gone when it should wake, or another one, or never awake again. */
static void does_not_wake(void **state)
{
	struct shim_cmd *cmd[10], *late;
	unsigned int how;

	for (how = 0; how < 3; how++) {
		renew();
		start();
		in_flight(cmd, 10);
		assert_int_equal(fn_sleep(&hba->fn, SHIM_SLEEP_RAM), 0);
		late = send(shim_sdev(0, 0), true, 0, 512);
		if (how == 0)
			hba->fn.gone = true;
		if (how == 1)
			hba->fn.features &= ~F(VIRTIO_SCSI_F_HOTPLUG);
		if (how != 2) {
			assert_true(fn_wake(&hba->fn, SHIM_SLEEP_RAM) < 0);
			wait_s(5);
			assert_int_equal(late->ended, 1);
		}
		unplug();
		all_ended(cmd, 10, DID_NO_CONNECT << 16);
		assert_int_equal(finish(late), DID_NO_CONNECT << 16);
	}
}

static void two_controllers(void **state)
{
	struct hba *other = hba_new(2);

	hba_add_lun(other, 0, 1);
	start();
	assert_int_equal(fn_plug(&other->fn), 0);
	settle();
	assert_non_null(shim_host(1));
	assert_int_equal(shim_num_sdevs(), 1);
	hba_remove_lun(other, 0, 1);
	hba_event(other, VIRTIO_SCSI_T_TRANSPORT_RESET, 0, 1,
		  VIRTIO_SCSI_EVT_RESET_REMOVED);
	fn_unplug(&hba->fn);
	settle();
	assert_int_equal(shim_num_sdevs(), 1);
	assert_null(shim_host(1));
	fn_unplug(&other->fn);
	free(other->fn.pci.dev.name);
	hba_free(other);
}

static void failures(void **state)
{
	unsigned int n, platform, works = 0;
	long workqueues = shim_counts.workqueues;
	bool failed;

	for (platform = 0; platform < 2; platform++) {
		for (n = 1, failed = true; failed; n++) {
			renew();
			set_queue_size(2, 16);
			if (platform)
				hba->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
			shim_fail_nth(n, FAIL_ALL);
			fn_plug(&hba->fn);
			failed = shim_failed();
			shim_fail_nth(0, 0);
			settle();
			if (shim_host(0) && shim_sdev(0, 0)) {
				ready();
				assert_int_equal(do_rw(true, 0, 8192), 0);
				works += failed;
			} else {
				assert_true(failed);
			}
			unplug();
			shim_log_clear();
			assert_int_equal(shim_counts.allocs, 0);
			assert_int_equal(shim_counts.pages, 0);
			assert_int_equal(shim_counts.maps, 0);
			assert_int_equal(shim_counts.coherent, 0);
			assert_int_equal(shim_counts.ioremaps, 0);
			assert_int_equal(shim_counts.hosts, 0);
			assert_int_equal(shim_counts.sdevs, 0);
			assert_int_equal(shim_counts.workqueues, workqueues);
		}
		assert_in_range(n, 30, 400);
	}
	assert_true(works > 5);
}

#define scsi_test(f)	cmocka_unit_test_setup_teardown(f, scsi_setup, scsi_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		scsi_test(read_and_write),
		scsi_test(host_and_features),
		scsi_test(luns),
		scsi_test(sparse_luns),
		scsi_test(responses),
		scsi_test(statuses),
		scsi_test(sense),
		scsi_test(residuals),
		scsi_test(used_lengths),
		scsi_test(cdbs),
		scsi_test(segment_limits),
		scsi_test(config_limits),
		scsi_test(useless_devices),
		scsi_test(sizes),
		scsi_test(back_pressure),
		scsi_test(mapping_failures),
		scsi_test(queue_depth),
		scsi_test(many_queues),
		scsi_test(lun_stays_on_its_queue),
		scsi_test(fewer_vectors),
		scsi_test(kicks_and_interrupts),
		scsi_test(hot_plug),
		scsi_test(whole_targets),
		scsi_test(many_luns),
		scsi_test(missed_events),
		scsi_test(rescan_of_the_faulty),
		scsi_test(changes),
		scsi_test(garbage_events),
		scsi_test(event_sizes),
		scsi_test(aborts),
		scsi_test(stalled_for_good),
		scsi_test(escalation),
		scsi_test(recovery_ends),
		scsi_test(late_completions),
		scsi_test(answers_at_last),
		scsi_test(more_time),
		scsi_test(resets_by_hand),
		scsi_test(events_and_resets),
		scsi_test(event_in_recovery),
		scsi_test(no_comeback),
		scsi_test(broken),
		scsi_test(broken_in_recovery),
		scsi_test(surprise_removal),
		scsi_test(gone_by_interrupt),
		scsi_test(busy_removal),
		scsi_test(removal_in_recovery),
		scsi_test(slow_removal),
		scsi_test(removal_in_scan),
		scsi_test(removal_with_events),
		scsi_test(shutdown),
		scsi_test(sleeps),
		scsi_test(does_not_wake),
		scsi_test(two_controllers),
		scsi_test(failures),
	};

	return cmocka_run_group_tests_name("scsi", tests, NULL, NULL);
}
