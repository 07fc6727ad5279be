/* A second opinion on modules: wabt's reader and validator, in process, as wasm-validate runs them,
 * with the features of the contract subset. */
#ifndef SM_TESTS_FUZZ_PEER_H
#define SM_TESTS_FUZZ_PEER_H

#include <smelt/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fuzz_opinion { FUZZ_ACCEPTED, FUZZ_REFUSED, FUZZ_NO_OPINION };

/* wabt 1.0.32 reads past the end of its input where sizes lie, and in custom sections where names
 * do: it is asked only about modules whose sections and bodies are as long as they say, and without
 * their custom sections. `why` gets its first message. */
enum fuzz_opinion fuzz_ask_wabt(struct smelt_slice module, char *why, size_t why_size);

/* The same without any precaution. No opinion: an assertion of wabt's failed. */
enum fuzz_opinion fuzz_run_wabt(struct smelt_slice module, char *why, size_t why_size);

#ifdef __cplusplus
}
#endif

#endif
