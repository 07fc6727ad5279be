#!/usr/bin/env bash
# Runs what the documents say. Each ```sh block below the HTML comment <!-- test --> is run, the
# blocks of one document in order, in one scratch directory, with `smelt` in $PATH; the directory
# holds `examples`, `schedules` and `policies`. A block is expected to succeed. A ```text block below
# <!-- output --> must be the output of the block before it.
#
# The generated part of docs/abi-engine.md is compared with what the tool prints.
#
# usage: test_docs.sh <smelt> <source directory> <build directory>
set -euo pipefail

smelt=$1
source=$2
build=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export SMELT_CACHE=$scratch/cache
export PATH=$(dirname "$smelt"):$PATH

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# blocks FILE DIRECTORY: writes each marked block to DIRECTORY/NN.sh or NN.text
blocks() {
    awk -v directory="$2" '
        /^<!-- test -->$/   { marked = "sh"; next }
        /^<!-- output -->$/ { marked = "text"; next }
        marked != "" && !inside && /^```/ {
            if ($0 != "```" marked) { print FILENAME ":" FNR ": expected ```" marked; exit 1 }
            inside = 1; count += marked == "sh"
            file = sprintf("%s/%02d.%s", directory, count, marked); printf "" > file; next
        }
        inside && /^```$/ { inside = 0; marked = ""; close(file); next }
        inside { print > file; next }
        marked != "" && !/^$/ { print FILENAME ":" FNR ": no block follows the mark"; exit 1 }
    ' "$1" || fail "marks in $1"
}

count=0
for document in "$source"/README.md "$source"/docs/*.md; do
    name=$(basename "$document" .md)
    mkdir -p "$scratch/$name/blocks" "$scratch/$name/run"
    blocks "$document" "$scratch/$name/blocks"
    ln -s "$source/examples" "$source/schedules" "$source/policies" "$scratch/$name/run/"
    ln -s "$build/contracts" "$scratch/$name/run/contracts"
    for block in "$scratch/$name/blocks"/*.sh; do
        [ -e "$block" ] || continue
        echo "== $name: $(basename "$block")"
        (cd "$scratch/$name/run" && bash -euo pipefail "$block") >"$block.out" 2>"$block.err" || {
            cat "$block" "$block.out" "$block.err" >&2
            fail "a block of $document"
        }
        expected=${block%.sh}.text
        if [ -e "$expected" ]; then
            diff -u "$expected" "$block.out" >&2 || fail "output of a block of $document"
        fi
        count=$((count + 1))
    done
done
[ "$count" -gt 0 ] || fail "no document has a marked block"

echo "== docs/abi-engine.md: the generated part"
awk '/^<!-- generated: smelt abi --format markdown -->$/ { inside = 1; next }
     /^<!-- end of generated part -->$/ { inside = 0; next }
     inside' "$source/docs/abi-engine.md" >"$scratch/abi.documented"
"$smelt" abi --format markdown >"$scratch/abi.printed"
diff -u "$scratch/abi.documented" "$scratch/abi.printed" >&2 ||
    fail "docs/abi-engine.md is not what \`smelt abi --format markdown\` prints"

echo "all good: $count blocks"
