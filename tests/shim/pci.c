// SPDX-License-Identifier: GPL-2.0
/*
 * PCI functions, mapped memory and interrupts.
 */
#include <shim/shim.h>
#include <shim/scsi.h>
#include <shim/file.h>

static struct pci_driver *pci_driver;

/* Config space */

static u32 config_read(struct pci_dev *dev, int pos, unsigned int width)
{
	/* Beyond the end, or not aligned: no kernel does that. */
	if (pos < 0 || pos + width > SHIM_CFG_SIZE || pos % width)
		SHIM_BUG("config read of %u bytes at 0x%x", width, pos);
	return dev->ops->config_read(dev, pos, width);
}

static void config_write(struct pci_dev *dev, int pos, unsigned int width,
			 u32 v)
{
	if (pos < 0 || pos + width > SHIM_CFG_SIZE || pos % width)
		SHIM_BUG("config write of %u bytes at 0x%x", width, pos);
	dev->ops->config_write(dev, pos, width, v);
}

int pci_read_config_byte(struct pci_dev *dev, int pos, u8 *v)
{
	*v = config_read(dev, pos, 1);
	return 0;
}

int pci_read_config_word(struct pci_dev *dev, int pos, u16 *v)
{
	*v = config_read(dev, pos, 2);
	return 0;
}

int pci_read_config_dword(struct pci_dev *dev, int pos, u32 *v)
{
	*v = config_read(dev, pos, 4);
	return 0;
}

int pci_write_config_byte(struct pci_dev *dev, int pos, u8 v)
{
	config_write(dev, pos, 1, v);
	return 0;
}

int pci_write_config_word(struct pci_dev *dev, int pos, u16 v)
{
	config_write(dev, pos, 2, v);
	return 0;
}

int pci_write_config_dword(struct pci_dev *dev, int pos, u32 v)
{
	config_write(dev, pos, 4, v);
	return 0;
}

u8 pci_find_capability(struct pci_dev *dev, int id)
{
	return id == PCI_CAP_ID_MSIX && dev->msix_table ? 0x40 : 0;
}

/* Switching a function on and off */

int pci_enable_device_mem(struct pci_dev *dev)
{
	might_sleep();
	if (shim_fail(FAIL_PCI))
		return -EIO;
	/* The kernel switches on what the first one asks for, and no more. */
	BUG_ON(dev->enabled);
	dev->io_on = false;
	dev->enabled++;
	return 0;
}

int pci_enable_device(struct pci_dev *dev)
{
	unsigned int i;
	int err;

	/* Ports that there was no room for. */
	for (i = 0; i < 6; i++)
		if (dev->bar[i].flags & IORESOURCE_IO && !dev->bar[i].start)
			return -EINVAL;
	err = pci_enable_device_mem(dev);
	dev->io_on = !err;
	return err;
}

void pci_disable_device(struct pci_dev *dev)
{
	might_sleep();
	BUG_ON(!dev->enabled);
	BUG_ON(dev->regions);
	dev->enabled--;
	config_write(dev, PCI_COMMAND, 2, config_read(dev, PCI_COMMAND, 2) &
		     ~PCI_COMMAND_MASTER);
}

void pci_set_master(struct pci_dev *dev)
{
	config_write(dev, PCI_COMMAND, 2, config_read(dev, PCI_COMMAND, 2) |
		     PCI_COMMAND_MASTER);
}

int pci_request_selected_regions(struct pci_dev *dev, int bars,
				 const char *name)
{
	if (shim_fail(FAIL_PCI))
		return -EBUSY;
	BUG_ON(!dev->enabled || dev->regions & bars);
	dev->regions |= bars;
	return 0;
}

void pci_release_selected_regions(struct pci_dev *dev, int bars)
{
	BUG_ON((dev->regions & bars) != (unsigned int)bars);
	dev->regions &= ~bars;
}

void pci_intx(struct pci_dev *dev, int on)
{
	dev->intx = on;
}

int shim_dma_set_mask(struct device *dev, u64 mask)
{
	if (shim_fail(FAIL_PCI))
		return -EIO;
	return to_pci_dev(dev)->dma_mask < mask ? -EIO : 0;
}

