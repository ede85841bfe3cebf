# SPDX-License-Identifier: GPL-2.0
# How the pack's own sources are compiled in user space: with the pack's
# headers, over those of the shim, in each shape that compat/ gives them.
#
# Included by unit/Makefile and hostile/Makefile, which set OUT and CC.

# As many jobs as there are CPUs, unless somebody said how many.
ifeq ($(findstring jobserver,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

SHIM	:= $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
TOP	:= $(abspath $(SHIM)/../..)
OUT	:= $(abspath $(OUT))

SHAPES	:= modern el6-6.0 el6-6.6
# Not in the feature headers, since compat/ finds it out at run time: whether a
# flush is a flag of a request, or made by a barrier. Nor whether the hwrng core
# fetches what was not announced.
FLAGS_el6-6.6 := -DSHIM_FLUSH_FLAGS -DSHIM_HWRNG_FETCHES_NOTHING
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all

# Which of the shim's headers stands for which of the kernel's.
HDRS_base := types compiler kernel list bug err bitops module cpumask percpu string smp
HDRS_context := spinlock mutex workqueue completion delay jiffies timer \
	        preempt seqlock u64_stats_sync notifier oom suspend
HDRS_memory := slab gfp mm scatterlist dma-mapping idr
HDRS_driver := device sysfs mod_devicetable pm
HDRS_pci := pci interrupt io
HDRS_blk := blkdev blk-mq genhd hdreg
HDRS_net := netdevice skbuff etherdevice ethtool if_ether if_link if_vlan in \
	    rtnetlink
HDRS_wait := sched wait
HDRS_rng := hw_random
HDRS_file := cdev fs kref poll tty uaccess
# Not linux/: these are in scsi/, and in net/9p/.
HDRS_scsi := scsi scsi_cmnd scsi_device scsi_host
HDRS_p9 := 9p client transport

HEADERS	:= $(OUT)/include/.done
$(HEADERS): $(SHIM)/common.mk
	@mkdir -p $(OUT)/include/linux $(OUT)/include/asm $(OUT)/include/scsi $(OUT)/include/net/9p
	@$(foreach h,base context memory driver pci blk net wait rng file,$(foreach n,$(HDRS_$(h)),\
		echo '#include <shim/$(h).h>' > $(OUT)/include/linux/$(n).h;))
	@for n in $(HDRS_scsi); do echo '#include <shim/scsi.h>' > $(OUT)/include/scsi/$$n.h; done
	@for n in $(HDRS_p9); do echo '#include <shim/p9.h>' > $(OUT)/include/net/9p/$$n.h; done
	@for n in linux/parser linux/kobject; do echo '#include <shim/driver.h>' > $(OUT)/include/$$n.h; done
	@echo '#include <shim/p9.h>' > $(OUT)/include/asm/unaligned.h
	@for n in barrier system; do echo '#include <shim/base.h>' > $(OUT)/include/asm/$$n.h; done
	@touch $@

# The kernel's own rules for C; -Wno-…: what its builds do not ask for either.
CFLAGS	:= -std=gnu89 -O1 -g -fno-strict-aliasing -fno-omit-frame-pointer \
	   -Wall -Wextra -Wdeclaration-after-statement -Wundef -Werror \
	   -Wno-unused-parameter -Wno-sign-compare \
	   -Wno-missing-field-initializers -Wno-pointer-arith $(SANITIZE)
INCLUDES := -Icompat/include -Iinclude -I$(OUT)/include \
	   -Itests/shim/include -Itests/shim -Itests/unit

MODULES	:= virtio/virtio virtio/virtio_ring virtio/virtio_pci_common \
	   virtio/virtio_pci_modern virtio/virtio_balloon virtio/virtio_pci_legacy \
	   compat/pci_irq block/virtio_blk \
	   net/virtio_net_main net/virtio_net_rx net/virtio_net_tx \
	   net/virtio_net_page net/virtio_net_ctrl net/virtio_net_ethtool \
	   net/virtio_net_pm net/virtio_9p \
	   scsi/virtio_scsi_main scsi/virtio_scsi_cmd scsi/virtio_scsi_eh \
	   scsi/virtio_scsi_event compat/scsi_host char/virtio-rng \
	   char/virtio_console_main char/virtio_console_ctrl \
	   char/virtio_console_port char/virtio_console_file \
	   char/virtio_console_hvc compat/hvc
SHIMS	:= memory context driver pci blk blkmq blk2632 net scsi file device legacy nic \
	   hba rng entropy balloon p9 share serial

# A module's init function carries its name; see module_init() in the shim.
module_of = $(or $(firstword $(foreach m,virtio_pci virtio_console,$(findstring $(m),$(1)))),\
	    $(subst -,_,$(notdir $(1))))

SOURCES	:= $(wildcard $(TOP)/include/linux/*.h $(TOP)/compat/include/*/*.h $(TOP)/compat/include/net/9p/*.h \
	   $(TOP)/compat/*.c $(TOP)/virtio/*.h $(TOP)/net/*.h $(TOP)/scsi/*.h $(TOP)/char/*.h $(SHIM)/*.h \
	   $(SHIM)/include/shim/*.h $(TOP)/tests/unit/*.h)

# Paths in the objects are those below TOP: with a checkout somewhere else,
# programs are the same, and so is what the fuzzer makes of a seed.
# $(call compile,SHAPE,MODULE,KBUILD_MODNAME)
compile = @mkdir -p $(@D) && echo "  CC      $(@:$(OUT)/%=%)" && cd $(TOP) && \
	$(CC) $(CFLAGS) $(FLAGS_$(1)) -include tests/unit/features-$(1).h $(INCLUDES) \
	$(if $(2),-DSHIM_MODULE=$(2) -DKBUILD_MODNAME='"$(or $(3),$(2))"') \
	-c -o $(abspath $@) $(patsubst $(TOP)/%,%,$(abspath $<))

# $(call shape,SHAPE): $(OUT)/SHAPE/*.o; objects_SHAPE lists them.
define shape
$(OUT)/$(1)/%.o: $(TOP)/virtio/%.c $(HEADERS) $(SOURCES)
	$$(call compile,$(1),$$(call module_of,$$*))
$(OUT)/$(1)/%.o: $(TOP)/block/%.c $(HEADERS) $(SOURCES)
	$$(call compile,$(1),$$*)
$(OUT)/$(1)/virtio_9p.o: $(TOP)/net/virtio_9p.c $(HEADERS) $(SOURCES)
	$$(call compile,$(1),virtio_9p,9pnet_virtio)
$(OUT)/$(1)/%.o: $(TOP)/net/%.c $(HEADERS) $(SOURCES)
	$$(call compile,$(1),virtio_net)
$(OUT)/$(1)/%.o: $(TOP)/scsi/%.c $(HEADERS) $(SOURCES)
	$$(call compile,$(1),virtio_scsi)
$(OUT)/$(1)/%.o: $(TOP)/char/%.c $(HEADERS) $(SOURCES)
	$$(call compile,$(1),$$(call module_of,$$*))
$(OUT)/$(1)/%.o: $(TOP)/compat/%.c $(HEADERS) $(SOURCES)
	$$(call compile,$(1),virtio_pci)
$(OUT)/$(1)/shim-%.o: $(SHIM)/%.c $(HEADERS) $(SOURCES)
	$$(call compile,$(1))
$(OUT)/$(1)/%.o: %.c $(HEADERS) $(SOURCES)
	$$(call compile,$(1),test)
objects_$(1) := $(addprefix $(OUT)/$(1)/,$(addsuffix .o,$(notdir $(MODULES)) $(addprefix shim-,$(SHIMS))))
endef
$(foreach s,$(SHAPES),$(eval $(call shape,$(s))))
.SECONDARY:
