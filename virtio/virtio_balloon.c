// SPDX-License-Identifier: GPL-2.0
/*
 * virtio memory balloon, virtio 1.2 section 5.5.
 *
 * One work does everything that moves pages: it looks at what the host wants,
 * gives one array of pages to the device, and is over. The device's answer
 * starts it again. Nobody waits in it, so a device that never answers costs
 * the pages of one array, and a line of log.
 */
#include <linux/module.h>
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/suspend.h>
#include <linux/timer.h>
#include <linux/workqueue.h>
#include <linux/virtio.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#define CONFIG(_field)	offsetof(struct virtio_balloon_config, _field)

/* Pages in one array. */
#define VIRTBALLOON_BATCH	256

/*
 * What is left to the guest whatever the host wants: 32 MiB and 1/128 of its
 * memory. With less no guest does anything but look for memory.
 */
#define VIRTBALLOON_KEEP	(32 << (20 - PAGE_SHIFT))
#define VIRTBALLOON_KEEP_SHIFT	7

/*
 * The balloon grows only while as much as this could be had besides: 8 MiB
 * remain for whoever wants memory next, or the OOM killer would come for them.
 */
#define VIRTBALLOON_SPARE	(8 << (20 - PAGE_SHIFT))

/* When a device that does not answer is worth a line, or is left alone. */
#define VIRTBALLOON_ANSWER_MS	10000

/* After no memory was to be had: the first pause, and the longest. */
#define VIRTBALLOON_PAUSE_MS	1000
#define VIRTBALLOON_PAUSE_MAX_MS 60000

/* How long the OOM killer is held up, and how often who waits looks. */
#define VIRTBALLOON_OOM_MS	1000
#define VIRTBALLOON_POLL_MS	10

/*
 * The balloon takes what is free, or can be freed without much ado. It never
 * gets at the reserves, and never calls the OOM killer.
 */
#define VIRTBALLOON_GFP		(GFP_HIGHUSER | __GFP_NOMEMALLOC | \
				 __GFP_NORETRY | __GFP_NOWARN)

/**
 * struct virtio_balloon - a balloon
 * @vdev:	the device
 * @inflate_vq:	takes arrays of pages that the host may have
 * @deflate_vq:	takes those that it has to give back
 * @stats_vq:	takes statistics; NULL: the device wants none
 * @wq:		where the works run
 * @size_work:	moves pages
 * @stats_work:	answers a question for statistics
 * @timer:	has @size_work look again
 * @spare:	pages that are held while the balloon grows, so that it cannot
 *		have them; @size_work's own
 * @num_spare:	how many
 * @pm_nb:	hears of sleeps
 * @pm_registered: it does
 * @oom_nb:	hears of the OOM killer
 * @oom_registered: it does
 * @held_back:	pages were given back for want of memory: the balloon does not
 *		grow before the host asks anew
 * @oom:	one array is to be given back, and somebody waits for it
 * @oom_freed:	pages that were given back so far because somebody waited
 * @lock:	protects the rest, and the queues
 * @leaving:	all pages are to be given back
 * @stopped:	the device has nothing to do with us any more
 * @pages:	what the host has, newest first
 * @num_pages:	how many
 * @busy:	the queue that has @pfns; NULL: the device has nothing
 * @busy_since:	jiffies when it got them
 * @late:	it has been reported that there is no answer
 * @batch:	the pages in @pfns
 * @num_batch:	how many
 * @paused:	there was no memory for all of it, until @pause_end there are no
 *		further attempts
 * @pause_end:	jiffies
 * @pause_ms:	how long the next pause is
 * @short_logged: it has been reported that there is no memory
 * @refused:	what the host wanted when it last wanted too much
 * @pfns:	what the device reads
 * @events:	the kernel's counters
 * @stats:	what the device reads
 */
struct virtio_balloon {
	struct virtio_device *vdev;
	struct virtqueue *inflate_vq;
	struct virtqueue *deflate_vq;
	struct virtqueue *stats_vq;
	struct workqueue_struct *wq;
	struct work_struct size_work;
	struct work_struct stats_work;
	struct timer_list timer;
	struct list_head spare;
	unsigned int num_spare;

