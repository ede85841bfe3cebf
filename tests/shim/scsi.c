// SPDX-License-Identifier: GPL-2.0
/*
 * A model of the SCSI mid-layer, as far as a host's driver notices: commands
 * that wait until there is room for them, tries and timeouts, the scan, and an
 * error handler that goes from abort to host reset. What it does not forgive:
 * a command that is given back twice, or that error recovery succeeds for while
 * the driver has it still.
 */
#include <shim/shim.h>
#include <shim/scsi.h>

LIST_HEAD(shim_hosts);
bool shim_async_scan;
static unsigned int shim_order, next_host_no;

/* 2.6.32 does not count how often a command was reset. */
#define RESETS_MAX	1000
#define EH_TIMEOUT_MS	10000
#define CMD_TIMEOUT_MS	30000
#define BUSY_MS		3
#define SCAN_MS		5

static void run_host(struct Scsi_Host *shost);

/* Devices */

static bool online(const struct scsi_device *sdev)
{
	return sdev->sdev_state != SDEV_DEL && sdev->sdev_state != SDEV_OFFLINE;
}

static void sdev_put(struct scsi_device *sdev)
{
	BUG_ON(!sdev->refs);
	if (--sdev->refs)
		return;
	BUG_ON(sdev->busy || !list_empty(&sdev->pending));
	list_del(&sdev->siblings);
	free(sdev->request_queue);
	free(sdev);
	shim_counts.sdevs--;
}

int scsi_device_get(struct scsi_device *sdev)
{
	if (sdev->sdev_state == SDEV_DEL || sdev->sdev_state == SDEV_CANCEL)
		return -ENXIO;
	sdev->refs++;
	return 0;
}

void scsi_device_put(struct scsi_device *sdev)
{
	sdev_put(sdev);
}

struct scsi_device *__scsi_iterate_devices(struct Scsi_Host *shost,
					   struct scsi_device *prev)
{
	struct list_head *at = prev ? &prev->siblings : &shost->devices;
	struct scsi_device *next = NULL;

	for (at = at->next; at != &shost->devices; at = at->next) {
		next = list_entry(at, struct scsi_device, siblings);
		if (!scsi_device_get(next))
			break;
		next = NULL;
	}
	if (prev)
		scsi_device_put(prev);
	return next;
}

/* Commands */

static struct scsi_cmnd *sc_alloc(struct shim_cmd *cmd)
{
	unsigned int i, left = cmd->len, size = sizeof(struct scsi_cmnd);
	struct scsi_cmnd *sc;

#ifdef COMPAT_HAVE_SCSI_DONE
	size += cmd->sdev->host->hostt->cmd_size;
#endif
	sc = calloc(1, size);
#ifndef COMPAT_HAVE_SCSI_DONE
	sc->request = &sc->rq;
	sc->rq.cmd_type = REQ_TYPE_FS;
#endif
	sc->device = cmd->sdev;
	sc->shim = cmd;
	sc->cmnd = malloc(cmd->cdb_len);
	memcpy(sc->cmnd, cmd->cdb, cmd->cdb_len);
	sc->cmd_len = cmd->cdb_len;
	sc->sc_data_direction = cmd->dir;
	sc->underflow = cmd->underflow;
	sc->sense_buffer = calloc(1, SCSI_SENSE_BUFFERSIZE);
	sc->sdb.length = cmd->len;
	sc->sdb.table.nents = cmd->num_segs;
	if (cmd->num_segs) {
		sc->sdb.table.sgl = calloc(cmd->num_segs,
					   sizeof(struct scatterlist));
		sg_init_table(sc->sdb.table.sgl, cmd->num_segs);
		for (i = 0; i < cmd->num_segs; i++, left -= cmd->seg)
			sg_set_buf(&sc->sdb.table.sgl[i], cmd->buf[i],
				   min(left, cmd->seg));
	}
	cmd->sdev->refs++;
	return sc;
}

static void sc_end(struct scsi_cmnd *sc, int result)
{
	struct shim_cmd *cmd = sc->shim;

	if (cmd->ended++)
		SHIM_BUG("a command ended twice");
	BUG_ON(sc->sdb.resid < 0 || (unsigned int)sc->sdb.resid > cmd->len);
	cmd->result = result;
	cmd->resid = sc->sdb.resid;
	cmd->order = shim_order++;
	memcpy(cmd->sense, sc->sense_buffer, SCSI_SENSE_BUFFERSIZE);
	complete(&cmd->done);
	sdev_put(sc->device);
	free(sc->sdb.table.sgl);
	free(sc->sense_buffer);
	free(sc->cmnd);
	free(sc);
}

/* The driver has it no more. */
static void unbusy(struct scsi_cmnd *sc)
{
	struct Scsi_Host *shost = sc->device->host;

	BUG_ON(!shost->busy || !sc->device->busy || !shost->busy_hwq[sc->hwq]);
	shost->busy--;
	shost->busy_hwq[sc->hwq]--;
	sc->device->busy--;
}

