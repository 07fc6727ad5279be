#!/usr/bin/env bash
# Contracts over a state, one process per transaction: outcomes, exit codes, receipts.
. "$(dirname "$0")/support.sh"

receipt_shape() {
    holds 'keys == ["address", "artefact_key", "events", "fuel_limit", "fuel_used", "function", "host_error", "location", "module_hash", "outcome", "results", "return_data", "timings_ms", "trap", "writes"]'
    holds '(.fuel_used | type == "number") and .fuel_used <= .fuel_limit and (.writes | type == "number")'
    holds '(.results | type == "array") and (.events | type == "array") and (.return_data | test("^[0-9a-f]*$"))'
    holds '(.module_hash | test("^[0-9a-f]{64}$")) and (.artefact_key | test("^[0-9a-f]{64}$"))'
    holds '.timings_ms | keys == ["commit", "execute", "load"] and all(.[]; . >= 0)'
}

# call EXIT_CODE FUNCTION [arguments]
call() {
    run_json "$1" call "$address" "${@:2}" --state "$state"
    receipt_shape
    expect "address" "$(field .address)" "$address"
    expect "function" "$(field .function)" "$2"
}

echo "== the counter counts over processes"
deploy "$contracts/counter.wat"
receipt_shape
holds '.outcome == "returned" and (.address | test("^[0-9a-f]{64}$")) and .function == "init"'
counter=$address
for count in 1 2 3; do
    call 0 increment
    holds ".outcome == \"returned\" and .trap == null and .host_error == null and .location == null"
    holds ".results == [\"i32:$count\"] and .writes == 1 and .events == [] and .fuel_used > 0 and .fuel_limit == 1000000000"
done
run_json 0 state dump --state "$state"
holds '.profile == "engine" and .schedule.name == "engine-v1" and (.schedule.digest | test("^[0-9a-f]{64}$")) and .policy.name == "standard" and (.policy.digest | test("^[0-9a-f]{64}$"))'
holds ".accounts | map(select(.address == \"$counter\")) | length == 1 and .[0].code_hash != null"
holds ".accounts | map(select(.address == \"$counter\"))[0].storage == [{\"key\": \"$(hex_text counter)\", \"value\": \"03000000\"}]"
run 0 state dump --state "$state"
grep -q '"counter" = 03000000' "$answer" || fail "human dump"
run 0 call "$counter" increment --state "$state"
grep -q '^returned  increment  i32:4$' "$answer" || fail "human receipt"
run 0 call "0x$counter" increment "--state=$state"
grep -q 'i32:5$' "$answer" || fail "human receipt"

echo "== static calls change nothing"
static() {
    run_json 11 call "$counter" increment --state "$state" --static
    receipt_shape
    holds '.outcome == "trapped" and .trap == "static_violation" and .writes == 0 and .results == []'
}
unchanged static

echo "== every ending"
deploy "$contracts/probe.wat"
call 0 nothing
holds '.results == [] and .return_data == "" and .writes == 0'
call 0 add i32:-5 i64:7
holds '.results == ["i64:2"]'
call 0 add i32:0xffffffff i64:9223372036854775807
holds '.results == ["i64:9223372036854775806"]'
call 0 emit
holds ".events == [{\"address\": \"$address\", \"topic\": \"$(hex_text topic)\", \"data\": \"$(hex_text key)\"}, {\"address\": \"$address\", \"topic\": \"746f7069631b5b324a\", \"data\": \"\"}]"
run 0 call "$address" emit --state "$state"
grep -q 'event 0 *"topic"  "key"' "$answer" || fail "human events"
LC_ALL=C grep -q $'\033' "$answer" && fail "a contract's control character reached the terminal"
call 0 write
holds '.writes == 1'
refuse() {
    call 10 refuse
    holds ".outcome == \"reverted\" and .return_data == \"$(hex_text "no thanks")\" and .trap == null and .events == [] and .writes == 0 and .results == []"
}
unchanged refuse
traps() { # TRAP FUNCTION [arguments]
    call 11 "${@:2}"
    holds ".outcome == \"trapped\" and .trap == \"$1\" and .events == [] and .writes == 0 and .results == []"
}
located() {
    traps "$@"
    holds '.location | keys == ["function", "index", "offset"] and (.function | type == "string") and .offset > 0 and .index >= 0'
}
unchanged located unreachable stop
expect "name in the location" "$(field .location.function)" stop
unchanged located integer_divide_by_zero divide i32:0
unchanged located memory_out_of_bounds wild
unchanged traps host_error no_key
holds '.host_error == "key_size"'
spin() {
    call 12 spin --fuel 100000
    holds '.outcome == "out_of_fuel" and .fuel_used == 100000 and .fuel_limit == 100000 and .writes == 0 and .events == []'
    refuses 1 deadline_exceeded call "$address" churn --state "$state" --fuel 9223372036854775807 --deadline-ms 20
}
unchanged spin
run 11 call "$address" $'odd\033[31mname' --state "$state"
LC_ALL=C grep -q $'\033' "$answer" && fail "a name's control character reached the terminal"
grep -qF 'odd\x1b[31mname' "$answer" || fail "the name is not shown"

