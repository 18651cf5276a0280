/* http.h: HTTP/1.1 heads and bodies over bytes that somebody else holds.
 *
 * Made for a filter in front of a Docker engine, so it is stricter than the
 * engine (X21): what two parsers could read in two ways is refused, with a
 * fault that names what was wrong. What passes is rewritten in one canonical
 * form, and that form is what gets decided and forwarded (X19).
 *
 * A head is taken in three steps: http_scan() finds its end while the bytes
 * come in, looking at each byte once however the input is cut; a parser then
 * takes the whole head apart; http_next_field() walks its fields. A body is
 * followed by http_body_next(), which copies nothing.
 *
 * Conventions: nothing allocates or calls back. Spans point into the caller's
 * bytes. The structs are public so that they can live inside yours; fields are
 * yours to read and http.c's to write.
 */
#ifndef CORE_HTTP_H
#define CORE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/span.h"

/* ---- faults -------------------------------------------------------------- */

/* Name, status of the answer it deserves, and a sentence: what was wrong, and
 * what to do instead. */
#define HTTP_FAULT_TABLE(X)                                                  \
    X(HTTP_OK, 0, "no fault")                                                \
    /* found by http_scan(), in any head and in trailers */                  \
    X(HTTP_BARE_LF, 400, "a line ends in LF alone; end it in CR LF")         \
    X(HTTP_BARE_CR, 400, "CR without LF; end lines in CR LF")                \
    X(HTTP_CONTROL_BYTE, 400, "control byte in the head; is this HTTP?")     \
    X(HTTP_EMPTY_FIRST_LINE, 400,                                            \
      "empty line where the first line belongs; start with it")              \
    X(HTTP_HEAD_TOO_LARGE, 431, "the head is too large; send fewer headers") \
    X(HTTP_HEAD_CUT, 400, "the connection ended inside the head")            \
    /* the request line */                                                   \
    X(HTTP_REQUEST_LINE, 400,                                                \
      "the request line is not METHOD SP TARGET SP HTTP/1.1")                \
    X(HTTP_METHOD, 400,                                                      \
      "unknown method; use GET, HEAD, POST, PUT, DELETE or OPTIONS")         \
    X(HTTP_VERSION, 400, "not HTTP/1.1; use that version")                   \
    X(HTTP_TARGET_FORM, 400, "the target does not begin with /")             \
    X(HTTP_TARGET_BYTE, 400,                                                 \
      "the target holds a byte that must be percent-encoded or is refused")  \
    X(HTTP_TARGET_ESCAPE, 400, "% without two hex digits in the target")     \
    X(HTTP_TARGET_HIDDEN, 400,                                               \
      "the path hides a separator or a control byte in a percent-escape")    \
    X(HTTP_TARGET_EMPTY_SEGMENT, 400, "// in the path; send one /")          \
    X(HTTP_TARGET_DOT_SEGMENT, 400,                                          \
      "dot segment in the path; send the path it leads to")                  \
    /* fields */                                                             \
    X(HTTP_FIELD_FOLDED, 400, "folded header; send it on one line")          \
    X(HTTP_FIELD_NAME, 400,                                                  \
      "header without a valid name directly before its colon")               \
    X(HTTP_FIELD_TAB, 400, "TAB in a header value; send a space")            \
    X(HTTP_HOST_MISSING, 400, "no Host header; send one")                    \
    X(HTTP_HOST_TWICE, 400, "two Host headers; send one")                    \
    X(HTTP_HOST_VALUE, 400, "the Host header is not a host with a port")     \
    X(HTTP_CONNECTION_OPTIONS, 400,                                          \
      "Connection is not a short list of header names; leave it out")        \
    X(HTTP_EXPECTATION, 417,                                                 \
      "Expect can only be 100-continue, and needs a body to wait for")       \
    /* framing */                                                            \
    X(HTTP_LENGTH_VALUE, 400,                                                \
      "Content-Length is not 1 to 15 digits without a leading zero")         \
    X(HTTP_LENGTH_TWICE, 400, "two Content-Length headers; send one")        \
    X(HTTP_ENCODING_VALUE, 400,                                              \
      "Transfer-Encoding is not exactly one \"chunked\"")                    \
    X(HTTP_LENGTH_AND_ENCODING, 400,                                         \
      "both Content-Length and Transfer-Encoding; send one")                 \
    X(HTTP_BODY_UNEXPECTED, 400,                                             \
      "a body with a method that takes none; leave it out")                  \
    X(HTTP_CHUNK, 400, "a chunk is not SIZE CR LF DATA CR LF")               \
    /* responses only */                                                     \
    X(HTTP_STATUS_LINE, 502, "the status line is not HTTP/1.1 SP CODE SP TEXT")

