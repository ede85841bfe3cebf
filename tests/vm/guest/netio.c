// SPDX-License-Identifier: GPL-2.0
/*
 * netio: traffic whose content is checked, in the guest and on the host.
 *
 *	netio serve PORT				TCP and UDP, until killed; PORT -: only
 *							the connection on standard input
 *	netio put  HOST PORT [seed= bytes= flows= pin= chunk= check=]	we send, the server
 *							checks
 *	netio get  HOST PORT [seed= bytes= flows= pin= check=]	the server sends, we check
 *	netio talk HOST PORT [seed= seconds= max=]	records to and fro, both ways checked
 *	netio udp  HOST PORT [seed= count= min= max=]	datagrams, each echoed by the server
 *	netio flood HOST PORT [seed= seconds= max=]	datagrams, whatever becomes of them
 *	netio mrecv GROUP PORT ADDRESS [seed= count=]	datagrams to a group; ADDRESS is ours
 *	netio msend GROUP PORT ADDRESS [seed= count= max=]
 *	netio sniff DEV [count= seconds= promisc= allmulti=]	frames of type 0x88b5
 *	netio updown DEV [count= min=]			a busy interface goes down and up
 *
 * A stream follows from its seed: each 4 KiB of it have a key of their own, so that
 * what is lost, doubled or in the wrong place is seen. flows=N runs N at a time,
 * seeds apart; pin=1 keeps flow K on processor K. check=0 is for measuring the way alone:
 * one buffer is sent again and again, and nobody looks at it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM		"netio"
#include "common.h"

#define MAGIC		0x6e6574696f2d3031ull
#define BLOCK		4096
#define ROOM		65536
#define PATIENCE	60		/* seconds without a byte */
#define FRAME_TYPE	0x88b5		/* IEEE: for local experiments */

enum op { OP_PUT = 1, OP_GET, OP_TALK, OP_UNCHECKED = 0x100 };

/* What a connection, a datagram and a record begin with. */
struct head {
	uint64_t magic, op, seed, bytes;
};

static struct {
	uint64_t seed, bytes, flows, pin, chunk, check, seconds, count, min, max, promisc, allmulti;
} opt = { .seed = 1, .bytes = 16 << 20, .flows = 1, .chunk = ROOM, .check = 1, .seconds = 10,
	  .count = 100, .min = 1, .max = 16384 };

static char buf[ROOM] __attribute__((aligned(8)));

/* ---- contents ---- */

static uint64_t block_key(uint64_t seed, uint64_t at)
{
	return mix(mix(seed) + GOLDEN * (at / BLOCK));
}

/* `at` is a multiple of BLOCK; the last word may be filled beyond len. */
static void fill(uint64_t *word, uint64_t seed, uint64_t at, size_t len)
{
	for (size_t done = 0; done < len; done += BLOCK)
		fill_words(word + done / 8, block_key(seed, at + done),
			   (len - done < BLOCK ? len - done + 7 : BLOCK) / 8);
}

static void check(const char *data, uint64_t seed, uint64_t at, size_t len)
{
	uint64_t words[BLOCK / 8];

	for (size_t done = 0; done < len; done += BLOCK) {
		size_t n = len - done < BLOCK ? len - done : BLOCK;

		fill(words, seed, at + done, n);
		if (!memcmp(words, data + done, n))
			continue;
		for (size_t i = 0; i < n; i++)
			if (((char *)words)[i] != data[done + i])
				die("byte %" PRIu64 " is %02x, not %02x", at + done + i,
				    (unsigned char)data[done + i], ((unsigned char *)words)[i]);
	}
}

/* ---- sockets ---- */

static void be_patient(int fd)
{
	struct timeval patience = { .tv_sec = PATIENCE };
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static struct sockaddr_storage address(const char *host, const char *port, socklen_t *len)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	struct sockaddr_storage found = { 0 };
	struct addrinfo *list;
	int error = getaddrinfo(host, port, &hints, &list);

	if (error)
		die("%s %s: %s", host, port, gai_strerror(error));
	memcpy(&found, list->ai_addr, list->ai_addrlen);
	*len = list->ai_addrlen;
	freeaddrinfo(list);
	return found;
}

