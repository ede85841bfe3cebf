// SPDX-License-Identifier: GPL-2.0
/*
 * virtio_console on the whole stack: bus, ring and PCI, with a device in
 * software, files and terminals.
 */
#include "unit.h"
#include "serial.h"
#include <shim/file.h>
#include <linux/poll.h>

#define F(bit)		(1ULL << (bit))
#define ADD		VIRTIO_CONSOLE_PORT_ADD
#define REMOVE		VIRTIO_CONSOLE_PORT_REMOVE
#define OPEN		VIRTIO_CONSOLE_PORT_OPEN
#define CONSOLE		VIRTIO_CONSOLE_CONSOLE_PORT
#define READABLE	(EPOLLIN | EPOLLRDNORM)
#define WRITABLE	(EPOLLOUT | EPOLLWRNORM)
/* What a page and four pages hold besides the driver's own. */
#define IN_SIZE		(4096 - 24)
#define OUT_SIZE	(4 * 4096 - 24)
#define BUFS		16
#define CONSOLE_BUFS	128

static struct serial *serial;
static u8 data[1 << 20], back[1 << 20];

static int console_setup(void **state)
{
	unsigned int i;

	stack_setup(state);
	serial = serial_new(1, true);
	for (i = 0; i < sizeof(data); i++)
		data[i] = i * 7 + (i >> 8) + (i >> 16);
	return 0;
}

static int console_teardown(void **state)
{
	int ret = stack_teardown(state);

	shim_files_finish();
	free(serial->fn.pci.dev.name);
	serial_free(serial);
	return ret;
}

/* A device like the last one, unused. */
static void renew(bool multiport)
{
	free(serial->fn.pci.dev.name);
	serial_free(serial);
	serial = serial_new(1, multiport);
}

static void plug(void)
{
	assert_int_equal(fn_plug(&serial->fn), 0);
	settle();
}

static void control(u32 id, u16 event, u16 value)
{
	assert_true(serial_control(serial, id, event, value));
	settle();
}

/* A port that somebody listens to. */
static struct file *port(u32 id, unsigned int flags)
{
	struct file *filp;
	char name[20];

	snprintf(name, sizeof(name), "vport0p%u", id);
	if (!shim_chr(name)) {
		control(id, ADD, 1);
		control(id, OPEN, 1);
	}
	assert_int_equal(shim_open_file(name, flags, &filp), 0);
	settle();
	return filp;
}

static void unplug(void)
{
	fn_unplug(&serial->fn);
}

static void ports_come_and_go(void **state)
{
	struct file *filp;

	plug();
	assert_int_equal(serial->device_ready, 1);
	assert_null(shim_chr("vport0p1"));
	control(1, ADD, 1);
	assert_non_null(shim_chr("vport0p1"));
	assert_int_equal(serial->port[1].ready, 1);
	assert_null(shim_chr_name("vport0p1"));
	assert_true(serial_name(serial, 1, "org.qemu.guest_agent.0", 23));
	settle();
	assert_string_equal(shim_chr_name("vport0p1"), "org.qemu.guest_agent.0");
	assert_int_equal(shim_chr_uevents("vport0p1"), 1);

	/* Only one at a time, and the host hears of it. */
	assert_int_equal(serial->port[1].opens, -1);
	filp = port(1, 0);
	assert_int_equal(serial->port[1].opens, 1);
	assert_int_equal(shim_open_file("vport0p1", 0, &filp), -EBUSY);
	shim_close_file(filp);
	settle();
	assert_int_equal(serial->port[1].opens, 0);
	filp = port(1, 0);
	shim_close_file(filp);

	control(0, ADD, 1);
	control(8, ADD, 1);
	assert_non_null(shim_chr("vport0p0"));
	assert_non_null(shim_chr("vport0p8"));
	control(1, REMOVE, 1);
	assert_null(shim_chr("vport0p1"));
	assert_non_null(shim_chr("vport0p8"));
	/* Back again, and without a name. */
	control(1, ADD, 1);
	assert_null(shim_chr_name("vport0p1"));
	shim_close_file(port(1, 0));
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
	unplug();
	assert_null(shim_chr("vport0p0"));
}

static void send_and_receive(void **state)
{
	static const size_t sizes[] = {
		1, 100, IN_SIZE, IN_SIZE + 1, OUT_SIZE, OUT_SIZE + 1, 100000,
		BUFS * OUT_SIZE, 1 << 20,
	};
	struct file *filp;
	unsigned int i;
	size_t sent, n;
	ssize_t got;

	plug();
	filp = port(3, 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		serial->port[3].len = 0;
		/* All of it, if need be in pieces, while the host reads. */
		assert_int_equal(shim_write_file(filp, data, sizes[i]), sizes[i]);
		settle();
		assert_int_equal(serial->port[3].len, sizes[i]);
		assert_memory_equal(serial->port[3].data, data, sizes[i]);

		for (sent = 0, n = 0; n < sizes[i]; n += got) {
			sent += serial_send(serial, 3, data + sent,
					    sizes[i] - sent);
			got = shim_read_file(filp, back + n, 5000);
			assert_true(got > 0);
		}
		assert_memory_equal(back, data, sizes[i]);
	}
	assert_int_equal(shim_write_file(filp, data, 0), 0);
	assert_int_equal(shim_read_file(filp, back, 0), 0);
	assert_int_equal(shim_write_file(filp, NULL, 10), -EFAULT);
	serial_send(serial, 3, data, 10);
	assert_int_equal(shim_read_file(filp, NULL, 10), -EFAULT);
	/* Nothing is lost of it. */
	assert_int_equal(shim_read_file(filp, back, 4), 4);
	assert_int_equal(shim_read_file(filp, back + 4, 100), 6);
	assert_memory_equal(back, data, 10);
	shim_close_file(filp);
	unplug();
}

