// SPDX-License-Identifier: GPL-2.0
/*
 * The network stack: as much of it as a driver can tell.
 */
#include <shim/shim.h>
#include <linux/netdevice.h>
#include <linux/ethtool.h>

/* One instance of the lock, as there is one rtnl; the shim's own. */
static struct mutex rtnl;
static LIST_HEAD(netdevs);
#ifdef COMPAT_HAVE_NETDEV_XMIT_MORE
bool shim_xmit_more;
#endif
void (*shim_before_complete)(struct napi_struct *napi);
void (*shim_before_addr_lock)(struct net_device *dev);

/* skbuff.h */

/* What the kernel's slabs, and struct skb_shared_info, add to a packet. */
#define SKB_OVERHEAD	512

static struct sk_buff *skb_new(unsigned int headroom, unsigned int size)
{
	struct sk_buff *skb = calloc(1, sizeof(*skb));

	skb->head = malloc(headroom + size);
	memset(skb->head, 0xa5, headroom + size);
	skb->data = skb->head + headroom;
	skb->tail = skb->data;
	skb->end = skb->data + size;
	skb->truesize = SKB_OVERHEAD + headroom + size;
	/* Nobody may count on what somebody else left there. */
	memset(skb->cb, 0xa5, sizeof(skb->cb));
	shim_counts.skbs++;
	return skb;
}

struct sk_buff *netdev_alloc_skb_ip_align(struct net_device *dev,
					  unsigned int len)
{
	struct sk_buff *skb;

	if (shim_fail(FAIL_SKB))
		return NULL;
	skb = skb_new(64 + 2, len);
	skb->dev = dev;
	return skb;
}

void *skb_put(struct sk_buff *skb, unsigned int len)
{
	u8 *p = skb->tail;

	/* skb_over_panic() */
	BUG_ON(len > skb->end - skb->tail || skb->data_len);
	skb->tail += len;
	skb->len += len;
	return p;
}

void skb_fill_page_desc(struct sk_buff *skb, int i, struct page *page,
			int off, int size)
{
	skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

	BUG_ON(i < 0 || i >= (int)MAX_SKB_FRAGS);
	frag->page = page;
	frag->page_offset = off;
	frag->size = size;
	skb_shinfo(skb)->nr_frags = i + 1;
}

void shim_skb_copy(const struct sk_buff *skb, unsigned int off, void *to,
		   unsigned int len)
{
	unsigned int i, n, headlen = skb_headlen(skb);
	const skb_frag_t *frag;

	BUG_ON(off > skb->len || len > skb->len - off);
	if (off < headlen) {
		n = min(len, headlen - off);
		memcpy(to, skb->data + off, n);
		to = (u8 *)to + n;
		len -= n;
		off += n;
	}
	off -= headlen;
	for (i = 0; len; i++) {
		frag = &skb->shinfo.frags[i];
		BUG_ON(i == skb->shinfo.nr_frags);
		if (off >= frag->size) {
			off -= frag->size;
			continue;
		}
		n = min(len, frag->size - off);
		memcpy(to, (u8 *)page_address(frag->page) + frag->page_offset + off, n);
		to = (u8 *)to + n;
		len -= n;
		off = 0;
	}
}

static void skb_put_frags(struct sk_buff *skb)
{
	while (skb->shinfo.nr_frags)
		put_page(skb->shinfo.frags[--skb->shinfo.nr_frags].page);
}

int skb_linearize(struct sk_buff *skb)
{
	unsigned int headroom = skb_headroom(skb), len = skb->len;
	u8 *head;

	if (!skb->data_len)
		return 0;
	if (shim_fail(FAIL_SKB))
		return -ENOMEM;
	head = malloc(headroom + len);
	memset(head, 0xa5, headroom);
	shim_skb_copy(skb, 0, head + headroom, len);
	skb_put_frags(skb);
	free(skb->head);
	skb->head = head;
	skb->data = head + headroom;
	skb->tail = skb->data + len;
	skb->end = skb->tail;
	skb->data_len = 0;
	return 0;
}

void dev_kfree_skb_any(struct sk_buff *skb)
{
	skb_put_frags(skb);
	free(skb->head);
	free(skb);
	shim_counts.skbs--;
}

/* NAPI. Those that are to be polled, in a tasklet's place. */

static LIST_HEAD(napis);
static struct tasklet_struct net_rx;
/* More in one go, without time going by: it never ends. */
#define MAX_POLLS	100000

