/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI functions, their memory and their interrupts. The function itself, its
 * config space and what is behind its BARs, is the test's: struct shim_pci_ops.
 */
#ifndef _SHIM_PCI_H
#define _SHIM_PCI_H

#include <shim/driver.h>

struct pci_dev;

struct shim_pci_ops {
	u32 (*config_read)(struct pci_dev *dev, unsigned int pos,
			   unsigned int width);
	void (*config_write)(struct pci_dev *dev, unsigned int pos,
			     unsigned int width, u32 v);
	u32 (*read)(struct pci_dev *dev, unsigned int bar, u64 offset,
		    unsigned int width);
	void (*write)(struct pci_dev *dev, unsigned int bar, u64 offset,
		      unsigned int width, u32 v);
};

/* pci_regs.h */

#define PCI_VENDOR_ID		0x00
#define PCI_COMMAND		0x04
#define PCI_COMMAND_MASTER	0x04
#define PCI_STATUS		0x06
#define PCI_STATUS_CAP_LIST	0x10
#define PCI_CAPABILITY_LIST	0x34
#define PCI_CAP_LIST_ID		0
#define PCI_CAP_LIST_NEXT	1
#define PCI_CAP_ID_VNDR		0x09
#define PCI_CAP_ID_MSIX		0x11
#define SHIM_CFG_SIZE		256
#ifdef COMPAT_HAVE_PCI_ALLOC_IRQ_VECTORS
#define PCI_STD_HEADER_SIZEOF	64
#define PCI_STD_NUM_BARS	6
#define PCI_CFG_SPACE_SIZE	256
#endif

/* pci.h */

#define PCI_ANY_ID		(~0U)
#define PCI_DEVICE(v, d)	.vendor = (v), .device = (d)
#define IORESOURCE_IO		0x100
#define IORESOURCE_MEM		0x200

struct shim_bar {
	resource_size_t start, len;
	unsigned long flags;
};

struct pci_dev {
	struct device dev;
	unsigned short vendor, device;
	unsigned short subsystem_vendor, subsystem_device;
	u8 revision;
	unsigned int irq;

	/* What the test says about the function… */
	const struct shim_pci_ops *ops;
	struct shim_bar bar[6];
	unsigned int msix_table;	/* vectors; 0: no MSI-X */
	unsigned int msix_base;		/* number of vector 0's interrupt */
	u64 dma_mask;			/* the most that it can do */

	/* … and what became of it. */
	struct pci_driver *driver;
	unsigned int enabled;
	bool io_on;			/* its I/O ports are decoded */
	bool intx;
	unsigned int regions;		/* BARs that are claimed, a mask */
	unsigned int msix_on;		/* vectors that are in use */
};

#define to_pci_dev(d)	container_of(d, struct pci_dev, dev)

struct pci_driver {
	struct device_driver driver;
	const char *name;
	const struct pci_device_id *id_table;
	int (*probe)(struct pci_dev *dev, const struct pci_device_id *id);
	void (*remove)(struct pci_dev *dev);
};

int pci_register_driver(struct pci_driver *drv);
void pci_unregister_driver(struct pci_driver *drv);

#define pci_resource_start(d, i)	((d)->bar[i].start)
#define pci_resource_len(d, i)		((d)->bar[i].len)
#define pci_resource_flags(d, i)	((d)->bar[i].flags)
#define pci_name(d)			dev_name(&(d)->dev)
#define pci_set_drvdata(d, p)		((d)->dev.driver_data = (p))
#define pci_get_drvdata(d)		((d)->dev.driver_data)

int pci_read_config_byte(struct pci_dev *dev, int pos, u8 *v);
int pci_read_config_word(struct pci_dev *dev, int pos, u16 *v);
int pci_read_config_dword(struct pci_dev *dev, int pos, u32 *v);
int pci_write_config_byte(struct pci_dev *dev, int pos, u8 v);
int pci_write_config_word(struct pci_dev *dev, int pos, u16 v);
int pci_write_config_dword(struct pci_dev *dev, int pos, u32 v);
u8 pci_find_capability(struct pci_dev *dev, int id);
int pci_enable_device(struct pci_dev *dev);
int pci_enable_device_mem(struct pci_dev *dev);
void pci_disable_device(struct pci_dev *dev);
void pci_set_master(struct pci_dev *dev);
int pci_request_selected_regions(struct pci_dev *dev, int bars,
				 const char *name);