static int connect_to(const char *host, const char *port, int type)
{
	socklen_t len;
	struct sockaddr_storage to = address(host, port, &len);
	int fd = socket(to.ss_family, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, len))
		die("%s %s: %s", host, port, strerror(errno));
	be_patient(fd);
	return fd;
}

/* Both address families where there are two. */
static int bind_any(int port, int type)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
	bool six = fd >= 0;

	if (!six)
		fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, six ? (void *)&any6 : (void *)&any, six ? sizeof(any6) : sizeof(any)))
		die("port %d: %s", port, strerror(errno));
	return fd;
}

static void send_all(int fd, const void *data, size_t len)
{
	while (len) {
		size_t most = len < opt.chunk ? len : opt.chunk;
		ssize_t n = send(fd, data, most, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			die("send: %s", strerror(errno));
		if (n > 0) {
			data = (const char *)data + n;
			len -= n;
		}
	}
}

/* False at the end of the connection, if that comes before the first byte. */
static bool recv_all(int fd, void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = recv(fd, (char *)data + done, len - done, 0);

		if (!n && !done)
			return false;
		if (!n || (n < 0 && errno != EINTR))
			die("recv: %s", n ? strerror(errno) : "the connection has ended");
		if (n > 0)
			done += n;
	}
	return true;
}

static void must_recv(int fd, void *data, size_t len)
{
	if (!recv_all(fd, data, len))
		die("recv: the connection has ended");
}

static void send_stream(int fd, uint64_t seed, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += ROOM) {
		size_t n = bytes - at < ROOM ? bytes - at : ROOM;

		if (opt.check)
			fill((uint64_t *)buf, seed, at, n);
		send_all(fd, buf, n);
	}
}

static void check_stream(int fd, uint64_t seed, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += ROOM) {
		size_t n = bytes - at < ROOM ? bytes - at : ROOM;

		must_recv(fd, buf, n);
		if (opt.check)
			check(buf, seed, at, n);
	}
}

static void summary(uint64_t count, uint64_t bytes)
{
	printf("netio: %s ok count=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRIu64 "\n",
	       subject, count, bytes, now_ms() - start_ms);
}

/* ---- the server ---- */

static void serve_connection(int fd)
{
	struct head head;

	be_patient(fd);
	while (recv_all(fd, &head, sizeof(head))) {
		if (head.magic != MAGIC)
			die("no header");
		opt.check = !(head.op & OP_UNCHECKED);
		head.op &= ~(uint64_t)OP_UNCHECKED;
		if (head.op == OP_GET) {
			send_stream(fd, head.seed, head.bytes);
		} else if (head.op == OP_PUT) {
			check_stream(fd, head.seed, head.bytes);
			send_all(fd, &head.bytes, sizeof(head.bytes));
		} else {
			check_stream(fd, head.seed, head.bytes);
			send_stream(fd, ~head.seed, head.bytes);
		}
	}
}

static void echo_datagrams(int fd)
{
	struct sockaddr_storage from;
	struct head *head = (struct head *)buf;

	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

		if (n < (ssize_t)sizeof(*head) || head->magic != MAGIC ||
		    head->bytes != (size_t)n) {
			fprintf(stderr, "netio: serve: a datagram of %zd bytes that is none of ours\n", n);
			continue;
		}
		check(buf + sizeof(*head), head->seed, 0, n - sizeof(*head));
		sendto(fd, buf, n, 0, (struct sockaddr *)&from, len);
	}
}

static void serve(int port)
{
	int fd = bind_any(port, SOCK_STREAM), datagrams = bind_any(port, SOCK_DGRAM);

	signal(SIGCHLD, SIG_IGN);
	if (listen(fd, 64))
		die("listen: %s", strerror(errno));
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			/* A wrong datagram ends a child of this one: it stays unanswered. */
			if (!fork()) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				echo_datagrams(datagrams);
			}
			signal(SIGCHLD, SIG_DFL);
			wait(NULL);
		}
	}
	printf("listening\n");
	fflush(stdout);
	for (;;) {
		int one = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (one < 0)
			continue;
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve_connection(one);
			exit(0);
		}
		close(one);
	}
}

