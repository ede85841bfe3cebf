// SPDX-License-Identifier: GPL-2.0
/*
 * virtio over PCI: what modern and legacy devices have in common. Binding to
 * PCI devices, interrupts in three layouts, queues in bulk.
 */
#include <linux/module.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include "virtio_pci_common.h"

/*
 * How long a device may take to reset. QEMU needs microseconds, one that has
 * to wait for a storage back end perhaps seconds; one that takes longer would
 * hold up the boot for nothing.
 */
#define VP_RESET_TIMEOUT_MS	10000

static bool force_legacy;
module_param(force_legacy, bool, 0444);
MODULE_PARM_DESC(force_legacy, "drive devices through their legacy interface where they have one (default: off)");

/**
 * vp_device_present - does the PCI device still answer?
 * @vp_dev:	the device
 *
 * A device that was pulled out reads as all ones. Any context.
 */
bool vp_device_present(struct virtio_pci_device *vp_dev)
{
	u16 vendor = 0xffff;

	pci_read_config_word(vp_dev->pci_dev, PCI_VENDOR_ID, &vendor);
	return vendor != 0xffff;
}

/*
 * Whether the device may access memory. By hand: pci_clear_master() is not on
 * the kABI lists of all releases.
 */
static void vp_set_bus_master(struct virtio_pci_device *vp_dev, bool on)
{
	u16 command;

	pci_read_config_word(vp_dev->pci_dev, PCI_COMMAND, &command);
	if (on == !!(command & PCI_COMMAND_MASTER))
		return;
	command ^= PCI_COMMAND_MASTER;
	pci_write_config_word(vp_dev->pci_dev, PCI_COMMAND, command);
}

/**
 * vp_wait_reset - wait until a reset is complete
 * @vp_dev:	the device; 0 was written to its status
 * @get_status:	reads the status
 *
 * Section 4.1.4.3.2: the driver waits until the status reads 0. Sleeps.
 * Returns 0, -ENODEV when the device is gone, -ETIMEDOUT when it has had all
 * the time it gets; it can then no longer access memory.
 */
int vp_wait_reset(struct virtio_pci_device *vp_dev,
		  u8 (*get_status)(struct virtio_device *vdev))
{
	unsigned long deadline = jiffies +
				 msecs_to_jiffies(VP_RESET_TIMEOUT_MS);
	u8 status;

	for (;;) {
		status = get_status(&vp_dev->vdev);
		if (!status)
			return 0;
		if (status == 0xff && !vp_device_present(vp_dev))
			return -ENODEV;
		if (time_after(jiffies, deadline))
			break;
		msleep(1);
	}

	dev_err(&vp_dev->pci_dev->dev,
		"device_status still 0x%02x %u ms after a reset: the device does not work, is its back end stuck?\n",
		status, VP_RESET_TIMEOUT_MS);
	vp_set_bus_master(vp_dev, false);
	return -ETIMEDOUT;
}

/* Interrupt handlers */

static irqreturn_t vp_config_interrupt(int irq, void *opaque)
{
	struct virtio_pci_device *vp_dev = opaque;

	virtio_config_changed(&vp_dev->vdev);
	return IRQ_HANDLED;
}

/*
 * A vector is nobody else's. That the queue is empty only says that an earlier
 * interrupt's handler was quick, and is no reason to suspect the vector.
 */
static irqreturn_t vp_queue_interrupt(int irq, void *opaque)
{
	struct vp_queue *queue = opaque;

	vring_interrupt(queue->vq);
	return IRQ_HANDLED;
}

/*
 * One vector for all queues. The array of queues is complete before the
 * handler is installed, and freed after it is removed.
 */
static irqreturn_t vp_shared_interrupt(int irq, void *opaque)
{
	struct virtio_pci_device *vp_dev = opaque;
	unsigned int i;

	for (i = 0; i < vp_dev->num_queues; i++)
		if (vp_dev->queues[i])
			vring_interrupt(vp_dev->queues[i]->vq);
	return IRQ_HANDLED;
}

