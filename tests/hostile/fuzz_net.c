// SPDX-License-Identifier: GPL-2.0
/*
 * The network driver, with a card that says anything in its config space and
 * in the headers of packets, returns buffers with any length, count and id,
 * refuses commands or never answers, breaks, asks for a reset or is pulled
 * out, while packets are sent and received and the interface goes up and
 * down. Every packet and every page is accounted for in the end.
 */
#include "feed.h"
#include "nic.h"
#include <linux/ethtool.h>
#include <linux/netdevice.h>

static struct nic the_nic, *nic = &the_nic;
static bool at_barriers;

/* Receive buffers that the device has, by their heads. */
#define MAX_POSTED	256
static u16 posted[FN_MAX_QUEUES][MAX_POSTED];
static unsigned int num_posted[FN_MAX_QUEUES];
static void (*nic_reset)(struct fn *fn);
static bool (*nic_forget_any)(struct fn *fn, unsigned int q, u32 head);

static void forget_posted(struct fn *fn)
{
	memset(num_posted, 0, sizeof(num_posted));
	nic_reset(fn);
}

static void configure(void)
{
	struct fn *fn = &nic->fn;
	unsigned int i, pairs;
	u8 what = feed_u8();

	pairs = 1 + feed_u8() % 4;
	nic->config.max_virtqueue_pairs = pairs;
	nic->config.mtu = feed_u8() & 1 ? 1500 : feed_number();
	nic_set_config(nic);
	if (what & 1)
		for (i = feed_u8() % 8; i; i--)
			fn->device_config[feed_u8() % 18] = feed_number();
	feed_function(fn, what);
	if (what & 64)
		fn->features |= 1ULL << VIRTIO_NET_F_MQ;
	fn->num_queues = 2 * pairs + 1;
	fn->pci.msix_table = feed_u8() % 12;
	shim_cpus = 1 + feed_u8() % 4;
	for (i = 0; i < FN_MAX_QUEUES; i++) {
		fn->queue[i].max = 32 << feed_u8() % 2;
		if (what & 128 && feed_u8() < 64)
			fn->queue[i].max = 1 << feed_u8() % 5;
		fn->queue[i].size = fn->queue[i].max;
	}
	at_barriers = feed_u8() & 1;
}

static bool working(unsigned int q)
{
	return !nic->fn.gone && nic->fn.queue[q].enable &&
	       nic->fn.status & VIRTIO_CONFIG_S_DRIVER_OK;
}

static bool is_rx(unsigned int q)
{
	return !(q & 1) && !(nic_has(nic, VIRTIO_NET_F_CTRL_VQ) &&
			     q == nic_ctrl_queue(nic));
}

static void take_posted(unsigned int q)
{
	static struct chain chain;

	while (num_posted[q] < MAX_POSTED &&
	       ring_pop(&nic->fn.queue[q].ring, &chain))
		posted[q][num_posted[q]++] = chain.head;
}

static bool forget_head(u16 *heads, unsigned int *num, u16 head)
{
	unsigned int i;

	for (i = 0; i < *num; i++)
		if (heads[i] == head) {
			memmove(heads + i, heads + i + 1,
				(--*num - i) * sizeof(*heads));
			return true;
		}
	return false;
}

/* A header that may be right. */
static void make_header(struct virtio_net_hdr *hdr, u8 how)
{
	memset(hdr, 0, sizeof(*hdr));
	if (how & 1) {
		hdr->flags = feed_u8() & 3;
		hdr->gso_type = feed_u8() & 0x87;
		hdr->gso_size = feed_u8() & 1 ? 1448 : feed_number();
		hdr->csum_start = feed_u8() & 1 ? 34 : feed_number();
		hdr->csum_offset = feed_u8() & 1 ? 16 : feed_number();
	}
	if (how & 2)
		hdr->hdr_len = feed_number();
}

