/* orthrus-sim: worlds by the thousand, one seed each. The one file of sim/ that
 * knows the machine: processes, time, limits, a terminal. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/mutant.h"
#include "sim/plan.h"
#include "sim/shrink.h"
#include "sim/sim.h"
#include "sim/world.h"

#define JOBS_MAX 64u
#define FAILURES_MAX 64u       /* that are named; all are counted */
#define SEED_SECONDS 120       /* of processor time: more is a hang; */
#define SEED_SECONDS_MUTANT 20 /* a core with a known bug often does */
#define MEMORY_BYTES (UINT64_C(3) << 30)
#define SHRINK_RUNS 2000u
#define PLAN_FILE_MAX (8u << 20)

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct options {
    uint64_t seed, count, seconds;
    uint32_t jobs;
    bool trace, hash, print_plan, shrink, quiet;
    bool many; /* --count or --seconds */
    const char *plan;
    const char *mutant;
};

/* What a worker adds to, in memory that it shares with its parent. */
struct totals {
    uint64_t seeds, failures, digest, virtual_us, steps;
    uint64_t requests, requests_failed, bytes;
    struct sim_tally tally;
};

struct worker {
    pid_t pid;
    bool busy;
    uint64_t seed;
    struct totals totals;
};

struct finding {
    uint64_t seed;
    struct sim_failure failure;
};

struct board {          /* shared by all */
    uint64_t next, end; /* seeds */
    bool stop;
    uint32_t finding_count;
    struct finding findings[FAILURES_MAX];
    struct worker workers[JOBS_MAX];
};

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- one world ----------------------------------------------------------- */

static void print_line(void *user, const char *text)
{
    (void)user;
    fputs(text, stdout);
}

static void print_reproduction(const struct options *options, uint64_t seed)
{
    if (options->plan != NULL) {
        printf("orthrus-sim%s%s --plan %s\n",
               options->mutant != NULL ? "-mutants --mutant " : "",
               options->mutant != NULL ? options->mutant : "", options->plan);
        return;
    }
    printf("orthrus-sim%s%s --seed %" PRIu64 "\n",
           options->mutant != NULL ? "-mutants --mutant " : "",
           options->mutant != NULL ? options->mutant : "", seed);
}

static void print_failure(const struct sim_failure *failure)
{
    printf("%s: %s\n  at %" PRIu64 ".%03" PRIu64 " ms, step %" PRIu64 "\n",
           failure->oracle, failure->message, failure->at_us / SIM_MS,
           failure->at_us % SIM_MS, failure->step);
}

/* One world, told at length if it fails. */
static int run_one(const struct options *options, const struct plan *plan)
{
    const struct world_watch watch = {
        .prints = options->trace,
        .line = options->trace ? NULL : print_line,
    };
    struct world_result result;
    struct sim_failure failure;
    uint64_t begun = clock_ns();

    if (!world_run(plan, &watch, &result, &failure)) {
        printf("not ok: ");
        print_reproduction(options, plan->seed);
        print_failure(&failure);
        return EXIT_FAILED;
    }
    if (options->hash) {
        printf("%016" PRIx64 "\n", result.hash);
        return EXIT_SUCCESS;
    }
    printf("ok: seed %" PRIu64 ", %" PRIu64 " virtual s, %" PRIu64
           " steps, %" PRIu64 " requests, %" PRIu64 " bytes, %" PRIu64
           " ms, hash %016" PRIx64 "\n",
           plan->seed, result.virtual_us / SIM_S, result.steps, result.requests,
           result.bytes, (clock_ns() - begun) / 1000000, result.hash);
    return EXIT_SUCCESS;
}

/* A sanitizer reserves address space by the terabyte. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define IS_SANITIZED
#endif
#endif

static void limit_memory(void)
{
#ifndef IS_SANITIZED
    struct rlimit limit = {.rlim_cur = MEMORY_BYTES, .rlim_max = MEMORY_BYTES};

    (void)setrlimit(RLIMIT_AS, &limit);
#endif
}

static int seed_seconds(void)
{
    return core_mutant != 0 ? SEED_SECONDS_MUTANT : SEED_SECONDS;
}

static void limit_seconds(int more)
{
    struct rusage used;
    struct rlimit limit = {.rlim_max = RLIM_INFINITY};

    getrusage(RUSAGE_SELF, &used);
    limit.rlim_cur =
        (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec + more);
    (void)setrlimit(RLIMIT_CPU, &limit);
}

/* ---- many worlds --------------------------------------------------------- */

