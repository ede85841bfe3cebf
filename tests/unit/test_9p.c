// SPDX-License-Identifier: GPL-2.0
/*
 * virtio_9p.c on the whole stack: bus, ring and PCI, with a 9p server in
 * software behind it and a 9p client in front, of either shape.
 */
#include "unit.h"
#include "share.h"
#include <shim/p9.h>
#include <net/9p/client.h>
#include <linux/virtio_9p.h>

#define F(bit)		(1ULL << (bit))
#define ADDRESS		"0000:01:00.0"
#define MSIZE		8192
#define MAX_SIZE	(125 * 4096)

static struct share *share;
static struct p9_client *client;
static char page[4097];
static u8 answer[MAX_SIZE], question[MAX_SIZE];

static int p9_setup(void **state)
{
	unsigned int i;

	stack_setup(state);
	for (i = 0; i < sizeof(question); i++)
		question[i] = i * 7 + i / 251;
	shim_killed = false;
	client = NULL;
	share = share_new(1, "host0");
	return 0;
}

static int p9_teardown(void **state)
{
	int ret;

	if (client)
		shim_p9_umount(client);
	ret = stack_teardown(state);
	assert_int_equal(shim_p9_clients, 0);
	share_free(share);
	return ret;
}

static void renew(const char *tag)
{
	share_free(share);
	share = share_new(1, tag);
}

static void plug(void)
{
	assert_int_equal(fn_plug(&share->fn), 0);
}

static void mount_it(void)
{
	int err;

	client = shim_p9_mount("host0", MSIZE, &err);
	assert_int_equal(err, 0);
	assert_non_null(client);
}

static void umount_it(void)
{
	shim_p9_umount(client);
	client = NULL;
}

static int mount_error(const char *tag)
{
	int err;

	assert_null(shim_p9_mount(tag, MSIZE, &err));
	return err;
}

static int rpc(u16 tag, unsigned int len)
{
	return shim_p9_rpc(client, P9_TREAD, tag, question, len, answer,
			   sizeof(answer));
}

/* It works, for all lengths that matter. */
static void works(void)
{
	static const unsigned int lens[] = { 0, 1, 4089, 4096, MSIZE - 7 };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		assert_int_equal(rpc(i, lens[i]), lens[i]);
		for (j = 0; j < lens[i]; j++)
			assert_int_equal(answer[j], question[lens[i] - 1 - j]);
	}
}

static void send(u16 tag)
{
	int err;

	assert_non_null(shim_p9_send(client, P9_TREAD, tag, question, 100,
				     &err));
}

static int receive(u16 tag)
{
	return shim_p9_receive(client, tag, answer, sizeof(answer));
}

static void mount_and_talk(void **state)
{
	struct device *dev;

	plug();
	dev = &fn_vdev(&share->fn)->dev;
	assert_int_equal(dev->kobj.changes, 1);
	/* With its NUL. */
	assert_int_equal(shim_attr_show(dev, "mount_tag", page), 6);
	assert_memory_equal(page, "host0", 6);
	assert_int_equal(shim_attr_mode(dev, "mount_tag"), 0444);
	assert_int_equal(share->fn.accepted & 0xffffff, 1);

	mount_it();
	works();
	umount_it();
	/* Nothing was left behind: it goes on without a reset. */
	share->resets = 0;
	mount_it();
	works();
	umount_it();
	assert_int_equal(share->resets, 0);
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
	fn_unplug(&share->fn);
}

static void names(void **state)
{
	struct share *other = share_new(2, "host0");
	struct share *third = share_new(3, "host");
	struct p9_client *second;
	int err;

	plug();
	assert_int_equal(fn_plug(&third->fn), 0);
	assert_int_equal(mount_error("host1"), -ENOENT);
	assert_one_error("\"host1\"", "no virtio device has this mount tag");
	shim_log_clear();
	assert_int_equal(mount_error("hos"), -ENOENT);
	assert_int_equal(mount_error("host00"), -ENOENT);
	assert_int_equal(mount_error(""), -ENOENT);
	assert_int_equal(mount_error(NULL), -EINVAL);
	shim_log_clear();

	mount_it();
	assert_int_equal(mount_error("host0"), -EBUSY);
	assert_one_error("\"host0\"", "this device is mounted already");
	/* Another one of that name. */
	assert_int_equal(fn_plug(&other->fn), 0);
	second = shim_p9_mount("host0", MSIZE, &err);
	assert_non_null(second);
	share->served = other->served = 0;
	works();
	assert_int_equal(other->served, 0);
	assert_true(share->served > 0);
	assert_int_equal(shim_p9_rpc(second, P9_TREAD, 1, question, 5, answer,
				     5), 5);
	assert_int_equal(other->served, 1);
	shim_p9_umount(second);
	umount_it();
	fn_unplug_all();
	share_free(other);
	share_free(third);
}