	struct notifier_block pm_nb;
	bool pm_registered;
	struct notifier_block oom_nb;
	bool oom_registered;
	bool held_back;
	bool oom;
	unsigned long oom_freed;

	struct mutex lock;
	bool leaving;
	bool stopped;
	struct list_head pages;
	u32 num_pages;
	struct virtqueue *busy;
	unsigned long busy_since;
	bool late;
	struct list_head batch;
	unsigned int num_batch;
	bool paused;
	unsigned long pause_end;
	unsigned int pause_ms;
	bool short_logged;
	u32 refused;

	__le32 pfns[VIRTBALLOON_BATCH];
	unsigned long events[COMPAT_NUM_VM_EVENTS];
	struct virtio_balloon_stat stats[VIRTIO_BALLOON_S_NR];
};

/* "0000:01:00.0: " in front of what a person reads. */
#define virtballoon_warn(_vdev, fmt, ...)				\
	dev_warn(&(_vdev)->dev, "%s: " fmt,				\
		 (_vdev)->config->bus_name(_vdev), ##__VA_ARGS__)

static unsigned int virtballoon_mib(u64 pages)
{
	return pages >> (20 - PAGE_SHIFT);
}

/*
 * Not virtio_cread32() and virtio_cwrite32(): fields of a legacy device have
 * the guest's byte order, except those of the balloon.
 */
static u32 virtballoon_host_wants(struct virtio_balloon *vb)
{
	__le32 v;

	vb->vdev->config->get(vb->vdev, CONFIG(num_pages), &v, sizeof(v));
	return le32_to_cpu(v);
}

static void virtballoon_set_actual(struct virtio_balloon *vb, u32 pages)
{
	__le32 v = cpu_to_le32(pages);

	vb->vdev->config->set(vb->vdev, CONFIG(actual), &v, sizeof(v));
}

/* Pages */

/* Takes up to @num pages from the kernel; returns how many there were. */
static unsigned int virtballoon_take(struct list_head *pages, unsigned int num)
{
	struct page *page;
	unsigned int n;

	for (n = 0; n < num; n++) {
		page = alloc_page(VIRTBALLOON_GFP);
		if (!page)
			break;
		/* There is no way to say that to the device. */
		if (page_to_pfn(page) > U32_MAX) {
			__free_page(page);
			break;
		}
		list_add(&page->lru, pages);
	}
	return n;
}

/* Gives them back. */
static void virtballoon_free(struct list_head *pages)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, pages, lru) {
		list_del(&page->lru);
		__free_page(page);
		cond_resched();
	}
}

/* They are no memory of the guest's from now on, or are again. */
static void virtballoon_count(struct list_head *pages, long each)
{
	struct page *page;

	list_for_each_entry(page, pages, lru) {
		adjust_managed_page_count(page, each);
		cond_resched();
	}
}

static void virtballoon_put_pages(struct list_head *pages)
{
	virtballoon_count(pages, 1);
	virtballoon_free(pages);
}

static void virtballoon_put_spare(struct virtio_balloon *vb)
{
	virtballoon_free(&vb->spare);
	vb->num_spare = 0;
}

/* The device is out of the game: everything is the guest's again. */
static void virtballoon_put_all(struct virtio_balloon *vb)
{
	virtballoon_put_pages(&vb->batch);
	virtballoon_put_pages(&vb->pages);
	vb->num_batch = 0;
	vb->num_pages = 0;
	vb->busy = NULL;
}

/* Arrays of pages */

