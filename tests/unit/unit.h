/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every unit test starts from.
 */
#ifndef _UNIT_H
#define _UNIT_H

#include <setjmp.h>
#include "device.h"
#include <cmocka.h>

/* Around each test: what the shim counts must come out even. */
int unit_setup(void **state);
int unit_teardown(void **state);
/* With all modules loaded, and devices that answer while somebody sleeps. */
int stack_setup(void **state);
int stack_teardown(void **state);

/* The world goes round: the device serves, completions are delivered. */
void settle(void);

/*
 * Tests that say something of the modern interface only. The others are run
 * once more with devices that are legacy-only: FN_LEGACY in the environment.
 */
#define MODERN_ONLY()							\
do {									\
	if (fn_face == FN_LEGACY)					\
		skip();							\
} while (0)

#define ring_test(f)	cmocka_unit_test_setup_teardown(f, unit_setup, unit_teardown)
#define stack_test(f)	cmocka_unit_test_setup_teardown(f, stack_setup, stack_teardown)

/* A log of exactly one error line, with @a and @b in it. */
void assert_one_error(const char *a, const char *b);

#endif /* _UNIT_H */
