// SPDX-License-Identifier: GPL-2.0
/*
 * The split virtqueue, virtio 1.2 section 2.7, driver side.
 *
 * What the device can write, the used ring, is looked at once and checked.
 * What it could write although it must not, the descriptors, is never read
 * back: the driver's own account of every chain is in struct vring_desc_state
 * and struct vring_desc_extra, out of the device's reach.
 *
 * Locking is the caller's: no two calls for one queue at a time, except that
 * virtqueue_notify() and virtqueue_is_broken() may run beside anything.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/io.h>
#include <linux/dma-mapping.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <asm/barrier.h>

/* No entry: ends a chain of free descriptors. */
#define VRING_NONE		0xffff

/* Bounds on the memory for the indirect tables of one queue, in bytes. */
#define VRING_TABLES_MAX	(512 * 1024)
#define VRING_TABLES_CHUNK	(32 * 1024)

/**
 * struct vring_mem - memory that the device may see
 * @va:		where the CPU sees it
 * @dma:	where the device does
 * @size:	in bytes
 */
struct vring_mem {
	void *va;
	dma_addr_t dma;
	size_t size;
};

/* What a descriptor holds, for the time when it is taken back. */
struct vring_desc_extra {
	dma_addr_t addr;
	u32 len;
	u16 flags;
	u16 next;		/* also links the free descriptors */
};

/* An indirect table of vq->table_len entries, allocated beforehand. */
struct vring_table {
	struct vring_desc *desc;
	dma_addr_t dma;
	struct vring_desc_extra *extra;	/* only where buffers are unmapped */
	struct vring_table *next;	/* while it is free */
};

/* The chain whose head is the descriptor of this index. */
struct vring_desc_state {
	void *data;		/* the caller's token; NULL: not in flight */
	struct vring_table *table;
	u32 in_len;		/* bytes that the device may write */
	u16 num;		/* buffers in the chain */
};

struct vring_virtqueue {
	struct virtqueue vq;

	struct vring_mem mem;
	unsigned int num;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;

	bool event;		/* VIRTIO_RING_F_EVENT_IDX */
	bool use_dma_api;	/* VIRTIO_F_ACCESS_PLATFORM */
	bool weak_barriers;
	bool overrun_logged;

	u16 free_head;
	u16 avail_idx;		/* our copy of avail->idx */
	u16 avail_flags;	/* our copy of avail->flags */
	u16 last_used_idx;
	u16 num_added;		/* since the last kick */

	struct vring_desc_state *state;
	struct vring_desc_extra *extra;

	unsigned int table_len;
	struct vring_table *free_tables;
	struct vring_table *tables;
	unsigned int num_tables;
	struct vring_mem *chunks;
	unsigned int num_chunks;

	bool (*notify)(struct virtqueue *vq);
};

#define to_vvq(_vq)	container_of(_vq, struct vring_virtqueue, vq)