/* Gives the batch to the device, as an array. */
static int virtballoon_send(struct virtio_balloon *vb, struct virtqueue *vq)
{
	struct scatterlist sg;
	struct page *page;
	unsigned int n = 0;
	int err;

	list_for_each_entry(page, &vb->batch, lru)
		vb->pfns[n++] = cpu_to_le32(page_to_pfn(page));
	vb->num_batch = n;

	sg_init_one(&sg, vb->pfns, n * sizeof(vb->pfns[0]));
	err = virtqueue_add_outbuf(vq, &sg, 1, vb);
	if (err)
		return err;
	vb->busy = vq;
	vb->busy_since = jiffies;
	vb->late = false;
	mod_timer(&vb->timer,
		  jiffies + msecs_to_jiffies(VIRTBALLOON_ANSWER_MS));
	virtqueue_kick(vq);
	return 0;
}

static void virtballoon_inflate(struct virtio_balloon *vb,
				struct list_head *fresh)
{
	virtballoon_count(fresh, -1);
	list_splice_init(fresh, &vb->batch);
	if (!virtballoon_send(vb, vb->inflate_vq))
		return;
	/* It is broken, and the device knows nothing of them. */
	virtballoon_put_pages(&vb->batch);
	vb->num_batch = 0;
}

static void virtballoon_deflate(struct virtio_balloon *vb, unsigned int num)
{
	struct page *page;
	unsigned int n;

	for (n = 0; n < num; n++) {
		page = list_first_entry(&vb->pages, struct page, lru);
		list_del(&page->lru);
		list_add_tail(&page->lru, &vb->batch);
	}
	vb->num_pages -= num;
	if (!virtballoon_send(vb, vb->deflate_vq))
		return;
	/* It is broken: virtballoon_fail() finds them where they were. */
	list_splice_init(&vb->batch, &vb->pages);
	vb->num_pages += num;
	vb->num_batch = 0;
}

/* The device has read the array: the pages are the host's, or ours. */
static void virtballoon_answered(struct virtio_balloon *vb)
{
	if (vb->busy == vb->inflate_vq) {
		list_splice_init(&vb->batch, &vb->pages);
		vb->num_pages += vb->num_batch;
	} else {
		virtballoon_put_pages(&vb->batch);
		if (vb->oom) {
			vb->oom_freed += vb->num_batch;
			WRITE_ONCE(vb->oom, false);
		}
	}
	vb->num_batch = 0;
	vb->busy = NULL;
	virtballoon_set_actual(vb, vb->num_pages);
}

/* Takes the answer, if there is one. */
static void virtballoon_reap(struct virtio_balloon *vb)
{
	unsigned int len;

	if (!vb->busy)
		return;
	/* Nothing was to be written, so how much does not matter. */
	if (virtqueue_get_buf_check(vb->busy, &len, NULL)) {
		virtballoon_answered(vb);
		return;
	}

	if (vb->late || virtio_device_is_broken(vb->vdev) ||
	    time_before(jiffies, vb->busy_since +
				 msecs_to_jiffies(VIRTBALLOON_ANSWER_MS)))
		return;
	virtballoon_warn(vb->vdev, "queue %u (%s): no answer in %u s: the balloon stays as it is until there is one\n",
			 vb->busy->index, vb->busy->name,
			 VIRTBALLOON_ANSWER_MS / 1000);
	vb->late = true;
}

/* How large the balloon is to be */

/* What the host wants, as far as the guest can live with it. */
static u32 virtballoon_target(struct virtio_balloon *vb)
{
	u64 all = (u64)totalram_pages() + vb->num_pages;
	u64 keep = VIRTBALLOON_KEEP + (all >> VIRTBALLOON_KEEP_SHIFT);
	u32 most = all > keep ? min_t(u64, all - keep, U32_MAX) : 0;
	u32 wanted = virtballoon_host_wants(vb);

	if (wanted <= most) {
		vb->refused = 0;
		return wanted;
	}
	if (wanted != vb->refused && printk_ratelimit())
		virtballoon_warn(vb->vdev, "the host wants %u MiB of %u MiB: %u MiB of them stay with the guest\n",
				 virtballoon_mib(wanted), virtballoon_mib(all),
				 virtballoon_mib(keep));
	vb->refused = wanted;
	/* What it has it may keep. */
	return max(most, min(wanted, vb->num_pages));
}

