/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_INTERRUPT_H
#define _COMPAT_LINUX_INTERRUPT_H

#include_next <linux/interrupt.h>

#ifndef COMPAT_HAVE_IRQ_SET_AFFINITY_AND_HINT
/* 5.17; in compat/pci_irq.c. */
struct cpumask;
#define irq_set_affinity_and_hint	compat_irq_set_affinity_and_hint
int compat_irq_set_affinity_and_hint(unsigned int irq,
				     const struct cpumask *mask);
#endif

#endif /* _COMPAT_LINUX_INTERRUPT_H */
