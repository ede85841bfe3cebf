// SPDX-License-Identifier: GPL-2.0
/*
 * A virtio device in software.
 */
#include "device.h"

/*
 * The driver does what it must not, if it is the driver's fault: the driver of
 * a device that lies to it may well end up there.
 */
#define DRIVER_BUG_ON(dev, cond)	BUG_ON(!(dev)->lying && (cond))

/* The ring, virtio 1.2 section 2.7 */

void *ring_ptr(const struct ring *ring, u64 addr, size_t len, bool write)
{
	return ring->dma ? shim_dma_to_virt(addr, len, write) :
			   shim_phys_to_virt(addr, len);
}

struct vring_avail *ring_avail(const struct ring *ring)
{
	return ring_ptr(ring, ring->avail, 6 + 2 * ring->num, false);
}

struct vring_used *ring_used(const struct ring *ring)
{
	return ring_ptr(ring, ring->used, 6 + 8 * ring->num, true);
}

static void ring_add_seg(const struct ring *ring, struct chain *chain,
			 const struct vring_desc *desc)
{
	bool write = desc->flags & VRING_DESC_F_WRITE;
	u8 *p = ring_ptr(ring, desc->addr, desc->len, write);

	if (!p)
		SHIM_BUG("buffer %llx of %u bytes is not the device's to %s",
			 desc->addr, desc->len, write ? "write" : "read");
	BUG_ON(chain->n == RING_MAX_SEGS || !desc->len);
	/* Section 2.7.4.2: what the device reads comes first. */
	BUG_ON(!write && chain->n && chain->seg[chain->n - 1].write);
	chain->seg[chain->n].p = p;
	chain->seg[chain->n].len = desc->len;
	chain->seg[chain->n].write = write;
	chain->n++;
	if (write)
		chain->in_len += desc->len;
}

/* An indirect table, section 2.7.5.3. */
static void ring_pop_table(const struct ring *ring, struct chain *chain,
			   const struct vring_desc *outer)
{
	unsigned int i = 0, num = outer->len / sizeof(*outer), n = 0;
	const struct vring_desc *table;

	BUG_ON(!ring->indirect || chain->n);
	BUG_ON(outer->flags != VRING_DESC_F_INDIRECT);
	BUG_ON(!num || outer->len % sizeof(*outer) || num > ring->num);
	table = ring_ptr(ring, outer->addr, outer->len, false);
	BUG_ON(!table);
	chain->indirect = true;
	for (;;) {
		BUG_ON(i >= num || ++n > num);
		BUG_ON(table[i].flags & VRING_DESC_F_INDIRECT);
		ring_add_seg(ring, chain, &table[i]);
		if (!(table[i].flags & VRING_DESC_F_NEXT))
			break;
		i = table[i].next;
	}
	BUG_ON(n != num);
}

void ring_walk(const struct ring *ring, struct chain *chain)
{
	const struct vring_desc *desc =
		ring_ptr(ring, ring->desc, 16 * ring->num, false);
	unsigned int i, n = 0;

	BUG_ON(!desc);
	chain->n = 0;
	chain->in_len = 0;
	chain->indirect = false;
	for (i = chain->head;; i = desc[i].next) {
		BUG_ON(i >= ring->num || ++n > ring->num);
		if (desc[i].flags & VRING_DESC_F_INDIRECT)
			ring_pop_table(ring, chain, &desc[i]);
		else
			ring_add_seg(ring, chain, &desc[i]);
		if (!(desc[i].flags & VRING_DESC_F_NEXT))
			return;
	}
}

bool ring_pop(struct ring *ring, struct chain *chain)
{
	const struct vring_avail *avail = ring_avail(ring);

	BUG_ON(!avail);
	/* Never more than the queue is long, section 2.7.13.3. */
	DRIVER_BUG_ON(ring, (u16)(avail->idx - ring->used_idx) > ring->num);
	if (avail->idx == ring->last_avail || ring->lied)
		return false;
	chain->head = avail->ring[ring->last_avail++ % ring->num];
	ring_walk(ring, chain);
	return true;
}

