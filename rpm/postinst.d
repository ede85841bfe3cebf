#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A kernel was installed: new-kernel-pkg calls this, before weak-modules.
[ -n "${1-}" ] || exit 0
/usr/libexec/virtio-modern/stack confirm "$1"
exit 0
