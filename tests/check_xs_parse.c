// SPDX-License-Identifier: MIT
/*
 * Parsing of xenstore values as a hostile guest would write them. Values are given in buffers of
 * exactly their length, so that a sanitizer sees any look past the end.
 */
#include "common/xs_parse.h"
#include "tests/check_main.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Not NUL-terminated. free() it. */
static char *exact(const char *bytes, size_t len)
{
	char *copy = malloc(len ? len : 1);

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, len);
	return copy;
}

static int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	size_t len = strlen(text);
	char *value = exact(text, len);
	int err = rwy_xs_parse_u64(value, len, min, max, out);

	free(value);
	return err;
}

START_TEST(number_is_parsed)
{
	static const struct {
		const char *text;
		uint64_t number;
	} cases[] = {
		{"0", 0},
		{"7", 7},
		{"51712", 51712},
		{"00051712", 51712},
		{"18446744073709551615", UINT64_MAX},
		{"0000000000000000000000018446744073709551615", UINT64_MAX},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t out = 99;

		ck_assert_int_eq(parse_u64(cases[i].text, 0, UINT64_MAX, &out), 0);
		ck_assert_uint_eq(out, cases[i].number);
	}
}
END_TEST

START_TEST(what_is_no_decimal_is_refused)
{
	static const char *const cases[] = {
		"",   " ", "+1",  "-1",	   "-0",   " 1", "1 ", "1\n", "0x1",
		"1a", "a", "1.0", "1,000", "\x80", "1-", "/",  ":",   "99999999999999999999999x"};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t out = 99;

		ck_assert_msg(parse_u64(cases[i], 0, UINT64_MAX, &out) == -EINVAL, "'%s'",
			      cases[i]);
		ck_assert_uint_eq(out, 99);
	}
}
END_TEST

START_TEST(nul_inside_is_refused)
{
	uint64_t out;

	ck_assert_int_eq(rwy_xs_parse_u64("1\0", 2, 0, 9, &out), -EINVAL);
	ck_assert_int_eq(rwy_xs_parse_u64("\0", 1, 0, 9, &out), -EINVAL);
	ck_assert_int_eq(rwy_xs_parse_u64("1\0002", 3, 0, 999, &out), -EINVAL);
}
END_TEST

START_TEST(more_than_64_bits_is_out_of_range)
{
	static const char *const cases[] = {"18446744073709551616", "18446744073709551620",
					    "99999999999999999999", "184467440737095516150",
					    "36893488147419103232"};
	char digits[4096];
	uint64_t out = 99;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ck_assert_int_eq(parse_u64(cases[i], 0, UINT64_MAX, &out), -ERANGE);
	memset(digits, '9', sizeof(digits));
	ck_assert_int_eq(rwy_xs_parse_u64(digits, sizeof(digits), 0, UINT64_MAX, &out), -ERANGE);
	ck_assert_uint_eq(out, 99);
}
END_TEST

START_TEST(limits_are_inclusive)
{
	uint64_t out = 99;

	ck_assert_int_eq(parse_u64("4", 5, 7, &out), -ERANGE);
	ck_assert_int_eq(parse_u64("8", 5, 7, &out), -ERANGE);
	ck_assert_uint_eq(out, 99);
	ck_assert_int_eq(parse_u64("5", 5, 7, &out), 0);
	ck_assert_int_eq(parse_u64("7", 5, 7, &out), 0);
	ck_assert_uint_eq(out, 7);
	ck_assert_int_eq(parse_u64("6", 7, 5, &out), -ERANGE);
}
END_TEST

START_TEST(u32_does_not_wrap)
{
	uint32_t out = 99;

	ck_assert_int_eq(rwy_xs_parse_u32("4294967296", 10, 0, UINT32_MAX, &out), -ERANGE);
	ck_assert_int_eq(rwy_xs_parse_u32("4294967297", 10, 0, 5, &out), -ERANGE);
	ck_assert_uint_eq(out, 99);
	ck_assert_int_eq(rwy_xs_parse_u32("4294967295", 10, 0, UINT32_MAX, &out), 0);
	ck_assert_uint_eq(out, UINT32_MAX);
}
END_TEST

START_TEST(every_u16_round_trips)
{
	for (uint32_t n = 0; n <= UINT16_MAX; n++) {
		char text[8];
		uint32_t out;
		int len = snprintf(text, sizeof(text), "%" PRIu32, n);

		ck_assert(rwy_xs_parse_u32(text, (size_t)len, 0, UINT16_MAX, &out) == 0 &&
			  out == n);
	}
}
END_TEST

