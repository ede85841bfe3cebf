// SPDX-License-Identifier: GPL-2.0
/*
 * A network card in software.
 */
#include "nic.h"

#define NIC_BUG_ON(nic, cond)	BUG_ON(!(nic)->fn.lying && (cond))
#define F(bit)			(1ULL << (bit))
#define HDR_LEN			nic_hdr_len(nic)

static struct nic *to_nic(struct fn *fn)
{
	return container_of(fn, struct nic, fn);
}

bool nic_has(const struct nic *nic, unsigned int bit)
{
	return nic->fn.accepted & F(bit);
}

unsigned int nic_hdr_len(const struct nic *nic)
{
	return nic_has(nic, VIRTIO_F_VERSION_1) ||
	       nic_has(nic, VIRTIO_NET_F_MRG_RXBUF) ?
	       sizeof(struct virtio_net_hdr) :
	       offsetof(struct virtio_net_hdr, num_buffers);
}

/* Section 5.1.2: behind the last pair, and that depends on MQ. */
unsigned int nic_ctrl_queue(const struct nic *nic)
{
	unsigned int i = nic->fn.num_queues;

	/* What this device said of its pairs it does not know itself. */
	if (nic->fn.lying) {
		while (--i && !nic->fn.queue[i].enable)
			;
		return i;
	}
	return nic_has(nic, VIRTIO_NET_F_MQ) ?
	       2 * nic->config.max_virtqueue_pairs : 2;
}

static bool nic_is_ctrl(const struct nic *nic, unsigned int queue)
{
	return nic_has(nic, VIRTIO_NET_F_CTRL_VQ) &&
	       queue == nic_ctrl_queue(nic);
}

/* Section 5.1.3.1 */
static void nic_features_ok(struct fn *fn)
{
	static const unsigned int needs[][2] = {
		{ VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_GUEST_UFO, VIRTIO_NET_F_GUEST_CSUM },
		{ VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_CSUM },
		{ VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ },
		{ VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ },
	};
	struct nic *nic = to_nic(fn);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(needs); i++)
		BUG_ON(nic_has(nic, needs[i][0]) && !nic_has(nic, needs[i][1]));
	BUG_ON(nic_has(nic, VIRTIO_NET_F_GUEST_ECN) &&
	       !nic_has(nic, VIRTIO_NET_F_GUEST_TSO4) &&
	       !nic_has(nic, VIRTIO_NET_F_GUEST_TSO6));
	BUG_ON(nic_has(nic, VIRTIO_NET_F_HOST_ECN) &&
	       !nic_has(nic, VIRTIO_NET_F_HOST_TSO4) &&
	       !nic_has(nic, VIRTIO_NET_F_HOST_TSO6));
	nic->offloads = fn->accepted;
}

static void nic_reset(struct fn *fn)
{
	struct nic *nic = to_nic(fn);

	nic->num_held = 0;
	nic->num_silent = 0;
	nic->pairs = 1;
	nic->promisc = false;
	nic->allmulti = false;
	nic->num_uc = 0;
	nic->num_mc = 0;
	memset(nic->vlans, 0, sizeof(nic->vlans));
}

static unsigned int chain_out_len(const struct chain *chain)
{
	unsigned int i, len = 0;

	for (i = 0; i < chain->n; i++)
		if (!chain->seg[i].write)
			len += chain->seg[i].len;
	return len;
}

/* Transmission. Section 5.1.6.2.1: what the header may say. */