static void try_again(struct scsi_cmnd *sc)
{
	list_add(&sc->list, &sc->device->pending);
}

/*
 * Not while a person has something reset: here, the one who comes second could
 * not wait for the first.
 */
static bool eh_may_run(struct Scsi_Host *shost)
{
	return !shost->eh_running && !shost->tmf_in_progress &&
	       shost->failed && shost->failed == shost->busy;
}

static void wake_eh(struct Scsi_Host *shost)
{
	if (eh_may_run(shost))
		schedule_delayed_work(&shost->eh_work, 0);
}

/* False: it is too late for that, the host is as good as gone. */
static bool enter_recovery(struct Scsi_Host *shost)
{
	if (shost->shost_state == SHOST_RUNNING)
		shost->shost_state = SHOST_RECOVERY;
	if (shost->shost_state == SHOST_CANCEL)
		shost->shost_state = SHOST_CANCEL_RECOVERY;
	return shost->shost_state == SHOST_RECOVERY ||
	       shost->shost_state == SHOST_CANCEL_RECOVERY;
}

static void leave_recovery(struct Scsi_Host *shost)
{
	switch (shost->shost_state) {
	case SHOST_RECOVERY:
		shost->shost_state = SHOST_RUNNING;
		break;
	case SHOST_CANCEL_RECOVERY:
		shost->shost_state = SHOST_CANCEL;
		break;
	case SHOST_DEL_RECOVERY:
		shost->shost_state = SHOST_DEL;
		break;
	default:
		SHIM_BUG("the host is in no recovery");
	}
}

static void timer_fires(unsigned long data)
{
	struct scsi_cmnd *sc = (void *)data;
	struct Scsi_Host *shost = sc->device->host;
	enum blk_eh_timer_return what;
	unsigned long flags;

	local_irq_save(flags);
	what = shost->hostt->eh_timed_out(sc);
	local_irq_restore(flags);
	if (what == BLK_EH_RESET_TIMER) {
		mod_timer(&sc->timer, jiffies + sc->device->timeout_ms);
		return;
	}
	BUG_ON(what);
	sc->timed_out = true;
	list_add_tail(&sc->list, &shost->eh_cmd_q);
	shost->failed++;
	if (!enter_recovery(shost))
		SHIM_BUG("a command is ended without an error handler, and the driver has it");
	wake_eh(shost);
}

/* Any context, any lock of the driver held. */
static void cmd_done(struct scsi_cmnd *sc)
{
	struct Scsi_Host *shost = sc->device->host;

	if (!sc->with_driver)
		SHIM_BUG("a command was given back twice");
	sc->with_driver = false;
	/* Too late: the error handler has it. */
	if (sc->timed_out)
		return;
	del_timer(&sc->timer);
	list_add_tail(&sc->list, &shost->done);
	tasklet_schedule(&shost->tasklet);
}

static void eh_cmd_done(struct scsi_cmnd *sc)
{
	if (!sc->with_driver)
		SHIM_BUG("a command was given back twice");
	sc->with_driver = false;
	complete(sc->eh_done);
}

#ifdef COMPAT_HAVE_SCSI_DONE
void scsi_done(struct scsi_cmnd *sc)
{
	if (sc->eh_done)
		eh_cmd_done(sc);
	else
		cmd_done(sc);
}

static int queuecommand(struct scsi_cmnd *sc, bool last)
{
	struct Scsi_Host *shost = sc->device->host;

	sc->flags = last ? SCMD_LAST : 0;
	return shost->hostt->queuecommand(shost, sc);
}
#else
static int queuecommand(struct scsi_cmnd *sc, bool last)
{
	struct Scsi_Host *shost = sc->device->host;
	unsigned long flags;
	int busy;

	spin_lock_irqsave(shost->host_lock, flags);
	busy = shost->hostt->queuecommand(sc, sc->eh_done ? eh_cmd_done :
					  cmd_done);
	spin_unlock_irqrestore(shost->host_lock, flags);
	return busy;
}
#endif

/* Is there room for one more, and where? */
static bool has_room(struct Scsi_Host *shost, unsigned int *hwq)
{
#ifdef COMPAT_HAVE_SCSI_DONE
	*hwq = shim_cpu % shost->nr_hw_queues;
#else
	*hwq = 0;
#endif
	return shost->busy_hwq[*hwq] < shost->can_queue;
}