/* ---- TCP clients ---- */

static void transfer(const char *host, const char *port, enum op op, uint64_t seed)
{
	struct head head = { .magic = MAGIC, .op = op, .seed = seed, .bytes = opt.bytes };
	int fd = connect_to(host, port, SOCK_STREAM);
	uint64_t answer = 0;

	if (!opt.check)
		head.op |= OP_UNCHECKED;
	send_all(fd, &head, sizeof(head));
	if (op == OP_PUT) {
		send_stream(fd, seed, opt.bytes);
		must_recv(fd, &answer, sizeof(answer));
		if (answer != opt.bytes)
			die("the server got %" PRIu64 " bytes", answer);
	} else {
		check_stream(fd, seed, opt.bytes);
	}
}

static void pin_to(uint64_t flow)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(flow % sysconf(_SC_NPROCESSORS_ONLN), &set);
	if (opt.pin && sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity: %s", strerror(errno));
}

static void transfers(const char *host, const char *port, enum op op)
{
	int status, failed = 0;

	for (uint64_t flow = 0; flow < opt.flows; flow++)
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pin_to(flow);
			transfer(host, port, op, opt.seed + flow * GOLDEN);
			exit(0);
		}
	while (wait(&status) > 0)
		failed += status != 0;
	if (failed)
		die("%d of %" PRIu64 " flows failed", failed, opt.flows);
	summary(opt.flows, opt.flows * opt.bytes);
}

/* Records of 1 byte to max, on one connection that has to last. */
static void talk(const char *host, const char *port)
{
	struct head head = { .magic = MAGIC, .op = OP_TALK };
	int fd = connect_to(host, port, SOCK_STREAM);
	uint64_t rng = opt.seed, rounds = 0, bytes = 0, longest = 0;

	do {
		uint64_t before = now_ms(), took;

		head.seed = next_random(&rng);
		head.bytes = 1 + next_random(&rng) % opt.max;
		send_all(fd, &head, sizeof(head));
		send_stream(fd, head.seed, head.bytes);
		check_stream(fd, ~head.seed, head.bytes);
		took = now_ms() - before;
		if (took > longest)
			longest = took;
		bytes += 2 * head.bytes;
		if (!rounds++) {
			printf("talking\n");
			fflush(stdout);
		}
	} while (now_ms() - start_ms < opt.seconds * 1000);
	printf("longest=%" PRIu64 "\n", longest);
	summary(rounds, bytes);
}

/* ---- datagrams ---- */

static size_t make_datagram(char *data, uint64_t seed, size_t size)
{
	struct head head = { .magic = MAGIC, .seed = seed };

	if (size < sizeof(head))
		size = sizeof(head);
	if (size > ROOM - 1 - 28)
		size = ROOM - 1 - 28;
	head.bytes = size;
	fill((uint64_t *)(data + sizeof(head)), seed, 0, size - sizeof(head));
	memcpy(data, &head, sizeof(head));
	return size;
}

static void udp(const char *host, const char *port)
{
	static char out[ROOM] __attribute__((aligned(8)));
	struct timeval second = { .tv_sec = 1 };
	int fd = connect_to(host, port, SOCK_DGRAM), tries;
	uint64_t rng = opt.seed, bytes = 0, again = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	for (uint64_t i = 0; i < opt.count; i++) {
		uint64_t seed = next_random(&rng);
		size_t wanted = opt.min + next_random(&rng) % (opt.max - opt.min + 1);
		size_t size = make_datagram(out, seed, wanted);

		for (tries = 0; tries < 5; tries++) {
			ssize_t n;

			if (send(fd, out, size, 0) != (ssize_t)size)
				die("send of %zu bytes: %s", size, strerror(errno));
			/* An answer to an earlier try may come first. */
			while ((n = recv(fd, buf, sizeof(buf), 0)) >= 0)
				if (n == (ssize_t)size && !memcmp(out, buf, n))
					break;
			if (n >= 0)
				break;
		}
		if (tries == 5)
			die("datagram %" PRIu64 " of %zu bytes has no answer", i, size);
		again += tries;
		bytes += 2 * size;
	}
	printf("again=%" PRIu64 "\n", again);
	summary(opt.count, bytes);
}

