/* text.h: inputs of harnesses as text, so that a corpus can be read.
 *
 * Words, between white space:
 *
 *     # a comment, to the end of the line
 *     00ff 1a                    bytes
 *     "GET / HTTP/1.1\r\n"       bytes: \r \n \t \0 \" \\ and \xNN
 *     *1000 "a"                  the next word, so many times
 *     frame data syn+ack 1 5     a yamux header: type, flags, stream, length
 *     call consume 0 1 5         a call (fuzz/call.h): name, end, stream,
 * length
 *
 * Flags are 0, a number, or names joined by +; a length of @ is how many bytes
 * follow up to the next frame, call or end.
 */
#ifndef FUZZ_TEXT_H
#define FUZZ_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_BYTES_MAX ((size_t)1 << 20)
#define TEXT_ERROR_SIZE 128u

/* False: error says in which line what is wrong. At most size bytes. */
bool text_read(const char *text, size_t length, uint8_t *bytes, size_t size,
               size_t *written, char error[TEXT_ERROR_SIZE]);

/* Text that text_read() makes these bytes of. head: so many stand alone in the
 * first line; frames: what looks like a frame or a call is written as one. */
void text_write(FILE *out, const uint8_t *bytes, size_t length, size_t head,
                bool frames);

#endif
