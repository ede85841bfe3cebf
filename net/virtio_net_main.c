// SPDX-License-Identifier: GPL-2.0
/*
 * virtio network device, virtio 1.2 section 5.1.
 */
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/virtio_ids.h>
#include "virtio_net.h"

/* Smaller than this no network works with IPv4. */
#define VIRTNET_MIN_MTU		68
#define VIRTNET_MAX_MTU		65535

static int napi_weight = NAPI_POLL_WEIGHT;
module_param(napi_weight, int, 0444);
MODULE_PARM_DESC(napi_weight, "packets that are received in one go (default: 64)");

static bool csum = true;
module_param(csum, bool, 0444);
MODULE_PARM_DESC(csum, "let the device fill in checksums (default: on)");

static bool gso = true;
module_param(gso, bool, 0444);
MODULE_PARM_DESC(gso, "let the device cut large packets up (default: on)");

/* The interface, as the network stack has it */

int virtnet_open(struct net_device *dev)
{
	struct virtnet_info *vi = netdev_priv(dev);
	unsigned int i;

	vi->open = true;
	spin_lock_bh(&vi->refill_lock);
	vi->refill_on = true;
	spin_unlock_bh(&vi->refill_lock);

	for (i = 0; i < vi->max_pairs; i++) {
		napi_enable(&vi->sq[i].napi);
		virtnet_rx_start(&vi->rq[i], i < vi->pairs);
		/* It was full when the interface was closed, perhaps. */
		local_bh_disable();
		napi_schedule(&vi->sq[i].napi);
		local_bh_enable();
	}
	return 0;
}

/* Also for one that is closed, or sleeps: twice is once. */
int virtnet_close(struct net_device *dev)
{
	struct virtnet_info *vi = netdev_priv(dev);
	unsigned int i;

	if (!vi->open)
		return 0;
	vi->open = false;
	spin_lock_bh(&vi->refill_lock);
	vi->refill_on = false;
	spin_unlock_bh(&vi->refill_lock);

	for (i = 0; i < vi->max_pairs; i++) {
		virtnet_rx_stop(&vi->rq[i]);
		napi_disable(&vi->sq[i].napi);
	}
	return 0;
}

static void virtnet_sum_stats(struct net_device *dev,
			      struct rtnl_link_stats64 *sum)
{
	struct virtnet_info *vi = netdev_priv(dev);
	struct virtnet_rx_stats rx;
	struct virtnet_tx_stats tx;
	unsigned int i;

	for (i = 0; i < vi->max_pairs; i++) {
		virtnet_read_stats(&vi->rq[i], &rx);
		sum->rx_packets += rx.packets;
		sum->rx_bytes += rx.bytes;
		sum->multicast += rx.multicast;
		sum->rx_length_errors += rx.length_errors;
		sum->rx_frame_errors += rx.header_errors;
		sum->rx_dropped += rx.no_memory;

		virtnet_read_stats(&vi->sq[i], &tx);
		sum->tx_packets += tx.packets;
		sum->tx_bytes += tx.bytes;
		sum->tx_dropped += tx.dropped;
	}
	sum->rx_errors = sum->rx_length_errors + sum->rx_frame_errors;
}

COMPAT_STATS64(virtnet_get_stats, virtnet_sum_stats)

static int virtnet_change_mtu(struct net_device *dev, int mtu)
{
	struct virtnet_info *vi = netdev_priv(dev);

	if (mtu < VIRTNET_MIN_MTU || mtu > vi->max_mtu)
		return -EINVAL;
	dev->mtu = mtu;
	return 0;
}