#ifndef COMPAT_HAVE_DMA_SET_MASK_AND_COHERENT
int pci_set_dma_mask(struct pci_dev *dev, u64 mask)
{
	return shim_dma_set_mask(&dev->dev, mask);
}

int pci_set_consistent_dma_mask(struct pci_dev *dev, u64 mask)
{
	return shim_dma_set_mask(&dev->dev, mask);
}
#endif

/*
 * io.h: what is mapped is at an address where nothing is, so that only
 * ioread*() and iowrite*() get there.
 */

struct shim_ioremap {
	struct list_head list;
	unsigned long base, len;
	struct pci_dev *dev;
	unsigned int bar;
	u64 offset;
};

static LIST_HEAD(shim_ioremaps);
static LIST_HEAD(shim_functions);
static unsigned long shim_next_io = 0x0300000000000000UL;

static void __iomem *shim_map(struct pci_dev *dev, unsigned int bar, u64 offset,
			      unsigned long len)
{
	struct shim_ioremap *map = malloc(sizeof(*map));

	/* It must have been claimed. */
	BUG_ON(!(dev->regions & 1 << bar));
	map->base = shim_next_io + (offset & ~PAGE_MASK);
	map->len = len;
	map->dev = dev;
	map->bar = bar;
	map->offset = offset;
	shim_next_io += PAGE_ALIGN(len) + 2 * PAGE_SIZE;
	list_add(&map->list, &shim_ioremaps);
	shim_counts.ioremaps++;
	return (void __iomem *)map->base;
}

void __iomem *ioremap(resource_size_t start, unsigned long len)
{
	struct pci_dev *dev;
	unsigned int bar;

	might_sleep();
	if (shim_fail(FAIL_IOREMAP))
		return NULL;
	list_for_each_entry(dev, &shim_functions, dev.list) {
		for (bar = 0; bar < 6; bar++) {
			struct shim_bar *b = &dev->bar[bar];

			if (!b->len || start < b->start ||
			    start + len > b->start + b->len)
				continue;
			/* I/O ports are no memory. */
			BUG_ON(!(b->flags & IORESOURCE_MEM));
			return shim_map(dev, bar, start - b->start, len);
		}
	}
	SHIM_BUG("ioremap of %lu bytes at %llx: nothing is there", len, start);
	return NULL;
}

static struct shim_ioremap *shim_io(const void __iomem *p, unsigned int width)
{
	unsigned long addr = (unsigned long)p;
	struct shim_ioremap *map;

	list_for_each_entry(map, &shim_ioremaps, list)
		if (addr >= map->base && addr + width <= map->base + map->len) {
			if ((map->offset + addr - map->base) % width)
				SHIM_BUG("access of %u bytes at 0x%llx is not aligned",
					 width, map->offset + addr - map->base);
			return map;
		}
	SHIM_BUG("access of %u bytes at %p: not mapped", width, p);
	return NULL;
}

void iounmap(void __iomem *base)
{
	struct shim_ioremap *map = shim_io(base, 1);

	BUG_ON(map->base != (unsigned long)base);
	list_del(&map->list);
	free(map);
	shim_counts.ioremaps--;
}

void __iomem *pci_iomap(struct pci_dev *dev, int bar, unsigned long max)
{
	struct shim_bar *b = &dev->bar[bar];

	might_sleep();
	if (shim_fail(FAIL_IOREMAP) || !b->start || !b->len)
		return NULL;
	BUG_ON(b->flags & IORESOURCE_IO && !dev->io_on);
	return shim_map(dev, bar, 0, max && max < b->len ? max : b->len);
}

void pci_iounmap(struct pci_dev *dev, void __iomem *base)
{
	iounmap(base);
}

static u32 ioread(const void __iomem *p, unsigned int width)
{
	struct shim_ioremap *map = shim_io(p, width);

	return map->dev->ops->read(map->dev, map->bar, map->offset +
				   ((unsigned long)p - map->base), width);
}

static void iowrite(u32 v, void __iomem *p, unsigned int width)
{
	struct shim_ioremap *map = shim_io(p, width);

	map->dev->ops->write(map->dev, map->bar, map->offset +
			     ((unsigned long)p - map->base), width, v);
}

