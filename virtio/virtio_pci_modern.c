// SPDX-License-Identifier: GPL-2.0
/*
 * virtio over PCI, the modern interface: virtio 1.2 section 4.1, in its order.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/slab.h>
#include <linux/dma-mapping.h>
#include "virtio_pci_common.h"

/* A capability list that has more entries than fit is a loop. */
#define VP_CAP_LIST_MAX		48

/* 4.1.2 PCI Device Discovery */

/* The device type, or 0. */
static u32 vp_modern_device_type(const struct pci_dev *pci_dev)
{
	if (pci_dev->device >= VIRTIO_PCI_MODERN_ID_MIN)
		return pci_dev->device - VIRTIO_PCI_MODERN_ID_MIN;
	/* Transitional: a PCI id of its own, the type in the subsystem. */
	return pci_dev->subsystem_device;
}

/* 4.1.4 Virtio Structure PCI Capabilities */

/* A structure that the driver looks for, and what it needs of it. */
struct vp_modern_want {
	u8 type;		/* VIRTIO_PCI_CAP_* */
	const char *name;	/* for messages */
	struct vp_region *region;
	u32 min_len;		/* bytes */
	u32 align;		/* of the offset, bytes */
	bool refused;		/* there was one, and the log says what ails it */
};

static bool vp_bar_usable(struct pci_dev *pci_dev, u8 bar)
{
	return (pci_resource_flags(pci_dev, bar) & IORESOURCE_MEM) &&
	       pci_resource_start(pci_dev, bar) &&
	       pci_resource_len(pci_dev, bar);
}

/*
 * Whether a capability describes what @want wants. What is wrong with one
 * that does not is logged; the device may have another one of the type.
 */
static bool vp_modern_check_cap(struct virtio_pci_device *vp_dev, u8 pos,
				const struct virtio_pci_cap *cap,
				struct vp_modern_want *want)
{
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	u32 offset = le32_to_cpu(cap->offset);
	u32 length = le32_to_cpu(cap->length);

	if (cap->bar >= PCI_STD_NUM_BARS) {
		dev_err(&pci_dev->dev,
			"%s capability at 0x%02x: bar %u does not exist\n",
			want->name, pos, cap->bar);
		return false;
	}
	if (length < want->min_len) {
		dev_err(&pci_dev->dev,
			"%s capability at 0x%02x: length %u is below the minimum of %u\n",
			want->name, pos, length, want->min_len);
		return false;
	}
	if (offset & (want->align - 1)) {
		dev_err(&pci_dev->dev,
			"%s capability at 0x%02x: offset 0x%x is not aligned to %u\n",
			want->name, pos, offset, want->align);
		return false;
	}
	/* An empty BAR may have got no address; the window needs none. */
	if (vp_bar_usable(pci_dev, cap->bar) ?
	    (u64)offset + length > pci_resource_len(pci_dev, cap->bar) :
	    (u64)offset + length > U32_MAX) {
		dev_err(&pci_dev->dev,
			"%s capability at 0x%02x: offset 0x%x + length 0x%x is beyond the %llu bytes of bar %u\n",
			want->name, pos, offset, length,
			(unsigned long long)pci_resource_len(pci_dev, cap->bar),
			cap->bar);
		return false;
	}
	return true;
}

static void vp_modern_take_cap(struct virtio_pci_device *vp_dev, u8 pos,
			       const struct virtio_pci_cap *cap,
			       struct vp_modern_want *want)
{
	/* Section 4.1.4.1: of several, the first that can be used. */
	if (want->region->len)
		return;
	if (!vp_modern_check_cap(vp_dev, pos, cap, want)) {
		want->refused = true;
		return;
	}
	/* I/O ports: the structure is in a memory BAR as well. */
	if (pci_resource_flags(vp_dev->pci_dev, cap->bar) & IORESOURCE_IO)
		return;

