// SPDX-License-Identifier: GPL-2.0
/*
 * An entropy device in software.
 */
#include "entropy.h"

static struct entropy *entropy_of(struct fn *fn)
{
	return container_of(fn, struct entropy, fn);
}

void entropy_release(struct entropy *entropy)
{
	struct ring *ring = &entropy->fn.queue[0].ring;
	u8 data[4096];
	u32 i, len;

	if (!entropy->holds)
		return;
	len = min(entropy->written, entropy->held.in_len);
	len = min_t(u32, len, sizeof(data));
	for (i = 0; i < len; i++)
		data[i] = entropy->next++;
	chain_copy(&entropy->held, 0, data, len, true);
	entropy->holds = false;
	entropy->served++;
	ring_push(ring, entropy->held.head,
		  entropy->used_len < 0 ? len : (u32)entropy->used_len);
	if (ring_wants_irq(ring))
		fn_queue_irq(&entropy->fn, 0);
}

static void entropy_serve(struct fn *fn, unsigned int queue)
{
	struct entropy *entropy = entropy_of(fn);
	struct ring *ring = &fn->queue[queue].ring;

	while (!entropy->holds && ring_pop(ring, &entropy->held)) {
		ring_want_kick(ring, true);
		entropy->holds = true;
		/* Section 5.4.6.1: there is nothing for it to read. */
		BUG_ON(entropy->held.n != 1 || !entropy->held.seg[0].write);
		if (!entropy->hold)
			entropy_release(entropy);
	}
}

static bool entropy_forget(struct fn *fn, unsigned int queue, u32 head)
{
	struct entropy *entropy = entropy_of(fn);
	bool hold = entropy->hold;

	entropy->hold = true;
	entropy_serve(fn, queue);
	entropy->hold = hold;
	if (!entropy->holds || entropy->held.head != head)
		return false;
	entropy->holds = false;
	return true;
}

static void entropy_reset(struct fn *fn)
{
	entropy_of(fn)->holds = false;
}

void entropy_init(struct entropy *entropy, unsigned int slot)
{
	memset(entropy, 0, sizeof(*entropy));
	fn_init(&entropy->fn, VIRTIO_PCI_MODERN_ID_MIN + VIRTIO_ID_RNG, slot);
	entropy->fn.serve = entropy_serve;
	entropy->fn.forget = entropy_forget;
	entropy->fn.on_reset = entropy_reset;
	entropy->written = ~0U;
	entropy->used_len = -1;
}
