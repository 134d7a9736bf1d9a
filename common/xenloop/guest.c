// SPDX-License-Identifier: MIT
/*
 * `xenloop create`, `destroy` and `list`: what a toolstack does with domains. The hypervisor makes
 * and ends them; the store nodes are written and removed here, in libxl's order.
 */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>
#include <xen/xen.h>

#include "common/cleanup.h"
#include "common/xenloop/runner.h"
#include "common/xenloop/tables.h"

static bool is_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_.+-";
	size_t len = strlen(name);

	return len && len <= XENLOOP_NAME_MAX && strspn(name, allowed) == len &&
	       strspn(name, "0123456789") != len; /* that would be a domid */
}

static bool make_uuid(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		return false;
	uuid[6] = (uuid[6] & 0x0f) | 0x40; /* RFC 4122, version 4 */
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
	return true;
}

/* A decimal number in its range, or EXIT_USAGE (complained about). what: the option's name. */
static int parse_number(const char *text, const char *what, uint32_t min, uint32_t max,
			uint32_t *number)
{
	size_t len = strlen(text);

	if (len && len < 10 && strspn(text, "0123456789") == len) {
		*number = strtoul(text, NULL, 10);
		if (*number >= min && *number <= max)
			return EXIT_OK;
	}
	complain("%s wants a number from %u to %u, not \"%s\"", what, min, max, text);
	return EXIT_USAGE;
}

enum limit_option {
	MAX_EVENT_CHANNELS = 0x100, /* no letter */
	MAX_GRANT_FRAMES,
	GNTALLOC_LIMIT
};

static const struct option create_options[] = {
	{"max-event-channels", required_argument, NULL, MAX_EVENT_CHANNELS},
	{"max-grant-frames", required_argument, NULL, MAX_GRANT_FRAMES},
	{"gntalloc-limit", required_argument, NULL, GNTALLOC_LIMIT},
	{0},
};

/* named: as the user wrote the option. */
static int bad_option(const char *named)
{
	if (optopt == 'u' || optopt == 'i' || optopt >= MAX_EVENT_CHANNELS)
		complain("%s wants a value", named);
	else if (optopt)
		complain("no option \"-%c\"", optopt);
	else
		complain("no option \"%s\"", named);
	return EXIT_USAGE;
}

static int parse_option(int option, char **argv, struct xenloop_new *new, uint32_t *domid)
{
	switch (option) {
	case 'u':
		if (uuid_parse(optarg, new->uuid))
			return EXIT_OK;
		complain("\"%s\" is not a UUID", optarg);
		return EXIT_USAGE;
	case 'i':
		return parse_number(optarg, "-i", 1, DOMID_FIRST_RESERVED - 1, domid);
	case MAX_EVENT_CHANNELS:
		return parse_number(optarg, "--max-event-channels", 1, XENLOOP_PORTS - 1,
				    &new->max_port);
	case MAX_GRANT_FRAMES:
		return parse_number(optarg, "--max-grant-frames", 1, XENLOOP_GRANT_FRAMES,
				    &new->max_grant_frames);
	case GNTALLOC_LIMIT:
		return parse_number(optarg, "--gntalloc-limit", 0, XENLOOP_GRANTS,
				    &new->max_shared);
	default:
		return bad_option(argv[optind - 1]);
	}
}

/* Options and the name. EXIT_OK, or the exit code. */
static int parse_create(int argc, char **argv, struct xenloop_new *new, uint32_t *domid)
{
	bool have_uuid = false;
	int option;

	while ((option = getopt_long(argc, argv, "+u:i:", create_options, NULL)) != -1) {
		int code = parse_option(option, argv, new, domid);
		if (code)
			return code;
		have_uuid = have_uuid || option == 'u';
	}
	if (optind != argc - 1)
		return EXIT_USAGE;
	if (!is_name(argv[optind]))
		return complain("\"%s\" is not a name: up to %d letters, digits and _.+-, not only "
				"digits",
				argv[optind], XENLOOP_NAME_MAX),
		       EXIT_USAGE;
	snprintf(new->name, sizeof(new->name), "%s", argv[optind]);
	if (!have_uuid && !make_uuid(new->uuid))
		return complain("no random numbers: %s", strerror(errno));
	return EXIT_OK;
}

static int end_domain(int sock, uint32_t domid)
{
	struct xenloop_request request = {.op = XENLOOP_DESTROY, .domid = domid};

	return client_call(sock, &request, NULL, 0, NULL, 0, NULL);
}

/* Ask the domain's store mux for its port, make the domain known, and let the mux go. */
static int finish_create(int mux_fd, const char *dir, uint32_t domid, const struct xenloop_new *new)
{
	uint32_t port;

	if (read(mux_fd, &port, sizeof(port)) != sizeof(port))
		return complain("the domain's store mux did not start: see %s/log", dir);
	struct xs_handle *xsh = client_open_store(dir);
	if (!xsh)
		return EXIT_FAILED;
	int rc = nodes_write_domain(xsh, domid, new, port);
	if (!rc && write(mux_fd, "", 1) != 1)
		rc = -errno;
	if (rc) {
		complain("domain %u: %s: see %s/log", domid, strerror(-rc), dir);
		nodes_remove_domain(xsh, domid, new->uuid);
	}
	xs_close(xsh);
	return rc ? EXIT_FAILED : EXIT_OK;
}

