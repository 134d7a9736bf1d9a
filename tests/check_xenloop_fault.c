// SPDX-License-Identifier: MIT
/*
 * Faults on demand and seeds on loopback Xen: every point fails, stops or kills exactly the call
 * that a rule names, and a seed fixes the order of wake-ups. The library reads its rules when it is
 * loaded, so each case starts this program again to play a few calls and to tell what became of
 * each.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "tests/check_main.h"
#include "tests/xenloop_world.h"

#define CHANNELS 8
#define OUTPUT	 1024

/* --- the player: words from CHECK_PLAY, for each one word on stdout */

static struct {
	xenevtchn_handle *front, *back; /* of domain a; of dom0 */
	int front_port, back_port;
	xengntshr_handle *xgs;
	xengnttab_handle *xgt;
	uint32_t ref;
	char *shared, *mapped;
} play;

/* The player is no test: not the world's gntshr_as and the like, which assert. */
static void need(const void *handle)
{
	if (!handle)
		_exit(97);
}

static xengntshr_handle *play_xgs(void)
{
	world_as(world.a);
	need(play.xgs = play.xgs ?: xengntshr_open(NULL, 0));
	return play.xgs;
}

static xengnttab_handle *play_xgt(void)
{
	world_as(0);
	need(play.xgt = play.xgt ?: xengnttab_open(NULL, 0));
	return play.xgt;
}

static xenevtchn_handle *play_front(void)
{
	world_as(world.a);
	need(play.front = play.front ?: xenevtchn_open(NULL, 0));
	return play.front;
}

static xenevtchn_handle *play_back(void)
{
	world_as(0);
	need(play.back = play.back ?: xenevtchn_open(NULL, 0));
	fcntl(xenevtchn_fd(play.back), F_SETFL, O_NONBLOCK);
	return play.back;
}

static const char *as_word(bool done)
{
	return done ? "ok" : strerrorname_np(errno);
}

static const char *word_open_evtchn(void)
{
	xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
	const char *word = as_word(xce);

	xenevtchn_close(xce);
	return word;
}

static const char *word_open_gnttab(void)
{
	xengnttab_handle *xgt = xengnttab_open(NULL, 0);
	const char *word = as_word(xgt);

	xengnttab_close(xgt);
	return word;
}

static const char *word_open_gntshr(void)
{
	xengntshr_handle *xgs = xengntshr_open(NULL, 0);
	const char *word = as_word(xgs);

	xengntshr_close(xgs);
	return word;
}

static const char *word_share(void)
{
	char *page = xengntshr_share_pages(play_xgs(), 0, 1, &play.ref, 1);

	play.shared = page ?: play.shared;
	return as_word(page);
}

static const char *word_unshare(void)
{
	return as_word(!xengntshr_unshare(play_xgs(), play.shared, 1));
}

static const char *word_map(void)
{
	char *page = xengnttab_map_grant_ref(play_xgt(), world.a, play.ref, PROT_READ | PROT_WRITE);

	play.mapped = page ?: play.mapped;
	return as_word(page);
}

static const char *word_unmap(void)
{
	return as_word(!xengnttab_unmap(play_xgt(), play.mapped, 1));
}

/* Two segments: their statuses, and whether those that are to be done were, and no other. */
static const char *word_copy(void)
{
	static char word[32];
	char to[2] = {'-', '-'};
	xengnttab_grant_copy_segment_t segs[2];

	for (int i = 0; i < 2; i++)
		segs[i] = (xengnttab_grant_copy_segment_t){
			.source.foreign = {.ref = play.ref, .domid = world.a, .offset = i},
			.dest.virt = &to[i],
			.len = 1,
			.flags = GNTCOPY_source_gref,
		};
	memcpy(play.shared, "xy", 2);
	if (xengnttab_grant_copy(play_xgt(), 2, segs))
		return as_word(false);
	if (!segs[0].status && !segs[1].status && !memcmp(to, "xy", 2))
		return "ok";
	snprintf(word, sizeof(word), "%d/%d%c%c", segs[0].status, segs[1].status, to[0], to[1]);
	return word;
}

static const char *word_unbound(void)
{
	play.front_port = xenevtchn_bind_unbound_port(play_front(), 0);
	return as_word(play.front_port > 0);
}

static const char *word_interdomain(void)
{
	int port = xenevtchn_bind_interdomain(play_back(), world.a, play.front_port);

	play.back_port = port > 0 ? port : play.back_port;
	return as_word(port > 0);
}

static const char *word_virq(void)
{
	return as_word(xenevtchn_bind_virq(play_front(), VIRQ_DEBUG) > 0);
}

