/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_TIMER_H
#define _COMPAT_LINUX_TIMER_H

#include_next <linux/timer.h>

/* 4.15: a timer's function is given the timer, instead of a number. */
#ifndef COMPAT_HAVE_TIMER_SETUP
#define timer_setup(_timer, _fn, _flags)				\
	setup_timer(_timer, (void (*)(unsigned long))(void *)(_fn),	\
		    (unsigned long)(_timer))
#define from_timer(_var, _timer, _field)				\
	container_of(_timer, typeof(*(_var)), _field)
#endif

#endif /* _COMPAT_LINUX_TIMER_H */
