// SPDX-License-Identifier: GPL-2.0
/*
 * The console driver, with a device that says anything on its control queue and
 * in its config space, returns any length and id, breaks, or is pulled out,
 * while ports are opened, read and written. Nobody waits for ever, and in the
 * end nothing is left.
 */
#include "feed.h"
#include "serial.h"
#include <shim/file.h>

#define MAX_FILES	8

static struct serial the_serial, *serial = &the_serial;
static struct file *files[MAX_FILES];
static unsigned int patience;
static u8 data[40000];

/* Somebody waits: not for ever. */
static void idle(void)
{
	fn_serve_all();
	if (patience && !--patience)
		shim_signal = true;
}

static void configure(void)
{
	struct fn *fn = &serial->fn;
	u8 what = feed_u8();
	unsigned int i, num;

	serial_init(serial, 1, !(what & 64));
	fn->lying = true;
	if (what & 1)
		for (i = feed_u8() % 16; i; i--)
			fn->device_config[feed_u8() % 12] = feed_number();
	feed_function(fn, what);
	num = 1 << feed_u8() % 9;
	for (i = 0; i < FN_MAX_QUEUES; i++) {
		fn->queue[i].max = num;
		fn->queue[i].size = num;
	}
	fn->pci.msix_table = feed_u8() % 24;
}

static u32 feed_port(void)
{
	u8 how = feed_u8();

	return how < 240 ? how % SERIAL_PORTS : feed_number();
}

static void say(void)
{
	u8 how = feed_u8();
	struct virtio_console_control ctrl = {
		feed_port(), how < 240 ? how % 9 : feed_number(), feed_u8() % 3
	};
	u32 len = sizeof(ctrl), more = feed_u8() % 64, used;

	memcpy(data, &ctrl, sizeof(ctrl));
	if (how % 9 == VIRTIO_CONSOLE_PORT_NAME || how % 9 == VIRTIO_CONSOLE_RESIZE)
		for (; more; more--)
			data[len++] = feed_u8();
	used = how & 16 ? feed_number() : len;
	serial_raw_control(serial, data, len, used);
}

static void device_acts(void)
{
	struct fn *fn = &serial->fn;
	u32 id = feed_u8() % SERIAL_PORTS;
	unsigned int q = feed_u8() % fn->num_queues;
	u8 op = feed_u8();

	if (fn->gone)
		return;
	switch (op % 10) {
	case 0:
	case 1:
		fn_serve_all();
		break;
	case 2:
		serial->port[id].hold = !serial->port[id].hold;
		break;
	case 3:
		serial_release(serial, id);
		break;
	case 4:
		serial->port[id].used_len = op & 0x80 ? feed_number() : -1;
		break;
	case 5:
		if (fn->queue[id ? 2 * id + 2 : 0].enable)
			serial_send(serial, id, data, feed_u16() % sizeof(data));
		break;
	case 6:
		serial->deaf = op & 0x80;
		break;
	case 7:		/* something that nobody asked for */
		if (fn->queue[q].enable && !(op & 0x70))
			feed_push(fn, q, feed_number());
		fn_queue_irq(fn, q);
		break;
	case 8:
		fn->device_config[feed_u8() % 12] = feed_number();
		fn_config_irq(fn);
		break;
	case 9:
		if (!(op & 0x38))
			feed_break(fn, op);
		break;
	}
}

static void open_or_close(unsigned int n)
{
	char name[20];

	if (files[n]) {
		shim_close_file(files[n]);
		files[n] = NULL;
		return;
	}
	snprintf(name, sizeof(name), "vport0p%u", feed_u8() % SERIAL_PORTS);
	if (shim_open_file(name, feed_u8() & 1 ? O_NONBLOCK : 0, &files[n]))
		files[n] = NULL;
}

static void guest_acts(void)
{
	unsigned int n = feed_u8() % MAX_FILES, tty = feed_u8() % 3;
	size_t len = feed_u16() % sizeof(data);
	char text[64];

	switch (feed_u8() % 11) {
	case 0:
	case 1:
		open_or_close(n);
		break;
	case 2:
		if (files[n])
			shim_read_file(files[n], data, len);
		break;
	case 3:
		if (files[n])
			shim_write_file(files[n], data, len);
		break;
	case 4:
		if (files[n])
			shim_poll_file(files[n]);
		break;
	case 5:
		if (shim_tty(tty))
			shim_tty_open(tty);
		break;
	case 6:
		if (shim_tty(tty))
			shim_tty_read(tty, text, sizeof(text));
		break;
	case 7:
		if (shim_tty(tty))
			shim_tty_write(tty, text, len % sizeof(text));
		break;
	case 8:
		feed_rebind(&serial->fn);
		break;
	case 9:
		feed_sleep(&serial->fn, tty);
		break;
	case 10:
		feed_shutdown(&serial->fn);
		break;
	}
	shim_signal = false;
}

int LLVMFuzzerTestOneInput(const u8 *input, size_t size)
{
	unsigned int i;

	feed_start(input, size);
	shim_idle = idle;
	BUG_ON(shim_init_virtio() || shim_init_virtio_pci() ||
	       shim_init_virtio_console());
	configure();
	patience = 400;
	fn_plug(&serial->fn);
	while (feed_left) {
		u8 who = feed_u8() % 8;

		patience = 400;
		shim_still_alive();
		if (who < 3)
			say();
		else if (who < 5)
			device_acts();
		else if (who < 7)
			guest_acts();
		else
			shim_run();
	}

	patience = 400;
	shim_still_alive();
	fn_unplug(&serial->fn);
	for (i = 0; i < MAX_FILES; i++) {
		if (!files[i])
			continue;
		/* Dead, and harmless. */
		BUG_ON(shim_read_file(files[i], data, 10) != -ENODEV);
		shim_close_file(files[i]);
		files[i] = NULL;
	}

	shim_exit_virtio_console();
	shim_exit_virtio_pci();
	shim_exit_virtio();
	shim_files_finish();
	shim_finish();
	return 0;
}