static void nic_check_header(const struct nic *nic,
			     const struct virtio_net_hdr *hdr, unsigned int len)
{
	unsigned int end = hdr->csum_start + hdr->csum_offset + 2;
	bool needs_csum = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	unsigned int feature;

	BUG_ON(hdr->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM);
	BUG_ON(hdr->num_buffers);
	BUG_ON(needs_csum && !nic_has(nic, VIRTIO_NET_F_CSUM));
	BUG_ON(needs_csum && (hdr->csum_start < ETH_HLEN || end > len));
	BUG_ON(!needs_csum && (hdr->csum_start || hdr->csum_offset));
	switch (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		BUG_ON(hdr->gso_type || hdr->gso_size);
		return;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		feature = VIRTIO_NET_F_HOST_TSO4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		feature = VIRTIO_NET_F_HOST_TSO6;
		break;
	case VIRTIO_NET_HDR_GSO_UDP:
		feature = VIRTIO_NET_F_HOST_UFO;
		BUG_ON(hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN);
		break;
	default:
		SHIM_BUG("transmit: gso_type %u", hdr->gso_type);
		return;
	}
	BUG_ON(!nic_has(nic, feature) || !needs_csum || !hdr->gso_size);
	BUG_ON(hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN &&
	       !nic_has(nic, VIRTIO_NET_F_HOST_ECN));
	/* At least the headers, of which the checksum is a part. */
	if (hdr->hdr_len < end || hdr->hdr_len > len)
		SHIM_BUG("transmit: hdr_len %u of a packet of %u bytes, checksum ends at %u",
			 hdr->hdr_len, len, end);
}

static void nic_transmit(struct nic *nic, unsigned int queue,
			 const struct chain *chain)
{
	unsigned int len = chain_out_len(chain);
	struct nic_packet *packet;

	BUG_ON(chain->in_len || len < HDR_LEN + ETH_HLEN);
	BUG_ON(len > HDR_LEN + ETH_HLEN + VLAN_HLEN + 65535);
	BUG_ON(fn_wants_layout(&nic->fn) && chain->seg[0].len != HDR_LEN);
	packet = &nic->sent[nic->num_sent % NIC_MAX_SENT];
	free(packet->data);
	packet->queue = queue;
	packet->len = len - HDR_LEN;
	packet->data = malloc(packet->len);
	packet->pushed = chain->seg[0].len > HDR_LEN;
	memset(&packet->hdr, 0, sizeof(packet->hdr));
	chain_copy(chain, 0, &packet->hdr, HDR_LEN, false);
	chain_copy(chain, HDR_LEN, packet->data, packet->len, false);
	nic_check_header(nic, &packet->hdr, packet->len);
	nic->num_sent++;
}

static void nic_signal(struct nic *nic, unsigned int queue)
{
	if (ring_wants_irq(&nic->fn.queue[queue].ring))
		fn_queue_irq(&nic->fn, queue);
}

void nic_release(struct nic *nic, unsigned int max, bool reverse)
{
	unsigned int i, n = min(max, nic->num_held), at;

	for (i = 0; i < n; i++) {
		at = reverse ? nic->num_held - 1 : 0;
		ring_push(&nic->fn.queue[nic->held_queue[at]].ring,
			  nic->held[at], 0);
		nic->num_held--;
		memmove(nic->held + at, nic->held + at + 1,
			(nic->num_held - at) * sizeof(*nic->held));
		memmove(nic->held_queue + at, nic->held_queue + at + 1,
			(nic->num_held - at) * sizeof(*nic->held_queue));
	}
	for (i = 1; i < nic->fn.num_queues; i += 2)
		if (nic->fn.queue[i].enable && !nic_is_ctrl(nic, i))
			nic_signal(nic, i);
}

static void nic_serve_tx(struct nic *nic, unsigned int queue)
{
	struct ring *ring = &nic->fn.queue[queue].ring;
	static struct chain chain;

	/* The pair is in use: section 5.1.6.5.5. */
	while (nic->num_held < NIC_HELD && ring_pop(ring, &chain)) {
		NIC_BUG_ON(nic, queue / 2 >= nic->pairs);
		nic_transmit(nic, queue, &chain);
		nic->held[nic->num_held] = chain.head;
		nic->held_queue[nic->num_held++] = queue;
		ring_want_kick(ring, true);
	}
	if (!nic->hold)
		nic_release(nic, ~0U, false);
}

/* Reception */

static void nic_check_buffer(const struct nic *nic, const struct chain *chain)
{
	u64 large = F(VIRTIO_NET_F_GUEST_TSO4) | F(VIRTIO_NET_F_GUEST_TSO6) |
		    F(VIRTIO_NET_F_GUEST_UFO);
	unsigned int i;

	for (i = 0; i < chain->n; i++)
		BUG_ON(!chain->seg[i].write);
	/* Section 5.1.6.3.1 */
	if (nic_has(nic, VIRTIO_NET_F_MRG_RXBUF))
		BUG_ON(chain->in_len < HDR_LEN);
	else if (fn_wants_layout(&nic->fn) && chain->seg[0].len != HDR_LEN)
		SHIM_BUG("receive: %u bytes in the first descriptor, the header has %u",
			 chain->seg[0].len, HDR_LEN);
	else
		BUG_ON(chain->in_len < (nic->fn.accepted & large ? 65562 : 1526));
}

