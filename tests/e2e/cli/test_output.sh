#!/usr/bin/env bash
# Standard output in trouble, colour, and what reaches which stream.
. "$(dirname "$0")/support.sh"

deploy "$contracts/counter.wat"

# code_of arguments...: sets $code
code_of() {
    code=0
    "$smelt" "$@" 2>"$messages" || code=$?
}

echo "== standard output that cannot be written"
for mode in "" --json; do
    for command in "state dump --state $state" "compile $contracts/counter.wat" abi --help; do
        # shellcheck disable=SC2086
        code_of $command $mode >/dev/full
        expect "$command on a full device" "$code" 1
        grep -q 'cannot write to standard output: No space' "$messages" || fail "no message"
        # shellcheck disable=SC2086
        code_of $command $mode >&-
        expect "$command without standard output" "$code" 1
        grep -q 'cannot write to standard output' "$messages" || fail "no message"
    done
done

echo "== a reader that goes away"
mkfifo pipe
(exec <pipe; sleep 0.1) &
code=0
{ sleep 0.5; "$smelt" abi 2>"$messages" || code=$?; echo "$code" >code; } >pipe
wait
expect "exit code with a closed pipe" "$(cat code)" 1
grep -q 'cannot write to standard output' "$messages" || fail "no message"

echo "== closed descriptors do not get into the state"
before=$(dump)
code=0
"$smelt" call "$address" nonsense --state "$state" <&- >&- 2>&- || code=$?
expect "exit code without any descriptor" "$code" 2
expect "state" "$(dump)" "$before"
code=0
"$smelt" call "$address" increment --state "$state" --json <&- >&- 2>&- || code=$?
expect "exit code without any descriptor" "$code" 1
run_json 0 call "$address" increment --state "$state"
holds '.results == ["i32:2"]'

echo "== colour on terminals only"
if script -qc true /dev/null </dev/null >/dev/null 2>&1; then
    # to a file, because grep -q would close a pipe early
    terminal() { TERM=xterm script -qc "$*" /dev/null </dev/null >screen; }
    terminal "$smelt" state dump --state "$state"
    grep -q $'\033\[' screen || fail "no colour on a terminal"
    NO_COLOR=1 terminal "$smelt" state dump --state "$state"
    grep -q $'\033' screen && fail "colour with NO_COLOR"
    NO_COLOR='' terminal "$smelt" state dump --state "$state"
    grep -q $'\033\[' screen || fail "no colour with an empty NO_COLOR"
    terminal "$smelt" state dump --state "$state" --json
    tr -d '\r' <screen | jq -e .accounts >/dev/null || fail "JSON on a terminal"
    terminal "$smelt" compile missing.wat
    grep -q $'\033\[31merror' screen || fail "no colour in messages"
else
    echo "skipped: no script(1), or no pseudo-terminal"
fi
run 0 state dump --state "$state"
grep -q $'\033' "$answer" && fail "colour in a file"
run 1 compile missing.wat
grep -q $'\033' "$messages" && fail "colour in a file"

echo "== hostile file names"
name=$'\033[31m\nred\xff.wat'
cp "$contracts/counter.wat" "$name"
run 0 compile "$name" -o $'out\033[1m.so'
grep -q $'\033' "$answer" && fail "an escape sequence was printed"
run_json 0 compile "$name" -o $'out\033\xff.so'
holds '.artefact == "out\\x1b\\xff.so"'
run 1 compile $'\033[31m\xff.none'
grep -aq $'\033' "$messages" && fail "an escape sequence was printed"

echo "== numbers in JSON are exact"
run_json 0 compile "$contracts/counter.wat"
grep -Eq '[0-9]\.[0-9]{4,}' "$answer" && fail "more digits than were measured"
done_well
