/* SPDX-License-Identifier: GPL-2.0 */
/* What compat/configure writes for EL6 6.0: test data. */
#ifndef _COMPAT_FEATURES_H
#define _COMPAT_FEATURES_H
#define VIRTIO_MODERN_VERSION "1.0.0"
/* COMPAT_HAVE_ADJUST_MANAGED_PAGE_COUNT is not defined */
/* COMPAT_HAVE_BLK_MQ_ALLOC_DISK is not defined */
/* COMPAT_HAVE_BUS_REMOVE_VOID is not defined */
/* COMPAT_HAVE_DISK_RELEASE_VOID is not defined */
/* COMPAT_HAVE_DMA_MAX_MAPPING_SIZE is not defined */
/* COMPAT_HAVE_DMA_SET_MASK_AND_COHERENT is not defined */
/* COMPAT_HAVE_ETH_HW_ADDR_RANDOM is not defined */
/* COMPAT_HAVE_ETH_HW_ADDR_SET is not defined */
/* COMPAT_HAVE_ETHTOOL_CHANNELS is not defined */
/* COMPAT_HAVE_ETHTOOL_CHANNELS_EXT is not defined */
/* COMPAT_HAVE_ETHTOOL_LINK_KSETTINGS is not defined */
/* COMPAT_HAVE_ETHTOOL_RINGPARAM_EXTACK is not defined */
/* COMPAT_HAVE_HWRNG_READ is not defined */
/* COMPAT_HAVE_IDA_ALLOC is not defined */
/* COMPAT_HAVE_IRQ_SET_AFFINITY_AND_HINT is not defined */
/* COMPAT_HAVE_NAPI_COMPLETE_DONE is not defined */
/* COMPAT_HAVE_NDO_GET_STATS64_VOID is not defined */
/* COMPAT_HAVE_NDO_VLAN_PROTO is not defined */
/* COMPAT_HAVE_NETDEV_HW_FEATURES is not defined */
/* COMPAT_HAVE_NETDEV_MC_LIST is not defined */
/* COMPAT_HAVE_NETDEV_MTU_RANGE is not defined */
/* COMPAT_HAVE_NETDEV_NOTIFY_PEERS is not defined */
/* COMPAT_HAVE_NETDEV_OPS_EXT_STATS64 is not defined */
/* COMPAT_HAVE_NETDEV_XMIT_MORE is not defined */
/* COMPAT_HAVE_NETIF_F_GRO_HW is not defined */
/* COMPAT_HAVE_NETIF_NAPI_ADD_WEIGHT is not defined */
/* COMPAT_HAVE_NETIF_SET_REAL_NUM_QUEUES is not defined */
/* COMPAT_HAVE_NETIF_SET_XPS_QUEUE is not defined */
/* COMPAT_HAVE_NF_RESET_CT is not defined */
/* COMPAT_HAVE_OOM_CONTROL is not defined */
/* COMPAT_HAVE_P9_CLIENT_CB_STATUS is not defined */
/* COMPAT_HAVE_P9_REQ_FCALL is not defined */
/* COMPAT_HAVE_P9_RLERROR is not defined */
/* COMPAT_HAVE_PAGE_IS_PFMEMALLOC is not defined */
/* COMPAT_HAVE_PCI_ALLOC_IRQ_VECTORS is not defined */
/* COMPAT_HAVE_POLL_T is not defined */
/* COMPAT_HAVE_READ_ONCE_CONST is not defined */
/* COMPAT_HAVE_SCSI_DONE is not defined */
/* COMPAT_HAVE_SCSI_RESCAN_DEVICE_SDEV is not defined */
/* COMPAT_HAVE_SI_MEM_AVAILABLE is not defined */
/* COMPAT_HAVE_SKB_CHECKSUM_START_OFFSET is not defined */
/* COMPAT_HAVE_SKB_FRAG_OFF is not defined */
/* COMPAT_HAVE_SKB_FRAG_SIZE is not defined */
/* COMPAT_HAVE_TIMER_SETUP is not defined */
/* COMPAT_HAVE_TOTALRAM_PAGES_FN is not defined */
/* COMPAT_HAVE_TTY_ALLOC_DRIVER is not defined */
/* COMPAT_HAVE_U64_STATS_INIT is not defined */
/* COMPAT_HAVE_U64_STATS_SYNC is not defined */
/* COMPAT_HAVE_VIRT_MB is not defined */
#endif
