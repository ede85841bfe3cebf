# SPDX-License-Identifier: GPL-2.0
"""Boots kernels in QEMU with the pack's modules, and talks to the guest."""
