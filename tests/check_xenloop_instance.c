// SPDX-License-Identifier: MIT
/*
 * The life of a loopback Xen: starting, running programs in domains, ending; and that nothing is
 * left behind however it ends. A pipe that the programs inherit tells, by its end of file, that
 * all of them have gone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <xenstore.h>

#include "tests/check_main.h"
#include "tests/xenloop_world.h"

/* Start a command in the background that holds the pipe's write end. Returns the read end. */
static int start_in(const char *domain, const char *script, pid_t *pid)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	*pid = fork();
	if (!*pid) {
		dup2(ends[1], STDOUT_FILENO);
		execl(world.bin, "xenloop", "-d", world.dir, "exec", domain, "--", "sh", "-c",
		      script, (char *)NULL);
		_exit(1);
	}
	close(ends[1]);
	return ends[0];
}

/* Read until all that hold the pipe are gone; the first byte that came, or -1. */
static int read_to_end(int fd)
{
	char text[256];
	int first = -1;
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		first = first < 0 ? text[0] : first;
	close(fd);
	return first;
}

static void await_byte(int fd)
{
	char byte;

	ck_assert_int_eq(read(fd, &byte, 1), 1);
}

/* Wait until the instance's processes have let go of the lock. */
static int open_lock(void)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/lock", world.dir);
	return open(path, O_RDWR | O_CLOEXEC);
}

static void await_end(int lock_fd)
{
	ck_assert_int_eq(flock(lock_fd, LOCK_EX), 0);
	close(lock_fd);
}

static int nr_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static void up(void)
{
	world_make_dir();
	ck_assert_int_eq(world_run("up", NULL, 0), 0);
}

START_TEST(exec_gives_the_commands_status)
{
	up();
	ck_assert_int_eq(world_run("exec 0 -- sh -c 'exit 7'", NULL, 0), 7);
	ck_assert_int_eq(world_run("exec 0 true", NULL, 0), 0);
	ck_assert_int_eq(world_run("exec 0 /nonexistent 2>/dev/null", NULL, 0), 127);
	ck_assert_int_eq(world_run("exec 9 true 2>/dev/null", NULL, 0), 1);
	ck_assert_int_eq(world_run("exec 0 2>/dev/null", NULL, 0), 2);
	ck_assert_int_eq(world_run("frobnicate 2>/dev/null", NULL, 0), 2);
	world_down();
}
END_TEST

START_TEST(a_domain_has_a_toolstacks_nodes)
{
	char line[128], command[128];

	up();
	uint32_t domid = world_create("-u 12345678-9abc-def0-1234-56789abcdef0 guest");
	ck_assert_int_eq(world_run("exec guest xenstore-read name", line, sizeof(line)), 0);
	ck_assert_str_eq(line, "guest\n");
	snprintf(command, sizeof(command), "exec guest xenstore-read domid");
	ck_assert_int_eq(world_run(command, line, sizeof(line)), 0);
	ck_assert_uint_eq(strtoul(line, NULL, 10), domid);
	ck_assert_int_eq(world_run("exec guest xenstore-read "
				   "/vm/12345678-9abc-def0-1234-56789abcdef0/name",
				   line, sizeof(line)),
			 0);
	ck_assert_str_eq(line, "guest\n");
	ck_assert_int_eq(world_run("exec guest xenstore-write data/own x", NULL, 0), 0);
	ck_assert_int_eq(world_run("exec guest xenstore-write name evil 2>/dev/null", NULL, 0), 1);
	ck_assert_int_eq(
		world_run("exec guest xenstore-read /local/domain/0/name 2>/dev/null", NULL, 0), 1);
	ck_assert_int_eq(world_run("create guest 2>/dev/null", NULL, 0), 1);
	ck_assert_int_eq(world_run("create 12 2>/dev/null", NULL, 0), 2);
	ck_assert_int_eq(world_run("destroy guest", NULL, 0), 0);
	ck_assert_int_eq(world_run("destroy guest 2>/dev/null", NULL, 0), 1);
	ck_assert_int_eq(world_run("exec 0 xenstore-ls /vm", line, sizeof(line)), 0);
	ck_assert_str_eq(line, "");
	world_down();
}
END_TEST

static struct xs_handle *watch_releases(void)
{
	char path[PATH_MAX + 32];
	unsigned int n;

