/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_DEVICE_H
#define _COMPAT_LINUX_DEVICE_H

#include_next <linux/device.h>

/*
 * COMPAT_BUS_REMOVE(name, fn) defines a bus_type::remove out of a function
 * that returns nothing. It became void in 5.15; before, it returned an int
 * that nobody looked at.
 */
#ifdef COMPAT_HAVE_BUS_REMOVE_VOID
#define COMPAT_BUS_REMOVE(name, fn)				\
static void name(struct device *dev)				\
{								\
	fn(dev);						\
}
#else
#define COMPAT_BUS_REMOVE(name, fn)				\
static int name(struct device *dev)				\
{								\
	fn(dev);						\
	return 0;						\
}
#endif

#endif /* _COMPAT_LINUX_DEVICE_H */