/* The line is shared with other devices; reading the ISR byte lowers it. */
static irqreturn_t vp_intx_interrupt(int irq, void *opaque)
{
	struct virtio_pci_device *vp_dev = opaque;
	u8 isr = vp_dev->ops->read_isr(vp_dev);

	/* Not ours, or all ones: nobody there. */
	if (!isr || isr == 0xff)
		return IRQ_NONE;

	if (isr & VIRTIO_PCI_ISR_CONFIG)
		vp_config_interrupt(irq, opaque);
	vp_shared_interrupt(irq, opaque);
	return IRQ_HANDLED;
}

/* Setting interrupts up and taking them down */

/* Index of the vector that queue traffic shares in VP_IRQ_SHARED. */
#define VP_SHARED_VECTOR	1

static void vp_free_irqs(struct virtio_pci_device *vp_dev)
{
	bool msix = vp_has_msix(vp_dev);
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	struct vp_queue *queue;
	unsigned int i;

	/*
	 * The device lets go of its vectors first: EL6's MSI code does not
	 * take it kindly when a vector that has a handler is freed.
	 */
	if (vp_dev->config_irq)
		vp_dev->ops->set_config_vector(vp_dev, VIRTIO_MSI_NO_VECTOR);

	for (i = 0; i < vp_dev->num_queues; i++) {
		queue = vp_dev->queues[i];
		if (!queue)
			continue;
		if (msix)
			vp_dev->ops->set_queue_vector(vp_dev, queue->vq->index,
						      VIRTIO_MSI_NO_VECTOR);
		if (queue->irq_requested) {
			irq_set_affinity_and_hint(pci_irq_vector(pci_dev,
							queue->vector), NULL);
			free_irq(pci_irq_vector(pci_dev, queue->vector),
				 queue);
			queue->irq_requested = false;
		}
	}

	if (vp_dev->shared_irq) {
		free_irq(vp_dev->irq_mode == VP_IRQ_INTX ? pci_dev->irq :
			 pci_irq_vector(pci_dev, VP_SHARED_VECTOR), vp_dev);
		vp_dev->shared_irq = false;
	}
	if (vp_dev->config_irq) {
		free_irq(pci_irq_vector(pci_dev, 0), vp_dev);
		vp_dev->config_irq = false;
	}

	if (msix)
		pci_free_irq_vectors(pci_dev);
	vp_dev->irq_mode = VP_IRQ_NONE;
}

static int vp_request_intx(struct virtio_pci_device *vp_dev)
{
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	int err;

	vp_dev->irq_mode = VP_IRQ_INTX;
	pci_intx(pci_dev, 1);
	err = request_irq(pci_dev->irq, vp_intx_interrupt, IRQF_SHARED,
			  dev_name(&vp_dev->vdev.dev), vp_dev);
	if (err)
		dev_err(&pci_dev->dev, "cannot get interrupt line %u: %d\n",
			pci_dev->irq, err);
	else
		vp_dev->shared_irq = true;
	return err;
}

static int vp_route_config(struct virtio_pci_device *vp_dev)
{
	int err;

	snprintf(vp_dev->config_name, sizeof(vp_dev->config_name),
		 "%s-config", dev_name(&vp_dev->vdev.dev));
	err = request_irq(pci_irq_vector(vp_dev->pci_dev, 0),
			  vp_config_interrupt, 0, vp_dev->config_name, vp_dev);
	if (err)
		return err;
	vp_dev->config_irq = true;

	/* The device answers NO_VECTOR when it is out of resources. */
	return vp_dev->ops->set_config_vector(vp_dev, 0) == 0 ? 0 : -EBUSY;
}

static int vp_route_shared(struct virtio_pci_device *vp_dev)
{
	int err;

	snprintf(vp_dev->shared_name, sizeof(vp_dev->shared_name),
		 "%s-virtqueues", dev_name(&vp_dev->vdev.dev));
	err = request_irq(pci_irq_vector(vp_dev->pci_dev, VP_SHARED_VECTOR),
			  vp_shared_interrupt, 0, vp_dev->shared_name, vp_dev);
	if (!err)
		vp_dev->shared_irq = true;
	return err;
}

static int vp_route_queue(struct virtio_pci_device *vp_dev,
			  struct vp_queue *queue, u16 vector)
{
	int err;

