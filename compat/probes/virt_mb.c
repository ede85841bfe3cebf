// SPDX-License-Identifier: GPL-2.0
/* 4.5 (6a65d26385bf): barriers against a hypervisor's threads. */
#include <asm/barrier.h>

void probe(void)
{
	virt_mb();
	virt_rmb();
	virt_wmb();
	dma_rmb();
	dma_wmb();
}
