// SPDX-License-Identifier: GPL-2.0
/*
 * A 9p server in software.
 */
#include "share.h"
#include <shim/p9.h>
#include <linux/virtio_9p.h>

static struct share *to_share(struct fn *fn)
{
	return container_of(fn, struct share, fn);
}

static void share_push(struct share *share, struct chain *chain, u32 len)
{
	ring_push(&share->fn.queue[0].ring, chain->head, len);
}

/* flush(5): what it held is not answered; returned, before the flush is. */
static void share_flush(struct share *share, u16 tag)
{
	unsigned int i;

	for (i = 0; i < share->num_held; i++)
		if (get_unaligned_le16(share->held[i].seg[0].p + 5) == tag) {
			share_push(share, &share->held[i], 0);
			share->num_held--;
			memmove(&share->held[i], &share->held[i + 1],
				(share->num_held - i) * sizeof(share->held[0]));
			share->flushed++;
			return;
		}
}

static void share_answer(struct share *share, struct chain *chain)
{
	u8 *t = chain->seg[0].p, *r = chain->seg[1].p;
	u32 size = get_unaligned_le32(t), i;

	BUG_ON(chain->n != 2 || chain->seg[0].write || !chain->seg[1].write);
	BUG_ON(chain->seg[0].len != size || size < 7);
	BUG_ON(chain->seg[1].len < size);
	if (t[4] == P9_TFLUSH && !share->keep)
		share_flush(share, get_unaligned_le16(t + 7));
	for (i = 7; i < size; i++)
		r[i] = t[size - 1 - (i - 7)];
	put_unaligned_le32(share->size < 0 ? size : (u32)share->size, r);
	r[4] = share->type < 0 ? t[4] + 1 : share->type;
	put_unaligned_le16(get_unaligned_le16(t + 5) ^ share->tag_xor, r + 5);
	share_push(share, chain,
		   share->used_len < 0 ? size : (u32)share->used_len);
	share->served++;
}

static void share_signal(struct share *share)
{
	if (ring_wants_irq(&share->fn.queue[0].ring))
		fn_queue_irq(&share->fn, 0);
}

void share_release(struct share *share, unsigned int max)
{
	struct chain chain;

	while (share->num_held && max--) {
		chain = share->held[0];
		share->num_held--;
		memmove(&share->held[0], &share->held[1],
			share->num_held * sizeof(share->held[0]));
		share_answer(share, &chain);
	}
	share_signal(share);
}

static void share_serve(struct fn *fn, unsigned int queue)
{
	struct share *share = to_share(fn);
	struct ring *ring = &fn->queue[queue].ring;
	struct chain *chain;

	while (share->num_held < SHARE_HELD &&
	       ring_pop(ring, &share->held[share->num_held])) {
		chain = &share->held[share->num_held++];
		ring_want_kick(ring, true);
		/* A flush is answered at once. */
		if (share->hold && chain->seg[0].p[4] == P9_TFLUSH) {
			struct chain flush = *chain;

			share->num_held--;
			share_answer(share, &flush);
			share_signal(share);
		}
	}
	if (!share->hold)
		share_release(share, SHARE_HELD);
}

static void share_reset(struct fn *fn)
{
	to_share(fn)->num_held = 0;
	to_share(fn)->resets++;
}

void share_set_tag(struct share *share, const void *tag, unsigned int len)
{
	put_unaligned_le16(len, share->fn.device_config);
	memcpy(share->fn.device_config + 2, tag,
	       min_t(unsigned int, len, sizeof(share->fn.device_config) - 2));
}

struct share *share_new(unsigned int slot, const char *tag)
{
	struct share *share = calloc(1, sizeof(*share));
	struct fn *fn = &share->fn;

	fn_init(fn, VIRTIO_PCI_MODERN_ID_MIN + VIRTIO_ID_9P, slot);
	fn->serve = share_serve;
	fn->on_reset = share_reset;
	fn->features |= 1ULL << VIRTIO_9P_MOUNT_TAG;
	share_set_tag(share, tag, strlen(tag));
	share->used_len = -1;
	share->size = -1;
	share->type = -1;
	return share;
}

void share_free(struct share *share)
{
	free(share->fn.pci.dev.name);
	free(share);
}
