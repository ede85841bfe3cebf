/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_NET_9P_TRANSPORT_H
#define _COMPAT_NET_9P_TRANSPORT_H

#include <net/9p/9p.h>
#include_next <net/9p/transport.h>

/* 5.17, where mounting asks for the transport's module by this name. */
#ifndef MODULE_ALIAS_9P
#define MODULE_ALIAS_9P(transport)	MODULE_ALIAS("9p-" transport)
#endif

#endif /* _COMPAT_NET_9P_TRANSPORT_H */