u8 ioread8(const void __iomem *p) { return ioread(p, 1); }
u16 ioread16(const void __iomem *p) { return ioread(p, 2); }
u32 ioread32(const void __iomem *p) { return ioread(p, 4); }
void iowrite8(u8 v, void __iomem *p) { iowrite(v, p, 1); }
void iowrite16(u16 v, void __iomem *p) { iowrite(v, p, 2); }
void iowrite32(u32 v, void __iomem *p) { iowrite(v, p, 4); }

/* Interrupts */

struct shim_action {
	struct list_head list;
	unsigned int irq;
	irqreturn_t (*handler)(int irq, void *data);
	unsigned long flags;
	char *name;
	void *data;
	const struct cpumask *hint, *affinity;
};

static LIST_HEAD(shim_actions);
#define MAX_PENDING	64
static unsigned int shim_pending[MAX_PENDING], shim_num_pending;
unsigned long shim_irqs_unhandled;

static struct shim_action *shim_action(unsigned int irq, void *data)
{
	struct shim_action *action;

	list_for_each_entry(action, &shim_actions, list)
		if (action->irq == irq && (!data || action->data == data))
			return action;
	return NULL;
}

int request_irq(unsigned int irq, irqreturn_t (*handler)(int irq, void *data),
		unsigned long flags, const char *name, void *data)
{
	struct shim_action *action = shim_action(irq, NULL);

	might_sleep();
	/* An errno for an interrupt: somebody took no for an answer. */
	BUG_ON((int)irq < 0);
	if (shim_fail(FAIL_IRQ))
		return -EBUSY;
	if (action && !(action->flags & flags & IRQF_SHARED))
		return -EBUSY;
	action = malloc(sizeof(*action));
	action->irq = irq;
	action->handler = handler;
	action->flags = flags;
	action->name = strdup(name);
	action->data = data;
	action->hint = NULL;
	action->affinity = NULL;
	list_add_tail(&action->list, &shim_actions);
	return 0;
}

const void *shim_free_irq(unsigned int irq, void *data)
{
	struct shim_action *action = shim_action(irq, data);

	might_sleep();
	if (!action)
		SHIM_BUG("interrupt %u is freed twice", irq);
	/* The kernel warns: the mask would be used after it is gone. */
	BUG_ON(action->hint);
	list_del(&action->list);
	free(action->name);
	free(action);
	return NULL;
}

void synchronize_irq(unsigned int irq)
{
	might_sleep();
	BUG_ON(!shim_action(irq, NULL));
}

int shim_set_hint(unsigned int irq, const struct cpumask *mask)
{
	struct shim_action *action = shim_action(irq, NULL);

	if (!action)
		return -EINVAL;
	action->hint = mask;
	return 0;
}

#ifdef COMPAT_HAVE_IRQ_SET_AFFINITY_AND_HINT
int irq_set_affinity_and_hint(unsigned int irq, const struct cpumask *mask)
{
	if (mask && shim_action(irq, NULL))
		shim_action(irq, NULL)->affinity = mask;
	return shim_set_hint(irq, mask);
}
#endif

static int symbols;
const char *shim_no_symbol;

/* What is looked up by its name, where the kernel has it. */
void *__symbol_get(const char *name)
{
	void *symbol = NULL;

	if (shim_no_symbol && !strcmp(name, shim_no_symbol))
		return NULL;
#ifndef COMPAT_HAVE_BLK_MQ_ALLOC_DISK
	if (!strcmp(name, "irq_set_affinity_hint"))
		symbol = (void *)shim_set_hint;
#ifdef SHIM_FLUSH_FLAGS
	if (!strcmp(name, "blk_queue_flush"))
		symbol = (void *)blk_queue_flush;
	if (!strcmp(name, "netif_notify_peers"))
		symbol = (void *)netif_notify_peers;
#endif
	if (!strcmp(name, "all_vm_events"))
		symbol = (void *)all_vm_events;
	if (!strcmp(name, "si_meminfo"))
		symbol = (void *)si_meminfo;
	if (!strcmp(name, "vm_stat"))
		symbol = vm_stat;
	if (!strcmp(name, "register_oom_notifier"))
		symbol = (void *)shim_register_oom;
	if (!strcmp(name, "unregister_oom_notifier"))
		symbol = (void *)shim_unregister_oom;
	if (!strcmp(name, "blk_queue_ordered"))
		symbol = (void *)blk_queue_ordered;
	if (!strcmp(name, "scsi_rescan_device"))
		symbol = (void *)scsi_rescan_device;
#endif
#ifdef COMPAT_HAVE_NETDEV_OPS_EXT_STATS64
	if (!strcmp(name, "set_netdev_ops_ext"))
		symbol = (void *)set_netdev_ops_ext;
#endif
#ifdef COMPAT_HAVE_ETHTOOL_CHANNELS_EXT
	if (!strcmp(name, "set_ethtool_ops_ext"))
		symbol = (void *)set_ethtool_ops_ext;
#endif
	if (!symbol)
		symbol = shim_hvc_symbol(name);
	symbols += symbol != NULL;
	return symbol;
}

