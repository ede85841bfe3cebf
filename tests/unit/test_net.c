// SPDX-License-Identifier: GPL-2.0
/*
 * The network driver on the whole stack: bus, ring and PCI, with a network
 * card in software.
 */
#include "unit.h"
#include "nic.h"
#include <linux/ethtool.h>
#include <linux/netdevice.h>

#define F(bit)	(1ULL << (bit))
#define ADDRESS	"0000:01:00.0"
#define HDR_LEN	nic_hdr_len(nic)

/* Packets up to this length are copied: the driver's VIRTNET_COPY. */
#define COPY	256

static struct nic *nic;
static u8 packet[70000];
static const struct virtio_net_hdr no_hdr;

static int net_setup(void **state)
{
	unsigned int i;

	stack_setup(state);
	nic = nic_new(1);
	for (i = 0; i < sizeof(packet); i++)
		packet[i] = i * 11 + i / 256;
	/* To us, of a protocol that nobody looks into. */
	packet[0] = 0x52;
	packet[12] = 0x88;
	packet[13] = 0xb5;
	return 0;
}

static int net_teardown(void **state)
{
	int ret = stack_teardown(state);

	nic_free(nic);
	return ret;
}

static void renew(void)
{
	nic_free(nic);
	nic = nic_new(1);
}

static void without(unsigned int bit)
{
	nic->fn.features &= ~F(bit);
}

static void with(unsigned int bit)
{
	nic->fn.features |= F(bit);
}

static void set_queue_size(unsigned int queue, unsigned int size)
{
	nic->fn.queue[queue].max = size;
	nic->fn.queue[queue].size = size;
}

static void set_mtu(unsigned int mtu)
{
	with(VIRTIO_NET_F_MTU);
	nic->config.mtu = mtu;
	nic_set_config(nic);
}

static void set_pairs(unsigned int pairs, unsigned int cpus)
{
	with(VIRTIO_NET_F_MQ);
	nic->config.max_virtqueue_pairs = pairs;
	nic->fn.num_queues = 2 * pairs + 1;
	nic->fn.pci.msix_table = 2 * pairs + 2;
	nic_set_config(nic);
	shim_cpus = cpus;
}

static struct net_device *plug(void)
{
	assert_int_equal(fn_plug(&nic->fn), 0);
	settle();
	return shim_netdev(0);
}

static struct net_device *plug_and_open(void)
{
	struct net_device *dev = plug();

	assert_non_null(dev);
	assert_int_equal(shim_net_open(dev), 0);
	settle();
	return dev;
}

static void unplug(void)
{
	fn_unplug(&nic->fn);
	shim_drop_received();
	assert_null(shim_netdev(0));
}

static bool receive_hdr(const struct virtio_net_hdr *hdr, unsigned int len)
{
	return nic_receive(nic, 0, hdr, packet, len);
}

/* The packet reaches the stack as it was. */
static void received(unsigned int len)
{
	static u8 copy[sizeof(packet)];
	struct sk_buff *skb = shim_received();

	assert_non_null(skb);
	assert_int_equal(skb->len, len - ETH_HLEN);
	shim_skb_copy(skb, 0, copy, skb->len);
	assert_memory_equal(copy, packet + ETH_HLEN, skb->len);
	dev_kfree_skb_any(skb);
}

static void receive(unsigned int len)
{
	assert_true(receive_hdr(&no_hdr, len));
	shim_run();
	received(len);
	assert_null(shim_received());
}

/* It does not, and is counted as @what. */
static void dropped(const char *what, const struct virtio_net_hdr *hdr,
		    unsigned int len)
{
	u64 before = shim_net_counter(shim_netdev(0), what);

	assert_true(receive_hdr(hdr, len));
	shim_run();
	assert_null(shim_received());
	assert_int_equal(shim_net_counter(shim_netdev(0), what), before + 1);
}

static void send(struct net_device *dev, unsigned int len)
{
	assert_int_equal(shim_xmit(dev, shim_skb(64, len, 0, 0)), NETDEV_TX_OK);
}

static void assert_one_warning(const char *what)
{
	assert_int_equal(shim_log_count('E'), 0);
	assert_int_equal(shim_log_count('W'), 1);
	if (!shim_log_find(what))
		print_error("nothing about \"%s\" in the log\n", what);
	assert_non_null(shim_log_find(what));
	assert_non_null(strstr(shim_log_find(what), ADDRESS));
}

/* Features and queues */

/* Every set of features that a device may offer leads to an interface. */
static void feature_combinations(void **state)
{
	static const unsigned int bits[] = {
		VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM,
		VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_MTU,
		VIRTIO_NET_F_MAC, VIRTIO_NET_F_GUEST_TSO4,
		VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6,
		VIRTIO_NET_F_MRG_RXBUF, VIRTIO_NET_F_STATUS,
		VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_MQ,
		VIRTIO_NET_F_SPEED_DUPLEX, VIRTIO_RING_F_INDIRECT_DESC,
		VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_ACCESS_PLATFORM,
	};
	unsigned int n, i, r = 1;
	struct net_device *dev;

	for (n = 0; n < 200; n++) {
		r = r * 1103515245 + 12345;
		nic->config.mtu = 1400;
		set_pairs(2, 2);
		for (i = 0; i < ARRAY_SIZE(bits); i++)
			if (r >> (8 + i) & 1)
				with(bits[i]);
			else
				without(bits[i]);
		/* None of them at all, once. */
		if (!n)
			nic->fn.features = F(VIRTIO_F_VERSION_1);
		dev = plug_and_open();
		receive(ETH_HLEN);
		receive(60);
		receive(1414);
		send(dev, 60);
		settle();
		assert_int_equal(nic->num_sent, 1);
		assert_int_equal(shim_log_count('E'), 0);
		assert_int_equal(shim_log_count('W'), 0);
		unplug();
		renew();
	}
}

extern bool *shim_param_csum, *shim_param_gso;

static void module_parameters(void **state)
{
	struct net_device *dev;

	*shim_param_gso = false;
	dev = plug_and_open();
	*shim_param_gso = true;
	assert_true(dev->features & NETIF_F_HW_CSUM);
	assert_false(dev->features & (NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN));
	assert_true(nic_has(nic, VIRTIO_NET_F_GUEST_TSO4));
	unplug();
	renew();
	*shim_param_csum = false;
	dev = plug_and_open();
	*shim_param_csum = true;
	assert_false(dev->features & (NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_RXCSUM));
	assert_false(nic_has(nic, VIRTIO_NET_F_GUEST_TSO4));
	receive(60);
	unplug();
}

static void control_queue_index(void **state)
{
	struct net_device *dev;

	/* One pair, and MQ agreed on: still behind the last. */
	set_pairs(1, 1);
	plug();
	assert_true(nic->num_ctrl <= 1);
	unplug();
	renew();

	/* Four: index 8. */
	set_pairs(4, 4);
	plug();
	assert_int_equal(nic->pairs, 4);
	assert_int_equal(nic->fn.queue[8].enable, 1);
	unplug();
	renew();

	/* Offered with nothing in it, so declined: index 2. */
	set_pairs(4, 4);
	nic->config.max_virtqueue_pairs = 0;
	nic_set_config(nic);
	dev = plug_and_open();
	assert_false(nic_has(nic, VIRTIO_NET_F_MQ));
	assert_int_equal(nic->fn.queue[2].enable, 1);
	assert_int_equal(nic->fn.queue[3].enable, 0);
	shim_net_flags(dev, IFF_PROMISC);
	settle();
	assert_true(nic->promisc);
	unplug();
	renew();

	/* Not there. */
	without(VIRTIO_NET_F_CTRL_VQ);
	nic->fn.num_queues = 2;
	dev = plug_and_open();
	shim_net_flags(dev, IFF_PROMISC);
	settle();
	assert_int_equal(nic->num_ctrl, 0);
	unplug();
}

static void mac_addresses(void **state)
{
	static const u8 other[ETH_ALEN] = { 0x52, 0x54, 0, 9, 8, 7 };
	static const u8 bad[ETH_ALEN] = { 1, 2, 3, 4, 5, 6 };
	struct net_device *dev = plug();

	assert_memory_equal(dev->dev_addr, nic->config.mac, ETH_ALEN);
	assert_int_equal(shim_net_mac(dev, other), 0);
	assert_memory_equal(nic->mac, other, ETH_ALEN);
	assert_memory_equal(dev->dev_addr, other, ETH_ALEN);
	assert_int_equal(shim_net_mac(dev, bad), -EADDRNOTAVAIL);
	nic->answer = NIC_REFUSES;
	assert_int_not_equal(shim_net_mac(dev, nic->config.mac), 0);
	assert_memory_equal(dev->dev_addr, other, ETH_ALEN);
	unplug();
	renew();

	/* It cannot be changed. */
	without(VIRTIO_NET_F_CTRL_MAC_ADDR);
	dev = plug();
	if (fn_face == FN_LEGACY) {
		/* Written to where it was read. */
		assert_int_equal(shim_net_mac(dev, other), 0);
		assert_memory_equal(dev->dev_addr, other, ETH_ALEN);
		assert_memory_equal(nic->fn.device_config, other, ETH_ALEN);
	} else {
		assert_int_equal(shim_net_mac(dev, other), -EOPNOTSUPP);
		assert_memory_equal(dev->dev_addr, nic->config.mac, ETH_ALEN);
	}
	unplug();
	renew();

	/* The device has none, and is told of the one that we made up. */
	without(VIRTIO_NET_F_MAC);
	dev = plug();
	assert_true(is_valid_ether_addr(dev->dev_addr));
	assert_memory_equal(nic->mac, dev->dev_addr, ETH_ALEN);
	unplug();
}

static void mtu_limits(void **state)
{
	struct net_device *dev = plug();

	assert_int_equal(dev->mtu, 1500);
	assert_int_equal(shim_net_mtu(dev, 68), 0);
	assert_int_equal(shim_net_mtu(dev, 65535), 0);
	assert_int_equal(shim_net_mtu(dev, 67), -EINVAL);
	assert_int_equal(shim_net_mtu(dev, 65536), -EINVAL);
	assert_int_equal(shim_net_mtu(dev, -1), -EINVAL);
	assert_int_equal(dev->mtu, 65535);
	unplug();
	renew();

	set_mtu(9000);
	dev = plug();
	assert_int_equal(dev->mtu, 9000);
	assert_int_equal(shim_net_mtu(dev, 9001), -EINVAL);
	assert_int_equal(shim_net_mtu(dev, 1500), 0);
	unplug();
	renew();

	/* Buffers of a page: what fits. */
	nic->fn.features &= F(VIRTIO_F_VERSION_1) | F(VIRTIO_NET_F_MAC);
	dev = plug_and_open();
	assert_int_equal(dev->mtu, 1500);
	assert_int_equal(shim_net_mtu(dev, 4096 - nic_hdr_len(nic) - 18), 0);
	assert_int_equal(shim_net_mtu(dev, 4096 - nic_hdr_len(nic) - 17), -EINVAL);
	receive(4096 - nic_hdr_len(nic));
	unplug();
	renew();

	/* Of three. */
	nic->fn.features &= F(VIRTIO_F_VERSION_1) | F(VIRTIO_NET_F_MAC);
	set_mtu(9000);
	dev = plug_and_open();
	assert_int_equal(dev->mtu, 9000);
	receive(9018);
	unplug();
}

