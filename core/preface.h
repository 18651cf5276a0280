/* preface.h: the first bytes of a stream say what it is for (orthrus-observed
 * a.5).
 *
 *   0x01                                     Docker: then raw HTTP/1.1
 *   0x02  length u16 BE 1..255  host:port    TCP forward: then raw bytes
 *   else                                     unknown: refuse the stream
 *
 * A forward goes where an explicit allow-list says, and nowhere if the list is
 * empty (U-02, X25). The structs are public so that they can live inside yours.
 */
#ifndef CORE_PREFACE_H
#define CORE_PREFACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"

#define PREFACE_BYTE_DOCKER 0x01u
#define PREFACE_BYTE_FORWARD 0x02u
#define PREFACE_ADDRESS_MAX 255u /* characters of "host:port" */
#define PREFACE_HOST_MAX 253u    /* characters of the longest DNS name */

/* A "host:port". host is a name, an IPv4 address, or an IPv6 address without
 * its brackets; NUL-terminated, never empty. */
struct preface_address {
    char host[PREFACE_HOST_MAX + 1];
    uint16_t port; /* 1..65535 */
};

/* Parse "host:port" or "[ipv6]:port": letters, digits, '.', '-', '_' in a name;
 * hex digits, ':', '.' between brackets; a port in decimal, no leading zero.
 * False: anything else; *address is not to be used. */
bool preface_parse_address(struct preface_address *address, struct span text);

/* Is address one of the count entries? Same port and the same host text,
 * whatever the case of letters; nothing is resolved, and two ways to write one
 * IP address are two addresses. count 0: never. */
bool preface_is_allowed(const struct preface_address *address,
                        const struct preface_address *allowed, size_t count);

enum preface_kind {
    PREFACE_PARTIAL,    /* more bytes are needed */
    PREFACE_DOCKER,     /* 0x01 */
    PREFACE_FORWARD,    /* 0x02; address says where to */
    PREFACE_UNKNOWN,    /* another first byte: see type */
    PREFACE_BAD_ADDRESS /* 0x02 with length 0, above 255, or not a host:port */
};

struct preface {
    enum preface_kind kind;
    uint8_t type;                      /* first byte, once there is one */
    uint16_t taken;                    /* bytes taken so far */
    uint16_t length;                   /* of text, once it is known */
    uint8_t text[PREFACE_ADDRESS_MAX]; /* the address as the peer wrote it */
    struct preface_address address;    /* PREFACE_FORWARD only */
};

void preface_init(struct preface *preface);

/* Take bytes from the front of *input, at most as many as belong to the
 * preface; what is left in *input is the stream's own. Input may be cut
 * anywhere. Returns the kind; once it is not PREFACE_PARTIAL nothing more is
 * taken. */
enum preface_kind preface_receive(struct preface *preface, struct span *input);

#endif
