/* pair.h: a TCP connection within this process. */
#ifndef NET_TEST_PAIR_H
#define NET_TEST_PAIR_H

/* fd[0] was accepted, with flags beside SOCK_CLOEXEC; fd[1] has connected, and
 * blocks. */
void pair_tcp(int fd[2], int flags);

#endif