static int virtnet_set_mac(struct net_device *dev, void *p)
{
	struct virtnet_info *vi = netdev_priv(dev);
	struct sockaddr *addr = p;
	int err;

	if (!is_valid_ether_addr((u8 *)addr->sa_data))
		return -EADDRNOTAVAIL;
	if (virtio_has_feature(vi->vdev, VIRTIO_NET_F_CTRL_MAC_ADDR)) {
		err = virtnet_ctrl_mac(vi, (u8 *)addr->sa_data);
		if (err) {
			virtnet_warn(vi->vdev, "the device does not take the MAC address %pM (%d)\n",
				     addr->sa_data, err);
			return err;
		}
	} else if (virtio_has_feature(vi->vdev, VIRTIO_NET_F_MAC)) {
		/* Without the command a modern device's is what it is. */
		if (!virtio_is_legacy(vi->vdev))
			return -EOPNOTSUPP;
		vi->vdev->config->set(vi->vdev, CONFIG(mac), addr->sa_data,
				      ETH_ALEN);
	}
	eth_hw_addr_set(dev, (u8 *)addr->sa_data);
	return 0;
}

/* Called with leave to sleep or without. */
void virtnet_set_rx_mode(struct net_device *dev)
{
	struct virtnet_info *vi = netdev_priv(dev);

	if (virtio_has_feature(vi->vdev, VIRTIO_NET_F_CTRL_RX))
		schedule_work(&vi->rx_mode_work);
}

static int virtnet_change_vlan(struct net_device *dev, u16 vid, bool add)
{
	struct virtnet_info *vi = netdev_priv(dev);
	int err = virtnet_ctrl_vlan(vi, vid, add);

	if (err)
		virtnet_warn(vi->vdev, "the device refuses to %s VLAN %u (%d)\n",
			     add ? "receive" : "forget", vid, err);
	else if (vid < VIRTNET_VLANS && add)
		set_bit(vid, vi->vlans);
	else if (vid < VIRTNET_VLANS)
		clear_bit(vid, vi->vlans);
	return err;
}

COMPAT_VLAN_FILTER(virtnet_vlan_add, virtnet_vlan_kill, virtnet_change_vlan)

#ifdef CONFIG_NET_POLL_CONTROLLER
static void virtnet_poll_controller(struct net_device *dev)
{
	struct virtnet_info *vi = netdev_priv(dev);
	unsigned int i;

	for (i = 0; i < vi->pairs; i++)
		napi_schedule(&vi->rq[i].napi);
}
#endif

/*
 * A flow stays on one pair: what answers or forwards received packets is sent
 * on the pair that those came by, wherever its interrupts happen to be; all
 * else on the pair of the CPU. Bottom halves are off.
 */
static u16 virtnet_pick_queue(struct net_device *dev, struct sk_buff *skb)
{
	unsigned int cpu = smp_processor_id();
	unsigned int queue = per_cpu(virtnet_polled, cpu);

	if (queue)
		queue--;
	else if (skb_rx_queue_recorded(skb))
		queue = skb_get_rx_queue(skb);
	else
		queue = cpu;
	return queue % dev->real_num_tx_queues;
}

COMPAT_SELECT_QUEUE(virtnet_select_queue, virtnet_pick_queue)

static const struct net_device_ops virtnet_netdev_ops = {
	.ndo_open		= virtnet_open,
	.ndo_stop		= virtnet_close,
	.ndo_start_xmit		= virtnet_start_xmit,
	.ndo_validate_addr	= eth_validate_addr,
	.ndo_set_mac_address	= virtnet_set_mac,
	.ndo_set_rx_mode	= virtnet_set_rx_mode,
	.ndo_change_mtu		= virtnet_change_mtu,
	.ndo_vlan_rx_add_vid	= virtnet_vlan_add,
	.ndo_vlan_rx_kill_vid	= virtnet_vlan_kill,
#ifdef CONFIG_NET_POLL_CONTROLLER
	.ndo_poll_controller	= virtnet_poll_controller,
#endif
	COMPAT_NDO_SELECT_QUEUE(virtnet_select_queue)
	COMPAT_NDO_STATS64(virtnet_get_stats)
	COMPAT_NDO_SET_FEATURES(virtnet_set_features)
};

/* Config changes */