/* A packet, right or wrong, in one buffer or several. */
static void receive(void)
{
	static const u16 protos[] = { 0x0800, 0x86dd, 0x8100, 0x88b5 };
	unsigned int q = 2 * (feed_u8() % nic->config.max_virtqueue_pairs);
	unsigned int n = 0, i, at, len, want;
	struct virtio_net_hdr hdr;
	static struct chain chain;
	u8 how = feed_u8();
	struct ring *ring;
	u16 proto;
	u8 *p;

	q %= nic->fn.num_queues;
	if (!working(q) || !is_rx(q))
		return;
	ring = &nic->fn.queue[q].ring;
	take_posted(q);
	make_header(&hdr, how);
	want = 1 + (how & 4 ? feed_u8() % 19 : 0);
	hdr.num_buffers = how & 8 ? feed_number() : want;
	proto = protos[feed_u8() % 4];
	for (i = 0; i < want && num_posted[q]; i++) {
		/* In any order. */
		at = how & 16 ? feed_u8() % num_posted[q] : 0;
		chain.head = posted[q][at];
		ring_walk(ring, &chain);
		forget_head(posted[q], &num_posted[q], chain.head);
		BUG_ON(!chain.n || !chain.seg[0].write);
		p = chain.seg[0].p;
		if (!i) {
			memcpy(p, &hdr, sizeof(hdr));
			for (n = sizeof(hdr); n < 120; n++)
				p[n] = how & 32 ? feed_u8() : 0x45;
			p[24] = proto >> 8;
			p[25] = proto;
		}
		len = how & 64 ? feed_number() : i + 1 < want ? chain.in_len :
		      min(60U + feed_u16() % 1500, chain.in_len);
		ring_push(ring, chain.head, len);
	}
	if (ring_wants_irq(ring) || how & 128)
		fn_queue_irq(&nic->fn, q);
}

/* Receive buffers are taken when a packet comes. */
static bool forget_any(struct fn *fn, unsigned int q, u32 head)
{
	if (!is_rx(q))
		return nic_forget_any(fn, q, head);
	take_posted(q);
	return forget_head(posted[q], &num_posted[q], head);
}

static void nic_acts(void)
{
	struct fn *fn = &nic->fn;
	unsigned int q = feed_u8() % fn->num_queues;
	u8 op = feed_u8();

	if (fn->gone)
		return;
	switch (op % 12) {
	case 0 ... 2:
		fn_serve_all();
		break;
	case 3:
		nic_release(nic, feed_u8(), op & 0x80);
		break;
	case 4:
		nic->hold = op & 0x80;
		break;
	case 5:
		nic->answer = op & 0x80 ? NIC_ANSWERS : feed_u8() % 3;
		nic->refused_class = op & 0x40 ? feed_u8() % 6 : -1;
		break;
	case 6:
		if (working(nic_ctrl_queue(nic)))
			nic_answer_late(nic);
		break;
	case 7:		/* something that nobody asked for */
		if (working(q))
			feed_push(fn, q, op & 0x80 ? feed_u8() % 32 : feed_number());
		break;
	case 8:
		fn_queue_irq(fn, q);
		break;
	case 9:
		nic->config.status = feed_u8();
		fn->device_config[6] = nic->config.status;
		fn_config_irq(fn);
		break;
	case 10:
		fn->device_config[feed_u8() % 18] = feed_number();
		fn_config_irq(fn);
		break;
	case 11:
		if (feed_u8() & 3)
			break;
		feed_break(fn, op);
		break;
	}
}

/* Between two steps of the driver, now and then. */
static void barrier_acts(void)
{
	static bool busy;

	if (busy || !feed_left || feed_u8() >= 8)
		return;
	busy = true;
	if (feed_u8() & 1)
		receive();
	else
		nic_acts();
	busy = false;
}

/* What the stack may send through this interface as it is. */
static void submit(struct net_device *dev)
{
	unsigned int frags = 0, linear = 60 + feed_u8();
	static const struct {
		SHIM_FEATURES feature;
		unsigned int type;
	} gso[] = {
		{ NETIF_F_TSO, SKB_GSO_TCPV4 }, { NETIF_F_TSO6, SKB_GSO_TCPV6 },
		{ NETIF_F_TSO_ECN, SKB_GSO_TCP_ECN },
	};
	unsigned int headroom = feed_u8() % 70, i;
	struct sk_buff *skb;
	u8 how = feed_u8();

	if (!(dev->flags & IFF_UP))
		return;
	if (dev->features & NETIF_F_SG)
		frags = feed_u8() % (MAX_SKB_FRAGS + 1);
	skb = shim_skb(headroom, linear, frags, 1 + feed_u8() * 13);
	skb->header_cloned = how & 1;
	if (how & 2 && dev->features & NETIF_F_HW_CSUM) {
		skb->ip_summed = CHECKSUM_PARTIAL;
		skb->csum_start = headroom + 34;
		skb->csum_offset = 16;
		i = feed_u8() % ARRAY_SIZE(gso);
		if (how & 4 && dev->features & gso[i].feature) {
			skb_shinfo(skb)->gso_size = 1448;
			skb_shinfo(skb)->gso_type = gso[i].type;
			if (gso[i].type == SKB_GSO_TCP_ECN)
				skb_shinfo(skb)->gso_type |= SKB_GSO_TCPV6;
			if (gso[i].type == SKB_GSO_TCP_ECN &&
			    !(dev->features & NETIF_F_TSO6))
				skb_shinfo(skb)->gso_size =
					skb_shinfo(skb)->gso_type = 0;
		}
	}
	shim_cpu = feed_u8() % shim_cpus;
#ifdef COMPAT_HAVE_NETDEV_XMIT_MORE
	shim_xmit_more = how & 8;
#endif
	if (how & 16)
		shim_fail_nth(1 + feed_u8() % 8, FAIL_MAP | FAIL_SKB);
	if (shim_xmit(dev, skb) != NETDEV_TX_OK)
		dev_kfree_skb_any(skb);
	shim_fail_nth(0, 0);
}

