// SPDX-License-Identifier: GPL-2.0
/*
 * The control queue, virtio 1.2 section 5.1.6.5. Commands are sent one at a
 * time, from process context, and their sender sleeps until the device
 * answers; where the stack calls without leave to sleep, a work does it.
 */
#include <linux/slab.h>
#include "virtio_net.h"

/* A device that does not answer in this time never will. */
#define VIRTNET_CTRL_TIMEOUT_S	10

/* Interrupt: the device answered. The sender takes the answer. */
void virtnet_ctrl_done(struct virtqueue *vq)
{
	struct virtnet_info *vi = vq->vdev->priv;

	complete(&vi->ctrl_done);
}

/*
 * Waits for the answer to the command that was added. Interrupts may have
 * been for an earlier one, so what counts is what is in the queue.
 */
static int virtnet_ctrl_wait(struct virtnet_info *vi)
{
	unsigned long left = VIRTNET_CTRL_TIMEOUT_S * HZ;
	unsigned int len;

	while (!virtqueue_get_buf(vi->cvq, &len)) {
		if (virtqueue_is_broken(vi->cvq))
			return -EIO;
		left = wait_for_completion_timeout(&vi->ctrl_done, left);
		if (!left) {
			virtnet_err(vi->vdev, "control queue: no answer to command %u/%u in %u s: nothing more is asked of it\n",
				    vi->ctrl->hdr.class, vi->ctrl->hdr.cmd,
				    VIRTNET_CTRL_TIMEOUT_S);
			vi->ctrl_dead = true;
			return -ETIMEDOUT;
		}
	}
	return vi->ctrl->status == VIRTIO_NET_OK ? 0 : -EINVAL;
}

/*
 * Sends a command whose argument is in @args[1] to @args[@n]; @args has room
 * for the header before and the status behind. Under ctrl_lock. Returns 0;
 * -EINVAL if the device refuses it; -ETIMEDOUT or -EIO if it does not answer.
 */
static int virtnet_ctrl_send(struct virtnet_info *vi, u8 class, u8 cmd,
			     struct scatterlist *args[], unsigned int n)
{
	struct virtnet_ctrl *ctrl = vi->ctrl;
	struct scatterlist hdr, status;
	int err;

	if (vi->ctrl_dead)
		return -EIO;

	ctrl->hdr.class = class;
	ctrl->hdr.cmd = cmd;
	/* Not an answer: the device has to write one. */
	ctrl->status = 0xff;
	sg_init_one(&hdr, &ctrl->hdr, sizeof(ctrl->hdr));
	sg_init_one(&status, &ctrl->status, sizeof(ctrl->status));
	args[0] = &hdr;
	args[n + 1] = &status;

	init_completion(&vi->ctrl_done);
	err = virtqueue_add_sgs(vi->cvq, args, n + 1, 1, ctrl);
	if (err)
		return err;
	virtqueue_kick(vi->cvq);
	return virtnet_ctrl_wait(vi);
}

/* The same with one argument. The memory for it may be the device's for good. */
static int virtnet_ctrl_send_one(struct virtnet_info *vi, u8 class, u8 cmd,
				 const void *arg, unsigned int len)
{
	struct scatterlist sg, *args[3] = { NULL, &sg };

	if (vi->ctrl_dead)
		return -EIO;
	memcpy(vi->ctrl->arg, arg, len);
	sg_init_one(&sg, vi->ctrl->arg, len);
	return virtnet_ctrl_send(vi, class, cmd, args, 1);
}

static int virtnet_ctrl_command(struct virtnet_info *vi, u8 class, u8 cmd,
				const void *arg, unsigned int len)
{
	int err;

	mutex_lock(&vi->ctrl_lock);
	err = virtnet_ctrl_send_one(vi, class, cmd, arg, len);
	mutex_unlock(&vi->ctrl_lock);
	return err;
}

/**
 * virtnet_ctrl_pairs - how many queue pairs shall be used
 * @vi:		the interface
 * @pairs:	1 to max_pairs
 *
 * Section 5.1.6.5.5. Process context; sleeps. Returns 0 or a negative errno.
 */