static void several_ports(void **state)
{
	struct file *filp[SERIAL_PORTS];
	unsigned int i;

	plug();
	for (i = 0; i < SERIAL_PORTS; i++)
		filp[i] = port(i, O_NONBLOCK);
	for (i = 0; i < SERIAL_PORTS; i++) {
		assert_int_equal(shim_write_file(filp[i], data + i, 1000), 1000);
		assert_int_equal(serial_send(serial, i, data + 50 + i, 2000), 2000);
	}
	settle();
	for (i = 0; i < SERIAL_PORTS; i++) {
		assert_int_equal(serial->port[i].len, 1000);
		assert_memory_equal(serial->port[i].data, data + i, 1000);
		assert_int_equal(shim_read_file(filp[i], back, 4096), 2000);
		assert_memory_equal(back, data + 50 + i, 2000);
		shim_close_file(filp[i]);
	}
	unplug();
}

static void nobody_on_the_host(void **state)
{
	struct file *filp;

	plug();
	control(2, ADD, 1);
	filp = port(2, O_NONBLOCK);
	/* The end of the file; and what is written waits. */
	assert_int_equal(shim_read_file(filp, back, 100), 0);
	assert_int_equal(shim_write_file(filp, data, 100), -EAGAIN);
	assert_int_equal(shim_poll_file(filp), EPOLLHUP | READABLE);

	control(2, OPEN, 1);
	assert_int_equal(shim_read_file(filp, back, 100), -EAGAIN);
	assert_int_equal(shim_poll_file(filp), WRITABLE);
	assert_int_equal(shim_write_file(filp, data, 100), 100);

	/* What was sent before the end is read before the end. */
	serial_send(serial, 2, data, 100);
	control(2, OPEN, 0);
	assert_int_equal(shim_poll_file(filp), EPOLLHUP | READABLE);
	assert_int_equal(shim_read_file(filp, back, 1000), 100);
	assert_int_equal(shim_read_file(filp, back, 1000), 0);
	shim_close_file(filp);
	unplug();
}

/* What happens while somebody sleeps. */
static void (*meanwhile)(void);
static unsigned int naps;

static void nap(void)
{
	void (*fn)(void) = meanwhile;

	fn_serve_all();
	if (++naps < 5 || !fn)
		return;
	meanwhile = NULL;
	naps = 0;
	fn();
}

static void sleep_until(void (*fn)(void))
{
	naps = 0;
	meanwhile = fn;
	shim_idle = nap;
}

static void data_comes(void) { serial_send(serial, 1, data, 50); }
static void host_leaves(void) { serial_control(serial, 1, OPEN, 0); }
static void host_comes(void) { serial_control(serial, 1, OPEN, 1); }
static void host_reads(void) { serial_release(serial, 1); }
static void port_goes(void) { serial_control(serial, 1, REMOVE, 1); }
static void signal_comes(void) { shim_signal = true; }
static void device_breaks(void)
{
	serial->fn.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	fn_config_irq(&serial->fn);
}

static void readers_wait(void **state)
{
	struct file *filp;

	plug();
	filp = port(1, 0);
	sleep_until(data_comes);
	assert_int_equal(shim_read_file(filp, back, 100), 50);
	sleep_until(host_leaves);
	assert_int_equal(shim_read_file(filp, back, 100), 0);
	control(1, OPEN, 1);
	sleep_until(signal_comes);
	assert_int_equal(shim_read_file(filp, back, 100), -ERESTARTSYS);
	shim_signal = false;
	sleep_until(port_goes);
	assert_int_equal(shim_read_file(filp, back, 100), -ENODEV);
	assert_null(shim_chr("vport0p1"));
	shim_close_file(filp);

	filp = port(1, 0);
	sleep_until(device_breaks);
	assert_int_equal(shim_read_file(filp, back, 100), -ENODEV);
	shim_close_file(filp);
	unplug();
}

/* Fills all that there is. */
static void fill(struct file *filp)
{
	unsigned int flags = filp->f_flags;

	settle();
	serial->port[1].hold = true;
	serial->port[1].len = 0;
	filp->f_flags |= O_NONBLOCK;
	assert_int_equal(shim_write_file(filp, data, sizeof(data)),
			 BUFS * OUT_SIZE);
	assert_int_equal(shim_write_file(filp, data, 1), -EAGAIN);
	filp->f_flags = flags;
}

