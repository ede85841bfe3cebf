/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The other side: a virtio device in software. The device end of a split ring,
 * a PCI function as QEMU lays it out, and a small disk behind it. It holds the
 * driver to the specification: what a driver must not do ends the test.
 */
#ifndef _SHIM_DEVICE_H
#define _SHIM_DEVICE_H

#include <shim/shim.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#define RING_MAX_SEGS	300

/**
 * struct ring - the device end of a queue
 * @num:	descriptors
 * @desc:	where the driver put them; likewise @avail and @used
 * @dma:	addresses are bus addresses
 * @event:	event indices are in use
 * @last_avail:	next to pop
 * @used_idx:	next to push
 * @signalled:	@used_idx when it last interrupted
 * @lying:	this device is in no position to complain about its driver
 * @lied:	it has returned what it did not have. If the driver makes that
 *		available before it looks, it takes it for returned at once: so
 *		until a reset the device takes nothing more
 */
struct ring {
	unsigned int num;
	u64 desc, avail, used;
	bool dma, event, indirect;
	bool lying, lied;
	u16 last_avail, used_idx, signalled;
};

/* A chain as the device sees it. */
struct chain {
	u16 head;
	unsigned int n;
	bool indirect;
	u32 in_len;
	struct {
		u8 *p;
		u32 len;
		bool write;
	} seg[RING_MAX_SEGS];
};

/* Copies out of a chain, or into it, from @off on. */
void chain_copy(const struct chain *chain, unsigned int off, void *buf,
		unsigned int len, bool in);

/* NULL where the driver granted nothing. */
void *ring_ptr(const struct ring *ring, u64 addr, size_t len, bool write);
struct vring_avail *ring_avail(const struct ring *ring);
struct vring_used *ring_used(const struct ring *ring);
bool ring_pop(struct ring *ring, struct chain *chain);
/* Looks again at one that was popped, and is in the driver's account still. */
void ring_walk(const struct ring *ring, struct chain *chain);
void ring_push(struct ring *ring, u32 id, u32 len);
/* The driver wants to hear of what was pushed since the last call. */
bool ring_wants_irq(struct ring *ring);
/* Ask to be notified of the next buffer, or not. */
void ring_want_kick(struct ring *ring, bool want);
/* What the driver wrote for us to see. */
u16 ring_used_event(const struct ring *ring);

#define FN_MAX_QUEUES	20
#define FN_BAR		4
#define FN_COMMON	0x0000
#define FN_ISR		0x1000
#define FN_DEVICE	0x2000
#define FN_NOTIFY	0x3000
#define FN_BAR_LEN	0x4000
#define FN_PORTS_BAR	0
#define FN_PORTS_LEN	0x80

struct fn_queue {
	u16 max, size, vector, enable, notify_off;
	u64 desc, avail, used;
	u32 pfn;		/* on the legacy interface */
	bool high[3], low[3];	/* halves of the addresses that were written */
	struct ring ring;
	unsigned int kicks;
};

/**
 * struct fn - a virtio PCI function
 * @config:	PCI config space
 * @multiplier:	notify_off_multiplier
 * @features:	what it offers; @accepted: what the driver took
 * @refuse:	features that it does not do without FEATURES_OK failing
 * @statuses:	every value that was written to device_status
 * @reset_polls: how often status reads the old value after a reset; -1: always
 * @has_ports:	it has the legacy interface; @by_ports: the driver is using it
 * @no_config_vector: answers NO_VECTOR; @no_queue_vector: from that queue on
 * @gone:	pulled out: all ones
 * @lying:	as in struct ring
 * @hook:	may change what is read (may be NULL); @bar is -1 for the config
 *		space
 * @serve:	the device processes a queue (may be NULL)
 * @forget:	it takes what the driver has given it, and forgets the buffer
 *		@head, which is the driver's again: false if it does not have
 *		that (may be NULL)
 * @on_reset:	it was reset; @on_features: FEATURES_OK was set (may be NULL)
 */
struct fn {
	struct pci_dev pci;
	u8 config[256];
	unsigned int last_cap;
	u32 multiplier;

	u64 features, accepted, refuse;
	u32 feature_select, guest_select;
	u16 msix_config, num_queues, select;
	u8 status, generation, isr;
	struct fn_queue queue[FN_MAX_QUEUES];
	u8 device_config[64];
	unsigned int device_config_len;

