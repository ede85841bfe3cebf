// SPDX-License-Identifier: GPL-2.0
/*
 * Memory, DMA, the log, and the beginning and the end of a test.
 */
#include <shim/shim.h>
#include <shim/scsi.h>
#include <shim/rng.h>

unsigned int shim_cpus = 1, shim_cpu;
void (*shim_at_barrier)(void);
struct shim_counts shim_counts;

/* Findings */

static char shim_text[1024];
void (*shim_on_bug)(const char *text) __attribute__((__noreturn__));
static bool shim_warn_expected, shim_warn_came;

void shim_bug(const char *file, int line, const char *fmt, ...)
{
	va_list args;
	int n;

	n = snprintf(shim_text, sizeof(shim_text), "%s:%d: ", file, line);
	va_start(args, fmt);
	vsnprintf(shim_text + n, sizeof(shim_text) - n, fmt, args);
	va_end(args);
	if (shim_on_bug)
		shim_on_bug(shim_text);
	fprintf(stderr, "%s\n", shim_text);
	abort();
}

bool shim_warn(const char *file, int line, const char *what)
{
	if (!shim_warn_expected)
		shim_bug(file, line, "WARN_ON(%s)", what);
	shim_warn_came = true;
	return true;
}

void shim_expect_warn(void)
{
	shim_warn_expected = true;
	shim_warn_came = false;
}

bool shim_warned(void)
{
	shim_warn_expected = false;
	return shim_warn_came;
}

/* The log */

#define LOG_MAX	512
static char *shim_lines[LOG_MAX];
static unsigned int shim_num_lines;
bool shim_log_show;

static void shim_vlog(char level, const char *prefix, const char *fmt,
		      va_list args)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "%c %s", level, prefix);

	vsnprintf(text + n, sizeof(text) - n, fmt, args);
	if (!strchr(text, '\n') || strchr(text, '\n')[1])
		SHIM_BUG("not one line: %s", text);
	if (shim_log_show)
		fputs(text, stderr);
	if (shim_num_lines < LOG_MAX)
		shim_lines[shim_num_lines++] = strdup(text);
}

void shim_log(char level, const char *prefix, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	shim_vlog(level, prefix, fmt, args);
	va_end(args);
}

void shim_dev_log(char level, const struct device *dev, const char *fmt, ...)
{
	char prefix[128];
	va_list args;

	snprintf(prefix, sizeof(prefix), "%s %s: ", dev->driver ?
		 dev->driver->name : dev->bus ? dev->bus->name : "",
		 dev_name(dev));
	va_start(args, fmt);
	shim_vlog(level, prefix, fmt, args);
	va_end(args);
}

unsigned int shim_log_count(char level)
{
	unsigned int i, n = 0;

	for (i = 0; i < shim_num_lines; i++)
		n += shim_lines[i][0] == level;
	return n;
}

const char *shim_log_find(const char *part)
{
	unsigned int i;

	for (i = 0; i < shim_num_lines; i++)
		if (strstr(shim_lines[i], part))
			return shim_lines[i];
	return NULL;
}

void shim_log_clear(void)
{
	while (shim_num_lines)
		free(shim_lines[--shim_num_lines]);
}

/* Failures on demand */

static unsigned int fail_countdown, fail_kinds;
static bool fail_all, fail_came;

void shim_fail_nth(unsigned int n, unsigned int kinds)
{
	fail_countdown = n;
	fail_kinds = kinds;
	fail_all = false;
	fail_came = false;
}

void shim_fail_each(unsigned int kinds)
{
	shim_fail_nth(0, kinds);
	fail_all = true;
}

bool shim_failed(void)
{
	return fail_came;
}

bool shim_fail(unsigned int kind)
{
	if (!(kind & fail_kinds))
		return false;
	if (fail_all || (fail_countdown && !--fail_countdown)) {
		fail_came = true;
		return true;
	}
	return false;
}

/* slab.h and gfp.h; a header in front of each allocation remembers its size. */

struct shim_alloc {
	size_t size;
	unsigned long magic;
} ____cacheline_aligned;
#define ALLOC_MAGIC	0x616c6c6f63UL

