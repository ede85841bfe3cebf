// SPDX-License-Identifier: GPL-2.0
/*
 * Locks, contexts, and what runs later.
 */
#include <setjmp.h>
#include <shim/shim.h>

static bool irqs_off;
static unsigned int in_irq, in_softirq, bh_off, preempt_off;

/* Locks that are held, in the order in which they were taken. */
#define MAX_HELD	8
#define MAX_CLASSES	64
static spinlock_t *held[MAX_HELD];
static unsigned int num_held, num_mutexes;

/* after[a][b]: a lock of class b was taken while one of class a was held. */
static bool after[MAX_CLASSES][MAX_CLASSES];
static int num_classes;

bool shim_irqs_off(void)
{
	return irqs_off;
}

void shim_irq_restore(bool off)
{
	irqs_off = off;
	if (!off && !in_irq)
		shim_irqs_pending();
}

static void shim_check_class(struct shim_lock_class *class)
{
	unsigned int i;

	if (!class->index) {
		BUG_ON(num_classes + 1 == MAX_CLASSES);
		class->index = ++num_classes;
	}
	class->in_irq |= in_irq;
	class->irqs_on |= !irqs_off && !in_irq;
	class->in_softirq |= in_softirq && !in_irq;
	class->softirqs_on |= !irqs_off && !in_irq && !in_softirq && !bh_off;
	if (class->in_irq && class->irqs_on)
		SHIM_BUG("lock %s is taken in interrupts, and with interrupts on",
			 class->name);
	if (class->in_softirq && class->softirqs_on)
		SHIM_BUG("lock %s is taken in softirqs, and with softirqs on",
			 class->name);

	for (i = 0; i < num_held; i++) {
		struct shim_lock_class *outer = held[i]->class;

		if (outer == class || after[class->index][outer->index])
			SHIM_BUG("lock order: %s is held, %s is taken; the other way round before",
				 outer->name, class->name);
		after[outer->index][class->index] = true;
	}
}

void shim_lock(spinlock_t *lock)
{
	if (!lock->class)
		SHIM_BUG("a lock that was never initialised");
	if (lock->locked)
		SHIM_BUG("deadlock: lock %s is held already",
			 lock->class->name);
	shim_check_class(lock->class);
	BUG_ON(num_held == MAX_HELD);
	held[num_held++] = lock;
	lock->locked = true;
}

void shim_unlock(spinlock_t *lock)
{
	/* The last one first: nobody here does it otherwise. */
	if (!num_held || held[num_held - 1] != lock)
		SHIM_BUG("lock %s is not the one that was taken last",
			 lock->class ? lock->class->name : "?");
	num_held--;
	lock->locked = false;
}

bool shim_in_atomic(void)
{
	return irqs_off || in_irq || in_softirq || bh_off || num_held ||
	       preempt_off;
}

void shim_might_sleep(const char *what)
{
	if (shim_in_atomic())
		SHIM_BUG("%s may sleep, called in atomic context (%s%s%s%s%s%s)",
			 what, irqs_off ? " irqs off" : "",
			 in_irq ? " interrupt" : "",
			 in_softirq ? " softirq" : "",
			 bh_off ? " softirqs off" : "",
			 num_held ? " lock held" : "",
			 preempt_off ? " preemption off" : "");
}

void shim_irq_enter(void)
{
	in_irq++;
	BUG_ON(in_irq > 1);
	irqs_off = true;
}

void shim_irq_exit(void)
{
	in_irq--;
	irqs_off = false;
}

void local_bh_disable(void)
{
	BUG_ON(in_irq || irqs_off);
	bh_off++;
}

void local_bh_enable(void)
{
	BUG_ON(!bh_off || in_irq || irqs_off);
	if (!--bh_off && !num_held)
		shim_run_tasklets();
}

void preempt_disable(void)
{
	preempt_off++;
}

void preempt_enable(void)
{
	BUG_ON(!preempt_off);
	preempt_off--;
}

/* Counters */

void (*shim_at_fetch)(void);

#ifdef COMPAT_HAVE_U64_STATS_SYNC
#ifdef COMPAT_HAVE_U64_STATS_INIT
void u64_stats_init(struct u64_stats_sync *sync)
{
	sync->seq = 0;
	sync->ready = true;
}
#endif

void u64_stats_update_begin(struct u64_stats_sync *sync)
{
#ifdef COMPAT_HAVE_U64_STATS_INIT
	BUG_ON(!sync->ready);
#endif
	/* One writer, and nobody waits for it for long. */
	BUG_ON(!shim_in_atomic() || sync->seq & 1);
	sync->seq++;
}

void u64_stats_update_end(struct u64_stats_sync *sync)
{
	BUG_ON(!(sync->seq & 1));
	sync->seq++;
}

unsigned int u64_stats_fetch_begin(const struct u64_stats_sync *sync)
{
	if (sync->seq & 1)
		SHIM_BUG("hang: counters are read in the middle of writing");
	return sync->seq;
}

