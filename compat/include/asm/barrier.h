/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_ASM_BARRIER_H
#define _COMPAT_ASM_BARRIER_H

#ifdef COMPAT_HAVE_VIRT_MB
#include_next <asm/barrier.h>
#else
/*
 * 4.5 has barriers for talking to a hypervisor's threads: those of SMP, also
 * on a kernel for one CPU or one that patched itself for it. Before that, the
 * mandatory ones are the only ones that do not vanish there.
 */
#include <asm/system.h>

#define virt_mb()	mb()
#define virt_rmb()	rmb()
#define virt_wmb()	wmb()
#define dma_rmb()	rmb()
#define dma_wmb()	wmb()
#endif

#endif /* _COMPAT_ASM_BARRIER_H */
