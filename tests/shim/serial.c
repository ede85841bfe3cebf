// SPDX-License-Identifier: GPL-2.0
/*
 * A console device in software.
 */
#include "serial.h"

#define DRIVER_BUG_ON(serial, cond)	BUG_ON(!(serial)->fn.lying && (cond))

static struct serial *serial_of(struct fn *fn)
{
	return container_of(fn, struct serial, fn);
}

static struct ring *ring_of(struct serial *serial, unsigned int queue)
{
	return &serial->fn.queue[queue].ring;
}

static unsigned int in_queue(u32 id)
{
	return id ? 2 * id + 2 : 0;
}

/* One that was pulled out has no queue, though nobody could tell it so. */
static bool serial_has(const struct serial *serial, unsigned int queue)
{
	return serial->fn.queue[queue].enable && !serial->fn.gone;
}

static void serial_signal(struct serial *serial, unsigned int queue)
{
	if (serial_has(serial, queue) &&
	    ring_wants_irq(ring_of(serial, queue)))
		fn_queue_irq(&serial->fn, queue);
}

static void serial_take_out(struct serial *serial, u32 id, struct chain *chain)
{
	struct serial_port *port = &serial->port[id];
	unsigned int i;

	for (i = 0; i < chain->n; i++) {
		DRIVER_BUG_ON(serial, chain->seg[i].write);
		if (port->len + chain->seg[i].len > SERIAL_DATA)
			port->len = 0;
		if (chain->seg[i].len > SERIAL_DATA)
			continue;
		memcpy(port->data + port->len, chain->seg[i].p,
		       chain->seg[i].len);
		port->len += chain->seg[i].len;
	}
}

static void serial_serve_out(struct serial *serial, u32 id)
{
	struct serial_port *port = &serial->port[id];
	unsigned int queue = in_queue(id) + 1;
	static struct chain chain;

	while (port->num_held < ARRAY_SIZE(port->held) &&
	       ring_pop(ring_of(serial, queue), &chain)) {
		ring_want_kick(ring_of(serial, queue), true);
		if (port->hold) {
			port->held[port->num_held++] = chain.head;
			continue;
		}
		serial_take_out(serial, id, &chain);
		ring_push(ring_of(serial, queue), chain.head, 0);
	}
	serial_signal(serial, queue);
}

static void serial_hear(struct serial *serial, struct chain *chain)
{
	struct virtio_console_control ctrl;

	DRIVER_BUG_ON(serial, chain->n != 1 || chain->seg[0].write ||
		      chain->seg[0].len != sizeof(ctrl));
	memcpy(&ctrl, chain->seg[0].p, min_t(size_t, sizeof(ctrl), chain->seg[0].len));
	serial->msgs++;
	if (ctrl.event == VIRTIO_CONSOLE_DEVICE_READY) {
		serial->device_ready = ctrl.value;
		return;
	}
	if (ctrl.id >= SERIAL_PORTS) {
		DRIVER_BUG_ON(serial, true);
		return;
	}
	switch (ctrl.event) {
	case VIRTIO_CONSOLE_PORT_READY:
		serial->port[ctrl.id].ready = ctrl.value;
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		serial->port[ctrl.id].opens = ctrl.value;
		break;
	default:
		DRIVER_BUG_ON(serial, true);
	}
}

static void serial_serve(struct fn *fn, unsigned int queue)
{
	struct serial *serial = serial_of(fn);
	static struct chain chain;

	if (queue == VIRTIO_CONSOLE_VQ_CTRL_OUT) {
		while (!serial->deaf && ring_pop(ring_of(serial, queue), &chain)) {
			ring_want_kick(ring_of(serial, queue), true);
			serial_hear(serial, &chain);
			ring_push(ring_of(serial, queue), chain.head, 0);
		}
		serial_signal(serial, queue);
	} else if (queue != VIRTIO_CONSOLE_VQ_CTRL_IN && queue % 2) {
		serial_serve_out(serial, queue == 1 ? 0 : queue / 2 - 1);
	}
}

void serial_release(struct serial *serial, u32 id)
{
	struct serial_port *port = &serial->port[id];
	unsigned int i, queue = in_queue(id) + 1;
	static struct chain chain;

	port->hold = false;
	if (!serial_has(serial, queue))
		return;
	for (i = 0; i < port->num_held; i++) {
		chain.head = port->held[i];
		ring_walk(ring_of(serial, queue), &chain);
		serial_take_out(serial, id, &chain);
		ring_push(ring_of(serial, queue), chain.head, 0);
	}
	port->num_held = 0;
	serial_serve_out(serial, id);
	serial_signal(serial, queue);
}

