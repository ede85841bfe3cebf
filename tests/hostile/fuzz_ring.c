// SPDX-License-Identifier: GPL-2.0
/*
 * The ring, with a device that writes whatever it likes into all of the memory
 * that it can reach, at any moment between two calls of the driver.
 */
#include "feed.h"

#define MAX_TOKENS	4096

static struct device parent = { .name = "parent" };
static struct virtio_device vdev;
static struct virtqueue *vq;
static struct ring ring;
static u8 mem[64][64];

/* Buffers that the driver has handed over and not got back. */
static u8 held[MAX_TOKENS];
static unsigned int next_token, num_held;

static bool notify(struct virtqueue *q)
{
	return true;
}

static void callback(struct virtqueue *q)
{
}

static const char *bus_name(struct virtio_device *dev)
{
	return "0000:00:05.0";
}

static const struct virtio_config_ops config_ops = { .bus_name = bus_name };

static bool make(void)
{
	struct vring_layout layout = { .align = 4 };
	struct virtqueue_info info = { .name = "q" };
	u8 features = feed_u8();

	layout.max_num = 1 << feed_u8() % 9;
	layout.weak_barriers = features & 1;
	info.callback = features & 2 ? callback : NULL;
	info.max_sgs = feed_u8() % 40;

	memset(&vdev, 0, sizeof(vdev));
	vdev.dev.parent = &parent;
	vdev.dev.name = "virtio0";
	vdev.config = &config_ops;
	vdev.features = 1ULL << VIRTIO_F_VERSION_1;
	if (features & 4)
		vdev.features |= 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	if (features & 8)
		vdev.features |= 1ULL << VIRTIO_RING_F_EVENT_IDX;
	if (features & 16)
		vdev.features |= 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	spin_lock_init(&vdev.fail_lock);
	INIT_LIST_HEAD(&vdev.vqs);

	shim_fail_nth(feed_u8() % 16, FAIL_ALLOC | FAIL_PAGES | FAIL_COHERENT);
	vq = vring_create_virtqueue(&vdev, &layout, &info, notify);
	shim_fail_nth(0, 0);
	if (!vq)
		return false;
	memset(&ring, 0, sizeof(ring));
	ring.num = virtqueue_get_vring_size(vq);
	ring.desc = virtqueue_desc_addr(vq);
	ring.avail = virtqueue_avail_addr(vq);
	ring.used = virtqueue_used_addr(vq);
	ring.dma = features & 16;
	memset(held, 0, sizeof(held));
	next_token = num_held = 0;
	return true;
}

static void add(void)
{
	struct scatterlist sg[64], *sgs[64];
	unsigned int out = feed_u8() % 24, in = feed_u8() % 24, i;
	int err;

	if (!out && !in)
		in = 1;
	if (out + in > ring.num || next_token == MAX_TOKENS)
		return;
	sg_init_table(sg, 64);
	for (i = 0; i < out + in; i++) {
		sg_set_buf(&sg[i], mem[i], 1 + i);
		sg[i].last = true;
		sgs[i] = &sg[i];
	}
	shim_fail_nth(feed_u8() % 64, FAIL_MAP);
	err = virtqueue_add_sgs(vq, sgs, out, in, &held[next_token]);
	shim_fail_nth(0, 0);
	if (err) {
		BUG_ON(err != -ENOSPC && err != -EIO && err != -ENOMEM);
		BUG_ON(err == -EIO && !virtqueue_is_broken(vq));
		return;
	}
	held[next_token++] = 1;
	num_held++;
}

/* What comes back was handed over, and comes back once. */
static void came_back(void *data)
{
	u8 *token = data;

	BUG_ON(token < held || token >= held + next_token || !*token);
	*token = 0;
	num_held--;
}

static void get(void)
{
	unsigned int len = 0;
	bool overrun;
	void *data;

	data = virtqueue_get_buf_check(vq, &len, &overrun);
	if (!data)
		return;
	came_back(data);
	/* Never more than the buffers hold. */
	BUG_ON(len > 48 * 49 / 2);
}

/* The device lies. */
static void lie(void)
{
	struct vring_avail *avail = ring_avail(&ring);
	struct vring_used *used = ring_used(&ring);
	u16 mask = ring.num - 1;
	u8 *bytes;

	switch (feed_u8() % 10) {
	case 0:		/* an honest answer, for once */
	case 1:
	case 2:
		used->ring[used->idx & mask].id =
			avail->ring[(u16)(avail->idx - 1 - feed_u8() % 8) & mask];
		used->ring[used->idx & mask].len = feed_u8() % 8;
		used->idx++;
		break;
	case 3:
		used->ring[used->idx & mask].id = feed_number();
		used->ring[used->idx & mask].len = feed_number();
		used->idx++;
		break;
	case 4:
		used->idx += feed_u8() % (ring.num + 2);
		break;
	case 5:
		used->idx = feed_number();
		break;
	case 6:
		used->flags = feed_number();
		break;
	case 7:		/* avail_event */
		*(u16 *)&used->ring[ring.num] = feed_number();
		break;
	case 8:		/* the descriptors, the tables, the driver's ring */
		bytes = ring_ptr(&ring, ring.desc, 16 * ring.num, false);
		bytes[feed_u16() % (16 * ring.num)] = feed_u8();
		bytes[feed_u16() % (16 * ring.num)] = feed_u8();
		break;
	case 9:
		bytes = (u8 *)avail;
		bytes[feed_u16() % (6 + 2 * ring.num)] = feed_u8();
		break;
	}
}

static void step(void)
{
	static unsigned int where;

	switch (feed_u8() % 16) {
	case 0 ... 3:
		add();
		break;
	case 4 ... 6:
		get();
		break;
	case 7:
		virtqueue_kick(vq);
		break;
	case 8:
		virtqueue_disable_cb(vq);
		break;
	case 9:
		virtqueue_enable_cb(vq);
		break;
	case 10:
		virtqueue_enable_cb_delayed(vq);
		break;
	case 11:
		where = virtqueue_enable_cb_prepare(vq);
		break;
	case 12:
		virtqueue_poll(vq, where);
		vring_interrupt(vq);
		break;
	default:
		lie();
	}
	BUG_ON(vq->num_free > ring.num);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	void *token;

	feed_start(data, size);
	if (make()) {
		while (feed_left)
			step();
		/* The driver resets it, and gets back all that is left. */
		while ((token = virtqueue_detach_unused_buf(vq)))
			came_back(token);
		BUG_ON(num_held);
		BUG_ON(vq->num_free != ring.num);
		vring_del_virtqueue(vq);
	}
	shim_finish();
	return 0;
}