void pci_release_selected_regions(struct pci_dev *dev, int bars);
void pci_intx(struct pci_dev *dev, int on);
#ifndef COMPAT_HAVE_DMA_SET_MASK_AND_COHERENT
int pci_set_dma_mask(struct pci_dev *dev, u64 mask);
int pci_set_consistent_dma_mask(struct pci_dev *dev, u64 mask);
#endif

#ifdef COMPAT_HAVE_PCI_ALLOC_IRQ_VECTORS
#define PCI_IRQ_MSIX	(1 << 2)
int pci_alloc_irq_vectors(struct pci_dev *dev, unsigned int min_vecs,
			  unsigned int max_vecs, unsigned int flags);
void pci_free_irq_vectors(struct pci_dev *dev);
int pci_irq_vector(struct pci_dev *dev, unsigned int nr);
#else
struct msix_entry {
	u32 vector;
	u16 entry;
};
int pci_enable_msix(struct pci_dev *dev, struct msix_entry *entries, int n);
void pci_disable_msix(struct pci_dev *dev);
#endif

/* io.h */

void __iomem *ioremap(resource_size_t start, unsigned long len);
void iounmap(void __iomem *base);
void __iomem *pci_iomap(struct pci_dev *dev, int bar, unsigned long max);
void pci_iounmap(struct pci_dev *dev, void __iomem *base);
u8 ioread8(const void __iomem *p);
u16 ioread16(const void __iomem *p);
u32 ioread32(const void __iomem *p);
void iowrite8(u8 v, void __iomem *p);
void iowrite16(u16 v, void __iomem *p);
void iowrite32(u32 v, void __iomem *p);

/* interrupt.h */

typedef int irqreturn_t;
#define IRQ_NONE	0
#define IRQ_HANDLED	1
#define IRQF_SHARED	0x80

int request_irq(unsigned int irq, irqreturn_t (*handler)(int irq, void *data),
		unsigned long flags, const char *name, void *data);
const void *shim_free_irq(unsigned int irq, void *data);
#define free_irq(irq, data)	shim_free_irq(irq, data)
void synchronize_irq(unsigned int irq);
int shim_set_hint(unsigned int irq, const struct cpumask *mask);
#ifdef COMPAT_HAVE_IRQ_SET_AFFINITY_AND_HINT
int irq_set_affinity_and_hint(unsigned int irq, const struct cpumask *mask);
#endif
/* A kernel that does not export this one. */
extern const char *shim_no_symbol;

/* The function raises an interrupt: a vector of its own, or its line. */
void shim_msix(struct pci_dev *dev, unsigned int vector);
void shim_intx(struct pci_dev *dev);
/* The function appears, and goes. Adding returns what probe returned. */
int shim_pci_add(struct pci_dev *dev);
void shim_pci_del(struct pci_dev *dev);
/* A sleep of a kind begins, and ends; what the driver's function returned. */
enum shim_sleep { SHIM_SLEEP_RAM, SHIM_SLEEP_FREEZE, SHIM_SLEEP_OFF,
		  SHIM_SLEEP_KINDS };
int shim_pci_sleep(struct pci_dev *dev, enum shim_sleep kind);
int shim_pci_wake(struct pci_dev *dev, enum shim_sleep kind);
/* Handlers that are installed for it, by name; NULL: no such one. */
const char *shim_irq_name(unsigned int irq);
unsigned int shim_irq_count(void);
const struct cpumask *shim_irq_hint(unsigned int irq);
const struct cpumask *shim_irq_affinity(unsigned int irq);

#endif /* _SHIM_PCI_H */
