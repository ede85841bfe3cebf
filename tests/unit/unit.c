// SPDX-License-Identifier: GPL-2.0
#include "unit.h"

/* shim_finish() looks for leaks, test by test. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* The shim found something, in the middle of whatever it was. */
static bool unit_lost;

static void __attribute__((__noreturn__)) on_bug(const char *text)
{
	static char copy[1024];

	snprintf(copy, sizeof(copy), "%s", text);
	print_error("%s\n", copy);
	unit_lost = true;
	_fail("shim", 0);
	abort();
}

int unit_setup(void **state)
{
	shim_on_bug = on_bug;
	shim_log_show = getenv("SHIM_LOG") != NULL;
	fn_face = getenv("FN_LEGACY") ? FN_LEGACY : FN_AS_MADE;
	shim_phys = SHIM_PHYS;
	shim_start();
	return 0;
}

int unit_teardown(void **state)
{
	if (unit_lost)
		exit(1);
	shim_finish();
	return 0;
}

int stack_setup(void **state)
{
	unit_setup(state);
	shim_idle = fn_serve_all;
	assert_int_equal(shim_init_virtio(), 0);
	assert_int_equal(shim_init_virtio_pci(), 0);
	assert_int_equal(shim_init_virtio_blk(), 0);
	assert_int_equal(shim_init_virtio_net(), 0);
	assert_int_equal(shim_init_virtio_scsi(), 0);
	assert_int_equal(shim_init_virtio_rng(), 0);
	assert_int_equal(shim_init_virtio_balloon(), 0);
	assert_int_equal(shim_init_virtio_9p(), 0);
	assert_int_equal(shim_init_virtio_console(), 0);
	return 0;
}

/* A test that failed may have left its devices plugged in. */
int stack_teardown(void **state)
{
	if (unit_lost) {
		print_error("No more tests: locks and lists are in disorder.\n");
		exit(1);
	}
	fn_unplug_all();
	shim_exit_virtio_rng();
	shim_exit_virtio_balloon();
	shim_exit_virtio_9p();
	shim_exit_virtio_console();
	shim_exit_virtio_scsi();
	shim_exit_virtio_net();
	shim_exit_virtio_blk();
	shim_exit_virtio_pci();
	shim_exit_virtio();
	return unit_teardown(state);
}

void settle(void)
{
	unsigned int i;

	for (i = 0; i < 5; i++) {
		shim_run_for(2);
		fn_serve_all();
	}
	shim_run();
}

void assert_one_error(const char *a, const char *b)
{
	const char *line = shim_log_find(b);

	if (shim_log_count('E') != 1)
		print_error("%u error lines, one was to come: …%s…\n",
			    shim_log_count('E'), b);
	assert_int_equal(shim_log_count('E'), 1);
	if (!line)
		print_error("nothing about \"%s\" in the log\n", b);
	assert_non_null(line);
	assert_int_equal(line[0], 'E');
	assert_non_null(strstr(line, a));
}
