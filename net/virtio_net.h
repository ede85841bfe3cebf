/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the network driver share.
 *
 *	virtio_net_main.c	features, queues, the interface's life
 *	virtio_net_rx.c		from the device to the stack
 *	virtio_net_page.c	what the receive buffers are made of
 *	virtio_net_tx.c		from the stack to the device
 *	virtio_net_ctrl.c	the control queue
 *	virtio_net_ethtool.c	what an administrator asks
 */
#ifndef _VIRTIO_NET_PRIV_H
#define _VIRTIO_NET_PRIV_H

#include <linux/completion.h>
#include <linux/ethtool.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/skbuff.h>
#include <linux/timer.h>
#include <linux/u64_stats_sync.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <linux/workqueue.h>

/* The largest packet: 64 KiB of IP, an Ethernet header with a VLAN tag. */
#define VIRTNET_MAX_PACKET	(ETH_HLEN + VLAN_HLEN + 65535)

/* Pages that one takes, with the header in front of it. */
#define VIRTNET_MAX_PAGES	DIV_ROUND_UP(sizeof(struct virtio_net_hdr) + \
					     VIRTNET_MAX_PACKET, PAGE_SIZE)

/* A receive buffer: its pages, of which the header may be a part of its own. */
#define VIRTNET_RX_SGS		(1 + VIRTNET_MAX_PAGES)

/* The largest pages that receive buffers are made of: 32 KiB. */
#define VIRTNET_MAX_ORDER	3

/* The most pages that a queue's pool has; a power of two. */
#define VIRTNET_POOL_SIZE	256

/* A packet to send: header, linear part, fragments. */
#define VIRTNET_TX_SGS		(2 + MAX_SKB_FRAGS)

/* More queue pairs than this are no use to any guest that EL6 runs in. */
#define VIRTNET_MAX_PAIRS	256

/**
 * struct virtnet_rx_stats - counters of a receive queue; its NAPI writes them
 * @packets:	that reached the stack
 * @bytes:	of those, without the virtio header
 * @multicast:	packets to a multicast address
 * @length_errors: shorter than the headers or longer than the buffer, or
 *		with num_buffers wrong
 * @header_errors: with a checksum or GSO field that makes no sense
 * @no_memory:	dropped because there was no memory for them
 * @refills:	times the queue was filled without memory for all of it
 * @kicks:	notifications
 */
struct virtnet_rx_stats {
	u64 packets;
	u64 bytes;
	u64 multicast;
	u64 length_errors;
	u64 header_errors;
	u64 no_memory;
	u64 refills;
	u64 kicks;
};

/**
 * struct virtnet_tx_stats - counters of a transmit queue; under its tx lock
 * @packets:	that the device took
 * @bytes:	of those
 * @dropped:	that it did not, because it is broken
 * @stopped:	times the queue was full
 * @kicks:	notifications
 */
struct virtnet_tx_stats {
	u64 packets;
	u64 bytes;
	u64 dropped;
	u64 stopped;
	u64 kicks;
};

/**
 * struct virtnet_segment - the part of a received packet in one page
 * @page:	the page
 * @offset:	where it begins, in bytes
 * @len:	how long it is, in bytes
 */
struct virtnet_segment {
	struct page *page;
	unsigned int offset;
	unsigned int len;
};

/**
 * struct virtnet_pool - pages that a receive queue will use again
 * @page:	a ring of them
 * @first:	index of the first
 * @count:	how many
 */
struct virtnet_pool {
	struct page *page[VIRTNET_POOL_SIZE];
	unsigned int first;
	unsigned int count;
};

/**
 * struct virtnet_rq - a receive queue
 * @vq:		the virtqueue; only whoever owns @napi touches it
 * @napi:	takes packets
 * @vi:		the interface
 * @index:	number of the pair
 * @pool:	pages that were not needed, or that the stack has
 * @order:	of the pages that buffers are made of
 * @average:	length of the packets, in bytes, times VIRTNET_AVERAGE
 * @refill:	fills the queue when there was no memory for it
 * @late:	fires if fewer packets come than were waited for
 * @hold:	polls during which none are waited for
 * @sent_packets: what the queue of the same index had sent at the last poll
 * @sent_bytes:	and how long it was
 * @seg:	the packet that is being taken
 * @sg:		the buffer that is being added
 * @stats:	counters
 * @sync:	keeps them from being read while one is half written
 * @cpu:	where its interrupts, and those of its pair, are to come
 * @name:	of the queue
 */
struct virtnet_rq {
	struct virtqueue *vq;
	struct napi_struct napi;
	struct virtnet_info *vi;
	unsigned int index;
	struct virtnet_pool pool;
	unsigned int order;
	unsigned int average;
	struct delayed_work refill;
	struct timer_list late;
	unsigned int hold;
	u64 sent_packets;
	u64 sent_bytes;
	struct virtnet_segment seg[VIRTNET_MAX_PAGES];
	struct scatterlist sg[VIRTNET_RX_SGS];
	struct virtnet_rx_stats stats;
	struct u64_stats_sync sync;
	struct cpumask cpu;
	char name[24];
} ____cacheline_aligned_in_smp;

