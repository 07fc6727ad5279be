/* UTF-8 as of RFC 3629: what the binary format demands of names, and what may reach a terminal. */
#ifndef SM_BASE_UTF8_H
#define SM_BASE_UTF8_H

#include <stddef.h>

/* Length of the valid multi-byte sequence at `text` (2 to 4), 0 when there is none. Reads on only
 * while the bytes are continuation bytes, so a terminating NUL is enough of a bound. */
size_t sm_utf8_length(const unsigned char *text);

#endif
