/* Why a contract trapped. The numbers are part of receipts and of generated code: fixed, never
 * reused. Names follow the messages of the WebAssembly core specification test suite. */
#ifndef SMELT_TRAP_H
#define SMELT_TRAP_H

#include <smelt/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMELT_TRAP_MAP(XX)                                                                         \
    XX(0, NONE, "none")                                                                            \
    XX(1, UNREACHABLE, "unreachable")                                                              \
    XX(2, MEMORY_OUT_OF_BOUNDS, "memory_out_of_bounds")                                            \
    XX(3, INTEGER_DIVIDE_BY_ZERO, "integer_divide_by_zero")                                        \
    XX(4, INTEGER_OVERFLOW, "integer_overflow")                                                    \
    XX(5, INVALID_CONVERSION, "invalid_conversion_to_integer")                                     \
    XX(6, TABLE_OUT_OF_BOUNDS, "table_out_of_bounds")                                              \
    XX(7, UNDEFINED_ELEMENT, "undefined_element")                                                  \
    XX(8, UNINITIALIZED_ELEMENT, "uninitialized_element")                                          \
    XX(9, INDIRECT_CALL_TYPE_MISMATCH, "indirect_call_type_mismatch")                              \
    XX(10, STACK_OVERFLOW, "stack_overflow")                                                       \
    XX(11, HOST_ERROR, "host_error")                                                               \
    XX(12, STATIC_VIOLATION, "static_violation")

enum smelt_trap {
#define SMELT_TRAP_ENUM(number, name, text) SMELT_TRAP_##name = number,
    SMELT_TRAP_MAP(SMELT_TRAP_ENUM)
#undef SMELT_TRAP_ENUM
};

/* What a host function objected to; goes with SMELT_TRAP_HOST_ERROR. */
#define SMELT_HOST_ERROR_MAP(XX)                                                                   \
    XX(0, NONE, "none")                                                                            \
    XX(1, KEY_SIZE, "key_size")                                                                    \
    XX(2, VALUE_TOO_LARGE, "value_too_large")                                                      \
    XX(3, TOPIC_TOO_LARGE, "topic_too_large")                                                      \
    XX(4, EVENT_DATA_TOO_LARGE, "event_data_too_large")                                            \
    XX(5, RETURN_DATA_TOO_LARGE, "return_data_too_large")                                          \
    XX(6, BALANCE_OVERFLOW, "balance_overflow")                                                    \
    XX(7, NO_ALLOCATE, "no_allocate")

enum smelt_host_error {
#define SMELT_HOST_ERROR_ENUM(number, name, text) SMELT_HOST_ERROR_##name = number,
    SMELT_HOST_ERROR_MAP(SMELT_HOST_ERROR_ENUM)
#undef SMELT_HOST_ERROR_ENUM
};

/* Names as used in JSON ("memory_out_of_bounds"); never NULL. */
SMELT_API const char *smelt_trap_name(enum smelt_trap trap);
SMELT_API const char *smelt_host_error_name(enum smelt_host_error error);

#ifdef __cplusplus
}
#endif

#endif
