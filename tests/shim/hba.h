/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A SCSI controller in software, virtio 1.2 section 5.6, with disks behind it.
 */
#ifndef _SHIM_HBA_H
#define _SHIM_HBA_H

#include "device.h"
#include <shim/scsi.h>
#include <linux/virtio_scsi.h>

#define HBA_MAX_LUNS	300
#define HBA_MAX_HELD	600

struct hba_lun {
	u8 target;
	u16 lun;
	bool reset;		/* says so at the next opportunity */
};

/* A command that was taken from its queue. */
struct hba_cmd {
	struct chain chain;
	unsigned int queue;
	u64 tag;
	u8 target;
	u16 lun;
};

/**
 * struct hba - a controller
 * @luns:	what is behind it; all of them have the same @data
 * @num_luns:	how many
 * @hold:	commands are taken, and not answered
 * @hold_lun:	reads and writes of this LUN of target 0 are; -1: of none
 * @response:	what requests end with; -1: as it turns out; HBA_NO_RESPONSE:
 *		nothing is written
 * @status:	the same for their status
 * @sense_len:	what it says of the sense data; -1: the truth
 * @resid:	what it says was not transferred; -1: the truth
 * @used_len:	what the used ring says was written; -1: as QEMU has it
 * @reverse:	answers the last request first
 * @mute:	task management functions that are not answered, by subtype
 * @stubborn:	those that are answered, and nothing is done
 * @tmf_response: their answer; -1: as it turns out
 * @late:	commands that a function ended come after its answer, and
 *		nobody is told of them
 * @missed:	events that found no buffer since the last one that did
 * @lost:	queues from which nothing is taken until it is reset, a mask
 * @stuck_sizes: cdb_size and sense_size cannot be written
 * @served:	commands that were answered, INQUIRY and REPORT LUNS apart
 * @order:	tags of them, in their order
 * @tmfs:	task management functions that came, by subtype
 * @resets:	of the device, after its driver has set DRIVER_OK
 */
struct hba {
	struct fn fn;
	struct virtio_scsi_config config;
	struct hba_lun luns[HBA_MAX_LUNS];
	unsigned int num_luns;
	bool hold;
	int hold_lun;
	int response, status;
	long long sense_len, resid;
	long used_len;
	bool reverse;
	u32 mute, stubborn;
	int tmf_response;
	bool late;
	unsigned int missed;
	u32 lost;
	bool stuck_sizes;
	unsigned int served;
	u64 order[1024];
	unsigned int tmfs[8];
	unsigned int resets;
	unsigned int num_held, num_held_tmfs;

	/* What hba_init() leaves alone: it is large. */
	struct hba_cmd held[HBA_MAX_HELD];
	struct chain held_tmfs[8];
	u8 data[1 << 20];
};

#define HBA_NO_RESPONSE	(-2)

void hba_init(struct hba *hba, unsigned int slot);
struct hba *hba_new(unsigned int slot);
void hba_free(struct hba *hba);
void hba_set_config(struct hba *hba);
void hba_add_lun(struct hba *hba, u8 target, u16 lun);
void hba_remove_lun(struct hba *hba, u8 target, u16 lun);
/* Answers what was held, and tells the driver. */
void hba_release(struct hba *hba);
/* Answers the functions that were held; to be called after hba_release(). */
void hba_release_tmfs(struct hba *hba);
/* False: it has missed one. */
bool hba_event(struct hba *hba, u32 event, u8 target, u16 lun, u32 reason);
/* Any bytes. */
bool hba_raw_event(struct hba *hba, const void *data, unsigned int len,
		   u32 used_len);

#endif /* _SHIM_HBA_H */
