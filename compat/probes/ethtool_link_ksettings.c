// SPDX-License-Identifier: GPL-2.0
/* 4.6 (3f1ac7a700d0): link modes in bitmaps of any length. */
#include <linux/ethtool.h>

struct ethtool_link_ksettings probe_settings;

int probe(struct net_device *dev, const struct ethtool_ops *ops)
{
	return ops->get_link_ksettings(dev, &probe_settings);
}