bool nic_receive(struct nic *nic, unsigned int pair,
		 const struct virtio_net_hdr *hdr, const void *data,
		 unsigned int len)
{
	struct ring *ring = &nic->fn.queue[2 * pair].ring;
	u16 last_avail = ring->last_avail, ids[64];
	unsigned int done = 0, n = 0, i, lens[64];
	static struct chain chain, first;
	struct virtio_net_hdr own = *hdr;
	u8 *packet = malloc(HDR_LEN + len);
	long used_len;

	memcpy(packet, &own, HDR_LEN);
	memcpy(packet + HDR_LEN, data, len);
	len += HDR_LEN;
	while (done < len) {
		if (n == ARRAY_SIZE(ids) || !ring_pop(ring, &chain)) {
			ring->last_avail = last_avail;
			free(packet);
			return false;
		}
		nic_check_buffer(nic, &chain);
		lens[n] = min(len - done, chain.in_len);
		ids[n] = chain.head;
		chain_copy(&chain, 0, packet + done, lens[n], true);
		done += lens[n];
		if (!n++)
			first = chain;
		/* Too long for the buffer: cut off. */
		if (!nic_has(nic, VIRTIO_NET_F_MRG_RXBUF))
			break;
	}
	/* Section 5.1.6.4: 1 where packets are never spread. */
	own.num_buffers = nic->num_buffers < 0 ? n : nic->num_buffers;
	chain_copy(&first, 0, &own, HDR_LEN, true);
	for (i = 0; i < n; i++) {
		used_len = lens[i];
		if (i == n - 1 && nic->used_len >= 0)
			used_len = nic->used_len;
		ring_push(ring, ids[i], used_len);
	}
	ring_want_kick(ring, true);
	nic_signal(nic, 2 * pair);
	free(packet);
	return true;
}

/* The control queue, section 5.1.6.5 */

static bool nic_set_tables(struct nic *nic, const struct nic_command *c)
{
	const u8 *p = c->arg, *end = c->arg + c->len;
	unsigned int t, n = 0;
	u32 entries;

	for (t = 0; t < 2; t++) {
		BUG_ON(end - p < 4);
		memcpy(&entries, p, 4);
		p += 4;
		BUG_ON(entries > 64 || end - p < entries * ETH_ALEN);
		if (t)
			nic->num_mc = entries;
		else
			nic->num_uc = entries;
		for (; entries; entries--, p += ETH_ALEN)
			if (n < ARRAY_SIZE(nic->table))
				memcpy(nic->table[n++], p, ETH_ALEN);
	}
	return p == end;
}