/* Reception */

static void sizes(void)
{
	static const unsigned int lens[] = {
		14, 15, 42, 60, 255, 256, 257, 1514, 4083, 4084, 4085, 4096,
		4097, 4096 * 2 - 13, 4096 * 2 - 12, 4096 * 2 - 11, 9018,
		65535, 65549, 65550, 65553,
	};
	unsigned int i, round;

	for (round = 0; round < 20; round++)
		for (i = 0; i < ARRAY_SIZE(lens); i++)
			receive(lens[i]);
}

static void receive_mergeable(void **state)
{
	struct net_device *dev = plug_and_open();
	struct rtnl_link_stats64 stats;

	assert_int_equal(nic->fn.queue[0].ring.num, 256);
	sizes();
	/* 17 buffers, the most there is. */
	receive(17 * 4096 - 12 > 65553 ? 65553 : 17 * 4096 - 12);
	shim_net_stats(dev, &stats);
	assert_int_equal(stats.rx_packets, 20 * 21 + 1);
	assert_int_equal(stats.rx_errors, 0);
	assert_int_equal(shim_net_counter(dev, "rx0_packets"), 20 * 21 + 1);
	assert_int_equal(shim_log_count('E'), 0);
	unplug();
}

static void receive_big(void **state)
{
	without(VIRTIO_NET_F_MRG_RXBUF);
	plug_and_open();
	sizes();
	unplug();
	renew();

	/* Without indirect descriptors, in rings that this hardly fits. */
	without(VIRTIO_NET_F_MRG_RXBUF);
	without(VIRTIO_RING_F_INDIRECT_DESC);
	set_queue_size(0, 32);
	plug_and_open();
	sizes();
	unplug();
}

static void receive_small(void **state)
{
	static const unsigned int lens[] = { 14, 15, 60, 255, 256, 257, 1514, 1518 };
	unsigned int i, round;

	nic->fn.features &= ~(F(VIRTIO_NET_F_MRG_RXBUF) |
			      F(VIRTIO_NET_F_GUEST_TSO4) |
			      F(VIRTIO_NET_F_GUEST_TSO6) |
			      F(VIRTIO_NET_F_GUEST_UFO));
	plug_and_open();
	for (round = 0; round < 100; round++)
		for (i = 0; i < ARRAY_SIZE(lens); i++)
			receive(lens[i]);
	unplug();
}

/* As if it came from a wire: as many as there are buffers, all at once. */
static void receive_bursts(void **state)
{
	unsigned int round, i, n;
	struct net_device *dev = plug_and_open();

	for (round = 0; round < 20; round++) {
		for (n = 0; n < 1000 && receive_hdr(&no_hdr, 100 + n); n++)
			;
		assert_int_equal(n, 256);
		shim_run();
		for (i = 0; i < n; i++)
			received(100 + i);
		assert_null(shim_received());
	}
	assert_int_equal(shim_net_counter(dev, "rx0_packets"), 20 * 256);
	unplug();
}

/* An IPv4, IPv6 or other packet: what is in the linear part. */
static void header_split(void **state)
{
	static const struct {
		u16 proto;
		bool tagged;
		u8 next;
		unsigned int len, linear;
	} p[] = {
		{ 0x0800, false, 6, 1514, 14 + 20 + 20 },
		{ 0x0800, true, 6, 1518, 18 + 20 + 20 },
		{ 0x86dd, false, 6, 1514, 14 + 40 + 20 },
		{ 0x0800, false, 17, 1514, 14 + 20 + 8 },
		{ 0x86dd, true, 17, 1518, 18 + 40 + 8 },
		{ 0x88b5, false, 0, 1514, 256 },
	};
	unsigned int i, off;
	struct sk_buff *skb;

	plug_and_open();
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		off = 12;
		if (p[i].tagged) {
			packet[off++] = 0x81;
			packet[off++] = 0;
			off += 2;
		}
		packet[off++] = p[i].proto >> 8;
		packet[off++] = p[i].proto;
		packet[off] = p[i].proto == 0x0800 ? 0x45 : 0x60;
		packet[off + (p[i].proto == 0x0800 ? 9 : 6)] = p[i].next;
		packet[off + (p[i].proto == 0x0800 ? 20 : 40) + 12] = 0x50;
		assert_true(receive_hdr(&no_hdr, p[i].len));
		shim_run();
		skb = shim_received();
		assert_int_equal(skb_headlen(skb), p[i].linear - 14);
		dev_kfree_skb_any(skb);
	}
	unplug();
}

/* Whatever the headers say of their own lengths. */
static void header_nonsense(void **state)
{
	unsigned int i, len, r = 1;

	plug_and_open();
	for (i = 0; i < 2000; i++) {
		r = r * 1103515245 + 12345;
		packet[12] = r & 0x10000 ? 0x08 : r & 0x20000 ? 0x86 : 0x81;
		packet[13] = r & 0x10000 ? 0 : r & 0x20000 ? 0xdd : 0;
		packet[14] = r >> 8;
		packet[16] = 0x08;
		packet[17] = 0;
		packet[18] = r >> 10;
		packet[20] = packet[23] = packet[27] = 6;
		packet[26 + r % 80] = r >> 20;
		len = 14 + (r >> 12) % (i % 2 ? 300 : 80);
		receive(len);
	}
	unplug();
}

static void checksums(void **state)
{
	struct virtio_net_hdr hdr = no_hdr;
	struct sk_buff *skb;

	plug_and_open();
	hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr.csum_start = 34;
	hdr.csum_offset = 16;
	/* At the end of the packet, to the byte. */
	assert_true(receive_hdr(&hdr, 52));
	assert_true(receive_hdr(&hdr, 1514));
	hdr.csum_start = COPY - 18;
	assert_true(receive_hdr(&hdr, 1514));
	shim_run();
	skb = shim_received();
	assert_int_equal(skb->ip_summed, CHECKSUM_PARTIAL);
	assert_int_equal(skb->csum_start - skb_headroom(skb), 34 - 14);
	assert_int_equal(skb->csum_offset, 16);
	dev_kfree_skb_any(skb);
	assert_int_equal(shim_drop_received(), 2);

	hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	assert_true(receive_hdr(&hdr, 60));
	shim_run();
	skb = shim_received();
	assert_int_equal(skb->ip_summed, CHECKSUM_UNNECESSARY);
	dev_kfree_skb_any(skb);

	/* Out of range. */
	hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr.csum_start = 34;
	hdr.csum_offset = 16;
	dropped("rx0_header_errors", &hdr, 51);
	hdr.csum_start = 13;
	dropped("rx0_header_errors", &hdr, 1514);
	hdr.csum_start = COPY - 17;
	dropped("rx0_header_errors", &hdr, 1514);
	hdr.csum_start = 65535;
	hdr.csum_offset = 65535;
	dropped("rx0_header_errors", &hdr, 65553);
	hdr.csum_start = 34;
	dropped("rx0_header_errors", &hdr, 1514);
	receive(60);
	assert_int_equal(shim_log_count('E'), 0);
	unplug();
}

static void set_proto(u16 proto)
{
	packet[12] = proto >> 8;
	packet[13] = proto;
	packet[14] = proto == 0x86dd ? 0x60 : 0x45;
}

static void large_packets(void **state)
{
	static const struct {
		u16 proto;
		u8 type;
		unsigned int gso_type;	/* 0: makes no sense */
	} g[] = {
		{ 0x0800, 1, SKB_GSO_TCPV4 },
		{ 0x0800, 0x81, SKB_GSO_TCPV4 | SKB_GSO_TCP_ECN },
		{ 0x86dd, 4, SKB_GSO_TCPV6 },
		{ 0x86dd, 0x84, SKB_GSO_TCPV6 | SKB_GSO_TCP_ECN },
		{ 0x0800, 3, SKB_GSO_UDP }, { 0x86dd, 3, SKB_GSO_UDP },
		{ 0x8100, 1, SKB_GSO_TCPV4 },
		{ 0x86dd, 1, 0 }, { 0x0800, 4, 0 }, { 0x88b5, 3, 0 },
		{ 0x0800, 0x83, 0 }, { 0x0800, 2, 0 }, { 0x0800, 5, 0 },
		{ 0x0800, 0x80, 0 }, { 0x0800, 0xff, 0 }, { 0x0806, 1, 0 },
	};
	struct virtio_net_hdr hdr = no_hdr;
	struct sk_buff *skb;
	unsigned int i;

	plug_and_open();
	hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr.csum_start = 54;
	hdr.csum_offset = 16;
	hdr.gso_size = 1448;
	for (i = 0; i < ARRAY_SIZE(g); i++) {
		set_proto(g[i].proto);
		hdr.gso_type = g[i].type;
		if (!g[i].gso_type) {
			dropped("rx0_header_errors", &hdr, 30000);
			continue;
		}
		assert_true(receive_hdr(&hdr, 65000));
		shim_run();
		skb = shim_received();
		assert_non_null(skb);
		assert_int_equal(skb_shinfo(skb)->gso_size, 1448);
		assert_int_equal(skb_shinfo(skb)->gso_type,
				 g[i].gso_type | SKB_GSO_DODGY);
		dev_kfree_skb_any(skb);
	}
	set_proto(0x0800);
	hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	hdr.gso_size = 0;
	dropped("rx0_header_errors", &hdr, 30000);
	hdr.gso_size = 1448;
	hdr.flags = 0;
	dropped("rx0_header_errors", &hdr, 30000);
	hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	dropped("rx0_header_errors", &hdr, 30000);
	unplug();
}

static void multicast_is_counted(void **state)
{
	struct rtnl_link_stats64 stats;
	struct net_device *dev = plug_and_open();

	packet[0] |= 1;
	receive(60);
	shim_net_stats(dev, &stats);
	assert_int_equal(stats.multicast, 1);
	assert_int_equal(stats.rx_bytes, 60);
	unplug();
}

/* Lengths and counts that cannot be. */

static void lengths(bool merge)
{
	unsigned int i;

	if (!merge)
		without(VIRTIO_NET_F_MRG_RXBUF);
	plug_and_open();
	for (i = 0; i < HDR_LEN + ETH_HLEN; i++) {
		nic->used_len = i;
		dropped("rx0_length_errors", &no_hdr, 60);
	}
	assert_int_equal(shim_log_count('E'), 0);
	nic->used_len = 1 << 20;
	dropped("rx0_length_errors", &no_hdr, 60);
	if (fn_face != FN_LEGACY)
		assert_one_error(ADDRESS, "length 1048576 exceeds the");
	nic->used_len = 0xffffffffL;
	dropped("rx0_length_errors", &no_hdr, 60);
	/* Of a legacy device nothing better was expected. */
	assert_int_equal(shim_log_count('E'), fn_face != FN_LEGACY);
	nic->used_len = -1;
	for (i = 0; i < 600; i++)
		receive(60);
	unplug();
}