	if (cap->cfg_type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
		if (cap->cap_len < sizeof(struct virtio_pci_notify_cap)) {
			dev_err(&vp_dev->pci_dev->dev,
				"%s capability at 0x%02x: cap_len %u is below the minimum of %u\n",
				want->name, pos, cap->cap_len,
				(unsigned int)sizeof(struct virtio_pci_notify_cap));
			want->refused = true;
			return;
		}
		pci_read_config_dword(vp_dev->pci_dev, pos +
				      offsetof(struct virtio_pci_notify_cap,
					       notify_off_multiplier),
				      &vp_dev->notify_multiplier);
	}

	want->region->bar = cap->bar;
	want->region->offset = le32_to_cpu(cap->offset);
	want->region->len = le32_to_cpu(cap->length);
}

static void vp_modern_read_cap(struct pci_dev *pci_dev, u8 pos,
			       struct virtio_pci_cap *cap)
{
	u32 v;

	pci_read_config_byte(pci_dev, pos + offsetof(struct virtio_pci_cap,
						     cfg_type), &cap->cfg_type);
	pci_read_config_byte(pci_dev, pos + offsetof(struct virtio_pci_cap,
						     bar), &cap->bar);
	pci_read_config_dword(pci_dev, pos + offsetof(struct virtio_pci_cap,
						      offset), &v);
	cap->offset = cpu_to_le32(v);
	pci_read_config_dword(pci_dev, pos + offsetof(struct virtio_pci_cap,
						      length), &v);
	cap->length = cpu_to_le32(v);
}

/* Looks at every capability once, however the list is linked. */
static void vp_modern_walk_caps(struct virtio_pci_device *vp_dev,
				struct vp_modern_want *wants,
				unsigned int num_wants)
{
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	struct virtio_pci_cap cap;
	unsigned int ttl = VP_CAP_LIST_MAX, i;
	u16 status = 0;
	u8 pos = 0, id;

	pci_read_config_word(pci_dev, PCI_STATUS, &status);
	if (status == 0xffff || !(status & PCI_STATUS_CAP_LIST))
		return;

	pci_read_config_byte(pci_dev, PCI_CAPABILITY_LIST, &pos);
	for (; pos; pci_read_config_byte(pci_dev, pos + PCI_CAP_LIST_NEXT,
					 &pos)) {
		pos &= ~3;
		if (pos < PCI_STD_HEADER_SIZEOF || !ttl--) {
			dev_err(&pci_dev->dev,
				"capability list: %s at 0x%02x\n",
				pos < PCI_STD_HEADER_SIZEOF ?
				"points into the header" : "does not end", pos);
			return;
		}
		pci_read_config_byte(pci_dev, pos + PCI_CAP_LIST_ID, &id);
		if (id != PCI_CAP_ID_VNDR)
			continue;
		pci_read_config_byte(pci_dev, pos +
				     offsetof(struct virtio_pci_cap, cap_len),
				     &cap.cap_len);
		if (cap.cap_len < sizeof(cap) ||
		    pos + cap.cap_len > PCI_CFG_SPACE_SIZE) {
			dev_err(&pci_dev->dev,
				"vendor capability at 0x%02x: cap_len %u is %s\n",
				pos, cap.cap_len, cap.cap_len < sizeof(cap) ?
				"too short" : "beyond the config space");
			continue;
		}
		vp_modern_read_cap(pci_dev, pos, &cap);

		if (cap.cfg_type == VIRTIO_PCI_CAP_PCI_CFG && !vp_dev->cfg_cap &&
		    cap.cap_len >= sizeof(struct virtio_pci_cfg_cap))
			vp_dev->cfg_cap = pos;
		for (i = 0; i < num_wants; i++)
			if (wants[i].type == cap.cfg_type)
				vp_modern_take_cap(vp_dev, pos, &cap,
						   &wants[i]);
	}
}

/* 4.1.4.9 PCI configuration access capability: a window onto the BARs */

static void vp_window_aim(struct virtio_pci_device *vp_dev, u8 bar, u32 offset,
			  unsigned int len)
{
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	u8 pos = vp_dev->cfg_cap;

	pci_write_config_byte(pci_dev, pos +
			      offsetof(struct virtio_pci_cap, bar), bar);
	pci_write_config_dword(pci_dev, pos +
			       offsetof(struct virtio_pci_cap, offset), offset);
	pci_write_config_dword(pci_dev, pos +
			       offsetof(struct virtio_pci_cap, length), len);
}

