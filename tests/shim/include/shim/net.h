/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The network stack as a driver sees it, in the shapes of Linux 6.1 and of
 * EL6's 2.6.32: interfaces, packets, NAPI, queues, ethtool. What a driver
 * hands to the stack is checked for what the stack relies on.
 */
#ifndef _SHIM_NET_H
#define _SHIM_NET_H

#include <shim/driver.h>

struct net_device;
struct net_device_ops_ext;
struct sk_buff;
struct ethtool_channels;

typedef u16 __be16, __sum16;
#define htons(x)	((__be16)__builtin_bswap16(x))
#define ntohs(x)	htons(x)

/* What the kernel's other headers have, and only this driver needs. */
#define IS_ALIGNED(x, a)	(!((x) & ((__typeof__(x))(a) - 1)))
#define CONFIG_NET_POLL_CONTROLLER	1

struct sockaddr {
	u16 sa_family;
	char sa_data[14];
};

/* if_ether.h, if_vlan.h, in.h, if.h */

#define ETH_ALEN	6
#define ETH_HLEN	14
#define ETH_DATA_LEN	1500
#define VLAN_HLEN	4
#define ETH_P_IP	0x0800
#define ETH_P_8021Q	0x8100
#define ETH_P_IPV6	0x86dd
#define ETH_P_802_2	0x0004
#define IPPROTO_TCP	6
#define IPPROTO_UDP	17
#define IFF_UP		0x1
#define IFF_PROMISC	0x100
#define IFF_ALLMULTI	0x200

/* skbuff.h */

#ifdef COMPAT_HAVE_SKB_FRAG_OFF
#define MAX_SKB_FRAGS	17
#else
#define MAX_SKB_FRAGS	(65536 / PAGE_SIZE + 2)
#endif

enum { CHECKSUM_NONE, CHECKSUM_UNNECESSARY, CHECKSUM_COMPLETE, CHECKSUM_PARTIAL };

enum {
	SKB_GSO_TCPV4	= 1 << 0,
	SKB_GSO_UDP	= 1 << 1,
	SKB_GSO_DODGY	= 1 << 2,
	SKB_GSO_TCP_ECN	= 1 << 3,
	SKB_GSO_TCPV6	= 1 << 4,
};

typedef struct {
	struct page *page;
	unsigned int page_offset, size;
} skb_frag_t;

struct skb_shared_info {
	unsigned short nr_frags;
	unsigned short gso_size, gso_segs;
	unsigned int gso_type;
	skb_frag_t frags[MAX_SKB_FRAGS];
};

struct sk_buff {
	struct list_head list;
	u8 *head, *data, *tail, *end;
	unsigned int len, data_len, truesize;
	u16 csum_start, csum_offset;
	u8 ip_summed;
	__be16 protocol;
	struct net_device *dev;
	char cb[48] __attribute__((__aligned__(8)));
	u16 queue_mapping;	/* of a received one: its queue + 1 */
	bool header_cloned;
	bool owned;		/* by a socket */
	bool tracked;		/* by netfilter */
	struct skb_shared_info shinfo;
};

#define skb_shinfo(skb)		(&(skb)->shinfo)
#define skb_headlen(skb)	((skb)->len - (skb)->data_len)
#define skb_headroom(skb)	((unsigned int)((skb)->data - (skb)->head))
#define skb_is_gso(skb)		(skb_shinfo(skb)->gso_size != 0)
#define skb_header_cloned(skb)	((skb)->header_cloned)
#define skb_orphan(skb)		((skb)->owned = false)
#define skb_get_queue_mapping(skb)	((skb)->queue_mapping)
#define skb_rx_queue_recorded(skb)	((skb)->queue_mapping != 0)
#define skb_get_rx_queue(skb)	((u16)((skb)->queue_mapping - 1))
#define skb_record_rx_queue(skb, q)	((skb)->queue_mapping = (q) + 1)
#ifdef COMPAT_HAVE_NF_RESET_CT
#define nf_reset_ct(skb)	((skb)->tracked = false)
#else
#define nf_reset(skb)		((skb)->tracked = false)
#endif
#ifdef COMPAT_HAVE_SKB_CHECKSUM_START_OFFSET
#define skb_checksum_start_offset(skb)	((skb)->csum_start - skb_headroom(skb))
#endif
#ifdef COMPAT_HAVE_SKB_FRAG_SIZE
#define skb_frag_size(frag)	((frag)->size)
#define skb_frag_page(frag)	((frag)->page)
#endif
#ifdef COMPAT_HAVE_SKB_FRAG_OFF
#define skb_frag_off(frag)	((frag)->page_offset)
#endif

