/* gcc's account of stack frames ("Developer Options", -fstack-usage): a text file beside the
 * object.
 */
#ifndef SM_DRIVER_STACK_USAGE_H
#define SM_DRIVER_STACK_USAGE_H

#include "compiler/driver/frame.h"

#include <smelt/bytes.h>
#include <smelt/status.h>

#define SM_STACK_USAGE_NAME_BYTES 64 /* longest name of a function, its end included */

/* Visits every line. TOOL_OUTPUT when the text has any other form than
 *
 *     <file>:<line>:<column>:<function> TAB <bytes> TAB static LF
 *
 * A frame that is "dynamic" has no size that could be relied on, not even when it is "bounded". */
enum smelt_status sm_stack_usage_read(struct smelt_slice text, sm_frame_fn visit, void *context,
                                      struct smelt_error *err);

#endif