static void refused(const char *field)
{
	fn_plug(&share->fn);
	shim_run();
	assert_null(fn_vdev(&share->fn)->dev.driver);
	assert_one_error(ADDRESS, field);
	assert_int_equal(fn_vdev(&share->fn)->dev.kobj.changes, 0);
	fn_unplug(&share->fn);
	shim_log_clear();
	renew("host0");
}

static void bad_tags(void **state)
{
	share_set_tag(share, "", 0);
	refused("tag_len 0 is not from 1 to 4094");
	share_set_tag(share, question, 4095);
	refused("tag_len 4095 is not from 1 to 4094");
	share_set_tag(share, question, 0xffff);
	refused("tag_len 65535 is not from 1 to 4094");
	share_set_tag(share, "ab\0cd", 5);
	refused("tag_len is 5, but the tag ends after 2 bytes");
	share->fn.features &= ~F(VIRTIO_9P_MOUNT_TAG);
	refused("no mount tag");
	share->fn.queue[0].max = share->fn.queue[0].size = 1;
	refused("queue_size 1 has no room for a request");
}

/* The config space ends before the tag does. */
static void tag_beyond_config(void **state)
{
	share_set_tag(share, question, 1000);
	memset(share->fn.device_config + 2, 'a',
	       sizeof(share->fn.device_config) - 2);
	fn_plug(&share->fn);
	assert_null(fn_vdev(&share->fn)->dev.driver);
	assert_non_null(shim_log_find("bytes 64 to 64 are beyond its 64"));
	assert_non_null(shim_log_find("the tag ends after 62 bytes"));
	assert_int_equal(shim_log_count('E'), 2);
	fn_unplug(&share->fn);
}

/* Each thing that may fail, does: no device, and nothing is left. */
static void probe_failures(void **state)
{
	unsigned int n = 0;

	do {
		renew("host0");
		shim_fail_nth(++n, FAIL_ALLOC | FAIL_PAGES | FAIL_COHERENT |
			      FAIL_IRQ | FAIL_DEVICE | FAIL_PCI | FAIL_IOREMAP);
		fn_plug(&share->fn);
		shim_run();
		if (!shim_failed()) {
			shim_fail_nth(0, 0);
			break;
		}
		shim_fail_nth(0, 0);
		fn_unplug(&share->fn);
	} while (n < 200);
	assert_in_range(n, 8, 199);
	mount_it();
	works();
	umount_it();
	fn_unplug(&share->fn);
}

/* What fits: the client's wish, the transport's maximum, the bounce buffer. */
static void message_sizes(void **state)
{
	int err, largest = MAX_SIZE;
	unsigned int platform;

	for (platform = 0; platform < 2; platform++) {
		renew("host0");
		if (platform) {
			share->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
#ifndef COMPAT_HAVE_DMA_MAX_MAPPING_SIZE
			largest = 262144;
#endif
		}
		plug();
		client = shim_p9_mount("host0", 1 << 20, &err);
		assert_int_equal(err, 0);
		/* 2.6.32 has room for a header beside its data. */
		assert_in_range(client->msize, largest - P9_IOHDRSZ, largest);
		assert_int_equal(rpc(1, client->msize - 7), client->msize - 7);
		umount_it();
		assert_int_equal(shim_counts.maps, 0);
		client = shim_p9_mount("host0", 4096, &err);
		assert_int_equal(client->msize, 4096);
		umount_it();
		fn_unplug(&share->fn);
	}
}

/* The queue is full: who comes next waits, until there is room. */
static unsigned int full_idles;

static void make_room(void)
{
	fn_serve_all();
	if (++full_idles == 10)
		share_release(share, 1);
}

