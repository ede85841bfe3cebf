// SPDX-License-Identifier: GPL-2.0
/*
 * The 9p client.
 */
#include <shim/shim.h>
#include <shim/p9.h>
#include <net/9p/client.h>

bool shim_killed;
unsigned int shim_p9_clients;
static struct p9_trans_module *virtio_trans;

void v9fs_register_trans(struct p9_trans_module *m)
{
	BUG_ON(virtio_trans || strcmp(m->name, "virtio"));
	virtio_trans = m;
}

void v9fs_unregister_trans(struct p9_trans_module *m)
{
	BUG_ON(virtio_trans != m);
	virtio_trans = NULL;
}

static struct p9_req_t **slot_of(struct p9_client *c, u16 tag)
{
	BUG_ON(tag >= SHIM_P9_TAGS && tag != P9_NOTAG);
	return &c->reqs[min_t(unsigned int, tag, SHIM_P9_TAGS)];
}

#ifdef COMPAT_HAVE_P9_REQ_FCALL

/* One reference is the caller's, one the transport's. */
static struct p9_req_t *req_alloc(struct p9_client *c, u16 tag)
{
	struct p9_req_t *req = kmalloc(sizeof(*req), GFP_KERNEL);

	BUG_ON(*slot_of(c, tag));
	memset(req, 0, sizeof(*req));
	req->refs = 2;
	req->tc.sdata = kmalloc(c->msize, GFP_KERNEL);
	req->rc.sdata = kmalloc(c->msize, GFP_KERNEL);
	req->tc.capacity = req->rc.capacity = c->msize;
	req->tc.tag = tag;
	*slot_of(c, tag) = req;
	return req;
}

static void req_put(struct p9_client *c, struct p9_req_t *req)
{
	unsigned long flags;

	BUG_ON(req->refs < 1);
	if (--req->refs)
		return;
	spin_lock_irqsave(&c->lock, flags);
	*slot_of(c, req->tc.tag) = NULL;
	spin_unlock_irqrestore(&c->lock, flags);
	kfree(req->tc.sdata);
	kfree(req->rc.sdata);
	kfree(req);
}

void p9_client_cb(struct p9_client *c, struct p9_req_t *req, int status)
{
	BUG_ON(status < REQ_STATUS_RCVD || shim_p9_over(req));
	req->status = status;
	req->wq.wakes++;
	c->called_back++;
	req_put(c, req);
}

/* The transport has refused it. */
static void req_refused(struct p9_client *c, struct p9_req_t *req)
{
	req_put(c, req);
}

static void reqs_free(struct p9_client *c)
{
	unsigned int i;

	for (i = 0; i <= SHIM_P9_TAGS; i++)
		if (c->reqs[i])
			SHIM_BUG("tag %u is still in use: %d references", i,
				 c->reqs[i]->refs);
}

#else

/* Two whose status says that somebody else's answer came are worth nothing. */
static struct p9_req_t *req_alloc(struct p9_client *c, u16 tag)
{
	struct p9_req_t **slot = slot_of(c, tag), *req = *slot;

	if (!req) {
		req = *slot = kmalloc(sizeof(*req), GFP_KERNEL);
		memset(req, 0, sizeof(*req));
		req->wq = kmalloc(sizeof(*req->wq), GFP_KERNEL);
		init_waitqueue_head(req->wq);
		req->tc = kmalloc(sizeof(*req->tc) + c->msize, GFP_KERNEL);
		req->rc = kmalloc(sizeof(*req->rc) + c->msize, GFP_KERNEL);
		req->tc->sdata = (u8 *)(req->tc + 1);
		req->rc->sdata = (u8 *)(req->rc + 1);
		req->tc->capacity = req->rc->capacity = c->msize;
	}
	BUG_ON(req->status != REQ_STATUS_IDLE);
	req->tc->size = req->rc->size = 0;
	req->tc->offset = req->rc->offset = 0;
	req->tc->tag = tag;
	req->status = REQ_STATUS_ALLOC;
	return req;
}

static void req_put(struct p9_client *c, struct p9_req_t *req)
{
	req->status = REQ_STATUS_IDLE;
}

void (p9_client_cb)(struct p9_client *c, struct p9_req_t *req)
{
	BUG_ON(!shim_p9_over(req));
	req->wq->wakes++;
	c->called_back++;
}

static void req_refused(struct p9_client *c, struct p9_req_t *req)
{
}

static void reqs_free(struct p9_client *c)
{
	unsigned int i;

	for (i = 0; i <= SHIM_P9_TAGS; i++) {
		if (!c->reqs[i])
			continue;
		kfree(c->reqs[i]->wq);
		kfree(c->reqs[i]->tc);
		kfree(c->reqs[i]->rc);
		kfree(c->reqs[i]);
	}
}

