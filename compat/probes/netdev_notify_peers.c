// SPDX-License-Identifier: GPL-2.0
/* 3.8 (ee89bab14e85): tell the network where an interface is. */
#include <linux/netdevice.h>

void probe(struct net_device *dev)
{
	netdev_notify_peers(dev);
}