void *kmalloc(size_t size, gfp_t gfp)
{
	struct shim_alloc *alloc;

	if (gfp & GFP_KERNEL)
		shim_might_sleep("kmalloc(GFP_KERNEL)");
	if (shim_fail(FAIL_ALLOC))
		return NULL;
	/* The kernel's slab has no more than that in one piece. */
	if (size > 4 << 20)
		return NULL;
	/* Poisoned, so that what is not zeroed is not zero by chance. */
	BUG_ON(posix_memalign((void **)&alloc, 64, sizeof(*alloc) + size));
	memset(alloc + 1, gfp & __GFP_ZERO ? 0 : 0xa5, size);
	alloc->size = size;
	alloc->magic = ALLOC_MAGIC;
	shim_counts.allocs++;
	return alloc + 1;
}

void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	if (size && n > SIZE_MAX / size)
		return NULL;
	return kmalloc(n * size, gfp | __GFP_ZERO);
}

void kfree(const void *p)
{
	struct shim_alloc *alloc;

	if (!p)
		return;
	alloc = (struct shim_alloc *)p - 1;
	BUG_ON(alloc->magic != ALLOC_MAGIC);
	shim_counts.allocs--;
	alloc->magic = 0;
	free(alloc);
}

unsigned int get_order(size_t size)
{
	unsigned int order = 0;

	while (PAGE_SIZE << order < size)
		order++;
	return order;
}

static void *shim_pages(size_t size, gfp_t gfp)
{
	void *p;

	BUG_ON(posix_memalign(&p, PAGE_SIZE, size));
	memset(p, gfp & __GFP_ZERO ? 0 : 0xa5, size);
	return p;
}

unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
{
	if (gfp & GFP_KERNEL)
		shim_might_sleep("__get_free_pages(GFP_KERNEL)");
	if (order > 10 || shim_fail(FAIL_PAGES))
		return 0;
	shim_counts.pages += 1 << order;
	return (unsigned long)shim_pages(PAGE_SIZE << order, gfp);
}

void free_pages(unsigned long addr, unsigned int order)
{
	if (!addr)
		return;
	shim_counts.pages -= 1 << order;
	free((void *)addr);
}

/* What struct page holds; a struct page * itself is the page's address. */
struct shim_page {
	struct list_head list;
	struct page *page;
	unsigned int order;
	unsigned int refs;
	unsigned long private;
	unsigned long pfn;
};

#define PAGE_BUCKETS	1024
static struct list_head shim_page_table[PAGE_BUCKETS];

static struct list_head *shim_page_bucket(const struct page *page)
{
	struct list_head *head = &shim_page_table[((unsigned long)page >>
						   PAGE_SHIFT) % PAGE_BUCKETS];

	if (!head->next)
		INIT_LIST_HEAD(head);
	return head;
}

static struct shim_page *shim_page(const struct page *page)
{
	struct shim_page *p;

	list_for_each_entry(p, shim_page_bucket(page), list)
		if (p->page == page)
			return p;
	SHIM_BUG("%p is no page, or not any more", (const void *)page);
	return NULL;
}

unsigned long shim_pages_made, shim_next_pfn;
long shim_page_budget;
void (*shim_page_freed)(unsigned long pfn);

/* Pages by their numbers, as far as these are in the usual range. */
#define PFN_TABLE	(1 << 16)
static struct page *shim_pfns[PFN_TABLE];

static void shim_give_pfn(struct shim_page *p)
{
	while (shim_next_pfn < PFN_TABLE && shim_pfns[shim_next_pfn])
		shim_next_pfn = (shim_next_pfn + 1) % PFN_TABLE;
	p->pfn = shim_next_pfn++;
	if (p->pfn < PFN_TABLE)
		shim_pfns[p->pfn] = p->page;
	if (shim_next_pfn == PFN_TABLE)
		shim_next_pfn = 0;
}

struct page *shim_pfn_to_page(unsigned long pfn)
{
	return pfn < PFN_TABLE ? shim_pfns[pfn] : NULL;
}

