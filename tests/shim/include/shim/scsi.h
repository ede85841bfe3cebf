/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The SCSI mid-layer in two shapes: as Linux 6.1 has it, and as 2.6.32 has it.
 * They differ in how a driver gets a command and gives it back. What tests do
 * with a SCSI device, struct shim_cmd, is the same for both.
 */
#ifndef _SHIM_SCSI_H
#define _SHIM_SCSI_H

#include <shim/driver.h>
#include <shim/blk.h>

struct scsi_cmnd;
struct scsi_device;
struct Scsi_Host;
struct shim_cmd;

/* scsi.h */

#define TEST_UNIT_READY		0x00
#define INQUIRY			0x12
#define SYNCHRONIZE_CACHE	0x35
#define REPORT_LUNS		0xa0
#define READ_10			0x28
#define WRITE_10		0x2a

#define SAM_STAT_GOOD				0x00
#define SAM_STAT_CHECK_CONDITION		0x02
#define SAM_STAT_CONDITION_MET			0x04
#define SAM_STAT_BUSY				0x08
#define SAM_STAT_INTERMEDIATE			0x10
#define SAM_STAT_INTERMEDIATE_CONDITION_MET	0x14
#define SAM_STAT_RESERVATION_CONFLICT		0x18
#define SAM_STAT_COMMAND_TERMINATED		0x22
#define SAM_STAT_TASK_SET_FULL			0x28
#define SAM_STAT_ACA_ACTIVE			0x30
#define SAM_STAT_TASK_ABORTED			0x40

#define DID_OK			0x00
#define DID_NO_CONNECT		0x01
#define DID_BUS_BUSY		0x02
#define DID_TIME_OUT		0x03
#define DID_BAD_TARGET		0x04
#define DID_ABORT		0x05
#define DID_ERROR		0x07
#define DID_RESET		0x08
#define DID_SOFT_ERROR		0x0b
#define DID_TRANSPORT_DISRUPTED	0x0e
#define host_byte(result)	(((result) >> 16) & 0xff)

#define SUCCESS			0x2002
#define FAILED			0x2003
#define SCSI_MLQUEUE_HOST_BUSY	0x1055

#define SCSI_INQ_PQ_NOT_CAP	3
#define SCAN_WILD_CARD		~0

/* scsi_cmnd.h */

#define SCSI_SENSE_BUFFERSIZE	96

struct sg_table {
	struct scatterlist *sgl;
	unsigned int nents;
};

struct scsi_data_buffer {
	struct sg_table table;
	unsigned int length;
	int resid;
};

struct scsi_cmnd {
	struct scsi_device *device;
	unsigned short cmd_len;
	enum dma_data_direction sc_data_direction;
	unsigned char *cmnd;
	struct scsi_data_buffer sdb;
	unsigned int underflow;
	unsigned char *sense_buffer;
	int result;
#ifdef COMPAT_HAVE_SCSI_DONE
	int flags;
#else
	unsigned char *host_scribble;
	struct request *request;
	struct request rq;
#endif

	struct shim_cmd *shim;
	struct list_head list;	/* waits, has ended, or is in error recovery */
	struct timer_list timer;
	unsigned int hwq, retries;
	bool with_driver, timed_out;
	struct completion *eh_done;	/* the error handler sent it */
};

#define scsi_sg_count(sc)	((sc)->sdb.table.nents)
#define scsi_sglist(sc)		((sc)->sdb.table.sgl)
#define scsi_bufflen(sc)	((sc)->sdb.length)
#define scsi_set_resid(sc, n)	((sc)->sdb.resid = (n))
#define scsi_get_resid(sc)	((sc)->sdb.resid)

#ifdef COMPAT_HAVE_SCSI_DONE
#define SCMD_LAST		(1 << 2)
#define scsi_cmd_priv(sc)	((void *)((struct scsi_cmnd *)(sc) + 1))
#define scsi_cmd_to_rq(sc)	(sc)
#define blk_mq_unique_tag(rq)	((rq)->hwq << 16)
#define blk_mq_unique_tag_to_hwq(tag)	((tag) >> 16)
void scsi_done(struct scsi_cmnd *sc);
#endif

/* scsi_device.h */

enum shim_sdev_state {
	SDEV_CREATED = 1, SDEV_RUNNING, SDEV_CANCEL, SDEV_DEL, SDEV_OFFLINE,
};

