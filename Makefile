# SPDX-License-Identifier: GPL-2.0
# What people type; Kbuild is what the kernel's build system reads.
#
#   make [KDIR=…] [O=…]     the modules for a kernel (default: the running one)
#   make features KDIR=…    what compat/ found in that kernel
#   make demo [KERNEL=…] [ROOT=scsi]   boots a Q35 guest from a modern-only disk
#   make check [KERNEL=…]   every test; check-build, -unit, -hostile, -pkg, -image, -vm: one suite
#   make check-vm LONG=1    with those that take minutes on each kernel
#   make check-vm PACK_FOR=6.0   the modules built for that kernel, on every EL6 kernel
#   make bench [KERNEL=…]   beside the kernel's own drivers
#   make rpm KDIR=…         the kmod package for EL6, one for all kernels, into build/packages
#   make kabi KDIR=…        what the modules need of a kernel, against RHEL's kABI lists (KABI=…)
#   make dkms [KDIR=…]      the DKMS package; with KDIR, DKMS builds from it for that kernel
#   make dud KDIR=…         a driver update disk for anaconda
#   make repo [KEY=…]       a yum repository of the packages, signed with that GPG key
#   make lint               sparse, style, shellcheck and the project's own rules
#   make install            into /lib/modules of the kernel that KDIR is for
#   make clean

SHELL	:= /bin/sh
TOP	:= $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
VERSION	:= $(shell cat $(TOP)/VERSION)
KDIR	?= /lib/modules/$(shell uname -r)/build
PYTHON	:= /usr/bin/python3

KREL	 = $(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null || echo unknown)
O	?= $(TOP)/build/$(KREL)
OUT	 = $(abspath $(O))

.PHONY: help all modules features clean install demo bench check check-build \
	check-unit check-hostile check-pkg check-image check-vm lint deps tree kdir-ok rpm kabi \
	dkms dud repo
.DEFAULT_GOAL := modules
all: modules

help:
	@sed -n 's/^#\(   make.*\)/\1/p' $(firstword $(MAKEFILE_LIST))

# --- The modules -----------------------------------------------------------

# Folders that the kernel's build system sees, as links: its products stay out
# of the sources, and several kernels can be built for side by side.
SUBDIRS	:= compat compat/include/asm compat/include/linux compat/include/scsi \
	   compat/include/net/9p include/linux virtio block net scsi char

kdir-ok:
	@test -d "$(KDIR)" || { \
		echo "$(KDIR): no such folder; give KDIR=, the build folder of the kernel to build for (from its kernel-devel or linux-headers package)" >&2; exit 1; }
	@test -e "$(KDIR)/Makefile" -a -e "$(KDIR)/.config" || { \
		echo "$(KDIR): not the build folder of a configured kernel: it has no Makefile or no .config; install that kernel's kernel-devel or linux-headers package" >&2; exit 1; }
	@test -e "$(KDIR)/Module.symvers" || { \
		echo "$(KDIR)/Module.symvers is missing: without it the modules would have no symbol versions and not load; take the kernel-devel package, or build the kernel's modules first" >&2; exit 1; }

tree: kdir-ok
	@mkdir -p $(addprefix $(OUT)/,$(SUBDIRS))
	@find $(OUT) -type l ! -exec test -e {} \; -delete
	@for d in . $(SUBDIRS); do for f in $(TOP)/$$d/*.[ch] $(TOP)/$$d/Kbuild; do \
		test ! -e $$f || ln -sf $$f $(OUT)/$$d/; done; done
	@CC="$(CC)" KDIR="$(KDIR)" $(TOP)/compat/toolchain $(TOP) $(OUT)

# Our O and KDIR mean something else to the kernel's Makefile; of what was given
# on the command line only this is passed on.
MAKEOVERRIDES :=
KBUILD_VARS := $(foreach v,V C CF W ARCH CROSS_COMPILE KCFLAGS INSTALL_MOD_PATH INSTALL_MOD_STRIP,$(if $(filter command,$(firstword $(origin $(v)))),$(v)="$($(v))"))

# CC and whatever else kbuild must be told on this host for this kernel; the
# file is written by compat/toolchain.
KBUILD	 = $(MAKE) -C $(KDIR) $(KBUILD_VARS) \
	   CC="$$(cat $(OUT)/toolchain/cc)" LD="$$(cat $(OUT)/toolchain/ld)"
export VIRTIO_MODERN_ROOT = $(OUT)

$(OUT)/include/compat-features.h: $(wildcard $(TOP)/compat/probes/*.c) \
		$(TOP)/compat/configure $(TOP)/VERSION $(wildcard $(KDIR)/.config) \
		$(wildcard $(KDIR)/Module.symvers) | tree
	@echo "  PROBES  $(KDIR)"
	@$(TOP)/compat/configure $(TOP) $(OUT) $(VERSION) -- $(KBUILD)
	@touch $@

modules: $(OUT)/include/compat-features.h
	+@$(KBUILD) M=$(OUT) modules
	@test ! -e $(OUT)/toolchain/no-plt32 || $(OUT)/toolchain/fixreloc --check $(OUT)/*/*.ko

features: $(OUT)/include/compat-features.h
	@echo "$(KDIR) ($(KREL)), compiled with $$(cat $(OUT)/toolchain/cc):"
	@sed -n -e 's/^#define COMPAT_HAVE_\(.*\) 1$$/  yes  \1/p' \
		-e 's,^/\* COMPAT_HAVE_\(.*\) is not defined \*/$$,  no   \1,p' $<

INSTALL_MOD_DIR ?= extra/virtio-modern