static void net_rx_action(unsigned long data)
{
	unsigned int n = 0;

	while (!list_empty(&napis)) {
		struct napi_struct *napi = list_first_entry(&napis,
						struct napi_struct, list);
		int done;

		if (++n > MAX_POLLS)
			SHIM_BUG("NAPI is polled for ever");
		list_del(&napi->list);
		napi->on_list = false;
		BUG_ON(!napi->enabled || !napi->sched);
		napi->polling = true;
		done = napi->poll(napi, napi->weight);
		napi->polling = false;
		BUG_ON(done < 0 || done > napi->weight);
		/* All of it: there is more, and it was not completed. */
		if (done == napi->weight) {
			BUG_ON(!napi->sched || napi->on_list);
			__napi_schedule(napi);
		} else if (napi->sched && !napi->on_list) {
			SHIM_BUG("NAPI: %d of %d packets, and not completed",
				 done, napi->weight);
		}
	}
}

void shim_napi_add(struct net_device *dev, struct napi_struct *napi,
		   int (*poll)(struct napi_struct *napi, int budget), int weight)
{
	BUG_ON(napi->added || weight <= 0);
	memset(napi, 0, sizeof(*napi));
	napi->dev = dev;
	napi->poll = poll;
	napi->weight = weight;
	napi->added = true;
	/* Until it is enabled nobody can schedule it. */
	napi->sched = true;
	dev->num_napis++;
	if (!net_rx.func)
		tasklet_init(&net_rx, net_rx_action, 0);
}

void netif_napi_del(struct napi_struct *napi)
{
	might_sleep();
	if (!napi->added || napi->enabled || napi->on_list)
		SHIM_BUG("NAPI is deleted, and %s", napi->added ?
			 "not disabled" : "was never added");
	napi->added = false;
	napi->dev->num_napis--;
}

void napi_enable(struct napi_struct *napi)
{
	if (!napi->added || napi->enabled)
		SHIM_BUG("NAPI is enabled %s", napi->added ? "twice" :
			 "and was never added");
	napi->enabled = true;
	napi->sched = false;
	napi->missed = false;
}

void napi_disable(struct napi_struct *napi)
{
	might_sleep();
	if (!napi->enabled)
		SHIM_BUG("hang: NAPI is disabled twice");
	if (napi->sched)
		shim_run_tasklets();
	BUG_ON(napi->sched);
	napi->sched = true;
	napi->enabled = false;
}

bool napi_schedule_prep(struct napi_struct *napi)
{
	BUG_ON(!napi->added);
	if (!napi->sched) {
		napi->sched = true;
		return true;
	}
	napi->missed = true;
	return false;
}

void __napi_schedule(struct napi_struct *napi)
{
	BUG_ON(!napi->sched || !napi->enabled || napi->on_list);
	napi->on_list = true;
	list_add_tail(&napi->list, &napis);
	tasklet_schedule(&net_rx);
}

bool shim_napi_complete(struct napi_struct *napi)
{
	BUG_ON(!napi->polling || !napi->sched || napi->on_list);
	if (shim_before_complete)
		shim_before_complete(napi);
#ifdef COMPAT_HAVE_NAPI_COMPLETE_DONE
	/* Since 4.10: somebody wanted to schedule it meanwhile. */
	if (napi->missed) {
		napi->missed = false;
		__napi_schedule(napi);
		return false;
	}
#endif
	napi->sched = false;
	return true;
}

/* What the stack receives */

static LIST_HEAD(received);
static unsigned int num_received;

