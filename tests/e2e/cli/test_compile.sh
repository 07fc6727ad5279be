#!/usr/bin/env bash
# smelt compile: the answer, the cache, the outputs.
. "$(dirname "$0")/support.sh"

echo "== the second compilation runs no tool"
clang=$(wrapper clang "$(find_clang)")
wasm2c=$(wrapper wasm2c "$(command -v wasm2c)")
export SMELT_CC=$clang SMELT_WASM2C=$wasm2c
run_json 0 compile "$contracts/counter.wat"
holds '.cached == false and (.module_hash | test("^[0-9a-f]{64}$")) and (.artefact_key | test("^[0-9a-f]{64}$"))'
holds 'keys == ["artefact", "artefact_key", "bytes", "cached", "module_hash", "timings_ms"]'
holds '.timings_ms | keys == ["cc", "check", "decode", "instrument", "lower", "publish", "wasm2c"] and all(.[]; . >= 0) and .cc > 0'
expect "size of the artefact" "$(stat -c %s "$(field .artefact)")" "$(field .bytes)"
[ "$(head -c 4 "$(field .artefact)" | tail -c 3)" = ELF ] || fail "not an ELF file"
[ -s clang.log ] && [ -s wasm2c.log ] || fail "the wrappers were not used"
first=$(jq -c '[.module_hash, .artefact_key, .artefact, .bytes]' "$answer")
: >clang.log
: >wasm2c.log
run_json 0 compile "$contracts/counter.wat"
holds '.cached == true and .timings_ms.cc == 0 and .timings_ms.wasm2c == 0'
expect "the same artefact" "$(jq -c '[.module_hash, .artefact_key, .artefact, .bytes]' "$answer")" "$first"
expect "tools run for a cached module" "$(sort -u clang.log wasm2c.log)" --version
unset SMELT_CC SMELT_WASM2C

echo "== text, binary and standard input are the same module"
wat2wasm "$contracts/counter.wat" -o counter.wasm
run_json 0 compile counter.wasm
hash=$(field .module_hash)
expect "hash of the text" "$hash" "$(jq -rn "$first"'[0]')"
"$smelt" compile - --json <counter.wasm >"$answer"
expect "hash of standard input" "$(field .module_hash)" "$hash"
"$smelt" compile - --json <"$contracts/counter.wat" >"$answer"
expect "hash of text from standard input" "$(field .module_hash)" "$hash"
run_json 0 compile <(cat counter.wasm)
expect "hash of a pipe" "$(field .module_hash)" "$hash"

echo "== outputs"
run_json 0 compile counter.wasm -o out.so --emit-c out.c --emit-wasm out.wasm
expect "artefact with -o" "$(field .artefact)" out.so
expect "size with -o" "$(stat -c %s out.so)" "$(field .bytes)"
cmp out.so "$(jq -rn "$first"'[2]')" || fail "the copy differs from the cache entry"
grep -q smelt_guest.h out.c || fail "no C was written"
cmp -s out.wasm counter.wasm && fail "the module was not instrumented"
expect "magic of --emit-wasm" "$(head -c 8 out.wasm | od -An -tx1 | tr -d ' ')" 0061736d01000000
echo old >out.so
run 0 compile counter.wasm --output=out.so
cmp out.so "$(jq -rn "$first"'[2]')" || fail "an existing file was not replaced"
expect "files" "$(ls -d out.*)" "$(printf 'out.c\nout.so\nout.wasm')"

echo "== the same bytes from another cache and directory"
mkdir elsewhere
(cd elsewhere && "$smelt" compile ../counter.wasm --cache other -o again.so >/dev/null)
cmp out.so elsewhere/again.so || fail "the artefact is not reproducible"

echo "== human output"
run 0 compile counter.wasm
for text in cached counter.wasm "$hash" "$(jq -rn "$first"'[1]')" "$(jq -rn "$first"'[2]')"; do
    grep -qF -- "$text" "$answer" || fail "does not print $text"
done

echo "== explained fuel"
mkdir empty-path
run_json 0 compile counter.wasm --explain-fuel --cache unused-cache
holds '.functions | length >= 1 and all(.[]; (.name | type) == "string" and .blocks[0].checked)'
holds '.charge == ([.functions[].blocks[].charge] | add) and .blocks == ([.functions[].blocks[]] | length)'
holds '.instructions == ([.functions[].blocks[].instructions] | add)'
holds '[.functions[].blocks[].host[] | select(.name == "storage_write") | [.module, .base, .per_unit, .unit, .extra]] | unique == [["env", 1000, 10, 1, 1000]]'
cp "$answer" explained.json
(PATH=$PWD/empty-path "$smelt" compile counter.wasm --explain-fuel --json) >"$answer" || fail "wants a tool"
cmp "$answer" explained.json || fail "explains differently without tools"
[ -z "$(find unused-cache -name '*.so')" ] || fail "something was compiled"
run 0 compile counter.wasm --explain-fuel
expect "total" "$(tail -1 "$answer" | sed 's/.*charge //')" "$(jq .charge explained.json)"
expect "host calls" "$(grep -c 'env.storage' "$answer")" "$(jq '[.functions[].blocks[].host[] | select(.name | startswith("storage"))] | length' explained.json)"
run_json 0 compile counter.wasm --explain-fuel --schedule unit
holds '[.functions[].blocks[].host[].base] | all(. == 0)'
refuses 2 invalid_argument compile counter.wasm --explain-fuel -o explained.so
refuses 3 float_refused compile "$contracts/float.wat" --explain-fuel
printf '(module (func (export "a\\1b[31m\\"b") (nop)))' >hostile.wat
run 0 compile hostile.wat --explain-fuel
! grep -q "$(printf '\033')" "$answer" || fail "an escape sequence got through"
echo '(module)' >none.wat
run_json 0 compile none.wat --explain-fuel
holds '. == {"functions": [], "blocks": 0, "instructions": 0, "charge": 0}'