/* For load while interfaces come and go: nothing is an error. */
static void flood(const char *host, const char *port)
{
	socklen_t len;
	struct sockaddr_storage to = address(host, port, &len);
	int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	uint64_t rng = opt.seed, sent = 0, bytes = 0, got = 0;

	printf("flooding\n");
	fflush(stdout);
	while (now_ms() - start_ms < opt.seconds * 1000) {
		uint64_t seed = next_random(&rng);
		size_t size = make_datagram(buf, seed, 1 + next_random(&rng) % opt.max);

		if (sendto(fd, buf, size, 0, (struct sockaddr *)&to, len) == (ssize_t)size) {
			sent++;
			bytes += size;
		} else {
			usleep(1000);
		}
		while (recv(fd, buf, sizeof(buf), 0) > 0)
			got++;
	}
	printf("echoed=%" PRIu64 "\n", got);
	summary(sent, bytes);
}

static void multicast(const char *group, const char *port, const char *interface, bool receive)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	struct ip_mreq mreq = { .imr_interface.s_addr = inet_addr(interface) };
	uint64_t rng = opt.seed, bytes = 0;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	to.sin_addr.s_addr = mreq.imr_multiaddr.s_addr = inet_addr(group);
	be_patient(fd);
	if (receive ? bind(fd, (struct sockaddr *)&to, sizeof(to)) ||
		      setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &mreq, sizeof(mreq)) :
		      setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &mreq.imr_interface, 4))
		die("%s on %s: %s", group, interface, strerror(errno));
	if (receive) {
		printf("listening\n");
		fflush(stdout);
	}
	for (uint64_t i = 0; i < opt.count; i++) {
		struct head head;
		ssize_t n;

		if (receive) {
			n = recv(fd, buf, sizeof(buf), 0);
			if (n < (ssize_t)sizeof(head))
				die("after %" PRIu64 ": %s", i, n < 0 ? strerror(errno) : "too short");
			memcpy(&head, buf, sizeof(head));
			check(buf + sizeof(head), head.seed, 0, n - sizeof(head));
		} else {
			uint64_t seed = next_random(&rng);

			n = make_datagram(buf, seed, 1 + next_random(&rng) % opt.max);
			if (sendto(fd, buf, n, 0, (struct sockaddr *)&to, sizeof(to)) != n)
				die("sendto: %s", strerror(errno));
			usleep(2000);
		}
		bytes += n;
	}
	summary(opt.count, bytes);
}

/* Counts frames of our type by whom they were for, as the kernel classified them. */
static void sniff(const char *dev)
{
	struct sockaddr_ll on = { .sll_family = AF_PACKET, .sll_protocol = htons(FRAME_TYPE),
				  .sll_ifindex = if_nametoindex(dev) };
	struct packet_mreq mreq = { .mr_ifindex = on.sll_ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(FRAME_TYPE));
	struct timeval tick = { .tv_usec = 100000 };
	uint64_t seen[5] = { 0 }, all = 0, bytes = 0;

	if (fd < 0 || !on.sll_ifindex || bind(fd, (struct sockaddr *)&on, sizeof(on)))
		die("%s: %s", dev, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
	mreq.mr_type = PACKET_MR_PROMISC;
	if (opt.promisc && setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof(mreq)))
		die("promiscuous: %s", strerror(errno));
	mreq.mr_type = PACKET_MR_ALLMULTI;
	if (opt.allmulti && setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof(mreq)))
		die("all multicast: %s", strerror(errno));
	printf("listening\n");
	fflush(stdout);
	while (all < opt.count && now_ms() - start_ms < opt.seconds * 1000) {
		socklen_t len = sizeof(on);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&on, &len);

		if (n < 0)
			continue;
		if (on.sll_pkttype < 5)
			seen[on.sll_pkttype]++;
		all++;
		bytes += n;
	}
	printf("to-us=%" PRIu64 " broadcast=%" PRIu64 " multicast=%" PRIu64 " to-others=%" PRIu64 "\n",
	       seen[PACKET_HOST], seen[PACKET_BROADCAST], seen[PACKET_MULTICAST],
	       seen[PACKET_OTHERHOST]);
	summary(all, bytes);
}

