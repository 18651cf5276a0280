/* proxy.h: does the way to a server lead through an HTTP proxy? (U-02)
 *
 * HTTPS_PROXY (for wss) and HTTP_PROXY (for ws) name the proxy, NO_PROXY the
 * hosts that are reached without it; each also in lower case, which goes first.
 * NO_PROXY is a list with commas of
 *
 *   *                      every host
 *   example.com            this host and every host below it
 *   .example.com           only those below it
 *   10.0.0.1, [::1]        this address
 *   10.0.0.0/8, fd00::/8   every address of this block
 *
 * each with an optional ":port". Names are not resolved for this.
 */
#ifndef AGENT_PROXY_H
#define AGENT_PROXY_H

#include <stdbool.h>

#include "agent/url.h"

enum proxy_choice { PROXY_NONE, PROXY_USE, PROXY_BAD };

/* environment: as getenv(). PROXY_USE: *proxy is set. PROXY_BAD: error is a
 * sentence that names the variable, what is wrong with it and the remedy. */
enum proxy_choice proxy_choose(struct url *proxy, const struct url *server,
                               char *(*environment)(const char *name),
                               char error[URL_ERROR_SIZE]);

/* Is the server one of the hosts in a NO_PROXY list? */
bool proxy_is_excepted(const struct url *server, const char *list);

#endif
