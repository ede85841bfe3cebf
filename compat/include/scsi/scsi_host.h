/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_SCSI_SCSI_HOST_H
#define _COMPAT_SCSI_SCSI_HOST_H

#include_next <scsi/scsi_host.h>
#include <scsi/scsi_device.h>

#ifdef COMPAT_HAVE_SCSI_DONE
#define compat_scsi_template	scsi_host_template

/* How many hardware queues the host has; before it is added. */
static inline void compat_scsi_set_hw_queues(struct Scsi_Host *shost,
					     unsigned int num)
{
	shost->nr_hw_queues = num;
}
#else
/*
 * A host as 6.1 has it, for a kernel that knows one queue for each SCSI device,
 * calls queuecommand() with a lock held and interrupts off, and has no room
 * for a driver in its commands. In compat/scsi_host.c, which is linked into the
 * driver's module. What is declared here does what its namesake does on 6.1.
 * scsi_device::hostdata is taken. No command is the last of its series:
 * commit_rqs() follows.
 */
#include <linux/blkdev.h>

/* The kernel's own, before its name means something else. */
typedef struct scsi_host_template compat_scsi_kernel_template;

struct compat_scsi_template {
	struct module *module;
	const char *name;
	const char *proc_name;
	unsigned int cmd_size;		/* driver data of a command, bytes */
	int this_id;
	unsigned long dma_boundary;
	unsigned track_queue_depth:1;
	unsigned skip_settle_delay:1;

	int (*queuecommand)(struct Scsi_Host *shost, struct scsi_cmnd *cmd);
	void (*commit_rqs)(struct Scsi_Host *shost, u16 hwq);
	int (*change_queue_depth)(struct scsi_device *sdev, int depth);
	int (*slave_alloc)(struct scsi_device *sdev);
	enum blk_eh_timer_return (*eh_timed_out)(struct scsi_cmnd *cmd);
	int (*eh_abort_handler)(struct scsi_cmnd *cmd);
	int (*eh_device_reset_handler)(struct scsi_cmnd *cmd);
	int (*eh_target_reset_handler)(struct scsi_cmnd *cmd);
	int (*eh_host_reset_handler)(struct scsi_cmnd *cmd);
};

/* 4.18: the driver leaves a timeout to the error handler. */
#define BLK_EH_DONE		BLK_EH_NOT_HANDLED

struct Scsi_Host *
compat_scsi_host_alloc(const struct compat_scsi_template *template, int size);
void *compat_shost_priv(struct Scsi_Host *shost);
void compat_scsi_set_hw_queues(struct Scsi_Host *shost, unsigned int num);
int compat_scsi_add_host_with_dma(struct Scsi_Host *shost, struct device *dev,
				  struct device *dma_dev);
void compat_scsi_remove_host(struct Scsi_Host *shost);
void compat_scsi_host_put(struct Scsi_Host *shost);

#define scsi_host_alloc		compat_scsi_host_alloc
#define shost_priv		compat_shost_priv
#define scsi_add_host_with_dma	compat_scsi_add_host_with_dma
#define scsi_remove_host	compat_scsi_remove_host
#define scsi_host_put		compat_scsi_host_put
#endif

/*
 * compat_scsi_rescan_device() has the driver of a SCSI device look at it again.
 * EL6 exports the function, but it is not on the kABI lists of all releases,
 * and nobody keeps the device's driver in its place meanwhile; the scan mutex
 * does, as far as the device itself may go. Process context; does I/O.
 */
#ifdef COMPAT_HAVE_SCSI_RESCAN_DEVICE_SDEV
static inline void compat_scsi_rescan_device(struct scsi_device *sdev)
{
	scsi_rescan_device(sdev);
}
#elif defined(COMPAT_HAVE_SCSI_DONE)
static inline void compat_scsi_rescan_device(struct scsi_device *sdev)
{
	scsi_rescan_device(&sdev->sdev_gendev);
}
#else
void compat_scsi_rescan_device(struct scsi_device *sdev);
#endif

#endif /* _COMPAT_SCSI_SCSI_HOST_H */
