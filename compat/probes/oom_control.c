// SPDX-License-Identifier: GPL-2.0
/* 4.2 (6e0fc46dc215): what the OOM killer is to do. */
#include <linux/oom.h>

int probe(struct oom_control *oc);
int probe(struct oom_control *oc)
{
	return oc->order;
}
