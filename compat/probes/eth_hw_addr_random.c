// SPDX-License-Identifier: GPL-2.0
/* 3.4 (7ce5d222190c): an address out of the blue. EL6: 6.6, not 6.3. */
#include <linux/etherdevice.h>

void probe(struct net_device *dev)
{
	eth_hw_addr_random(dev);
}