#endif

bool shim_p9_over(struct p9_req_t *req)
{
	return req->status >= REQ_STATUS_RCVD;
}

struct p9_req_t *shim_p9_send(struct p9_client *c, u8 type, u16 tag,
			      const void *data, unsigned int len, int *err)
{
	struct p9_req_t *req;
	struct p9_fcall *tc;

	*err = -EIO;
	if (c->status != Connected)
		return NULL;
	req = req_alloc(c, tag);
	tc = compat_p9_tc(req);
	BUG_ON(len + 7 > tc->capacity);
	tc->size = len + 7;
	put_unaligned_le32(tc->size, tc->sdata);
	tc->sdata[4] = type;
	put_unaligned_le16(tag, tc->sdata + 5);
	memcpy(tc->sdata + 7, data, len);

	*err = c->trans_mod->request(c, req);
	BUG_ON(shim_in_atomic() || *err > 0);
	if (!*err)
		return req;
	c->status = Disconnected;
	req_refused(c, req);
	req_put(c, req);
	return NULL;
}

int shim_p9_receive(struct p9_client *c, u16 tag, void *data, unsigned int len)
{
	struct p9_req_t *req = *slot_of(c, tag);
	struct p9_fcall *rc = compat_p9_rc(req);
	unsigned int n;
	int ret;

	while (!shim_p9_over(req))
		msleep(1);
	if (req->status == REQ_STATUS_ERROR) {
		ret = req->t_err;
		BUG_ON(ret >= 0);
	} else {
		BUG_ON(req->status != REQ_STATUS_RCVD);
		/* It believes what is in the message. */
		n = get_unaligned_le32(rc->sdata);
		BUG_ON(n < 7 || n > rc->capacity || rc->size != n);
		ret = min(n - 7, len);
		if (ret)
			memcpy(data, rc->sdata + 7, ret);
		if (rc->sdata[4] != compat_p9_tc(req)->sdata[4] + 1)
			ret = -EREMOTEIO;	/* the server says so */
	}
	req_put(c, req);
	return ret;
}

int shim_p9_rpc(struct p9_client *c, u8 type, u16 tag, const void *out,
		unsigned int out_len, void *in, unsigned int in_len)
{
	int err;

	if (!shim_p9_send(c, type, tag, out, out_len, &err))
		return err;
	return shim_p9_receive(c, tag, in, in_len);
}

int shim_p9_give_up(struct p9_client *c, u16 tag, u16 flush_tag)
{
	struct p9_req_t *req = *slot_of(c, tag);
	int err = 0;
	u8 old[2];

	put_unaligned_le16(tag, old);
	if (c->trans_mod->cancel(c, req))
		err = shim_p9_rpc(c, P9_TFLUSH, flush_tag, old, sizeof(old),
				  NULL, 0);
	if (req->status == REQ_STATUS_RCVD)
		err = 1;
	req_put(c, req);
	return err;
}

struct p9_client *shim_p9_mount(const char *tag, int msize, int *err)
{
	struct p9_client *c = kmalloc(sizeof(*c), GFP_KERNEL);

	/* Poisoned, but for what the kernel sets. */
	memset(c->reqs, 0, sizeof(c->reqs));
	c->called_back = 0;
	c->trans = NULL;
	c->msize = msize;
	spin_lock_init(&c->lock);
	c->trans_mod = virtio_trans;
	shim_p9_clients++;

	*err = c->trans_mod->create(c, tag, "");
#ifdef COMPAT_HAVE_P9_REQ_FCALL
	if (*err) {
		shim_p9_clients--;
		kfree(c);
		return NULL;
	}
	c->msize = min_t(unsigned int, c->msize, c->trans_mod->maxsize);
#else
	if (!*err && c->msize + P9_IOHDRSZ > c->trans_mod->maxsize)
		c->msize = c->trans_mod->maxsize - P9_IOHDRSZ;
#endif
	if (!*err)
		*err = shim_p9_rpc(c, P9_TVERSION, P9_NOTAG, "9P2000", 6, NULL,
				   0);
	if (*err < 0) {
		shim_p9_umount(c);
		return NULL;
	}
	*err = 0;
	return c;
}

/* As p9_client_destroy(); on 2.6.32 also where nothing was created. */
void shim_p9_umount(struct p9_client *c)
{
	c->trans_mod->close(c);
	BUG_ON(shim_in_atomic());
	reqs_free(c);
	shim_p9_clients--;
	kfree(c);
}
