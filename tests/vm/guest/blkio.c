// SPDX-License-Identifier: GPL-2.0
/*
 * blkio: direct, asynchronous I/O on a block device, checked without a log.
 *
 *	blkio write  DEV [seed= total= depth= max=]	random pieces, 1 sector to max
 *	blkio verify DEV [… fresh=1]			what `write` left there
 *	blkio read   DEV [seed= count= depth= max=]	random reads of max bytes; in
 *							order with seq=1
 *	blkio churn  DEV [seed= seconds= depth= max=]	random I/O, failures are counted;
 *							once=1: the first ends it, which
 *							is said to begin with the first success
 *	blkio sync   PATH [seed= count=]		records, each fsynced, then reported
 *	blkio synced PATH [seed= count=]		the first count of them
 *
 * size= says how much of the device is used: the first so many bytes. With
 * nosync=1, `write` does without the fsync at its end.
 *
 * The pieces that `write` writes follow from the seed alone: piece N, counted
 * from 1, is generation N of the sectors it covers. `verify` replays the same
 * schedule to learn each sector's last generation, so it works after a reboot
 * and in another kernel. Pieces may overlap; those in flight never do. What a
 * sector holds follows from seed, sector and generation. Generation 0, the
 * sectors that no piece covers, is zeros: compared with fresh=1, when nothing
 * else has ever been written to the device.
 *
 * Uses the raw system calls, which are the same from 2.6.32 to today.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROGRAM		"blkio"
#include "common.h"

#define SECTOR		512
#define RECORD_ROOM	(64 * 1024)

struct piece {
	uint64_t sector;
	uint32_t sectors;
	uint32_t generation;
};

struct slot {
	struct iocb cb;
	struct piece piece;
	char *buf;
	bool busy;
};

static struct {
	uint64_t seed, total, count, depth, max, seconds, fresh, size, nosync, seq, once;
} opt = { .seed = 1, .total = 64 << 20, .count = 1000, .depth = 32, .seconds = 10 };

static int fd;
static uint32_t unit;			/* logical block, in sectors */
static uint64_t size;			/* of what is used of the device, in sectors */
static uint64_t done_bytes, done_requests, failed_requests;

/* ---- contents and schedule ---- */

static uint64_t sector_key(uint64_t sector, uint32_t generation)
{
	return mix(mix(opt.seed + GOLDEN * sector) + generation);
}

static void fill(void *buf, const struct piece *p)
{
	uint64_t *word = buf;

	for (uint32_t s = 0; s < p->sectors; s++, word += SECTOR / 8)
		fill_words(word, sector_key(p->sector + s, p->generation), SECTOR / 8);
}

static bool sector_is(const uint64_t *word, uint64_t sector, uint32_t generation)
{
	uint64_t step = generation ? GOLDEN : 0;
	uint64_t key = generation ? sector_key(sector, generation) : 0;

	for (int i = 0; i < SECTOR / 8; i++)
		if (word[i] != (key += step))
			return false;
	return true;
}

/* Lengths are spread evenly over the powers of two, so most pieces are small. */
static struct piece random_piece(uint64_t *rng, uint32_t generation)
{
	uint64_t units = size / unit, most = opt.max / SECTOR / unit;
	uint64_t len = 1ull << next_random(rng) % (64 - __builtin_clzll(most));

	len += next_random(rng) % len;
	if (len > most)
		len = most;
	return (struct piece){
		.sector = next_random(rng) % (units - len + 1) * unit,
		.sectors = len * unit,
		.generation = generation,
	};
}

/* ---- the engine: keeps opt.depth requests in flight ---- */

struct job {
	/* The next request, or false when there is none. */
	bool (*next)(struct piece *p, bool *is_write);
	/* Called when a request has ended well; may be NULL. */
	void (*check)(const struct piece *p, const char *buf);
	bool tolerant;			/* failures are counted, not fatal */
	uint64_t goal;			/* bytes, for the progress lines */
};

static void report_progress(uint64_t goal)
{
	static uint64_t last;
	uint64_t now = now_ms();

	if (goal && now - last >= 2000) {
		if (last)
			printf("progress %" PRIu64 "%%\n", done_bytes * 100 / goal);
		last = now;
	}
}

