#include "conformance/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance/case_internal.h"
#include "conformance/peer.h"
#include "conformance/session_internal.h"

#define LIMIT_MS 30000u      /* of a case that sets none */
#define REACH_MS 10000u      /* for the first connection */
#define LOST_IN_A_ROW_MAX 5u /* cases without a connection, then we stop */
#define DEATH_MS                                                               \
    100u               /* a failed case may be the peer's last: time to see it \
                        */
#define GRACE_PART 12u /* grace is this part of T */

static const char *const mode_names[SPEC_MODES] = {
    "any", "echo", "sink", "hold", "noaccept", "source", "opener", "app"};

static volatile sig_atomic_t stopped;

struct slot {  /* one job */
    pid_t pid; /* of the case's process; 0: idle */
    int fd;
    struct result *result;
    struct peer *peer;
    uint64_t begun_ms;
    uint64_t deadline_ms;
    bool ended; /* a verdict has come */
    bool unreachable;
    char line[2048];
    size_t length;
};

struct run {
    const struct runner_options *options;
    struct report *report;
    struct slot slots[RUNNER_JOBS_MAX];
    struct peer peers[RUNNER_JOBS_MAX][SPEC_MODES];
    bool reached;
    unsigned lost_in_a_row;
    unsigned next;
    unsigned finished;
    char *error;
};

const char *runner_mode_name(enum spec_mode mode)
{
    return mode_names[mode];
}

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

/* A case that needs no stream of ours, or has its own way to ask, is as ever.
 */
static bool is_mirrored(const struct runner_options *options,
                        const struct spec_case *row)
{
    return options->mirrors && row->mode != SPEC_ANY &&
           row->mode != SPEC_OPENER;
}

/* ---- in the case's process ---- */

static _Noreturn void play(const struct runner_options *options,
                           const struct spec_case *row,
                           struct channel_target *target, int peer_pid,
                           bool reached)
{
    struct session session = {
        .target = target,
        .client = options->client,
        .slow = options->slow,
        .seed = session_hash(options->seed, row->id, strlen(row->id)),
        .peer_pid = peer_pid,
        .cuts = options->cuts,
        .timeout_ms = options->timeout_ms,
        .preface = options->preface,
        .preface_length = options->preface_length,
        .control = options->control,
        .mirror = is_mirrored(options, row) ? mode_names[row->mode] : NULL,
        .grace_ms = options->timeout_ms / GRACE_PART,
        .answers_pings = true};
    char error[CHANNEL_ERROR] = "";
    session.books = session_books_make();
    session.channel = channel_open(
        target, reached ? options->timeout_ms + 2000 : REACH_MS, error);
    if (!session.channel) {
        session.closed = true;
        case_record(CASE_UNREACHABLE, error);
        case_end(&session);
    }
    case_record(CASE_REACHED, "");
    row->run(&session);
    case_record(CASE_PASS, "");
    case_end(&session);
}

/* ---- in the runner ---- */

static enum spec_mode mode_of(const struct runner_options *options,
                              const struct spec_case *row)
{
    if (row->mode != SPEC_ANY) {
        return row->mode;
    }
    for (unsigned mode = SPEC_ECHO; mode < SPEC_MODES; mode++) {
        if (options->modes & 1u << mode) {
            return (enum spec_mode)mode;
        }
    }
    return SPEC_ANY;
}

static void set_reason(struct result *result, enum verdict verdict,
                       const char *reason)
{
    result->verdict = verdict;
    free(result->reason);
    result->reason = strdup(reason);
}

static const char *reason_to_skip(const struct runner_options *options,
                                  const struct spec_case *row)
{
    static char reason[64];
    if (row->mode != SPEC_ANY && !(options->modes & 1u << row->mode)) {
        snprintf(reason, sizeof reason, "the peer has no mode %s",
                 mode_names[row->mode]);
        return reason;
    }
    if (row->flags & SPEC_WEBSOCKET && options->target.scheme < CHANNEL_WS) {
        return "only over ws:// and wss://";
    }
    /* group O is about nothing else */
    if (is_mirrored(options, row) &&
        (row->flags & SPEC_OPENS || row->id[0] == 'O')) {
        return "about a stream that we open; the peer takes none";
    }
    if (row->flags & SPEC_SLOW && !options->slow) {
        return "slow; runs with --slow";
    }
    return NULL;
}

