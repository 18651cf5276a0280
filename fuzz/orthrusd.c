#include "fuzz/orthrusd.h"

#include "fuzz/harness.h"
#include "net/log.h"

void orthrusd_settings(struct config *config)
{
    static char program[] = "orthrusd";
    char *arguments[] = {program, NULL};
    char *none[] = {NULL};
    char error[CONFIG_ERROR_SIZE];
    enum config_action action;
    struct log_config log;

    log_config_default(&log);
    log.level = LOG_ERROR;
    log_open(&log);
    MUST(config_read(config, &action, 1, arguments, none, error));
}

const char *orthrusd_text(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));

    return text ? text : "";
}

void orthrusd_must_be_line(const char *text)
{
    for (; *text; text++) {
        MUST(*text >= ' ' && *text <= '~');
    }
}
