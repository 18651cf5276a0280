#include "agent/proxy.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENTRY_MAX 300u /* a host, its brackets, prefix length and port */

struct address {
    int family;
    uint8_t bytes[16];
    unsigned bits; /* 32 or 128 */
};

static bool parse_address(struct address *address, const char *text)
{
    if (inet_pton(AF_INET, text, address->bytes) == 1) {
        address->family = AF_INET;
        address->bits = 32;
        return true;
    }
    address->family = AF_INET6;
    address->bits = 128;
    return inet_pton(AF_INET6, text, address->bytes) == 1;
}

static bool in_block(const struct address *address, const struct address *block,
                     unsigned prefix)
{
    unsigned whole = prefix / 8;
    unsigned rest = prefix % 8;
    uint8_t mask = (uint8_t)(0xff00u >> rest);

    return address->family == block->family && prefix <= block->bits &&
           memcmp(address->bytes, block->bytes, whole) == 0 &&
           (rest == 0 ||
            ((address->bytes[whole] ^ block->bytes[whole]) & mask) == 0);
}

/* entry: an address, or "address/prefix". */
static bool address_matches(const char *host, char *entry)
{
    char *slash = strchr(entry, '/');
    struct address address;
    struct address block;
    unsigned long prefix;
    char *end;

    if (slash != NULL) {
        *slash = '\0';
    }
    if (!parse_address(&address, host) || !parse_address(&block, entry)) {
        return false;
    }
    if (slash == NULL) {
        return in_block(&address, &block, block.bits);
    }
    prefix = strtoul(slash + 1, &end, 10);
    return slash[1] >= '0' && slash[1] <= '9' && *end == '\0' &&
           prefix <= 128 && in_block(&address, &block, (unsigned)prefix);
}

/* The same name, or one below it; only those below it if entry has a dot in
 * front. */
static bool name_matches(const char *host, const char *entry)
{
    size_t host_length = strlen(host);
    size_t length = strlen(entry);

    if (length == 0 || length > host_length ||
        strcasecmp(host + host_length - length, entry) != 0) {
        return false;
    }
    return entry[0] == '.'
               ? length < host_length
               : length == host_length || host[host_length - length - 1] == '.';
}

/* Cut ":port" off entry. A bare IPv6 address has more than one colon. 0: none.
 */
static unsigned long take_port(char *entry)
{
    char *colon = strrchr(entry, ':');

    if (colon == NULL || (strchr(entry, ':') != colon && colon[-1] != ']')) {
        return 0;
    }
    *colon = '\0';
    return strtoul(colon + 1, NULL, 10);
}

static bool entry_matches(const struct url *server, char *entry)
{
    unsigned long port = take_port(entry);
    size_t length = strlen(entry);

    if (port != 0 && port != server->port) {
        return false;
    }
    if (strcmp(entry, "*") == 0) {
        return true;
    }
    if (length > 2 && entry[0] == '[' && entry[length - 1] == ']') {
        entry[length - 1] = '\0';
        entry++;
    }
    return name_matches(server->host, entry) ||
           address_matches(server->host, entry);
}

bool proxy_is_excepted(const struct url *server, const char *list)
{
    while (*list != '\0') {
        size_t length;
        list += strspn(list, ", \t");
        length = strcspn(list, ", \t");
        if (length > 0 && length < ENTRY_MAX) {
            char entry[ENTRY_MAX];
            memcpy(entry, list, length);
            entry[length] = '\0';
            if (entry_matches(server, entry)) {
                return true;
            }
        }
        list += length;
    }
    return false;
}

enum proxy_choice proxy_choose(struct url *proxy, const struct url *server,
                               char *(*environment)(const char *name),
                               char error[URL_ERROR_SIZE])
{
    static const char *const names[2][2] = {{"http_proxy", "HTTP_PROXY"},
                                            {"https_proxy", "HTTPS_PROXY"}};
    const char *name = names[server->tls][0];
    const char *value = environment(name);
    const char *excepted = environment("no_proxy");
    char sentence[URL_ERROR_SIZE];

    if (value == NULL) {
        name = names[server->tls][1];
        value = environment(name);
    }
    if (excepted == NULL) {
        excepted = environment("NO_PROXY");
    }
    if (value == NULL || value[0] == '\0' ||
        (excepted != NULL && proxy_is_excepted(server, excepted))) {
        return PROXY_NONE;
    }
    if (!url_parse_proxy(proxy, value, sentence)) {
        /* not the value: it may hold a password */
        snprintf(error, URL_ERROR_SIZE, "%s: %.400s", name, sentence);
        return PROXY_BAD;
    }
    return PROXY_USE;
}
