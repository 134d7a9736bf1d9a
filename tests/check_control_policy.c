// SPDX-License-Identifier: MIT
/*
 * The policy gate's pure half: parsing of rules, their order, which level decides, and who may
 * write the tree.
 */
#include "backend/control/policy_audit.h"
#include "backend/control/policy_match.h"
#include "tests/check_main.h"
#include <errno.h>
#include <string.h>

static struct policy_rule rule(uint32_t number, const char *value)
{
	struct policy_rule r = {.number = number};

	ck_assert_int_eq(policy_match_parse(value, &r), 0);
	return r;
}

static struct policy_judgement judge_one(struct policy_rule *rules, unsigned int nr,
					 const char *target, bool writable)
{
	static struct policy_level level;

	level = (struct policy_level){.has_list = true, .rules = rules, .nr_rules = nr};
	return policy_match_judge(&level, 1, target, writable);
}

START_TEST(rule_parses)
{
	struct policy_rule r = rule(1, "rw /srv/*.img");

	ck_assert_int_eq(r.access, POLICY_READ_WRITE);
	ck_assert_str_eq(r.glob, "/srv/*.img");
	r = rule(1, "ro   null:");
	ck_assert_int_eq(r.access, POLICY_READ_ONLY);
	ck_assert_str_eq(r.glob, "null:");
	r = rule(1, "rw /srv/with blank");
	ck_assert_str_eq(r.glob, "/srv/with blank");
}
END_TEST

START_TEST(rule_that_does_not_parse_is_an_error)
{
	static const char *const garbled[] = {
		"",
		"rw",
		"rw ",
		"ro    ",
		"w /srv/a",
		"RW /srv/a",
		"rwx /srv",
		"rw\t/a",
		"/srv",
		"rw srv/*.img",
		"deny /srv/a",
		"rw :x",
		"ro file:/srv/a.img",
		"ro nbd:x",
	};
	struct policy_rule r;

	for (size_t i = 0; i < sizeof(garbled) / sizeof(garbled[0]); i++)
		ck_assert_msg(policy_match_parse(garbled[i], &r) == -EINVAL, "\"%s\" was taken",
			      garbled[i]);
}
END_TEST

START_TEST(overlong_glob_is_an_error)
{
	char value[POLICY_GLOB_BYTES + 8];
	struct policy_rule r;

	memset(value, 'a', sizeof(value));
	memcpy(value, "rw /", 4);
	value[3 + POLICY_GLOB_BYTES] = '\0';
	ck_assert_int_eq(policy_match_parse(value, &r), -ENAMETOOLONG);
	value[2 + POLICY_GLOB_BYTES] = '\0';
	ck_assert_int_eq(policy_match_parse(value, &r), 0);
}
END_TEST

START_TEST(rules_are_in_numeric_order)
{
	struct policy_rule rules[] = {rule(100, "rw /c"), rule(9, "rw /a"), rule(10, "rw /b")};

	ck_assert_int_eq(policy_match_sort(rules, 3), 0);
	ck_assert_uint_eq(rules[0].number, 9);
	ck_assert_uint_eq(rules[1].number, 10);
	ck_assert_uint_eq(rules[2].number, 100);
	ck_assert_int_eq(policy_match_sort(NULL, 0), 0);
}
END_TEST

START_TEST(two_rules_of_one_number_are_an_error)
{
	struct policy_rule rules[] = {rule(7, "rw /a"), rule(1, "rw /b"), rule(7, "ro /a")};

	ck_assert_int_eq(policy_match_sort(rules, 3), -EEXIST);
}
END_TEST

START_TEST(star_stops_at_a_slash)
{
	struct policy_rule rules[] = {rule(1, "rw /srv/*.img")};

	ck_assert_int_eq(judge_one(rules, 1, "/srv/a.img", true).outcome, POLICY_ALLOWED);
	ck_assert_int_eq(judge_one(rules, 1, "/srv/sub/a.img", true).outcome, POLICY_NO_MATCH);
	ck_assert_int_eq(judge_one(rules, 1, "/srv/a.img.bak", true).outcome, POLICY_NO_MATCH);
	ck_assert_int_eq(judge_one(rules, 1, "/etc/a.img", true).outcome, POLICY_NO_MATCH);
}
END_TEST

START_TEST(null_target_matches_its_scheme_only)
{
	struct policy_rule rules[] = {rule(1, "rw null:")};

	ck_assert_int_eq(judge_one(rules, 1, "null:", true).outcome, POLICY_ALLOWED);
	ck_assert_int_eq(judge_one(rules, 1, "/null:", true).outcome, POLICY_NO_MATCH);
}
END_TEST

