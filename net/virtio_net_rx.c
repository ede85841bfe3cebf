// SPDX-License-Identifier: GPL-2.0
/*
 * From the device to the stack, virtio 1.2 section 5.1.6.3 and 5.1.6.4.
 *
 * All buffers are made of whole pages. Where a packet may fill several buffers
 * (VIRTIO_NET_F_MRG_RXBUF), each is one page, and the larger the packets are,
 * the larger it is; otherwise a buffer is a chain of as many pages as the
 * largest packet needs, which is one unless large packets were agreed on. The
 * token of a buffer is its first page; the rest hangs on that by
 * page->private. What of a buffer was not needed goes back to the pool.
 */
#include <linux/in.h>
#include "virtio_net.h"

/* Packets up to this length, in bytes, are copied, and their page is kept. */
#define VIRTNET_COPY		256

/* Buffers that the device has at least, however large they are. */
#define VIRTNET_MIN_BUFFERS	8

/* While much is sent: packets that wait for one more, and for how long. */
#define VIRTNET_MAX_AHEAD	3
#define VIRTNET_LATE_MS		1
/* The average length, in bytes, of what acknowledges it, at most. */
#define VIRTNET_ACK_LEN		128
/* Polls after which packets are waited for again, where they did not come. */
#define VIRTNET_HOLD		256

/* How long the memory gets to become free. */
#define VIRTNET_REFILL_MS	100

/* Headers of the protocols above, whose alignment in a buffer is unknown. */
#define VIRTNET_IP_HLEN		20	/* bytes at least */
#define VIRTNET_IP_PROTO	9	/* where the protocol is */
#define VIRTNET_IP6_HLEN	40
#define VIRTNET_IP6_NEXT	6
#define VIRTNET_TCP_DOFF	12	/* where the header's length is */
#define VIRTNET_UDP_HLEN	8

DEFINE_PER_CPU(unsigned int, virtnet_polled);

/* Buffers */

static struct page *virtnet_next_page(struct page *page)
{
	return (struct page *)page_private(page);
}

static unsigned int virtnet_page_size(struct page *page)
{
	return PAGE_SIZE << compound_order(page);
}

static void virtnet_put_chain(struct virtnet_rq *rq, struct page *page)
{
	struct page *next;

	for (; page; page = next) {
		next = virtnet_next_page(page);
		virtnet_put_page(rq, page);
	}
}

static int virtnet_add_buffer(struct virtnet_rq *rq, gfp_t gfp)
{
	unsigned int i = rq->vi->buf_pages, hdr_len = rq->vi->hdr_len;
	bool split = rq->vi->buf_sgs > i;
	struct page *page, *chain = NULL;
	int err;

	while (i--) {
		page = virtnet_get_page(rq, gfp);
		if (!page) {
			virtnet_put_chain(rq, chain);
			return -ENOMEM;
		}
		set_page_private(page, (unsigned long)chain);
		sg_set_page(&rq->sg[split + i], page, virtnet_page_size(page),
			    0);
		chain = page;
	}
	/* In the same place all the same: only the device sees two parts. */
	if (split) {
		sg_set_page(&rq->sg[0], chain, hdr_len, 0);
		sg_set_page(&rq->sg[1], chain, PAGE_SIZE - hdr_len, hdr_len);
	}

	err = virtqueue_add_inbuf(rq->vq, rq->sg, rq->vi->buf_sgs, chain);
	if (err)
		virtnet_put_chain(rq, chain);
	return err;
}

/*
 * How many descriptors shall be in use: all of them, or as many as make the
 * same number of bytes with larger pages.
 */
static unsigned int virtnet_wanted(const struct virtnet_rq *rq)
{
	unsigned int size = virtqueue_get_vring_size(rq->vq);

	return min(size, max_t(unsigned int, size >> rq->order,
			       VIRTNET_MIN_BUFFERS));
}

static unsigned int virtnet_in_use(const struct virtnet_rq *rq)
{
	return virtqueue_get_vring_size(rq->vq) - rq->vq->num_free;
}

/*
 * Gives the device all the buffers that it shall have. The caller owns the
 * queue's NAPI. Returns false if there was not enough memory for it.
 */
