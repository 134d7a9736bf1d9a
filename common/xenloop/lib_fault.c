// SPDX-License-Identifier: MIT
/*
 * Faults on demand: XENLOOP_FAULT names calls of this library that are to fail, to stop the process
 * or to kill it. Read once, when the library is loaded; a rule that makes no sense ends the program
 * there, so that no test passes for want of its fault. Called by the ABI's functions through
 * fault_at and fault_after (lib.h).
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/xenloop/lib.h"

#define RULES	   32
#define RULE_BYTES 96  /* a rule's text */
#define ERRNOS	   134 /* above the highest */
#define EXIT_USAGE 2

enum action {
	ACTION_FAIL,
	ACTION_STATUS,
	ACTION_STOP,
	ACTION_KILL
};

struct rule {
	char text[RULE_BYTES];
	uint32_t points; /* one bit each */
	bool after;
	enum action action;
	int value;	      /* FAIL: errno; STATUS: GNTST_*, below 0 */
	uint64_t first, last; /* the calls that it is for, from 1 */
	_Atomic uint64_t calls;
	_Atomic bool said;
};

bool fault_armed;

static struct rule rules[RULES];
static uint32_t nr_rules;

#define BIT(point) (1u << FAULT_##point)
#define OPENS	   (BIT(OPEN_EVTCHN) | BIT(OPEN_GNTTAB) | BIT(OPEN_GNTSHR))
#define BINDS	   (BIT(BIND_UNBOUND) | BIT(BIND_INTERDOMAIN) | BIT(BIND_VIRQ))

/* What cannot fail; what has a grant status; what has nothing else. */
#define NEVER_FAIL  BIT(PUSH)
#define STATUS	    (BIT(COPY) | BIT(SEGMENT))
#define STATUS_ONLY BIT(SEGMENT)

static const struct {
	const char *name;
	uint32_t points;
} point_names[] = {
	{"open", OPENS},
	{"open-evtchn", BIT(OPEN_EVTCHN)},
	{"open-gnttab", BIT(OPEN_GNTTAB)},
	{"open-gntshr", BIT(OPEN_GNTSHR)},
	{"map", BIT(MAP)},
	{"unmap", BIT(UNMAP)},
	{"copy", BIT(COPY)},
	{"segment", BIT(SEGMENT)},
	{"share", BIT(SHARE)},
	{"unshare", BIT(UNSHARE)},
	{"bind", BINDS},
	{"bind-unbound", BIT(BIND_UNBOUND)},
	{"bind-interdomain", BIT(BIND_INTERDOMAIN)},
	{"bind-virq", BIT(BIND_VIRQ)},
	{"unbind", BIT(UNBIND)},
	{"notify", BIT(NOTIFY)},
	{"push", BIT(PUSH)},
	{"pending", BIT(PENDING)},
	{"unmask", BIT(UNMASK)},
};

#define NAMED(status)           \
	{                       \
#status, status \
	}

