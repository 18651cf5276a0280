/* engine.h: the session of core that is behind a struct yamux (engine.c). */
#ifndef CONFORMANCE_HOST_ENGINE_H
#define CONFORMANCE_HOST_ENGINE_H

struct mux;
struct yamux;

const struct mux *engine_mux(const struct yamux *yamux);

#endif