static bool virtnet_link_is_up(struct virtnet_info *vi, u16 *status)
{
	*status = VIRTIO_NET_S_LINK_UP;
	if (virtio_has_feature(vi->vdev, VIRTIO_NET_F_STATUS))
		*status = virtio_cread16(vi->vdev, CONFIG(status));
	return *status & VIRTIO_NET_S_LINK_UP &&
	       !virtio_device_is_broken(vi->vdev);
}

static void virtnet_config_work(struct work_struct *work)
{
	struct virtnet_info *vi = container_of(work, struct virtnet_info,
					       config_work);
	u16 status;
	bool up = virtnet_link_is_up(vi, &status);

	if (up && status & VIRTIO_NET_S_ANNOUNCE &&
	    virtio_has_feature(vi->vdev, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
		netdev_notify_peers(vi->dev);
		virtnet_ctrl_announced(vi);
	}

	if (up == vi->link_up)
		return;
	vi->link_up = up;
	virtnet_read_speed(vi);
	if (up)
		netif_carrier_on(vi->dev);
	else
		netif_carrier_off(vi->dev);
}

/* Any context. */
static void virtnet_config_changed(struct virtio_device *vdev)
{
	struct virtnet_info *vi = vdev->priv;
	unsigned long flags;

	spin_lock_irqsave(&vi->config_lock, flags);
	if (!vi->removing)
		schedule_work(&vi->config_work);
	spin_unlock_irqrestore(&vi->config_lock, flags);
}

/*
 * From now on nothing changes the carrier: the stack would remember an
 * interface that is about to be freed. Process context.
 */
void virtnet_config_stop(struct virtnet_info *vi)
{
	spin_lock_irq(&vi->config_lock);
	vi->removing = true;
	spin_unlock_irq(&vi->config_lock);
	cancel_work_sync(&vi->config_work);
}

/* After a sleep: what is missed, or broke, meanwhile is seen now. */
void virtnet_config_start(struct virtnet_info *vi)
{
	spin_lock_irq(&vi->config_lock);
	vi->removing = false;
	spin_unlock_irq(&vi->config_lock);
	virtnet_config_changed(vi->vdev);
}

/*
 * The device broke and was reset. Packets in flight are freed when it is
 * removed; who waits for an answer gets none.
 */
static void virtnet_fail(struct virtio_device *vdev)
{
	struct virtnet_info *vi = vdev->priv;

	complete(&vi->ctrl_done);
	virtnet_config_changed(vdev);
}

/* Features */

static void virtnet_require(struct virtio_device *vdev, unsigned int bit,
			    unsigned int needed)
{
	if (!virtio_has_feature(vdev, needed))
		virtio_clear_feature(vdev, bit);
}

/* Section 5.1.3.1: what a feature needs. One that lacks it is left alone. */
static void virtnet_check_dependencies(struct virtio_device *vdev)
{
	static const unsigned int needs[][2] = {
		{ VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_STATUS },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(needs); i++)
		virtnet_require(vdev, needs[i][0], needs[i][1]);

	/* These need one of two, whichever. */
	if (!virtio_has_feature(vdev, VIRTIO_NET_F_GUEST_TSO4))
		virtnet_require(vdev, VIRTIO_NET_F_GUEST_ECN,
				VIRTIO_NET_F_GUEST_TSO6);
	if (!virtio_has_feature(vdev, VIRTIO_NET_F_HOST_TSO4))
		virtnet_require(vdev, VIRTIO_NET_F_HOST_ECN,
				VIRTIO_NET_F_HOST_TSO6);
}

/* Features that the config space contradicts are declined, and it is said. */
static int virtnet_validate(struct virtio_device *vdev)
{
	u16 value;

	if (!csum) {
		virtio_clear_feature(vdev, VIRTIO_NET_F_CSUM);
		virtio_clear_feature(vdev, VIRTIO_NET_F_GUEST_CSUM);
	}
	if (!gso) {
		virtio_clear_feature(vdev, VIRTIO_NET_F_HOST_TSO4);
		virtio_clear_feature(vdev, VIRTIO_NET_F_HOST_TSO6);
		virtio_clear_feature(vdev, VIRTIO_NET_F_HOST_UFO);
	}
	if (!compat_can_notify_peers())
		virtio_clear_feature(vdev, VIRTIO_NET_F_GUEST_ANNOUNCE);
	virtnet_check_dependencies(vdev);

	if (virtio_has_feature(vdev, VIRTIO_NET_F_MTU)) {
		value = virtio_cread16(vdev, CONFIG(mtu));
		if (value < VIRTNET_MIN_MTU) {
			virtnet_warn(vdev, "mtu %u is below %u: ignored\n",
				     value, VIRTNET_MIN_MTU);
			virtio_clear_feature(vdev, VIRTIO_NET_F_MTU);
		}
	}
	if (virtio_has_feature(vdev, VIRTIO_NET_F_MQ)) {
		value = virtio_cread16(vdev, CONFIG(max_virtqueue_pairs));
		if (!value || value > VIRTNET_MAX_PAIRS) {
			virtnet_warn(vdev, "max_virtqueue_pairs %u is not 1 to %u: using one pair\n",
				     value, VIRTNET_MAX_PAIRS);
			virtio_clear_feature(vdev, VIRTIO_NET_F_MQ);
		}
	}
	return 0;
}

/* What the interface can do, for the stack and for ethtool. */
static void virtnet_init_features(struct virtnet_info *vi)
{
	struct virtio_device *vdev = vi->vdev;
	netdev_features_t on = NETIF_F_HIGHDMA, fixed = on;

	/* Fragments without checksums to fill in would be of no use. */
	if (virtio_has_feature(vdev, VIRTIO_NET_F_CSUM)) {
		on |= NETIF_F_HW_CSUM | NETIF_F_SG;
		if (virtio_has_feature(vdev, VIRTIO_NET_F_HOST_TSO4))
			on |= NETIF_F_TSO;
		if (virtio_has_feature(vdev, VIRTIO_NET_F_HOST_TSO6))
			on |= NETIF_F_TSO6;
		if (virtio_has_feature(vdev, VIRTIO_NET_F_HOST_ECN))
			on |= NETIF_F_TSO_ECN;
		if (virtio_has_feature(vdev, VIRTIO_NET_F_HOST_UFO))
			on |= NETIF_F_UFO;
	}

	if (virtio_has_feature(vdev, VIRTIO_NET_F_GUEST_CSUM))
		on |= NETIF_F_RXCSUM;
	if (virtio_has_feature(vdev, VIRTIO_NET_F_GUEST_TSO4) ||
	    virtio_has_feature(vdev, VIRTIO_NET_F_GUEST_TSO6))
		on |= NETIF_F_GRO_HW;
	vi->offloads = vdev->features & VIRTNET_OFFLOADS;
	if (!virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
		fixed |= NETIF_F_RXCSUM | NETIF_F_GRO_HW;

	if (virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_VLAN)) {
		on |= NETIF_F_HW_VLAN_CTAG_FILTER;
		fixed |= NETIF_F_HW_VLAN_CTAG_FILTER;
	}
	compat_set_features(vi->dev, on, on & ~fixed);
}

/* Setting an interface up */

static void virtnet_init_mac(struct virtnet_info *vi)
{
	struct virtio_device *vdev = vi->vdev;
	struct net_device *dev = vi->dev;
	u8 mac[ETH_ALEN];

	if (virtio_has_feature(vdev, VIRTIO_NET_F_MAC)) {
		virtio_cread_bytes(vdev, CONFIG(mac), mac, sizeof(mac));
		if (is_valid_ether_addr(mac)) {
			eth_hw_addr_set(dev, mac);
			return;
		}
		virtnet_warn(vdev, "mac %pM is no address of an interface: using a random one\n",
			     mac);
	}
	eth_hw_addr_random(dev);
}

/* How large a packet may be, and what it is received in. */
static void virtnet_init_buffers(struct virtnet_info *vi)
{
	struct virtio_device *vdev = vi->vdev;
	unsigned int size = ETH_HLEN + VLAN_HLEN + ETH_DATA_LEN;

	vi->hdr_len = sizeof(struct virtio_net_hdr);
	vi->mergeable = virtio_has_feature(vdev, VIRTIO_NET_F_MRG_RXBUF);
	/* Section 5.1.6: on such a legacy device, num_buffers is not there. */
	if (virtio_is_legacy(vdev) && !vi->mergeable)
		vi->hdr_len = offsetof(struct virtio_net_hdr, num_buffers);
	vi->max_mtu = VIRTNET_MAX_MTU;
	vi->buf_pages = 1;
	if (virtio_has_feature(vdev, VIRTIO_NET_F_MTU)) {
		vi->max_mtu = virtio_cread16(vdev, CONFIG(mtu));
		vi->max_mtu = max_t(unsigned int, vi->max_mtu, VIRTNET_MIN_MTU);
		size = ETH_HLEN + VLAN_HLEN +
		       max_t(unsigned int, vi->max_mtu, ETH_DATA_LEN);
	}

	if (!vi->mergeable) {
		if (vdev->features & VIRTNET_OFFLOADS_GSO)
			size = VIRTNET_MAX_PACKET;
		vi->buf_pages = DIV_ROUND_UP(vi->hdr_len + size, PAGE_SIZE);
		/* What fits in the pages may as well be used. */
		vi->max_mtu = min_t(unsigned int, vi->max_mtu,
				    vi->buf_pages * PAGE_SIZE - vi->hdr_len -
				    ETH_HLEN - VLAN_HLEN);
	}
	vi->split_hdr = !virtio_any_layout(vdev);
	vi->buf_sgs = vi->buf_pages + (vi->split_hdr && !vi->mergeable);
	if (vi->dev->mtu > vi->max_mtu)
		vi->dev->mtu = vi->max_mtu;
	else if (virtio_has_feature(vdev, VIRTIO_NET_F_MTU))
		vi->dev->mtu = vi->max_mtu;
	compat_set_mtu_range(vi->dev, VIRTNET_MIN_MTU, vi->max_mtu);
}

/*
 * Queue 2N receives, 2N + 1 sends, the control queue is behind the last pair:
 * that of max_virtqueue_pairs with VIRTIO_NET_F_MQ, the first one without.
 * Section 5.1.2.
 */
static int virtnet_find_vqs(struct virtnet_info *vi)
{
	unsigned int i, num = 2 * vi->max_pairs + vi->has_cvq;
	struct virtqueue_info *info;
	struct virtqueue **vqs;
	int err = -ENOMEM;

	vqs = kcalloc(num, sizeof(*vqs), GFP_KERNEL);
	info = kcalloc(num, sizeof(*info), GFP_KERNEL);
	if (!vqs || !info)
		goto out;

	for (i = 0; i < vi->max_pairs; i++) {
		snprintf(vi->rq[i].name, sizeof(vi->rq[i].name), "input.%u", i);
		info[2 * i].name = vi->rq[i].name;
		info[2 * i].callback = virtnet_rx_done;
		info[2 * i].max_sgs = vi->buf_sgs > 1 ? vi->buf_sgs : 0;
		snprintf(vi->sq[i].name, sizeof(vi->sq[i].name), "output.%u",
			 i);
		info[2 * i + 1].name = vi->sq[i].name;
		info[2 * i + 1].callback = virtnet_tx_done;
		info[2 * i + 1].max_sgs = VIRTNET_TX_SGS;
	}
	if (vi->has_cvq) {
		info[num - 1].name = "control";
		info[num - 1].callback = virtnet_ctrl_done;
	}

	err = virtio_find_vqs(vi->vdev, num, vqs, info);
	if (err)
		goto out;
	for (i = 0; i < vi->max_pairs; i++) {
		vi->rq[i].vq = vqs[2 * i];
		vi->sq[i].vq = vqs[2 * i + 1];
		/* Nobody waits for what was sent. */
		virtqueue_disable_cb(vi->sq[i].vq);
	}
	if (vi->has_cvq)
		vi->cvq = vqs[num - 1];
out:
	kfree(info);
	kfree(vqs);
	return err;
}

/* Whether the queues are large enough, now that their sizes are known. */
static int virtnet_check_queues(struct virtnet_info *vi)
{
	unsigned int i, rx, tx;

	vi->tx_room = VIRTNET_TX_SGS;
	for (i = 0; i < vi->max_pairs; i++) {
		rx = virtqueue_get_vring_size(vi->rq[i].vq);
		tx = virtqueue_get_vring_size(vi->sq[i].vq);
		if (rx < vi->buf_sgs || tx < 2) {
			virtnet_err(vi->vdev, "queue_size %u of queue %u is too small for a packet: interface not used\n",
				    rx < vi->buf_sgs ? rx : tx,
				    rx < vi->buf_sgs ? 2 * i : 2 * i + 1);
			return -EINVAL;
		}
		vi->tx_room = min(vi->tx_room, tx);
	}
	if (vi->has_cvq && virtqueue_get_vring_size(vi->cvq) < 4) {
		virtnet_err(vi->vdev, "queue_size %u of the control queue is too small for a command: interface not used\n",
			    virtqueue_get_vring_size(vi->cvq));
		return -EINVAL;
	}
	return 0;
}

static void virtnet_init_queues(struct virtnet_info *vi)
{
	unsigned int i;

	for (i = 0; i < vi->max_pairs; i++) {
		struct virtnet_rq *rq = &vi->rq[i];
		struct virtnet_sq *sq = &vi->sq[i];

		rq->vi = vi;
		rq->index = i;
		sg_init_table(rq->sg, VIRTNET_RX_SGS);
		u64_stats_init(&rq->sync);
		INIT_DELAYED_WORK(&rq->refill, virtnet_rx_refill_work);
		timer_setup(&rq->late, virtnet_rx_late, 0);
		compat_napi_add(vi->dev, &rq->napi, virtnet_rx_poll,
				napi_weight);
		sq->vi = vi;
		sq->index = i;
		sg_init_table(sq->sg, VIRTNET_TX_SGS);
		u64_stats_init(&sq->sync);
		compat_napi_add(vi->dev, &sq->napi, virtnet_tx_poll,
				NAPI_POLL_WEIGHT);
	}
}

static void virtnet_free_queues(struct virtnet_info *vi)
{
	unsigned int i;

	for (i = 0; vi->rq && vi->sq && i < vi->max_pairs; i++) {
		netif_napi_del(&vi->rq[i].napi);
		netif_napi_del(&vi->sq[i].napi);
	}
	kfree(vi->rq);
	kfree(vi->sq);
}

/* Stops the device and takes back what it holds. */
void virtnet_take_back(struct virtnet_info *vi)
{
	unsigned int i;

	virtio_reset_device(vi->vdev);
	for (i = 0; i < vi->max_pairs; i++) {
		virtnet_rx_free(&vi->rq[i]);
		virtnet_tx_free(&vi->sq[i]);
	}
	if (vi->has_cvq)
		while (virtqueue_detach_unused_buf(vi->cvq))
			;
}

static void virtnet_del_vqs(struct virtnet_info *vi)
{
	virtnet_take_back(vi);
	virtio_del_vqs(vi->vdev);
}

/*
 * The interrupts of pair N go to CPU N. The mask is ours since the kernel goes
 * on looking at it, and what cpumask_of() is made of is not on all kABI lists.
 */
static void virtnet_set_affinity(struct virtnet_info *vi)
{
	const struct virtio_config_ops *config = vi->vdev->config;
	unsigned int i;

	if (vi->max_pairs == 1)
		return;
	for (i = 0; i < vi->max_pairs && i < nr_cpu_ids; i++) {
		if (!cpu_online(i))
			continue;
		cpumask_set_cpu(i, &vi->rq[i].cpu);
		config->set_vq_affinity(vi->rq[i].vq, &vi->rq[i].cpu);
		config->set_vq_affinity(vi->sq[i].vq, &vi->rq[i].cpu);
	}
}

/**
 * virtnet_set_pairs - use so many queue pairs
 * @vi:		the interface
 * @pairs:	1 to max_pairs
 *
 * Under the rtnl lock, or before the interface is registered. Returns 0 or a
 * negative errno, with everything as it was.
 */
int virtnet_set_pairs(struct virtnet_info *vi, unsigned int pairs)
{
	unsigned int i, old = vi->pairs;
	int err;

	if (virtio_has_feature(vi->vdev, VIRTIO_NET_F_MQ)) {
		err = virtnet_ctrl_pairs(vi, pairs);
		if (err) {
			virtnet_warn(vi->vdev, "the device does not use %u queue pairs (%d): there are %u still\n",
				     pairs, err, old);
			return err;
		}
	}
	vi->pairs = pairs;
	compat_set_real_num_queues(vi->dev, pairs);
	compat_spread_cpus(vi->dev, pairs);

	/* The new ones have no buffers yet. */
	spin_lock_bh(&vi->refill_lock);
	for (i = old; i < pairs && vi->refill_on; i++)
		schedule_delayed_work(&vi->rq[i].refill, 0);
	spin_unlock_bh(&vi->refill_lock);
	return 0;
}

/* The queues exist, and nothing of it is visible yet. */
static int virtnet_start(struct virtnet_info *vi)
{
	struct virtio_device *vdev = vi->vdev;
	struct net_device *dev = vi->dev;
	bool mac_is_ours;
	u16 status;
	int err;

	virtnet_init_mac(vi);
	mac_is_ours = !virtio_has_feature(vdev, VIRTIO_NET_F_MAC);

	/* Who is told of the interface opens it at once. */
	virtio_device_ready(vdev);

	if (mac_is_ours &&
	    virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_MAC_ADDR))
		virtnet_ctrl_mac(vi, dev->dev_addr);

	vi->pairs = 1;
	compat_set_real_num_queues(dev, 1);
	if (vi->max_pairs > 1)
		virtnet_set_pairs(vi, min_t(unsigned int, vi->max_pairs,
					    num_online_cpus()));
	virtnet_set_affinity(vi);

	/* What the carrier is, config_work finds out. */
	vi->speed = SPEED_UNKNOWN;
	vi->duplex = DUPLEX_UNKNOWN;
	netif_carrier_off(dev);
	err = register_netdev(dev);
	if (err)
		return err;
	vi->link_up = virtnet_link_is_up(vi, &status);
	if (vi->link_up)
		netif_carrier_on(dev);
	virtnet_read_speed(vi);
	return 0;
}

