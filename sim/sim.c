#include "sim/sim.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/contract.h"

#define MEMORY_MAX_DEFAULT ((size_t)1 << 30)
#define RING_LINES 50u
#define LINE_SIZE 200u

/* In front of each block of memory; keeps what follows aligned for anything. */
struct memory {
    _Alignas(max_align_t) struct memory *before, *after;
    size_t size;
};

struct slot { /* of the heap: a task and its key, side by side */
    uint64_t due_us, tie, sequence;
    struct task *task;
};

struct sim {
    struct sim_config config;
    uint64_t now_us, steps, sequence;
    struct chance ties;
    struct slot *heap;
    size_t heap_count, heap_capacity;
    struct memory *memories;
    size_t memory_size;
    uint64_t hash;
    char lines[RING_LINES][LINE_SIZE];
    uint64_t line_count;
    bool keeps_story;
    char *story;
    size_t story_length, story_capacity;
    struct sim_tally tally;
    struct network *network;
    bool runs;
    jmp_buf end;
    struct sim_failure *failure;
};

/* contract_failed() is not told whose contract: the world that runs now. */
static struct sim *running;

/* ---- tasks --------------------------------------------------------------- */

static bool is_before(const struct slot *a, const struct slot *b)
{
    if (a->due_us != b->due_us) {
        return a->due_us < b->due_us;
    }
    return a->tie != b->tie ? a->tie < b->tie : a->sequence < b->sequence;
}

static void heap_put(struct sim *sim, const struct slot *slot, size_t place)
{
    sim->heap[place] = *slot;
    slot->task->place = place;
}

