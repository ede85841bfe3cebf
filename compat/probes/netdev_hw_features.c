// SPDX-License-Identifier: GPL-2.0
/* 2.6.39 (5455c6998cc4): features that can be switched, and one who does. */
#include <linux/netdevice.h>

int probe(struct net_device *dev)
{
	netdev_features_t features = dev->hw_features;

	return dev->netdev_ops->ndo_set_features(dev, features);
}
