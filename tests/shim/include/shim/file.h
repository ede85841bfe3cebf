/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Character devices, their files, who waits for them, and terminals on hvc.
 */
#ifndef _SHIM_FILE_H
#define _SHIM_FILE_H

#include <shim/base.h>
#include <shim/context.h>
#include <shim/driver.h>
#include <shim/wait.h>

#define __user

/* spinlock.h, mutex.h, delay.h, slab.h */

/* Those here are all static. */
#define DEFINE_SPINLOCK(name)						\
	struct shim_lock_class name##_class = { #name, 0, 0, 0, 0, 0 };	\
	static spinlock_t name = { &name##_class, false }
#define mutex_lock_interruptible(m)	(mutex_lock(m), 0)
void udelay(unsigned int us);
/* What goes on elsewhere while somebody spins. */
extern void (*shim_at_delay)(void);
char *kstrndup(const char *s, size_t len, gfp_t gfp);

/* kref.h */

struct kref {
	unsigned int refs;
};
#define kref_init(k)		((k)->refs = 1)
#define kref_get(k) do {						\
	BUG_ON(!(k)->refs);						\
	(k)->refs++;							\
} while (0)
#define kref_put(k, fn) do {						\
	BUG_ON(!(k)->refs);						\
	if (!--(k)->refs)						\
		fn(k);							\
} while (0)

/* fs.h, cdev.h */

#define SIGIO		29
#define POLL_IN		1
#define POLL_OUT	2
#define POLL_HUP	6

struct fasync_struct {
	unsigned int in, out, hup;	/* signals so far */
};
struct file;
int fasync_helper(int fd, struct file *filp, int on, struct fasync_struct **fa);
void kill_fasync(struct fasync_struct **fa, int sig, int band);

#define MINORBITS	20
#define MKDEV(ma, mi)	((dev_t)((ma) << MINORBITS | (mi)))
#define MAJOR(dev)	((unsigned int)((dev) >> MINORBITS))
#define MINOR(dev)	((unsigned int)((dev) & ((1U << MINORBITS) - 1)))

struct inode {
	dev_t i_rdev;
};
#define iminor(inode)	MINOR((inode)->i_rdev)

#define EPOLLIN		0x001
#define EPOLLOUT	0x004
#define EPOLLHUP	0x010
#define EPOLLRDNORM	0x040
#define EPOLLWRNORM	0x100
#ifdef COMPAT_HAVE_POLL_T
typedef unsigned int __poll_t;
#else
#define POLLIN		0x001
#define POLLOUT		0x004
#define POLLHUP		0x010
#define POLLRDNORM	0x040
#define POLLWRNORM	0x100
#undef EPOLLIN
#undef EPOLLOUT
#undef EPOLLHUP
#undef EPOLLRDNORM
#undef EPOLLWRNORM
#endif

typedef struct {
	wait_queue_head_t *wq;
} poll_table;
#define poll_wait(filp, queue, table)	((table)->wq = (queue))

struct file_operations {
	struct module *owner;
	int (*open)(struct inode *inode, struct file *filp);
	int (*release)(struct inode *inode, struct file *filp);
	ssize_t (*read)(struct file *filp, char __user *buf, size_t count,
			loff_t *pos);
	ssize_t (*write)(struct file *filp, const char __user *buf,
			 size_t count, loff_t *pos);
	unsigned int (*poll)(struct file *filp, poll_table *wait);
	int (*fasync)(int fd, struct file *filp, int on);
};

struct cdev {
	const struct file_operations *ops;
	struct module *owner;
	dev_t dev;
	unsigned int refs;
	struct list_head list;
};

struct file {
	unsigned int f_flags;
	void *private_data;
	struct cdev *cdev;
	struct inode inode;
	bool async;
};
#define O_NONBLOCK	04000

struct cdev *cdev_alloc(void);
int cdev_add(struct cdev *cdev, dev_t dev, unsigned int count);
void cdev_del(struct cdev *cdev);
int alloc_chrdev_region(dev_t *dev, unsigned int first, unsigned int count,
			const char *name);
void unregister_chrdev_region(dev_t dev, unsigned int count);
#define nonseekable_open(inode, filp)	((void)(inode), (void)(filp), 0)

/* uaccess.h: a NULL is a bad address. */
/* What goes on elsewhere while data is copied, once. */
extern void (*shim_at_copy)(void);
unsigned long copy_to_user(void *to, const void *from, unsigned long n);
unsigned long copy_from_user(void *to, const void *from, unsigned long n);

/* device.h */

struct class {
	const char *name;
};
#define class_create(owner, name)	shim_class_create(name)
struct class *shim_class_create(const char *name);
void class_destroy(struct class *class);
struct device *device_create(struct class *class, struct device *parent,
			     dev_t devt, void *drvdata, const char *fmt, ...)
	__printf(5, 6);
void device_destroy(struct class *class, dev_t devt);

/* tty.h */

struct winsize {
	unsigned short ws_row, ws_col, ws_xpixel, ws_ypixel;
};
struct tty_struct;
struct tty_port {
	unsigned long opaque[50];
};

/* What a person does. Negative: an error of open(). */

int shim_open_file(const char *name, unsigned int flags, struct file **filp);
void shim_close_file(struct file *filp);
ssize_t shim_read_file(struct file *filp, void *buf, size_t count);
ssize_t shim_write_file(struct file *filp, const void *buf, size_t count);
unsigned int shim_poll_file(struct file *filp);
void shim_async_file(struct file *filp, bool on);
const struct fasync_struct *shim_fasync(void);	/* NULL: there is none */
/* "vport0p1"; NULL: there is none. */
struct device *shim_chr(const char *name);
/* What is in its attribute name, without the newline; NULL: it has none. */
const char *shim_chr_name(const char *name);
unsigned int shim_chr_uevents(const char *name);

/* hvc: terminals by their number, the N of hvcN. */
void *shim_hvc_symbol(const char *name);
bool shim_tty(unsigned int n);
int shim_tty_open(unsigned int n);
void shim_tty_close(unsigned int n);
/* Bytes that were read or taken; read, too, if it was kicked. */
int shim_tty_read(unsigned int n, char *buf, int count);
int shim_tty_write(unsigned int n, const char *buf, int count);
const struct winsize *shim_tty_size(unsigned int n);
bool shim_tty_notified(unsigned int n);
extern unsigned int shim_hvc_kicks;
/* hvc's types are not what the driver takes them for. */
extern bool shim_hvc_other;

/* All gone? */
void shim_files_finish(void);

#endif /* _SHIM_FILE_H */
