// SPDX-License-Identifier: MIT
/*
 * `xenloop exec`: become a program of a domain. The hypervisor is told first, so that the process
 * ends with its domain from its first instruction.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/xenloop/runner.h"

static void preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char value[2 * PATH_MAX];

	if (others && strstr(others, library))
		return;
	snprintf(value, sizeof(value), "%s%s%s", library, others ? ":" : "", others ? others : "");
	setenv("LD_PRELOAD", value, 1);
}

static void set_environment(const char *dir, uint32_t domid, const char *token)
{
	char number[16], rundir[PATH_MAX + 16], path[PATH_MAX + 32];

	snprintf(number, sizeof(number), "%u", domid);
	if (domid) {
		snprintf(rundir, sizeof(rundir), "%s/dom%u", dir, domid);
		snprintf(path, sizeof(path), "%s/xenstored", rundir);
	} else {
		snprintf(rundir, sizeof(rundir), "%s/xenstored", dir);
		snprintf(path, sizeof(path), "%s/socket", rundir);
	}
	setenv(XENLOOP_ENV_DIR, dir, 1);
	setenv(XENLOOP_ENV_DOMID, number, 1);
	setenv(XENLOOP_ENV_TOKEN, token, 1);
	setenv("XENSTORED_PATH", path, 1);
	setenv("XENSTORED_RUNDIR", rundir, 1);
}

int cmd_exec(const char *dir, int argc, char **argv)
{
	int command = argc > 2 && !strcmp(argv[2], "--") ? 3 : 2;
	char absolute[PATH_MAX], library[PATH_MAX], token[XENLOOP_TOKEN_MAX + 1] = "";
	struct xenloop_request request = {.op = XENLOOP_JOIN};
	struct xenloop_domain_info info;

	if (argc <= command)
		return EXIT_USAGE;
	if (instance_find_library(library))
		return EXIT_FAILED;
	int sock = client_connect(dir, absolute);
	if (sock < 0 || client_find_domain(sock, argv[1], &info) < 0)
		return EXIT_FAILED;
	request.domid = info.domid;
	int64_t rc = client_call(sock, &request, NULL, 0, token, sizeof(token), NULL);
	if (rc < 0)
		return complain("domain %s: %s", argv[1],
				rc == -ESRCH ? "not running" : strerror(-rc));
	set_environment(absolute, info.domid, token);
	preload(library);
	execvp(argv[command], argv + command);
	complain("%s: %s", argv[command], strerror(errno));
	return errno == ENOENT ? 127 : 126; /* as env(1) and the shells */
}
