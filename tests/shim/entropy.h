/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An entropy device behind a virtio PCI function, virtio 1.2 section 5.4. What
 * it gives are the numbers from 0 on, so that a test sees whether any of them
 * comes twice, or is left out.
 */
#ifndef _SHIM_ENTROPY_H
#define _SHIM_ENTROPY_H

#include "device.h"

/**
 * struct entropy - an entropy device
 * @hold:	buffers are taken, and not returned
 * @written:	bytes that it writes into a buffer, if there is room
 * @used_len:	what the used ring says of that; -1: the truth
 * @next:	the next number
 * @served:	buffers that were returned
 * @held:	the buffer that it has
 * @holds:	there is one
 */
struct entropy {
	struct fn fn;
	bool hold;
	u32 written;
	long used_len;
	u8 next;
	unsigned int served;
	struct chain held;
	bool holds;
};

void entropy_init(struct entropy *entropy, unsigned int slot);
/* Returns the buffer that it has. */
void entropy_release(struct entropy *entropy);

#endif /* _SHIM_ENTROPY_H */
