/* load: a light client with exact figures.
 *
 *   load get|put|ask|hold ADDRESS [OPTION...]
 *
 *   get    takes zeros as fast as they come (origin.c sends them)
 *   put    gives zeros as fast as they go
 *   ask    small requests, each after the answer to the one before
 *   hold   one small request on each connection, says "held" when all have been
 *          answered, and keeps them until its input ends
 *
 *   --connections N   at once (1)
 *   --measured MS     milliseconds that count, after
 *   --warm-up MS      that do not (1000, 300)
 *   --each            a connection for each request
 *   --rate N          ask: requests a second of all connections together, each
 *                     timed from when it was due; else as many as go
 *   --path PATH       ask: what (/containers/json)
 *   --counters FILE   put: the origin's, to count what has arrived
 *   --watch PID       whose CPU to account, with its children's; repeat it
 *
 * SIGTERM ends the measured time early. Prints one line of JSON: what was done
 * in the measured time, exact percentiles of the latency, CPU seconds of the
 * watched processes and of this one as the kernel accounts them, and the
 * machine's.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "bench/tool.h"

#define CONNECTIONS_MAX 20000
#define WATCHED_MAX 1024
#define HEAD_MAX 4096
#define PIECE (256u * 1024u)
#define TURN (1024u * 1024u)
#define SAMPLES_MAX (8u * 1024u * 1024u)
#define DEPTH_MAX 3 /* generations of a watched process */
#define HELD_AT_ONCE 32
#define HOLD_NS_MAX (60ull * SECOND)
#define SECOND 1000000000u

enum job { JOB_GET, JOB_PUT, JOB_ASK, JOB_HOLD };

struct conn {
    int fd; /* -1: between two */
    bool waits_for_room;
    bool is_asking;
    bool is_over;     /* --each: answered, the end is awaited */
    uint64_t due_ns;  /* --rate: when the next request is */
    uint64_t from_ns; /* when the present request was due or begun */
    size_t sent;      /* of the request */
    size_t head_length;
    char head[HEAD_MAX];
    uint64_t body; /* bytes of the answer's body still to come */
};

struct account { /* at one moment */
    uint64_t at_ns, watched_ns[WATCHED_MAX], own_ns;
    uint64_t busy_ticks, stolen_ticks;
    uint64_t bytes, requests;
};

static struct {
    enum job job;
    struct socket_address address;
    size_t connections;
    uint64_t measured_ns, warm_up_ns, interval_ns;
    bool each;
    const char *path;
    struct tool_counters *counters;
    pid_t watched[WATCHED_MAX];
    size_t watched_count;
} options = {.connections = 1,
             .measured_ns = SECOND,
             .warm_up_ns = SECOND * 3 / 10,
             .path = "/containers/json"};

static int epoll;
static struct conn *conns;
static char request[HEAD_MAX];
static size_t request_length;
static uint64_t *samples;
static size_t sample_count;
static bool is_measuring;
static volatile sig_atomic_t is_stopped;
static uint64_t bytes_done, requests_done;
static const char zeros[PIECE];
static char waste[PIECE];

static void watch(struct conn *conn, int operation, uint32_t events)
{
    tool_watch(epoll, operation, conn->fd, events, conn);
}