	u8 statuses[64];
	unsigned int num_statuses;
	int reset_polls, polls_left;
	u8 old_status;
	bool has_ports, by_ports;
	bool no_config_vector;
	unsigned int no_queue_vector;
	bool gone, lying;
	unsigned int widths;	/* accesses to device config, a mask of 1, 2, 4 */
	unsigned int irqs;

	u32 (*hook)(struct fn *fn, int bar, u64 offset, unsigned int width,
		    u32 v);
	void (*serve)(struct fn *fn, unsigned int queue);
	bool (*forget)(struct fn *fn, unsigned int queue, u32 head);
	void (*on_reset)(struct fn *fn);
	void (*on_features)(struct fn *fn);
	struct disk *disk;
	struct list_head list;
};

void fn_init(struct fn *fn, unsigned int device_id, unsigned int slot);
void fn_bare(struct fn *fn, unsigned int device_id, unsigned int slot);
unsigned int fn_add_cap(struct fn *fn, u8 id, u8 type, u8 len, u8 bar,
			u32 offset, u32 length);
void fn_add_standard_caps(struct fn *fn);
int fn_plug(struct fn *fn);
void fn_unplug(struct fn *fn);
void fn_unplug_all(void);
/*
 * A sleep begins: what the driver says to it. If it says 0, the device was
 * reset, holds nothing, and has its state no more. And it ends.
 */
int fn_sleep(struct fn *fn, enum shim_sleep kind);
int fn_wake(struct fn *fn, enum shim_sleep kind);
/* Every function that is plugged in serves its queues. */
void fn_serve_all(void);
void fn_queue_irq(struct fn *fn, unsigned int queue);
void fn_config_irq(struct fn *fn);
struct virtio_device *fn_vdev(struct fn *fn);

/* legacy.c: the ports, virtio 1.2 section 4.1.4.10 */
/* What all functions are that are plugged in; FN_AS_MADE: what they are. */
enum fn_face { FN_AS_MADE, FN_LEGACY };
extern enum fn_face fn_face;
void fn_make_transitional(struct fn *fn);
/* Legacy-only: no capability but MSI-X. */
void fn_make_legacy(struct fn *fn);
u32 fn_port_read(struct fn *fn, u64 offset, unsigned int width);
void fn_port_write(struct fn *fn, u64 offset, unsigned int width, u32 v);
/* What both interfaces do. */
/* An access is to the device's config, by one or the other: where in it. */
bool fn_is_config(const struct fn *fn, int bar, u64 *offset);
void fn_set_status(struct fn *fn, u8 status);
u32 fn_config_space_read(struct fn *fn, u64 offset, unsigned int width);
void fn_config_space_write(struct fn *fn, u64 offset, unsigned int width,
			   u32 v);
/* Headers are in descriptors of their own, section 2.7.4.3. */
static inline bool fn_wants_layout(const struct fn *fn)
{
	return !(fn->accepted & (1ULL << VIRTIO_F_VERSION_1 |
				 1ULL << VIRTIO_F_ANY_LAYOUT));
}

/**
 * struct disk - a disk behind a function
 * @data:	its contents
 * @config:	what the driver reads
 * @hold:	requests are taken, and not answered
 * @status:	what requests end with; -1: as it turns out; DISK_NO_STATUS:
 *		the status is not written
 * @used_len:	what the used ring says was written; -1: the truth
 * @reverse:	answers the last request first
 * @log:	types of the requests that were served, in their order
 * @served:	how many
 */
struct disk {
	struct fn fn;
	struct virtio_blk_config config;
	char serial[VIRTIO_BLK_ID_BYTES];
	bool hold;
	int status;
	long used_len;
	bool reverse;
	u32 log[1024];
	unsigned int served, kicks_without_work;
	unsigned int held_queue[256], num_held;

	/* What disk_init() leaves alone: it is large. */
	struct chain held[256];
	u8 data[1 << 20];
};

#define DISK_NO_STATUS	(-2)

void disk_init(struct disk *disk, unsigned int slot);
struct disk *disk_new(unsigned int slot);
void disk_free(struct disk *disk);
/* Answers what was held. */
void disk_release(struct disk *disk);

#endif /* _SHIM_DEVICE_H */
