#!/usr/bin/env bash
# The example contracts through the command line: every call is a process of its own over a RocksDB
# state. What is checked of each call: exit code, outcome, result, data; and for failures that the
# state is byte for byte as before.
#
# usage: test_examples_cli.sh <smelt> <directory with the .wasm files>
set -euo pipefail

smelt=$1
contracts=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export SMELT_CACHE=$scratch/cache
state=$scratch/state
receipt=$scratch/receipt.json

alice=a1$(printf '0%.0s' {1..62})
bob=b0$(printf '0%.0s' {1..62})
carol=ca$(printf '0%.0s' {1..62})
nobody=$(printf '0%.0s' {1..64})

fail() {
    echo "FAILED: $*" >&2
    [ ! -s "$receipt" ] || cat "$receipt" >&2
    exit 1
}

# field FILTER: of the last receipt; typed results ("i32:1") without their type
field() { jq -r "$1" "$receipt" | sed 's/^i[36][24]://'; }

expect() { # what got wanted
    [ "$2" = "$3" ] || fail "$1: '$2', expected '$3'"
}

# run EXIT_CODE smelt-arguments...: runs with --json, keeps the receipt
run() {
    local wanted=$1 code=0
    shift
    "$smelt" "$@" --json >"$receipt" 2>"$scratch/stderr" || code=$?
    if [ "$code" != "$wanted" ]; then
        cat "$scratch/stderr" >&2
        fail "smelt $*: exit code $code, expected $wanted"
    fi
}

dump() { "$smelt" state dump --state "$state" --json; }

# deploy NAME [options]: sets $address
deploy() {
    local name=$1
    shift
    run 0 deploy "$contracts/$name.wasm" --state "$state" --from "$alice" "$@"
    expect "outcome of deploying $name" "$(field .outcome)" returned
    address=$(field .address)
}

# returns ADDRESS FUNCTION [options]
returns() {
    run 0 call "$1" "$2" --state "$state" "${@:3}"
    expect "outcome of $2" "$(field .outcome)" returned
}

# fails EXIT OUTCOME ADDRESS FUNCTION [options]: and has no effect
fails() {
    local code=$1 outcome=$2 before
    shift 2
    before=$(dump)
    run "$code" call "$1" "$2" --state "$state" "${@:3}"
    expect "outcome of $2" "$(field .outcome)" "$outcome"
    expect "writes of $2" "$(field .writes)" 0
    expect "events of $2" "$(field '.events | length')" 0
    expect "state after $2" "$(dump)" "$before"
}

reverts() { # TEXT ADDRESS FUNCTION [options]
    fails 10 reverted "${@:2}"
    expect "revert data of $3" "$(field .return_data)" "$(hex_text "$1")"
}

traps() { # TRAP ADDRESS FUNCTION [options]
    fails 11 trapped "${@:2}"
    expect "trap of $3" "$(field .trap)" "$1"
}

hex_text() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }

# le BYTES NUMBER: little-endian hex
le() {
    local i number=$2
    for ((i = 0; i < $1; i++)); do
        printf %02x $((number & 255))
        number=$((number >> 8))
    done
}
u64() { le 8 "$1"; }
amount() { le 16 "$1"; }

balance() { "$smelt" account show "$1" --state "$state" --json | jq -r .balance; }

echo "== counter, in C and in text format"
for name in counter counter_wat; do
    deploy "$name"
    for count in 1 2 3; do
        returns "$address" increment
        expect "$name" "$(field '.results[0]')" "$count"
    done
    traps static_violation "$address" increment --static
done

echo "== erc20: a transfer above the balance reverts and changes nothing"
deploy erc20 --input "$(amount 1000)"
token=$address
expect "mint event" "$(field '.events[0].topic')" "$(hex_text Transfer)"
expect "mint event's data" "$(field '.events[0].data')" "$nobody$alice$(amount 1000)"
balance_of() {
    returns "$token" balance_of --input "$1"
    field .return_data
}
expect "balance of the deployer" "$(balance_of "$alice")" "$(amount 1000)"
returns "$token" transfer --from "$alice" --input "$bob$(amount 400)"
expect "transfer's event" "$(field '.events[0].data')" "$alice$bob$(amount 400)"
reverts "balance is too small" "$token" transfer --from "$alice" --input "$bob$(amount 601)"
reverts "balance is too small" "$token" transfer --from "$carol" --input "$bob$(amount 1)"
reverts "balance is too small" "$token" transfer --from "$alice" \
    --input "$bob$(printf 'f%.0s' {1..32})"
reverts "input has the wrong size" "$token" transfer --from "$alice" --input "$bob"
expect "balance of the sender" "$(balance_of "$alice")" "$(amount 600)"
expect "balance of the receiver" "$(balance_of "$bob")" "$(amount 400)"