static void open_conn(struct conn *conn)
{
    conn->fd = tool_connect(&options.address);
    conn->head_length = 0;
    conn->is_over = false;
    conn->waits_for_room = true;
    watch(conn, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void want_room(struct conn *conn, bool wanted)
{
    if (wanted != conn->waits_for_room) {
        conn->waits_for_room = wanted;
        watch(conn, EPOLL_CTL_MOD, EPOLLIN | (wanted ? EPOLLOUT : 0u));
    }
}

static void close_conn(struct conn *conn)
{
    close(conn->fd);
    conn->fd = -1;
}

/* A figure of a run in which a connection was lost would mean nothing. */
static _Noreturn void die_early(void)
{
    errno = errno != 0 ? errno : ECONNABORTED;
    tool_die("a connection ended early");
}

static void send_request(struct conn *conn)
{
    while (conn->sent < request_length) {
        ssize_t length = send(conn->fd, request + conn->sent,
                              request_length - conn->sent, MSG_NOSIGNAL);
        if (length < 0 && errno != EAGAIN) {
            die_early();
        } else if (length < 0) {
            want_room(conn, true);
            return;
        }
        conn->sent += (size_t)length;
    }
    want_room(conn, options.job == JOB_PUT);
}

static void ask(struct conn *conn, uint64_t from_ns)
{
    conn->is_asking = true;
    conn->from_ns = from_ns;
    conn->sent = 0;
    conn->head_length = 0;
    if (conn->fd < 0) {
        open_conn(conn);
    } else {
        send_request(conn);
    }
}

/* The next request of an idle connection, if its time has come. */
static void ask_if_due(struct conn *conn, uint64_t now)
{
    if (conn->is_asking || conn->is_over || now < conn->due_ns) {
        return;
    }
    if (options.interval_ns == 0) {
        ask(conn, now);
    } else {
        ask(conn, conn->due_ns);
        conn->due_ns += options.interval_ns;
    }
}

static void answered(struct conn *conn)
{
    uint64_t now = tool_now_ns();

    if (is_measuring && sample_count < SAMPLES_MAX) {
        samples[sample_count++] = now - conn->from_ns;
    }
    requests_done++;
    conn->is_asking = false;
    conn->is_over = options.each;
    if (options.job == JOB_HOLD) {
        conn->due_ns = UINT64_MAX;
    } else if (options.interval_ns == 0) {
        conn->due_ns = now;
    }
    ask_if_due(conn, now);
}

/* Takes the head of an answer, byte by byte as it comes, then its body. */
static void take_answer(struct conn *conn, const char *bytes, size_t length)
{
    while (length > 0 && conn->is_asking) {
        if (conn->body > 0) {
            size_t part = length < conn->body ? length : (size_t)conn->body;
            bytes += part;
            length -= part;
            conn->body -= part;
        } else {
            conn->head[conn->head_length++] = *bytes++;
            length--;
            conn->head[conn->head_length] = '\0';
            if (conn->head_length + 1 == HEAD_MAX) {
                errno = EMSGSIZE;
                tool_die("the head of an answer");
            }
            if (conn->head_length < 4 ||
                memcmp(conn->head + conn->head_length - 4, "\r\n\r\n", 4) !=
                    0) {
                continue;
            }
            const char *field = strcasestr(conn->head, "\r\nContent-Length:");
            if (strncmp(conn->head, "HTTP/1.1 200 ", 13) != 0 ||
                field == NULL) {
                errno = EPROTO;
                tool_die(conn->head);
            }
            conn->body = strtoull(field + 17, NULL, 10);
        }
        if (conn->body == 0) {
            answered(conn);
        }
    }
}

static void receive_answer(struct conn *conn)
{
    char bytes[16384];
    ssize_t length = recv(conn->fd, bytes, sizeof bytes, 0);

    if (length > 0) {
        take_answer(conn, bytes, (size_t)length);
    } else if (length < 0 && errno == EAGAIN) {
        return;
    } else if (conn->is_over) {
        close_conn(conn);
        conn->is_over = false;
        ask_if_due(conn, tool_now_ns());
    } else {
        errno = length == 0 ? 0 : errno;
        die_early();
    }
}

static void receive_bulk(struct conn *conn)
{
    bool is_tcp = options.address.storage.ss_family != AF_UNIX;

    for (size_t done = 0; done < TURN;) {
        /* TCP lets bytes be thrown away without copying them. */
        ssize_t length = recv(conn->fd, waste, PIECE, is_tcp ? MSG_TRUNC : 0);
        if (length <= 0) {
            if (length == 0 || errno != EAGAIN) {
                errno = length == 0 ? 0 : errno;
                die_early();
            }
            return;
        }
        bytes_done += (uint64_t)length;
        done += (size_t)length;
    }
}

static void send_bulk(struct conn *conn)
{
    for (size_t done = 0; done < TURN;) {
        ssize_t length = send(conn->fd, zeros, PIECE, MSG_NOSIGNAL);
        if (length < 0) {
            if (errno != EAGAIN) {
                die_early();
            }
            return;
        }
        bytes_done += (uint64_t)length;
        done += (size_t)length;
    }
}

static void ready(struct conn *conn, uint32_t events)
{
    if ((events & EPOLLOUT) != 0 && conn->is_asking &&
        conn->sent < request_length) {
        send_request(conn);
    }
    if ((events & EPOLLOUT) != 0 && options.job == JOB_PUT &&
        conn->sent == request_length) {
        send_bulk(conn);
    } else if ((events & EPOLLOUT) != 0 && !conn->is_asking) {
        want_room(conn, false);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
        return;
    }
    if (options.job == JOB_GET) {
        receive_bulk(conn);
    } else {
        receive_answer(conn);
    }
}

/* ---- figures ------------------------------------------------------------- */

static void read_machine(struct account *account)
{
    uint64_t tick[8] = {0}; /* user nice system idle iowait irq softirq steal */
    FILE *file = fopen("/proc/stat", "re");

    if (file == NULL ||
        fscanf(file,
               "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &tick[0], &tick[1], &tick[2], &tick[3], &tick[4], &tick[5],
               &tick[6], &tick[7]) != 8) {
        tool_die("/proc/stat");
    }
    fclose(file);
    account->busy_ticks = tick[0] + tick[1] + tick[2] + tick[5] + tick[6];
    account->stolen_ticks = tick[7];
}

/* CPU of a process and of its children: some relays fork for each
 * connection. A child that has gone by now counts for nothing. */
static uint64_t family_ns(pid_t pid, unsigned depth)
{
    char path[64];
    clockid_t clock;
    struct timespec spent;
    int child;

    if (clock_getcpuclockid(pid, &clock) != 0 ||
        clock_gettime(clock, &spent) != 0) {
        return 0;
    }
    uint64_t sum = (uint64_t)spent.tv_sec * SECOND + (uint64_t)spent.tv_nsec;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = depth > 0 ? fopen(path, "re") : NULL;
    while (file != NULL && fscanf(file, "%d", &child) == 1) {
        sum += family_ns(child, depth - 1);
    }
    if (file != NULL) {
        fclose(file);
    }
    return sum;
}

static void take_account(struct account *account)
{
    for (size_t i = 0; i < options.watched_count; i++) {
        if (kill(options.watched[i], 0) != 0) {
            tool_die("a watched process");
        }
        account->watched_ns[i] = family_ns(options.watched[i], DEPTH_MAX);
    }
    account->own_ns = family_ns(getpid(), 0);
    read_machine(account);
    account->bytes =
        options.counters != NULL ? options.counters->received : bytes_done;
    account->requests = requests_done;
    account->at_ns = tool_now_ns();
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The smallest sample that at least this share (of 1,000) does not exceed. */
static double percentile_us(size_t share)
{
    if (sample_count == 0) {
        return 0;
    }
    size_t rank = (sample_count * share + 999) / 1000;
    return (double)samples[rank > 0 ? rank - 1 : 0] / 1000;
}

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / SECOND;
}

static void print_figures(const struct account *from, const struct account *to)
{
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);

    qsort(samples, sample_count, sizeof *samples, compare);
    printf("{\"seconds\": %.6f, \"bytes\": %" PRIu64 ", \"requests\": %" PRIu64
           ", ",
           seconds(from->at_ns, to->at_ns), to->bytes - from->bytes,
           to->requests - from->requests);
    printf("\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
           "\"p999_us\": %.1f, \"max_us\": %.1f, ",
           percentile_us(500), percentile_us(900), percentile_us(990),
           percentile_us(999), percentile_us(1000));
    printf("\"own_cpu_s\": %.6f, \"busy_s\": %.2f, \"stolen_s\": %.2f, "
           "\"cpu_s\": {",
           seconds(from->own_ns, to->own_ns),
           tick * (double)(to->busy_ticks - from->busy_ticks),
           tick * (double)(to->stolen_ticks - from->stolen_ticks));
    for (size_t i = 0; i < options.watched_count; i++) {
        printf("%s\"%d\": %.6f", i > 0 ? ", " : "", (int)options.watched[i],
               seconds(from->watched_ns[i], to->watched_ns[i]));
    }
    printf("}}\n");
}

/* ---- the run ------------------------------------------------------------- */

static void prepare(const char *path)
{
    int length = 0;

    switch (options.job) {
    case JOB_GET:
        length = snprintf(request, sizeof request,
                          "GET /events?bytes=%llu HTTP/1.1\r\nHost: docker\r\n"
                          "\r\n",
                          1ull << 50);
        break;
    case JOB_PUT:
        length = snprintf(request, sizeof request,
                          "POST /build HTTP/1.1\r\nHost: docker\r\n"
                          "Content-Type: application/x-tar\r\n"
                          "Content-Length: %llu\r\n\r\n",
                          1ull << 50);
        break;
    case JOB_ASK:
    case JOB_HOLD:
        length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: docker\r\n%s\r\n", path,
                          options.each ? "Connection: close\r\n" : "");
        break;
    }
    request_length = (size_t)length;
    conns = calloc(options.connections, sizeof *conns);
    samples = calloc(SAMPLES_MAX, sizeof *samples);
    if (conns == NULL || samples == NULL || request_length >= sizeof request) {
        tool_die("memory");
    }
}

