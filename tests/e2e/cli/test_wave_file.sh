#!/usr/bin/env bash
# Wave files that are not: each is refused with the place and what belongs there, before anything is executed.
. "$(dirname "$0")/support.sh"

alice=a1$(printf '0%.0s' {1..62})
bob=b0$(printf '0%.0s' {1..62})
run 0 account fund "$alice" 1000000000 --state "$state"
cp "$contracts/counter.wat" .
before=$(dump)

# refused MESSAGE: the wave in w.json
refused() {
    run 2 wave w.json --state "$state"
    expect "message for $(head -c 300 w.json | tr -d '\0')" "$(sed -n '1s/^smelt: error: //p' "$messages")" "$1"
    refuses 2 invalid_argument wave w.json --state "$state"
}

echo "== texts that are not a wave"
while IFS= read -r text && IFS= read -r message; do
    printf '%b' "$text" >w.json
    refused "w.json: $message"
done <<'END'

line 1, column 0: '[' or '{' expected near end of file
nothing
line 1, column 7: '[' or '{' expected near 'nothing'
7
line 1, column 1: '[' or '{' expected near '7'
[]
an array is not a wave, which is an object
{"chain_id": 7,
line 1, column 15: string or '}' expected near end of file
{"chain_id": 7} {}
line 1, column 17: end of file expected near '{'
{"chain_id": 7, "chain_id": 7}
line 1, column 26: duplicate object key near '"chain_id"'
{"chain_id": 99999999999999999999}
line 1, column 33: too big integer near '99999999999999999999'
{"chain_id": 1e999}
line 1, column 18: real number overflow near '1e999'
{"chain_id": NaN}
line 1, column 16: invalid token near 'NaN'
{"chain_id": 07}
line 1, column 14: invalid token near '0'
{"a\\u0000b": 1}
line 1, column 11: NUL byte in object key not supported near '"a\u0000b"'
{"a\0b": 1}
line 1, column 3: control character 0x0 near '"a'
{"\xff": 1}
line 1, column 2: unable to decode byte 0xff near '"'
END

nested() { # COUNT
    printf '%*s' "$1" '' | tr ' ' '['
}
printf '{"chain_id": %s' "$(nested 3000)" >w.json
refused 'w.json: line 1, column 2061: maximum parsing depth reached near '"'['"
{ printf '{"chain_id": ['; printf '%*s' 9000000 '' | sed 's/  /1,/g'; } >w.json
refused 'w.json: more than 4194304 values: split the wave'
{ printf '{"chain_id": "'; head -c 67108864 /dev/zero | tr '\0' 'a'; } >w.json
refused 'w.json is larger than 67108864 bytes'
rm w.json

echo "== keys and values"
# Each line is an edit of a good wave, in jq, and the message.
cat >good.json <<END
{"chain_id": 7, "transactions": [
  {"kind": "transfer", "from": "$alice", "nonce": 0, "to": "$bob", "value": "1", "fuel_limit": 1000},
  {"kind": "deploy", "from": "$alice", "nonce": 1, "module": "counter.wat", "fuel_limit": 1000000},
  {"kind": "call", "from": "$alice", "nonce": 2, "to": "$bob", "function": "f", "fuel_limit": 1000},
  {"kind": "upgrade", "from": "$alice", "nonce": 3, "to": "$bob", "module": "counter.wat", "fuel_limit": 1000000}
]}
END
rows=0
while IFS= read -r edit && IFS= read -r message; do
    jq "$edit" good.json >w.json
    refused "w.json: $message"
    rows=$((rows + 1))
done <<'END'
del(.chain_id)
chain_id: missing: a wave needs it
del(.transactions)
transactions: missing: a wave needs it
.chain = 7
chain: unknown key: a wave has chain_id, number, timestamp, fee_recipient, expected_digest, transactions
.from = 7
from: unknown key: a wave has chain_id, number, timestamp, fee_recipient, expected_digest, transactions
.chain_id = -1
chain_id: -1 is not a number from 0 to 18446744073709551615: write an integer or a string of decimal digits
.chain_id = 1.5
chain_id: 1.5 is not a number from 0 to 18446744073709551615: write an integer or a string of decimal digits
.chain_id = "18446744073709551616"
chain_id: "18446744073709551616" is not a number from 0 to 18446744073709551615: write an integer or a string of decimal digits
.chain_id = "0x7"
chain_id: "0x7" is not a number from 0 to 18446744073709551615: write an integer or a string of decimal digits
.chain_id = ""
chain_id: "" is not a number from 0 to 18446744073709551615: write an integer or a string of decimal digits
.chain_id = true
chain_id: true is not a number from 0 to 18446744073709551615: write an integer or a string of decimal digits
.number = 0
number: 0 is not a number from 1 to 18446744073709551615: write an integer or a string of decimal digits
.number = null
number: null is not a number from 1 to 18446744073709551615: write an integer or a string of decimal digits
.timestamp = {}
timestamp: an object is not a number from 0 to 18446744073709551615: write an integer or a string of decimal digits
.fee_recipient = "a1"
fee_recipient: "a1" is not an address: write a string of 64 hex digits
.expected_digest = 1
expected_digest: 1 is not a digest: write a string of 64 hex digits
.transactions = {}
transactions: an object is not an array
.transactions[1] = []
transactions[1]: an array is not a transaction, which is an object
.transactions[1] = null
transactions[1]: null is not a transaction, which is an object
.transactions[3] = {}
transactions[3].kind: missing: transfer, deploy, call or upgrade
.transactions[0].kind = "mint"
transactions[0].kind: "mint" is none of transfer, deploy, call, upgrade
.transactions[0].kind = 0
transactions[0].kind: 0 is none of transfer, deploy, call, upgrade
del(.transactions[0].to)
transactions[0].to: missing: a transfer needs it
del(.transactions[0].value)
transactions[0].value: missing: a transfer needs it
del(.transactions[1].module)
transactions[1].module: missing: a deploy needs it
del(.transactions[2].function)
transactions[2].function: missing: a call needs it
del(.transactions[3].nonce)
transactions[3].nonce: missing: an upgrade needs it
del(.transactions[3].fuel_limit)
transactions[3].fuel_limit: missing: an upgrade needs it
.transactions[0].fuel = 1
transactions[0].fuel: unknown key: a transfer has kind, from, nonce, to, value, fuel_limit, fuel_price, id
.transactions[0].input = ""
transactions[0].input: unknown key: a transfer has kind, from, nonce, to, value, fuel_limit, fuel_price, id
.transactions[1].to = "00"
transactions[1].to: unknown key: a deploy has kind, from, nonce, value, module, input, fuel_limit, fuel_price, id
.transactions[2].module = "counter.wat"
transactions[2].module: unknown key: a call has kind, from, nonce, to, value, function, arguments, input, fuel_limit, fuel_price, id
.transactions[3].value = "1"
transactions[3].value: unknown key: an upgrade has kind, from, nonce, to, module, fuel_limit, fuel_price, id
.transactions[0].from = "zz"
transactions[0].from: "zz" is not an address: write a string of 64 hex digits
.transactions[0].to += "00"
transactions[0].to: "b00000000000000000000000000000000000000000000000000000000000000000" is not an address: write a string of 64 hex digits
.transactions[0].nonce = -1
transactions[0].nonce: -1 is not a number from 0 to 18446744073709551615: write an integer or a string of decimal digits
.transactions[0].value = 1
transactions[0].value: 1 is not an amount: write a string of decimal digits, below 2^128
.transactions[0].value = "340282366920938463463374607431768211456"
transactions[0].value: "340282366920938463463374607431768211456" is not an amount: write a string of decimal digits, below 2^128
.transactions[0].value = "01"
transactions[0].value: "01" is not an amount: write a string of decimal digits, below 2^128
.transactions[0].fuel_limit = 0
transactions[0].fuel_limit: 0 is not a number from 1 to 9223372036854775807: write an integer or a string of decimal digits
.transactions[0].fuel_limit = "9223372036854775808"
transactions[0].fuel_limit: "9223372036854775808" is not a number from 1 to 9223372036854775807: write an integer or a string of decimal digits
.transactions[0].fuel_price = "-1"
transactions[0].fuel_price: "-1" is not a number from 0 to 18446744073709551615: write an integer or a string of decimal digits
.transactions[0].id = "1d"
transactions[0].id: "1d" is not an id: write a string of 64 hex digits
.transactions[1].module = ""
transactions[1].module: the path is empty
.transactions[1].module = ["counter.wat"]
transactions[1].module: an array is not a string
.transactions[1].input = "abc"
transactions[1].input: "abc" is not a string of an even number of hex digits
.transactions[1].input = 12
transactions[1].input: 12 is not a string of an even number of hex digits
.transactions[2].function = 1
transactions[2].function: 1 is not a string
.transactions[2].arguments = "i32:1"
transactions[2].arguments: "i32:1" is not an array of typed values such as "i32:5"
.transactions[2].arguments = ["i32:1", 2]
transactions[2].arguments[1]: 2 is not a typed value: write a string such as "i32:5" or "i64:-7"
.transactions[2].arguments = ["i32:4294967296"]
transactions[2].arguments[0]: "i32:4294967296" is not a typed value: write a string such as "i32:5" or "i64:-7"
.transactions[0:3][].fuel_limit = "9223372036854775807"
transactions[2].fuel_limit: the limits up to here add up to more than 2^64 - 1, which no wave may use: split it
END
[ "$rows" -ge 50 ] || fail "only $rows rows"

echo "== text of the file does not reach the terminal as it is"
jq '.["\u001b[31m\u202e"] = 1' good.json >w.json
run 2 wave w.json --state "$state"
! grep -q "$(printf '\033')" "$messages" || fail "an escape sequence got through"
grep -qF 'w.json: \x1b[31m\u{202e}: unknown key' "$messages" || fail "escaped key"
cp good.json "$(printf 'w\033[31m.json')"
run_json 1 wave "$(printf 'w\033[31m.json')" "$(printf 'x\033[31m.json')" --state other
! grep -q "$(printf '\033')" "$messages" || fail "an escape sequence of a name got through"
rm -r other

echo "== files that are none"
unread() { # CODE MESSAGE FILE
    run 1 wave "$3" --state "$state"
    expect "message for $3" "$(sed -n '1s/^smelt: error: //p' "$messages")" "$2"
    refuses 1 "$1" wave "$3" --state "$state"
}
mkdir directory
mkfifo fifo
unread not_found "cannot open missing.json: No such file or directory" missing.json
unread io "cannot read directory: it is a directory" directory
unread io "cannot read fifo: it is not a regular file" fifo
unread io "cannot read /dev/zero: it is not a regular file" /dev/zero
ln -s loop loop
unread io "cannot open loop: Too many levels of symbolic links" loop
run 1 wave - --state "$state" <&-
grep -q "cannot read standard input" "$messages" || fail "closed standard input"
run 2 wave - --state "$state" </dev/null
grep -q "error: standard input: line 1" "$messages" || fail "empty standard input"

echo "== modules that are none"
module() { # EXIT CODE MESSAGE PATH
    jq --arg path "$4" '.transactions[3].module = $path' good.json >w.json
    run "$1" wave w.json --state "$state"
    expect "message for $4" "$(sed -n '1s/^smelt: error: //p' "$messages" | cut -c1-"${#3}")" "$3"
    refuses "$1" "$2" wave w.json --state "$state"
}
module 1 not_found "w.json: transactions[3].module: cannot open ./missing.wat: No such file or directory" missing.wat
module 1 io "w.json: transactions[3].module: cannot read ./directory: it is a directory" directory
module 1 io "w.json: transactions[3].module: cannot read ./fifo: it is not a regular file" fifo
module 1 io "w.json: transactions[3].module: cannot read /dev/zero: it is not a regular file" /dev/zero
echo '(module (func' >bad.wat
module 3 text_malformed "w.json: transactions[3].module: " bad.wat
truncate -s 67108865 large.wasm
module 3 limit "w.json: transactions[3].module: ./large.wasm is larger than 67108864 bytes" large.wasm
truncate -s 60M a.wasm b.wasm c.wasm d.wasm e.wasm
jq '.transactions = [range(5) as $i | .transactions[1] | .nonce = $i | .module = ("abcde"[$i:$i + 1] + ".wasm")]' good.json >w.json
refused "w.json: transactions[4].module: the modules up to here have more than 268435456 bytes: split the wave"
rm ./*.wasm

echo "== nothing has happened"
expect "state" "$(dump)" "$before"
refuses 1 not_found state wave --state "$state"
jq '.number = 0' good.json >w.json
run 2 wave w.json --state none
[ ! -e none ] || fail "a malformed file has made a state"
refuses 2 invalid_argument wave --state "$state"
refuses 2 invalid_argument wave good.json
refuses 2 invalid_argument wave - - --state "$state"
refuses 2 invalid_argument wave good.json --state "$state" --workers 0
refuses 2 invalid_argument wave good.json --state "$state" --workers 33
refuses 2 invalid_argument wave good.json --state "$state" --sync sometimes
refuses 2 invalid_argument wave good.json --state "$state" --sync 0
refuses 2 invalid_argument wave good.json --state "$state" --receipts-kept 0
cp good.json other.json
refuses 2 invalid_argument wave good.json other.json --state "$state" --metrics other.json
expect "state" "$(dump)" "$before"

echo "== all forms that are accepted"
jq -n --arg a "0x${alice^^}" --arg b "$bob" '{chain_id: "18446744073709551615", number: "5", timestamp: 0,
    fee_recipient: $b, transactions: [
    {kind: "transfer", from: $a, nonce: "0", to: $b, value: "0", fuel_limit: "1000", fuel_price: "0", id: ("0x" + $a[2:])},
    {kind: "call", from: $a, nonce: 1, to: $b, function: "", arguments: ["i32:-1", "i64:0xff"], input: "0xAb", value: "1", fuel_limit: 1000},
    {kind: "deploy", from: $a, nonce: 2, module: "sub/../counter.wat", value: "7", input: "", fuel_limit: "9223372036854775807"}]}' |
    sed 's/"9223372036854775807"/9223372036854775807/' >forms.json
mkdir sub
run_json 0 wave forms.json --state "$state"
holds '.waves[0] | .number == 5 and .chain_id == "18446744073709551615" and .done == 2 and .failed == 1'
holds ".waves[0].receipts | map(.end) == [\"done\", \"failed\", \"done\"] and .[0].id == \"$alice\" and .[1].status == \"no_contract\""
echo '{"chain_id": "18446744073709551615", "transactions": []}' >empty.json
run_json 0 wave - --state "$state" <empty.json
holds '.waves[0] | .number == 6 and .timestamp == 0 and .transactions == 0'
mkdir below
jq '.chain_id = "18446744073709551615" | .transactions[1:] = [] | .transactions[0] |= (.kind = "deploy" | .nonce = 3 | del(.to, .value) | .module = "../counter.wat" | .fuel_limit = 1000000)' good.json >below/w.json
run_json 0 wave below/w.json --state "$state"
holds '.waves[0].done == 1'
done_well
