// SPDX-License-Identifier: GPL-2.0
/* 2.6.38 (55508d601dab); of EL6, 6.6 and later have it, 6.3 does not. */
#include <linux/skbuff.h>

int probe(const struct sk_buff *skb)
{
	return skb_checksum_start_offset(skb);
}
