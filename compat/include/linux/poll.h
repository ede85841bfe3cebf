/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_POLL_H
#define _COMPAT_LINUX_POLL_H

#include_next <linux/poll.h>

#ifndef COMPAT_HAVE_POLL_T
/* 4.16: a type of its own for what poll() returns. */
#define __poll_t	unsigned int
#define EPOLLIN		POLLIN
#define EPOLLRDNORM	POLLRDNORM
#define EPOLLOUT	POLLOUT
#define EPOLLWRNORM	POLLWRNORM
#define EPOLLHUP	POLLHUP
#endif

#endif /* _COMPAT_LINUX_POLL_H */