/* False: nothing to do, or no room. */
static bool dispatch(struct scsi_device *sdev, bool *last)
{
	struct Scsi_Host *shost = sdev->host;
	struct scsi_cmnd *sc;
	unsigned int hwq;

	if (list_empty(&sdev->pending) || scsi_host_in_recovery(shost))
		return false;
	sc = list_first_entry(&sdev->pending, struct scsi_cmnd, list);
	if (!online(sdev)) {
		list_del(&sc->list);
		sc_end(sc, DID_NO_CONNECT << 16);
		return true;
	}
	if (shost->blocked || sdev->busy >= sdev->queue_depth ||
	    !has_room(shost, &hwq))
		return false;

	list_del(&sc->list);
	*last = list_empty(&sdev->pending);
	sc->hwq = hwq;
	sc->with_driver = true;
	sc->timed_out = false;
	shost->busy++;
	shost->busy_hwq[hwq]++;
	sdev->busy++;
	setup_timer(&sc->timer, timer_fires, (unsigned long)sc);
	mod_timer(&sc->timer, jiffies + sdev->timeout_ms);
	BUG_ON(sc->cmd_len > shost->max_cmd_len);
	BUG_ON(sc->sdb.table.nents > shost->sg_tablesize);
	BUG_ON(sc->sdb.length > shost->max_sectors * 512);
	if (!queuecommand(sc, *last))
		return true;

	/* No room after all: it is the first one again. */
	BUG_ON(!sc->with_driver);
	sc->with_driver = false;
	del_timer(&sc->timer);
	unbusy(sc);
	try_again(sc);
	shost->blocked = true;
	schedule_delayed_work(&shost->run_work, BUSY_MS);
	wake_eh(shost);
	return false;
}

#ifdef COMPAT_HAVE_SCSI_DONE
static void run_sdev(struct scsi_device *sdev)
{
	bool last = true;

	while (dispatch(sdev, &last))
		;
	if (!last)
		sdev->host->hostt->commit_rqs(sdev->host, shim_cpu %
					      sdev->host->nr_hw_queues);
}
#else
/* The lock is not held while a command is submitted. */
static void request_fn(struct request_queue *q)
{
	struct scsi_device *sdev = q->queuedata;
	bool more, last;

	BUG_ON(!q->queue_lock->locked);
	do {
		spin_unlock_irq(q->queue_lock);
		more = dispatch(sdev, &last);
		spin_lock_irq(q->queue_lock);
	} while (more);
}

static void run_sdev(struct scsi_device *sdev)
{
	struct request_queue *q = sdev->request_queue;

	spin_lock_irq(q->queue_lock);
	q->request_fn(q);
	spin_unlock_irq(q->queue_lock);
}
#endif

/* The driver sees it for the last time. */
static void sdev_destroy(struct scsi_device *sdev)
{
	struct scsi_host_template *hostt = sdev->host->hostt;

	sdev->sdev_state = SDEV_DEL;
	if (hostt->slave_destroy)
		hostt->slave_destroy(sdev);
#ifndef COMPAT_HAVE_SCSI_DONE
	if (sdev->request_queue->request_fn != request_fn)
		SHIM_BUG("a queue is left with a function of the driver");
#endif
}

static void run_host(struct Scsi_Host *shost)
{
	struct scsi_device *sdev, *next;

	if (shost->running)
		return;
	shost->running = true;
	for (sdev = list_entry(shost->devices.next, struct scsi_device, siblings);
	     &sdev->siblings != &shost->devices; sdev = next) {
		sdev->refs++;
		run_sdev(sdev);
		next = list_entry(sdev->siblings.next, struct scsi_device,
				  siblings);
		sdev_put(sdev);
	}
	shost->running = false;
}

static void run_work(struct work_struct *work)
{
	struct Scsi_Host *shost = container_of(work, struct Scsi_Host,
					       run_work.work);

	shost->blocked = false;
	run_host(shost);
}

static void queue_full(struct scsi_device *sdev)
{
	struct scsi_host_template *hostt = sdev->host->hostt;

#ifdef COMPAT_HAVE_SCSI_DONE
	if (hostt->track_queue_depth)
		scsi_track_queue_full(sdev, sdev->queue_depth - 1);
#else
	hostt->change_queue_depth(sdev, sdev->queue_depth - 1,
				  SCSI_QDEPTH_QFULL);
#endif
}

/* True: once more. */
static bool wants_retry(struct scsi_cmnd *sc)
{
	switch (host_byte(sc->result)) {
	case DID_OK:
		if (sc->result == SAM_STAT_TASK_SET_FULL)
			queue_full(sc->device);
		return sc->result == SAM_STAT_TASK_SET_FULL ||
		       sc->result == SAM_STAT_BUSY;
	case DID_RESET:
		if (++sc->retries > RESETS_MAX)
			SHIM_BUG("a command is reset without end");
		return true;
	case DID_BUS_BUSY:
	case DID_ERROR:
	case DID_SOFT_ERROR:
	case DID_TRANSPORT_DISRUPTED:
		return ++sc->retries <= sc->shim->allowed;
	case DID_TIME_OUT:
		SHIM_BUG("a command that did not time out says that it did");
		return false;
	default:
		return false;
	}
}

