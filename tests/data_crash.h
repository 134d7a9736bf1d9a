/* SPDX-License-Identifier: MIT */
/*
 * Every moment at which the data process may be killed, for tests: between two stores to its ring
 * and its journal. Both are closed; each access faults, and is run as one step of the CPU; what the
 * pages hold after a store is written down as a moment. Whatever the compiler made of the source is
 * what is tested. x86_64 only, for its trap flag. Included by one .c per program.
 */
#pragma once
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "tests/data_device.h"

#define CRASH_MOMENTS 4096u
#define CRASH_BYTES   (JOURNAL_HEADER_BYTES + 32 * JOURNAL_ENTRY_BYTES) /* a ring of one page */
#define TRAP_FLAG     0x100

struct crash_moment {
	uint8_t ring[4096];
	uint8_t journal[CRASH_BYTES];
};

static struct {
	struct crash_moment *moment;
	uint32_t nr;
	uint8_t *ring, *journal;
} crash;

static inline void crash_protect(int prot)
{
	mprotect(crash.ring, 4096, prot);
	mprotect(crash.journal, CRASH_BYTES, prot);
}

/* If it differs from the last. */
static inline void crash_note(void)
{
	struct crash_moment *m = &crash.moment[crash.nr];

	if (crash.nr == CRASH_MOMENTS)
		abort();
	memcpy(m->ring, crash.ring, sizeof(m->ring));
	memcpy(m->journal, crash.journal, sizeof(m->journal));
	if (crash.nr == 0 || memcmp(m, m - 1, sizeof(*m)) != 0)
		crash.nr++;
}

static inline void crash_on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uint8_t *at = info->si_addr;

	if (!(at >= crash.ring && at < crash.ring + 4096) &&
	    !(at >= crash.journal && at < crash.journal + CRASH_BYTES)) {
		signal(sig, SIG_DFL);
		return;
	}
	crash_protect(PROT_READ | PROT_WRITE);
	uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static inline void crash_on_step(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	uc->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
	crash_note();
	crash_protect(PROT_NONE);
}

/* The mapping of the only journal there is. */
static inline void *crash_find_journal(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long at = 0;
	char line[512];

	while (!at && fgets(line, sizeof(line), maps))
		if (strstr(line, "/memfd:journal"))
			sscanf(line, "%lx", &at);
	fclose(maps);
	ck_assert_uint_ne(at, 0);
	return (void *)at;
}

/* From now on each store to the ring's one page or to the journal is a moment, as is this one. */
static inline void crash_watch(uint32_t ring_page)
{
	struct sigaction fault = {.sa_sigaction = crash_on_fault, .sa_flags = SA_SIGINFO};
	struct sigaction step = {.sa_sigaction = crash_on_step, .sa_flags = SA_SIGINFO};

	if (!crash.moment)
		crash.moment =
			mmap(NULL, CRASH_MOMENTS * sizeof(*crash.moment), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(crash.moment, MAP_FAILED);
	crash.ring = (uint8_t *)world.page[ring_page];
	crash.journal = crash_find_journal();
	crash.nr = 0;
	crash_note();
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGTRAP, &step, NULL);
	crash_protect(PROT_NONE);
}

static inline void crash_watch_end(void)
{
	crash_protect(PROT_READ | PROT_WRITE);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
}

/* The pages of a moment: the ring's in place, the journal's in a file of their own. */
static inline int crash_restore(const struct crash_moment *m)
{
	int fd = memfd_create("journal", MFD_CLOEXEC);

	memcpy(crash.ring, m->ring, sizeof(m->ring));
	ck_assert_int_eq(write(fd, m->journal, sizeof(m->journal)), sizeof(m->journal));
	return fd;
}
