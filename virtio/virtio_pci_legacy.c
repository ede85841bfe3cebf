// SPDX-License-Identifier: GPL-2.0
/*
 * virtio over PCI, the legacy interface of virtio 0.9.5: the notes on it in
 * virtio 1.2 sections 4.1.4 and 4.1.5. All of it is in the I/O ports of BAR 0,
 * in the guest's byte order.
 */
#include <linux/io.h>
#include <linux/slab.h>
#include <linux/dma-mapping.h>
#include "virtio_pci_common.h"

/*
 * How often a read of the config space is repeated because what was read
 * differs from the time before. There is no generation counter to look at.
 */
#define VP_CONFIG_READ_TRIES	32

/* What the device can be told of an address: a page number of 32 bits. */
#define VP_LEGACY_ADDR_BITS	(32 + VIRTIO_PCI_LEGACY_PAGE_SHIFT)

static void __iomem *vp_reg(struct virtio_pci_device *vp_dev, unsigned int reg)
{
	return vp_dev->ports + reg;
}

/* 4.1.4.10 The ports */

static u8 vp_legacy_get_status(struct virtio_device *vdev)
{
	return ioread8(vp_reg(to_vp_device(vdev), VIRTIO_PCI_LEGACY_STATUS));
}

static void vp_legacy_set_status(struct virtio_device *vdev, u8 status)
{
	/* That would be a reset. */
	if (WARN_ON(!status))
		return;
	iowrite8(status, vp_reg(to_vp_device(vdev), VIRTIO_PCI_LEGACY_STATUS));
}

/* It is complete at once; reading it back sees to it that it has arrived. */
static int vp_legacy_reset(struct virtio_device *vdev)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);

	iowrite8(0, vp_reg(vp_dev, VIRTIO_PCI_LEGACY_STATUS));
	return vp_wait_reset(vp_dev, vp_legacy_get_status);
}

static u64 vp_legacy_get_features(struct virtio_device *vdev)
{
	return ioread32(vp_reg(to_vp_device(vdev),
			       VIRTIO_PCI_LEGACY_DEVICE_FEATURES));
}

static int vp_legacy_finalize_features(struct virtio_device *vdev)
{
	vring_transport_features(vdev);
	/* There are 32, and what was agreed on was offered. */
	iowrite32((u32)vdev->features,
		  vp_reg(to_vp_device(vdev),
			 VIRTIO_PCI_LEGACY_DRIVER_FEATURES));
	return 0;
}

static u16 vp_legacy_set_config_vector(struct virtio_pci_device *vp_dev,
				       u16 vector)
{
	void __iomem *reg = vp_reg(vp_dev, VIRTIO_PCI_LEGACY_CONFIG_VECTOR);

	iowrite16(vector, reg);
	return ioread16(reg);
}

static void vp_legacy_select_vq(struct virtio_pci_device *vp_dev,
				unsigned int index)
{
	iowrite16(index, vp_reg(vp_dev, VIRTIO_PCI_LEGACY_QUEUE_SELECT));
}

static u16 vp_legacy_set_queue_vector(struct virtio_pci_device *vp_dev,
				      unsigned int index, u16 vector)
{
	void __iomem *reg = vp_reg(vp_dev, VIRTIO_PCI_LEGACY_QUEUE_VECTOR);
	unsigned long flags;
	u16 answer;

	spin_lock_irqsave(&vp_dev->select_lock, flags);
	vp_legacy_select_vq(vp_dev, index);
	iowrite16(vector, reg);
	answer = ioread16(reg);
	spin_unlock_irqrestore(&vp_dev->select_lock, flags);
	return answer;
}

static bool vp_legacy_notify(struct virtqueue *vq)
{
	iowrite16(vq->index, vp_reg(to_vp_device(vq->vdev),
				    VIRTIO_PCI_LEGACY_QUEUE_NOTIFY));
	return true;
}

static u8 vp_legacy_read_isr(struct virtio_pci_device *vp_dev)
{
	return ioread8(vp_reg(vp_dev, VIRTIO_PCI_LEGACY_ISR));
}

/* The device's own configuration */

