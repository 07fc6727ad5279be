#!/usr/bin/env bash
# Waves through the program: what they print, receipts, events, records, proofs, and what does not show: the number
# of threads.
. "$(dirname "$0")/support.sh"

alice=a1$(printf '0%.0s' {1..62})
bob=b0$(printf '0%.0s' {1..62})
node=fe$(printf '0%.0s' {1..62})
cp -r "$source_directory/examples" .
id=$(printf '1d%.0s' {1..32})

echo "== addresses of contracts before they exist"
run 0 account address "$alice" 0
counter=$(cat "$answer")
run_json 0 account address "$alice" 0
holds ". == {\"address\": \"$counter\"}"
run_json 0 account address "$alice" 1
board=$(field .address)
run 0 account address "$alice" 18446744073709551615
refuses 2 invalid_argument account address "$alice" 18446744073709551616
refuses 2 invalid_argument account address "$alice" -1
refuses 2 invalid_argument account address a1 0
refuses 2 invalid_argument account address "$alice"

echo "== a state without waves"
run 0 account fund "$alice" 100000000 --state "$state"
refuses 1 not_found state wave --state "$state"
refuses 1 not_found state wave 1 --state "$state"
refuses 1 not_found receipt 1 0 --state "$state"
refuses 1 not_found receipt "$id" --state "$state"
run_json 0 events --state "$state"
holds '. == {"events": [], "more": false}'
run_json 0 state verify --state "$state"
holds '.waves == 0 and .receipts == 0 and .accounts == 1 and .state_root == null'
run_json 0 state prune --keep 1 --state "$state"
holds '. == {"newest": null, "first_kept": 0}'
refuses 1 state_mismatch state root --state "$state"
! grep -q 'hint' "$messages" || fail "a hint about rules"
refuses 1 state_mismatch state prove "$alice" --state "$state"

echo "== a first wave"
run_json 0 wave examples/waves/first.json --state "$state"
cp "$answer" first.json
holds 'keys == ["waves"] and (.waves | length) == 1'
holds '.waves[0] | .number == 1 and .chain_id == 7 and .timestamp == 1700000000 and .parent == null and .state_root == null'
holds ".waves[0] | .transactions == 5 and .done == 5 and .failed == 0 and .rejected == 0 and .events == 1 and .fee_recipient == \"$node\""
holds '.waves[0] | (.digest, .events_root, .state_digest, .receipts_digest | test("^[0-9a-f]{64}$")) and (.bloom | length) == 512'
holds '.waves[0] | .fuel_used == ([.receipts[].fuel_used] | add) and (.fees | tonumber) == ([.receipts[].fee | tonumber] | add)'
holds '.waves[0].effort | keys == ["retries", "timings_ms", "workers"] and (.timings_ms | keys == ["commit", "digest", "execute", "load"] and all(.[]; . >= 0))'
holds '.waves[0].receipts | map(.kind) == ["deploy", "deploy", "transfer", "call", "call"] and all(.[]; .end == "done" and .status == "ok" and .outcome == "returned")'
holds ".waves[0].receipts | .[0].address == \"$counter\" and .[1].address == \"$board\" and .[2].address == \"$bob\" and .[2].module_hash == null"
holds ".waves[0].receipts | .[3].results == [\"i32:1\"] and .[4].id == \"$id\" and .[4].event_count == 1 and .[0].id == null"
digest=$(field '.waves[0].digest')
run_json 0 account show "$node" --state "$state"
expect "fees" "$(field .balance)" "$(jq -r '.waves[0].fees' first.json)"

echo "== a second one, in words"
run 0 wave examples/waves/second.json --state "$state"
for line in 'wave 2  [0-9a-f]{64}' '  chain         7, time 1700000012' \
    '  transactions  8: 3 done, 3 failed, 2 rejected' "  fees          [0-9]+ to $node" \
    '  events root   [0-9a-f]{64}' '  state digest  [0-9a-f]{64}' '  time          load .* execute .* digest .* commit .*' \
    '  workers       [0-9]+, [0-9]+ retries' \
    "  #1 failed      call by $bob, nonce 3: unknown_function" "  #2 failed      call by $bob, nonce 4: argument_mismatch" \
    "  #3 failed      upgrade by $bob, nonce 5: not_owner" "  #6 rejected    transfer by $bob, nonce 9: nonce_mismatch" \
    '  #7 rejected    transfer by ca0*, nonce 0: insufficient_balance'; do
    grep -qxE "$line" "$answer" || fail "no line $line"
