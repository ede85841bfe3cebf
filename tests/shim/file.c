// SPDX-License-Identifier: GPL-2.0
/*
 * Character devices, their files, and terminals on hvc.
 */
#include <shim/shim.h>
#include <shim/file.h>
#include <linux/poll.h>
#include <linux/hvc_console.h>

void (*shim_at_delay)(void);
void (*shim_at_copy)(void);

void udelay(unsigned int us)
{
	if (shim_at_delay)
		shim_at_delay();
}

char *kstrndup(const char *s, size_t len, gfp_t gfp)
{
	char *copy;

	len = strnlen(s, len);
	copy = kmalloc(len + 1, gfp);
	if (copy) {
		memcpy(copy, s, len);
		copy[len] = '\0';
	}
	return copy;
}

static void shim_copying(void)
{
	void (*fn)(void) = shim_at_copy;

	might_sleep();
	shim_at_copy = NULL;
	if (fn)
		fn();
}

unsigned long copy_to_user(void *to, const void *from, unsigned long n)
{
	shim_copying();
	if (!to)
		return n;
	memcpy(to, from, n);
	return 0;
}

unsigned long copy_from_user(void *to, const void *from, unsigned long n)
{
	shim_copying();
	if (!from)
		return n;
	memcpy(to, from, n);
	return 0;
}

/* fasync: there is one file that has it. */

static struct fasync_struct *the_fasync;

int fasync_helper(int fd, struct file *filp, int on, struct fasync_struct **fa)
{
	might_sleep();
	if (on && !*fa) {
		*fa = the_fasync = kmalloc(sizeof(**fa), GFP_KERNEL | __GFP_ZERO);
	} else if (!on) {
		kfree(*fa);
		*fa = the_fasync = NULL;
	}
	return 0;
}

void kill_fasync(struct fasync_struct **fa, int sig, int band)
{
	BUG_ON(sig != SIGIO);
	if (!*fa)
		return;
	(*fa)->in += band == POLL_IN;
	(*fa)->out += band == POLL_OUT;
	(*fa)->hup += band == POLL_HUP;
}

const struct fasync_struct *shim_fasync(void)
{
	return the_fasync;
}

/* cdev.h. A cdev lives as long as one of its files is open. */

static LIST_HEAD(cdevs);
static unsigned int num_cdevs, num_files, num_regions, num_classes;

struct cdev *cdev_alloc(void)
{
	struct cdev *cdev;

	if (shim_fail(FAIL_DEVICE))
		return NULL;
	cdev = calloc(1, sizeof(*cdev));
	cdev->refs = 1;
	num_cdevs++;
	return cdev;
}

static void cdev_put(struct cdev *cdev)
{
	if (--cdev->refs)
		return;
	num_cdevs--;
	free(cdev);
}

int cdev_add(struct cdev *cdev, dev_t dev, unsigned int count)
{
	BUG_ON(count != 1);
	might_sleep();
	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	cdev->dev = dev;
	list_add(&cdev->list, &cdevs);
	return 0;
}

void cdev_del(struct cdev *cdev)
{
	might_sleep();
	if (cdev->list.next)
		list_del(&cdev->list);
	cdev_put(cdev);
}

int alloc_chrdev_region(dev_t *dev, unsigned int first, unsigned int count,
			const char *name)
{
	if (shim_fail(FAIL_DEVICE))
		return -EBUSY;
	num_regions++;
	*dev = MKDEV(250, first);
	return 0;
}

void unregister_chrdev_region(dev_t dev, unsigned int count)
{
	num_regions--;
}

/* Classes and their devices */

struct shim_chr {
	struct device dev;
	dev_t devt;
	struct list_head list;
};

static LIST_HEAD(chrs);

struct class *shim_class_create(const char *name)
{
	struct class *class;

	if (shim_fail(FAIL_DEVICE))
		return ERR_PTR(-ENOMEM);
	class = malloc(sizeof(*class));
	class->name = name;
	num_classes++;
	return class;
}

void class_destroy(struct class *class)
{
	BUG_ON(!list_empty(&chrs));
	num_classes--;
	free(class);
}

static void shim_chr_release(struct device *dev)
{
	free(container_of(dev, struct shim_chr, dev));
}

