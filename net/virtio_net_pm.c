// SPDX-License-Identifier: GPL-2.0
/*
 * Sleep and shutdown. A device that was reset knows nothing of what it was told
 * since the driver came, so all of that is kept, and told again.
 */
#include <linux/rtnetlink.h>
#include "virtio_net.h"

/*
 * The stack sends nothing more, and neither it nor a work of ours asks the
 * device for anything. Packets that are under way are lost, as they would be on
 * a wire that is pulled out.
 */
static void virtnet_quiesce(struct virtnet_info *vi)
{
	struct net_device *dev = vi->dev;

	virtnet_config_stop(vi);
	rtnl_lock();
	/* Whoever is sending has done so when we have the lock. */
	netif_tx_lock_bh(dev);
	netif_device_detach(dev);
	netif_tx_unlock_bh(dev);
	virtnet_close(dev);
	rtnl_unlock();

	virtnet_ctrl_stop(vi);
}

/**
 * virtnet_suspend - virtio_driver::suspend
 * @vdev:	the device
 *
 * Process context. Returns 0.
 */
int virtnet_suspend(struct virtio_device *vdev)
{
	struct virtnet_info *vi = vdev->priv;

	virtnet_quiesce(vi);
	virtnet_take_back(vi);
	return 0;
}

static void virtnet_tell_pairs(struct virtnet_info *vi)
{
	if (!virtio_has_feature(vi->vdev, VIRTIO_NET_F_MQ) ||
	    !virtnet_ctrl_pairs(vi, vi->pairs))
		return;
	virtnet_warn(vi->vdev, "after a sleep the device does not use %u queue pairs: there is one\n",
		     vi->pairs);
	vi->pairs = 1;
	compat_set_real_num_queues(vi->dev, 1);
	compat_spread_cpus(vi->dev, 1);
}

static void virtnet_tell_mac(struct virtnet_info *vi)
{
	struct virtio_device *vdev = vi->vdev;
	int err = 0;

	if (virtio_has_feature(vdev, VIRTIO_NET_F_CTRL_MAC_ADDR))
		err = virtnet_ctrl_mac(vi, vi->dev->dev_addr);
	else if (virtio_has_feature(vdev, VIRTIO_NET_F_MAC) &&
		 virtio_is_legacy(vdev))
		vdev->config->set(vdev, CONFIG(mac), vi->dev->dev_addr,
				  ETH_ALEN);
	if (err)
		virtnet_warn(vdev, "after a sleep the device does not take the MAC address %pM (%d)\n",
			     vi->dev->dev_addr, err);
}

static void virtnet_tell_vlans(struct virtnet_info *vi)
{
	unsigned int vid;
	int err;

	for (vid = 0; vid < VIRTNET_VLANS; vid++) {
		if (!test_bit(vid, vi->vlans))
			continue;
		err = virtnet_ctrl_vlan(vi, vid, true);
		if (!err)
			continue;
		virtnet_warn(vi->vdev, "after a sleep the device does not receive VLAN %u (%d)\n",
			     vid, err);
		/* One that does not answer is not asked for each of them. */
		if (err != -EINVAL)
			break;
	}
}

static void virtnet_tell_again(struct virtnet_info *vi)
{
	u64 all = vi->vdev->features & VIRTNET_OFFLOADS;
	int err;

	if (vi->offloads != all) {
		err = virtnet_ctrl_offloads(vi, vi->offloads);
		if (err)
			virtnet_warn(vi->vdev, "after a sleep the device does not switch receive offloads off (%d)\n",
				     err);
	}
	virtnet_tell_pairs(vi);
	virtnet_tell_mac(vi);
	virtnet_tell_vlans(vi);
}

/**
 * virtnet_resume - virtio_driver::resume
 * @vdev:	the device
 *
 * Process context; waits for answers, but not for ever.
 */
void virtnet_resume(struct virtio_device *vdev)
{
	struct virtnet_info *vi = vdev->priv;
	struct net_device *dev = vi->dev;
	unsigned int i;

	/* Nobody waits for what was sent. */
	for (i = 0; i < vi->max_pairs; i++)
		virtqueue_disable_cb(vi->sq[i].vq);
	virtnet_ctrl_start(vi);
	virtio_device_ready(vdev);

	rtnl_lock();
	if (!virtio_device_is_broken(vdev))
		virtnet_tell_again(vi);
	if (netif_running(dev))
		virtnet_open(dev);
	netif_device_attach(dev);
	rtnl_unlock();

	virtnet_config_start(vi);
	virtnet_set_rx_mode(dev);
}

/**
 * virtnet_shutdown - virtio_driver::shutdown
 * @vdev:	the device
 *
 * Process context.
 */
void virtnet_shutdown(struct virtio_device *vdev)
{
	virtnet_quiesce(vdev->priv);
	virtio_reset_device(vdev);
}
