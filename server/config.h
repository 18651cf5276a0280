/* config.h: everything that can be set in orthrusd, from one table.
 *
 * A knob is set by, in this order: command line flag, ORTHRUSD_* environment,
 * INI file, default (U-01). All four and --help and --print-config are read off
 * the same table in config.c, so they cannot disagree. An unknown, misplaced,
 * repeated or impossible setting refuses the start (X31). No knob holds a
 * secret: secrets live in files, a knob names the file.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_log_level {
    CONFIG_LOG_ERROR,
    CONFIG_LOG_WARN,
    CONFIG_LOG_INFO,
    CONFIG_LOG_DEBUG
};

enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

/* Strings are never NULL, "" where nothing is set, and belong to the config.
 * Ranges stand in the table and are already checked. */
struct config {
    /* [server] */
    char *listen;       /* ADDR:PORT or [ADDR]:PORT; port 0: kernel's choice */
    char *data_dir;     /* orthrus.db and admin.token live there */
    char *admin_socket; /* path of the admin unix socket; "": none */
    char *public_url;   /* http(s)://HOST[:PORT], for snippets; "": from Host */
    char *allowed_hosts; /* more names for the Host allow list, commas (X10) */
    bool behind_proxy;   /* plain HTTP beyond loopback is behind a TLS proxy */

    /* [tls] */
    char *tls_cert; /* PEM files; both or neither */
    char *tls_key;

    /* [log] */
    enum config_log_level log_level;
    enum config_log_format log_format;

    /* [tunnel] */
    bool no_tunnel;              /* no agents: what needs one is 503 (AC-10) */
    uint64_t ping_interval_ms;   /* silence before each ping; 0: never (L-01) */
    uint64_t ping_missed;        /* silent intervals until the link is dead */
    uint64_t open_timeout_ms;    /* unanswered stream open is reset (T34) */
    uint64_t drain_timeout_ms;   /* SIGTERM: live streams get this (L-06) */
    uint64_t linger_timeout_ms;  /* both ends closed, socket not read (T13) */
    uint64_t port_quarantine_ms; /* a loopback port's own time (L-10) */
    uint64_t key_overlap_ms;     /* the old key after a rotation (H-04) */

    /* [limits] */
    uint64_t agents_max;          /* sessions at once */
    uint64_t streams_max;         /* open streams a session (Y-01) */
    uint64_t opens_per_second;    /* new streams a session (X15) */
    uint64_t recv_window;         /* bytes granted a stream */
    uint64_t recv_window_growth;  /* bytes more, of a session in all (Y-04) */
    uint64_t spill_max;           /* bytes held for slow clients */
    uint64_t preauth_max;         /* connections not yet authenticated (X14) */
    uint64_t preauth_per_address; /* the same, one address */
    uint64_t preauth_timeout_ms;  /* to a complete head, absolute */
    uint64_t head_max;            /* bytes of a request head */
    uint64_t body_max;            /* bytes of a request body (H-07) */

    /* [docker] container list, asked by the server itself */
    char *docker_socket;          /* engine of this host; "": none */
    uint64_t docker_timeout_ms;   /* whole answer, then 504 (H-01) */
    uint64_t docker_answer_max;   /* bytes of an engine's answer */
    uint64_t docker_requests_max; /* lists under way at once */
};

enum config_action {
    CONFIG_RUN,   /* serve */
    CONFIG_CHECK, /* --check-config: it is valid; exit 0 */
    CONFIG_PRINT, /* --print-config: config_print(); exit 0 */
    CONFIG_HELP,  /* --help: config_help(); exit 0 */
    CONFIG_VERSION
};

#define CONFIG_ERROR_SIZE 512u

/* Read argv, environ and the file named by --config or ORTHRUSD_CONFIG, then
 * check every value and what values demand of each other. environment: as
 * environ, NULL-terminated "NAME=value". True: *config is complete, release it
 * with config_free(). False: error is one line that names the source
 * ("/etc/orthrus.ini:7: unknown key 'lisen', did you mean 'listen'?"), nothing
 * is held; exit 2. */
bool config_read(struct config *config, enum config_action *action, int argc,
                 char *const *argv, char *const *environment,
                 char error[CONFIG_ERROR_SIZE]);
void config_free(struct config *config);

/* The effective values as an INI file that config_read() takes back. */
void config_print(const struct config *config, FILE *out);
void config_help(FILE *out);

#endif