static void length_mergeable(void **state)
{
	unsigned int i;

	lengths(true);
	renew();

	/* Wrong in the second buffer. */
	plug_and_open();
	nic->used_len = 0;
	dropped("rx0_length_errors", &no_hdr, 6000);
	nic->used_len = 4097;
	dropped("rx0_length_errors", &no_hdr, 6000);
	nic->used_len = -1;
	for (i = 0; i < 300; i++)
		receive(6000);
	unplug();
}

static void length_big(void **state)
{
	lengths(false);
}

static void num_buffers(void **state)
{
	static const unsigned int wrong[] = { 0, 18, 19, 256, 65535 };
	unsigned int i, n;

	plug_and_open();
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		nic->num_buffers = wrong[i];
		dropped("rx0_length_errors", &no_hdr, 60);
	}
	/* One buffer more than the largest packet, and all of them there. */
	nic->num_buffers = -1;
	dropped("rx0_length_errors", &no_hdr, 17 * 4096 - HDR_LEN + 1);
	/* More than were used: what came is all of it. */
	nic->num_buffers = 5;
	dropped("rx0_length_errors", &no_hdr, 9000);
	/* It may as well be the next packet's. */
	nic->num_buffers = 2;
	assert_true(receive_hdr(&no_hdr, 60));
	nic->num_buffers = -1;
	assert_true(receive_hdr(&no_hdr, 60));
	shim_run();
	shim_drop_received();
	/* One long line of them. */
	nic->num_buffers = 65535;
	for (n = 0; receive_hdr(&no_hdr, 60); n++)
		;
	shim_run();
	assert_null(shim_received());
	nic->num_buffers = -1;
	for (i = 0; i < 600; i++)
		receive(60);
	/* Where packets fill one buffer it means nothing. */
	unplug();
	renew();
	without(VIRTIO_NET_F_MRG_RXBUF);
	plug_and_open();
	nic->num_buffers = 7;
	receive(60);
	assert_int_equal(shim_log_count('E'), 0);
	unplug();
}

/* Memory */

static void no_memory(bool merge, unsigned int kinds)
{
	struct net_device *dev;
	unsigned int i, n = 0;

	/* A legacy device's buffers are not mapped. */
	if (kinds & FAIL_MAP && fn_face == FN_LEGACY)
		return;
	if (!merge)
		without(VIRTIO_NET_F_MRG_RXBUF);
	if (kinds & FAIL_MAP)
		with(VIRTIO_F_ACCESS_PLATFORM);
	dev = plug();
	/* None at all to begin with. */
	shim_fail_each(kinds);
	assert_int_equal(shim_net_open(dev), 0);
	assert_false(receive_hdr(&no_hdr, 60));
	shim_run_for(500);
	assert_false(receive_hdr(&no_hdr, 60));
	shim_fail_nth(0, 0);
	assert_true(shim_net_counter(dev, "rx0_refills") > 0);
	shim_run_for(200);
	receive(60);

	/* From time to time, and while packets come. */
	for (i = 0; i < 2000; i++) {
		shim_fail_nth(1 + i % 23, kinds);
		n += receive_hdr(&no_hdr, i % 3 ? 3000 : 9000);
		shim_run_for(i % 5);
	}
	shim_fail_nth(0, 0);
	assert_true(n > 500);
	shim_drop_received();
	shim_run_for(200);
	receive(60);
	/* Away while the work still waits. */
	shim_fail_each(kinds);
	while (receive_hdr(&no_hdr, 3000))
		;
	shim_run();
	shim_net_close(dev);
	shim_fail_nth(0, 0);
	assert_int_equal(shim_net_open(dev), 0);
	shim_drop_received();
	shim_run_for(200);
	shim_drop_received();
	receive(60);
	unplug();
	renew();
}

static void receive_without_memory(void **state)
{
	no_memory(true, FAIL_PAGES);
	no_memory(false, FAIL_PAGES);
	no_memory(true, FAIL_MAP);
	no_memory(false, FAIL_MAP);
}

static void receive_without_skbs(void **state)
{
	struct rtnl_link_stats64 stats;
	struct net_device *dev = plug_and_open();
	unsigned int i;

	shim_fail_each(FAIL_SKB);
	for (i = 0; i < 600; i++)
		dropped("rx0_no_memory", &no_hdr, i % 2 ? 60 : 9000);
	shim_fail_nth(0, 0);
	shim_net_stats(dev, &stats);
	assert_int_equal(stats.rx_dropped, 600);
	assert_int_equal(stats.rx_errors, 0);
	receive(60);
	unplug();
}

/* Pages that were not needed, or copied from, are used again. */
static void recycling(void **state)
{
	unsigned int i;

	plug_and_open();
	shim_fail_each(FAIL_PAGES);
	for (i = 0; i < 2000; i++)
		receive(60 + i % 190);
	shim_fail_nth(0, 0);
	unplug();
	renew();
	without(VIRTIO_NET_F_MRG_RXBUF);
	plug_and_open();
	shim_fail_each(FAIL_PAGES);
	for (i = 0; i < 2000; i++)
		receive(60 + i % 190);
	shim_fail_nth(0, 0);
	unplug();
}

static unsigned int frags_of_next(unsigned int len)
{
	struct sk_buff *skb;
	unsigned int frags;

	assert_true(receive_hdr(&no_hdr, len));
	shim_run();
	skb = shim_received();
	assert_non_null(skb);
	assert_int_equal(skb->len, len - ETH_HLEN);
	frags = skb_shinfo(skb)->nr_frags;
	dev_kfree_skb_any(skb);
	return frags;
}

/* The larger the packets, the larger the pages, and these are used again. */
static void large_pages(void **state)
{
	struct sk_buff *skb;
	unsigned long made;
	unsigned int i;

	plug_and_open();
	assert_int_equal(frags_of_next(65000), 16);
	for (i = 0; i < 200; i++)
		receive(65000);
	assert_int_equal(frags_of_next(65000), 2);
	made = shim_pages_made;
	for (i = 0; i < 1000; i++)
		receive(65000);
	assert_int_equal(shim_pages_made, made);

	/* Little data does not keep a large page. */
	assert_true(receive_hdr(&no_hdr, 1000));
	shim_run();
	skb = shim_received();
	assert_non_null(skb);
	assert_in_range(skb->truesize, 4096, 8191);
	dev_kfree_skb_any(skb);

	for (i = 0; i < 500; i++)
		receive(1500);
	assert_int_equal(frags_of_next(65000), 16);
	made = shim_pages_made;
	for (i = 0; i < 1000; i++)
		receive(1500);
	assert_int_equal(shim_pages_made, made);
	unplug();
}

static void large_pages_cannot_be_had(void **state)
{
	unsigned int i;

	plug_and_open();
	shim_fail_each(FAIL_LARGE_PAGES);
	for (i = 0; i < 300; i++)
		receive(65000);
	assert_int_equal(frags_of_next(65000), 16);
	assert_true(shim_failed());
	shim_fail_nth(0, 0);
	for (i = 0; i < 100; i++)
		receive(65000);
	assert_int_equal(frags_of_next(65000), 2);
	unplug();
}

/* A page that the stack still has is not used again. */
static void pages_in_use(void **state)
{
	struct sk_buff *skb;
	unsigned int i, round;
	u8 mark;

	plug_and_open();
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 60; i++) {
			packet[50000] = i;
			assert_true(receive_hdr(&no_hdr, 65000));
			shim_run();
		}
		for (i = 0; i < 60; i++) {
			skb = shim_received();
			assert_non_null(skb);
			shim_skb_copy(skb, 50000 - ETH_HLEN, &mark, 1);
			assert_int_equal(mark, i);
			dev_kfree_skb_any(skb);
		}
	}
	unplug();
}

/* Two packets come in at once, after four of this length were sent. */
static void send_and_receive(struct net_device *dev, unsigned int len)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		send(dev, len);
	fn_serve_all();
	assert_true(receive_hdr(&no_hdr, 60));
	assert_true(receive_hdr(&no_hdr, 60));
	shim_run();
	received(60);
	received(60);
	assert_null(shim_received());
}

/* One comes in, and is not looked at before another one. */
static void one_waits(void)
{
	assert_true(receive_hdr(&no_hdr, 60));
	shim_run();
	assert_null(shim_received());
}

/* While much is sent, what comes in is not looked at one by one; but it is looked at. */
static void interrupts_while_sending(void **state)
{
	struct net_device *dev = plug_and_open();
	unsigned int i;

	send_and_receive(dev, 65000);
	for (i = 0; i < 10; i++) {
		one_waits();
		send(dev, 65000);
		send(dev, 65000);
		fn_serve_all();
		assert_true(receive_hdr(&no_hdr, 60));
		shim_run();
		received(60);
		received(60);
	}
	one_waits();
	shim_run_for(3);
	received(60);

	/* They did not come, so for a while none is waited for. */
	for (i = 0; i < 100; i++) {
		send_and_receive(dev, 65000);
		receive(60);
	}
	for (i = 0; i < 100; i++)
		send_and_receive(dev, 65000);
	one_waits();

	/* Closed in the meantime. */
	shim_net_close(dev);
	shim_run_for(5);
	assert_null(shim_received());
	assert_int_equal(shim_net_open(dev), 0);
	shim_run();
	received(60);
	unplug();
	renew();

	/* Who sends little waits for an answer. */
	dev = plug_and_open();
	send_and_receive(dev, 200);
	receive(60);
	unplug();
	renew();

	without(VIRTIO_RING_F_EVENT_IDX);
	dev = plug_and_open();
	send_and_receive(dev, 65000);
	receive(60);
	unplug();
}

static void open_and_close(void **state)
{
	struct net_device *dev = plug();
	unsigned int i;

	for (i = 0; i < 20; i++) {
		assert_int_equal(shim_net_open(dev), 0);
		if (i % 3)
			settle();
		receive(60);
		receive(9000);
		send(dev, 60);
		shim_net_close(dev);
		/* The device has its buffers still. */
		assert_true(receive_hdr(&no_hdr, 100));
		shim_run();
		assert_null(shim_received());
		assert_int_equal(shim_net_open(dev), 0);
		shim_run();
		received(100);
		shim_net_close(dev);
	}
	unplug();
}

/* Transmission */

