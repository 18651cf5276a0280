/* filter.c: see filter.h.
 *
 * Implementation notes.
 *
 * One buffer serves all states, because they need it one after the other: the
 * client's head while it comes in; the same head, rewritten in place, until the
 * first byte of its response (so that it can be sent again); the response's
 * head while it comes in pieces, only to be read. Behind head_max bytes there
 * is room for an answer of ours, made while the head is still there to be
 * quoted.
 *
 * Response bytes are let through as they come, also those of a head that is not
 * complete yet: nothing of theirs is held back or moved. What is found wrong
 * before a byte of its head went out is answered with 502; later only a reset
 * is left.
 *
 * An engine may close a connection between two requests at any time, so that a
 * request can meet a connection that is already dead. All requests that pass
 * are GET and HEAD: such a one is sent again on a new connection, once, if the
 * old one had answered before and nothing came back (RFC 9112 9.3.1).
 */
#include "core/filter.h"

#include <string.h>

#include "core/contract.h"

enum state {
    REQUEST,  /* a head is coming in, or nothing is going on */
    FORWARD,  /* it goes to the engine; nothing has come back */
    RESPONSE, /* its head is coming in */
    BODY,     /* its body is */
    ANSWER,   /* ours is going out */
    FINISHED,
    BROKEN
};

enum engine {
    ABSENT,
    OPEN,
    SPENT /* useless: to be closed */
};

#define QUOTE_MAX 256u       /* bytes of a path or problem that we repeat */
#define ANSWER_HEAD_MAX 192u /* bytes of our own head */

#ifdef INVARIANTS
static void invariant(const struct filter *filter)
{
    INVARIANT(filter->state <= BROKEN);
    INVARIANT(filter->engine <= SPENT);
    INVARIANT(filter->done <= filter->length);
    INVARIANT(filter->state == ANSWER ||
              filter->length <= filter->config.head_max);
    INVARIANT(filter->state != ANSWER || filter->length <= FILTER_ANSWER_MAX);
    INVARIANT(filter->state != REQUEST || !filter->client_finished);
    INVARIANT(filter->state != REQUEST || !filter->last);
    INVARIANT((filter->state != RESPONSE && filter->state != BODY) ||
              filter->engine == OPEN);
    INVARIANT(filter->buffer != NULL || !filter_holds_buffer(filter));
}
#endif

void filter_config_default(struct filter_config *config)
{
    *config = (struct filter_config){
        .policy = POLICY_READ_ONLY,
        .head_max = FILTER_HEAD_MAX_DEFAULT,
        .remedy = "to allow everything, start the agent with: "
                  "orthrus-agent --policy allow-all",
    };
}

static void await_request(struct filter *filter)
{
    filter->state = REQUEST;
    filter->length = 0;
    filter->done = 0;
    http_scan_init(&filter->scan);
}

void filter_init(struct filter *filter, const struct filter_config *config)
{
    REQUIRE(config->policy != POLICY_ALLOW_ALL);
    REQUIRE(config->head_max >= FILTER_HEAD_MAX_LEAST);
    REQUIRE(config->remedy != NULL);
    memset(filter, 0, sizeof *filter);
    filter->config = *config;
    await_request(filter);
    INVARIANT_ALL(invariant(filter));
}

/* ---- the buffer ---------------------------------------------------------- */

void filter_lend(struct filter *filter, uint8_t *buffer)
{
    REQUIRE(!filter_holds_buffer(filter));
    filter->buffer = buffer;
}

bool filter_holds_buffer(const struct filter *filter)
{
    switch ((enum state)filter->state) {
    case REQUEST:
    case RESPONSE:
        return filter->length > 0;
    case FORWARD:
    case ANSWER:
        return true;
    case BODY:
    case FINISHED:
    case BROKEN:
        break;
    }
    return false;
}

/* ---- answers of ours ----------------------------------------------------- */

struct text {
    uint8_t *bytes;
    size_t length;
};

static void put(struct text *text, const char *string)
{
    size_t length = strlen(string);

    memcpy(text->bytes + text->length, string, length);
    text->length += length;
}