static u32 vp_window_read(struct virtio_pci_device *vp_dev,
			  const struct vp_region *region, u32 offset,
			  unsigned int len)
{
	u8 data = vp_dev->cfg_cap +
		  offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
	unsigned long flags;
	u32 v = 0;
	u16 v16;
	u8 v8;

	spin_lock_irqsave(&vp_dev->cfg_lock, flags);
	vp_window_aim(vp_dev, region->bar, region->offset + offset, len);
	switch (len) {
	case 1:
		pci_read_config_byte(vp_dev->pci_dev, data, &v8);
		v = v8;
		break;
	case 2:
		pci_read_config_word(vp_dev->pci_dev, data, &v16);
		v = v16;
		break;
	default:
		pci_read_config_dword(vp_dev->pci_dev, data, &v);
	}
	spin_unlock_irqrestore(&vp_dev->cfg_lock, flags);
	return v;
}

static void vp_window_write(struct virtio_pci_device *vp_dev,
			    const struct vp_region *region, u32 offset,
			    unsigned int len, u32 v)
{
	u8 data = vp_dev->cfg_cap +
		  offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
	unsigned long flags;

	spin_lock_irqsave(&vp_dev->cfg_lock, flags);
	vp_window_aim(vp_dev, region->bar, region->offset + offset, len);
	switch (len) {
	case 1:
		pci_write_config_byte(vp_dev->pci_dev, data, v);
		break;
	case 2:
		pci_write_config_word(vp_dev->pci_dev, data, v);
		break;
	default:
		pci_write_config_dword(vp_dev->pci_dev, data, v);
	}
	spin_unlock_irqrestore(&vp_dev->cfg_lock, flags);
}

/*
 * 4.1.3.1: fields are accessed in their own width, 64-bit ones as two of 32.
 * Offsets are relative to the region, values in CPU byte order.
 */
static u8 vp_read8(struct virtio_pci_device *vp_dev,
		   const struct vp_region *region, u32 offset)
{
	if (likely(region->base))
		return ioread8(region->base + offset);
	return vp_window_read(vp_dev, region, offset, 1);
}

static u16 vp_read16(struct virtio_pci_device *vp_dev,
		     const struct vp_region *region, u32 offset)
{
	if (likely(region->base))
		return ioread16(region->base + offset);
	return vp_window_read(vp_dev, region, offset, 2);
}

static u32 vp_read32(struct virtio_pci_device *vp_dev,
		     const struct vp_region *region, u32 offset)
{
	if (likely(region->base))
		return ioread32(region->base + offset);
	return vp_window_read(vp_dev, region, offset, 4);
}

static void vp_write8(struct virtio_pci_device *vp_dev,
		      const struct vp_region *region, u32 offset, u8 v)
{
	if (likely(region->base))
		iowrite8(v, region->base + offset);
	else
		vp_window_write(vp_dev, region, offset, 1, v);
}

static void vp_write16(struct virtio_pci_device *vp_dev,
		       const struct vp_region *region, u32 offset, u16 v)
{
	if (likely(region->base))
		iowrite16(v, region->base + offset);
	else
		vp_window_write(vp_dev, region, offset, 2, v);
}

static void vp_write32(struct virtio_pci_device *vp_dev,
		       const struct vp_region *region, u32 offset, u32 v)
{
	if (likely(region->base))
		iowrite32(v, region->base + offset);
	else
		vp_window_write(vp_dev, region, offset, 4, v);
}

/* 4.1.4.3 Common configuration structure layout */

#define COMMON(_field)	offsetof(struct virtio_pci_common_cfg, _field)

static u8 vp_modern_get_status(struct virtio_device *vdev)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);

	return vp_read8(vp_dev, &vp_dev->common, COMMON(device_status));
}

static void vp_modern_set_status(struct virtio_device *vdev, u8 status)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);

	/* That would be a reset. */
	if (WARN_ON(!status))
		return;
	vp_write8(vp_dev, &vp_dev->common, COMMON(device_status), status);
}

static int vp_modern_reset(struct virtio_device *vdev)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);

	vp_write8(vp_dev, &vp_dev->common, COMMON(device_status), 0);
	return vp_wait_reset(vp_dev, vp_modern_get_status);
}