unsigned long page_to_pfn(struct page *page)
{
	return shim_page(page)->pfn;
}

void __free_page(struct page *page)
{
	BUG_ON(page_count(page) != 1);
	if (shim_page_freed)
		shim_page_freed(page_to_pfn(page));
	put_page(page);
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	struct shim_page *p;

	if (gfp & GFP_KERNEL)
		shim_might_sleep("alloc_pages(GFP_KERNEL)");
	if (order && !(gfp & __GFP_COMP))
		SHIM_BUG("pages of order %u of which each has a count of its own", order);
	/* Who takes pages in any number must not have others killed for them. */
	if ((gfp & GFP_HIGHUSER) == GFP_HIGHUSER &&
	    (~gfp & (__GFP_NORETRY | __GFP_NOMEMALLOC | __GFP_NOWARN)))
		SHIM_BUG("pages for users at any price: flags 0x%x", gfp);
	if (!order && !shim_page_budget)
		return NULL;
	if (shim_fail(FAIL_PAGES) || (order && shim_fail(FAIL_LARGE_PAGES)))
		return NULL;
	p = malloc(sizeof(*p));
	p->page = shim_pages(PAGE_SIZE << order, gfp);
	p->order = order;
	p->refs = 1;
	p->private = 0xa5a5a5a5UL;
	shim_give_pfn(p);
	if (!order && shim_page_budget > 0)
		shim_page_budget--;
	list_add(&p->list, shim_page_bucket(p->page));
	shim_counts.pages += 1 << order;
	shim_pages_made++;
	return p->page;
}

unsigned int compound_order(struct page *page)
{
	return shim_page(page)->order;
}

int page_count(struct page *page)
{
	return shim_page(page)->refs;
}

void get_page(struct page *page)
{
	shim_page(page)->refs++;
}

void put_page(struct page *page)
{
	struct shim_page *p = shim_page(page);

	if (--p->refs)
		return;
	list_del(&p->list);
	if (p->pfn < PFN_TABLE)
		shim_pfns[p->pfn] = NULL;
	if (!p->order && shim_page_budget >= 0)
		shim_page_budget++;
	shim_counts.pages -= 1 << p->order;
	free(p->page);
	free(p);
}

unsigned long page_private(struct page *page)
{
	return shim_page(page)->private;
}

void set_page_private(struct page *page, unsigned long v)
{
	shim_page(page)->private = v;
}

u64 shim_phys = SHIM_PHYS;

void *shim_phys_to_virt(phys_addr_t phys, size_t len)
{
	return shim_phys == SHIM_PHYS && phys < SHIM_PHYS ?
	       NULL : (void *)(phys - shim_phys);
}

/* What the kernel knows of its memory */

unsigned long shim_events[NR_VM_EVENT_ITEMS];
struct sysinfo shim_sysinfo;
atomic_long_t vm_stat[SHIM_NUM_STATS];

void all_vm_events(unsigned long *events)
{
	might_sleep();
	memcpy(events, shim_events, sizeof(shim_events));
}

void si_meminfo(struct sysinfo *info)
{
	*info = shim_sysinfo;
	info->totalram = shim_get_totalram();
}

#ifdef COMPAT_HAVE_SI_MEM_AVAILABLE
long si_mem_available(void)
{
	return shim_sysinfo.freeram + 7;
}
#endif

#ifdef COMPAT_HAVE_TOTALRAM_PAGES_FN
static unsigned long shim_totalram;

unsigned long totalram_pages(void)
{
	return shim_totalram;
}
#else
unsigned long totalram_pages;
#define shim_totalram	totalram_pages
#endif

unsigned long shim_get_totalram(void)
{
	return shim_totalram;
}

void shim_set_totalram(unsigned long pages)
{
	shim_totalram = pages;
}

#ifdef COMPAT_HAVE_ADJUST_MANAGED_PAGE_COUNT
void adjust_managed_page_count(struct page *page, long count)
{
	BUG_ON(page_count(page) != 1);
	shim_totalram += count;
}
#endif

/* scatterlist.h */

