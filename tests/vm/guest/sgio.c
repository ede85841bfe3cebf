// SPDX-License-Identifier: GPL-2.0
/*
 * sgio: one SCSI command to a device, past the drivers of disks and CD-ROMs.
 *
 *	sgio command DEV [in=BYTES] [out=HEX] [ms=] CDB…	CDB: bytes in hex
 *	sgio reset   DEV lun|target|bus|host
 *
 * DEV is /dev/sgN or a block device. A command's line of output has what came
 * of it: `status=` of SCSI, `host=` and `driver=` of the kernel, `resid=`, and
 * in hex `sense=` and `data=`, as much as was transferred. The exit status is 0
 * if the command was carried out, whatever it led to.
 */
#include <errno.h>
#include <fcntl.h>
#include <scsi/scsi.h>
#include <scsi/sg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MOST	(1 << 20)

static unsigned char data[MOST], cdb[16], sense[96];

static void usage(void)
{
	fprintf(stderr, "usage: sgio command DEV [in=BYTES] [out=HEX] [ms=] CDB...\n"
			"       sgio reset DEV lun|target|bus|host\n");
	exit(2);
}

static unsigned int number(const char *text, int base, unsigned int most)
{
	char *end;
	unsigned long n = strtoul(text, &end, base);

	if (*end || end == text || n > most)
		usage();
	return n;
}

/* Two digits a byte; returns how many bytes. */
static unsigned int from_hex(unsigned char *to, const char *text, unsigned int room)
{
	unsigned int n, len = strlen(text) / 2;

	if (strlen(text) % 2 || len > room)
		usage();
	for (n = 0; n < len; n++) {
		char digits[3] = { text[2 * n], text[2 * n + 1], 0 };

		to[n] = number(digits, 16, 0xff);
	}
	return len;
}

static void print_hex(const char *name, const unsigned char *bytes, int len)
{
	printf(" %s=", name);
	for (int n = 0; n < len; n++)
		printf("%02x", bytes[n]);
}

static int command(int fd, int argc, char **argv)
{
	struct sg_io_hdr hdr = {
		.interface_id = 'S',
		.dxfer_direction = SG_DXFER_NONE,
		.dxferp = data,
		.cmdp = cdb,
		.sbp = sense,
		.mx_sb_len = sizeof(sense),
		.timeout = 20000,
	};
	int moved;

	for (int a = 0; a < argc; a++) {
		if (!strncmp(argv[a], "in=", 3)) {
			hdr.dxfer_direction = SG_DXFER_FROM_DEV;
			hdr.dxfer_len = number(argv[a] + 3, 0, MOST);
		} else if (!strncmp(argv[a], "out=", 4)) {
			hdr.dxfer_direction = SG_DXFER_TO_DEV;
			hdr.dxfer_len = from_hex(data, argv[a] + 4, MOST);
		} else if (!strncmp(argv[a], "ms=", 3)) {
			hdr.timeout = number(argv[a] + 3, 0, 1000000);
		} else if (hdr.cmd_len < sizeof(cdb)) {
			cdb[hdr.cmd_len++] = number(argv[a], 16, 0xff);
		} else {
			usage();
		}
	}
	if (!hdr.cmd_len)
		usage();
	if (ioctl(fd, SG_IO, &hdr)) {
		printf("sgio: SG_IO: %s\n", strerror(errno));
		return 1;
	}
	printf("status=%d host=%d driver=%d resid=%d", hdr.status, hdr.host_status, hdr.driver_status, hdr.resid);
	print_hex("sense", sense, hdr.sb_len_wr);
	moved = (int)hdr.dxfer_len - hdr.resid;
	print_hex("data", data, hdr.dxfer_direction == SG_DXFER_FROM_DEV ? moved : 0);
	printf("\n");
	return 0;
}

static int reset(int fd, const char *what)
{
	static const struct { const char *name; int way; } ways[] = {
		{ "lun", SG_SCSI_RESET_DEVICE }, { "target", 4 /* not in every header */ },
		{ "bus", SG_SCSI_RESET_BUS },    { "host", SG_SCSI_RESET_HOST },
	};

	for (size_t n = 0; n < sizeof(ways) / sizeof(*ways); n++) {
		int way = ways[n].way;

		if (strcmp(what, ways[n].name))
			continue;
		if (!ioctl(fd, SG_SCSI_RESET, &way))
			return 0;
		printf("sgio: reset %s: %s\n", what, strerror(errno));
		return 1;
	}
	usage();
	return 2;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 4)
		usage();
	fd = open(argv[2], O_RDWR | O_NONBLOCK);
	if (fd < 0) {
		printf("sgio: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	if (!strcmp(argv[1], "command"))
		return command(fd, argc - 3, argv + 3);
	if (!strcmp(argv[1], "reset") && argc == 4)
		return reset(fd, argv[3]);
	usage();
}