START_TEST(first_match_decides)
{
	struct policy_rule rules[] = {rule(1, "ro /srv/gold*"), rule(2, "rw /srv/*")};
	struct policy_judgement j = judge_one(rules, 2, "/srv/gold1", true);

	ck_assert_int_eq(j.outcome, POLICY_ALLOWED_TO_READ);
	ck_assert_ptr_eq(j.rule, &rules[0]);
	ck_assert_int_eq(judge_one(rules, 2, "/srv/gold1", false).outcome, POLICY_ALLOWED);
	j = judge_one(rules, 2, "/srv/other", true);
	ck_assert_int_eq(j.outcome, POLICY_ALLOWED);
	ck_assert_ptr_eq(j.rule, &rules[1]);
}
END_TEST

START_TEST(most_specific_list_decides_alone)
{
	struct policy_rule mine[] = {rule(1, "rw /mine/*")}, all[] = {rule(1, "rw /all/*")};
	struct policy_level levels[] = {
		{.name = "domid/3"},
		{.name = "name/guest3", .has_list = true, .rules = mine, .nr_rules = 1},
		{.name = "default", .has_list = true, .rules = all, .nr_rules = 1},
	};
	struct policy_judgement j = policy_match_judge(levels, 3, "/mine/a", true);

	ck_assert_int_eq(j.outcome, POLICY_ALLOWED);
	ck_assert_ptr_eq(j.level, &levels[1]);
	j = policy_match_judge(levels, 3, "/all/a", true);
	ck_assert_int_eq(j.outcome, POLICY_NO_MATCH);
	ck_assert_ptr_eq(j.level, &levels[1]);
}
END_TEST

START_TEST(empty_list_allows_nothing)
{
	struct policy_rule all[] = {rule(1, "rw /all/*")};
	struct policy_level levels[] = {
		{.name = "domid/3", .has_list = true},
		{.name = "default", .has_list = true, .rules = all, .nr_rules = 1},
	};

	ck_assert_int_eq(policy_match_judge(levels, 2, "/all/a", false).outcome, POLICY_NO_MATCH);
}
END_TEST

START_TEST(no_list_anywhere_is_told_apart)
{
	struct policy_level levels[] = {{.name = "domid/3"}, {.name = "default"}};
	struct policy_judgement j = policy_match_judge(levels, 2, "/a", false);

	ck_assert_int_eq(j.outcome, POLICY_NO_LIST);
	ck_assert_ptr_null(j.level);
}
END_TEST

START_TEST(node_that_a_guest_may_write_is_found)
{
	const struct xs_permissions mine[] = {{.id = 0, .perms = XS_PERM_NONE}};
	const struct xs_permissions read[] = {{.id = 0, .perms = XS_PERM_READ},
					      {.id = 3, .perms = XS_PERM_READ}};
	const struct xs_permissions owned[] = {{.id = 3, .perms = XS_PERM_NONE}};
	const struct xs_permissions all[] = {{.id = 0, .perms = XS_PERM_WRITE}};
	const struct xs_permissions one[] = {{.id = 0, .perms = XS_PERM_NONE},
					     {.id = 0, .perms = XS_PERM_WRITE},
					     {.id = 3, .perms = XS_PERM_READ | XS_PERM_WRITE}};

	ck_assert(policy_audit_is_dom0_only(mine, 1));
	ck_assert(policy_audit_is_dom0_only(read, 2));
	ck_assert(!policy_audit_is_dom0_only(owned, 1));
	ck_assert(!policy_audit_is_dom0_only(all, 1));
	ck_assert(policy_audit_is_dom0_only(one, 2));
	ck_assert(!policy_audit_is_dom0_only(one, 3));
	ck_assert(!policy_audit_is_dom0_only(mine, 0));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("control_policy");
	TCase *tc = tcase_create("policy");

	tcase_add_test(tc, rule_parses);
	tcase_add_test(tc, rule_that_does_not_parse_is_an_error);
	tcase_add_test(tc, overlong_glob_is_an_error);
	tcase_add_test(tc, rules_are_in_numeric_order);
	tcase_add_test(tc, two_rules_of_one_number_are_an_error);
	tcase_add_test(tc, star_stops_at_a_slash);
	tcase_add_test(tc, null_target_matches_its_scheme_only);
	tcase_add_test(tc, first_match_decides);
	tcase_add_test(tc, most_specific_list_decides_alone);
	tcase_add_test(tc, empty_list_allows_nothing);
	tcase_add_test(tc, no_list_anywhere_is_told_apart);
	tcase_add_test(tc, node_that_a_guest_may_write_is_found);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(make_suite)
