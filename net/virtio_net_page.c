// SPDX-License-Identifier: GPL-2.0
/*
 * Pages for the buffers of a receive queue.
 *
 * They are of order 0 to VIRTNET_MAX_ORDER: where large packets come in, large
 * pages are fewer to allocate, to give to the device and to copy from. The
 * stack gets a page with its packet, and the queue keeps a reference: when
 * that is the last one, the page is used again. The pool has the pages that
 * nobody else holds in front, and behind them the others, oldest first.
 */
#include "virtio_net.h"

/* The most memory that a queue's pool holds on to, in pages of order 0. */
#define VIRTNET_POOL_PAGES	512

/* How many packets the average length is of, more or less. */
#define VIRTNET_AVERAGE		64

static struct page *virtnet_pool_pop(struct virtnet_pool *pool)
{
	struct page *page = pool->page[pool->first];

	pool->first = (pool->first + 1) % VIRTNET_POOL_SIZE;
	pool->count--;
	return page;
}

/* Makes room for one more page. */
static void virtnet_pool_trim(struct virtnet_rq *rq)
{
	unsigned int most = min_t(unsigned int, VIRTNET_POOL_SIZE,
				  VIRTNET_POOL_PAGES >> rq->order);

	while (rq->pool.count >= most)
		put_page(virtnet_pool_pop(&rq->pool));
}

/**
 * virtnet_get_page - a page for a buffer
 * @rq:		the queue; the caller owns its NAPI
 * @gfp:	how to allocate it
 *
 * Of the queue's order, or of order 0 where that is not to be had. NULL
 * without memory. May sleep if @gfp says so.
 */
struct page *virtnet_get_page(struct virtnet_rq *rq, gfp_t gfp)
{
	struct virtnet_pool *pool = &rq->pool;
	struct page *page;

	while (pool->count) {
		page = pool->page[pool->first];
		if (compound_order(page) == rq->order) {
			if (page_count(page) != 1)
				break;
			return virtnet_pool_pop(pool);
		}
		/* From before the order was changed. */
		put_page(virtnet_pool_pop(pool));
	}

	if (rq->order) {
		page = alloc_pages(GFP_NOWAIT | __GFP_COMP | __GFP_NOWARN |
				   __GFP_NORETRY, rq->order);
		if (page)
			return page;
	}
	return alloc_page(gfp | __GFP_NOWARN);
}

/**
 * virtnet_put_page - a page that was not needed
 * @rq:		the queue; the caller owns its NAPI
 * @page:	the page, which nobody else holds
 */
void virtnet_put_page(struct virtnet_rq *rq, struct page *page)
{
	struct virtnet_pool *pool = &rq->pool;

	set_page_private(page, 0);
	if (compound_order(page) != rq->order) {
		put_page(page);
		return;
	}
	virtnet_pool_trim(rq);
	pool->first = (pool->first + VIRTNET_POOL_SIZE - 1) % VIRTNET_POOL_SIZE;
	pool->page[pool->first] = page;
	pool->count++;
}

/**
 * virtnet_lend_page - the stack gets a page with its packet
 * @rq:		the queue; the caller owns its NAPI
 * @page:	the page
 *
 * The caller's reference goes with the packet.
 */
void virtnet_lend_page(struct virtnet_rq *rq, struct page *page)
{
	struct virtnet_pool *pool = &rq->pool;

	set_page_private(page, 0);
	if (compound_order(page) != rq->order || page_is_pfmemalloc(page))
		return;
	virtnet_pool_trim(rq);
	get_page(page);
	pool->page[(pool->first + pool->count) % VIRTNET_POOL_SIZE] = page;
	pool->count++;
}

/**
 * virtnet_average_len - choose the order of the pages to come
 * @rq:		the queue; the caller owns its NAPI
 * @len:	of a packet that came, in bytes
 *
 * An average packet takes one to three pages, and at least half of them: it is
 * accounted for with all that they are.
 */
void virtnet_average_len(struct virtnet_rq *rq, unsigned int len)
{
	unsigned int order = rq->order;

	rq->average += len - rq->average / VIRTNET_AVERAGE;
	len = rq->average / VIRTNET_AVERAGE;
	while (order < VIRTNET_MAX_ORDER && PAGE_SIZE << order < len / 2)
		order++;
	while (order && PAGE_SIZE << order > len)
		order--;
	rq->order = order;
}

/**
 * virtnet_free_pages - empty a queue's pool
 * @rq:		the queue; its NAPI is off
 *
 * Any context.
 */
void virtnet_free_pages(struct virtnet_rq *rq)
{
	while (rq->pool.count)
		put_page(virtnet_pool_pop(&rq->pool));
}
