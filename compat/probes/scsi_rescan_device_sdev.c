// SPDX-License-Identifier: GPL-2.0
/* 6.6, and stable releases of 6.1: what to rescan is not just any device. */
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>

int same[__builtin_types_compatible_p(__typeof__(&scsi_rescan_device),
				      int (*)(struct scsi_device *)) ? 1 : -1];
