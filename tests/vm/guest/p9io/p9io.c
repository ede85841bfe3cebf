// SPDX-License-Identifier: GPL-2.0
/*
 * A user of 2.6.32's 9p client where there is no 9p file system to use it, as
 * in RHEL 6. Loading it mounts, and unloading it unmounts:
 *
 *   insmod p9io.ko tag=TAG options=trans=virtio,msize=N uid=UID
 *   echo "write NAME SIZE SEED" > /sys/module/p9io/parameters/run
 *   echo "read NAME SIZE SEED" > …
 *
 * Byte I of a file is (I * 7 + (I >> 8) * 13 + SEED) & 0xff. A command fails
 * with the error of what failed; EILSEQ: these are not the bytes. Several
 * processes may have commands under way.
 */
#include <linux/module.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <net/9p/9p.h>
#include <net/9p/client.h>

#define CHUNK	(256 * 1024)

static char *tag = "";
module_param(tag, charp, 0444);
static char *options = "trans=virtio";
module_param(options, charp, 0444);
static uint uid;		/* whose files they will be, where the host may do that */
module_param(uid, uint, 0444);

static struct p9_client *client;
static struct p9_fid *root;

static u8 pattern(u64 i, u32 seed)
{
	return i * 7 + (i >> 8) * 13 + seed;
}

static int write_file(struct p9_fid *fid, u8 *buf, u64 size, u32 seed)
{
	u64 done = 0;
	u32 n, i;
	int ret;

	while (done < size) {
		n = min_t(u64, size - done, CHUNK);
		for (i = 0; i < n; i++)
			buf[i] = pattern(done + i, seed);
		ret = p9_client_write(fid, buf, NULL, done, n);
		if (ret <= 0)
			return ret ? ret : -EIO;
		done += ret;
	}
	return 0;
}

static int read_file(struct p9_fid *fid, u8 *buf, u64 size, u32 seed)
{
	u64 done = 0;
	u32 i;
	int ret;

	/* Up to its end, and that is where it should be. */
	for (;;) {
		ret = p9_client_read(fid, buf, NULL, done, CHUNK);
		if (ret < 0)
			return ret;
		if (!ret)
			return done == size ? 0 : -EILSEQ;
		for (i = 0; i < ret; i++)
			if (buf[i] != pattern(done + i, seed))
				return -EILSEQ;
		done += ret;
	}
}

static int command(char *name, bool write, u64 size, u32 seed)
{
	struct p9_fid *fid;
	u8 *buf;
	int err;

	buf = kmalloc(CHUNK, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	fid = write ? p9_client_walk(root, 0, NULL, 1) :
		      p9_client_walk(root, 1, &name, 1);
	if (IS_ERR(fid)) {
		err = PTR_ERR(fid);
		goto out;
	}
	if (write)
		err = p9_client_fcreate(fid, name, 0644, P9_OWRITE, NULL);
	else
		err = p9_client_open(fid, P9_OREAD);
	if (!err)
		err = write ? write_file(fid, buf, size, seed) :
			      read_file(fid, buf, size, seed);
	/* Of a connection that is no more, the fid stays with the client. */
	p9_client_clunk(fid);
out:
	kfree(buf);
	return err;
}

static int run(const char *val, struct kernel_param *kp)
{
	char verb[8], name[64];
	u64 size;
	u32 seed;

	if (sscanf(val, "%7s %63s %llu %u", verb, name, &size, &seed) != 4)
		return -EINVAL;
	if (!client)
		return -ENOTCONN;
	return command(name, !strcmp(verb, "write"), size, seed);
}
module_param_call(run, run, NULL, NULL, 0200);

static int __init p9io_init(void)
{
	client = p9_client_create(tag, options);
	if (IS_ERR(client))
		return PTR_ERR(client);
	root = p9_client_attach(client, NULL, "root", uid, "");
	if (!IS_ERR(root))
		return 0;
	p9_client_destroy(client);
	return PTR_ERR(root);
}

static void __exit p9io_exit(void)
{
	p9_client_clunk(root);
	p9_client_destroy(client);
}

module_init(p9io_init);
module_exit(p9io_exit);
MODULE_LICENSE("GPL");