/**
 * struct virtnet_sq - a transmit queue
 * @vq:		the virtqueue; only under the tx lock of its netdev queue
 * @napi:	makes room when the queue was full
 * @vi:		the interface
 * @index:	number of the pair
 * @sg:		the packet that is being added
 * @stats:	counters
 * @sync:	keeps them from being read while one is half written
 * @name:	of the queue
 */
struct virtnet_sq {
	struct virtqueue *vq;
	struct napi_struct napi;
	struct virtnet_info *vi;
	unsigned int index;
	struct scatterlist sg[VIRTNET_TX_SGS];
	struct virtnet_tx_stats stats;
	struct u64_stats_sync sync;
	char name[24];
} ____cacheline_aligned_in_smp;

/**
 * struct virtnet_ctrl - a command, where the device may read and write it
 * @hdr:	what it is
 * @status:	how it went
 * @arg:	its argument, unless that is @table
 * @table:	MAC addresses; freed when the next one is made
 *
 * The device owns it until it answers. One that never does keeps it until it
 * is reset.
 */
struct virtnet_ctrl {
	struct virtio_net_ctrl_hdr hdr;
	u8 status;
	u8 arg[sizeof(__le64)];
	void *table;
};

/* There are so many numbers for them. */
#define VIRTNET_VLANS		4096

/**
 * struct virtnet_info - a network interface
 * @vdev:	the device
 * @dev:	what the network stack sees
 * @rq:		receive queues
 * @sq:		transmit queues
 * @max_pairs:	how many of each
 * @pairs:	how many of each are in use
 * @hdr_len:	bytes in front of each packet
 * @mergeable:	a packet may fill several buffers, of one page each
 * @split_hdr:	the header has a descriptor of its own; in receive buffers, too,
 *		unless @mergeable
 * @buf_pages:	pages of a receive buffer
 * @buf_sgs:	parts that it is in
 * @tx_room:	free descriptors without which no packet is taken
 * @max_mtu:	the largest MTU that fits the receive buffers
 * @open:	the queues work, as between ndo_open and ndo_stop; under the rtnl
 *		lock
 * @refill_on:	the refill works may be scheduled; under refill_lock
 * @refill_lock: orders them with ndo_stop
 * @offloads:	receive offloads that are on, a mask of feature bits
 * @vlans:	those that the device shall receive
 * @has_cvq:	there is a control queue
 * @cvq:	the control queue
 * @ctrl_lock:	one command at a time; protects the next two
 * @ctrl:	the command
 * @ctrl_dead:	one was not answered: @ctrl is the device's until it is reset;
 *		or there is nobody to ask
 * @ctrl_done:	the device answered
 * @rx_mode_work: tells the device what to receive
 * @config_work: looks at a config change, until @removing
 * @config_lock: protects the scheduling of @config_work
 * @removing:	the interface goes away, or sleeps: its carrier stays as it is
 * @link_up:	what config_work saw last
 * @speed:	in Mbit/s, as ethtool has it
 * @duplex:	as ethtool has it
 */
struct virtnet_info {
	struct virtio_device *vdev;
	struct net_device *dev;
	struct virtnet_rq *rq;
	struct virtnet_sq *sq;
	unsigned int max_pairs;
	unsigned int pairs;

	unsigned int hdr_len;
	bool mergeable;
	bool split_hdr;
	unsigned int buf_pages;
	unsigned int buf_sgs;
	unsigned int tx_room;
	unsigned int max_mtu;

	bool open;
	bool refill_on;
	spinlock_t refill_lock;
	u64 offloads;
	DECLARE_BITMAP(vlans, VIRTNET_VLANS);

	bool has_cvq;
	struct virtqueue *cvq;
	struct mutex ctrl_lock;
	struct virtnet_ctrl *ctrl;
	bool ctrl_dead;
	struct completion ctrl_done;
	struct work_struct rx_mode_work;

	struct work_struct config_work;
	spinlock_t config_lock;
	bool removing;
	bool link_up;
	u32 speed;
	u8 duplex;
};

