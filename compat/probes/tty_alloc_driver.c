// SPDX-License-Identifier: GPL-2.0
/*
 * 3.7 (7f0bc6a68ed9). It stands for hvc's types of today, about which headers
 * say nothing: see <linux/hvc_console.h>.
 */
#include <linux/tty.h>
#include <linux/tty_driver.h>

struct tty_driver *probe(void);
struct tty_driver *probe(void)
{
	return tty_alloc_driver(1, 0);
}