	snprintf(path, sizeof(path), "%s/xenstored/socket", world.dir);
	setenv("XENSTORED_PATH", path, 1);
	struct xs_handle *xsh = xs_open(0);
	ck_assert_ptr_nonnull(xsh);
	ck_assert(xs_watch(xsh, "@releaseDomain", "end"));
	free(xs_read_watch(xsh, &n)); /* the one that every watch starts with */
	return xsh;
}

START_TEST(destroy_fires_a_watch_and_ends_the_processes)
{
	unsigned int n;
	pid_t pid;

	up();
	world_create("guest");
	world_create("other");
	struct xs_handle *xsh = watch_releases();

	/* A grandchild that has lost its parent, and one that has left the session. */
	int guest = start_in("guest", "(sleep 1000 &); setsid sleep 1000 & echo; wait", &pid);
	pid_t other_pid;
	int other = start_in("other", "echo; sleep 1000; echo", &other_pid);
	await_byte(guest);
	await_byte(other);
	ck_assert_int_eq(world_run("destroy guest", NULL, 0), 0);
	ck_assert_int_eq(read_to_end(guest), -1);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	free(xs_read_watch(xsh, &n));
	xs_close(xsh);
	ck_assert_int_eq(waitpid(other_pid, NULL, WNOHANG), 0);
	world_down();
	ck_assert_int_eq(read_to_end(other), -1);
}
END_TEST

START_TEST(instances_run_side_by_side)
{
	char first_top[PATH_MAX], first_dir[PATH_MAX + 4];

	up();
	strcpy(first_top, world.top);
	strcpy(first_dir, world.dir);
	world_create("guest");
	ck_assert_int_eq(world_run("up 2>/dev/null", NULL, 0), 1); /* not twice in one place */
	up();
	world_create("guest");
	world_down();
	strcpy(world.top, first_top);
	strcpy(world.dir, first_dir);
	ck_assert_int_eq(world_run("exec guest true", NULL, 0), 0);
	world_down();
	world_make_dir();
	ck_assert_int_eq(world_run("down 2>/dev/null", NULL, 0), 1);
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

START_TEST(down_leaves_nothing_behind)
{
	pid_t pid[2];

	up();
	world_create("guest");
	int dom0 = start_in("0", "(sleep 1000 &); echo; sleep 1000", &pid[0]);
	int guest = start_in("guest", "xenstore-watch data & echo; wait", &pid[1]);
	await_byte(dom0);
	await_byte(guest);
	world_down();
	read_to_end(dom0);
	read_to_end(guest);
}
END_TEST

/* In both cases: every process ends, and the log alone is kept, to say why. */
static void check_death_of(pid_t victim)
{
	pid_t pid;

	world_create("guest");
	int dom0 = start_in("0", "(sleep 1000 &); echo; sleep 1000", &pid);
	await_byte(dom0);
	int lock_fd = open_lock();
	ck_assert_int_eq(kill(victim, SIGKILL), 0);
	await_end(lock_fd);
	read_to_end(dom0);
	ck_assert_int_eq(nr_entries(world.dir), 1);
	ck_assert_int_eq(world_run("up", NULL, 0), 0); /* and it can be started again */
	world_run("down", NULL, 0);
	ck_assert_int_eq(nr_entries(world.dir), 0);
	rmdir(world.dir);
	ck_assert_int_eq(rmdir(world.top), 0);
}

START_TEST(all_end_with_the_hypervisor)
{
	up();
	check_death_of(world_hypervisor());
}
END_TEST

/* The hypervisor's youngest child. */
static pid_t last_child(void)
{
	char path[64], children[256] = "";
	pid_t hypervisor = world_hypervisor();

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", hypervisor, hypervisor);
	FILE *file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(children, sizeof(children), file));
	fclose(file);
	children[strlen(children) - 1] = '\0'; /* a blank follows each */
	char *last = strrchr(children, ' ');
	return atoi(last ? last : children);
}

START_TEST(all_end_with_xenstored)
{
	up();
	check_death_of(last_child());
}
END_TEST

static pid_t parent_of(pid_t pid)
{
	char path[64], line[256];
	pid_t parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	while (!parent && fgets(line, sizeof(line), file))
		sscanf(line, "PPid: %d", &parent);
	fclose(file);
	ck_assert_int_gt(parent, 1);
	return parent;
}