int virtnet_ctrl_pairs(struct virtnet_info *vi, unsigned int pairs)
{
	__le16 arg = cpu_to_le16(pairs);

	return virtnet_ctrl_command(vi, VIRTIO_NET_CTRL_MQ,
				    VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
				    &arg, sizeof(arg));
}

/**
 * virtnet_ctrl_mac - what the interface's MAC address shall be
 * @vi:		the interface
 * @mac:	the address
 *
 * Section 5.1.6.5.2. Process context; sleeps. Returns 0 or a negative errno.
 */
int virtnet_ctrl_mac(struct virtnet_info *vi, const u8 *mac)
{
	return virtnet_ctrl_command(vi, VIRTIO_NET_CTRL_MAC,
				    VIRTIO_NET_CTRL_MAC_ADDR_SET,
				    mac, ETH_ALEN);
}

/**
 * virtnet_ctrl_vlan - receive a VLAN, or no longer
 * @vi:		the interface
 * @vid:	the VLAN
 * @add:	receive it
 *
 * Section 5.1.6.5.3. Process context; sleeps. Returns 0 or a negative errno.
 */
int virtnet_ctrl_vlan(struct virtnet_info *vi, u16 vid, bool add)
{
	__le16 arg = cpu_to_le16(vid);

	return virtnet_ctrl_command(vi, VIRTIO_NET_CTRL_VLAN,
				    add ? VIRTIO_NET_CTRL_VLAN_ADD :
					  VIRTIO_NET_CTRL_VLAN_DEL,
				    &arg, sizeof(arg));
}

/**
 * virtnet_ctrl_offloads - which receive offloads shall be on
 * @vi:		the interface
 * @offloads:	a mask of feature bits, all of them negotiated
 *
 * Section 5.1.6.5.6. Process context; sleeps. Returns 0 or a negative errno.
 */
int virtnet_ctrl_offloads(struct virtnet_info *vi, u64 offloads)
{
	__le64 arg = cpu_to_le64(offloads);

	return virtnet_ctrl_command(vi, VIRTIO_NET_CTRL_GUEST_OFFLOADS,
				    VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
				    &arg, sizeof(arg));
}

/**
 * virtnet_ctrl_announced - the network was told where the guest is now
 * @vi:		the interface
 *
 * Section 5.1.6.5.4. Process context; sleeps. Returns 0 or a negative errno.
 */
int virtnet_ctrl_announced(struct virtnet_info *vi)
{
	struct scatterlist *args[2];
	int err;

	mutex_lock(&vi->ctrl_lock);
	err = virtnet_ctrl_send(vi, VIRTIO_NET_CTRL_ANNOUNCE,
				VIRTIO_NET_CTRL_ANNOUNCE_ACK, args, 0);
	mutex_unlock(&vi->ctrl_lock);
	return err;
}

/* Receive modes and MAC filters, section 5.1.6.5.1 and 5.1.6.5.2 */

static void virtnet_ctrl_rx_mode(struct virtnet_info *vi, u8 cmd, bool on)
{
	u8 arg = on;

	if (virtnet_ctrl_send_one(vi, VIRTIO_NET_CTRL_RX, cmd, &arg,
				  sizeof(arg)) == -EINVAL)
		virtnet_warn(vi->vdev, "the device refuses to switch %s mode %s\n",
			     cmd == VIRTIO_NET_CTRL_RX_PROMISC ?
			     "promiscuous" : "all-multicast",
			     on ? "on" : "off");
}

/*
 * Both tables, the unicast one and the multicast one behind it. Addresses may
 * come and go until the lists are locked; then what fits is taken, and the
 * change has scheduled this work once more. NULL without memory.
 */
