/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_PCI_H
#define _COMPAT_LINUX_PCI_H

#include_next <linux/pci.h>

#ifndef PCI_STD_HEADER_SIZEOF
#define PCI_STD_HEADER_SIZEOF	64
#endif
#ifndef PCI_STD_NUM_BARS
#define PCI_STD_NUM_BARS	6
#endif
#ifndef PCI_CFG_SPACE_SIZE
#define PCI_CFG_SPACE_SIZE	256
#endif

#ifndef COMPAT_HAVE_PCI_ALLOC_IRQ_VECTORS
/* 4.8; in compat/pci_irq.c. Only MSI-X, and only all or nothing. */
#define PCI_IRQ_MSIX		(1 << 2)

#define pci_alloc_irq_vectors	compat_pci_alloc_irq_vectors
#define pci_free_irq_vectors	compat_pci_free_irq_vectors
#define pci_irq_vector		compat_pci_irq_vector
int compat_pci_alloc_irq_vectors(struct pci_dev *dev, unsigned int min_vecs,
				 unsigned int max_vecs, unsigned int flags);
void compat_pci_free_irq_vectors(struct pci_dev *dev);
int compat_pci_irq_vector(struct pci_dev *dev, unsigned int nr);
#endif

#endif /* _COMPAT_LINUX_PCI_H */