static void host_tasklet(unsigned long data)
{
	struct Scsi_Host *shost = (void *)data;
	struct scsi_cmnd *sc;
	LIST_HEAD(done);

	list_splice_init(&shost->done, &done);
	while (!list_empty(&done)) {
		sc = list_first_entry(&done, struct scsi_cmnd, list);
		list_del(&sc->list);
		sc->device->iodone_cnt.counter++;
		unbusy(sc);
		shost->blocked = false;
		if (wants_retry(sc)) {
			try_again(sc);
			if (!host_byte(sc->result)) {
				/* Not at once: the device is busy. */
				shost->blocked = true;
				schedule_delayed_work(&shost->run_work, BUSY_MS);
			}
		} else {
			sc_end(sc, sc->result);
		}
	}
	wake_eh(shost);
	run_host(shost);
}

/* The error handler */

static int eh_step(struct scsi_cmnd *sc, unsigned int step)
{
	struct scsi_host_template *hostt = sc->device->host->hostt;
	int (*handlers[])(struct scsi_cmnd *sc) = {
		hostt->eh_abort_handler, hostt->eh_device_reset_handler,
		hostt->eh_target_reset_handler, hostt->eh_host_reset_handler,
	};
	int ret = handlers[step](sc);

	BUG_ON(ret != SUCCESS && ret != FAILED);
	if (step == 3 && ret == FAILED)
		SHIM_BUG("the last step of error recovery has failed");
	if (ret == SUCCESS)
		sc->device->host->resets[step]++;
	return ret;
}

static bool concerns(unsigned int step, const struct scsi_cmnd *sc,
		     const struct scsi_cmnd *other)
{
	switch (step) {
	case 0:
		return sc == other;
	case 1:
		return sc->device == other->device;
	case 2:
		return sc->device->id == other->device->id;
	default:
		return true;
	}
}

/* TEST UNIT READY, with the command itself, as the mid-layer does it. */
static bool eh_tur_once(struct scsi_cmnd *sc)
{
	u8 tur[6] = { TEST_UNIT_READY }, *cdb = sc->cmnd;
	struct scsi_data_buffer sdb = sc->sdb;
	enum dma_data_direction dir = sc->sc_data_direction;
	unsigned int step, cdb_len = sc->cmd_len, underflow = sc->underflow;
	int tries = 100, result = sc->result, ret;
	struct completion done;

	init_completion(&done);
	sc->cmnd = tur;
	sc->cmd_len = sizeof(tur);
	memset(&sc->sdb, 0, sizeof(sc->sdb));
	sc->sc_data_direction = DMA_NONE;
	sc->underflow = 0;
	sc->eh_done = &done;
	sc->with_driver = true;
	while (queuecommand(sc, true) && --tries)
		msleep(100);
	if (!tries) {
		sc->with_driver = false;
		ret = -EBUSY;
	} else if (wait_for_completion_timeout(&done, EH_TIMEOUT_MS)) {
		ret = sc->result;
	} else {
		for (step = 0; eh_step(sc, step) != SUCCESS; step++)
			;
		ret = -ETIMEDOUT;
	}
	if (sc->with_driver)
		SHIM_BUG("error recovery is done, and the driver has its command");
	sc->eh_done = NULL;
	sc->cmnd = cdb;
	sc->cmd_len = cdb_len;
	sc->sdb = sdb;
	sc->sc_data_direction = dir;
	sc->underflow = underflow;
	sc->result = result;
	return !ret;
}

static bool eh_tur(struct scsi_cmnd *sc)
{
	/* The first one may tell of a reset. */
	return eh_tur_once(sc) || eh_tur_once(sc);
}

/* EL6, since 2.6.32-431.29.2: sd counts every command whose disk is ready again. */
static void eh_action(struct scsi_cmnd *sc)
{
#ifndef COMPAT_HAVE_SCSI_DONE
	if (sc->rq.cmd_type == REQ_TYPE_FS &&
	    host_byte(sc->result) == DID_TIME_OUT &&
	    ++sc->device->timeouts > 1)
		SHIM_BUG("sd takes a disk offline: two of its commands say in one recovery that they timed out");
#endif
}

/* One step for all that need it; what it has helped gets on @fine. */
static void eh_try(struct list_head *bad, struct list_head *fine,
		   unsigned int step)
{
	struct scsi_cmnd *sc, *other, *next;
	LIST_HEAD(left);

	while (!list_empty(bad)) {
		bool helped = false;

		sc = list_first_entry(bad, struct scsi_cmnd, list);
		if (eh_step(sc, step) == SUCCESS) {
			list_for_each_entry(other, bad, list)
				if (concerns(step, sc, other) &&
				    other->with_driver)
					SHIM_BUG("step %u of error recovery succeeds, and the driver has a command still",
						 step);
			helped = eh_tur(sc);
		}
		list_for_each_entry_safe(other, next, bad, list) {
			if (!concerns(step, sc, other))
				continue;
			list_del(&other->list);
			list_add_tail(&other->list, helped ? fine : &left);
			if (helped)
				eh_action(other);
		}
	}
	list_splice_init(&left, bad);
}