/* Inside a JSON string: what could end it is escaped, what could upset a
 * terminal is replaced (X32), what is too long is cut. */
static void quote(struct text *text, struct span span)
{
    size_t length = span.length < QUOTE_MAX ? span.length : QUOTE_MAX;

    for (size_t i = 0; i < length; i++) {
        uint8_t byte = span.bytes[i];

        if (byte == '"' || byte == '\\') {
            text->bytes[text->length++] = '\\';
        }
        text->bytes[text->length++] = byte < ' ' || byte > '~' ? '?' : byte;
    }
    put(text, length < span.length ? "..." : "");
}

static void quote_string(struct text *text, const char *string)
{
    quote(text, (struct span){(const uint8_t *)string, strlen(string)});
}

static void put_number(struct text *text, size_t number)
{
    char digits[20 + 1];
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(text, digits + at);
}

static const char *status_line(unsigned status)
{
    switch (status) {
    case 400:
        return "HTTP/1.1 400 Bad Request\r\n";
    case 403:
        return "HTTP/1.1 403 Forbidden\r\n";
    case 417:
        return "HTTP/1.1 417 Expectation Failed\r\n";
    case 431:
        return "HTTP/1.1 431 Request Header Fields Too Large\r\n";
    case 504:
        return "HTTP/1.1 504 Gateway Timeout\r\n";
    default:
        return "HTTP/1.1 502 Bad Gateway\r\n";
    }
}

/* The message of an answer is written here, before its head is. */
static struct text begin_message(struct filter *filter)
{
    struct text message = {.length = 0};

    REQUIRE(filter->buffer != NULL);
    message.bytes = filter->buffer + filter->config.head_max + ANSWER_HEAD_MAX;
    put(&message, "{\"message\":\"");
    return message;
}

/* Answer with this message: the head in front of it, then both together. HEAD
 * gets the head alone (T4). */
