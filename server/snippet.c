#include "server/snippet.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/contract.h"
#include "net/sys.h"

/* In a template: @U the URL; the name as @S a label of [a-z0-9-], @J the inside
 * of a JSON string (which is a YAML double-quoted one too), @D the inside of a
 * quoted word of systemd, @Q the inside of a single-quoted word of a shell. */
static const struct {
    const char *name;
    const char *template;
} snippets[SNIPPET_KINDS] = {
    [SNIPPET_DOCKER_COMPOSE] =
        {"docker_compose",
         "services:\n"
         "  orthrus-@S:\n"
         "    image: wikid82/orthrus:latest\n"
         "    restart: unless-stopped\n"
         "    environment:\n"
         "      ORTHRUS_SERVER_URL: \"@U\"\n"
         "      ORTHRUS_AUTH_KEY: \"<AUTH_KEY>\"\n"
         "      ORTHRUS_AGENT_ID: \"@J\"\n"
         "    volumes:\n"
         "      - /var/run/docker.sock:/var/run/docker.sock:ro\n"},
    [SNIPPET_SYSTEMD] = {"systemd",
                         "[Unit]\n"
                         "Description=Orthrus agent\n"
                         "Wants=network-online.target\n"
                         "After=network-online.target docker.service\n"
                         "\n"
                         "[Service]\n"
                         "Environment=\"ORTHRUS_SERVER_URL=@U\"\n"
                         "Environment=\"ORTHRUS_AUTH_KEY=<AUTH_KEY>\"\n"
                         "Environment=\"ORTHRUS_AGENT_ID=@D\"\n"
                         "ExecStart=/usr/local/bin/orthrus-agent\n"
                         "Restart=on-failure\n"
                         "RestartSec=5\n"
                         "\n"
                         "[Install]\n"
                         "WantedBy=multi-user.target\n"},
    [SNIPPET_TARBALL] =
        {"tarball",
         "# with orthrus-agent from the release unpacked here\n"
         "sudo install -m 0755 orthrus-agent /usr/local/bin/orthrus-agent\n"
         "export ORTHRUS_SERVER_URL='@U'\n"
         "export ORTHRUS_AUTH_KEY='<AUTH_KEY>'\n"
         "export ORTHRUS_AGENT_ID='@Q'\n"
         "/usr/local/bin/orthrus-agent\n"},
    [SNIPPET_HOMEBREW] =
        {"homebrew",
         "# macOS, with orthrus-agent on the PATH\n"
         "export ORTHRUS_SERVER_URL='@U'\n"
         "export ORTHRUS_AUTH_KEY='<AUTH_KEY>'\n"
         "export ORTHRUS_AGENT_ID='@Q'\n"
         "export ORTHRUS_DOCKER_SOCKET=\"$HOME/.docker/run/docker.sock\"\n"
         "orthrus-agent\n"},
    [SNIPPET_KUBERNETES_DAEMONSET] =
        {"kubernetes_daemonset",
         "apiVersion: v1\n"
         "kind: Secret\n"
         "metadata:\n"
         "  name: orthrus-@S\n"
         "stringData:\n"
         "  auth-key: \"<AUTH_KEY>\"\n"
         "---\n"
         "apiVersion: apps/v1\n"
         "kind: DaemonSet\n"
         "metadata:\n"
         "  name: orthrus-@S\n"
         "spec:\n"
         "  selector:\n"
         "    matchLabels:\n"
         "      app: orthrus-@S\n"
         "  template:\n"
         "    metadata:\n"
         "      labels:\n"
         "        app: orthrus-@S\n"
         "    spec:\n"
         "      containers:\n"
         "        - name: agent\n"
         "          image: wikid82/orthrus:latest\n"
         "          env:\n"
         "            - name: ORTHRUS_SERVER_URL\n"
         "              value: \"@U\"\n"
         "            - name: ORTHRUS_AUTH_KEY\n"
         "              valueFrom:\n"
         "                secretKeyRef:\n"
         "                  name: orthrus-@S\n"
         "                  key: auth-key\n"
         "            - name: ORTHRUS_AGENT_ID\n"
         "              value: \"@J\"\n"
         "          volumeMounts:\n"
         "            - name: docker\n"
         "              mountPath: /var/run/docker.sock\n"
         "              readOnly: true\n"
         "      volumes:\n"
         "        - name: docker\n"
         "          hostPath:\n"
         "            path: /var/run/docker.sock\n"
         "            type: Socket\n"},
};

const char *snippet_name(enum snippet_kind kind)
{
    REQUIRE(kind < SNIPPET_KINDS);
    return snippets[kind].name;
}

/* A DNS label (RFC 1123), which is also a name of a compose service. */
static void put_label(FILE *out, const char *name)
{
    size_t length = 0;
    bool dash = false;
    for (const char *c = name; *c != '\0' && length < 40; ++c) {
        if (isalnum((unsigned char)*c) && (*c & 0x80) == 0) {
            if (dash && length > 0) {
                (void)fputc('-', out);
                ++length;
            }
            (void)fputc(tolower((unsigned char)*c), out);
            ++length;
            dash = false;
        } else {
            dash = true;
        }
    }
    if (length == 0) {
        (void)fputs("agent", out);
    }
}

static void put_json(FILE *out, const char *name)
{
    for (const char *c = name; *c != '\0'; ++c) {
        if (*c == '"' || *c == '\\') {
            (void)fprintf(out, "\\%c", *c);
        } else if ((unsigned char)*c < ' ' || *c == 0x7f) {
            (void)fprintf(out, "\\u%04x", (unsigned)*c);
        } else {
            (void)fputc(*c, out);
        }
    }
}

static void put_systemd(FILE *out, const char *name)
{
    for (const char *c = name; *c != '\0'; ++c) {
        if (*c == '"' || *c == '\\') {
            (void)fprintf(out, "\\%c", *c);
        } else if (*c == '%') {
            (void)fputs("%%", out);
        } else if ((unsigned char)*c < ' ' || *c == 0x7f) {
            (void)fprintf(out, "\\x%02x", (unsigned)*c);
        } else {
            (void)fputc(*c, out);
        }
    }
}

static void put_shell(FILE *out, const char *name)
{
    for (const char *c = name; *c != '\0'; ++c) {
        if (*c == '\'') {
            (void)fputs("'\\''", out);
        } else {
            (void)fputc(*c, out);
        }
    }
}

static void put_mark(FILE *out, char mark, const char *name, const char *url)
{
    if (mark == 'U') {
        (void)fputs(url, out);
    } else if (mark == 'S') {
        put_label(out, name);
    } else if (mark == 'J') {
        put_json(out, name);
    } else if (mark == 'D') {
        put_systemd(out, name);
    } else {
        REQUIRE(mark == 'Q');
        put_shell(out, name);
    }
}

char *snippet_make(enum snippet_kind kind, const char *name, const char *url)
{
    char *text = NULL;
    size_t length = 0;
    REQUIRE(kind < SNIPPET_KINDS);
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) {
        return NULL;
    }
    for (const char *c = snippets[kind].template; *c != '\0'; ++c) {
        if (*c == '@') {
            put_mark(out, *++c, name, url);
        } else {
            (void)fputc(*c, out);
        }
    }
    if (sys_fclose(out) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}
