#!/usr/bin/env bash
# Waves in trouble: another process, kill -9, damaged and tampered databases, no space, read-only. What is there
# afterwards is whole waves, and the next one goes on from there.
. "$(dirname "$0")/support.sh"

alice=a1$(printf '0%.0s' {1..62})
bob=b0$(printf '0%.0s' {1..62})
cp -r "$source_directory/examples" .

# A state with waves, events, ids, modules and a commitment, and waves to go on with.
run 0 account fund "$alice" 100000000 --state "$state"
run 0 wave examples/waves/first.json --state "$state" --commitment
run 0 wave examples/waves/second.json --state "$state"
run 0 account address "$alice" 0
counter=$(cat "$answer")
for n in 3 4 5; do
    jq -n --arg a "$alice" --arg c "$counter" --argjson n "$n" '{chain_id: 7, number: $n, transactions: [range(100) |
        {kind: "call", from: $a, nonce: (($n - 3) * 100 + 5 + .), to: $c, function: "increment", fuel_limit: 10000}]}' >"wave$n.json"
    run_json 0 wave "wave$n.json" --state "$state"
    holds '.waves[0].done == 100'
done
run_json 0 state wave --state "$state"
newest=$(field .digest)

echo "== another process"
mkfifo gate
real=$(find_clang)
cat >slow <<EOS
#!/bin/sh
case "\$*" in *--version*) exec $real "\$@";; esac
echo started >"$scratch/started"
exec cat "$scratch/gate" >&2
EOS
chmod +x slow
cp "$contracts/probe.wat" .
jq -n --arg a "$alice" '{chain_id: 7, transactions: [
    {kind: "transfer", from: $a, nonce: 305, to: $a, value: "0", fuel_limit: 1000},
    {kind: "deploy", from: $a, nonce: 306, module: "probe.wat", fuel_limit: 1000000}]}' >probe.json
before=$(dump)
SMELT_CC=$scratch/slow "$smelt" wave probe.json --state "$state" >slow.out 2>&1 &
slow=$!
for _ in $(seq 100); do
    [ ! -e started ] || break
    sleep 0.1
done
[ -e started ] || fail "the slow compiler was not called"
for command in "wave wave3.json" "receipt 1 0" events "state wave" "state dump" "state keys $counter" "state root" \
    "state prove $alice" "state verify" "state prune --keep 1" "state backup copy"; do
    # shellcheck disable=SC2086
    refuses 1 store_locked $command --state "$state"
done
refuses 1 store_locked state restore "$state" --state copy
[ ! -e copy ] || fail "something was copied"
kill -KILL "$slow"
wait "$slow" 2>/dev/null || true
(: >gate) 2>/dev/null & opener=$!
sleep 0.2
kill "$opener" 2>/dev/null || true
expect "state after the kill" "$(dump)" "$before"
expect "newest wave" "$("$smelt" state wave --state "$state" --json | jq -r .digest)" "$newest"
rm -rf "$TMPDIR"/smelt-*

