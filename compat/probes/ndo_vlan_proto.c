// SPDX-License-Identifier: GPL-2.0
/* 3.10 (80d5c3689b88): a VLAN filter has a protocol, and may fail. */
#include <linux/netdevice.h>

struct net_device_ops probe;

int same[__builtin_types_compatible_p(__typeof__(probe.ndo_vlan_rx_add_vid),
				      int (*)(struct net_device *, __be16,
					      u16)) ? 1 : -1];