static int virtnet_probe(struct virtio_device *vdev)
{
	unsigned int max_pairs = 1;
	struct virtnet_info *vi;
	struct net_device *dev;
	int err;

	if (virtio_has_feature(vdev, VIRTIO_NET_F_MQ))
		max_pairs = virtio_cread16(vdev, CONFIG(max_virtqueue_pairs));
	/* It was looked at before, but the device may have changed its mind. */
	if (!max_pairs || max_pairs > VIRTNET_MAX_PAIRS) {
		virtnet_err(vdev, "max_virtqueue_pairs %u is not 1 to %u: interface not used\n",
			    max_pairs, VIRTNET_MAX_PAIRS);
		return -EINVAL;
	}

	dev = alloc_etherdev_mq(sizeof(*vi), max_pairs);
	if (!dev)
		return -ENOMEM;
	SET_NETDEV_DEV(dev, &vdev->dev);
	dev->netdev_ops = &virtnet_netdev_ops;
	compat_set_stats_ops(dev, virtnet_get_stats);
	virtnet_set_ethtool_ops(dev);

	vi = netdev_priv(dev);
	vi->vdev = vdev;
	vi->dev = dev;
	vi->max_pairs = max_pairs;
	vi->has_cvq = virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_VQ);
	spin_lock_init(&vi->refill_lock);
	spin_lock_init(&vi->config_lock);
	INIT_WORK(&vi->config_work, virtnet_config_work);
	vdev->priv = vi;

	vi->rq = kcalloc(max_pairs, sizeof(*vi->rq), GFP_KERNEL);
	vi->sq = kcalloc(max_pairs, sizeof(*vi->sq), GFP_KERNEL);
	err = virtnet_ctrl_init(vi);
	if (err || !vi->rq || !vi->sq) {
		err = -ENOMEM;
		kfree(vi->rq);
		kfree(vi->sq);
		goto free_dev;
	}
	virtnet_init_queues(vi);
	virtnet_init_features(vi);
	virtnet_init_buffers(vi);

	err = virtnet_find_vqs(vi);
	if (err)
		goto free_queues;
	err = virtnet_check_queues(vi);
	if (!err)
		err = virtnet_start(vi);
	if (err)
		goto del_vqs;
	return 0;