static void transmit(void **state)
{
	static const unsigned int lens[] = { 14, 60, 1514, 4000, 65000 };
	unsigned int i, headroom, frags;
	struct net_device *dev = plug_and_open();
	struct sk_buff *skb;
	u8 *copy = malloc(200000);
	unsigned int len;

	for (i = 0; i < ARRAY_SIZE(lens); i++)
		for (headroom = 0; headroom <= 64; headroom += 4)
			for (frags = 0; frags <= (lens[i] < 5000 ? MAX_SKB_FRAGS : 0); frags += 3) {
				nic->num_sent = 0;
				skb = shim_skb(headroom, lens[i], frags, 3000);
				/* Somebody else has the header, too. */
				skb->header_cloned = headroom == 32;
				len = skb->len;
				shim_skb_copy(skb, 0, copy, len);
				assert_int_equal(shim_xmit(dev, skb), 0);
				settle();
				assert_int_equal(nic->num_sent, 1);
				assert_int_equal(nic->sent[0].len, len);
				assert_memory_equal(nic->sent[0].data, copy, len);
				if (headroom < 12 || headroom == 32)
					assert_false(nic->sent[0].pushed);
				else
					assert_true(nic->sent[0].pushed);
			}
	free(copy);
	/* An address that is odd: the header goes elsewhere. */
	nic->num_sent = 0;
	assert_int_equal(shim_xmit(dev, shim_skb(33, 60, 0, 0)), 0);
	settle();
	assert_int_equal(nic->num_sent, 1);
	unplug();
}

static struct sk_buff *large_skb(unsigned int type, unsigned int linear,
				 unsigned int frags)
{
	struct sk_buff *skb = shim_skb(64, linear, frags, 4096);

	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = 64 + 34;
	skb->csum_offset = 16;
	skb_shinfo(skb)->gso_type = type;
	skb_shinfo(skb)->gso_size = type ? 1448 : 0;
	return skb;
}

static void transmit_headers(void **state)
{
	struct net_device *dev = plug_and_open();
	struct virtio_net_hdr *hdr = &nic->sent[0].hdr;
	static const struct {
		unsigned int type;
		u8 gso;
	} g[] = {
		{ 0, 0 }, { SKB_GSO_TCPV4, 1 }, { SKB_GSO_TCPV6, 4 },
		{ SKB_GSO_TCPV4 | SKB_GSO_TCP_ECN, 0x81 },
		{ SKB_GSO_TCPV6 | SKB_GSO_DODGY, 4 }, { SKB_GSO_UDP, 3 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(g); i++) {
		nic->num_sent = 0;
		assert_int_equal(shim_xmit(dev, large_skb(g[i].type, 54, 10)), 0);
		settle();
		assert_int_equal(nic->num_sent, 1);
		assert_int_equal(hdr->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(hdr->csum_start, 34);
		assert_int_equal(hdr->csum_offset, 16);
		assert_int_equal(hdr->gso_type, g[i].gso);
		assert_int_equal(hdr->gso_size, g[i].type ? 1448 : 0);
		if (g[i].type)
			assert_int_equal(hdr->hdr_len, 54);
	}
	/* One that the driver never said it can do. */
	nic->num_sent = 0;
	assert_int_equal(shim_xmit(dev, large_skb(SKB_GSO_DODGY, 54, 1)), 0);
	settle();
	assert_int_equal(nic->num_sent, 0);
	assert_int_equal(shim_net_counter(dev, "tx0_dropped"), 1);
	/* The largest, in one piece. */
	assert_int_equal(shim_xmit(dev, large_skb(SKB_GSO_TCPV4, 65535 + 14, 0)), 0);
	settle();
	assert_int_equal(nic->num_sent, 1);
	unplug();
}

/* Short rings: everything is sent all the same, in one piece if need be. */
static void transmit_short_ring(void **state)
{
	unsigned int size, frags, indirect;
	struct net_device *dev;

	for (indirect = 0; indirect < 2; indirect++) {
		for (size = 2; size <= 32; size *= 2) {
			set_queue_size(1, size);
			if (!indirect)
				without(VIRTIO_RING_F_INDIRECT_DESC);
			dev = plug_and_open();
			for (frags = 0; frags <= MAX_SKB_FRAGS; frags++) {
				assert_int_equal(shim_xmit(dev, shim_skb(0, 100, frags, 3000)), 0);
				settle();
				assert_int_equal(nic->num_sent, frags + 1);
				assert_int_equal(nic->sent[frags].len, 100 + 3000 * frags);
			}
			/* No memory to put it in one piece. */
			shim_fail_each(FAIL_SKB);
			assert_int_equal(shim_xmit(dev, shim_skb(0, 100, 15, 100)), 0);
			shim_fail_nth(0, 0);
			settle();
			assert_int_equal(shim_net_counter(dev, "tx0_dropped"),
					 size < 32 && 15 + 2 > size);
			unplug();
			renew();
		}
	}
}

/* As many as the queue takes; how many that are. */
static unsigned int fill_tx(struct net_device *dev, unsigned int *n)
{
	unsigned int start = *n;
	struct sk_buff *skb;

	for (;;) {
		skb = shim_skb(0, 60, *n % 4, 100);
		memcpy(skb->data + 20, n, 4);
		if (shim_xmit(dev, skb) != NETDEV_TX_OK)
			break;
		(*n)++;
		assert_true(*n - start < 1000);
	}
	dev_kfree_skb_any(skb);
	return *n - start;
}

static void full(bool indirect, bool event, bool reverse, unsigned int batch)
{
	unsigned int n = 0, round, i, got;
	struct net_device *dev;

	if (!indirect)
		without(VIRTIO_RING_F_INDIRECT_DESC);
	if (!event)
		without(VIRTIO_RING_F_EVENT_IDX);
	dev = plug_and_open();
	nic->hold = true;
	for (round = 0; round < 10; round++) {
		assert_true(fill_tx(dev, &n) > 0);
		assert_true(netif_tx_queue_stopped(dev->txq));
		fn_serve_all();
		shim_run();
		assert_true(netif_tx_queue_stopped(dev->txq));
		/* By an interrupt, and before the last one is back. */
		while (nic->num_held) {
			nic_release(nic, batch, reverse);
			shim_run();
		}
		assert_false(netif_tx_queue_stopped(dev->txq));
	}
	nic->hold = false;
	settle();
	assert_int_equal(nic->num_sent, n);
	assert_true(dev->txq->wakes >= 10);
	assert_true(shim_net_counter(dev, "tx0_stopped") >= 10);
	assert_int_equal(shim_net_counter(dev, "tx0_packets"), n);
	for (i = n > NIC_MAX_SENT ? n - NIC_MAX_SENT : 0; i < n; i++) {
		memcpy(&got, nic->sent[i % NIC_MAX_SENT].data + 20, 4);
		assert_int_equal(got, i);
	}
	unplug();
	renew();
}

static void queue_full(void **state)
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		full(i & 1, i & 2, i & 4, 1);
		full(i & 1, i & 2, i & 4, 50);
		full(i & 1, i & 2, i & 4, ~0U);
	}
}

/* The interrupt comes while the queue's NAPI is about to end. */
static bool raced;

static void finish_now(struct napi_struct *napi)
{
	if (raced)
		return;
	raced = true;
	nic_release(nic, ~0U, false);
}

static void interrupt_before_complete(void **state)
{
	struct net_device *dev;
	unsigned int n = 0;

	/* The first packet is one descriptor: not enough for the next. */
	without(VIRTIO_RING_F_INDIRECT_DESC);
	dev = plug_and_open();
	nic->hold = true;
	send(dev, 60);
	fill_tx(dev, &n);
	fn_serve_all();
	raced = false;
	shim_before_complete = finish_now;
	/* An interrupt that is early: not much has been sent. */
	nic_release(nic, 1, false);
	fn_queue_irq(&nic->fn, 1);
	shim_run();
	assert_true(raced);
	shim_before_complete = NULL;
	settle();
	assert_int_equal(nic->num_held, 0);
	assert_false(netif_tx_queue_stopped(dev->txq));
	unplug();
}

/* All of it is sent just when the driver has said that it wants to know. */
static void finish_at_barrier(void)
{
	if (!netif_tx_queue_stopped(shim_netdev(0)->txq))
		return;
	shim_at_barrier = NULL;
	fn_serve_all();
	/* Before the device saw that; so nothing is heard of it. */
	nic->fn.queue[1].vector = VIRTIO_MSI_NO_VECTOR;
	nic_release(nic, ~0U, false);
	nic->fn.queue[1].vector = 2;
}

static void room_in_the_last_moment(void **state)
{
	struct net_device *dev = plug_and_open();
	unsigned int i;

	assert_int_equal(nic->fn.queue[1].vector, 2);
	nic->hold = true;
	for (i = 0; i < 600; i++) {
		if (i % 200 == 0)
			shim_at_barrier = finish_at_barrier;
		send(dev, 60);
	}
	shim_at_barrier = NULL;
	assert_int_equal(dev->txq->wakes, 0);
	assert_false(netif_tx_queue_stopped(dev->txq));
	assert_true(shim_net_counter(dev, "tx0_stopped") >= 2);
	unplug();
}

/* A packet that comes when NAPI has seen the last one, and no interrupt. */
static void receive_before_complete(struct napi_struct *napi)
{
	u16 vector = nic->fn.queue[0].vector;

	shim_before_complete = NULL;
	nic->fn.queue[0].vector = VIRTIO_MSI_NO_VECTOR;
	assert_true(receive_hdr(&no_hdr, 100));
	nic->fn.queue[0].vector = vector;
}

static void packet_before_complete(void **state)
{
	plug_and_open();
	assert_true(receive_hdr(&no_hdr, 60));
	shim_before_complete = receive_before_complete;
	shim_run();
	received(60);
	received(100);
	unplug();
}

/* While the queue is full it may be closed and opened. */
static void full_and_closed(void **state)
{
	struct net_device *dev = plug_and_open();
	unsigned int n = 0;

	nic->hold = true;
	fill_tx(dev, &n);
	fn_serve_all();
	shim_net_close(dev);
	nic_release(nic, ~0U, false);
	shim_run();
	assert_int_equal(shim_net_open(dev), 0);
	settle();
	assert_false(netif_tx_queue_stopped(dev->txq));
	nic->hold = false;
	send(dev, 60);
	settle();
	assert_int_equal(nic->num_sent, n + 1);
	unplug();
}

static void transmit_map_failures(void **state)
{
	struct net_device *dev;
	unsigned int i, lost = 0;

	MODERN_ONLY();
	with(VIRTIO_F_ACCESS_PLATFORM);
	dev = plug_and_open();
	for (i = 0; i < 200; i++) {
		shim_fail_nth(1 + i % 5, FAIL_MAP);
		assert_int_equal(shim_xmit(dev, shim_skb(0, 60, i % 4, 100)), 0);
		lost += shim_failed();
		shim_fail_nth(0, 0);
		settle();
	}
	assert_true(lost > 20);
	assert_int_equal(nic->num_sent, 200 - lost);
	assert_int_equal(shim_net_counter(dev, "tx0_dropped"), lost);
	unplug();
}

