// SPDX-License-Identifier: MIT
/*
 * The hypervisor's children: xenstored, and for each domU the mux that connects the domU's
 * libxenstore clients to its store ring. Both are real programs on the preloaded library and die
 * with the hypervisor. Called by the main loop and domain.c; child_mux_main is the mux's main.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenevtchn.h>

#include "common/log.h"
#include "common/xenloop/hypervisor.h"
#include "common/xenloop/storemux.h"

/* In the child: an ordinary process again, that ends with the hypervisor. */
static void become_child(const struct hypervisor *hv, pid_t parent, uint32_t domid)
{
	char number[16];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(number, sizeof(number), "%u", domid);
	setenv("LD_PRELOAD", hv->library, 1);
	setenv(XENLOOP_ENV_DIR, hv->dir, 1);
	setenv(XENLOOP_ENV_DOMID, number, 1);
	unsetenv(XENLOOP_ENV_TOKEN);
	unsetenv(XENLOOP_ENV_FAULT); /* meant for what is under test */
	unsetenv(XENLOOP_ENV_SEED);
	unsetenv("XENSTORED_PATH");
}

/* Is it a store that takes dom0's ring from the place that its configuration names (oxenstored), or
 * one that takes everything from its arguments and the environment (xenstored)? */
static bool wants_config(const char *store)
{
	static const char key[] = "xenstored-kva";
	struct stat st;
	bool wants = false;

	int fd = open(store, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && st.st_size > 0) {
		void *text = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (text != MAP_FAILED) {
			wants = memmem(text, st.st_size, key, strlen(key));
			munmap(text, st.st_size);
		}
	}
	close(fd);
	return wants;
}

/*
 * What it does not name (quotas, permissions) is as compiled in; the socket's place is lib_store.c's
 * business. Without an access log, and with a log that is never rotated, there are no more files.
 */
static int write_config(const struct hypervisor *hv, const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		return -errno;
	fprintf(file,
		"xenstored-kva = /proc/xen/xsd_kva\n"
		"xenstored-port = /proc/xen/xsd_port\n"
		"pid-file = %s/xenstored/xenstored.pid\n"
		"xenstored-log-file = %s/log\n"
		"xenstored-log-level = warn\n"
		"xenstored-log-nb-lines = %d\n"
		"access-log-nb-files = 0\n",
		hv->dir, hv->dir, INT_MAX);
	return fclose(file) ? -errno : 0;
}

pid_t child_start_store(struct hypervisor *hv)
{
	char store_dir[PATH_MAX], config[PATH_MAX + sizeof("/oxenstored.conf")];
	bool configured = wants_config(hv->store);
	pid_t parent = getpid();

	snprintf(store_dir, sizeof(store_dir), "%s/xenstored", hv->dir);
	snprintf(config, sizeof(config), "%s/oxenstored.conf", store_dir);
	if (mkdir(store_dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	int rc = configured ? write_config(hv, config) : 0;
	if (rc)
		return rc;
	pid_t pid = fork();
	if (pid)
		return pid < 0 ? -errno : pid;
	become_child(hv, parent, 0);
	setenv("XENSTORED_RUNDIR", store_dir, 1);
	setenv("XENSTORED_ROOTDIR", store_dir, 1);
	if (configured)
		execl(hv->store, "oxenstored", "--no-fork", "--config-file", config, (char *)NULL);
	else
		execl(hv->store, "xenstored", "--no-fork", (char *)NULL);
	rwy_error("%s: %s", hv->store, strerror(errno));
	_exit(127);
}

static int mux_path(const struct hypervisor *hv, const struct domain *dom, const char *name,
		    char *path, size_t size)
{
	int len = snprintf(path, size, "%s/dom%u%s", hv->dir, dom->domid, name);

	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

static int listen_for_clients(const struct hypervisor *hv, const struct domain *dom)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char dir[PATH_MAX];

	int rc = mux_path(hv, dom, "", dir, sizeof(dir));
	if (!rc)
		rc = mux_path(hv, dom, "/xenstored", addr.sun_path, sizeof(addr.sun_path));
	if (rc)
		return rc;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(addr.sun_path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 64) < 0) {
		int err = errno;
		close(fd);
		return -err;
	}
	return fd;
}

void child_remove_dir(struct hypervisor *hv, struct domain *dom)
{
	char path[PATH_MAX];

	if (!mux_path(hv, dom, "/xenstored", path, sizeof(path)))
		unlink(path);
	if (!mux_path(hv, dom, "", path, sizeof(path)))
		rmdir(path);
}

static void exec_mux(const struct hypervisor *hv, const struct domain *dom, int listen_fd,
		     int creator_fd, pid_t parent)
{
	const int fds[3] = {dom->ram_fd, listen_fd, creator_fd};
	char args[3][16];

	become_child(hv, parent, dom->domid);
	for (int i = 0; i < 3; i++) {
		fcntl(fds[i], F_SETFD, 0);
		snprintf(args[i], sizeof(args[i]), "%d", fds[i]);
	}
	execl("/proc/self/exe", "xenloop", "storemux", args[0], args[1], args[2], (char *)NULL);
	rwy_error("cannot start a store mux: %s", strerror(errno));
	_exit(127);
}

int child_start_mux(struct hypervisor *hv, struct domain *dom, int *creator_fd)
{
	pid_t parent = getpid();
	int creator[2];

	int listen_fd = listen_for_clients(hv, dom);
	if (listen_fd < 0)
		return listen_fd;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, creator) < 0) {
		int err = errno;
		close(listen_fd);
		return -err;
	}
	pid_t pid = fork();
	if (!pid)
		exec_mux(hv, dom, listen_fd, creator[1], parent);
	int err = errno;
	close(listen_fd);
	close(creator[1]);
	if (pid < 0) {
		close(creator[0]);
		return -err;
	}
	dom->mux = pid;
	*creator_fd = creator[0];
	return 0;
}

void child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

/*
 * Bind the store's port, tell it to whoever creates the domain, and serve once xenstored has been
 * introduced to the domain: xenstored empties the ring after it has sent its first event.
 */
static int run_mux(struct xenstore_domain_interface *ring, int listen_fd, int creator_fd)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	char word;

	if (!xce)
		return -errno;
	int port = xenevtchn_bind_unbound_port(xce, 0);
	int rc = port < 0 ? -errno : 0;
	uint32_t told = port;
	if (!rc && (write(creator_fd, &told, sizeof(told)) != sizeof(told) ||
		    read(creator_fd, &word, 1) != 1))
		rc = -ECANCELED;
	close(creator_fd);
	if (!rc)
		rc = storemux_run(ring, xce, port, listen_fd);
	xenevtchn_close(xce);
	return rc;
}

int child_mux_main(int argc, char **argv)
{
	const char *domid = getenv(XENLOOP_ENV_DOMID);

	if (argc != 4 || !domid)
		return 2;
	int ram_fd = atoi(argv[1]), listen_fd = atoi(argv[2]), creator_fd = atoi(argv[3]);
	rwy_log_init("xenloop-storemux", RWY_LOG_INFO);
	prctl(PR_SET_NAME, "xenloop-mux");

	void *ring = mmap(NULL, XENLOOP_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd,
			  XENLOOP_STORE_GREF * XENLOOP_PAGE_BYTES);
	int rc = ring == MAP_FAILED ? -errno : run_mux(ring, listen_fd, creator_fd);
	if (rc)
		rwy_error("domain %s: %s", domid, strerror(-rc));
	return rc ? 1 : 0;
}
