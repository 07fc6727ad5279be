#!/usr/bin/env bash
# The state directory: missing, locked, damaged, of another schedule or policy.
. "$(dirname "$0")/support.sh"

echo "== a missing state is not made by reading"
for command in "state dump" "account show $zeroes" "call $zeroes f"; do
    # shellcheck disable=SC2086
    refuses 1 not_found $command --state missing
    [ ! -e missing ] || fail "$command has created a state"
done
refuses 1 not_found deploy missing.wat --state missing
[ ! -e missing ] || fail "deploy has created a state"

echo "== funds first, contracts later"
run_json 0 account fund "$zeroes" 1000 --state "$state"
run_json 0 state dump --state "$state"
holds '.profile == null and .schedule == null and .policy == null and (.accounts | length == 1 and .[0].storage == [])'
run 0 state dump --state "$state"
run_json 0 account show "$(printf '1%.0s' {1..64})" --state "$state"
holds '.balance == "0" and .nonce == 0 and .code_hash == null and .owner == null'

echo "== the state remembers its schedule"
deploy "$contracts/counter.wat" --schedule unit --value 10
holds '.fuel_used == 0'
run_json 0 state dump --state "$state"
holds '.schedule.name == "unit"'
run_json 0 call "$address" increment --state "$state"
run_json 0 call "$address" increment --state "$state"
unit_fuel=$(field .fuel_used)
unchanged refuses 1 state_mismatch call "$address" increment --state "$state" --schedule engine-v1
unchanged refuses 1 state_mismatch deploy "$contracts/counter.wat" --state "$state" --schedule engine-v1
run_json 0 call "$address" increment --state "$state" --schedule unit
expect "fuel" "$(field .fuel_used)" "$unit_fuel"
sed 's/^name = .*/name = "mine"/; s/^drop = .*/drop = 9/' "$source_directory/schedules/unit.toml" >mine.toml
run_json 0 deploy "$contracts/counter.wat" --state other --schedule mine.toml
other=$(field .address)
rm mine.toml
run_json 0 call "$other" increment --state other
[ "$(field .fuel_used)" -gt "$unit_fuel" ] || fail "the recorded schedule was not used"

echo "== and its policy"
run_json 0 deploy "$contracts/float.wat" --state floats --policy standard-floats
float=$(field .address)
refuses 1 state_mismatch call "$float" half i32:9 --state floats --policy standard
holds '.error.message | test("the state was created with policy [0-9a-f]{64}, not with standard ")'
refuses 1 state_mismatch deploy "$contracts/float.wat" --state floats --policy standard
run 1 deploy "$contracts/counter.wat" --state floats --policy standard
grep -q 'hint: leave out --schedule and --policy' "$messages" || fail "no hint"
rm -rf "$SMELT_CACHE" # compiled again, by the recorded policy
run_json 0 call "$float" half i32:9 --state floats
run_json 0 deploy "$contracts/float.wat" --state floats
run_json 0 state dump --state floats
holds '.policy.name == "standard-floats" and .schedule.name == "engine-v1"'
run 0 state dump --state floats
grep -q 'policy standard-floats' "$answer" || fail "human dump"
unchanged refuses 3 float_refused deploy "$contracts/float.wat" --state "$state"
sed 's/^name = .*/name = "mine"/; s/^exports = .*/exports = 2/' "$source_directory/policies/standard.toml" >mine.toml
run_json 0 deploy "$contracts/counter.wat" --state mine --policy mine.toml
mine=$(field .address)
refuses 1 state_mismatch call "$mine" increment --state mine --policy standard
sed 's/"mine"/"renamed"/' mine.toml >renamed.toml
run_json 0 call "$mine" increment --state mine --policy renamed.toml
rm mine.toml
run_json 0 call "$mine" increment --state mine
echo '(module (func (export "a")) (func (export "b")) (func (export "c")))' >three.wat
refuses 3 limit deploy three.wat --state mine
run_json 0 run three.wat a

echo "== no contract"
unchanged refuses 1 no_contract call "$(printf '1%.0s' {1..64})" increment --state "$state"

echo "== locked by another process, and whole after that one is killed"
mkfifo gate
real=$(find_clang)
cat >slow <<EOS
#!/bin/sh
case "\$*" in *--version*) exec $real "\$@";; esac
echo started >"$scratch/started"
exec cat "$scratch/gate" >&2
EOS
chmod +x slow
before=$(dump)
SMELT_CC=$scratch/slow "$smelt" deploy "$contracts/probe.wat" --state "$state" >slow.out 2>&1 &
slow=$!
for _ in $(seq 100); do
    [ ! -e started ] || break
    sleep 0.1
done
refuses 1 store_locked state dump --state "$state"
refuses 1 store_locked call "$address" increment --state "$state"
refuses 1 store_locked account fund "$zeroes" 1 --state "$state"
kill -KILL "$slow"
wait "$slow" 2>/dev/null || true
# a tool that is still there ends with its gate
(: >gate) 2>/dev/null & opener=$!
sleep 0.2
kill "$opener" 2>/dev/null || true
expect "state after the kill" "$(dump)" "$before"
run_json 0 call "$address" increment --state "$state"

echo "== not a state"
echo file >file
run_json 1 state dump --state file
holds '.error.code | . == "io" or . == "store_corrupt" or . == "not_found"'
run_json 1 account fund "$zeroes" 1 --state file
run_json 1 account fund "$zeroes" 1 --state file/below
expect "the file" "$(cat file)" file
mkdir foreign
echo text >foreign/CURRENT
run_json 1 account fund "$zeroes" 1 --state foreign
holds '.error.code == "store_corrupt"'
# RocksDB leaves its lock and log file wherever it looks
expect "the directory" "$(ls foreign | grep -Ev '^LO(CK|G)') $(cat foreign/CURRENT)" "CURRENT text"

echo "== damaged"
damaged() { # DESCRIPTION
    local before
    before=$(find damaged -type f ! -name 'LOG*' ! -name LOCK -print0 | sort -z | xargs -0 sha256sum)
    for command in "state dump" "account show $zeroes" "account fund $zeroes 1" "call $address increment" "deploy $contracts/counter.wat"; do
        # shellcheck disable=SC2086
        run_json 1 $command --state damaged
        holds '.error.code == "store_corrupt"'
    done
    expect "files of a damaged state ($1)" \
        "$(find damaged -type f ! -name 'LOG*' ! -name LOCK -print0 | sort -z | xargs -0 sha256sum)" "$before"
    rm -rf damaged
}
cp -r "$state" damaged
rm damaged/CURRENT
damaged "no CURRENT"
cp -r "$state" damaged
echo nonsense >damaged/CURRENT
damaged "wrong CURRENT"
cp -r "$state" damaged
rm damaged/MANIFEST-*
damaged "no manifest"
run_json 0 state dump --state "$state"
done_well
