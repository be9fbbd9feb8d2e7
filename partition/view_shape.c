/* The cache of shapes. A payload that writes a name in a longer form than needed matches no shape, so that taking its
 * bytes and writing its members anew give the same state. */
#include <assert.h>
#include <stdlib.h>

#include "partition/array.h"
#include "partition/view.h"
#include "partition/view_members.h"
#include "partition/view_value.h"

struct span view_shape_match(const struct view_shape *shape, struct span payload)
{
	struct reader in = reader_of(payload);
	const uint8_t *name = shape->bytes;
	bool nested = false;
	const uint8_t *from;

	if (msgpack_read_map(&in) != shape->count)
		return SPAN_NULL;
	from = in.at;
	for (uint32_t i = 0; i < shape->count; i++) {
		size_t size = shape->sizes[i];

		if (reader_left(&in) < size || !view_value_equal(in.at, name, size))
			return SPAN_NULL;
		in.at += size;
		name += size;
		view_value_take(&in, &nested);
		if (in.failed)
			return SPAN_NULL;
	}
	if (!reader_done(&in) || (nested && msgpack_validate(payload) != 0))
		return SPAN_NULL;
	return span_of(from, (size_t)(in.end - from));
}

static bool shape_is(const struct view_shape *shape, struct span names, uint32_t count)
{
	return shape->count == count && span_equal(span_of(shape->bytes, shape->size), names);
}

/* Only names of up to 31 bytes, whose header is one byte; NULL_SPAN-like empty result: too large to remember. */
static size_t shape_write(const struct members *members, uint8_t *names, uint16_t *sizes)
{
	size_t size = 0;

	if (members->count == 0 || members->count > VIEW_SHAPE_MEMBERS_MAX)
		return 0;
	for (uint32_t i = 0; i < members->count; i++) {
		struct span name = members->list[i].name;

		if (name.size > 31)
			return 0;
		sizes[i] = (uint16_t)(1 + name.size);
		names[size] = (uint8_t)(0xa0 | name.size);
		if (name.size > 0)
			memcpy(names + size + 1, name.data, name.size);
		size += sizes[i];
	}
	return size;
}

uint32_t view_shape_of(struct view *view, const struct members *members)
{
	uint8_t names[VIEW_SHAPE_MEMBERS_MAX * 32];
	struct view_shape shape = {.count = members->count};
	void *shapes = view->shapes;

	static_assert(sizeof names <= VIEW_SHAPE_MAX_BYTES, "a shape's names fit");
	shape.size = (uint32_t)shape_write(members, names, shape.sizes);
	if (shape.size == 0)
		return 0;
	for (uint32_t i = 0; i < view->shape_count; i++)
		if (shape_is(&view->shapes[i], span_of(names, shape.size), shape.count))
			return i + 1;
	if (view->shape_count == VIEW_SHAPES_MAX)
		return 0;
	if (array_grow(&shapes, view->shape_count, sizeof shape) != 0)
		return 0; /* a cache may do without */
	view->shapes = shapes;
	shape.bytes = malloc(shape.size);
	if (shape.bytes == NULL)
		return 0;
	memcpy(shape.bytes, names, shape.size);
	view->shapes[view->shape_count++] = shape;
	return view->shape_count;
}
