/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_NETDEVICE_H
#define _COMPAT_LINUX_NETDEVICE_H

#include_next <linux/netdevice.h>
#include <linux/if_link.h>
#include <linux/module.h>
#include <linux/string.h>

/*
 * Operations of an interface that changed their shape. Each COMPAT_… defines,
 * outside the structure, an operation of this kernel's shape out of a function
 * of one shape; COMPAT_NDO_… is the member of net_device_ops.
 */

/*
 * 2.6.36, and void since 4.11. @fn adds to counters that are 0. EL6 has it from
 * 6.6 on, where compat_set_stats_ops() is to be called as well.
 */
#ifdef COMPAT_HAVE_NDO_GET_STATS64_VOID
#define COMPAT_STATS64(name, fn)					\
static void name(struct net_device *dev, struct rtnl_link_stats64 *sum)	\
{									\
	fn(dev, sum);							\
}
#define COMPAT_NDO_STATS64(name)	.ndo_get_stats64 = name,
#define compat_set_stats_ops(dev, name)	do { } while (0)
#else
/* As wide as a long: 64 bits on x86_64. */
static inline struct net_device_stats *
compat_stats(struct net_device *dev, const struct rtnl_link_stats64 *sum)
{
	struct net_device_stats *stats = &dev->stats;

	stats->rx_packets = sum->rx_packets;
	stats->tx_packets = sum->tx_packets;
	stats->rx_bytes = sum->rx_bytes;
	stats->tx_bytes = sum->tx_bytes;
	stats->rx_errors = sum->rx_errors;
	stats->rx_dropped = sum->rx_dropped;
	stats->tx_dropped = sum->tx_dropped;
	stats->multicast = sum->multicast;
	stats->rx_length_errors = sum->rx_length_errors;
	stats->rx_frame_errors = sum->rx_frame_errors;
	return stats;
}

#ifdef COMPAT_HAVE_NETDEV_OPS_EXT_STATS64
#define COMPAT_STATS64_EXT(name, fn)					\
static struct rtnl_link_stats64 *name ## 64(struct net_device *dev,	\
					    struct rtnl_link_stats64 *sum) \
{									\
	fn(dev, sum);							\
	return sum;							\
}									\
static const struct net_device_ops_ext name ## _ext = {		\
	.size			= sizeof(name ## _ext),			\
	.ndo_get_stats64	= name ## 64,				\
};
#define compat_set_stats_ops(dev, name)	__compat_set_stats_ops(dev, &name ## _ext)

/* On no kABI list, so a kernel that lacks it is not to be refused. */
static inline void __compat_set_stats_ops(struct net_device *dev,
					  const struct net_device_ops_ext *ops)
{
	void (*set)(struct net_device *, const struct net_device_ops_ext *) =
		__symbol_get("set_netdev_ops_ext");

	if (!set)
		return;
	set(dev, ops);
	__symbol_put("set_netdev_ops_ext");
}
#else
#define COMPAT_STATS64_EXT(name, fn)
#define compat_set_stats_ops(dev, name)	do { } while (0)
#endif

#define COMPAT_STATS64(name, fn)					\
COMPAT_STATS64_EXT(name, fn)						\
static struct net_device_stats *name(struct net_device *dev)		\
{									\
	struct rtnl_link_stats64 sum;					\
									\
	memset(&sum, 0, sizeof(sum));					\
	fn(dev, &sum);							\
	return compat_stats(dev, &sum);					\
}
#define COMPAT_NDO_STATS64(name)	.ndo_get_stats = name,
#endif

/* 3.10: with a protocol, and an answer. @fn(dev, vid, add). */
#ifdef COMPAT_HAVE_NDO_VLAN_PROTO
#define COMPAT_VLAN_FILTER(add, kill, fn)				\
static int add(struct net_device *dev, __be16 proto, u16 vid)		\
{									\
	return fn(dev, vid, true);					\
}									\
static int kill(struct net_device *dev, __be16 proto, u16 vid)		\
{									\
	return fn(dev, vid, false);					\
}
#else
#define COMPAT_VLAN_FILTER(add, kill, fn)				\
static void add(struct net_device *dev, unsigned short vid)		\
{									\
	fn(dev, vid, true);						\
}									\
static void kill(struct net_device *dev, unsigned short vid)		\
{									\
	fn(dev, vid, false);						\
}
#endif

