/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A 9p server behind a virtio PCI function. It answers each question with the
 * question's own bytes, the last one first.
 */
#ifndef _SHIM_SHARE_H
#define _SHIM_SHARE_H

#include "device.h"

#define SHARE_HELD	300

/**
 * struct share - a shared folder
 * @hold:	questions are taken, and not answered
 * @keep:	what is flushed is kept all the same
 * @used_len:	what the used ring says of an answer; -1: the truth
 * @size:	what the answer says of itself; -1: the truth
 * @type:	the answer's type; -1: that of the question, and one more
 * @tag_xor:	changes the answer's tag
 * @served:	questions that were answered
 * @flushed:	that were not, because of a flush
 * @resets:	how often it was reset
 */
struct share {
	struct fn fn;
	bool hold, keep;
	long used_len, size;
	int type;
	u16 tag_xor;
	unsigned int served, flushed, resets;
	unsigned int num_held;
	struct chain held[SHARE_HELD];
};

struct share *share_new(unsigned int slot, const char *tag);
void share_set_tag(struct share *share, const void *tag, unsigned int len);
void share_free(struct share *share);
/* Answers at most @max of what was held. */
void share_release(struct share *share, unsigned int max);

#endif /* _SHIM_SHARE_H */
