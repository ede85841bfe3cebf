/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the SCSI driver share.
 *
 *	virtio_scsi_main.c	config, queues, the host's life
 *	virtio_scsi_cmd.c	commands on the request queues
 *	virtio_scsi_eh.c	task management and resets, when commands time out
 *	virtio_scsi_event.c	what comes, goes and changes
 */
#ifndef _VIRTIO_SCSI_PRIV_H
#define _VIRTIO_SCSI_PRIV_H

#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_scsi.h>
#include <scsi/scsi.h>
#include <scsi/scsi_cmnd.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>

/* A request in front of the data and an answer behind it, or behind both. */
#define VIRTSCSI_EXTRA_SGS	2

/*
 * Data segments in a request: at most, and in one that is common, as in the
 * block driver. What is larger does without an indirect table.
 */
#define VIRTSCSI_MAX_SEGS	1024
#define VIRTSCSI_USUAL_SEGS	128

/* Commands that the host has at a time. */
#define VIRTSCSI_MAX_DEPTH	1024

/* What a LUN field can say, section 5.6.6.1. */
#define VIRTSCSI_MAX_TARGET	255
#define VIRTSCSI_MAX_LUN	16383

/* A LUN above 255 says, to the mid-layer too, that it is a flat number. */
#define VIRTSCSI_LUN_FLAT	0x4000

/* Events that the device may report before one is missed. */
#define VIRTSCSI_EVENTS		64
#define VIRTSCSI_EVENT_SIZE_MAX	64

/**
 * struct virtscsi_cmd - the driver's data of a command
 * @list:	in virtscsi_vq::held while @held
 * @sc:		the command
 * @tag:	what the device knows it by
 * @held:	the device has it, or it was shut down; written under the queue's
 *		lock
 * @timed_out:	the error handler takes care of it
 * @more_time:	how often its timeout was put off
 * @lun_done:	commands of the LUN that had ended when it was sent, or when
 *		its timeout was put off last
 * @resp:	what the device writes, besides data
 * @req:	what it reads
 */
struct virtscsi_cmd {
	struct list_head list;
	struct scsi_cmnd *sc;
	u64 tag;
	bool held;
	bool timed_out;
	unsigned int more_time;
	int lun_done;
	struct virtio_scsi_cmd_resp resp;
	struct virtio_scsi_cmd_req req;
};

/**
 * struct virtscsi_vq - a virtqueue
 * @vq:		the virtqueue
 * @lock:	protects @vq and what is in it; taken in interrupt context
 * @held:	commands, on a request queue
 * @next_tag:	of the next one
 * @affinity:	the CPU whose queue it is, if there is one for each
 * @name:	of the queue
 */
struct virtscsi_vq {
	struct virtqueue *vq;
	spinlock_t lock;
	struct list_head held;
	u64 next_tag;
	struct cpumask affinity;
	char name[24];
};

/* The steps of error recovery that ask the device, weakest first. */
enum virtscsi_tmf_kind {
	VIRTSCSI_ABORT,
	VIRTSCSI_LUN_RESET,
	VIRTSCSI_TARGET_RESET,
	VIRTSCSI_NUM_TMFS
};

/**
 * struct virtscsi_tmf - a task management function
 * @sent:	the device has it; under the control queue's lock
 * @done:	it was answered, or never will be
 * @req:	what the device reads
 * @resp:	what it writes
 */
struct virtscsi_tmf {
	bool sent;
	struct completion done;
	struct virtio_scsi_ctrl_tmf_req req;
	struct virtio_scsi_ctrl_tmf_resp resp;
};

/**
 * struct virtscsi_event - a buffer for an event
 * @list:	in virtio_scsi::events_done when the device has filled it
 * @sent:	the device has it; under the event queue's lock
 * @len:	bytes that it wrote
 * @u:		what it wrote
 */
struct virtscsi_event {
	struct list_head list;
	bool sent;
	unsigned int len;
	union {
		struct virtio_scsi_event event;
		u8 bytes[VIRTSCSI_EVENT_SIZE_MAX];
	} u;
};

/* What becomes of a command that the mid-layer sends. */
enum virtscsi_state {
	VIRTSCSI_UP,		/* it goes to the device */
	VIRTSCSI_RESETTING,	/* it has to wait */
	VIRTSCSI_ASLEEP,	/* the same, and longer */
	VIRTSCSI_SHUT_DOWN,	/* it is held, and nothing becomes of it */
	VIRTSCSI_GONE,		/* it fails */
};

