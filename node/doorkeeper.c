/* The doorkeeper: answers ZeroMQ's question, by the protocol ZAP (RFC 27 of ZeroMQ's), whether a key may come in. A
 * thread of its own. */
#include "node/keyring.h"

#include "node/clock.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

#define FRAMES_MAX 8u /* version, request, domain, address, routing id, mechanism, key; what comes behind is dropped */

enum question_part { ASK_VERSION, ASK_REQUEST, ASK_DOMAIN, ASK_ADDRESS, ASK_IDENTITY, ASK_MECHANISM, ASK_KEY };

struct question {
	zmq_msg_t parts[FRAMES_MAX];
	uint32_t count;
};

static void question_init(struct question *question)
{
	question->count = 0;
	for (uint32_t i = 0; i < FRAMES_MAX; i++)
		zmq_msg_init(&question->parts[i]);
}

static void question_deinit(struct question *question)
{
	for (uint32_t i = 0; i < FRAMES_MAX; i++)
		zmq_msg_close(&question->parts[i]);
}

/* False: the context ends. */
static bool question_receive(void *door, struct question *question)
{
	bool more = true;

	while (more) {
		zmq_msg_t *part = &question->parts[question->count < FRAMES_MAX ? question->count : FRAMES_MAX - 1];

		if (zmq_msg_recv(part, door, 0) < 0) {
			if (errno == EINTR)
				continue;
			return false;
		}
		question->count++;
		more = zmq_msg_more(part) != 0;
	}
	return true;
}

static bool part_is(struct question *question, enum question_part part, const char *text)
{
	zmq_msg_t *at = &question->parts[part];

	return zmq_msg_size(at) == strlen(text) && memcmp(zmq_msg_data(at), text, strlen(text)) == 0;
}

static void send_part(void *door, const void *data, size_t size, bool more)
{
	while (zmq_send(door, data, size, more ? ZMQ_SNDMORE : 0) < 0 && errno == EINTR)
		continue;
}

static void answer(void *door, struct question *question, const char *status, const char *text, const char *user)
{
	zmq_msg_t *request = &question->parts[ASK_REQUEST];

	send_part(door, "1.0", 3, true);
	send_part(door, zmq_msg_data(request), zmq_msg_size(request), true);
	send_part(door, status, strlen(status), true);
	send_part(door, text, strlen(text), true);
	send_part(door, user, strlen(user), true);
	send_part(door, "", 0, false);
}

static void address_of(struct question *question, char from[PEER_ADDRESS_TEXT_BYTES])
{
	zmq_msg_t *address = &question->parts[ASK_ADDRESS];

	snprintf(from, PEER_ADDRESS_TEXT_BYTES, "%.*s", (int)zmq_msg_size(address),
		 (const char *)zmq_msg_data(address));
}

static void admit(struct keyring *keyring, struct question *question, const char *user)
{
	char from[PEER_ADDRESS_TEXT_BYTES];

	address_of(question, from);
	handshake_watch_proven(&keyring->watch, from);
	answer(keyring->door, question, "200", "OK", user);
}

static void refuse(struct keyring *keyring, struct question *question, struct logging_limit *limit)
{
	char fingerprint[KEY_FINGERPRINT_BYTES], from[PEER_ADDRESS_TEXT_BYTES];

	key_fingerprint(zmq_msg_data(&question->parts[ASK_KEY]), fingerprint);
	address_of(question, from);
	handshake_watch_refused(&keyring->watch, from);
	LOG_LIMITED(keyring->log, limit, clock_boot_ms(), keys_refused, .address = from, .observed = fingerprint);
	answer(keyring->door, question, "400", "key not trusted", "");
}

static void judge(struct keyring *keyring, struct question *question, struct logging_limit *limit)
{
	char user[KEYRING_USER_BYTES];

	if (question->count != ASK_KEY + 1 || !part_is(question, ASK_VERSION, "1.0") ||
	    !part_is(question, ASK_MECHANISM, "CURVE") || zmq_msg_size(&question->parts[ASK_KEY]) != KEY_BYTES)
		answer(keyring->door, question, "400", "no CURVE", "");
	else if (keyring_admits(keyring, zmq_msg_data(&question->parts[ASK_KEY]), user))
		admit(keyring, question, user);
	else
		refuse(keyring, question, limit);
}

static void *keep_door(void *argument)
{
	struct keyring *keyring = argument;
	struct logging_limit limit = {.total = 0};
	struct question question;
	bool more = true;

	while (more) {
		question_init(&question);
		more = question_receive(keyring->door, &question);
		if (more)
			judge(keyring, &question, &limit);
		question_deinit(&question);
	}
	zmq_close(keyring->door);
	return NULL;
}

int keyring_open_door(struct keyring *keyring, void *context)
{
	int none = 0, rv = handshake_watch_init(&keyring->watch, keyring->log, keyring->failed_handshakes);

	if (rv != 0)
		return rv;
	keyring->door = zmq_socket(context, ZMQ_REP);
	if (keyring->door == NULL)
		return errno;
	if (zmq_setsockopt(keyring->door, ZMQ_LINGER, &none, sizeof none) != 0 ||
	    zmq_bind(keyring->door, "inproc://zeromq.zap.01") != 0)
		rv = errno;
	if (rv == 0)
		rv = pthread_create(&keyring->doorkeeper, NULL, keep_door, keyring);
	if (rv == 0)
		return 0;
	zmq_close(keyring->door);
	keyring->door = NULL;
	return rv;
}

void keyring_close_door(struct keyring *keyring, void *context)
{
	if (keyring->door == NULL)
		return;
	zmq_ctx_shutdown(context); /* the doorkeeper's wait ends with ETERM */
	pthread_join(keyring->doorkeeper, NULL);
	handshake_watch_deinit(&keyring->watch);
	keyring->door = NULL;
}
