/* The simulator with the input for its generator: every four bytes are an act
 * of a small world (sim/plan.h), the bytes before them its options and the seed
 * of what the acts do not say. The simulator's oracles say what must hold, and
 * the plan must survive being written and read.
 *
 * A world that breaks is printed as a plan, for orthrus-sim --plan. */
#include <string.h>

#include "fuzz/harness.h"
#include "sim/world.h"

#define HEAD 4u
#define ACT_BYTES 4u
#define ACTS_MAX 40u
#define PHASE_US (20 * SIM_S)

/* A little: sizes and delays by orders of magnitude. */
static uint64_t amount_of(const struct act_shape *shape, uint8_t byte)
{
    uint64_t amount = (UINT64_C(1) << byte / 12) + byte % 12;

    amount = amount > shape->least ? amount : shape->least;
    amount = amount < shape->most ? amount : shape->most;
    return amount < 300000 ? amount : 300000;
}

static struct act read_act(const uint8_t *bytes, uint32_t sites, uint64_t *at)
{
    struct act act = {.kind = bytes[0] % ACT_KINDS, .site = bytes[0] / 128u};
    const struct act_shape *shape = act_shape(act.kind);

    *at += (uint64_t)(bytes[1] & 15) * bytes[1] * SIM_MS;
    act.at_us = *at < PHASE_US ? *at : PHASE_US;
    act.site = shape->has_site ? act.site % sites : 0;
    act.variety = shape->varieties ? bytes[2] % shape->varieties : 0;
    if (act.kind == ACT_AGENT_START && act.variety == REMOTE_GO) {
        act.variety = REMOTE_GO_RAW; /* REMOTE_GO is not modelled */
    }
    act.amount = shape->has_amount ? amount_of(shape, bytes[3]) : 0;
    return act;
}

static void make(struct plan *plan, const uint8_t *bytes, size_t length)
{
    size_t count = (length - HEAD) / ACT_BYTES;
    uint64_t at = 0;

    count = count < ACTS_MAX ? count : ACTS_MAX;
    *plan = (struct plan){
        .seed = bytes[1] | (uint64_t)bytes[2] << 8,
        .sites = 1 + bytes[0] % 2,
        .phase_us = PHASE_US,
        .permutes = (bytes[0] & 4) != 0,
        .rough = (bytes[0] & 8) != 0,
        .acts = calloc(count + 2, sizeof(struct act)),
    };
    MUST(plan->acts);
    for (uint32_t i = 0; i < plan->sites; i++) {
        unsigned kind = ((unsigned)bytes[3] >> 4 * i & 15u) % REMOTE_KINDS;
        plan->acts[plan->act_count++] =
            (struct act){.kind = ACT_AGENT_START,
                         .site = i,
                         .variety = kind == REMOTE_GO ? REMOTE_GO_RAW : kind};
    }
    for (size_t i = 0; i < count; i++) {
        plan->acts[plan->act_count++] =
            read_act(bytes + HEAD + i * ACT_BYTES, plan->sites, &at);
    }
    plan_sort(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct plan drawn;
    struct plan plan;
    struct world_result result;
    struct sim_failure failure;
    char error[256];
    if (length < HEAD) {
        return 0;
    }
    make(&drawn, bytes, length);
    char *text = plan_print(&drawn);
    if (!plan_read(&plan, text, error, sizeof error)) {
        fprintf(stderr, "broken: the plan is not read: %s\n%s", error, text);
        abort();
    }
    char *again = plan_print(&plan);
    MUST(strcmp(text, again) == 0);
    if (!world_run(&plan, NULL, &result, &failure)) {
        fprintf(stderr, "%sbroken: %s: %s\n", text, failure.oracle,
                failure.message);
        abort();
    }
    free(text);
    free(again);
    plan_free(&plan);
    plan_free(&drawn);
    return 0;
}
