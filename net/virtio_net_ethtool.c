// SPDX-License-Identifier: GPL-2.0
/*
 * What an administrator asks of the network driver: ethtool.
 */
#include "virtio_net.h"

/* A counter: its name behind rx0_ or tx0_, and where it is. */
struct virtnet_counter {
	const char *name;
	size_t offset;
};

#define VIRTNET_RX(_field)	{ #_field, offsetof(struct virtnet_rx_stats, _field) }
#define VIRTNET_TX(_field)	{ #_field, offsetof(struct virtnet_tx_stats, _field) }

static const struct virtnet_counter virtnet_rx_counters[] = {
	VIRTNET_RX(packets), VIRTNET_RX(bytes), VIRTNET_RX(multicast),
	VIRTNET_RX(length_errors), VIRTNET_RX(header_errors),
	VIRTNET_RX(no_memory), VIRTNET_RX(refills), VIRTNET_RX(kicks),
};

static const struct virtnet_counter virtnet_tx_counters[] = {
	VIRTNET_TX(packets), VIRTNET_TX(bytes), VIRTNET_TX(dropped),
	VIRTNET_TX(stopped), VIRTNET_TX(kicks),
};

static void virtnet_get_drvinfo(struct net_device *dev,
				struct ethtool_drvinfo *info)
{
	struct virtnet_info *vi = netdev_priv(dev);

	snprintf(info->driver, sizeof(info->driver), "%s", KBUILD_MODNAME);
	snprintf(info->version, sizeof(info->version), "%s",
		 VIRTIO_MODERN_VERSION);
	snprintf(info->bus_info, sizeof(info->bus_info), "%s",
		 vi->vdev->config->bus_name(vi->vdev));
}

static void virtnet_get_ring(struct net_device *dev,
			     struct ethtool_ringparam *ring)
{
	struct virtnet_info *vi = netdev_priv(dev);

	ring->rx_max_pending = virtqueue_get_vring_size(vi->rq[0].vq);
	ring->tx_max_pending = virtqueue_get_vring_size(vi->sq[0].vq);
	ring->rx_pending = ring->rx_max_pending;
	ring->tx_pending = ring->tx_max_pending;
}

COMPAT_GET_RINGPARAM(virtnet_get_ringparam, virtnet_get_ring)

static int virtnet_get_sset_count(struct net_device *dev, int sset)
{
	struct virtnet_info *vi = netdev_priv(dev);

	if (sset != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return vi->pairs * (ARRAY_SIZE(virtnet_rx_counters) +
			    ARRAY_SIZE(virtnet_tx_counters));
}

static void virtnet_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	struct virtnet_info *vi = netdev_priv(dev);
	char *name = (char *)data;
	unsigned int i, c;

	if (sset != ETH_SS_STATS)
		return;
	for (i = 0; i < vi->pairs; i++) {
		for (c = 0; c < ARRAY_SIZE(virtnet_rx_counters); c++) {
			snprintf(name, ETH_GSTRING_LEN, "rx%u_%s", i,
				 virtnet_rx_counters[c].name);
			name += ETH_GSTRING_LEN;
		}
		for (c = 0; c < ARRAY_SIZE(virtnet_tx_counters); c++) {
			snprintf(name, ETH_GSTRING_LEN, "tx%u_%s", i,
				 virtnet_tx_counters[c].name);
			name += ETH_GSTRING_LEN;
		}
	}
}

static void virtnet_get_ethtool_stats(struct net_device *dev,
				      struct ethtool_stats *stats, u64 *data)
{
	struct virtnet_info *vi = netdev_priv(dev);
	struct virtnet_rx_stats rx;
	struct virtnet_tx_stats tx;
	unsigned int i, c;

	for (i = 0; i < vi->pairs; i++) {
		virtnet_read_stats(&vi->rq[i], &rx);
		for (c = 0; c < ARRAY_SIZE(virtnet_rx_counters); c++)
			*data++ = *(u64 *)((u8 *)&rx +
					   virtnet_rx_counters[c].offset);
		virtnet_read_stats(&vi->sq[i], &tx);
		for (c = 0; c < ARRAY_SIZE(virtnet_tx_counters); c++)
			*data++ = *(u64 *)((u8 *)&tx +
					   virtnet_tx_counters[c].offset);
	}
}

/* Queue pairs */