/* May it grow, or is there a reason to leave it? */
static bool virtballoon_may_grow(struct virtio_balloon *vb)
{
	if (READ_ONCE(vb->held_back))
		return false;
	if (vb->paused && time_before(jiffies, vb->pause_end)) {
		mod_timer(&vb->timer, vb->pause_end);
		return false;
	}
	vb->paused = false;
	return true;
}

/*
 * Pages to take, at most an array of them; negative: to give back. Nothing
 * while the device has an array still.
 */
static int virtballoon_todo(struct virtio_balloon *vb)
{
	u32 target;

	if (vb->stopped || vb->busy || virtio_device_is_broken(vb->vdev))
		return 0;
	if (vb->oom && !vb->num_pages)
		WRITE_ONCE(vb->oom, false);
	if (vb->leaving || vb->oom)
		return -(int)min_t(u32, vb->num_pages, VIRTBALLOON_BATCH);

	target = virtballoon_target(vb);
	if (target < vb->num_pages) {
		/* What comes back makes room: no reason to wait any more. */
		vb->paused = false;
		vb->pause_ms = VIRTBALLOON_PAUSE_MS;
		return -(int)min_t(u32, vb->num_pages - target,
				   VIRTBALLOON_BATCH);
	}
	if (target == vb->num_pages || !virtballoon_may_grow(vb))
		return 0;
	return min_t(u32, target - vb->num_pages, VIRTBALLOON_BATCH);
}

/* There is no memory for all of it now. There may be, some time. */
static void virtballoon_pause(struct virtio_balloon *vb)
{
	if (!vb->short_logged && printk_ratelimit())
		virtballoon_warn(vb->vdev, "%u of %u MiB, and no memory is free for more: trying again later\n",
				 virtballoon_mib(vb->num_pages + vb->num_batch),
				 virtballoon_mib(virtballoon_host_wants(vb)));
	vb->short_logged = true;

	vb->paused = true;
	vb->pause_end = jiffies + msecs_to_jiffies(vb->pause_ms);
	vb->pause_ms = min_t(unsigned int, 2 * vb->pause_ms,
			     VIRTBALLOON_PAUSE_MAX_MS);
	/* An array under way has the timer; its answer comes to this, too. */
	if (!vb->busy)
		mod_timer(&vb->timer, vb->pause_end);
}

/* Without the lock: taking pages may take its time. */
static void virtballoon_grow(struct virtio_balloon *vb, unsigned int num)
{
	LIST_HEAD(fresh);
	unsigned int n = 0;

	vb->num_spare += virtballoon_take(&vb->spare, VIRTBALLOON_SPARE -
						      vb->num_spare);
	if (vb->num_spare == VIRTBALLOON_SPARE)
		n = virtballoon_take(&fresh, num);
	if (n < num)
		virtballoon_put_spare(vb);

	mutex_lock(&vb->lock);
	if (vb->stopped || vb->leaving || vb->oom) {
		/* Somebody has thought better of it, and queued the work. */
		virtballoon_free(&fresh);
		goto out;
	}
	if (n)
		virtballoon_inflate(vb, &fresh);
	if (n < num) {
		virtballoon_pause(vb);
	} else {
		vb->pause_ms = VIRTBALLOON_PAUSE_MS;
		vb->short_logged = false;
	}
out:
	mutex_unlock(&vb->lock);
}

static void virtballoon_size_work(struct work_struct *work)
{
	struct virtio_balloon *vb = container_of(work, struct virtio_balloon,
						 size_work);
	bool waits;
	int todo;

	mutex_lock(&vb->lock);
	virtballoon_reap(vb);
	todo = virtballoon_todo(vb);
	if (todo < 0)
		virtballoon_deflate(vb, -todo);
	/* Between two arrays it may be worth while to keep them. */
	waits = vb->busy == vb->inflate_vq && !vb->late && !vb->stopped;
	mutex_unlock(&vb->lock);

	if (todo > 0)
		virtballoon_grow(vb, todo);
	else if (!waits)
		virtballoon_put_spare(vb);
}