static u32 vp_modern_generation(struct virtio_device *vdev)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);

	return vp_read8(vp_dev, &vp_dev->common, COMMON(config_generation));
}

static u64 vp_modern_get_features(struct virtio_device *vdev)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);
	u64 features;

	vp_write32(vp_dev, &vp_dev->common, COMMON(device_feature_select), 0);
	features = vp_read32(vp_dev, &vp_dev->common, COMMON(device_feature));
	vp_write32(vp_dev, &vp_dev->common, COMMON(device_feature_select), 1);
	features |= (u64)vp_read32(vp_dev, &vp_dev->common,
				   COMMON(device_feature)) << 32;
	return features;
}

static int vp_modern_finalize_features(struct virtio_device *vdev)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);

	vring_transport_features(vdev);

	if (!virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) {
		dev_err(&vp_dev->pci_dev->dev,
			"device_feature: VERSION_1 is not offered, and a modern device must\n");
		return -EINVAL;
	}

	vp_write32(vp_dev, &vp_dev->common, COMMON(guest_feature_select), 0);
	vp_write32(vp_dev, &vp_dev->common, COMMON(guest_feature),
		   (u32)vdev->features);
	vp_write32(vp_dev, &vp_dev->common, COMMON(guest_feature_select), 1);
	vp_write32(vp_dev, &vp_dev->common, COMMON(guest_feature),
		   vdev->features >> 32);
	return 0;
}

static u16 vp_modern_set_config_vector(struct virtio_pci_device *vp_dev,
				       u16 vector)
{
	vp_write16(vp_dev, &vp_dev->common, COMMON(msix_config), vector);
	return vp_read16(vp_dev, &vp_dev->common, COMMON(msix_config));
}

static u16 vp_modern_set_queue_vector(struct virtio_pci_device *vp_dev,
				      unsigned int index, u16 vector)
{
	unsigned long flags;
	u16 answer;

	spin_lock_irqsave(&vp_dev->select_lock, flags);
	vp_write16(vp_dev, &vp_dev->common, COMMON(queue_select), index);
	vp_write16(vp_dev, &vp_dev->common, COMMON(queue_msix_vector), vector);
	answer = vp_read16(vp_dev, &vp_dev->common, COMMON(queue_msix_vector));
	spin_unlock_irqrestore(&vp_dev->select_lock, flags);
	return answer;
}

/* 4.1.4.4 Notification structure layout */

static bool vp_modern_notify(struct virtqueue *vq)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vq->vdev);
	struct vp_queue *queue = vq->priv;

	if (likely(queue->notify))
		iowrite16(vq->index, queue->notify);
	else
		vp_write16(vp_dev, &vp_dev->notify, queue->notify_offset,
			   vq->index);
	return true;
}

/* 4.1.4.5 ISR status capability */

static u8 vp_modern_read_isr(struct virtio_pci_device *vp_dev)
{
	return vp_read8(vp_dev, &vp_dev->isr, 0);
}

/* 4.1.4.6 Device-specific configuration */

static bool vp_modern_config_ok(struct virtio_pci_device *vp_dev,
				unsigned int offset, unsigned int len)
{
	if ((u64)offset + len <= vp_dev->device.len)
		return true;
	if (printk_ratelimit())
		dev_err(&vp_dev->pci_dev->dev,
			"device config: bytes %u to %u are beyond its %u\n",
			offset, offset + len - 1, vp_dev->device.len);
	return false;
}

static void vp_modern_get(struct virtio_device *vdev, unsigned int offset,
			  void *buf, unsigned int len)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);
	const struct vp_region *cfg = &vp_dev->device;
	unsigned int i;
	u8 *bytes = buf;
	__le32 v32;
	__le16 v16;

	/* A field that the device does not have is 0. */
	memset(buf, 0, len);
	if (!vp_modern_config_ok(vp_dev, offset, len))
		return;

	switch (len) {
	case 2:
		v16 = cpu_to_le16(vp_read16(vp_dev, cfg, offset));
		memcpy(buf, &v16, sizeof(v16));
		break;
	case 4:
	case 8:
		for (i = 0; i < len; i += sizeof(v32)) {
			v32 = cpu_to_le32(vp_read32(vp_dev, cfg, offset + i));
			memcpy(bytes + i, &v32, sizeof(v32));
		}
		break;
	default:
		for (i = 0; i < len; i++)
			bytes[i] = vp_read8(vp_dev, cfg, offset + i);
	}
}