/* Where it is, or NULL. What of the BAR is not the device's, nobody knows. */
static void __iomem *vp_legacy_config(struct virtio_pci_device *vp_dev,
				      unsigned int offset, unsigned int len)
{
	unsigned int start = VIRTIO_PCI_LEGACY_CONFIG(vp_has_msix(vp_dev));

	if ((u64)start + offset + len <= vp_dev->ports_len)
		return vp_reg(vp_dev, start + offset);
	if (printk_ratelimit())
		dev_err(&vp_dev->pci_dev->dev,
			"device config: bytes %u to %u are beyond the %u of bar 0\n",
			offset, offset + len - 1, vp_dev->ports_len);
	return NULL;
}

/*
 * Byte by byte, as drivers of such devices have always read them, and until
 * it is the same twice: section 2.5.4.
 */
static void vp_legacy_get(struct virtio_device *vdev, unsigned int offset,
			  void *buf, unsigned int len)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);
	unsigned int i, tries = VP_CONFIG_READ_TRIES;
	void __iomem *config;
	bool same = false;
	u8 *bytes = buf, v;

	/* A field that the device does not have is 0. */
	memset(buf, 0, len);
	config = vp_legacy_config(vp_dev, offset, len);
	if (!config)
		return;

	for (i = 0; i < len; i++)
		bytes[i] = ioread8(config + i);
	while (len > 1 && !same && --tries) {
		same = true;
		for (i = 0; i < len; i++) {
			v = ioread8(config + i);
			same = same && v == bytes[i];
			bytes[i] = v;
		}
	}
	if (!tries && printk_ratelimit())
		dev_warn(&vp_dev->pci_dev->dev,
			 "device config: bytes %u to %u never read the same twice, they may be torn\n",
			 offset, offset + len - 1);
}

static void vp_legacy_set(struct virtio_device *vdev, unsigned int offset,
			  const void *buf, unsigned int len)
{
	void __iomem *config = vp_legacy_config(to_vp_device(vdev), offset,
						len);
	const u8 *bytes = buf;
	unsigned int i;

	for (i = 0; config && i < len; i++)
		iowrite8(bytes[i], config + i);
}

/* 4.1.5.1.3 Virtqueue configuration */

/* How long the queue is, which the device alone decides; 0 with an error. */
static int vp_legacy_check_vq(struct virtio_pci_device *vp_dev,
			      unsigned int index, u16 *size)
{
	struct device *dev = &vp_dev->pci_dev->dev;
	unsigned long flags;
	u32 pfn;

	spin_lock_irqsave(&vp_dev->select_lock, flags);
	vp_legacy_select_vq(vp_dev, index);
	*size = ioread16(vp_reg(vp_dev, VIRTIO_PCI_LEGACY_QUEUE_SIZE));
	pfn = ioread32(vp_reg(vp_dev, VIRTIO_PCI_LEGACY_QUEUE_PFN));
	spin_unlock_irqrestore(&vp_dev->select_lock, flags);

	if (!*size) {
		dev_err(dev, "queue %u: its size is 0, the device does not have it\n",
			index);
		return -ENOENT;
	}
	if (*size > VRING_MAX_NUM || (*size & (*size - 1))) {
		dev_err(dev, "queue %u: size %u is no power of 2 up to %u\n",
			index, *size, VRING_MAX_NUM);
		return -EINVAL;
	}
	if (pfn) {
		dev_err(dev, "queue %u: its address is 0x%x right after a reset\n",
			index, pfn);
		return -EINVAL;
	}
	return 0;
}

/* The number of its first page, or 0: the device is to forget it. */
static void vp_legacy_write_pfn(struct virtio_pci_device *vp_dev,
				struct virtqueue *vq, u32 pfn)
{
	unsigned long flags;

	spin_lock_irqsave(&vp_dev->select_lock, flags);
	vp_legacy_select_vq(vp_dev, vq->index);
	iowrite32(pfn, vp_reg(vp_dev, VIRTIO_PCI_LEGACY_QUEUE_PFN));
	spin_unlock_irqrestore(&vp_dev->select_lock, flags);
}

static u32 vp_legacy_pfn(const struct virtqueue *vq)
{
	return (u64)virtqueue_desc_addr(vq) >> VIRTIO_PCI_LEGACY_PAGE_SHIFT;
}

