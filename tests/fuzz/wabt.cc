/* wabt's side of peer.h. */
#include "tests/fuzz/peer.h"

#include <wabt/binary-reader-ir.h>
#include <wabt/binary-reader.h>
#include <wabt/ir.h>
#include <wabt/validator.h>

#include <csetjmp>
#include <cstdio>
#include <cstdlib>

/* Debian builds wabt with assertions, and some hold for good modules only. Ending the process would
 * end the fuzzing, so a failing assertion goes back to where wabt was called. What it had allocated
 * is lost, which the leak sanitizer, where there is one, is not to count. */
extern "C" {
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));
}

namespace
{

std::jmp_buf *caller; /* while wabt runs */

bool is_accepted(smelt_slice module, char *why, size_t why_size)
{
    wabt::Features features; /* the defaults of 1.0.32 are core 2.0 */
    features.disable_simd();
    const wabt::ReadBinaryOptions options(features, nullptr, false, true, true);
    wabt::Errors errors;
    wabt::Module read;
    bool is_good =
        wabt::Succeeded(wabt::ReadBinaryIr("module.wasm", module.data, module.size, options,
                                           &errors, &read)) &&
        wabt::Succeeded(wabt::ValidateModule(&read, &errors, wabt::ValidateOptions(features)));
    std::snprintf(why, why_size, "%s", errors.empty() ? "" : errors[0].message.c_str());
    return is_good;
}

} // namespace

/* In the place of libc's; our own assertions come here as well. */
extern "C" void __assert_fail(const char *assertion, const char *file, unsigned line,
                              const char *function) noexcept
{
    if (caller != nullptr) {
        std::longjmp(*caller, 1);
    }
    std::fprintf(stderr, "%s:%u: %s: assertion failed: %s\n", file, line, function, assertion);
    std::abort();
}

fuzz_opinion fuzz_run_wabt(smelt_slice module, char *why, size_t why_size)
{
    std::jmp_buf here;
    volatile fuzz_opinion opinion = FUZZ_NO_OPINION;
    std::snprintf(why, why_size, "an assertion failed");
    if (__lsan_disable != nullptr) {
        __lsan_disable();
    }
    caller = &here;
    if (setjmp(here) == 0) {
        opinion = is_accepted(module, why, why_size) ? FUZZ_ACCEPTED : FUZZ_REFUSED;
    }
    caller = nullptr;
    if (__lsan_enable != nullptr) {
        __lsan_enable();
    }
    return opinion;
}