static void note(struct board *board, uint64_t seed,
                 const struct sim_failure *failure)
{
    uint32_t place =
        __atomic_fetch_add(&board->finding_count, 1, __ATOMIC_SEQ_CST);

    if (place < FAILURES_MAX) {
        board->findings[place] =
            (struct finding){.seed = seed, .failure = *failure};
    }
}

static void add_tally(struct sim_tally *to, const struct sim_tally *tally)
{
    for (size_t i = 0; i < FAULTS; i++) {
        for (size_t j = 0; j < FAULT_STATES; j++) {
            to->faults[i][j] += tally->faults[i][j];
        }
    }
    for (size_t i = 0; i < METS; i++) {
        to->met[i] += tally->met[i];
    }
}

/* The order of seeds does not matter to the sum of this. */
static uint64_t digest_of(uint64_t seed, uint64_t hash)
{
    struct chance chance = chance_of(seed, "digest", hash);

    return chance_next(&chance);
}

static void add_result(struct totals *totals, uint64_t seed,
                       const struct world_result *result)
{
    totals->seeds++;
    totals->digest += digest_of(seed, result->hash);
    totals->virtual_us += result->virtual_us;
    totals->steps += result->steps;
    totals->requests += result->requests;
    totals->requests_failed += result->requests_failed;
    totals->bytes += result->bytes;
    add_tally(&totals->tally, &result->tally);
}

static void work(struct board *board, struct worker *worker)
{
    while (!__atomic_load_n(&board->stop, __ATOMIC_SEQ_CST)) {
        uint64_t seed = __atomic_fetch_add(&board->next, 1, __ATOMIC_SEQ_CST);
        struct plan plan;
        struct world_result result;
        struct sim_failure failure;
        if (seed >= board->end) {
            break;
        }
        worker->seed = seed;
        worker->busy = true;
        limit_seconds(seed_seconds());
        plan_draw(&plan, seed);
        if (!world_run(&plan, NULL, &result, &failure)) {
            worker->totals.failures++;
            note(board, seed, &failure);
        }
        plan_free(&plan);
        add_result(&worker->totals, seed, &result);
        worker->busy = false;
    }
}

static void spawn(struct board *board, struct worker *worker)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        work(board, worker);
        _exit(EXIT_SUCCESS);
    }
    if (pid < 0) {
        fprintf(stderr, "orthrus-sim: no process for a worker: %s\n",
                strerror(errno));
        return;
    }
    worker->pid = pid; /* by the parent alone: the memory is shared */
}

