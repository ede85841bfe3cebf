// SPDX-License-Identifier: GPL-2.0
/* EL6, 6.6 but not 6.3: the same in a structure of its own. */
#include <linux/ethtool.h>
#include <linux/netdevice.h>

static struct ethtool_ops_ext probe_ops;

void probe(struct net_device *dev, struct ethtool_channels *channels)
{
	set_ethtool_ops_ext(dev, &probe_ops);
	probe_ops.get_channels(dev, channels);
}