void sg_init_table(struct scatterlist *sg, unsigned int n)
{
	memset(sg, 0, n * sizeof(*sg));
	sg[n - 1].last = true;
}

void sg_set_buf(struct scatterlist *sg, const void *buf, unsigned int len)
{
	sg->page = (struct page *)((unsigned long)buf & PAGE_MASK);
	sg->offset = (unsigned long)buf & ~PAGE_MASK;
	sg->length = len;
}

void sg_init_one(struct scatterlist *sg, const void *buf, unsigned int len)
{
	sg_init_table(sg, 1);
	sg_set_buf(sg, buf, len);
}

void sg_mark_end(struct scatterlist *sg)
{
	sg->last = true;
}

void sg_set_page(struct scatterlist *sg, struct page *page, unsigned int len,
		 unsigned int offset)
{
	BUG_ON(!page);
	sg->page = page;
	sg->offset = offset;
	sg->length = len;
}

/* dma-mapping.h: each mapping has bus addresses that no other ever had. */

struct shim_map {
	struct list_head list;
	dma_addr_t dma;
	void *va;
	size_t len;
	enum dma_data_direction dir;
	bool coherent;
};

#define DMA_START	0x0200000000000000ULL
#define DMA_ERROR	(~0ULL)

static LIST_HEAD(shim_maps);
static dma_addr_t shim_next_dma = DMA_START;

static struct shim_map *shim_map_add(void *va, size_t len, bool coherent,
				     enum dma_data_direction dir)
{
	struct shim_map *map = malloc(sizeof(*map));

	map->dma = shim_next_dma + ((unsigned long)va & ~PAGE_MASK);
	shim_next_dma += PAGE_ALIGN(len) + 2 * PAGE_SIZE;
	map->va = va;
	map->len = len;
	map->dir = dir;
	map->coherent = coherent;
	list_add(&map->list, &shim_maps);
	return map;
}

static struct shim_map *shim_map_find(dma_addr_t dma, bool coherent)
{
	struct shim_map *map;

	list_for_each_entry(map, &shim_maps, list)
		if (map->dma == dma && map->coherent == coherent)
			return map;
	SHIM_BUG("DMA address %llx is not mapped", dma);
	return NULL;
}

static void shim_map_del(struct shim_map *map)
{
	list_del(&map->list);
	free(map);
}

void *dma_alloc_coherent(struct device *dev, size_t size, dma_addr_t *dma,
			 gfp_t gfp)
{
	void *va;

	BUG_ON(!dev);
	if (gfp & GFP_KERNEL)
		shim_might_sleep("dma_alloc_coherent(GFP_KERNEL)");
	if (shim_fail(FAIL_COHERENT))
		return NULL;
	shim_counts.coherent++;
	va = shim_pages(PAGE_ALIGN(size), gfp);
	*dma = shim_map_add(va, size, true, DMA_BIDIRECTIONAL)->dma;
	return va;
}

void dma_free_coherent(struct device *dev, size_t size, void *va,
		       dma_addr_t dma)
{
	struct shim_map *map = shim_map_find(dma, true);

	/* vunmap(): not with interrupts off. */
	WARN_ON(irqs_disabled());
	BUG_ON(map->va != va || map->len != size);
	shim_counts.coherent--;
	shim_map_del(map);
	free(va);
}

dma_addr_t dma_map_page(struct device *dev, struct page *page, size_t offset,
			size_t size, enum dma_data_direction dir)
{
	BUG_ON(!dev || !size);
	BUG_ON(dir != DMA_TO_DEVICE && dir != DMA_FROM_DEVICE);
	if (shim_fail(FAIL_MAP))
		return DMA_ERROR;
	shim_counts.maps++;
	return shim_map_add((char *)page + offset, size, false, dir)->dma;
}

void dma_unmap_page(struct device *dev, dma_addr_t dma, size_t size,
		    enum dma_data_direction dir)
{
	struct shim_map *map = shim_map_find(dma, false);

	if (map->len != size || map->dir != dir)
		SHIM_BUG("DMA unmap: %zu bytes, direction %d; it was mapped with %zu, %d",
			 size, dir, map->len, map->dir);
	shim_counts.maps--;
	shim_map_del(map);
}

