// SPDX-License-Identifier: MIT
/*
 * A plugin for QEMU's emulation that counts the instructions executed between two marks, by whose code
 * they are: the hypervisor's, a kernel's or a program's. A mark is an instruction that does nothing
 * and that nobody else executes (mark.h). It trusts the emulated machine to have one CPU. Loaded by
 * tests/lab/bench/run.sh; writes a line for each pair of marks to the file of its argument "out".
 *
 * QEMU's header is not packaged. What is declared below is the part of its plugin interface, version
 * 1, that is called here: QEMU's documentation, "QEMU TCG Plugins".
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/lab/bench/mark.h"

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*on_tb)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*on_exec)(unsigned int cpu, void *data);

#define ADD_U64	     0
#define NO_REGISTERS 0

extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, on_tb callback);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, on_exec callback,
						   int registers, void *data);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op,
						       void *counter, uint64_t operand);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#define EXPORT __attribute__((visibility("default")))
EXPORT extern int qemu_plugin_version;
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

int qemu_plugin_version = 1;

enum part {
	XEN,
	KERNEL,
	USER,
	NR_PARTS,
};

/* `plain`: instructions; `rounds`: those of a repeated string instruction, each round one. */
struct counts {
	uint64_t plain[NR_PARTS];
	uint64_t rounds[NR_PARTS];
};

static struct counts now, at_start;
static FILE *out;

/* Xen's own addresses (public/arch-x86/xen-x86_64.h) lie between a PV guest's program and its kernel,
 * both of which run in ring 3. */
static enum part part_of(uint64_t address)
{
	if (address < 0x0000800000000000)
		return USER;
	return address < 0xffff880000000000 ? XEN : KERNEL;
}

/* rep movs, stos, cmps, lods, scas: F2 or F3, perhaps REX, and the opcode. QEMU comes back to the
 * instruction for each round when it counts instructions. */
static bool is_repeated(const uint8_t *code, size_t bytes)
{
	if (bytes < 2 || (code[0] != 0xf2 && code[0] != 0xf3))
		return false;
	uint8_t opcode = bytes > 2 && (code[1] & 0xf0) == 0x40 ? code[2] : code[1];
	return (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
}

static bool is_mark(const uint8_t *code, size_t bytes, uint32_t number)
{
	static const uint8_t nop[] = {MARK_NOP};

	return bytes == sizeof(nop) + sizeof(number) && !memcmp(code, nop, sizeof(nop)) &&
	       !memcmp(code + sizeof(nop), &number, sizeof(number));
}

static void start(unsigned int cpu, void *data)
{
	(void)cpu;
	(void)data;
	at_start = now;
}

static void stop(unsigned int cpu, void *data)
{
	(void)cpu;
	(void)data;
	for (int i = 0; i < NR_PARTS; i++)
		fprintf(out, "%ju %ju%c", (uintmax_t)(now.plain[i] - at_start.plain[i]),
			(uintmax_t)(now.rounds[i] - at_start.rounds[i]),
			i < NR_PARTS - 1 ? ' ' : '\n');
	fflush(out);
}

static void watch(struct qemu_plugin_insn *insn)
{
	const uint8_t *code = qemu_plugin_insn_data(insn);
	size_t bytes = qemu_plugin_insn_size(insn);
	enum part part = part_of(qemu_plugin_insn_vaddr(insn));
	uint64_t *counter = is_repeated(code, bytes) ? &now.rounds[part] : &now.plain[part];

	qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, counter, 1);
	if (is_mark(code, bytes, MARK_START))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, start, NO_REGISTERS, NULL);
	else if (is_mark(code, bytes, MARK_STOP))
		qemu_plugin_register_vcpu_insn_exec_cb(insn, stop, NO_REGISTERS, NULL);
}

static void translate(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++)
		watch(qemu_plugin_tb_get_insn(tb, i));
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "insn_plugin: wants out=FILE and nothing else\n");
		return -1;
	}
	out = fopen(argv[0] + 4, "w");
	if (!out) {
		perror(argv[0]);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	return 0;
}