echo "== kill -9 in the middle of many waves"
mkdir many
waves=600
size=60
awk -v waves="$waves" -v size="$size" -v from="$alice" 'BEGIN {
    for (n = 1; n <= waves; n++) {
        file = sprintf("many/%03d.json", n)
        printf "{\"chain_id\": 7, \"number\": %d, \"transactions\": [", n >file
        for (i = 0; i < size; i++)
            printf "%s{\"kind\": \"transfer\", \"from\": \"%s\", \"nonce\": %d, \"to\": \"%064x\", \"value\": \"1\", \"fuel_limit\": 1000, \"fuel_price\": 1, \"id\": \"%064x\"}",
                i == 0 ? "" : ",", from, (n - 1) * size + i, i % 7 + 1, n * size + i >file
        print "]}" >file
        close(file)
    }
}'
run 0 account fund "$alice" 1000000000 --state straight
run 0 wave many/*.json --state straight --commitment --sync never
run 0 state wave --state straight
last=$(head -1 "$answer")
run 0 account fund "$alice" 1000000000 --state killed
number=0
kills=0
for attempt in $(seq 40); do
    [ "$number" -lt "$waves" ] || break
    mapfile -t files < <(printf '%s\n' many/*.json | tail -n +$((number + 1)))
    policy=$(printf 'always\nnever\n7\n' | sed -n "$((attempt % 3 + 1))p")
    "$smelt" wave "${files[@]}" --state killed --commitment --sync "$policy" >killed.out 2>&1 &
    victim=$!
    sleep "0.$(printf %02d $((attempt * 7 % 10 + 3)))"
    [ "$attempt" -gt 20 ] || ! kill -KILL "$victim" 2>/dev/null || kills=$((kills + 1))
    wait "$victim" 2>/dev/null || true
    next=$("$smelt" state wave --state killed --json 2>/dev/null | jq -r '.number // 0') || true
    [ "${next:-0}" -ge "$number" ] || fail "wave $number was there, and now $next is the newest"
    number=${next:-0}
    run_json 0 state verify --state killed
    holds ".waves == $number and .receipts == $((number * size))"
done
expect "waves after $kills kills" "$number" "$waves"
[ "$kills" -ge 3 ] || fail "only $kills processes were killed"
run 0 state wave --state killed
expect "newest wave" "$(head -1 "$answer")" "$last"
expect "state" "$("$smelt" state dump --state killed --json | sha256sum)" "$("$smelt" state dump --state straight --json | sha256sum)"

echo "== damaged files"
# Reading what is damaged ends in an error, or the damage is at the end of the log and older waves are whole.
checked=0
refused=0
damage() { # FILE DESCRIPTION
    local code=0
    "$smelt" state verify --state damaged --json >"$answer" 2>"$messages" || code=$?
    case $code in
    0)
        local number
        number=$("$smelt" state wave --state damaged --json | jq -r .number)
        [ "$number" -le 5 ] && [ "$number" -ge 1 ] || fail "$1 $2: wave $number"
        ;;
    1)
        holds '.error.code | . == "store_corrupt" or . == "io" or . == "not_found"'
        [ "$(field '.error.message | length')" -gt 20 ] || fail "$1 $2: no message"
        refused=$((refused + 1))
        ;;
    *) fail "$1 $2: exit code $code" ;;
    esac
    checked=$((checked + 1))
}
"$smelt" state backup whole --state "$state" >/dev/null
for file in $(cd "$state" && ls -- *.sst *.log MANIFEST-* CURRENT); do
    size=$(stat -c %s "$state/$file")
    [ "$size" != 0 ] || continue
    for place in 0 $((size / 2)) $((size - 1)); do
        rm -rf damaged
        cp -r "$state" damaged
        byte=$(od -An -tu1 -j "$place" -N 1 "damaged/$file" | tr -d ' ')
        # shellcheck disable=SC2059
        printf "\\$(printf %03o $((byte ^ 16)))" | dd of="damaged/$file" bs=1 seek="$place" conv=notrunc status=none
        damage "$file" "with another byte $place"
    done
    for length in 0 $((size / 2)) $((size - 1)); do
        rm -rf damaged
        cp -r "$state" damaged
        truncate -s "$length" "damaged/$file"
        damage "$file" "with $length bytes"
    done
    rm -rf damaged
    cp -r "$state" damaged
    rm "damaged/$file"
    damage "$file" "gone"
done
[ "$checked" -ge 30 ] && [ "$refused" -ge 15 ] || fail "$checked damaged states, $refused of them refused"
run_json 0 state verify --state whole
holds '.waves == 5'

echo "== keys changed behind the program's back"
code=0
"$here/tamper.py" whole meta >/dev/null || code=$?
if [ "$code" = 77 ]; then
    echo "skipped: no shared library of RocksDB"
else
    tampered() { # MESSAGE FAMILY KEY VALUE
        rm -rf damaged
        cp -r whole damaged
        "$here/tamper.py" damaged "$2" "$3" "$4"
        run_json 1 state verify --state damaged
        holds '.error.code == "store_corrupt"'
        jq -e --arg m "$1" '.error.message | test($m)' "$answer" >/dev/null || fail "message, expected $1"
    }
    hex_number() { printf '%016x' "$1"; }
    tampered 'format 2' meta "$(hex_text format)" 02000000
    refuses 1 store_corrupt wave wave3.json --state damaged
    refuses 1 store_corrupt state restore damaged --state again
    tampered 'format 99' meta "$(hex_text format)" 63000000
    tampered 'commitment' meta "$(hex_text commitment)" 00
    tampered 'wave 3' receipts "77$(hex_number 3)" -
    tampered 'wave 3' receipts "77$(hex_number 3)" 00
    tampered 'wave 2' receipts "70$(hex_number 2)00000000" -
    tampered 'wave 1' events "$(hex_number 1)00000000" -
    tampered 'id' receipts "69$(printf '1d%.0s' {1..32})" -
    tampered 'account|record|commitment|root' state "${alice}00" 00000000000000000000000000000000ff00000000000000
    tampered 'commitment|root' state "${counter}01$(hex_text counter)" 00000000
    tampered 'commitment|root' state "${bob}00" -
    tampered 'key' state aa 00
    module=$("$here/tamper.py" whole code | sed -n 1p)
    tampered "module" code "$module" 0061736d01000000
fi

echo "== a full disk, and a read-only state"
if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
    echo "skipped: mounting needs privileges"
    done_well
    exit 0
fi
unshare -m bash -euo pipefail -s "$smelt" "$source_directory" "$here" "$scratch" <<'INNER'
keep=$4
. "$3/support.sh"
export SMELT_CACHE=$keep/cache
trap 'cd /; umount "$scratch/full" "$scratch/ro" 2>/dev/null || true; rm -rf "$scratch"' EXIT
mkdir full ro
if ! mount -t tmpfs -o size=48m tmpfs full 2>mount.log; then
    echo "skipped: $(cat mount.log)"
    exit 0
fi
alice=a1$(printf '0%.0s' {1..62})
run 0 account fund "$alice" 1000000000 --state full/state
run 0 wave "$keep"/many/00*.json --state full/state
dd if=/dev/zero of=full/fill bs=64k status=none 2>/dev/null || true
truncate -s -1400K full/fill
mapfile -t files < <(printf '%s\n' "$keep"/many/*.json | tail -n +10)
run_json 1 wave "${files[@]}" --state full/state
holds '.error.code == "no_space"'
written=$(sed -n 's/^smelt: warning: \([0-9]*\) of 591 waves.*/\1/p' "$messages")
[ "${written:-0}" -gt 0 ] || fail "how many waves stand"
number=$((9 + written))
refuses 1 no_space wave "${files[0]}" --state full/state
run_json 1 state backup full/copy --state full/state
[ ! -e full/copy ] || fail "half a copy is left"
rm full/fill
run_json 0 state verify --state full/state
holds ".waves == $number"
run 0 wave "$keep/many/$(printf %03d $((number + 1))).json" --state full/state
run_json 0 state verify --state full/state
holds ".waves == $((number + 1))"
umount full

cp -r "$keep/whole" kept
mount --bind kept ro
mount -o remount,bind,ro ro
sum() { find ro -type f -print0 | sort -z | xargs -0 sha256sum; }
before=$(sum)
jq -n '{chain_id: 7, transactions: []}' >empty.json
for command in "wave empty.json" "state wave" "state verify" "state prune --keep 1" "receipt 1 0"; do
    # shellcheck disable=SC2086
    refuses 1 read_only $command --state ro
done
expect "files of a read-only state" "$(sum)" "$before"
refuses 1 read_only state backup ro/copy --state kept
umount ro
INNER
done_well
