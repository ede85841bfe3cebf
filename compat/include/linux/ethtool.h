/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_ETHTOOL_H
#define _COMPAT_LINUX_ETHTOOL_H

#include_next <linux/ethtool.h>
#include <linux/netdevice.h>

/*
 * As in <linux/netdevice.h>: what stands outside struct ethtool_ops makes an
 * operation of this kernel's shape, COMPAT_ETHTOOL_… is its member.
 */

/* 5.17: two more arguments. */
#ifdef COMPAT_HAVE_ETHTOOL_RINGPARAM_EXTACK
#define COMPAT_GET_RINGPARAM(name, fn)					\
static void name(struct net_device *dev, struct ethtool_ringparam *ring, \
		 struct kernel_ethtool_ringparam *kernel_ring,		\
		 struct netlink_ext_ack *extack)			\
{									\
	fn(dev, ring);							\
}
#else
#define COMPAT_GET_RINGPARAM(name, fn)					\
static void name(struct net_device *dev, struct ethtool_ringparam *ring) \
{									\
	fn(dev, ring);							\
}
#endif

#ifndef SPEED_UNKNOWN
#define SPEED_UNKNOWN	-1
#endif
#ifndef DUPLEX_UNKNOWN
#define DUPLEX_UNKNOWN	0xff
#endif

/* 4.6: bitmaps of any length. @fn(dev, &speed, &duplex). */
#ifdef COMPAT_HAVE_ETHTOOL_LINK_KSETTINGS
#define COMPAT_GET_LINK_SETTINGS(name, fn)				\
static int name(struct net_device *dev,					\
		struct ethtool_link_ksettings *settings)		\
{									\
	fn(dev, &settings->base.speed, &settings->base.duplex);		\
	settings->base.port = PORT_OTHER;				\
	return 0;							\
}
#define COMPAT_ETHTOOL_LINK(name)	.get_link_ksettings = name,
#else
#define COMPAT_GET_LINK_SETTINGS(name, fn)				\
static int name(struct net_device *dev, struct ethtool_cmd *settings)	\
{									\
	u32 speed;							\
									\
	fn(dev, &speed, &settings->duplex);				\
	ethtool_cmd_speed_set(settings, speed);				\
	settings->port = PORT_OTHER;					\
	return 0;							\
}
#define COMPAT_ETHTOOL_LINK(name)	.get_settings = name,
#endif
#ifndef PORT_OTHER
#define PORT_OTHER	0xff
#endif

/* 3.0; EL6 6.6 has them in a structure of its own. */
#ifdef COMPAT_HAVE_ETHTOOL_CHANNELS
#define COMPAT_ETHTOOL_CHANNELS(get, set)				\
	.get_channels = get, .set_channels = set,
#else
#define COMPAT_ETHTOOL_CHANNELS(get, set)
#endif

#ifdef COMPAT_HAVE_ETHTOOL_CHANNELS_EXT
#define COMPAT_ETHTOOL_CHANNELS_EXT(name, get, set)			\
static const struct ethtool_ops_ext name = {				\
	.size		= sizeof(name),					\
	.get_channels	= get,						\
	.set_channels	= set,						\
};
#define compat_set_channels_ops(dev, name)	__compat_set_channels_ops(dev, &name)

/* On no kABI list, so a kernel that lacks it is not to be refused. */
static inline void
__compat_set_channels_ops(struct net_device *dev,
			  const struct ethtool_ops_ext *ops)
{
	void (*set)(struct net_device *, const struct ethtool_ops_ext *) =
		__symbol_get("set_ethtool_ops_ext");

	if (!set)
		return;
	set(dev, ops);
	__symbol_put("set_ethtool_ops_ext");
}
#else
/* Nobody calls them on a kernel that has neither, and nobody complains. */
#define COMPAT_ETHTOOL_CHANNELS_EXT(name, get, set)			\
static inline void name(struct net_device *dev)				\
{									\
	(void)get;							\
	(void)set;							\
}
#define compat_set_channels_ops(dev, name)	name(dev)
#endif

/* For the functions that nobody calls where there is no such operation. */
#if !defined(COMPAT_HAVE_ETHTOOL_CHANNELS) && \
	!defined(COMPAT_HAVE_ETHTOOL_CHANNELS_EXT)
struct ethtool_channels {
	u32 max_combined;
	u32 rx_count;
	u32 tx_count;
	u32 other_count;
	u32 combined_count;
};
#endif

/*
 * 3.3 switches features in one operation, see <linux/netdevice.h>; before, one
 * for each. Those that only concern sending are the stack's own.
 * COMPAT_CLASSIC_OFFLOADS(fn) makes those for receiving out of @fn, which is
 * an ndo_set_features.
 */
#ifdef COMPAT_HAVE_NETDEV_HW_FEATURES
#define COMPAT_CLASSIC_OFFLOADS(fn)
#define COMPAT_ETHTOOL_OFFLOADS
#else
#define COMPAT_CLASSIC_OFFLOADS(fn)					\
static u32 compat_get_rx_csum(struct net_device *dev)			\
{									\
	return !!(dev->features & NETIF_F_RXCSUM);			\
}									\
static int compat_set_rx_csum(struct net_device *dev, u32 on)		\
{									\
	unsigned long features = dev->features & ~NETIF_F_RXCSUM;	\
	int err;							\
									\
	if (on)								\
		features |= NETIF_F_RXCSUM;				\
	if (features == dev->features)					\
		return 0;						\
	err = fn(dev, features);					\
	if (!err)							\
		dev->features = features;				\
	return err;							\
}									\
/* What the device cannot do cannot be switched on. */			\
static int compat_set_tx_csum(struct net_device *dev, u32 on)		\
{									\
	if (on && !(dev->vlan_features & NETIF_F_HW_CSUM))		\
		return -EOPNOTSUPP;					\
	return ethtool_op_set_tx_hw_csum(dev, on);			\
}									\
static int compat_set_sg(struct net_device *dev, u32 on)		\
{									\
	if (on && !(dev->vlan_features & NETIF_F_SG))			\
		return -EOPNOTSUPP;					\
	return ethtool_op_set_sg(dev, on);				\
}									\
static int compat_set_tso(struct net_device *dev, u32 on)		\
{									\
	unsigned long tso = dev->vlan_features &			\
			    (NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN); \
									\
	if (on && !tso)							\
		return -EOPNOTSUPP;					\
	if (on)								\
		dev->features |= tso;					\
	else								\
		dev->features &= ~tso;					\
	return 0;							\
}									\
static int compat_set_ufo(struct net_device *dev, u32 on)		\
{									\
	if (on && !(dev->vlan_features & NETIF_F_UFO))			\
		return -EOPNOTSUPP;					\
	if (on)								\
		dev->features |= NETIF_F_UFO;				\
	else								\
		dev->features &= ~NETIF_F_UFO;				\
	return 0;							\
}
#define COMPAT_ETHTOOL_OFFLOADS						\
	.get_rx_csum	= compat_get_rx_csum,				\
	.set_rx_csum	= compat_set_rx_csum,				\
	.get_tx_csum	= ethtool_op_get_tx_csum,			\
	.set_tx_csum	= compat_set_tx_csum,				\
	.get_sg		= ethtool_op_get_sg,				\
	.set_sg		= compat_set_sg,				\
	.get_tso	= ethtool_op_get_tso,				\
	.set_tso	= compat_set_tso,				\
	.get_ufo	= ethtool_op_get_ufo,				\
	.set_ufo	= compat_set_ufo,				\
	.get_flags	= ethtool_op_get_flags,
#endif

#endif /* _COMPAT_LINUX_ETHTOOL_H */
