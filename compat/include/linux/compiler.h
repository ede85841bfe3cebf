/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_COMPILER_H
#define _COMPAT_LINUX_COMPILER_H

#include_next <linux/compiler.h>

/* A single access, which the compiler neither repeats nor splits. */
#ifndef COMPAT_HAVE_READ_ONCE_CONST
#undef READ_ONCE
#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#endif
#ifndef WRITE_ONCE
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#endif

/*
 * compat/toolchain has the compiler make retpolines, in a build for a kernel
 * that knows nothing of them: the one that loads the module may. Where the
 * kernel's own build has them, it says so itself.
 */
#if defined(COMPAT_RETPOLINE) && !defined(RETPOLINE)
#define COMPAT_MODULE_INFO	MODULE_INFO(retpoline, "Y");
#else
#define COMPAT_MODULE_INFO
#endif

#endif /* _COMPAT_LINUX_COMPILER_H */