static bool overlaps(const struct slot *slots, const struct piece *p)
{
	for (uint64_t i = 0; i < opt.depth; i++) {
		const struct piece *q = &slots[i].piece;

		if (slots[i].busy && p->sector < q->sector + q->sectors &&
		    q->sector < p->sector + p->sectors)
			return true;
	}
	return false;
}

static void end_request(const struct job *job, struct slot *slot, int64_t res)
{
	const struct piece *p = &slot->piece;

	slot->busy = false;
	if (res == (int64_t)p->sectors * SECTOR) {
		done_requests++;
		done_bytes += res;
		if (job->check)
			job->check(p, slot->buf);
		return;
	}
	failed_requests++;
	if (!job->tolerant)
		die("%s of %u sectors at sector %" PRIu64 ": %s",
		    slot->cb.aio_lio_opcode == IOCB_CMD_PWRITE ? "write" : "read", p->sectors, p->sector,
		    res < 0 ? strerror(-res) : "short");
}

static void submit(aio_context_t ctx, const struct job *job, struct iocb **cbs, long n)
{
	while (n > 0) {
		long sent = syscall(SYS_io_submit, ctx, n, cbs);

		if (sent < 0 && errno != EAGAIN && errno != EINTR) {
			end_request(job, (struct slot *)cbs[0]->aio_data, -errno);
			sent = 1;
		}
		if (sent > 0) {
			cbs += sent;
			n -= sent;
		}
	}
}

/* Fills the free slots and submits them together; false when nothing is left to do. */
static bool refill(aio_context_t ctx, const struct job *job, struct slot *slots, struct iocb **cbs)
{
	static struct piece piece;
	static bool have_piece, is_write, at_end;
	long n = 0;

	for (uint64_t i = 0; i < opt.depth && !at_end; i++) {
		struct slot *slot = &slots[i];

		if (slot->busy)
			continue;
		if (!have_piece && !job->next(&piece, &is_write)) {
			at_end = true;
			break;
		}
		have_piece = true;
		if (overlaps(slots, &piece))
			break;
		have_piece = false;
		slot->piece = piece;
		slot->busy = true;
		if (is_write)
			fill(slot->buf, &piece);
		slot->cb = (struct iocb){
			.aio_data = (uintptr_t)slot,
			.aio_lio_opcode = is_write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
			.aio_fildes = fd,
			.aio_buf = (uintptr_t)slot->buf,
			.aio_nbytes = (uint64_t)piece.sectors * SECTOR,
			.aio_offset = piece.sector * SECTOR,
		};
		cbs[n++] = &slot->cb;
	}
	submit(ctx, job, cbs, n);
	for (uint64_t i = 0; i < opt.depth; i++)
		if (slots[i].busy)
			return true;
	return !at_end;
}

static void run(const struct job *job)
{
	struct slot *slots = calloc(opt.depth, sizeof(*slots));
	struct iocb **cbs = calloc(opt.depth, sizeof(*cbs));
	struct io_event *events = calloc(opt.depth, sizeof(*events));
	aio_context_t ctx = 0;

	if (!slots || !cbs || !events || syscall(SYS_io_setup, opt.depth, &ctx))
		die("io_setup: %s", strerror(errno));
	for (uint64_t i = 0; i < opt.depth; i++) {
		void *buf;

		if (posix_memalign(&buf, 4096, opt.max + 4096))
			die("out of memory");
		/* Not every buffer begins on a page, where the device allows it. */
		slots[i].buf = (char *)buf + i * SECTOR * unit % 4096;
	}

	start_ms = now_ms();
	while (refill(ctx, job, slots, cbs)) {
		long n = 0;

		for (uint64_t i = 0; i < opt.depth; i++)
			n += slots[i].busy;
		if (!n)
			continue;
		n = syscall(SYS_io_getevents, ctx, 1, opt.depth, events, NULL);
		if (n < 0 && errno != EINTR)
			die("io_getevents: %s", strerror(errno));
		for (long i = 0; i < n; i++)
			end_request(job, (struct slot *)(uintptr_t)events[i].data, events[i].res);
		report_progress(job->goal);
	}
}

