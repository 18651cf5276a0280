/* call.h: calls between the bytes of a script.
 *
 * A script is a row of yamux frames. One whose version byte is CALL_VERSION is
 * no frame but a call of the session's user: type says which, flags which end
 * (where there are two), stream and length are what it is called with. So one
 * mutator (frames.c) and one text form (text.h) know them all.
 */
#ifndef FUZZ_CALL_H
#define FUZZ_CALL_H

#define CALL_VERSION 0xffu

#define CALL_TABLE(X)                                              \
    X(CALL_TICK, "tick") /* length: ms that pass */                \
    X(CALL_OPEN, "open")                                           \
    X(CALL_ACCEPT, "accept")                                       \
    X(CALL_RESET, "reset")                                         \
    X(CALL_FINISH, "finish")                                       \
    X(CALL_READY, "ready")     /* length: 0 not any more */        \
    X(CALL_CONSUME, "consume") /* length: at most so many bytes */ \
    X(CALL_EMIT, "emit")       /* control; length: the capacity */ \
    X(CALL_SEND, "send")       /* data; length: at most so many */ \
    X(CALL_GO_AWAY, "go-away") /* length: 0 not to tell */         \
    X(CALL_FAIL, "fail")       /* the transport is gone */         \
    X(CALL_HEARD, "heard")                                         \
    X(CALL_DELIVER, "deliver") /* length: bytes under way to it */ \
    X(CALL_TURN, "turn")       /* length: payload while others wait */

enum call {
#define X(name, text) name,
    CALL_TABLE(X)
#undef X
        CALLS
};

#endif
