#include "conformance/session.h"

static void quiet_at_first(struct session *session)
{
    session_listen(session, 2000);
    if (session->closed) {
        spec_fail(session, "the connection is %s, although nothing was sent",
                  session_ending(session));
    }
    if (session->frames != session->pings) {
        spec_fail(session, "%llu frames came that are no ping",
                  (unsigned long long)(session->frames - session->pings));
    }
    spec_choice(session, "early-ping", session->pings ? "yes" : "no");
}

const struct spec_case case_framing[] = {
    {.id = "F-01",
     .title = "a new session is quiet: pings at most",
     .stimulus = "nothing for 2 s",
     .citation = "spec.md 80",
     .mode = SPEC_ANY,
     .class = SPEC_MUST,
     .run = quiet_at_first},
    {0}};
