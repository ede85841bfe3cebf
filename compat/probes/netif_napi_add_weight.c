// SPDX-License-Identifier: GPL-2.0
/* 5.19 (58caed3dacb4): the weight of a NAPI is the exception. */
#include <linux/netdevice.h>

void probe(struct net_device *dev, struct napi_struct *napi)
{
	netif_napi_add_weight(dev, napi, NULL, 1);
}