static void check_received(const struct sk_buff *skb)
{
	const struct skb_shared_info *info = &skb->shinfo;
	unsigned int i, size, sum = 0, memory = 0, csum;

	BUG_ON(info->nr_frags > MAX_SKB_FRAGS);
	for (i = 0; i < info->nr_frags; i++) {
		const skb_frag_t *frag = &info->frags[i];

		size = PAGE_SIZE << compound_order(frag->page);
		BUG_ON(!frag->size || frag->page_offset >= size ||
		       frag->size > size - frag->page_offset);
		sum += frag->size;
		memory += size;
	}
	BUG_ON(sum != skb->data_len || skb->data_len > skb->len);
	BUG_ON(skb->tail - skb->data != skb_headlen(skb));
	/* All the memory that is kept, no less, and not much more. */
	BUG_ON(skb->truesize < SKB_OVERHEAD + memory);
	BUG_ON(skb->truesize > 2048 + memory);

	BUG_ON(!skb->dev || !(skb->dev->flags & IFF_UP) || !skb->protocol);
	BUG_ON(!skb->queue_mapping || (skb->dev->reg_state == NETREG_REGISTERED &&
	       skb->queue_mapping > skb->dev->num_tx_queues));
	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		csum = skb->csum_start - skb_headroom(skb);
		BUG_ON(skb->csum_start < skb_headroom(skb));
		BUG_ON(csum + skb->csum_offset + 2 > skb_headlen(skb));
	}
	if (!info->gso_size) {
		BUG_ON(info->gso_type);
		return;
	}
	BUG_ON(skb->ip_summed != CHECKSUM_PARTIAL);
	/* From outside: whoever cuts it up looks at the headers first. */
	BUG_ON(!(info->gso_type & SKB_GSO_DODGY) || info->gso_segs);
	switch (info->gso_type & ~(SKB_GSO_DODGY | SKB_GSO_TCP_ECN)) {
	case SKB_GSO_TCPV4:
		BUG_ON(skb->protocol == htons(ETH_P_IPV6));
		return;
	case SKB_GSO_TCPV6:
		BUG_ON(skb->protocol == htons(ETH_P_IP));
		return;
	case SKB_GSO_UDP:
		BUG_ON(info->gso_type & SKB_GSO_TCP_ECN);
		return;
	}
	SHIM_BUG("gso_type 0x%x", info->gso_type);
}

void napi_gro_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	/* Only from its own poll. */
	BUG_ON(!napi->polling || skb->dev != napi->dev);
	check_received(skb);
	list_add_tail(&skb->list, &received);
	num_received++;
}

struct sk_buff *shim_received(void)
{
	struct sk_buff *skb;

	if (list_empty(&received))
		return NULL;
	skb = list_first_entry(&received, struct sk_buff, list);
	list_del(&skb->list);
	num_received--;
	return skb;
}

unsigned int shim_drop_received(void)
{
	unsigned int n = num_received;
	struct sk_buff *skb;

	while ((skb = shim_received()))
		dev_kfree_skb_any(skb);
	return n;
}

/* Transmit queues */

void netif_tx_stop_queue(struct netdev_queue *q)
{
	q->stopped = true;
}

void netif_tx_start_queue(struct netdev_queue *q)
{
	q->stopped = false;
}

void netif_tx_wake_queue(struct netdev_queue *q)
{
	q->wakes += q->stopped;
	q->stopped = false;
}

bool __netif_tx_trylock(struct netdev_queue *q)
{
	BUG_ON(!shim_in_atomic());
	if (q->lock.locked)
		return false;
	shim_lock(&q->lock);
	return true;
}

void __netif_tx_unlock(struct netdev_queue *q)
{
	shim_unlock(&q->lock);
}

struct sk_buff *shim_skb(unsigned int headroom, unsigned int linear,
			 unsigned int nr_frags, unsigned int frag)
{
	struct sk_buff *skb = skb_new(headroom, linear);
	unsigned int i;
	u8 *p = skb_put(skb, linear);

	for (i = 0; i < linear; i++)
		p[i] = i * 7;
	for (i = 0; i < nr_frags; i++) {
		struct page *page = alloc_page(GFP_ATOMIC);

		memset(page_address(page), i, PAGE_SIZE);
		skb_fill_page_desc(skb, i, page, PAGE_SIZE - frag, frag);
		skb->len += frag;
		skb->data_len += frag;
		skb->truesize += PAGE_SIZE;
	}
	skb->owned = true;
	skb->tracked = true;
	return skb;
}

/* The driver picks a queue, or the stack does as the driver has told it. */
static u16 pick_queue(struct net_device *dev, struct sk_buff *skb)
{
#ifdef COMPAT_HAVE_NETIF_SET_XPS_QUEUE
	unsigned int i;

	for (i = 0; i < dev->real_num_tx_queues; i++)
		if (dev->txq[i].xps.bits & 1UL << shim_cpu)
			return i;
	return skb_rx_queue_recorded(skb) ?
	       skb_get_rx_queue(skb) % dev->real_num_tx_queues : 0;
#else
	return dev->netdev_ops->ndo_select_queue(dev, skb);
#endif
}

