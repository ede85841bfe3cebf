// SPDX-License-Identifier: GPL-2.0
/*
 * From the stack to the device, virtio 1.2 section 5.1.6.2.
 *
 * A packet that was sent is freed by the next one, or when packets are
 * received: no interrupt is asked for until the queue is full. For that, a
 * packet is parted from its socket when the device gets it.
 */
#include "virtio_net.h"

static struct netdev_queue *virtnet_txq(struct virtnet_sq *sq)
{
	return netdev_get_tx_queue(sq->vi->dev, sq->index);
}

/* Frees what the device has sent. Under the tx lock. */
static void virtnet_tx_reap(struct virtnet_sq *sq)
{
	struct sk_buff *skb;
	unsigned int len;

	while ((skb = virtqueue_get_buf(sq->vq, &len)))
		dev_kfree_skb_any(skb);
}

/*
 * Called when the queue is stopped: either there is room now, or the device is
 * asked for an interrupt when much of what it holds was sent. Under the tx
 * lock. Returns whether there is room.
 */
static bool virtnet_tx_await_room(struct virtnet_sq *sq)
{
	while (sq->vq->num_free < sq->vi->tx_room) {
		if (virtqueue_enable_cb_delayed(sq->vq))
			return false;
		virtnet_tx_reap(sq);
		if (virtqueue_is_broken(sq->vq))
			return false;
	}
	virtqueue_disable_cb(sq->vq);
	return true;
}

/* Section 5.1.6.2.1: what the device has to do to the packet. */
static int virtnet_tx_header(const struct virtnet_info *vi,
			     const struct sk_buff *skb,
			     struct virtio_net_hdr *hdr)
{
	unsigned int type;

	memset(hdr, 0, vi->hdr_len);
	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		hdr->csum_start = cpu_to_le16(skb_checksum_start_offset(skb));
		hdr->csum_offset = cpu_to_le16(skb->csum_offset);
	}
	if (!skb_is_gso(skb))
		return 0;

	type = skb_shinfo(skb)->gso_type;
	if (type & SKB_GSO_TCPV4)
		hdr->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	else if (type & SKB_GSO_TCPV6)
		hdr->gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	else if (type & SKB_GSO_UDP)
		hdr->gso_type = VIRTIO_NET_HDR_GSO_UDP;
	else
		return -EINVAL;
	if (type & SKB_GSO_TCP_ECN)
		hdr->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	hdr->hdr_len = cpu_to_le16(min_t(unsigned int, skb_headlen(skb),
					 U16_MAX));
	hdr->gso_size = cpu_to_le16(skb_shinfo(skb)->gso_size);
	return 0;
}

/*
 * The header goes in front of the packet where that is ours to write to, or
 * into the packet's control block. Returns the number of entries of sq->sg.
 */
static int virtnet_tx_map(struct virtnet_sq *sq, struct sk_buff *skb)
{
	unsigned int hdr_len = sq->vi->hdr_len;
	unsigned int i, n = 0, nr_frags;
	struct virtio_net_hdr *hdr;
	skb_frag_t *frag;
	bool push;
	int err;

	/* A ring this short does not take a packet with many fragments. */
	if (unlikely(skb_shinfo(skb)->nr_frags + 2 >
		     virtqueue_get_vring_size(sq->vq)) && skb_linearize(skb))
		return -ENOMEM;

	push = !sq->vi->split_hdr && !skb_header_cloned(skb) &&
	       skb_headroom(skb) >= hdr_len &&
	       IS_ALIGNED((unsigned long)skb->data - hdr_len, sizeof(u16));
	hdr = push ? (void *)(skb->data - hdr_len) : (void *)skb->cb;
	err = virtnet_tx_header(sq->vi, skb, hdr);
	if (err)
		return err;

	nr_frags = skb_shinfo(skb)->nr_frags;
	if (!push)
		sg_set_buf(&sq->sg[n++], hdr, hdr_len);
	sg_set_buf(&sq->sg[n++], push ? (void *)hdr : skb->data,
		   skb_headlen(skb) + (push ? hdr_len : 0));
	for (i = 0; i < nr_frags; i++) {
		frag = &skb_shinfo(skb)->frags[i];
		sg_set_page(&sq->sg[n++], skb_frag_page(frag),
			    skb_frag_size(frag), skb_frag_off(frag));
	}
	return n;
}

static int virtnet_tx_add(struct virtnet_sq *sq, struct sk_buff *skb)
{
	int n = virtnet_tx_map(sq, skb);

	if (n < 0)
		return n;
	return virtqueue_add_outbuf(sq->vq, sq->sg, n, skb);
}

