// SPDX-License-Identifier: GPL-2.0
/*
 * A SCSI host as 6.1 has it, on 2.6.32. Part of the module of the one driver
 * that it serves; see <scsi/scsi_host.h>.
 *
 * A command has its slot, which holds the driver's data, from queuecommand()
 * until scsi_done(). There is one for each command that the host may have at a
 * time, so nothing is allocated when there is I/O.
 *
 * Hardware queues: the commands of a SCSI device stay on one queue as long as
 * any of them is with the driver, because queues overtake each other. Once
 * none is, the next one goes to the queue of the CPU that submits it.
 *
 * Series of commands: the mid-layer does not say which one is the last, but it
 * submits them in request_fn, and what is put in its place knows when that is
 * over. Then, and not for each of them, the driver tells its device.
 *
 * Locks: queue lock of the request queue, the driver's own, compat_scsi_host's.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/bitops.h>
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <scsi/scsi.h>
#include <scsi/scsi_cmnd.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>

#ifndef COMPAT_HAVE_SCSI_DONE
#undef scsi_host_alloc
#undef scsi_add_host_with_dma
#undef scsi_remove_host
#undef scsi_host_put

/*
 * Requests that are collected before a queue is run for their sake alone: see
 * COMPAT_MQ_UNPLUG. And commands after which the device is told in any case.
 */
#define COMPAT_SCSI_UNPLUG	32
#define COMPAT_SCSI_SERIES	32

/* In front of the driver's data of a command. */
struct compat_scsi_slot {
	struct list_head list;	/* while it is free */
	struct scsi_cmnd *cmd;
	void (*done)(struct scsi_cmnd *cmd);
	unsigned int hwq;
} ____cacheline_aligned;

/* In front of the driver's data of a host. */
struct compat_scsi_host {
	const struct compat_scsi_template *template;
	unsigned int nr_hw_queues;
	unsigned int num_slots;
	struct compat_scsi_slot **slots;
	spinlock_t lock;	/* of the next, and of scsi_device::hostdata */
	struct list_head free;
	unsigned int running;	/* how many request_fn are under way */
	unsigned int num_untold;
	DECLARE_BITMAP(untold, NR_CPUS);	/* hardware queues */
} ____cacheline_aligned;

/*
 * Which hardware queue a SCSI device is on, and how many commands keep it there.
 * And whether the error handler that is at work was told of a timeout.
 */
union compat_scsi_lun {
	void *hostdata;
	struct {
		u16 hwq : 15;
		u16 timed_out : 1;
		u16 in_flight;
	} on;
};

static compat_scsi_kernel_template compat_scsi_kernel;
static request_fn_proc *compat_scsi_kernel_request_fn;

static struct compat_scsi_host *compat_scsi_host_of(struct Scsi_Host *shost)
{
	return (struct compat_scsi_host *)ALIGN((unsigned long)shost->hostdata,
						__alignof__(struct compat_scsi_host));
}

static struct compat_scsi_slot *compat_scsi_slot_of(struct scsi_cmnd *cmd)
{
	return (struct compat_scsi_slot *)cmd->host_scribble;
}

/**
 * compat_shost_priv - shost_priv()
 * @shost:	the host
 *
 * The driver's data. Any context.
 */
void *compat_shost_priv(struct Scsi_Host *shost)
{
	return compat_scsi_host_of(shost) + 1;
}

/**
 * compat_scsi_cmd_priv - scsi_cmd_priv()
 * @cmd:	the command
 *
 * The driver's data; NULL when the command is not with the driver. Any context.
 */
void *compat_scsi_cmd_priv(struct scsi_cmnd *cmd)
{
	struct compat_scsi_slot *slot = compat_scsi_slot_of(cmd);

	return slot ? slot + 1 : NULL;
}

/**
 * compat_scsi_hw_queue - which hardware queue a command is for
 * @cmd:	the command; it is with the driver
 *
 * From 0 to what compat_scsi_set_hw_queues() was given, less 1. Any context.
 */
unsigned int compat_scsi_hw_queue(struct scsi_cmnd *cmd)
{
	return compat_scsi_slot_of(cmd)->hwq;
}