install: modules
	+@$(KBUILD) M=$(OUT) INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) modules_install
	@echo "Installed for $(KREL). Before the next boot its initramfs must be made anew, with all of these modules or none: see docs/install.md."
	@$(TOP)/tools/installed "$(VERSION)" "$(KREL)" "$(INSTALL_MOD_PATH)"

clean:
	rm -rf $(TOP)/build

# --- Packages ---------------------------------------------------------------

PACKAGES ?= $(TOP)/build/packages
CACHE	 := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/virtio-modern
# RHEL's kABI lists stay out of the tree. Kernels that are registered will do.
KABI	?= $(firstword $(wildcard $(TOP)/../shared/el6-kabi) \
	   $(if $(wildcard $(CACHE)/kernels/*/build/Module.symvers),$(CACHE)/kernels))

rpm: kdir-ok
	@$(TOP)/rpm/package kmod $(PACKAGES) KDIR=$(KDIR) KABI=$(KABI)

dkms:
	@$(TOP)/rpm/package dkms $(PACKAGES)
	@test "$(origin KDIR)" = file || $(TOP)/rpm/dkms-try "$(KDIR)"

dud: kdir-ok
	@$(TOP)/rpm/package dud $(PACKAGES) KDIR=$(KDIR) KABI=$(KABI)

repo:
	@$(TOP)/rpm/package repo $(PACKAGES) KEY=$(KEY)

kabi: modules
	@test -n "$(KABI)" || { echo "kabi: no kABI lists at hand; give KABI=, a folder with them (tools/kabi --help)" >&2; exit 1; }
	@$(TOP)/tools/kabi --lists $(KABI) $(OUT)/*/*.ko

# --- Proof -----------------------------------------------------------------

# What the tests run on. Debian's packages; elsewhere, or without root, the
# tools have to be there.
DEPS_BUILD := gcc-12 make libelf-dev linux-image-amd64 linux-headers-amd64 kmod
DEPS_VM	 := qemu-system-x86 qemu-utils python3-pytest python3-pytest-xdist e2fsprogs cpio xz-utils \
	    zstd musl-tools linux-libc-dev dpkg-dev bzip2 rpm rpm2cpio createrepo-c iproute2
DEPS_TEST := gcc clang libclang-rt-14-dev libcmocka-dev git
DEPS_LINT := sparse shellcheck pyflakes3 git
DEPS_PKG := rpm createrepo-c xorriso dracut-core dkms gpg gpg-agent cpio kmod rpmlint
DEPS_IMAGE := virtinst libosinfo-bin osinfo-db osinfo-db-tools gir1.2-libosinfo-1.0 python3-gi \
	    libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu libxml2-utils python3-yaml ansible-core \
	    grub-pc-bin grub-common python3-guestfs guestfs-tools cryptsetup-bin policycoreutils \
	    packer dropbear-bin openssh-client python3-diskimage-builder sudo procps
DEPS	 := $(DEPS_BUILD) $(DEPS_VM) $(DEPS_TEST) $(DEPS_LINT) $(DEPS_PKG) $(DEPS_IMAGE)

deps:
	@command -v apt-get >/dev/null || { echo "deps: no apt-get: taking it that the tools are there"; exit 0; }; \
	missing=; for p in $(or $(DEPS_WANTED),$(DEPS)); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q '^install ok installed' || missing="$$missing $$p"; done; \
	test -n "$$missing" || exit 0; \
	test "$$(id -u)" = 0 || { echo "deps: not root; please install:$$missing" >&2; exit 1; }; \
	echo "installing:$$missing"; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -q >$${TMPDIR:-/tmp}/virtio-modern-apt.log 2>&1; \
	apt-get install -q -y --no-install-recommends $$missing >>$${TMPDIR:-/tmp}/virtio-modern-apt.log 2>&1 || { \
		tail -n 5 $${TMPDIR:-/tmp}/virtio-modern-apt.log >&2; \
		echo "deps: apt-get failed; its log is $${TMPDIR:-/tmp}/virtio-modern-apt.log" >&2; exit 1; }

# The newest kernel of the distribution, for what needs one to build against.
DISTRO_KDIR = $(shell ls -d /lib/modules/*/build 2>/dev/null | sort -V | tail -n 1)
KERNEL_ARG  = $(if $(KERNEL),--kernel $(KERNEL)) $(if $(LONG),--long) $(if $(PACK_FOR),--pack-for $(PACK_FOR))

# The one job should not wait for the tools of all tests.
demo bench: DEPS_WANTED := $(DEPS_BUILD) $(DEPS_VM) gcc

demo: deps
	@$(PYTHON) tests/vm/demo.py $(if $(KERNEL),--kernel $(KERNEL)) $(if $(ROOT),--root $(ROOT))

bench: deps
	@$(PYTHON) tests/bench/bench.py $(if $(KERNEL),--kernel $(KERNEL))

check: lint check-build check-unit check-hostile check-pkg check-image check-vm

check-build: deps
	@$(PYTHON) -m pytest -p no:cacheprovider -q -rs tests/build

check-unit: deps
	+@$(MAKE) -s -C tests/unit check OUT=$(TOP)/build/unit

check-hostile: deps
	+@$(MAKE) -s -C tests/hostile check OUT=$(TOP)/build/hostile

check-pkg: deps
	@$(PYTHON) -m pytest -p no:cacheprovider -q -rs -n 2 --dist loadgroup tests/pkg

check-image: deps
	@$(PYTHON) -m pytest -p no:cacheprovider -q -rs -n 2 --dist loadgroup tests/image

check-vm: deps
	@$(PYTHON) -m pytest -p no:cacheprovider -q -rs -n auto --maxprocesses 8 --dist loadgroup tests/vm $(KERNEL_ARG)

lint: deps
	@tests/lint/lint "$(DISTRO_KDIR)"
