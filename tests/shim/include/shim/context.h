/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who may do what when: locks, interrupts, and what runs later. There is one
 * CPU and one thread. What runs later runs when the test says so, or when
 * something sleeps; the clock moves only then. Breaking a rule (sleeping in
 * atomic context, locks in the wrong order) ends the test.
 */
#ifndef _SHIM_CONTEXT_H
#define _SHIM_CONTEXT_H

#include <shim/base.h>

/* spinlock.h: a lock's class is the place where it was initialised. */

struct shim_lock_class {
	const char *name;
	int index;		/* from 1 on; 0: not used yet */
	bool in_irq;		/* was taken in an interrupt handler */
	bool irqs_on;		/* was taken with interrupts enabled */
	bool in_softirq;
	bool softirqs_on;
};

typedef struct spinlock {
	struct shim_lock_class *class;
	bool locked;
} spinlock_t;

#define spin_lock_init(lock) do {					\
	static struct shim_lock_class _class = { #lock, 0, 0, 0, 0, 0 }; \
	(lock)->class = &_class;					\
	(lock)->locked = false;						\
} while (0)

void shim_lock(spinlock_t *lock);
void shim_unlock(spinlock_t *lock);
bool shim_irqs_off(void);
void shim_irq_restore(bool off);

#define irqs_disabled()		shim_irqs_off()
#define local_irq_save(flags) do {					\
	(flags) = shim_irqs_off();					\
	shim_irq_restore(true);						\
} while (0)
#define local_irq_restore(flags)	shim_irq_restore(flags)

#define spin_lock(lock)		shim_lock(lock)
#define spin_unlock(lock)	shim_unlock(lock)
#define spin_lock_irqsave(lock, flags) do {				\
	local_irq_save(flags);						\
	shim_lock(lock);						\
} while (0)
#define spin_unlock_irqrestore(lock, flags) do {			\
	shim_unlock(lock);						\
	local_irq_restore(flags);					\
} while (0)
/* Only where interrupts are known to be on: unlocking switches them on. */
#define spin_lock_irq(lock) do {					\
	BUG_ON(shim_irqs_off());					\
	shim_irq_restore(true);						\
	shim_lock(lock);						\
} while (0)
#define spin_unlock_irq(lock) do {					\
	shim_unlock(lock);						\
	shim_irq_restore(false);					\
} while (0)

/* Softirqs are held back; the last one who does so lets them run. */
void local_bh_disable(void);
void local_bh_enable(void);
#define spin_lock_bh(lock) do {						\
	local_bh_disable();						\
	shim_lock(lock);						\
} while (0)
#define spin_unlock_bh(lock) do {					\
	shim_unlock(lock);						\
	local_bh_enable();						\
} while (0)

/* preempt.h */
void preempt_disable(void);
void preempt_enable(void);

/* u64_stats_sync.h, as on 32 bits: that is where it does something. */

#ifdef COMPAT_HAVE_U64_STATS_SYNC
struct u64_stats_sync {
	unsigned int seq;
	bool ready;
};

#ifdef COMPAT_HAVE_U64_STATS_INIT
void u64_stats_init(struct u64_stats_sync *sync);
#endif
void u64_stats_update_begin(struct u64_stats_sync *sync);
void u64_stats_update_end(struct u64_stats_sync *sync);
unsigned int u64_stats_fetch_begin(const struct u64_stats_sync *sync);
bool u64_stats_fetch_retry(const struct u64_stats_sync *sync,
			   unsigned int start);
#endif
/* Called when somebody has read counters: others may write them meanwhile. */
extern void (*shim_at_fetch)(void);

void shim_might_sleep(const char *what);
/* sched.h */
#define cond_resched()		shim_might_sleep(__func__)
#define might_sleep()		shim_might_sleep(__func__)

/* mutex.h */

struct mutex {
	bool locked;
};
#define DEFINE_MUTEX(name)	struct mutex name
#define mutex_init(m)		((m)->locked = false)
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
/* Somebody who sleeps has one: a work that wants it had better not begin. */
bool shim_mutex_held(void);

/* jiffies.h, delay.h */