bool u64_stats_fetch_retry(const struct u64_stats_sync *sync,
			   unsigned int start)
{
	if (shim_at_fetch)
		shim_at_fetch();
	return sync->seq != start;
}
#endif

void shim_softirq(bool in)
{
	in_softirq = in;
}

/*
 * mutex.h. There is one thread: a work that runs while somebody sleeps and
 * wants a mutex of theirs starts anew later. It has done nothing yet that may
 * not be done twice.
 */
static jmp_buf *work_jmp;
static unsigned int work_mutexes;
static struct mutex *work_wants;

void mutex_lock(struct mutex *mutex)
{
	might_sleep();
	if (mutex->locked && work_jmp && num_mutexes == work_mutexes) {
		work_wants = mutex;
		longjmp(*work_jmp, 1);
	}
	if (mutex->locked)
		SHIM_BUG("deadlock: the mutex is held already");
	mutex->locked = true;
	num_mutexes++;
}

void mutex_unlock(struct mutex *mutex)
{
	BUG_ON(!mutex->locked);
	mutex->locked = false;
	num_mutexes--;
}

bool shim_mutex_held(void)
{
	return num_mutexes;
}

/* Tasklets */

static LIST_HEAD(tasklets);

void tasklet_init(struct tasklet_struct *t, void (*func)(unsigned long data),
		  unsigned long data)
{
	t->func = func;
	t->data = data;
	t->pending = false;
}

void tasklet_schedule(struct tasklet_struct *t)
{
	if (t->pending)
		return;
	t->pending = true;
	list_add_tail(&t->list, &tasklets);
}

void shim_run_tasklets(void)
{
	struct tasklet_struct *t;

	if (in_softirq || in_irq || irqs_off || bh_off)
		return;
	in_softirq = 1;
	while (!list_empty(&tasklets)) {
		t = list_first_entry(&tasklets, struct tasklet_struct, list);
		list_del(&t->list);
		t->pending = false;
		t->func(t->data);
		BUG_ON(irqs_off || num_held);
	}
	in_softirq = 0;
}

void tasklet_kill(struct tasklet_struct *t)
{
	might_sleep();
	if (t->pending)
		shim_run_tasklets();
}

/* Work; the clock */

unsigned long jiffies = 0x7fffffff00000000UL;
void (*shim_idle)(void);

static LIST_HEAD(works);
static struct work_struct *running;
/* How long a test may wait in one go: longer is a hang. */
#define HANG_MS	(10 * 60 * 1000)
static unsigned long slept;
static unsigned int depth;
static bool frozen;

static bool shim_queue_work(struct work_struct *work, unsigned long delay)
{
	if (work->pending)
		return false;
	BUG_ON(!work->func);
	work->pending = true;
	work->due = jiffies + delay;
	list_add_tail(&work->list, &works);
	return true;
}

bool schedule_work(struct work_struct *work)
{
	return shim_queue_work(work, 0);
}

bool schedule_delayed_work(struct delayed_work *work, unsigned long delay)
{
	return shim_queue_work(&work->work, delay);
}

struct workqueue_struct {
	bool freezable;
};

struct workqueue_struct *create_singlethread_workqueue(const char *name)
{
	might_sleep();
	if (shim_fail(FAIL_DEVICE))
		return NULL;
	shim_counts.workqueues++;
	return calloc(1, sizeof(struct workqueue_struct));
}

struct workqueue_struct *shim_freezable_workqueue(const char *name)
{
	struct workqueue_struct *wq = create_singlethread_workqueue(name);

	if (wq)
		wq->freezable = true;
	return wq;
}

void shim_freeze(bool freeze)
{
	frozen = freeze;
}

void destroy_workqueue(struct workqueue_struct *wq)
{
	might_sleep();
	shim_run();
	shim_counts.workqueues--;
	free(wq);
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	BUG_ON(!wq);
	work->freezable = wq->freezable;
	return schedule_work(work);
}

bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *work,
			unsigned long delay)
{
	BUG_ON(!wq);
	work->work.freezable = wq->freezable;
	return schedule_delayed_work(work, delay);
}

/* Timers are work that is done in softirq context. */
static void timer_fires(struct work_struct *work)
{
	struct timer_list *timer =
		container_of(work, struct timer_list, work.work);

	in_softirq = 1;
	timer->func(timer->data);
	in_softirq = 0;
}

void setup_timer(struct timer_list *timer, void (*func)(unsigned long data),
		 unsigned long data)
{
	INIT_DELAYED_WORK(&timer->work, timer_fires);
	timer->func = func;
	timer->data = data;
}

int mod_timer(struct timer_list *timer, unsigned long expires)
{
	bool was = timer->work.work.pending;

	if (!was)
		schedule_delayed_work(&timer->work, 0);
	timer->work.work.due = expires;
	return was;
}

int del_timer(struct timer_list *timer)
{
	struct work_struct *work = &timer->work.work;

	if (!work->pending)
		return 0;
	list_del(&work->list);
	work->pending = false;
	return 1;
}