static void writers_wait(void **state)
{
	struct file *filp;

	plug();
	filp = port(1, 0);
	fill(filp);
	assert_int_equal(shim_poll_file(filp), 0);
	sleep_until(host_reads);
	assert_int_equal(shim_write_file(filp, data + BUFS * OUT_SIZE, 100), 100);
	settle();
	assert_int_equal(serial->port[1].len, BUFS * OUT_SIZE + 100);
	assert_memory_equal(serial->port[1].data, data, BUFS * OUT_SIZE + 100);
	assert_int_equal(shim_poll_file(filp), WRITABLE);

	/* A signal in the middle: what was written counts. */
	serial->port[1].hold = true;
	sleep_until(signal_comes);
	assert_int_equal(shim_write_file(filp, data, sizeof(data)),
			 BUFS * OUT_SIZE);
	assert_int_equal(shim_write_file(filp, data, 1), -ERESTARTSYS);
	shim_signal = false;
	serial_release(serial, 1);
	settle();

	control(1, OPEN, 0);
	sleep_until(host_comes);
	assert_int_equal(shim_write_file(filp, data, 10), 10);

	fill(filp);
	sleep_until(port_goes);
	assert_int_equal(shim_write_file(filp, data, 10), -ENODEV);
	shim_close_file(filp);
	/* The next one inherits what the host has not read. */
	filp = port(1, O_NONBLOCK);
	assert_int_equal(shim_write_file(filp, data, 10), -EAGAIN);
	serial_release(serial, 1);
	settle();
	assert_int_equal(shim_write_file(filp, data, 10), 10);

	filp->f_flags = 0;
	fill(filp);
	sleep_until(device_breaks);
	assert_int_equal(shim_write_file(filp, data, 10), -ENODEV);
	shim_close_file(filp);
	unplug();
}

static void signals(void **state)
{
	const struct fasync_struct *fa;
	struct file *filp;

	plug();
	filp = port(1, O_NONBLOCK);
	shim_async_file(filp, true);
	fa = shim_fasync();
	serial_send(serial, 1, data, 10);
	settle();
	assert_int_equal(fa->in, 1);
	assert_int_equal(shim_read_file(filp, back, 100), 10);
	fill(filp);
	assert_int_equal(fa->out, 0);
	serial_release(serial, 1);
	settle();
	assert_int_equal(fa->out, 1);
	control(1, OPEN, 0);
	assert_int_equal(fa->hup, 1);
	/* That is nothing new. */
	control(1, OPEN, 0);
	assert_int_equal(fa->hup, 1);
	control(1, OPEN, 1);
	assert_int_equal(fa->out, 2);
	control(1, REMOVE, 1);
	assert_int_equal(fa->hup, 2);
	shim_close_file(filp);
	assert_null(shim_fasync());
	unplug();
}

/* The host is held up by a guest that does not read, and nothing is lost. */
static void guest_does_not_read(void **state)
{
	struct file *filp;
	size_t sent = 0;

	plug();
	filp = port(1, O_NONBLOCK);
	while (sent < sizeof(data)) {
		size_t n = serial_send(serial, 1, data + sent,
				       sizeof(data) - sent);

		settle();
		assert_true(sent ? !n : n == BUFS * IN_SIZE);
		if (!n)
			break;
		sent += n;
	}
	assert_int_equal(shim_read_file(filp, back, sizeof(back)), sent);
	assert_memory_equal(back, data, sent);
	assert_int_equal(serial_send(serial, 1, data, sizeof(data)),
			 BUFS * IN_SIZE);
	/* What nobody has read is not for the next one. */
	assert_int_equal(shim_read_file(filp, back, 10), 10);
	shim_close_file(filp);
	settle();
	filp = port(1, O_NONBLOCK);
	assert_int_equal(shim_read_file(filp, back, 10), -EAGAIN);
	serial_send(serial, 1, data + 7, 20);
	assert_int_equal(shim_read_file(filp, back, 100), 20);
	assert_memory_equal(back, data + 7, 20);
	shim_close_file(filp);

	/* Nor is what comes while it is closed. */
	settle();
	assert_int_equal(serial_send(serial, 1, data, 100), 100);
	filp = port(1, O_NONBLOCK);
	assert_int_equal(shim_read_file(filp, back, 10), -EAGAIN);
	shim_close_file(filp);
	unplug();
}

static void removed_while_open(void **state)
{
	struct file *old, *filp;

	plug();
	old = port(1, O_NONBLOCK);
	shim_async_file(old, true);
	serial_send(serial, 1, data, 100);
	assert_int_equal(shim_read_file(old, back, 10), 10);
	control(1, REMOVE, 1);
	assert_int_equal(shim_read_file(old, back, 10), -ENODEV);
	assert_int_equal(shim_write_file(old, data, 10), -ENODEV);
	assert_int_equal(shim_poll_file(old), EPOLLHUP);

	/* Another one in its place: the file is not that one's. */
	filp = port(1, O_NONBLOCK);
	assert_int_equal(shim_read_file(old, back, 10), -ENODEV);
	serial->port[1].opens = 7;
	shim_close_file(old);
	settle();
	assert_int_equal(serial->port[1].opens, 7);
	serial_send(serial, 1, data, 10);
	assert_int_equal(shim_read_file(filp, back, 100), 10);

	/* The device goes, with files open. */
	unplug();
	assert_int_equal(shim_read_file(filp, back, 10), -ENODEV);
	assert_int_equal(shim_write_file(filp, data, 10), -ENODEV);
	assert_int_equal(shim_poll_file(filp), EPOLLHUP);
	shim_close_file(filp);
}

