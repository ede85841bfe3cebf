// SPDX-License-Identifier: GPL-2.0
/* 5.15 (fc7a6209d571): bus_type::remove returns nothing. */
#include <linux/device.h>

struct bus_type probe;

/* An error where the member is of another type, not a warning. */
int same[__builtin_types_compatible_p(__typeof__(probe.remove),
				      void (*)(struct device *)) ? 1 : -1];