	if (vp_dev->irq_mode == VP_IRQ_PER_VQ) {
		snprintf(queue->name, sizeof(queue->name), "%s-%s",
			 dev_name(&vp_dev->vdev.dev), queue->vq->name);
		err = request_irq(pci_irq_vector(vp_dev->pci_dev, vector),
				  vp_queue_interrupt, 0, queue->name, queue);
		if (err)
			return err;
		queue->vector = vector;
		queue->irq_requested = true;
	}
	return vp_dev->ops->set_queue_vector(vp_dev, queue->vq->index,
					     vector) == vector ? 0 : -EBUSY;
}

/* The queues exist; give them MSI-X vectors, all or nothing. */
static int vp_request_msix(struct virtio_pci_device *vp_dev,
			   enum vp_irq_mode mode, unsigned int vectors)
{
	unsigned int i, vector = VP_SHARED_VECTOR;
	struct vp_queue *queue;
	int err;

	err = pci_alloc_irq_vectors(vp_dev->pci_dev, vectors, vectors,
				    PCI_IRQ_MSIX);
	if (err < 0)
		return err;
	vp_dev->irq_mode = mode;

	err = vp_route_config(vp_dev);
	if (!err && mode == VP_IRQ_SHARED)
		err = vp_route_shared(vp_dev);

	for (i = 0; !err && i < vp_dev->num_queues; i++) {
		queue = vp_dev->queues[i];
		if (!queue || !queue->vq->callback)
			continue;
		err = vp_route_queue(vp_dev, queue, vector);
		if (mode == VP_IRQ_PER_VQ)
			vector++;
	}
	if (err)
		vp_free_irqs(vp_dev);
	return err;
}

/* A vector for each queue; else two, for config and queues; else the line. */
static int vp_request_irqs(struct virtio_pci_device *vp_dev)
{
	unsigned int i, wanted = 1;
	int err;

	for (i = 0; i < vp_dev->num_queues; i++)
		if (vp_dev->queues[i] && vp_dev->queues[i]->vq->callback)
			wanted++;

	err = vp_request_msix(vp_dev, VP_IRQ_PER_VQ, wanted);
	if (!err)
		return 0;

	/* With one queue the two layouts are the same. */
	if (wanted > 2) {
		err = vp_request_msix(vp_dev, VP_IRQ_SHARED, 2);
		if (!err) {
			dev_info(&vp_dev->pci_dev->dev,
				 "no %u MSI-X vectors: %u queues share one\n",
				 wanted, wanted - 1);
			return 0;
		}
	}

	if (pci_find_capability(vp_dev->pci_dev, PCI_CAP_ID_MSIX))
		dev_info(&vp_dev->pci_dev->dev,
			 "no MSI-X vectors (%d): using interrupt line %u\n",
			 err, vp_dev->pci_dev->irq);
	return vp_request_intx(vp_dev);
}

/* Queues */

static void vp_del_queue(struct virtio_pci_device *vp_dev, unsigned int i)
{
	struct vp_queue *queue = vp_dev->queues[i];

	if (!queue)
		return;
	vp_dev->queues[i] = NULL;
	vp_dev->ops->del_vq(vp_dev, queue);
	vring_del_virtqueue(queue->vq);
	kfree(queue);
}

/**
 * vp_del_vqs - virtio_config_ops::del_vqs
 * @vdev:	the device; it was reset
 *
 * Process context.
 */
void vp_del_vqs(struct virtio_device *vdev)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);
	unsigned int i;

	vp_free_irqs(vp_dev);
	for (i = 0; i < vp_dev->num_queues; i++)
		vp_del_queue(vp_dev, i);
	kfree(vp_dev->queues);
	vp_dev->queues = NULL;
	vp_dev->num_queues = 0;
}

static int vp_setup_queue(struct virtio_pci_device *vp_dev, unsigned int i,
			  unsigned int index, const struct virtqueue_info *info)
{
	struct vp_queue *queue;
	struct virtqueue *vq;

	queue = kzalloc(sizeof(*queue), GFP_KERNEL);
	if (!queue)
		return -ENOMEM;
	queue->vector = VIRTIO_MSI_NO_VECTOR;

	vq = vp_dev->ops->setup_vq(vp_dev, queue, index, info);
	if (IS_ERR(vq)) {
		kfree(queue);
		return PTR_ERR(vq);
	}
	queue->vq = vq;
	vq->priv = queue;
	vp_dev->queues[i] = queue;
	return 0;
}