static bool virtnet_fill(struct virtnet_rq *rq, gfp_t gfp)
{
	bool kick;
	int err = 0;

	while (!err && virtnet_in_use(rq) < virtnet_wanted(rq))
		err = virtnet_add_buffer(rq, gfp);

	kick = virtqueue_kick_prepare(rq->vq);
	/* Not every caller is a softirq. */
	preempt_disable();
	if (kick)
		virtnet_count(rq, kicks);
	if (err == -ENOMEM)
		virtnet_count(rq, refills);
	preempt_enable();
	if (kick)
		virtqueue_notify(rq->vq);
	return err != -ENOMEM;
}

static void virtnet_refill_later(struct virtnet_rq *rq)
{
	struct virtnet_info *vi = rq->vi;

	spin_lock_bh(&vi->refill_lock);
	if (vi->refill_on)
		schedule_delayed_work(&rq->refill,
				      msecs_to_jiffies(VIRTNET_REFILL_MS));
	spin_unlock_bh(&vi->refill_lock);
}

/* Its NAPI was off; whether the queue could be filled. Process context. */
static void virtnet_rx_on(struct virtnet_rq *rq, bool filled)
{
	napi_enable(&rq->napi);
	/* What came while it was off raised no interrupt. */
	local_bh_disable();
	napi_schedule(&rq->napi);
	local_bh_enable();
	if (!filled)
		virtnet_refill_later(rq);
}

/* There was no memory for the queue: try again, and wait for it this time. */
void virtnet_rx_refill_work(struct work_struct *work)
{
	struct virtnet_rq *rq = container_of(work, struct virtnet_rq,
					     refill.work);
	bool filled;

	napi_disable(&rq->napi);
	filled = virtnet_fill(rq, GFP_KERNEL);
	virtnet_rx_on(rq, filled);
}

/* A packet's headers */

/*
 * How much of a packet shall be in the linear part of its skb: the headers
 * that the stack wants there, and no payload, so that GRO can put payload to
 * payload. @len bytes are there to look at, an Ethernet header at least.
 */
static unsigned int virtnet_headers_len(const u8 *data, unsigned int len)
{
	unsigned int off = ETH_HLEN, proto;
	u8 next;

	proto = data[12] << 8 | data[13];
	if (proto == ETH_P_8021Q && len >= off + VLAN_HLEN) {
		proto = data[16] << 8 | data[17];
		off += VLAN_HLEN;
	}

	if (proto == ETH_P_IP && len >= off + VIRTNET_IP_HLEN) {
		next = data[off + VIRTNET_IP_PROTO];
		off += (data[off] & 0xf) * 4;
	} else if (proto == ETH_P_IPV6 && len >= off + VIRTNET_IP6_HLEN) {
		next = data[off + VIRTNET_IP6_NEXT];
		off += VIRTNET_IP6_HLEN;
	} else {
		return min_t(unsigned int, len, VIRTNET_COPY);
	}

	if (next == IPPROTO_TCP && len > off + VIRTNET_TCP_DOFF)
		off += (data[off + VIRTNET_TCP_DOFF] >> 4) * 4;
	else
		off += VIRTNET_UDP_HLEN;
	return min_t(unsigned int, min(off, len), VIRTNET_COPY);
}

/*
 * Where the packet has a checksum to be filled in, that has to be within what
 * was received, and in the linear part. False for a field that makes no sense.
 */
static bool virtnet_csum_end(const struct virtio_net_hdr *hdr,
			     unsigned int avail, unsigned int *linear)
{
	unsigned int end;

	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	end = le16_to_cpu(hdr->csum_start) + le16_to_cpu(hdr->csum_offset) +
	      sizeof(__sum16);
	if (le16_to_cpu(hdr->csum_start) < ETH_HLEN || end > avail ||
	    end > VIRTNET_COPY)
		return false;
	*linear = max(*linear, end);
	return true;
}

