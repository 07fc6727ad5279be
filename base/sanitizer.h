/* Which sanitizers this build carries, under every compiler that has them. */
#ifndef SM_BASE_SANITIZER_H
#define SM_BASE_SANITIZER_H

#if defined(__has_feature)
#define SM_HAS_FEATURE(feature) __has_feature(feature)
#else
#define SM_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || SM_HAS_FEATURE(address_sanitizer)
#define SM_HAS_ASAN 1
#else
#define SM_HAS_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || SM_HAS_FEATURE(thread_sanitizer)
#define SM_HAS_TSAN 1
#else
#define SM_HAS_TSAN 0
#endif

#endif
