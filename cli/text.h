/* text.h: text of a server, made safe for a terminal and for a shell (X32).
 *
 * A server may be another's, or taken over: what it says must not move a cursor
 * or become a command.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>

#include <jansson.h>

/* Control characters become '?', in place: C0, DEL, and C1 in UTF-8. */
void text_clean(char *text);

/* On standard output, indented; what text_clean() would change is escaped. */
void text_print_json(const json_t *value);

/* On standard output as one word of a shell, cleaned. */
void text_print_quoted(const char *text);

/* Letters, digits and _ only, at least one. */
bool text_is_word(const char *text);

/* HOST:PORT or [ADDRESS]:PORT, of characters that mean nothing to a shell. */
bool text_is_address(const char *text);

#endif
