// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupt vectors by number, as 4.8 has them, on a kernel that fills an
 * array of struct msix_entry for its caller.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/list.h>
#include <linux/pci.h>
#include <linux/interrupt.h>

#ifndef COMPAT_HAVE_PCI_ALLOC_IRQ_VECTORS
/* Somebody has to remember the array; struct pci_dev has no room for it. */
struct compat_msix {
	struct list_head list;
	struct pci_dev *dev;
	unsigned int num;
	struct msix_entry entries[];
};

static LIST_HEAD(compat_msix_list);
static DEFINE_MUTEX(compat_msix_lock);

static struct compat_msix *compat_msix_find(struct pci_dev *dev)
{
	struct compat_msix *msix;

	list_for_each_entry(msix, &compat_msix_list, list)
		if (msix->dev == dev)
			return msix;
	return NULL;
}

/**
 * compat_pci_alloc_irq_vectors - pci_alloc_irq_vectors() for MSI-X
 * @dev:	the PCI device
 * @min_vecs:	fewest vectors that will do
 * @max_vecs:	not looked at: callers here want exactly @min_vecs
 * @flags:	PCI_IRQ_MSIX
 *
 * Process context. Returns the number of vectors or a negative errno; -ENOSPC
 * when there are some, but not enough.
 */
int compat_pci_alloc_irq_vectors(struct pci_dev *dev, unsigned int min_vecs,
				 unsigned int max_vecs, unsigned int flags)
{
	struct compat_msix *msix;
	unsigned int i;
	int err;

	msix = kzalloc(sizeof(*msix) + min_vecs * sizeof(msix->entries[0]),
		       GFP_KERNEL);
	if (!msix)
		return -ENOMEM;
	msix->dev = dev;
	msix->num = min_vecs;
	for (i = 0; i < min_vecs; i++)
		msix->entries[i].entry = i;

	/* Positive: as many as there are, and none is enabled. */
	err = pci_enable_msix(dev, msix->entries, min_vecs);
	if (err) {
		kfree(msix);
		return err > 0 ? -ENOSPC : err;
	}

	mutex_lock(&compat_msix_lock);
	list_add(&msix->list, &compat_msix_list);
	mutex_unlock(&compat_msix_lock);
	return min_vecs;
}

/**
 * compat_pci_free_irq_vectors - pci_free_irq_vectors()
 * @dev:	the PCI device; no handler is installed any more
 *
 * Process context.
 */
void compat_pci_free_irq_vectors(struct pci_dev *dev)
{
	struct compat_msix *msix;

	mutex_lock(&compat_msix_lock);
	msix = compat_msix_find(dev);
	if (msix)
		list_del(&msix->list);
	mutex_unlock(&compat_msix_lock);

	if (msix)
		pci_disable_msix(dev);
	kfree(msix);
}

/**
 * compat_pci_irq_vector - pci_irq_vector()
 * @dev:	the PCI device
 * @nr:		number of the vector
 *
 * Process context. Returns the interrupt's number or -EINVAL.
 */
int compat_pci_irq_vector(struct pci_dev *dev, unsigned int nr)
{
	struct compat_msix *msix;
	int irq = -EINVAL;

	mutex_lock(&compat_msix_lock);
	msix = compat_msix_find(dev);
	if (msix && nr < msix->num)
		irq = msix->entries[nr].vector;
	mutex_unlock(&compat_msix_lock);
	return irq;
}
#endif

#ifndef COMPAT_HAVE_IRQ_SET_AFFINITY_AND_HINT
/**
 * compat_irq_set_affinity_and_hint - irq_set_affinity_and_hint()
 * @irq:	the interrupt
 * @mask:	where it belongs; NULL takes the hint back
 *
 * Under its old name it did both until 5.17. EL6 has that name, and it only
 * leaves the hint, for irqbalance: no kernel of EL6 exports anything that
 * moves an interrupt. There it is on the kABI lists from 6.3 on only, so it is
 * looked up and not linked against; without it, nothing happens. Process
 * context. Returns 0 or a negative errno.
 */
int compat_irq_set_affinity_and_hint(unsigned int irq,
				     const struct cpumask *mask)
{
	int (*set_hint)(unsigned int irq, const struct cpumask *mask);
	int err;

	set_hint = (void *)__symbol_get("irq_set_affinity_hint");
	if (!set_hint)
		return 0;
	err = set_hint(irq, mask);
	__symbol_put("irq_set_affinity_hint");
	return err;
}
#endif
