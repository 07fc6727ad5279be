# Shared by the tests of the command line: scratch directory, running, checking. Sourced with the
# test's own arguments: <smelt> <source directory>.
# shellcheck shell=bash
set -euo pipefail

smelt=$(realpath "$1")
source_directory=$(realpath "$2")
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
contracts=$here/contracts
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export SMELT_CACHE=$scratch/cache TMPDIR=$scratch/tmp
mkdir "$TMPDIR"
unset NO_COLOR SMELT_CC SMELT_WASM2C
state=$scratch/state
answer=$scratch/answer.json
messages=$scratch/messages
zeroes=$(printf '0%.0s' {1..64})

fail() {
    echo "FAILED (line ${BASH_LINENO[-2]}): $*" >&2
    [ ! -s "$answer" ] || cat "$answer" >&2
    [ ! -s "$messages" ] || cat "$messages" >&2
    exit 1
}

expect() { # what got wanted
    [ "$2" = "$3" ] || fail "$1: '$2', expected '$3'"
}

# run EXIT_CODE arguments...: runs smelt, keeps standard output and standard error
run() {
    local wanted=$1 code=0
    shift
    "$smelt" "$@" >"$answer" 2>"$messages" || code=$?
    [ "$code" = "$wanted" ] || fail "smelt $*: exit code $code, expected $wanted"
}

# run_json EXIT_CODE arguments...: with --json; the answer must be exactly one object
run_json() {
    run "$@" --json
    expect "objects printed by smelt ${*:2}" "$(jq -c type "$answer" 2>&1)" '"object"'
}

field() { jq -r "$1" "$answer"; }

# holds FILTER: of the last answer
holds() { jq -e "$1" "$answer" >"$scratch/holds" || fail "does not hold: $1"; }

# refuses EXIT_CODE CODE arguments...: fails with this error, in both modes
refuses() {
    local code=$2
    run "$1" "${@:3}"
    expect "standard output of smelt ${*:3}" "$(cat "$answer")" ""
    grep -q '^smelt: error: ' "$messages" || fail "smelt ${*:3}: no message"
    run_json "$1" "${@:3}"
    expect "error of smelt ${*:3}" "$(field .error.code)" "$code"
    holds 'keys == ["error"] and (.error | keys == ["code", "function", "message", "offset", "section"])'
    holds '.error | (.message | type == "string" and length > 0) and (.offset | type == "number" or . == null)'
    holds '.error | (.section | type == "string" or . == null) and (.function | type == "number" or . == null)'
}

hex_text() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }

# What must not change when something fails.
dump() { "$smelt" state dump --state "$state" --json; }
cache_content() { (cd "$SMELT_CACHE" 2>/dev/null && find . -path ./locks -prune -o -type f -print0 | sort -z | xargs -0r sha256sum) || true; }

# unchanged COMMAND...: runs a check that fails, and compares state, cache and scratch with before
unchanged() {
    local state_before='' cache_before
    [ ! -d "$state" ] || state_before=$(dump)
    cache_before=$(cache_content)
    "$@"
    if [ -n "$state_before" ]; then
        expect "state after: $*" "$(dump)" "$state_before"
    else
        [ ! -e "$state" ] || fail "$* has left a state"
    fi
    expect "cache after: $*" "$(cache_content)" "$cache_before"
    expect "scratch files after: $*" "$(ls -A "$TMPDIR")" ""
}

# deploy FILE [options]: sets $address
deploy() {
    run_json 0 deploy "$1" --state "$state" "${@:2}"
    address=$(field .address)
}

# wrapper NAME TOOL: a script that logs to NAME.log and runs the tool; prints its path
wrapper() {
    printf '#!/bin/sh\necho "$@" >>"%s"\nexec "%s" "$@"\n' "$scratch/$1.log" "$2" >"$scratch/$1"
    chmod +x "$scratch/$1"
    : >"$scratch/$1.log"
    echo "$scratch/$1"
}

find_clang() {
    local version
    for version in 19 18 17 16 15 14; do
        command -v "clang-$version" && return
    done
    command -v clang
}

done_well() { echo "all good"; }
