// SPDX-License-Identifier: GPL-2.0
/* 4.8 (aff171641d18): interrupt vectors by number. */
#include <linux/pci.h>

int probe(struct pci_dev *dev)
{
	pci_free_irq_vectors(dev);
	pci_irq_vector(dev, 0);
	return pci_alloc_irq_vectors(dev, 1, 1, PCI_IRQ_MSIX);
}