static void summary(const char *mode)
{
	printf("blkio: %s ok requests=%" PRIu64 " bytes=%" PRIu64 " failed=%" PRIu64 " ms=%" PRIu64 "\n",
	       mode, done_requests, done_bytes, failed_requests, now_ms() - start_ms);
}

/* ---- write, verify ---- */

static struct {
	uint64_t rng, bytes;
	uint32_t generation;
} schedule;

static bool next_scheduled(struct piece *p, bool *is_write)
{
	if (schedule.bytes >= opt.total)
		return false;
	*p = random_piece(&schedule.rng, ++schedule.generation);
	*is_write = true;
	schedule.bytes += (uint64_t)p->sectors * SECTOR;
	return true;
}

static void do_write(void)
{
	run(&(struct job){ .next = next_scheduled, .goal = opt.total });
	if (!opt.nosync && fsync(fd))
		die("fsync: %s", strerror(errno));
	summary("write");
}

static uint32_t *expected;		/* generation of each sector */
static uint64_t verify_at;

static void check_sectors(const struct piece *p, const char *buf)
{
	for (uint32_t s = 0; s < p->sectors; s++) {
		const uint64_t *word = (const uint64_t *)(buf + s * SECTOR);
		uint64_t sector = p->sector + s;
		uint32_t g;

		if (!expected[sector] && !opt.fresh)
			continue;
		if (sector_is(word, sector, expected[sector]))
			continue;
		for (g = 0; g <= schedule.generation; g++)
			if (sector_is(word, sector, g))
				die("sector %" PRIu64 " holds generation %u, not %u", sector, g,
				    expected[sector]);
		die("sector %" PRIu64 " (generation %u) holds something else: %016" PRIx64 " %016" PRIx64,
		    sector, expected[sector], word[0], word[1]);
	}
}

static bool next_in_order(struct piece *p, bool *is_write)
{
	uint64_t len = opt.max / SECTOR;

	if (verify_at >= size)
		return false;
	if (len > size - verify_at)
		len = size - verify_at;
	*p = (struct piece){ .sector = verify_at, .sectors = len };
	*is_write = false;
	verify_at += len;
	return true;
}

static void do_verify(void)
{
	struct piece p;
	bool is_write;

	expected = calloc(size, sizeof(*expected));
	if (!expected)
		die("out of memory");
	while (next_scheduled(&p, &is_write))
		for (uint32_t s = 0; s < p.sectors; s++)
			expected[p.sector + s] = p.generation;
	run(&(struct job){ .next = next_in_order, .check = check_sectors, .goal = size * SECTOR });
	summary("verify");
}

/* ---- read, churn ---- */

static bool next_read(struct piece *p, bool *is_write)
{
	uint64_t len = opt.max / SECTOR, place;

	if (schedule.generation == opt.count)
		return false;
	place = opt.seq ? schedule.generation : next_random(&schedule.rng);
	schedule.generation++;
	*p = (struct piece){
		.sector = place % (size / len) * len,
		.sectors = len,
	};
	*is_write = false;
	return true;
}

static void do_read(void)
{
	run(&(struct job){ .next = next_read });
	summary("read");
}

static bool next_churn(struct piece *p, bool *is_write)
{
	static bool said;

	if (!said && (done_requests || !opt.once)) {
		printf("churning\n");
		said = true;
	}
	if (now_ms() - start_ms >= opt.seconds * 1000 || (opt.once && failed_requests))
		return false;
	*p = random_piece(&schedule.rng, ++schedule.generation);
	*is_write = next_random(&schedule.rng) & 1;
	/* The kernel has several lines of log for each failure of a disk that is gone. */
	if (failed_requests)
		usleep(failed_requests < 100 ? 1000 : 100000);
	return true;
}

static void do_churn(void)
{
	run(&(struct job){ .next = next_churn, .tolerant = true });
	summary("churn");
}

/* ---- sync, synced ---- */

static struct piece record(uint32_t n)
{
	uint64_t rng = mix(opt.seed) + n;

