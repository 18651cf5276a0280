#include "sim/process.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/contract.h"
#include "sim/socket.h"

/* In front of each block of a process' memory. */
struct block {
    _Alignas(max_align_t) struct block *before, *after;
    size_t size;
};

void process_init(struct process *process, struct sim *sim, const char *format,
                  ...)
{
    va_list arguments;

    *process = (struct process){
        .sim = sim, .descriptors_max = 65536, .memory_max = SIZE_MAX};
    va_start(arguments, format);
    vsnprintf(process->name, sizeof process->name, format, arguments);
    va_end(arguments);
}

void process_start(struct process *process)
{
    REQUIRE(!process->alive);
    process->alive = true;
    process->lives++;
    process->memory_most = 0;
}

static bool is_refused(struct process *process, size_t size)
{
    if (process->refuse_in > 1) {
        process->refuse_in--;
    } else if (process->refuse_in == 1) {
        if (process->refuse_count > 0) {
            process->refuse_count--;
        } else {
            process->refuse_in = 0;
        }
        return true;
    }
    return size > process->memory_max - process->memory;
}

void *process_alloc(struct process *process, size_t size)
{
    REQUIRE(process->alive);
    if (process->memory > process->memory_max || is_refused(process, size)) {
        return NULL;
    }
    struct block *block = sim_alloc(process->sim, sizeof *block + size);
    block->size = size;
    block->after = process->blocks;
    if (process->blocks != NULL) {
        process->blocks->before = block;
    }
    process->blocks = block;
    process->memory += size;
    if (process->memory > process->memory_most) {
        process->memory_most = process->memory;
    }
    return block + 1;
}

void process_release(struct process *process, void *memory)
{
    if (memory == NULL) {
        return;
    }
    struct block *block = (struct block *)memory - 1;
    if (block->before != NULL) {
        block->before->after = block->after;
    } else {
        process->blocks = block->after;
    }
    if (block->after != NULL) {
        block->after->before = block->before;
    }
    process->memory -= block->size;
    sim_release(process->sim, block);
}

void process_kill(struct process *process, enum process_end end)
{
    if (!process->alive) {
        return;
    }
    socket_kill_all(process, end);
    while (process->blocks != NULL) {
        process_release(process, process->blocks + 1);
    }
    process->alive = false;
    process->refuse_in = 0;
    process->refuse_count = 0;
}

void process_expect_empty(const struct process *process)
{
    if (process->sockets != NULL || process->listeners != NULL ||
        process->descriptors != 0 || process->memory != 0) {
        sim_fail(process->sim, "leak",
                 "%s ends with %u descriptors%s%s and %zu bytes", process->name,
                 (unsigned)process->descriptors,
                 process->sockets != NULL ? ", a socket" : "",
                 process->listeners != NULL ? ", a listener" : "",
                 process->memory);
    }
}