/**
 * vp_find_vqs - virtio_config_ops::find_vqs
 * @vdev:	the device; features are negotiated, DRIVER_OK is not set
 * @nvqs:	how many queues the driver knows
 * @vqs:	the queues; NULL for those it skips
 * @info:	what the driver wants of each
 *
 * Makes the queues, then their interrupts, and only when nothing can fail any
 * more lets the device have them. Process context. Returns 0 or a negative
 * errno, with everything undone.
 */
int vp_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
		struct virtqueue *vqs[], const struct virtqueue_info info[])
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);
	unsigned int i, index = 0;
	int err;

	vp_dev->queues = kcalloc(nvqs, sizeof(*vp_dev->queues), GFP_KERNEL);
	if (!vp_dev->queues)
		return -ENOMEM;
	vp_dev->num_queues = nvqs;

	for (i = 0; i < nvqs; i++) {
		vqs[i] = NULL;
		if (info[i].skip)
			continue;
		err = vp_setup_queue(vp_dev, i, index++, &info[i]);
		if (err)
			goto fail;
		vqs[i] = vp_dev->queues[i]->vq;
	}

	err = vp_request_irqs(vp_dev);
	if (err)
		goto fail;

	vp_set_bus_master(vp_dev, true);
	vp_dev->ops->enable_vqs(vp_dev);
	return 0;

fail:
	vp_del_vqs(vdev);
	return err;
}

/* The vectors and their handlers are still there: the device forgot its side. */
static int vp_restart_irqs(struct virtio_pci_device *vp_dev)
{
	struct vp_queue *queue;
	unsigned int i;
	u16 vector;

	if (!vp_has_msix(vp_dev))
		return 0;

	if (vp_dev->ops->set_config_vector(vp_dev, 0) != 0)
		return -EBUSY;
	for (i = 0; i < vp_dev->num_queues; i++) {
		queue = vp_dev->queues[i];
		if (!queue || !queue->vq->callback)
			continue;
		vector = vp_dev->irq_mode == VP_IRQ_SHARED ?
			 VP_SHARED_VECTOR : queue->vector;
		if (vp_dev->ops->set_queue_vector(vp_dev, queue->vq->index,
						  vector) != vector)
			return -EBUSY;
	}
	return 0;
}

/**
 * vp_restart_vqs - virtio_config_ops::restart_vqs
 * @vdev:	the device; it was reset, features are negotiated, DRIVER_OK is
 *		not set
 *
 * Process context, and nothing is allocated: what needs the memory may be
 * waiting for this device. Returns 0 or a negative errno.
 */
int vp_restart_vqs(struct virtio_device *vdev)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);
	unsigned int i;
	int err;

	for (i = 0; i < vp_dev->num_queues; i++) {
		if (!vp_dev->queues[i])
			continue;
		err = vp_dev->ops->restart_vq(vp_dev, vp_dev->queues[i]);
		if (err)
			return err;
	}
	err = vp_restart_irqs(vp_dev);
	if (err) {
		dev_err(&vp_dev->pci_dev->dev,
			"the device does not take its MSI-X vectors after a reset\n");
		return err;
	}

	/* A reset that took too long has cut it off. */
	vp_set_bus_master(vp_dev, true);
	vp_dev->ops->enable_vqs(vp_dev);
	return 0;
}

/**
 * vp_synchronize_cbs - virtio_config_ops::synchronize_cbs
 * @vdev:	the device
 *
 * Waits until no interrupt handler of the device runs. Process context.
 */
void vp_synchronize_cbs(struct virtio_device *vdev)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vdev);
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	unsigned int i;

	if (vp_dev->shared_irq)
		synchronize_irq(vp_dev->irq_mode == VP_IRQ_INTX ? pci_dev->irq :
				pci_irq_vector(pci_dev, VP_SHARED_VECTOR));
	if (vp_dev->config_irq)
		synchronize_irq(pci_irq_vector(pci_dev, 0));
	for (i = 0; i < vp_dev->num_queues; i++)
		if (vp_dev->queues[i] && vp_dev->queues[i]->irq_requested)
			synchronize_irq(pci_irq_vector(pci_dev,
						vp_dev->queues[i]->vector));
}