static const char *word_unbind(void)
{
	return as_word(!xenevtchn_unbind(play_back(), play.back_port));
}

static const char *word_notify(void)
{
	return as_word(!xenevtchn_notify(play_back(), play.back_port));
}

static const char *word_pending(void)
{
	int port = xenevtchn_pending(play_back());

	return port < 0 ? as_word(false) : port == play.back_port ? "ok" : "another";
}

static const char *word_unmask(void)
{
	return as_word(!xenevtchn_unmask(play_back(), play.back_port));
}

static const struct {
	const char *name;
	const char *(*fn)(void);
} words[] = {
	{"open-evtchn", word_open_evtchn},
	{"open-gnttab", word_open_gnttab},
	{"open-gntshr", word_open_gntshr},
	{"share", word_share},
	{"unshare", word_unshare},
	{"map", word_map},
	{"unmap", word_unmap},
	{"copy", word_copy},
	{"unbound", word_unbound},
	{"interdomain", word_interdomain},
	{"virq", word_virq},
	{"unbind", word_unbind},
	{"notify", word_notify},
	{"pending", word_pending},
	{"unmask", word_unmask},
};

static void say(const char *word)
{
	dprintf(STDOUT_FILENO, "%s ", word);
}

static bool readable(xenevtchn_handle *xce)
{
	struct pollfd pfd = {.fd = xenevtchn_fd(xce), .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

/* All channels have an event: take one by one. */
static void say_order(xenevtchn_handle *xce, const int *ports)
{
	char number[8];

	for (int n = 0; n < CHANNELS; n++) {
		int port = readable(xce) ? xenevtchn_pending(xce) : -1, which = 0;
		while (which < CHANNELS && ports[which] != port)
			which++;
		snprintf(number, sizeof(number), "%d", which);
		say(number);
		xenevtchn_unmask(xce, port);
	}
	say(readable(xce) ? "more" : "|");
}

/* Several channels on one handle: the order of the events that binding leaves, then of
 * notifications. */
static void play_order(void)
{
	int front_ports[CHANNELS], ports[CHANNELS];

	for (int i = 0; i < CHANNELS; i++) {
		front_ports[i] = xenevtchn_bind_unbound_port(play_front(), 0);
		ports[i] = xenevtchn_bind_interdomain(play_back(), world.a, front_ports[i]);
	}
	say_order(play.back, ports);
	for (int i = 0; i < CHANNELS; i++)
		xenevtchn_notify(play.front, front_ports[i]);
	say_order(play.back, ports);
	say(xenevtchn_pending(play.back) < 0 ? strerrorname_np(errno) : "more");
}

__attribute__((constructor)) static void play_words(void)
{
	char *rest = getenv("CHECK_PLAY"), *word;

	if (!rest)
		return;
	world.a = strtoul(strsep(&rest, " "), NULL, 10);
	play.front_port = strtol(strsep(&rest, " "), NULL, 10);
	while ((word = strsep(&rest, " "))) {
		size_t i = 0;
		while (i < sizeof(words) / sizeof(words[0]) && strcmp(word, words[i].name))
			i++;
		if (i < sizeof(words) / sizeof(words[0]))
			say(words[i].fn());
		else if (!strcmp(word, "order"))
			play_order();
		else
			_exit(99);
	}
	_exit(0);
}

/* --- the test's side */

struct player {
	pid_t pid;
	int out, err;
};

static struct player player_start(const char *fault, const char *seed, int front_port,
				  const char *calls)
{
	char text[512];
	struct player player;
	int out[2], err[2];

	ck_assert(!pipe2(out, O_CLOEXEC) && !pipe2(err, O_CLOEXEC));
	player.pid = fork();
	if (!player.pid) {
		snprintf(text, sizeof(text), "%u %d %s", world.a, front_port, calls);
		setenv("CHECK_PLAY", text, 1);
		setenv("XENLOOP_FAULT", fault, 1);
		setenv("XENLOOP_SEED", seed, 1);
		setenv("LD_PRELOAD", world.lib, 1);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		execl("/proc/self/exe", "player", (char *)NULL);
		_exit(98);
	}
	close(out[1]);
	close(err[1]);
	player.out = out[0];
	player.err = err[0];
	return player;
}

static void read_all(int fd, char text[OUTPUT])
{
	size_t len = 0;
	ssize_t n;

	while (len < OUTPUT - 1 && (n = read(fd, text + len, OUTPUT - 1 - len)) > 0)
		len += n;
	text[len] = '\0';
	while (len && text[len - 1] == ' ')
		text[--len] = '\0';
	close(fd);
}

/* Its status as of waitpid. */
static int player_end(const struct player *player, char out[OUTPUT], char err[OUTPUT])
{
	int status;

	read_all(player->out, out);
	read_all(player->err, err);
	ck_assert_int_eq(waitpid(player->pid, &status, 0), player->pid);
	return status;
}

static void expect(const char *fault, const char *calls, const char *results)
{
	struct player player = player_start(fault, "", 0, calls);
	char out[OUTPUT], err[OUTPUT];

	int status = player_end(&player, out, err);
	ck_assert_msg(!status, "%s: %s: status %d, %s", fault, calls, status, err);
	ck_assert_msg(!strcmp(out, results), "%s: %s: got %s, not %s", fault, calls, out, results);
}

START_TEST(every_point_can_fail)
{
	expect("", "share map copy unmap unshare", "ok ok ok ok ok");
	expect("open-evtchn=ENXIO", "open-evtchn open-evtchn", "ENXIO ok");
	expect("open-gnttab=EACCES", "open-gnttab open-gnttab", "EACCES ok");
	expect("open-gntshr=EMFILE", "open-gntshr open-gntshr", "EMFILE ok");
	expect("share=ENOSPC", "share share", "ENOSPC ok");
	expect("unshare=EINVAL", "share unshare unshare", "ok EINVAL ok");
	expect("map=EINVAL", "share map map", "ok EINVAL ok");
	expect("unmap=EAGAIN", "share map unmap unmap", "ok ok EAGAIN ok");
	expect("copy=EFAULT", "share copy copy", "ok EFAULT ok");
	expect("bind-unbound=ENOSPC", "unbound unbound", "ENOSPC ok");
	expect("bind-interdomain=EINVAL", "unbound interdomain interdomain", "ok EINVAL ok");
	expect("bind-virq=EEXIST", "virq virq", "EEXIST ok");
	expect("unbind=ENOTCONN", "unbound interdomain unbind unbind", "ok ok ENOTCONN ok");
	expect("notify=ENOTCONN", "unbound interdomain notify notify", "ok ok ENOTCONN ok");
	expect("pending=EINTR", "unbound interdomain pending pending", "ok ok EINTR ok");
	expect("unmask=EIO", "unbound interdomain unmask unmask", "ok ok EIO ok");
}
END_TEST

START_TEST(a_copy_fails_with_a_grant_status)
{
	expect("copy=GNTST_bad_gntref", "share copy copy", "ok -3/-3-- ok");
	expect("copy=-10", "share copy copy", "ok -10/-10-- ok");
	expect("segment=GNTST_eagain", "share copy copy", "ok -12/0-y ok");
	expect("segment#4=-1", "share copy copy copy", "ok ok 0/-1x- ok");
}
END_TEST

START_TEST(the_call_that_was_named_fails)
{
	const char *calls = "share map map map map";

	expect("map#2=ENOMEM", calls, "ok ok ENOMEM ok ok");
	expect("map#3+=ENOMEM", calls, "ok ok ok ENOMEM ENOMEM");
	expect("map#*=ENOMEM", calls, "ok ENOMEM ENOMEM ENOMEM ENOMEM");
	expect("map#5=ENOMEM", calls, "ok ok ok ok ok");
	expect("map#1=EAGAIN,map#3=EFAULT", calls, "ok EAGAIN ok EFAULT ok");
	expect("map#2=EAGAIN,map#*=EFAULT", calls, "ok EFAULT EAGAIN EFAULT EFAULT");
	/* a call that fails by itself counts, too */
	expect("map#2=ENOMEM", "map share map map", "EINVAL ok ENOMEM ok");
}
END_TEST

START_TEST(a_group_of_points_counts_together)
{
	expect("bind#2=ENOSPC", "unbound interdomain interdomain virq", "ok ENOSPC ok ok");
	expect("bind#3=ENOSPC", "unbound interdomain virq virq", "ok ok ENOSPC ok");
	expect("open#2=ENOMEM", "open-evtchn open-gnttab open-gntshr", "ok ENOMEM ok");
}
END_TEST

START_TEST(a_rule_is_for_the_program_that_it_names)
{
	expect("player:share=ENOMEM", "share share", "ENOMEM ok");
	expect("playe:share=ENOMEM,players:share=ENOMEM", "share", "ok");
	expect("other:share=ENOMEM,player:share#2=EFAULT", "share share", "ok EFAULT");
}
END_TEST

START_TEST(a_fault_is_told_once)
{
	struct player player = player_start("map#*=ENOMEM,unmap#7=EINVAL", "", 0, "share map map");
	char out[OUTPUT], err[OUTPUT];

	ck_assert_int_eq(player_end(&player, out, err), 0);
	ck_assert_str_eq(out, "ok ENOMEM ENOMEM");
	ck_assert_str_eq(err, "libxenloop: player: fault map#*=ENOMEM\n");
}
END_TEST

static void expect_refusal(const char *fault, const char *seed, const char *says)
{
	struct player player = player_start(fault, seed, 0, "share");
	char out[OUTPUT], err[OUTPUT];

	int status = player_end(&player, out, err);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 2, "%s%s: %d", fault, seed,
		      status);
	ck_assert_str_eq(out, "");
	ck_assert_msg(strstr(err, says) && !strncmp(err, "libxenloop: XENLOOP_", 20),
		      "%s%s: said: %s", fault, seed, err);
}

START_TEST(a_rule_that_makes_no_sense_ends_the_program)
{
	char many[40 * 8] = "map=EIO", longest[200] = "";

	expect_refusal("map", "", "\"map\"");
	expect_refusal("mop=EINVAL", "", "\"mop=EINVAL\": there is no such point");
	expect_refusal("=EINVAL", "", "\"=EINVAL\"");
	expect_refusal("map=EIO,,copy=EIO", "", "\"\"");
	expect_refusal("map=", "", "\"map=\"");
	expect_refusal("map=EUNHEARD", "", "\"map=EUNHEARD\"");
	expect_refusal("map=5", "", "\"map=5\"");
	expect_refusal("copy=0", "", "\"copy=0\"");
	expect_refusal("copy=GNTST_okay", "", "\"copy=GNTST_okay\"");
	expect_refusal("map=GNTST_bad_gntref", "", "only copy and segment");
	expect_refusal("segment=EFAULT", "", "grant status");
	expect_refusal("push=EIO", "", "only stop and kill");
	expect_refusal("map+=EIO", "", "only stop and kill");
	expect_refusal("map#=EIO", "", "after #");
	expect_refusal("map#0=EIO", "", "after #");
	expect_refusal("map#-1=EIO", "", "after #");
	expect_refusal("map#1++=EIO", "", "after #");
	expect_refusal("map#1x=EIO", "", "after #");
	expect_refusal("somebody-else:mop=EIO", "", "no such point");
	for (int i = 0; i < 32; i++)
		strcat(many, ",map=EIO");
	expect_refusal(many, "", "too many");
	memset(longest, 'x', sizeof(longest) - 1);
	expect_refusal(longest, "", "too long");
	expect_refusal("", "one", "\"one\" is not a number");
	expect_refusal("", "-1", "is not a number");
	expect_refusal("", "99999999999999999999999", "is not a number");
}
END_TEST

/* What has arrived at front so far; a stopped process adds nothing. */
static bool has_event(xenevtchn_handle *front, int port)
{
	int got = event_now(front);

	ck_assert(got == -1 || got == port);
	return got == port;
}

static void await_stop(const struct player *player)
{
	int status;

	ck_assert_int_eq(waitpid(player->pid, &status, WUNTRACED), player->pid);
	ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

/* Stop a notifier there: has its event arrived? After SIGCONT all goes on as if nothing was. */
static void stop_notifier(const char *fault, bool arrived)
{
	xenevtchn_handle *front = evtchn_as(world.a);
	int port = xenevtchn_bind_unbound_port(front, 0);
	struct player player = player_start(fault, "", port, "interdomain notify notify");
	char out[OUTPUT], err[OUTPUT];

	await_stop(&player);
	ck_assert_msg(has_event(front, port) == arrived, "%s", fault);
	kill(player.pid, SIGCONT);
	ck_assert_int_eq(player_end(&player, out, err), 0);
	ck_assert_str_eq(out, "ok ok ok");
	ck_assert_msg(has_event(front, port) == !arrived, "%s", fault);
	xenevtchn_close(front);
}

START_TEST(a_process_stops_before_within_or_after_a_call)
{
	stop_notifier("notify=stop", false);
	stop_notifier("push=stop", false);
	stop_notifier("notify+=stop", true);
	stop_notifier("bind-interdomain+=stop", false);
}
END_TEST

/* As with Xen, where nobody can die half-way through a hypercall. */
START_TEST(a_process_killed_within_notify_leaves_its_event)
{
	xenevtchn_handle *front = evtchn_as(world.a);
	int port = xenevtchn_bind_unbound_port(front, 0);
	struct player player = player_start("push=kill", "", port, "interdomain notify");
	char out[OUTPUT], err[OUTPUT];

	int status = player_end(&player, out, err);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_str_eq(out, "ok");
	ck_assert_int_eq(xenevtchn_pending(front), port);
}
END_TEST

/* A point's place before or after the effect shows in how much is told before the death. */
START_TEST(every_point_can_kill)
{
	static const struct {
		const char *point, *calls;
	} cases[] = {
		{"open-evtchn", "open-evtchn"},
		{"open-gnttab", "open-gnttab"},
		{"open-gntshr", "open-gntshr"},
		{"share", "share"},
		{"unshare", "share unshare"},
		{"map", "share map"},
		{"unmap", "share map unmap"},
		{"copy", "share copy"},
		{"segment", "share copy"},
		{"bind-unbound", "unbound"},
		{"bind-interdomain", "unbound interdomain"},
		{"bind-virq", "virq"},
		{"unbind", "unbound interdomain unbind"},
		{"notify", "unbound interdomain notify"},
		{"pending", "unbound interdomain pending"},
		{"unmask", "unbound interdomain unmask"},
	};
	char fault[64], out[OUTPUT], err[OUTPUT];

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(fault, sizeof(fault), "%s%s=kill", cases[i / 2].point, i % 2 ? "+" : "");
		struct player player = player_start(fault, "", 0, cases[i / 2].calls);
		int status = player_end(&player, out, err);
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s: %d %s",
			      fault, status, out);
	}
}
END_TEST

