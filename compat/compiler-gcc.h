/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What 2.6.32's <linux/compiler-gcc.h> wants of a header for each major
 * version of gcc, for those that came later: compat/toolchain installs it as
 * linux/compiler-gcc5.h and so on, in a folder of the build's own.
 */
#ifndef __LINUX_COMPILER_H
#error "include <linux/compiler.h>, which includes this"
#endif

#define __used				__attribute__((__used__))
#define __must_check			__attribute__((__warn_unused_result__))
#define __compiler_offsetof(a, b)	__builtin_offsetof(a, b)
#define __always_inline			inline __attribute__((__always_inline__))
#define uninitialized_var(x)		x = x
#define __cold				__attribute__((__cold__))
