// SPDX-License-Identifier: MIT
/*
 * The system calls of the data process, all of them: anything else kills it. Nothing here opens,
 * creates, connects, executes or signals others; memory never becomes executable. Called by
 * sandbox.c.
 */
#include <errno.h>
#include <liburing.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>
#include "backend/data/sandbox.h"

/* Whatever the arguments. */
static const int plain_calls[] = {
	/* the lane's wait, submit and reap */
	SCMP_SYS(io_uring_enter),
	/* libxenevtchn: an event is read from its fd, unmasked by writing to it; is there one
	 * more? */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	/* the control socket; loopback Xen's calls to its hypervisor go over sockets opened
	 * before */
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	SCMP_SYS(close),
	/* how long is a journal's file? */
	SCMP_SYS(lseek),
	/* memory of devices that come and go (mmap and mprotect: see below) */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	/* the log's clock, where the vDSO cannot tell (a PV dom0); libxengnttab's wait for a ring
	 * page that is paged out */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(restart_syscall),
	/* leaving, also by abort() with its last words */
	SCMP_SYS(writev),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
};

/* What libxengnttab and libxenevtchn ask of their devices to map, copy, bind and notify. */
static const unsigned long grant_ioctls[] = {
	IOCTL_GNTDEV_MAP_GRANT_REF,
	IOCTL_GNTDEV_UNMAP_GRANT_REF,
	IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR,
	IOCTL_GNTDEV_GRANT_COPY,
};

static const unsigned long evtchn_ioctls[] = {
	IOCTL_EVTCHN_BIND_INTERDOMAIN,
	IOCTL_EVTCHN_UNBIND,
	IOCTL_EVTCHN_NOTIFY,
};

static int allow_ioctls(scmp_filter_ctx ctx, int fd, const unsigned long *requests, size_t nr)
{
	int err = 0;

	for (size_t i = 0; !err && i < nr; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 2,
				       SCMP_A0(SCMP_CMP_EQ, (uint64_t)fd, 0),
				       SCMP_A1(SCMP_CMP_EQ, requests[i], 0));
	return err;
}

static int allow_with_arguments(scmp_filter_ctx ctx)
{
	int err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				   SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (!err)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* Targets enter and leave the file table; no new ring, no lifted restriction. */
	if (!err)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(io_uring_register), 1,
				       SCMP_A1(SCMP_CMP_EQ, IORING_REGISTER_FILES_UPDATE, 0));
	if (!err)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				       SCMP_A0(SCMP_CMP_EQ, (uint64_t)getpid(), 0));
	return err;
}

int sandbox_filter_calls(int grant_fd, int evtchn_fd)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = 0;

	if (!ctx)
		return -ENOMEM;
	for (size_t i = 0; !err && i < sizeof(plain_calls) / sizeof(plain_calls[0]); i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, plain_calls[i], 0);
	if (!err)
		err = allow_with_arguments(ctx);
	if (!err)
		err = allow_ioctls(ctx, grant_fd, grant_ioctls,
				   sizeof(grant_ioctls) / sizeof(grant_ioctls[0]));
	if (!err)
		err = allow_ioctls(ctx, evtchn_fd, evtchn_ioctls,
				   sizeof(evtchn_ioctls) / sizeof(evtchn_ioctls[0]));
	/* The other threads of a process with several lanes are held to the same. */
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}
