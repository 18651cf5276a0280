/* peer.h: the program around an engine (yamux.h): sockets and options. */
#ifndef CONFORMANCE_MUTANTS_PEER_H
#define CONFORMANCE_MUTANTS_PEER_H

/* --mode, --role, --listen, --connect, --cert-file, --ca-file. Serves until it
 * is ended; returns the exit status when it can't. */
int peer_main(const char *name, int argc, char **argv);

#endif
