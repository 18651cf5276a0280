/* runner.h: the agent's life: dial, serve, wait, dial again, until a signal.
 *
 * SIGTERM or SIGINT: no new streams, those that are open may finish within
 * drain_timeout_ms, then the rest is reset (L-06). A second signal ends the
 * process at once.
 */
#ifndef AGENT_RUNNER_H
#define AGENT_RUNNER_H

#include "agent/config.h"

/* Keep SIGTERM and SIGINT until runner_run() takes them. First thing in main(),
 * and before the first thread, which inherits it. */
void runner_hold_signals(void);

/* Returns the exit status: 0 after a signal, 1 if the process cannot run at
 * all; why is in the log. */
int runner_run(const struct config *config);

#endif
