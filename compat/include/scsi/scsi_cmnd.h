/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_SCSI_SCSI_CMND_H
#define _COMPAT_SCSI_SCSI_CMND_H

/* EL6's needs it, and has it included from 6.8 on only. */
#include <scsi/scsi_device.h>
#include_next <scsi/scsi_cmnd.h>

#ifdef COMPAT_HAVE_SCSI_DONE
#include <linux/blk-mq.h>

/* Which hardware queue, and with it which virtqueue, a command is for. */
static inline unsigned int compat_scsi_hw_queue(struct scsi_cmnd *cmd)
{
	u32 tag = blk_mq_unique_tag(scsi_cmd_to_rq(cmd));

	return blk_mq_unique_tag_to_hwq(tag);
}

/* No other command comes right after this one. */
static inline bool compat_scsi_is_last(const struct scsi_cmnd *cmd)
{
	return cmd->flags & SCMD_LAST;
}
#else
/* In compat/scsi_host.c, as what is behind <scsi/scsi_host.h>; see there. */
unsigned int compat_scsi_hw_queue(struct scsi_cmnd *cmd);

/* commit_rqs() follows. */
static inline bool compat_scsi_is_last(const struct scsi_cmnd *cmd)
{
	return false;
}

/*
 * 3.16: the driver's data of a command. Here only from queuecommand() until
 * scsi_done(), and NULL before and after.
 */
#define scsi_cmd_priv	compat_scsi_cmd_priv
void *compat_scsi_cmd_priv(struct scsi_cmnd *cmd);

/* 5.16 */
#define scsi_done	compat_scsi_done
void compat_scsi_done(struct scsi_cmnd *cmd);
#endif

#endif /* _COMPAT_SCSI_SCSI_CMND_H */