returns "$token" approve --from "$bob" --input "$carol$(amount 50)"
expect "approval's topic" "$(field '.events[0].topic')" "$(hex_text Approval)"
reverts "allowance is too small" "$token" transfer_from --from "$carol" \
    --input "$bob$alice$(amount 51)"
returns "$token" transfer_from --from "$carol" --input "$bob$alice$(amount 50)"
expect "balance of the owner" "$(balance_of "$bob")" "$(amount 350)"
reverts "allowance is too small" "$token" transfer_from --from "$carol" \
    --input "$bob$alice$(amount 1)"

echo "== escrow: refund before and after the deadline, release"
"$smelt" account fund "$alice" 1000 --state "$state" >/dev/null
deploy escrow --input "$bob$(u64 3600)"
escrow=$address
reverts "nothing is held" "$escrow" release --from "$alice" --time 1000
returns "$escrow" deposit --from "$alice" --value 700 --time 1000
expect "deposit's event" "$(field '.events[0].data')" "$(amount 700)$(u64 4600)"
expect "balance of the escrow" "$(balance "$escrow")" 700
reverts "too early" "$escrow" refund --from "$alice" --time 4599
reverts "only the parties refund" "$escrow" refund --from "$carol" --time 9999
returns "$escrow" refund --from "$alice" --time 4600
expect "balance after the refund" "$(balance "$alice")" 1000
reverts "nothing is held" "$escrow" refund --from "$alice" --time 4601

deploy escrow --input "$bob$(u64 3600)"
escrow=$address
returns "$escrow" deposit --from "$alice" --value 250 --time 1000
reverts "only the payer releases" "$escrow" release --from "$bob" --time 1001
returns "$escrow" release --from "$alice" --time 1001
expect "balance of the payee" "$(balance "$bob")" 250
expect "balance of the payer" "$(balance "$alice")" 750

echo "== faulty: what failures look like"
deploy faulty
faulty=$address
reverts "on demand" "$faulty" fail
traps unreachable "$faulty" trap
expect "location of the trap" "$(field '.location.offset > 0')" true
traps integer_divide_by_zero "$faulty" divide
traps memory_out_of_bounds "$faulty" wild_read
traps stack_overflow "$faulty" recurse
traps host_error "$faulty" wrong_key
expect "host error" "$(field .host_error)" key_size
fails 12 out_of_fuel "$faulty" spin --fuel 5000000
expect "fuel used" "$(field .fuel_used)" 5000000
expect "location without fuel" "$(field .location)" null

echo "== vault: survives what it calls"
deploy vault
vault=$address
request() { # ADDRESS FUNCTION [fuel [input]]
    printf %s "$1$(u64 "${3:-0}")$(amount 0)$(le 1 ${#2})$(hex_text "$2")${4:-}"
}
# executes CODE ADDRESS FUNCTION [fuel [input]]
executes() {
    returns "$vault" execute --from "$alice" --input "$(request "${@:2}")"
    expect "code of $3" "$(field '.results[0]')" "$1"
    expect "event of $3" "$(field '.events[-1].data')" "$(le 1 "$1")$2"
    returns "$vault" last_code
    expect "recorded code of $3" "$(field '.results[0]')" "$1"
}
marked() {
    returns "$faulty" marked
    field '.results[0]'
}
executes 1 "$faulty" fail
executes 2 "$faulty" trap
executes 2 "$faulty" wild_read
executes 2 "$faulty" recurse
executes 3 "$faulty" spin 100000
executes 4 "$faulty" no_such_function
executes 4 "$faulty" init
executes 4 "$carol" ok
expect "mark after failed calls" "$(marked)" 0

returns "$vault" query --from "$carol" --input "$(request "$faulty" ok)"
expect "static call that writes" "$(field '.results[0]')" 2
expect "mark after the static call" "$(marked)" 0
returns "$vault" query --from "$carol" --input "$(request "$faulty" marked)"
expect "static call that reads" "$(field '.results[0]')" 0

returns "$vault" execute --from "$alice" --input "$(request "$faulty" ok 0 68656c6c6f)"
expect "code of ok" "$(field '.results[0]')" 0
expect "data of ok" "$(field .return_data)" 68656c6c6f
expect "mark after the call" "$(marked)" 1
reverts "only the owner executes" "$vault" execute --from "$bob" --input "$(request "$faulty" ok)"
# the whole transaction runs out of fuel: nothing stays, the vault's record included
fails 12 out_of_fuel "$vault" execute --from "$alice" --fuel 3000 --input "$(request "$faulty" ok)"

echo "== hash chain"
deploy hashchain
returns "$address" run i32:1000
expect "run(1000)" "$(field '.results[0]')" 3234827540275904822
fuel=$(field .fuel_used)
returns "$address" run i32:1000
expect "fuel of the same call" "$(field .fuel_used)" "$fuel"

echo "all good"
