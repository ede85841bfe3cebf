// SPDX-License-Identifier: GPL-2.0
/*
 * portio: what a program can do with a virtio port.
 *
 *	portio DEVICE STEP...
 *
 * Opens the device and takes the steps in their order. Each says how it went
 * on a line; one that cannot do what it is for ends the program.
 *
 *	nonblock	from now on nothing waits; block: it does again
 *	put=BYTES	writes so many that follow from seed=, in writes of piece=
 *	get=BYTES	reads and compares so many, in reads of piece=
 *	fill		writes until there is no room for two seconds, then says
 *			how much
 *	read, write=BYTES	one call, and what it returned
 *	splice=BYTES	through a pipe
 *	poll=MS		waits so long for news; says which
 *	pollout=MS	the same, for room only
 *	sigio		asks for SIGIO; wait=MS: waits for one
 *	sleep=MS	nothing
 *	seed=N, piece=BYTES	for what follows
 *	say=TEXT	the text
 */
#define _GNU_SOURCE
#define PROGRAM "portio"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>
#include "common.h"

static int fd;
static uint64_t seed, piece = 65536;
static volatile sig_atomic_t signals;

static void on_sigio(int sig)
{
	(void)sig;
	signals++;
}

static const char *errno_name(void)
{
	static const struct { int err; const char *name; } names[] = {
		{ EAGAIN, "EAGAIN" }, { EBUSY, "EBUSY" }, { EINTR, "EINTR" },
		{ EINVAL, "EINVAL" }, { EIO, "EIO" }, { ENODEV, "ENODEV" },
		{ ENOENT, "ENOENT" }, { ENXIO, "ENXIO" }, { EPIPE, "EPIPE" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].err == errno)
			return names[i].name;
	return strerror(errno);
}

/* Bytes of the progression, from a place in it on. */
static void expected(char *buf, uint64_t at, size_t len)
{
	uint64_t key = mix(seed + 1), word;

	for (size_t i = 0; i < len; i++) {
		word = key + GOLDEN * ((at + i) / 8 + 1);
		buf[i] = word >> 8 * ((at + i) % 8);
	}
}

static char *buffer(void)
{
	static char *buf;
	static size_t size;

	if (size < piece) {
		buf = realloc(buf, piece);
		size = piece;
		if (!buf)
			die("no memory for pieces of %" PRIu64, piece);
	}
	return buf;
}

static void put(uint64_t total)
{
	uint64_t done = 0;

	start_ms = now_ms();
	while (done < total) {
		size_t len = total - done < piece ? total - done : piece;
		ssize_t n;

		expected(buffer(), done, len);
		n = write(fd, buffer(), len);
		if (n <= 0)
			die("write at %" PRIu64 " of %" PRIu64 ": %s", done, total,
			    n ? strerror(errno) : "nothing");
		done += n;
	}
	printf("put %" PRIu64 " in %" PRIu64 " ms\n", done, now_ms() - start_ms);
}

static void get(uint64_t total)
{
	static char want[1 << 20];
	uint64_t done = 0;

	start_ms = now_ms();
	while (done < total) {
		size_t len = total - done < piece ? total - done : piece;
		ssize_t n = read(fd, buffer(), len);

		if (n <= 0)
			die("read at %" PRIu64 " of %" PRIu64 ": %s", done, total,
			    n ? strerror(errno) : "the end");
		expected(want, done, n);
		if (memcmp(buffer(), want, n))
			die("wrong data between %" PRIu64 " and %" PRIu64, done, done + n);
		done += n;
	}
	printf("get %" PRIu64 " in %" PRIu64 " ms\n", done, now_ms() - start_ms);
}

static void fill(void)
{
	uint64_t done = 0;
	ssize_t n;

	struct pollfd p = { .fd = fd, .events = POLLOUT };

	/* The host has room of its own, until that is full, too. */
	for (;;) {
		expected(buffer(), done, piece);
		n = write(fd, buffer(), piece);
		if (n < 0 && (errno != EAGAIN || poll(&p, 1, 2000) <= 0 || !(p.revents & POLLOUT)))
			break;
		if (n > 0)
			done += n;
	}
	printf("fill %" PRIu64 "\n", done);
}

static void say_result(const char *what, ssize_t n)
{
	if (n < 0)
		printf("%s %s\n", what, errno_name());
	else
		printf("%s %zd\n", what, n);
}

static void splice_out(size_t total)
{
	int pipes[2];
	ssize_t n;

	if (pipe(pipes) || total > 65536)
		die("no pipe for %zu bytes", total);
	piece = total;
	expected(buffer(), 0, total);
	if (write(pipes[1], buffer(), total) != (ssize_t)total)
		die("pipe: %s", strerror(errno));
	for (size_t done = 0; done < total; done += n) {
		n = splice(pipes[0], NULL, fd, NULL, total - done, 0);
		if (n <= 0) {
			say_result("splice", n);
			return;
		}
	}
	say_result("splice", total);
}

static void do_poll(int ms, short events)
{
	static const struct { short event; const char *name; } names[] = {
		{ POLLIN, " IN" }, { POLLOUT, " OUT" }, { POLLHUP, " HUP" },
		{ POLLERR, " ERR" },
	};
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&p, 1, ms);
	while (n < 0 && errno == EINTR);
	printf("poll");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (n > 0 && p.revents & names[i].event)
			printf("%s", names[i].name);
	printf("%s\n", n ? "" : " nothing");
}

static void want_sigio(void)
{
	signal(SIGIO, on_sigio);
	signals = 0;
	if (fcntl(fd, F_SETOWN, getpid()) ||
	    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC))
		die("F_SETFL O_ASYNC: %s", strerror(errno));
	printf("sigio asked for\n");
}

static void wait_sigio(uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	while (!signals && now_ms() < end)
		usleep(10000);
	printf(signals ? "sigio came\n" : "no sigio\n");
	signals = 0;
}

static void set_nonblock(bool on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

static void step(const char *arg)
{
	const char *value = strchr(arg, '=');
	size_t len = value ? (size_t)(value - arg) : strlen(arg);
	uint64_t n = value ? strtoull(value + 1, NULL, 0) : 0;
#define IS(name) (len == strlen(name) && !strncmp(arg, name, len))

	if (IS("nonblock"))
		set_nonblock(true);
	else if (IS("block"))
		set_nonblock(false);
	else if (IS("seed"))
		seed = n;
	else if (IS("piece"))
		piece = n;
	else if (IS("put"))
		put(n);
	else if (IS("get"))
		get(n);
	else if (IS("fill"))
		fill();
	else if (IS("read"))
		say_result("read", read(fd, buffer(), piece));
	else if (IS("write"))
		piece = n, say_result("write", write(fd, buffer(), n));
	else if (IS("splice"))
		splice_out(n);
	else if (IS("poll"))
		do_poll(n, POLLIN | POLLOUT);
	else if (IS("pollin"))
		do_poll(n, POLLIN);
	else if (IS("pollout"))
		do_poll(n, POLLOUT);
	else if (IS("sigio"))
		want_sigio();
	else if (IS("wait"))
		wait_sigio(n);
	else if (IS("sleep"))
		usleep(n * 1000);
	else if (IS("say"))
		printf("%s\n", value + 1);
	else
		die("no such step: %s", arg);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: portio DEVICE STEP...\n");
		return 2;
	}
	subject = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = open(subject, O_RDWR | O_NOCTTY);
	if (fd < 0) {
		printf("open %s\n", errno_name());
		return 1;
	}
	for (int i = 2; i < argc; i++)
		step(argv[i]);
	return 0;
}
