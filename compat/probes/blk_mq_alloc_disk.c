// SPDX-License-Identifier: GPL-2.0
/* 5.14 (b461dfc49eb6): a disk and its blk-mq queue in one. */
#include <linux/blk-mq.h>

struct gendisk *probe(struct blk_mq_tag_set *set)
{
	return blk_mq_alloc_disk(set, NULL);
}
