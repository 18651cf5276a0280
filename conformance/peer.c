#include "conformance/peer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conformance/runner.h"

#define READY_MS 10000u
#define STARTS_MAX 5000u /* of one peer that dials */

static void nap(unsigned ms)
{
    struct timespec time = {0, (long)ms * 1000000};
    nanosleep(&time, NULL);
}

static void put(char *out, size_t size, size_t *used, const char *text,
                size_t length)
{
    for (size_t i = 0; i < length && *used + 1 < size; i++) {
        out[(*used)++] = text[i];
    }
    out[*used] = '\0';
}

static void expand(const struct runner_options *options, const char *mode,
                   const char *address, char *out, size_t size)
{
    const struct {
        const char *word;
        const char *value;
    } words[] = {{"{mode}", mode},
                 {"{address}", address},
                 {"{role}", options->client ? "server" : "client"}};
    size_t used = 0;
    out[0] = '\0';
    for (const char *at = options->peer_command; *at;) {
        bool found = false;
        for (unsigned i = 0; i < 3 && !found; i++) {
            size_t length = strlen(words[i].word);
            if (strncmp(at, words[i].word, length) == 0) {
                put(out, size, &used, words[i].value, strlen(words[i].value));
                at += length;
                found = true;
            }
        }
        if (!found) {
            put(out, size, &used, at++, 1);
        }
    }
}

static bool start(struct peer *peer, const struct runner_options *options,
                  char error[CHANNEL_ERROR])
{
    char url[1500];
    char command[8192];
    channel_url(&peer->target, url, sizeof url);
    expand(options, peer->mode, url, command, sizeof command);
    int log = open(options->peer_log ? options->peer_log : "/dev/null",
                   O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0) {
        snprintf(error, CHANNEL_ERROR, "cannot write --peer-log %.150s",
                 options->peer_log);
        return false;
    }
    fflush(NULL);
    peer->starts++;
    peer->pid = fork();
    if (peer->pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
        dup2(nothing, 0);
        dup2(log, 1);
        dup2(log, 2);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(log);
    if (peer->pid < 0) {
        peer->pid = 0;
        snprintf(error, CHANNEL_ERROR, "cannot start the peer");
        return false;
    }
    setpgid(peer->pid, peer->pid);
    return true;
}

static void look(struct peer *peer)
{
    if (peer->pid && waitpid(peer->pid, &peer->status, WNOHANG) == peer->pid) {
        kill(-peer->pid, SIGTERM); /* what its shell may have left */
        peer->pid = 0;
        peer->ended = true;
    }
}

/* An address that nobody uses: a private directory, or a port that the kernel
 * chose. */
static bool prepare(struct peer *peer, const struct runner_options *options,
                    char error[CHANNEL_ERROR])
{
    peer->target = options->target;
    struct channel_target *target = &peer->target;
    if (target->scheme == CHANNEL_UNIX && target->host[0] == '\0') {
        snprintf(peer->directory, sizeof peer->directory,
                 "/tmp/yamuxspec.XXXXXX");
        if (!mkdtemp(peer->directory)) {
            peer->directory[0] = '\0';
            snprintf(error, CHANNEL_ERROR, "no directory in /tmp");
            return false;
        }
        snprintf(target->host, sizeof target->host, "%s/peer", peer->directory);
    }
    if (target->listens) {
        return channel_listen(target, error);
    }
    if (target->scheme != CHANNEL_UNIX && strcmp(target->port, "0") == 0) {
        if (!channel_listen(target, error)) {
            return false;
        }
        close(target->listener);
        target->listener = -1;
    }
    return true;
}

static bool wait_until_reached(struct peer *peer, char error[CHANNEL_ERROR])
{
    for (unsigned waited = 0; waited < READY_MS; waited += 20) {
        struct channel *channel = channel_open(&peer->target, READY_MS, error);
        if (channel) {
            channel_close(channel);
            return true;
        }
        look(peer);
        if (!peer->pid) {
            char how[128];
            peer_died(peer, 0, how, sizeof how);
            snprintf(error, CHANNEL_ERROR, "%s", how);
            return false;
        }
        nap(20);
    }
    return false;
}

bool peer_ready(struct peer *peer, const struct runner_options *options,
                const char *mode, char error[CHANNEL_ERROR])
{
    look(peer);
    if (peer->pid) {
        return true;
    }
    peer->ended = false;
    snprintf(peer->mode, sizeof peer->mode, "%s", mode);
    if (!peer->prepared) {
        if (!prepare(peer, options, error)) {
            return false;
        }
        peer->prepared = true;
    }
    if (peer->target.scheme == CHANNEL_UNIX && !peer->target.listens) {
        unlink(peer->target.host); /* left by one that died */
    }
    return start(peer, options, error) &&
           (peer->target.listens || wait_until_reached(peer, error));
}

void peer_again(struct peer *peer, const struct runner_options *options)
{
    char error[CHANNEL_ERROR];
    look(peer);
    if (!peer->pid && peer->starts < STARTS_MAX) {
        peer->ended = false;
        start(peer, options, error);
    }
}

bool peer_died(struct peer *peer, unsigned wait_ms, char *how, size_t size)
{
    look(peer);
    for (unsigned waited = 0; peer->pid && waited < wait_ms; waited += 10) {
        nap(10);
        look(peer);
    }
    if (!peer->ended) {
        return false;
    }
    peer->ended = false;
    if (WIFSIGNALED(peer->status)) {
        snprintf(how, size, "the peer's process was ended by signal %d (%s)",
                 WTERMSIG(peer->status), strsignal(WTERMSIG(peer->status)));
    } else {
        snprintf(how, size, "the peer's process ended with status %d",
                 WEXITSTATUS(peer->status));
    }
    return true;
}

void peer_end(struct peer *peer)
{
    look(peer);
    if (peer->pid) {
        kill(-peer->pid, SIGTERM);
        for (unsigned i = 0; i < 50 && peer->pid; i++) {
            nap(20);
            look(peer);
        }
        if (peer->pid) {
            kill(-peer->pid, SIGKILL);
            waitpid(peer->pid, NULL, 0);
        }
    }
    if (peer->prepared && peer->target.listens) {
        close(peer->target.listener);
    }
    if (peer->directory[0]) {
        unlink(peer->target.host);
        rmdir(peer->directory);
    }
    *peer = (struct peer){0};
}

int peer_innermost(pid_t pid)
{
    for (unsigned depth = 0; depth < 4; depth++) {
        char path[64];
        int child = 0;
        int second = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid,
                 (int)pid);
        FILE *file = fopen(path, "re");
        int found = file ? fscanf(file, "%d %d", &child, &second) : 0;
        if (file) {
            fclose(file);
        }
        if (found != 1) {
            break;
        }
        pid = child;
    }
    return (int)pid;
}