#ifdef COMPAT_HAVE_NETDEV_XMIT_MORE
static void more_follows(void **state)
{
	struct net_device *dev = plug_and_open();
	unsigned int kicks = nic->fn.queue[1].kicks;

	shim_xmit_more = true;
	send(dev, 60);
	send(dev, 60);
	assert_int_equal(nic->fn.queue[1].kicks, kicks);
	shim_xmit_more = false;
	send(dev, 60);
	assert_int_equal(nic->fn.queue[1].kicks, kicks + 1);
	settle();
	assert_int_equal(nic->num_sent, 3);
	unplug();
}

/* The last of several is dropped: those before it are sent. */
static void more_follows_and_fails(void **state)
{
	struct net_device *dev = plug_and_open();
	unsigned int kicks = nic->fn.queue[1].kicks;

	shim_xmit_more = true;
	send(dev, 60);
	shim_xmit_more = false;
	assert_int_equal(shim_xmit(dev, large_skb(SKB_GSO_DODGY, 54, 1)), 0);
	assert_int_equal(nic->fn.queue[1].kicks, kicks + 1);
	unplug();
}
#endif

/* Sent packets are freed as packets come in, without an interrupt of theirs. */
static void freed_by_reception(void **state)
{
	struct net_device *dev = plug_and_open();
	struct sk_buff *skb = shim_skb(64, 60, 0, 0);
	unsigned int irqs;

	settle();
	irqs = nic->fn.irqs;
	assert_int_equal(shim_xmit(dev, skb), NETDEV_TX_OK);
	/* So nobody waits for it meanwhile. */
	assert_false(skb->owned);
	assert_false(skb->tracked);
	fn_serve_all();
	shim_run();
	assert_int_equal(nic->fn.irqs, irqs);
	assert_int_equal(shim_counts.skbs, 1);
	receive(60);
	assert_int_equal(shim_counts.skbs, 0);
	unplug();
}

/* The control queue */

static void receive_modes(void **state)
{
	static const u8 uc[2][ETH_ALEN] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };
	static const u8 mc[2][ETH_ALEN] = { { 1, 0, 0, 0, 0, 1 }, { 1, 0, 0, 0, 0, 2 } };
	struct net_device *dev = plug_and_open();

	assert_false(nic->promisc);
	shim_net_flags(dev, IFF_PROMISC);
	settle();
	assert_true(nic->promisc);
	assert_false(nic->allmulti);
	shim_net_flags(dev, IFF_ALLMULTI);
	settle();
	assert_false(nic->promisc);
	assert_true(nic->allmulti);
	shim_net_flags(dev, 0);
	shim_net_addr(dev, false, uc[0], true);
	shim_net_addr(dev, true, mc[0], true);
	shim_net_addr(dev, true, mc[1], true);
	settle();
	assert_int_equal(nic->num_uc, 1);
	assert_int_equal(nic->num_mc, 2);
	assert_memory_equal(nic->table[0], uc[0], ETH_ALEN);
	assert_memory_equal(nic->table[1], mc[0], ETH_ALEN);
	assert_memory_equal(nic->table[2], mc[1], ETH_ALEN);
	shim_net_addr(dev, false, uc[1], true);
	shim_net_addr(dev, true, mc[0], false);
	settle();
	assert_int_equal(nic->num_uc, 2);
	assert_int_equal(nic->num_mc, 1);
	assert_memory_equal(nic->table[2], mc[1], ETH_ALEN);

	nic->answer = NIC_REFUSES;
	shim_net_flags(dev, IFF_PROMISC);
	settle();
	assert_non_null(shim_log_find("refuses to switch promiscuous mode on"));
	assert_non_null(shim_log_find("refuses the MAC filter"));
	assert_int_equal(shim_log_count('E'), 0);
	nic->answer = NIC_ANSWERS;
	shim_log_clear();
	shim_fail_each(FAIL_ALLOC);
	shim_net_flags(dev, 0);
	settle();
	shim_fail_nth(0, 0);
	assert_one_warning("no memory for the MAC filter");
	assert_false(nic->promisc);
	unplug();
}

/* Addresses come and go between the count and the copy. */
static unsigned int locks, change_at;
static bool grow;

static void change_lists(struct net_device *dev)
{
	static const u8 mac[2][ETH_ALEN] = { { 2, 0, 0, 0, 7, 7 }, { 1, 0, 0, 0, 7, 7 } };

	if (++locks != change_at)
		return;
	shim_before_addr_lock = NULL;
	shim_net_addr(dev, false, mac[0], grow);
	shim_net_addr(dev, true, mac[1], grow);
	shim_before_addr_lock = change_lists;
}

static void lists_that_change(void **state)
{
	static const u8 mac[2][ETH_ALEN] = { { 2, 0, 0, 0, 0, 1 }, { 1, 0, 0, 0, 0, 1 } };
	struct net_device *dev = plug_and_open();

	shim_net_addr(dev, false, mac[0], true);
	shim_net_addr(dev, true, mac[1], true);
	settle();
	for (change_at = 1; change_at <= 4; change_at++) {
		grow = change_at % 2;
		locks = 0;
		shim_before_addr_lock = change_lists;
		shim_net_flags(dev, change_at % 2 ? IFF_PROMISC : 0);
		settle();
		shim_before_addr_lock = NULL;
		if (change_at > 2)
			break;
		/* In the end it is what it is. */
		assert_int_equal(nic->num_uc, grow ? 2 : 1);
		assert_int_equal(nic->num_mc, grow ? 2 : 1);
	}
	unplug();
}

static void vlans(void **state)
{
	struct net_device *dev = plug_and_open();

	assert_int_equal(shim_net_vlan(dev, 5, true), 0);
	assert_int_equal(shim_net_vlan(dev, 4095, true), 0);
	assert_true(test_bit(5, nic->vlans));
	assert_true(test_bit(4095, nic->vlans));
	assert_int_equal(shim_net_vlan(dev, 5, false), 0);
	assert_false(test_bit(5, nic->vlans));
	nic->answer = NIC_REFUSES;
	shim_net_vlan(dev, 6, true);
	assert_one_warning("refuses to receive VLAN 6");
	unplug();
	renew();
	without(VIRTIO_NET_F_CTRL_VLAN);
	dev = plug_and_open();
	shim_net_vlan(dev, 6, true);
	assert_false(test_bit(6, nic->vlans));
	unplug();
}

static void offloads(void **state)
{
	u64 all = F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_GUEST_TSO4) |
		  F(VIRTIO_NET_F_GUEST_TSO6) | F(VIRTIO_NET_F_GUEST_ECN) |
		  F(VIRTIO_NET_F_GUEST_UFO);
	struct net_device *dev = plug_and_open();

	assert_true(dev->features & NETIF_F_RXCSUM);
	assert_int_equal(nic->offloads & all, all);
	assert_int_equal(shim_net_rx_csum(dev, false), 0);
	assert_int_equal(nic->offloads & all, 0);
	assert_int_equal(shim_net_rx_csum(dev, true), 0);
	assert_int_equal(nic->offloads & all, all);
#ifdef COMPAT_HAVE_NETIF_F_GRO_HW
	assert_int_equal(shim_net_gro_hw(dev, false), 0);
	assert_int_equal(nic->offloads & all, F(VIRTIO_NET_F_GUEST_CSUM));
	assert_int_equal(shim_net_gro_hw(dev, true), 0);
	assert_int_equal(nic->offloads & all, all);
#endif
	nic->answer = NIC_REFUSES;
	assert_int_not_equal(shim_net_rx_csum(dev, false), 0);
	assert_true(dev->features & NETIF_F_RXCSUM);
	unplug();
}

