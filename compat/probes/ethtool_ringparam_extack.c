// SPDX-License-Identifier: GPL-2.0
/* 5.17 (74624944107f): get_ringparam() has two more arguments. */
#include <linux/ethtool.h>

void probe(struct net_device *dev, const struct ethtool_ops *ops,
	   struct ethtool_ringparam *ring)
{
	ops->get_ringparam(dev, ring, NULL, NULL);
}