static bool virtnet_set_gso(struct sk_buff *skb,
			    const struct virtio_net_hdr *hdr)
{
	bool ecn = hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN;
	__be16 proto = htons(ETH_P_IP);
	unsigned int type;

	switch (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		type = SKB_GSO_TCPV4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		type = SKB_GSO_TCPV6;
		proto = htons(ETH_P_IPV6);
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
		/* For either version of IP. */
		type = SKB_GSO_UDP;
		if (skb->protocol == htons(ETH_P_IPV6))
			proto = htons(ETH_P_IPV6);
		if (ecn)
			return false;
		break;
	default:
		return false;
	}
	/* A tagged packet's own protocol is behind the tag: the stack looks. */
	if (skb->protocol != proto && skb->protocol != htons(ETH_P_8021Q))
		return false;
	/* Section 5.1.6.4.1: segments have checksums to be filled in. */
	if (!hdr->gso_size || !(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return false;

	if (ecn)
		type |= SKB_GSO_TCP_ECN;
	skb_shinfo(skb)->gso_size = le16_to_cpu(hdr->gso_size);
	/* Not to be believed: the stack checks the headers, and counts. */
	skb_shinfo(skb)->gso_type = type | SKB_GSO_DODGY;
	skb_shinfo(skb)->gso_segs = 0;
	return true;
}

/*
 * The packet's own header, section 5.1.6.4. The skb begins with the Ethernet
 * header. False for one that makes no sense.
 */
static bool virtnet_finish_skb(struct virtnet_rq *rq, struct sk_buff *skb,
			       const struct virtio_net_hdr *hdr)
{
	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		skb->ip_summed = CHECKSUM_PARTIAL;
		skb->csum_start = skb_headroom(skb) +
				  le16_to_cpu(hdr->csum_start);
		skb->csum_offset = le16_to_cpu(hdr->csum_offset);
	} else if (hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	}

	if (is_multicast_ether_addr(skb->data))
		virtnet_count(rq, multicast);
	skb->protocol = eth_type_trans(skb, rq->vi->dev);
	skb_record_rx_queue(skb, rq->index);

	return hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE ||
	       virtnet_set_gso(skb, hdr);
}

/* Packets */

/* Gives back the pages of rq->seg, from @first to before @n. */
static void virtnet_put_segments(struct virtnet_rq *rq, unsigned int first,
				 unsigned int n)
{
	for (; first < n; first++)
		virtnet_put_page(rq, rq->seg[first].page);
}

static void virtnet_set_segment(struct virtnet_rq *rq, unsigned int n,
				struct page *page, unsigned int len)
{
	rq->seg[n].page = page;
	rq->seg[n].offset = 0;
	rq->seg[n].len = len;
}

/* A packet in one buffer: its pages go to rq->seg, and how many is returned. */
static int virtnet_split_buffer(struct virtnet_rq *rq, struct page *page,
				unsigned int len)
{
	struct page *next;
	unsigned int n = 0;

	for (; page && len; page = next) {
		next = virtnet_next_page(page);
		virtnet_set_segment(rq, n, page,
				    min(len, virtnet_page_size(page)));
		len -= rq->seg[n++].len;
	}
	/* What is left of the buffer was not needed. */
	virtnet_put_chain(rq, page);
	return n;
}

/*
 * A packet in @num buffers of a page each, of which the first is in rq->seg:
 * takes the others off the queue. Returns how many there were, or -EINVAL with
 * all of them given back: too many, one that is empty or overrun, or fewer
 * than the header said.
 */
static int virtnet_collect_buffers(struct virtnet_rq *rq, unsigned int num)
{
	struct page *page;
	unsigned int n = 1, len;
	bool overrun, bad = !num || num > VIRTNET_MAX_PAGES;

	while (n < num) {
		page = virtqueue_get_buf_check(rq->vq, &len, &overrun);
		if (!page) {
			bad = true;
			break;
		}
		bad |= overrun || !len;
		if (bad) {
			/* It was part of that packet, so it goes with it. */
			virtnet_put_page(rq, page);
			num--;
			continue;
		}
		virtnet_set_segment(rq, n++, page, len);
	}
	if (!bad)
		return n;
	virtnet_put_segments(rq, 0, n);
	return -EINVAL;
}

/*
 * A large page with little in it would have the packet accounted for with all
 * of that page: the little is copied to a small one, if there is one.
 */
static void virtnet_shrink_segment(struct virtnet_rq *rq,
				   struct virtnet_segment *seg)
{
	struct page *page;

	if (virtnet_page_size(seg->page) <= 2 * PAGE_SIZE ||
	    seg->len > PAGE_SIZE)
		return;
	page = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
	if (!page)
		return;
	memcpy(page_address(page), page_address(seg->page) + seg->offset,
	       seg->len);
	virtnet_put_page(rq, seg->page);
	seg->page = page;
	seg->offset = 0;
}

/*
 * Makes an skb of rq->seg: the headers, or all of a small packet, are copied;
 * whole pages become fragments. NULL without memory or with a checksum field
 * out of range; the pages are given back then, and counted is why.
 */
static struct sk_buff *virtnet_build_skb(struct virtnet_rq *rq, unsigned int n,
					 const struct virtio_net_hdr *hdr)
{
	struct virtnet_segment *seg = &rq->seg[0];
	const u8 *data = page_address(seg->page);
	unsigned int i, linear, frags = 0;
	struct sk_buff *skb;

	data += rq->vi->hdr_len;
	seg->offset = rq->vi->hdr_len;
	seg->len -= rq->vi->hdr_len;
	linear = n == 1 && seg->len <= VIRTNET_COPY ? seg->len :
		 virtnet_headers_len(data, seg->len);
	if (!virtnet_csum_end(hdr, seg->len, &linear)) {
		virtnet_count(rq, header_errors);
		goto drop;
	}

	skb = netdev_alloc_skb_ip_align(rq->vi->dev, VIRTNET_COPY);
	if (unlikely(!skb)) {
		virtnet_count(rq, no_memory);
		goto drop;
	}
	memcpy(skb_put(skb, linear), data, linear);
	seg->offset += linear;
	seg->len -= linear;

	for (i = 0; i < n; i++, seg++) {
		if (!seg->len) {
			virtnet_put_page(rq, seg->page);
			continue;
		}
		if (unlikely(frags == MAX_SKB_FRAGS)) {
			virtnet_count(rq, length_errors);
			virtnet_put_segments(rq, i, n);
			dev_kfree_skb_any(skb);
			return NULL;
		}
		virtnet_shrink_segment(rq, seg);
		virtnet_lend_page(rq, seg->page);
		skb_fill_page_desc(skb, frags++, seg->page, seg->offset,
				   seg->len);
		skb->len += seg->len;
		skb->data_len += seg->len;
		skb->truesize += virtnet_page_size(seg->page);
	}
	return skb;

drop:
	virtnet_put_segments(rq, 0, n);
	return NULL;
}

/*
 * Takes the packet whose first buffer is @page. The header is copied out of
 * the device's reach before anything in it is looked at.
 */
static void virtnet_receive(struct virtnet_rq *rq, struct page *page,
			    unsigned int len, bool overrun)
{
	struct virtnet_info *vi = rq->vi;
	struct virtio_net_hdr hdr;
	struct sk_buff *skb;
	int n;

	if (unlikely(overrun || len < vi->hdr_len + ETH_HLEN)) {
		virtnet_count(rq, length_errors);
		virtnet_put_chain(rq, page);
		return;
	}
	memcpy(&hdr, page_address(page), vi->hdr_len);

	n = virtnet_split_buffer(rq, page, len);
	if (vi->mergeable)
		n = virtnet_collect_buffers(rq, le16_to_cpu(hdr.num_buffers));
	if (unlikely(n < 0)) {
		virtnet_count(rq, length_errors);
		return;
	}

	skb = virtnet_build_skb(rq, n, &hdr);
	if (unlikely(!skb))
		return;
	len = skb->len;
	if (vi->mergeable)
		virtnet_average_len(rq, len);
	if (unlikely(!virtnet_finish_skb(rq, skb, &hdr))) {
		virtnet_count(rq, header_errors);
		dev_kfree_skb_any(skb);
		return;
	}
	virtnet_count_packet(rq, len);
	napi_gro_receive(&rq->napi, skb);
}

/* Interrupts while much is being sent */

/*
 * After how many more packets an interrupt is wanted, less one. While much is
 * being sent, what comes in is acknowledgements, a few with each interrupt,
 * and a sender has better things to do: so there shall be as many with the
 * next one. Should they not come, virtnet_rx_late() takes those that did, and
 * for a while none are waited for. Whoever sends little and waits for an
 * answer gets that at once.
 */
static unsigned int virtnet_ahead(struct virtnet_rq *rq, unsigned int packets,
				  u64 bytes)
{
	const struct virtnet_tx_stats *sent = &rq->vi->sq[rq->index].stats;
	u64 sent_packets = sent->packets - rq->sent_packets;
	u64 sent_bytes = sent->bytes - rq->sent_bytes;

	rq->sent_packets += sent_packets;
	rq->sent_bytes += sent_bytes;
	if (rq->hold) {
		rq->hold--;
		return 0;
	}
	if (packets < 2 || bytes > packets * VIRTNET_ACK_LEN ||
	    sent_packets < 2 || sent_bytes < sent_packets * PAGE_SIZE)
		return 0;
	return min_t(unsigned int, packets - 1, VIRTNET_MAX_AHEAD);
}

/**
 * virtnet_rx_late - fewer packets came than were waited for
 * @timer:	virtnet_rq::late
 *
 * Softirq.
 */
void virtnet_rx_late(struct timer_list *timer)
{
	struct virtnet_rq *rq = from_timer(rq, timer, late);

	rq->hold = VIRTNET_HOLD;
	virtnet_rx_done(rq->vq);
}

/**
 * virtnet_rx_poll - NAPI of a receive queue
 * @napi:	its NAPI
 * @budget:	most packets to take
 *
 * Returns how many it took.
 */
int virtnet_rx_poll(struct napi_struct *napi, int budget)
{
	struct virtnet_rq *rq = container_of(napi, struct virtnet_rq, napi);
	unsigned int *polled = &per_cpu(virtnet_polled, smp_processor_id());
	unsigned int len, state, ahead, before = *polled;
	u64 bytes = rq->stats.bytes;
	struct page *page;
	bool overrun;
	int done = 0;

	*polled = rq->index + 1;
	virtnet_tx_clean(&rq->vi->sq[rq->index]);

	while (done < budget &&
	       (page = virtqueue_get_buf_check(rq->vq, &len, &overrun))) {
		virtnet_receive(rq, page, len, overrun);
		done++;
	}

	if (rq->index < rq->vi->pairs &&
	    virtnet_in_use(rq) <= virtnet_wanted(rq) * 3 / 4 &&
	    !virtnet_fill(rq, GFP_ATOMIC))
		virtnet_refill_later(rq);

	if (done < budget) {
		ahead = virtnet_ahead(rq, done, rq->stats.bytes - bytes);
		state = virtqueue_enable_cb_after(rq->vq, ahead);
		if (napi_complete_done(napi, done) &&
		    virtqueue_poll_after(rq->vq, state, ahead) &&
		    napi_schedule_prep(napi)) {
			virtqueue_disable_cb(rq->vq);
			__napi_schedule(napi);
		} else if (ahead) {
			/*
			 * Only now, when it can schedule NAPI. One more: the
			 * jiffy that is now may be about to end.
			 */
			mod_timer(&rq->late, jiffies + 1 +
				  msecs_to_jiffies(VIRTNET_LATE_MS));
		}
	}
	/* netpoll comes here in the middle of another queue's turn. */
	*polled = before;
	return done;
}

/* Interrupt: packets came. */
void virtnet_rx_done(struct virtqueue *vq)
{
	struct virtnet_info *vi = vq->vdev->priv;
	struct napi_struct *napi = &vi->rq[vq->index / 2].napi;

	/* Whoever schedules it owns it, and the queue with it. */
	if (napi_schedule_prep(napi)) {
		virtqueue_disable_cb(vq);
		__napi_schedule(napi);
	}
}

/**
 * virtnet_rx_start - let a receive queue work
 * @rq:		the queue; its NAPI is off
 * @fill:	it is in use: give it buffers
 *
 * Process context.
 */
void virtnet_rx_start(struct virtnet_rq *rq, bool fill)
{
	bool filled = !fill || virtnet_fill(rq, GFP_KERNEL);

	virtnet_rx_on(rq, filled);
}

/**
 * virtnet_rx_stop - stop a receive queue
 * @rq:		the queue; vi->refill_on is false
 *
 * The device keeps its buffers. Process context.
 */
void virtnet_rx_stop(struct virtnet_rq *rq)
{
	cancel_delayed_work_sync(&rq->refill);
	napi_disable(&rq->napi);
	del_timer_sync(&rq->late);
}

/**
 * virtnet_rx_free - free all pages of a receive queue
 * @rq:		the queue; the device was reset and its NAPI is off
 *
 * Process context.
 */
void virtnet_rx_free(struct virtnet_rq *rq)
{
	struct page *page, *next;

	while ((page = virtqueue_detach_unused_buf(rq->vq)))
		for (; page; page = next) {
			next = virtnet_next_page(page);
			set_page_private(page, 0);
			put_page(page);
		}
	virtnet_free_pages(rq);
	/* A poll starts it when it is through: behind virtnet_rx_stop(), even. */
	del_timer_sync(&rq->late);
}
