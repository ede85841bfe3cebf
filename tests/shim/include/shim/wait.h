/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Wait queues: who waits looks again when woken up, and not before.
 */
#ifndef _SHIM_WAIT_H
#define _SHIM_WAIT_H

#include <shim/base.h>
#include <shim/context.h>

#define ERESTARTSYS	512

/* sched.h */

#define current		NULL
#define signal_pending(task)	shim_signal
#define set_tsk_need_resched(task)	(shim_need_resched = true)
extern bool shim_signal, shim_need_resched;

/* wait.h */

typedef struct {
	unsigned int wakes;
	bool ready;
} wait_queue_head_t;

#define DECLARE_WAIT_QUEUE_HEAD(name)	wait_queue_head_t name = { 0, true }
#define init_waitqueue_head(wq) do {					\
	(wq)->wakes = 0;						\
	(wq)->ready = true;						\
} while (0)
#define wake_up_all(wq) do {						\
	BUG_ON(!(wq)->ready);						\
	(wq)->wakes++;							\
} while (0)
#define wake_up_interruptible(wq)	wake_up_all(wq)

#define wait_event_interruptible(wq, condition) ({			\
	int _ret = 0;							\
									\
	BUG_ON(!(wq).ready);						\
	might_sleep();							\
	for (;;) {							\
		unsigned int _wakes = (wq).wakes;			\
									\
		if (condition)						\
			break;						\
		while ((wq).wakes == _wakes && !shim_signal)		\
			msleep(1);					\
		if (shim_signal) {					\
			_ret = -ERESTARTSYS;				\
			break;						\
		}							\
	}								\
	_ret; })

/* Whoever waits so that only this ends it is killed. */
extern bool shim_killed;

/* A wake-up that is missing is a hang. */
#define wait_event_killable(wq, condition) ({				\
	unsigned int _wakes;						\
	int _ret = 0;							\
									\
	might_sleep();							\
	for (;;) {							\
		_wakes = (wq).wakes;					\
		if (condition)						\
			break;						\
		if (shim_killed) {					\
			_ret = -ERESTARTSYS;				\
			break;						\
		}							\
		do {							\
			msleep(1);					\
		} while ((wq).wakes == _wakes && !shim_killed);		\
	}								\
	_ret; })

/* Sleeps until somebody has woken it up or the time is over. */
void shim_wait(const wait_queue_head_t *wq, unsigned int wakes,
	       unsigned long until);
#define wait_event_interruptible_timeout(wq, condition, timeout) ({	\
	unsigned long _until = jiffies + (timeout);			\
	unsigned int _wakes;						\
	long _ret = 0;							\
									\
	might_sleep();							\
	for (;;) {							\
		_wakes = (wq).wakes;					\
		if (condition) {					\
			_ret = max(1L, (long)(_until - jiffies));	\
			break;						\
		}							\
		if (signal_pending(current)) {				\
			_ret = -ERESTARTSYS;				\
			break;						\
		}							\
		if (time_after_eq(jiffies, _until))			\
			break;						\
		shim_wait(&(wq), _wakes, _until);			\
	}								\
	_ret; })

#endif /* _SHIM_WAIT_H */