static void vp_modern_set(struct virtio_device *vdev, unsigned int offset,
			  const void *buf, unsigned int len)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);
	const struct vp_region *cfg = &vp_dev->device;
	const u8 *bytes = buf;
	unsigned int i;
	__le32 v32;
	__le16 v16;

	if (!vp_modern_config_ok(vp_dev, offset, len))
		return;

	switch (len) {
	case 2:
		memcpy(&v16, buf, sizeof(v16));
		vp_write16(vp_dev, cfg, offset, le16_to_cpu(v16));
		break;
	case 4:
	case 8:
		for (i = 0; i < len; i += sizeof(v32)) {
			memcpy(&v32, bytes + i, sizeof(v32));
			vp_write32(vp_dev, cfg, offset + i, le32_to_cpu(v32));
		}
		break;
	default:
		for (i = 0; i < len; i++)
			vp_write8(vp_dev, cfg, offset + i, bytes[i]);
	}
}

/* 4.1.5.1.3 Virtqueue Configuration */

/* Where the device is notified of the selected queue; its notify_off. */
static int vp_modern_map_notify(struct virtio_pci_device *vp_dev,
				struct vp_queue *queue, unsigned int index,
				u16 notify_off)
{
	u64 offset = (u64)notify_off * vp_dev->notify_multiplier;

	if (offset + sizeof(__le16) > vp_dev->notify.len) {
		dev_err(&vp_dev->pci_dev->dev,
			"queue %u: queue_notify_off %u * notify_off_multiplier %u is beyond the %u bytes of the notification area\n",
			index, notify_off, vp_dev->notify_multiplier,
			vp_dev->notify.len);
		return -EINVAL;
	}
	if (offset & 1) {
		dev_err(&vp_dev->pci_dev->dev,
			"queue %u: queue_notify_off %u * notify_off_multiplier %u is odd\n",
			index, notify_off, vp_dev->notify_multiplier);
		return -EINVAL;
	}
	queue->notify_offset = offset;
	if (vp_dev->notify.base)
		queue->notify = vp_dev->notify.base + offset;
	return 0;
}

static void vp_modern_write_addr(struct virtio_pci_device *vp_dev, u32 lo,
				 u32 hi, u64 addr)
{
	vp_write32(vp_dev, &vp_dev->common, lo, (u32)addr);
	vp_write32(vp_dev, &vp_dev->common, hi, addr >> 32);
}

static int vp_modern_select_vq(struct virtio_pci_device *vp_dev,
			       unsigned int index, u16 *size, u16 *notify_off)
{
	struct device *dev = &vp_dev->pci_dev->dev;
	u16 num_queues, enabled;
	unsigned long flags;

	num_queues = vp_read16(vp_dev, &vp_dev->common, COMMON(num_queues));
	if (index >= num_queues) {
		dev_err(dev, "queue %u does not exist: num_queues is %u\n",
			index, num_queues);
		return -ENOENT;
	}

	spin_lock_irqsave(&vp_dev->select_lock, flags);
	vp_write16(vp_dev, &vp_dev->common, COMMON(queue_select), index);
	*size = vp_read16(vp_dev, &vp_dev->common, COMMON(queue_size));
	enabled = vp_read16(vp_dev, &vp_dev->common, COMMON(queue_enable));
	*notify_off = vp_read16(vp_dev, &vp_dev->common,
				COMMON(queue_notify_off));
	spin_unlock_irqrestore(&vp_dev->select_lock, flags);

	if (!*size) {
		dev_err(dev, "queue %u: queue_size is 0, the device does not have it\n",
			index);
		return -ENOENT;
	}
	if (*size > VRING_MAX_NUM || (*size & (*size - 1))) {
		dev_err(dev, "queue %u: queue_size %u is no power of 2 up to %u\n",
			index, *size, VRING_MAX_NUM);
		return -EINVAL;
	}
	if (enabled) {
		dev_err(dev, "queue %u: queue_enable is %u right after a reset\n",
			index, enabled);
		return -EINVAL;
	}
	return 0;
}