/* Interrupt context. */
static void virtballoon_done(struct virtqueue *vq)
{
	struct virtio_balloon *vb = vq->vdev->priv;

	queue_work(vb->wq, &vb->size_work);
}

static void virtballoon_timer(struct timer_list *timer)
{
	struct virtio_balloon *vb = from_timer(vb, timer, timer);

	queue_work(vb->wq, &vb->size_work);
}

static void virtballoon_config_changed(struct virtio_device *vdev)
{
	struct virtio_balloon *vb = vdev->priv;

	WRITE_ONCE(vb->held_back, false);
	queue_work(vb->wq, &vb->size_work);
}

/*
 * The kernel is about to kill somebody for want of memory. With
 * VIRTIO_BALLOON_F_DEFLATE_ON_OOM the host has agreed that it gets back what
 * is in the balloon instead. The work does it, which may be waiting for memory
 * itself, but not for long.
 */
static int virtballoon_oom(struct notifier_block *nb, unsigned long unused,
			   void *parm)
{
	struct virtio_balloon *vb = container_of(nb, struct virtio_balloon,
						 oom_nb);
	unsigned long before, *freed = parm;
	unsigned int ms;

	mutex_lock(&vb->lock);
	before = vb->oom_freed;
	if (!vb->stopped) {
		WRITE_ONCE(vb->held_back, true);
		vb->oom = true;
		queue_work(vb->wq, &vb->size_work);
	}
	mutex_unlock(&vb->lock);

	for (ms = 0; READ_ONCE(vb->oom) && ms < VIRTBALLOON_OOM_MS;
	     ms += VIRTBALLOON_POLL_MS)
		msleep(VIRTBALLOON_POLL_MS);

	mutex_lock(&vb->lock);
	*freed += vb->oom_freed - before;
	mutex_unlock(&vb->lock);
	return NOTIFY_OK;
}

/* Statistics */

static unsigned int virtballoon_add_stat(struct virtio_balloon *vb,
					 unsigned int n, u16 tag, u64 val)
{
	vb->stats[n].tag = cpu_to_le16(tag);
	vb->stats[n].val = cpu_to_le64(val);
	return n + 1;
}

/* What this kernel knows; the others are left out, section 5.5.6.3. */
static unsigned int virtballoon_fill_stats(struct virtio_balloon *vb)
{
	unsigned long *events = vb->events;
	struct sysinfo info;
	unsigned int n = 0;
	long pages;

	if (compat_all_vm_events(events)) {
		n = virtballoon_add_stat(vb, n, VIRTIO_BALLOON_S_SWAP_IN,
					 (u64)events[PSWPIN] << PAGE_SHIFT);
		n = virtballoon_add_stat(vb, n, VIRTIO_BALLOON_S_SWAP_OUT,
					 (u64)events[PSWPOUT] << PAGE_SHIFT);
		n = virtballoon_add_stat(vb, n, VIRTIO_BALLOON_S_MAJFLT,
					 events[PGMAJFAULT]);
		/* The kernel counts both in one. */
		n = virtballoon_add_stat(vb, n, VIRTIO_BALLOON_S_MINFLT,
					 events[PGFAULT] - events[PGMAJFAULT]);
	}
	if (compat_si_meminfo(&info)) {
		n = virtballoon_add_stat(vb, n, VIRTIO_BALLOON_S_MEMFREE,
					 (u64)info.freeram << PAGE_SHIFT);
		n = virtballoon_add_stat(vb, n, VIRTIO_BALLOON_S_MEMTOT,
					 (u64)info.totalram << PAGE_SHIFT);
	}
	pages = compat_mem_available();
	if (pages >= 0)
		n = virtballoon_add_stat(vb, n, VIRTIO_BALLOON_S_AVAIL,
					 (u64)pages << PAGE_SHIFT);
	pages = compat_file_pages();
	if (pages >= 0)
		n = virtballoon_add_stat(vb, n, VIRTIO_BALLOON_S_CACHES,
					 (u64)pages << PAGE_SHIFT);
	return n;
}