static void *virtnet_mac_tables(struct net_device *dev, void **mc,
				size_t *uc_len, size_t *mc_len)
{
	unsigned int max_uc, max_mc, n;
	struct virtio_net_ctrl_mac *uc;
	__le32 entries;

	netif_addr_lock_bh(dev);
	max_uc = netdev_uc_count(dev);
	max_mc = netdev_mc_count(dev);
	netif_addr_unlock_bh(dev);

	uc = kzalloc(2 * sizeof(*uc) + (max_uc + max_mc) * ETH_ALEN,
		     GFP_KERNEL);
	if (!uc)
		return NULL;

	netif_addr_lock_bh(dev);
	n = compat_copy_uc_addrs(dev, uc->macs, max_uc);
	uc->entries = cpu_to_le32(n);
	*uc_len = sizeof(*uc) + n * ETH_ALEN;
	*mc = (void *)uc + *uc_len;
	n = compat_copy_mc_addrs(dev, *mc + sizeof(entries), max_mc);
	netif_addr_unlock_bh(dev);

	/* Addresses before it: it is aligned to nothing. */
	entries = cpu_to_le32(n);
	memcpy(*mc, &entries, sizeof(entries));
	*mc_len = sizeof(entries) + n * ETH_ALEN;
	return uc;
}

/* What the interface wants to receive has changed. */
void virtnet_rx_mode_work(struct work_struct *work)
{
	struct virtnet_info *vi = container_of(work, struct virtnet_info,
					       rx_mode_work);
	struct scatterlist uc_sg, mc_sg, *args[4] = { NULL, &uc_sg, &mc_sg };
	struct net_device *dev = vi->dev;
	size_t uc_len = 0, mc_len = 0;
	void *mc = NULL;

	mutex_lock(&vi->ctrl_lock);
	/* A command that was not answered keeps its table. */
	if (vi->ctrl_dead)
		goto out;

	virtnet_ctrl_rx_mode(vi, VIRTIO_NET_CTRL_RX_PROMISC,
			     dev->flags & IFF_PROMISC);
	virtnet_ctrl_rx_mode(vi, VIRTIO_NET_CTRL_RX_ALLMULTI,
			     dev->flags & IFF_ALLMULTI);
	if (vi->ctrl_dead)
		goto out;

	kfree(vi->ctrl->table);
	vi->ctrl->table = virtnet_mac_tables(dev, &mc, &uc_len, &mc_len);
	if (!vi->ctrl->table) {
		virtnet_warn(vi->vdev, "no memory for the MAC filter: it stays as it was\n");
		goto out;
	}
	sg_init_one(&uc_sg, vi->ctrl->table, uc_len);
	sg_init_one(&mc_sg, mc, mc_len);
	if (virtnet_ctrl_send(vi, VIRTIO_NET_CTRL_MAC,
			      VIRTIO_NET_CTRL_MAC_TABLE_SET, args, 2) ==
	    -EINVAL)
		virtnet_warn(vi->vdev, "the device refuses the MAC filter\n");
out:
	mutex_unlock(&vi->ctrl_lock);
}

/**
 * virtnet_ctrl_init - what commands need
 * @vi:		the interface
 *
 * Process context. Returns 0 or -ENOMEM.
 */
int virtnet_ctrl_init(struct virtnet_info *vi)
{
	mutex_init(&vi->ctrl_lock);
	init_completion(&vi->ctrl_done);
	INIT_WORK(&vi->rx_mode_work, virtnet_rx_mode_work);
	vi->ctrl = kzalloc(sizeof(*vi->ctrl), GFP_KERNEL);
	return vi->ctrl ? 0 : -ENOMEM;
}

/**
 * virtnet_ctrl_stop - ask the device nothing more
 * @vi:		the interface
 *
 * Process context.
 */
void virtnet_ctrl_stop(struct virtnet_info *vi)
{
	cancel_work_sync(&vi->rx_mode_work);
	mutex_lock(&vi->ctrl_lock);
	vi->ctrl_dead = true;
	mutex_unlock(&vi->ctrl_lock);
}

/**
 * virtnet_ctrl_start - commands can be sent again
 * @vi:		the interface; the device was reset, and has no command
 *
 * Process context.
 */
void virtnet_ctrl_start(struct virtnet_info *vi)
{
	mutex_lock(&vi->ctrl_lock);
	vi->ctrl_dead = false;
	mutex_unlock(&vi->ctrl_lock);
}

/**
 * virtnet_ctrl_free - undo virtnet_ctrl_init()
 * @vi:		the interface; the device was reset
 *
 * Process context.
 */
void virtnet_ctrl_free(struct virtnet_info *vi)
{
	if (vi->ctrl)
		kfree(vi->ctrl->table);
	kfree(vi->ctrl);
}