static struct file *copied;

static void port_goes_now(void)
{
	port_goes();
	settle();
	assert_null(shim_chr("vport0p1"));
}

static void device_goes_now(void)
{
	serial->fn.gone = true;
	unplug();
}

static void device_breaks_now(void)
{
	device_breaks();
	settle();
}

static void polls_meanwhile(void)
{
	/* What is being read is there to be read, and what comes is behind. */
	serial_send(serial, 1, data + 100, 50);
	assert_int_equal(shim_poll_file(copied), READABLE | WRITABLE);
}

/* Something happens while data is copied to its reader, or from its writer. */
static void meanwhile_copied(void **state)
{
	static void (*const events[])(void) = {
		port_goes_now, device_breaks_now, device_goes_now,
	};
	unsigned int i, write;

	for (write = 0; write < 2; write++)
		for (i = 0; i < ARRAY_SIZE(events); i++) {
			renew(true);
			plug();
			copied = port(1, O_NONBLOCK);
			serial_send(serial, 1, data, 100);
			shim_at_copy = events[i];
			if (write)
				assert_int_equal(shim_write_file(copied, data, 100),
						 -ENODEV);
			else
				assert_int_equal(shim_read_file(copied, back, 100),
						 100);
			assert_int_equal(shim_read_file(copied, back, 10), -ENODEV);
			shim_close_file(copied);
			if (!serial->fn.gone)
				unplug();
		}

	renew(true);
	plug();
	copied = port(1, O_NONBLOCK);
	serial_send(serial, 1, data, 100);
	shim_at_copy = polls_meanwhile;
	assert_int_equal(shim_read_file(copied, back, 200), 150);
	assert_memory_equal(back, data, 150);
	shim_close_file(copied);
	unplug();
}

static void names(void **state)
{
	u8 name[8000];

	memset(name, 'n', sizeof(name));
	plug();
	control(1, ADD, 1);
	/* None; none; a NUL in it; another one, when it has one. */
	assert_true(serial_name(serial, 1, "", 0));
	assert_true(serial_name(serial, 1, "\0abc", 5));
	settle();
	assert_null(shim_chr_name("vport0p1"));
	assert_true(serial_name(serial, 1, "abc\0def", 7));
	assert_true(serial_name(serial, 1, "xyz", 3));
	settle();
	assert_string_equal(shim_chr_name("vport0p1"), "abc");
	assert_int_equal(shim_chr_uevents("vport0p1"), 1);

	/* Longer than anything: what there was room for. */
	control(2, ADD, 1);
	assert_true(serial_name(serial, 2, name, sizeof(name)));
	settle();
	assert_int_equal(strlen(shim_chr_name("vport0p2")), 504);
	unplug();
}

static void nonsense(void **state)
{
	static const u16 events[] = { 0, 3, 8, 0x7fff, 0xffff };
	struct virtio_console_control ctrl = { 1, VIRTIO_CONSOLE_RESIZE, 0 };
	unsigned int i;

	plug();
	control(SERIAL_PORTS, ADD, 1);
	assert_non_null(shim_log_find("message 1 for port 9, of 9"));
	control(0xffffffff, REMOVE, 1);
	assert_non_null(shim_log_find("message 2 for port 4294967295"));
	control(1, REMOVE, 1);
	control(1, OPEN, 1);
	assert_non_null(shim_log_find("message 6 for port 1, which was not added"));
	control(1, ADD, 1);
	assert_int_equal(shim_log_count('W'), 4);
	control(1, ADD, 1);
	assert_non_null(shim_log_find("port 1 is added, and was there"));
	for (i = 0; i < ARRAY_SIZE(events); i++)
		control(1, events[i], 1);
	assert_true(serial_raw_control(serial, &ctrl, 7, 7));
	assert_true(serial_raw_control(serial, &ctrl, 0, 0));
	assert_true(serial_raw_control(serial, &ctrl, 8, 8));
	settle();
	assert_non_null(shim_log_find("control message of 7 bytes"));
	assert_non_null(shim_log_find("RESIZE with 0 bytes"));
	/* More than there was room for. */
	assert_true(serial_raw_control(serial, &ctrl, 8, 0xffffffff));
	settle();
	assert_int_equal(serial->port[1].ready, 1);
	shim_close_file(port(1, 0));
	unplug();
}

static void used_lengths(void **state)
{
	struct file *filp;
	unsigned int i;

	plug();
	filp = port(1, O_NONBLOCK);
	serial->port[1].used_len = 0xffffffff;
	serial_send(serial, 1, data, 10);
	assert_int_equal(shim_read_file(filp, back, sizeof(back)), IN_SIZE);
	/* Nothing, over and over. */
	serial->port[1].used_len = 0;
	for (i = 0; i < 100; i++) {
		serial_send(serial, 1, data, 10);
		assert_int_equal(shim_read_file(filp, back, 100), -EAGAIN);
	}
	serial->port[1].used_len = -1;
	serial_send(serial, 1, data, 10);
	assert_int_equal(shim_read_file(filp, back, 100), 10);
	shim_close_file(filp);
	unplug();
}