int shim_xmit(struct net_device *dev, struct sk_buff *skb)
{
	struct netdev_queue *q;
	int ret = NETDEV_TX_BUSY;

	BUG_ON(!(dev->flags & IFF_UP));
	skb->dev = dev;
	skb->queue_mapping = pick_queue(dev, skb);
	BUG_ON(skb->queue_mapping >= dev->real_num_tx_queues);
	q = &dev->txq[skb->queue_mapping];
	local_bh_disable();
	shim_lock(&q->lock);
	if (!q->stopped) {
		ret = dev->netdev_ops->ndo_start_xmit(skb, dev);
		/* A driver that stops its queue in time has room. */
		BUG_ON(ret != NETDEV_TX_OK);
	}
	shim_unlock(&q->lock);
	local_bh_enable();
	return ret;
}

/* Interfaces */

struct net_device *alloc_etherdev_mq(int priv, unsigned int queues)
{
	struct net_device *dev;
	unsigned int i;

	might_sleep();
	if (shim_fail(FAIL_NET))
		return NULL;
	dev = calloc(1, sizeof(*dev));
	dev->priv = calloc(1, priv);
	dev->txq = calloc(queues, sizeof(*dev->txq));
	for (i = 0; i < queues; i++)
		spin_lock_init(&dev->txq[i].lock);
	spin_lock_init(&dev->addr_lock);
	dev->num_tx_queues = queues;
	dev->real_num_tx_queues = queues;
	dev->real_num_rx_queues = queues;
	dev->mtu = ETH_DATA_LEN;
	dev->carrier = true;
	shim_counts.netdevs++;
	return dev;
}

static void free_addrs(struct net_device *dev)
{
	while (dev->uc.list) {
		struct netdev_hw_addr *ha = dev->uc.list;

		dev->uc.list = ha->next;
		free(ha);
	}
	dev->uc.count = 0;
#ifdef COMPAT_HAVE_NETDEV_MC_LIST
	while (dev->mc.list) {
		struct netdev_hw_addr *ha = dev->mc.list;

		dev->mc.list = ha->next;
		free(ha);
	}
	dev->mc.count = 0;
#else
	while (dev->mc_list) {
		struct dev_addr_list *mc = dev->mc_list;

		dev->mc_list = mc->next;
		free(mc);
	}
	dev->mc_count = 0;
#endif
}

void free_netdev(struct net_device *dev)
{
	might_sleep();
	BUG_ON(dev->reg_state == NETREG_REGISTERED);
	BUG_ON(dev->num_napis);
	free_addrs(dev);
	free(dev->txq);
	free(dev->priv);
	free(dev);
	shim_counts.netdevs--;
}

/* What the kernel corrects, and complains of. */
static void check_features(const struct net_device *dev)
{
	SHIM_FEATURES f = dev->features;

	BUG_ON(f & NETIF_F_SG && !(f & NETIF_F_HW_CSUM));
	BUG_ON(f & (NETIF_F_TSO | NETIF_F_TSO6) && !(f & NETIF_F_SG));
	BUG_ON(f & NETIF_F_TSO_ECN && !(f & (NETIF_F_TSO | NETIF_F_TSO6)));
	BUG_ON(dev->hw_features & ~f);
#ifdef COMPAT_HAVE_NDO_VLAN_PROTO
	if (f & NETIF_F_HW_VLAN_CTAG_FILTER)
#else
	if (f & NETIF_F_HW_VLAN_FILTER)
#endif
		BUG_ON(!dev->netdev_ops->ndo_vlan_rx_add_vid ||
		       !dev->netdev_ops->ndo_vlan_rx_kill_vid);
}

int register_netdev(struct net_device *dev)
{
	static unsigned int n;

	mutex_lock(&rtnl);
	if (shim_fail(FAIL_NET)) {
		mutex_unlock(&rtnl);
		return -ENOMEM;
	}
	BUG_ON(dev->reg_state != NETREG_UNINITIALIZED);
	BUG_ON(!is_valid_ether_addr(dev->dev_addr));
	BUG_ON(!dev->dev.parent || !dev->ethtool_ops || !dev->netdev_ops);
	check_features(dev);
	snprintf(dev->name, sizeof(dev->name), "eth%u", n++);
	dev->reg_state = NETREG_REGISTERED;
	list_add_tail(&dev->list, &netdevs);
	mutex_unlock(&rtnl);
	return 0;
}