done
expect "lines about transactions" "$(grep -c '^  #' "$answer")" 5
second=$(sed -n '1s/.*  //p' "$answer")

echo "== receipts"
run_json 0 receipt "$id" --state "$state"
holds ".wave == 1 and .index == 4 and .end == \"done\" and (.events | length) == 1"
holds ".events[0] == {\"address\": \"$board\", \"topic\": \"$(hex_text posted)\", \"data\": \"$(hex_text hello)\", \"wave\": 1, \"transaction\": 4, \"index\": 0}"
jq 'del(.events)' "$answer" >by_id.json
jq '.waves[0].receipts[4]' first.json >in_wave.json
cmp by_id.json in_wave.json || fail "the receipt is another one in the wave"
run_json 0 receipt 1 4 --state "$state"
expect "receipt by number" "$(jq 'del(.events)' "$answer")" "$(cat by_id.json)"
run_json 0 receipt "0x${id^^}" --state "$state"
run 0 receipt 1 4 --state "$state"
for text in 'done  call' "  id            $id" "  from          $bob, nonce 1" "  contract      $board" \
    'event  0 of wave 1, transaction 4' '  topic         "posted"' '  data          "hello"'; do
    grep -qxF "$text" "$answer" || fail "no line $text"
done
run 0 receipt 2 1 --state "$state"
grep -qxF 'failed  call: unknown_function' "$answer" || fail "headline of a failed call"
run 0 receipt 2 7 --state "$state"
grep -qxF 'rejected  transfer: insufficient_balance' "$answer" || fail "headline of a rejected transfer"
grep -qxF '  to            (none)' "$answer" || fail "address of a rejected transfer"
run_json 0 receipt 2 7 --state "$state"
holds '.fuel_used == 0 and .fee == "0" and .address == null and .outcome == null and .events == []'
refuses 1 not_found receipt 2 8 --state "$state"
refuses 1 not_found receipt 3 0 --state "$state"
refuses 1 not_found receipt "$alice" --state "$state"
refuses 2 invalid_argument receipt 12 --state "$state"
refuses 2 invalid_argument receipt 0 0 --state "$state"
refuses 2 invalid_argument receipt 1 x --state "$state"
refuses 2 invalid_argument receipt 1 4294967296 --state "$state"
refuses 2 invalid_argument receipt --state "$state"
refuses 2 invalid_argument receipt 1 2 3 --state "$state"

echo "== records"
run_json 0 state wave --state "$state"
holds ".number == 2 and .digest == \"$second\" and .parent == \"$digest\" and (has(\"receipts\") | not)"
run_json 0 state wave 1 --state "$state"
expect "record" "$(jq -S . "$answer")" "$(jq -S '.waves[0] | del(.receipts, .effort)' first.json)"
run 0 state wave 1 --state "$state"
expect "first line" "$(head -1 "$answer")" "wave 1  $digest"
refuses 1 not_found state wave 3 --state "$state"
refuses 2 invalid_argument state wave 0 --state "$state"
refuses 2 invalid_argument state wave one --state "$state"

echo "== an upgrade counts from the next wave on"
jq -n --arg b "$bob" --arg c "$counter" --arg o "$board" '{chain_id: 7, fee_recipient: $b, transactions: [
    {kind: "call", from: $b, nonce: 6, to: $c, function: "increment", fuel_limit: 100000, fuel_price: 1},
    {kind: "call", from: $b, nonce: 7, to: $o, function: "post", input: "00ff", fuel_limit: 100000},
    {kind: "call", from: $b, nonce: 8, to: $o, function: "post", input: "", fuel_limit: 100000}]}' >third.json