/* A device that talks, and does not listen. */
static void flood(void **state)
{
	struct file *filp;
	unsigned int i, n = 0;

	plug();
	serial->deaf = true;
	for (i = 0; i < 20000; i++) {
		n += serial_control(serial, i / 2 % 8, i % 2 ? REMOVE : ADD, 1);
		if (i % 16 == 0)
			settle();
	}
	settle();
	/* As many as are answered: the rest was never taken. */
	assert_in_range(n, 256, 1000);

	/* Who opens a port waits, but not for ever. */
	sleep_until(signal_comes);
	for (i = 0; i < 8 && !shim_chr("vport0p0"); i++)
		;
	serial->deaf = false;
	settle();
	shim_signal = false;
	control(8, ADD, 1);
	filp = port(8, 0);
	shim_close_file(filp);
	settle();
	assert_int_equal(serial->port[8].opens, 0);
	unplug();
}

static void deaf_device(void **state)
{
	struct file *filp;
	unsigned int i;

	plug();
	control(1, ADD, 1);
	serial->deaf = true;
	for (i = 0; i < 1000; i++) {
		sleep_until(signal_comes);
		shim_signal = false;
		if (shim_open_file("vport0p1", 0, &filp))
			break;
		shim_close_file(filp);
	}
	/* 256 in the queue, 64 that wait; two for each time. */
	assert_in_range(i, 150, 200);
	assert_true(shim_signal);
	shim_signal = false;
	/* The device goes: who waits gets out. */
	unplug();
}

static void useless_devices(void **state)
{
	static const u32 ports[] = { 0, 10, 255, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ports); i++) {
		renew(true);
		serial->config.max_nr_ports = ports[i];
		serial_set_config(serial);
		plug();
		assert_int_equal(serial->device_ready, -1);
		assert_null(shim_chr("vport0p0"));
		assert_int_not_equal(shim_log_count('E'), 0);
		unplug();
		shim_log_clear();
	}
	renew(true);
	serial->config.max_nr_ports = 0;
	serial_set_config(serial);
	plug();
	assert_one_error("0000:01:00.0", "max_nr_ports is 0");
	unplug();
}

static void fewer_vectors(void **state)
{
	static const unsigned int vectors[] = { 0, 1, 2, 21 };
	struct file *filp;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vectors); i++) {
		renew(true);
		serial->fn.pci.msix_table = vectors[i];
		plug();
		filp = port(8, 0);
		assert_int_equal(shim_write_file(filp, data, sizeof(data)),
				 sizeof(data));
		serial_send(serial, 8, data, 100);
		assert_int_equal(shim_read_file(filp, back, 100), 100);
		shim_close_file(filp);
		unplug();
	}
}

static void broken(void **state)
{
	struct file *filp, *reader;

	plug();
	filp = port(1, O_NONBLOCK);
	reader = port(2, O_NONBLOCK);
	fill(filp);
	serial_send(serial, 2, data, 100);
	assert_int_equal(shim_poll_file(reader), READABLE | WRITABLE);
	device_breaks();
	settle();
	assert_int_equal(shim_read_file(reader, back, 10), -ENODEV);
	assert_int_equal(shim_write_file(filp, data, 10), -ENODEV);
	assert_int_equal(shim_poll_file(filp), EPOLLHUP);
	shim_close_file(filp);
	assert_int_equal(shim_open_file("vport0p1", 0, &filp), -ENXIO);
	unplug();
	shim_close_file(reader);
}

/* What QEMU's device says when it is told DEVICE_READY. */
static void announce(u32 id, bool listens)
{
	assert_int_equal(serial->device_ready, 1);
	serial->port[id].ready = serial->port[id].opens = -1;
	control(id, ADD, 1);
	if (listens)
		control(id, OPEN, 1);
}

static void fall_asleep(enum shim_sleep kind)
{
	assert_int_equal(fn_sleep(&serial->fn, kind), 0);
	serial->device_ready = -1;
}

static void wake_up(enum shim_sleep kind)
{
	assert_int_equal(fn_wake(&serial->fn, kind), 0);
	settle();
}

/*
 * Files stay open, what came before is there to be read, and what was written
 * arrives, once and in its order; the device hears again who has what open.
 */
static void sleeps(void **state)
{
	struct file *reader, *writer, *idle;
	unsigned int kind, held;

	for (kind = 0; kind < SHIM_SLEEP_KINDS; kind++) {
		for (held = 0; held < 2; held++) {
			renew(true);
			plug();
			reader = port(1, O_NONBLOCK);
			writer = port(2, O_NONBLOCK);
			idle = port(3, 0);
			serial_send(serial, 1, data, 9000);
			assert_int_equal(shim_read_file(reader, back, 100), 100);
			serial->port[2].hold = held;
			assert_int_equal(shim_write_file(writer, data, 50000), 50000);
			fall_asleep(kind);
			assert_int_equal(shim_poll_file(writer), 0);
			wake_up(kind);
			announce(1, true);
			announce(2, true);
			assert_int_equal(serial->port[1].ready, 1);
			assert_int_equal(serial->port[1].opens, 1);
			assert_int_equal(serial->port[2].opens, 1);

			assert_int_equal(shim_read_file(reader, back + 100, sizeof(back) - 100),
					 8900);
			assert_memory_equal(back, data, 9000);
			serial_send(serial, 1, data, 100);
			assert_int_equal(shim_read_file(reader, back, 200), 100);

			serial->port[2].hold = false;
			serial_release(serial, 2);
			settle();
			assert_int_equal(shim_write_file(writer, data + 50000, 1000), 1000);
			settle();
			assert_int_equal(serial->port[2].len, 51000);
			assert_memory_equal(serial->port[2].data, data, 51000);

			/* A port that nobody tells of is one that nobody listens to. */
			announce(4, false);
			shim_run_for(6000);
			assert_int_equal(shim_poll_file(reader), WRITABLE);
			assert_int_equal(shim_poll_file(idle), EPOLLHUP | READABLE);
			unplug();
			shim_close_file(reader);
			shim_close_file(writer);
			shim_close_file(idle);
		}
	}
	assert_int_equal(shim_log_count('E') + shim_log_count('W'), 0);
}