static const struct {
	const char *name;
	int status;
} statuses[] = {
	NAMED(GNTST_general_error),   NAMED(GNTST_bad_domain),	      NAMED(GNTST_bad_gntref),
	NAMED(GNTST_bad_handle),      NAMED(GNTST_bad_virt_addr),     NAMED(GNTST_bad_dev_addr),
	NAMED(GNTST_no_device_space), NAMED(GNTST_permission_denied), NAMED(GNTST_bad_page),
	NAMED(GNTST_bad_copy_arg),    NAMED(GNTST_address_too_big),   NAMED(GNTST_eagain),
	NAMED(GNTST_no_space),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Each parser returns NULL, or what is wrong. They may cut the text up. */

static const char *parse_point(struct rule *rule, const char *text)
{
	for (size_t i = 0; i < COUNT(point_names); i++) {
		if (!strcmp(text, point_names[i].name)) {
			rule->points = point_names[i].points;
			return NULL;
		}
	}
	return "there is no such point";
}

/* N, N+ or *; NULL: the first call. */
static const char *parse_calls(struct rule *rule, const char *text)
{
	char *end;

	if (text && !strcmp(text, "*"))
		text = "1+";
	rule->first = text ? strtoull(text, &end, 10) : 1;
	rule->last = rule->first;
	if (text && !strcmp(end, "+")) {
		rule->last = UINT64_MAX;
		end++;
	}
	return text && (*text < '1' || *text > '9' || *end) ? "after # comes N, N+ or *" : NULL;
}

static int errno_of(const char *name)
{
	for (int err = 1; err < ERRNOS; err++) {
		const char *known = strerrorname_np(err);
		if (known && !strcmp(known, name))
			return err;
	}
	return 0;
}

static int status_of(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	for (size_t i = 0; i < COUNT(statuses); i++)
		if (!strcmp(text, statuses[i].name) || (!*end && number == statuses[i].status))
			return statuses[i].status;
	return 0;
}

static const char *parse_action(struct rule *rule, const char *text)
{
	int status = status_of(text), err = errno_of(text);

	if (!strcmp(text, "stop")) {
		rule->action = ACTION_STOP;
	} else if (!strcmp(text, "kill")) {
		rule->action = ACTION_KILL;
	} else if (!status && !err) {
		return "the action is neither stop, kill, an errno's name nor a grant status";
	} else {
		rule->action = status ? ACTION_STATUS : ACTION_FAIL;
		rule->value = status ? status : err;
		if (rule->after || (rule->points & NEVER_FAIL))
			return "only stop and kill are possible there";
		if (status && (rule->points & ~STATUS))
			return "only copy and segment have a grant status";
		if (err && (rule->points & STATUS_ONLY))
			return "a segment fails with a grant status";
	}
	return NULL;
}

/* [PROGRAM:]POINT[+][#CALLS]=ACTION; *program: NULL for every program. */
static const char *parse(struct rule *rule, char *text, const char **program)
{
	char *action = strchr(text, '=');

	if (!action)
		return "a rule is [PROGRAM:]POINT[+][#N|#N+|#*]=ACTION";
	*action++ = '\0';
	char *colon = strrchr(text, ':');
	char *point = colon ? colon + 1 : text;
	*program = colon ? text : NULL;
	if (colon)
		*colon = '\0';
	char *calls = strchr(point, '#');
	if (calls)
		*calls++ = '\0';
	size_t len = strlen(point);
	rule->after = len && point[len - 1] == '+';
	if (rule->after)
		point[len - 1] = '\0';
	const char *wrong = parse_point(rule, point);
	if (!wrong)
		wrong = parse_calls(rule, calls);
	return wrong ? wrong : parse_action(rule, action);
}

void fault_refuse(const char *fmt, ...)
{
	va_list args;

	fputs("libxenloop: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(EXIT_USAGE);
}

static void add_rule(const char *text)
{
	struct rule *rule = &rules[nr_rules];
	const char *program = NULL, *wrong = NULL;
	char parts[RULE_BYTES];

	if (nr_rules == RULES)
		wrong = "there are too many rules";
	else if (strlen(text) >= sizeof(parts))
		wrong = "the rule is too long";
	if (!wrong) {
		strcpy(parts, text);
		strcpy(rule->text, text);
		wrong = parse(rule, parts, &program);
	}
	if (wrong)
		fault_refuse(XENLOOP_ENV_FAULT ": \"%s\": %s", text, wrong);
	if (!program || !strcmp(program, program_invocation_short_name))
		nr_rules++;
}

__attribute__((constructor)) static void read_rules(void)
{
	const char *env = getenv(XENLOOP_ENV_FAULT);
	char *all = env && *env ? strdup(env) : NULL, *rest = all, *text;

	if (env && *env && !all)
		fault_refuse(XENLOOP_ENV_FAULT ": %s", strerror(errno));
	while ((text = strsep(&rest, ",")))
		add_rule(text);
	free(all);
	fault_armed = nr_rules > 0;
}

/* Once for each rule, so that a test can tell whether the program got that far. In one write, which
 * sandboxes allow. */
static void say(struct rule *rule)
{
	char line[RULE_BYTES + 64];

	if (atomic_exchange(&rule->said, true))
		return;
	int len = snprintf(line, sizeof(line), "libxenloop: %.32s: fault %s\n",
			   program_invocation_short_name, rule->text);
	ssize_t written = write(STDERR_FILENO, line, len);
	(void)written;
}

int fault_hit(enum fault_point point, bool after)
{
	struct rule *hit = NULL;

	for (uint32_t i = 0; i < nr_rules; i++) {
		struct rule *rule = &rules[i];
		if (!(rule->points & (1u << point)) || rule->after != after)
			continue;
		uint64_t call = atomic_fetch_add(&rule->calls, 1) + 1;
		if (!hit && call >= rule->first && call <= rule->last)
			hit = rule;
	}
	if (!hit)
		return 0;
	say(hit);
	if (hit->action == ACTION_STOP || hit->action == ACTION_KILL)
		raise(hit->action == ACTION_STOP ? SIGSTOP : SIGKILL);
	return hit->value;
}
