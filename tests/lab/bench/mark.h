/* SPDX-License-Identifier: MIT */
/*
 * Where a count of instructions starts and stops: an eight-byte NOP with an address that nobody uses
 * for one. Executed by tests/lab/bench/reader.c in a guest, known to insn_plugin.c outside of it.
 * Intel's manual, volume 2, NOP: 0F 1F /0 with a base, an index and four bytes of displacement.
 */
#ifndef TESTS_LAB_BENCH_MARK_H
#define TESTS_LAB_BENCH_MARK_H

#define MARK_NOP   0x0f, 0x1f, 0x84, 0x00
#define MARK_START 0x52575931
#define MARK_STOP  0x52575932

#define MARK(number) __asm__ volatile("nopl %c0(%%rax,%%rax,1)" : : "i"(number) : "memory")

#endif