/* The hypervisor ends, and removes what its keeper would have. */
START_TEST(all_end_with_the_keeper)
{
	pid_t pid;

	up();
	world_create("guest");
	int guest = start_in("guest", "(sleep 1000 &); echo; sleep 1000", &pid);
	await_byte(guest);
	int lock_fd = open_lock();
	ck_assert_int_eq(kill(parent_of(world_hypervisor()), SIGKILL), 0);
	await_end(lock_fd);
	read_to_end(guest);
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

/* Nobody is left to end what exec has started in dom0 and in a guest: fds by which to see its end. */
static void kill_keeper_and_hypervisor(int programs[2])
{
	pid_t pid;

	world_create("guest");
	programs[0] = start_in("0", "(setsid sleep 1000 &); echo; exec sleep 1000", &pid);
	programs[1] = start_in("guest", "echo; exec sleep 1000", &pid);
	await_byte(programs[0]);
	await_byte(programs[1]);
	pid_t hypervisor = world_hypervisor(), keeper = parent_of(hypervisor);
	int lock_fd = open_lock();
	kill(hypervisor, SIGSTOP);
	kill(keeper, SIGKILL);
	kill(hypervisor, SIGKILL);
	await_end(lock_fd);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
}

START_TEST(the_next_up_ends_what_a_double_kill_left)
{
	int programs[2];

	up();
	kill_keeper_and_hypervisor(programs);
	ck_assert_int_eq(world_run("up", NULL, 0), 0);
	read_to_end(programs[0]);
	read_to_end(programs[1]);
	ck_assert_int_eq(world_run("exec 0 true", NULL, 0), 0);
	ck_assert_int_eq(world_run("down", NULL, 0), 0);
	ck_assert_int_eq(nr_entries(world.dir), 0);
	rmdir(world.dir);
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

START_TEST(down_ends_what_a_double_kill_left)
{
	int programs[2];

	up();
	kill_keeper_and_hypervisor(programs);
	ck_assert_int_eq(world_run("down", NULL, 0), 0);
	read_to_end(programs[0]);
	read_to_end(programs[1]);
	ck_assert_int_eq(nr_entries(world.dir), 0);
	ck_assert_int_eq(world_run("down 2>/dev/null", NULL, 0), 1);
	rmdir(world.dir);
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

/* A program that exec did not start lives on, and is told. */
START_TEST(a_handle_fails_after_the_hypervisors_end)
{
	up();
	xenevtchn_handle *xce = evtchn_as(0);
	xengntshr_handle *xgs = gntshr_as(0);
	uint32_t ref;
	char *page = xengntshr_share_pages(xgs, 0, 1, &ref, 1);

	ck_assert_ptr_nonnull(page);
	int port = xenevtchn_bind_unbound_port(xce, 0), lock_fd = open_lock();
	ck_assert_int_eq(kill(world_hypervisor(), SIGKILL), 0);
	await_end(lock_fd);
	ck_assert_int_eq(xenevtchn_bind_unbound_port(xce, 0), -1);
	ck_assert_int_eq(errno, ENODEV);
	ck_assert_int_eq(xenevtchn_notify(xce, port), 0); /* unbound: to nobody */
	*page = 1;
	ck_assert_int_eq(xengntshr_unshare(xgs, page, 1), -1);
	ck_assert_int_eq(errno, ENODEV);
	xenevtchn_close(xce);
	xengntshr_close(xgs);
	ck_assert_ptr_null(xenevtchn_open(NULL, 0));
	ck_assert_int_eq(world_run("up", NULL, 0), 0);
	world_run("down", NULL, 0);
	rmdir(world.dir);
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

START_TEST(a_domain_ends_with_its_store_mux)
{
	unsigned int n;
	char line[512];
	pid_t pid;

	up();
	struct xs_handle *xsh = watch_releases();
	world_create("guest");
	int guest = start_in("guest", "echo; sleep 1000", &pid);
	await_byte(guest);
	ck_assert_int_eq(kill(last_child(), SIGKILL), 0);
	free(xs_read_watch(xsh, &n)); /* only the hypervisor can have told xenstored */
	ck_assert_int_eq(read_to_end(guest), -1);
	ck_assert_int_eq(world_run("list --json", line, sizeof(line)), 0);
	ck_assert_ptr_nonnull(strstr(line, "\"state\": \"crashed\""));
	ck_assert_int_eq(world_run("exec guest true 2>/dev/null", NULL, 0), 1);
	ck_assert_int_eq(world_run("destroy guest", NULL, 0), 0);
	xs_close(xsh);
	world_down();
}
END_TEST

START_TEST(an_interrupted_up_leaves_nothing_behind)
{
	char script[PATH_MAX + 16], path[PATH_MAX + 32];

	/* A store that tells that it runs, and then never gets ready. */
	world_make_dir();
	snprintf(script, sizeof(script), "%s/store", world.top);
	snprintf(path, sizeof(path), "%s/ready", world.top);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	FILE *file = fopen(script, "w");
	fprintf(file, "#!/bin/sh\necho > %s\nexec sleep 1000\n", path);
	fclose(file);
	ck_assert_int_eq(chmod(script, 0700), 0);
	pid_t pid = fork();
	if (!pid) {
		setenv("XENLOOP_XENSTORED", script, 1);
		execl(world.bin, "xenloop", "-d", world.dir, "up", (char *)NULL);
		_exit(1);
	}
	int ready = open(path, O_RDONLY);
	await_byte(ready);
	close(ready);
	int lock_fd = open_lock();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	await_end(lock_fd);
	unlink(script);
	unlink(path);
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

START_TEST(a_directory_of_the_users_stays)
{
	char other[PATH_MAX + 16];

	world_make_dir();
	ck_assert_int_eq(mkdir(world.dir, 0700), 0);
	snprintf(other, sizeof(other), "%s/keep", world.dir);
	ck_assert_int_eq(mkdir(other, 0700), 0);
	ck_assert_int_eq(world_run("up", NULL, 0), 0);
	ck_assert_int_eq(world_run("down", NULL, 0), 0);
	ck_assert_int_eq(nr_entries(world.dir), 1);
	rmdir(other);
	ck_assert_int_eq(rmdir(world.dir), 0);
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

START_TEST(an_instance_ends_when_its_directory_is_removed)
{
	char command[PATH_MAX + 16];
	pid_t pid;

	world_up();
	int programs = start_in("a", "echo; exec sleep 1000", &pid), lock_fd = open_lock();
	await_byte(programs);
	snprintf(command, sizeof(command), "rm -rf %s", world.dir);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(read_to_end(programs), -1);
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(flock(lock_fd, LOCK_EX), 0);
	close(lock_fd);
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

START_TEST(wrong_options_are_usage_errors)
{
	static const char *const wrong[] = {"--no-such-option", "-q",	     "create -q",
					    "create -i",	"list --no", "-d"};
	char args[128], line[256];

	world_make_dir();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(args, sizeof(args), "%s 2>&1", wrong[i]);
		ck_assert_int_eq(world_run(args, line, sizeof(line)), 2);
		ck_assert_msg(strstr(line, "xenloop"), "%s: %s", wrong[i], line);
	}
	world_run("--no-such-option 2>&1", line, sizeof(line));
	ck_assert_str_eq(line, "xenloop: no option \"--no-such-option\"; try `xenloop --help`\n");
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

START_TEST(a_refused_up_leaves_nothing_behind)
{
	char deep[PATH_MAX + 4];

	world_make_dir();
	strcpy(deep, world.dir);
	memset(world.dir + strlen(world.dir), 'x', 100);
	world.dir[strlen(deep) + 100] = '\0';
	ck_assert_int_eq(world_run("up 2>&1", NULL, 0), 1);
	ck_assert_int_eq(rmdir(world.top), 0);
}
END_TEST

static Suite *xenloop_instance_suite(void)
{
	const TTest *const tests[] = {
		exec_gives_the_commands_status,
		a_domain_has_a_toolstacks_nodes,
		destroy_fires_a_watch_and_ends_the_processes,
		instances_run_side_by_side,
		down_leaves_nothing_behind,
		all_end_with_the_hypervisor,
		all_end_with_xenstored,
		all_end_with_the_keeper,
		the_next_up_ends_what_a_double_kill_left,
		down_ends_what_a_double_kill_left,
		a_handle_fails_after_the_hypervisors_end,
		a_domain_ends_with_its_store_mux,
		an_interrupted_up_leaves_nothing_behind,
		a_directory_of_the_users_stays,
		an_instance_ends_when_its_directory_is_removed,
		wrong_options_are_usage_errors,
		a_refused_up_leaves_nothing_behind,
	};
	Suite *suite = suite_create("xenloop_instance");
	TCase *tcase = tcase_create("xenloop_instance");

	tcase_set_timeout(tcase, 30);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return suite;
}

CHECK_MAIN(xenloop_instance_suite)
