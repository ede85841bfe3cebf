/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tests ask of the shim itself.
 */
#ifndef _SHIM_SHIM_H
#define _SHIM_SHIM_H

#include <shim/blk.h>
#include <shim/net.h>
#include <shim/pci.h>

/* Called with what was found wrong; does not return. */
extern void (*shim_on_bug)(const char *text) __attribute__((__noreturn__));

void shim_start(void);		/* before a test */
void shim_finish(void);		/* after it: nothing may be left */

/* The next WARN_ON() is part of the test; true if it came. */
void shim_expect_warn(void);
bool shim_warned(void);

/* The kernel's log since the test began: E, W and I lines. */
unsigned int shim_log_count(char level);
const char *shim_log_find(const char *part);
void shim_log_clear(void);
extern bool shim_log_show;

/*
 * The @n-th thing that may fail fails (n from 1 on), if it is one of @kinds;
 * 0: nothing does. shim_failed() says whether it came to that.
 */
enum {
	FAIL_ALLOC	= 1 << 0,	/* memory, except of the next two */
	FAIL_PAGES	= 1 << 1,	/* __get_free_pages(), alloc_pages() */
	FAIL_COHERENT	= 1 << 2,	/* dma_alloc_coherent() */
	FAIL_MAP	= 1 << 3,	/* dma_map_page() */
	FAIL_IOREMAP	= 1 << 4,
	FAIL_IRQ	= 1 << 5,	/* request_irq() */
	FAIL_MSIX	= 1 << 6,
	FAIL_PCI	= 1 << 7,	/* enable, regions, DMA mask */
	FAIL_DEVICE	= 1 << 8,	/* device_add() and the like */
	FAIL_BLK	= 1 << 9,	/* disks, queues, tags */
	FAIL_SKB	= 1 << 10,	/* packets */
	FAIL_NET	= 1 << 11,	/* interfaces */
	FAIL_LARGE_PAGES = 1 << 12,	/* alloc_pages() of more than one */
	FAIL_SCSI	= 1 << 13,	/* hosts */
	FAIL_ALL	= (1 << 14) - 1,
};
void shim_fail_nth(unsigned int n, unsigned int kinds);
void shim_fail_each(unsigned int kinds);	/* all of them, from now on */
bool shim_failed(void);
bool shim_fail(unsigned int kind);		/* for the shim */

/* Work, timers and tasklets: those that are due; everything; let time pass. */
void shim_run_tasklets(void);
void shim_run(void);
void shim_run_for(unsigned int ms);
bool shim_work_pending(void);
/* What has been waited for so far was no hang: the count starts anew. */
void shim_still_alive(void);
/* Called whenever something sleeps: what the rest of the world does then. */
extern void (*shim_idle)(void);

/* The device's view of memory; NULL: nothing that it may touch. */
void *shim_dma_to_virt(dma_addr_t dma, size_t len, bool write);
void *shim_phys_to_virt(phys_addr_t phys, size_t len);

/* How much of everything there is; all 0 at the end of a test. */
struct shim_counts {
	long allocs, pages, coherent, maps, ioremaps, workqueues, skbs, netdevs,
	     hosts, sdevs, rngs;
};
extern struct shim_counts shim_counts;
extern unsigned long shim_pages_made;		/* successful calls of alloc_pages() */
extern unsigned long shim_irqs_unhandled;

/* Single pages that can still be had; negative: as many as anybody wants. */
extern long shim_page_budget;
/* The number of the next page. */
extern unsigned long shim_next_pfn;
/* NULL: there is no such page (any more). */
struct page *shim_pfn_to_page(unsigned long pfn);
/* Called when a page is freed by __free_page(); may be NULL. */
extern void (*shim_page_freed)(unsigned long pfn);
/* What the kernel knows of its memory, in pages. */
unsigned long shim_get_totalram(void);
void shim_set_totalram(unsigned long pages);
extern unsigned long shim_events[];
extern struct sysinfo shim_sysinfo;
/* The kernel is out of memory; returns pages that somebody has found. */
unsigned long shim_oom(void);
bool shim_oom_registered(void);
/* The machine is about to sleep, or has slept: PM_… of suspend.h. */
void shim_pm_notify(unsigned long event);
/* Works that can be frozen do not run any more, or do again. */
void shim_freeze(bool freeze);
bool shim_pm_registered(void);

/* In an interrupt handler, as far as the rules go. */
void shim_irq_enter(void);
void shim_irq_exit(void);
void shim_softirq(bool in);
bool shim_in_atomic(void);
void shim_irqs_pending(void);

/* Modules. */
int shim_init_virtio(void);
int shim_init_virtio_pci(void);
int shim_init_virtio_blk(void);
int shim_init_virtio_net(void);
int shim_init_virtio_scsi(void);
int shim_init_virtio_rng(void);
int shim_init_virtio_balloon(void);
int shim_init_virtio_9p(void);
int shim_init_virtio_console(void);
void shim_exit_virtio(void);
void shim_exit_virtio_pci(void);
void shim_exit_virtio_blk(void);
void shim_exit_virtio_net(void);
void shim_exit_virtio_scsi(void);
void shim_exit_virtio_rng(void);
void shim_exit_virtio_balloon(void);
void shim_exit_virtio_9p(void);
void shim_exit_virtio_console(void);

#endif /* _SHIM_SHIM_H */
