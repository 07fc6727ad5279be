#!/usr/bin/env bash
# smelt abi: the header compiles as it is, and what is built with it runs.
. "$(dirname "$0")/support.sh"

run_json 0 abi
holds '.profile == "engine" and .version == 1 and (.functions | length == 23)'
holds '.functions[0] == {"module": "env", "name": "storage_read", "params": [{"name": "key_ptr", "type": "i32"}, {"name": "key_len", "type": "i32"}], "result": "i64", "brief": .functions[0].brief, "mutates": false, "returns": true}'
holds '.functions | map(select(.returns | not).name) == ["revert"]'
holds '.functions | map(select(.name == "input_read"))[0].params | map(.name) == ["offset", "dest_len", "dest_ptr"]'
expect "--format json" "$("$smelt" abi --format json)" "$(cat "$answer")"
count=$(field '.functions | length')

run 0 abi --format markdown
expect "rows of the table" "$(grep -c '^| `env\.' "$answer")" "$count"
grep -qF '| `env.storage_read` | `(key_ptr i32, key_len i32) -> i64` |' "$answer" || fail "storage_read"
awk -F'[^\\\\][|]' 'NF != 5 && NF != 4 { exit 1 }' "$answer" || fail "a row with other columns"
run_json 0 abi --format markdown
holds '.format == "markdown" and (.text | startswith("| import"))'

run 0 abi --format c-header
expect "imports in the header" "$(grep -c '^SMELT_IMPORT("env"' "$answer")" "$count"
cp "$answer" smelt.h
expect "the default" "$("$smelt" abi)" "$(cat smelt.h)"
clang=$(find_clang)
for language in c c++; do
    "$clang" --target=wasm32 -x "$language" -ffreestanding -nostdlib -Wall -Wextra -Werror -fsyntax-only smelt.h \
        -Wno-pragma-once-outside-header 2>"$messages" || fail "the header as $language"
done
cat >greet.c <<'EOS'
#include "smelt.h"

SMELT_EXPORT("greet") uint32_t greet(void)
{
    static uint8_t caller[32];
    uint32_t size = get_caller(caller);
    log_event("greeting", 8, caller, size);
    return_data("hello", 5);
    return input_len();
}

SMELT_EXPORT("leave") void leave(void)
{
    revert("bye", 3);
}
EOS
if ! "$clang" --target=wasm32 -mcpu=mvp -O2 -ffreestanding -nostdlib -Wl,--no-entry -Wall -Werror \
    -o greet.wasm greet.c 2>"$messages"; then
    grep -qi 'wasm-ld\|linker' "$messages" || fail "a contract in C"
    echo "skipped: no wasm-ld for $clang"
    exit 77
fi
run_json 0 run greet.wasm greet --input 0011
holds ".results == [\"i32:2\"] and .return_data == \"$(hex_text hello)\" and .events[0].data == \"$zeroes\""
run_json 10 run greet.wasm leave
holds ".return_data == \"$(hex_text bye)\""
done_well
