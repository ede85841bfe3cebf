/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What libFuzzer made up, piece by piece; zeros when there is no more of it.
 */
#ifndef _FEED_H
#define _FEED_H

#include "device.h"

extern const u8 *feed;
extern size_t feed_left;

u32 feed_bytes(unsigned int n);
#define feed_u8()	((u8)feed_bytes(1))
#define feed_u16()	((u16)feed_bytes(2))
#define feed_u32()	feed_bytes(4)
/* A number, interesting more often than not. */
u32 feed_number(void);
/* Begins a run with this input; everything that is found ends the process. */
void feed_start(const u8 *data, size_t size);

/* What it is, what its features are, and of how much of what is read it may change: @what. */
void feed_function(struct fn *fn, u8 what);
/* It returns @id, whatever that is and whether or not it has it. */
void feed_push(struct fn *fn, unsigned int queue, u32 id);
/* It wants to be reset, is gone, or does not complete its next reset. */
void feed_break(struct fn *fn, u8 how);
/* The machine goes to sleep in some way, or wakes up if it slept. */
void feed_sleep(struct fn *fn, u8 how);
void feed_shutdown(struct fn *fn);
/* Its driver leaves it, and comes back. */
void feed_rebind(struct fn *fn);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#endif /* _FEED_H */
