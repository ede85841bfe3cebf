// SPDX-License-Identifier: GPL-2.0
/*
 * qga PORT FOLDER: as much of QEMU's guest agent as a channel can be tested
 * with, on kernels that the real one's C library refuses.
 *
 * A request is a line of JSON, and so is its answer. FOLDER is where the file
 * system is mounted that is frozen and thawed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int port, folder;
static bool frozen;

static void die(const char *what)
{
	fprintf(stderr, "qga: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void answer(const char *text)
{
	size_t len = strlen(text), done = 0;
	ssize_t n;

	while (done < len) {
		n = write(port, text + done, len - done);
		if (n <= 0)
			die("write");
		done += n;
	}
}

static void answer_error(const char *why)
{
	char text[200];

	snprintf(text, sizeof(text), "{\"error\": {\"class\": \"GenericError\", \"desc\": \"%s\"}}\n",
		 why);
	answer(text);
}

/* Freezes or thaws; how many file systems that were. */
static void freeze(bool on)
{
	char text[60];
	int count = on != frozen;

	if (count && ioctl(folder, on ? FIFREEZE : FITHAW, 0)) {
		answer_error(strerror(errno));
		return;
	}
	frozen = on;
	snprintf(text, sizeof(text), "{\"return\": %d}\n", count);
	answer(text);
}

static void handle(const char *line)
{
	const char *id = strstr(line, "\"id\":");
	const char *name = strstr(line, "\"guest-");
	bool delimited = false;
	char text[100];

#define IS(_name) !strncmp(name, "\"" _name "\"", strlen("\"" _name "\""))
	if (!name) {
		answer_error("no command");
	} else if (IS("guest-sync") || (delimited = IS("guest-sync-delimited"))) {
		snprintf(text, sizeof(text), "%s{\"return\": %lld}\n", delimited ? "\xff" : "",
			 id ? atoll(id + 5) : 0);
		answer(text);
	} else if (IS("guest-ping")) {
		answer("{\"return\": {}}\n");
	} else if (IS("guest-fsfreeze-status")) {
		answer(frozen ? "{\"return\": \"frozen\"}\n" : "{\"return\": \"thawed\"}\n");
	} else if (IS("guest-fsfreeze-freeze")) {
		freeze(true);
	} else if (IS("guest-fsfreeze-thaw")) {
		freeze(false);
	} else {
		answer_error("The command has not been found");
	}
}

int main(int argc, char **argv)
{
	static char line[65536];
	size_t len = 0;
	ssize_t n;
	char c;

	if (argc != 3) {
		fprintf(stderr, "usage: qga PORT FOLDER\n");
		return 2;
	}
	port = open(argv[1], O_RDWR);
	if (port < 0)
		die(argv[1]);
	folder = open(argv[2], O_RDONLY);
	if (folder < 0)
		die(argv[2]);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		n = read(port, &c, 1);
		if (n < 0)
			die("read");
		if (n == 0) {		/* nobody on the host */
			usleep(100000);
			len = 0;
		} else if (c == '\n') {
			line[len] = '\0';
			if (len)
				handle(line);
			len = 0;
		} else if (c != '\xff' && len < sizeof(line) - 1) {
			line[len++] = c;
		}
	}
}