struct sk_buff *netdev_alloc_skb_ip_align(struct net_device *dev,
					  unsigned int len);
void *skb_put(struct sk_buff *skb, unsigned int len);
void skb_fill_page_desc(struct sk_buff *skb, int i, struct page *page,
			int off, int size);
int skb_linearize(struct sk_buff *skb);
void dev_kfree_skb_any(struct sk_buff *skb);

/* netdevice.h: features */

#ifdef COMPAT_HAVE_NETDEV_HW_FEATURES
typedef u64 netdev_features_t;
#define SHIM_FEATURES	netdev_features_t
#define NETIF_F_HW_VLAN_CTAG_FILTER	(1ULL << 9)
#define NETIF_F_SG	1ULL
#else
#define SHIM_FEATURES	unsigned long
#define NETIF_F_HW_VLAN_FILTER		(1 << 9)
#define NETIF_F_SG	1
#define NETIF_F_UFO	(SKB_GSO_UDP << 16)
#endif
#define NETIF_F_HW_CSUM	8
#define NETIF_F_HIGHDMA	32
#define NETIF_F_GRO	16384
#define NETIF_F_TSO	(SKB_GSO_TCPV4 << 16)
#define NETIF_F_TSO_ECN	(SKB_GSO_TCP_ECN << 16)
#define NETIF_F_TSO6	(SKB_GSO_TCPV6 << 16)
/* EL6 from 6.4 on. */
#ifdef COMPAT_HAVE_ETH_HW_ADDR_RANDOM
#define NETIF_F_RXCSUM	(1 << 29)
#endif
#ifdef COMPAT_HAVE_NETIF_F_GRO_HW
#define NETIF_F_GRO_HW	(1ULL << 32)
#endif

/* netdevice.h: NAPI */

#define NAPI_POLL_WEIGHT	64

struct napi_struct {
	struct list_head list;
	struct net_device *dev;
	int (*poll)(struct napi_struct *napi, int budget);
	int weight;
	bool added, enabled, sched, missed, on_list, polling;
};

void shim_napi_add(struct net_device *dev, struct napi_struct *napi,
		   int (*poll)(struct napi_struct *napi, int budget), int weight);
#ifdef COMPAT_HAVE_NETIF_NAPI_ADD_WEIGHT
#define netif_napi_add_weight	shim_napi_add
#else
#define netif_napi_add		shim_napi_add
#endif
void netif_napi_del(struct napi_struct *napi);
void napi_enable(struct napi_struct *napi);
void napi_disable(struct napi_struct *napi);
bool napi_schedule_prep(struct napi_struct *napi);
void __napi_schedule(struct napi_struct *napi);
bool shim_napi_complete(struct napi_struct *napi);
#ifdef COMPAT_HAVE_NAPI_COMPLETE_DONE
#define napi_complete_done(napi, done)	((void)(done), shim_napi_complete(napi))
#else
#define napi_complete(napi)	((void)shim_napi_complete(napi))
#endif
void napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb);

static inline void napi_schedule(struct napi_struct *napi)
{
	if (napi_schedule_prep(napi))
		__napi_schedule(napi);
}

/* netdevice.h: queues */

typedef int netdev_tx_t;
#define NETDEV_TX_OK	0
#define NETDEV_TX_BUSY	0x10

struct netdev_queue {
	spinlock_t lock;
	bool stopped;
	unsigned int wakes;
	struct cpumask xps;
};

#define netif_tx_queue_stopped(q)	((q)->stopped)
void netif_tx_stop_queue(struct netdev_queue *q);
void netif_tx_start_queue(struct netdev_queue *q);
void netif_tx_wake_queue(struct netdev_queue *q);
bool __netif_tx_trylock(struct netdev_queue *q);
void __netif_tx_unlock(struct netdev_queue *q);
#ifdef COMPAT_HAVE_NETDEV_XMIT_MORE
extern bool shim_xmit_more;
#define netdev_xmit_more()	shim_xmit_more
#endif

/* netdevice.h: interfaces */

struct net_device_stats {
	unsigned long rx_packets, tx_packets, rx_bytes, tx_bytes;
	unsigned long rx_errors, tx_errors, rx_dropped, tx_dropped, multicast;
	unsigned long rx_length_errors, rx_frame_errors;
};

struct rtnl_link_stats64 {
	u64 rx_packets, tx_packets, rx_bytes, tx_bytes;
	u64 rx_errors, tx_errors, rx_dropped, tx_dropped, multicast;
	u64 rx_length_errors, rx_frame_errors;
};

