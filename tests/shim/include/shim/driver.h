/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver core: devices, drivers, buses, sysfs attributes, uevents.
 */
#ifndef _SHIM_DRIVER_H
#define _SHIM_DRIVER_H

#include <shim/base.h>
#include <shim/context.h>
#include <shim/memory.h>

struct device;
struct device_driver;
struct module;

struct kobject {
	unsigned int changes;		/* KOBJ_CHANGE without more */
};

struct kobj_uevent_env {
	char buf[256];
};
int add_uevent_var(struct kobj_uevent_env *env, const char *fmt, ...)
	__printf(2, 3);

enum kobject_action { KOBJ_ADD, KOBJ_REMOVE, KOBJ_CHANGE };
int kobject_uevent_env(struct kobject *kobj, enum kobject_action action,
		       char *envp[]);
int kobject_uevent(struct kobject *kobj, enum kobject_action action);

/* sysfs.h */

struct attribute {
	const char *name;
	unsigned int mode;
};

struct device_attribute {
	struct attribute attr;
	ssize_t (*show)(struct device *dev, struct device_attribute *attr,
			char *buf);
	ssize_t (*store)(struct device *dev, struct device_attribute *attr,
			 const char *buf, size_t count);
};

struct attribute_group {
	struct attribute **attrs;
};

#define S_IRUGO		0444
#define S_IWUSR		0200
#define __ATTR(_name, _mode, _show, _store)				\
	{ .attr = { #_name, _mode }, .show = _show, .store = _store }
#define __ATTR_RO(_name)	__ATTR(_name, S_IRUGO, _name##_show, NULL)

/* device.h */

struct bus_type {
	const char *name;
	int (*match)(struct device *dev, struct device_driver *drv);
	int (*uevent)(struct device *dev, struct kobj_uevent_env *env);
	int (*probe)(struct device *dev);
#ifdef COMPAT_HAVE_BUS_REMOVE_VOID
	void (*remove)(struct device *dev);
#else
	int (*remove)(struct device *dev);
#endif
	void (*shutdown)(struct device *dev);
	struct list_head devices, drivers;
};

struct dev_pm_ops {
	int (*suspend)(struct device *dev);
	int (*resume)(struct device *dev);
	int (*freeze)(struct device *dev);
	int (*thaw)(struct device *dev);
	int (*poweroff)(struct device *dev);
	int (*restore)(struct device *dev);
};

struct device_driver {
	const struct dev_pm_ops *pm;
	const char *name;
	struct bus_type *bus;
	struct module *owner;
	struct list_head list;
};

struct device {
	struct kobject kobj;
	struct device *parent;
	struct bus_type *bus;
	struct device_driver *driver;
	void (*release)(struct device *dev);
	const struct attribute_group **groups;
	const struct device_attribute *file;	/* one is enough so far */
	void *driver_data;

	char *name;
	unsigned int refs;
	bool added;
	struct list_head list;
};

int bus_register(struct bus_type *bus);
void bus_unregister(struct bus_type *bus);
int driver_register(struct device_driver *drv);
void driver_unregister(struct device_driver *drv);
void device_initialize(struct device *dev);
int device_add(struct device *dev);
void device_unregister(struct device *dev);
struct device *get_device(struct device *dev);
void put_device(struct device *dev);
int dev_set_name(struct device *dev, const char *fmt, ...) __printf(2, 3);
const char *dev_name(const struct device *dev);

int device_create_file(struct device *dev, const struct device_attribute *attr);
void device_remove_file(struct device *dev,
			const struct device_attribute *attr);

/* What a person finds in sysfs, and does there. */
ssize_t shim_attr_show(struct device *dev, const char *name, char *buf);
ssize_t shim_attr_store(struct device *dev, const char *name, const char *buf);
int shim_attr_mode(struct device *dev, const char *name);
int shim_bind(struct device *dev);
void shim_unbind(struct device *dev);

/* What the machine does with every device that has a driver. */
void shim_shutdown(struct device *dev);

#define dev_get_drvdata(dev)	((dev)->driver_data)

void shim_dev_log(char level, const struct device *dev, const char *fmt, ...)
	__printf(3, 4);
#define dev_err(dev, ...)	shim_dev_log('E', dev, __VA_ARGS__)
#define dev_warn(dev, ...)	shim_dev_log('W', dev, __VA_ARGS__)
#define dev_info(dev, ...)	shim_dev_log('I', dev, __VA_ARGS__)

/* mod_devicetable.h */

struct virtio_device_id {
	__u32 device;
	__u32 vendor;
};
#define VIRTIO_DEV_ANY_ID	0xffffffff

struct pci_device_id {
	__u32 vendor, device;
	__u32 subvendor, subdevice;
};

#endif /* _SHIM_DRIVER_H */
