/* SPDX-License-Identifier: MIT */
/*
 * What the ring sources need from their surroundings: fixed-width types, once-only access to shared
 * memory, barriers, compile-time asserts. The only place under ring/ that knows whether it is built
 * for the kernel. It trusts nothing and keeps no state; every file of ring/ and frontend/core/ and
 * xenbus_fsm includes it.
 */
#pragma once

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/errno.h>
#include <linux/compiler.h>
#include <linux/build_bug.h>
#include <asm/barrier.h>
#include <xen/interface/io/blkif.h>
#include <xen/interface/io/protocols.h>
#include <xen/interface/io/xenbus.h>
#define RWY_STATIC_ASSERT(cond, why) static_assert(cond, why)
#define rwy_mb()		     virt_mb()
#define rwy_load_once_u32(p)	     READ_ONCE(*(p))
#define rwy_store_once_u32(p, v)     WRITE_ONCE(*(p), v)
#define rwy_load_acquire_u32(p)	     virt_load_acquire(p)
#define rwy_store_release_u32(p, v)  virt_store_release(p, v)
/*
 * Linux nests the three forms of a blkif request in one struct; Xen's header has a struct for each.
 */
#define RWY_XEN_OFFSET_RW(field)       offsetof(struct blkif_request, u.rw.field)
#define RWY_XEN_OFFSET_DISCARD(field)  offsetof(struct blkif_request, u.discard.field)
#define RWY_XEN_OFFSET_INDIRECT(field) offsetof(struct blkif_request, u.indirect.field)
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <xen/xen.h>
#include <xen/io/blkif.h>
#include <xen/io/protocols.h>
#include <xen/io/xenbus.h>
#define RWY_XEN_OFFSET_RW(field)       offsetof(struct blkif_request, field)
#define RWY_XEN_OFFSET_DISCARD(field)  offsetof(struct blkif_request_discard, field)
#define RWY_XEN_OFFSET_INDIRECT(field) offsetof(struct blkif_request_indirect, field)
#define RWY_STATIC_ASSERT(cond, why)   _Static_assert(cond, why)

/* A full barrier: every access before it is ordered before every access after it. */
static inline void rwy_mb(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Exactly one load or store of a word the peer may change at any time; orders nothing. */
static inline uint32_t rwy_load_once_u32(const volatile uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void rwy_store_once_u32(volatile uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

/* The load is ordered before every later access; the pair of rwy_store_release_u32. */
static inline uint32_t rwy_load_acquire_u32(const volatile uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* Every earlier access is ordered before the store; the pair of rwy_load_acquire_u32. */
static inline void rwy_store_release_u32(volatile uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}
#endif
