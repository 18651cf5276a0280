/* For programs that have clients and engines, and no server. */
#include "sim/server.h"

uint16_t server_port(const struct server *server, const struct site *site)
{
    (void)server;
    (void)site;
    return 0;
}

enum fault_state server_state(const struct server *server,
                              const struct site *site)
{
    (void)server;
    (void)site;
    return FAULT_STATE_NONE;
}
