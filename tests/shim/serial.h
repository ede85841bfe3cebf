/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A console device in software, virtio 1.2 section 5.3, and what is behind its
 * ports on the host.
 */
#ifndef _SHIM_SERIAL_H
#define _SHIM_SERIAL_H

#include "device.h"
#include <linux/virtio_console.h>

#define SERIAL_PORTS	9
#define SERIAL_DATA	(1 << 20)

/**
 * struct serial_port - a port as the host has it
 * @data:	what the guest has sent
 * @len:	how much
 * @hold:	the host does not read: buffers stay where they are
 * @held:	buffers that were taken, and not given back
 * @used_len:	what the used ring says was sent to the guest; -1: the truth
 * @ready:	what PORT_READY said; -1: nothing
 * @opens:	what the last PORT_OPEN said; -1: none came
 */
struct serial_port {
	u8 *data;
	size_t len;
	bool hold;
	u16 held[300];
	unsigned int num_held;
	long used_len;
	int ready, opens;
};

/**
 * struct serial - the device
 * @device_ready: what DEVICE_READY said; -1: nothing
 * @deaf:	takes no control messages
 * @msgs:	control messages that it took
 */
struct serial {
	struct fn fn;
	struct virtio_console_config config;
	struct serial_port port[SERIAL_PORTS];
	int device_ready;
	bool deaf;
	unsigned int msgs;
};

void serial_init(struct serial *serial, unsigned int slot, bool multiport);
struct serial *serial_new(unsigned int slot, bool multiport);
void serial_free(struct serial *serial);
void serial_set_config(struct serial *serial);

/* False: there is no buffer for it. */
bool serial_control(struct serial *serial, u32 id, u16 event, u16 value);
bool serial_name(struct serial *serial, u32 id, const void *name, u32 len);
bool serial_raw_control(struct serial *serial, const void *data, u32 len,
			u32 used_len);
/* Bytes for which there were buffers. */
size_t serial_send(struct serial *serial, u32 id, const void *data, size_t len);
/* The host reads again. */
void serial_release(struct serial *serial, u32 id);

#endif /* _SHIM_SERIAL_H */