echo "== what a call carries"
from=$(printf 'ab%.0s' {1..32})
call 0 echo --input 0x00FFa1
holds '.return_data == "00ffa1"'
call 0 echo
holds '.return_data == ""'
call 0 caller --from "$from"
holds ".return_data == \"$from\""
call 0 caller
holds ".return_data == \"$zeroes\""
call 0 block --block 18446744073709551615
holds '.results == ["i64:-1"]'
call 0 time --time 1700000000
holds '.results == ["i64:1700000000"]'
call 0 time
holds '.results == ["i64:0"]'

echo "== value"
poor() { refuses 1 insufficient_balance call "$address" value --state "$state" --from "$from" --value 1; }
unchanged poor
run_json 0 account fund "$from" 340282366920938463463374607431768211455 --state "$state"
holds ".address == \"$from\" and .balance == \"340282366920938463463374607431768211455\" and .code_hash == null and .owner == null and (.nonce | type == \"number\")"
unchanged refuses 1 balance_overflow account fund "$from" 1 --state "$state"
call 0 value --from "$from" --value 258
holds '.return_data == "02010000000000000000000000000000"'
run_json 0 account show "$address" --state "$state"
holds '.balance == "258" and (.code_hash | test("^[0-9a-f]{64}$")) and .owner == "'"$zeroes"'"'
run 0 account show "$address" --state "$state"
grep -q "owner *$zeroes" "$answer" || fail "human contract"
run_json 0 account show "$from" --state "$state"
holds '.balance == "340282366920938463463374607431768211197" and (.nonce | type == "number")'
run 0 account show "$from" --state "$state"
grep -q 'balance *340282366920938463463374607431768211197' "$answer" || fail "human account"

echo "== metrics"
run_json 0 call "$counter" increment --state "$state" --metrics metrics.prom
grep -qx 'smelt_transactions_total{kind="call"} 1' metrics.prom || fail "no count of calls"
grep -qx 'smelt_outcomes_total{outcome="returned"} 1' metrics.prom || fail "no count of outcomes"
grep -q '^smelt_execute_seconds_bucket{le="+Inf"} 1$' metrics.prom || fail "no histogram"
awk '/^#/ { next } NF != 2 || $2 !~ /^[0-9.e+-]+$/ { print "bad line: " $0; bad = 1 } END { exit bad }' metrics.prom ||
    fail "not the text format"
refuses 1 io call "$counter" increment --state "$state" --metrics .
refuses 1 io deploy "$contracts/counter.wat" --state no-metrics --metrics .
[ ! -e no-metrics ] || fail "a state was created"

echo "== many results"
awk 'BEGIN {
    for (i = 0; i < 32; i++) { types = types " i64"; values = values " i64.const -9223372036854775808" }
    print "(module (func (export \"many\") (result" types ")" values "))" }' >many.wat
run 0 run many.wat many
expect "results shown" "$(head -n 1 "$answer" | grep -o 'i64:-9223372036854775808' | wc -l)" 32

echo "== a frame of megabytes"
# Each of the calls leaves its results in a struct of its own, in code that is not optimised: no
# accepted module may need a native stack that the runtime refuses to make.
awk 'BEGIN {
    for (i = 0; i < 32; i++) { types = types " i64"; values = values " i64.const 0" }
    print "(module (func $many (result" types ")" values ") (func (export \"go\")"
    for (i = 0; i < 1500; i++) print "(block (call $many) (br 0))"
    print "))" }' >frame.wat
run_json 0 run frame.wat go
holds '.outcome == "returned"'

echo "== a failing init makes no contract"
failing_init() {
    run_json 11 deploy "$contracts/init_fails.wat" --state "$state"
    receipt_shape
    holds '.outcome == "trapped" and .trap == "unreachable" and .address == null and .function == "init"'
}
before=$(dump)
failing_init
expect "state after a failing init" "$(dump)" "$before"

echo "== run: a quick try without a state"
run_json 0 run "$contracts/counter.wat" increment
receipt_shape
holds '.results == ["i32:1"]'
run_json 0 run "$contracts/probe.wat" add i32:1 i64:2 --fuel 5000
holds '.results == ["i64:3"] and .fuel_limit == 5000'
run_json 0 run "$contracts/probe.wat" value --value 5 --from "$from"
holds '.return_data == "05000000000000000000000000000000"'
run_json 0 run "$contracts/probe.wat" echo --input 0102
holds '.return_data == "0102"'
run_json 10 run "$contracts/probe.wat" refuse
run_json 11 run "$contracts/probe.wat" stop
run_json 12 run "$contracts/probe.wat" spin --fuel 100000
refuses 1 deadline_exceeded run "$contracts/probe.wat" churn --fuel 9223372036854775807 --deadline-ms 20
run_json 0 run "$contracts/probe.wat" add i32:1 i64:2 --deadline-ms 60000
holds '.results == ["i64:3"]'
run_json 11 run "$contracts/probe.wat" write --static
holds '.trap == "static_violation"'
run_json 11 run "$contracts/init_fails.wat" nothing
holds '.function == "init" and .address == null'
"$smelt" run - increment --json <"$contracts/counter.wat" | jq -e '.results == ["i32:1"]' >/dev/null || fail "run -"

echo "== floats on request"
run_json 0 run "$contracts/float.wat" half i32:9 --policy standard-floats
holds '.results == ["i32:4"]'

echo "== the same transaction costs the same"
run_json 0 run "$contracts/counter.wat" increment
fuel=$(field .fuel_used)
run_json 0 run "$contracts/counter.wat" increment --cache elsewhere
expect "fuel" "$(field .fuel_used)" "$fuel"
done_well
