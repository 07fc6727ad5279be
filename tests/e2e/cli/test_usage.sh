#!/usr/bin/env bash
# Command lines that are wrong: exit code 2, the culprit by name, and nothing changed anywhere.
. "$(dirname "$0")/support.sh"

deploy "$contracts/probe.wat"

# usage TEXT arguments...: fails as usage with TEXT in the message
usage() {
    refuses 2 invalid_argument "${@:2}"
    grep -qF -- "$1" <<<"$(field .error.message)" || fail "the message does not say: $1"
}
call=(call "$address" nothing --state "$state")

unchanged usage "no command"
unchanged usage "nonsense" nonsense
unchanged usage "--nonsense" --nonsense
unchanged usage "account" account
unchanged usage "account" account nonsense
unchanged usage "arguments are missing" compile
unchanged usage "unexpected argument \"b\"" compile a b
unchanged usage "--state" deploy "$contracts/probe.wat"
unchanged usage "--state" call "$address" nothing
unchanged usage "--state" state dump
unchanged usage "--state" account fund "$address" 1
unchanged usage "--nonsense" "${call[@]}" --nonsense
unchanged usage "--format" "${call[@]}" --format json
unchanged usage "--fuel" "${call[@]}" --fuel
run_json 2 "${call[@]}" --fuel
grep -qF -- "--fuel needs a value" <<<"$(field .error.message)" || fail "--json was taken for a value"
unchanged usage "--fuel" "${call[@]}" --fuel 1 --fuel 1
unchanged usage "--fuel" "${call[@]}" --fuel 0
unchanged usage "--fuel" "${call[@]}" --fuel 1e9
unchanged usage "--fuel" "${call[@]}" --fuel -1
unchanged usage "--fuel" "${call[@]}" --fuel 9223372036854775808
unchanged usage "--value" "${call[@]}" --value 340282366920938463463374607431768211456
unchanged usage "--value" "${call[@]}" --value 0x10
unchanged usage "--from" "${call[@]}" --from abcd
unchanged usage "--from" "${call[@]}" --from "${zeroes}0"
unchanged usage "--input" "${call[@]}" --input 123
unchanged usage "--input" "${call[@]}" --input zz
unchanged usage "--static" "${call[@]}" --static=yes
unchanged usage "--block" "${call[@]}" --block 18446744073709551616
unchanged usage "--format" abi --format maybe
unchanged usage "--policy" "${call[@]}" --policy
unchanged usage "neither a file nor a built-in policy" "${call[@]}" --policy nonsense
unchanged usage "neither a file nor a built-in schedule" "${call[@]}" --schedule nonsense
unchanged usage "--profile" "${call[@]}" --profile other
unchanged usage "--tier" compile "$contracts/probe.wat" --tier fast
unchanged usage "address" call 1234 nothing --state "$state"
unchanged usage "address" account show "${zeroes}z" --state "$state"
unchanged usage "amount" account fund "$address" 1.5 --state "$state"
unchanged usage "argument 2" call "$address" add i32:1 nonsense --state "$state"
unchanged usage "argument 1" call "$address" add i32:4294967296 i64:0 --state "$state"
unchanged usage "argument 1" run "$contracts/probe.wat" add 5 i64:0

echo "== functions and their arguments"
unchanged refuses 2 unknown_function call "$address" nonsense --state "$state"
unchanged refuses 2 unknown_function call "$address" "" --state "$state"
unchanged refuses 2 unknown_function call "$address" memory --state "$state"
unchanged refuses 2 unknown_function call "$address" init --state "$state"
unchanged refuses 2 argument_mismatch call "$address" nothing i32:1 --state "$state"
unchanged refuses 2 argument_mismatch call "$address" add i32:1 --state "$state"
unchanged refuses 2 argument_mismatch call "$address" add i64:1 i64:1 --state "$state"
unchanged refuses 2 argument_mismatch call "$address" add i32:1 i64:1 i32:1 --state "$state"
unchanged refuses 2 unknown_function run "$contracts/probe.wat" nonsense
unchanged refuses 2 argument_mismatch run "$contracts/probe.wat" add

echo "== gas schedules"
builtin=$source_directory/schedules/engine-v1.toml
schedule() { refuses 2 "$1" compile "$contracts/counter.wat" --schedule schedule.toml; }
unchanged schedule invalid_argument
: >schedule.toml
unchanged schedule schedule_invalid
echo 'name = ' >schedule.toml
unchanged schedule schedule_invalid
(cat "$builtin" && echo 'extra = 1') >schedule.toml
unchanged schedule schedule_invalid
grep -v '^drop = ' "$builtin" >schedule.toml
unchanged schedule schedule_invalid
sed 's/^drop = 1/drop = 1\ndrop = 1/' "$builtin" >schedule.toml
unchanged schedule schedule_invalid
holds '.error.offset > 0'
sed 's/^drop = 1/drop = -1/' "$builtin" >schedule.toml
unchanged schedule schedule_invalid
sed 's/^name = .*/name = "mine"/' "$builtin" >schedule.toml
run_json 0 compile "$contracts/counter.wat" --schedule schedule.toml

echo "== policies"
builtin=$source_directory/policies/standard.toml
policy() {
    refuses 2 "$1" compile "$contracts/counter.wat" --policy policy.toml
    refuses 2 "$1" policy policy.toml
}
unchanged policy invalid_argument
: >policy.toml
unchanged policy policy_invalid
(cat "$builtin" && echo 'extra = 1') >policy.toml
unchanged policy policy_invalid
grep -v '^globals = ' "$builtin" >policy.toml
unchanged policy policy_invalid
sed 's/^nesting = .*/&\n&/' "$builtin" >policy.toml
unchanged policy policy_invalid
holds '.error.offset > 0 and .error.section == "policy"'
sed 's/^nesting = .*/nesting = 1001/' "$builtin" >policy.toml
unchanged policy policy_invalid
holds '.error.message | test("^line [0-9]+: value is larger than 1000: limits.nesting$")'
unchanged policy policy_invalid
sed 's/^name = .*/name = "mine"/' "$builtin" >policy.toml
run_json 0 compile "$contracts/counter.wat" --policy policy.toml
mkdir policy.d
unchanged refuses 1 io policy policy.d

echo "== help never fails"
run 0 --help
run 0 -h
run 0 account --help
for command in compile deploy call run "account fund" "account show" "state dump" abi schedule policy doctor; do
    # shellcheck disable=SC2086
    run 0 $command --help
    grep -q '^exit codes:' "$answer" || fail "no exit codes in the help of $command"
done
run 0 --version
grep -Eq '^smelt [0-9]+\.[0-9]+\.[0-9]+$' "$answer" || fail "version"
run_json 0 --version
holds '.version | test("^[0-9]+\\.[0-9]+\\.[0-9]+$")'
done_well
