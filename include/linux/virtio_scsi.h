/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_VIRTIO_SCSI_H
#define _LINUX_VIRTIO_SCSI_H

#include <linux/types.h>

/* Feature bits, virtio 1.2 section 5.6.3. */
#define VIRTIO_SCSI_F_INOUT	0	/* a request may have data both ways */
#define VIRTIO_SCSI_F_HOTPLUG	1	/* the device tells what comes and goes */
#define VIRTIO_SCSI_F_CHANGE	2	/* the device tells what changes */
#define VIRTIO_SCSI_F_T10_PI	3	/* protection information */

/* Virtqueues, section 5.6.2. */
#define VIRTIO_SCSI_VQ_CONTROL	0
#define VIRTIO_SCSI_VQ_EVENT	1
#define VIRTIO_SCSI_VQ_REQUEST	2	/* the first of them */

/* Sizes of a command and of its sense data after a reset, section 5.6.4. */
#define VIRTIO_SCSI_CDB_SIZE	32
#define VIRTIO_SCSI_SENSE_SIZE	96

/* Device configuration layout, section 5.6.4. */
struct virtio_scsi_config {
	__le32 num_queues;		/* request queues */
	__le32 seg_max;			/* data segments in a request */
	__le32 max_sectors;		/* 512-byte units in a request; a hint */
	__le32 cmd_per_lun;		/* requests at a time for one LUN */
	__le32 event_info_size;		/* bytes that an event may have */
	__le32 sense_size;		/* bytes; writable */
	__le32 cdb_size;		/* bytes; writable */
	__le16 max_channel;
	__le16 max_target;
	__le32 max_lun;
};

/* A request and its answer, section 5.6.6.1. Data is between the two, or behind. */
struct virtio_scsi_cmd_req {
	__u8 lun[8];
	__le64 tag;
	__u8 task_attr;
	__u8 prio;
	__u8 crn;
	__u8 cdb[VIRTIO_SCSI_CDB_SIZE];
} __attribute__((packed));

struct virtio_scsi_cmd_resp {
	__le32 sense_len;		/* bytes in sense */
	__le32 resid;			/* bytes that were not transferred */
	__le16 status_qualifier;
	__u8 status;			/* SCSI's own */
	__u8 response;			/* VIRTIO_SCSI_S_… */
	__u8 sense[VIRTIO_SCSI_SENSE_SIZE];
};

#define VIRTIO_SCSI_TASK_SIMPLE		0

#define VIRTIO_SCSI_S_OK		0
#define VIRTIO_SCSI_S_OVERRUN		1
#define VIRTIO_SCSI_S_ABORTED		2
#define VIRTIO_SCSI_S_BAD_TARGET	3
#define VIRTIO_SCSI_S_RESET		4
#define VIRTIO_SCSI_S_BUSY		5
#define VIRTIO_SCSI_S_TRANSPORT_FAILURE	6
#define VIRTIO_SCSI_S_TARGET_FAILURE	7
#define VIRTIO_SCSI_S_NEXUS_FAILURE	8
#define VIRTIO_SCSI_S_FAILURE		9

/* Task management on the control queue, section 5.6.6.2. */
struct virtio_scsi_ctrl_tmf_req {
	__le32 type;
	__le32 subtype;
	__u8 lun[8];
	__le64 tag;
};

struct virtio_scsi_ctrl_tmf_resp {
	__u8 response;
};

#define VIRTIO_SCSI_T_TMF			0

#define VIRTIO_SCSI_T_TMF_ABORT_TASK		0
#define VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET	4
#define VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET	5

#define VIRTIO_SCSI_S_FUNCTION_COMPLETE		0
#define VIRTIO_SCSI_S_FUNCTION_SUCCEEDED	10
#define VIRTIO_SCSI_S_FUNCTION_REJECTED		11
#define VIRTIO_SCSI_S_INCORRECT_LUN		12

/* An event, section 5.6.6.3. */
struct virtio_scsi_event {
	__le32 event;
	__u8 lun[8];
	__le32 reason;
};

#define VIRTIO_SCSI_T_EVENTS_MISSED		0x80000000	/* a flag */

#define VIRTIO_SCSI_T_NO_EVENT			0
#define VIRTIO_SCSI_T_TRANSPORT_RESET		1
#define VIRTIO_SCSI_T_ASYNC_NOTIFY		2
#define VIRTIO_SCSI_T_PARAM_CHANGE		3

#define VIRTIO_SCSI_EVT_RESET_HARD		0
#define VIRTIO_SCSI_EVT_RESET_RESCAN		1
#define VIRTIO_SCSI_EVT_RESET_REMOVED		2

#endif /* _LINUX_VIRTIO_SCSI_H */