del_vqs:
	virtnet_config_stop(vi);
	virtnet_del_vqs(vi);
free_queues:
	virtnet_free_queues(vi);
free_dev:
	virtnet_ctrl_free(vi);
	free_netdev(dev);
	return err;
}

static void virtnet_remove(struct virtio_device *vdev)
{
	struct virtnet_info *vi = vdev->priv;

	virtnet_config_stop(vi);
	unregister_netdev(vi->dev);
	cancel_work_sync(&vi->rx_mode_work);
	virtnet_del_vqs(vi);
	virtnet_free_queues(vi);
	virtnet_ctrl_free(vi);
	free_netdev(vi->dev);
}

static const struct virtio_device_id virtnet_id_table[] = {
	{ VIRTIO_ID_NET, VIRTIO_DEV_ANY_ID },
	{ 0 }
};
MODULE_DEVICE_TABLE(virtio, virtnet_id_table);

static const unsigned int virtnet_features[] = {
	VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM,
	VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_MTU, VIRTIO_NET_F_MAC,
	VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
	VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_UFO,
	VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6,
	VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_MRG_RXBUF,
	VIRTIO_NET_F_STATUS, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_CTRL_RX,
	VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MQ,
	VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_SPEED_DUPLEX,
};

static struct virtio_driver virtnet_driver = {
	.driver.name		= KBUILD_MODNAME,
	.driver.owner		= THIS_MODULE,
	.id_table		= virtnet_id_table,
	.feature_table		= virtnet_features,
	.feature_table_size	= ARRAY_SIZE(virtnet_features),
	.validate		= virtnet_validate,
	.probe			= virtnet_probe,
	.remove			= virtnet_remove,
	.config_changed		= virtnet_config_changed,
	.fail			= virtnet_fail,
	.suspend		= virtnet_suspend,
	.resume			= virtnet_resume,
	.shutdown		= virtnet_shutdown,
};

static int __init virtnet_init(void)
{
	return register_virtio_driver(&virtnet_driver);
}

static void __exit virtnet_exit(void)
{
	unregister_virtio_driver(&virtnet_driver);
}

module_init(virtnet_init);
module_exit(virtnet_exit);

MODULE_DESCRIPTION("virtio network device");
MODULE_AUTHOR("the virtio-modern authors");
MODULE_VERSION(VIRTIO_MODERN_VERSION);
COMPAT_MODULE_INFO
MODULE_LICENSE("GPL");
