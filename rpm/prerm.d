#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A kernel is being removed: new-kernel-pkg calls this.
[ -n "${1-}" ] || exit 0
/usr/libexec/virtio-modern/stack forget "$1"
exit 0
