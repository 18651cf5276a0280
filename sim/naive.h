/* naive.h: the reference agent's manner, for those that begin like it. */
#ifndef SIM_NAIVE_H
#define SIM_NAIVE_H

#include "sim/plain_agent.h"

void naive_event(struct plain_agent *agent, const struct plain_event *event);
bool naive_pump(struct plain_agent *agent);
void naive_lost(struct plain_agent *agent, bool killed);

#endif