echo "== options that make another artefact"
key=$(jq -rn "$first"'[1]')
run_json 0 compile counter.wasm --schedule unit
[ "$(field .artefact_key)" != "$key" ] || fail "the schedule is not part of the key"
run_json 0 compile counter.wasm --schedule "$source_directory/schedules/engine-v1.toml" --profile engine --tier baseline
expect "key with the schedule's file" "$(field .artefact_key)" "$key"
run_json 0 compile counter.wasm --policy standard-floats
[ "$(field .artefact_key)" != "$key" ] || fail "the policy is not part of the key"
run_json 0 compile counter.wasm --any-imports
[ "$(field .artefact_key)" != "$key" ] || fail "the imports are not part of the key"
grep -q '"imports": "any"' "$(field '.artefact | sub("so$"; "meta")')" || fail "imports in the manifest"
sed 's/^name = .*/name = "renamed"/' "$source_directory/policies/standard.toml" >renamed.toml
run_json 0 compile counter.wasm --policy renamed.toml
expect "key with the policy's file" "$(field .artefact_key)" "$key"
sed 's/^name = .*/name = "mine"/; s/^exports = .*/exports = 100/' renamed.toml >mine.toml
run_json 0 compile counter.wasm --policy mine.toml
[ "$(field .artefact_key)" != "$key" ] || fail "the policy's values are not part of the key"
grep -q '"policy": "mine"' "$(field '.artefact | sub("so$"; "meta")')" || fail "policy in the manifest"
run_json 0 compile "$contracts/float.wat" --policy standard-floats
echo '(module (import "a" "b" (func)) (func (export "f") call 0))' >foreign.wat
run_json 0 compile foreign.wat --any-imports

echo "== modules with nothing to run"
printf '\0asm\1\0\0\0' >nothing.wasm
run_json 0 compile nothing.wasm
echo '(module (memory (export "memory") 1) (data (i32.const 0) "data") (global (mut i32) (i32.const 1)))' >memory.wat
run_json 0 compile memory.wat
echo '(module (func) (func (result i32) i32.const 1))' >unused.wat
run_json 0 compile unused.wat
run_json 0 deploy nothing.wasm --state empty-state
refuses 2 unknown_function call "$(field .address)" f --state empty-state

echo "== modules that would keep an optimiser busy are not optimised"
# With -O1 clang took 47 seconds for the first, 55 for the second: 16 KB of wasm each.
repeated() { # COUNT STATEMENT: in the body of func_1
    awk -v count="$1" -v statement="$2" 'BEGIN {
        for (i = 0; i < 32; i++) { types = types " i64"; values = values " i64.const 0" }
        print "(module (func $many (result" types ")" values ") (func (export \"go\") (param i64)"
        for (i = 0; i < count; i++) print statement
        print "))" }' >repeated.wat
    : >arguments
    SMELT_CC=$PWD/noting-cc run 0 compile repeated.wat
}
cat >noting-cc <<END
#!/bin/sh
echo "\$*" >>'$PWD/arguments'
exec '$(command -v "${SMELT_CC:-clang-19}")' "\$@"
END
chmod +x noting-cc
call='(block (call $many) (br 0))'
division='(local.set 0 (i64.div_s (i64.const 7) (local.get 0)))'
optimised() { repeated "$@"; grep -q -- ' -O1 -c' arguments || fail "not optimised: $*"; }
costly() { repeated "$@"; grep -q -- ' -O0 -c' arguments || fail "optimised: $*"; }
optimised 100 "$call"
optimised 300 "$division"
costly 1500 "$call"
costly 1900 "$division"

echo "== impossible outputs"
mkdir directory
fail_output() {
    refuses 1 "$@"
    expect "files" "$(ls -A directory)" ""
}
echo '(module (func (export "other")))' >other.wat
unchanged fail_output io compile other.wat -o directory
unchanged fail_output io compile other.wat --emit-c directory
unchanged fail_output io compile other.wat -o /dev/null
unchanged fail_output not_found compile other.wat -o missing/out.so
unchanged fail_output not_found compile other.wat --emit-wasm missing/out.wasm
unchanged fail_output io compile other.wat -o other.wat/out.so
unchanged fail_output not_found compile missing.wat -o directory/out.so
unchanged refuses 2 invalid_argument compile other.wat -o same --emit-c same
unchanged refuses 2 invalid_argument compile other.wat -o same --emit-c ./same
unchanged refuses 2 invalid_argument compile other.wat --emit-c directory/same --emit-wasm "$PWD/directory/../directory/same"
cp other.wat other.copy
ln -s other.wat other.link
for output in other.wat ./other.wat other.link; do
    unchanged refuses 2 invalid_argument compile other.wat -o $output
    unchanged refuses 2 invalid_argument compile other.wat --emit-wasm $output
    unchanged refuses 2 invalid_argument run other.wat other --metrics $output
done
cmp other.wat other.copy || fail "the module was overwritten"
echo '(module (func (export "f") (result i32)))' >invalid.wat
[ ! -e same ] || fail "an output was written"
done_well