static void close_netdev(struct net_device *dev)
{
	if (!(dev->flags & IFF_UP))
		return;
	dev->netdev_ops->ndo_stop(dev);
	dev->flags &= ~IFF_UP;
}

void unregister_netdev(struct net_device *dev)
{
	mutex_lock(&rtnl);
	BUG_ON(dev->reg_state != NETREG_REGISTERED);
	dev->reg_state = NETREG_UNREGISTERING;
	close_netdev(dev);
	list_del(&dev->list);
	free_addrs(dev);
	mutex_unlock(&rtnl);
	dev->reg_state = NETREG_UNREGISTERED;
}

void rtnl_lock(void)
{
	mutex_lock(&rtnl);
}

void rtnl_unlock(void)
{
	mutex_unlock(&rtnl);
}

void netif_device_detach(struct net_device *dev)
{
	unsigned int i;

	if (dev->detached)
		return;
	dev->detached = true;
	for (i = 0; i < dev->num_tx_queues && netif_running(dev); i++)
		netif_tx_stop_queue(&dev->txq[i]);
}

void netif_device_attach(struct net_device *dev)
{
	unsigned int i;

	if (!dev->detached)
		return;
	dev->detached = false;
	for (i = 0; i < dev->num_tx_queues && netif_running(dev); i++)
		netif_tx_wake_queue(&dev->txq[i]);
}

/* The link watch takes a reference for later: there is no later any more. */
static void set_carrier(struct net_device *dev, bool on)
{
	if (dev->reg_state == NETREG_UNREGISTERED && dev->carrier != on)
		SHIM_BUG("the carrier changes after unregister_netdev()");
	dev->carrier = on;
}

void netif_carrier_on(struct net_device *dev)
{
	set_carrier(dev, true);
}

void netif_carrier_off(struct net_device *dev)
{
	set_carrier(dev, false);
}

#ifdef COMPAT_HAVE_NETIF_SET_REAL_NUM_QUEUES
int netif_set_real_num_tx_queues(struct net_device *dev, unsigned int n)
{
	unsigned int i;

	BUG_ON(!n || n > dev->num_tx_queues);
	BUG_ON(dev->reg_state == NETREG_REGISTERED && !rtnl.locked);
	dev->real_num_tx_queues = n;
	for (i = n; i < dev->num_tx_queues; i++)
		dev->txq[i].xps.bits = 0;
	return 0;
}

int netif_set_real_num_rx_queues(struct net_device *dev, unsigned int n)
{
	BUG_ON(!n || n > dev->num_tx_queues);
	BUG_ON(dev->reg_state == NETREG_REGISTERED && !rtnl.locked);
	dev->real_num_rx_queues = n;
	return 0;
}
#else
void netif_set_real_num_tx_queues(struct net_device *dev, unsigned int n)
{
	BUG_ON(!n || n > dev->num_tx_queues);
	BUG_ON(dev->reg_state != NETREG_REGISTERED || !rtnl.locked);
	dev->real_num_tx_queues = n;
}
#endif

#ifdef COMPAT_HAVE_NETIF_SET_XPS_QUEUE
int netif_set_xps_queue(struct net_device *dev, const struct cpumask *mask,
			u16 index)
{
	might_sleep();
	BUG_ON(index >= dev->num_tx_queues);
	dev->txq[index].xps = *mask;
	return 0;
}
#endif

#ifdef COMPAT_HAVE_NETDEV_NOTIFY_PEERS
void netdev_notify_peers(struct net_device *dev)
#else
void netif_notify_peers(struct net_device *dev)
#endif
{
	/* It takes the rtnl lock. */
	mutex_lock(&rtnl);
	dev->notified++;
	mutex_unlock(&rtnl);
}

void shim_addr_lock(struct net_device *dev)
{
	if (shim_before_addr_lock)
		shim_before_addr_lock(dev);
	spin_lock_bh(&dev->addr_lock);
}

/* etherdevice.h */

bool is_multicast_ether_addr(const u8 *addr)
{
	return addr[0] & 1;
}

bool is_valid_ether_addr(const u8 *addr)
{
	static const u8 zero[ETH_ALEN];

	return !(addr[0] & 1) && memcmp(addr, zero, ETH_ALEN);
}

int eth_validate_addr(struct net_device *dev)
{
	return is_valid_ether_addr(dev->dev_addr) ? 0 : -EADDRNOTAVAIL;
}

