/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory, and how a device gets at it. Every allocation is counted and may be
 * made to fail; every DMA mapping is recorded. A physical address, a DMA
 * address and a pointer to the same byte are three different numbers here, so
 * that one in the place of another is noticed.
 */
#ifndef _SHIM_MEMORY_H
#define _SHIM_MEMORY_H

#include <shim/base.h>

struct device;

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#define PAGE_MASK	(~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x)	ALIGN(x, PAGE_SIZE)

/* gfp.h, slab.h */

#define GFP_KERNEL	0x01u
#define GFP_ATOMIC	0x02u
#define __GFP_ZERO	0x04u
#define __GFP_NOWARN	0x08u
#define __GFP_NORETRY	0x10u
#define __GFP_COMP	0x20u
#define GFP_NOWAIT	0x40u
#define __GFP_NOMEMALLOC 0x80u
#define GFP_HIGHUSER	(0x100u | GFP_KERNEL)

/* At the page's address, while nobody else has a use for it. */
struct page {
	struct list_head lru;
};

void *kmalloc(size_t size, gfp_t gfp);
void *kcalloc(size_t n, size_t size, gfp_t gfp);
void kfree(const void *p);
#define kzalloc(size, gfp)	kmalloc(size, (gfp) | __GFP_ZERO)

unsigned long __get_free_pages(gfp_t gfp, unsigned int order);
void free_pages(unsigned long addr, unsigned int order);
unsigned int get_order(size_t size);

/* 1 << order pages, that have one count of their users. */
struct page *alloc_pages(gfp_t gfp, unsigned int order);
#define alloc_page(gfp)		alloc_pages(gfp, 0)
unsigned int compound_order(struct page *page);
int page_count(struct page *page);
#ifdef COMPAT_HAVE_PAGE_IS_PFMEMALLOC
#define page_is_pfmemalloc(page)	((void)(page), false)
#endif
void get_page(struct page *page);
void put_page(struct page *page);
unsigned long page_private(struct page *page);
void set_page_private(struct page *page, unsigned long v);
#define page_address(page)	((void *)(page))
unsigned long page_to_pfn(struct page *page);
void __free_page(struct page *page);

/* vmstat.h and the like; the kernel counts more than it says here. */
enum {
	PGPGIN, PGPGOUT, PSWPIN, PSWPOUT, PGALLOC_NORMAL, PGFREE, PGFAULT,
	PGMAJFAULT, NR_VM_EVENT_ITEMS
};
enum {
	NR_FREE_PAGES, NR_FILE_PAGES, SHIM_NUM_STATS
};
struct sysinfo {
	unsigned long totalram, freeram, bufferram;
	unsigned int mem_unit;
};
typedef struct {
	long counter;
} atomic_long_t;
#define atomic_long_read(a)	((a)->counter)
#define atomic_long_add(n, a)	((a)->counter += (n))
extern atomic_long_t vm_stat[SHIM_NUM_STATS];
void all_vm_events(unsigned long *events);
void si_meminfo(struct sysinfo *info);
#ifdef COMPAT_HAVE_SI_MEM_AVAILABLE
long si_mem_available(void);
#define global_node_page_state(item)	atomic_long_read(&vm_stat[item])
#endif
#ifdef COMPAT_HAVE_ADJUST_MANAGED_PAGE_COUNT
void adjust_managed_page_count(struct page *page, long count);
#endif
#ifdef COMPAT_HAVE_TOTALRAM_PAGES_FN
unsigned long totalram_pages(void);
#else
extern unsigned long totalram_pages;
#endif

/* mm.h, io.h */

#define SHIM_PHYS	0x0100000000000000ULL
/* Where a device that knows 44 bits can reach the heap (of AddressSanitizer). */
#define SHIM_PHYS_LOW	(0x0000010000000000ULL - 0x0000600000000000ULL)

/* One of these. */
extern u64 shim_phys;

static inline phys_addr_t virt_to_phys(const void *p)
{
	return (unsigned long)p + shim_phys;
}

/* scatterlist.h: a struct page * is the page's address. */

struct scatterlist {
	struct page *page;
	unsigned int offset;
	unsigned int length;
	bool last;
};

static inline struct page *sg_page(struct scatterlist *sg)
{
	return sg->page;
}

static inline phys_addr_t sg_phys(struct scatterlist *sg)
{
	return virt_to_phys(sg->page) + sg->offset;
}

static inline struct scatterlist *sg_next(struct scatterlist *sg)
{
	return sg->last ? NULL : sg + 1;
}

void sg_init_table(struct scatterlist *sg, unsigned int n);
void sg_set_buf(struct scatterlist *sg, const void *buf, unsigned int len);
void sg_init_one(struct scatterlist *sg, const void *buf, unsigned int len);
void sg_mark_end(struct scatterlist *sg);
void sg_set_page(struct scatterlist *sg, struct page *page, unsigned int len,
		 unsigned int offset);

/* dma-mapping.h */

enum dma_data_direction {
	DMA_BIDIRECTIONAL, DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_NONE
};
#define DMA_BIT_MASK(n)		(~0ULL >> (64 - (n)))

void *dma_alloc_coherent(struct device *dev, size_t size, dma_addr_t *dma,
			 gfp_t gfp);
void dma_free_coherent(struct device *dev, size_t size, void *va,
		       dma_addr_t dma);
dma_addr_t dma_map_page(struct device *dev, struct page *page, size_t offset,
			size_t size, enum dma_data_direction dir);
void dma_unmap_page(struct device *dev, dma_addr_t dma, size_t size,
		    enum dma_data_direction dir);
int dma_mapping_error(struct device *dev, dma_addr_t dma);
#ifdef COMPAT_HAVE_DMA_MAX_MAPPING_SIZE
#define dma_max_mapping_size(dev)	((void)(dev), SIZE_MAX)
#endif
int shim_dma_set_mask(struct device *dev, u64 mask);
#ifdef COMPAT_HAVE_DMA_SET_MASK_AND_COHERENT
#define dma_set_mask_and_coherent(dev, mask)	shim_dma_set_mask(dev, mask)
#endif

/* idr.h */

#ifdef COMPAT_HAVE_IDA_ALLOC
struct ida {
	unsigned long used[16];
};
#define DEFINE_IDA(name)	struct ida name
int ida_alloc_max(struct ida *ida, unsigned int max, gfp_t gfp);
#define ida_alloc(ida, gfp)	ida_alloc_max(ida, 1023, gfp)
void ida_free(struct ida *ida, unsigned int id);
#endif

#endif /* _SHIM_MEMORY_H */