int cmd_create(const char *dir, int argc, char **argv)
{
	struct xenloop_request request = {.op = XENLOOP_CREATE, .domid = XENLOOP_NONE};
	struct xenloop_new new = {.max_port = XENLOOP_DEFAULT_MAX_PORT,
				  .max_grant_frames = XENLOOP_DEFAULT_GRANT_FRAMES,
				  .max_shared = XENLOOP_DEFAULT_MAX_SHARED};
	char absolute[PATH_MAX];
	int mux_fd _rwy_close = -1;

	int code = parse_create(argc, argv, &new, &request.domid);
	if (code)
		return code;
	int sock _rwy_close = client_connect(dir, absolute);
	if (sock < 0)
		return EXIT_FAILED;
	int64_t domid = client_call(sock, &request, &new, sizeof(new), NULL, 0, &mux_fd);
	if (domid == -EEXIST)
		return complain("a domain \"%s\" exists already", new.name);
	if (domid == -EBUSY)
		return complain("domid %u is in use, or its memory is still mapped", request.domid);
	if (domid < 0)
		return complain("the domain could not be created: %s", strerror(-domid));
	code = finish_create(mux_fd, absolute, domid, &new);
	if (code)
		end_domain(sock, domid);
	else
		printf("%u\n", (unsigned)domid);
	return code;
}

int cmd_destroy(const char *dir, int argc, char **argv)
{
	struct xenloop_domain_info info;
	char absolute[PATH_MAX];

	if (argc != 2)
		return EXIT_USAGE;
	int sock _rwy_close = client_connect(dir, absolute);
	if (sock < 0)
		return EXIT_FAILED;
	int64_t domid = client_find_domain(sock, argv[1], &info);
	if (domid < 0)
		return EXIT_FAILED;
	if (!domid)
		return complain("domain 0 ends with the instance: use `xenloop down`");
	struct xenloop_request request = {.op = XENLOOP_STOP, .domid = domid};
	int64_t rc = client_call(sock, &request, NULL, 0, NULL, 0, NULL);
	struct xs_handle *xsh = client_open_store(absolute);
	if (xsh)
		nodes_remove_domain(xsh, domid, info.uuid);
	if (!rc)
		rc = end_domain(sock, domid);
	if (xsh) {
		/* xenstored has been told by now, but may not yet have looked. */
		xs_release_domain(xsh, domid);
		xs_close(xsh);
	}
	if (rc < 0)
		return complain("domain %u: %s", (unsigned)domid, strerror(-rc));
	return xsh ? EXIT_OK : EXIT_FAILED;
}

static const char *state_name(uint32_t flags)
{
	if (flags & XENLOOP_DOMAIN_DYING)
		return "dying";
	if (flags & XENLOOP_DOMAIN_CRASHED)
		return "crashed";
	return flags & XENLOOP_DOMAIN_STOPPED ? "stopped" : "running";
}

static void print_domain(const struct xenloop_domain_info *info, bool json, bool first)
{
	char uuid[UUID_TEXT_BYTES];

	uuid_print(info->uuid, uuid);
	if (json)
		printf("%s{\"domid\": %u, \"name\": \"%s\", \"uuid\": \"%s\", \"state\": \"%s\", "
		       "\"grants\": %u, \"maps\": %u, \"ports\": %u, \"handles\": %u, "
		       "\"processes\": %u}",
		       first ? "" : ", ", info->domid, info->name, uuid, state_name(info->flags),
		       info->nr_grants, info->nr_maps, info->nr_ports, info->nr_handles,
		       info->nr_processes);
	else
		printf("%5u  %-24s %s  %-8s %6u %6u %5u %7u %9u\n", info->domid, info->name, uuid,
		       state_name(info->flags), info->nr_grants, info->nr_maps, info->nr_ports,
		       info->nr_handles, info->nr_processes);
}

int cmd_list(const char *dir, int argc, char **argv)
{
	bool json = argc == 2 && !strcmp(argv[1], "--json");
	struct xenloop_domain_info infos[XENLOOP_SLOTS];
	char absolute[PATH_MAX];

	if (argc != 1 && !json)
		return EXIT_USAGE;
	int sock _rwy_close = client_connect(dir, absolute);
	if (sock < 0)
		return EXIT_FAILED;
	int64_t n = client_domains(sock, infos);
	if (n < 0)
		return complain("%s", strerror(-n));
	if (json)
		printf("[");
	else
		printf("%5s  %-24s %-36s  %-8s %6s %6s %5s %7s %9s\n", "DOMID", "NAME", "UUID",
		       "STATE", "GRANTS", "MAPS", "PORTS", "HANDLES", "PROCESSES");
	for (int64_t i = 0; i < n; i++)
		print_domain(&infos[i], json, i == 0);
	if (json)
		printf("]\n");
	return EXIT_OK;
}
