/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_SCSI_SCSI_DEVICE_H
#define _COMPAT_SCSI_SCSI_DEVICE_H

#include_next <scsi/scsi_device.h>

#ifndef COMPAT_HAVE_SCSI_DONE
#include <linux/kernel.h>

/* 4.4, as the last argument of scsi_scan_target(). */
#define SCSI_SCAN_RESCAN	1

/* 3.19: tags are nobody's business but the driver's. */
#define scsi_change_queue_depth	compat_scsi_change_queue_depth
static inline int compat_scsi_change_queue_depth(struct scsi_device *sdev,
						 int depth)
{
	scsi_adjust_queue_depth(sdev, 0, depth);
	return sdev->queue_depth;
}
#endif

#endif /* _COMPAT_SCSI_SCSI_DEVICE_H */