bool serial_raw_control(struct serial *serial, const void *data, u32 len,
			u32 used_len)
{
	unsigned int queue = VIRTIO_CONSOLE_VQ_CTRL_IN;
	static struct chain chain;

	if (!serial_has(serial, queue) ||
	    !ring_pop(ring_of(serial, queue), &chain))
		return false;
	len = min(len, chain.in_len);
	if (len)
		chain_copy(&chain, 0, (void *)data, len, true);
	ring_push(ring_of(serial, queue), chain.head, used_len);
	serial_signal(serial, queue);
	return true;
}

bool serial_control(struct serial *serial, u32 id, u16 event, u16 value)
{
	struct virtio_console_control ctrl = { id, event, value };

	return serial_raw_control(serial, &ctrl, sizeof(ctrl), sizeof(ctrl));
}

bool serial_name(struct serial *serial, u32 id, const void *name, u32 len)
{
	struct virtio_console_control ctrl = {
		id, VIRTIO_CONSOLE_PORT_NAME, 1
	};
	u8 data[8192];

	memcpy(data, &ctrl, sizeof(ctrl));
	memcpy(data + sizeof(ctrl), name, len);
	return serial_raw_control(serial, data, sizeof(ctrl) + len,
				  sizeof(ctrl) + len);
}

size_t serial_send(struct serial *serial, u32 id, const void *data, size_t len)
{
	unsigned int queue = in_queue(id);
	struct serial_port *port = &serial->port[id];
	static struct chain chain;
	size_t done = 0;
	u32 n;

	while (done < len && serial_has(serial, queue) &&
	       ring_pop(ring_of(serial, queue), &chain)) {
		n = min_t(size_t, len - done, chain.in_len);
		chain_copy(&chain, 0, (u8 *)data + done, n, true);
		ring_push(ring_of(serial, queue), chain.head,
			  port->used_len < 0 ? n : (u32)port->used_len);
		done += n;
	}
	serial_signal(serial, queue);
	return done;
}

/* Nothing of it is the device's any more. */
static bool serial_forget(struct fn *fn, unsigned int queue, u32 head)
{
	return false;
}

static void serial_on_reset(struct fn *fn)
{
	struct serial *serial = serial_of(fn);
	unsigned int i;

	for (i = 0; i < SERIAL_PORTS; i++)
		serial->port[i].num_held = 0;
}

void serial_set_config(struct serial *serial)
{
	memcpy(serial->fn.device_config, &serial->config,
	       sizeof(serial->config));
}

void serial_init(struct serial *serial, unsigned int slot, bool multiport)
{
	struct fn *fn = &serial->fn;
	unsigned int i;

	fn_init(fn, VIRTIO_PCI_MODERN_ID_MIN + VIRTIO_ID_CONSOLE, slot);
	fn->serve = serial_serve;
	fn->forget = serial_forget;
	fn->on_reset = serial_on_reset;
	fn->num_queues = multiport ? 2 * SERIAL_PORTS + 2 : 2;
	fn->device_config_len = sizeof(serial->config);
	fn->features |= 1ULL << VIRTIO_CONSOLE_F_EMERG_WRITE;
	if (multiport)
		fn->features |= 1ULL << VIRTIO_CONSOLE_F_MULTIPORT;
	serial->config.max_nr_ports = SERIAL_PORTS;
	serial->device_ready = -1;
	for (i = 0; i < SERIAL_PORTS; i++) {
		serial->port[i].used_len = -1;
		serial->port[i].ready = -1;
		serial->port[i].opens = -1;
		if (!serial->port[i].data)
			serial->port[i].data = malloc(SERIAL_DATA);
	}
	serial_set_config(serial);
}

struct serial *serial_new(unsigned int slot, bool multiport)
{
	struct serial *serial = calloc(1, sizeof(*serial));

	serial_init(serial, slot, multiport);
	return serial;
}

void serial_free(struct serial *serial)
{
	unsigned int i;

	for (i = 0; i < SERIAL_PORTS; i++)
		free(serial->port[i].data);
	free(serial);
}
