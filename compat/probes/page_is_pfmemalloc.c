// SPDX-License-Identifier: GPL-2.0
/* A page from the reserves is told by page_is_pfmemalloc() (4.2). */
#include <linux/mm.h>

bool probe(struct page *page);
bool probe(struct page *page)
{
	return page_is_pfmemalloc(page);
}
