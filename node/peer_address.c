/* Where a connection comes from. Any thread. */
#include "node/peer_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static uint64_t big(const uint8_t *bytes, uint32_t count)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < count; i++)
		value = value << 8 | bytes[i];
	return value;
}

static struct peer_address of_four(const void *four)
{
	return (struct peer_address){.bits = big(four, 4), .family = 4};
}

static struct peer_address of_six(const struct in6_addr *six)
{
	if (IN6_IS_ADDR_V4MAPPED(six))
		return of_four(six->s6_addr + 12);
	return (struct peer_address){.bits = big(six->s6_addr, 8), .family = 6};
}

struct peer_address peer_address_of(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return of_four(&((const struct sockaddr_in *)address)->sin_addr);
	if (address->ss_family == AF_INET6)
		return of_six(&((const struct sockaddr_in6 *)address)->sin6_addr);
	return PEER_ADDRESS_UNKNOWN;
}

/* SO_PEERNAME answers, unlike getpeername, also when the connection was reset, but only who asks for no more bytes than
 * the address has. */
struct peer_address peer_address_of_descriptor(int descriptor)
{
	const socklen_t sizes[] = {sizeof(struct sockaddr_in6), sizeof(struct sockaddr_in)};
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		socklen_t size = sizes[i];

		if (getsockopt(descriptor, SOL_SOCKET, SO_PEERNAME, &address, &size) == 0)
			return peer_address_of(&address);
	}
	return PEER_ADDRESS_UNKNOWN;
}

struct peer_address peer_address_of_text(const char *text)
{
	char host[INET6_ADDRSTRLEN];
	struct in_addr four;
	struct in6_addr six;
	size_t size = strcspn(text[0] == '[' ? ++text : text, "]%");

	if (size >= sizeof host)
		return PEER_ADDRESS_UNKNOWN;
	memcpy(host, text, size);
	host[size] = '\0';
	if (inet_pton(AF_INET6, host, &six) == 1)
		return of_six(&six);
	host[strcspn(host, ":")] = '\0';
	return inet_pton(AF_INET, host, &four) == 1 ? of_four(&four) : PEER_ADDRESS_UNKNOWN;
}

void peer_address_print(const struct peer_address *address, char text[PEER_ADDRESS_TEXT_BYTES])
{
	uint8_t bytes[16] = {0};
	uint32_t shift = address->family == 6 ? 56 : 24;
	char host[INET6_ADDRSTRLEN];

	for (uint32_t i = 0; i < 8 && shift < 64; i++, shift -= 8)
		bytes[i] = (uint8_t)(address->bits >> shift);
	if (address->family == 0 ||
	    inet_ntop(address->family == 6 ? AF_INET6 : AF_INET, bytes, host, sizeof host) == NULL)
		snprintf(text, PEER_ADDRESS_TEXT_BYTES, "unknown");
	else
		snprintf(text, PEER_ADDRESS_TEXT_BYTES, address->family == 6 ? "%s/64" : "%s", host);
}