/* The device keeps it, and gives it back when it wants to know anew. */
static void virtballoon_send_stats(struct virtio_balloon *vb)
{
	unsigned int n = virtballoon_fill_stats(vb);
	struct scatterlist sg;

	if (!n)
		return;
	sg_init_one(&sg, vb->stats, n * sizeof(vb->stats[0]));
	if (!virtqueue_add_outbuf(vb->stats_vq, &sg, 1, vb))
		virtqueue_kick(vb->stats_vq);
}

static void virtballoon_stats_work(struct work_struct *work)
{
	struct virtio_balloon *vb = container_of(work, struct virtio_balloon,
						 stats_work);
	unsigned int len;

	mutex_lock(&vb->lock);
	if (!vb->stopped && virtqueue_get_buf_check(vb->stats_vq, &len, NULL))
		virtballoon_send_stats(vb);
	mutex_unlock(&vb->lock);
}

/* Interrupt context. */
static void virtballoon_stats_done(struct virtqueue *vq)
{
	struct virtio_balloon *vb = vq->vdev->priv;

	queue_work(vb->wq, &vb->stats_work);
}

/* The device's life */

/*
 * Pages are known to the device by their numbers, not by where a bus finds
 * them: with an IOMMU in between, the two have nothing to do with each other.
 */
static int virtballoon_validate(struct virtio_device *vdev)
{
	virtio_clear_feature(vdev, VIRTIO_F_ACCESS_PLATFORM);
	return 0;
}

static int virtballoon_init_vqs(struct virtio_balloon *vb)
{
	struct virtqueue_info info[VIRTIO_BALLOON_NUM_VQS] = {
		[VIRTIO_BALLOON_VQ_INFLATE] = {
			.name = "inflate", .callback = virtballoon_done,
		},
		[VIRTIO_BALLOON_VQ_DEFLATE] = {
			.name = "deflate", .callback = virtballoon_done,
		},
		[VIRTIO_BALLOON_VQ_STATS] = {
			.name = "stats", .callback = virtballoon_stats_done,
		},
	};
	struct virtqueue *vqs[VIRTIO_BALLOON_NUM_VQS];
	bool stats = virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_STATS_VQ);
	int err;

	info[VIRTIO_BALLOON_VQ_STATS].skip = !stats;
	err = virtio_find_vqs(vb->vdev, VIRTIO_BALLOON_NUM_VQS, vqs, info);
	if (err)
		return err;
	vb->inflate_vq = vqs[VIRTIO_BALLOON_VQ_INFLATE];
	vb->deflate_vq = vqs[VIRTIO_BALLOON_VQ_DEFLATE];
	vb->stats_vq = vqs[VIRTIO_BALLOON_VQ_STATS];
	return 0;
}

static void virtballoon_init_oom(struct virtio_balloon *vb)
{
	int err;

	if (!virtio_has_feature(vb->vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM))
		return;
	vb->oom_nb.notifier_call = virtballoon_oom;
	err = register_oom_notifier(&vb->oom_nb);
	if (err)
		virtballoon_warn(vb->vdev, "cannot hear of the OOM killer (%d): the balloon does not shrink for it\n",
				 err);
	vb->oom_registered = !err;
}

/*
 * Gives all pages back, as long as the device goes along with it. One that is
 * known not to answer gets no time.
 */
static void virtballoon_drain(struct virtio_balloon *vb)
{
	u32 left, before = 0;
	unsigned int ms = 0;
	bool over;

	mutex_lock(&vb->lock);
	vb->leaving = true;
	mutex_unlock(&vb->lock);
	queue_work(vb->wq, &vb->size_work);

	for (;;) {
		mutex_lock(&vb->lock);
		left = vb->num_pages + vb->num_batch;
		over = !left || vb->stopped || vb->late;
		mutex_unlock(&vb->lock);
		if (over || virtio_device_is_broken(vb->vdev))
			return;
		ms = left == before ? ms + VIRTBALLOON_POLL_MS : 0;
		if (ms >= VIRTBALLOON_ANSWER_MS)
			return;
		before = left;
		msleep(VIRTBALLOON_POLL_MS);
	}
}

