// SPDX-License-Identifier: GPL-2.0
/*
 * The legacy interface of a function: I/O ports, as QEMU has them.
 */
#include "device.h"

#define DRIVER_BUG_ON(fn, cond)	BUG_ON(!(fn)->lying && (cond))
#define PORT(name)	VIRTIO_PCI_LEGACY_ ## name

enum fn_face fn_face;

static unsigned int config_start(const struct fn *fn)
{
	return fn->pci.msix_on ? 24 : 20;
}

bool fn_is_config(const struct fn *fn, int bar, u64 *offset)
{
	u64 start = bar == FN_BAR ? FN_DEVICE : config_start(fn);

	if ((bar != FN_BAR && bar != FN_PORTS_BAR) || *offset < start ||
	    (bar == FN_BAR && *offset >= FN_NOTIFY))
		return false;
	*offset -= start;
	return true;
}

static struct fn_queue *selected(struct fn *fn)
{
	return fn->select < fn->num_queues && fn->select < FN_MAX_QUEUES ?
	       &fn->queue[fn->select] : NULL;
}

u32 fn_port_read(struct fn *fn, u64 offset, unsigned int width)
{
	struct fn_queue *q = selected(fn);
	u32 v;

	if (offset >= config_start(fn))
		return fn_config_space_read(fn, offset - config_start(fn),
					    width);
	switch (offset << 4 | width) {
	case PORT(DEVICE_FEATURES) << 4 | 4:
		return fn->features;
	case PORT(QUEUE_PFN) << 4 | 4:
		return q ? q->pfn : 0;
	case PORT(QUEUE_SIZE) << 4 | 2:
		return q ? q->max : 0;
	case PORT(STATUS) << 4 | 1:
		if (fn->polls_left) {
			fn->polls_left -= fn->polls_left > 0;
			return fn->old_status;
		}
		return fn->status;
	case PORT(ISR) << 4 | 1:
		v = fn->isr;
		fn->isr = 0;
		return v;
	case PORT(CONFIG_VECTOR) << 4 | 2:
		return fn->msix_config;
	case PORT(QUEUE_VECTOR) << 4 | 2:
		return q ? q->vector : VIRTIO_MSI_NO_VECTOR;
	}
	if (!fn->lying)
		SHIM_BUG("ports: a read of %u bytes at %llu", width, offset);
	return 0;
}

static void set_pfn(struct fn *fn, u32 pfn)
{
	struct fn_queue *q = selected(fn);
	u64 addr = (u64)pfn << VIRTIO_PCI_LEGACY_PAGE_SHIFT;

	DRIVER_BUG_ON(fn, !q);
	/* QEMU's way to forget a queue. */
	if (!pfn || !q) {
		fn_set_status(fn, 0);
		return;
	}
	DRIVER_BUG_ON(fn, fn->status & VIRTIO_CONFIG_S_DRIVER_OK);
	DRIVER_BUG_ON(fn, !(fn->status & VIRTIO_CONFIG_S_DRIVER) || q->pfn);
	q->pfn = pfn;
	q->enable = 1;
	q->ring.lying = fn->lying;
	q->ring.num = q->max;
	q->ring.desc = addr;
	q->ring.avail = addr + 16 * q->max;
	q->ring.used = ALIGN(q->ring.avail + 6 + 2 * q->max,
			     VIRTIO_PCI_LEGACY_ALIGN);
	q->ring.dma = false;
	q->ring.event = fn->accepted >> VIRTIO_RING_F_EVENT_IDX & 1;
	q->ring.indirect = fn->accepted >> VIRTIO_RING_F_INDIRECT_DESC & 1;
}

void fn_port_write(struct fn *fn, u64 offset, unsigned int width, u32 v)
{
	struct fn_queue *q = selected(fn);

	fn->by_ports = true;
	if (offset >= config_start(fn)) {
		fn_config_space_write(fn, offset - config_start(fn), width, v);
		return;
	}
	switch (offset << 4 | width) {
	case PORT(DRIVER_FEATURES) << 4 | 4:
		DRIVER_BUG_ON(fn, !(fn->status & VIRTIO_CONFIG_S_DRIVER));
		DRIVER_BUG_ON(fn, fn->status & VIRTIO_CONFIG_S_DRIVER_OK);
		DRIVER_BUG_ON(fn, v & ~fn->features);
		fn->accepted = v;
		if (fn->on_features)
			fn->on_features(fn);
		return;
	case PORT(QUEUE_PFN) << 4 | 4:
		set_pfn(fn, v);
		return;
	case PORT(QUEUE_SELECT) << 4 | 2:
		fn->select = v;
		return;
	case PORT(QUEUE_NOTIFY) << 4 | 2:
		DRIVER_BUG_ON(fn, v >= fn->num_queues || !fn->queue[v].enable);
		DRIVER_BUG_ON(fn, !(fn->status & VIRTIO_CONFIG_S_DRIVER_OK));
		if (v < fn->num_queues && v < FN_MAX_QUEUES)
			fn->queue[v].kicks++;
		return;
	case PORT(STATUS) << 4 | 1:
		fn_set_status(fn, v);
		return;
	case PORT(CONFIG_VECTOR) << 4 | 2:
		fn->msix_config = fn->no_config_vector || v >= fn->pci.msix_on ?
				  VIRTIO_MSI_NO_VECTOR : v;
		return;
	case PORT(QUEUE_VECTOR) << 4 | 2:
		DRIVER_BUG_ON(fn, !q);
		if (q)
			q->vector = fn->select >= fn->no_queue_vector ||
				    v >= fn->pci.msix_on ?
				    VIRTIO_MSI_NO_VECTOR : v;
		return;
	}
	if (!fn->lying)
		SHIM_BUG("ports: a write of %u bytes at %llu", width, offset);
}

void fn_make_transitional(struct fn *fn)
{
	unsigned int slot = fn->pci.irq - 10;

	if (fn->pci.device > VIRTIO_PCI_LEGACY_ID_MAX)
		fn->pci.subsystem_device = fn->pci.device -
					   VIRTIO_PCI_MODERN_ID_MIN;
	fn->pci.device = VIRTIO_PCI_LEGACY_ID_MIN + fn->pci.subsystem_device -
			 1;
	fn->pci.bar[FN_PORTS_BAR].start = 0xc000 + slot * FN_PORTS_LEN;
	fn->pci.bar[FN_PORTS_BAR].len = FN_PORTS_LEN;
	fn->pci.bar[FN_PORTS_BAR].flags = IORESOURCE_IO;
	fn->features |= 1ULL << VIRTIO_F_ANY_LAYOUT;
	fn->has_ports = true;
	shim_phys = SHIM_PHYS_LOW;
}

void fn_make_legacy(struct fn *fn)
{
	fn_make_transitional(fn);
	memset(fn->config + 0x40, 0, sizeof(fn->config) - 0x40);
	fn->config[PCI_CAPABILITY_LIST] = 0;
	fn->last_cap = 0;
	fn_add_cap(fn, PCI_CAP_ID_MSIX, 0, 12, 0, 0, 0);
	memset(&fn->pci.bar[FN_BAR], 0, sizeof(fn->pci.bar[FN_BAR]));
}