/* Tells the device what there is to send, if it wants to be told. */
static void virtnet_tx_kick(struct virtnet_sq *sq)
{
	if (virtqueue_kick_prepare(sq->vq)) {
		virtnet_count(sq, kicks);
		virtqueue_notify(sq->vq);
	}
}

/**
 * virtnet_start_xmit - net_device_ops::ndo_start_xmit
 * @skb:	the packet
 * @dev:	the interface
 *
 * Under the tx lock of the packet's queue, with bottom halves off.
 */
netdev_tx_t virtnet_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct virtnet_info *vi = netdev_priv(dev);
	struct virtnet_sq *sq = &vi->sq[skb_get_queue_mapping(skb)];
	struct netdev_queue *txq = virtnet_txq(sq);
	bool more = netdev_xmit_more();
	unsigned int len = skb->len;

	if (unlikely(virtnet_tx_add(sq, skb))) {
		/* Broken, or not to be mapped: no use in trying again. */
		virtnet_count(sq, dropped);
		dev_kfree_skb_any(skb);
		/* What came before it must not wait for a packet after it. */
		virtnet_tx_kick(sq);
		return NETDEV_TX_OK;
	}
	/* The device can begin while the rest is done. */
	if (!more)
		virtnet_tx_kick(sq);
	virtnet_count_packet(sq, len);

	/* It may be here for long. */
	skb_orphan(skb);
	nf_reset_ct(skb);

	virtnet_tx_reap(sq);
	if (unlikely(sq->vq->num_free < vi->tx_room)) {
		netif_tx_stop_queue(txq);
		virtnet_count(sq, stopped);
		if (virtnet_tx_await_room(sq))
			netif_tx_start_queue(txq);
		else if (more)
			virtnet_tx_kick(sq);
	}
	return NETDEV_TX_OK;
}

/* Interrupt: there is room in a queue that was full. */
void virtnet_tx_done(struct virtqueue *vq)
{
	struct virtnet_info *vi = vq->vdev->priv;

	napi_schedule(&vi->sq[vq->index / 2].napi);
}

/*
 * Frees what was sent, and lets a stopped queue go on if there is room. Under
 * the tx lock.
 */
static void virtnet_tx_wake(struct virtnet_sq *sq)
{
	struct netdev_queue *txq = virtnet_txq(sq);

	virtnet_tx_reap(sq);
	/* One that is detached, to fall asleep, is stopped for that. */
	if (netif_tx_queue_stopped(txq) && netif_device_present(sq->vi->dev) &&
	    virtnet_tx_await_room(sq))
		netif_tx_wake_queue(txq);
}

/**
 * virtnet_tx_clean - free what was sent, while somebody is at it anyway
 * @sq:		the queue
 *
 * From the receive side of the same pair, so that packets do not lie there
 * until the next one is sent. Bottom halves are off. Nothing happens if the
 * queue is being used.
 */
void virtnet_tx_clean(struct virtnet_sq *sq)
{
	struct netdev_queue *txq = virtnet_txq(sq);

	if (sq->index >= sq->vi->pairs || !__netif_tx_trylock(txq))
		return;
	virtnet_tx_wake(sq);
	__netif_tx_unlock(txq);
}

/**
 * virtnet_tx_poll - NAPI of a transmit queue that was full
 * @napi:	its NAPI
 * @budget:	not looked at: nothing is received
 *
 * NAPI is completed first: before 4.10 an interrupt that comes before that is
 * lost, and nobody would wake the queue. netpoll may come here while this CPU
 * is in the middle of sending, so the lock is only tried for, and somebody
 * else is let go first.
 */
int virtnet_tx_poll(struct napi_struct *napi, int budget)
{
	struct virtnet_sq *sq = container_of(napi, struct virtnet_sq, napi);
	struct netdev_queue *txq = virtnet_txq(sq);

	napi_complete_done(napi, 0);
	if (__netif_tx_trylock(txq)) {
		virtnet_tx_wake(sq);
		__netif_tx_unlock(txq);
	} else {
		napi_schedule(napi);
	}
	return 0;
}

/**
 * virtnet_tx_free - free what the device will not send any more
 * @sq:		the queue; the device was reset
 *
 * Process context.
 */
void virtnet_tx_free(struct virtnet_sq *sq)
{
	struct sk_buff *skb;

	while ((skb = virtqueue_detach_unused_buf(sq->vq)))
		dev_kfree_skb_any(skb);
}