/* False if there is none: the host has more commands than it asked for. */
static bool compat_scsi_take_slot(struct compat_scsi_host *host,
				  struct scsi_cmnd *cmd,
				  void (*done)(struct scsi_cmnd *cmd))
{
	union compat_scsi_lun lun;
	struct compat_scsi_slot *slot;
	unsigned long flags;

	spin_lock_irqsave(&host->lock, flags);
	if (list_empty(&host->free)) {
		spin_unlock_irqrestore(&host->lock, flags);
		return false;
	}
	slot = list_first_entry(&host->free, struct compat_scsi_slot, list);
	list_del(&slot->list);

	lun.hostdata = cmd->device->hostdata;
	if (!lun.on.in_flight++)
		lun.on.hwq = smp_processor_id() % host->nr_hw_queues;
	if (!scsi_host_in_recovery(cmd->device->host))
		lun.on.timed_out = 0;
	cmd->device->hostdata = lun.hostdata;

	slot->cmd = cmd;
	slot->done = done;
	slot->hwq = lun.on.hwq;
	cmd->host_scribble = (void *)slot;
	spin_unlock_irqrestore(&host->lock, flags);
	return true;
}

static void compat_scsi_give_slot(struct compat_scsi_host *host,
				  struct scsi_cmnd *cmd)
{
	struct compat_scsi_slot *slot = compat_scsi_slot_of(cmd);
	union compat_scsi_lun lun;
	unsigned long flags;

	spin_lock_irqsave(&host->lock, flags);
	lun.hostdata = cmd->device->hostdata;
	lun.on.in_flight--;
	cmd->device->hostdata = lun.hostdata;

	cmd->host_scribble = NULL;
	slot->cmd = NULL;
	/* The one that is in the cache is the next one to be used. */
	list_add(&slot->list, &host->free);
	spin_unlock_irqrestore(&host->lock, flags);
}

/* Has the driver tell its device of what it has queued. */
static void compat_scsi_tell(struct Scsi_Host *shost)
{
	struct compat_scsi_host *host = compat_scsi_host_of(shost);
	unsigned long flags;
	unsigned int hwq;

	for (;;) {
		spin_lock_irqsave(&host->lock, flags);
		hwq = find_first_bit(host->untold, host->nr_hw_queues);
		if (hwq < host->nr_hw_queues)
			clear_bit(hwq, host->untold);
		host->num_untold = 0;
		spin_unlock_irqrestore(&host->lock, flags);
		if (hwq >= host->nr_hw_queues)
			return;
		host->template->commit_rqs(shost, hwq);
	}
}

/* A command was queued: somebody tells the device, at some point. */
static void compat_scsi_queued(struct Scsi_Host *shost, unsigned int hwq)
{
	struct compat_scsi_host *host = compat_scsi_host_of(shost);
	unsigned long flags;
	bool tell;

	spin_lock_irqsave(&host->lock, flags);
	set_bit(hwq, host->untold);
	tell = !host->running || ++host->num_untold == COMPAT_SCSI_SERIES;
	spin_unlock_irqrestore(&host->lock, flags);
	if (tell)
		compat_scsi_tell(shost);
}

/* request_fn: the queue lock is held, interrupts are off. */
static void compat_scsi_request_fn(struct request_queue *q)
{
	struct scsi_device *sdev = q->queuedata;
	struct compat_scsi_host *host;
	struct Scsi_Host *shost;
	bool told;

	if (!sdev) {
		compat_scsi_kernel_request_fn(q);
		return;
	}
	shost = sdev->host;
	host = compat_scsi_host_of(shost);

	/* From now on the host stays; its device may go. */
	spin_lock(&host->lock);
	host->running++;
	spin_unlock(&host->lock);

	compat_scsi_kernel_request_fn(q);

	do {
		compat_scsi_tell(shost);
		spin_lock(&host->lock);
		told = bitmap_empty(host->untold, host->nr_hw_queues);
		if (told)
			host->running--;
		spin_unlock(&host->lock);
	} while (!told);
}

/*
 * The host's lock is held and interrupts are off. Nothing that the driver does
 * needs the lock, least of all the notification of the device.
 */
static int compat_scsi_queuecommand(struct scsi_cmnd *cmd,
				    void (*done)(struct scsi_cmnd *cmd))
{
	struct Scsi_Host *shost = cmd->device->host;
	struct compat_scsi_host *host = compat_scsi_host_of(shost);
	unsigned int hwq;
	int busy;

	if (!compat_scsi_take_slot(host, cmd, done))
		return SCSI_MLQUEUE_HOST_BUSY;
	hwq = compat_scsi_hw_queue(cmd);

	spin_unlock(shost->host_lock);
	busy = host->template->queuecommand(shost, cmd);
	/* Unless it is busy, the command may be gone. */
	if (busy)
		compat_scsi_give_slot(host, cmd);
	else
		compat_scsi_queued(shost, hwq);
	spin_lock(shost->host_lock);
	return busy;
}

/*
 * A disk that answers, but twice had medium access time out, is taken offline
 * by sd. Since 2.6.32-431.29.2 it counts every command that the error handler
 * has at a time, so any stall of a disk with two commands would be its end. Here
 * each run of the error handler counts once: only one command says why.
 */