__be16 eth_type_trans(struct sk_buff *skb, struct net_device *dev)
{
	__be16 proto;

	BUG_ON(skb_headlen(skb) < ETH_HLEN);
	memcpy(&proto, skb->data + 12, sizeof(proto));
	skb->dev = dev;
	skb->data += ETH_HLEN;
	skb->len -= ETH_HLEN;
	return ntohs(proto) < 1536 ? htons(ETH_P_802_2) : proto;
}

#ifdef COMPAT_HAVE_ETH_HW_ADDR_SET
void eth_hw_addr_set(struct net_device *dev, const u8 *addr)
{
	memcpy(dev->dev_addr, addr, ETH_ALEN);
}
#endif

void random_ether_addr(u8 *addr)
{
	static const u8 mac[ETH_ALEN] = { 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee };

	memcpy(addr, mac, ETH_ALEN);
}

/* ethtool.h */

u32 ethtool_op_get_link(struct net_device *dev)
{
	return dev->carrier;
}

#ifdef COMPAT_HAVE_ETHTOOL_CHANNELS_EXT
void set_ethtool_ops_ext(struct net_device *dev,
			 const struct ethtool_ops_ext *ops)
{
	BUG_ON(ops->size != sizeof(*ops));
	dev->ethtool_ops_ext = ops;
}
#endif

#ifndef COMPAT_HAVE_NETDEV_HW_FEATURES
static int switch_feature(struct net_device *dev, unsigned long feature, u32 on)
{
	if (on)
		dev->features |= feature;
	else
		dev->features &= ~feature;
	return 0;
}

u32 ethtool_op_get_tx_csum(struct net_device *dev)
{
	return !!(dev->features & NETIF_F_HW_CSUM);
}

int ethtool_op_set_tx_hw_csum(struct net_device *dev, u32 on)
{
	return switch_feature(dev, NETIF_F_HW_CSUM, on);
}

u32 ethtool_op_get_sg(struct net_device *dev)
{
	return !!(dev->features & NETIF_F_SG);
}

int ethtool_op_set_sg(struct net_device *dev, u32 on)
{
	return switch_feature(dev, NETIF_F_SG, on);
}

u32 ethtool_op_get_tso(struct net_device *dev)
{
	return !!(dev->features & NETIF_F_TSO);
}

u32 ethtool_op_get_ufo(struct net_device *dev)
{
	return !!(dev->features & NETIF_F_UFO);
}

u32 ethtool_op_get_flags(struct net_device *dev)
{
	return 0;
}
#endif

/* What an administrator does */

struct net_device *shim_netdev(unsigned int n)
{
	struct net_device *dev;

	list_for_each_entry(dev, &netdevs, list)
		if (!n--)
			return dev;
	return NULL;
}

int shim_net_open(struct net_device *dev)
{
	int err = 0;

	mutex_lock(&rtnl);
	if (dev->detached) {
		err = -ENODEV;
	} else if (!(dev->flags & IFF_UP)) {
		err = dev->netdev_ops->ndo_validate_addr(dev);
		if (!err) {
			dev->flags |= IFF_UP;
			err = dev->netdev_ops->ndo_open(dev);
		}
		if (err)
			dev->flags &= ~IFF_UP;
		else
			dev->netdev_ops->ndo_set_rx_mode(dev);
	}
	mutex_unlock(&rtnl);
	return err;
}

void shim_net_close(struct net_device *dev)
{
	mutex_lock(&rtnl);
	close_netdev(dev);
	mutex_unlock(&rtnl);
}

int shim_net_mtu(struct net_device *dev, int mtu)
{
	int err = 0;

	mutex_lock(&rtnl);
#ifdef COMPAT_HAVE_NETDEV_MTU_RANGE
	if (mtu < (int)dev->min_mtu || mtu > (int)dev->max_mtu)
		err = -EINVAL;
#endif
	if (!err)
		err = dev->netdev_ops->ndo_change_mtu(dev, mtu);
	mutex_unlock(&rtnl);
	return err;
}

int shim_net_mac(struct net_device *dev, const u8 *mac)
{
	struct sockaddr addr;
	int err;

	memset(&addr, 0, sizeof(addr));
	memcpy(addr.sa_data, mac, ETH_ALEN);
	mutex_lock(&rtnl);
	err = dev->netdev_ops->ndo_set_mac_address(dev, &addr);
	mutex_unlock(&rtnl);
	return err;
}

