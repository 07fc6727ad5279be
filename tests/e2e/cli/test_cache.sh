#!/usr/bin/env bash
# The cache in trouble: damaged entries, no space, read-only.
. "$(dirname "$0")/support.sh"

run_json 0 compile "$contracts/counter.wat"
artefact=$(field .artefact)
sum=$(sha256sum <"$artefact")
deploy "$contracts/counter.wat"

echo "== a damaged entry is reported, kept aside and made again"
damage() { # DESCRIPTION: the entry has just been damaged
    run_json 0 compile "$contracts/counter.wat"
    holds '.cached == false'
    grep -q '^smelt: warning: ' "$messages" || fail "$1: no warning"
    [ -n "$(ls "$SMELT_CACHE/quarantine")" ] || fail "$1: nothing in quarantine"
    expect "$1: rebuilt artefact" "$(sha256sum <"$artefact")" "$sum"
    run_json 0 compile "$contracts/counter.wat"
    holds '.cached == true'
    expect "$1: messages for a whole entry" "$(cat "$messages")" ""
    rm -rf "$SMELT_CACHE"/quarantine/*
}
flip() { # FILE OFFSET
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    chmod u+w "$1"
    # shellcheck disable=SC2059
    printf "\\$(printf %03o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
flip "$artefact" 0
damage "first byte"
flip "$artefact" $(($(stat -c %s "$artefact") / 2))
damage "a byte in the middle"
truncate -s -1 "$artefact"
damage "cut short"
: >"$artefact"
damage "empty"
flip "${artefact%.so}.meta" 10
damage "manifest"

echo "== a call finds the damage too"
flip "$artefact" 1000
run_json 0 call "$address" increment --state "$state"
grep -q '^smelt: warning: ' "$messages" || fail "no warning from call"
expect "rebuilt artefact" "$(sha256sum <"$artefact")" "$sum"

echo "== impossible cache directories"
echo file >file
unchanged refuses 1 io compile "$contracts/counter.wat" --cache file
unchanged refuses 1 io compile "$contracts/counter.wat" --cache file/below
(
    unset SMELT_CACHE XDG_CACHE_HOME HOME
    code=0
    "$smelt" compile "$contracts/counter.wat" --json >"$answer" 2>"$messages" || code=$?
    [ "$code" = 2 ] || fail "no cache directory: exit code $code"
    holds '.error.code == "invalid_argument"'
)

echo "== a full and a read-only cache"
if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
    echo "skipped: mounting needs privileges"
    done_well
    exit 0
fi
# in a mount namespace of its own, so that nothing stays mounted
unshare -m bash -euo pipefail -s "$1" "$2" "$(realpath "$0")" "$SMELT_CACHE" <<'INNER'
keep=$4
set -- "$1" "$2" "$3"
. "$(dirname "$3")/support.sh"
mkdir full
if ! mount -t tmpfs -o size=64k tmpfs full 2>mount.log; then
    echo "skipped: $(cat mount.log)"
    exit 0
fi
export SMELT_CACHE=$scratch/full/cache
mkdir "$SMELT_CACHE"
run 1 compile "$contracts/init_fails.wat" --json || true
# fill what is left, then there is no place for an artefact
dd if=/dev/zero of=full/fill bs=1k count=1000 status=none 2>/dev/null || true
refuses 1 no_space compile "$contracts/probe.wat"
deploy_full() { refuses 1 no_space deploy "$contracts/probe.wat" --state "$state"; }
deploy_full
[ ! -e "$state" ] || fail "a state was created"
rm full/fill
find full -name '*.so' -size +0 | grep -q . && fail "half an entry was published"
umount full

cp -r "$keep" "$scratch/kept"
mkdir ro
mount --bind "$scratch/kept" ro
mount -o remount,bind,ro ro
export SMELT_CACHE=$scratch/ro
run_json 0 compile "$contracts/counter.wat"
holds '.cached == true'
run_json 0 run "$contracts/counter.wat" increment
unchanged refuses 1 read_only compile "$contracts/probe.wat"
umount ro
INNER
done_well