run_json 0 wave third.json --state "$state"
holds '.waves[0] | .number == 3 and .timestamp == 1700000012 and (.receipts | map(.results)) == [["i32:5"], [], []]'

echo "== events"
run_json 0 events --state "$state"
holds '.more == false and (.events | map([.wave, .transaction, .index, .data])) == [[1, 4, 0, "68656c6c6f"], [3, 1, 0, "00ff"], [3, 2, 1, ""]]'
run 0 events --state "$state"
expect "events in words" "$(grep -c '^event  ' "$answer")" 3
grep -qxF '  data          (empty)' "$answer" || fail "an empty event"
count_events() { # COUNT options...
    run_json 0 events --state "$state" "${@:2}"
    expect "events with ${*:2}" "$(field '.events | length')" "$1"
}
count_events 3 --topic posted
count_events 3 --topic "0x$(hex_text posted)"
count_events 0 --topic poste
count_events 0 --topic ''
count_events 3 --address "$board"
count_events 0 --address "$counter"
count_events 1 --to-wave 2
count_events 2 --from-wave 2
count_events 0 --from-wave 4 --to-wave 18446744073709551615
count_events 2 --limit 2
holds '.more'
count_events 3 --limit 3
holds '.more | not'
run 0 events --state "$state" --limit 1
grep -q '^and more' "$answer" || fail "nothing says that there are more"
refuses 2 invalid_argument events --from-wave 3 --to-wave 2 --state "$state"
refuses 2 invalid_argument events --from-wave 0 --state "$state"
refuses 2 invalid_argument events --topic 0x1 --state "$state"
refuses 2 invalid_argument events --address a1 --state "$state"
refuses 2 invalid_argument events --limit 0 --state "$state"

echo "== storage of one contract"
run_json 0 state keys "$board" --state "$state"
holds ". == {\"address\": \"$board\", \"storage\": [{\"key\": \"$(hex_text notice)\", \"value\": \"\"}], \"more\": false}"
run_json 0 state keys "$board" --prefix not --state "$state"
holds '.storage | length == 1'
run_json 0 state keys "$board" --prefix 0x6e6f74696365 --state "$state"
holds '.storage | length == 1'
run_json 0 state keys "$board" --prefix notices --state "$state"
holds '.storage | length == 0'
run_json 0 state keys "$alice" --state "$state"
holds '.storage | length == 0'
run_json 0 state keys "$board" --prefix "0x$(printf '00%.0s' {1..2000})" --state "$state"
holds '.storage | length == 0'
run 0 state keys "$counter" --state "$state"
grep -qxF '  storage       "counter" = 05000000' "$answer" || fail "storage in words"
refuses 2 invalid_argument state keys a1 --state "$state"
refuses 2 invalid_argument state keys "$board" --prefix 0xf --state "$state"

echo "== a wave that is refused changes nothing"
refused() { # EXIT CODE MESSAGE EDIT
    jq "$4" third.json >refused.json
    unchanged refuses "$1" "$2" wave refused.json --state "$state"
    run "$1" wave refused.json --state "$state"
    expect "message" "$(sed -n '1s/^smelt: error: //p' "$messages")" "refused.json: $3"
    ! grep -q 'hint' "$messages" || fail "a hint about rules"
    run_json 0 state wave --state "$state"
    holds '.number == 3'
}
refused 1 state_mismatch "the state belongs to chain 7, the wave to chain 8 (wave)" '.chain_id = 8'
refused 2 invalid_argument "the state has wave 3, so the next one is 4, not 5 (wave)" '.number = 5'
refused 2 invalid_argument "the state has wave 3, so the next one is 4, not 3 (wave)" '.number = 3'
refused 2 invalid_argument "wave 4 has time 1700000011, which is before the 1700000012 of the last one (wave)" '.timestamp = 1700000011'
jq ".expected_digest = \"$zeroes\"" third.json >refused.json
unchanged refuses 1 state_mismatch wave refused.json --state "$state"
expected=$(field '.error.message | capture("has digest (?<d>[0-9a-f]{64}), not the expected 0{64}").d')
jq ".expected_digest = \"$expected\"" third.json >expected.json
echo '{"chain_id": 7, "transactions": 1}' >broken.json
run_json 2 wave expected.json broken.json --state "$state"
grep -qF 'smelt: warning: 1 of 2 waves are written and stand' "$messages" || fail "what stands"
holds '.error.message == "broken.json: transactions: 1 is not an array"'
run_json 0 state wave --state "$state"
holds ".number == 4 and .digest == \"$expected\" and .rejected == 3"