static void configure_interface(struct net_device *dev)
{
	struct ethtool_channels channels;
	u8 mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 0 };
	struct rtnl_link_stats64 stats;

	switch (feed_u8() % 9) {
	case 0:
		shim_net_flags(dev, (u32)feed_u8() << 8 & (IFF_PROMISC | IFF_ALLMULTI));
		break;
	case 1:
		mac[5] = feed_u8() % 4;
		mac[0] |= feed_u8() & 1;
		/* Once each. */
		shim_net_addr(dev, mac[0] & 1, mac, false);
		shim_net_addr(dev, mac[0] & 1, mac, feed_u8() & 1);
		break;
	case 2:
		mac[5] = feed_u8();
		shim_net_mac(dev, mac);
		break;
	case 3:
		shim_net_vlan(dev, feed_u16() % 4096, feed_u8() & 1);
		break;
	case 4:
		shim_net_rx_csum(dev, feed_u8() & 1);
		break;
	case 5:
		shim_net_gro_hw(dev, feed_u8() & 1);
		break;
	case 6:
		shim_net_mtu(dev, feed_number());
		break;
	case 7:
		memset(&channels, 0, sizeof(channels));
		channels.combined_count = feed_u8() % 6;
		shim_net_channels(dev, &channels, true);
		break;
	case 8:
		shim_net_stats(dev, &stats);
		shim_net_counter(dev, "rx0_packets");
		break;
	}
}

static void host_acts(void)
{
	struct net_device *dev = shim_netdev(0);
	u8 op = feed_u8();

	if (op & 0x80)
		shim_fail_nth(1 + feed_u8() % 40, FAIL_ALL & ~FAIL_IRQ);
	switch (op % 12) {
	case 0:
	case 1:
		if (dev)
			shim_net_open(dev);
		break;
	case 2:
		if (dev)
			shim_net_close(dev);
		break;
	case 3:
	case 4:
		if (dev && !dev->detached)
			configure_interface(dev);
		break;
	case 5:
		if (feed_u8() < 32)
			feed_rebind(&nic->fn);
		break;
	case 6 ... 8:
		shim_run();
		break;
	case 9:
		shim_run_for(feed_u8());
		break;
	case 10:
		feed_sleep(&nic->fn, feed_u8());
		break;
	case 11:
		if (feed_u8() < 32)
			feed_shutdown(&nic->fn);
		break;
	}
	shim_fail_nth(0, 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	feed_start(data, size);
	shim_idle = fn_serve_all;
	BUG_ON(shim_init_virtio() || shim_init_virtio_pci() ||
	       shim_init_virtio_net());
	nic_init(nic, 1);
	nic->fn.lying = true;
	nic_reset = nic->fn.on_reset;
	nic->fn.on_reset = forget_posted;
	nic_forget_any = nic->fn.forget;
	nic->fn.forget = forget_any;
	memset(num_posted, 0, sizeof(num_posted));
	configure();
	fn_plug(&nic->fn);
	/* What is fuzzed most is an interface that is up. */
	if (shim_netdev(0))
		shim_net_open(shim_netdev(0));
	shim_at_barrier = at_barriers ? barrier_acts : NULL;
	while (feed_left) {
		u8 who = feed_u8() % 10;

		shim_still_alive();
		if (who < 3)
			receive();
		else if (who < 5 && shim_netdev(0))
			submit(shim_netdev(0));
		else if (who < 8)
			nic_acts();
		else
			host_acts();
		if (who & 1)
			shim_run();
		shim_drop_received();
	}

	shim_still_alive();
	shim_run();
	shim_still_alive();
	shim_at_barrier = NULL;
	fn_unplug(&nic->fn);
	shim_drop_received();
	nic_forget(nic);
	shim_exit_virtio_net();
	shim_exit_virtio_pci();
	shim_exit_virtio();
	shim_finish();
	return 0;
}
