// SPDX-License-Identifier: GPL-2.0
/* 3.13 (4aa806b771d1): both DMA masks at once. */
#include <linux/dma-mapping.h>

int probe(struct device *dev)
{
	return dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
}