static struct virtqueue *
vp_legacy_setup_vq(struct virtio_pci_device *vp_dev, struct vp_queue *queue,
		   unsigned int index, const struct virtqueue_info *info)
{
	struct vring_layout layout = {
		.index = index,
		.align = VIRTIO_PCI_LEGACY_ALIGN,
		.fixed = true,
		.weak_barriers = true,
	};
	struct virtqueue *vq;
	u16 size;
	int err;

	err = vp_legacy_check_vq(vp_dev, index, &size);
	if (err)
		return ERR_PTR(err);

	layout.max_num = size;
	vq = vring_create_virtqueue(&vp_dev->vdev, &layout, info,
				    vp_legacy_notify);
	if (!vq) {
		dev_err(&vp_dev->pci_dev->dev,
			"queue %u: no memory for the %u descriptors that it must have\n",
			index, size);
		return ERR_PTR(-ENOMEM);
	}
	if ((u64)virtqueue_desc_addr(vq) >> VP_LEGACY_ADDR_BITS) {
		dev_err(&vp_dev->pci_dev->dev,
			"queue %u: got memory at 0x%llx, and a legacy device knows %u bits of an address\n",
			index, (unsigned long long)virtqueue_desc_addr(vq),
			VP_LEGACY_ADDR_BITS);
		vring_del_virtqueue(vq);
		return ERR_PTR(-E2BIG);
	}

	vp_legacy_write_pfn(vp_dev, vq, vp_legacy_pfn(vq));
	return vq;
}

static int vp_legacy_restart_vq(struct virtio_pci_device *vp_dev,
				struct vp_queue *queue)
{
	struct virtqueue *vq = queue->vq;
	u16 size;
	int err;

	err = vp_legacy_check_vq(vp_dev, vq->index, &size);
	if (err)
		return err;
	if (size != virtqueue_get_vring_size(vq)) {
		dev_err(&vp_dev->pci_dev->dev,
			"queue %u: size %u after a reset, where it was %u before\n",
			vq->index, size, virtqueue_get_vring_size(vq));
		return -EINVAL;
	}

	vring_reinit_virtqueue(vq);
	vp_legacy_write_pfn(vp_dev, vq, vp_legacy_pfn(vq));
	return 0;
}

/*
 * Without a reset the device knows the queue still. QEMU takes this for a
 * reset of the whole device, which is no harm here.
 */
static void vp_legacy_del_vq(struct virtio_pci_device *vp_dev,
			     struct vp_queue *queue)
{
	vp_legacy_write_pfn(vp_dev, queue->vq, 0);
}

/* It has its address: that is all there is to it. */
static void vp_legacy_enable_vqs(struct virtio_pci_device *vp_dev)
{
}

/* Mapping and unmapping */

static void vp_legacy_remove(struct virtio_pci_device *vp_dev)
{
	pci_iounmap(vp_dev->pci_dev, vp_dev->ports);
	vp_dev->ports = NULL;
	pci_release_selected_regions(vp_dev->pci_dev,
				     1 << VIRTIO_PCI_LEGACY_BAR);
}

/*
 * Rings have to be where a page number of 32 bits leads. They are not got from
 * the DMA API: a legacy device is not behind an IOMMU, and has no feature to
 * say that it is. Their addresses are looked at again when they are made.
 */
static int vp_legacy_set_dma_mask(struct pci_dev *pci_dev)
{
	int err = dma_set_mask_and_coherent(&pci_dev->dev,
					    DMA_BIT_MASK(VP_LEGACY_ADDR_BITS));

	if (err)
		err = dma_set_mask_and_coherent(&pci_dev->dev,
						DMA_BIT_MASK(32));
	if (err)
		dev_err(&pci_dev->dev, "no usable DMA mask: %d\n", err);
	return err;
}

static const struct vp_transport_ops vp_legacy_transport_ops = {
	.setup_vq		= vp_legacy_setup_vq,
	.restart_vq		= vp_legacy_restart_vq,
	.del_vq			= vp_legacy_del_vq,
	.enable_vqs		= vp_legacy_enable_vqs,
	.set_queue_vector	= vp_legacy_set_queue_vector,
	.set_config_vector	= vp_legacy_set_config_vector,
	.read_isr		= vp_legacy_read_isr,
	.remove			= vp_legacy_remove,
};