/**
 * struct virtio_scsi - a host
 * @vdev:	the device
 * @shost:	what the mid-layer sees
 * @state:	read under a request queue's lock; see virtscsi_set_state()
 * @reset_lock:	one reset of the device at a time
 * @ctrl:	the control queue
 * @event:	the event queue
 * @reqs:	the request queues
 * @num_reqs:	how many
 * @sense_size:	bytes of sense data that the device writes
 * @max_lun:	the last LUN of a target
 * @tmf_lock:	one task management function at a time
 * @tmfs:	one of each kind
 * @events:	the event buffers; NULL if the device has no events
 * @num_events:	how many
 * @event_size:	bytes that the device gets of one
 * @events_done: filled ones in their order, under the event queue's lock
 * @events_off:	none is looked at any more, under the same
 * @rescan:	events were missed, under the same
 * @wq:		where events are looked at: that takes I/O, and may take long
 * @wq_name:	its name
 * @event_work:	looks at them
 */
struct virtio_scsi {
	struct virtio_device *vdev;
	struct Scsi_Host *shost;
	enum virtscsi_state state;
	struct mutex reset_lock;

	struct virtscsi_vq ctrl;
	struct virtscsi_vq event;
	struct virtscsi_vq *reqs;
	unsigned int num_reqs;
	u32 sense_size;
	u32 max_lun;

	struct mutex tmf_lock;
	struct virtscsi_tmf tmfs[VIRTSCSI_NUM_TMFS];

	struct virtscsi_event *events;
	unsigned int num_events;
	unsigned int event_size;
	struct list_head events_done;
	bool events_off;
	bool rescan;
	struct workqueue_struct *wq;
	char wq_name[16];
	struct delayed_work event_work;
};

/* "0000:01:00.0: " in front of what a person reads. */
#define virtscsi_err(_vdev, fmt, ...)					\
	dev_err(&(_vdev)->dev, "%s: " fmt,				\
		(_vdev)->config->bus_name(_vdev), ##__VA_ARGS__)
#define virtscsi_warn(_vdev, fmt, ...)					\
	dev_warn(&(_vdev)->dev, "%s: " fmt,				\
		 (_vdev)->config->bus_name(_vdev), ##__VA_ARGS__)

/* virtio_scsi_main.c */
void virtscsi_set_state(struct virtio_scsi *vscsi, enum virtscsi_state state);
int virtscsi_write_sizes(struct virtio_scsi *vscsi);

/* virtio_scsi_cmd.c */
void virtscsi_set_lun(u8 *lun, const struct scsi_device *sdev);
int virtscsi_queuecommand(struct Scsi_Host *shost, struct scsi_cmnd *sc);
void virtscsi_commit_rqs(struct Scsi_Host *shost, u16 hwq);
void virtscsi_req_done(struct virtqueue *vq);
void virtscsi_reap_cmds(struct virtio_scsi *vscsi);
void virtscsi_detach_cmds(struct virtio_scsi *vscsi);
void virtscsi_end_cmds(struct virtio_scsi *vscsi, int host_byte);

/* virtio_scsi_eh.c */
void virtscsi_ctrl_done(struct virtqueue *vq);
void virtscsi_end_tmfs(struct virtio_scsi *vscsi);
enum blk_eh_timer_return virtscsi_eh_timed_out(struct scsi_cmnd *sc);
int virtscsi_eh_abort(struct scsi_cmnd *sc);
int virtscsi_eh_device_reset(struct scsi_cmnd *sc);
int virtscsi_eh_target_reset(struct scsi_cmnd *sc);
int virtscsi_eh_host_reset(struct scsi_cmnd *sc);
int virtscsi_stop(struct virtio_scsi *vscsi);

/* virtio_scsi_event.c */
int virtscsi_init_events(struct virtio_scsi *vscsi);
void virtscsi_free_events(struct virtio_scsi *vscsi);
void virtscsi_event_done(struct virtqueue *vq);
void virtscsi_start_events(struct virtio_scsi *vscsi);
void virtscsi_detach_events(struct virtio_scsi *vscsi);
void virtscsi_missed_events(struct virtio_scsi *vscsi);
void virtscsi_stop_events(struct virtio_scsi *vscsi);

#endif /* _VIRTIO_SCSI_PRIV_H */