/* How long the queue is, and where. */
static void vp_modern_place_vq(struct virtio_pci_device *vp_dev,
			       struct virtqueue *vq)
{
	unsigned long flags;

	spin_lock_irqsave(&vp_dev->select_lock, flags);
	vp_write16(vp_dev, &vp_dev->common, COMMON(queue_select), vq->index);
	vp_write16(vp_dev, &vp_dev->common, COMMON(queue_size),
		   virtqueue_get_vring_size(vq));
	vp_modern_write_addr(vp_dev, COMMON(queue_desc_lo),
			     COMMON(queue_desc_hi), virtqueue_desc_addr(vq));
	vp_modern_write_addr(vp_dev, COMMON(queue_avail_lo),
			     COMMON(queue_avail_hi), virtqueue_avail_addr(vq));
	vp_modern_write_addr(vp_dev, COMMON(queue_used_lo),
			     COMMON(queue_used_hi), virtqueue_used_addr(vq));
	spin_unlock_irqrestore(&vp_dev->select_lock, flags);
}

static struct virtqueue *
vp_modern_setup_vq(struct virtio_pci_device *vp_dev, struct vp_queue *queue,
		   unsigned int index, const struct virtqueue_info *info)
{
	struct vring_layout layout = {
		.index = index,
		.align = sizeof(__le32),
		.weak_barriers = !virtio_has_feature(&vp_dev->vdev,
						     VIRTIO_F_ORDER_PLATFORM),
	};
	u16 size, notify_off;
	struct virtqueue *vq;
	int err;

	err = vp_modern_select_vq(vp_dev, index, &size, &notify_off);
	if (err)
		return ERR_PTR(err);
	err = vp_modern_map_notify(vp_dev, queue, index, notify_off);
	if (err)
		return ERR_PTR(err);

	layout.max_num = size;
	vq = vring_create_virtqueue(&vp_dev->vdev, &layout, info,
				    vp_modern_notify);
	if (!vq) {
		dev_err(&vp_dev->pci_dev->dev,
			"queue %u: no memory for a ring of any size\n", index);
		return ERR_PTR(-ENOMEM);
	}
	if (virtqueue_get_vring_size(vq) != size)
		dev_info(&vp_dev->pci_dev->dev,
			 "queue %u: memory is short, %u descriptors instead of %u\n",
			 index, virtqueue_get_vring_size(vq), size);

	vp_modern_place_vq(vp_dev, vq);
	return vq;
}

static int vp_modern_restart_vq(struct virtio_pci_device *vp_dev,
				struct vp_queue *queue)
{
	unsigned int index = queue->vq->index;
	u16 size, notify_off;
	int err;

	err = vp_modern_select_vq(vp_dev, index, &size, &notify_off);
	if (err)
		return err;
	if (size < virtqueue_get_vring_size(queue->vq)) {
		dev_err(&vp_dev->pci_dev->dev,
			"queue %u: queue_size %u after a reset, where it took %u before\n",
			index, size, virtqueue_get_vring_size(queue->vq));
		return -EINVAL;
	}
	err = vp_modern_map_notify(vp_dev, queue, index, notify_off);
	if (err)
		return err;

	vring_reinit_virtqueue(queue->vq);
	vp_modern_place_vq(vp_dev, queue->vq);
	return 0;
}

/* A modern queue can't be disabled: only the reset before this does it. */
static void vp_modern_del_vq(struct virtio_pci_device *vp_dev,
			     struct vp_queue *queue)
{
}

static void vp_modern_enable_vqs(struct virtio_pci_device *vp_dev)
{
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < vp_dev->num_queues; i++) {
		if (!vp_dev->queues[i])
			continue;
		spin_lock_irqsave(&vp_dev->select_lock, flags);
		vp_write16(vp_dev, &vp_dev->common, COMMON(queue_select),
			   vp_dev->queues[i]->vq->index);
		vp_write16(vp_dev, &vp_dev->common, COMMON(queue_enable), 1);
		spin_unlock_irqrestore(&vp_dev->select_lock, flags);
	}
}

