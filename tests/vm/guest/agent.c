// SPDX-License-Identifier: GPL-2.0
/*
 * agent: runs shell commands for the host, over a serial port.
 *
 *	host to guest				guest to host
 *	run ID LENGTH\n<LENGTH bytes>		hello WHERE\n
 *	kill ID\n				out ID LENGTH\n<LENGTH bytes>
 *						exit ID STATUS\n
 *
 * A command is given to /bin/sh -c in a session of its own; what it prints on
 * either descriptor is passed on as it comes. Several may run at a time. The
 * agent is process 1 of the guest, so it reaps whatever is orphaned.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define MAX_JOBS	16
#define MAX_COMMAND	4000

struct job {
	unsigned int id;
	pid_t pid;		/* 0: the slot is free */
	int out;
};

static struct job jobs[MAX_JOBS];
static int tty;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_all(const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(tty, data, len);

		if (n < 0 && errno != EINTR)
			die("agent: write");
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
}

static void send_exit(unsigned int id, int status)
{
	char line[40];

	send_all(line, snprintf(line, sizeof(line), "exit %u %d\n", id, status));
}

/* Passes on what the job has written so far. */
static void drain(struct job *job)
{
	char head[40], data[4096];
	ssize_t n;

	while ((n = read(job->out, data, sizeof(data))) > 0) {
		send_all(head, snprintf(head, sizeof(head), "out %u %zd\n", job->id, n));
		send_all(data, n);
	}
}

static void open_port(const char *path)
{
	struct termios t;

	tty = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (tty < 0 || tcgetattr(tty, &t))
		die(path);
	cfmakeraw(&t);
	t.c_cflag |= CLOCAL | CREAD;
	cfsetspeed(&t, B115200);
	if (tcsetattr(tty, TCSANOW, &t))
		die(path);
}

static void read_all(char *data, size_t len)
{
	while (len) {
		ssize_t n = read(tty, data, len);

		if (n <= 0 && errno != EINTR)
			die("agent: read");
		if (n > 0) {
			data += n;
			len -= n;
		}
	}
}

static void run(unsigned int id, const char *command)
{
	struct job *job = jobs;
	sigset_t none;
	int fds[2];

	while (job < jobs + MAX_JOBS && job->pid)
		job++;
	if (job == jobs + MAX_JOBS || pipe2(fds, O_CLOEXEC)) {
		send_exit(id, 126);
		return;
	}
	job->pid = fork();
	if (job->pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(fds[1]);
	if (job->pid < 0) {
		job->pid = 0;
		close(fds[0]);
		send_exit(id, 126);
		return;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	job->id = id;
	job->out = fds[0];
}

static void handle_request(void)
{
	char line[64], command[MAX_COMMAND + 1];
	unsigned int id, len, i;

	for (i = 0; i < sizeof(line) - 1; i++) {
		read_all(line + i, 1);
		if (line[i] == '\n')
			break;
	}
	line[i] = 0;
	if (sscanf(line, "run %u %u", &id, &len) == 2 && len <= MAX_COMMAND) {
		read_all(command, len);
		command[len] = 0;
		run(id, command);
	} else if (sscanf(line, "kill %u", &id) == 1) {
		for (i = 0; i < MAX_JOBS; i++)
			if (jobs[i].pid && jobs[i].id == id)
				kill(-jobs[i].pid, SIGKILL);
	} else {
		fprintf(stderr, "agent: not a request: %s\n", line);
	}
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (struct job *job = jobs; job < jobs + MAX_JOBS; job++)
			if (job->pid == pid) {
				drain(job);
				close(job->out);
				job->pid = 0;
				send_exit(job->id, WIFEXITED(status) ? WEXITSTATUS(status) :
						   128 + WTERMSIG(status));
			}
}

static void on_child(int sig)
{
	(void)sig;		/* its only purpose: to end ppoll */
}

int main(int argc, char **argv)
{
	struct pollfd fds[MAX_JOBS + 1];
	struct job *polled[MAX_JOBS + 1];
	struct sigaction act = { .sa_handler = on_child };
	sigset_t chld, none;
	char hello[64];

	if (argc != 3) {
		fprintf(stderr, "usage: agent PORT WHERE\n");
		return 2;
	}
	open_port(argv[1]);
	sigemptyset(&none);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	sigaction(SIGCHLD, &act, NULL);
	send_all(hello, snprintf(hello, sizeof(hello), "hello %s\n", argv[2]));

	for (;;) {
		int n = 0;

		fds[n++] = (struct pollfd){ .fd = tty, .events = POLLIN };
		for (struct job *job = jobs; job < jobs + MAX_JOBS; job++)
			if (job->pid) {
				polled[n] = job;
				fds[n++] = (struct pollfd){ .fd = job->out, .events = POLLIN };
			}
		if (ppoll(fds, n, NULL, &none) > 0) {
			while (--n > 0)
				if (fds[n].revents & POLLIN)
					drain(polled[n]);
				else if (fds[n].revents)
					usleep(1000);	/* closed its end, not yet dead */
			if (fds[0].revents)
				handle_request();
		}
		reap();
	}
}
