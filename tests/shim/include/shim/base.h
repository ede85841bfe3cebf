/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's basic vocabulary in user space: types, lists, bits, messages.
 * common.mk makes a linux/NAME.h for each kernel header that this stands for.
 */
#ifndef _SHIM_BASE_H
#define _SHIM_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <linux/errno.h>

#define __KERNEL__

/* types.h, compiler.h */

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int32_t s32;
typedef long long s64;
typedef u8 __u8;
typedef u16 __u16, __le16;
typedef u32 __u32, __le32;
typedef u64 __u64, __le64;
typedef u64 dma_addr_t, phys_addr_t, resource_size_t;
typedef unsigned long sector_t;
typedef unsigned int gfp_t, fmode_t;
typedef unsigned long kernel_ulong_t;

#define __iomem
#define __force
#define __init
#define __exit
#define __must_check
#define ____cacheline_aligned		__attribute__((__aligned__(64)))
#define ____cacheline_aligned_in_smp	____cacheline_aligned
#define __printf(fmt, args)		__attribute__((__format__(printf, fmt, args)))

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

/* On EL6, compat/include/linux/compiler.h has these. */
#ifdef COMPAT_HAVE_BLK_MQ_ALLOC_DISK
#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define U16_MAX			((u16)~0U)
#define U32_MAX			((u32)~0U)
#endif

/* kernel.h */

#define INT_MAX		0x7fffffff
#define UINT_MAX	0xffffffffU
#define LLONG_MAX	0x7fffffffffffffffLL

#define container_of(ptr, type, member)					\
	((type *)((char *)(ptr) - offsetof(type, member)))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define ALIGN(x, a)		(((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))
#define BUILD_BUG_ON(cond)	((void)sizeof(char[1 - 2 * !!(cond)]))

#define min(a, b) ({							\
	__typeof__(a) _a = (a);						\
	__typeof__(b) _b = (b);						\
	(void)(&_a == &_b);						\
	_a < _b ? _a : _b; })
#define max(a, b) ({							\
	__typeof__(a) _a = (a);						\
	__typeof__(b) _b = (b);						\
	(void)(&_a == &_b);						\
	_a > _b ? _a : _b; })
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	max((type)(a), (type)(b))
#define clamp_t(type, v, lo, hi)	min_t(type, max_t(type, v, lo), hi)
#define clamp(v, lo, hi)	min((__typeof__(v))max(v, lo), hi)

/* x86 is little-endian, and so is the host that runs this. */
#define cpu_to_le16(x)	((__le16)(x))
#define cpu_to_le32(x)	((__le32)(x))
#define cpu_to_le64(x)	((__le64)(x))
#define le16_to_cpu(x)	((u16)(x))
#define le32_to_cpu(x)	((u32)(x))
#define le64_to_cpu(x)	((u64)(x))

/* bug.h: a finding ends the test, see shim.h. */

void shim_bug(const char *file, int line, const char *fmt, ...)
	__printf(3, 4);
bool shim_warn(const char *file, int line, const char *what);

#define SHIM_BUG(...)	shim_bug(__FILE__, __LINE__, __VA_ARGS__)
#define BUG()		SHIM_BUG("BUG()")
#define BUG_ON(cond)	do { if (cond) SHIM_BUG("BUG_ON(%s)", #cond); } while (0)
#define WARN_ON(cond) ({						\
	bool _warn = !!(cond);						\
	if (_warn)							\
		shim_warn(__FILE__, __LINE__, #cond);			\
	_warn; })
#define WARN_ON_ONCE(cond)	WARN_ON(cond)

/* printk: kept in a log that the tests read, see shim.h. */

void shim_log(char level, const char *prefix, const char *fmt, ...)
	__printf(3, 4);
#define pr_err(...)		shim_log('E', "", __VA_ARGS__)
#define printk_ratelimit()	1

/* err.h */

#define MAX_ERRNO	4095
#define IS_ERR(ptr)	((unsigned long)(ptr) >= (unsigned long)-MAX_ERRNO)
#define PTR_ERR(ptr)	((long)(ptr))
#define ERR_PTR(err)	((void *)(long)(err))

/* list.h */

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name)	{ &(name), &(name) }
#define LIST_HEAD(name)		struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline void list_add(struct list_head *entry, struct list_head *head)
{
	entry->next = head->next;
	entry->prev = head;
	head->next->prev = entry;
	head->next = entry;
}

static inline void list_add_tail(struct list_head *entry,
				 struct list_head *head)
{
	list_add(entry, head->prev);
}

/* An entry that is on no list any more points nowhere. */
static inline void list_del(struct list_head *entry)
{
	BUG_ON(!entry->next || entry->next->prev != entry);
	entry->next->prev = entry->prev;
	entry->prev->next = entry->next;
	entry->next = NULL;
	entry->prev = NULL;
}

static inline void list_del_init(struct list_head *entry)
{
	list_del(entry);
	INIT_LIST_HEAD(entry);
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline void list_splice_init(struct list_head *list,
				    struct list_head *head)
{
	while (!list_empty(list)) {
		struct list_head *last = list->prev;

		list_del(last);
		list_add(last, head);
	}
}

#define list_entry(ptr, type, member)	container_of(ptr, type, member)
#define list_first_entry(head, type, member)				\
	list_entry((head)->next, type, member)
#define list_for_each_entry(pos, head, member)				\
	for (pos = list_first_entry(head, __typeof__(*pos), member);	\
	     &pos->member != (head);					\
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))
#define list_for_each_entry_safe(pos, tmp, head, member)		\
	for (pos = list_first_entry(head, __typeof__(*pos), member),	\
	     tmp = list_entry(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (head);					\
	     pos = tmp,							\
	     tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))