struct device *device_create(struct class *class, struct device *parent,
			     dev_t devt, void *drvdata, const char *fmt, ...)
{
	struct shim_chr *chr;
	char name[64];
	va_list args;

	might_sleep();
	BUG_ON(strcmp(class->name, "virtio-ports"));
	if (shim_fail(FAIL_DEVICE))
		return ERR_PTR(-ENOMEM);
	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	BUG_ON(shim_chr(name));
	chr = calloc(1, sizeof(*chr));
	device_initialize(&chr->dev);
	chr->dev.name = strdup(name);
	chr->dev.parent = parent;
	chr->dev.release = shim_chr_release;
	chr->dev.driver_data = drvdata;
	chr->devt = devt;
	list_add(&chr->list, &chrs);
	return &chr->dev;
}

void device_destroy(struct class *class, dev_t devt)
{
	struct shim_chr *chr;

	might_sleep();
	list_for_each_entry(chr, &chrs, list)
		if (chr->devt == devt) {
			list_del(&chr->list);
			/* Attributes of such a device go with it. */
			chr->dev.file = NULL;
			put_device(&chr->dev);
			return;
		}
	SHIM_BUG("no device %u:%u", MAJOR(devt), MINOR(devt));
}

static struct shim_chr *shim_find_chr(const char *name)
{
	struct shim_chr *chr;

	list_for_each_entry(chr, &chrs, list)
		if (!strcmp(dev_name(&chr->dev), name))
			return chr;
	return NULL;
}

struct device *shim_chr(const char *name)
{
	struct shim_chr *chr = shim_find_chr(name);

	return chr ? &chr->dev : NULL;
}

const char *shim_chr_name(const char *name)
{
	struct shim_chr *chr = shim_find_chr(name);
	static char page[4096];
	ssize_t len;

	BUG_ON(!chr);
	if (!chr->dev.file)
		return NULL;
	len = chr->dev.file->show(&chr->dev,
				  (struct device_attribute *)chr->dev.file, page);
	BUG_ON(len < 1 || page[len - 1] != '\n');
	page[len - 1] = '\0';
	return page;
}

unsigned int shim_chr_uevents(const char *name)
{
	return shim_find_chr(name)->dev.kobj.changes;
}

/* Files */

int shim_open_file(const char *name, unsigned int flags, struct file **filp)
{
	struct shim_chr *chr = shim_find_chr(name);
	struct cdev *cdev;
	struct file *file;
	int err;

	if (!chr)
		return -ENOENT;
	list_for_each_entry(cdev, &cdevs, list)
		if (cdev->dev == chr->devt)
			break;
	if (&cdev->list == &cdevs)
		return -ENXIO;
	file = calloc(1, sizeof(*file));
	file->f_flags = flags;
	file->inode.i_rdev = cdev->dev;
	file->cdev = cdev;
	cdev->refs++;
	err = cdev->ops->open(&file->inode, file);
	BUG_ON(shim_in_atomic());
	if (err) {
		cdev_put(cdev);
		free(file);
		return err;
	}
	num_files++;
	*filp = file;
	return 0;
}

void shim_close_file(struct file *file)
{
	if (file->async)
		shim_async_file(file, false);
	file->cdev->ops->release(&file->inode, file);
	BUG_ON(shim_in_atomic());
	cdev_put(file->cdev);
	free(file);
	num_files--;
}

ssize_t shim_read_file(struct file *file, void *buf, size_t count)
{
	ssize_t ret = file->cdev->ops->read(file, buf, count, NULL);

	BUG_ON(shim_in_atomic());
	return ret;
}

ssize_t shim_write_file(struct file *file, const void *buf, size_t count)
{
	ssize_t ret = file->cdev->ops->write(file, buf, count, NULL);

	BUG_ON(shim_in_atomic());
	return ret;
}

unsigned int shim_poll_file(struct file *file)
{
	poll_table table = { NULL };
	unsigned int events = file->cdev->ops->poll(file, &table);

	BUG_ON(shim_in_atomic() || !table.wq || !table.wq->ready);
	return events;
}

void shim_async_file(struct file *file, bool on)
{
	BUG_ON(file->cdev->ops->fasync(on ? 3 : -1, file, on));
	file->async = on;
}

void shim_files_finish(void)
{
	if (num_cdevs || num_files || num_regions || num_classes ||
	    !list_empty(&chrs))
		SHIM_BUG("leaked: %u cdevs, %u files, %u regions, %u classes",
			 num_cdevs, num_files, num_regions, num_classes);
	shim_signal = false;
	shim_at_delay = NULL;
	shim_at_copy = NULL;
	shim_hvc_other = false;
}

