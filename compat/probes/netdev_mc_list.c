// SPDX-License-Identifier: GPL-2.0
/* 2.6.35 (22bedad3ce11): multicast addresses in a list. */
#include <linux/netdevice.h>

int probe(struct net_device *dev)
{
	return dev->mc.count;
}