static struct file *sleeper;

static void sleeps_and_wakes(void)
{
	fall_asleep(SHIM_SLEEP_RAM);
	wake_up(SHIM_SLEEP_RAM);
	announce(1, true);
	serial_send(serial, 1, data, 100);
}

/* Who waits for data when it falls asleep gets what comes after it. */
static void reader_sleeps(void **state)
{
	plug();
	sleeper = port(1, 0);
	sleep_until(sleeps_and_wakes);
	assert_int_equal(shim_read_file(sleeper, back, 200), 100);
	shim_close_file(sleeper);
	unplug();
}

/* The host has closed its end meanwhile, or the port is gone. */
static void host_closes_asleep(void **state)
{
	struct file *filp;
	unsigned int announced;

	for (announced = 0; announced < 2; announced++) {
		renew(true);
		plug();
		filp = port(1, O_NONBLOCK);
		fall_asleep(SHIM_SLEEP_RAM);
		wake_up(SHIM_SLEEP_RAM);
		if (announced)
			announce(1, false);
		assert_int_equal(shim_read_file(filp, back, 10), -EAGAIN);
		shim_run_for(6000);
		assert_int_equal(shim_read_file(filp, back, 10), 0);
		/* It comes back. */
		control(1, OPEN, 1);
		assert_int_equal(shim_read_file(filp, back, 10), -EAGAIN);
		shim_close_file(filp);
		unplug();
	}
}

/* One console, and no control queue. */
static void console_sleeps(void **state)
{
	renew(false);
	plug();
	assert_int_equal(shim_tty_open(0), 0);
	serial->port[0].len = 0;
	serial->port[0].hold = true;
	assert_int_equal(shim_tty_write(0, "one ", 4), 4);
	assert_int_equal(fn_sleep(&serial->fn, SHIM_SLEEP_RAM), 0);
	/* What the kernel says meanwhile is lost, and nobody waits for it. */
	shim_tty_write(0, "two ", 4);
	serial->port[0].hold = false;
	assert_int_equal(fn_wake(&serial->fn, SHIM_SLEEP_RAM), 0);
	settle();
	assert_int_equal(shim_tty_write(0, "three", 5), 5);
	settle();
	assert_int_equal(serial->port[0].len, 9);
	assert_memory_equal(serial->port[0].data, "one three", 9);
	serial_send(serial, 0, "input", 5);
	settle();
	assert_int_equal(shim_tty_read(0, (char *)back, 10), 5);
	unplug();
}

/* Gone when it should wake, never awake again, or shut down. */
static void does_not_wake(void **state)
{
	struct file *filp;
	unsigned int how;

	for (how = 0; how < 3; how++) {
		renew(true);
		plug();
		filp = port(1, O_NONBLOCK);
		serial->port[1].hold = true;
		assert_int_equal(shim_write_file(filp, data, 1000), 1000);
		serial_send(serial, 1, data, 1000);
		if (how < 2)
			fall_asleep(SHIM_SLEEP_RAM);
		if (how == 0) {
			serial->fn.gone = true;
			assert_true(fn_wake(&serial->fn, SHIM_SLEEP_RAM) < 0);
			settle();
			assert_int_equal(shim_read_file(filp, back, 10), -ENODEV);
			assert_int_equal(shim_write_file(filp, data, 10), -ENODEV);
		}
		if (how == 2) {
			shim_shutdown(&fn_vdev(&serial->fn)->dev);
			assert_int_equal(serial->fn.status, 0);
			shim_write_file(filp, data, 1000);
		}
		unplug();
		assert_int_equal(shim_read_file(filp, back, 10), -ENODEV);
		shim_close_file(filp);
	}
}

/*
 * A config change has the driver take its lock while the bus holds its own; a
 * lie on the control queue is found out the other way round. The shim looks at
 * the order of the locks.
 */
static void changes_then_lies(void **state)
{
	plug();
	fn_config_irq(&serial->fn);
	settle();
	serial->fn.queue[VIRTIO_CONSOLE_VQ_CTRL_OUT].ring.lied = true;
	ring_push(&serial->fn.queue[VIRTIO_CONSOLE_VQ_CTRL_OUT].ring, 0xffff, 0);
	fn_queue_irq(&serial->fn, VIRTIO_CONSOLE_VQ_CTRL_OUT);
	settle();
	assert_true(virtio_device_is_broken(fn_vdev(&serial->fn)));
	unplug();
}