/* Mapping and unmapping */

static void vp_modern_unmap(struct vp_region *region)
{
	if (region->base)
		iounmap(region->base);
	region->base = NULL;
}

static void vp_modern_remove(struct virtio_pci_device *vp_dev)
{
	vp_modern_unmap(&vp_dev->common);
	vp_modern_unmap(&vp_dev->notify);
	vp_modern_unmap(&vp_dev->isr);
	vp_modern_unmap(&vp_dev->device);
	pci_release_selected_regions(vp_dev->pci_dev, vp_dev->bars);
}

static int vp_modern_map(struct virtio_pci_device *vp_dev,
			 const struct vp_modern_want *want)
{
	struct vp_region *region = want->region;
	struct pci_dev *pci_dev = vp_dev->pci_dev;

	if (!region->len)
		return 0;
	if (vp_bar_usable(pci_dev, region->bar))
		region->base = ioremap(pci_resource_start(pci_dev, region->bar) +
				       region->offset, region->len);
	if (region->base)
		return 0;

	if (!vp_dev->cfg_cap) {
		dev_err(&pci_dev->dev,
			"%s: bar %u cannot be mapped and there is no PCI_CFG capability\n",
			want->name, region->bar);
		return -ENOMEM;
	}
	dev_info(&pci_dev->dev,
		 "%s: bar %u cannot be mapped, using PCI config space: this is slow\n",
		 want->name, region->bar);
	return 0;
}

static int vp_modern_set_dma_mask(struct pci_dev *pci_dev)
{
	int err = dma_set_mask_and_coherent(&pci_dev->dev, DMA_BIT_MASK(64));

	if (err)
		err = dma_set_mask_and_coherent(&pci_dev->dev,
						DMA_BIT_MASK(32));
	if (err)
		dev_err(&pci_dev->dev, "no usable DMA mask: %d\n", err);
	return err;
}

static const struct vp_transport_ops vp_modern_transport_ops = {
	.setup_vq		= vp_modern_setup_vq,
	.restart_vq		= vp_modern_restart_vq,
	.del_vq			= vp_modern_del_vq,
	.enable_vqs		= vp_modern_enable_vqs,
	.set_queue_vector	= vp_modern_set_queue_vector,
	.set_config_vector	= vp_modern_set_config_vector,
	.read_isr		= vp_modern_read_isr,
	.remove			= vp_modern_remove,
};

static const struct virtio_config_ops vp_modern_config_ops = {
	.get			= vp_modern_get,
	.set			= vp_modern_set,
	.generation		= vp_modern_generation,
	.get_status		= vp_modern_get_status,
	.set_status		= vp_modern_set_status,
	.reset			= vp_modern_reset,
	.find_vqs		= vp_find_vqs,
	.restart_vqs		= vp_restart_vqs,
	.del_vqs		= vp_del_vqs,
	.synchronize_cbs	= vp_synchronize_cbs,
	.get_features		= vp_modern_get_features,
	.finalize_features	= vp_modern_finalize_features,
	.bus_name		= vp_bus_name,
	.set_vq_affinity	= vp_set_vq_affinity,
};

/* The layout is the device's, not the compiler's. */
static inline void vp_modern_check_layout(void)
{
	BUILD_BUG_ON(sizeof(struct virtio_pci_cap) != 16);
	BUILD_BUG_ON(sizeof(struct virtio_pci_notify_cap) != 20);
	BUILD_BUG_ON(sizeof(struct virtio_pci_cfg_cap) != 20);
	BUILD_BUG_ON(COMMON(device_feature_select) != 0);
	BUILD_BUG_ON(COMMON(msix_config) != 16);
	BUILD_BUG_ON(COMMON(device_status) != 20);
	BUILD_BUG_ON(COMMON(config_generation) != 21);
	BUILD_BUG_ON(COMMON(queue_select) != 22);
	BUILD_BUG_ON(COMMON(queue_notify_off) != 30);
	BUILD_BUG_ON(COMMON(queue_desc_lo) != 32);
	BUILD_BUG_ON(COMMON(queue_used_hi) != 52);
	BUILD_BUG_ON(sizeof(struct virtio_pci_common_cfg) != 56);
}