void __symbol_put(const char *name)
{
	BUG_ON(!symbols);
	symbols--;
}

const char *shim_irq_name(unsigned int irq)
{
	struct shim_action *action = shim_action(irq, NULL);

	return action ? action->name : NULL;
}

const struct cpumask *shim_irq_hint(unsigned int irq)
{
	return shim_action(irq, NULL) ? shim_action(irq, NULL)->hint : NULL;
}

const struct cpumask *shim_irq_affinity(unsigned int irq)
{
	return shim_action(irq, NULL) ? shim_action(irq, NULL)->affinity : NULL;
}

unsigned int shim_irq_count(void)
{
	struct shim_action *action;
	unsigned int n = 0;

	list_for_each_entry(action, &shim_actions, list)
		n++;
	return n;
}

static void shim_deliver(unsigned int irq)
{
	struct shim_action *action, *tmp;
	irqreturn_t ret = IRQ_NONE;

	shim_irq_enter();
	list_for_each_entry_safe(action, tmp, &shim_actions, list)
		if (action->irq == irq)
			ret |= action->handler(irq, action->data);
	shim_irq_exit();
	if (ret == IRQ_NONE)
		shim_irqs_unhandled++;
}

void shim_irqs_pending(void)
{
	unsigned int irq, n = 0;

	while (shim_num_pending && !irqs_disabled()) {
		irq = shim_pending[0];
		memmove(shim_pending, shim_pending + 1,
			--shim_num_pending * sizeof(irq));
		shim_deliver(irq);
		/* A storm: enough is enough, as the kernel says as well. */
		if (++n > 1000) {
			shim_num_pending = 0;
			return;
		}
	}
}

static void shim_raise(unsigned int irq)
{
	unsigned int i;

	for (i = 0; i < shim_num_pending; i++)
		if (shim_pending[i] == irq)
			return;
	if (shim_num_pending < MAX_PENDING)
		shim_pending[shim_num_pending++] = irq;
	shim_irqs_pending();
}

void shim_msix(struct pci_dev *dev, unsigned int vector)
{
	if (vector < dev->msix_on)
		shim_raise(dev->msix_base + vector);
}

void shim_intx(struct pci_dev *dev)
{
	if (dev->intx && !dev->msix_on)
		shim_raise(dev->irq);
}

/* MSI-X */

static int shim_msix_enable(struct pci_dev *dev, unsigned int n)
{
	might_sleep();
	BUG_ON(dev->msix_on || !n);
	if (!dev->msix_table)
		return -EINVAL;
	if (shim_fail(FAIL_MSIX))
		return -ENOMEM;
	if (n > dev->msix_table)
		return dev->msix_table;
	dev->msix_on = n;
	return 0;
}

static void shim_msix_disable(struct pci_dev *dev)
{
	unsigned int i;

	might_sleep();
	/* EL6's free_msi_irqs() does not forgive a handler that is left. */
	for (i = 0; i < dev->msix_on; i++)
		BUG_ON(shim_action(dev->msix_base + i, NULL));
	dev->msix_on = 0;
}