/* The slot goes where it belongs, up or down from this place. */
static void heap_settle(struct sim *sim, const struct slot *slot, size_t place)
{
    while (place > 0 && is_before(slot, &sim->heap[(place - 1) / 2])) {
        heap_put(sim, &sim->heap[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    for (;;) {
        size_t below = 2 * place + 1;
        if (below >= sim->heap_count) {
            break;
        }
        if (below + 1 < sim->heap_count &&
            is_before(&sim->heap[below + 1], &sim->heap[below])) {
            below++;
        }
        if (!is_before(&sim->heap[below], slot)) {
            break;
        }
        heap_put(sim, &sim->heap[below], place);
        place = below;
    }
    heap_put(sim, slot, place);
}

static void heap_reserve(struct sim *sim)
{
    if (sim->heap_count < sim->heap_capacity) {
        return;
    }
    size_t capacity = sim->heap_capacity == 0 ? 64 : 2 * sim->heap_capacity;
    struct slot *heap = sim_alloc(sim, capacity * sizeof *heap);
    if (sim->heap_count > 0) {
        memcpy(heap, sim->heap, sim->heap_count * sizeof *heap);
    }
    sim_release(sim, sim->heap);
    sim->heap = heap;
    sim->heap_capacity = capacity;
}

void task_init(struct task *task, struct sim *sim, void (*run)(void *user),
               void *user)
{
    *task = (struct task){
        .sim = sim, .run = run, .user = user, .due_us = SIM_NEVER};
}

void task_stop(struct task *task)
{
    struct sim *sim = task->sim;

    if (task->due_us == SIM_NEVER) {
        return;
    }
    task->due_us = SIM_NEVER;
    const struct slot last = sim->heap[--sim->heap_count];
    if (last.task != task) {
        heap_settle(sim, &last, task->place);
    }
}

void task_set(struct task *task, uint64_t at_us)
{
    struct sim *sim = task->sim;

    if (at_us == SIM_NEVER) {
        task_stop(task);
        return;
    }
    bool is_new = task->due_us == SIM_NEVER;
    task->due_us = at_us > sim->now_us ? at_us : sim->now_us;
    const struct slot slot = {
        .due_us = task->due_us,
        .tie = sim->config.permutes ? chance_next(&sim->ties) : 0,
        .sequence = sim->sequence++,
        .task = task};
    if (is_new) {
        heap_reserve(sim);
        task->place = sim->heap_count++;
    }
    heap_settle(sim, &slot, task->place);
}

void task_by(struct task *task, uint64_t at_us)
{
    if (at_us < task->due_us) {
        uint64_t now_us = task->sim->now_us;
        if (at_us > now_us || task->due_us > now_us) {
            task_set(task, at_us);
        }
    }
}

void task_wake(struct task *task)
{
    task_by(task, task->sim->now_us);
}

/* ---- the world's kernel -------------------------------------------------- */

struct sim *sim_new(const struct sim_config *config)
{
    struct sim *sim = calloc(1, sizeof *sim);

    if (sim == NULL) {
        fputs("orthrus-sim: no memory for a world\n", stderr);
        abort();
    }
    sim->config = *config;
    if (config->memory_max == 0) {
        sim->config.memory_max = MEMORY_MAX_DEFAULT;
    }
    sim->ties = chance_of(config->seed, "tie", 0);
    sim->hash = chance_of(config->seed, "hash", 0).state;
    return sim;
}

void sim_free(struct sim *sim)
{
    struct memory *memory = sim->memories;

    while (memory != NULL) {
        struct memory *after = memory->after;
        free(memory);
        memory = after;
    }
    if (running == sim) {
        running = NULL;
    }
    free(sim->story);
    free(sim);
}

uint64_t sim_seed(const struct sim *sim)
{
    return sim->config.seed;
}

uint64_t sim_now_us(const struct sim *sim)
{
    return sim->now_us;
}

uint64_t sim_now_ms(const struct sim *sim)
{
    return sim->now_us / SIM_MS;
}

uint64_t sim_steps(const struct sim *sim)
{
    return sim->steps;
}

struct network **sim_network(struct sim *sim)
{
    return &sim->network;
}

bool sim_step(struct sim *sim, uint64_t until_us)
{
    if (sim->heap_count == 0 || sim->heap[0].due_us > until_us) {
        if (until_us != SIM_NEVER && until_us > sim->now_us) {
            sim->now_us = until_us;
        }
        return false;
    }
    struct task *task = sim->heap[0].task;
    sim->now_us = task->due_us;
    sim->steps++;
    sim_mark(sim, sim->now_us, sim->heap[0].sequence);
    task_stop(task);
    task->run(task->user);
    return true;
}

void *sim_alloc(struct sim *sim, size_t size)
{
    size_t left = sim->config.memory_max - sim->memory_size;

    if (size > left) {
        sim_fail(sim, "memory", "the world wants %zu bytes on top of %zu", size,
                 sim->memory_size);
    }
    struct memory *memory = calloc(1, sizeof *memory + size);
    if (memory == NULL) {
        sim_fail(sim, "memory", "the machine has no %zu bytes left", size);
    }
    memory->size = size;
    memory->after = sim->memories;
    if (sim->memories != NULL) {
        sim->memories->before = memory;
    }
    sim->memories = memory;
    sim->memory_size += size;
    return memory + 1;
}

void sim_release(struct sim *sim, void *memory)
{
    if (memory == NULL) {
        return;
    }
    struct memory *this = (struct memory *)memory - 1;
    if (this->before != NULL) {
        this->before->after = this->after;
    } else {
        sim->memories = this->after;
    }
    if (this->after != NULL) {
        this->after->before = this->before;
    }
    sim->memory_size -= this->size;
    free(this);
}

/* ---- trace --------------------------------------------------------------- */

static uint64_t rolled(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ (hash >> 29);
}

void sim_mark(struct sim *sim, uint64_t a, uint64_t b)
{
    sim->hash = rolled(rolled(sim->hash, a), b);
}

static void keep_line(struct sim *sim, const char *line, size_t length)
{
    if (sim->story_capacity - sim->story_length <= length) {
        size_t capacity = 2 * sim->story_capacity + length + 4096;
        char *story = realloc(sim->story, capacity);
        if (story == NULL) {
            sim_fail(sim, "memory", "the story has no room left");
        }
        sim->story = story;
        sim->story_capacity = capacity;
    }
    memcpy(sim->story + sim->story_length, line, length + 1);
    sim->story_length += length;
}

void sim_say(struct sim *sim, const char *who, const char *format, ...)
{
    char *line = sim->lines[sim->line_count++ % RING_LINES];
    int begun =
        snprintf(line, LINE_SIZE, "[%8" PRIu64 "] %-9s ", sim_now_ms(sim), who);
    size_t length = begun > 0 ? (size_t)begun : 0;
    va_list arguments;

    length = length < LINE_SIZE - 2 ? length : LINE_SIZE - 2;
    va_start(arguments, format);
    vsnprintf(line + length, LINE_SIZE - 1 - length, format, arguments);
    va_end(arguments);
    length = strlen(line);
    line[length++] = '\n';
    line[length] = '\0';
    for (size_t i = 0; i < length; i++) {
        sim->hash = (sim->hash ^ (uint8_t)line[i]) * UINT64_C(0x100000001b3);
    }
    if (sim->config.prints) {
        fputs(line, stdout);
    }
    if (sim->keeps_story) {
        keep_line(sim, line, length);
    }
}

uint64_t sim_hash(const struct sim *sim)
{
    return rolled(rolled(sim->hash, sim->now_us), sim->steps);
}

void sim_last_lines(const struct sim *sim,
                    void (*line)(void *user, const char *text), void *user)
{
    uint64_t first =
        sim->line_count > RING_LINES ? sim->line_count - RING_LINES : 0;

    for (uint64_t i = first; i < sim->line_count; i++) {
        line(user, sim->lines[i % RING_LINES]);
    }
}

void sim_keep_story(struct sim *sim)
{
    sim->keeps_story = true;
}

const char *sim_story(const struct sim *sim)
{
    return sim->story == NULL ? "" : sim->story;
}

/* ---- coverage ------------------------------------------------------------ */

void sim_fault(struct sim *sim, enum fault fault, enum fault_state state)
{
    sim->tally.faults[fault][state]++;
}

void sim_met(struct sim *sim, enum met met)
{
    sim->tally.met[met]++;
}

const struct sim_tally *sim_tally(const struct sim *sim)
{
    return &sim->tally;
}

/* ---- failure ------------------------------------------------------------- */

_Noreturn static void end_run(struct sim *sim, const char *oracle,
                              const char *message)
{
    if (!sim->runs) {
        fprintf(stderr, "orthrus-sim: %s: %s\n", oracle, message);
        abort();
    }
    struct sim_failure *failure = sim->failure;
    *failure = (struct sim_failure){.at_us = sim->now_us, .step = sim->steps};
    snprintf(failure->oracle, sizeof failure->oracle, "%s", oracle);
    snprintf(failure->message, sizeof failure->message, "%s", message);
    sim->runs = false;
    longjmp(sim->end, 1);
}

void sim_fail(struct sim *sim, const char *oracle, const char *format, ...)
{
    char message[sizeof((struct sim_failure *)0)->message];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    end_run(sim, oracle, message);
}

_Noreturn void contract_failed(const char *kind, const char *expression,
                               const char *file, int line)
{
    if (running == NULL || !running->runs) {
        fprintf(stderr, "orthrus-sim: contract: %s (%s) at %s:%d\n", kind,
                expression, file, line);
        abort();
    }
    sim_fail(running, "contract", "%s (%s) at %s:%d", kind, expression, file,
             line);
}

bool sim_run(struct sim *sim, void (*body)(void *user), void *user,
             struct sim_failure *failure)
{
    REQUIRE(!sim->runs);
    sim->failure = failure;
    sim->runs = true;
    running = sim;
    if (setjmp(sim->end) != 0) {
        running = NULL;
        return false;
    }
    body(user);
    sim->runs = false;
    running = NULL;
    return true;
}