static const struct virtio_config_ops vp_legacy_config_ops = {
	.get			= vp_legacy_get,
	.set			= vp_legacy_set,
	.get_status		= vp_legacy_get_status,
	.set_status		= vp_legacy_set_status,
	.reset			= vp_legacy_reset,
	.find_vqs		= vp_find_vqs,
	.restart_vqs		= vp_restart_vqs,
	.del_vqs		= vp_del_vqs,
	.synchronize_cbs	= vp_synchronize_cbs,
	.get_features		= vp_legacy_get_features,
	.finalize_features	= vp_legacy_finalize_features,
	.bus_name		= vp_bus_name,
	.set_vq_affinity	= vp_set_vq_affinity,
};

static int vp_legacy_map(struct virtio_pci_device *vp_dev)
{
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	int err;

	err = pci_request_selected_regions(pci_dev, 1 << VIRTIO_PCI_LEGACY_BAR,
					   "virtio-pci-legacy");
	if (err) {
		dev_err(&pci_dev->dev, "bar %u is taken: %d\n",
			VIRTIO_PCI_LEGACY_BAR, err);
		return err;
	}
	vp_dev->ports_len = pci_resource_len(pci_dev, VIRTIO_PCI_LEGACY_BAR);
	vp_dev->ports = pci_iomap(pci_dev, VIRTIO_PCI_LEGACY_BAR, 0);
	if (!vp_dev->ports) {
		dev_err(&pci_dev->dev, "bar %u cannot be mapped\n",
			VIRTIO_PCI_LEGACY_BAR);
		pci_release_selected_regions(pci_dev,
					     1 << VIRTIO_PCI_LEGACY_BAR);
		return -ENOMEM;
	}
	return 0;
}

/**
 * vp_legacy_present - does the device have a legacy interface?
 * @vp_dev:	the device; it is enabled
 *
 * One of the ids that have it, section 4.1.2.3, and ports that the device may
 * be reached by. Any context.
 */
bool vp_legacy_present(const struct virtio_pci_device *vp_dev)
{
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	unsigned int bar = VIRTIO_PCI_LEGACY_BAR;

	return pci_dev->device <= VIRTIO_PCI_LEGACY_ID_MAX &&
	       pci_dev->revision == VIRTIO_PCI_LEGACY_REVISION &&
	       vp_dev->io_enabled &&
	       (pci_resource_flags(pci_dev, bar) & IORESOURCE_IO) &&
	       pci_resource_start(pci_dev, bar) &&
	       pci_resource_len(pci_dev, bar) >= VIRTIO_PCI_LEGACY_CONFIG(1);
}

/**
 * virtio_pci_legacy_probe - drive a device through its legacy interface
 * @vp_dev:	the device; it is enabled, and vp_legacy_present()
 *
 * Process context. Returns 0 or a negative errno.
 */
int virtio_pci_legacy_probe(struct virtio_pci_device *vp_dev)
{
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	struct virtio_device *vdev = &vp_dev->vdev;
	int err;

	/* Its fields are the guest's: see include/linux/virtio_ring.h. */
	BUILD_BUG_ON((__force u16)cpu_to_le16(1) != 1);

	vdev->id.vendor = pci_dev->subsystem_vendor;
	vdev->id.device = pci_dev->subsystem_device;
	if (!vdev->id.device) {
		dev_err(&pci_dev->dev, "PCI id %04x:%04x has no device type\n",
			pci_dev->vendor, pci_dev->device);
		return -ENODEV;
	}

	err = vp_legacy_set_dma_mask(pci_dev);
	if (err)
		return err;
	err = vp_legacy_map(vp_dev);
	if (err)
		return err;

	/* All ones: the device has gone, or its ports are not decoded. */
	if (vp_legacy_get_status(vdev) == 0xff) {
		dev_err(&pci_dev->dev,
			"bar %u: the status reads 0xff, the device does not answer\n",
			VIRTIO_PCI_LEGACY_BAR);
		vp_legacy_remove(vp_dev);
		return -ENODEV;
	}

	vp_dev->ops = &vp_legacy_transport_ops;
	vdev->config = &vp_legacy_config_ops;
	return 0;
}