void ring_push(struct ring *ring, u32 id, u32 len)
{
	struct vring_used *used = ring_used(ring);

	BUG_ON(!used);
	used->ring[ring->used_idx % ring->num].id = id;
	used->ring[ring->used_idx % ring->num].len = len;
	used->idx = ++ring->used_idx;
}

void chain_copy(const struct chain *chain, unsigned int off, void *buf,
		unsigned int len, bool in)
{
	unsigned int i, n;

	for (i = 0; len; i++) {
		BUG_ON(i == chain->n);
		if (off >= chain->seg[i].len) {
			off -= chain->seg[i].len;
			continue;
		}
		n = min(len, chain->seg[i].len - off);
		if (in)
			memcpy(chain->seg[i].p + off, buf, n);
		else
			memcpy(buf, chain->seg[i].p + off, n);
		buf = (u8 *)buf + n;
		len -= n;
		off = 0;
	}
}

u16 ring_used_event(const struct ring *ring)
{
	return ring_avail(ring)->ring[ring->num];
}

bool ring_wants_irq(struct ring *ring)
{
	u16 new = ring->used_idx, old = ring->signalled;

	ring->signalled = new;
	if (new == old)
		return false;
	if (!ring->event)
		return !(ring_avail(ring)->flags & VRING_AVAIL_F_NO_INTERRUPT);
	return (u16)(new - ring_used_event(ring) - 1) < (u16)(new - old);
}

void ring_want_kick(struct ring *ring, bool want)
{
	struct vring_used *used = ring_used(ring);

	BUG_ON(!used);
	if (!ring->event)
		used->flags = want ? 0 : VRING_USED_F_NO_NOTIFY;
	else	/* section 2.7.10: the index after which we want to hear */
		*(u16 *)&used->ring[ring->num] =
			want ? ring->last_avail : ring->last_avail - 1;
}

/* The PCI function, section 4.1 */

static LIST_HEAD(functions);

#define COMMON(field)	offsetof(struct virtio_pci_common_cfg, field)

static struct fn *to_fn(struct pci_dev *pci)
{
	return container_of(pci, struct fn, pci);
}

static void fn_reset(struct fn *fn)
{
	unsigned int i;

	for (i = 0; i < FN_MAX_QUEUES; i++) {
		struct fn_queue *q = &fn->queue[i];

		q->size = q->max;
		q->enable = 0;
		q->vector = VIRTIO_MSI_NO_VECTOR;
		memset(&q->ring, 0, sizeof(q->ring));
		memset(q->low, 0, sizeof(q->low));
		memset(q->high, 0, sizeof(q->high));
		q->pfn = 0;
	}
	fn->by_ports = false;
	fn->msix_config = VIRTIO_MSI_NO_VECTOR;
	fn->accepted = 0;
	fn->isr = 0;
	fn->status = 0;
	if (fn->disk)
		fn->disk->num_held = 0;
	if (fn->on_reset)
		fn->on_reset(fn);
}

