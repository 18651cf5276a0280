#include "conformance/fingerprint.h"

#include <string.h>

static const char *const names[FINGERPRINTS] = {
    "hashicorp/yamux", "libp2p/go-yamux",  "libp2p/rust-yamux",
    "js-libp2p-yamux", "tentacle (tokio)", "smoldot"};

/* One row a key: what each of these answers; alternatives by '/'; NULL: not
 * known. Observed for the first two, read in the sources of the others. */
static const struct {
    const char *key;
    const char *answers[FINGERPRINTS];
} known[] = {
    {"early-ping", {"no", "yes", "yes", "yes", NULL, NULL}},
    {"ack", {"at accept", "at accept", "lazy", "at accept", "at accept", NULL}},
    {"fin-frame", {"WU", "WU", "Data", "WU", NULL, NULL}},
    {"ping-burst",
     {"all out of order/all in order", "some", "all in order", "all in order",
      NULL, NULL}},
    {"ping-flags-0",
     {"ignored", "ignored", "answered", "closed", NULL, "closed"}},
    {"unsolicited-pong",
     {"ignored", "ignored", "closed", "closed", NULL, "closed"}},
    {"goaway-0", {"drains", "closed", "closed", "closed", "closed", "drains"}},
    {"foreign-parity",
     {"accepted", "closed", "closed", "closed", "accepted", "closed"}},
    {"fin-twice", {"closed", "ignored", "ignored", NULL, "closed", "closed"}},
    {"syn-twice",
     {"closed", "closed", "closed", "ignored", "closed", "closed"}},
    {"largest-data", {NULL, "65524", "16384", NULL, NULL, "8192"}},
};
#define KEYS (sizeof known / sizeof *known)

/* True when answer is one of "a/b/c". */
static bool among(const char *answers, const char *answer)
{
    size_t length = strlen(answer);
    while (*answers) {
        size_t count = strcspn(answers, "/");
        if (count == length && strncmp(answers, answer, length) == 0) {
            return true;
        }
        answers += count + (answers[count] != '\0');
    }
    return false;
}

static int find(const char *key, size_t length)
{
    for (unsigned i = 0; i < KEYS; i++) {
        if (strlen(known[i].key) == length &&
            strncmp(known[i].key, key, length) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const char *fingerprint_expected(const char *profile, const char *key)
{
    int at = find(key, strlen(key));
    if (at < 0) {
        return NULL;
    }
    return strcmp(profile, "hashicorp") == 0 ? known[at].answers[0]
           : strcmp(profile, "libp2p") == 0  ? known[at].answers[1]
                                             : NULL;
}

bool fingerprint_agrees(const char *expected, const char *answer)
{
    return among(expected, answer);
}

static void count_answers(const struct report *report,
                          struct fingerprint prints[FINGERPRINTS])
{
    for (unsigned i = 0; i < report->count; i++) {
        const struct result *result = &report->results[i];
        for (unsigned j = 0; j < result->remark_count; j++) {
            const char *text = result->remarks[j].text;
            if (result->remarks[j].kind != REMARK_CHOICE) {
                continue;
            }
            size_t length = strcspn(text, "\t");
            int at = find(text, length);
            for (unsigned k = 0; at >= 0 && k < FINGERPRINTS; k++) {
                const char *answers = known[at].answers[k];
                prints[k].compared += answers != NULL;
                prints[k].agrees +=
                    answers && among(answers, text + length + 1);
            }
        }
    }
}

/* a is the better match: by share, then by number. */
static bool better(const struct fingerprint *a, const struct fingerprint *b)
{
    unsigned left = a->agrees * b->compared;
    unsigned right = b->agrees * a->compared;
    return left != right ? left > right : a->agrees > b->agrees;
}

unsigned fingerprint_match(const struct report *report,
                           struct fingerprint best[FINGERPRINTS])
{
    struct fingerprint prints[FINGERPRINTS] = {0};
    unsigned count = 0;
    for (unsigned i = 0; i < FINGERPRINTS; i++) {
        prints[i].name = names[i];
    }
    count_answers(report, prints);
    for (unsigned i = 0; i < FINGERPRINTS; i++) {
        if (prints[i].compared < 4) {
            continue; /* would be like anything */
        }
        unsigned at = count++;
        for (; at > 0 && better(&prints[i], &best[at - 1]); at--) {
            best[at] = best[at - 1];
        }
        best[at] = prints[i];
    }
    return count;
}
