/* Exact arithmetic on MessagePack numbers. An integer is kept as 128 bits, which holds every sum and difference of
 * 64-bit ones; doubles are added as doubles (round to nearest, the same on every machine). */
#include "partition/view_value.h"

#include <assert.h>
#include <float.h>

__extension__ typedef __int128 wide_integer;

struct number {
	bool is_double;
	wide_integer integer;
	double real;
};

static bool number_read(struct span value, struct number *number)
{
	uint64_t bits;
	enum msgpack_type type = msgpack_number(value, &bits);

	*number = (struct number){.is_double = type == MSGPACK_DOUBLE};
	if (type == MSGPACK_UINT)
		number->integer = bits;
	if (type == MSGPACK_INT)
		number->integer = (int64_t)bits;
	if (type == MSGPACK_DOUBLE)
		memcpy(&number->real, &bits, sizeof bits);
	return type != MSGPACK_INVALID;
}

static size_t write_big(uint8_t *at, uint8_t lead, uint64_t value, size_t width)
{
	at[0] = lead;
	store_big(at + 1, width, value);
	return 1 + width;
}

static size_t write_unsigned(uint8_t *at, uint64_t value)
{
	if (value < 0x80) {
		at[0] = (uint8_t)value;
		return 1;
	}
	if (value <= UINT8_MAX)
		return write_big(at, 0xcc, value, 1);
	if (value <= UINT16_MAX)
		return write_big(at, 0xcd, value, 2);
	if (value <= UINT32_MAX)
		return write_big(at, 0xce, value, 4);
	return write_big(at, 0xcf, value, 8);
}

static size_t write_negative(uint8_t *at, int64_t value)
{
	if (value >= -32) {
		at[0] = (uint8_t)value;
		return 1;
	}
	if (value >= INT8_MIN)
		return write_big(at, 0xd0, (uint64_t)value, 1);
	if (value >= INT16_MIN)
		return write_big(at, 0xd1, (uint64_t)value, 2);
	if (value >= INT32_MIN)
		return write_big(at, 0xd2, (uint64_t)value, 4);
	return write_big(at, 0xd3, (uint64_t)value, 8);
}

static size_t add_integers(wide_integer a, wide_integer b, uint8_t *at)
{
	wide_integer sum = a + b;

	if (sum < INT64_MIN || sum > UINT64_MAX)
		return 0;
	return sum < 0 ? write_negative(at, (int64_t)sum) : write_unsigned(at, (uint64_t)sum);
}

static size_t add_doubles(double a, double b, uint8_t *at)
{
	double sum = a + b;
	uint64_t bits;

	if (!(sum >= -DBL_MAX && sum <= DBL_MAX))
		return 0;
	memcpy(&bits, &sum, sizeof bits);
	return write_big(at, 0xcb, bits, 8);
}

/* An integer of a number is one of 64 bits, so the conversion rounds once, to nearest. */
static double number_real(const struct number *number)
{
	if (number->is_double)
		return number->real;
	return number->integer < 0 ? (double)(int64_t)number->integer : (double)(uint64_t)number->integer;
}

double view_value_real(struct span value)
{
	struct number number;
	uint64_t integer;
	double real;
	bool read;

	if (view_value_double(value, &real))
		return real;
	if (view_value_unsigned(value, &integer))
		return (double)integer;
	read = number_read(value, &number);
	assert(read);
	return number.is_double ? number.real : number_real(&number);
}

size_t view_value_add(struct span old, struct span operand, bool subtract, uint8_t number[9])
{
	struct number a = {false, 0, 0.0};
	struct number b;
	uint64_t integers[2];
	double reals[2];

	if (!subtract && view_value_unsigned(old, &integers[0]) && view_value_unsigned(operand, &integers[1]))
		return write_unsigned(number, integers[0] + integers[1]); /* each of at most 32 bits */
	if (!subtract && view_value_double(old, &reals[0]) && view_value_double(operand, &reals[1]))
		return add_doubles(reals[0], reals[1], number);
	if (!number_read(operand, &b) || (old.size > 0 && !number_read(old, &a)))
		return 0;
	if (a.is_double || b.is_double)
		return add_doubles(number_real(&a), subtract ? -number_real(&b) : number_real(&b), number);
	return add_integers(a.integer, subtract ? -b.integer : b.integer, number);
}
