/* client.h: one request to the server's management API, and its answer.
 *
 * Blocking, over libcurl: TLS, proxies and the unix socket come with it. A
 * client lives as long as the program; nothing here is shared between threads.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stdbool.h>

#include <jansson.h>

#define CLIENT_ERROR_SIZE 512
#define CLIENT_BODY_MAX (16u * 1024 * 1024) /* of an answer, bytes */

struct client {
    const char *server; /* "http://host:port", "https://…" or "unix:PATH" */
    const char *token_file;        /* NULL: none needed (unix socket) */
    const char *ca_file;           /* NULL: the system's roots */
    char error[CLIENT_ERROR_SIZE]; /* one line, set when a call failed */
};

/* Send method path ("/api/v1/…") with body as JSON (NULL: none; a reference is
 * not taken). True: the status was 2xx, *answer is the JSON body, owned by the
 * caller, or NULL when there was none. False: client->error says in one line
 * what went wrong and what to do; *answer is NULL. */
bool client_call(struct client *client, const char *method, const char *path,
                 const json_t *body, json_t **answer);

#endif