int dma_mapping_error(struct device *dev, dma_addr_t dma)
{
	return dma == DMA_ERROR;
}

void *shim_dma_to_virt(dma_addr_t dma, size_t len, bool write)
{
	struct shim_map *map;

	list_for_each_entry(map, &shim_maps, list) {
		if (dma < map->dma || dma - map->dma > map->len ||
		    len > map->len - (dma - map->dma))
			continue;
		if (map->dir == (write ? DMA_TO_DEVICE : DMA_FROM_DEVICE))
			continue;
		return (char *)map->va + (dma - map->dma);
	}
	return NULL;
}

/* idr.h */

#ifdef COMPAT_HAVE_IDA_ALLOC
int ida_alloc_max(struct ida *ida, unsigned int max, gfp_t gfp)
{
	unsigned int id;

	if (gfp & GFP_KERNEL)
		shim_might_sleep("ida_alloc()");
	if (shim_fail(FAIL_ALLOC))
		return -ENOMEM;
	id = find_first_zero_bit(ida->used, sizeof(ida->used) * 8);
	if (id > max || id == sizeof(ida->used) * 8)
		return -ENOSPC;
	set_bit(id, ida->used);
	return id;
}

void ida_free(struct ida *ida, unsigned int id)
{
	BUG_ON(!test_bit(id, ida->used));
	clear_bit(id, ida->used);
}
#endif

/* cpumask.h */

bool alloc_cpumask_var(cpumask_var_t *mask, unsigned int gfp)
{
	if (gfp != GFP_ATOMIC)
		might_sleep();
	if (shim_fail(FAIL_ALLOC))
		return false;
	(*mask)->bits = 0xa5a5;
	shim_counts.allocs++;
	return true;
}

void free_cpumask_var(cpumask_var_t mask)
{
	shim_counts.allocs--;
}

/* The frame of a test */

void shim_start(void)
{
	shim_log_clear();
	shim_fail_nth(0, 0);
	shim_warn_expected = false;
	shim_idle = NULL;
	shim_still_alive();
	shim_cpus = 1;
	shim_cpu = 0;
	shim_async_scan = false;
	shim_irqs_unhandled = 0;
	shim_flush_before_del = false;
	shim_at_barrier = NULL;
	shim_before_complete = NULL;
	shim_before_addr_lock = NULL;
	shim_at_fetch = NULL;
	shim_signal = false;
	shim_need_resched = false;
	shim_page_budget = -1;
	shim_next_pfn = 100;
	shim_page_freed = NULL;
	shim_no_symbol = NULL;
	memset(&shim_counts, 0, sizeof(shim_counts));
	while (!list_empty(&shim_maps))
		shim_map_del(list_first_entry(&shim_maps, struct shim_map,
					      list));
}

void shim_finish(void)
{
	if (shim_counts.allocs || shim_counts.pages || shim_counts.coherent ||
	    shim_counts.maps || shim_counts.ioremaps ||
	    shim_counts.workqueues || shim_counts.skbs || shim_counts.netdevs ||
	    shim_counts.hosts || shim_counts.sdevs || shim_counts.rngs)
		SHIM_BUG("leaked: %ld allocations, %ld pages, %ld coherent, %ld mappings, %ld ioremaps, %ld workqueues, %ld packets, %ld interfaces, %ld hosts, %ld SCSI devices, %ld hwrngs",
			 shim_counts.allocs, shim_counts.pages,
			 shim_counts.coherent, shim_counts.maps,
			 shim_counts.ioremaps, shim_counts.workqueues,
			 shim_counts.skbs, shim_counts.netdevs,
			 shim_counts.hosts, shim_counts.sdevs, shim_counts.rngs);
	if (shim_irq_count())
		SHIM_BUG("leaked: %u interrupt handlers", shim_irq_count());
	BUG_ON(shim_work_pending());
	BUG_ON(shim_in_atomic());
	BUG_ON(shim_oom_registered() || shim_pm_registered());
	shim_log_clear();
}
