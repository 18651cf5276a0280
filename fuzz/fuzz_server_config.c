/* orthrusd's configuration: arguments, environment and file (fuzz/words.h).
 * What is taken is printed, read back and printed the same; what is refused is
 * refused in one line; no line of the file is passed over in silence. */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/harness.h"
#include "fuzz/words.h"
#include "server/config.h"

/* A file with these bytes that only this process sees. */
static int make_file(const char *bytes, size_t length, char path[64])
{
    int file = memfd_create("config", MFD_CLOEXEC);

    MUST(file >= 0 && write(file, bytes, length) == (ssize_t)length);
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

static char *print(const struct config *config, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);

    MUST(out);
    config_print(config, out);
    fclose(out);
    return text;
}

static void must_be_sound(const struct config *config)
{
    MUST(config->listen && config->data_dir && config->admin_socket);
    MUST(config->public_url && config->allowed_hosts && config->docker_socket);
    MUST((*config->tls_cert == '\0') == (*config->tls_key == '\0'));
    MUST(config->log_level <= CONFIG_LOG_DEBUG);
    MUST(config->log_format <= CONFIG_LOG_JSON);
    MUST(config->agents_max > 0 && config->streams_max > 0);
    MUST(config->recv_window >= 262144 && config->head_max > 0);
}

/* Read again from what was printed. */
static void read_back(const struct config *config)
{
    static char program[] = "orthrusd";
    static char flag[] = "--config";
    char *none[] = {NULL};
    char error[CONFIG_ERROR_SIZE] = "";
    enum config_action action;
    struct config again;
    char path[64];
    size_t length;
    size_t length_again;
    char *text = print(config, &length);
    int file = make_file(text, length, path);
    char *arguments[] = {program, flag, path, NULL};

    if (!config_read(&again, &action, 3, arguments, none, error)) {
        fprintf(stderr, "broken: %s\n%s", error, text);
        abort();
    }
    close(file);
    char *text_again = print(&again, &length_again);
    MUST(strcmp(text, text_again) == 0);
    free(text);
    free(text_again);
    config_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static char program[] = "orthrusd";
    static char flag[] = "--config";
    char error[CONFIG_ERROR_SIZE] = "";
    enum config_action action;
    struct config config;
    struct words words;
    char path[64];
    int file = -1;

    words_read(&words, program, bytes, length);
    if (words.file) {
        file = make_file(words.file, words.file_length, path);
        words.arguments[words.argument_count++] = flag;
        words.arguments[words.argument_count++] = path;
    }
    if (config_read(&config, &action, words.argument_count, words.arguments,
                    words.environment, error)) {
        MUST(!words.file || action >= CONFIG_HELP ||
             memchr(words.file, 0, words.file_length) == NULL);
        must_be_sound(&config);
        read_back(&config);
        config_free(&config);
    } else {
        MUST(error[0] != '\0' && strlen(error) < sizeof error);
    }
    if (file >= 0) {
        close(file);
    }
    words_free(&words);
    return 0;
}
