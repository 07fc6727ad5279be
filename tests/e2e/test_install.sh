#!/usr/bin/env bash
# `cmake --install` into a fresh prefix: what is there, and that examples/embed builds and runs
# against it with nothing but pkg-config, shared and static.
#
# usage: test_install.sh <build directory> <source directory>
set -euo pipefail

build=$1
source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

cmake --install "$build" --prefix "$prefix" >"$scratch/install.log" || {
    cat "$scratch/install.log" >&2
    fail "cmake --install"
}

libdir=$(dirname "$(find "$prefix" -name libsmelt.a)")
for file in bin/smelt include/smelt/smelt.h share/man/man1/smelt.1; do
    [ -f "$prefix/$file" ] || [ -f "$prefix/$file.gz" ] || fail "$file is not installed"
done
for file in libsmelt.a libsmelt.so libsmelt.so.0 pkgconfig/smelt.pc; do
    [ -e "$libdir/$file" ] || fail "$file is not installed"
done
diff -r "$source/include/smelt" "$prefix/include/smelt" >&2 || fail "the headers differ from the sources'"

echo "== the shared library exports smelt_ names only"
foreign=$(nm -D --defined-only "$libdir/libsmelt.so" | awk '{print $NF}' |
    grep -v -E '^smelt_|^(_init|_fini|__bss_start|_edata|_end)$' || true)
[ -z "$foreign" ] || fail "exported: $foreign"

export PKG_CONFIG_PATH=$libdir/pkgconfig
wat=$source/examples/contracts/counter.wat

embed() { # NAME compiler-arguments...
    local name=$1
    shift
    mkdir "$scratch/$name.data"
    cc -std=c17 -Wall -Wextra -Werror "$source/examples/embed/embed.c" -o "$scratch/$name" "$@"
    "$scratch/$name" "$wat" "$scratch/$name.data" >"$scratch/$name.out"
    [ "$(grep -c '^increment *returned' "$scratch/$name.out")" = 3 ] ||
        fail "$name printed: $(cat "$scratch/$name.out")"
    grep -q 'result i32:3 ' "$scratch/$name.out" || fail "$name did not count to 3"
}

echo "== cc embed.c \$(pkg-config --cflags --libs smelt)"
# shellcheck disable=SC2046
export LD_LIBRARY_PATH=$libdir
embed shared $(pkg-config --cflags --libs smelt)
linked=$(ldd "$scratch/shared")
[[ $linked == *libsmelt.so.0* ]] || fail "the shared library is not used"

echo "== the same, static"
unset LD_LIBRARY_PATH
# shellcheck disable=SC2046
embed static $(pkg-config --cflags smelt) "$libdir/libsmelt.a" \
    $(pkg-config --static --libs smelt | sed 's/-lsmelt\b//')
linked=$(ldd "$scratch/static")
[[ $linked != *libsmelt* ]] || fail "the static program uses the shared library"

echo "== examples/embed as a CMake project of its own"
cmake -S "$source/examples/embed" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix" \
    >"$scratch/cmake.log" && cmake --build "$scratch/cmake" >>"$scratch/cmake.log" ||
    { cat "$scratch/cmake.log" >&2; fail "CMake build of examples/embed"; }

echo "all good"
