#!/usr/bin/env bash
# Tools that are missing, of another version, or failing: exit code 1, which tool, nothing changed.
. "$(dirname "$0")/support.sh"

run_json 0 compile "$contracts/counter.wat"
deploy "$contracts/counter.wat"

echo "== no clang, no wasm2c, no wat2wasm in PATH"
mkdir bin
without() { # TOOL: PATH with everything these tests need but this tool
    rm -f bin/*
    local tool
    for tool in $(cd /usr/bin && ls clang* lld* ld.lld* wasm2c wat2wasm) bash sh env; do
        case $tool in
        "$1"*) ;;
        *) ln -sf "$(command -v "$tool")" "bin/$tool" ;;
        esac
    done
}
missing() { # TOOL FILE
    local code=0
    PATH=$scratch/bin "$smelt" compile "$2" --json >"$answer" 2>"$messages" || code=$?
    expect "exit code without $1" "$code" 1
    holds '.error.code == "tool_missing"'
    grep -q "$1" <<<"$(field .error.message)" || fail "the message does not name $1"
}
wat2wasm "$contracts/probe.wat" -o probe.wasm
without clang
unchanged missing clang probe.wasm
without wasm2c
unchanged missing wasm2c probe.wasm
without wat2wasm
unchanged missing wat2wasm "$contracts/probe.wat"
deploy_without() {
    local code=0
    without clang
    PATH=$scratch/bin "$smelt" deploy probe.wasm --state "$state" --json >"$answer" 2>"$messages" || code=$?
    expect "exit code of deploy" "$code" 1
    code=0
    PATH=$scratch/bin "$smelt" deploy probe.wasm --state new --json >"$answer" 2>"$messages" || code=$?
    expect "exit code of deploy" "$code" 1
    [ ! -e new ] || fail "a state was created"
}
unchanged deploy_without

echo "== named tools that are not there"
SMELT_CC=$scratch/none unchanged refuses 1 tool_missing compile probe.wasm
SMELT_WASM2C=$scratch/none unchanged refuses 1 tool_missing compile probe.wasm

echo "== another version"
fake() { # NAME VERSION-OUTPUT
    printf '#!/bin/sh\necho "%s"\n' "$2" >"$1"
    chmod +x "$1"
}
fake wasm2c "1.0.29"
SMELT_WASM2C=$scratch/wasm2c unchanged refuses 1 tool_version compile probe.wasm
grep -q '1\.0\.29' <<<"$(field .error.message)" || fail "the version found is not named"
grep -q '1\.0\.3' <<<"$(field .error.message)" || fail "the supported version is not named"
fake clang "clang version 9.0.1"
SMELT_CC=$scratch/clang unchanged refuses 1 tool_version compile probe.wasm
fake clang "something else"
SMELT_CC=$scratch/clang unchanged refuses 1 tool_version compile probe.wasm

echo "== tools that fail"
real_clang=$(find_clang)
real_wasm2c=$(command -v wasm2c)
printf '#!/bin/sh\ncase "$*" in *--version*) exec %s "$@";; esac\necho "out of luck" >&2\nexit 1\n' "$real_clang" >clang
printf '#!/bin/sh\ncase "$*" in *--version*) exec %s "$@";; esac\necho "out of luck" >&2\nexit 1\n' "$real_wasm2c" >wasm2c
chmod +x clang wasm2c
failing() { # the caches of versions may be new, entries may not
    refuses 1 tool_failed compile probe.wasm
    [ "$(find "$SMELT_CACHE" -name '*.so' | wc -l)" = 1 ] || fail "an artefact was published"
    [ -z "$(find "$SMELT_CACHE" -name '*.tmp*')" ] || fail "a temporary file is left"
}
SMELT_CC=$scratch/clang failing
SMELT_WASM2C=$scratch/wasm2c failing

echo "== flags that a machine gives to every clang are not ours"
mkdir -p llvm/bin
cp -L "$real_clang" llvm/bin/clang
ln -s "$(dirname "$(realpath "$real_clang")")/../lib" llvm/lib
ln -s "$(dirname "$(realpath "$real_clang")")/ld.lld" llvm/bin/ld.lld
echo "-O3 -g -ffast-math" >llvm/bin/clang.cfg
if llvm/bin/clang --version >/dev/null 2>&1; then
    run 0 compile probe.wasm --cache plain -o plain.so
    SMELT_CC=$scratch/llvm/bin/clang run 0 compile probe.wasm --cache configured -o configured.so
    cmp plain.so configured.so || fail "a configuration file of clang changed an artefact"
else
    echo "skipped: clang cannot be copied here"
fi

echo "== tools that do nothing"
idle() { # NAME TOOL
    printf '#!/bin/sh\ncase "$*" in *--version*) exec %s "$@";; esac\nexit 0\n' "$2" >"$1"
    refuses 1 tool_output compile probe.wasm
}
SMELT_CC=$scratch/clang idle clang "$real_clang"
SMELT_WASM2C=$scratch/wasm2c idle wasm2c "$real_wasm2c"
run_json 0 compile probe.wasm
printf '#!/bin/sh\nexit 0\n' >wat2wasm
chmod +x wat2wasm
SMELT_WAT2WASM=$scratch/wat2wasm refuses 1 tool_output compile "$contracts/probe.wat"

echo "== wat2wasm blames the text only where it names a place in it"
printf '#!/bin/sh\necho "output.wasm: error: cannot write" >&2\nexit 1\n' >wat2wasm
SMELT_WAT2WASM=$scratch/wat2wasm refuses 1 tool_failed compile "$contracts/probe.wat"
printf '#!/bin/sh\necho "input.wat:3:14: error: no taste" >&2\nexit 1\n' >wat2wasm
SMELT_WAT2WASM=$scratch/wat2wasm refuses 3 text_malformed compile "$contracts/probe.wat"
expect "message" "$(field .error.message)" "line 3, column 14: no taste"

echo "== a full disk for the scratch files"
# In a mount namespace of our own, which takes root: pages of 4 KiB, from too few to enough.
if unshare --mount true 2>/dev/null; then
    mkdir full
    cat >fill.sh <<'END'
mount -t tmpfs -o size=256k,mode=0700 tmpfs full || exit 98
head -c "$1" /dev/zero >full/rest
TMPDIR=$PWD/full "$2" compile "$3" --cache fresh --json
END
    for free in 0 1 2 3 4 8 16 20 24; do
        code=0
        unshare --mount sh fill.sh $((262144 - 4096 * free)) "$smelt" "$contracts/probe.wat" >"$answer" 2>"$messages" || code=$?
        expect "exit code with $free pages" "$code" 1
        expect "error with $free pages" "$(field .error.code)" no_space
    done
else
    echo "skipped: no mount namespaces here"
fi
done_well