static void compat_scsi_timed_out_done(struct scsi_cmnd *cmd)
{
	struct compat_scsi_host *host = compat_scsi_host_of(cmd->device->host);
	union compat_scsi_lun lun;
	unsigned long flags;

	/* What is not tried again has to say why. */
	if (cmd->request->cmd_type != REQ_TYPE_FS ||
	    (cmd->request->cmd_flags & REQ_FAILFAST_DEV))
		return;

	spin_lock_irqsave(&host->lock, flags);
	lun.hostdata = cmd->device->hostdata;
	/* If the mid-layer gives up, it sets DRIVER_TIMEOUT. */
	if (lun.on.timed_out)
		cmd->result = 0;
	lun.on.timed_out = 1;
	cmd->device->hostdata = lun.hostdata;
	spin_unlock_irqrestore(&host->lock, flags);
}

/**
 * compat_scsi_done - scsi_done()
 * @cmd:	the command; its result is set
 *
 * For a command that has timed out meanwhile, nobody waits any more. Any
 * context, with any lock of the driver held.
 */
void compat_scsi_done(struct scsi_cmnd *cmd)
{
	void (*done)(struct scsi_cmnd *cmd) = compat_scsi_slot_of(cmd)->done;

	if (unlikely(host_byte(cmd->result) == DID_TIME_OUT))
		compat_scsi_timed_out_done(cmd);
	compat_scsi_give_slot(compat_scsi_host_of(cmd->device->host), cmd);
	done(cmd);
}

/*
 * Once the host is removed there is no error handler for what is with the
 * driver still: the mid-layer would end it where it is. The driver is about to
 * take it back from the device.
 */
static enum blk_eh_timer_return compat_scsi_timed_out(struct scsi_cmnd *cmd)
{
	struct Scsi_Host *shost = cmd->device->host;

	if (shost->shost_state == SHOST_DEL ||
	    shost->shost_state == SHOST_DEL_RECOVERY)
		return BLK_EH_RESET_TIMER;
	return compat_scsi_host_of(shost)->template->eh_timed_out(cmd);
}