/* Under the address lock, as the kernel calls it. */
static void rx_mode_changed(struct net_device *dev)
{
	if (dev->flags & IFF_UP && !dev->detached)
		dev->netdev_ops->ndo_set_rx_mode(dev);
}

void shim_net_flags(struct net_device *dev, unsigned int flags)
{
	spin_lock_bh(&dev->addr_lock);
	dev->flags = (dev->flags & IFF_UP) | flags;
	rx_mode_changed(dev);
	spin_unlock_bh(&dev->addr_lock);
}

#define CHANGE_LIST(type, list, count, field, address, add) do {	\
	struct type **_p = &(list), *_old;				\
	while (*_p && memcmp((*_p)->field, address, ETH_ALEN))		\
		_p = &(*_p)->next;					\
	if (add) {							\
		BUG_ON(*_p);						\
		*_p = calloc(1, sizeof(**_p));				\
		memcpy((*_p)->field, address, ETH_ALEN);		\
		(count)++;						\
	} else if (*_p) {						\
		_old = *_p;						\
		*_p = _old->next;					\
		free(_old);						\
		(count)--;						\
	}								\
} while (0)

void shim_net_addr(struct net_device *dev, bool multicast, const u8 *addr,
		   bool add)
{
	spin_lock_bh(&dev->addr_lock);
	if (!multicast)
		CHANGE_LIST(netdev_hw_addr, dev->uc.list, dev->uc.count, addr,
			    addr, add);
	else
#ifdef COMPAT_HAVE_NETDEV_MC_LIST
		CHANGE_LIST(netdev_hw_addr, dev->mc.list, dev->mc.count, addr,
			    addr, add);
#else
		CHANGE_LIST(dev_addr_list, dev->mc_list, dev->mc_count, da_addr,
			    addr, add);
#endif
	rx_mode_changed(dev);
	spin_unlock_bh(&dev->addr_lock);
}

int shim_net_vlan(struct net_device *dev, u16 vid, bool add)
{
	const struct net_device_ops *ops = dev->netdev_ops;
	int err = 0;

	mutex_lock(&rtnl);
#ifdef COMPAT_HAVE_NDO_VLAN_PROTO
	if (dev->features & NETIF_F_HW_VLAN_CTAG_FILTER)
		err = add ? ops->ndo_vlan_rx_add_vid(dev, htons(ETH_P_8021Q), vid) :
			    ops->ndo_vlan_rx_kill_vid(dev, htons(ETH_P_8021Q), vid);
#else
	if (dev->features & NETIF_F_HW_VLAN_FILTER) {
		if (add)
			ops->ndo_vlan_rx_add_vid(dev, vid);
		else
			ops->ndo_vlan_rx_kill_vid(dev, vid);
	}
#endif
	mutex_unlock(&rtnl);
	return err;
}

#ifdef COMPAT_HAVE_NETDEV_OPS_EXT_STATS64
void set_netdev_ops_ext(struct net_device *dev,
			const struct net_device_ops_ext *ops)
{
	BUG_ON(ops->size != sizeof(*ops));
	dev->netdev_ops_ext = ops;
}
#endif

#ifndef COMPAT_HAVE_NDO_GET_STATS64_VOID
static void old_stats(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	const struct net_device_stats *s = dev->netdev_ops->ndo_get_stats(dev);

	stats->rx_packets = s->rx_packets;
	stats->tx_packets = s->tx_packets;
	stats->rx_bytes = s->rx_bytes;
	stats->tx_bytes = s->tx_bytes;
	stats->rx_errors = s->rx_errors;
	stats->tx_errors = s->tx_errors;
	stats->rx_dropped = s->rx_dropped;
	stats->tx_dropped = s->tx_dropped;
	stats->multicast = s->multicast;
	stats->rx_length_errors = s->rx_length_errors;
	stats->rx_frame_errors = s->rx_frame_errors;
}
#endif

void shim_net_stats(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	memset(stats, 0, sizeof(*stats));
#ifdef COMPAT_HAVE_NDO_GET_STATS64_VOID
	dev->netdev_ops->ndo_get_stats64(dev, stats);
#else
#ifdef COMPAT_HAVE_NETDEV_OPS_EXT_STATS64
	if (dev->netdev_ops_ext) {
		BUG_ON(dev->netdev_ops_ext->ndo_get_stats64(dev, stats) != stats);
		return;
	}
#endif
	old_stats(dev, stats);
#endif
}