#define virtnet_err(_vdev, fmt, ...)					\
	dev_err(&(_vdev)->dev, "%s: " fmt,				\
		(_vdev)->config->bus_name(_vdev), ##__VA_ARGS__)
#define virtnet_warn(_vdev, fmt, ...)					\
	dev_warn(&(_vdev)->dev, "%s: " fmt,				\
		 (_vdev)->config->bus_name(_vdev), ##__VA_ARGS__)

/*
 * Counters of a queue go up. The caller owns the queue and is not preempted: a
 * reader would wait for it.
 */
#define virtnet_count(_queue, _counter)					\
do {									\
	u64_stats_update_begin(&(_queue)->sync);			\
	(_queue)->stats._counter++;					\
	u64_stats_update_end(&(_queue)->sync);				\
} while (0)

#define virtnet_count_packet(_queue, _len)				\
do {									\
	u64_stats_update_begin(&(_queue)->sync);			\
	(_queue)->stats.packets++;					\
	(_queue)->stats.bytes += (_len);				\
	u64_stats_update_end(&(_queue)->sync);				\
} while (0)

/* A copy of a queue's counters, all of one moment. Any context but the queue's. */
#define virtnet_read_stats(_queue, _copy)				\
do {									\
	unsigned int _start;						\
									\
	do {								\
		_start = u64_stats_fetch_begin(&(_queue)->sync);	\
		*(_copy) = (_queue)->stats;				\
	} while (u64_stats_fetch_retry(&(_queue)->sync, _start));	\
} while (0)

#define CONFIG(_field)	offsetof(struct virtio_net_config, _field)

/* Receive offloads that can be switched, section 5.1.6.5.6.1. */
#define VIRTNET_OFFLOADS	(1ULL << VIRTIO_NET_F_GUEST_CSUM |	\
				 1ULL << VIRTIO_NET_F_GUEST_TSO4 |	\
				 1ULL << VIRTIO_NET_F_GUEST_TSO6 |	\
				 1ULL << VIRTIO_NET_F_GUEST_ECN |	\
				 1ULL << VIRTIO_NET_F_GUEST_UFO)
#define VIRTNET_OFFLOADS_GSO	(VIRTNET_OFFLOADS &			\
				 ~(1ULL << VIRTIO_NET_F_GUEST_CSUM))

/*
 * The pair whose packets a CPU is taking, counted from 1; 0: none. For
 * virtnet_pick_queue(); where the stack picks the queue, nobody looks.
 */
DECLARE_PER_CPU(unsigned int, virtnet_polled);

/* virtio_net_main.c */
int virtnet_open(struct net_device *dev);
int virtnet_close(struct net_device *dev);
void virtnet_set_rx_mode(struct net_device *dev);
void virtnet_config_stop(struct virtnet_info *vi);
void virtnet_config_start(struct virtnet_info *vi);
void virtnet_take_back(struct virtnet_info *vi);

/* virtio_net_pm.c */
int virtnet_suspend(struct virtio_device *vdev);
void virtnet_resume(struct virtio_device *vdev);
void virtnet_shutdown(struct virtio_device *vdev);

/* virtio_net_rx.c */
int virtnet_rx_poll(struct napi_struct *napi, int budget);
void virtnet_rx_done(struct virtqueue *vq);
void virtnet_rx_start(struct virtnet_rq *rq, bool fill);
void virtnet_rx_stop(struct virtnet_rq *rq);
void virtnet_rx_refill_work(struct work_struct *work);
void virtnet_rx_late(struct timer_list *timer);
void virtnet_rx_free(struct virtnet_rq *rq);

/* virtio_net_page.c */
struct page *virtnet_get_page(struct virtnet_rq *rq, gfp_t gfp);
void virtnet_put_page(struct virtnet_rq *rq, struct page *page);
void virtnet_lend_page(struct virtnet_rq *rq, struct page *page);
void virtnet_average_len(struct virtnet_rq *rq, unsigned int len);
void virtnet_free_pages(struct virtnet_rq *rq);

/* virtio_net_tx.c */
netdev_tx_t virtnet_start_xmit(struct sk_buff *skb, struct net_device *dev);
int virtnet_tx_poll(struct napi_struct *napi, int budget);
void virtnet_tx_done(struct virtqueue *vq);
void virtnet_tx_clean(struct virtnet_sq *sq);
void virtnet_tx_free(struct virtnet_sq *sq);

/* virtio_net_ctrl.c */
int virtnet_ctrl_init(struct virtnet_info *vi);
void virtnet_ctrl_free(struct virtnet_info *vi);
void virtnet_ctrl_done(struct virtqueue *vq);
void virtnet_ctrl_stop(struct virtnet_info *vi);
void virtnet_ctrl_start(struct virtnet_info *vi);
int virtnet_ctrl_pairs(struct virtnet_info *vi, unsigned int pairs);
int virtnet_ctrl_mac(struct virtnet_info *vi, const u8 *mac);
int virtnet_ctrl_vlan(struct virtnet_info *vi, u16 vid, bool add);
int virtnet_ctrl_offloads(struct virtnet_info *vi, u64 offloads);
int virtnet_ctrl_announced(struct virtnet_info *vi);
void virtnet_rx_mode_work(struct work_struct *work);

/* virtio_net_ethtool.c */
void virtnet_set_ethtool_ops(struct net_device *dev);
void virtnet_read_speed(struct virtnet_info *vi);
int virtnet_set_features(struct net_device *dev, netdev_features_t features);
int virtnet_set_pairs(struct virtnet_info *vi, unsigned int pairs);

#endif /* _VIRTIO_NET_PRIV_H */
