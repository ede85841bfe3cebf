/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_HVC_CONSOLE_H
#define _COMPAT_LINUX_HVC_CONSOLE_H

/*
 * The kernel's hvc layer. Its header is not one that a module can include, and
 * what it exports is on no kABI list: so its types are described here, and its
 * functions are looked up when the first console is made (compat/hvc.c), which
 * also finds out whether this description is that of the running kernel.
 *
 * Two shapes: that of 6.0 to 6.10, whose hv_ops has grown at its end in 6.5,
 * and that of 5.16 and later.
 */

#include <linux/types.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/tty.h>
#include <linux/workqueue.h>

#ifdef COMPAT_HAVE_TTY_ALLOC_DRIVER
struct hv_ops;

struct hvc_struct {
	struct tty_port port;
	spinlock_t lock;
	int index;
	int do_wakeup;
	int outbuf_size;
	int n_outbuf;
	u32 vtermno;
	const struct hv_ops *ops;
	int irq_requested;
	int data;
	struct winsize ws;
	struct work_struct tty_resize;
};

struct hv_ops {
	int (*get_chars)(u32 vtermno, char *buf, int count);
	int (*put_chars)(u32 vtermno, const char *buf, int count);
	int (*flush)(u32 vtermno, bool wait);
	int (*notifier_add)(struct hvc_struct *hp, int data);
	void (*notifier_del)(struct hvc_struct *hp, int data);
	void (*notifier_hangup)(struct hvc_struct *hp, int data);
	int (*tiocmget)(struct hvc_struct *hp);
	int (*tiocmset)(struct hvc_struct *hp, unsigned int set,
			unsigned int clear);
	void (*dtr_rts)(struct hvc_struct *hp, int raise);
	void *reserved[4];
};
#else
struct hv_ops;

struct hvc_struct {
	spinlock_t lock;
	int index;
	struct tty_struct *tty;
	int count;
	int do_wakeup;
	char *outbuf;
	int outbuf_size;
	int n_outbuf;
	u32 vtermno;
	const struct hv_ops *ops;
	int irq_requested;
	int data;
	struct winsize ws;
	struct work_struct tty_resize;
};

struct hv_ops {
	int (*get_chars)(u32 vtermno, char *buf, int count);
	int (*put_chars)(u32 vtermno, const char *buf, int count);
	int (*notifier_add)(struct hvc_struct *hp, int data);
	void (*notifier_del)(struct hvc_struct *hp, int data);
	void (*notifier_hangup)(struct hvc_struct *hp, int data);
	void (*dtr_rts)(struct hvc_struct *hp, int raise);
	void *reserved[4];
};
#endif

#define hvc_alloc	compat_hvc_alloc
#define hvc_remove	compat_hvc_remove
#define hvc_kick	compat_hvc_kick
#define hvc_resize	compat_hvc_resize
#define hvc_is_notified	compat_hvc_is_notified
#define hvc_put_symbols	compat_hvc_put_symbols

struct hvc_struct *compat_hvc_alloc(u32 vtermno, int data,
				    const struct hv_ops *ops, int outbuf_size);
void compat_hvc_remove(struct hvc_struct *hp);
void compat_hvc_kick(void);
void compat_hvc_resize(struct hvc_struct *hp, struct winsize ws);
void compat_hvc_is_notified(struct hvc_struct *hp);
void compat_hvc_put_symbols(void);

#endif /* _COMPAT_LINUX_HVC_CONSOLE_H */