/* The driver wants the depth tracked when the device's queue is full. */
static int compat_scsi_change_depth(struct scsi_device *sdev, int depth,
				    int reason)
{
	struct compat_scsi_host *host = compat_scsi_host_of(sdev->host);

	switch (reason) {
	case SCSI_QDEPTH_DEFAULT:
	case SCSI_QDEPTH_RAMP_UP:
		return host->template->change_queue_depth(sdev, depth);
	case SCSI_QDEPTH_QFULL:
		if (host->template->track_queue_depth) {
			scsi_track_queue_full(sdev, depth);
			return sdev->queue_depth;
		}
		return -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
}

/*
 * The ring takes any address, and maps what it is given where that is wanted.
 * The mid-layer looks at the parent's DMA mask; a virtio device has none.
 */
static int compat_scsi_slave_configure(struct scsi_device *sdev)
{
	struct request_queue *q = sdev->request_queue;

	blk_queue_bounce_limit(q, BLK_BOUNCE_ANY);

	spin_lock_irq(q->queue_lock);
	if (q->request_fn != compat_scsi_request_fn) {
		compat_scsi_kernel_request_fn = q->request_fn;
		q->request_fn = compat_scsi_request_fn;
	}
	q->unplug_thresh = COMPAT_SCSI_UNPLUG;
	spin_unlock_irq(q->queue_lock);
	return 0;
}

/* The queue may outlive this module. */
static void compat_scsi_slave_destroy(struct scsi_device *sdev)
{
	struct request_queue *q = sdev->request_queue;

	spin_lock_irq(q->queue_lock);
	if (q->request_fn == compat_scsi_request_fn)
		q->request_fn = compat_scsi_kernel_request_fn;
	spin_unlock_irq(q->queue_lock);
}

/* The same for each host, so that it does not matter who does it last. */
static void compat_scsi_fill_template(const struct compat_scsi_template *t)
{
	compat_scsi_kernel_template *kernel = &compat_scsi_kernel;

	kernel->module = t->module;
	kernel->name = t->name;
	kernel->proc_name = t->proc_name;
	kernel->this_id = t->this_id;
	kernel->dma_boundary = t->dma_boundary;
	kernel->skip_settle_delay = t->skip_settle_delay;
	kernel->use_clustering = ENABLE_CLUSTERING;
	kernel->queuecommand = compat_scsi_queuecommand;
	kernel->change_queue_depth = compat_scsi_change_depth;
	kernel->slave_alloc = t->slave_alloc;
	kernel->slave_configure = compat_scsi_slave_configure;
	kernel->slave_destroy = compat_scsi_slave_destroy;
	kernel->eh_timed_out = compat_scsi_timed_out;
	kernel->eh_abort_handler = t->eh_abort_handler;
	kernel->eh_device_reset_handler = t->eh_device_reset_handler;
	kernel->eh_target_reset_handler = t->eh_target_reset_handler;
	kernel->eh_host_reset_handler = t->eh_host_reset_handler;
}

/**
 * compat_scsi_host_alloc - scsi_host_alloc()
 * @template:	of the only driver
 * @size:	of its data, in bytes
 *
 * Process context. NULL without memory.
 */
struct Scsi_Host *
compat_scsi_host_alloc(const struct compat_scsi_template *template, int size)
{
	struct compat_scsi_host *host;
	struct Scsi_Host *shost;

	compat_scsi_fill_template(template);
	shost = scsi_host_alloc(&compat_scsi_kernel,
				__alignof__(*host) + sizeof(*host) + size);
	if (!shost)
		return NULL;
	host = compat_scsi_host_of(shost);
	host->template = template;
	host->nr_hw_queues = 1;
	spin_lock_init(&host->lock);
	INIT_LIST_HEAD(&host->free);
	return shost;
}

/**
 * compat_scsi_set_hw_queues - how many hardware queues a host has
 * @shost:	the host; it was not added yet
 * @num:	how many, from 1
 */
void compat_scsi_set_hw_queues(struct Scsi_Host *shost, unsigned int num)
{
	compat_scsi_host_of(shost)->nr_hw_queues = num;
}

static void compat_scsi_free_slots(struct compat_scsi_host *host)
{
	unsigned int i;

	/* Whoever comes late finds none. */
	spin_lock_irq(&host->lock);
	INIT_LIST_HEAD(&host->free);
	spin_unlock_irq(&host->lock);

	for (i = 0; i < host->num_slots; i++)
		kfree(host->slots[i]);
	kfree(host->slots);
	host->slots = NULL;
	host->num_slots = 0;
}

static int compat_scsi_alloc_slots(struct compat_scsi_host *host,
				   unsigned int num)
{
	struct compat_scsi_slot *slot;

	host->slots = kcalloc(num, sizeof(*host->slots), GFP_KERNEL);
	if (!host->slots)
		return -ENOMEM;

	while (host->num_slots < num) {
		slot = kzalloc(sizeof(*slot) + host->template->cmd_size,
			       GFP_KERNEL);
		if (!slot) {
			compat_scsi_free_slots(host);
			return -ENOMEM;
		}
		host->slots[host->num_slots++] = slot;
		list_add_tail(&slot->list, &host->free);
	}
	return 0;
}

/**
 * compat_scsi_add_host_with_dma - scsi_add_host_with_dma()
 * @shost:	the host, with all that it shall be
 * @dev:	its parent
 * @dma_dev:	who accesses memory for it
 *
 * Process context. Returns 0 or a negative errno.
 */
int compat_scsi_add_host_with_dma(struct Scsi_Host *shost, struct device *dev,
				  struct device *dma_dev)
{
	struct compat_scsi_host *host = compat_scsi_host_of(shost);
	int err = compat_scsi_alloc_slots(host, shost->can_queue);

	if (err)
		return err;
	err = scsi_add_host_with_dma(shost, dev, dma_dev);
	if (err)
		compat_scsi_free_slots(host);
	return err;
}

/**
 * compat_scsi_remove_host - scsi_remove_host()
 * @shost:	the host
 *
 * Nothing submits commands any more when it returns. Process context.
 */
void compat_scsi_remove_host(struct Scsi_Host *shost)
{
	struct compat_scsi_host *host = compat_scsi_host_of(shost);

	scsi_remove_host(shost);
	while (READ_ONCE(host->running))
		msleep(1);
}

/**
 * compat_scsi_host_put - scsi_host_put() by the driver
 * @shost:	the host; no command of it is with the driver
 *
 * Process context.
 */
void compat_scsi_host_put(struct Scsi_Host *shost)
{
	compat_scsi_free_slots(compat_scsi_host_of(shost));
	scsi_host_put(shost);
}

/**
 * compat_scsi_rescan_device - scsi_rescan_device()
 * @sdev:	the device; the caller holds a reference
 *
 * Process context; does I/O.
 */
void compat_scsi_rescan_device(struct scsi_device *sdev)
{
	void (*rescan)(struct device *dev) =
		(void *)__symbol_get("scsi_rescan_device");

	if (!rescan)
		return;
	mutex_lock(&sdev->host->scan_mutex);
	rescan(&sdev->sdev_gendev);
	mutex_unlock(&sdev->host->scan_mutex);
	__symbol_put("scsi_rescan_device");
}
#endif
