/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_NET_9P_CLIENT_H
#define _COMPAT_NET_9P_CLIENT_H

#include <net/9p/9p.h>
#include_next <net/9p/client.h>

/*
 * The messages of a request: what is sent, and where the answer goes. The
 * kernel has no such functions; a request had pointers in it up to 4.19, and
 * has the messages themselves since.
 */
#ifdef COMPAT_HAVE_P9_REQ_FCALL
static inline struct p9_fcall *compat_p9_tc(struct p9_req_t *req)
{
	return &req->tc;
}

static inline struct p9_fcall *compat_p9_rc(struct p9_req_t *req)
{
	return &req->rc;
}
#else
static inline struct p9_fcall *compat_p9_tc(struct p9_req_t *req)
{
	return req->tc;
}

static inline struct p9_fcall *compat_p9_rc(struct p9_req_t *req)
{
	return req->rc;
}
#endif

/*
 * Who waits for the request may look at it as soon as the status says that it
 * is over, and is woken up by the transport only after that.
 */
#ifndef COMPAT_HAVE_P9_CLIENT_CB_STATUS
static inline void compat_p9_client_cb(struct p9_client *client,
				       struct p9_req_t *req, int status)
{
	smp_wmb();
	req->status = status;
	p9_client_cb(client, req);
}
#define p9_client_cb(client, req, status)			\
	compat_p9_client_cb(client, req, status)
#endif

/*
 * Whether an answer of this type says that the request has failed. Before
 * 2.6.37 the client knows one such type, of 9P2000.u: the other one, of
 * 9P2000.L, it would take for the answer that it has asked for.
 */
static inline bool compat_p9_is_error(unsigned int type)
{
#ifdef COMPAT_HAVE_P9_RLERROR
	if (type == P9_RLERROR)
		return true;
#endif
	return type == P9_RERROR;
}

#endif /* _COMPAT_NET_9P_CLIENT_H */
