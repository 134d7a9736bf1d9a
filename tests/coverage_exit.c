// SPDX-License-Identifier: MIT
/*
 * For builds that count lines only: the counters are written by exit(), but our processes often end by
 * _exit(), and in a sandbox there is no file to write to. The linker lets our calls of these functions
 * come here (--wrap), so that the counters are written while they can be.
 */
#include <gcov.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdnoreturn.h>

noreturn void __real__exit(int status);
noreturn void __wrap__exit(int status);
int __real_chroot(const char *path);
int __wrap_chroot(const char *path);
int __real_seccomp_load(const scmp_filter_ctx ctx);
int __wrap_seccomp_load(const scmp_filter_ctx ctx);

static bool written;

static void write_counters(void)
{
	if (!written)
		__gcov_dump();
	written = true;
}

void __wrap__exit(int status)
{
	write_counters();
	__real__exit(status);
}

int __wrap_chroot(const char *path)
{
	write_counters();
	return __real_chroot(path);
}

int __wrap_seccomp_load(const scmp_filter_ctx ctx)
{
	write_counters();
	return __real_seccomp_load(ctx);
}
