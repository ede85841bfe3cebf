// SPDX-License-Identifier: GPL-2.0
/* 5.4 (7240b60c98d6): where a fragment begins. */
#include <linux/skbuff.h>

unsigned int probe(const skb_frag_t *frag)
{
	return skb_frag_off(frag);
}
