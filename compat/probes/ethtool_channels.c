// SPDX-License-Identifier: GPL-2.0
/* 3.0 (8b5933c380a3): the number of queues is ethtool's. */
#include <linux/ethtool.h>

void probe(struct net_device *dev, const struct ethtool_ops *ops,
	   struct ethtool_channels *channels)
{
	ops->get_channels(dev, channels);
}