#define HZ		1000
extern unsigned long jiffies;
#define msecs_to_jiffies(ms)	((unsigned long)(ms))
#define jiffies_to_msecs(j)	((unsigned int)(j))
#define time_after(a, b)	((long)((b) - (a)) < 0)
#define time_before(a, b)	time_after(b, a)
#define time_after_eq(a, b)	((long)((a) - (b)) >= 0)
#define time_before_eq(a, b)	time_after_eq(b, a)
void msleep(unsigned int ms);

/* completion.h */

struct completion {
	unsigned int done;
};
#define init_completion(c)	((c)->done = 0)
void complete(struct completion *c);
unsigned long wait_for_completion_timeout(struct completion *c,
					  unsigned long timeout);
void wait_for_completion(struct completion *c);

/* workqueue.h */

struct work_struct {
	void (*func)(struct work_struct *work);
	struct list_head list;
	bool pending;
	unsigned long due;
	struct mutex *waits;	/* it runs, and wants this */
	bool freezable;
};

struct delayed_work {
	struct work_struct work;
};

#define INIT_WORK(w, fn) do {						\
	(w)->func = (fn);						\
	(w)->pending = false;						\
	(w)->waits = NULL;						\
	(w)->freezable = false;						\
} while (0)
#define INIT_DELAYED_WORK(w, fn)	INIT_WORK(&(w)->work, fn)
bool schedule_work(struct work_struct *work);
struct workqueue_struct;
struct workqueue_struct *create_singlethread_workqueue(const char *name);
struct workqueue_struct *shim_freezable_workqueue(const char *name);
#define create_freezeable_workqueue(name)	shim_freezable_workqueue(name)
#if defined(COMPAT_HAVE_BLK_MQ_ALLOC_DISK) || defined(SHIM_FLUSH_FLAGS)
#define create_freezable_workqueue(name)	shim_freezable_workqueue(name)
#endif
void destroy_workqueue(struct workqueue_struct *wq);
bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool schedule_delayed_work(struct delayed_work *work, unsigned long delay);
bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
			unsigned long delay);
bool cancel_work_sync(struct work_struct *work);
#define cancel_delayed_work_sync(w)	cancel_work_sync(&(w)->work)
#define flush_work(w)			shim_flush_work(w)
bool shim_flush_work(struct work_struct *work);

/* notifier.h, oom.h */

#define NOTIFY_OK	1
struct notifier_block {
	int (*notifier_call)(struct notifier_block *nb, unsigned long action,
			     void *data);
	struct list_head list;
};
#ifdef COMPAT_HAVE_OOM_CONTROL
#define register_oom_notifier	shim_register_oom
#define unregister_oom_notifier	shim_unregister_oom
#endif
/* suspend.h */
#define PM_HIBERNATION_PREPARE	1
#define PM_POST_HIBERNATION	2
#define PM_SUSPEND_PREPARE	3
#define PM_POST_SUSPEND		4
#define PM_RESTORE_PREPARE	5
#define PM_POST_RESTORE		6
int register_pm_notifier(struct notifier_block *nb);
int unregister_pm_notifier(struct notifier_block *nb);

int shim_register_oom(struct notifier_block *nb);
int shim_unregister_oom(struct notifier_block *nb);

/* timer.h, as it was */

struct timer_list {
	struct delayed_work work;
	void (*func)(unsigned long data);
	unsigned long data;
};
void setup_timer(struct timer_list *timer, void (*func)(unsigned long data),
		 unsigned long data);
#ifdef COMPAT_HAVE_TIMER_SETUP
#define timer_setup(timer, fn, flags)					\
	setup_timer(timer, (void (*)(unsigned long))(void *)(fn),	\
		    (unsigned long)(timer))
#define from_timer(var, timer, field)	container_of(timer, __typeof__(*(var)), field)
#endif
int mod_timer(struct timer_list *timer, unsigned long expires);
int del_timer(struct timer_list *timer);
int del_timer_sync(struct timer_list *timer);

/* interrupt.h: tasklets; the rest is in pci.h */

struct tasklet_struct {
	void (*func)(unsigned long data);
	unsigned long data;
	struct list_head list;
	bool pending;
};
void tasklet_init(struct tasklet_struct *t, void (*func)(unsigned long data),
		  unsigned long data);
void tasklet_schedule(struct tasklet_struct *t);
void tasklet_kill(struct tasklet_struct *t);

#endif /* _SHIM_CONTEXT_H */