/* A call that fails has no "after". */
START_TEST(after_a_call_means_after_its_success)
{
	expect("map+=kill", "map", "EINVAL");
	expect("map+#2=kill", "map share map", "EINVAL ok ok");
}
END_TEST

static void order_of(const char *seed, char out[OUTPUT])
{
	struct player player = player_start("", seed, 0, "order");
	char err[OUTPUT];

	ck_assert_int_eq(player_end(&player, out, err), 0);
	ck_assert_str_eq(err, "");
}

/* What is meant for the programs under test is not for the instance's own. */
START_TEST(an_instance_gets_no_faults)
{
	const struct world before = world;

	setenv("XENLOOP_FAULT", "open#*=EIO,bind#*=EIO,map#*=EIO", 1);
	setenv("XENLOOP_SEED", "none", 1);
	world_make_dir();
	ck_assert_int_eq(world_run("up", NULL, 0), 0);
	world_create("guest");
	world_down();
	unsetenv("XENLOOP_FAULT");
	unsetenv("XENLOOP_SEED");
	world = before;
	setenv("XENLOOP_DIR", world.dir, 1);
}
END_TEST

/* Every number once, twice over, and then nothing. */
static bool is_complete(const char *order)
{
	unsigned seen[2] = {0};
	int part = 0;

	for (; *order && part < 2; order++) {
		if (*order == '|')
			part++;
		else if (*order >= '0' && *order < '0' + CHANNELS)
			seen[part] |= 1u << (*order - '0');
	}
	return seen[0] == 0xff && seen[1] == 0xff && !strcmp(order, " EAGAIN");
}

