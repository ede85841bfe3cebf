/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_NET_9P_9P_H
#define _COMPAT_NET_9P_9P_H

/*
 * On 2.6.32 the headers of 9p do not include what they use, and parser.h is
 * not to be included twice.
 */
#include <linux/types.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/parser.h>
#include_next <net/9p/9p.h>

#endif /* _COMPAT_NET_9P_9P_H */
