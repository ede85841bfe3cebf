// SPDX-License-Identifier: GPL-2.0
/* 4.15 (686fef928bba): a timer's function is given the timer. */
#include <linux/timer.h>

void probe(struct timer_list *timer, void (*fn)(struct timer_list *timer));
void probe(struct timer_list *timer, void (*fn)(struct timer_list *timer))
{
	timer_setup(timer, fn, 0);
}
