/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _DRIVERS_VIRTIO_VIRTIO_PCI_COMMON_H
#define _DRIVERS_VIRTIO_VIRTIO_PCI_COMMON_H

#include <linux/pci.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_pci.h>

struct virtio_pci_device;

/**
 * struct vp_region - a structure of the device, wherever it is
 * @base:	where its part of the BAR is mapped; NULL: it is not, and every
 *		access takes the window in PCI config space, section 4.1.4.9
 * @bar:	number of the BAR
 * @offset:	into the BAR, in bytes
 * @len:	in bytes; 0: the device has no such structure
 */
struct vp_region {
	void __iomem *base;
	u8 bar;
	u32 offset;
	u32 len;
};

/**
 * struct vp_queue - what the transport keeps of a queue
 * @vq:		the queue; @vq->priv points here
 * @notify:	where the device is notified of it; NULL: through the window
 * @notify_offset: the same, in bytes into the notification region
 * @vector:	MSI-X vector of its own, VIRTIO_MSI_NO_VECTOR otherwise
 * @irq_requested: the handler of that vector is installed
 * @name:	of that vector in /proc/interrupts
 */
struct vp_queue {
	struct virtqueue *vq;
	void __iomem *notify;
	u32 notify_offset;
	u16 vector;
	bool irq_requested;
	char name[48];
};

/* How the interrupts of a device are laid out, best first. */
enum vp_irq_mode {
	VP_IRQ_NONE,
	VP_IRQ_PER_VQ,		/* MSI-X: config, then one for each queue */
	VP_IRQ_SHARED,		/* MSI-X: config, then one for all queues */
	VP_IRQ_INTX,		/* one line and the ISR byte */
};

/**
 * struct vp_transport_ops - where modern and legacy differ
 * @setup_vq:	make queue @index and tell the device where it is; ERR_PTR()
 * @restart_vq:	the device was reset: tell it where the queue is once more
 * @del_vq:	undo it; the device was reset before, or never saw DRIVER_OK
 * @enable_vqs:	let the device use the queues; no way back but a reset
 * @set_queue_vector: route a queue's interrupt; what the device answered
 * @set_config_vector: route the config interrupt; what the device answered
 * @read_isr:	read, and thereby clear, the ISR byte
 * @remove:	unmap everything
 */
struct vp_transport_ops {
	struct virtqueue *(*setup_vq)(struct virtio_pci_device *vp_dev,
				      struct vp_queue *queue,
				      unsigned int index,
				      const struct virtqueue_info *info);
	int (*restart_vq)(struct virtio_pci_device *vp_dev,
			  struct vp_queue *queue);
	void (*del_vq)(struct virtio_pci_device *vp_dev,
		       struct vp_queue *queue);
	void (*enable_vqs)(struct virtio_pci_device *vp_dev);
	u16 (*set_queue_vector)(struct virtio_pci_device *vp_dev,
				unsigned int index, u16 vector);
	u16 (*set_config_vector)(struct virtio_pci_device *vp_dev, u16 vector);
	u8 (*read_isr)(struct virtio_pci_device *vp_dev);
	void (*remove)(struct virtio_pci_device *vp_dev);
};

/**
 * struct virtio_pci_device - a virtio device on PCI
 * @vdev:	what the virtio bus sees
 * @pci_dev:	what the PCI bus sees
 * @ops:	the transport: modern or legacy
 * @common:	modern: common configuration
 * @notify:	modern: notification area
 * @isr:	modern: ISR status
 * @device:	modern: device-specific configuration
 * @notify_multiplier: modern: bytes from one queue_notify_off to the next
 * @ports:	legacy: the I/O ports, all of BAR 0
 * @ports_len:	legacy: how many
 * @io_enabled:	the device's I/O ports are decoded, if it has any
 * @bars:	BARs that were claimed, as a mask
 * @cfg_cap:	position of the PCI_CFG capability; 0: the device has none
 * @cfg_lock:	one user of the window at a time
 * @select_lock: one user of the select registers at a time
 * @queues:	the queues; entries may be NULL
 * @num_queues:	how many entries
 * @irq_mode:	how interrupts are laid out
 * @shared_irq:	the handler for all queues, or INTx, is installed
 * @config_irq:	the handler of the config vector is installed
 * @config_name: of that vector in /proc/interrupts
 * @shared_name: of the vector for all queues
 */
struct virtio_pci_device {
	struct virtio_device vdev;
	struct pci_dev *pci_dev;
	const struct vp_transport_ops *ops;

	struct vp_region common;
	struct vp_region notify;
	struct vp_region isr;
	struct vp_region device;
	u32 notify_multiplier;
	void __iomem *ports;
	unsigned int ports_len;
	bool io_enabled;
	int bars;
	u8 cfg_cap;
	spinlock_t cfg_lock;
	spinlock_t select_lock;

	struct vp_queue **queues;
	unsigned int num_queues;

	enum vp_irq_mode irq_mode;
	bool shared_irq;
	bool config_irq;
	char config_name[32];
	char shared_name[32];
};

static inline struct virtio_pci_device *to_vp_device(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_pci_device, vdev);
}

static inline bool vp_has_msix(const struct virtio_pci_device *vp_dev)
{
	return vp_dev->irq_mode == VP_IRQ_PER_VQ ||
	       vp_dev->irq_mode == VP_IRQ_SHARED;
}

int vp_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
		struct virtqueue *vqs[], const struct virtqueue_info info[]);
int vp_restart_vqs(struct virtio_device *vdev);
void vp_del_vqs(struct virtio_device *vdev);
void vp_synchronize_cbs(struct virtio_device *vdev);
const char *vp_bus_name(struct virtio_device *vdev);
int vp_set_vq_affinity(struct virtqueue *vq, const struct cpumask *cpu_mask);
bool vp_device_present(struct virtio_pci_device *vp_dev);
int vp_wait_reset(struct virtio_pci_device *vp_dev,
		  u8 (*get_status)(struct virtio_device *vdev));

int virtio_pci_modern_probe(struct virtio_pci_device *vp_dev);
bool vp_legacy_present(const struct virtio_pci_device *vp_dev);
int virtio_pci_legacy_probe(struct virtio_pci_device *vp_dev);

#endif /* _DRIVERS_VIRTIO_VIRTIO_PCI_COMMON_H */
