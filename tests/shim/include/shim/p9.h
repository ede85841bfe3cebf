/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The 9p client in two shapes: as Linux 6.1 has it, where a request is an
 * object of its own that the transport has a reference to, and as 2.6.32 has
 * it, where it is a slot that is used again and again until the client is gone.
 */
#ifndef _SHIM_P9_H
#define _SHIM_P9_H

#include <shim/base.h>
#include <shim/context.h>
#include <shim/memory.h>
#include <shim/wait.h>

/* asm/unaligned.h */

static inline u16 get_unaligned_le16(const void *p)
{
	const u8 *b = p;

	return b[0] | b[1] << 8;
}

static inline u32 get_unaligned_le32(const void *p)
{
	const u8 *b = p;

	return get_unaligned_le16(b) | (u32)get_unaligned_le16(b + 2) << 16;
}

static inline void put_unaligned_le16(u16 v, void *p)
{
	u8 *b = p;

	b[0] = v;
	b[1] = v >> 8;
}

static inline void put_unaligned_le32(u32 v, void *p)
{
	put_unaligned_le16(v, p);
	put_unaligned_le16(v >> 16, (u8 *)p + 2);
}

/* net/9p/9p.h */

enum p9_msg_t {
#ifdef COMPAT_HAVE_P9_RLERROR
	P9_TLERROR = 6,
	P9_RLERROR,
#endif
	P9_TVERSION = 100,
	P9_RVERSION,
	P9_TERROR = 106,
	P9_RERROR,
	P9_TFLUSH = 108,
	P9_RFLUSH,
	P9_TREAD = 116,
	P9_RREAD,
};

#define P9_NOTAG	0xffff
#define P9_IOHDRSZ	24

struct p9_fcall {
	u32 size;
	u8 id;
	u16 tag;
	size_t offset;
	size_t capacity;
	u8 *sdata;
};

/* net/9p/client.h */

enum p9_trans_status {
	Connected,
#ifdef COMPAT_HAVE_P9_REQ_FCALL
	BeginDisconnect,
#endif
	Disconnected,
	Hung,
};

enum p9_req_status_t {
#ifndef COMPAT_HAVE_P9_REQ_FCALL
	REQ_STATUS_IDLE,
#endif
	REQ_STATUS_ALLOC,
	REQ_STATUS_UNSENT,
	REQ_STATUS_SENT,
#ifndef COMPAT_HAVE_P9_REQ_FCALL
	REQ_STATUS_FLSH,
#endif
	REQ_STATUS_RCVD,
	REQ_STATUS_FLSHD,
	REQ_STATUS_ERROR,
};

struct p9_req_t {
	int status;
	int t_err;
#ifdef COMPAT_HAVE_P9_REQ_FCALL
	int refs;
	wait_queue_head_t wq;
	struct p9_fcall tc, rc;
#else
	wait_queue_head_t *wq;
	struct p9_fcall *tc, *rc;
	void *aux;
#endif
	struct list_head req_list;
};

#define SHIM_P9_TAGS	1024

struct p9_trans_module;
struct p9_client {
	spinlock_t lock;
#ifdef COMPAT_HAVE_P9_REQ_FCALL
	unsigned int msize;
#else
	int msize;
#endif
	struct p9_trans_module *trans_mod;
	enum p9_trans_status status;
	void *trans;

	struct p9_req_t *reqs[SHIM_P9_TAGS + 1];	/* the last is NOTAG's */
	unsigned int called_back;
};

#ifdef COMPAT_HAVE_P9_CLIENT_CB_STATUS
void p9_client_cb(struct p9_client *c, struct p9_req_t *req, int status);
#else
void p9_client_cb(struct p9_client *c, struct p9_req_t *req);
#define smp_wmb()	wmb()
#endif

/* net/9p/transport.h */

struct p9_trans_module {
	struct list_head list;
	char *name;
	int maxsize;
	int def;
	struct module *owner;
	int (*create)(struct p9_client *client, const char *tag, char *args);
	void (*close)(struct p9_client *client);
	int (*request)(struct p9_client *client, struct p9_req_t *req);
	int (*cancel)(struct p9_client *client, struct p9_req_t *req);
};

#define MODULE_ALIAS(x)		extern int shim_unused

void v9fs_register_trans(struct p9_trans_module *m);
void v9fs_unregister_trans(struct p9_trans_module *m);

/* What tests do with it. NULL, and *@err says why. */
struct p9_client *shim_p9_mount(const char *tag, int msize, int *err);
void shim_p9_umount(struct p9_client *client);

/* Gives a message of @len bytes behind its header to the transport. */
struct p9_req_t *shim_p9_send(struct p9_client *client, u8 type, u16 tag,
			      const void *data, unsigned int len, int *err);
bool shim_p9_over(struct p9_req_t *req);
/* Waits for the answer, at most @len bytes of it; how many, or an error. */
int shim_p9_receive(struct p9_client *client, u16 tag, void *data,
		    unsigned int len);
/* Both of them. */
int shim_p9_rpc(struct p9_client *client, u8 type, u16 tag, const void *out,
		unsigned int out_len, void *in, unsigned int in_len);
/* The user does not want to wait: the client leaves the request to itself,
 * after a flush if the transport wants one. */
int shim_p9_give_up(struct p9_client *client, u16 tag, u16 flush_tag);

extern unsigned int shim_p9_clients;

#endif /* _SHIM_P9_H */