struct netdev_hw_addr {
	struct netdev_hw_addr *next;
	u8 addr[32];
};

struct dev_addr_list {
	struct dev_addr_list *next;
	u8 da_addr[32];
};

struct netdev_hw_addr_list {
	struct netdev_hw_addr *list;
	int count;
};

struct net_device_ops {
	int (*ndo_open)(struct net_device *dev);
	int (*ndo_stop)(struct net_device *dev);
	netdev_tx_t (*ndo_start_xmit)(struct sk_buff *skb,
				      struct net_device *dev);
	int (*ndo_validate_addr)(struct net_device *dev);
	int (*ndo_set_mac_address)(struct net_device *dev, void *addr);
	void (*ndo_set_rx_mode)(struct net_device *dev);
	int (*ndo_change_mtu)(struct net_device *dev, int mtu);
	void (*ndo_poll_controller)(struct net_device *dev);
#ifdef COMPAT_HAVE_NDO_VLAN_PROTO
	int (*ndo_vlan_rx_add_vid)(struct net_device *dev, __be16 proto, u16 vid);
	int (*ndo_vlan_rx_kill_vid)(struct net_device *dev, __be16 proto, u16 vid);
#else
	void (*ndo_vlan_rx_add_vid)(struct net_device *dev, unsigned short vid);
	void (*ndo_vlan_rx_kill_vid)(struct net_device *dev, unsigned short vid);
#endif
#ifdef COMPAT_HAVE_NDO_GET_STATS64_VOID
	void (*ndo_get_stats64)(struct net_device *dev,
				struct rtnl_link_stats64 *stats);
#else
	struct net_device_stats *(*ndo_get_stats)(struct net_device *dev);
#endif
#ifdef COMPAT_HAVE_NETDEV_HW_FEATURES
	int (*ndo_set_features)(struct net_device *dev,
				netdev_features_t features);
#else
	u16 (*ndo_select_queue)(struct net_device *dev, struct sk_buff *skb);
#endif
};

enum { NETREG_UNINITIALIZED, NETREG_REGISTERED, NETREG_UNREGISTERING,
	NETREG_UNREGISTERED };

#ifdef COMPAT_HAVE_NETDEV_OPS_EXT_STATS64
struct net_device_ops_ext {
	size_t size;
	struct rtnl_link_stats64 *(*ndo_get_stats64)(struct net_device *dev,
						     struct rtnl_link_stats64 *sum);
};
void set_netdev_ops_ext(struct net_device *dev,
			const struct net_device_ops_ext *ops);
#endif

struct ethtool_ops;
struct ethtool_ops_ext;

struct net_device {
	char name[16];
	struct device dev;
	const struct net_device_ops *netdev_ops;
	const struct ethtool_ops *ethtool_ops;
	const struct net_device_ops_ext *netdev_ops_ext;
	const struct ethtool_ops_ext *ethtool_ops_ext;
	SHIM_FEATURES features, hw_features, vlan_features;
	unsigned int flags, mtu, min_mtu, max_mtu;
	u8 dev_addr[ETH_ALEN];
	struct netdev_hw_addr_list uc;
#ifdef COMPAT_HAVE_NETDEV_MC_LIST
	struct netdev_hw_addr_list mc;
#else
	struct dev_addr_list *mc_list;
	int mc_count;
#endif
	struct net_device_stats stats;
	unsigned int num_tx_queues, real_num_tx_queues, real_num_rx_queues;
	struct netdev_queue *txq;
	spinlock_t addr_lock;
	int reg_state;
	bool carrier, detached;
	struct list_head list;
	unsigned int num_napis, notified;
	void *priv;
};

#define netdev_priv(d)			((d)->priv)
#define SET_NETDEV_DEV(d, p)		((d)->dev.parent = (p))
#define netdev_get_tx_queue(d, i)	(&(d)->txq[i])
#define netdev_uc_count(d)		((d)->uc.count)
#define netdev_for_each_uc_addr(ha, d)					\
	for (ha = (d)->uc.list; ha; ha = ha->next)
#ifdef COMPAT_HAVE_NETDEV_MC_LIST
#define netdev_mc_count(d)		((d)->mc.count)
#define netdev_for_each_mc_addr(ha, d)					\
	for (ha = (d)->mc.list; ha; ha = ha->next)
#else
#define netdev_mc_count(d)		((d)->mc_count)
#endif
#define netif_addr_lock_bh(d)		shim_addr_lock(d)
#define netif_addr_unlock_bh(d)		spin_unlock_bh(&(d)->addr_lock)
void shim_addr_lock(struct net_device *dev);

