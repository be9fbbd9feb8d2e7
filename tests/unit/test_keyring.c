/* Sockets with keys: who gets in, as whom, and that what is taken away ends connections. Waits are bounded, and for
 * what comes only; that somebody is refused shows in the keyring's count. */
#include "node/hello.h"
#include "node/keyring.h"
#include "node/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#define PATIENCE_MS 20000

struct place {
	char folder[64];
	char secret[96], trusted[96], client[96], stranger[96];
	struct key_pair own, client_pair, stranger_pair;
	struct logging log;
	struct keyring keyring;
	struct socket_factory factory;
	struct socket_renewal renewal;
	void *router;
	uint16_t port;
	void *peers; /* a context of others' sockets */
	void *calls[8];
	uint32_t call_count;
};

static void append(const char *to, const char *from)
{
	char line[256], path[112];
	FILE *source, *target = fopen(to, "a");

	snprintf(path, sizeof path, "%s.pub", from);
	source = fopen(path, "r");
	assert_non_null(source);
	assert_non_null(target);
	assert_non_null(fgets(line, sizeof line, source));
	assert_true(fputs(line, target) >= 0);
	fclose(source);
	assert_int_equal(fclose(target), 0);
}

static void make_key(char path[96], const char *folder, const char *file, enum key_role role, const char *name,
		     struct key_pair *pair)
{
	char why[KEY_WHY_BYTES];

	snprintf(path, 96, "%s/%s", folder, file);
	assert_int_equal(key_file_make(path, role, name, pair, why), KEY_DONE);
}

static int open_place(void **state)
{
	struct place *place = calloc(1, sizeof *place);
	char why[KEY_WHY_BYTES];

	assert_non_null(place);
	place->log.level = LOGGING_ERROR;
	snprintf(place->folder, sizeof place->folder, "/tmp/evgrid-keyring.XXXXXX");
	assert_non_null(mkdtemp(place->folder));
	make_key(place->secret, place->folder, "n1", KEY_NODE, "n1", &place->own);
	make_key(place->client, place->folder, "app", KEY_CLIENT, "app", &place->client_pair);
	make_key(place->stranger, place->folder, "n2", KEY_NODE, "n2", &place->stranger_pair);
	snprintf(place->trusted, sizeof place->trusted, "%s/trusted", place->folder);
	append(place->trusted, place->secret);
	append(place->trusted, place->client);
	assert_int_equal(keyring_init(&place->keyring, &place->log, "n1", place->secret, place->trusted, why),
			 KEY_DONE);
	place->keyring.failed_handshakes = 20;
	assert_int_equal(socket_factory_init(&place->factory, 1, 1, &place->keyring), 0);
	place->router = socket_bind(&place->factory, "127.0.0.1", &place->port);
	assert_non_null(place->router);
	place->peers = zmq_ctx_new();
	*state = place;
	return 0;
}

static int close_place(void **state)
{
	struct place *place = *state;
	char command[128];

	for (uint32_t i = 0; i < place->call_count; i++)
		zmq_close(place->calls[i]);
	zmq_ctx_term(place->peers);
	socket_close(place->router);
	socket_factory_deinit(&place->factory);
	keyring_deinit(&place->keyring);
	snprintf(command, sizeof command, "rm -r %s", place->folder);
	assert_int_equal(system(command), 0);
	free(place);
	return 0;
}

/* A client of that pair, that has sent one frame. */
static void *call(struct place *place, const struct key_pair *pair)
{
	void *socket = zmq_socket(place->peers, ZMQ_DEALER);
	int none = 0;
	char address[64];

	zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
	if (pair != NULL) {
		zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, place->own.public_key, KEY_BYTES);
		zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, pair->public_key, KEY_BYTES);
		zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, pair->secret_key, KEY_BYTES);
	}
	snprintf(address, sizeof address, "tcp://127.0.0.1:%u", place->port);
	assert_int_equal(zmq_connect(socket, address), 0);
	place->calls[place->call_count++] = socket;
	assert_int_equal(zmq_send(socket, "hello", 5, 0), 5);
	return socket;
}

/* Waits for a message; checks whom it comes from. */
static void expect_from(struct place *place, enum visitor_role role, const char *name)
{
	zmq_pollitem_t item = {.socket = place->router, .events = ZMQ_POLLIN};
	struct visitor visitor;
	zmq_msg_t id, frame;

	assert_int_equal(zmq_poll(&item, 1, PATIENCE_MS), 1);
	zmq_msg_init(&id);
	zmq_msg_init(&frame);
	assert_true(zmq_msg_recv(&id, place->router, 0) >= 0);
	assert_true(zmq_msg_recv(&frame, place->router, 0) >= 0);
	assert_int_equal(zmq_msg_size(&frame), 5);
	visitor = visitor_of(&frame, true);
	assert_int_equal(visitor.role, role);
	assert_true(role != VISITOR_NODE || span_equal(visitor.name, span_of_text(name)));
	assert_int_equal(visitor_may_be_node(&visitor, span_of_text("n1")), role == VISITOR_NODE);
	assert_false(visitor_may_be_node(&visitor, span_of_text("n2")));
	zmq_msg_close(&frame);
	zmq_msg_close(&id);
}