/* Where the stack, or a person with ethtool, cannot switch, nothing does. */
static void offloads_fixed(void **state)
{
	struct net_device *dev;

	without(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	dev = plug_and_open();
	assert_true(dev->features & NETIF_F_RXCSUM);
	shim_net_rx_csum(dev, false);
	assert_int_equal(nic->num_ctrl ? nic->ctrl[0].class : 0, 0);
	assert_true(dev->features & NETIF_F_RXCSUM);
	unplug();
	renew();
	without(VIRTIO_NET_F_GUEST_CSUM);
	dev = plug_and_open();
	assert_false(dev->features & NETIF_F_RXCSUM);
	shim_net_rx_csum(dev, true);
	assert_false(dev->features & NETIF_F_RXCSUM);
	unplug();
}

#ifndef COMPAT_HAVE_NETDEV_HW_FEATURES
/* One operation for each, as 2.6.32 has it. */
static void classic_offloads(void **state)
{
	const struct ethtool_ops *ops;
	struct net_device *dev = plug_and_open();

	ops = dev->ethtool_ops;
	assert_int_equal(ops->get_tx_csum(dev), 1);
	assert_int_equal(ops->get_sg(dev), 1);
	assert_int_equal(ops->get_tso(dev), 1);
	assert_int_equal(ops->get_ufo(dev), 1);
	assert_int_equal(ops->get_rx_csum(dev), 1);
	assert_int_equal(ops->set_tso(dev, 0), 0);
	assert_int_equal(ops->get_tso(dev), 0);
	assert_false(dev->features & (NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN));
	assert_int_equal(ops->set_ufo(dev, 0), 0);
	assert_int_equal(ops->set_sg(dev, 0), 0);
	assert_int_equal(ops->set_tx_csum(dev, 0), 0);
	assert_false(dev->features & (NETIF_F_UFO | NETIF_F_SG | NETIF_F_HW_CSUM));
	assert_int_equal(ops->set_tx_csum(dev, 1), 0);
	assert_int_equal(ops->set_sg(dev, 1), 0);
	assert_int_equal(ops->set_tso(dev, 1), 0);
	assert_int_equal(ops->set_ufo(dev, 1), 0);
	assert_true(dev->features & NETIF_F_TSO6);
	assert_true(dev->features & NETIF_F_UFO);
	unplug();
	renew();
	nic->fn.features &= F(VIRTIO_F_VERSION_1);
	dev = plug_and_open();
	ops = dev->ethtool_ops;
	assert_int_equal(ops->set_tx_csum(dev, 1), -EOPNOTSUPP);
	assert_int_equal(ops->set_sg(dev, 1), -EOPNOTSUPP);
	assert_int_equal(ops->set_tso(dev, 1), -EOPNOTSUPP);
	assert_int_equal(ops->set_ufo(dev, 1), -EOPNOTSUPP);
	assert_int_equal(dev->features & ~(NETIF_F_GRO | NETIF_F_HIGHDMA), 0);
	unplug();
}
#endif

/* The queue of the last packet that was sent, counted in pairs. */
static unsigned int last_pair(void)
{
	assert_int_equal(nic->sent[nic->num_sent - 1].queue % 2, 1);
	return nic->sent[nic->num_sent - 1].queue / 2;
}

static unsigned int sent_on(struct net_device *dev, struct sk_buff *skb)
{
	assert_int_equal(shim_xmit(dev, skb), 0);
	settle();
	return last_pair();
}

#if defined(COMPAT_HAVE_ETHTOOL_CHANNELS) || defined(COMPAT_HAVE_ETHTOOL_CHANNELS_EXT)
static void channels(void **state)
{
	struct ethtool_channels c;
	struct net_device *dev;
	unsigned int i, n;

	set_pairs(4, 2);
	dev = plug_and_open();
	assert_int_equal(nic->pairs, 2);
	memset(&c, 0, sizeof(c));
	assert_int_equal(shim_net_channels(dev, &c, false), 0);
	assert_int_equal(c.max_combined, 4);
	assert_int_equal(c.combined_count, 2);
	for (i = 0; i < 40; i++) {
		n = 1 + (i * 7) % 4;
		memset(&c, 0, sizeof(c));
		c.combined_count = n;
		assert_int_equal(shim_net_channels(dev, &c, true), 0);
		assert_int_equal(nic->pairs, n);
		assert_int_equal(dev->real_num_tx_queues, n);
		settle();
		assert_true(nic_receive(nic, n - 1, &no_hdr, packet, 60));
		shim_run();
		received(60);
		/* All CPUs go on sending, on what there is. */
		shim_cpu = i % 2;
		assert_int_equal(sent_on(dev, shim_skb(64, 60, 0, 0)),
				 shim_cpu % n);
		if (i % 5 == 4)
			shim_net_close(dev);
		else if (i % 5 == 0)
			assert_int_equal(shim_net_open(dev), 0);
		if (i % 5 == 4)
			assert_int_equal(shim_net_open(dev), 0);
	}
	for (i = 0; i < 5; i++) {
		memset(&c, 0, sizeof(c));
		c.combined_count = i == 0 ? 0 : i == 1 ? 5 : 2;
		c.rx_count = i == 2;
		c.tx_count = i == 3;
		c.other_count = i == 4;
		assert_int_equal(shim_net_channels(dev, &c, true), -EINVAL);
	}
	assert_int_equal(shim_log_count('W'), 0);
	nic->answer = NIC_REFUSES;
	memset(&c, 0, sizeof(c));
	c.combined_count = 3;
	n = dev->real_num_tx_queues;
	assert_int_not_equal(shim_net_channels(dev, &c, true), 0);
	assert_int_equal(dev->real_num_tx_queues, n);
	assert_one_warning("does not use 3 queue pairs");
	unplug();
}
#endif

static struct sk_buff *answer_skb;

/* The stack answers when GRO lets go of what came. */
static void answer(struct napi_struct *napi)
{
	struct sk_buff *skb = answer_skb;

	answer_skb = NULL;
	if (skb)
		assert_int_equal(shim_xmit(napi->dev, skb), 0);
}

/* A packet comes by a pair, on a CPU; by which pair the answer goes. */
static unsigned int answered_on(unsigned int pair, unsigned int cpu)
{
	unsigned int sent = nic->num_sent;

	shim_cpu = cpu;
	answer_skb = shim_skb(64, 60, 0, 0);
	shim_before_complete = answer;
	assert_true(nic_receive(nic, pair, &no_hdr, packet, 1000));
	settle();
	shim_before_complete = NULL;
	received(1000);
	assert_null(answer_skb);
	assert_int_equal(nic->num_sent, sent + 1);
	return last_pair();
}

static void many_queues(void **state)
{
#ifndef COMPAT_HAVE_NETIF_SET_XPS_QUEUE
	struct sk_buff *skb;
#endif
	unsigned int pair, irq;
	struct net_device *dev;

	set_pairs(4, 4);
	dev = plug_and_open();
	assert_int_equal(dev->real_num_tx_queues, 4);
	for (pair = 0; pair < 4; pair++) {
		/* Vector 0 is for config changes. */
		irq = nic->fn.pci.msix_base + 1 + 2 * pair;
		assert_ptr_equal(shim_irq_hint(irq), shim_irq_hint(irq + 1));
		assert_int_equal(shim_irq_hint(irq)->bits, 1 << pair);
		assert_int_equal(answered_on(pair, pair), pair);
		assert_int_equal(sent_on(dev, shim_skb(64, 60, 0, 0)), pair);
#ifndef COMPAT_HAVE_NETIF_SET_XPS_QUEUE
		/* Without irqbalance they may come anywhere. */
		assert_int_equal(answered_on(pair, 0), pair);
#endif
	}
	/* The other CPU's business is its own. */
	shim_cpu = 1;
	assert_int_equal(sent_on(dev, shim_skb(64, 60, 0, 0)), 1);
#ifndef COMPAT_HAVE_NETIF_SET_XPS_QUEUE
	/* Another driver's packet, that is forwarded. */
	skb = shim_skb(64, 60, 0, 0);
	skb_record_rx_queue(skb, 6);
	assert_int_equal(sent_on(dev, skb), 6 % 4);
#endif
	unplug();
	renew();

	/* More CPUs than pairs. */
	set_pairs(2, 6);
	dev = plug_and_open();
	for (shim_cpu = 0; shim_cpu < 6; shim_cpu++)
		assert_int_equal(sent_on(dev, shim_skb(64, 60, 0, 0)), shim_cpu % 2);
	unplug();
	renew();

	/* The device does not do it: one pair. */
	set_pairs(4, 4);
	nic->answer = NIC_REFUSES;
	nic->refused_class = VIRTIO_NET_CTRL_MQ;
	dev = plug_and_open();
	assert_int_equal(dev->real_num_tx_queues, 1);
	assert_one_warning("does not use 4 queue pairs");
	receive(60);
	unplug();
}

#ifdef COMPAT_HAVE_U64_STATS_SYNC
/* A packet comes while counters are being read. */
static void receive_at_fetch(void)
{
	shim_at_fetch = NULL;
	assert_true(nic_receive(nic, 0, &no_hdr, packet, 60));
	shim_run_tasklets();
}
#endif

static void counted(struct net_device *dev, unsigned int packets)
{
	struct rtnl_link_stats64 stats;

	shim_net_stats(dev, &stats);
	assert_int_equal(stats.rx_packets, packets);
	assert_int_equal(stats.rx_bytes, packets * 60);
}

static void statistics(void **state)
{
	struct ethtool_drvinfo info;
	struct net_device *dev;

	/* Some kernels have the wide ones if a symbol is found. */
	shim_no_symbol = "set_netdev_ops_ext";
	dev = plug_and_open();
	receive(60);
	counted(dev, 1);
	unplug();
	shim_no_symbol = NULL;
	renew();

	set_pairs(3, 3);
	dev = plug_and_open();
	receive(60);
	assert_int_equal(shim_net_counter(dev, "rx0_packets"), 1);
	assert_int_equal(shim_net_counter(dev, "rx0_bytes"), 60);
	assert_int_equal(shim_net_counter(dev, "rx2_packets"), 0);
	assert_int_equal(shim_net_counter(dev, "tx2_kicks"), 0);
	counted(dev, 1);
#ifdef COMPAT_HAVE_U64_STATS_SYNC
	/* On 32 bits a counter that is being written is read again. */
	shim_at_fetch = receive_at_fetch;
	assert_int_equal(shim_net_counter(dev, "rx0_bytes"), 120);
	shim_at_fetch = receive_at_fetch;
	counted(dev, 3);
	received(60);
	received(60);
#endif
	assert_true(shim_net_counter(dev, "rx2_kicks") > 0);
	memset(&info, 0xa5, sizeof(info));
	dev->ethtool_ops->get_drvinfo(dev, &info);
	assert_string_equal(info.driver, "virtio_net");
	assert_string_equal(info.bus_info, ADDRESS);
	assert_int_equal(dev->ethtool_ops->get_sset_count(dev, 0), -EOPNOTSUPP);
	unplug();
}

static void ring_sizes(void **state)
{
	struct ethtool_ringparam ring;
	struct net_device *dev;

	set_queue_size(0, 64);
	set_queue_size(1, 128);
	dev = plug();
	memset(&ring, 0, sizeof(ring));
#ifdef COMPAT_HAVE_ETHTOOL_RINGPARAM_EXTACK
	dev->ethtool_ops->get_ringparam(dev, &ring, NULL, NULL);
#else
	dev->ethtool_ops->get_ringparam(dev, &ring);
#endif
	assert_int_equal(ring.rx_pending, 64);
	assert_int_equal(ring.tx_max_pending, 128);
	unplug();
}

/* Link */

static void set_status(u16 status)
{
	nic->config.status = status;
	nic_set_config(nic);
	fn_config_irq(&nic->fn);
}

static void link_state(void **state)
{
	struct net_device *dev;
	/* A feature that a legacy device has no bit for. */
	bool known = fn_face != FN_LEGACY;
	u32 speed;
	u8 duplex;

	with(VIRTIO_NET_F_SPEED_DUPLEX);
	nic->config.speed = 10000;
	nic->config.duplex = 1;
	nic_set_config(nic);
	dev = plug_and_open();
	assert_true(dev->carrier);
	shim_net_speed(dev, &speed, &duplex);
	assert_int_equal(speed, known ? 10000 : (u32)-1);
	assert_int_equal(duplex, known ? DUPLEX_FULL : 0xff);
	set_status(0);
	assert_true(dev->carrier);
	settle();
	assert_false(dev->carrier);
	assert_int_equal(dev->ethtool_ops->get_link(dev), 0);
	shim_net_speed(dev, &speed, &duplex);
	assert_int_equal(speed, (u32)-1);
	assert_int_equal(duplex, 0xff);
	nic->config.speed = 0x80000000;
	nic->config.duplex = 2;
	set_status(VIRTIO_NET_S_LINK_UP);
	settle();
	assert_true(dev->carrier);
	shim_net_speed(dev, &speed, &duplex);
	assert_int_equal(speed, (u32)-1);
	assert_int_equal(duplex, 0xff);
	unplug();
	renew();

	/* Down from the start; and without the field it is always up. */
	nic->config.status = 0;
	nic_set_config(nic);
	dev = plug();
	assert_false(dev->carrier);
	unplug();
	renew();
	without(VIRTIO_NET_F_STATUS);
	nic->config.status = 0;
	nic_set_config(nic);
	dev = plug();
	assert_true(dev->carrier);
	unplug();
}

static bool can_announce(void)
{
#if defined(COMPAT_HAVE_NETDEV_NOTIFY_PEERS) || defined(SHIM_FLUSH_FLAGS)
	return true;
#else
	return false;
#endif
}

static void announce(void **state)
{
	struct net_device *dev = plug_and_open();

	assert_int_equal(nic_has(nic, VIRTIO_NET_F_GUEST_ANNOUNCE), can_announce());
	set_status(VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	settle();
	assert_int_equal(dev->notified, can_announce());
	assert_int_equal(nic->config.status & VIRTIO_NET_S_ANNOUNCE,
			 can_announce() ? 0 : VIRTIO_NET_S_ANNOUNCE);
	/* Each time anew, and not when the link is down. */
	set_status(VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	settle();
	assert_int_equal(dev->notified, 2 * can_announce());
	set_status(VIRTIO_NET_S_ANNOUNCE);
	settle();
	assert_int_equal(dev->notified, 2 * can_announce());
	unplug();
}

/* Removal, and failure */

static void removal(void **state)
{
	struct net_device *dev;
	unsigned int how, n;

	for (how = 0; how < 64; how++) {
		set_pairs(2, 2);
		if (how & 1)
			without(VIRTIO_NET_F_MRG_RXBUF);
		if (how & 2)
			with(VIRTIO_F_ACCESS_PLATFORM);
		dev = plug();
		n = 0;
		if (how & 4) {
			assert_int_equal(shim_net_open(dev), 0);
			if (how & 8) {
				nic->hold = true;
				fill_tx(dev, &n);
				fn_serve_all();
			}
			if (how & 16)
				receive_hdr(&no_hdr, 9000);
			if (how & 32)
				shim_net_flags(dev, IFF_PROMISC);
		}
		if (how & 32)
			nic->fn.gone = how & 16;
		unplug();
		assert_int_equal(shim_log_count('E'), 0);
		renew();
	}
}

/* Sleep. Everything that a card can be told, and what it knows of that. */

static const u8 asleep_mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 9 };

static struct net_device *plug_and_tell(void)
{
	static const u8 uc[ETH_ALEN] = { 2, 0, 0, 0, 0, 1 };
	static const u8 mc[ETH_ALEN] = { 1, 0, 0, 0, 0, 1 };
	struct net_device *dev;

	set_pairs(4, 4);
	dev = plug_and_open();
	assert_int_equal(shim_net_mac(dev, asleep_mac), 0);
	assert_int_equal(shim_net_vlan(dev, 5, true), 0);
	assert_int_equal(shim_net_vlan(dev, 6, true), 0);
	assert_int_equal(shim_net_vlan(dev, 4095, true), 0);
	assert_int_equal(shim_net_vlan(dev, 6, false), 0);
	shim_net_addr(dev, false, uc, true);
	shim_net_addr(dev, true, mc, true);
	shim_net_flags(dev, IFF_ALLMULTI);
	assert_int_equal(shim_net_rx_csum(dev, false), 0);
	settle();
	return dev;
}

static void assert_told(void)
{
	assert_int_equal(nic->pairs, 4);
	assert_memory_equal(nic->mac, asleep_mac, ETH_ALEN);
	assert_true(test_bit(5, nic->vlans) && test_bit(4095, nic->vlans));
	assert_false(test_bit(6, nic->vlans));
	assert_int_equal(nic->num_uc, 1);
	assert_int_equal(nic->num_mc, 1);
	assert_true(nic->allmulti);
	assert_int_equal(nic->offloads & F(VIRTIO_NET_F_GUEST_CSUM), 0);
}

static void traffic(struct net_device *dev)
{
	unsigned int i, sent = nic->num_sent;

	receive(60);
	receive(1514);
	for (i = 0; i < 4; i++) {
		shim_cpu = i;
		send(dev, 1000);
	}
	settle();
	shim_cpu = 0;
	assert_int_equal(nic->num_sent, sent + 4);
}

/* With packets under way in both directions, and with the interface down. */
static void sleeps(void **state)
{
	struct net_device *dev;
	unsigned int kind, i;

	for (kind = 0; kind < SHIM_SLEEP_KINDS; kind++) {
		renew();
		dev = plug_and_tell();
		assert_told();
		traffic(dev);
		nic->hold = true;
		for (i = 0; i < 10; i++)
			send(dev, 1000);
		settle();
		assert_true(nic_receive(nic, 0, &no_hdr, packet, 60));
		assert_int_equal(fn_sleep(&nic->fn, kind), 0);
		nic->hold = false;
		memset(nic->mac, 0, ETH_ALEN);
		shim_drop_received();
		for (i = 0; i < 4; i++)
			assert_true(netif_tx_queue_stopped(&dev->txq[i]));

		/* Nobody gets at it meanwhile. */
		assert_int_equal(shim_net_open(dev), -ENODEV);
		shim_net_flags(dev, IFF_ALLMULTI);
		shim_run_for(1000);
		assert_int_equal(nic->fn.status, 0);

		assert_int_equal(fn_wake(&nic->fn, kind), 0);
		settle();
		assert_told();
		assert_true(dev->carrier);
		traffic(dev);
		shim_net_close(dev);

		/* Down, it sleeps as well, and comes up afterwards. */
		assert_int_equal(fn_sleep(&nic->fn, kind), 0);
		memset(nic->mac, 0, ETH_ALEN);
		assert_int_equal(fn_wake(&nic->fn, kind), 0);
		settle();
		assert_int_equal(shim_net_open(dev), 0);
		settle();
		assert_told();
		traffic(dev);
		unplug();
	}
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

/* A card without any command, and a legacy one's address. */
static void sleeps_without_commands(void **state)
{
	bool legacy = fn_face == FN_LEGACY;
	struct net_device *dev;

	without(VIRTIO_NET_F_CTRL_VQ);
	dev = plug_and_open();
	if (legacy)
		assert_int_equal(shim_net_mac(dev, asleep_mac), 0);
	assert_int_equal(fn_sleep(&nic->fn, SHIM_SLEEP_RAM), 0);
	nic_set_config(nic);
	/* The link goes down while nobody looks. */
	nic->config.status = 0;
	nic_set_config(nic);
	assert_int_equal(fn_wake(&nic->fn, SHIM_SLEEP_RAM), 0);
	settle();
	assert_false(dev->carrier);
	if (legacy)
		assert_memory_equal(nic->fn.device_config, asleep_mac, ETH_ALEN);
	receive(60);
	unplug();
}

/* It does not answer any more, or refuses: bounded, and the rest works. */
static void wakes_silent(void **state)
{
	struct net_device *dev;
	unsigned long begin;
	unsigned int how;

	for (how = 0; how < 2; how++) {
		renew();
		dev = plug_and_tell();
		assert_int_equal(fn_sleep(&nic->fn, SHIM_SLEEP_RAM), 0);
		nic->answer = how ? NIC_REFUSES : NIC_IS_SILENT;
		begin = jiffies;
		assert_int_equal(fn_wake(&nic->fn, SHIM_SLEEP_RAM), 0);
		assert_true(jiffies - begin < 11 * HZ);
		settle();
		assert_non_null(shim_log_find("does not use 4 queue pairs"));
		assert_non_null(shim_log_find("does not receive VLAN 5"));
		assert_int_equal(dev->real_num_tx_queues, 1);
		traffic(dev);
		/* It thinks better of it, the next time. */
		assert_int_equal(fn_sleep(&nic->fn, SHIM_SLEEP_RAM), 0);
		nic->answer = NIC_ANSWERS;
		assert_int_equal(fn_wake(&nic->fn, SHIM_SLEEP_RAM), 0);
		settle();
		assert_true(test_bit(5, nic->vlans));
		assert_true(nic->allmulti);
		traffic(dev);
		unplug();
		shim_log_clear();
	}
}

/* Gone when it should wake, never awake again, or shut down. */
static void does_not_wake(void **state)
{
	struct net_device *dev;
	unsigned int how, open;

	for (how = 0; how < 3; how++)
		for (open = 0; open < 2; open++) {
			renew();
			dev = plug_and_tell();
			nic->hold = true;
			send(dev, 1000);
			if (!open)
				shim_net_close(dev);
			if (how < 2)
				assert_int_equal(fn_sleep(&nic->fn, SHIM_SLEEP_RAM), 0);
			if (how == 0) {
				nic->fn.gone = true;
				assert_true(fn_wake(&nic->fn, SHIM_SLEEP_RAM) < 0);
				settle();
				assert_false(dev->carrier);
				shim_net_close(dev);
				assert_int_equal(shim_net_open(dev), 0);
			}
			if (how == 2) {
				shim_shutdown(&fn_vdev(&nic->fn)->dev);
				assert_int_equal(nic->fn.status, 0);
				shim_run_for(1000);
			}
			unplug();
		}
}

/* Its link changes at the very moment when it is removed. */
static void link_changes_during_removal(void **state)
{
	plug_and_open();
	nic->fn.reset_polls = 3;
	set_status(0);
	unplug();
}

/* It wants to be announced, at that moment: nobody waits for its answer. */
static void announced_during_removal(void **state)
{
	unsigned long start;

	plug_and_open();
	nic->fn.reset_polls = 3;
	set_status(VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	start = jiffies;
	unplug();
	assert_in_range(jiffies - start, 0, 1000);
	assert_int_equal(shim_log_count('E'), 0);
}

static void gone_during_removal(void **state)
{
	plug_and_open();
	nic->fn.gone = true;
	unplug();
	shim_run();
}

static void broken(void **state)
{
	struct net_device *dev = plug_and_open();
	struct rtnl_link_stats64 stats;
	unsigned int n = 0;

	nic->hold = true;
	fill_tx(dev, &n);
	fn_serve_all();
	/* It returns what it does not have. */
	ring_push(&nic->fn.queue[0].ring, 0xffff, 60);
	fn_queue_irq(&nic->fn, 0);
	settle();
	assert_one_error(ADDRESS, "id 65535 is out of range");
	assert_false(dev->carrier);
	shim_net_flags(dev, IFF_PROMISC);
	assert_int_not_equal(shim_net_mac(dev, nic->config.mac), 0);
	settle();
	shim_net_close(dev);
	assert_int_equal(shim_net_open(dev), 0);
	settle();
	shim_net_stats(dev, &stats);
	assert_int_equal(shim_log_count('E'), 1);
	unplug();
	renew();

	/* It asks for a reset; packets are dropped. */
	shim_log_clear();
	dev = plug_and_open();
	nic->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	fn_config_irq(&nic->fn);
	settle();
	assert_one_error(ADDRESS, "asks for a reset");
	assert_false(dev->carrier);
	for (n = 0; n < 600; n++)
		send(dev, 60);
	assert_int_equal(shim_net_counter(dev, "tx0_dropped"), 600);
	unplug();
}

/* What a person does while the interface is there: the driver is unbound. */
static void unbind(void **state)
{
	struct net_device *dev = plug_and_open();
	struct virtio_device *vdev = fn_vdev(&nic->fn);
	unsigned int i;

	for (i = 0; i < 5; i++) {
		send(dev, 60);
		shim_unbind(&vdev->dev);
		assert_null(shim_netdev(0));
		assert_int_equal(shim_bind(&vdev->dev), 0);
		dev = shim_netdev(0);
		assert_int_equal(shim_net_open(dev), 0);
		receive(60);
	}
	unplug();
}

/* Every step of probe() fails once. */
static void failures(void **state)
{
	unsigned int n, i, kind, ended = 0;
	bool came;

	for (kind = 0; kind < 3; kind++) {
		for (n = 1; n < 400; n++) {
			set_pairs(2, 2);
			for (i = 0; i < 4; i++)
				set_queue_size(i, 32);
			if (kind == 1) {
				without(VIRTIO_NET_F_MRG_RXBUF);
				without(VIRTIO_RING_F_INDIRECT_DESC);
			}
			if (kind == 2)
				with(VIRTIO_F_ACCESS_PLATFORM);
			shim_fail_nth(n, FAIL_ALL);
			fn_plug(&nic->fn);
			if (shim_netdev(0))
				shim_net_open(shim_netdev(0));
			came = shim_failed();
			shim_fail_nth(0, 0);
			settle();
			shim_run_for(300);
			if (shim_netdev(0) && shim_netdev(0)->flags & IFF_UP)
				receive(60);
			fn_unplug(&nic->fn);
			assert_null(shim_netdev(0));
			renew();
			if (!came) {
				ended++;
				break;
			}
		}
	}
	assert_int_equal(ended, 3);
}

static void poll_controller(void **state)
{
	struct net_device *dev = plug_and_open();
	unsigned long flags;

	assert_true(receive_hdr(&no_hdr, 60));
	local_irq_save(flags);
	dev->netdev_ops->ndo_poll_controller(dev);
	local_irq_restore(flags);
	shim_run();
	received(60);
	unplug();
}

/* Bad input in the config space, and queues that are too short */

static void refused(const char *field)
{
	shim_log_clear();
	fn_plug(&nic->fn);
	settle();
	assert_null(shim_netdev(0));
	assert_one_error(ADDRESS, field);
	fn_unplug(&nic->fn);
	renew();
}

/* It works, but something was not as it should be. */
static struct net_device *warned(const char *field)
{
	struct net_device *dev;

	shim_log_clear();
	dev = plug_and_open();
	assert_one_warning(field);
	receive(60);
	return dev;
}

static void bad_mac(void **state)
{
	memset(nic->config.mac, 0xff, ETH_ALEN);
	nic_set_config(nic);
	assert_true(is_valid_ether_addr(warned("is no address of an interface")->dev_addr));
	unplug();
	renew();
	memset(nic->config.mac, 0, ETH_ALEN);
	nic_set_config(nic);
	warned("is no address of an interface");
	unplug();
}

static void bad_mtu(void **state)
{
	unsigned int mtu;

	for (mtu = 0; mtu < 68; mtu += 67) {
		set_mtu(mtu);
		assert_int_equal(warned("is below 68")->mtu, 1500);
		assert_false(nic_has(nic, VIRTIO_NET_F_MTU));
		unplug();
		renew();
	}
	set_mtu(68);
	assert_int_equal(plug_and_open()->mtu, 68);
	unplug();
	renew();
	set_mtu(65535);
	assert_int_equal(plug_and_open()->mtu, 65535);
	unplug();
}

static void bad_pairs(void **state)
{
	static const u16 wrong[] = { 0, 257, 32768, 65535 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		set_pairs(1, 1);
		nic->config.max_virtqueue_pairs = wrong[i];
		nic_set_config(nic);
		warned("max_virtqueue_pairs ");
		assert_false(nic_has(nic, VIRTIO_NET_F_MQ));
		unplug();
		renew();
	}
	/* More than there are queues. */
	set_pairs(1, 1);
	nic->config.max_virtqueue_pairs = 5;
	nic_set_config(nic);
	refused("queue");
}

static u16 second_look;

/* max_virtqueue_pairs is another when it is read again. */
static u32 changes_its_mind(struct fn *fn, int bar, u64 offset,
			    unsigned int width, u32 v)
{
	if (fn_is_config(fn, bar, &offset) && offset == 8 && second_look++)
		return 0;
	return v;
}

static void pairs_that_change(void **state)
{
	MODERN_ONLY();
	set_pairs(2, 2);
	second_look = 0;
	nic->fn.hook = changes_its_mind;
	refused("max_virtqueue_pairs 0 is not 1 to 256");
}

static void short_queues(void **state)
{
	without(VIRTIO_NET_F_MRG_RXBUF);
	set_queue_size(0, 16);
	refused("queue_size 16 of queue 0 is too small for a packet");
	set_queue_size(1, 1);
	refused("queue_size 1 of queue 1 is too small for a packet");
	set_queue_size(2, 2);
	refused("queue_size 2 of the control queue is too small");
	set_queue_size(0, 0);
	refused("queue 0");
	set_queue_size(2, 0);
	refused("queue 2");

	/* The shortest ones that will do. */
	set_queue_size(0, 1);
	set_queue_size(1, 2);
	set_queue_size(2, 4);
	send(plug_and_open(), 60);
	settle();
	receive(60);
	receive(60);
	assert_int_equal(nic->num_sent, 1);
	unplug();
}

/* A control queue that never answers: one wait, and one line. */
static void silent(void **state)
{
	static const u8 mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 1 };
	static const u8 other[ETH_ALEN] = { 2, 0, 0, 0, 0, 2 };
	struct net_device *dev = plug_and_open();
	unsigned long start;

	nic->answer = NIC_IS_SILENT;
	start = jiffies;
	assert_int_equal(shim_net_mac(dev, mac), -ETIMEDOUT);
	assert_in_range(jiffies - start, 9 * HZ, 11 * HZ);
	assert_one_error(ADDRESS, "control queue: no answer to command 1/1");
	start = jiffies;
	assert_int_equal(shim_net_mac(dev, other), -EIO);
	shim_net_vlan(dev, 7, true);
	assert_int_not_equal(shim_net_rx_csum(dev, false), 0);
	shim_net_flags(dev, IFF_PROMISC);
	shim_run();
	assert_in_range(jiffies - start, 0, 10);
	assert_int_equal(shim_log_count('E'), 1);
	/* The rest of it works. */
	receive(60);
	send(dev, 60);
	settle();
	assert_int_equal(nic->num_sent, 1);

	/* The answer, much later: nobody minds. */
	nic->answer = NIC_ANSWERS;
	nic_answer_late(nic);
	settle();
	/* What it was to do is what it was asked then. */
	assert_memory_equal(nic->mac, mac, ETH_ALEN);
	assert_int_equal(shim_net_mac(dev, mac), -EIO);
	receive(60);
	unplug();
	renew();
	shim_log_clear();

	/* In the middle of a MAC filter, and removed. */
	dev = plug_and_open();
	nic->answer = NIC_IS_SILENT;
	nic->refused_class = VIRTIO_NET_CTRL_MAC;
	shim_net_flags(dev, IFF_PROMISC);
	shim_run_for(11000);
	assert_true(nic->promisc);
	assert_one_error(ADDRESS, "no answer to command 1/0");
	shim_net_flags(dev, 0);
	shim_run();
	unplug();
	renew();
	shim_log_clear();

	/* The mode that comes before it. */
	dev = plug_and_open();
	nic->answer = NIC_IS_SILENT;
	shim_net_flags(dev, IFF_PROMISC);
	shim_run_for(11000);
	assert_one_error(ADDRESS, "no answer to command 0/0");
	unplug();
	renew();
	shim_log_clear();

	/* From the start. */
	set_pairs(2, 2);
	nic->answer = NIC_IS_SILENT;
	dev = plug();
	assert_non_null(dev);
	assert_int_equal(dev->real_num_tx_queues, 1);
	assert_int_equal(shim_log_count('E'), 1);
	unplug();
}

/* An answer that came, but not for the last command. */
static void slow(void **state)
{
	static const u8 mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 1 };
	struct net_device *dev = plug_and_open();

	/* Interrupts for nothing. */
	fn_queue_irq(&nic->fn, 2);
	fn_queue_irq(&nic->fn, 2);
	assert_int_equal(shim_net_mac(dev, mac), 0);
	/* It breaks while somebody waits. */
	nic->answer = NIC_IS_SILENT;
	nic->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	fn_config_irq(&nic->fn);
	assert_int_not_equal(shim_net_mac(dev, mac), 0);
	assert_one_error(ADDRESS, "asks for a reset");
	unplug();
}

static bool break_now;

static void idle_and_break(void)
{
	fn_serve_all();
	if (!break_now)
		return;
	break_now = false;
	nic->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	fn_config_irq(&nic->fn);
}

static void breaks_while_waited_for(void **state)
{
	static const u8 mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 1 };
	struct net_device *dev = plug_and_open();
	unsigned long start = jiffies;

	nic->answer = NIC_IS_SILENT;
	break_now = true;
	shim_idle = idle_and_break;
	assert_int_equal(shim_net_mac(dev, mac), -EIO);
	assert_in_range(jiffies - start, 0, 5000);
	assert_one_error(ADDRESS, "asks for a reset");
	assert_int_equal(shim_net_mac(dev, mac), -EIO);
	unplug();
}

#define net_test(f)	cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		net_test(feature_combinations),
		net_test(module_parameters),
		net_test(control_queue_index),
		net_test(mac_addresses),
		net_test(mtu_limits),
		net_test(receive_mergeable),
		net_test(receive_big),
		net_test(receive_small),
		net_test(receive_bursts),
		net_test(header_split),
		net_test(header_nonsense),
		net_test(checksums),
		net_test(large_packets),
		net_test(multicast_is_counted),
		net_test(length_mergeable),
		net_test(length_big),
		net_test(num_buffers),
		net_test(receive_without_memory),
		net_test(receive_without_skbs),
		net_test(recycling),
		net_test(large_pages),
		net_test(large_pages_cannot_be_had),
		net_test(pages_in_use),
		net_test(interrupts_while_sending),
		net_test(open_and_close),
		net_test(transmit),
		net_test(transmit_headers),
		net_test(transmit_short_ring),
		net_test(queue_full),
		net_test(interrupt_before_complete),
		net_test(room_in_the_last_moment),
		net_test(packet_before_complete),
		net_test(full_and_closed),
		net_test(transmit_map_failures),
#ifdef COMPAT_HAVE_NETDEV_XMIT_MORE
		net_test(more_follows),
		net_test(more_follows_and_fails),
#endif
		net_test(freed_by_reception),
		net_test(receive_modes),
		net_test(lists_that_change),
		net_test(vlans),
		net_test(offloads),
		net_test(offloads_fixed),
#ifndef COMPAT_HAVE_NETDEV_HW_FEATURES
		net_test(classic_offloads),
#endif
#if defined(COMPAT_HAVE_ETHTOOL_CHANNELS) || defined(COMPAT_HAVE_ETHTOOL_CHANNELS_EXT)
		net_test(channels),
#endif
		net_test(many_queues),
		net_test(statistics),
		net_test(ring_sizes),
		net_test(link_state),
		net_test(announce),
		net_test(sleeps),
		net_test(sleeps_without_commands),
		net_test(wakes_silent),
		net_test(does_not_wake),
		net_test(removal),
		net_test(link_changes_during_removal),
		net_test(announced_during_removal),
		net_test(gone_during_removal),
		net_test(broken),
		net_test(unbind),
		net_test(failures),
		net_test(poll_controller),
		net_test(bad_mac),
		net_test(bad_mtu),
		net_test(bad_pairs),
		net_test(pairs_that_change),
		net_test(short_queues),
		net_test(silent),
		net_test(slow),
		net_test(breaks_while_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
