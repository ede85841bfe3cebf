/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A memory balloon in software, virtio 1.2 section 5.5. It knows which pages
 * it has been given: its driver must not give one twice, take back what it has
 * not given, or free one before the device has said that it may.
 */
#ifndef _SHIM_BALLOON_H
#define _SHIM_BALLOON_H

#include "device.h"
#include <linux/virtio_balloon.h>

#define BALLOON_MAX_PFN	(1 << 16)

/**
 * struct balloon - the device
 * @fn:		the function
 * @hold:	arrays are taken, and not answered
 * @used_len:	what the used ring says was written
 * @held:	such an array, of queue @held_queue; there is one at a time
 * @owned:	pages that the device has
 * @num_owned:	how many
 * @left:	how many it had when it was reset last
 * @arrays:	that were answered, of either queue
 * @largest:	pages in the largest of them
 * @stats:	the driver's statistics are here, and wait for a question
 * @stats_chain: they
 */
struct balloon {
	struct fn fn;
	bool hold;
	u32 used_len;
	bool holds;
	unsigned int held_queue;
	unsigned int num_owned, left;
	unsigned int arrays[2], largest;
	bool stats;

	/* What balloon_init() leaves alone: it is large. */
	struct chain held, stats_chain;
	bool owned[BALLOON_MAX_PFN];
};

void balloon_init(struct balloon *balloon, unsigned int slot);
struct balloon *balloon_new(unsigned int slot);
void balloon_free(struct balloon *balloon);
/* The host wants that many pages. */
void balloon_want(struct balloon *balloon, u32 pages);
/* What the driver says that there are. */
u32 balloon_actual(struct balloon *balloon);
/* Answers what was held. */
void balloon_release(struct balloon *balloon);
/* The value with this tag; ~0: there is none. */
u64 balloon_stat(struct balloon *balloon, u16 tag);
/* Asks for new ones. */
void balloon_ask_stats(struct balloon *balloon);

#endif /* _SHIM_BALLOON_H */
