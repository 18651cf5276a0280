#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "conformance/mutants/websocket.h"

#define HEAD_MAX 8192u
#define KEY_MAX 64u
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

void upgrade_request(struct bytes *out, const char *host, const char *path)
{
    char text[HEAD_MAX];
    int length = snprintf(text, sizeof text,
                          "GET %s HTTP/1.1\r\nHost: %s\r\n"
                          "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n",
                          path, host);
    if (length > 0 && (size_t)length < sizeof text)
        bytes_append(out, (const uint8_t *)text, (size_t)length);
}

static bool find_key(const char *head, char key[KEY_MAX])
{
    static const char name[] = "sec-websocket-key:";
    for (const char *line = head; line != NULL; line = strstr(line, "\r\n")) {
        line += line == head ? 0 : 2;
        if (strncasecmp(line, name, sizeof name - 1) != 0)
            continue;
        const char *value = line + sizeof name - 1;
        value += strspn(value, " \t");
        size_t length = strcspn(value, " \t\r");
        if (length >= KEY_MAX)
            return false;
        memcpy(key, value, length);
        key[length] = '\0';
        return true;
    }
    return false;
}

static bool answer(struct bytes *out, const char *head)
{
    char key[KEY_MAX];
    char joined[KEY_MAX + sizeof GUID];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    uint8_t accept[64];
    char text[256];
    if (strncmp(head, "GET ", 4) != 0 || !find_key(head, key))
        return false;
    int length = snprintf(joined, sizeof joined, "%s%s", key, GUID);
    if (EVP_Digest(joined, (size_t)length, digest, &size, EVP_sha1(), NULL) !=
        1)
        return false;
    EVP_EncodeBlock(accept, digest, (int)size);
    length = snprintf(text, sizeof text,
                      "HTTP/1.1 101 Switching Protocols\r\n"
                      "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: %s\r\n\r\n",
                      (char *)accept);
    bytes_append(out, (const uint8_t *)text, (size_t)length);
    return true;
}

enum upgrade upgrade_receive(struct bytes *in, struct bytes *out, bool client)
{
    static char head[HEAD_MAX + 1];
    size_t length = in->length < HEAD_MAX ? in->length : HEAD_MAX;
    memcpy(head, bytes_front(in), length);
    head[length] = '\0';
    char *end = strstr(head, "\r\n\r\n");
    if (end == NULL)
        return length == HEAD_MAX ? UPGRADE_BAD : UPGRADE_MORE;
    end[2] = '\0';
    bytes_drop(in, (size_t)(end - head) + 4);
    if (client)
        return strncmp(head, "HTTP/1.1 101", 12) == 0 ? UPGRADE_DONE
                                                      : UPGRADE_BAD;
    return answer(out, head) ? UPGRADE_DONE : UPGRADE_BAD;
}
