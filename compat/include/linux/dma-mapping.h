/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_DMA_MAPPING_H
#define _COMPAT_LINUX_DMA_MAPPING_H

#include_next <linux/dma-mapping.h>

#ifndef COMPAT_HAVE_DMA_SET_MASK_AND_COHERENT
/* 3.13. Only ever called for PCI devices here. */
#include <linux/pci.h>

static inline int dma_set_mask_and_coherent(struct device *dev, u64 mask)
{
	int err = pci_set_dma_mask(to_pci_dev(dev), mask);

	return err ? err : pci_set_consistent_dma_mask(to_pci_dev(dev), mask);
}
#endif

#ifndef COMPAT_HAVE_DMA_MAX_MAPPING_SIZE
/* 5.1. What swiotlb has in one piece: 128 slots of 2 KiB. */
static inline size_t dma_max_mapping_size(struct device *dev)
{
	return 128 << 11;
}
#endif

#endif /* _COMPAT_LINUX_DMA_MAPPING_H */