#ifndef NETIF_F_HW_VLAN_CTAG_FILTER
#define NETIF_F_HW_VLAN_CTAG_FILTER	NETIF_F_HW_VLAN_FILTER
#endif

/*
 * 3.8: the stack itself remembers which queue a CPU sends on. Before, an
 * operation has to pick it.
 */
#ifdef COMPAT_HAVE_NETIF_SET_XPS_QUEUE
#define COMPAT_SELECT_QUEUE(name, fn)					\
static inline u16 name(struct net_device *dev, struct sk_buff *skb)	\
{									\
	return fn(dev, skb);						\
}
#define COMPAT_NDO_SELECT_QUEUE(name)

/* CPU N sends on queue N, and on from the first one. Process context. */
static inline void compat_spread_cpus(struct net_device *dev,
				      unsigned int queues)
{
	unsigned int queue, cpu;
	cpumask_var_t mask;

	/* Without, a flow's packets are spread by their hash. */
	if (!alloc_cpumask_var(&mask, GFP_KERNEL))
		return;
	for (queue = 0; queue < queues; queue++) {
		cpumask_clear(mask);
		for_each_possible_cpu(cpu)
			if (cpu % queues == queue)
				cpumask_set_cpu(cpu, mask);
		netif_set_xps_queue(dev, mask, queue);
	}
	free_cpumask_var(mask);
}
#else
#define COMPAT_SELECT_QUEUE(name, fn)					\
static u16 name(struct net_device *dev, struct sk_buff *skb)		\
{									\
	return fn(dev, skb);						\
}
#define COMPAT_NDO_SELECT_QUEUE(name)	.ndo_select_queue = name,
static inline void compat_spread_cpus(struct net_device *dev,
				      unsigned int queues)
{
}
#endif

/*
 * 3.3: what an interface can do and what of it is on are apart, and the stack
 * switches. Before, everything is on or not there, and ethtool has an
 * operation for each; see <linux/ethtool.h>.
 */
#ifdef COMPAT_HAVE_NETDEV_HW_FEATURES
#define COMPAT_NDO_SET_FEATURES(fn)	.ndo_set_features = fn,

static inline void compat_set_features(struct net_device *dev,
				       netdev_features_t on,
				       netdev_features_t changeable)
{
	dev->features |= on;
	dev->hw_features |= changeable;
	dev->vlan_features = on & ~NETIF_F_HW_VLAN_CTAG_FILTER;
}
#else
#define COMPAT_NDO_SET_FEATURES(fn)

/* Some releases have a type of that name, for another use. */
#define netdev_features_t	unsigned long

static inline void compat_set_features(struct net_device *dev,
				       netdev_features_t on,
				       netdev_features_t changeable)
{
	dev->features |= on | NETIF_F_GRO;
	dev->vlan_features = on & ~NETIF_F_HW_VLAN_CTAG_FILTER;
}
#endif

/* 2.6.39. EL6: 6.3, not 6.0. */
#ifndef NETIF_F_RXCSUM
#define NETIF_F_RXCSUM		(1 << 29)
#endif

/* 4.16: large packets from the device. Not a matter of its own before. */
#ifndef COMPAT_HAVE_NETIF_F_GRO_HW
#define NETIF_F_GRO_HW		0
#endif

/* 4.14 has no such thing any more. */
#ifndef NETIF_F_UFO
#define NETIF_F_UFO		0
#endif

/* 5.19: the usual weight goes without saying. */
#ifdef COMPAT_HAVE_NETIF_NAPI_ADD_WEIGHT
#define compat_napi_add		netif_napi_add_weight
#else
#define compat_napi_add		netif_napi_add
#endif

