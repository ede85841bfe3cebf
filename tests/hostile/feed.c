// SPDX-License-Identifier: GPL-2.0
#include "feed.h"

const u8 *feed;
size_t feed_left;

u32 feed_bytes(unsigned int n)
{
	u32 v = 0;

	for (; n && feed_left; n--, feed_left--)
		v = v << 8 | *feed++;
	return v;
}

u32 feed_number(void)
{
	static const u32 edges[] = {
		0, 1, 2, 3, 4, 0x7f, 0x80, 0xff, 0x100, 511, 512, 4095, 4096,
		0x7fff, 0x8000, 0xfffe, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
		0xfffffffe, 0xffffffff,
	};
	u8 how = feed_u8();

	if (how < ARRAY_SIZE(edges))
		return edges[how];
	if (how < 128)
		return how - ARRAY_SIZE(edges);
	return how < 160 ? feed_u8() : how < 200 ? feed_u16() : feed_u32();
}

static bool lie_config, lie_status, legacy;

static u32 lie(struct fn *fn, int bar, u64 offset, unsigned int width, u32 v)
{
	u64 at = offset;

	if (bar < 0 || !feed_left)
		return v;
	if (lie_config && fn_is_config(fn, bar, &at)) {
		if (feed_u8() & 1)
			v = feed_number();
		if (feed_u8() & 1)
			fn->generation++;
	}
	at = bar == FN_BAR ? FN_COMMON + 20 : VIRTIO_PCI_LEGACY_STATUS;
	if (lie_status && offset == at && feed_u8() < 16)
		v |= feed_number();
	return v;
}

void feed_function(struct fn *fn, u8 what)
{
	if (what & 2)
		fn->features ^= feed_u32() & 0xffffff;
	if (what & 4)
		fn->features ^= (u64)feed_u8() << 28;
	if (what & 8)
		fn->features |= 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	fn->features |= 1ULL << VIRTIO_F_VERSION_1;
	lie_config = what & 16;
	lie_status = what & 32;
	fn->hook = lie;
	if (legacy)
		fn_make_legacy(fn);
}

void feed_push(struct fn *fn, unsigned int queue, u32 id)
{
	/* If it has it, it must not use it: the driver may free the memory. */
	if (!fn->forget(fn, queue, id))
		fn->queue[queue].ring.lied = true;
	ring_push(&fn->queue[queue].ring, id, feed_number());
}

void feed_break(struct fn *fn, u8 how)
{
	if (how & 0x80)
		fn->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	else if (how & 0x40)
		fn->gone = true;
	else
		fn->reset_polls = how & 0x20 ? -1 : 3;
}

void feed_sleep(struct fn *fn, u8 how)
{
	struct virtio_device *vdev = fn_vdev(fn);

	if (!vdev)
		return;
	if (vdev->asleep)
		fn_wake(fn, how % SHIM_SLEEP_KINDS);
	else
		fn_sleep(fn, how % SHIM_SLEEP_KINDS);
}

void feed_shutdown(struct fn *fn)
{
	struct virtio_device *vdev = fn_vdev(fn);

	if (vdev)
		shim_shutdown(&vdev->dev);
}

void feed_rebind(struct fn *fn)
{
	struct virtio_device *vdev = fn_vdev(fn);

	if (!vdev)
		return;
	shim_freeze(false);
	shim_unbind(&vdev->dev);
	shim_bind(&vdev->dev);
}

static void __attribute__((__noreturn__)) on_bug(const char *text)
{
	fprintf(stderr, "FOUND: %s\n", text);
	abort();
}

void feed_start(const u8 *data, size_t size)
{
	feed = data;
	feed_left = size;
	/* Of the end: what is in front of it decides the rest. */
	legacy = size && data[size - 1] & 1;
	shim_on_bug = on_bug;
	shim_log_show = getenv("SHIM_LOG") != NULL;
	shim_phys = SHIM_PHYS;
	shim_start();
}
