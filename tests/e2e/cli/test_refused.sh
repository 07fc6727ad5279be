#!/usr/bin/env bash
# Modules that are refused: exit code 3, code, place, and nothing changed anywhere.
. "$(dirname "$0")/support.sh"

deploy "$contracts/counter.wat"

# refused CODE FILE: by each command that takes a module
refused() {
    refuses 3 "$1" compile "$2"
    refuses 3 "$1" run "$2" f
    refuses 3 "$1" deploy "$2" --state "$state"
    # a state that does not exist yet is not created for a refused module
    refuses 3 "$1" deploy "$2" --state new
    [ ! -e new ] || fail "a state was created for $2"
}
text() { printf '%s\n' "$1" >module.wat; }
bytes() { printf "$1" >module.wasm; }
header='\0asm\1\0\0\0'

echo "== malformed"
: >module.wasm
unchanged refused module_malformed module.wasm
bytes '\0asm'
unchanged refused module_malformed module.wasm
bytes '\0asm\2\0\0\0'
unchanged refused module_malformed module.wasm
bytes "$header"'\1\177'
unchanged refused module_malformed module.wasm
holds '.error.offset >= 8'
bytes '\0elf\1\0\0\0'
unchanged refused module_malformed module.wasm
wat2wasm "$contracts/probe.wat" -o whole.wasm
head -c -1 whole.wasm >module.wasm
unchanged refused module_malformed module.wasm
holds '.error.section != null'
(cat whole.wasm && printf x) >module.wasm
unchanged refuses 3 module_malformed compile module.wasm

echo "== invalid"
text '(module (func (export "f") (result i32) (i64.const 0)))'
wat2wasm --no-check module.wat -o module.wasm
unchanged refused module_invalid module.wasm
holds '.error.offset > 8 and .error.function == 0'
run 3 compile module.wasm
grep -Eq '^smelt: error: .*\(.*function 0, offset 0x[0-9a-f]+\)$' "$messages" || fail "no place in the message"

echo "== refused by the rules"
text '(module (import "env" "open_file" (func)))'
unchanged refused import_refused module.wat
text '(module (import "env" "storage_read" (func (param i32) (result i64))))'
unchanged refused import_refused module.wat
text '(module (import "host" "storage_read" (func (param i32 i32) (result i64))))'
unchanged refused import_refused module.wat
unchanged refused float_refused "$contracts/float.wat"
text '(module (func $s) (start $s) (func (export "f")))'
unchanged refused start_refused module.wat
text '(module (memory (export "memory") 1 70000))'
unchanged refuses 3 module_invalid compile module.wat
text '(module (memory (export "memory") 300))'
unchanged refused limit module.wat
text '(module (func (export "f") (result v128) (v128.const i32x4 0 0 0 0)))'
wat2wasm module.wat -o module.wasm
unchanged refuses 3 feature compile module.wasm

echo "== text that is no module"
text 'hello'
unchanged refused text_malformed module.wat
text '(module (func (export "f") (result i32) (i32.const)))'
unchanged refused text_malformed module.wat
printf '\033[2J(module\n' >module.wat
unchanged refuses 3 text_malformed compile module.wat
LC_ALL=C grep -q $'\033' "$messages" && fail "a file's control character reached the terminal"
head -c 100000 /dev/zero | tr '\0' '(' >module.wat
unchanged refuses 3 text_malformed compile module.wat

echo "== a contract for another host compiles on request and is not deployed"
text '(module (import "a" "b" (func)) (func (export "f") call 0))'
run_json 0 compile module.wat --any-imports
unchanged refused import_refused module.wat
done_well