struct scsi_device {
	struct Scsi_Host *host;
	struct request_queue *request_queue;
	struct list_head siblings;
#ifdef COMPAT_HAVE_SCSI_DONE
	unsigned int id, channel;
	u64 lun;
#else
	unsigned int id, lun, channel;
#endif
	void *hostdata;
	char inq_periph_qual;
	atomic_t iodone_cnt;
	unsigned short queue_depth;
	struct device sdev_gendev;
	enum shim_sdev_state sdev_state;

	unsigned int refs, busy, timeout_ms;
	struct list_head pending;
	unsigned int rescans, queue_fulls;
	unsigned int timeouts;	/* in this run of the error handler */
};

int scsi_device_get(struct scsi_device *sdev);
void scsi_device_put(struct scsi_device *sdev);
struct scsi_device *__scsi_iterate_devices(struct Scsi_Host *shost,
					   struct scsi_device *prev);
#define shost_for_each_device(sdev, shost)				\
	for ((sdev) = __scsi_iterate_devices(shost, NULL); (sdev);	\
	     (sdev) = __scsi_iterate_devices(shost, sdev))
void scsi_remove_device(struct scsi_device *sdev);
int scsi_execute_req(struct scsi_device *sdev, const unsigned char *cdb,
		     int dir, void *buf, unsigned int len, void *sshdr,
		     int timeout, int retries, int *resid);
int scsi_track_queue_full(struct scsi_device *sdev, int depth);

#ifdef COMPAT_HAVE_SCSI_DONE
enum scsi_scan_mode { SCSI_SCAN_INITIAL, SCSI_SCAN_RESCAN, SCSI_SCAN_MANUAL };
void scsi_scan_target(struct device *parent, unsigned int channel,
		      unsigned int id, u64 lun, enum scsi_scan_mode rescan);
int scsi_change_queue_depth(struct scsi_device *sdev, int depth);
#else
void scsi_scan_target(struct device *parent, unsigned int channel,
		      unsigned int id, unsigned int lun, int rescan);
void scsi_adjust_queue_depth(struct scsi_device *sdev, int tagged, int tags);
#endif

/* scsi_host.h */

enum scsi_host_state {
	SHOST_CREATED = 1, SHOST_RUNNING, SHOST_CANCEL, SHOST_DEL,
	SHOST_RECOVERY, SHOST_CANCEL_RECOVERY, SHOST_DEL_RECOVERY,
};

#ifdef COMPAT_HAVE_SCSI_DONE
enum blk_eh_timer_return { BLK_EH_DONE, BLK_EH_RESET_TIMER };
#else
enum blk_eh_timer_return {
	BLK_EH_NOT_HANDLED, BLK_EH_HANDLED, BLK_EH_RESET_TIMER
};
enum {
	SCSI_QDEPTH_DEFAULT, SCSI_QDEPTH_QFULL, SCSI_QDEPTH_RAMP_UP,
};
#define ENABLE_CLUSTERING	1
#endif

struct scsi_host_template {
	struct module *module;
	const char *name, *proc_name;
	int this_id;
	unsigned long dma_boundary;
	unsigned int skip_settle_delay:1;
#ifdef COMPAT_HAVE_SCSI_DONE
	unsigned int cmd_size;
	unsigned int track_queue_depth:1;
	int (*queuecommand)(struct Scsi_Host *shost, struct scsi_cmnd *sc);
	void (*commit_rqs)(struct Scsi_Host *shost, u16 hwq);
	int (*change_queue_depth)(struct scsi_device *sdev, int depth);
#else
	unsigned int use_clustering:1;
	int (*queuecommand)(struct scsi_cmnd *sc,
			    void (*done)(struct scsi_cmnd *sc));
	int (*change_queue_depth)(struct scsi_device *sdev, int depth,
				  int reason);
#endif
	int (*slave_alloc)(struct scsi_device *sdev);
	int (*slave_configure)(struct scsi_device *sdev);
	void (*slave_destroy)(struct scsi_device *sdev);
	enum blk_eh_timer_return (*eh_timed_out)(struct scsi_cmnd *sc);
	int (*eh_abort_handler)(struct scsi_cmnd *sc);
	int (*eh_device_reset_handler)(struct scsi_cmnd *sc);
	int (*eh_target_reset_handler)(struct scsi_cmnd *sc);
	int (*eh_host_reset_handler)(struct scsi_cmnd *sc);
};