static void full_ring(void **state)
{
	unsigned int indirect, depth, i;

	for (indirect = 0; indirect < 2; indirect++) {
		renew("host0");
		if (!indirect)
			share->fn.features &= ~F(VIRTIO_RING_F_INDIRECT_DESC);
		plug();
		mount_it();
		depth = indirect ? 256 : 128;
		share->hold = true;
		full_idles = 0;
		for (i = 0; i < depth; i++)
			send(i);
		assert_int_equal(full_idles, 0);

		shim_idle = make_room;
		send(depth);
		assert_int_equal(full_idles, 10);
		shim_idle = fn_serve_all;
		share->hold = false;
		settle();
		for (i = 0; i <= depth; i++)
			assert_int_equal(receive(i), 100);
		assert_int_equal(shim_log_count('E'), 0);
		umount_it();
		fn_unplug(&share->fn);
	}
}

/* Killed while it waits for room: it alone fails, and nobody else. */
static void kill_it(void)
{
	fn_serve_all();
	if (++full_idles == 5)
		shim_killed = true;
}

static void killed_for_room(void **state)
{
	unsigned int i;

	plug();
	mount_it();
	share->hold = true;
	for (i = 0; i < 256; i++)
		send(i);
	full_idles = 0;
	shim_idle = kill_it;
	send(256);
	shim_killed = false;
	assert_int_equal(receive(256), -EINTR);
	assert_int_equal(client->status, Connected);
	shim_idle = fn_serve_all;
	share->hold = false;
	settle();
	for (i = 0; i < 256; i++)
		assert_int_equal(receive(i), 100);
	works();
	umount_it();
	fn_unplug(&share->fn);
}

static void flushes(void **state)
{
	plug();
	mount_it();
	share->hold = true;
	send(1);
	send(2);
	send(3);
	settle();
	assert_int_equal(shim_p9_give_up(client, 2, 9), 0);
	assert_int_equal(share->flushed, 1);
	/* That is how it is meant to be. */
	assert_int_equal(shim_log_count('E'), 0);
	share->hold = false;
	settle();
	assert_int_equal(receive(1), 100);
	assert_int_equal(receive(3), 100);

	/* It was answered meanwhile: no flush is needed. */
	send(4);
	settle();
	share->served = 0;
	assert_int_equal(shim_p9_give_up(client, 4, 9), 1);
	assert_int_equal(share->served, 0);
	works();
	umount_it();
	fn_unplug(&share->fn);
}

/* One lie, one line, one request that fails; and the next one works. */
static void lie(const char *line, int error)
{
	assert_int_equal(rpc(1, 100), error);
	if (line)
		assert_one_error(ADDRESS, line);
	else
		assert_int_equal(shim_log_count('E'), 0);
	shim_log_clear();
	share->used_len = share->size = share->type = -1;
	share->tag_xor = 0;
	works();
}

static void lies(void **state)
{
	plug();
	mount_it();
	share->used_len = 0;
	lie("host0: an answer of 0 bytes", -EIO);
	share->used_len = 6;
	lie("an answer of 6 bytes", -EIO);
	share->used_len = 106;
	lie("an answer of 106 bytes (size 107,", -EIO);
	share->size = 0;
	lie("an answer of 107 bytes (size 0,", -EIO);
	share->size = 6;
	lie("an answer of 107 bytes (size 6,", -EIO);
	share->size = 0x7fffffff;
	lie("(size 2147483647,", -EIO);
	share->size = 0xffffffff;
	lie("(size 4294967295,", -EIO);
	share->tag_xor = 0x100;
	lie("type 117, tag 257) to a question of type 116, tag 1:", -EIO);
	share->type = 116;
	lie("type 116, tag 1)", -EIO);
	share->type = 119;
	lie("type 119, tag 1)", -EIO);
	/* An error is an answer to everything, if the client knows it. */
	share->type = P9_RERROR;
	lie(NULL, -EREMOTEIO);
	share->type = 7;
#ifdef COMPAT_HAVE_P9_RLERROR
	lie(NULL, -EREMOTEIO);
#else
	lie("type 7, tag 1)", -EIO);
#endif
	/* It says more than the answer is: that harms nobody. */
	share->used_len = MSIZE;
	lie(NULL, 100);
	share->used_len = MSIZE + 1;
	lie("length 8193 exceeds the 8192 bytes", -EIO);
	umount_it();
	fn_unplug(&share->fn);
}