struct net_device *alloc_etherdev_mq(int priv, unsigned int queues);
void free_netdev(struct net_device *dev);
int register_netdev(struct net_device *dev);
void unregister_netdev(struct net_device *dev);
#define netif_device_present(d)		(!(d)->detached)
#define netif_running(d)		(!!((d)->flags & IFF_UP))
#define netif_tx_lock_bh(d)		local_bh_disable()
#define netif_tx_unlock_bh(d)		local_bh_enable()
void netif_device_detach(struct net_device *dev);
void netif_device_attach(struct net_device *dev);
void rtnl_lock(void);
void rtnl_unlock(void);
void netif_carrier_on(struct net_device *dev);
void netif_carrier_off(struct net_device *dev);
#define netif_carrier_ok(d)		((d)->carrier)
#ifdef COMPAT_HAVE_NETIF_SET_REAL_NUM_QUEUES
int netif_set_real_num_tx_queues(struct net_device *dev, unsigned int n);
int netif_set_real_num_rx_queues(struct net_device *dev, unsigned int n);
#else
void netif_set_real_num_tx_queues(struct net_device *dev, unsigned int n);
#endif
#ifdef COMPAT_HAVE_NETIF_SET_XPS_QUEUE
int netif_set_xps_queue(struct net_device *dev, const struct cpumask *mask,
			u16 index);
#endif
#ifdef COMPAT_HAVE_NETDEV_NOTIFY_PEERS
void netdev_notify_peers(struct net_device *dev);
#else
void netif_notify_peers(struct net_device *dev);
#endif

/* etherdevice.h */

bool is_multicast_ether_addr(const u8 *addr);
bool is_valid_ether_addr(const u8 *addr);
int eth_validate_addr(struct net_device *dev);
__be16 eth_type_trans(struct sk_buff *skb, struct net_device *dev);
#ifdef COMPAT_HAVE_ETH_HW_ADDR_SET
void eth_hw_addr_set(struct net_device *dev, const u8 *addr);
#endif
void random_ether_addr(u8 *addr);
#ifdef COMPAT_HAVE_ETH_HW_ADDR_RANDOM
#define eth_hw_addr_random(d)	random_ether_addr((d)->dev_addr)
#endif

/* ethtool.h */

#define ETH_GSTRING_LEN	32
#define ETH_SS_STATS	1
#define DUPLEX_HALF	0
#define DUPLEX_FULL	1

struct ethtool_drvinfo {
	char driver[32], version[32], bus_info[32];
};

struct ethtool_ringparam {
	u32 rx_max_pending, tx_max_pending, rx_pending, tx_pending;
};

struct ethtool_stats {
	u32 n_stats;
};

struct kernel_ethtool_ringparam;
struct netlink_ext_ack;

#if defined(COMPAT_HAVE_ETHTOOL_CHANNELS) || defined(COMPAT_HAVE_ETHTOOL_CHANNELS_EXT)
#define SPEED_UNKNOWN	-1
#define DUPLEX_UNKNOWN	0xff
#define PORT_OTHER	0xff
struct ethtool_channels {
	u32 max_rx, max_tx, max_other, max_combined;
	u32 rx_count, tx_count, other_count, combined_count;
};
#endif

#ifdef COMPAT_HAVE_ETHTOOL_LINK_KSETTINGS
struct ethtool_link_ksettings {
	struct {
		u32 speed;
		u8 duplex, port;
	} base;
};
#else
struct ethtool_cmd {
	u32 speed;
	u8 duplex, port;
};
#define ethtool_cmd_speed_set(cmd, s)	((cmd)->speed = (s))
#endif