static bool nic_do(struct nic *nic, const struct nic_command *c)
{
	u16 v;

	memcpy(&v, c->arg, sizeof(v));
	switch (c->class << 8 | c->cmd) {
	case VIRTIO_NET_CTRL_RX << 8 | VIRTIO_NET_CTRL_RX_PROMISC:
	case VIRTIO_NET_CTRL_RX << 8 | VIRTIO_NET_CTRL_RX_ALLMULTI:
		NIC_BUG_ON(nic, !nic_has(nic, VIRTIO_NET_F_CTRL_RX));
		BUG_ON(c->len != 1 || c->arg[0] > 1);
		if (c->cmd == VIRTIO_NET_CTRL_RX_PROMISC)
			nic->promisc = c->arg[0];
		else
			nic->allmulti = c->arg[0];
		return true;
	case VIRTIO_NET_CTRL_MAC << 8 | VIRTIO_NET_CTRL_MAC_TABLE_SET:
		NIC_BUG_ON(nic, !nic_has(nic, VIRTIO_NET_F_CTRL_RX));
		return nic_set_tables(nic, c);
	case VIRTIO_NET_CTRL_MAC << 8 | VIRTIO_NET_CTRL_MAC_ADDR_SET:
		NIC_BUG_ON(nic, !nic_has(nic, VIRTIO_NET_F_CTRL_MAC_ADDR));
		BUG_ON(c->len != ETH_ALEN);
		memcpy(nic->mac, c->arg, ETH_ALEN);
		return true;
	case VIRTIO_NET_CTRL_VLAN << 8 | VIRTIO_NET_CTRL_VLAN_ADD:
	case VIRTIO_NET_CTRL_VLAN << 8 | VIRTIO_NET_CTRL_VLAN_DEL:
		NIC_BUG_ON(nic, !nic_has(nic, VIRTIO_NET_F_CTRL_VLAN));
		BUG_ON(c->len != 2 || v >= 4096);
		if (c->cmd == VIRTIO_NET_CTRL_VLAN_ADD)
			set_bit(v, nic->vlans);
		else
			clear_bit(v, nic->vlans);
		return true;
	case VIRTIO_NET_CTRL_ANNOUNCE << 8 | VIRTIO_NET_CTRL_ANNOUNCE_ACK:
		NIC_BUG_ON(nic, !nic_has(nic, VIRTIO_NET_F_GUEST_ANNOUNCE));
		BUG_ON(c->len);
		nic->config.status &= ~VIRTIO_NET_S_ANNOUNCE;
		nic_set_config(nic);
		return true;
	case VIRTIO_NET_CTRL_MQ << 8 | VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET:
		NIC_BUG_ON(nic, !nic_has(nic, VIRTIO_NET_F_MQ));
		BUG_ON(c->len != 2 || !v);
		NIC_BUG_ON(nic, v > nic->config.max_virtqueue_pairs);
		nic->pairs = v;
		return true;
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS << 8 |
	     VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET:
		NIC_BUG_ON(nic, !nic_has(nic, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));
		BUG_ON(c->len != 8);
		memcpy(&nic->offloads, c->arg, 8);
		/* Section 5.1.6.5.6.2: only what was agreed on. */
		NIC_BUG_ON(nic, nic->offloads & ~nic->fn.accepted);
		return true;
	}
	SHIM_BUG("command %u/%u", c->class, c->cmd);
	return false;
}

static void nic_reply(struct nic *nic, struct chain *chain, bool refuse)
{
	struct nic_command *c = &nic->ctrl[nic->num_ctrl++ % NIC_MAX_CTRL];
	unsigned int last = chain->n - 1;
	u8 status = VIRTIO_NET_ERR;

	BUG_ON(chain->n < 2 || chain->in_len != 1 || !chain->seg[last].write);
	BUG_ON(chain_out_len(chain) < 2 ||
	       chain_out_len(chain) > 2 + sizeof(c->arg));
	c->len = chain_out_len(chain) - 2;
	memset(c->arg, 0, sizeof(c->arg));
	chain_copy(chain, 0, &c->class, 1, false);
	chain_copy(chain, 1, &c->cmd, 1, false);
	chain_copy(chain, 2, c->arg, c->len, false);
	if (!refuse && nic_do(nic, c))
		status = VIRTIO_NET_OK;
	*chain->seg[last].p = status;
	ring_push(&nic->fn.queue[nic_ctrl_queue(nic)].ring, chain->head, 1);
	nic_signal(nic, nic_ctrl_queue(nic));
}

static void nic_serve_ctrl(struct nic *nic, unsigned int queue)
{
	struct ring *ring = &nic->fn.queue[queue].ring;
	static struct chain chain;
	bool this_one;

	while (ring_pop(ring, &chain)) {
		ring_want_kick(ring, true);
		this_one = nic->refused_class < 0 ||
			   *chain.seg[0].p == nic->refused_class;
		if (nic->answer == NIC_IS_SILENT && this_one) {
			/* Nobody asks it anything any more after the first. */
			NIC_BUG_ON(nic, nic->num_silent);
			if (nic->num_silent < ARRAY_SIZE(nic->silent))
				nic->silent[nic->num_silent++] = chain;
			continue;
		}
		nic_reply(nic, &chain, nic->answer == NIC_REFUSES && this_one);
	}
}