void fn_set_status(struct fn *fn, u8 status)
{
	/* There is no FEATURES_OK on the legacy interface. */
	u8 all = fn->by_ports ? 0x07 : 0x0f;

	if (fn->num_statuses < sizeof(fn->statuses))
		fn->statuses[fn->num_statuses++] = status;
	if (!status) {
		fn->old_status = fn->status ? fn->status : all;
		fn->polls_left = fn->reset_polls;
		fn_reset(fn);
		return;
	}
	/* Section 2.1.1: bits are set, never cleared; no step is left out. */
	DRIVER_BUG_ON(fn, fn->status & ~status &
		      ~(VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FEATURES_OK));
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		DRIVER_BUG_ON(fn, (status & 0xf) != all);
	DRIVER_BUG_ON(fn, fn->by_ports && status & VIRTIO_CONFIG_S_FEATURES_OK);
	if (status & VIRTIO_CONFIG_S_FEATURES_OK &&
	    !(fn->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    (fn->accepted & fn->refuse || fn->accepted & ~fn->features))
		status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (status & ~fn->status & VIRTIO_CONFIG_S_FEATURES_OK &&
	    fn->on_features)
		fn->on_features(fn);
	fn->status = status | (fn->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void fn_enable_queue(struct fn *fn, struct fn_queue *q, u32 v)
{
	unsigned int i;

	DRIVER_BUG_ON(fn, v != 1);
	/* Section 4.1.5.1.3, and FEATURES_OK comes first. */
	DRIVER_BUG_ON(fn, !(fn->status & VIRTIO_CONFIG_S_FEATURES_OK));
	DRIVER_BUG_ON(fn, fn->status & VIRTIO_CONFIG_S_DRIVER_OK);
	for (i = 0; i < 3; i++)
		DRIVER_BUG_ON(fn, !q->low[i] || !q->high[i]);
	DRIVER_BUG_ON(fn, q->desc % 16 || q->avail % 2 || q->used % 4);
	q->enable = 1;
	q->ring.lying = fn->lying;
	q->ring.num = q->size;
	q->ring.desc = q->desc;
	q->ring.avail = q->avail;
	q->ring.used = q->used;
	q->ring.dma = fn->accepted >> VIRTIO_F_ACCESS_PLATFORM & 1;
	q->ring.event = fn->accepted >> VIRTIO_RING_F_EVENT_IDX & 1;
	q->ring.indirect = fn->accepted >> VIRTIO_RING_F_INDIRECT_DESC & 1;
}

static void fn_set_half(struct fn *fn, struct fn_queue *q, unsigned int which, bool high,
			u64 *addr, u32 v)
{
	/* Section 4.1.3.1 wants low before high. */
	DRIVER_BUG_ON(fn, high && !q->low[which]);
	DRIVER_BUG_ON(fn, q->enable);
	if (high) {
		*addr = (u32)*addr | (u64)v << 32;
		q->high[which] = true;
	} else {
		*addr = (*addr & ~0xffffffffULL) | v;
		q->low[which] = true;
	}
}

static u32 fn_common_read(struct fn *fn, u32 offset, unsigned int width)
{
	struct fn_queue *q = &fn->queue[fn->select % FN_MAX_QUEUES];
	bool none = fn->select >= fn->num_queues;

	switch (offset << 4 | width) {
	case COMMON(device_feature) << 4 | 4:
		return fn->feature_select > 1 ? 0 :
		       fn->features >> (32 * fn->feature_select);
	case COMMON(msix_config) << 4 | 2:
		return fn->msix_config;
	case COMMON(num_queues) << 4 | 2:
		return fn->num_queues;
	case COMMON(device_status) << 4 | 1:
		if (fn->polls_left) {
			fn->polls_left -= fn->polls_left > 0;
			return fn->old_status;
		}
		return fn->status;
	case COMMON(config_generation) << 4 | 1:
		return fn->generation;
	case COMMON(queue_size) << 4 | 2:
		return none ? 0 : q->size;
	case COMMON(queue_msix_vector) << 4 | 2:
		return q->vector;
	case COMMON(queue_enable) << 4 | 2:
		return q->enable;
	case COMMON(queue_notify_off) << 4 | 2:
		return q->notify_off;
	}
	if (!fn->lying)
		SHIM_BUG("common config: a read of %u bytes at %u", width, offset);
	return 0;
}

static void fn_common_write(struct fn *fn, u32 offset, unsigned int width,
			    u32 v)
{
	struct fn_queue *q = &fn->queue[fn->select % FN_MAX_QUEUES];

	switch (offset << 4 | width) {
	case COMMON(device_feature_select) << 4 | 4:
		fn->feature_select = v;
		return;
	case COMMON(guest_feature_select) << 4 | 4:
		fn->guest_select = v;
		return;
	case COMMON(guest_feature) << 4 | 4:
		BUG_ON(fn->guest_select > 1);
		DRIVER_BUG_ON(fn, fn->status & VIRTIO_CONFIG_S_FEATURES_OK);
		fn->accepted &= fn->guest_select ? 0xffffffffULL : ~0xffffffffULL;
		fn->accepted |= (u64)v << (32 * fn->guest_select);
		return;
	case COMMON(msix_config) << 4 | 2:
		fn->msix_config = fn->no_config_vector || v >= fn->pci.msix_on ?
				  VIRTIO_MSI_NO_VECTOR : v;
		return;
	case COMMON(device_status) << 4 | 1:
		fn_set_status(fn, v);
		return;
	case COMMON(queue_select) << 4 | 2:
		fn->select = v;
		return;
	case COMMON(queue_size) << 4 | 2:
		DRIVER_BUG_ON(fn, !v || v > q->max || v & (v - 1));
		q->size = v;
		return;
	case COMMON(queue_msix_vector) << 4 | 2:
		q->vector = fn->select >= fn->no_queue_vector ||
			    v >= fn->pci.msix_on ? VIRTIO_MSI_NO_VECTOR : v;
		return;
	case COMMON(queue_enable) << 4 | 2:
		fn_enable_queue(fn, q, v);
		return;
	case COMMON(queue_desc_lo) << 4 | 4:
	case COMMON(queue_desc_hi) << 4 | 4:
		fn_set_half(fn, q, 0, offset & 4, &q->desc, v);
		return;
	case COMMON(queue_avail_lo) << 4 | 4:
	case COMMON(queue_avail_hi) << 4 | 4:
		fn_set_half(fn, q, 1, offset & 4, &q->avail, v);
		return;
	case COMMON(queue_used_lo) << 4 | 4:
	case COMMON(queue_used_hi) << 4 | 4:
		fn_set_half(fn, q, 2, offset & 4, &q->used, v);
		return;
	}
	if (!fn->lying)
		SHIM_BUG("common config: a write of %u bytes at %u", width, offset);
}

u32 fn_config_space_read(struct fn *fn, u64 offset, unsigned int width)
{
	u32 v = 0;

	fn->widths |= width;
	if (offset + width > sizeof(fn->device_config)) {
		DRIVER_BUG_ON(fn, true);
		return 0;
	}
	memcpy(&v, fn->device_config + offset, width);
	return v;
}

void fn_config_space_write(struct fn *fn, u64 offset, unsigned int width, u32 v)
{
	if (offset + width > sizeof(fn->device_config)) {
		DRIVER_BUG_ON(fn, true);
		return;
	}
	memcpy(fn->device_config + offset, &v, width);
	if (fn->disk)
		memcpy(&fn->disk->config, fn->device_config,
		       sizeof(fn->disk->config));
}

static u32 all_ones(unsigned int width)
{
	return ~0U >> (32 - 8 * width);
}

static u32 fn_bar_read(struct fn *fn, u64 offset, unsigned int width)
{
	u32 v = 0;

	if (offset < FN_ISR)
		return fn_common_read(fn, offset, width);
	if (offset == FN_ISR && width == 1) {
		v = fn->isr;
		fn->isr = 0;
		return v;
	}
	if (offset >= FN_DEVICE && offset < FN_NOTIFY)
		return fn_config_space_read(fn, offset - FN_DEVICE, width);
	if (!fn->lying)
		SHIM_BUG("BAR: a read of %u bytes at 0x%llx", width, offset);
	return 0;
}

static void fn_bar_write(struct fn *fn, u64 offset, unsigned int width, u32 v)
{
	if (offset < FN_ISR) {
		fn_common_write(fn, offset, width, v);
		return;
	}
	if (offset >= FN_DEVICE && offset < FN_NOTIFY) {
		fn_config_space_write(fn, offset - FN_DEVICE, width, v);
		return;
	}
	if (offset >= FN_NOTIFY && width == 2) {
		/* The queue's own address, and its number there. */
		if (v >= fn->num_queues || fn->lying) {
			DRIVER_BUG_ON(fn, true);
			return;
		}
		BUG_ON(offset - FN_NOTIFY !=
		       (u64)fn->queue[v].notify_off * fn->multiplier);
		DRIVER_BUG_ON(fn, !(fn->status & VIRTIO_CONFIG_S_DRIVER_OK));
		fn->queue[v].kicks++;
		return;
	}
	if (!fn->lying)
		SHIM_BUG("BAR: a write of %u bytes at 0x%llx", width, offset);
}

static u32 fn_hook(struct fn *fn, int bar, u64 offset, unsigned int width,
		   u32 v)
{
	if (fn->gone)
		return all_ones(width);
	if (fn->hook)
		v = fn->hook(fn, bar, offset, width, v);
	return v & all_ones(width);
}

static u32 fn_read(struct pci_dev *pci, unsigned int bar, u64 offset,
		   unsigned int width)
{
	struct fn *fn = to_fn(pci);

	if (!fn->gone && bar == FN_PORTS_BAR && fn->has_ports)
		return fn_hook(fn, bar, offset, width,
			       fn_port_read(fn, offset, width));
	if (fn->gone || bar != FN_BAR)
		return all_ones(width);
	return fn_hook(fn, bar, offset, width, fn_bar_read(fn, offset, width));
}

static void fn_write(struct pci_dev *pci, unsigned int bar, u64 offset,
		     unsigned int width, u32 v)
{
	struct fn *fn = to_fn(pci);

	if (!fn->gone && bar == FN_BAR)
		fn_bar_write(fn, offset, width, v);
	else if (!fn->gone && bar == FN_PORTS_BAR && fn->has_ports)
		fn_port_write(fn, offset, width, v);
}

/* The window, section 4.1.4.9: bar, offset and length in front of the data. */
static u8 *fn_window(struct fn *fn, unsigned int pos)
{
	unsigned int at = fn->config[PCI_CAPABILITY_LIST] & ~3;
	unsigned int ttl = 64;

	for (; at && ttl--; at = fn->config[at + 1] & ~3)
		if (fn->config[at] == PCI_CAP_ID_VNDR &&
		    fn->config[at + 3] == VIRTIO_PCI_CAP_PCI_CFG &&
		    pos >= at + 16 && pos < at + 20)
			return &fn->config[at];
	return NULL;
}

static u32 fn_config_read(struct pci_dev *pci, unsigned int pos,
			  unsigned int width)
{
	struct fn *fn = to_fn(pci);
	u8 *window = fn_window(fn, pos);
	u32 v = 0, offset, len;

	memcpy(&v, &fn->config[pos], width);
	if (window && !fn->gone) {
		memcpy(&offset, window + 8, 4);
		memcpy(&len, window + 12, 4);
		DRIVER_BUG_ON(fn, len != width);
		return fn_read(pci, window[4], offset, width);
	}
	return fn_hook(fn, -1, pos, width, v);
}

static void fn_config_write(struct pci_dev *pci, unsigned int pos,
			    unsigned int width, u32 v)
{
	struct fn *fn = to_fn(pci);
	u8 *window = fn_window(fn, pos);
	u32 offset, len;

	if (window && !fn->gone) {
		memcpy(&offset, window + 8, 4);
		memcpy(&len, window + 12, 4);
		DRIVER_BUG_ON(fn, len != width);
		fn_write(pci, window[4], offset, width, v);
		return;
	}
	if (!fn->gone)
		memcpy(&fn->config[pos], &v, width);
}

static const struct shim_pci_ops fn_ops = {
	.config_read	= fn_config_read,
	.config_write	= fn_config_write,
	.read		= fn_read,
	.write		= fn_write,
};

unsigned int fn_add_cap(struct fn *fn, u8 id, u8 type, u8 len, u8 bar,
			u32 offset, u32 length)
{
	unsigned int pos = fn->last_cap ? fn->last_cap + 0x14 : 0x40;

	fn->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	fn->config[fn->last_cap ? fn->last_cap + 1 : PCI_CAPABILITY_LIST] = pos;
	fn->last_cap = pos;
	fn->config[pos] = id;
	if (id != PCI_CAP_ID_VNDR)
		return pos;
	fn->config[pos + 2] = len;
	fn->config[pos + 3] = type;
	fn->config[pos + 4] = bar;
	memcpy(&fn->config[pos + 8], &offset, 4);
	memcpy(&fn->config[pos + 12], &length, 4);
	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		memcpy(&fn->config[pos + 16], &fn->multiplier, 4);
	return pos;
}

void fn_add_standard_caps(struct fn *fn)
{
	fn_add_cap(fn, PCI_CAP_ID_MSIX, 0, 12, 0, 0, 0);
	fn_add_cap(fn, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG, 20, 0, 0, 0);
	fn_add_cap(fn, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_NOTIFY_CFG, 20, FN_BAR,
		   FN_NOTIFY, 0x1000);
	fn_add_cap(fn, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_DEVICE_CFG, 16, FN_BAR,
		   FN_DEVICE, fn->device_config_len);
	fn_add_cap(fn, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_ISR_CFG, 16, FN_BAR,
		   FN_ISR, 0x1000);
	fn_add_cap(fn, PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_COMMON_CFG, 16, FN_BAR,
		   FN_COMMON, 0x1000);
}

/* Without capabilities; the caller adds them. */
void fn_bare(struct fn *fn, unsigned int device_id, unsigned int slot)
{
	u16 ids[2] = { VIRTIO_PCI_VENDOR, device_id };
	unsigned int i;

	memset(fn, 0, sizeof(*fn));
	fn->pci.ops = &fn_ops;
	fn->pci.vendor = VIRTIO_PCI_VENDOR;
	fn->pci.device = device_id;
	fn->pci.subsystem_vendor = VIRTIO_PCI_VENDOR;
	fn->pci.subsystem_device = 0x1100;
	fn->pci.irq = 10 + slot;
	fn->pci.msix_table = 5;
	fn->pci.msix_base = 1000 + 100 * slot;
	fn->pci.dma_mask = ~0ULL;
	fn->pci.bar[1].start = 0xfd000000ULL + slot * 0x10000;
	fn->pci.bar[1].len = 0x1000;
	fn->pci.bar[1].flags = IORESOURCE_MEM;
	fn->pci.bar[FN_BAR].start = 0x8000000000ULL + slot * 0x10000;
	fn->pci.bar[FN_BAR].len = FN_BAR_LEN;
	fn->pci.bar[FN_BAR].flags = IORESOURCE_MEM;
	dev_set_name(&fn->pci.dev, "0000:%02x:00.0", slot);
	memcpy(fn->config, ids, sizeof(ids));

	fn->multiplier = 4;
	fn->features = 1ULL << VIRTIO_F_VERSION_1 |
		       1ULL << VIRTIO_RING_F_INDIRECT_DESC |
		       1ULL << VIRTIO_RING_F_EVENT_IDX;
	fn->num_queues = 1;
	fn->no_queue_vector = ~0U;
	fn->device_config_len = 64;
	for (i = 0; i < FN_MAX_QUEUES; i++) {
		fn->queue[i].max = 256;
		fn->queue[i].notify_off = i;
	}
	fn_reset(fn);
	/* Firmware used it, and left it running. */
	fn->status = 0x0f;
}

void fn_init(struct fn *fn, unsigned int device_id, unsigned int slot)
{
	fn_bare(fn, device_id, slot);
	fn_add_standard_caps(fn);
}

int fn_plug(struct fn *fn)
{
	if (fn_face == FN_LEGACY && !fn->has_ports)
		fn_make_legacy(fn);
	list_add_tail(&fn->list, &functions);
	return shim_pci_add(&fn->pci);
}

void fn_unplug(struct fn *fn)
{
	shim_freeze(false);
	shim_pci_del(&fn->pci);
	list_del(&fn->list);
	free(fn->pci.dev.name);
	fn->pci.dev.name = NULL;
}

int fn_sleep(struct fn *fn, enum shim_sleep kind)
{
	struct virtio_device *vdev = fn_vdev(fn);
	int err;

	shim_freeze(true);
	err = shim_pci_sleep(&fn->pci, kind);
	/* It stays awake, or has nothing to wake up for. */
	if (err || !vdev->asleep)
		shim_freeze(false);
	if (!err && vdev->asleep && !fn->gone && !virtio_device_is_broken(vdev))
		DRIVER_BUG_ON(fn, fn->status);
	if (!err)
		fn_reset(fn);
	return err;
}

int fn_wake(struct fn *fn, enum shim_sleep kind)
{
	int err = shim_pci_wake(&fn->pci, kind);

	shim_freeze(false);
	return err;
}

void fn_unplug_all(void)
{
	while (!list_empty(&functions))
		fn_unplug(list_first_entry(&functions, struct fn, list));
}

void fn_serve_all(void)
{
	struct fn *fn;
	unsigned int i;

	list_for_each_entry(fn, &functions, list) {
		if (!fn->serve || fn->gone ||
		    !(fn->config[PCI_COMMAND] & PCI_COMMAND_MASTER) ||
		    !(fn->status & VIRTIO_CONFIG_S_DRIVER_OK))
			continue;
		for (i = 0; i < fn->num_queues; i++)
			if (fn->queue[i].enable)
				fn->serve(fn, i);
	}
}

void fn_queue_irq(struct fn *fn, unsigned int queue)
{
	fn->irqs++;
	if (fn->pci.msix_on) {
		if (fn->queue[queue].vector != VIRTIO_MSI_NO_VECTOR)
			shim_msix(&fn->pci, fn->queue[queue].vector);
		return;
	}
	fn->isr |= VIRTIO_PCI_ISR_QUEUE;
	shim_intx(&fn->pci);
}

void fn_config_irq(struct fn *fn)
{
	fn->generation++;
	if (fn->pci.msix_on) {
		if (fn->msix_config != VIRTIO_MSI_NO_VECTOR)
			shim_msix(&fn->pci, fn->msix_config);
		return;
	}
	fn->isr |= VIRTIO_PCI_ISR_CONFIG;
	shim_intx(&fn->pci);
}

/* The driver's end of it begins with the virtio device. */
struct virtio_device *fn_vdev(struct fn *fn)
{
	return fn->pci.dev.driver_data;
}

/* The disk, section 5.2 */

/* Does what a request asks for; the bytes that were written. */
static u32 disk_do(struct disk *disk, struct chain *chain, u8 *status)
{
	const struct virtio_blk_outhdr *hdr = (void *)chain->seg[0].p;
	u64 pos = hdr->sector * 512;
	unsigned int i, last = chain->n - 1;
	u32 written = 0;

	*status = VIRTIO_BLK_S_OK;
	if (disk->served < ARRAY_SIZE(disk->log))
		disk->log[disk->served] = hdr->type;
	disk->served++;
	switch (hdr->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		BUG_ON(chain->n < 3);
		for (i = 1; i < last; i++) {
			BUG_ON(chain->seg[i].write !=
			       (hdr->type == VIRTIO_BLK_T_IN));
			if (pos + chain->seg[i].len > sizeof(disk->data)) {
				*status = VIRTIO_BLK_S_IOERR;
				return written;
			}
			if (hdr->type == VIRTIO_BLK_T_IN) {
				memcpy(chain->seg[i].p, disk->data + pos,
				       chain->seg[i].len);
				written += chain->seg[i].len;
			} else {
				memcpy(disk->data + pos, chain->seg[i].p,
				       chain->seg[i].len);
			}
			pos += chain->seg[i].len;
		}
		return written;
	case VIRTIO_BLK_T_FLUSH:
		BUG_ON(chain->n != 2 || hdr->sector);
		DRIVER_BUG_ON(&disk->fn, !(disk->fn.accepted &
					   1ULL << VIRTIO_BLK_F_FLUSH));
		return 0;
	case VIRTIO_BLK_T_GET_ID:
		BUG_ON(chain->n != 3 || !chain->seg[1].write);
		BUG_ON(chain->seg[1].len != VIRTIO_BLK_ID_BYTES);
		memcpy(chain->seg[1].p, disk->serial, VIRTIO_BLK_ID_BYTES);
		return VIRTIO_BLK_ID_BYTES;
	default:
		*status = VIRTIO_BLK_S_UNSUPP;
		return 0;
	}
}

static void disk_answer(struct disk *disk, unsigned int queue,
			struct chain *chain)
{
	unsigned int last = chain->n - 1;
	u32 written;
	u8 status;

	BUG_ON(chain->n < 2 || chain->seg[0].len != 16 || chain->seg[0].write);
	BUG_ON(chain->seg[last].len != 1 || !chain->seg[last].write);
	written = disk_do(disk, chain, &status);
	if (disk->status != DISK_NO_STATUS)
		*chain->seg[last].p = disk->status < 0 ? status : disk->status;
	ring_push(&disk->fn.queue[queue].ring, chain->head,
		  disk->used_len < 0 ? written + 1 : (u32)disk->used_len);
}

static void disk_signal(struct disk *disk)
{
	unsigned int i;

	for (i = 0; i < disk->fn.num_queues; i++)
		if (disk->fn.queue[i].enable &&
		    ring_wants_irq(&disk->fn.queue[i].ring))
			fn_queue_irq(&disk->fn, i);
}

void disk_release(struct disk *disk)
{
	unsigned int n = disk->num_held, i, at;

	for (i = 0; i < n; i++) {
		at = disk->reverse ? n - 1 - i : i;
		disk_answer(disk, disk->held_queue[at], &disk->held[at]);
	}
	disk->num_held = 0;
	disk_signal(disk);
}

static void disk_serve(struct fn *fn, unsigned int queue)
{
	struct disk *disk = fn->disk;
	struct ring *ring = &fn->queue[queue].ring;

	while (disk->num_held < ARRAY_SIZE(disk->held) &&
	       ring_pop(ring, &disk->held[disk->num_held])) {
		disk->held_queue[disk->num_held++] = queue;
		ring_want_kick(ring, true);
	}
	if (!disk->hold)
		disk_release(disk);
}

static bool disk_forget(struct fn *fn, unsigned int queue, u32 head)
{
	struct disk *disk = fn->disk;
	bool hold = disk->hold;
	unsigned int i;

	disk->hold = true;
	disk_serve(fn, queue);
	disk->hold = hold;
	for (i = 0; i < disk->num_held; i++)
		if (disk->held_queue[i] == queue && disk->held[i].head == head) {
			disk->num_held--;
			disk->held[i] = disk->held[disk->num_held];
			disk->held_queue[i] = disk->held_queue[disk->num_held];
			return true;
		}
	return false;
}

void disk_init(struct disk *disk, unsigned int slot)
{
	struct fn *fn = &disk->fn;

	memset(disk, 0, offsetof(struct disk, held));
	fn_init(fn, VIRTIO_PCI_MODERN_ID_MIN + VIRTIO_ID_BLOCK, slot);
	fn->disk = disk;
	fn->serve = disk_serve;
	fn->forget = disk_forget;
	fn->features |= 1ULL << VIRTIO_BLK_F_SEG_MAX |
			1ULL << VIRTIO_BLK_F_BLK_SIZE |
			1ULL << VIRTIO_BLK_F_FLUSH |
			1ULL << VIRTIO_BLK_F_CONFIG_WCE;
	disk->config.capacity = sizeof(disk->data) / 512;
	disk->config.seg_max = 254;
	disk->config.blk_size = 512;
	disk->config.wce = 1;
	memcpy(disk->serial, "rig-disk", 8);
	disk->status = -1;
	disk->used_len = -1;
	memcpy(fn->device_config, &disk->config, sizeof(disk->config));
}

struct disk *disk_new(unsigned int slot)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	disk_init(disk, slot);
	return disk;
}

void disk_free(struct disk *disk)
{
	free(disk);
}