static void expect_refused(struct place *place, uint64_t count)
{
	for (int i = 0; i < PATIENCE_MS && keyring_refused(&place->keyring) < count; i++) {
		assert_false(socket_readable(place->router)); /* it lets ZeroMQ end what is to be ended, too */
		poll(NULL, 0, 1);
	}
	assert_true(keyring_refused(&place->keyring) >= count);
}

static void reload(struct place *place, struct keyring_change *change)
{
	char why[KEY_WHY_BYTES];

	assert_int_equal(keyring_reload(&place->keyring, change, why), KEY_DONE);
	for (int i = 0; i < PATIENCE_MS && socket_renew(&place->factory, place->router, &place->renewal); i++)
		poll(NULL, 0, 1);
	assert_false(place->renewal.unbound);
}

static void who_is_trusted_gets_in_under_its_name(void **state)
{
	struct place *place = *state;

	call(place, &place->client_pair);
	expect_from(place, VISITOR_CLIENT, "app");
	call(place, &place->own);
	expect_from(place, VISITOR_NODE, "n1");
}

/* Who has no key does not get as far as the doorkeeper: when the next one is in, it would have been before. */
static void others_do_not_get_in(void **state)
{
	struct place *place = *state;

	call(place, NULL);
	call(place, &place->stranger_pair);
	expect_refused(place, 1);
	call(place, &place->client_pair);
	expect_from(place, VISITOR_CLIENT, "app");
	assert_false(socket_readable(place->router));
}

static void who_is_taken_out_is_out(void **state)
{
	struct place *place = *state;
	void *client = call(place, &place->client_pair);
	struct keyring_change change;

	expect_from(place, VISITOR_CLIENT, "app");
	assert_int_equal(unlink(place->trusted), 0);
	append(place->trusted, place->secret);
	append(place->trusted, place->stranger);
	reload(place, &change);
	assert_int_equal(change.removed, 1);
	assert_int_equal(change.added, 1);
	assert_false(change.own);
	expect_refused(place, 1); /* it comes again by itself */
	(void)zmq_send(client, "hello", 5, ZMQ_DONTWAIT);
	call(place, &place->own);
	expect_from(place, VISITOR_NODE, "n1");
	assert_false(socket_readable(place->router));
}

static void a_new_own_key_is_met_at_once(void **state)
{
	struct place *place = *state;
	struct keyring_change change;
	char next[96], why[KEY_WHY_BYTES];
	struct key_pair pair;

	make_key(next, place->folder, "n1.next", KEY_NODE, "n1", &pair);
	assert_int_equal(rename(next, place->secret), 0);
	assert_int_equal(keyring_reload(&place->keyring, &change, why), KEY_BAD); /* nobody would know it */
	assert_non_null(strstr(why, "node n1"));
	append(place->trusted, next);
	reload(place, &change);
	assert_true(change.own);
	place->own = pair;
	call(place, &place->client_pair);
	expect_from(place, VISITOR_CLIENT, "app");
}

static void keys_that_are_only_added_end_no_connection(void **state)
{
	struct place *place = *state;
	struct keyring_change change;
	uint32_t renewals = keyring_renewals(&place->keyring);

	call(place, &place->client_pair);
	expect_from(place, VISITOR_CLIENT, "app");
	append(place->trusted, place->stranger);
	reload(place, &change);
	assert_int_equal(keyring_renewals(&place->keyring), renewals);
	call(place, &place->own);
	expect_from(place, VISITOR_NODE, "n1");
}

static void a_bad_file_changes_nothing(void **state)
{
	struct place *place = *state;
	struct keyring_change change;
	char why[KEY_WHY_BYTES];

	assert_int_equal(chmod(place->secret, 0644), 0);
	assert_int_equal(keyring_reload(&place->keyring, &change, why), KEY_BAD);
	assert_int_equal(keyring_count(&place->keyring), 2);
	call(place, &place->client_pair);
	expect_from(place, VISITOR_CLIENT, "app");
}

/* A connection that shows no key, from that address. */
static void bother(const struct place *place, const char *source, const void *bytes, size_t size)
{
	struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(place->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, source, &from.sin_addr);
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	(void)connect(fd, (struct sockaddr *)&to, sizeof to);
	(void)send(fd, bytes, size, MSG_NOSIGNAL);
	poll(NULL, 0, 1);
	close(fd);
}

static uint32_t limited(struct place *place)
{
	struct handshake_figures figures;

	handshake_watch_figures(&place->keyring.watch, &figures);
	return figures.limited;
}