/* bitops.h: there is one CPU, and no interrupt but where the shim says so. */

#define BITS_PER_LONG		64
#define BITS_TO_LONGS(n)	DIV_ROUND_UP(n, BITS_PER_LONG)
#define BIT_WORD(nr, addr)	((addr)[(nr) / BITS_PER_LONG])
#define BIT_MASK(nr)		(1UL << ((nr) % BITS_PER_LONG))

static inline bool test_bit(unsigned int nr, const unsigned long *addr)
{
	return BIT_WORD(nr, addr) & BIT_MASK(nr);
}

static inline void set_bit(unsigned int nr, unsigned long *addr)
{
	BIT_WORD(nr, addr) |= BIT_MASK(nr);
}

static inline void clear_bit(unsigned int nr, unsigned long *addr)
{
	BIT_WORD(nr, addr) &= ~BIT_MASK(nr);
}

static inline bool test_and_set_bit(unsigned int nr, unsigned long *addr)
{
	bool old = test_bit(nr, addr);

	set_bit(nr, addr);
	return old;
}

static inline bool test_and_clear_bit(unsigned int nr, unsigned long *addr)
{
	bool old = test_bit(nr, addr);

	clear_bit(nr, addr);
	return old;
}

#define DECLARE_BITMAP(name, bits)	unsigned long name[BITS_TO_LONGS(bits)]
#define NR_CPUS				64

static inline unsigned long find_first_bit(const unsigned long *addr,
					   unsigned long size)
{
	unsigned long i;

	for (i = 0; i < size && !test_bit(i, addr); i++)
		;
	return i;
}
#define bitmap_empty(map, n)	(find_first_bit(map, n) == (n))

static inline unsigned long find_first_zero_bit(const unsigned long *addr,
						unsigned long size)
{
	unsigned long i;

	for (i = 0; i < size && test_bit(i, addr); i++)
		;
	return i;
}

/* atomic.h */

typedef struct {
	int counter;
} atomic_t;
#define ATOMIC_INIT(n)		{ (n) }
#define atomic_read(a)		READ_ONCE((a)->counter)
#define atomic_inc(a)		((void)(a)->counter++)
#define atomic_dec(a)		((void)(a)->counter--)

/* asm/barrier.h, asm/system.h */

/* Called where others may see what was written, and write themselves. */
extern void (*shim_at_barrier)(void);
#define mb() do {							\
	__sync_synchronize();						\
	if (shim_at_barrier)						\
		shim_at_barrier();					\
} while (0)
#define rmb()		__sync_synchronize()
#define wmb()		__sync_synchronize()
#ifdef COMPAT_HAVE_VIRT_MB
#define virt_mb()	mb()
#define virt_rmb()	rmb()
#define virt_wmb()	wmb()
#define dma_rmb()	rmb()
#define dma_wmb()	wmb()
#endif

/* cpumask.h */

struct cpumask {
	unsigned long bits;
};
#define nr_cpu_ids		shim_cpus
#define SHIM_MAX_CPUS		64
extern unsigned int shim_cpus, shim_cpu;
#define smp_processor_id()	shim_cpu
#define num_online_cpus()	shim_cpus
#define cpu_online(cpu)		((cpu) < shim_cpus)
#define for_each_possible_cpu(cpu)					\
	for ((cpu) = 0; (cpu) < shim_cpus; (cpu)++)
const struct cpumask *cpumask_of(unsigned int cpu);
typedef struct cpumask cpumask_var_t[1];
bool alloc_cpumask_var(cpumask_var_t *mask, unsigned int gfp);
void free_cpumask_var(cpumask_var_t mask);
#define cpumask_clear(mask)		((mask)->bits = 0)
#define cpumask_set_cpu(cpu, mask)	((mask)->bits |= 1UL << (cpu))

/* percpu.h */

#define DECLARE_PER_CPU(type, name)	extern type name[SHIM_MAX_CPUS]
#define DEFINE_PER_CPU(type, name)	type name[SHIM_MAX_CPUS]
#define per_cpu(name, cpu)		((name)[cpu])

/* module.h: tests call shim_init_NAME() and shim_exit_NAME(). */

struct module;
#define THIS_MODULE			((struct module *)NULL)
#define SHIM_CAT2(a, b)			a ## b
#define SHIM_CAT(a, b)			SHIM_CAT2(a, b)
#define EXPORT_SYMBOL_GPL(name)		extern int shim_unused
/* Tests set *shim_param_NAME. */
#define module_param(name, type, mode)					\
	type *shim_param_ ## name = &name;				\
	extern int shim_unused
#define MODULE_PARM_DESC(name, text)	extern int shim_unused
#define MODULE_DESCRIPTION(x)		extern int shim_unused
#define MODULE_AUTHOR(x)		extern int shim_unused
#define MODULE_VERSION(x)		extern int shim_unused
#define MODULE_LICENSE(x)		extern int shim_unused
#define MODULE_DEVICE_TABLE(t, x)	extern int shim_unused
#define module_init(fn)							\
	int SHIM_CAT(shim_init_, SHIM_MODULE)(void);			\
	int SHIM_CAT(shim_init_, SHIM_MODULE)(void) { return fn(); }	\
	extern int shim_unused
#define module_exit(fn)							\
	void SHIM_CAT(shim_exit_, SHIM_MODULE)(void);			\
	void SHIM_CAT(shim_exit_, SHIM_MODULE)(void) { fn(); }		\
	extern int shim_unused
#define core_initcall(fn)		module_init(fn)
void *__symbol_get(const char *name);
void __symbol_put(const char *name);

/* What the kernel's other headers include, and compat/ adds to. */
#include <linux/compiler.h>
#include <linux/kernel.h>

#endif /* _SHIM_BASE_H */