static void eh_finish(struct scsi_cmnd *sc)
{
	struct Scsi_Host *shost = sc->device->host;

	BUG_ON(sc->with_driver);
	unbusy(sc);
	shost->failed--;
	sc->device->iodone_cnt.counter++;
	if (online(sc->device) && ++sc->retries <= sc->shim->allowed)
		try_again(sc);
	/* Third party reset, it takes it for, whatever it has done itself. */
	else if (host_byte(sc->result) == DID_RESET)
		SHIM_BUG("a command that has timed out was reset: it is tried without end");
	else
		sc_end(sc, sc->result ? sc->result : DID_TIME_OUT << 16);
}

static void eh_work(struct work_struct *work)
{
	struct Scsi_Host *shost = container_of(work, struct Scsi_Host,
					       eh_work.work);
	unsigned int step;
	struct scsi_device *sdev;
	struct scsi_cmnd *sc;
	LIST_HEAD(bad);
	LIST_HEAD(fine);

	if (!eh_may_run(shost))
		return;
	if (shim_mutex_held()) {
		schedule_delayed_work(&shost->eh_work, 1);
		return;
	}
	shost->eh_running = true;
	list_for_each_entry(sdev, &shost->devices, siblings)
		sdev->timeouts = 0;
	list_splice_init(&shost->eh_cmd_q, &bad);
	for (step = 0; step < 4; step++)
		eh_try(&bad, &fine, step);
	while (!list_empty(&bad)) {
		sc = list_first_entry(&bad, struct scsi_cmnd, list);
		list_del(&sc->list);
		list_add_tail(&sc->list, &fine);
		if (online(sc->device))
			sc->device->sdev_state = SDEV_OFFLINE;
	}
	while (!list_empty(&fine)) {
		sc = list_first_entry(&fine, struct scsi_cmnd, list);
		list_del(&sc->list);
		eh_finish(sc);
	}
	shost->eh_running = false;
	leave_recovery(shost);
	run_host(shost);
}

/* Sending something, and waiting for it */

struct shim_cmd *shim_cmd_new(struct scsi_device *sdev, u8 opcode,
			      enum dma_data_direction dir, unsigned int len,
			      unsigned int seg)
{
	struct shim_cmd *cmd = calloc(1, sizeof(*cmd));
	unsigned int i;

	cmd->sdev = sdev;
	cmd->cdb[0] = opcode;
	cmd->cdb_len = opcode < 0x20 ? 6 : opcode < 0x80 ? 10 : 12;
	cmd->dir = len ? dir : DMA_NONE;
	cmd->len = len;
	cmd->seg = seg;
	cmd->num_segs = len ? DIV_ROUND_UP(len, seg) : 0;
	cmd->buf = calloc(cmd->num_segs + 1, sizeof(*cmd->buf));
	for (i = 0; i < cmd->num_segs; i++) {
		cmd->buf[i] = malloc(min(seg, len - i * seg));
		memset(cmd->buf[i], 0x5a, min(seg, len - i * seg));
	}
	init_completion(&cmd->done);
	return cmd;
}

struct shim_cmd *shim_rw_new(struct scsi_device *sdev, bool write,
			     unsigned int block, unsigned int len,
			     unsigned int seg)
{
	struct shim_cmd *cmd = shim_cmd_new(sdev, write ? WRITE_10 : READ_10,
					    write ? DMA_TO_DEVICE :
					    DMA_FROM_DEVICE, len, seg);

	cmd->cdb[2] = block >> 24;
	cmd->cdb[3] = block >> 16;
	cmd->cdb[4] = block >> 8;
	cmd->cdb[5] = block;
	cmd->cdb[7] = len / 512 >> 8;
	cmd->cdb[8] = len / 512;
	cmd->underflow = len;
	cmd->allowed = 5;
	return cmd;
}

void shim_cmd_submit(struct shim_cmd *cmd)
{
	struct scsi_cmnd *sc = sc_alloc(cmd);

	list_add_tail(&sc->list, &cmd->sdev->pending);
	run_host(cmd->sdev->host);
}

int shim_cmd_free(struct shim_cmd *cmd)
{
	int result = cmd->result;
	unsigned int i;

	if (cmd->ended != 1)
		SHIM_BUG("a command never ended");
	for (i = 0; i < cmd->num_segs; i++)
		free(cmd->buf[i]);
	free(cmd->buf);
	free(cmd);
	return result;
}

