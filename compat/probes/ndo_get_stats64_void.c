// SPDX-License-Identifier: GPL-2.0
/* 4.11 (bc1f44709cf2): ndo_get_stats64() returns nothing. */
#include <linux/netdevice.h>

struct net_device_ops probe;

int same[__builtin_types_compatible_p(__typeof__(probe.ndo_get_stats64),
				      void (*)(struct net_device *,
					       struct rtnl_link_stats64 *)) ?
	 1 : -1];
