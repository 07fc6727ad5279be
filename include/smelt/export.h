/* Visibility and calling attributes of the public interface. */
#ifndef SMELT_EXPORT_H
#define SMELT_EXPORT_H

#if defined(__GNUC__)
#define SMELT_API         __attribute__((visibility("default")))
#define SMELT_WARN_UNUSED __attribute__((warn_unused_result))
#define SMELT_PRINTF(format_index, first_arg)                                                      \
    __attribute__((format(printf, format_index, first_arg)))
#else
#define SMELT_API
#define SMELT_WARN_UNUSED
#define SMELT_PRINTF(format_index, first_arg)
#endif

#endif