static void finish_case(struct run *run, struct slot *slot)
{
    struct result *result = slot->result;
    result->ms = (unsigned)(session_now_ms() - slot->begun_ms);
    result->done = true;
    if (result->verdict == VERDICT_PASS) {
        for (unsigned i = 0; i < result->remark_count; i++) {
            if (result->remarks[i].kind == REMARK_WARNING) {
                result->verdict = VERDICT_WARN;
            }
        }
    }
    run->finished++;
    if (run->options->lines &&
        (run->reached || result->verdict == VERDICT_SKIP)) {
        report_line(result, run->options->colours, stdout);
        fflush(stdout);
    }
}

/* A peer that died after its last case had ended: that one did it. */
static void blame_last(struct run *run, struct peer *peer)
{
    char reason[160];
    struct result *last = peer->last;
    if (!last || peer->target.listens ||
        !peer_died(peer, 0, reason, sizeof reason)) {
        return;
    }
    set_reason(last, VERDICT_FAIL, reason);
    if (run->options->lines) {
        report_line(last, run->options->colours, stdout);
    }
}

static void start_case(struct run *run, struct slot *slot, unsigned job)
{
    const struct runner_options *options = run->options;
    struct result *result = &run->report->results[run->next++];
    char error[CHANNEL_ERROR];
    slot->result = result;
    slot->begun_ms = session_now_ms();
    const char *skip = reason_to_skip(options, result->row);
    if (skip) {
        set_reason(result, VERDICT_SKIP, skip);
        finish_case(run, slot);
        return;
    }
    struct channel_target target = options->target;
    int peer_pid = options->peer_pid;
    slot->peer = NULL;
    if (options->peer_command) {
        enum spec_mode mode = mode_of(options, result->row);
        slot->peer = &run->peers[job][mode];
        blame_last(run, slot->peer);
        if (!peer_ready(slot->peer, options, mode_names[mode], error)) {
            set_reason(result, VERDICT_FAIL, error);
            snprintf(run->error, CHANNEL_ERROR, "%s", error);
            run->lost_in_a_row++;
            finish_case(run, slot);
            return;
        }
        slot->peer->last = result;
        target = slot->peer->target;
        peer_pid = peer_innermost(slot->peer->pid);
    }
    int ends[2];
    if (pipe(ends) != 0) {
        abort();
    }
    fflush(NULL);
    slot->pid = fork();
    if (slot->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_DFL);
        case_attach(ends[1]);
        play(options, result->row, &target, peer_pid, run->reached);
    }
    close(ends[1]);
    unsigned limit = result->row->limit_ms ? result->row->limit_ms : LIMIT_MS;
    slot->fd = ends[0];
    slot->ended = false;
    slot->unreachable = false;
    slot->length = 0;
    slot->deadline_ms = slot->begun_ms + limit + (run->reached ? 0 : REACH_MS);
    if (options->progress) {
        fprintf(stderr, "\r\033[K%u/%u %s %s", run->finished + 1,
                run->report->count, result->row->id, result->row->title);
    }
}

static void take_line(struct run *run, struct slot *slot, const char *line)
{
    struct result *result = slot->result;
    const char *text = line + 1;
    switch ((enum case_kind)line[0]) {
    case CASE_PASS:
        result->verdict = VERDICT_PASS;
        slot->ended = true;
        break;
    case CASE_FAIL:
        set_reason(result, VERDICT_FAIL, text);
        slot->ended = true;
        break;
    case CASE_HUNG:
        set_reason(result, VERDICT_HUNG, text);
        slot->ended = true;
        break;
    case CASE_SKIP:
        set_reason(result, VERDICT_SKIP, text);
        slot->ended = true;
        break;
    case CASE_UNREACHABLE:
        set_reason(result, VERDICT_FAIL, text);
        snprintf(run->error, CHANNEL_ERROR, "%s", text);
        slot->ended = true;
        slot->unreachable = true;
        run->lost_in_a_row++;
        break;
    case CASE_REACHED:
        run->reached = true;
        run->lost_in_a_row = 0;
        break;
    case CASE_WARNING:
        report_remark(result, REMARK_WARNING, text);
        break;
    case CASE_CHOICE:
        report_remark(result, REMARK_CHOICE, text);
        break;
    case CASE_NOTE:
        report_remark(result, REMARK_NOTE, text);
        break;
    case CASE_TRACE:
        report_remark(result, REMARK_TRACE, text);
        break;
    }
}

