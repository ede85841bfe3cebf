/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_MM_H
#define _COMPAT_LINUX_MM_H

#include_next <linux/mm.h>

/* 4.2; before 3.6 no page says that it is from the reserves. */
#ifndef COMPAT_HAVE_PAGE_IS_PFMEMALLOC
static inline bool page_is_pfmemalloc(struct page *page)
{
	return false;
}
#endif

#ifndef COMPAT_HAVE_TOTALRAM_PAGES_FN
/* 5.0; before, it is a variable, that whoever takes memory away changes. */
extern unsigned long totalram_pages;

#ifndef COMPAT_HAVE_ADJUST_MANAGED_PAGE_COUNT
/* 3.11. On 2.6.32 zones are not told. Several balloons may do so at once. */
static inline void adjust_managed_page_count(struct page *page, long count)
{
	atomic_long_add(count, (atomic_long_t *)&totalram_pages);
}
#endif
#define totalram_pages()	(totalram_pages + 0)
#endif

/*
 * What the kernel knows of its memory, for the balloon. Not what it does not
 * know, and EL6 does not say how much is available.
 */
#ifdef COMPAT_HAVE_SI_MEM_AVAILABLE
#define COMPAT_NUM_VM_EVENTS	NR_VM_EVENT_ITEMS

static inline bool compat_all_vm_events(unsigned long *events)
{
	all_vm_events(events);
	return true;
}

static inline bool compat_si_meminfo(struct sysinfo *info)
{
	si_meminfo(info);
	return true;
}

static inline long compat_mem_available(void)
{
	return si_mem_available();
}

static inline long compat_file_pages(void)
{
	return global_node_page_state(NR_FILE_PAGES);
}
#else
/*
 * 4.6 tells what is available. All releases of EL6 export what is looked up
 * here, but on the kABI lists of all of them is none of it. They count
 * different events, but the first ones are the same, and so are the kinds of
 * pages up to those of files.
 */
#define COMPAT_NUM_VM_EVENTS	256

void *__symbol_get(const char *name);
void __symbol_put(const char *name);

static inline bool compat_all_vm_events(unsigned long *events)
{
	void (*all)(unsigned long *) = __symbol_get("all_vm_events");

	if (!all)
		return false;
	all(events);
	__symbol_put("all_vm_events");
	return true;
}

static inline bool compat_si_meminfo(struct sysinfo *info)
{
	void (*meminfo)(struct sysinfo *) = __symbol_get("si_meminfo");

	if (!meminfo)
		return false;
	meminfo(info);
	__symbol_put("si_meminfo");
	return true;
}

static inline long compat_mem_available(void)
{
	return -1;
}

static inline long compat_file_pages(void)
{
	atomic_long_t *stat = __symbol_get("vm_stat");
	long pages;

	if (!stat)
		return -1;
	pages = atomic_long_read(&stat[NR_FILE_PAGES]);
	__symbol_put("vm_stat");
	return max(pages, 0L);
}
#endif

#endif /* _COMPAT_LINUX_MM_H */