echo "== standard input, metrics, other rules"
run_json 0 wave - --state "$state" --metrics metrics.txt <third.json
holds '.waves[0] | .number == 5 and .rejected == 3'
grep -qx 'smelt_waves_total 1' metrics.txt || fail "metrics: $(grep waves metrics.txt)"
unchanged refuses 1 state_mismatch wave third.json --state "$state" --schedule unit
refuses 2 invalid_argument wave third.json --state "$state" --schedule none
run_json 0 wave examples/waves/first.json --state units --schedule unit
holds '.waves[0].rejected == 5' # and the state was created
run 0 account fund "$alice" 100000000 --state units
jq '.number = 2' examples/waves/first.json >units.json
sed -i 's|\.\./contracts|examples/contracts|' units.json
run_json 0 wave units.json --state units
holds '.waves[0].done == 5'
run_json 0 state dump --state units
holds '.schedule.name == "unit"'

echo "== results do not depend on the number of threads"
jq -n --arg a "$alice" --arg b "$bob" --arg c "$counter" --arg o "$board" '{chain_id: 7, timestamp: 9, fee_recipient: $b, transactions: [
    {kind: "deploy", from: $a, nonce: 0, module: "examples/contracts/counter.wat", fuel_limit: 1000000},
    {kind: "deploy", from: $a, nonce: 1, module: "examples/contracts/board.wat", fuel_limit: 1000000},
    (range(400) | . as $i | {kind: "call", from: $a, nonce: ($i + 2), fuel_limit: 100000, fuel_price: 1} +
        (if $i % 3 == 0 then {to: $c, function: "increment"}
         elif $i % 3 == 1 then {to: $o, function: "post", input: "0\($i % 10)"}
         else {to: $o, function: "none", id: ("\($i + 1000)" * 16)} end)),
    (range(200) | {kind: "transfer", from: $a, nonce: (. + 402 + . % 5 / 4 | floor), to: $b, value: "1", fuel_limit: 1000})]}' >many.json
for workers in 1 2 8 32; do
    run 0 account fund "$alice" 100000000 --state "many$workers"
    run_json 0 wave many.json --state "many$workers" --workers "$workers" --commitment --sync never
    holds ".waves[0].effort.workers == $workers and .waves[0].rejected > 0 and .waves[0].failed == 133"
    jq 'del(.waves[].effort)' "$answer" >"answer$workers"
    "$smelt" state dump --state "many$workers" --json >"dump$workers"
    cmp answer1 "answer$workers" || fail "other answers with $workers workers"
    cmp dump1 "dump$workers" || fail "another state with $workers workers"
done
run 0 account fund "$alice" 100000000 --state words
run 0 wave many.json --state words
expect "lines about transactions" "$(grep -c '^  #' "$answer")" 20
grep -qE "^                and [0-9]+ more, which --json lists$" "$answer" || fail "how many more"

