/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A network card behind a virtio PCI function, virtio 1.2 section 5.1.
 */
#ifndef _SHIM_NIC_H
#define _SHIM_NIC_H

#include "device.h"
#include <linux/virtio_net.h>

#define NIC_MAX_SENT	1024
#define NIC_MAX_CTRL	128
#define NIC_HELD	1024

struct nic_packet {
	struct virtio_net_hdr hdr;
	unsigned int queue, len;
	bool pushed;	/* the header is in front of the packet, in its memory */
	u8 *data;
};

struct nic_command {
	u8 class, cmd;
	unsigned int len;
	u8 arg[256];
};

/* What becomes of a command. */
enum nic_answer { NIC_ANSWERS, NIC_REFUSES, NIC_IS_SILENT };

/**
 * struct nic - a network card
 * @config:	what the driver reads; nic_set_config() after a change
 * @hold:	packets are taken, and not returned
 * @answer:	what becomes of commands
 * @refused_class: of that class alone; -1: of any
 * @sent:	what was transmitted, in its order
 * @ctrl:	commands that were given
 * @promisc:	what those were about, and what follows
 * @pairs:	in use
 * @num_buffers: what receive headers say; -1: the truth
 * @used_len:	what the used ring says of a packet's last buffer; -1: the truth
 * @silent:	commands that were not answered
 */
struct nic {
	struct fn fn;
	struct virtio_net_config config;
	bool hold;
	enum nic_answer answer;
	int refused_class;

	struct nic_packet sent[NIC_MAX_SENT];
	unsigned int num_sent;
	struct nic_command ctrl[NIC_MAX_CTRL];
	unsigned int num_ctrl;

	bool promisc, allmulti;
	unsigned int num_uc, num_mc;
	u8 table[64][ETH_ALEN];
	unsigned long vlans[4096 / 64];
	unsigned int pairs;
	u64 offloads;
	u8 mac[ETH_ALEN];

	long num_buffers, used_len;
	u16 held[NIC_HELD], held_queue[NIC_HELD];
	unsigned int num_held;
	struct chain silent[4];
	unsigned int num_silent;
};

struct nic *nic_new(unsigned int slot);
void nic_init(struct nic *nic, unsigned int slot);
void nic_free(struct nic *nic);
void nic_forget(struct nic *nic);
void nic_set_config(struct nic *nic);
/* Whether both sides agreed on a feature. */
bool nic_has(const struct nic *nic, unsigned int bit);
/* Bytes in front of each packet. */
unsigned int nic_hdr_len(const struct nic *nic);
unsigned int nic_ctrl_queue(const struct nic *nic);
/* A packet comes in. False if there are not enough buffers: it is lost. */
bool nic_receive(struct nic *nic, unsigned int pair,
		 const struct virtio_net_hdr *hdr, const void *data,
		 unsigned int len);
/* Returns what was held, the last ones first if @reverse. */
void nic_release(struct nic *nic, unsigned int max, bool reverse);
/* Answers what was not answered. */
void nic_answer_late(struct nic *nic);

#endif /* _SHIM_NIC_H */
