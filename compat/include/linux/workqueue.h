/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_WORKQUEUE_H
#define _COMPAT_LINUX_WORKQUEUE_H

#include_next <linux/workqueue.h>

/* 2.6.38: a new spelling. */
#ifndef create_freezable_workqueue
#define create_freezable_workqueue(name) create_freezeable_workqueue(name)
#endif

#endif /* _COMPAT_LINUX_WORKQUEUE_H */