echo "== the commitment, and proofs"
run 0 state root --state many2
root=$(cat "$answer")
expect "root in the record" "$root" "$("$smelt" state wave --state many2 --json | jq -r .state_root)"
run_json 0 state prove "$counter" --key counter --state many2 -o proof
value=$(field .value)
holds ".state_root == \"$root\" and .key == \"$(hex_text counter)\" and .proof == \"$(od -An -v -tx1 proof | tr -d ' \n')\""
run_json 0 verify-proof proof "$counter" --key counter --root "$root"
holds ". == {\"address\": \"$counter\", \"key\": \"$(hex_text counter)\", \"value\": \"$value\", \"state_root\": \"$root\"}"
run 0 verify-proof - "$counter" --key 0x636f756e746572 --root "$root" <proof
expect "headline" "$(head -1 "$answer")" "shown  the value"
grep -qxF "  value         $value" "$answer" || fail "value"
refuses 1 proof_invalid verify-proof proof "$counter" --key count --root "$root"
refuses 1 proof_invalid verify-proof proof "$counter" --root "$root"
refuses 1 proof_invalid verify-proof proof "$board" --key counter --root "$root"
refuses 1 proof_invalid verify-proof proof "$counter" --key counter --root "$zeroes"
head -c -1 proof >short
refuses 1 proof_invalid verify-proof short "$counter" --key counter --root "$root"
: >empty
refuses 1 proof_invalid verify-proof empty "$counter" --key counter --root "$root"
refuses 1 not_found verify-proof missing "$counter" --key counter --root "$root"
refuses 2 invalid_argument verify-proof proof "$counter" --key counter --root 00
refuses 2 invalid_argument verify-proof proof "$counter" --key counter
run_json 0 state prove "$counter" --key absent --state many2 -o absent
holds '.value == null'
run 0 verify-proof absent "$counter" --key absent --root "$root"
expect "headline" "$(head -1 "$answer")" "shown  that there is none"
run_json 0 state prove "$alice" --state many2
holds '.key == null and (.value | length) == 48'
refuses 1 io state prove "$alice" --state many2 -o /dev/null
run 0 account fund "$bob" 1 --state many2
[ "$("$smelt" state root --state many2)" != "$root" ] || fail "a payment has not changed the root"

echo "== verify, prune"
run_json 0 state verify --state many2
holds '.waves == 1 and .pruned == 0 and .receipts == 602 and .events == 133 and .modules == 2 and .state_root != null'
run 0 state verify --state "$state"
for line in 'verified  everything is as it was written' '  waves         5, 0 of them pruned' '  receipts      22' \
    '  events        3' '  state root    (no commitment)'; do
    grep -qxF "$line" "$answer" || fail "no line $line"
done
run 0 state prune --keep 5 --state "$state"
expect "headline" "$(cat "$answer")" "pruned  nothing: all waves are kept"
run_json 0 state prune --keep 2 --state "$state"
holds '. == {"newest": 5, "first_kept": 4}'
refuses 1 not_found receipt 3 0 --state "$state"
refuses 1 not_found receipt "$id" --state "$state"
count_events 0
run_json 0 receipt 4 0 --state "$state"
run_json 0 state wave 1 --state "$state"
holds ".digest == \"$digest\""
run_json 0 state verify --state "$state"
holds '.waves == 5 and .pruned == 3 and .receipts == 6'
refuses 2 invalid_argument state prune --keep 0 --state "$state"
refuses 2 invalid_argument state prune --state "$state"
run_json 0 wave third.json third.json third.json --state "$state" --receipts-kept 1 --sync 2
refuses 1 not_found receipt 7 0 --state "$state"
run_json 0 receipt 8 0 --state "$state"

echo "== backup and restore"
content=$(dump)
run_json 0 state backup copy --state "$state"
holds ". == {\"from\": \"$state\", \"to\": \"copy\"}"
unchanged refuses 2 invalid_argument state backup copy --state "$state"
unchanged refuses 1 io state backup missing/copy --state "$state"
refuses 1 not_found state backup other --state missing
run 0 wave third.json --state "$state"
run 0 state restore copy --state again
expect "headline" "$(cat "$answer")" "restored  again"
expect "restored state" "$("$smelt" state dump --state again --json)" "$content"
run_json 0 state verify --state again
holds '.waves == 8'
run_json 0 wave third.json --state again
holds '.waves[0].number == 9'
run_json 0 state wave --state copy
holds '.number == 8'
refuses 2 invalid_argument state restore copy --state again
refuses 1 not_found state restore missing --state new
mkdir foreign
echo text >foreign/file
refuses 1 store_corrupt state restore foreign --state new
[ ! -e new ] || fail "a restore that failed has left something"
done_well
