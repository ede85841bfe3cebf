// SPDX-License-Identifier: GPL-2.0
/* 5.4 (895b5c9f206e): nf_reset() got another name. */
#include <linux/skbuff.h>

void probe(struct sk_buff *skb)
{
	nf_reset_ct(skb);
}