void nic_answer_late(struct nic *nic)
{
	while (nic->num_silent)
		nic_reply(nic, &nic->silent[--nic->num_silent], false);
}

static void nic_serve(struct fn *fn, unsigned int queue)
{
	struct nic *nic = to_nic(fn);

	if (nic_is_ctrl(nic, queue))
		nic_serve_ctrl(nic, queue);
	else if (queue % 2)
		nic_serve_tx(nic, queue);
}

/* What the driver was to get in answer to a command, it has freed, perhaps. */
static bool nic_forget_buffer(struct fn *fn, unsigned int queue, u32 head)
{
	struct nic *nic = to_nic(fn);
	enum nic_answer answer = nic->answer;
	bool had = false, hold = nic->hold;
	unsigned int i;

	nic->hold = true;
	nic->answer = NIC_IS_SILENT;
	nic_serve(fn, queue);
	nic->hold = hold;
	nic->answer = answer;
	if (nic_is_ctrl(nic, queue))
		for (; nic->num_silent; nic->num_silent--)
			had |= nic->silent[nic->num_silent - 1].head == head;
	for (i = 0; i < nic->num_held; i++)
		if (nic->held[i] == head && nic->held_queue[i] == queue) {
			nic->num_held--;
			nic->held[i] = nic->held[nic->num_held];
			nic->held_queue[i] = nic->held_queue[nic->num_held];
			return true;
		}
	return had;
}

void nic_set_config(struct nic *nic)
{
	memcpy(nic->fn.device_config, &nic->config, sizeof(nic->config));
}

void nic_init(struct nic *nic, unsigned int slot)
{
	static const u8 mac[ETH_ALEN] = { 0x52, 0x54, 0, 1, 2, 3 };
	struct fn *fn = &nic->fn;

	memset(nic, 0, sizeof(*nic));
	fn_init(fn, VIRTIO_PCI_MODERN_ID_MIN + VIRTIO_ID_NET, slot);
	fn->pci.subsystem_device = 0x1100;
	fn->serve = nic_serve;
	fn->forget = nic_forget_buffer;
	fn->on_reset = nic_reset;
	fn->on_features = nic_features_ok;
	fn->num_queues = 3;
	fn->features |= F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_GUEST_CSUM) |
			F(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |
			F(VIRTIO_NET_F_MAC) | F(VIRTIO_NET_F_GUEST_TSO4) |
			F(VIRTIO_NET_F_GUEST_TSO6) | F(VIRTIO_NET_F_GUEST_ECN) |
			F(VIRTIO_NET_F_GUEST_UFO) | F(VIRTIO_NET_F_HOST_TSO4) |
			F(VIRTIO_NET_F_HOST_TSO6) | F(VIRTIO_NET_F_HOST_ECN) |
			F(VIRTIO_NET_F_HOST_UFO) | F(VIRTIO_NET_F_MRG_RXBUF) |
			F(VIRTIO_NET_F_STATUS) | F(VIRTIO_NET_F_CTRL_VQ) |
			F(VIRTIO_NET_F_CTRL_RX) | F(VIRTIO_NET_F_CTRL_VLAN) |
			F(VIRTIO_NET_F_GUEST_ANNOUNCE) |
			F(VIRTIO_NET_F_CTRL_MAC_ADDR);
	memcpy(nic->config.mac, mac, ETH_ALEN);
	nic->config.status = VIRTIO_NET_S_LINK_UP;
	nic->config.max_virtqueue_pairs = 1;
	nic->refused_class = -1;
	nic->num_buffers = -1;
	nic->used_len = -1;
	nic->pairs = 1;
	nic_set_config(nic);
}

struct nic *nic_new(unsigned int slot)
{
	struct nic *nic = malloc(sizeof(*nic));

	nic_init(nic, slot);
	return nic;
}

/* What was sent so far. */
void nic_forget(struct nic *nic)
{
	unsigned int i;

	for (i = 0; i < NIC_MAX_SENT; i++) {
		free(nic->sent[i].data);
		nic->sent[i].data = NULL;
	}
	nic->num_sent = 0;
}

void nic_free(struct nic *nic)
{
	nic_forget(nic);
	free(nic->fn.pci.dev.name);
	free(nic);
}