#define HTTP_FAULT_ENUM(name, status, text) name,
enum http_fault { HTTP_FAULT_TABLE(HTTP_FAULT_ENUM) };
#undef HTTP_FAULT_ENUM

unsigned http_fault_status(enum http_fault fault);
const char *http_fault_name(enum http_fault fault); /* "HTTP_BARE_LF" */
const char *http_fault_text(enum http_fault fault); /* one line, no period */

/* ---- the end of a head --------------------------------------------------- */

struct http_scan {
    uint8_t state;
    bool complete; /* the empty line came */
    enum http_fault fault;
};

void http_scan_init(struct http_scan *scan);

/* Take bytes of the head. Returns how many of them belong to it: all, until
 * complete or a fault is set; then everything before and with the empty line,
 * or with the byte at fault. Takes nothing more after that. */
size_t http_scan(struct http_scan *scan, const uint8_t *bytes, size_t length);

/* ---- requests ------------------------------------------------------------ */

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS
};

const char *http_method_name(enum http_method method);

enum http_framing {
    HTTP_NO_BODY,
    HTTP_LENGTH,     /* length bytes, > 0 */
    HTTP_CHUNKED,    /* and trailers */
    HTTP_UNTIL_CLOSE /* responses only */
};

#define HTTP_CONNECTION_MAX 128u /* bytes of Connection's options */

struct http_request {
    enum http_method method;
    struct span target; /* path, and ? with the query if there is one */
    struct span path;   /* canonical: only escapes that need to be are left */
    struct span fields; /* for http_next_field() */
    enum http_framing framing;
    uint64_t length;       /* of the body, for HTTP_LENGTH */
    bool close;            /* Connection: close */
    bool expects_continue; /* Expect: 100-continue */
    uint8_t connection_length;
    uint8_t connection[HTTP_CONNECTION_MAX]; /* its options, comma-separated */
};

/* Take apart a complete head (http_scan() found its end at `length`). The path
 * is made canonical in place: escapes of bytes that may stand for themselves
 * are decoded, so head is written to. Anything but HTTP_OK: the request is
 * refused and *request says nothing. */
enum http_fault http_parse_request(struct http_request *request, uint8_t *head,
                                   size_t length);

/* Write the head as it is to be forwarded: hop-by-hop fields left out (those of
 * RFC 9110 7.6.1, and what Connection names), Connection: close kept if it was
 * there. Never longer than what was parsed, and never ahead of what is still
 * to be read: bytes may be the parsed head itself. Returns the length.
 * The request must have no body. */
size_t http_write_request(const struct http_request *request, uint8_t *bytes);

/* ---- fields -------------------------------------------------------------- */

struct http_field {
    struct span name;
    struct span value; /* without the spaces around it */
};

/* Take the next field off the front of *fields, which are a parsed head's or
 * what is left of them; false: there is none. */
bool http_next_field(struct span *fields, struct http_field *field);

/* Are they the same but for ASCII case? text is in lower case. */
bool http_is(struct span span, const char *text);

/* ---- responses ----------------------------------------------------------- */

struct http_response {
    unsigned status; /* 100 to 599 */
    struct span fields;
    enum http_framing framing;
    uint64_t length;
    bool close; /* the server will close after it */
};

/* Take apart a complete response head, for a request with this method: HEAD,
 * 1xx, 204 and 304 have no body whatever their fields say (T4). */
enum http_fault http_parse_response(struct http_response *response,
                                    const uint8_t *head, size_t length,
                                    enum http_method method);

/* ---- bodies -------------------------------------------------------------- */

struct http_body {
    enum http_framing framing;
    uint8_t state;
    uint8_t digits;        /* of a chunk's size so far */
    uint64_t left;         /* of the body or chunk */
    struct http_scan scan; /* of the trailers */
    bool complete;         /* never for HTTP_UNTIL_CLOSE */
    enum http_fault fault;
};

void http_body_init(struct http_body *body, enum http_framing framing,
                    uint64_t length);

/* Take bytes off the front of *input. True: *data is the next payload, inside
 * the input; call again. False: the input is used up, or the body is complete
 * or has a fault, and what is left of *input does not belong to it. */
bool http_body_next(struct http_body *body, struct span *input,
                    struct span *data);

#endif
