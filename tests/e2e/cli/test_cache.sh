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
unshare -m bash -euo pipefail -s "$smelt" "$source_directory" "$here" "$SMELT_CACHE" <<'INNER'
keep=$4
. "$3/support.sh"
trap 'cd /; umount "$scratch/full" "$scratch/ro" 2>/dev/null || true; rm -rf "$scratch"' EXIT
mkdir full
if ! mount -t tmpfs -o size=256k tmpfs full 2>mount.log; then
    echo "skipped: $(cat mount.log)"
    exit 0
fi
export SMELT_CACHE=$scratch/full/cache
mkdir "$SMELT_CACHE"
run_json 0 compile "$contracts/init_fails.wat"
# fill what is left: then there is no place for another artefact
dd if=/dev/zero of=full/fill bs=1k count=1000 status=none 2>/dev/null || true
unchanged refuses 1 no_space compile "$contracts/probe.wat"
unchanged refuses 1 no_space deploy "$contracts/probe.wat" --state "$state"
unchanged refuses 1 no_space compile "$contracts/init_fails.wat" -o full/out.so
rm full/fill
[ "$(find full -name '*.so' | wc -l)" = 1 ] || fail "part of an entry was published"
run_json 0 compile "$contracts/probe.wat"
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