/*
 * The device forgets what it was told when it sleeps, and a memory image is
 * better off without pages that nobody uses. So they are given back before,
 * while everything runs, and taken again afterwards.
 */
static int virtballoon_pm(struct notifier_block *nb, unsigned long event,
			  void *unused)
{
	struct virtio_balloon *vb = container_of(nb, struct virtio_balloon,
						 pm_nb);

	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		virtballoon_drain(vb);
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		mutex_lock(&vb->lock);
		vb->leaving = false;
		mutex_unlock(&vb->lock);
		queue_work(vb->wq, &vb->size_work);
		break;
	}
	return NOTIFY_OK;
}

static void virtballoon_init_pm(struct virtio_balloon *vb)
{
	int err;

	vb->pm_nb.notifier_call = virtballoon_pm;
	err = register_pm_notifier(&vb->pm_nb);
	if (err)
		virtballoon_warn(vb->vdev, "cannot hear of sleeps (%d): the balloon shrinks late\n",
				 err);
	vb->pm_registered = !err;
}

/* The queues are empty, and so is the balloon. */
static void virtballoon_start(struct virtio_balloon *vb)
{
	virtio_device_ready(vb->vdev);
	mutex_lock(&vb->lock);
	/* An earlier driver may have left something else there. */
	if (!virtio_device_is_broken(vb->vdev))
		virtballoon_set_actual(vb, 0);
	if (vb->stats_vq)
		virtballoon_send_stats(vb);
	mutex_unlock(&vb->lock);
	queue_work(vb->wq, &vb->size_work);
}

static int virtballoon_probe(struct virtio_device *vdev)
{
	struct virtio_balloon *vb;
	int err = -ENOMEM;

	vb = kzalloc(sizeof(*vb), GFP_KERNEL);
	if (!vb)
		return -ENOMEM;
	vb->vdev = vdev;
	vb->pause_ms = VIRTBALLOON_PAUSE_MS;
	mutex_init(&vb->lock);
	INIT_LIST_HEAD(&vb->pages);
	INIT_LIST_HEAD(&vb->batch);
	INIT_LIST_HEAD(&vb->spare);
	INIT_WORK(&vb->size_work, virtballoon_size_work);
	INIT_WORK(&vb->stats_work, virtballoon_stats_work);
	timer_setup(&vb->timer, virtballoon_timer, 0);
	vdev->priv = vb;

	vb->wq = create_freezable_workqueue("vballoon");
	if (!vb->wq)
		goto free;
	err = virtballoon_init_vqs(vb);
	if (err)
		goto destroy;

	virtballoon_start(vb);
	virtballoon_init_oom(vb);
	virtballoon_init_pm(vb);
	return 0;

destroy:
	destroy_workqueue(vb->wq);
free:
	kfree(vb);
	return err;
}

/*
 * The device broke and was reset: it has forgotten whatever it was told, and
 * nobody has to be asked.
 */
static void virtballoon_fail(struct virtio_device *vdev)
{
	struct virtio_balloon *vb = vdev->priv;

	mutex_lock(&vb->lock);
	vb->stopped = true;
	WRITE_ONCE(vb->oom, false);
	virtballoon_put_all(vb);
	mutex_unlock(&vb->lock);
	queue_work(vb->wq, &vb->size_work);
}

/* The last word to a device that still listens. */
static void virtballoon_leave(struct virtio_balloon *vb)
{
	u32 left;

	mutex_lock(&vb->lock);
	left = vb->num_pages + vb->num_batch;
	if (!vb->stopped && !virtio_device_is_broken(vb->vdev)) {
		if (left)
			virtballoon_warn(vb->vdev, "no answer: %u pages of the balloon are used again without one\n",
					 left);
		virtballoon_set_actual(vb, 0);
	}
	mutex_unlock(&vb->lock);
}