/**
 * vp_set_vq_affinity - virtio_config_ops::set_vq_affinity
 * @vq:		the queue
 * @cpu_mask:	CPUs that shall take its interrupt, NULL: it may stay where it
 *		is; must stay valid until it is taken back
 *
 * The interrupt moves at once, and irqbalance is told where it belongs. On
 * EL6, where no module can move an interrupt, irqbalance is told, and that is
 * all. Process context. Returns 0 or a negative errno: -EINVAL where the queue
 * has no vector of its own.
 */
int vp_set_vq_affinity(struct virtqueue *vq, const struct cpumask *cpu_mask)
{
	struct virtio_pci_device *vp_dev = to_vp_device(vq->vdev);
	struct vp_queue *queue = vq->priv;

	if (!queue->irq_requested)
		return -EINVAL;
	return irq_set_affinity_and_hint(pci_irq_vector(vp_dev->pci_dev,
							queue->vector),
					 cpu_mask);
}

/**
 * vp_bus_name - virtio_config_ops::bus_name
 * @vdev:	the device
 *
 * The PCI address.
 */
const char *vp_bus_name(struct virtio_device *vdev)
{
	return pci_name(to_vp_device(vdev)->pci_dev);
}

/* Binding to PCI devices */

static void vp_release_dev(struct device *dev)
{
	kfree(to_vp_device(dev_to_virtio(dev)));
}

/*
 * The modern interface needs no I/O ports, and a bus may have none left for
 * those of a transitional device.
 */
static int vp_enable(struct virtio_pci_device *vp_dev)
{
	struct pci_dev *pci_dev = vp_dev->pci_dev;
	int err = pci_enable_device(pci_dev);

	vp_dev->io_enabled = !err;
	if (err && pci_resource_flags(pci_dev, VIRTIO_PCI_LEGACY_BAR) &
		   IORESOURCE_IO)
		err = pci_enable_device_mem(pci_dev);
	if (err)
		dev_err(&pci_dev->dev, "cannot enable the device: %d\n", err);
	return err;
}

/* Why there is no legacy interface, for a message. */
static const char *vp_no_legacy(const struct virtio_pci_device *vp_dev)
{
	struct pci_dev *pci_dev = vp_dev->pci_dev;

	if (pci_dev->device > VIRTIO_PCI_LEGACY_ID_MAX)
		return "its PCI id is that of a modern device";
	if (pci_dev->revision != VIRTIO_PCI_LEGACY_REVISION)
		return "its PCI revision is not 0";
	if (!(pci_resource_flags(pci_dev, VIRTIO_PCI_LEGACY_BAR) &
	      IORESOURCE_IO))
		return "BAR 0 is no I/O BAR, or its bus has no I/O ports to give";
	if (!vp_dev->io_enabled ||
	    !pci_resource_start(pci_dev, VIRTIO_PCI_LEGACY_BAR))
		return "BAR 0 was not assigned any I/O ports";
	return "BAR 0 is too small";
}

/* Modern if that works, legacy otherwise or if somebody asked for it. */
static int vp_probe_transport(struct virtio_pci_device *vp_dev)
{
	struct device *dev = &vp_dev->pci_dev->dev;
	bool legacy = vp_legacy_present(vp_dev);
	int err = 0;

	if (!force_legacy || !legacy) {
		err = virtio_pci_modern_probe(vp_dev);
		if (!err && force_legacy)
			dev_info(dev, "force_legacy: no usable I/O BAR (%s): driven as a modern device\n",
				 vp_no_legacy(vp_dev));
		if (!err)
			return 0;
	}

	if (!legacy) {
		/* Of others, the modern part has said what ails them. */
		if (vp_dev->pci_dev->device <= VIRTIO_PCI_LEGACY_ID_MAX)
			dev_err(dev, "no usable I/O BAR (%s): not driven as a legacy device either; put it on a bus with I/O ports, or give it its modern interface (QEMU: disable-modern=off)\n",
				vp_no_legacy(vp_dev));
		return err;
	}

	if (err && (err != -ENODEV || vp_dev->common.len))
		dev_warn(dev, "the modern interface cannot be used (%d)\n",
			 err);
	err = virtio_pci_legacy_probe(vp_dev);
	if (!err)
		dev_info(dev, "%sdriven as a legacy device, I/O ports at 0x%llx\n",
			 force_legacy ? "force_legacy: " : "",
			 (unsigned long long)
			 pci_resource_start(vp_dev->pci_dev,
					    VIRTIO_PCI_LEGACY_BAR));
	return err;
}

