/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A driver that only takes queues, for tests of what is below drivers.
 */
#ifndef _UNIT_TAKE_H
#define _UNIT_TAKE_H

#include <linux/virtio_config.h>
#include "unit.h"

/* No driver of the pack is for that type. */
#define TAKE_ID	42

static unsigned int wanted_queues, callbacks;
static struct virtqueue *vqs[FN_MAX_QUEUES];
static struct virtqueue_info info[FN_MAX_QUEUES];
static int probe_error;

static void callback(struct virtqueue *vq)
{
	unsigned int len;

	callbacks++;
	while (virtqueue_get_buf(vq, &len))
		;
}

static int take_probe(struct virtio_device *vdev)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", "f" };
	unsigned int i;

	for (i = 0; i < wanted_queues; i++) {
		info[i].name = names[i];
		info[i].max_sgs = 4;
	}
	probe_error = virtio_find_vqs(vdev, wanted_queues, vqs, info);
	return probe_error;
}

static void take_remove(struct virtio_device *vdev)
{
	unsigned int i;

	virtio_reset_device(vdev);
	for (i = 0; i < wanted_queues; i++)
		while (vqs[i] && virtqueue_detach_unused_buf(vqs[i]))
			;
	virtio_del_vqs(vdev);
}

static const struct virtio_device_id take_ids[] = {
	{ TAKE_ID, VIRTIO_DEV_ANY_ID },
	{ 0 }
};

static struct virtio_driver take_driver = {
	.driver.name	= "take",
	.id_table	= take_ids,
	.probe		= take_probe,
	.remove		= take_remove,
};

/* It wants so many queues, each with a callback, and is there. */
static void take_start(unsigned int queues)
{
	unsigned int i;

	wanted_queues = queues;
	memset(info, 0, sizeof(info));
	for (i = 0; i < FN_MAX_QUEUES; i++)
		info[i].callback = callback;
	callbacks = 0;
	probe_error = 1;
	assert_int_equal(register_virtio_driver(&take_driver), 0);
}

#endif /* _UNIT_TAKE_H */
