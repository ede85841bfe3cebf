/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_ETHERDEVICE_H
#define _COMPAT_LINUX_ETHERDEVICE_H

#include_next <linux/etherdevice.h>

/* 5.15: nobody else may write an interface's address. */
#ifndef COMPAT_HAVE_ETH_HW_ADDR_SET
#define eth_hw_addr_set	compat_eth_hw_addr_set
static inline void compat_eth_hw_addr_set(struct net_device *dev,
					  const u8 *addr)
{
	memcpy(dev->dev_addr, addr, ETH_ALEN);
}
#endif

/* 3.4. */
#ifndef COMPAT_HAVE_ETH_HW_ADDR_RANDOM
#define eth_hw_addr_random	compat_eth_hw_addr_random
static inline void compat_eth_hw_addr_random(struct net_device *dev)
{
	random_ether_addr(dev->dev_addr);
}
#endif

#endif /* _COMPAT_LINUX_ETHERDEVICE_H */