/**
 * virtio_pci_modern_probe - does the device have a modern interface?
 * @vp_dev:	the device; it is enabled
 *
 * Finds and maps its structures. Process context. Returns 0; -ENODEV when
 * there is no modern interface; another negative errno when there is one that
 * cannot be used. Section 4.1.4.
 */
int virtio_pci_modern_probe(struct virtio_pci_device *vp_dev)
{
	struct vp_modern_want wants[] = {
		{ VIRTIO_PCI_CAP_COMMON_CFG, "common config", &vp_dev->common,
		  sizeof(struct virtio_pci_common_cfg), 4 },
		{ VIRTIO_PCI_CAP_NOTIFY_CFG, "notification", &vp_dev->notify,
		  sizeof(__le16), 2 },
		{ VIRTIO_PCI_CAP_ISR_CFG, "ISR", &vp_dev->isr, 1, 1 },
		{ VIRTIO_PCI_CAP_DEVICE_CFG, "device config", &vp_dev->device,
		  1, 4 },
	};
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	struct virtio_device *vdev = &vp_dev->vdev;
	unsigned int i;
	int err;

	vp_modern_check_layout();

	vp_modern_walk_caps(vp_dev, wants, ARRAY_SIZE(wants));

	/* A device type may have no config of its own; the rest is a must. */
	if (!vp_dev->common.len) {
		/* A legacy-only device is in order. */
		if (!wants[0].refused &&
		    pci_dev->device >= VIRTIO_PCI_MODERN_ID_MIN)
			dev_err(&pci_dev->dev, "no common config capability: not a virtio device that can be driven\n");
		return wants[0].refused ? -EINVAL : -ENODEV;
	}
	for (i = 1; i <= 2; i++) {
		if (wants[i].region->len)
			continue;
		if (!wants[i].refused)
			dev_err(&pci_dev->dev, "no %s capability\n",
				wants[i].name);
		return -EINVAL;
	}

	vdev->id.vendor = pci_dev->subsystem_vendor;
	vdev->id.device = vp_modern_device_type(pci_dev);
	if (!vdev->id.device) {
		dev_err(&pci_dev->dev, "PCI id %04x:%04x has no device type\n",
			pci_dev->vendor, pci_dev->device);
		return -ENODEV;
	}

	err = vp_modern_set_dma_mask(pci_dev);
	if (err)
		return err;

	for (i = 0; i < ARRAY_SIZE(wants); i++)
		if (wants[i].region->len &&
		    vp_bar_usable(pci_dev, wants[i].region->bar))
			vp_dev->bars |= 1 << wants[i].region->bar;
	err = pci_request_selected_regions(pci_dev, vp_dev->bars,
					   "virtio-pci-modern");
	if (err) {
		dev_err(&pci_dev->dev, "bars 0x%x are taken: %d\n",
			vp_dev->bars, err);
		return err;
	}

	for (i = 0; i < ARRAY_SIZE(wants); i++) {
		err = vp_modern_map(vp_dev, &wants[i]);
		if (err)
			goto unmap;
	}

	/* All ones: the device has gone, or its memory is not decoded. */
	if (vp_modern_get_status(vdev) == 0xff) {
		dev_err(&pci_dev->dev,
			"common config: device_status reads 0xff, the device does not answer\n");
		err = -ENODEV;
		goto unmap;
	}
	/* A device with another interface is asked before it is too late. */
	if (pci_dev->device <= VIRTIO_PCI_LEGACY_ID_MAX &&
	    !(vp_modern_get_features(vdev) & 1ULL << VIRTIO_F_VERSION_1)) {
		dev_err(&pci_dev->dev,
			"device_feature: VERSION_1 is not offered\n");
		err = -EINVAL;
		goto unmap;
	}

	vp_dev->ops = &vp_modern_transport_ops;
	vdev->config = &vp_modern_config_ops;
	return 0;

unmap:
	vp_modern_remove(vp_dev);
	return err;
}