#ifndef NAPI_POLL_WEIGHT
#define NAPI_POLL_WEIGHT	64
#endif

/* 3.19, with an answer since 4.10: false where somebody polls on. */
#ifndef COMPAT_HAVE_NAPI_COMPLETE_DONE
#define napi_complete_done	compat_napi_complete_done
static inline bool compat_napi_complete_done(struct napi_struct *napi,
					     int done)
{
	napi_complete(napi);
	return true;
}
#endif

/* 5.2: more packets follow at once. */
#ifndef COMPAT_HAVE_NETDEV_XMIT_MORE
#define netdev_xmit_more	compat_netdev_xmit_more
static inline bool compat_netdev_xmit_more(void)
{
	return false;
}
#endif

/* 4.10: the stack checks the range. */
static inline void compat_set_mtu_range(struct net_device *dev,
					unsigned int min, unsigned int max)
{
#ifdef COMPAT_HAVE_NETDEV_MTU_RANGE
	dev->min_mtu = min;
	dev->max_mtu = max;
#endif
}

/*
 * 2.6.37 counts receive queues and may fail. On EL6 the function for the other
 * ones is on the kABI lists from 6.2 on, and the number can change only where
 * ethtool can change it, which is later still.
 */
static inline void compat_set_real_num_queues(struct net_device *dev,
					      unsigned int num)
{
#ifdef COMPAT_HAVE_NETIF_SET_REAL_NUM_QUEUES
	netif_set_real_num_tx_queues(dev, num);
	netif_set_real_num_rx_queues(dev, num);
#elif defined(COMPAT_HAVE_ETHTOOL_CHANNELS_EXT)
	if (dev->reg_state == NETREG_REGISTERED)
		netif_set_real_num_tx_queues(dev, num);
	else
		dev->real_num_tx_queues = num;
#else
	dev->real_num_tx_queues = num;
#endif
}

/* 3.8. EL6 has it from 6.1 on, under another name and on no kABI list. */
#ifdef COMPAT_HAVE_NETDEV_NOTIFY_PEERS
static inline bool compat_can_notify_peers(void)
{
	return true;
}
#else
static inline bool compat_can_notify_peers(void)
{
	if (!__symbol_get("netif_notify_peers"))
		return false;
	__symbol_put("netif_notify_peers");
	return true;
}

#define netdev_notify_peers	compat_netdev_notify_peers
static inline void compat_netdev_notify_peers(struct net_device *dev)
{
	void (*notify)(struct net_device *) = __symbol_get("netif_notify_peers");

	if (!notify)
		return;
	notify(dev);
	__symbol_put("netif_notify_peers");
}
#endif

/* Copies of the address lists, at most @max; netif_addr_lock_bh() is held. */
static inline unsigned int compat_copy_uc_addrs(struct net_device *dev,
						u8 (*addrs)[ETH_ALEN],
						unsigned int max)
{
	struct netdev_hw_addr *ha;
	unsigned int n = 0;

	netdev_for_each_uc_addr(ha, dev)
		if (n < max)
			memcpy(addrs[n++], ha->addr, ETH_ALEN);
	return n;
}

/* 2.6.35: multicast addresses are in a list of the same make. */
static inline unsigned int compat_copy_mc_addrs(struct net_device *dev,
						u8 (*addrs)[ETH_ALEN],
						unsigned int max)
{
	unsigned int n = 0;
#ifdef COMPAT_HAVE_NETDEV_MC_LIST
	struct netdev_hw_addr *ha;

	netdev_for_each_mc_addr(ha, dev)
		if (n < max)
			memcpy(addrs[n++], ha->addr, ETH_ALEN);
#else
	struct dev_addr_list *mc;

	for (mc = dev->mc_list; mc; mc = mc->next)
		if (n < max)
			memcpy(addrs[n++], mc->da_addr, ETH_ALEN);
#endif
	return n;
}

#endif /* _COMPAT_LINUX_NETDEVICE_H */