#define PLAIN "0 1 2 3 4 5 6 7 |"

START_TEST(without_a_seed_events_keep_their_order)
{
	char out[OUTPUT];

	order_of("", out);
	ck_assert_str_eq(out, PLAIN " " PLAIN " EAGAIN");
}
END_TEST

START_TEST(a_seed_fixes_an_order_of_all_events)
{
	char out[2][OUTPUT], last[OUTPUT] = "", seed[8];

	for (int i = 0; i < 5; i++) {
		snprintf(seed, sizeof(seed), "%d", i);
		order_of(seed, out[0]);
		order_of(seed, out[1]);
		ck_assert_str_eq(out[0], out[1]);
		ck_assert_msg(is_complete(out[0]), "%s", out[0]);
		ck_assert_str_ne(out[0], PLAIN " " PLAIN " EAGAIN");
		ck_assert_str_ne(out[0], last);
		strcpy(last, out[0]);
	}
}
END_TEST

static Suite *xenloop_fault_suite(void)
{
	const TTest *const all[] = {
		every_point_can_fail,
		a_copy_fails_with_a_grant_status,
		the_call_that_was_named_fails,
		a_group_of_points_counts_together,
		a_rule_is_for_the_program_that_it_names,
		a_fault_is_told_once,
		a_rule_that_makes_no_sense_ends_the_program,
		a_process_stops_before_within_or_after_a_call,
		a_process_killed_within_notify_leaves_its_event,
		every_point_can_kill,
		after_a_call_means_after_its_success,
		an_instance_gets_no_faults,
		without_a_seed_events_keep_their_order,
		a_seed_fixes_an_order_of_all_events,
	};

	return world_suite("xenloop_fault", all, sizeof(all) / sizeof(all[0]));
}

CHECK_MAIN(xenloop_fault_suite)