int del_timer_sync(struct timer_list *timer)
{
	return cancel_delayed_work_sync(&timer->work);
}

/* Who hears of the OOM killer */

static LIST_HEAD(oom_list);

int shim_register_oom(struct notifier_block *nb)
{
	might_sleep();
	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	list_add_tail(&nb->list, &oom_list);
	return 0;
}

int shim_unregister_oom(struct notifier_block *nb)
{
	might_sleep();
	list_del(&nb->list);
	return 0;
}

bool shim_oom_registered(void)
{
	return !list_empty(&oom_list);
}

unsigned long shim_oom(void)
{
	struct notifier_block *nb;
	unsigned long freed = 0;

	list_for_each_entry(nb, &oom_list, list)
		BUG_ON(nb->notifier_call(nb, 0, &freed) != NOTIFY_OK);
	return freed;
}

/* Who hears of sleeps */

static LIST_HEAD(pm_list);

int register_pm_notifier(struct notifier_block *nb)
{
	might_sleep();
	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	list_add_tail(&nb->list, &pm_list);
	return 0;
}

int unregister_pm_notifier(struct notifier_block *nb)
{
	might_sleep();
	list_del(&nb->list);
	return 0;
}

bool shim_pm_registered(void)
{
	return !list_empty(&pm_list);
}

void shim_pm_notify(unsigned long event)
{
	struct notifier_block *nb;

	list_for_each_entry(nb, &pm_list, list)
		BUG_ON(nb->notifier_call(nb, event, NULL) != NOTIFY_OK);
	BUG_ON(shim_in_atomic());
}

static void shim_run_work(struct work_struct *work)
{
	struct work_struct *before = running;
	unsigned int mutexes = work_mutexes;
	jmp_buf *jmp = work_jmp, here;

	list_del(&work->list);
	work->pending = false;
	work->waits = NULL;
	running = work;
	work_jmp = &here;
	work_mutexes = num_mutexes;
	if (!setjmp(here)) {
		work->func(work);
	} else {
		shim_queue_work(work, 1);
		work->waits = work_wants;
	}
	running = before;
	work_jmp = jmp;
	work_mutexes = mutexes;
	BUG_ON(shim_in_atomic());
}

bool cancel_work_sync(struct work_struct *work)
{
	might_sleep();
	if (running == work)
		SHIM_BUG("deadlock: a work cancels itself");
	if (!work->pending)
		return false;
	if (work->waits) {
		/* It runs already, so it has to end. */
		if (work->waits->locked)
			SHIM_BUG("deadlock: a work that is waited for waits for a mutex");
		shim_run_work(work);
		return false;
	}
	list_del(&work->list);
	work->pending = false;
	return true;
}

bool shim_flush_work(struct work_struct *work)
{
	might_sleep();
	if (!work->pending)
		return false;
	shim_run_work(work);
	return true;
}

bool shim_work_pending(void)
{
	return !list_empty(&works) || !list_empty(&tasklets);
}

void shim_still_alive(void)
{
	slept = 0;
}

/* What is due, until nothing is. A work that sleeps gets here again. */
void shim_run(void)
{
	struct work_struct *work;
	unsigned int n = 0;

	if (!depth)
		shim_still_alive();
	shim_irqs_pending();
again:
	shim_run_tasklets();
	list_for_each_entry(work, &works, list) {
		/* One that runs already is waited for, and not frozen. */
		if (time_after(work->due, jiffies) ||
		    (frozen && work->freezable && !work->waits))
			continue;
		if (++n > 100000)
			SHIM_BUG("there is always another work to run");
		shim_run_work(work);
		goto again;
	}
	shim_run_tasklets();
}

void shim_run_for(unsigned int ms)
{
	shim_run();
	while (ms--) {
		jiffies++;
		shim_run();
	}
}

/* Somebody sleeps: everybody else gets a chance. */
static void shim_sleep(unsigned int ms)
{
	jiffies += ms;
	slept += ms;
	if (slept > HANG_MS)
		SHIM_BUG("hang: %d s went by in one call", HANG_MS / 1000);
	if (depth > 4)
		return;
	depth++;
	if (shim_idle)
		shim_idle();
	shim_run();
	depth--;
}

void msleep(unsigned int ms)
{
	might_sleep();
	shim_sleep(ms);
}

void complete(struct completion *c)
{
	c->done++;
}

unsigned long wait_for_completion_timeout(struct completion *c,
					  unsigned long timeout)
{
	unsigned long step = 1;

	might_sleep();
	while (!c->done && timeout) {
		shim_sleep(step);
		timeout -= step;
		/* What has not come by now needs no close look. */
		step = min(timeout, step + (step + 3) / 16);
	}
	if (!c->done)
		return 0;
	c->done--;
	return timeout ? timeout : 1;
}

void wait_for_completion(struct completion *c)
{
	if (!wait_for_completion_timeout(c, HANG_MS))
		SHIM_BUG("hang: a completion never comes");
}