	return (struct piece){
		.sector = (uint64_t)(n - 1) * (RECORD_ROOM / SECTOR),
		.sectors = (1 + next_random(&rng) % (RECORD_ROOM / SECTOR / unit)) * unit,
		.generation = n,
	};
}

static void do_sync(void)
{
	char *buf = malloc(RECORD_ROOM);

	for (uint32_t n = 1; n <= opt.count; n++) {
		struct piece p = record(n);
		ssize_t len = p.sectors * SECTOR;

		fill(buf, &p);
		if (pwrite(fd, buf, len, p.sector * SECTOR) != len)
			die("record %u: %s", n, strerror(errno));
		if (n & 1 ? fsync(fd) : fdatasync(fd))
			die("record %u: sync: %s", n, strerror(errno));
		printf("synced %u\n", n);
	}
}

static void do_synced(void)
{
	char *buf = malloc(RECORD_ROOM);

	for (uint32_t n = 1; n <= opt.count; n++) {
		struct piece p = record(n);
		ssize_t len = p.sectors * SECTOR;

		if (pread(fd, buf, len, p.sector * SECTOR) != len)
			die("record %u cannot be read", n);
		for (uint32_t s = 0; s < p.sectors; s++)
			if (!sector_is((uint64_t *)(buf + s * SECTOR), p.sector + s, n))
				die("record %u is not there, from its sector %u", n, s);
		done_requests++;
		done_bytes += len;
	}
	summary("synced");
}

/* ---- */

static const struct mode {
	const char *name;
	void (*run)(void);
	int flags;
	uint64_t max;			/* default */
} modes[] = {
	{ "write",  do_write,  O_RDWR | O_DIRECT,   1 << 20 },
	{ "verify", do_verify, O_RDONLY | O_DIRECT, 1 << 20 },
	{ "read",   do_read,   O_RDONLY | O_DIRECT, 4096 },
	{ "churn",  do_churn,  O_RDWR | O_DIRECT,   64 << 10 },
	{ "sync",   do_sync,   O_RDWR | O_CREAT,    RECORD_ROOM },
	{ "synced", do_synced, O_RDONLY,            RECORD_ROOM },
};

static void usage(void)
{
	fprintf(stderr, "usage: blkio write|verify|read|churn|sync|synced PATH "
			"[seed= total= count= depth= max= seconds= fresh= size= nosync= seq= once=]\n");
	exit(2);
}

static void parse_option(const char *arg)
{
	static const struct number known[] = {
		{ "seed", &opt.seed },   { "total", &opt.total }, { "count", &opt.count },
		{ "depth", &opt.depth }, { "max", &opt.max },     { "seconds", &opt.seconds },
		{ "fresh", &opt.fresh }, { "size", &opt.size },       { "nosync", &opt.nosync },
		{ "seq", &opt.seq },     { "once", &opt.once },
	};

	if (!set_number(known, sizeof(known) / sizeof(*known), arg))
		usage();
}

static void open_target(int flags)
{
	uint64_t bytes;
	int block = SECTOR;

	fd = open(subject, flags, 0644);
	if (fd < 0)
		die("%s", strerror(errno));
	if (!ioctl(fd, BLKGETSIZE64, &bytes)) {
		if (opt.size && opt.size < bytes)
			bytes = opt.size;
		size = bytes / SECTOR;
		ioctl(fd, BLKSSZGET, &block);
	}
	unit = block / SECTOR;
	if ((flags & O_DIRECT) && (opt.max % block || !opt.max || size * SECTOR < opt.max))
		die("max=%" PRIu64 " does not fit its blocks of %d and size of %" PRIu64, opt.max, block, bytes);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3)
		usage();
	subject = argv[2];
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (strcmp(argv[1], modes[i].name))
			continue;
		opt.max = modes[i].max;
		for (int a = 3; a < argc; a++)
			parse_option(argv[a]);
		if (!opt.depth || opt.depth > 1024)
			usage();
		schedule.rng = opt.seed;
		open_target(modes[i].flags);
		modes[i].run();
		return 0;
	}
	usage();
}
