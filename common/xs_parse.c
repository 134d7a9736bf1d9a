// SPDX-License-Identifier: MIT
/*
 * Bounded parsing of xenstore values. The bytes come from guests and may be anything; every
 * function looks at no more than len of them and writes its output only on success. Called by
 * xenbus.c and by whoever holds a raw value.
 */
#include "common/xs_parse.h"

#include <errno.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool all_digits(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_digit(value[i]))
			return false;
	return len > 0;
}

int rwy_xs_parse_u64(const char *value, size_t len, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t number = 0;

	if (!all_digits(value, len))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		uint64_t digit = (uint64_t)(value[i] - '0');

		if (number > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		number = number * 10 + digit;
	}
	if (number < min || number > max)
		return -ERANGE;
	*out = number;
	return 0;
}

int rwy_xs_parse_u32(const char *value, size_t len, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t number;
	int err = rwy_xs_parse_u64(value, len, min, max, &number);

	if (err)
		return err;
	*out = (uint32_t)number;
	return 0;
}

int rwy_xs_parse_bool(const char *value, size_t len, bool *out)
{
	if (len != 1 || (value[0] != '0' && value[0] != '1'))
		return -EINVAL;
	*out = value[0] == '1';
	return 0;
}

int rwy_xs_parse_component(const char *component, uint32_t max, uint32_t *out)
{
	size_t len = strlen(component);

	/* "051712" and "51712" are two nodes; only one of them may be device 51712. */
	if (len > 1 && component[0] == '0')
		return -EINVAL;
	return rwy_xs_parse_u32(component, len, 0, max, out);
}

int rwy_xs_parse_string(const char *value, size_t len, char *out, size_t size)
{
	if (len >= size)
		return -ENAMETOOLONG;
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)value[i];

		if (byte < 0x20 || byte == 0x7f)
			return -EINVAL;
	}
	memcpy(out, value, len);
	out[len] = '\0';
	return 0;
}
