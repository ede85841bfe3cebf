/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_SKBUFF_H
#define _COMPAT_LINUX_SKBUFF_H

#include_next <linux/skbuff.h>

/* 2.6.38. */
#ifndef COMPAT_HAVE_SKB_CHECKSUM_START_OFFSET
static inline int skb_checksum_start_offset(const struct sk_buff *skb)
{
	return skb->csum_start - skb_headroom(skb);
}
#endif

/* 3.2. */
#ifndef COMPAT_HAVE_SKB_FRAG_SIZE
static inline unsigned int skb_frag_size(const skb_frag_t *frag)
{
	return frag->size;
}

static inline struct page *skb_frag_page(const skb_frag_t *frag)
{
	return frag->page;
}
#endif

/* 5.4. */
#ifndef COMPAT_HAVE_SKB_FRAG_OFF
static inline unsigned int skb_frag_off(const skb_frag_t *frag)
{
	return frag->page_offset;
}
#endif

/* 5.4: a new name. */
#ifndef COMPAT_HAVE_NF_RESET_CT
#define nf_reset_ct	nf_reset
#endif

#endif /* _COMPAT_LINUX_SKBUFF_H */
