/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_KERNEL_H
#define _COMPAT_LINUX_KERNEL_H

#include_next <linux/kernel.h>

/* 3.14. */
#ifndef U16_MAX
#define U16_MAX	((u16)~0U)
#endif
#ifndef U32_MAX
#define U32_MAX	((u32)~0U)
#endif

#endif /* _COMPAT_LINUX_KERNEL_H */