/* A worker has ended; true: it died over a seed, and another takes over. */
static bool bury(struct board *board, struct worker *worker, int status)
{
    struct sim_failure failure = {.oracle = "crash"};

    worker->pid = 0;
    if (!worker->busy) {
        return false;
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) {
        snprintf(failure.oracle, sizeof failure.oracle, "hang");
        snprintf(failure.message, sizeof failure.message,
                 "no end after %d s of processor time", seed_seconds());
    } else {
        snprintf(failure.message, sizeof failure.message,
                 "the process died of %s %d",
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    note(board, worker->seed, &failure);
    worker->totals.failures++;
    worker->totals.seeds++;
    worker->busy = false;
    return true;
}

static void sum_up(const struct board *board, struct totals *totals)
{
    memset(totals, 0, sizeof *totals);
    for (size_t i = 0; i < JOBS_MAX; i++) {
        const struct totals *one = &board->workers[i].totals;
        totals->seeds += one->seeds;
        totals->failures += one->failures;
        totals->digest += one->digest;
        totals->virtual_us += one->virtual_us;
        totals->steps += one->steps;
        totals->requests += one->requests;
        totals->requests_failed += one->requests_failed;
        totals->bytes += one->bytes;
        add_tally(&totals->tally, &one->tally);
    }
}

/* ---- reports ------------------------------------------------------------- */

static void print_progress(const struct board *board, uint64_t begun)
{
    struct totals totals;
    uint64_t seconds = (clock_ns() - begun) / 1000000000u;

    sum_up(board, &totals);
    printf("\r%" PRIu64 " seeds, %" PRIu64 " failed, %" PRIu64
           " virtual h, %" PRIu64 " s\033[K",
           totals.seeds, totals.failures, totals.virtual_us / SIM_S / 3600,
           seconds);
    fflush(stdout);
}

static void print_faults(const struct sim_tally *tally)
{
    static const char *const states[FAULT_STATES] = {
        "none", "waiting", "serving", "busy", "draining", "closing"};
    uint32_t covered = 0;

    printf("\n%-24s", "fault injected while");
    for (size_t i = 0; i < FAULT_STATES; i++) {
        printf(" %9s", states[i]);
    }
    printf("\n");
    for (size_t i = 0; i < FAULTS; i++) {
        printf("%-24s", fault_text((enum fault)i));
        for (size_t j = 0; j < FAULT_STATES; j++) {
            printf(" %9" PRIu64, tally->faults[i][j]);
            covered += tally->faults[i][j] > 0;
        }
        printf("\n");
    }
    printf("%u of %u pairs of fault and state\n", covered,
           (unsigned)FAULTS * FAULT_STATES);
}

static void print_met(const struct sim_tally *tally)
{
    uint32_t met = 0;

    printf("\n");
    for (size_t i = 0; i < METS; i++) {
        met += tally->met[i] > 0;
        if (tally->met[i] > 0) {
            printf("%12" PRIu64 "  %s\n", tally->met[i], met_text((enum met)i));
        } else {
            printf("%12s  %s\n", "never", met_text((enum met)i));
        }
    }
    printf("%u of %u situations met\n", met, (unsigned)METS);
}

static void print_table(const struct board *board, uint64_t begun)
{
    struct totals totals;
    uint64_t ms = (clock_ns() - begun) / 1000000 + 1;

    sum_up(board, &totals);
    print_faults(&totals.tally);
    print_met(&totals.tally);
    printf("\n%-24s %" PRIu64 "\n", "seeds", totals.seeds);
    printf("%-24s %" PRIu64 "\n", "failures", totals.failures);
    printf("%-24s %" PRIu64 "\n", "virtual hours",
           totals.virtual_us / SIM_S / 3600);
    printf("%-24s %" PRIu64 "\n", "steps", totals.steps);
    printf("%-24s %" PRIu64 " (%" PRIu64 " seen to fail)\n", "requests",
           totals.requests, totals.requests_failed);
    printf("%-24s %" PRIu64 "\n", "bytes", totals.bytes);
    printf("%-24s %" PRIu64 ".%01" PRIu64 "\n", "real seconds", ms / 1000,
           ms / 100 % 10);
    printf("%-24s %" PRIu64 "\n", "virtual s a real s",
           totals.virtual_us / SIM_MS / ms);
    printf("%-24s %" PRIu64 ".%02" PRIu64 "\n", "seeds a second",
           totals.seeds * 1000 / ms, totals.seeds * 100000 / ms % 100);
    printf("%-24s %016" PRIx64 "\n", "digest of all hashes", totals.digest);
}

static void print_finding(const struct options *options,
                          const struct finding *finding)
{
    printf("\r");
    print_reproduction(options, finding->seed);
    printf("  ");
    print_failure(&finding->failure);
    fflush(stdout); /* a run of hours may be cut short */
}

/* The first failing seed once more, with its last lines; it may crash. */
static void tell_first(const struct options *options, uint64_t seed)
{
    printf("\nthe last lines of the first failure:\n");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct plan plan;
        limit_seconds(seed_seconds());
        plan_draw(&plan, seed);
        run_one(options, &plan);
        fflush(stdout);
        _exit(EXIT_SUCCESS);
    }
    if (pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
}

/* ---- the run of many ----------------------------------------------------- */

static uint32_t workers_alive(const struct board *board)
{
    uint32_t count = 0;

    for (size_t i = 0; i < JOBS_MAX; i++) {
        count += board->workers[i].pid > 0;
    }
    return count;
}

static void reap(struct board *board)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < JOBS_MAX; i++) {
            struct worker *worker = &board->workers[i];
            if (worker->pid == pid && bury(board, worker, status)) {
                spawn(board, worker);
            }
        }
    }
}