/* The ring has what was never asked: the device is given up. */
static void broken(void **state)
{
	unsigned int how, i;

	for (how = 0; how < 2; how++) {
		renew("host0");
		plug();
		mount_it();
		share->hold = true;
		for (i = 0; i < 10; i++)
			send(i);
		fn_serve_all();
		if (how) {
			share->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
			fn_config_irq(&share->fn);
			assert_one_error(ADDRESS, "asks for a reset");
		} else {
			ring_push(&share->fn.queue[0].ring, 9999, 1);
			fn_queue_irq(&share->fn, 0);
			assert_one_error(ADDRESS, "id 9999 is out of range");
		}
		settle();
		for (i = 0; i < 10; i++)
			assert_int_equal(receive(i), -EIO);
		assert_int_equal(rpc(1, 1), -EIO);
		/* The client knows, and does not ask again. */
		assert_int_equal(client->status, Disconnected);
		umount_it();
		shim_log_clear();
		assert_int_equal(mount_error("host0"), -EIO);
		assert_one_error("\"host0\"", "this device is broken");
		fn_unplug(&share->fn);
		shim_log_clear();
	}
}

/* It breaks while somebody waits for room: that is no room. */
static void break_it(void)
{
	fn_serve_all();
	if (++full_idles == 5) {
		ring_push(&share->fn.queue[0].ring, 9999, 1);
		fn_queue_irq(&share->fn, 0);
	}
}

static void broken_for_room(void **state)
{
	unsigned int i;
	int err;

	plug();
	mount_it();
	share->hold = true;
	for (i = 0; i < 256; i++)
		send(i);
	full_idles = 0;
	shim_idle = break_it;
	assert_null(shim_p9_send(client, P9_TREAD, 256, question, 100, &err));
	assert_int_equal(err, -EIO);
	shim_idle = fn_serve_all;
	for (i = 0; i < 256; i++)
		assert_int_equal(receive(i), -EIO);
	umount_it();
	fn_unplug(&share->fn);
}

/* Removed while it is mounted: politely, or pulled out. */
static void removed(void **state)
{
	unsigned int gone, busy, i;

	for (gone = 0; gone < 2; gone++)
		for (busy = 0; busy < 2; busy++) {
			renew("host0");
			share->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
			plug();
			mount_it();
			share->hold = true;
			for (i = 0; busy && i < 300; i++) {
				if (i == 256)
					break;
				send(i);
			}
			fn_serve_all();
			share->fn.gone = gone;
			fn_unplug(&share->fn);
			assert_int_equal(shim_counts.maps, 0);
			for (i = 0; busy && i < 256; i++)
				assert_int_equal(receive(i), -EIO);
			assert_int_equal(rpc(1, 1), -EIO);
			assert_int_equal(client->status, Disconnected);
			assert_int_equal(rpc(1, 1), -EIO);
			assert_int_equal(mount_error("host0"), -ENOENT);

			/* The next one is none of the old mount's business. */
			renew("host0");
			plug();
			assert_int_equal(rpc(1, 1), -EIO);
			umount_it();
			mount_it();
			works();
			umount_it();
			fn_unplug(&share->fn);
			assert_non_null(shim_log_find("removed while it is mounted"));
		}
}

