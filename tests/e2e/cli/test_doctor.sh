#!/usr/bin/env bash
# smelt doctor: says what is there and what is wrong, and leaves nothing behind.
. "$(dirname "$0")/support.sh"

run_json 0 doctor
holds '.ok == true and (.version | type == "string") and (.checks | length >= 4 and all(.ok == true))'
holds '.checks | map(.name) | contains(["cache", "seal key", "compiler", "wat2wasm", "self test"])'
holds '.checks | all(keys == ["detail", "name", "ok"])'
expect "left in TMPDIR" "$(ls -A tmp)" ""
holds '.checks[] | select(.name == "compiler") | .detail | test("clang version .*LLD .*wasm2c 1[.]0[.]32")'
run 0 doctor
grep -q '^ok .*self test' "$answer" || fail "human output"

unwell() { # CHECK
    run_json 1 doctor
    holds ".ok == false and (.checks | map(select(.ok | not).name) | index(\"$1\") != null)"
    run 1 doctor
    grep -q "^fail .*$1" "$answer" || fail "human output"
    expect "left in TMPDIR" "$(ls -A tmp)" ""
}
SMELT_CC=$scratch/none unwell compiler
SMELT_WASM2C=$scratch/none unwell compiler
chmod 0644 "$SMELT_CACHE/seal.key"
unwell cache
echo file >file
SMELT_CACHE=$scratch/file unwell cache
done_well
