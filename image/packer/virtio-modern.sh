#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Packer's shell provisioner, or any script that runs in the guest as root:
#
#   { "type": "file", "source": "kmod-virtio-modern-1.0.0-1.el6.x86_64.rpm",
#     "destination": "/tmp/kmod-virtio-modern.rpm" },
#   { "type": "shell", "script": "image/packer/virtio-modern.sh",
#     "environment_vars": ["VIRTIO_MODERN_PACKAGE=/tmp/kmod-virtio-modern.rpm"] }
#
# VIRTIO_MODERN_PACKAGE: what yum is to install (default: from its repositories).
# Fails if the guest would not boot on a modern-only Q35 machine.
set -eu

package=${VIRTIO_MODERN_PACKAGE:-kmod-virtio-modern}

rpm -q kmod-virtio-modern > /dev/null || yum -y install "$package"
/usr/libexec/virtio-modern/stack settle || [ $? = 3 ]
virtio-modern preflight
case $package in
/tmp/*) rm -f "$package" ;;
esac
