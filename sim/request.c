#include "sim/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/content.h"

struct requests {
    struct request **list; /* [number - 1] */
    size_t count, room;
};

static const struct {
    const char *method, *path, *text;
    bool passes;
} kinds[] = {
#define X(name, method, path, passes) {method, path, method " " path, passes},
    REQUEST_TABLE(X)
#undef X
};

/* ---- the register -------------------------------------------------------- */

struct requests *requests_of(struct world *world)
{
    if (world->requests == NULL) {
        world->requests = sim_alloc(world->sim, sizeof *world->requests);
    }
    return world->requests;
}

struct request *request_new(struct world *world, uint32_t site,
                            enum request_kind kind)
{
    struct requests *all = requests_of(world);
    struct request *request = sim_alloc(world->sim, sizeof *request);

    if (all->count == all->room) {
        size_t room = all->room > 0 ? all->room * 2 : 64;
        struct request **list =
            sim_alloc(world->sim, room * sizeof(struct request *));

        for (size_t i = 0; i < all->count; i++) {
            list[i] = all->list[i];
        }
        sim_release(world->sim, all->list);
        all->list = list;
        all->room = room;
    }
    all->list[all->count++] = request;
    request->number = all->count;
    request->site = site;
    request->kind = kind;
    return request;
}

struct request *request_find(struct world *world, uint64_t number)
{
    struct requests *all = requests_of(world);

    return number > 0 && number <= all->count ? all->list[number - 1] : NULL;
}

uint64_t request_key(const struct world *world, const struct request *request,
                     bool from_engine)
{
    return content_key(sim_seed(world->sim), request->site, request->number,
                       from_engine);
}

/* ---- heads --------------------------------------------------------------- */

uint64_t request_number(const char *head)
{
    const char *end = strstr(head, "\r\n");
    const char *digit = strstr(head, "?n=");
    uint64_t number = 0;

    if (digit == NULL || digit > end) {
        return 0;
    }
    for (digit += 3; *digit >= '0' && *digit <= '9'; digit++) {
        number = number * 10 + (uint64_t)(*digit - '0');
    }
    return number;
}

void request_line(const struct request *request, char line[REQUEST_LINE_MAX])
{
    static const char *const orders[] = {"free", "client", "engine"};

    (void)snprintf(line, REQUEST_LINE_MAX,
                   "%s %s%s?n=%" PRIu64 "&bytes=%" PRIu64 "&takes=%" PRIu64
                   "&delay=%" PRIu64 "&order=%s",
                   kinds[request->kind].method,
                   request->is_versioned ? "/v1.41" : "",
                   kinds[request->kind].path, request->number, request->bytes,
                   request->takes, request->delay_ms, orders[request->order]);
}

const char *request_text(const struct request *request)
{
    return kinds[request->kind].text;
}

void request_print_head(const struct world *world,
                        const struct request *request, struct source *source)
{
    char line[REQUEST_LINE_MAX];

    request_line(request, line);
    source_print(source, "%s HTTP/1.1\r\nHost: %s\r\n", line,
                 request->is_page ? "evil.example" : "docker");
    source_print(source, "X-Check: %016" PRIx64 "\r\n",
                 request_key(world, request, true));
    if (request->is_page) {
        source_print(source, "Origin: http://evil.example\r\n"
                             "Sec-Fetch-Site: cross-site\r\n");
    }
    if (request->kind == REQUEST_ATTACH) {
        source_print(source, "Connection: Upgrade\r\nUpgrade: tcp\r\n");
    } else if (request->is_last) {
        source_print(source, "Connection: close\r\n");
    }
    if (request->body == MESSAGE_LENGTH) {
        source_print(source, "Content-Length: %" PRIu64 "\r\n", request->takes);
    } else if (request->body == MESSAGE_CHUNKED) {
        source_print(source, "Transfer-Encoding: chunked\r\n");
    }
    source_print(source, "\r\n");
}

void request_expect_head(const struct world *world,
                         const struct request *request,
                         const struct message *message)
{
    char line[REQUEST_LINE_MAX + 16], value[32], check[32];

    request_line(request, line);
    (void)snprintf(line + strlen(line), 16, " HTTP/1.1\r\n");
    if (strncmp(message->head, line, strlen(line)) != 0) {
        sim_fail(world->sim, "request",
                 "request %" PRIu64 " reached its engine as \"%.80s\"",
                 request->number, message->head);
    }
    message_field(message, "x-check", value, sizeof value);
    (void)snprintf(check, sizeof check, "%016" PRIx64,
                   request_key(world, request, true));
    if (strcmp(value, check) != 0) {
        sim_fail(world->sim, "request",
                 "request %" PRIu64 " has X-Check \"%s\" and not %s",
                 request->number, value, check);
    }
}

/* ---- what agents do with requests ---------------------------------------- */

struct remote_ways remote_ways(enum remote_kind kind)
{
    switch (kind) {
    case REMOTE_OWN:
        return (struct remote_ways){.filters = true, .ends_well = true};
    case REMOTE_OWN_ALL:
    case REMOTE_NAIVE:
        return (struct remote_ways){.ends_well = true};
    case REMOTE_GO:
        return (struct remote_ways){.filters = true, .one_request = true};
    case REMOTE_GO_RAW:
        return (struct remote_ways){.one_request = false};
    case REMOTE_HOSTILE:
    case REMOTE_KINDS:
        break;
    }
    return (struct remote_ways){.may_break = true};
}

bool request_passes(enum request_kind kind)
{
    return kinds[kind].passes;
}