#define vq_err(_vq, fmt, ...)						\
	dev_err(&(_vq)->vdev->dev, "%s: queue %u (%s): " fmt,		\
		(_vq)->vdev->config->bus_name((_vq)->vdev),		\
		(_vq)->index, (_vq)->name, ##__VA_ARGS__)

/*
 * Barriers against the device, section 2.7.13. The device of a virtual
 * machine is another CPU's thread, so ordering against CPUs suffices, also
 * where this kernel runs on one CPU only; with VIRTIO_F_ORDER_PLATFORM it may
 * be real hardware.
 */
static void vring_mb(const struct vring_virtqueue *vvq)
{
	if (vvq->weak_barriers)
		virt_mb();
	else
		mb();
}

static void vring_rmb(const struct vring_virtqueue *vvq)
{
	if (vvq->weak_barriers)
		virt_rmb();
	else
		dma_rmb();
}

static void vring_wmb(const struct vring_virtqueue *vvq)
{
	if (vvq->weak_barriers)
		virt_wmb();
	else
		dma_wmb();
}

static __le16 *vring_used_event(const struct vring_virtqueue *vvq)
{
	return &vvq->avail->ring[vvq->num];
}

static __le16 *vring_avail_event(const struct vring_virtqueue *vvq)
{
	return (__le16 *)&vvq->used->ring[vvq->num];
}

/*
 * Did the index move past event_idx on its way from old to new? All modulo
 * 65536, section 2.7.7.2 and 2.7.10.
 */
static bool vring_need_event(u16 event_idx, u16 new, u16 old)
{
	return (u16)(new - event_idx - 1) < (u16)(new - old);
}

static struct device *vring_dma_dev(const struct vring_virtqueue *vvq)
{
	return vvq->vq.vdev->dev.parent;
}

/* Memory for the device, zeroed. Process context. */
static bool vring_mem_alloc(struct vring_virtqueue *vvq, struct vring_mem *mem,
			    size_t size, gfp_t gfp)
{
	mem->size = PAGE_ALIGN(size);
	if (vvq->use_dma_api) {
		mem->va = dma_alloc_coherent(vring_dma_dev(vvq), mem->size,
					     &mem->dma, gfp | __GFP_ZERO);
		return mem->va != NULL;
	}

	mem->va = (void *)__get_free_pages(gfp | __GFP_ZERO,
					   get_order(mem->size));
	if (!mem->va)
		return false;
	mem->dma = virt_to_phys(mem->va);
	return true;
}

static void vring_mem_free(struct vring_virtqueue *vvq, struct vring_mem *mem)
{
	if (!mem->va)
		return;
	if (vvq->use_dma_api)
		dma_free_coherent(vring_dma_dev(vvq), mem->size, mem->va,
				  mem->dma);
	else
		free_pages((unsigned long)mem->va, get_order(mem->size));
	mem->va = NULL;
}

static bool vring_map(const struct vring_virtqueue *vvq, struct scatterlist *sg,
		      bool in, dma_addr_t *addr)
{
	if (!vvq->use_dma_api) {
		*addr = sg_phys(sg);
		return true;
	}

	*addr = dma_map_page(vring_dma_dev(vvq), sg_page(sg), sg->offset,
			     sg->length, in ? DMA_FROM_DEVICE : DMA_TO_DEVICE);
	return !dma_mapping_error(vring_dma_dev(vvq), *addr);
}

static void vring_unmap(const struct vring_virtqueue *vvq,
			const struct vring_desc_extra *extra)
{
	if (!vvq->use_dma_api)
		return;
	dma_unmap_page(vring_dma_dev(vvq), extra->addr, extra->len,
		       extra->flags & VRING_DESC_F_WRITE ?
		       DMA_FROM_DEVICE : DMA_TO_DEVICE);
}

/*
 * One descriptor: the device's view of it, and ours. The tables of a queue
 * whose buffers need no unmapping carry no extra.
 */
static void vring_fill(struct vring_desc *desc, struct vring_desc_extra *extra,
		       dma_addr_t addr, u32 len, u16 flags, u16 next)
{
	desc->addr = cpu_to_le64(addr);
	desc->len = cpu_to_le32(len);
	desc->flags = cpu_to_le16(flags);
	desc->next = cpu_to_le16(next);
	if (!extra)
		return;
	extra->addr = addr;
	extra->len = len;
	extra->flags = flags;
}

/* A chain in the making. */
struct vring_chain {
	struct scatterlist **sgs;
	unsigned int out_sgs;
	unsigned int in_sgs;
	bool array;		/* one list, that is an array of total entries */
	unsigned int total;	/* buffers in all */
	u32 in_len;		/* bytes that the device may write */
};

static void vring_chain_count(struct vring_chain *chain)
{
	struct scatterlist *sg;
	unsigned int n;

	for (n = 0; n < chain->out_sgs + chain->in_sgs; n++)
		for (sg = chain->sgs[n]; sg; sg = sg_next(sg))
			chain->total++;
}

/*
 * Writes the chain into the descriptors @desc, following @links (the free
 * list) or, with @links NULL, one after the other. Returns the index behind
 * the last one, or -ENOMEM with nothing mapped.
 */
static int vring_write_chain(struct vring_virtqueue *vvq,
			     struct vring_chain *chain,
			     struct vring_desc *desc,
			     struct vring_desc_extra *extra,
			     bool linked, u16 head)
{
	struct scatterlist *sg;
	unsigned int n, left = chain->total;
	u16 i = head, next, flags;
	dma_addr_t addr;
	u64 in_len = 0;

	for (n = 0; left; n++) {
		bool in = n >= chain->out_sgs;

		for (sg = chain->sgs[n]; sg && left;
		     sg = chain->array ? sg + 1 : sg_next(sg)) {
			if (!vring_map(vvq, sg, in, &addr))
				goto unmap;
			next = linked ? extra[i].next : i + 1;
			flags = in ? VRING_DESC_F_WRITE : 0;
			if (--left)
				flags |= VRING_DESC_F_NEXT;
			if (in)
				in_len += sg->length;
			vring_fill(&desc[i], extra ? &extra[i] : NULL, addr,
				   sg->length, flags, next);
			i = next;
		}
	}
	chain->in_len = min_t(u64, in_len, U32_MAX);
	return i;

unmap:
	for (left = chain->total - left; left; left--) {
		vring_unmap(vvq, &extra[head]);
		head = linked ? extra[head].next : head + 1;
	}
	return -ENOMEM;
}

static int virtqueue_add(struct virtqueue *vq, struct vring_chain *chain,
			 void *data)
{
	struct vring_virtqueue *vvq = to_vvq(vq);
	struct vring_table *table = NULL;
	unsigned int needed;
	u16 head = vvq->free_head;
	int next;

	if (unlikely(virtio_device_is_broken(vq->vdev)))
		return -EIO;

	/* Section 2.7.5.3.1: no chain is longer than the queue. */
	if (WARN_ON_ONCE(!chain->total || chain->total > vvq->num || !data))
		return -EINVAL;

	/* Without a free table that is long enough the ring itself will do. */
	if (chain->total > 1 && chain->total <= vvq->table_len)
		table = vvq->free_tables;

	needed = table ? 1 : chain->total;
	if (vq->num_free < needed)
		return -ENOSPC;

	if (table) {
		next = vring_write_chain(vvq, chain, table->desc,
					 table->extra, false, 0);
		if (next < 0)
			return next;
		vvq->free_tables = table->next;
		next = vvq->extra[head].next;
		vring_fill(&vvq->desc[head], &vvq->extra[head], table->dma,
			   chain->total * sizeof(*table->desc),
			   VRING_DESC_F_INDIRECT, 0);
	} else {
		next = vring_write_chain(vvq, chain, vvq->desc, vvq->extra,
					 true, head);
		if (next < 0)
			return next;
	}

	vvq->free_head = next;
	vq->num_free -= needed;
	vvq->state[head].data = data;
	vvq->state[head].table = table;
	vvq->state[head].in_len = chain->in_len;
	vvq->state[head].num = chain->total;

	vvq->avail->ring[vvq->avail_idx & (vvq->num - 1)] = cpu_to_le16(head);
	/* The device must not see the index before what it stands for. */
	vring_wmb(vvq);
	vvq->avail_idx++;
	WRITE_ONCE(vvq->avail->idx, cpu_to_le16(vvq->avail_idx));
	vvq->num_added++;

	/* One more, and the count of what is new would wrap. */
	if (unlikely(vvq->num_added == U16_MAX))
		virtqueue_kick(vq);
	return 0;
}

/**
 * virtqueue_add_sgs - hand a chain of buffers to the device
 * @vq:		the queue
 * @sgs:	terminated scatterlists; first those that the device reads
 * @out_sgs:	how many of those
 * @in_sgs:	how many that it writes
 * @data:	token that virtqueue_get_buf() returns; not NULL
 *
 * The device sees it after the next kick. Any context, nothing is allocated.
 * Returns 0; -ENOSPC when the ring is full; -EIO when the device is broken;
 * -ENOMEM when a buffer cannot be mapped for DMA, which may pass; -EINVAL for
 * an empty chain or one that is longer than the queue. Section 2.7.13.
 */
int virtqueue_add_sgs(struct virtqueue *vq, struct scatterlist *sgs[],
		      unsigned int out_sgs, unsigned int in_sgs, void *data)
{
	struct vring_chain chain = {
		.sgs = sgs, .out_sgs = out_sgs, .in_sgs = in_sgs,
	};

	vring_chain_count(&chain);
	return virtqueue_add(vq, &chain, data);
}
EXPORT_SYMBOL_GPL(virtqueue_add_sgs);

/**
 * virtqueue_add_outbuf - hand over one buffer that the device reads
 * @vq:		the queue
 * @sg:		its parts: an array, that need not be terminated
 * @num:	how many
 * @data:	as in virtqueue_add_sgs()
 *
 * As virtqueue_add_sgs().
 */
int virtqueue_add_outbuf(struct virtqueue *vq, struct scatterlist *sg,
			 unsigned int num, void *data)
{
	struct vring_chain chain = {
		.sgs = &sg, .out_sgs = 1, .array = true, .total = num,
	};

	return virtqueue_add(vq, &chain, data);
}
EXPORT_SYMBOL_GPL(virtqueue_add_outbuf);

/**
 * virtqueue_add_inbuf - hand over one buffer that the device writes
 * @vq:		the queue
 * @sg:		its parts: an array, that need not be terminated
 * @num:	how many
 * @data:	as in virtqueue_add_sgs()
 *
 * As virtqueue_add_sgs().
 */
int virtqueue_add_inbuf(struct virtqueue *vq, struct scatterlist *sg,
			unsigned int num, void *data)
{
	struct vring_chain chain = {
		.sgs = &sg, .in_sgs = 1, .array = true, .total = num,
	};

	return virtqueue_add(vq, &chain, data);
}
EXPORT_SYMBOL_GPL(virtqueue_add_inbuf);

/**
 * virtqueue_kick_prepare - does the device want to be told?
 * @vq:		the queue
 *
 * Whether anything was added since the last call that the device did not say
 * it will find by itself, section 2.7.10. Made under the caller's lock, so
 * that the slow part, virtqueue_notify(), can be made outside it. Any context.
 */
bool virtqueue_kick_prepare(struct virtqueue *vq)
{
	struct vring_virtqueue *vvq = to_vvq(vq);
	u16 new = vvq->avail_idx;
	u16 old = new - vvq->num_added;

	if (!vvq->num_added)
		return false;
	vvq->num_added = 0;

	/* First publish the index, then look whether that is enough. */
	vring_mb(vvq);

	if (vvq->event)
		return vring_need_event(le16_to_cpu(READ_ONCE(*vring_avail_event(vvq))),
					new, old);
	return !(READ_ONCE(vvq->used->flags) &
		 cpu_to_le16(VRING_USED_F_NO_NOTIFY));
}
EXPORT_SYMBOL_GPL(virtqueue_kick_prepare);

/**
 * virtqueue_notify - tell the device that there is something in the queue
 * @vq:		the queue
 *
 * Any context, with or without the caller's lock. False if the device is
 * broken.
 */
bool virtqueue_notify(struct virtqueue *vq)
{
	if (unlikely(virtio_device_is_broken(vq->vdev)))
		return false;
	return to_vvq(vq)->notify(vq);
}
EXPORT_SYMBOL_GPL(virtqueue_notify);

/**
 * virtqueue_kick - tell the device, if it wants to be told
 * @vq:		the queue
 *
 * Any context. False if the device is broken.
 */
bool virtqueue_kick(struct virtqueue *vq)
{
	if (virtqueue_kick_prepare(vq))
		return virtqueue_notify(vq);
	return true;
}
EXPORT_SYMBOL_GPL(virtqueue_kick);

/* Takes a chain back: unmaps its buffers and frees what it was made of. */
static void vring_detach(struct vring_virtqueue *vvq, u16 head)
{
	struct vring_desc_state *state = &vvq->state[head];
	u16 last = head;
	unsigned int n;

	if (state->table) {
		for (n = 0; vvq->use_dma_api && n < state->num; n++)
			vring_unmap(vvq, &state->table->extra[n]);
		state->table->next = vvq->free_tables;
		vvq->free_tables = state->table;
		vvq->vq.num_free++;
	} else {
		vring_unmap(vvq, &vvq->extra[head]);
		for (n = 1; n < state->num; n++) {
			last = vvq->extra[last].next;
			vring_unmap(vvq, &vvq->extra[last]);
		}
		vvq->vq.num_free += state->num;
	}

	vvq->extra[last].next = vvq->free_head;
	vvq->free_head = head;
	state->data = NULL;
}

static bool vring_more_used(const struct vring_virtqueue *vvq)
{
	return vvq->last_used_idx != le16_to_cpu(READ_ONCE(vvq->used->idx));
}

/**
 * virtqueue_get_buf_check - take a used buffer back
 * @vq:		the queue
 * @len:	bytes that the device says it wrote, never more than it was
 *		allowed to
 * @overrun:	it said more than that; the first time is logged. NULL: its
 *		driver knows better, and nothing is
 *
 * Returns the token of a chain that the device has used, NULL if there is
 * none. A device that returns what it does not hold is given up. Any context.
 * Section 2.7.14.
 */
void *virtqueue_get_buf_check(struct virtqueue *vq, unsigned int *len,
			      bool *overrun)
{
	struct vring_virtqueue *vvq = to_vvq(vq);
	const struct vring_used_elem *elem;
	struct vring_desc_state *state;
	u32 id, used_len;
	void *data;

	if (unlikely(virtio_device_is_broken(vq->vdev)) ||
	    !vring_more_used(vvq))
		return NULL;

	/* The element is only good once the index is seen. */
	vring_rmb(vvq);

	elem = &vvq->used->ring[vvq->last_used_idx & (vvq->num - 1)];
	id = le32_to_cpu(READ_ONCE(elem->id));
	used_len = le32_to_cpu(READ_ONCE(elem->len));

	if (unlikely(id >= vvq->num)) {
		vq_err(vq, "used ring: id %u is out of range (queue size %u): the device is given up\n",
		       id, vvq->num);
		virtio_break_device(vq->vdev);
		return NULL;
	}
	state = &vvq->state[id];
	if (unlikely(!state->data)) {
		vq_err(vq, "used ring: id %u is not in flight: the device is given up\n",
		       id);
		virtio_break_device(vq->vdev);
		return NULL;
	}

	if (overrun)
		*overrun = used_len > state->in_len;
	if (unlikely(used_len > state->in_len)) {
		if (overrun && !vvq->overrun_logged) {
			vq_err(vq, "used ring: length %u exceeds the %u bytes of buffer %u; this is logged once\n",
			       used_len, state->in_len, id);
			vvq->overrun_logged = true;
		}
		used_len = state->in_len;
	}
	*len = used_len;
	data = state->data;
	vring_detach(vvq, id);
	vvq->last_used_idx++;

	/* Interrupts are on: ask for one for what comes after this. */
	if (vvq->event && !(vvq->avail_flags & VRING_AVAIL_F_NO_INTERRUPT)) {
		WRITE_ONCE(*vring_used_event(vvq),
			   cpu_to_le16(vvq->last_used_idx));
		vring_mb(vvq);
	}
	return data;
}
EXPORT_SYMBOL_GPL(virtqueue_get_buf_check);

/**
 * virtqueue_get_buf - take a used buffer back
 * @vq:		the queue
 * @len:	bytes that the device wrote, never more than the buffer holds
 *
 * As virtqueue_get_buf_check(), for a caller to whom an overrun does not
 * matter.
 */
void *virtqueue_get_buf(struct virtqueue *vq, unsigned int *len)
{
	bool overrun;

	return virtqueue_get_buf_check(vq, len, &overrun);
}
EXPORT_SYMBOL_GPL(virtqueue_get_buf);

/**
 * virtqueue_disable_cb - interrupts are not wanted for now
 * @vq:		the queue
 *
 * A hint to the device: one may still come. Any context. Section 2.7.7.
 */
void virtqueue_disable_cb(struct virtqueue *vq)
{
	struct vring_virtqueue *vvq = to_vvq(vq);

	if (vvq->avail_flags & VRING_AVAIL_F_NO_INTERRUPT)
		return;
	vvq->avail_flags |= VRING_AVAIL_F_NO_INTERRUPT;

	/*
	 * With event indices the flag is not looked at; an event index that
	 * is not moved on is what keeps the device quiet: it meets it again
	 * after 65536 more buffers. Put it just behind.
	 */
	if (vvq->event)
		WRITE_ONCE(*vring_used_event(vvq),
			   cpu_to_le16(vvq->last_used_idx - 1));
	else
		WRITE_ONCE(vvq->avail->flags, cpu_to_le16(vvq->avail_flags));
}
EXPORT_SYMBOL_GPL(virtqueue_disable_cb);

/* Interrupts are wanted again, when @ahead more buffers were used. */
static void vring_enable_cb(struct vring_virtqueue *vvq, u16 ahead)
{
	if (vvq->avail_flags & VRING_AVAIL_F_NO_INTERRUPT) {
		vvq->avail_flags &= ~VRING_AVAIL_F_NO_INTERRUPT;
		if (!vvq->event)
			WRITE_ONCE(vvq->avail->flags,
				   cpu_to_le16(vvq->avail_flags));
	}
	if (vvq->event)
		WRITE_ONCE(*vring_used_event(vvq),
			   cpu_to_le16(vvq->last_used_idx + ahead));

	/* First ask, then look: what came in between raised no interrupt. */
	vring_mb(vvq);
}

/**
 * virtqueue_enable_cb_after - interrupts are wanted again, but not at once
 * @vq:		the queue
 * @ahead:	used buffers for which none is wanted; without event indices,
 *		one is wanted all the same
 *
 * Returns where the queue stands, for virtqueue_poll_after(). The caller makes
 * sure that somebody looks if there never are that many. Any context.
 */
unsigned int virtqueue_enable_cb_after(struct virtqueue *vq, unsigned int ahead)
{
	struct vring_virtqueue *vvq = to_vvq(vq);

	vring_enable_cb(vvq, ahead);
	return vvq->last_used_idx;
}
EXPORT_SYMBOL_GPL(virtqueue_enable_cb_after);

/**
 * virtqueue_poll_after - were more buffers used since?
 * @vq:		the queue
 * @last_used:	what virtqueue_enable_cb_after() returned
 * @ahead:	more than this
 *
 * Needs no lock. Any context.
 */
bool virtqueue_poll_after(struct virtqueue *vq, unsigned int last_used,
			  unsigned int ahead)
{
	struct vring_virtqueue *vvq = to_vvq(vq);
	u16 used;

	if (unlikely(virtio_device_is_broken(vq->vdev)))
		return false;
	vring_mb(vvq);
	used = le16_to_cpu(READ_ONCE(vvq->used->idx));
	return (u16)(used - last_used) > ahead;
}
EXPORT_SYMBOL_GPL(virtqueue_poll_after);

/**
 * virtqueue_enable_cb_prepare - interrupts are wanted again
 * @vq:		the queue
 *
 * Returns where the queue stands, for virtqueue_poll(). Any context.
 */
unsigned int virtqueue_enable_cb_prepare(struct virtqueue *vq)
{
	return virtqueue_enable_cb_after(vq, 0);
}
EXPORT_SYMBOL_GPL(virtqueue_enable_cb_prepare);

/**
 * virtqueue_poll - was a buffer used since?
 * @vq:		the queue
 * @last_used:	what virtqueue_enable_cb_prepare() returned
 *
 * Needs no lock. Any context.
 */
bool virtqueue_poll(struct virtqueue *vq, unsigned int last_used)
{
	return virtqueue_poll_after(vq, last_used, 0);
}
EXPORT_SYMBOL_GPL(virtqueue_poll);

/**
 * virtqueue_enable_cb - interrupts are wanted again
 * @vq:		the queue
 *
 * False if there is something to take already, for which no interrupt may
 * come: the caller takes it and calls again. Any context.
 */
bool virtqueue_enable_cb(struct virtqueue *vq)
{
	return !virtqueue_poll(vq, virtqueue_enable_cb_prepare(vq));
}
EXPORT_SYMBOL_GPL(virtqueue_enable_cb);

/**
 * virtqueue_enable_cb_delayed - interrupts are wanted again, but not soon
 * @vq:		the queue
 *
 * As virtqueue_enable_cb(), except that with event indices the device is
 * asked to use three quarters of what it holds first. Any context.
 */
bool virtqueue_enable_cb_delayed(struct virtqueue *vq)
{
	struct vring_virtqueue *vvq = to_vvq(vq);
	u16 ahead = (u16)(vvq->avail_idx - vvq->last_used_idx) * 3 / 4;

	vring_enable_cb(vvq, ahead);
	return virtio_device_is_broken(vq->vdev) ||
	       (u16)(le16_to_cpu(READ_ONCE(vvq->used->idx)) -
		     vvq->last_used_idx) <= ahead;
}
EXPORT_SYMBOL_GPL(virtqueue_enable_cb_delayed);

/**
 * virtqueue_detach_unused_buf - take back what the device did not use
 * @vq:		the queue
 *
 * Only after the device was reset. Returns the token of a chain that was in
 * flight, NULL when there are no more. Any context.
 */
void *virtqueue_detach_unused_buf(struct virtqueue *vq)
{
	struct vring_virtqueue *vvq = to_vvq(vq);
	unsigned int i;
	void *data;

	for (i = 0; i < vvq->num; i++) {
		data = vvq->state[i].data;
		if (data) {
			vring_detach(vvq, i);
			return data;
		}
	}
	return NULL;
}
EXPORT_SYMBOL_GPL(virtqueue_detach_unused_buf);

/**
 * virtqueue_get_vring_size - how many descriptors the queue has
 * @vq:		the queue
 *
 * May be less than the device's maximum where memory was short.
 */
unsigned int virtqueue_get_vring_size(const struct virtqueue *vq)
{
	return to_vvq(vq)->num;
}
EXPORT_SYMBOL_GPL(virtqueue_get_vring_size);

/**
 * virtqueue_is_broken - was the device given up?
 * @vq:		the queue
 */
bool virtqueue_is_broken(const struct virtqueue *vq)
{
	return virtio_device_is_broken(vq->vdev);
}
EXPORT_SYMBOL_GPL(virtqueue_is_broken);

/**
 * vring_interrupt - the device interrupted for this queue, or may have
 * @vq:		the queue
 *
 * For transports. Calls the driver back if a buffer was used. Interrupt
 * context. False if there was nothing.
 */
bool vring_interrupt(struct virtqueue *vq)
{
	if (!vring_more_used(to_vvq(vq)) || virtio_device_is_broken(vq->vdev))
		return false;
	if (vq->callback)
		vq->callback(vq);
	return true;
}
EXPORT_SYMBOL_GPL(vring_interrupt);

/**
 * vring_transport_features - keep the ring's own feature bits
 * @vdev:	the device
 *
 * For transports' finalize_features(): clears what neither the ring nor any
 * transport knows among the bits of section 6, RING_PACKED among them.
 */
void vring_transport_features(struct virtio_device *vdev)
{
	static const u64 known = 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
				 1ULL << VIRTIO_RING_F_EVENT_IDX |
				 1ULL << VIRTIO_F_VERSION_1 |
				 1ULL << VIRTIO_F_ACCESS_PLATFORM |
				 1ULL << VIRTIO_F_ORDER_PLATFORM;
	unsigned int i;

	for (i = VIRTIO_TRANSPORT_F_START; i < VIRTIO_TRANSPORT_F_END; i++)
		if (!(known & (1ULL << i)))
			virtio_clear_feature(vdev, i);
}
EXPORT_SYMBOL_GPL(vring_transport_features);

/*
 * The indirect tables: as many as there may be chains, up to
 * VRING_TABLES_MAX. Short of memory there are fewer, or none; then chains
 * take descriptors of the ring.
 */
static void vring_alloc_tables(struct vring_virtqueue *vvq, unsigned int len)
{
	size_t table_size = len * sizeof(struct vring_desc);
	size_t chunk_size = max_t(size_t, VRING_TABLES_CHUNK, table_size);
	unsigned int per_chunk = chunk_size / table_size;
	unsigned int num = min_t(unsigned int, vvq->num,
				 VRING_TABLES_MAX / table_size);
	unsigned int max_chunks, i;
	struct vring_table *table;
	struct vring_mem *chunk;

	max_chunks = DIV_ROUND_UP(num, per_chunk);
	vvq->tables = kcalloc(num, sizeof(*vvq->tables), GFP_KERNEL);
	vvq->chunks = kcalloc(max_chunks, sizeof(*vvq->chunks), GFP_KERNEL);
	if (!vvq->tables || !vvq->chunks)
		return;
	vvq->num_tables = num;

	for (i = 0; i < num; i++) {
		chunk = &vvq->chunks[i / per_chunk];
		if (i % per_chunk == 0) {
			if (!vring_mem_alloc(vvq, chunk,
					     min_t(size_t, chunk_size,
						   (num - i) * table_size),
					     GFP_KERNEL | __GFP_NOWARN |
					     __GFP_NORETRY))
				break;
			vvq->num_chunks++;
		}
		table = &vvq->tables[i];
		table->desc = chunk->va + i % per_chunk * table_size;
		table->dma = chunk->dma + i % per_chunk * table_size;
		if (vvq->use_dma_api) {
			table->extra = kcalloc(len, sizeof(*table->extra),
					       GFP_KERNEL);
			if (!table->extra)
				break;
		}
		table->next = vvq->free_tables;
		vvq->free_tables = table;
	}
	vvq->table_len = len;
}

static void vring_free_tables(struct vring_virtqueue *vvq)
{
	unsigned int i;

	for (i = 0; i < vvq->num_tables; i++)
		kfree(vvq->tables[i].extra);
	for (i = 0; i < vvq->num_chunks; i++)
		vring_mem_free(vvq, &vvq->chunks[i]);
	kfree(vvq->chunks);
	kfree(vvq->tables);
}

/* Everything whose size depends on @num. False: not enough memory for it. */
static bool vring_alloc_ring(struct vring_virtqueue *vvq, unsigned int num,
			     unsigned int align, bool last_try)
{
	size_t avail = num * sizeof(struct vring_desc);
	size_t used = ALIGN(avail + sizeof(struct vring_avail) +
			    (num + 1) * sizeof(__le16), align);
	size_t size = used + sizeof(struct vring_used) +
		      num * sizeof(struct vring_used_elem) + sizeof(__le16);
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN;

	if (!last_try)
		gfp |= __GFP_NORETRY;

	vvq->state = kcalloc(num, sizeof(*vvq->state), gfp);
	vvq->extra = kcalloc(num, sizeof(*vvq->extra), gfp);
	if (vvq->state && vvq->extra &&
	    vring_mem_alloc(vvq, &vvq->mem, size, gfp)) {
		vvq->num = num;
		vvq->desc = vvq->mem.va;
		vvq->avail = vvq->mem.va + avail;
		vvq->used = vvq->mem.va + used;
		return true;
	}
	kfree(vvq->state);
	kfree(vvq->extra);
	return false;
}

/**
 * vring_create_virtqueue - make a split virtqueue
 * @vdev:	its device; features are negotiated
 * @layout:	what the transport wants of it; max_num is a power of 2
 * @info:	what the driver wants of it
 * @notify:	how the device is told of new buffers; any context
 *
 * For transports. A queue of the device's maximum size or, where memory is
 * short and the device lets us choose, the largest one that can be had.
 * Process context. NULL: not even that.
 */
struct virtqueue *vring_create_virtqueue(struct virtio_device *vdev,
					 const struct vring_layout *layout,
					 const struct virtqueue_info *info,
					 bool (*notify)(struct virtqueue *vq))
{
	unsigned int num = layout->max_num;
	struct vring_virtqueue *vvq;
	unsigned int i, len;

	vvq = kzalloc(sizeof(*vvq), GFP_KERNEL);
	if (!vvq)
		return NULL;
	vvq->vq.vdev = vdev;
	vvq->use_dma_api = virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM);

	while (!vring_alloc_ring(vvq, num, layout->align,
				 layout->fixed || num == 1)) {
		num /= 2;
		if (layout->fixed || !num) {
			kfree(vvq);
			return NULL;
		}
	}

	vvq->vq.name = info->name;
	vvq->vq.callback = info->callback;
	vvq->vq.index = layout->index;
	vvq->vq.num_free = vvq->num;
	vvq->notify = notify;
	vvq->event = virtio_has_feature(vdev, VIRTIO_RING_F_EVENT_IDX);
	vvq->weak_barriers = layout->weak_barriers;
	/* Lengths of legacy devices are what they are, section 2.7.8.3. */
	vvq->overrun_logged = virtio_is_legacy(vdev);

	/* All descriptors are free. */
	for (i = 0; i < vvq->num; i++)
		vvq->extra[i].next = i + 1 < vvq->num ? i + 1 : VRING_NONE;

	/* Section 2.7.5.3.1: a table is no longer than the queue. */
	len = min(info->max_sgs, vvq->num);
	if (virtio_has_feature(vdev, VIRTIO_RING_F_INDIRECT_DESC) && len > 1)
		vring_alloc_tables(vvq, len);

	/* A queue without a callback wants no interrupts. */
	if (!info->callback)
		virtqueue_disable_cb(&vvq->vq);

	list_add_tail(&vvq->vq.list, &vdev->vqs);
	return &vvq->vq;
}
EXPORT_SYMBOL_GPL(vring_create_virtqueue);