/* Nothing of ours runs any more, and the device does nothing. */
static void virtballoon_stop(struct virtio_balloon *vb)
{
	mutex_lock(&vb->lock);
	vb->stopped = true;
	WRITE_ONCE(vb->oom, false);
	mutex_unlock(&vb->lock);

	/* Who starts it has seen that, or has done so. */
	del_timer_sync(&vb->timer);
	virtio_reset_device(vb->vdev);
	cancel_work_sync(&vb->size_work);
	cancel_work_sync(&vb->stats_work);
	virtballoon_put_spare(vb);
}

/* The same, and nothing is with the device. */
static void virtballoon_take_back(struct virtio_balloon *vb)
{
	virtballoon_stop(vb);
	virtballoon_put_all(vb);
	while (virtqueue_detach_unused_buf(vb->inflate_vq) ||
	       virtqueue_detach_unused_buf(vb->deflate_vq) ||
	       (vb->stats_vq && virtqueue_detach_unused_buf(vb->stats_vq)))
		;
}

static void virtballoon_remove(struct virtio_device *vdev)
{
	struct virtio_balloon *vb = vdev->priv;

	if (vb->pm_registered)
		unregister_pm_notifier(&vb->pm_nb);
	if (vb->oom_registered)
		unregister_oom_notifier(&vb->oom_nb);
	virtballoon_drain(vb);
	virtballoon_leave(vb);
	virtballoon_take_back(vb);
	virtio_del_vqs(vdev);
	destroy_workqueue(vb->wq);
	kfree(vb);
}

/* Works are frozen already, and virtballoon_pm() has given the pages back. */
static int virtballoon_suspend(struct virtio_device *vdev)
{
	virtballoon_take_back(vdev->priv);
	return 0;
}

static void virtballoon_resume(struct virtio_device *vdev)
{
	struct virtio_balloon *vb = vdev->priv;

	mutex_lock(&vb->lock);
	vb->stopped = false;
	vb->late = false;
	mutex_unlock(&vb->lock);
	virtballoon_start(vb);
}

/* A kernel that comes next must not find our queues in use in its memory. */
static void virtballoon_shutdown(struct virtio_device *vdev)
{
	virtballoon_stop(vdev->priv);
}

static const struct virtio_device_id virtballoon_id_table[] = {
	{ VIRTIO_ID_BALLOON, VIRTIO_DEV_ANY_ID },
	{ 0 }
};
MODULE_DEVICE_TABLE(virtio, virtballoon_id_table);

static const unsigned int virtballoon_features[] = {
	VIRTIO_BALLOON_F_MUST_TELL_HOST, VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
};

static struct virtio_driver virtballoon_driver = {
	.driver.name		= KBUILD_MODNAME,
	.driver.owner		= THIS_MODULE,
	.id_table		= virtballoon_id_table,
	.feature_table		= virtballoon_features,
	.feature_table_size	= ARRAY_SIZE(virtballoon_features),
	.validate		= virtballoon_validate,
	.probe			= virtballoon_probe,
	.remove			= virtballoon_remove,
	.suspend		= virtballoon_suspend,
	.resume			= virtballoon_resume,
	.shutdown		= virtballoon_shutdown,
	.config_changed		= virtballoon_config_changed,
	.fail			= virtballoon_fail,
};

static int __init virtballoon_module_init(void)
{
	/* The layout is the device's, not the compiler's. */
	BUILD_BUG_ON(sizeof(struct virtio_balloon_config) != 8);
	BUILD_BUG_ON(sizeof(struct virtio_balloon_stat) != 10);
	/* A page of the kernel's is one of the device's. */
	BUILD_BUG_ON(PAGE_SHIFT != VIRTIO_BALLOON_PFN_SHIFT);

	return register_virtio_driver(&virtballoon_driver);
}

static void __exit virtballoon_module_exit(void)
{
	unregister_virtio_driver(&virtballoon_driver);
}

module_init(virtballoon_module_init);
module_exit(virtballoon_module_exit);

MODULE_DESCRIPTION("virtio memory balloon");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