static int virtio_pci_probe(struct pci_dev *pci_dev,
			    const struct pci_device_id *id)
{
	struct virtio_pci_device *vp_dev;
	int err;

	if (pci_dev->device < VIRTIO_PCI_LEGACY_ID_MIN ||
	    pci_dev->device > VIRTIO_PCI_MODERN_ID_MAX)
		return -ENODEV;

	vp_dev = kzalloc(sizeof(*vp_dev), GFP_KERNEL);
	if (!vp_dev)
		return -ENOMEM;
	vp_dev->pci_dev = pci_dev;
	vp_dev->vdev.dev.parent = &pci_dev->dev;
	vp_dev->vdev.dev.release = vp_release_dev;
	spin_lock_init(&vp_dev->cfg_lock);
	spin_lock_init(&vp_dev->select_lock);
	pci_set_drvdata(pci_dev, vp_dev);

	err = vp_enable(vp_dev);
	if (err)
		goto free;

	err = vp_probe_transport(vp_dev);
	if (err)
		goto disable;

	pci_set_master(pci_dev);

	err = register_virtio_device(&vp_dev->vdev);
	if (err)
		goto remove;
	return 0;

remove:
	vp_dev->ops->remove(vp_dev);
	pci_disable_device(pci_dev);
	pci_set_drvdata(pci_dev, NULL);
	/* The driver core may hold references: the last one frees it. */
	put_device(&vp_dev->vdev.dev);
	return err;

disable:
	pci_disable_device(pci_dev);
free:
	pci_set_drvdata(pci_dev, NULL);
	kfree(vp_dev);
	return err;
}

static void virtio_pci_remove(struct pci_dev *pci_dev)
{
	struct virtio_pci_device *vp_dev = pci_get_drvdata(pci_dev);
	struct device *dev = get_device(&vp_dev->vdev.dev);

	/*
	 * Pulled out: no completion will come any more, so that the drivers
	 * must not wait for one.
	 */
	if (!vp_device_present(vp_dev))
		virtio_break_device(&vp_dev->vdev);

	unregister_virtio_device(&vp_dev->vdev);
	vp_dev->ops->remove(vp_dev);
	pci_disable_device(pci_dev);
	pci_set_drvdata(pci_dev, NULL);
	put_device(dev);
}

static int virtio_pci_suspend(struct device *dev)
{
	struct virtio_pci_device *vp_dev = dev_get_drvdata(dev);

	return virtio_suspend_device(&vp_dev->vdev);
}

static int virtio_pci_resume(struct device *dev)
{
	struct virtio_pci_device *vp_dev = dev_get_drvdata(dev);

	return virtio_resume_device(&vp_dev->vdev);
}

/*
 * The same for every kind of sleep: the device is reset before it and set up
 * anew after it, whoever used it in between (a kernel that loads a hibernated
 * one did). The PCI core takes care of BARs and MSI-X tables.
 */
static const struct dev_pm_ops virtio_pci_pm_ops = {
	.suspend	= virtio_pci_suspend,
	.resume		= virtio_pci_resume,
	.freeze		= virtio_pci_suspend,
	.thaw		= virtio_pci_resume,
	.poweroff	= virtio_pci_suspend,
	.restore	= virtio_pci_resume,
};

/* Every id, as the in-tree driver has it: udev and dracut look at this. */
static const struct pci_device_id virtio_pci_id_table[] = {
	{ PCI_DEVICE(VIRTIO_PCI_VENDOR, PCI_ANY_ID) },
	{ 0 }
};
MODULE_DEVICE_TABLE(pci, virtio_pci_id_table);

static struct pci_driver virtio_pci_driver = {
	.name		= "virtio-pci",
	.id_table	= virtio_pci_id_table,
	.probe		= virtio_pci_probe,
	.remove		= virtio_pci_remove,
	.driver.pm	= &virtio_pci_pm_ops,
};

static int __init virtio_pci_init(void)
{
	return pci_register_driver(&virtio_pci_driver);
}

static void __exit virtio_pci_exit(void)
{
	pci_unregister_driver(&virtio_pci_driver);
}

module_init(virtio_pci_init);
module_exit(virtio_pci_exit);

MODULE_DESCRIPTION("virtio over PCI, modern and legacy devices");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