/* ---- an interface goes down and up ---- */

static void set_up(int fd, const char *dev, bool up)
{
	struct ifreq ifr = { 0 };

	strncpy(ifr.ifr_name, dev, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr))
		die("%s: %s", dev, strerror(errno));
	ifr.ifr_flags = up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("%s %s: %s", dev, up ? "up" : "down", strerror(errno));
}

static uint64_t counter(const char *dev, const char *name)
{
	char path[100];
	uint64_t value;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s", dev, name);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%" SCNu64, &value) != 1)
		die("%s: %s", path, strerror(errno));
	fclose(file);
	return value;
}

/* It stays up until min packets went each way, or for a while: busy= is how often they did. */
static void updown(const char *dev)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t busy = 0, sent, got, begin;
	bool both;

	for (uint64_t i = 0; i < opt.count; i++) {
		set_up(fd, dev, false);
		sent = counter(dev, "tx_packets");
		got = counter(dev, "rx_packets");
		set_up(fd, dev, true);
		begin = now_ms();
		do
			both = counter(dev, "tx_packets") >= sent + opt.min &&
			       counter(dev, "rx_packets") >= got + opt.min;
		while (!both && now_ms() - begin < 100);
		busy += both;
	}
	printf("busy=%" PRIu64 "\n", busy);
	summary(opt.count, 0);
}

/* ---- */

static void parse_option(const char *arg)
{
	static const struct number known[] = {
		{ "seed", &opt.seed }, { "bytes", &opt.bytes }, { "flows", &opt.flows }, { "pin", &opt.pin },
		{ "chunk", &opt.chunk }, { "check", &opt.check }, { "seconds", &opt.seconds },
		{ "count", &opt.count }, { "min", &opt.min }, { "max", &opt.max },
		{ "promisc", &opt.promisc }, { "allmulti", &opt.allmulti },
	};

	if (!set_number(known, sizeof(known) / sizeof(*known), arg))
		die("not an option: %s", arg);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
	} modes[] = {
		{ "serve", 1 }, { "put", 2 }, { "get", 2 }, { "talk", 2 }, { "udp", 2 }, { "flood", 2 },
		{ "mrecv", 3 }, { "msend", 3 }, { "sniff", 1 }, { "updown", 1 },
	};
	const size_t count = sizeof(modes) / sizeof(*modes);
	size_t which = 0;

	while (which < count && argc > 1 && strcmp(argv[1], modes[which].name))
		which++;
	if (which == count || argc < 2 + modes[which].args) {
		fprintf(stderr, "usage: netio serve|put|get|talk|udp|flood|mrecv|msend|sniff|updown …: see netio.c\n");
		return 2;
	}
	subject = argv[1];
	for (int i = 2 + modes[which].args; i < argc; i++)
		parse_option(argv[i]);
	start_ms = now_ms();
	switch (which) {
	case 0: strcmp(argv[2], "-") ? serve(atoi(argv[2])) : serve_connection(0); break;
	case 1: transfers(argv[2], argv[3], OP_PUT); break;
	case 2: transfers(argv[2], argv[3], OP_GET); break;
	case 3: talk(argv[2], argv[3]); break;
	case 4: udp(argv[2], argv[3]); break;
	case 5: flood(argv[2], argv[3]); break;
	case 6:
	case 7: multicast(argv[2], argv[3], argv[4], which == 6); break;
	case 8: sniff(argv[2]); break;
	case 9: updown(argv[2]); break;
	}
	return 0;
}