/**
 * vring_reinit_virtqueue - a virtqueue as it was when it was made
 * @vq:		the queue; every buffer was taken back from it
 *
 * For transports: the device was reset, and will be told of the queue again.
 * Nothing is allocated. Process context.
 */
void vring_reinit_virtqueue(struct virtqueue *vq)
{
	struct vring_virtqueue *vvq = to_vvq(vq);

	vvq->last_used_idx = 0;
	vvq->avail_idx = 0;
	vvq->num_added = 0;
	vvq->avail_flags = 0;
	memset(vvq->mem.va, 0, vvq->mem.size);

	if (!vq->callback)
		virtqueue_disable_cb(vq);
}
EXPORT_SYMBOL_GPL(vring_reinit_virtqueue);

/**
 * vring_del_virtqueue - free a virtqueue
 * @vq:		the queue
 *
 * For transports: the device no longer knows it, or was reset, and its
 * interrupt is off. Buffers that are still in it are forgotten, so the driver
 * has detached them. Process context.
 */
void vring_del_virtqueue(struct virtqueue *vq)
{
	struct vring_virtqueue *vvq = to_vvq(vq);

	list_del(&vq->list);
	vring_free_tables(vvq);
	vring_mem_free(vvq, &vvq->mem);
	kfree(vvq->extra);
	kfree(vvq->state);
	kfree(vvq);
}
EXPORT_SYMBOL_GPL(vring_del_virtqueue);

/**
 * virtqueue_desc_addr - where the device finds the descriptors
 * @vq:		the queue
 */
dma_addr_t virtqueue_desc_addr(const struct virtqueue *vq)
{
	return to_vvq(vq)->mem.dma;
}
EXPORT_SYMBOL_GPL(virtqueue_desc_addr);

/**
 * virtqueue_avail_addr - where the device finds the driver area
 * @vq:		the queue
 */
dma_addr_t virtqueue_avail_addr(const struct virtqueue *vq)
{
	const struct vring_virtqueue *vvq = to_vvq(vq);

	return vvq->mem.dma + ((void *)vvq->avail - vvq->mem.va);
}
EXPORT_SYMBOL_GPL(virtqueue_avail_addr);

/**
 * virtqueue_used_addr - where the device finds the device area
 * @vq:		the queue
 */
dma_addr_t virtqueue_used_addr(const struct virtqueue *vq)
{
	const struct vring_virtqueue *vvq = to_vvq(vq);

	return vvq->mem.dma + ((void *)vvq->used - vvq->mem.va);
}
EXPORT_SYMBOL_GPL(virtqueue_used_addr);

MODULE_DESCRIPTION("virtio split ring");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
