// SPDX-License-Identifier: GPL-2.0
/* 5.1 (133d624b1cee): how much can be mapped in one piece. */
#include <linux/dma-mapping.h>

size_t probe(struct device *dev)
{
	return dma_max_mapping_size(dev);
}
