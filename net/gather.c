#include "net/gather.h"

#include <sys/socket.h>

#include "net/sys.h"

#define LITTLE 8u /* this part of the mark is not worth to wait for */

void gather_init(struct gather *gather, struct loop *loop, int fd, size_t mark,
                 void (*look)(void *user), void *user)
{
    *gather = (struct gather){
        .loop = loop,
        .timer = {.fire = look, .user = user},
        .mark = mark,
        .fd = fd,
    };
}

/* False, and nothing is changed: the kernel refused. */
static bool turn(struct gather *gather, bool on)
{
    int mark = on ? (int)gather->mark : 1;

    if (sys_setsockopt(gather->fd, SOL_SOCKET, SO_RCVLOWAT, &mark,
                       sizeof mark) != 0) {
        return false;
    }
    gather->on = on;
    return true;
}

static void look_later(struct gather *gather)
{
    loop_timer_set(gather->loop, &gather->timer,
                   loop_now_ms(gather->loop) + GATHER_MS);
}

static void count(struct gather *gather, size_t length)
{
    uint64_t now_ms = loop_now_ms(gather->loop);

    if (now_ms < gather->counted_ms) { /* a pause */
        return;
    }
    if (now_ms > gather->counted_ms) {
        gather->counted_ms = now_ms;
        gather->bytes = 0;
        gather->reads = 0;
    }
    gather->bytes += length;
    gather->reads++;
    if (gather->bytes < gather->mark) {
        return;
    }
    if (gather->reads >= GATHER_READS && turn(gather, true)) {
        look_later(gather);
    }
    gather->bytes = 0;
    gather->reads = 0;
}

void gather_took(struct gather *gather, size_t length)
{
    if (gather->mark == 0) {
        return;
    }
    if (!gather->on) {
        count(gather, length);
        return;
    }
    bool fades = !gather->timer.running && length < gather->mark / LITTLE;
    if (!fades || !turn(gather, false)) {
        look_later(gather);
    }
}

void gather_pause(struct gather *gather)
{
    gather->counted_ms = loop_now_ms(gather->loop) + GATHER_PAUSE_MS;
    if (gather->on && turn(gather, false)) {
        loop_timer_stop(gather->loop, &gather->timer);
    }
}

void gather_stop(struct gather *gather)
{
    loop_timer_stop(gather->loop, &gather->timer);
    gather->on = false;
}