/* What ZeroMQ tells a failure of, and what it tells only an end of. */
static void who_fails_too_often_is_limited(void **state)
{
	static const char no_greeting[] = "GET / HTTP/1.1\r\n\r\n";
	static const char null_mechanism[64] = "\377\0\0\0\0\0\0\0\0\177\3\1NULL";
	struct place *place = *state;

	for (int i = 0; i < PATIENCE_MS && limited(place) == 0; i++)
		bother(place, "127.0.0.66", no_greeting, sizeof no_greeting);
	assert_int_equal(limited(place), 1);
	for (int i = 0; i < PATIENCE_MS && limited(place) == 1; i++)
		bother(place, "127.0.0.67", null_mechanism, sizeof null_mechanism);
	assert_true(limited(place) != 1);
	call(place, &place->client_pair);
	expect_from(place, VISITOR_CLIENT, "app");
}

/* --- what is said in HELLO ---------------------------------------------------------------------------------------- */

static enum hello_outcome say_hello(struct guests *guests, const char *name, const struct visitor *visitor,
				    struct guest **guest)
{
	const struct self sender = {.name = name, .sender = {.incarnation = 7}};
	const struct self self = {.name = "n1", .sender = {.incarnation = 1}};
	const struct hello_from from = {span_of_text("id"), *visitor};
	struct buffer frame = BUFFER_NULL;
	struct message message;
	enum hello_outcome outcome;
	uint64_t gone;

	hello_frame(&sender, 0, &frame);
	assert_int_equal(message_decode(buffer_span(&frame), &message), 0);
	outcome = hello_take(guests, &self, &from, &message, 1, guest, &gone);
	buffer_deinit(&frame);
	return outcome;
}

static void a_peer_speaks_as_its_key_says(void **state)
{
	const struct visitor n2 = {VISITOR_NODE, 2, span_of_text("n2"), "node n2 x"};
	const struct visitor any = {VISITOR_NODE, 3, span_of_text("*"), "node * x"};
	const struct visitor client = {VISITOR_CLIENT, 4, SPAN_NULL, "client n2 x"};
	const struct visitor anybody = {VISITOR_ANYBODY, 0, SPAN_NULL, "nobody"};
	const struct visitor nobody = {VISITOR_NOBODY, 0, SPAN_NULL, "nobody"};
	struct guests guests;
	struct guest *guest;

	(void)state;
	assert_int_equal(guests_init(&guests, 4), 0);
	assert_int_equal(say_hello(&guests, "n2", &client, &guest), HELLO_OVERREACHED);
	assert_int_equal(say_hello(&guests, "n3", &n2, &guest), HELLO_OVERREACHED);
	assert_int_equal(say_hello(&guests, "n2", &nobody, &guest), HELLO_OVERREACHED);
	assert_int_equal(say_hello(&guests, "n2", &anybody, &guest), HELLO_TAKEN);
	assert_int_equal(say_hello(&guests, "n9", &any, &guest), HELLO_TAKEN);
	assert_int_equal(say_hello(&guests, "n2", &n2, &guest), HELLO_TAKEN);
	guests_deinit(&guests);
}

/* A routing id passes to whoever says it last: what was said under another key does not count for this one. */
static void a_guest_is_known_by_its_key_too(void **state)
{
	const struct visitor n2 = {VISITOR_NODE, 2, span_of_text("n2"), "node n2 x"};
	const struct visitor client = {VISITOR_CLIENT, 4, SPAN_NULL, "client app x"};
	const struct hello_from node = {span_of_text("id"), n2}, thief = {span_of_text("id"), client};
	const struct visitor any = {VISITOR_NODE, 3, span_of_text("*"), "node * x"};
	struct guests guests;
	struct guest *guest;
	uint64_t name;

	(void)state;
	assert_int_equal(guests_init(&guests, 4), 0);
	assert_int_equal(say_hello(&guests, "n2", &n2, &guest), HELLO_TAKEN);
	name = guest->name;
	assert_ptr_equal(hello_guest(&guests, &node), guest);
	assert_null(hello_guest(&guests, &thief));
	assert_int_equal(say_hello(&guests, "n2", &any, &guest), HELLO_TAKEN);
	assert_null(guests_by_name(&guests, name));
	assert_null(hello_guest(&guests, &node));
	guests_deinit(&guests);
}

int main(void)
{
#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, open_place, close_place)
	const struct CMUnitTest tests[] = {
		IN_PLACE(who_is_trusted_gets_in_under_its_name),
		IN_PLACE(others_do_not_get_in),
		IN_PLACE(who_is_taken_out_is_out),
		IN_PLACE(a_new_own_key_is_met_at_once),
		IN_PLACE(keys_that_are_only_added_end_no_connection),
		IN_PLACE(a_bad_file_changes_nothing),
		IN_PLACE(who_fails_too_often_is_limited),
		cmocka_unit_test(a_peer_speaks_as_its_key_says),
		cmocka_unit_test(a_guest_is_known_by_its_key_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
