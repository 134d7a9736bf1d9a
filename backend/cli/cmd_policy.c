// SPDX-License-Identifier: MIT
/*
 * ringway policy: read and change the policy tree in xenstore. Keys are paths below its root; what they mean,
 * ringwayd alone knows, but for the first word, which is checked to catch slips. The tree is made so that no
 * guest can read or write it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cli/cli.h"
#include "backend/cli/cli_json.h"
#include "backend/cli/cli_text.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/paths.h"

#define MAX_DEPTH 12u /* as deep as ringwayd looks */

static const char *const first_words[] = {"enforce", "default", "name", "uuid", "domid", "pool"};

struct request {
	struct rwy_xenbus *xb;
	const char *key; /* the verb itself when it takes none, for messages */
	const char *value;
	json_t *found; /* key -> value, in order */
};

static int path_of(const char *key, char path[RWY_XENBUS_PATH_BYTES])
{
	int len = snprintf(path, RWY_XENBUS_PATH_BYTES, "%s%s%s", RWY_XS_POLICY, *key ? "/" : "",
			   key);

	return len < 0 || len >= (int)RWY_XENBUS_PATH_BYTES ? -ENAMETOOLONG : 0;
}

static int compare_names(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b); /* allow/10 behind allow/9 */
}

static int collect(struct request *request, xs_transaction_t tx, const char *key,
		   unsigned int depth);

static int collect_children(struct request *request, xs_transaction_t tx, const char *key,
			    char **names, unsigned int count, unsigned int depth)
{
	char child[RWY_XENBUS_PATH_BYTES];
	int err = 0;

	if (count)
		qsort(names, count, sizeof(*names), compare_names);
	for (unsigned int i = 0; !err && i < count; i++) {
		int len = snprintf(child, sizeof(child), "%s%s%s", key, *key ? "/" : "", names[i]);

		if (len < 0 || (size_t)len >= sizeof(child))
			return -ENAMETOOLONG;
		err = collect(request, tx, child, depth + 1);
	}
	return err;
}

/* A node without children counts, and one with both children and a value. */
static int collect(struct request *request, xs_transaction_t tx, const char *key,
		   unsigned int depth)
{
	char path[RWY_XENBUS_PATH_BYTES], value[RWY_XENBUS_VALUE_BYTES];
	_rwy_free char **names = NULL;
	unsigned int count = 0;

	if (depth > MAX_DEPTH)
		return -ELOOP;
	int err = path_of(key, path);
	if (!err)
		err = rwy_xenbus_list(request->xb, tx, &names, &count, "%s", path);
	if (err)
		return err;
	int len = rwy_xenbus_read(request->xb, tx, value, sizeof(value), "%s", path);
	if (len < 0)
		return len;
	if ((len > 0 || count == 0) && *key &&
	    json_object_set_new(request->found, key, cli_json_string(value)))
		return -ENOMEM;
	return collect_children(request, tx, key, names, count, depth);
}

static int list_tree(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	struct request *request = ctx;

	(void)xb;
	json_object_clear(request->found);
	int err = collect(request, tx, "", 0);
	return err == -ENOENT ? 0 : err; /* no policy at all */
}

static int print_found(json_t *found, bool as_json)
{
	const char *key;
	json_t *value;

	if (as_json)
		return cli_json_print(found);
	json_object_foreach(found, key, value)
	{
		_rwy_free char *name = cli_text_escape(key);
		_rwy_free char *text = cli_text_escape(json_string_value(value));

		if (!name || !text)
			return -ENOMEM;
		printf("%s = %s\n", name, text);
	}
	return 0;
}

static int list(struct request *request, bool as_json)
{
	_cli_json json_t *found = json_object();

	if (!found)
		return -ENOMEM;
	request->found = found;
	int err = rwy_xenbus_transact(request->xb, list_tree, request);
	return err ? err : print_found(found, as_json);
}

/* The root's permissions are what all nodes made below it inherit. */
static int set_node(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	const struct request *request = ctx;
	char path[RWY_XENBUS_PATH_BYTES], value[RWY_XENBUS_VALUE_BYTES];
	int err = path_of(request->key, path);

	if (err)
		return err;
	if (rwy_xenbus_read(xb, tx, value, sizeof(value), "%s", RWY_XS_POLICY) == -ENOENT) {
		err = rwy_xenbus_mkdir(xb, tx, RWY_XS_POLICY);
		if (!err)
			err = rwy_xenbus_set_owner_reader(xb, tx, RWY_XS_POLICY, 0, 0);
	}
	return err ? err : rwy_xenbus_write(xb, tx, path, "%s", request->value);
}

