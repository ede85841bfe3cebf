// SPDX-License-Identifier: GPL-2.0
/* EL6 6.6: 64-bit counters, in a structure of their own. */
#include <linux/netdevice.h>

struct rtnl_link_stats64 *get(struct net_device *dev,
			      struct rtnl_link_stats64 *storage);

const struct net_device_ops_ext probe = {
	.size			= sizeof(probe),
	.ndo_get_stats64	= get,
};
