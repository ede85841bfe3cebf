// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's hvc layer, found at run time: see <linux/hvc_console.h>.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/hvc_console.h>

static struct {
	struct hvc_struct *(*alloc)(u32 vtermno, int data,
				    const struct hv_ops *ops, int outbuf_size);
	int (*remove)(struct hvc_struct *hp);
	void (*kick)(void);
	void (*resize)(struct hvc_struct *hp, struct winsize ws);
} hvc;

/* struct hvc_struct is what it is taken for. */
static bool hvc_known;

static const struct {
	const char *name;
	void **where;
} hvc_symbols[] = {
	{ "hvc_alloc", (void **)&hvc.alloc },
	{ "hvc_remove", (void **)&hvc.remove },
	{ "hvc_kick", (void **)&hvc.kick },
	{ "__hvc_resize", (void **)&hvc.resize },
};

static DEFINE_MUTEX(hvc_lock);

/* All of them or, with false, none. */
static bool compat_hvc_get_symbols(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hvc_symbols); i++) {
		if (!*hvc_symbols[i].where)
			*hvc_symbols[i].where =
				(void *)__symbol_get(hvc_symbols[i].name);
		if (!*hvc_symbols[i].where) {
			compat_hvc_put_symbols();
			return false;
		}
	}
	return true;
}

/**
 * compat_hvc_put_symbols - hvc is not needed any more
 *
 * All consoles were removed. Process context.
 */
void compat_hvc_put_symbols(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hvc_symbols); i++) {
		if (*hvc_symbols[i].where)
			__symbol_put(hvc_symbols[i].name);
		*hvc_symbols[i].where = NULL;
	}
}

/**
 * compat_hvc_alloc - hvc_alloc()
 * @vtermno:	number of the console, for the operations
 * @data:	for the notifiers
 * @ops:	the operations
 * @outbuf_size: bytes that are kept for a terminal until they are sent
 *
 * Process context. Returns the console or an error pointer; -EOPNOTSUPP where
 * the kernel has no hvc.
 */
struct hvc_struct *compat_hvc_alloc(u32 vtermno, int data,
				    const struct hv_ops *ops, int outbuf_size)
{
	struct hvc_struct *hp;

	mutex_lock(&hvc_lock);
	if (!compat_hvc_get_symbols()) {
		mutex_unlock(&hvc_lock);
		return ERR_PTR(-EOPNOTSUPP);
	}
	hp = hvc.alloc(vtermno, data, ops, outbuf_size);
	if (!IS_ERR(hp))
		hvc_known = hp->vtermno == vtermno && hp->ops == ops &&
			    hp->data == data && hp->outbuf_size == outbuf_size;
	mutex_unlock(&hvc_lock);
	return hp;
}

/**
 * compat_hvc_remove - hvc_remove()
 * @hp:		the console; nobody resizes it any more
 *
 * Process context.
 */
void compat_hvc_remove(struct hvc_struct *hp)
{
	/* hvc does so only where a terminal is open. */
	if (hvc_known)
		cancel_work_sync(&hp->tty_resize);
	hvc.remove(hp);
}

/**
 * compat_hvc_kick - hvc_kick()
 *
 * There is something to read, or room to write, on some console. Any context.
 */
void compat_hvc_kick(void)
{
	hvc.kick();
}

/**
 * compat_hvc_resize - hvc_resize()
 * @hp:		the console
 * @ws:		its size
 *
 * Any context.
 */
void compat_hvc_resize(struct hvc_struct *hp, struct winsize ws)
{
	unsigned long flags;

	if (!hvc_known)
		return;
	spin_lock_irqsave(&hp->lock, flags);
	hvc.resize(hp, ws);
	spin_unlock_irqrestore(&hp->lock, flags);
}

/**
 * compat_hvc_is_notified - the console's driver calls hvc_kick()
 * @hp:		the console
 *
 * So hvc need not look for itself, now and then. Any context.
 */
void compat_hvc_is_notified(struct hvc_struct *hp)
{
	if (hvc_known)
		hp->irq_requested = 1;
}
