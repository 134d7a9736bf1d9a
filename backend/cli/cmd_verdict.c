// SPDX-License-Identifier: MIT
/*
 * ringway verdict: may a disk be served, and if not, why.
 */
#include <errno.h>
#include <stdio.h>

#include "backend/cli/cli.h"
#include "backend/cli/cli_json.h"
#include "backend/cli/cli_text.h"
#include "backend/cli/cli_verdict.h"
#include "backend/cli/cli_wait.h"
#include "common/cleanup.h"
#include "common/log.h"

#define ANSWER_WITHIN_NS 10000000000ull

static json_t *text(const char *s)
{
	return *s ? cli_json_string(s) : json_null();
}

static int print_json(const struct cli_verdict *v)
{
	_cli_json json_t *object =
		json_pack("{s:s, s:o, s:o, s:o}", "verdict", cli_verdict_name(v->word), "reason",
			  text(v->reason), "trouble", text(v->trouble), "path", text(v->path));

	return cli_json_print(object);
}

static int print_text(const struct cli_verdict *v)
{
	const char *more = v->word == CLI_VERDICT_GRANTED ? v->path : v->reason;
	_rwy_free char *escaped = cli_text_escape(more);

	if (!escaped)
		return -ENOMEM;
	printf("%s%s%s\n", cli_verdict_name(v->word), *escaped ? ": " : "", escaped);
	return 0;
}

static int verdict(const char *dom, const char *vdev, bool as_json)
{
	_cli_store struct rwy_xenbus *xb = NULL;
	struct cli_verdict v;
	uint32_t domid, devid;

	if (cli_options_vdev(vdev, &devid))
		return CLI_USAGE;
	if (cli_store_open(&xb) || cli_store_find_backend(xb, dom, &domid))
		return CLI_FAILED;
	if (cli_verdict_ask(domid, devid, cli_wait_now_ns() + ANSWER_WITHIN_NS, &v)) {
		rwy_error("%s of %s: %s", vdev, dom, v.reason);
		return CLI_FAILED;
	}
	int err = as_json ? print_json(&v) : print_text(&v);
	if (err)
		rwy_error("%s of %s: no memory to print the verdict; try again", vdev, dom);
	return err || v.word != CLI_VERDICT_GRANTED ? CLI_FAILED : CLI_OK;
}

static int run(int argc, char **argv)
{
	bool as_json;
	int rc = cli_options_json(argc, argv, &cmd_verdict, 2, 2, &as_json);

	if (rc)
		return rc > 0 ? CLI_OK : CLI_USAGE;
	return verdict(argv[optind], argv[optind + 1], as_json);
}

const struct cli_command cmd_verdict = {
	.name = "verdict",
	.arguments = "DOM VDEV [--json]",
	.summary = "Ask ringwayd whether a disk may be served, and why not",
	.help = "  DOM           domain name or id\n"
		"  VDEV          virtual device: xvda, ... or its id\n"
		"  --json        print JSON; ringway(1) documents its keys\n\n"
		"Exit status 1 also for a disk that is refused.\n",
	.run = run,
};
