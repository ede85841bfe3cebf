// SPDX-License-Identifier: GPL-2.0
/*
 * The hwrng core, and the thread that reads from it.
 */
#include <pthread.h>
#include <semaphore.h>
#include <shim/shim.h>
#include <shim/rng.h>

bool shim_signal, shim_need_resched;
unsigned int shim_rng_waited;

/* The reader */

static struct {
	pthread_t thread;
	sem_t go, back;
	bool there, running, ended;
	u8 *buf;
	size_t size;
	ssize_t ret;
} reader;

/* A signal, such as libFuzzer's alarm, ends a sem_wait(), and is nothing. */
static void wait_for(sem_t *sem)
{
	while (sem_wait(sem))
		;
}

static bool is_reader(void)
{
	return reader.there && reader.running;
}

/* The reader sleeps: the test goes on. */
static void reader_sleeps(void)
{
	BUG_ON(shim_in_atomic());
	sem_post(&reader.back);
	wait_for(&reader.go);
}

static void reader_turn(void)
{
	BUG_ON(shim_in_atomic() || is_reader());
	if (!reader.there || reader.ended)
		return;
	reader.running = true;
	sem_post(&reader.go);
	wait_for(&reader.back);
	reader.running = false;
}

static void *reader_main(void *arg)
{
	wait_for(&reader.go);
	reader.ret = shim_rng_read(reader.buf, reader.size, false);
	reader.ended = true;
	sem_post(&reader.back);
	return NULL;
}

void shim_reader_start(void *buf, size_t size)
{
	BUG_ON(reader.there);
	memset(&reader, 0, sizeof(reader));
	sem_init(&reader.go, 0, 0);
	sem_init(&reader.back, 0, 0);
	reader.there = true;
	reader.buf = buf;
	reader.size = size;
	BUG_ON(pthread_create(&reader.thread, NULL, reader_main, NULL));
	reader_turn();
}

bool shim_reader_run(unsigned int ms)
{
	reader_turn();
	while (!reader.ended && ms--) {
		msleep(1);
		reader_turn();
	}
	return reader.ended;
}

ssize_t shim_reader_end(void)
{
	if (!reader.ended)
		SHIM_BUG("hang: the reader still reads");
	pthread_join(reader.thread, NULL);
	sem_destroy(&reader.go);
	sem_destroy(&reader.back);
	reader.there = false;
	return reader.ret;
}

void shim_wait(const wait_queue_head_t *wq, unsigned int wakes,
	       unsigned long until)
{
	do {
		if (is_reader())
			reader_sleeps();
		else
			msleep(1);
	} while (wq->wakes == wakes && !shim_signal &&
		 time_before(jiffies, until));
}

/*
 * A mutex, that the reader may have. Today's goes to who waits for it; 2.6.32's
 * to who is there first, and that is whoever has just let it go.
 */
struct core_lock {
	bool held;
	unsigned int waiting;
};

static void core_wait(void)
{
	if (is_reader())
		SHIM_BUG("deadlock: nobody is there to give the lock back");
	msleep(1);
	shim_rng_waited++;
	if (shim_rng_waited > 60 * HZ)
		SHIM_BUG("hang: a lock of the hwrng core never comes free");
	reader_turn();
}

static void core_lock(struct core_lock *lock)
{
	might_sleep();
	shim_rng_waited = 0;
	lock->waiting++;
	while (lock->held)
		core_wait();
	lock->waiting--;
	lock->held = true;
}

static void core_unlock(struct core_lock *lock)
{
	BUG_ON(!lock->held);
	lock->held = false;
#ifdef COMPAT_HAVE_HWRNG_READ
	if (lock->waiting && is_reader())
		reader_sleeps();
#endif
}

static LIST_HEAD(rngs);
static struct hwrng *rng_current;
static struct core_lock rng_mutex;

/* The core has read, and looks up. */
static void core_rest(void)
{
	if (!shim_need_resched)
		return;
	shim_need_resched = false;
	if (is_reader())
		reader_sleeps();
	else
		msleep(1);
}

static bool core_knows(const char *name)
{
	struct hwrng *rng;

	list_for_each_entry(rng, &rngs, list)
		if (!strcmp(rng->name, name))
			return true;
	return false;
}

const char *shim_rng_current(void)
{
	return rng_current ? rng_current->name : NULL;
}

const char *shim_rng_available(void)
{
	static char names[512];
	struct hwrng *rng;
	unsigned int n = 0;

	names[0] = '\0';
	list_for_each_entry(rng, &rngs, list)
		n += snprintf(names + n, sizeof(names) - n, "%s ", rng->name);
	return names;
}

int shim_rng_select(const char *name)
{
	struct hwrng *rng;
	int err = -ENODEV;

	core_lock(&rng_mutex);
	list_for_each_entry(rng, &rngs, list) {
		if (!strcmp(rng->name, name)) {
			rng_current = rng;
			err = 0;
		}
	}
	core_unlock(&rng_mutex);
	return err;
}