#ifdef COMPAT_HAVE_PCI_ALLOC_IRQ_VECTORS
int pci_alloc_irq_vectors(struct pci_dev *dev, unsigned int min_vecs,
			  unsigned int max_vecs, unsigned int flags)
{
	int err;

	BUG_ON(flags != PCI_IRQ_MSIX || min_vecs != max_vecs);
	err = shim_msix_enable(dev, max_vecs);
	return err > 0 ? -ENOSPC : err ? err : (int)max_vecs;
}

void pci_free_irq_vectors(struct pci_dev *dev)
{
	shim_msix_disable(dev);
}

int pci_irq_vector(struct pci_dev *dev, unsigned int nr)
{
	if (WARN_ON(nr >= dev->msix_on))
		return -EINVAL;
	return dev->msix_base + nr;
}
#else
int pci_enable_msix(struct pci_dev *dev, struct msix_entry *entries, int n)
{
	int i, err = shim_msix_enable(dev, n);

	for (i = 0; !err && i < n; i++) {
		BUG_ON(entries[i].entry != i);
		entries[i].vector = dev->msix_base + i;
	}
	return err;
}

void pci_disable_msix(struct pci_dev *dev)
{
	shim_msix_disable(dev);
}
#endif

/* Coming and going */

static int shim_pci_probe(struct pci_dev *dev)
{
	const struct pci_device_id *id;
	int err = -ENODEV;

	for (id = pci_driver->id_table; id->vendor; id++) {
		if (id->vendor != dev->vendor ||
		    (id->device != PCI_ANY_ID && id->device != dev->device))
			continue;
		dev->driver = pci_driver;
		err = pci_driver->probe(dev, id);
		BUG_ON(shim_in_atomic());
		if (err) {
			dev->driver = NULL;
			/* Everything that probe got it gave back. */
			BUG_ON(dev->enabled || dev->regions || dev->msix_on ||
			       dev->dev.driver_data);
		}
		break;
	}
	return err;
}

int shim_pci_add(struct pci_dev *dev)
{
	static struct device_driver driver = { .name = "virtio-pci" };

	device_initialize(&dev->dev);
	dev->dev.driver = &driver;
	list_add_tail(&dev->dev.list, &shim_functions);
	return pci_driver ? shim_pci_probe(dev) : 0;
}

int shim_pci_sleep(struct pci_dev *dev, enum shim_sleep kind)
{
	const struct dev_pm_ops *pm = dev->driver->driver.pm;
	int err;

	err = kind == SHIM_SLEEP_RAM ? pm->suspend(&dev->dev) :
	      kind == SHIM_SLEEP_FREEZE ? pm->freeze(&dev->dev) :
	      pm->poweroff(&dev->dev);
	BUG_ON(shim_in_atomic());
	return err;
}

int shim_pci_wake(struct pci_dev *dev, enum shim_sleep kind)
{
	const struct dev_pm_ops *pm = dev->driver->driver.pm;
	int err;

	err = kind == SHIM_SLEEP_RAM ? pm->resume(&dev->dev) :
	      kind == SHIM_SLEEP_FREEZE ? pm->thaw(&dev->dev) :
	      pm->restore(&dev->dev);
	BUG_ON(shim_in_atomic());
	return err;
}

static void shim_pci_remove(struct pci_dev *dev)
{
	if (!dev->driver)
		return;
	dev->driver->remove(dev);
	dev->driver = NULL;
	BUG_ON(shim_in_atomic());
	BUG_ON(dev->enabled || dev->regions || dev->msix_on ||
	       dev->dev.driver_data);
}

void shim_pci_del(struct pci_dev *dev)
{
	shim_pci_remove(dev);
	/* Whoever took a reference gave it back. */
	BUG_ON(dev->dev.refs != 1);
	list_del(&dev->dev.list);
}

int pci_register_driver(struct pci_driver *drv)
{
	struct pci_dev *dev;

	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	pci_driver = drv;
	list_for_each_entry(dev, &shim_functions, dev.list)
		shim_pci_probe(dev);
	return 0;
}

void pci_unregister_driver(struct pci_driver *drv)
{
	struct pci_dev *dev;

	list_for_each_entry(dev, &shim_functions, dev.list)
		shim_pci_remove(dev);
	pci_driver = NULL;
}
