#!/usr/bin/env bash
# examples/embed-rust and examples/embed-go against an installed prefix: they build with nothing but
# pkg-config and without a network, and print what they should.
#
# usage: test_embed.sh rust|go <build directory> <source directory>
# Exit code 77: the language is not installed, or cannot build a program of its own.
set -euo pipefail

language=$1
build=$(realpath "$2")
source=$(realpath "$3")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
example=$source/examples/embed-$language

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

skip() {
    echo "skipped: $*" >&2
    exit 77
}

# Compiled packages of the language's own library are kept in the build tree.
rust_usable() {
    command -v cargo >/dev/null || skip "cargo is not installed (Debian: rustc cargo)"
    export CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=$scratch/target
    mkdir "$scratch/empty"
    (cd "$scratch/empty" && cargo --offline init --quiet --vcs none --name empty &&
        cargo --offline build --quiet) >"$scratch/log" 2>&1 ||
        skip "cargo cannot build an empty program: $(cat "$scratch/log")"
}

rust_build() {
    cargo build --quiet --locked --manifest-path "$example/Cargo.toml" &&
        SMELT_ABI_BASELINE=$source/tests/abi/baseline.txt \
            cargo test --quiet --locked --manifest-path "$example/Cargo.toml" &&
        cp "$CARGO_TARGET_DIR/debug/smelt-embed" "$scratch/embed"
}

go_usable() {
    PATH=$PATH:/usr/local/go/bin
    command -v go >/dev/null || skip "go is not installed (Debian: golang-go)"
    export GOFLAGS="-mod=readonly -buildvcs=false"
    export GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=1 GOCACHE=$build/go-cache
    mkdir "$scratch/empty"
    printf 'module empty\n\ngo 1.19\n' >"$scratch/empty/go.mod"
    printf 'package main\n\nimport "C"\n\nfunc main() {}\n' >"$scratch/empty/main.go"
    (cd "$scratch/empty" && go build -o empty .) >"$scratch/log" 2>&1 ||
        skip "go cannot build an empty program with cgo: $(cat "$scratch/log")"
}

# The key of go's cache has the path of the sources, but neither headers nor what pkg-config says.
go_build() {
    cp -r "$example" "$scratch/sources"
    (cd "$scratch/sources" && go vet . && go build -o "$scratch/embed" .)
}

expect() { # count pattern
    local count
    count=$(grep -c -E -- "$2" "$scratch/out" || true)
    [ "$count" = "$1" ] || fail "$count lines like '$2', expected $1; the program printed:
$(cat "$scratch/out")"
}

"${language}_usable"

cmake --install "$build" --prefix "$prefix" >"$scratch/log" || {
    cat "$scratch/log" >&2
    fail "cmake --install"
}
libdir=$(dirname "$(find "$prefix" -name libsmelt.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir

echo "== build"
"${language}_build" || fail "examples/embed-$language does not build"
linked=$(ldd "$scratch/embed")
[[ $linked == *"$libdir/libsmelt.so.0"* ]] || fail "the installed library is not used: $linked"

for round in compiled cached; do
    echo "== run: $round"
    "$scratch/embed" "$source/examples/contracts" "$scratch/data" >"$scratch/out" ||
        fail "exit code $?: $(cat "$scratch/out")"
    expect 1 '^smelt [0-9.]+$'
    expect 2 '^deploy    returned  result - '
    expect 3 '^increment returned  result i32:[123]  fuel [1-9][0-9]*  writes 1$'
    expect 1 '^increment .* i32:3 '
    expect 1 '^post      returned .* writes 1$'
    expect 1 '^          event posted: hello, chain$'
    expect 1 '^static    trapped: static_violation .* writes 0$'
    expect 1 '^refused   207 float_refused at offset [0-9]+: [a-z].*$'
    expect 1 '^read      400 static calls by 4 '
done

echo "== a mistake: no such folder of contracts"
code=0
"$scratch/embed" "$scratch/nowhere" "$scratch/data" >"$scratch/out" 2>&1 || code=$?
[ "$code" = 1 ] || fail "exit code $code, expected 1: $(cat "$scratch/out")"
expect 1 'embed: .*nowhere/counter.wat'

echo "all good"