int scsi_execute_req(struct scsi_device *sdev, const unsigned char *cdb,
		     int dir, void *buf, unsigned int len, void *sshdr,
		     int timeout, int retries, int *resid)
{
	struct shim_cmd *cmd;

	might_sleep();
	cmd = shim_cmd_new(sdev, cdb[0], dir, len, max(len, 1u));
	memcpy(cmd->cdb, cdb, cmd->cdb_len);
	cmd->allowed = retries;
	shim_cmd_submit(cmd);
	wait_for_completion(&cmd->done);
	if (len && dir == DMA_FROM_DEVICE)
		memcpy(buf, cmd->buf[0], len);
	return shim_cmd_free(cmd);
}

/* The scan */

static struct scsi_device *find(struct Scsi_Host *shost, unsigned int id,
				u64 lun, bool all)
{
	struct scsi_device *sdev;

	list_for_each_entry(sdev, &shost->devices, siblings)
		if (sdev->id == id && sdev->lun == lun && online(sdev) &&
		    (all || sdev->sdev_state == SDEV_RUNNING))
			return sdev;
	return NULL;
}

static struct scsi_device *sdev_alloc(struct Scsi_Host *shost, unsigned int id,
				      u64 lun)
{
	struct scsi_device *sdev = calloc(1, sizeof(*sdev));

	sdev->host = shost;
	sdev->id = id;
	sdev->lun = lun;
	sdev->refs = 1;
	sdev->sdev_state = SDEV_CREATED;
	sdev->queue_depth = shost->cmd_per_lun;
	sdev->timeout_ms = CMD_TIMEOUT_MS;
	sdev->request_queue = calloc(1, sizeof(*sdev->request_queue));
	sdev->request_queue->queuedata = sdev;
#ifndef COMPAT_HAVE_SCSI_DONE
	spin_lock_init(&sdev->request_queue->lock);
	sdev->request_queue->queue_lock = &sdev->request_queue->lock;
	sdev->request_queue->request_fn = request_fn;
	sdev->request_queue->unplug_thresh = 4;
#endif
	INIT_LIST_HEAD(&sdev->pending);
	list_add_tail(&sdev->siblings, &shost->devices);
	shim_counts.sdevs++;
	if (shost->hostt->slave_alloc && shost->hostt->slave_alloc(sdev)) {
		sdev_put(sdev);
		return NULL;
	}
	return sdev;
}

static void sdev_drop(struct scsi_device *sdev)
{
	sdev_destroy(sdev);
	run_sdev(sdev);
	sdev_put(sdev);
}

enum found { NO_TARGET, NO_LUN, LUN };

static enum found probe(struct Scsi_Host *shost, unsigned int id, u64 lun)
{
	static const u8 cdb[6] = { INQUIRY, 0, 0, 0, 36, 0 };
	struct scsi_device *sdev = find(shost, id, lun, true);
	u8 data[36];

	if (sdev)
		return LUN;
	sdev = sdev_alloc(shost, id, lun);
	if (!sdev)
		return NO_TARGET;
	if (scsi_execute_req(sdev, cdb, DMA_FROM_DEVICE, data, sizeof(data),
			     NULL, 20 * HZ, 3, NULL)) {
		sdev_drop(sdev);
		return NO_TARGET;
	}
	if (data[0] >> 5 == SCSI_INQ_PQ_NOT_CAP) {
		sdev_drop(sdev);
		return NO_LUN;
	}
	sdev->inq_periph_qual = data[0] >> 5;
	if (shost->hostt->slave_configure)
		BUG_ON(shost->hostt->slave_configure(sdev));
	sdev->sdev_state = SDEV_RUNNING;
	return LUN;
}

static void report_luns(struct Scsi_Host *shost, unsigned int id)
{
	static const u8 cdb[12] = { REPORT_LUNS, [8] = 8 };
	struct scsi_device *sdev = find(shost, id, 0, true), *made = NULL;
	unsigned int i, n, lun;
	u8 data[2048];

	if (!sdev)
		sdev = made = sdev_alloc(shost, id, 0);
	if (!sdev)
		return;
	memset(data, 0, sizeof(data));
	n = 0;
	if (!scsi_execute_req(sdev, cdb, DMA_FROM_DEVICE, data, sizeof(data),
			      NULL, 30 * HZ, 3, NULL))
		n = (data[2] << 8 | data[3]) / 8;
	if (made)
		sdev_drop(made);
	for (i = 1; i <= n && i < sizeof(data) / 8; i++) {
		lun = data[8 * i] << 8 | data[8 * i + 1];
		if (lun <= shost->max_lun)
			probe(shost, id, lun);
	}
}

static bool scan_allowed(struct Scsi_Host *shost)
{
#ifdef COMPAT_HAVE_SCSI_DONE
	if (shost->shost_state == SHOST_RECOVERY)
		return true;
#endif
	return shost->shost_state == SHOST_RUNNING;
}

