// SPDX-License-Identifier: GPL-2.0
/*
 * A memory balloon in software.
 */
#include "balloon.h"

#define DRIVER_BUG_ON(b, cond)	BUG_ON(!(b)->fn.lying && (cond))

/* The one that looks at what is freed. */
static struct balloon *watching;

static struct balloon *balloon_of(struct fn *fn)
{
	return container_of(fn, struct balloon, fn);
}

static void page_freed(unsigned long pfn)
{
	if (pfn < BALLOON_MAX_PFN && watching->owned[pfn] &&
	    !watching->fn.gone && !watching->fn.lying)
		SHIM_BUG("page %lu is freed, and the host has it", pfn);
}

static void balloon_signal(struct balloon *balloon, unsigned int queue)
{
	if (ring_wants_irq(&balloon->fn.queue[queue].ring))
		fn_queue_irq(&balloon->fn, queue);
}

static void balloon_do(struct balloon *balloon, unsigned int queue,
		       const struct chain *chain)
{
	bool inflate = queue == VIRTIO_BALLOON_VQ_INFLATE;
	unsigned int i, n = chain->seg[0].len / 4;
	__le32 pfns[256];
	u32 pfn;

	/* One buffer of whole numbers, which the device reads. */
	BUG_ON(chain->n != 1 || chain->seg[0].write);
	BUG_ON(!n || chain->seg[0].len % 4 || n > ARRAY_SIZE(pfns));
	chain_copy(chain, 0, pfns, n * 4, false);
	for (i = 0; i < n; i++) {
		pfn = le32_to_cpu(pfns[i]);
		/* The page is still there, and is the device's or is not. */
		DRIVER_BUG_ON(balloon, !shim_pfn_to_page(pfn));
		if (pfn >= BALLOON_MAX_PFN)
			continue;
		DRIVER_BUG_ON(balloon, balloon->owned[pfn] == inflate);
		balloon->owned[pfn] = inflate;
	}
	if (inflate)
		balloon->num_owned += n;
	else
		balloon->num_owned -= n;
	balloon->arrays[queue]++;
	balloon->largest = max(balloon->largest, n);
	ring_push(&balloon->fn.queue[queue].ring, chain->head,
		  balloon->used_len);
}

void balloon_release(struct balloon *balloon)
{
	if (!balloon->holds)
		return;
	balloon->holds = false;
	balloon_do(balloon, balloon->held_queue, &balloon->held);
	balloon_signal(balloon, balloon->held_queue);
}

static void balloon_serve(struct fn *fn, unsigned int queue)
{
	struct balloon *balloon = balloon_of(fn);
	struct ring *ring = &fn->queue[queue].ring;

	if (queue == VIRTIO_BALLOON_VQ_STATS) {
		if (balloon->stats || !ring_pop(ring, &balloon->stats_chain))
			return;
		balloon->stats = true;
		BUG_ON(balloon->stats_chain.n != 1 ||
		       balloon->stats_chain.seg[0].write ||
		       balloon->stats_chain.seg[0].len %
				sizeof(struct virtio_balloon_stat));
	} else {
		if (balloon->holds || !ring_pop(ring, &balloon->held))
			return;
		balloon->holds = true;
		balloon->held_queue = queue;
		if (!balloon->hold)
			balloon_release(balloon);
	}
	ring_want_kick(ring, true);
}

static bool balloon_forget(struct fn *fn, unsigned int queue, u32 head)
{
	struct balloon *balloon = balloon_of(fn);
	bool hold = balloon->hold;

	balloon->hold = true;
	balloon_serve(fn, queue);
	balloon->hold = hold;
	if (queue == VIRTIO_BALLOON_VQ_STATS) {
		if (!balloon->stats || balloon->stats_chain.head != head)
			return false;
		balloon->stats = false;
		return true;
	}
	if (!balloon->holds || balloon->held_queue != queue ||
	    balloon->held.head != head)
		return false;
	/* It says that it has read them. So it has them, or has not. */
	balloon->holds = false;
	memset(balloon->owned, 0, sizeof(balloon->owned));
	return true;
}

/* After it nothing is the host's. */
static void balloon_reset(struct fn *fn)
{
	struct balloon *balloon = balloon_of(fn);

	balloon->left = balloon->num_owned;
	balloon->holds = false;
	balloon->stats = false;
	balloon->num_owned = 0;
	memset(balloon->owned, 0, sizeof(balloon->owned));
}

void balloon_want(struct balloon *balloon, u32 pages)
{
	memcpy(balloon->fn.device_config, &pages, sizeof(pages));
	fn_config_irq(&balloon->fn);
}

u32 balloon_actual(struct balloon *balloon)
{
	u32 pages;

	memcpy(&pages, balloon->fn.device_config + 4, sizeof(pages));
	return pages;
}

u64 balloon_stat(struct balloon *balloon, u16 tag)
{
	struct virtio_balloon_stat stat;
	unsigned int at;

	BUG_ON(!balloon->stats);
	for (at = 0; at < balloon->stats_chain.seg[0].len; at += sizeof(stat)) {
		chain_copy(&balloon->stats_chain, at, &stat, sizeof(stat),
			   false);
		if (stat.tag == tag)
			return stat.val;
	}
	return ~0ULL;
}

void balloon_ask_stats(struct balloon *balloon)
{
	if (!balloon->stats)
		return;
	balloon->stats = false;
	ring_push(&balloon->fn.queue[VIRTIO_BALLOON_VQ_STATS].ring,
		  balloon->stats_chain.head, balloon->used_len);
	balloon_signal(balloon, VIRTIO_BALLOON_VQ_STATS);
}

void balloon_init(struct balloon *balloon, unsigned int slot)
{
	struct fn *fn = &balloon->fn;

	memset(balloon, 0, offsetof(struct balloon, held));
	memset(balloon->owned, 0, sizeof(balloon->owned));
	fn_init(fn, VIRTIO_PCI_MODERN_ID_MIN + VIRTIO_ID_BALLOON, slot);
	/* QEMU's has the interrupt line, and nothing else. */
	fn->pci.msix_table = 0;
	fn->num_queues = VIRTIO_BALLOON_NUM_VQS;
	fn->serve = balloon_serve;
	fn->forget = balloon_forget;
	fn->on_reset = balloon_reset;
	fn->features |= 1ULL << VIRTIO_BALLOON_F_STATS_VQ;
	watching = balloon;
	shim_page_freed = page_freed;
}

struct balloon *balloon_new(unsigned int slot)
{
	struct balloon *balloon = calloc(1, sizeof(*balloon));

	balloon_init(balloon, slot);
	return balloon;
}

void balloon_free(struct balloon *balloon)
{
	shim_page_freed = NULL;
	free(balloon);
}