static void virtnet_get_channels(struct net_device *dev,
				 struct ethtool_channels *channels)
{
	struct virtnet_info *vi = netdev_priv(dev);

	channels->max_combined = vi->max_pairs;
	channels->combined_count = vi->pairs;
}

static int virtnet_set_channels(struct net_device *dev,
				struct ethtool_channels *channels)
{
	struct virtnet_info *vi = netdev_priv(dev);

	if (channels->rx_count || channels->tx_count || channels->other_count ||
	    !channels->combined_count ||
	    channels->combined_count > vi->max_pairs)
		return -EINVAL;
	return virtnet_set_pairs(vi, channels->combined_count);
}

/* Link */

/**
 * virtnet_read_speed - what the device says of its link
 * @vi:		the interface
 *
 * Section 5.1.4: only while the link is up. Process context.
 */
void virtnet_read_speed(struct virtnet_info *vi)
{
	u32 speed;
	u8 duplex;

	vi->speed = SPEED_UNKNOWN;
	vi->duplex = DUPLEX_UNKNOWN;
	if (!vi->link_up ||
	    !virtio_has_feature(vi->vdev, VIRTIO_NET_F_SPEED_DUPLEX))
		return;
	speed = virtio_cread32(vi->vdev, CONFIG(speed));
	duplex = virtio_cread8(vi->vdev, CONFIG(duplex));
	if (speed <= INT_MAX)
		vi->speed = speed;
	if (duplex == DUPLEX_HALF || duplex == DUPLEX_FULL)
		vi->duplex = duplex;
}

static void virtnet_get_link(struct net_device *dev, u32 *speed, u8 *duplex)
{
	struct virtnet_info *vi = netdev_priv(dev);

	*speed = vi->speed;
	*duplex = vi->duplex;
}

COMPAT_GET_LINK_SETTINGS(virtnet_get_settings, virtnet_get_link)

/* Offloads */

/**
 * virtnet_set_features - receive offloads were switched
 * @dev:	the interface
 * @features:	how they shall be
 *
 * What concerns sending the stack takes care of. Under the rtnl lock. Returns
 * 0 or a negative errno.
 */
int virtnet_set_features(struct net_device *dev, netdev_features_t features)
{
	struct virtnet_info *vi = netdev_priv(dev);
	u64 offloads = vi->vdev->features & VIRTNET_OFFLOADS;
	netdev_features_t changed = (features ^ dev->features) &
				    (NETIF_F_RXCSUM | NETIF_F_GRO_HW);
	int err;

	if (!changed)
		return 0;
	if (!virtio_has_feature(vi->vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    !virtio_has_feature(vi->vdev, VIRTIO_NET_F_GUEST_CSUM))
		return -EOPNOTSUPP;
	/* Large packets come without checksums. */
	if (!(features & NETIF_F_RXCSUM))
		offloads = 0;
	else if (NETIF_F_GRO_HW && !(features & NETIF_F_GRO_HW))
		offloads &= ~VIRTNET_OFFLOADS_GSO;
	if (offloads == vi->offloads)
		return 0;

	err = virtnet_ctrl_offloads(vi, offloads);
	if (!err)
		vi->offloads = offloads;
	return err;
}

COMPAT_CLASSIC_OFFLOADS(virtnet_set_features)

static const struct ethtool_ops virtnet_ethtool_ops = {
	.get_drvinfo		= virtnet_get_drvinfo,
	.get_link		= ethtool_op_get_link,
	.get_ringparam		= virtnet_get_ringparam,
	.get_strings		= virtnet_get_strings,
	.get_sset_count		= virtnet_get_sset_count,
	.get_ethtool_stats	= virtnet_get_ethtool_stats,
	COMPAT_ETHTOOL_LINK(virtnet_get_settings)
	COMPAT_ETHTOOL_CHANNELS(virtnet_get_channels, virtnet_set_channels)
	COMPAT_ETHTOOL_OFFLOADS
};

COMPAT_ETHTOOL_CHANNELS_EXT(virtnet_channels_ops, virtnet_get_channels,
			    virtnet_set_channels)

void virtnet_set_ethtool_ops(struct net_device *dev)
{
	dev->ethtool_ops = &virtnet_ethtool_ops;
	compat_set_channels_ops(dev, virtnet_channels_ops);
}