/* With the lock: adds it, if nothing is wrong. */
static int core_add(struct hwrng *rng)
{
	if (core_knows(rng->name))
		return -EEXIST;
	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	rng->users = 0;
	list_add_tail(&rng->list, &rngs);
	shim_counts.rngs++;
	if (!rng_current)
		rng_current = rng;
	return 0;
}

static void core_del(struct hwrng *rng)
{
	BUG_ON(!core_knows(rng->name));
	list_del(&rng->list);
	shim_counts.rngs--;
	if (rng_current == rng)
		rng_current = list_empty(&rngs) ? NULL :
			      list_entry(rngs.prev, struct hwrng, list);
}

/*
 * How often a reader asks in vain before its time is over. Each time it has let
 * the lock go, which is enough for those who wait for it today; for 2.6.32 it
 * has to be seen that it is not.
 */
#ifdef COMPAT_HAVE_HWRNG_READ
#define CORE_SPINS	100
#else
#define CORE_SPINS	~0U
#endif

#ifdef COMPAT_HAVE_HWRNG_READ
static struct core_lock reading_mutex;
static u8 core_buf[64];

/* Whoever is new, or current now, is asked at once for what it has. */
static void core_read_early(struct hwrng *rng)
{
	int got;

	core_lock(&reading_mutex);
	got = rng->read(rng, core_buf, sizeof(core_buf), false);
	BUG_ON(got > (int)sizeof(core_buf));
	core_unlock(&reading_mutex);
}

int hwrng_register(struct hwrng *rng)
{
	int err;

	if (!rng->name || !rng->read)
		return -EINVAL;
	core_lock(&rng_mutex);
	err = core_add(rng);
	core_unlock(&rng_mutex);
	if (!err)
		core_read_early(rng);
	return err;
}

void hwrng_unregister(struct hwrng *rng)
{
	struct hwrng *old = rng_current;

	core_lock(&rng_mutex);
	core_del(rng);
	core_unlock(&rng_mutex);
	if (rng_current && rng_current != old)
		core_read_early(rng_current);
	shim_rng_waited = 0;
	while (rng->users)
		core_wait();
}

/* One turn of the loop: how much, or an error. */
static int core_read(u8 *buf, size_t size, bool nonblock)
{
	struct hwrng *rng;
	int got;

	core_lock(&rng_mutex);
	rng = rng_current;
	if (rng)
		rng->users++;
	core_unlock(&rng_mutex);
	if (!rng)
		return -ENODEV;

	core_lock(&reading_mutex);
	memset(core_buf, 0xa5, sizeof(core_buf));
	got = rng->read(rng, core_buf, sizeof(core_buf), !nonblock);
	BUG_ON(got > (int)sizeof(core_buf));
	/* What a reader does not want is the next one's in the kernel. */
	if (got > 0) {
		got = min_t(size_t, got, size);
		memcpy(buf, core_buf, got);
	}
	core_unlock(&reading_mutex);
	rng->users--;
	return got;
}
#else
int hwrng_register(struct hwrng *rng)
{
	int err;

	if (!rng->name || !rng->data_read)
		return -EINVAL;
	core_lock(&rng_mutex);
	err = core_add(rng);
	core_unlock(&rng_mutex);
	return err;
}

void hwrng_unregister(struct hwrng *rng)
{
	core_lock(&rng_mutex);
	core_del(rng);
	core_unlock(&rng_mutex);
}

/* One turn of the loop: how much, or an error. */
static int core_read(u8 *buf, size_t size, bool nonblock)
{
	u32 word = 0xa5a5a5a5;
	int there, got = 0;

	core_lock(&rng_mutex);
	if (!rng_current) {
		core_unlock(&rng_mutex);
		return -ENODEV;
	}
	there = rng_current->data_present(rng_current, !nonblock);
#ifdef SHIM_HWRNG_FETCHES_NOTHING
	if (there < 0)
		got = there;
	else
		got = rng_current->data_read(rng_current, &word);
#else
	if (there)
		got = rng_current->data_read(rng_current, &word);
#endif
	core_unlock(&rng_mutex);
	BUG_ON(got > (int)sizeof(word));
	if (got > 0) {
		got = min_t(size_t, got, size);
		memcpy(buf, &word, got);
	}
	return got;
}
#endif

ssize_t shim_rng_read(void *buf, size_t size, bool nonblock)
{
	size_t done = 0;
	unsigned int idle = 0;
	int got;

	while (done < size) {
		got = core_read((u8 *)buf + done, size - done, nonblock);
		idle = got ? 0 : idle + 1;
		/* By now, the scheduler has seen to it. */
		if (idle == CORE_SPINS) {
			idle = 0;
			shim_need_resched = true;
		}
		if (!got && nonblock)
			got = -EAGAIN;
		if (got < 0)
			return done ? (ssize_t)done : got;
		done += got;
		core_rest();
		if (shim_signal)
			return done ? (ssize_t)done : -ERESTARTSYS;
	}
	return done;
}