struct ethtool_ops {
	void (*get_drvinfo)(struct net_device *dev, struct ethtool_drvinfo *info);
	u32 (*get_link)(struct net_device *dev);
	void (*get_strings)(struct net_device *dev, u32 sset, u8 *data);
	int (*get_sset_count)(struct net_device *dev, int sset);
	void (*get_ethtool_stats)(struct net_device *dev,
				  struct ethtool_stats *stats, u64 *data);
#ifdef COMPAT_HAVE_ETHTOOL_RINGPARAM_EXTACK
	void (*get_ringparam)(struct net_device *dev,
			      struct ethtool_ringparam *ring,
			      struct kernel_ethtool_ringparam *kernel_ring,
			      struct netlink_ext_ack *extack);
#else
	void (*get_ringparam)(struct net_device *dev,
			      struct ethtool_ringparam *ring);
#endif
#ifdef COMPAT_HAVE_ETHTOOL_LINK_KSETTINGS
	int (*get_link_ksettings)(struct net_device *dev,
				  struct ethtool_link_ksettings *settings);
#else
	int (*get_settings)(struct net_device *dev, struct ethtool_cmd *cmd);
#endif
#ifdef COMPAT_HAVE_ETHTOOL_CHANNELS
	void (*get_channels)(struct net_device *dev,
			     struct ethtool_channels *channels);
	int (*set_channels)(struct net_device *dev,
			    struct ethtool_channels *channels);
#endif
#ifndef COMPAT_HAVE_NETDEV_HW_FEATURES
	u32 (*get_rx_csum)(struct net_device *dev);
	int (*set_rx_csum)(struct net_device *dev, u32 on);
	u32 (*get_tx_csum)(struct net_device *dev);
	int (*set_tx_csum)(struct net_device *dev, u32 on);
	u32 (*get_sg)(struct net_device *dev);
	int (*set_sg)(struct net_device *dev, u32 on);
	u32 (*get_tso)(struct net_device *dev);
	int (*set_tso)(struct net_device *dev, u32 on);
	u32 (*get_ufo)(struct net_device *dev);
	int (*set_ufo)(struct net_device *dev, u32 on);
	u32 (*get_flags)(struct net_device *dev);
#endif
};

u32 ethtool_op_get_link(struct net_device *dev);
#ifdef COMPAT_HAVE_ETHTOOL_CHANNELS_EXT
struct ethtool_ops_ext {
	size_t size;
	void (*get_channels)(struct net_device *dev,
			     struct ethtool_channels *channels);
	int (*set_channels)(struct net_device *dev,
			    struct ethtool_channels *channels);
};
void set_ethtool_ops_ext(struct net_device *dev,
			 const struct ethtool_ops_ext *ops);
#endif
#ifndef COMPAT_HAVE_NETDEV_HW_FEATURES
u32 ethtool_op_get_tx_csum(struct net_device *dev);
int ethtool_op_set_tx_hw_csum(struct net_device *dev, u32 on);
u32 ethtool_op_get_sg(struct net_device *dev);
int ethtool_op_set_sg(struct net_device *dev, u32 on);
u32 ethtool_op_get_tso(struct net_device *dev);
u32 ethtool_op_get_ufo(struct net_device *dev);
u32 ethtool_op_get_flags(struct net_device *dev);
#endif

/*
 * What the rest of the kernel, and an administrator, do with an interface, in
 * one shape. NULL: there is no such interface.
 */
struct net_device *shim_netdev(unsigned int n);
int shim_net_open(struct net_device *dev);
void shim_net_close(struct net_device *dev);
int shim_net_mtu(struct net_device *dev, int mtu);
int shim_net_mac(struct net_device *dev, const u8 *mac);
void shim_net_flags(struct net_device *dev, unsigned int flags);
void shim_net_addr(struct net_device *dev, bool multicast, const u8 *addr,
		   bool add);
int shim_net_vlan(struct net_device *dev, u16 vid, bool add);
void shim_net_stats(struct net_device *dev, struct rtnl_link_stats64 *stats);
u64 shim_net_counter(struct net_device *dev, const char *name);
int shim_net_channels(struct net_device *dev, struct ethtool_channels *channels,
		      bool set);
void shim_net_speed(struct net_device *dev, u32 *speed, u8 *duplex);
/* Receive offloads: checksums, or (where they are apart) large packets. */
int shim_net_rx_csum(struct net_device *dev, bool on);
int shim_net_gro_hw(struct net_device *dev, bool on);

/* A packet to send: so much in the linear part, and fragments of a size. */
struct sk_buff *shim_skb(unsigned int headroom, unsigned int linear,
			 unsigned int nr_frags, unsigned int frag);
/* NETDEV_TX_BUSY, and the packet is the caller's: the queue is stopped. */
int shim_xmit(struct net_device *dev, struct sk_buff *skb);
/* Copies out @len bytes, from @off on. */
void shim_skb_copy(const struct sk_buff *skb, unsigned int off, void *to,
		   unsigned int len);
/* What the stack received, the oldest first; NULL: nothing. */
struct sk_buff *shim_received(void);
unsigned int shim_drop_received(void);

/* Called in napi_complete(): the last moment in which it is scheduled. */
extern void (*shim_before_complete)(struct napi_struct *napi);
/* Called whenever the addresses of an interface are about to be locked. */
extern void (*shim_before_addr_lock)(struct net_device *dev);

#endif /* _SHIM_NET_H */