/* When the next paced request is due, or the end of the phase. */
static uint64_t next_due(uint64_t end)
{
    for (size_t i = 0; i < options.connections; i++) {
        const struct conn *conn = &conns[i];
        if (options.job == JOB_ASK && !conn->is_asking && !conn->is_over &&
            conn->due_ns < end) {
            end = conn->due_ns;
        }
    }
    return end;
}

static void start_due(void)
{
    uint64_t now = tool_now_ns();

    for (size_t i = 0; i < options.connections; i++) {
        struct conn *conn = &conns[i];
        if (options.job == JOB_ASK) {
            ask_if_due(conn, now);
        } else if (conn->fd < 0) {
            ask(conn, now);
        }
    }
}

static void run_until(uint64_t end)
{
    for (;;) {
        uint64_t now = tool_now_ns();
        if (now >= end || is_stopped) {
            return;
        }
        start_due();
        uint64_t due = next_due(end);
        uint64_t wait = due > now ? due - now : 0;
        struct timespec timeout = {.tv_sec = (time_t)(wait / SECOND),
                                   .tv_nsec = (long)(wait % SECOND)};
        struct epoll_event events[64];
        int count = epoll_pwait2(epoll, events, 64, &timeout, NULL);
        for (int i = 0; i < count; i++) {
            ready(events[i].data.ptr, events[i].events);
        }
    }
}