/* Removed and nobody had it mounted: not a word. */
static void removed_unmounted(void **state)
{
	plug();
	mount_it();
	works();
	umount_it();
	fn_unplug(&share->fn);
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

/*
 * The client leaves, and the device has requests: it is reset, so that it does
 * not write to memory that is somebody else's.
 */
static void left_behind(void **state)
{
	unsigned int i;

	share->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
	plug();
	mount_it();
	share->hold = true;
	for (i = 0; i < 20; i++)
		send(i);
	fn_serve_all();
	share->resets = 0;
	/* Nobody waits for them, and the device says that it has none. */
	share->keep = true;
	for (i = 0; i < 20; i++)
		assert_int_equal(shim_p9_give_up(client, i, 30), 0);
	assert_int_equal(share->num_held, 20);
	umount_it();
	assert_int_equal(share->resets, 1);
	assert_int_equal(shim_counts.maps, 0);
	assert_non_null(shim_log_find("resetting the device, which has 20 requests"));
	share->hold = false;
	mount_it();
	works();
	umount_it();
	assert_int_equal(shim_log_count('E'), 0);

	/* And it does not come back. */
	mount_it();
	share->hold = true;
	send(1);
	fn_serve_all();
	assert_int_equal(shim_p9_give_up(client, 1, 30), 0);
	share->fn.features &= ~F(VIRTIO_9P_MOUNT_TAG);
	umount_it();
	assert_int_equal(shim_counts.maps, 0);
	assert_non_null(shim_log_find("no longer offers the features 0x1"));
	assert_non_null(shim_log_find("it cannot be mounted any more"));
	assert_int_equal(mount_error("host0"), -EIO);
	fn_unplug(&share->fn);
}

/* Mounted, the machine stays awake; otherwise the device works afterwards. */
static void sleeps(void **state)
{
	unsigned int kind;

	plug();
	for (kind = 0; kind < SHIM_SLEEP_KINDS; kind++) {
		mount_it();
		assert_int_equal(fn_sleep(&share->fn, kind), -EBUSY);
		assert_non_null(strstr(shim_log_find("unmount it"), "host0"));
		works();
		umount_it();
		assert_int_equal(fn_sleep(&share->fn, kind), 0);
		assert_int_equal(fn_wake(&share->fn, kind), 0);
		mount_it();
		works();
		umount_it();
	}

	/* Gone meanwhile; and after a shutdown nothing hangs. */
	assert_int_equal(fn_sleep(&share->fn, SHIM_SLEEP_RAM), 0);
	share->fn.gone = true;
	assert_true(fn_wake(&share->fn, SHIM_SLEEP_RAM) < 0);
	settle();
	assert_int_equal(mount_error("host0"), -EIO);
	fn_unplug(&share->fn);
	renew("host0");
	plug();
	mount_it();
	send(1);
	shim_shutdown(&fn_vdev(&share->fn)->dev);
	assert_int_equal(share->fn.status, 0);
	fn_unplug(&share->fn);
	assert_true(receive(1) < 0);
	umount_it();
}

/* Unmounted after a shutdown, with a request that the device had: it stays off. */
static void unmounted_after_shutdown(void **state)
{
	plug();
	mount_it();
	share->hold = true;
	send(1);
	fn_serve_all();
	share->keep = true;
	assert_int_equal(shim_p9_give_up(client, 1, 30), 0);
	shim_shutdown(&fn_vdev(&share->fn)->dev);
	assert_int_equal(share->fn.status, 0);
	umount_it();
	assert_int_equal(share->fn.status, 0);
	fn_unplug(&share->fn);
}

/*
 * 2.6.32's client uses a slot anew as soon as its user has gone, whether or not
 * the device has it. The new request has to wait for the old one.
 */
#ifndef COMPAT_HAVE_P9_REQ_FCALL
static void slot_used_anew(void **state)
{
	plug();
	mount_it();
	share->hold = true;
	send(5);
	fn_serve_all();
	/* A flush that changes nothing: of another tag. */
	client->trans_mod->cancel(client, client->reqs[5]);
	client->reqs[5]->status = REQ_STATUS_IDLE;

	full_idles = 0;
	shim_idle = make_room;
	send(5);
	assert_int_equal(full_idles, 10);
	shim_idle = fn_serve_all;
	assert_int_equal(client->reqs[5]->status, REQ_STATUS_SENT);
	share->hold = false;
	settle();
	assert_int_equal(receive(5), 100);
	assert_int_equal(shim_log_count('E'), 0);
	umount_it();
	fn_unplug(&share->fn);
}
#endif

/* Memory that cannot be mapped is the trouble of one request. */
static void mapping_fails(void **state)
{
	share->fn.features |= F(VIRTIO_F_ACCESS_PLATFORM);
	plug();
	mount_it();
	shim_fail_nth(2, FAIL_MAP);
	assert_int_equal(rpc(1, 10), -ENOMEM);
	assert_true(shim_failed());
	shim_fail_nth(0, 0);
	assert_int_equal(client->status, Connected);
	works();
	umount_it();
	assert_int_equal(shim_counts.maps, 0);
	fn_unplug(&share->fn);
}

#define test(f)	cmocka_unit_test_setup_teardown(f, p9_setup, p9_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test(mount_and_talk), test(names), test(bad_tags),
		test(tag_beyond_config), test(probe_failures),
		test(message_sizes), test(full_ring), test(killed_for_room),
		test(flushes), test(lies), test(broken), test(broken_for_room),
		test(removed), test(removed_unmounted), test(left_behind),
		test(sleeps), test(unmounted_after_shutdown),
#ifndef COMPAT_HAVE_P9_REQ_FCALL
		test(slot_used_anew),
#endif
		test(mapping_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
