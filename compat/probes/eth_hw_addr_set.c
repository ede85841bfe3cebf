// SPDX-License-Identifier: GPL-2.0
/* 5.15 (48eab831ae8b): an interface's address is set by a function. */
#include <linux/etherdevice.h>

void probe(struct net_device *dev, const u8 *addr)
{
	eth_hw_addr_set(dev, addr);
}