static void scan_target(struct Scsi_Host *shost, unsigned int id, u64 lun)
{
	might_sleep();
	if (!scan_allowed(shost) || id == (unsigned int)shost->this_id)
		return;
	if (lun != (typeof(shost->max_lun))SCAN_WILD_CARD)
		probe(shost, id, lun);
	else if (probe(shost, id, 0) != NO_TARGET)
		report_luns(shost, id);
}

static struct Scsi_Host *host_of(struct device *dev)
{
	return container_of(dev, struct Scsi_Host, shost_gendev);
}

#ifdef COMPAT_HAVE_SCSI_DONE
void scsi_scan_target(struct device *parent, unsigned int channel,
		      unsigned int id, u64 lun, enum scsi_scan_mode rescan)
#else
void scsi_scan_target(struct device *parent, unsigned int channel,
		      unsigned int id, unsigned int lun, int rescan)
#endif
{
	BUG_ON(channel || rescan != 1);
	scan_target(host_of(parent), id, lun);
}

static void scan_work(struct work_struct *work)
{
	struct Scsi_Host *shost = container_of(work, struct Scsi_Host,
					       scan_work.work);
	unsigned int id;

	/* Whoever has it could not wait for what it is sent. */
	if (shim_mutex_held()) {
		schedule_delayed_work(&shost->scan_work, 1);
		return;
	}
	for (id = 0; id < shost->max_id; id++)
		scan_target(shost, id, (typeof(shost->max_lun))SCAN_WILD_CARD);
	shost->async_scan = 0;
}

void scsi_scan_host(struct Scsi_Host *shost)
{
	might_sleep();
	shost->async_scan = 1;
	if (shim_async_scan)
		schedule_delayed_work(&shost->scan_work, SCAN_MS);
	else
		scan_work(&shost->scan_work.work);
}

void scsi_remove_device(struct scsi_device *sdev)
{
	static const u8 cdb[10] = { SYNCHRONIZE_CACHE };

	might_sleep();
	/* One that is looked at: the scan mutex is not ours. */
	if (sdev->sdev_state == SDEV_CREATED ||
	    sdev->sdev_state == SDEV_CANCEL || sdev->sdev_state == SDEV_DEL)
		return;
	if (online(sdev)) {
		sdev->sdev_state = SDEV_CANCEL;
		scsi_execute_req(sdev, cdb, DMA_NONE, NULL, 0, NULL, 60 * HZ,
				 3, NULL);
	}
	sdev_destroy(sdev);
	sdev->refs++;
	run_host(sdev->host);
#ifdef COMPAT_HAVE_SCSI_DONE
	/* 6.1 waits for what is with the driver. */
	while (sdev->busy || !list_empty(&sdev->pending))
		msleep(10);
#endif
	sdev_put(sdev);
	sdev_put(sdev);
}

#ifdef COMPAT_HAVE_SCSI_RESCAN_DEVICE_SDEV
int scsi_rescan_device(struct scsi_device *sdev)
{
	might_sleep();
	sdev->rescans++;
	return 0;
}
#else
void scsi_rescan_device(struct device *dev)
{
	might_sleep();
	container_of(dev, struct scsi_device, sdev_gendev)->rescans++;
}
#endif

/* Depth */

int scsi_track_queue_full(struct scsi_device *sdev, int depth)
{
	sdev->queue_fulls++;
	if (depth > 0)
		sdev->queue_depth = depth;
	return depth;
}

#ifdef COMPAT_HAVE_SCSI_DONE
int scsi_change_queue_depth(struct scsi_device *sdev, int depth)
{
	if (depth > 0)
		sdev->queue_depth = depth;
	return sdev->queue_depth;
}
#else
void scsi_adjust_queue_depth(struct scsi_device *sdev, int tagged, int tags)
{
	if (tags > 0)
		sdev->queue_depth = tags;
}
#endif

int shim_set_depth(struct scsi_device *sdev, int depth)
{
#ifdef COMPAT_HAVE_SCSI_DONE
	return sdev->host->hostt->change_queue_depth(sdev, depth);
#else
	return sdev->host->hostt->change_queue_depth(sdev, depth,
						     SCSI_QDEPTH_DEFAULT);
#endif
}

/* Hosts */

struct Scsi_Host *scsi_host_alloc(struct scsi_host_template *hostt, int size)
{
	struct Scsi_Host *shost;