/* A few at one time, since a server bounds what is not answered yet. */
static void hold(void)
{
    uint64_t end = tool_now_ns() + HOLD_NS_MAX;
    char byte;

    for (size_t begun = 0; requests_done < options.connections;) {
        if (tool_now_ns() > end) {
            errno = ETIMEDOUT;
            tool_die("not every connection was answered");
        }
        while (begun < options.connections &&
               begun - requests_done < HELD_AT_ONCE) {
            conns[begun].fd = -1;
            ask(&conns[begun++], 0);
        }
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, 1000);
        for (int i = 0; i < count; i++) {
            ready(events[i].data.ptr, events[i].events);
        }
    }
    printf("held\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

static void stop(int number)
{
    (void)number;
    is_stopped = 1;
}

static void measure(void)
{
    struct account from = {0}, to = {0};
    uint64_t begun = tool_now_ns();

    (void)signal(SIGTERM, stop);
    for (size_t i = 0; i < options.connections; i++) {
        conns[i].fd = -1;
        conns[i].due_ns = begun + options.interval_ns * i / options.connections;
    }
    run_until(begun + options.warm_up_ns);
    is_measuring = true;
    take_account(&from);
    run_until(from.at_ns + options.measured_ns);
    take_account(&to);
    print_figures(&from, &to);
}

static enum job read_job(const char *name)
{
    static const char *const names[] = {"get", "put", "ask", "hold"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            return (enum job)i;
        }
    }
    errno = EINVAL;
    tool_die(name);
}

static void read_options(int argc, char **argv)
{
    static const struct option flags[] = {
        {"connections", required_argument, NULL, 'c'},
        {"measured", required_argument, NULL, 's'},
        {"warm-up", required_argument, NULL, 'w'},
        {"each", no_argument, NULL, 'e'},
        {"rate", required_argument, NULL, 'r'},
        {"path", required_argument, NULL, 'p'},
        {"counters", required_argument, NULL, 'o'},
        {"watch", required_argument, NULL, 'i'},
        {0}};
    uint64_t rate = 0;
    int flag;

    while ((flag = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (flag == 'c') {
            options.connections =
                (size_t)tool_number(optarg, 1, CONNECTIONS_MAX);
        } else if (flag == 's') {
            options.measured_ns = tool_number(optarg, 1, 3600000) * 1000000u;
        } else if (flag == 'w') {
            options.warm_up_ns = tool_number(optarg, 0, 3600000) * 1000000u;
        } else if (flag == 'e') {
            options.each = true;
        } else if (flag == 'r') {
            rate = tool_number(optarg, 1, 1000000);
        } else if (flag == 'p') {
            options.path = optarg;
        } else if (flag == 'o') {
            options.counters = tool_map(optarg, sizeof *options.counters);
        } else if (flag == 'i' && options.watched_count < WATCHED_MAX) {
            options.watched[options.watched_count++] =
                (pid_t)tool_number(optarg, 1, 1u << 30);
        } else {
            exit(2);
        }
    }
    if (rate > 0) {
        options.interval_ns = SECOND * options.connections / rate;
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: load get|put|ask|hold ADDRESS [OPTION...]\n");
        return 2;
    }
    options.job = read_job(argv[1]);
    options.address = tool_address(argv[2]);
    read_options(argc - 2, argv + 2);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    prepare(options.path);
    if (options.job == JOB_HOLD) {
        hold();
    } else {
        measure();
    }
    return 0;
}
