// SPDX-License-Identifier: GPL-2.0
/* 4.16 (fb1f5f79ae96): large packets from the device are a feature. */
#include <linux/netdevice.h>

netdev_features_t probe = NETIF_F_GRO_HW;