/* hvc, as it is used: its lock is held in the operations, interrupts are off. */

#define MAX_TTYS	16

struct shim_tty {
	struct hvc_struct hp;
	struct hv_ops ops;
	u32 vtermno;
	int data;
	unsigned int opens;
};

static struct shim_tty *ttys[MAX_TTYS];
unsigned int shim_hvc_kicks;
bool shim_hvc_other;

static struct hvc_struct *shim_hvc_alloc(u32 vtermno, int data,
					 const struct hv_ops *ops, int size)
{
	struct shim_tty *tty;
	unsigned int n;

	might_sleep();
	if (shim_fail(FAIL_DEVICE))
		return ERR_PTR(-ENOMEM);
	for (n = 0; n < MAX_TTYS && ttys[n]; n++)
		;
	BUG_ON(n == MAX_TTYS);
	tty = kmalloc(sizeof(*tty) + size, GFP_KERNEL | __GFP_ZERO);
	if (!tty)
		return ERR_PTR(-ENOMEM);
	tty->vtermno = vtermno;
	tty->data = data;
	tty->ops = *ops;
	if (!shim_hvc_other) {
		spin_lock_init(&tty->hp.lock);
		INIT_WORK(&tty->hp.tty_resize, NULL);
		tty->hp.vtermno = vtermno;
		tty->hp.data = data;
		tty->hp.ops = ops;
		tty->hp.outbuf_size = size;
	}
	ttys[n] = tty;
	/* printk has something for a new console. */
	tty->ops.put_chars(vtermno, "first\r\n", 7);
	return &tty->hp;
}

static int shim_hvc_remove(struct hvc_struct *hp)
{
	struct shim_tty *tty = container_of(hp, struct shim_tty, hp);
	unsigned int n;

	might_sleep();
	BUG_ON(hp->tty_resize.pending);
	for (n = 0; ttys[n] != tty; n++)
		BUG_ON(n + 1 == MAX_TTYS);
	if (tty->opens)
		tty->ops.notifier_hangup(hp, tty->data);
	ttys[n] = NULL;
	kfree(tty);
	return 0;
}

static void shim_hvc_kick(void)
{
	shim_hvc_kicks++;
}

static void shim_hvc_resize(struct hvc_struct *hp, struct winsize ws)
{
	BUG_ON(!hp->lock.locked);
	hp->ws = ws;
}

void *shim_hvc_symbol(const char *name)
{
	if (!strcmp(name, "hvc_alloc"))
		return (void *)shim_hvc_alloc;
	if (!strcmp(name, "hvc_remove"))
		return (void *)shim_hvc_remove;
	if (!strcmp(name, "hvc_kick"))
		return (void *)shim_hvc_kick;
	if (!strcmp(name, "__hvc_resize"))
		return (void *)shim_hvc_resize;
	return NULL;
}

bool shim_tty(unsigned int n)
{
	return ttys[n];
}

int shim_tty_open(unsigned int n)
{
	struct shim_tty *tty = ttys[n];
	int err = 0;

	if (!tty)
		return -ENODEV;
	if (!tty->opens)
		err = tty->ops.notifier_add(&tty->hp, tty->data);
	if (!err)
		tty->opens++;
	return err;
}

void shim_tty_close(unsigned int n)
{
	if (ttys[n] && !--ttys[n]->opens)
		ttys[n]->ops.notifier_del(&ttys[n]->hp, ttys[n]->data);
}

int shim_tty_read(unsigned int n, char *buf, int count)
{
	struct shim_tty *tty = ttys[n];
	unsigned long flags;
	int ret;

	local_irq_save(flags);
	ret = tty->ops.get_chars(tty->vtermno, buf, count);
	local_irq_restore(flags);
	return ret;
}

int shim_tty_write(unsigned int n, const char *buf, int count)
{
	struct shim_tty *tty = ttys[n];
	unsigned long flags;
	int ret;

	local_irq_save(flags);
	ret = tty->ops.put_chars(tty->vtermno, buf, count);
	local_irq_restore(flags);
	BUG_ON(ret == -EAGAIN);
	return ret;
}

const struct winsize *shim_tty_size(unsigned int n)
{
	return &ttys[n]->hp.ws;
}

bool shim_tty_notified(unsigned int n)
{
	return ttys[n]->hp.irq_requested;
}
