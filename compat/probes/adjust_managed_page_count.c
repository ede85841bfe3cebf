// SPDX-License-Identifier: GPL-2.0
/* 3.11 (c3d5f5f0c2bc): how much memory there is, zone by zone. */
#include <linux/mm.h>

void probe(struct page *page);
void probe(struct page *page)
{
	adjust_managed_page_count(page, -1);
}