static void answer(struct filter *filter, unsigned status, struct text *message,
                   bool head_only)
{
    struct text text = {.bytes = filter->buffer + filter->config.head_max};

    put(message, "\"}\n");
    put(&text, status_line(status));
    put(&text, "Content-Type: application/json\r\nContent-Length: ");
    put_number(&text, message->length);
    put(&text, filter->last ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n");
    INVARIANT(text.length <= ANSWER_HEAD_MAX);
    if (!head_only) {
        memmove(text.bytes + text.length, message->bytes, message->length);
        text.length += message->length;
    }
    filter->state = ANSWER;
    filter->length = text.length;
    filter->done = 0;
}

/* The head is refused: the client's bytes mean nothing any more. */
static void refuse(struct filter *filter, enum http_fault fault)
{
    struct text message = begin_message(filter);

    put(&message, "orthrus refuses this request: ");
    quote_string(&message, http_fault_text(fault));
    filter->last = true;
    filter->decided = true;
    filter->decision = (struct filter_decision){
        .status = http_fault_status(fault),
        .rule = http_fault_name(fault),
        .reason = http_fault_text(fault),
    };
    answer(filter, http_fault_status(fault), &message, false);
}

/* The request is well, but the policy is against it. */
static void deny(struct filter *filter, const struct http_request *request)
{
    struct text message = begin_message(filter);

    put(&message, "orthrus: the ");
    put(&message, policy_name(filter->config.policy));
    put(&message, " policy does not allow ");
    put(&message, http_method_name(request->method));
    put(&message, " ");
    quote(&message, request->path);
    put(&message, "; ");
    quote_string(&message, filter->config.remedy);
    /* where the next request begins is known only if this one has no body */
    filter->last = filter->last || request->framing != HTTP_NO_BODY;
    answer(filter, 403, &message, request->method == HTTP_HEAD);
}

/* The engine's fault, and nothing of its response went out yet. */
static void apologise(struct filter *filter, unsigned status,
                      const char *problem, const char *detail)
{
    struct text message = begin_message(filter);

    put(&message, "orthrus: ");
    put(&message, problem);
    quote_string(&message, detail);
    filter->last = true;
    answer(filter, status, &message, filter->method == HTTP_HEAD);
}

/* ---- how a request ends -------------------------------------------------- */

static void end_request(struct filter *filter)
{
    if (filter->last) {
        filter->state = FINISHED;
        filter->length = 0;
        filter->done = 0;
    } else {
        await_request(filter);
    }
}

/* The engine failed in the middle of a response. If a byte of its head went
 * out, what the client has is a fragment, and it must not look whole (L-04). */
static void break_off(struct filter *filter, const char *problem,
                      const char *detail)
{
    bool untold = filter->state == FORWARD ||
                  (filter->state == RESPONSE && filter->length == 0);

    filter->problem = detail[0] != '\0' ? detail : problem;
    if (untold) {
        apologise(filter, 502, problem, detail);
    } else {
        filter->state = BROKEN;
    }
}

/* ---- the client ---------------------------------------------------------- */

/* A head is complete in the buffer. */
static void take_request(struct filter *filter)
{
    struct http_request request;
    struct policy_decision decision;
    enum http_fault fault =
        http_parse_request(&request, filter->buffer, filter->length);

    if (fault != HTTP_OK) {
        refuse(filter, fault);
        return;
    }
    decision = policy_decide(filter->config.policy, &request);
    filter->method = request.method;
    filter->last = request.close;
    filter->decided = true;
    filter->decision = (struct filter_decision){
        .allowed = decision.allowed,
        .status = decision.allowed ? 0 : 403,
        .method = {filter->buffer, strlen(http_method_name(request.method))},
        .path = request.path,
        .rule = decision.rule,
        .reason = decision.reason,
    };
    if (decision.allowed) {
        filter->length = http_write_request(&request, filter->buffer);
        filter->state = FORWARD;
    } else {
        deny(filter, &request);
    }
}

size_t filter_from_client(struct filter *filter, const uint8_t *bytes,
                          size_t length)
{
    size_t room = filter->config.head_max - filter->length;
    size_t taken;

    REQUIRE((filter_wants(filter) & FILTER_WANTS_CLIENT) != 0);
    filter->decided = false;
    if (filter->state == FINISHED || length == 0) {
        return length;
    }
    REQUIRE(filter->buffer != NULL);
    taken = http_scan(&filter->scan, bytes, length < room ? length : room);
    memcpy(filter->buffer + filter->length, bytes, taken);
    filter->length += taken;
    if (filter->scan.fault != HTTP_OK) {
        refuse(filter, filter->scan.fault);
    } else if (filter->scan.complete) {
        take_request(filter);
    } else if (filter->length == filter->config.head_max) {
        refuse(filter, HTTP_HEAD_TOO_LARGE);
    }
    INVARIANT_ALL(invariant(filter));
    return taken;
}

void filter_client_finished(struct filter *filter)
{
    filter->client_finished = true;
    if (filter->state != REQUEST) {
        filter->last = true;
    } else if (filter->length > 0) {
        refuse(filter, HTTP_HEAD_CUT);
    } else {
        filter->last = true;
        end_request(filter);
    }
    INVARIANT_ALL(invariant(filter));
}

struct span filter_to_client(const struct filter *filter)
{
    struct span none = {NULL, 0};

    if (filter->state != ANSWER) {
        return none;
    }
    return (struct span){filter->buffer + filter->config.head_max +
                             filter->done,
                         filter->length - filter->done};
}

void filter_sent_to_client(struct filter *filter, size_t length)
{
    REQUIRE(length <= filter_to_client(filter).length);
    filter->done += length;
    if (filter->state == ANSWER && filter->done == filter->length) {
        end_request(filter);
    }
    INVARIANT_ALL(invariant(filter));
}

bool filter_next_decision(struct filter *filter,
                          struct filter_decision *decision)
{
    bool decided = filter->decided;

    if (decided) {
        *decision = filter->decision;
        filter->decided = false;
    }
    return decided;
}

/* ---- the engine: requests ------------------------------------------------ */

void filter_engine_opened(struct filter *filter)
{
    REQUIRE(filter->engine == ABSENT);
    filter->engine = OPEN;
    filter->engine_reused = false;
    INVARIANT_ALL(invariant(filter));
}

void filter_engine_unreachable(struct filter *filter, const char *problem)
{
    if ((filter_wants(filter) & FILTER_WANTS_ENGINE) == 0) {
        return;
    }
    filter->problem = "cannot reach the Docker engine";
    apologise(filter, 502, "cannot reach the Docker engine: ", problem);
    INVARIANT_ALL(invariant(filter));
}

struct span filter_to_engine(const struct filter *filter)
{
    struct span none = {NULL, 0};

    if (filter->state != FORWARD || filter->engine != OPEN) {
        return none;
    }
    return (struct span){filter->buffer + filter->done,
                         filter->length - filter->done};
}

void filter_sent_to_engine(struct filter *filter, size_t length)
{
    REQUIRE(length <= filter_to_engine(filter).length);
    filter->done += length;
    INVARIANT_ALL(invariant(filter));
}

/* ---- the engine: responses ----------------------------------------------- */

static void end_response(struct filter *filter)
{
    filter->engine_reused = true;
    end_request(filter);
}

/* A response's head is complete. What is wrong with it, or NULL. */
static const char *begin_body(struct filter *filter, const uint8_t *head,
                              size_t length)
{
    struct http_response response;
    enum http_fault fault =
        http_parse_response(&response, head, length, filter->method);

    if (fault != HTTP_OK) {
        return http_fault_text(fault);
    }
    if (response.status == 101) {
        return "it switches protocols, and was not asked to";
    }
    filter->length = 0;
    http_scan_init(&filter->scan);
    if (response.status >= 200) { /* else only an interim response (T6) */
        filter->last = filter->last || response.close;
        filter->state = BODY;
        http_body_init(&filter->body, response.framing, response.length);
    }
    return NULL;
}

/* Take a response's head, or the rest of one, or a piece. Returns how many
 * bytes may go to the client. */
static size_t take_response(struct filter *filter, const uint8_t *bytes,
                            size_t length)
{
    size_t room = filter->config.head_max - filter->length;
    size_t taken =
        http_scan(&filter->scan, bytes, length < room ? length : room);
    size_t head_length = filter->length + taken;
    bool whole = filter->length == 0 && filter->scan.complete;
    const char *detail = NULL;

    if (!whole) {
        memcpy(filter->buffer + filter->length, bytes, taken);
    }
    if (filter->scan.fault != HTTP_OK) {
        detail = http_fault_text(filter->scan.fault);
    } else if (filter->scan.complete) {
        detail =
            begin_body(filter, whole ? bytes : filter->buffer, head_length);
    } else if (head_length == filter->config.head_max) {
        detail = http_fault_text(HTTP_HEAD_TOO_LARGE);
    } else {
        filter->length = head_length;
    }
    if (detail != NULL) {
        break_off(filter, "the Docker engine's answer is not usable: ", detail);
        return 0;
    }
    return taken;
}

static size_t take_body(struct filter *filter, const uint8_t *bytes,
                        size_t length)
{
    struct span input = {bytes, length};
    struct span data;

    while (http_body_next(&filter->body, &input, &data)) {
        /* where the payload is does not matter here */
    }
    if (filter->body.fault != HTTP_OK) {
        break_off(filter, "the Docker engine's response is broken: ",
                  http_fault_text(filter->body.fault));
    }
    return length - input.length;
}

size_t filter_from_engine(struct filter *filter, const uint8_t *bytes,
                          size_t length)
{
    size_t taken = 0;

    REQUIRE((filter_wants(filter) & FILTER_WANTS_ENGINE_READ) != 0);
    REQUIRE(length > 0);
    REQUIRE(filter->buffer != NULL || filter->state == BODY ||
            filter->state == REQUEST);
    if (filter->state == FORWARD) {
        /* an answer to half a request: the rest of it is never sent */
        filter->last = filter->last || filter->done < filter->length;
        filter->state = RESPONSE;
        filter->length = 0;
        filter->done = 0;
        http_scan_init(&filter->scan);
    }
    while (filter->state == RESPONSE && taken < length) {
        taken += take_response(filter, bytes + taken, length - taken);
    }
    if (filter->state == BODY) {
        taken += take_body(filter, bytes + taken, length - taken);
        if (filter->state == BODY && filter->body.complete) {
            end_response(filter);
        }
    }
    if (taken < length) {
        filter->engine = SPENT; /* it says what nobody asked for */
    }
    INVARIANT_ALL(invariant(filter));
    return taken;
}

/* The engine's connection ended, with FIN or worse. */
static void end_engine(struct filter *filter, bool well)
{
    REQUIRE(filter->engine == OPEN);
    filter->engine = SPENT;
    switch ((enum state)filter->state) {
    case FORWARD:
        if (filter->engine_reused) {
            filter->done = 0; /* again, and once: the next one is new */
            break;
        }
        break_off(filter, "the Docker engine closed without an answer", "");
        break;
    case RESPONSE:
        break_off(filter, "the Docker engine closed inside a response", "");
        break;
    case BODY:
        if (well && filter->body.framing == HTTP_UNTIL_CLOSE) {
            end_request(filter);
            break;
        }
        break_off(filter, "the Docker engine closed inside a response", "");
        break;
    case REQUEST:
    case ANSWER:
    case FINISHED:
    case BROKEN:
        break; /* nobody minds */
    }
    INVARIANT_ALL(invariant(filter));
}

void filter_engine_finished(struct filter *filter)
{
    end_engine(filter, true);
}

void filter_engine_failed(struct filter *filter)
{
    end_engine(filter, false);
}

void filter_engine_timed_out(struct filter *filter)
{
    REQUIRE((filter_wants(filter) & FILTER_AWAITS_RESPONSE) != 0);
    filter->problem = "the Docker engine did not answer in time";
    filter->engine = filter->engine == OPEN ? SPENT : filter->engine;
    apologise(filter, 504, filter->problem, "");
    INVARIANT_ALL(invariant(filter));
}

void filter_engine_closed(struct filter *filter)
{
    REQUIRE(filter->engine != ABSENT);
    if (filter->engine == OPEN) {
        end_engine(filter, false);
    }
    filter->engine = ABSENT;
    INVARIANT_ALL(invariant(filter));
}

/* ---- what is to be done -------------------------------------------------- */

const char *filter_problem(const struct filter *filter)
{
    return filter->problem;
}

static unsigned wants_of_client(const struct filter *filter)
{
    switch ((enum state)filter->state) {
    case REQUEST:
        return FILTER_WANTS_CLIENT;
    case FINISHED:
        return FILTER_WANTS_FINISH |
               (filter->client_finished ? 0u : FILTER_WANTS_CLIENT);
    case BROKEN:
        return FILTER_WANTS_RESET;
    case FORWARD:
    case RESPONSE:
    case BODY:
    case ANSWER:
        break;
    }
    return 0;
}

static unsigned wants_of_engine(const struct filter *filter)
{
    unsigned finish = filter->client_finished ? FILTER_WANTS_ENGINE_FINISH : 0;

    if (filter->engine == SPENT) {
        return FILTER_WANTS_ENGINE_CLOSE;
    }
    switch ((enum state)filter->state) {
    case FORWARD:
        return filter->engine == ABSENT ? FILTER_WANTS_ENGINE
                                        : FILTER_WANTS_ENGINE_READ | finish;
    case RESPONSE:
    case BODY:
        return FILTER_WANTS_ENGINE_READ | finish;
    case REQUEST:
        return filter->engine == OPEN ? FILTER_WANTS_ENGINE_READ : 0;
    case FINISHED:
    case BROKEN:
        return filter->engine == OPEN ? FILTER_WANTS_ENGINE_CLOSE : 0;
    case ANSWER:
        break;
    }
    return 0;
}

unsigned filter_wants(const struct filter *filter)
{
    return wants_of_client(filter) | wants_of_engine(filter) |
           (filter->state == FORWARD ? FILTER_AWAITS_RESPONSE : 0u);
}
