// SPDX-License-Identifier: GPL-2.0
/* 3.2 (9e903e085262, 131ea6675c76). EL6: 6.3, not 6.0. */
#include <linux/skbuff.h>

unsigned int probe(const skb_frag_t *frag)
{
	return skb_frag_page(frag) ? skb_frag_size(frag) : 0;
}
