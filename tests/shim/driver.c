// SPDX-License-Identifier: GPL-2.0
/*
 * The driver core.
 */
#include <shim/shim.h>

int shim_unused;

const struct cpumask *cpumask_of(unsigned int cpu)
{
	static struct cpumask masks[SHIM_MAX_CPUS];

	masks[cpu].bits = 1UL << cpu;
	return &masks[cpu];
}

/* Devices */

void device_initialize(struct device *dev)
{
	dev->refs = 1;
	INIT_LIST_HEAD(&dev->list);
}

int dev_set_name(struct device *dev, const char *fmt, ...)
{
	char name[64];
	va_list args;

	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	va_start(args, fmt);
	vsnprintf(name, sizeof(name), fmt, args);
	va_end(args);
	free(dev->name);
	dev->name = strdup(name);
	return 0;
}

const char *dev_name(const struct device *dev)
{
	return dev->name ? dev->name : "(unnamed)";
}

struct device *get_device(struct device *dev)
{
	BUG_ON(!dev->refs);
	dev->refs++;
	return dev;
}

void put_device(struct device *dev)
{
	char *name = dev->name;

	might_sleep();
	BUG_ON(!dev->refs);
	if (--dev->refs)
		return;
	BUG_ON(dev->added || dev->file);
	dev->release(dev);
	free(name);
}

/* Buses, and who belongs to whom */

int bus_register(struct bus_type *bus)
{
	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	INIT_LIST_HEAD(&bus->devices);
	INIT_LIST_HEAD(&bus->drivers);
	return 0;
}

void bus_unregister(struct bus_type *bus)
{
	BUG_ON(!list_empty(&bus->devices) || !list_empty(&bus->drivers));
}

static int shim_try(struct device *dev, struct device_driver *drv)
{
	int err;

	if (dev->driver || !dev->bus->match(dev, drv))
		return -ENODEV;
	dev->driver = drv;
	err = dev->bus->probe(dev);
	BUG_ON(shim_in_atomic());
	if (err)
		dev->driver = NULL;
	return err;
}

int shim_bind(struct device *dev)
{
	struct device_driver *drv;
	int err = -ENODEV;

	list_for_each_entry(drv, &dev->bus->drivers, list) {
		err = shim_try(dev, drv);
		if (!err)
			break;
	}
	return err;
}

void shim_unbind(struct device *dev)
{
	if (!dev->driver)
		return;
	dev->bus->remove(dev);
	BUG_ON(shim_in_atomic());
	dev->driver = NULL;
}

void shim_shutdown(struct device *dev)
{
	dev->bus->shutdown(dev);
	BUG_ON(shim_in_atomic());
}

int device_add(struct device *dev)
{
	struct kobj_uevent_env env;

	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	BUG_ON(!dev->name);
	get_device(dev);
	dev->added = true;
	list_add_tail(&dev->list, &dev->bus->devices);
	dev->bus->uevent(dev, &env);
	shim_bind(dev);
	return 0;
}

void device_unregister(struct device *dev)
{
	BUG_ON(!dev->added);
	shim_unbind(dev);
	list_del(&dev->list);
	dev->added = false;
	put_device(dev);
	put_device(dev);
}

int driver_register(struct device_driver *drv)
{
	struct device *dev;

	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	list_add_tail(&drv->list, &drv->bus->drivers);
	list_for_each_entry(dev, &drv->bus->devices, list)
		shim_try(dev, drv);
	return 0;
}

void driver_unregister(struct device_driver *drv)
{
	struct device *dev;

	list_for_each_entry(dev, &drv->bus->devices, list)
		if (dev->driver == drv)
			shim_unbind(dev);
	list_del(&drv->list);
}

/* uevents, sysfs */

int add_uevent_var(struct kobj_uevent_env *env, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(env->buf, sizeof(env->buf), fmt, args);
	va_end(args);
	return 0;
}

int kobject_uevent_env(struct kobject *kobj, enum kobject_action action,
		       char *envp[])
{
	struct gendisk *disk = container_of(kobj, struct gendisk, dev.kobj);

	might_sleep();
	BUG_ON(action != KOBJ_CHANGE || strcmp(envp[0], "RESIZE=1"));
	disk->uevents++;
	return 0;
}

int kobject_uevent(struct kobject *kobj, enum kobject_action action)
{
	might_sleep();
	BUG_ON(action != KOBJ_CHANGE);
	kobj->changes++;
	return 0;
}

int device_create_file(struct device *dev, const struct device_attribute *attr)
{
	might_sleep();
	if (shim_fail(FAIL_DEVICE))
		return -ENOMEM;
	BUG_ON(dev->file);
	dev->file = attr;
	return 0;
}

void device_remove_file(struct device *dev,
			const struct device_attribute *attr)
{
	might_sleep();
	BUG_ON(dev->file != attr);
	dev->file = NULL;
}

static struct device_attribute *shim_attr(struct device *dev, const char *name)
{
	unsigned int i;

	if (dev->file && !strcmp(dev->file->attr.name, name))
		return (struct device_attribute *)dev->file;
	for (i = 0; dev->groups && dev->groups[0]->attrs[i]; i++)
		if (!strcmp(dev->groups[0]->attrs[i]->name, name))
			return container_of(dev->groups[0]->attrs[i],
					    struct device_attribute, attr);
	SHIM_BUG("%s has no attribute %s", dev_name(dev), name);
	return NULL;
}

ssize_t shim_attr_show(struct device *dev, const char *name, char *buf)
{
	struct device_attribute *attr = shim_attr(dev, name);
	ssize_t len;

	memset(buf, 0xa5, PAGE_SIZE);
	len = attr->show(dev, attr, buf);
	if (len >= 0)
		buf[len] = '\0';
	return len;
}

ssize_t shim_attr_store(struct device *dev, const char *name, const char *buf)
{
	struct device_attribute *attr = shim_attr(dev, name);

	return attr->store ? attr->store(dev, attr, buf, strlen(buf)) : -EIO;
}

int shim_attr_mode(struct device *dev, const char *name)
{
	return shim_attr(dev, name)->attr.mode;
}