static int unset(struct rwy_xenbus *xb, xs_transaction_t tx, void *ctx)
{
	const struct request *request = ctx;
	char path[RWY_XENBUS_PATH_BYTES], value[RWY_XENBUS_VALUE_BYTES];
	int err = path_of(request->key, path);

	if (err)
		return err;
	if (rwy_xenbus_read(xb, tx, value, sizeof(value), "%s", path) == -ENOENT)
		return -ENOENT;
	return rwy_xenbus_remove(xb, tx, "%s", path);
}

static int get(struct request *request)
{
	char path[RWY_XENBUS_PATH_BYTES], value[RWY_XENBUS_VALUE_BYTES];
	int err = path_of(request->key, path);

	if (err)
		return err;
	int len = rwy_xenbus_read(request->xb, RWY_XENBUS_NO_TX, value, sizeof(value), "%s", path);
	if (len < 0)
		return len;
	_rwy_free char *text = cli_text_escape(value);
	if (!text)
		return -ENOMEM;
	puts(text);
	return 0;
}

static int check_key(const char *key)
{
	size_t len = strcspn(key, "/");

	for (size_t i = 0; i < sizeof(first_words) / sizeof(first_words[0]); i++)
		if (strlen(first_words[i]) == len && !strncmp(key, first_words[i], len))
			return 0;
	rwy_error("policy: key %s: begins with none of enforce, default, name, uuid, domid, pool; "
		  "see ringway policy --help",
		  key);
	return -EINVAL;
}

static int say_failed(const struct request *request, int err)
{
	if (err == -ENOENT)
		rwy_error("policy: %s: not set; see ringway policy list", request->key);
	else if (err == -EINVAL)
		rwy_error("policy: %s: not a path that xenstore takes; see ringway policy --help",
			  request->key);
	else
		rwy_error("policy: %s: %s; run ringway as root in dom0", request->key,
			  strerror(-err));
	return CLI_FAILED;
}

static int act(struct request *request, const char *verb, bool as_json)
{
	_cli_store struct rwy_xenbus *xb = NULL;
	int err;

	if (cli_store_open(&xb))
		return CLI_FAILED;
	request->xb = xb;
	if (!strcmp(verb, "list"))
		err = list(request, as_json);
	else if (!strcmp(verb, "get"))
		err = get(request);
	else if (!strcmp(verb, "set"))
		err = rwy_xenbus_transact(xb, set_node, request);
	else
		err = rwy_xenbus_transact(xb, unset, request);
	return err ? say_failed(request, err) : CLI_OK;
}

static const struct {
	const char *name;
	int words; /* with the verb itself */
} verbs[] = {
	{"list", 1},
	{"get", 2},
	{"set", 3},
	{"unset", 2},
};

/* The words behind the options: VERB [KEY [VALUE]]. */
static int take_words(int argc, char **argv, struct request *request)
{
	size_t i = 0;

	if (cli_options_count(argc, argv, 1, 3))
		return -EINVAL;
	while (i < sizeof(verbs) / sizeof(verbs[0]) && strcmp(verbs[i].name, argv[optind]))
		i++;
	if (i == sizeof(verbs) / sizeof(verbs[0])) {
		rwy_error("policy: no such verb %s; see ringway policy --help", argv[optind]);
		return -EINVAL;
	}
	if (cli_options_count(argc, argv, verbs[i].words, verbs[i].words))
		return -EINVAL;
	request->key = argv[optind + (verbs[i].words > 1)];
	request->value = argv[optind + verbs[i].words - 1];
	return verbs[i].words > 1 ? check_key(request->key) : 0;
}

static int run(int argc, char **argv)
{
	static const struct option known[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct request request = {0};
	bool as_json = false;
	int option;

	while ((option = cli_options_next(argc, argv, known)) != -1) {
		if (option == 'j') {
			as_json = true;
		} else if (option == CLI_OPTION_HELP) {
			cli_options_print_help(&cmd_policy);
			return CLI_OK;
		} else {
			return CLI_USAGE;
		}
	}
	if (take_words(argc, argv, &request))
		return CLI_USAGE;
	return act(&request, argv[optind], as_json);
}

const struct cli_command cmd_policy = {
	.name = "policy",
	.arguments = "list [--json] | get KEY | set KEY VALUE | unset KEY",
	.summary = "Read or change the policy: which domain may have which disk",
	.help = "  list          all keys with their values\n"
		"  unset KEY     remove the key and all below it\n"
		"Keys, VALUE in quotes:\n"
		"  enforce                    \"1\": what no rule allows is refused; \"0\": all is "
		"allowed\n"
		"  LEVEL/vbd/allow/NUMBER     \"rw|ro GLOB\", e.g. \"rw /srv/guest1-*\"\n"
		"  LEVEL: domid/ID, uuid/UUID, name/NAME or default; the first of these that has "
		"rules "
		"decides,\n"
		"  and in it the first rule, by NUMBER, whose GLOB matches the target.\n",
	.run = run,
};