struct Scsi_Host {
	spinlock_t default_lock, *host_lock;
	struct mutex scan_mutex;
	struct scsi_host_template *hostt;
	unsigned int host_no, max_id, max_channel;
#ifdef COMPAT_HAVE_SCSI_DONE
	u64 max_lun;
	unsigned int max_sectors, nr_hw_queues;
#else
	unsigned int max_lun;
	unsigned short max_sectors;
#endif
	unsigned short max_cmd_len, sg_tablesize;
	short cmd_per_lun;
	int this_id, can_queue;
	unsigned int tmf_in_progress:1, async_scan:1;
	enum scsi_host_state shost_state;
	struct device shost_gendev;

	struct list_head list, devices;
	struct list_head done;		/* commands, for the tasklet */
	struct list_head eh_cmd_q;
	struct tasklet_struct tasklet;
	struct delayed_work run_work, eh_work, scan_work;
	unsigned int busy, failed, busy_hwq[64];
	bool blocked, running, eh_running;
	unsigned int resets[4];		/* that succeeded, weakest first */

	unsigned long hostdata[] __attribute__((__aligned__(8)));
};

static inline void *shost_priv(struct Scsi_Host *shost)
{
	return shost->hostdata;
}

static inline bool scsi_host_in_recovery(struct Scsi_Host *shost)
{
	return shost->shost_state >= SHOST_RECOVERY || shost->tmf_in_progress;
}

struct Scsi_Host *scsi_host_alloc(struct scsi_host_template *hostt, int size);
int scsi_add_host_with_dma(struct Scsi_Host *shost, struct device *dev,
			   struct device *dma_dev);
void scsi_scan_host(struct Scsi_Host *shost);
void scsi_remove_host(struct Scsi_Host *shost);
void scsi_host_put(struct Scsi_Host *shost);
#ifdef COMPAT_HAVE_SCSI_RESCAN_DEVICE_SDEV
int scsi_rescan_device(struct scsi_device *sdev);
#else
void scsi_rescan_device(struct device *dev);
#endif

/* What a test does with it. */

/**
 * struct shim_cmd - a command, as the one who sends it sees it
 * @sdev:	where to
 * @cdb:	the command
 * @dir:	which way the data go
 * @buf:	they, in pieces of @seg bytes
 * @len:	how many bytes
 * @allowed:	how often it may be tried again
 * @sense:	what came with CHECK CONDITION
 * @ended:	how often it ended: once, in the end
 * @result:	how: the mid-layer's own
 * @resid:	bytes that were not transferred
 * @order:	which one it was to end
 */
struct shim_cmd {
	struct scsi_device *sdev;
	u8 cdb[32];
	unsigned int cdb_len;
	enum dma_data_direction dir;
	u8 **buf;
	unsigned int len, seg, num_segs;
	unsigned int allowed, underflow;
	u8 sense[SCSI_SENSE_BUFFERSIZE];
	unsigned int ended;
	int result;
	unsigned int resid;
	unsigned int order;
	struct completion done;
};

extern struct list_head shim_hosts;
extern bool shim_async_scan;	/* scsi_scan_host() goes on in the background */

struct Scsi_Host *shim_host(unsigned int n);
/* NULL: the mid-layer knows no such device. */
struct scsi_device *shim_sdev(unsigned int id, u64 lun);
unsigned int shim_num_sdevs(void);
/* A person writes to the host's scan file. */
void shim_scan(unsigned int id, u64 lun);
int shim_set_depth(struct scsi_device *sdev, int depth);
/* A person has a LUN (1), a target (2) or the host (3) reset. */
int shim_reset(struct scsi_device *sdev, unsigned int step);

/* A command with @len bytes of data in pieces of @seg, filled with 0x5a. */
struct shim_cmd *shim_cmd_new(struct scsi_device *sdev, u8 opcode,
			      enum dma_data_direction dir, unsigned int len,
			      unsigned int seg);
/* READ(10) or WRITE(10) in blocks of 512 bytes, as a disk's driver sends it. */
struct shim_cmd *shim_rw_new(struct scsi_device *sdev, bool write,
			     unsigned int block, unsigned int len,
			     unsigned int seg);
void shim_cmd_submit(struct shim_cmd *cmd);
/* Ended exactly once? And over. Returns its result. */
int shim_cmd_free(struct shim_cmd *cmd);
#endif /* _SHIM_SCSI_H */