/* Consoles */

static void console(void **state)
{
	char text[100];

	renew(false);
	plug();
	assert_non_null(shim_chr("vport0p0"));
	assert_true(shim_tty(0));
	assert_memory_equal(serial->port[0].data, "first\r\n", 7);
	serial->port[0].len = 0;
	assert_int_equal(shim_tty_open(0), 0);
	assert_true(shim_tty_notified(0));
	assert_int_equal(shim_tty_write(0, "login: ", 7), 7);
	settle();
	assert_int_equal(serial->port[0].len, 7);
	assert_memory_equal(serial->port[0].data, "login: ", 7);

	shim_hvc_kicks = 0;
	serial_send(serial, 0, "root\n", 5);
	serial_send(serial, 0, "secret\n", 7);
	settle();
	assert_int_not_equal(shim_hvc_kicks, 0);
	assert_int_equal(shim_tty_read(0, text, 3), 3);
	assert_int_equal(shim_tty_read(0, text + 3, 97), 9);
	assert_memory_equal(text, "root\nsecret\n", 12);
	assert_int_equal(shim_tty_read(0, text, 100), 0);
	shim_tty_close(0);
	unplug();
	assert_false(shim_tty(0));
}

static void console_port(void **state)
{
	struct file *filp;
	char text[10];

	plug();
	control(0, ADD, 1);
	control(0, CONSOLE, 1);
	assert_true(shim_tty(0));
	/* The host may send at once. */
	assert_int_equal(serial->port[0].opens, 1);
	assert_int_equal(shim_open_file("vport0p0", 0, &filp), -ENXIO);
	control(0, CONSOLE, 1);
	assert_false(shim_tty(1));
	control(4, ADD, 1);
	control(4, CONSOLE, 1);
	assert_true(shim_tty(1));
	serial_send(serial, 4, "four", 4);
	settle();
	assert_int_equal(shim_tty_open(1), 0);
	assert_int_equal(shim_tty_read(1, text, 10), 4);

	/* A file that is open is not taken from its owner. */
	filp = port(1, 0);
	control(1, CONSOLE, 1);
	assert_false(shim_tty(2));
	assert_non_null(shim_log_find("port 1: not used as a console"));
	shim_close_file(filp);

	control(4, REMOVE, 1);
	assert_false(shim_tty(1));
	assert_true(shim_tty(0));
	unplug();
	assert_false(shim_tty(0));
}

static unsigned int delays;

static void host_reads_late(void)
{
	if (++delays == 50)
		serial_release(serial, 0);
}

static void host_never_reads(void)
{
	delays++;
}

/* printk has nowhere to wait: bounded, and only once. */
static void console_throttled(void **state)
{
	unsigned int i;

	renew(false);
	plug();
	serial->port[0].hold = true;
	for (i = 0; i < CONSOLE_BUFS; i++)
		assert_int_equal(shim_tty_write(0, "line\r\n", 6), 6);
	fn_serve_all();
	delays = 0;
	shim_at_delay = host_reads_late;
	assert_int_equal(shim_tty_write(0, "line\r\n", 6), 6);
	assert_int_equal(delays, 50);

	shim_at_delay = host_never_reads;
	serial->port[0].hold = true;
	for (i = 0; i < CONSOLE_BUFS; i++) {
		shim_tty_write(0, "line\r\n", 6);
		fn_serve_all();
	}
	delays = 0;
	assert_int_equal(shim_tty_write(0, "line\r\n", 6), 0);
	assert_in_range(delays, 0, 1001);
	delays = 0;
	for (i = 0; i < 100; i++)
		assert_int_equal(shim_tty_write(0, "line\r\n", 6), 0);
	assert_int_equal(delays, 0);

	shim_hvc_kicks = 0;
	serial_release(serial, 0);
	settle();
	assert_int_not_equal(shim_hvc_kicks, 0);
	assert_int_equal(shim_tty_write(0, "line\r\n", 6), 6);
	device_breaks();
	settle();
	assert_true(shim_tty_write(0, "line\r\n", 6) < 0);
	unplug();
}

/* The same in a queue that is full at once. */
static void console_in_small_queues(void **state)
{
	unsigned int num, i;

	for (num = 1; num <= 8; num *= 2) {
		renew(false);
		serial->fn.queue[0].max = num;
		serial->fn.queue[1].max = num;
		plug();
		settle();
		serial->port[0].hold = true;
		for (i = 0; i < num; i++)
			assert_int_equal(shim_tty_write(0, "line\r\n", 6), 6);
		delays = 0;
		shim_at_delay = host_never_reads;
		for (i = 0; i < 100; i++)
			assert_int_equal(shim_tty_write(0, "line\r\n", 6), 0);
		assert_in_range(delays, 500, 1001);
		serial_release(serial, 0);
		settle();
		assert_int_equal(shim_tty_write(0, "line\r\n", 6), 6);
		unplug();
	}
}

