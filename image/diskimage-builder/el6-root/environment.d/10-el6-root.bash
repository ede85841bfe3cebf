# SPDX-License-Identifier: GPL-2.0
export DISTRO_NAME=centos
export DIB_RELEASE=6
