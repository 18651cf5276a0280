/* snippet.h: ready-made ways to start an agent (orthrus-observed a.9).
 *
 * The key is not in them: AUTH_KEY stands between angle brackets where it
 * belongs. Names are escaped for where they stand, whatever is in them (H-02).
 */
#ifndef SERVER_SNIPPET_H
#define SERVER_SNIPPET_H

enum snippet_kind {
    SNIPPET_DOCKER_COMPOSE,
    SNIPPET_SYSTEMD,
    SNIPPET_TARBALL,
    SNIPPET_HOMEBREW,
    SNIPPET_KUBERNETES_DAEMONSET,
    SNIPPET_KINDS /* how many there are */
};

/* The field of the answer, "docker_compose". */
const char *snippet_name(enum snippet_kind kind);

/* name: of the agent, UTF-8. url: where it connects, without spaces, quotes,
 * '%', '$' or backslashes. The caller frees the text; NULL: out of memory. */
char *snippet_make(enum snippet_kind kind, const char *name, const char *url);

#endif
