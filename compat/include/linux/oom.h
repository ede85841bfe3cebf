/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_OOM_H
#define _COMPAT_LINUX_OOM_H

#include_next <linux/oom.h>

#ifndef COMPAT_HAVE_OOM_CONTROL
/*
 * 4.2 has a struct oom_control. All releases of EL6 export the notifier, with
 * the same prototype, but on no kABI list: so it is looked up.
 */
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/notifier.h>

#define register_oom_notifier	compat_register_oom_notifier
#define unregister_oom_notifier	compat_unregister_oom_notifier

static inline int compat_oom_notifier(const char *name,
				      struct notifier_block *nb)
{
	int (*fn)(struct notifier_block *) = __symbol_get(name);
	int err;

	if (!fn)
		return -ENOENT;
	err = fn(nb);
	__symbol_put(name);
	return err;
}

static inline int compat_register_oom_notifier(struct notifier_block *nb)
{
	return compat_oom_notifier("register_oom_notifier", nb);
}

static inline int compat_unregister_oom_notifier(struct notifier_block *nb)
{
	return compat_oom_notifier("unregister_oom_notifier", nb);
}
#endif

#endif /* _COMPAT_LINUX_OOM_H */