/* As ethtool -S: a count, names and values, all of one moment. */
u64 shim_net_counter(struct net_device *dev, const char *name)
{
	const struct ethtool_ops *ops = dev->ethtool_ops;
	struct ethtool_stats stats;
	int n, i, found = -1;
	u64 *values, v;
	char *names;

	mutex_lock(&rtnl);
	n = ops->get_sset_count(dev, ETH_SS_STATS);
	BUG_ON(n < 0);
	names = malloc(n * ETH_GSTRING_LEN);
	memset(names, 0xa5, n * ETH_GSTRING_LEN);
	values = malloc(n * sizeof(*values));
	memset(values, 0xa5, n * sizeof(*values));
	stats.n_stats = n;
	ops->get_strings(dev, ETH_SS_STATS, (u8 *)names);
	ops->get_ethtool_stats(dev, &stats, values);
	for (i = 0; i < n; i++) {
		BUG_ON(!memchr(names + i * ETH_GSTRING_LEN, 0, ETH_GSTRING_LEN));
		BUG_ON(values[i] == 0xa5a5a5a5a5a5a5a5ULL);
		if (!strcmp(names + i * ETH_GSTRING_LEN, name)) {
			BUG_ON(found >= 0);
			found = i;
		}
	}
	if (found < 0)
		SHIM_BUG("there is no counter %s", name);
	v = values[found];
	free(names);
	free(values);
	mutex_unlock(&rtnl);
	return v;
}

#if defined(COMPAT_HAVE_ETHTOOL_CHANNELS) || defined(COMPAT_HAVE_ETHTOOL_CHANNELS_EXT)
int shim_net_channels(struct net_device *dev, struct ethtool_channels *channels,
		      bool set)
{
#ifdef COMPAT_HAVE_ETHTOOL_CHANNELS
	const struct ethtool_ops *ops = dev->ethtool_ops;
#else
	const struct ethtool_ops_ext *ops = dev->ethtool_ops_ext;
#endif
	int err = 0;

	mutex_lock(&rtnl);
	if (set)
		err = ops->set_channels(dev, channels);
	else
		ops->get_channels(dev, channels);
	mutex_unlock(&rtnl);
	return err;
}
#endif

void shim_net_speed(struct net_device *dev, u32 *speed, u8 *duplex)
{
#ifdef COMPAT_HAVE_ETHTOOL_LINK_KSETTINGS
	struct ethtool_link_ksettings settings;

	memset(&settings, 0, sizeof(settings));
	BUG_ON(dev->ethtool_ops->get_link_ksettings(dev, &settings));
	*speed = settings.base.speed;
	*duplex = settings.base.duplex;
#else
	struct ethtool_cmd cmd;

	memset(&cmd, 0, sizeof(cmd));
	BUG_ON(dev->ethtool_ops->get_settings(dev, &cmd));
	*speed = cmd.speed;
	*duplex = cmd.duplex;
#endif
}

#ifdef COMPAT_HAVE_NETDEV_HW_FEATURES
static int set_features(struct net_device *dev, netdev_features_t feature,
			bool on)
{
	netdev_features_t features = dev->features & ~feature;
	int err;

	if (!(dev->hw_features & feature))
		return -EOPNOTSUPP;
	if (on)
		features |= feature;
	if (features == dev->features)
		return 0;
	mutex_lock(&rtnl);
	err = dev->netdev_ops->ndo_set_features(dev, features);
	if (!err)
		dev->features = features;
	mutex_unlock(&rtnl);
	return err;
}

int shim_net_rx_csum(struct net_device *dev, bool on)
{
	return set_features(dev, NETIF_F_RXCSUM, on);
}

int shim_net_gro_hw(struct net_device *dev, bool on)
{
	return set_features(dev, NETIF_F_GRO_HW, on);
}
#else
int shim_net_rx_csum(struct net_device *dev, bool on)
{
	int err;

	mutex_lock(&rtnl);
	err = dev->ethtool_ops->set_rx_csum(dev, on);
	mutex_unlock(&rtnl);
	return err;
}

int shim_net_gro_hw(struct net_device *dev, bool on)
{
	return -EOPNOTSUPP;
}
#endif