	might_sleep();
	if (shim_fail(FAIL_SCSI))
		return NULL;
	shost = calloc(1, sizeof(*shost) + size);
	shim_counts.hosts++;
	spin_lock_init(&shost->default_lock);
	shost->host_lock = &shost->default_lock;
	shost->hostt = hostt;
	shost->host_no = next_host_no++;
	shost->max_id = 8;
	shost->max_lun = 8;
	shost->max_cmd_len = 12;
	shost->this_id = hostt->this_id;
	shost->shost_state = SHOST_CREATED;
	INIT_LIST_HEAD(&shost->list);
	INIT_LIST_HEAD(&shost->devices);
	INIT_LIST_HEAD(&shost->done);
	INIT_LIST_HEAD(&shost->eh_cmd_q);
	tasklet_init(&shost->tasklet, host_tasklet, (unsigned long)shost);
	INIT_DELAYED_WORK(&shost->run_work, run_work);
	INIT_DELAYED_WORK(&shost->eh_work, eh_work);
	INIT_DELAYED_WORK(&shost->scan_work, scan_work);
	return shost;
}

int scsi_add_host_with_dma(struct Scsi_Host *shost, struct device *dev,
			   struct device *dma_dev)
{
	might_sleep();
	BUG_ON(shost->can_queue <= 0 || shost->cmd_per_lun <= 0);
	BUG_ON(!shost->sg_tablesize || !shost->max_sectors || !shost->max_id);
	BUG_ON(shost->max_sectors < PAGE_SIZE / 512);
	BUG_ON(shost->hostt->dma_boundary != UINT_MAX);
#ifdef COMPAT_HAVE_SCSI_DONE
	BUG_ON(!shost->nr_hw_queues ||
	       shost->nr_hw_queues > ARRAY_SIZE(shost->busy_hwq));
#else
	BUG_ON(!shost->hostt->use_clustering);
	BUG_ON(!shost->hostt->slave_configure);
#endif
	BUG_ON(!dev || !dma_dev);
	if (shim_fail(FAIL_SCSI))
		return -ENOMEM;
	shost->shost_gendev.parent = dev;
	shost->shost_state = SHOST_RUNNING;
	list_add_tail(&shost->list, &shim_hosts);
	return 0;
}

void scsi_remove_host(struct Scsi_Host *shost)
{
	struct scsi_device *sdev;

	might_sleep();
	BUG_ON(list_empty(&shost->list));
	shost->shost_state = shost->shost_state == SHOST_RECOVERY ?
			     SHOST_CANCEL_RECOVERY : SHOST_CANCEL;
again:
	list_for_each_entry(sdev, &shost->devices, siblings) {
		if (sdev->sdev_state == SDEV_CREATED ||
		    sdev->sdev_state == SDEV_DEL)
			continue;
		scsi_remove_device(sdev);
		goto again;
	}
#ifdef COMPAT_HAVE_SCSI_DONE
	while (shost->busy)
		msleep(10);
#endif
	shost->shost_state = shost->shost_state == SHOST_CANCEL_RECOVERY ?
			     SHOST_DEL_RECOVERY : SHOST_DEL;
	list_del_init(&shost->list);
}

void scsi_host_put(struct Scsi_Host *shost)
{
	might_sleep();
	BUG_ON(!list_empty(&shost->list));
	if (scsi_host_in_recovery(shost) || shost->async_scan)
		SHIM_BUG("the mid-layer's thread runs, and its driver goes");
	tasklet_kill(&shost->tasklet);
	cancel_delayed_work_sync(&shost->run_work);
	cancel_delayed_work_sync(&shost->eh_work);
	BUG_ON(shost->busy || !list_empty(&shost->devices));
	shim_counts.hosts--;
	free(shost);
}

/* What a person sees, and does */

struct Scsi_Host *shim_host(unsigned int n)
{
	struct Scsi_Host *shost;

	list_for_each_entry(shost, &shim_hosts, list)
		if (!n--)
			return shost;
	return NULL;
}

struct scsi_device *shim_sdev(unsigned int id, u64 lun)
{
	struct Scsi_Host *shost = shim_host(0);

	return shost ? find(shost, id, lun, false) : NULL;
}

unsigned int shim_num_sdevs(void)
{
	struct Scsi_Host *shost = shim_host(0);
	struct scsi_device *sdev;
	unsigned int n = 0;

	if (!shost)
		return 0;
	list_for_each_entry(sdev, &shost->devices, siblings)
		n += sdev->sdev_state == SDEV_RUNNING;
	return n;
}

void shim_scan(unsigned int id, u64 lun)
{
	struct Scsi_Host *shost = shim_host(0);

	if (id < shost->max_id && lun <= shost->max_lun)
		scan_target(shost, id, lun);
}

int shim_reset(struct scsi_device *sdev, unsigned int step)
{
	struct Scsi_Host *shost = sdev->host;
	struct scsi_cmnd sc;
	int ret;

	might_sleep();
	memset(&sc, 0, sizeof(sc));
	sc.device = sdev;
	sdev->refs++;
	shost->tmf_in_progress = 1;
	ret = eh_step(&sc, step);
	shost->tmf_in_progress = 0;
	wake_eh(shost);
	run_host(shost);
	sdev_put(sdev);
	return ret;
}