static void sizes(void **state)
{
	struct {
		struct virtio_console_control ctrl;
		struct virtio_console_resize size;
	} resize = { { 3, VIRTIO_CONSOLE_RESIZE, 0 }, { 132, 50 } };

	renew(false);
	serial->fn.features |= F(VIRTIO_CONSOLE_F_SIZE);
	serial->config.cols = 80;
	serial->config.rows = 25;
	serial_set_config(serial);
	plug();
	assert_int_equal(shim_tty_open(0), 0);
	assert_int_equal(shim_tty_size(0)->ws_col, 80);
	assert_int_equal(shim_tty_size(0)->ws_row, 25);
	serial->config.cols = 100;
	serial_set_config(serial);
	fn_config_irq(&serial->fn);
	settle();
	assert_int_equal(shim_tty_size(0)->ws_col, 100);
	unplug();

	renew(true);
	plug();
	control(3, ADD, 1);
	control(3, CONSOLE, 1);
	assert_true(serial_raw_control(serial, &resize, sizeof(resize),
				       sizeof(resize)));
	settle();
	/* It hears of it when it is opened, and not before. */
	assert_int_equal(shim_tty_size(0)->ws_col, 0);
	assert_int_equal(shim_tty_open(0), 0);
	assert_int_equal(shim_tty_size(0)->ws_col, 132);
	assert_int_equal(shim_tty_size(0)->ws_row, 50);
	resize.size.rows = 60;
	assert_true(serial_raw_control(serial, &resize, sizeof(resize),
				       sizeof(resize)));
	settle();
	assert_int_equal(shim_tty_size(0)->ws_row, 60);
	unplug();
}

extern const char *shim_no_symbol;

static void without_hvc(void **state)
{
	struct file *filp;

	shim_no_symbol = "hvc_kick";
	renew(false);
	plug();
	assert_false(shim_tty(0));
	assert_non_null(shim_log_find("no hvc"));
	filp = port(0, O_NONBLOCK);
	assert_int_equal(shim_write_file(filp, data, 10), 10);
	shim_close_file(filp);
	unplug();
	shim_no_symbol = NULL;

	/* One that is built otherwise: it works, and has no size. */
	shim_hvc_other = true;
	renew(false);
	serial->fn.features |= F(VIRTIO_CONSOLE_F_SIZE);
	serial->config.cols = 80;
	serial->config.rows = 25;
	serial_set_config(serial);
	plug();
	assert_int_equal(shim_tty_open(0), 0);
	assert_false(shim_tty_notified(0));
	assert_int_equal(shim_tty_write(0, "x", 1), 1);
	assert_int_equal(shim_tty_size(0)->ws_col, 0);
	unplug();
}

static void two_devices(void **state)
{
	struct serial *other = serial_new(2, true);
	struct file *filp;

	plug();
	assert_int_equal(fn_plug(&other->fn), 0);
	settle();
	assert_true(serial_control(other, 1, ADD, 1));
	assert_true(serial_control(other, 1, OPEN, 1));
	settle();
	assert_non_null(shim_chr("vport1p1"));
	shim_close_file(port(1, 0));
	assert_int_equal(shim_open_file("vport1p1", O_NONBLOCK, &filp), 0);
	settle();
	assert_int_equal(other->port[1].opens, 1);
	unplug();
	assert_int_equal(shim_write_file(filp, data, 100), 100);
	settle();
	assert_int_equal(other->port[1].len, 100);
	shim_close_file(filp);
	fn_unplug(&other->fn);
	free(other->fn.pci.dev.name);
	serial_free(other);
}

/* Everything that may fail does, one after the other. */
static void failures(void **state)
{
	struct file *filp;
	unsigned int n, multi;
	bool failed;

	for (multi = 0; multi < 2; multi++)
		for (n = 1, failed = true; failed; n++) {
			renew(multi);
			shim_fail_nth(n, FAIL_ALL);
			fn_plug(&serial->fn);
			settle();
			serial_control(serial, 1, ADD, 1);
			serial_control(serial, 1, OPEN, 1);
			serial_name(serial, 1, "name", 4);
			serial_control(serial, 2, ADD, 1);
			serial_control(serial, 2, CONSOLE, 1);
			settle();
			if (!shim_open_file("vport0p1", O_NONBLOCK, &filp)) {
				shim_write_file(filp, data, 100);
				shim_close_file(filp);
			}
			settle();
			failed = shim_failed();
			shim_fail_nth(0, 0);
			unplug();
		}
	assert_in_range(n, 20, 400);
}

#define console_test(f)	\
	cmocka_unit_test_setup_teardown(f, console_setup, console_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		console_test(ports_come_and_go),
		console_test(send_and_receive),
		console_test(several_ports),
		console_test(nobody_on_the_host),
		console_test(readers_wait),
		console_test(writers_wait),
		console_test(signals),
		console_test(guest_does_not_read),
		console_test(removed_while_open),
		console_test(meanwhile_copied),
		console_test(names),
		console_test(nonsense),
		console_test(used_lengths),
		console_test(flood),
		console_test(deaf_device),
		console_test(useless_devices),
		console_test(fewer_vectors),
		console_test(broken),
		console_test(sleeps),
		console_test(reader_sleeps),
		console_test(host_closes_asleep),
		console_test(console_sleeps),
		console_test(does_not_wake),
		console_test(changes_then_lies),
		console_test(console),
		console_test(console_port),
		console_test(console_throttled),
		console_test(console_in_small_queues),
		console_test(sizes),
		console_test(without_hvc),
		console_test(two_devices),
		console_test(failures),
	};

	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