/* Sleeps until a worker ends, or a while. */
static void wait_a_while(void)
{
    const struct timespec while_ns = {.tv_nsec = 200000000};
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    (void)sigtimedwait(&signals, NULL, &while_ns);
}

static void watch_over(const struct options *options, struct board *board,
                       uint64_t begun)
{
    uint32_t told = 0;
    bool terminal = isatty(STDOUT_FILENO) != 0;

    while (workers_alive(board) > 0) {
        wait_a_while();
        reap(board);
        uint32_t found =
            __atomic_load_n(&board->finding_count, __ATOMIC_SEQ_CST);
        for (; told < found && told < FAILURES_MAX; told++) {
            print_finding(options, &board->findings[told]);
        }
        if ((options->mutant != NULL && found > 0) ||
            (options->seconds > 0 &&
             clock_ns() - begun > options->seconds * 1000000000u)) {
            __atomic_store_n(&board->stop, true, __ATOMIC_SEQ_CST);
        }
        if (terminal && !options->quiet) {
            print_progress(board, begun);
        }
    }
    if (terminal && !options->quiet) {
        printf("\n");
    }
}

static int run_many(const struct options *options)
{
    struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t begun = clock_ns();
    sigset_t signals;
    struct totals totals;

    if (board == MAP_FAILED) {
        fprintf(stderr, "orthrus-sim: no shared memory: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    board->next = options->seed;
    board->end = options->count > UINT64_MAX - options->seed
                     ? UINT64_MAX
                     : options->seed + options->count;
    for (uint32_t i = 0; i < options->jobs; i++) {
        spawn(board, &board->workers[i]);
    }
    watch_over(options, board, begun);
    sum_up(board, &totals);
    if (totals.failures > 0 && options->mutant == NULL) {
        tell_first(options, board->findings[0].seed);
    }
    if (!options->quiet) {
        print_table(board, begun);
    }
    printf("%" PRIu64 " seeds, %" PRIu64 " failed, digest %016" PRIx64 "\n",
           totals.seeds, totals.failures, totals.digest);
    return totals.failures > 0 || totals.seeds == 0 ? EXIT_FAILED
                                                    : EXIT_SUCCESS;
}

/* ---- shrinking ----------------------------------------------------------- */

struct trial { /* what a child tells */
    bool failed;
    struct sim_failure failure;
};

static struct trial *trial_page;

/* In a process of its own: it may crash or hang. */
static bool run_trial(const struct plan *plan, struct trial *trial)
{
    int status;

    memset(trial_page, 0, sizeof *trial_page);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct world_result result;
        limit_seconds(seed_seconds());
        trial_page->failed =
            !world_run(plan, NULL, &result, &trial_page->failure);
        _exit(EXIT_SUCCESS);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0) {
        return false;
    }
    if (WIFSIGNALED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) {
        trial_page->failed = true;
        snprintf(trial_page->failure.oracle, sizeof trial_page->failure.oracle,
                 "crash %d", status);
    }
    *trial = *trial_page;
    return trial->failed;
}

static bool fails_alike(void *user, const struct plan *plan)
{
    const struct trial *first = user;
    struct trial trial;

    return run_trial(plan, &trial) &&
           strcmp(trial.failure.oracle, first->failure.oracle) == 0;
}

static int shrink(struct plan *plan)
{
    struct trial first;
    struct shrink job = {
        .fails = fails_alike, .user = &first, .runs_max = SHRINK_RUNS};

    trial_page = mmap(NULL, sizeof *trial_page, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (trial_page == MAP_FAILED) {
        fprintf(stderr, "orthrus-sim: no shared memory: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    if (!run_trial(plan, &first)) {
        fputs("orthrus-sim: it does not fail, there is nothing to shrink\n",
              stderr);
        return EXIT_USAGE;
    }
    size_t before = plan->act_count;
    shrink_plan(&job, plan);
    char *text = plan_print(plan);
    printf("# %s: %s\n# %zu of %zu acts, after %" PRIu32 " runs\n%s",
           first.failure.oracle, first.failure.message, plan->act_count, before,
           job.runs, text != NULL ? text : "");
    free(text);
    return EXIT_FAILED;
}

/* ---- options ------------------------------------------------------------- */

static void print_help(void)
{
    fputs(
        "orthrus-sim [OPTION]...\n"
        "Run worlds around the real core, one seed each, and judge them.\n\n"
        "  --seed N        the first seed (default 1); alone: that world,\n"
        "                  and at length if it fails\n"
        "  --count N       so many seeds (default 1)\n"
        "  --seconds N     as many seeds as there is time for\n"
        "  --jobs N        in so many processes (default 1, at most 64)\n"
        "  --trace         tell everything that happens in one world\n"
        "  --hash          print the hash of one world's trace only\n"
        "  --quiet         no progress and no table, only the last line\n"
        "  --plan FILE     run the plan of a file instead of a seed's\n"
        "  --print-plan    print the plan of a seed, do not run it\n"
        "  --shrink        make a failing seed or plan as small as it can be\n"
        "                  and print it\n"
        "  --mutant NAME   with a known bug in the core; ends at the first\n"
        "                  seed that fails (orthrus-sim-mutants only)\n"
        "  --list-mutants  their names\n"
        "  --help, --version\n\n"
        "Exit status: 0 no seed failed, 1 one did, 2 usage.\n",
        stdout);
}

static bool read_number(const char *name, const char *text, uint64_t most,
                        uint64_t *number)
{
    char *end = NULL;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' ||
        value > most) {
        fprintf(stderr,
                "orthrus-sim: --%s '%s': give a number, at most %" PRIu64 "\n",
                name, text, most);
        return false;
    }
    *number = value;
    return true;
}

static bool choose_mutant(const char *name)
{
    for (unsigned i = 1; i <= mutant_count; i++) {
        if (strcmp(mutant_rows[i].name, name) == 0) {
            core_mutant = i;
            return true;
        }
    }
    fprintf(stderr,
            mutant_count == 0 ? "orthrus-sim: --mutant '%s': this program has "
                                "none, take orthrus-sim-mutants\n"
                              : "orthrus-sim: --mutant '%s': none of "
                                "--list-mutants\n",
            name);
    return false;
}

static int list_mutants(void)
{
    for (unsigned i = 1; i <= mutant_count; i++) {
        printf("%-32s %s\n", mutant_rows[i].name, mutant_rows[i].what);
    }
    return EXIT_SUCCESS;
}

enum word {
    WORD_SEED = 256,
    WORD_COUNT,
    WORD_SECONDS,
    WORD_JOBS,
    WORD_TRACE,
    WORD_HASH,
    WORD_QUIET,
    WORD_PLAN,
    WORD_PRINT_PLAN,
    WORD_SHRINK,
    WORD_MUTANT,
    WORD_LIST_MUTANTS,
    WORD_HELP,
    WORD_VERSION
};

static const struct option words[] = {
    {"seed", required_argument, NULL, WORD_SEED},
    {"count", required_argument, NULL, WORD_COUNT},
    {"seconds", required_argument, NULL, WORD_SECONDS},
    {"jobs", required_argument, NULL, WORD_JOBS},
    {"trace", no_argument, NULL, WORD_TRACE},
    {"hash", no_argument, NULL, WORD_HASH},
    {"quiet", no_argument, NULL, WORD_QUIET},
    {"plan", required_argument, NULL, WORD_PLAN},
    {"print-plan", no_argument, NULL, WORD_PRINT_PLAN},
    {"shrink", no_argument, NULL, WORD_SHRINK},
    {"mutant", required_argument, NULL, WORD_MUTANT},
    {"list-mutants", no_argument, NULL, WORD_LIST_MUTANTS},
    {"help", no_argument, NULL, WORD_HELP},
    {"version", no_argument, NULL, WORD_VERSION},
    {NULL, 0, NULL, 0},
};

static const int GO_ON = -1;

static int take_number(struct options *options, int word)
{
    uint64_t jobs = 0;
    bool good = false;

    if (word == WORD_SEED) {
        good = read_number("seed", optarg, UINT64_MAX, &options->seed);
    } else if (word == WORD_COUNT) {
        good = read_number("count", optarg, UINT64_MAX, &options->count);
        options->many = true;
    } else if (word == WORD_SECONDS) {
        good = read_number("seconds", optarg, UINT32_MAX, &options->seconds);
        options->many = true;
    } else {
        good = read_number("jobs", optarg, JOBS_MAX, &jobs);
        options->jobs = jobs > 0 ? (uint32_t)jobs : 1;
    }
    return good ? GO_ON : EXIT_USAGE;
}

static int take_word(struct options *options, int word)
{
    switch (word) {
    case WORD_TRACE:
        options->trace = true;
        break;
    case WORD_HASH:
        options->hash = true;
        break;
    case WORD_QUIET:
        options->quiet = true;
        break;
    case WORD_PLAN:
        options->plan = optarg;
        break;
    case WORD_PRINT_PLAN:
        options->print_plan = true;
        break;
    case WORD_SHRINK:
        options->shrink = true;
        break;
    case WORD_MUTANT:
        options->mutant = optarg;
        return choose_mutant(optarg) ? GO_ON : EXIT_USAGE;
    case WORD_LIST_MUTANTS:
        return list_mutants();
    case WORD_HELP:
        print_help();
        return EXIT_SUCCESS;
    case WORD_VERSION:
        printf("orthrus-sim %s\n", ORTHRUS_VERSION);
        return EXIT_SUCCESS;
    default:
        return word >= WORD_SEED && word <= WORD_JOBS
                   ? take_number(options, word)
                   : EXIT_USAGE;
    }
    return GO_ON;
}

static int read_options(struct options *options, int argc, char **argv)
{
    int word, status = GO_ON;

    *options = (struct options){.seed = 1, .count = 1, .jobs = 1};
    while (status == GO_ON &&
           (word = getopt_long(argc, argv, "", words, NULL)) != -1) {
        status = take_word(options, word);
    }
    if (status == GO_ON && optind < argc) {
        fprintf(stderr, "orthrus-sim: '%s' is no option\n", argv[optind]);
        status = EXIT_USAGE;
    }
    if (status == GO_ON && options->many &&
        (options->trace || options->hash || options->shrink ||
         options->print_plan || options->plan != NULL)) {
        fputs("orthrus-sim: --count and --seconds go with none of --trace, "
              "--hash, --plan, --print-plan, --shrink\n",
              stderr);
        status = EXIT_USAGE;
    }
    if (status == EXIT_USAGE) {
        fputs("orthrus-sim: see --help\n", stderr);
    }
    if (options->seconds > 0 && options->count == 1) {
        options->count = UINT64_MAX;
    }
    return status;
}

/* ---- plans --------------------------------------------------------------- */

/* The text of a file, or NULL and it was said why. */
static const char *read_text(const char *path)
{
    static char text[PLAN_FILE_MAX + 2];
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    size_t length = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    const char *fault = file == NULL || ferror(file) ? strerror(errno)
                        : length == 0                ? "is empty"
                        : length > PLAN_FILE_MAX     ? "is longer than 8 MiB"
                                                     : NULL;

    if (file != NULL && file != stdin) {
        fclose(file);
    }
    if (fault != NULL) {
        fprintf(stderr, "orthrus-sim: %s: %s\n", path, fault);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

static bool load_plan(const struct options *options, struct plan *plan)
{
    char error[200];

    if (options->plan == NULL) {
        plan_draw(plan, options->seed);
        return true;
    }
    const char *text = read_text(options->plan);
    if (text == NULL) {
        return false;
    }
    bool good = plan_read(plan, text, error, sizeof error);
    if (!good) {
        fprintf(stderr, "orthrus-sim: %s: %s\n", options->plan, error);
    }
    return good;
}

static int run_plan(const struct options *options)
{
    struct plan plan;
    int status = EXIT_SUCCESS;

    if (!load_plan(options, &plan)) {
        return EXIT_USAGE;
    }
    if (options->print_plan) {
        char *text = plan_print(&plan);
        fputs(text != NULL ? text : "", stdout);
        free(text);
    } else if (options->shrink) {
        status = shrink(&plan);
    } else {
        limit_seconds(seed_seconds());
        status = run_one(options, &plan);
    }
    plan_free(&plan);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    int status = read_options(&options, argc, argv);

    if (status != GO_ON) {
        return status;
    }
    limit_memory();
    return options.many ? run_many(&options) : run_plan(&options);
}