static void end_slot(struct run *run, struct slot *slot)
{
    int status = 0;
    char reason[160];
    kill(slot->pid, SIGKILL);
    waitpid(slot->pid, &status, 0);
    close(slot->fd);
    slot->pid = 0;
    if (!slot->ended) {
        snprintf(reason, sizeof reason,
                 "yamuxspec's own process ended without a verdict (status %d)",
                 status);
        set_reason(slot->result, VERDICT_FAIL, reason);
    }
    if (slot->peer && !slot->peer->target.listens &&
        peer_died(slot->peer,
                  slot->result->verdict == VERDICT_FAIL ? DEATH_MS : 0, reason,
                  sizeof reason)) {
        set_reason(slot->result, VERDICT_FAIL, reason);
    }
    finish_case(run, slot);
}

static void read_slot(struct run *run, struct slot *slot)
{
    char bytes[2048];
    ssize_t count = read(slot->fd, bytes, sizeof bytes);
    if (count <= 0) {
        end_slot(run, slot);
        return;
    }
    for (ssize_t i = 0; i < count; i++) {
        if (bytes[i] == '\n') {
            slot->line[slot->length] = '\0';
            take_line(run, slot, slot->line);
            slot->length = 0;
        } else if (slot->length < sizeof slot->line - 1) {
            slot->line[slot->length++] = bytes[i];
        }
    }
}

static void check_limits(struct run *run, struct slot *slot)
{
    char reason[160];
    if (slot->peer && slot->peer->target.listens) {
        peer_again(slot->peer, run->options);
    }
    if (session_now_ms() < slot->deadline_ms) {
        return;
    }
    snprintf(reason, sizeof reason, "no verdict within the case's time, %u ms",
             (unsigned)(session_now_ms() - slot->begun_ms));
    set_reason(slot->result, VERDICT_HUNG, reason);
    slot->ended = true;
    end_slot(run, slot);
}

static bool gives_up(const struct run *run)
{
    return stopped || (run->lost_in_a_row && !run->reached) ||
           run->lost_in_a_row >= LOST_IN_A_ROW_MAX;
}

static void wait_for_slots(struct run *run)
{
    struct pollfd fds[RUNNER_JOBS_MAX];
    struct slot *owners[RUNNER_JOBS_MAX];
    nfds_t count = 0;
    for (unsigned job = 0; job < run->options->jobs; job++) {
        if (run->slots[job].pid) {
            owners[count] = &run->slots[job];
            fds[count++] =
                (struct pollfd){.fd = run->slots[job].fd, .events = POLLIN};
        }
    }
    if (poll(fds, count, 50) < 0) {
        return;
    }
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].revents) {
            read_slot(run, owners[i]);
        } else {
            check_limits(run, owners[i]);
        }
    }
}

static unsigned busy(const struct run *run)
{
    unsigned count = 0;
    for (unsigned job = 0; job < run->options->jobs; job++) {
        count += run->slots[job].pid != 0;
    }
    return count;
}

static void run_all(struct run *run)
{
    unsigned jobs = run->options->jobs;
    /* the first connection alone, so that an absent peer is said once */
    while (!stopped &&
           (busy(run) || (run->next < run->report->count && !gives_up(run)))) {
        for (unsigned job = 0; job < jobs && !gives_up(run); job++) {
            struct slot *slot = &run->slots[job];
            while (!slot->pid && run->next < run->report->count &&
                   (run->reached || !busy(run)) && !gives_up(run)) {
                start_case(run, slot, job);
            }
        }
        if (busy(run)) {
            wait_for_slots(run);
        }
    }
}

enum runner_end runner_run(const struct runner_options *options,
                           struct report *report, char error[CHANNEL_ERROR])
{
    struct run run = {.options = options, .report = report, .error = error};
    struct sigaction action = {.sa_handler = on_signal};
    uint64_t begun = session_now_ms();
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    *error = '\0';
    run_all(&run);
    for (unsigned job = 0; job < options->jobs; job++) {
        if (run.slots[job].pid) {
            kill(run.slots[job].pid, SIGKILL);
            waitpid(run.slots[job].pid, NULL, 0);
            close(run.slots[job].fd);
        }
        for (unsigned mode = 0; mode < SPEC_MODES; mode++) {
            blame_last(&run, &run.peers[job][mode]);
            peer_end(&run.peers[job][mode]);
        }
    }
    if (options->progress) {
        fprintf(stderr, "\r\033[K");
    }
    for (unsigned i = 0; i < report->count; i++) {
        if (!report->results[i].done) {
            set_reason(&report->results[i], VERDICT_FAIL,
                       stopped ? "not run: stopped"
                               : "not run: the peer is gone");
        }
    }
    report->ms = (unsigned)(session_now_ms() - begun);
    if (stopped) {
        return RUNNER_STOPPED;
    }
    return !run.reached && *error ? RUNNER_UNREACHABLE : RUNNER_DONE;
}