START_TEST(bool_is_one_digit)
{
	static const char *const wrong[] = {"", "2", "00", "01", "10", "1 ", "y", "true", "-1"};
	bool out = false;

	ck_assert_int_eq(rwy_xs_parse_bool("1", 1, &out), 0);
	ck_assert(out);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		char *value = exact(wrong[i], strlen(wrong[i]));

		ck_assert_int_eq(rwy_xs_parse_bool(value, strlen(wrong[i]), &out), -EINVAL);
		free(value);
	}
	ck_assert(out);
	ck_assert_int_eq(rwy_xs_parse_bool("0", 1, &out), 0);
	ck_assert(!out);
}
END_TEST

START_TEST(component_names_one_device_in_one_way)
{
	uint32_t out = 99;

	ck_assert_int_eq(rwy_xs_parse_component("051712", UINT32_MAX, &out), -EINVAL);
	ck_assert_int_eq(rwy_xs_parse_component("00", UINT32_MAX, &out), -EINVAL);
	ck_assert_int_eq(rwy_xs_parse_component("", UINT32_MAX, &out), -EINVAL);
	ck_assert_int_eq(rwy_xs_parse_component("51712/state", UINT32_MAX, &out), -EINVAL);
	ck_assert_int_eq(rwy_xs_parse_component("32752", 32751, &out), -ERANGE);
	ck_assert_uint_eq(out, 99);
	ck_assert_int_eq(rwy_xs_parse_component("0", 32751, &out), 0);
	ck_assert_uint_eq(out, 0);
	ck_assert_int_eq(rwy_xs_parse_component("51712", UINT32_MAX, &out), 0);
	ck_assert_uint_eq(out, 51712);
}
END_TEST

START_TEST(string_is_copied_and_ended)
{
	char *value = exact("x86_64-abi", 10);
	char out[16];

	memset(out, 'z', sizeof(out));
	ck_assert_int_eq(rwy_xs_parse_string(value, 10, out, sizeof(out)), 0);
	ck_assert_str_eq(out, "x86_64-abi");
	ck_assert_int_eq(rwy_xs_parse_string(value, 0, out, sizeof(out)), 0);
	ck_assert_str_eq(out, "");
	free(value);
}
END_TEST

START_TEST(string_must_fit_with_its_nul)
{
	char *out = malloc(4);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(rwy_xs_parse_string("abc", 3, out, 4), 0);
	ck_assert_str_eq(out, "abc");
	ck_assert_int_eq(rwy_xs_parse_string("abcd", 4, out, 4), -ENAMETOOLONG);
	ck_assert_int_eq(rwy_xs_parse_string("", 0, out, 0), -ENAMETOOLONG);
	ck_assert_str_eq(out, "abc");
	free(out);
}
END_TEST

START_TEST(string_has_no_control_bytes)
{
	char out[8] = "old";

	for (int byte = 0; byte < 256; byte++) {
		char value[3] = {'a', (char)byte, 'b'};
		int err = rwy_xs_parse_string(value, sizeof(value), out, sizeof(out));
		bool control = byte < 0x20 || byte == 0x7f;

		ck_assert_int_eq(err, control ? -EINVAL : 0);
	}
}
END_TEST

static Suite *xs_parse_suite(void)
{
	Suite *suite = suite_create("xs_parse");
	TCase *tc = tcase_create("values");

	tcase_add_test(tc, number_is_parsed);
	tcase_add_test(tc, what_is_no_decimal_is_refused);
	tcase_add_test(tc, nul_inside_is_refused);
	tcase_add_test(tc, more_than_64_bits_is_out_of_range);
	tcase_add_test(tc, limits_are_inclusive);
	tcase_add_test(tc, u32_does_not_wrap);
	tcase_add_test(tc, every_u16_round_trips);
	tcase_add_test(tc, bool_is_one_digit);
	tcase_add_test(tc, component_names_one_device_in_one_way);
	tcase_add_test(tc, string_is_copied_and_ended);
	tcase_add_test(tc, string_must_fit_with_its_nul);
	tcase_add_test(tc, string_has_no_control_bytes);
	suite_add_tcase(suite, tc);
	return suite;
}

CHECK_MAIN(xs_parse_suite)
