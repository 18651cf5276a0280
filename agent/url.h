/* url.h: the URLs that the agent is given: of its server, of a proxy
 * (orthrus-observed a.6).
 *
 * Pure functions; no state.
 */
#ifndef AGENT_URL_H
#define AGENT_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URL_HOST_MAX 253u /* characters of the longest DNS name */
#define URL_TARGET_MAX 2048u
#define URL_USERINFO_MAX 255u
#define URL_AUTHORITY_MAX (URL_HOST_MAX + 8u) /* "[host]:65535" */
#define URL_ERROR_SIZE 512u

#define URL_TARGET_DEFAULT "/api/v1/ws/orthrus/connect"

struct url {
    bool tls;                        /* wss or https */
    char host[URL_HOST_MAX + 1];     /* lower case; IPv6 without its brackets */
    uint16_t port;                   /* 1..65535; 443 or 80 if none was given */
    char target[URL_TARGET_MAX + 1]; /* path and query: begins with '/' */
    char userinfo[URL_USERINFO_MAX + 1]; /* as written; "": none */
};

/* The URL of an Orthrus server: wss, or ws without TLS; no path or "/" becomes
 * URL_TARGET_DEFAULT. False: error is a sentence that names what is wrong and
 * the remedy, and *url is not to be used. */
bool url_parse_server(struct url *url, const char *text,
                      char error[URL_ERROR_SIZE]);

/* The URL of an HTTP proxy: http; a bare "host:port" is taken for one. */
bool url_parse_proxy(struct url *url, const char *text,
                     char error[URL_ERROR_SIZE]);

/* localhost, or an address that cannot leave this host. */
bool url_is_loopback(const struct url *url);

/* "host:port" for the Host field and for CONNECT; IPv6 in its brackets.
 * always_port: also where it is the scheme's default. */
void url_authority(const struct url *url, bool always_port,
                   char authority[URL_AUTHORITY_MAX + 1]);

#endif
