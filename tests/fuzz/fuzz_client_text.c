/* Texts that a client takes from users: CloudEvents and other JSON, a view's YAML, base64, times. What JSON gave is
 * MessagePack that JSON can be made of, and that gives the same again.
 *
 * Input: u8 what (table at the bottom), text. */
#include <assert.h>
#include <stdlib.h>

#include "client/cloudevent.h"
#include "client/json.h"
#include "client/view_yaml.h"
#include "proto/msgpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes);

static void json_take(struct span text)
{
	struct buffer value = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;
	struct buffer second = BUFFER_NULL;
	struct json_error error = {0};

	if (json_to_msgpack(text, &value, &error) == 0) {
		assert(json_from_msgpack(buffer_span(&value), &again) == 0);
		assert(json_to_msgpack(buffer_span(&again), &second, &error) == 0);
		assert(span_equal(buffer_span(&value), buffer_span(&second)));
	} else {
		assert(error.why != NULL && error.line > 0);
	}
	buffer_deinit(&value);
	buffer_deinit(&again);
	buffer_deinit(&second);
}

static void msgpack_take(struct span value)
{
	struct buffer text = BUFFER_NULL;

	(void)json_from_msgpack(value, &text);
	buffer_deinit(&text);
}

static void event_take(struct span text)
{
	struct cloudevent event;
	struct json_error error = {0};
	struct buffer record = BUFFER_NULL;
	struct buffer written = BUFFER_NULL;
	struct cloudevent_place place = {.stream = span_of_text("s")};

	cloudevent_init(&event);
	if (cloudevent_read(&event, text, &error) == 0 && event_encode(&event.event, &record) == 0)
		assert(cloudevent_write(&event.event, &place, &written) == 0);
	cloudevent_deinit(&event);
	buffer_deinit(&record);
	buffer_deinit(&written);
}

static void yaml_take(struct span text)
{
	struct buffer definition = BUFFER_NULL;
	struct view_yaml_error error = {0};
	uint32_t line;
	uint32_t column;

	if (view_yaml_read(text, &definition, &error) == 0)
		assert(view_definition_name(buffer_span(&definition)).size > 0);
	view_yaml_place(text, "on.Created.set", &line, &column);
	buffer_deinit(&definition);
}

static void base64_take(struct span text)
{
	struct buffer bytes = BUFFER_NULL;
	struct buffer again = BUFFER_NULL;

	if (base64_decode(text, &bytes) == 0) {
		base64_encode(buffer_span(&bytes), &again);
		assert(again.size <= text.size + 3);
	}
	buffer_deinit(&bytes);
	buffer_deinit(&again);
}

static void time_take(struct span text)
{
	char written[TIME_TEXT_BYTES];
	uint64_t time_us;
	uint64_t again_us;

	if (time_parse(text, &time_us) != 0)
		return;
	time_format(time_us, written);
	assert(time_parse(span_of_text(written), &again_us) == 0);
	assert(again_us == time_us);
}

static void (*const takers[])(struct span text) = {json_take, msgpack_take, event_take,
						   yaml_take, base64_take,  time_take};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
	if (size_bytes > 0)
		takers[data[0] % (sizeof takers / sizeof takers[0])](span_of(data + 1, size_bytes - 1));
	return 0;
}
