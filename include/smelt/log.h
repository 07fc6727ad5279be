/* Lines for an operator's eye. The library writes nowhere by itself. */
#ifndef SMELT_LOG_H
#define SMELT_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

enum smelt_log_level {
    SMELT_LOG_WARNING =
        0,             /* something is wrong on this machine: a node failure, a bad cache entry */
    SMELT_LOG_INFO = 1 /* what took time: a module was loaded or compiled */
};

/* Zeroes: nobody listens. */
struct smelt_log {
    /* One line of UTF-8 without its end, borrowed for the call. From the thread that does the work,
     * never from a signal handler; several threads may call at once. */
    void (*write)(void *context, enum smelt_log_level level, const char *line);
    void *context;
};

#ifdef __cplusplus
}
#endif

#endif
