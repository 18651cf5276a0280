/* yamux-host: this project's own engine as a peer that yamuxspec can judge. */
#include "conformance/mutants/peer.h"

int main(int argc, char **argv)
{
    return peer_main("yamux-host", argc, argv);
}
