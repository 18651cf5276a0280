#include "server/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/contract.h"
#include "core/key.h"
#include "net/sys.h"
#include "server/datadir.h"

#define TOKEN_FILE "admin.token"
#define SCHEME "Bearer "

_Static_assert(AUTH_KEY_SIZE == KEY_LENGTH + 1, "room for a key and its NUL");
_Static_assert(STORE_DIGEST_SIZE == SHA256_DIGEST_LENGTH, "what we store");
_Static_assert(STORE_DIGEST_SIZE == KEY_DIGEST_SIZE, "what we compare");

/* False: there is no memory for it, and out is not written. */
static bool digest(struct span secret, uint8_t out[STORE_DIGEST_SIZE])
{
    return SHA256(secret.bytes, secret.length, out) != NULL;
}

static void random_bytes(uint8_t bytes[KEY_RANDOM_SIZE])
{
    /* up to 256 bytes come whole once the kernel's generator is seeded */
    ssize_t got = sys_getrandom(bytes, KEY_RANDOM_SIZE, 0);
    ENSURE(got == (ssize_t)KEY_RANDOM_SIZE);
}

/* ---- admin token --------------------------------------------------------- */

static bool is_token(const char *text, size_t length)
{
    if (length < AUTH_TOKEN_MIN || length > AUTH_TOKEN_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; ++i) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool make_token(int dir, const char *path, char error[AUTH_ERROR_SIZE])
{
    uint8_t random[KEY_RANDOM_SIZE];
    char key[AUTH_KEY_SIZE];
    random_bytes(random);
    key_format(key, random);
    char *token = key + strlen(KEY_PREFIX); /* its hex digits */
    size_t length = strlen(token);
    token[length] = '\n';
    bool made = datadir_make(dir, path, TOKEN_FILE, token, length + 1, error);
    OPENSSL_cleanse(random, sizeof(random));
    OPENSSL_cleanse(key, sizeof(key));
    return made;
}

static bool read_token(struct auth *auth, int dir, const char *path,
                       char error[AUTH_ERROR_SIZE])
{
    char text[AUTH_TOKEN_MAX + 2]; /* with its newline, and one too many */
    int file =
        sys_openat(dir, TOKEN_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
    ssize_t got = file < 0 ? -1 : sys_read(file, text, sizeof(text));
    bool fine = got >= 0;
    if (!fine) {
        (void)snprintf(error, AUTH_ERROR_SIZE, "cannot read %s/%s: %s", path,
                       TOKEN_FILE, strerror(errno));
    } else {
        size_t length = (size_t)got;
        if (length > 0 && text[length - 1] == '\n') {
            --length;
        }
        fine = is_token(text, length);
        if (fine && !digest((struct span){(const uint8_t *)text, length},
                            auth->admin)) {
            (void)snprintf(error, AUTH_ERROR_SIZE,
                           "no memory for the digest of %s/%s", path,
                           TOKEN_FILE);
            got = -1;
            fine = false;
        }
    }
    if (got >= 0 && !fine) {
        (void)snprintf(error, AUTH_ERROR_SIZE,
                       "%s/%s is not one line of %u to %u visible characters; "
                       "remove it, and the next start makes a new one",
                       path, TOKEN_FILE, AUTH_TOKEN_MIN, AUTH_TOKEN_MAX);
    }
    if (file >= 0) {
        (void)sys_close(file);
    }
    OPENSSL_cleanse(text, sizeof(text));
    return fine;
}

bool auth_open(struct auth *auth, struct store *store, const char *dir,
               char error[AUTH_ERROR_SIZE])
{
    bool exists = false;
    memset(auth, 0, sizeof(*auth));
    auth->store = store;
    int fd = datadir_open(dir, error);
    bool fine = fd >= 0 && datadir_check(fd, dir, TOKEN_FILE, &exists, error) &&
                (exists || make_token(fd, dir, error)) &&
                read_token(auth, fd, dir, error);
    if (fd >= 0) {
        (void)sys_close(fd);
    }
    return fine;
}

enum auth_result auth_admin(struct auth *auth, const char *authorization)
{
    uint8_t given[STORE_DIGEST_SIZE];
    const char *token = authorization;
    enum auth_result result = AUTH_UNKNOWN;
    if (token == NULL || strncmp(token, SCHEME, strlen(SCHEME)) != 0) {
        result = AUTH_MALFORMED;
        token = "";
    } else {
        token += strlen(SCHEME);
    }
    /* digests are of one length, whatever is compared */
    if (!digest((struct span){(const uint8_t *)token, strlen(token)}, given)) {
        result = AUTH_BUSY;
    } else if (key_digest_equal(given, auth->admin)) {
        result = AUTH_OK;
    }
    OPENSSL_cleanse(given, sizeof(given));
    auth->admin_failures += result == AUTH_OK ? 0 : 1;
    return result;
}

/* ---- agent keys ---------------------------------------------------------- */

enum auth_result auth_agent(struct auth *auth, const char *authorization,
                            int64_t now, struct store_agent *agent)
{
    /* what is malformed is looked up all the same, as this: nobody has it */
    static const char nobody[KEY_LENGTH + 1] = KEY_PREFIX;
    struct span key = {(const uint8_t *)nobody, KEY_LENGTH};
    struct span value = {(const uint8_t *)authorization, 0};
    uint8_t given[STORE_DIGEST_SIZE];
    struct store_agent found;
    if (authorization != NULL) {
        value.length = strlen(authorization);
    }
    bool formed = key_from_authorization(value, &key);
    enum auth_result result = AUTH_BUSY;
    switch (digest(key, given) ? store_key_find(auth->store, given, now, &found)
                               : STORE_FAILED) {
    case STORE_OK:
        result = AUTH_OK;
        break;
    case STORE_NOT_FOUND:
        result = AUTH_UNKNOWN;
        break;
    case STORE_FAILED:
        break;
    }
    OPENSSL_cleanse(given, sizeof(given));
    if (!formed) {
        result = AUTH_MALFORMED;
    }
    if (result == AUTH_OK) {
        *agent = found;
    }
    ++auth->agent_results[result];
    return result;
}

bool auth_make_key(char key[AUTH_KEY_SIZE], uint8_t stored[STORE_DIGEST_SIZE])
{
    uint8_t random[KEY_RANDOM_SIZE];
    random_bytes(random);
    key_format(key, random);
    OPENSSL_cleanse(random, sizeof(random));
    return digest((struct span){(const uint8_t *)key, KEY_LENGTH}, stored);
}
