#!/usr/bin/env python3
"""The ABI of libsmelt as text: recorded, compared, judged.

usage: abi.py dump LIBRARY INCLUDE CC              prints the ABI
       abi.py check LIBRARY INCLUDE CC BASELINE    exit 1 and a difference when it is not BASELINE
       abi.py judge OLD NEW                        exit 1 when NEW breaks programs linked to OLD
       abi.py --self-test

One fact per line, each line complete in itself:

    soname libsmelt.so.0
    symbol smelt_call function              what the shared library exports
    function smelt_call enum smelt_status (struct smelt_engine *, …)
    typedef smelt_host_fn enum smelt_host_action (*smelt_host_fn)(…)
    macro SMELT_HASH_BYTES 32
    enum smelt_status size 4
    constant smelt_status.SMELT_STATUS_OK 0
    struct smelt_hash size 32 align 1
    field smelt_hash.bytes offset 0 size 32 : uint8_t bytes[32]

The declarations are taken from the preprocessed headers and numbers from a program that the
compiler builds from them, so nothing is listed by hand and nothing can be forgotten. What a binding
in another language could not express is an error here: bit fields, anonymous members, inline
functions, macros with parameters.
"""
import difflib
import glob
import os
import re
import subprocess
import sys
import tempfile

# Structs that only the library makes, and hands out by pointer and one at a time: fields may be
# added at their end. All others are made by the embedder, are elements of arrays, or are members of
# others.
GROW_AT_THE_END = {"smelt_receipt", "smelt_host_context", "smelt_host_call", "smelt_fuel_func"}

# Macros that say nothing about the ABI.
NOT_ABI = re.compile(r"SMELT_(VERSION_\w+|API|WARN_UNUSED|PRINTF|\w+_MAP|\w+_H)$")

TOKEN = re.compile(r'\w+|"[^"]*"|\.\.\.|[^\s\w]')
OPENING, CLOSING = "({[", ")}]"


class Unsupported(Exception):
    """A declaration that has no place in the interface."""


def fail(message):
    raise Unsupported(message)


# ---- reading the headers -------------------------------------------------------------------------

def closing(tokens, start):
    """Index of the bracket that closes the one at `start`."""
    depth = 0
    for index in range(start, len(tokens)):
        depth += (tokens[index] in OPENING) - (tokens[index] in CLOSING)
        if depth == 0:
            return index
    fail(f"no bracket closes: {spell(tokens[start:start + 9])}")


def split(tokens, separator):
    """Parts of `tokens` between separators outside brackets."""
    parts, depth = [[]], 0
    for token in tokens:
        depth += (token in OPENING) - (token in CLOSING)
        if token == separator and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def spell(tokens):
    """The tokens as this project writes them."""
    text = " ".join("bool" if token == "_Bool" else token for token in tokens)
    text = re.sub(r"(\*|\(|\[) ", r"\1", text)
    text = re.sub(r" (,|\)|\]|\[)", r"\1", text)
    return re.sub(r"\) \(", ")(", text)


def without_attributes(tokens):
    kept, index = [], 0
    while index < len(tokens):
        if tokens[index] in ("__attribute__", "__attribute"):
            index = closing(tokens, index + 1)
        elif tokens[index] not in ("extern", "__extension__"):
            kept.append(tokens[index])
        index += 1
    return kept


def declarations_of(text, folder):
    """Declarations from `folder` in the output of the preprocessor, as lists of tokens."""
    own, lines = False, []
    for line in text.splitlines():
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            own = marker.group(1).startswith(folder)
        elif own and not line.startswith("#"):
            lines.append(line)
    return split(without_attributes(TOKEN.findall("\n".join(lines))), ";")


def field_name(tokens):
    """The name that the declaration of one member introduces."""
    text = spell(tokens)
    if ":" in tokens:
        fail(f"bit field: {text}")
    if "{" in tokens:
        fail(f"anonymous struct, union or enum: {text}")
    if len(split(tokens, ",")) != 1:
        fail(f"two members in one declaration: {text}")
    if "(" in tokens:
        start = tokens.index("(")
        if tokens[start + 1] != "*" or tokens[start + 3] != ")":
            fail(f"neither object nor pointer to function: {text}")
        return tokens[start + 2]
    head = tokens[:tokens.index("[")] if "[" in tokens else tokens
    return head[-1]


def parameter_type(tokens):
    """A parameter without its name."""
    if "(" in tokens:
        fail(f"parameter of a function type without a typedef: {spell(tokens)}")
    has_name = (len(tokens) > 1 and tokens[-1].isidentifier()
                and tokens[-2] not in ("struct", "enum", "const"))
    return spell(tokens[:-1] if has_name else tokens)


class Interface:
    """What the headers declare."""

    def __init__(self, declarations, macros):
        self.structs = {}    # name: [(field, declaration)]
        self.enums = {}      # name: [constant]
        self.functions = {}  # name: prototype without names
        self.objects = set()
        self.typedefs = {}
        self.macros = []
        for tokens in declarations:
            self.add(tokens)
        for name, has_parameters in macros:
            if name.startswith("SMELT_") and not NOT_ABI.match(name):
                if has_parameters:
                    fail(f"macro with parameters: {name}")
                self.macros.append(name)

    def add(self, tokens):
        is_tagged = tokens[0] in ("struct", "enum") and len(tokens) > 2
        if is_tagged and tokens[2] == "{":
            if closing(tokens, 2) != len(tokens) - 1:
                fail(f"declares more than a type: {spell(tokens)}")
            body = tokens[3:-1]
            if tokens[0] == "enum":
                self.enums[tokens[1]] = [part[0] for part in split(body, ",")]
            else:
                self.structs[tokens[1]] = [(field_name(member), spell(member))
                                           for member in split(body, ";")]
        elif tokens[0] == "struct" and len(tokens) == 2:
            pass  # opaque
        elif tokens[0] == "typedef":
            start = tokens.index("(") if "(" in tokens else fail(f"not a function: {spell(tokens)}")
            self.typedefs[tokens[start + 2]] = spell(tokens[1:])
        elif "{" in tokens:
            fail(f"inline function, or a type without a name: {spell(tokens[:12])}")
        elif "(" in tokens:
            start = tokens.index("(")
            parameters = split(tokens[start + 1:closing(tokens, start)], ",")
            types = ", ".join(parameter_type(parameter) for parameter in parameters)
            self.functions[tokens[start - 1]] = f"{spell(tokens[:start - 1])} ({types})"
        else:
            self.objects.add(tokens[-1])


def run(arguments, text=None):
    done = subprocess.run(arguments, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"abi: {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout


def include_all(include):
    names = sorted(os.path.basename(path) for path in glob.glob(f"{include}/smelt/*.h"))
    if not names:
        sys.exit(f"abi: {include}/smelt has no headers")
    return "".join(f"#include <smelt/{name}>\n" for name in names)


def read_headers(include, cc):
    include = os.path.normpath(include)
    preprocessor = [cc, "-x", "c", "-std=c17", "-E", "-I", include, "-"]
    includes = include_all(include)
    declarations = declarations_of(run(preprocessor, includes), f"{include}/smelt/")
    macros = re.findall(r"^#define (\w+)(\()?", run(preprocessor + ["-dM"], includes), re.MULTILINE)
    interface = Interface(declarations, sorted((name, bool(mark)) for name, mark in macros))
    check_complete(interface, include)
    return interface


def check_complete(interface, include):
    """What the reader above understood, against a plain search of the same files."""
    found = {"struct": set(), "enum": set()}
    for path in glob.glob(f"{include}/smelt/*.h"):
        with open(path, encoding="utf-8") as file:
            for kind, name in re.findall(r"^(struct|enum) (\w+)\s*\{", file.read(), re.MULTILINE):
                found[kind].add(name)
    for kind, known in (("struct", interface.structs), ("enum", interface.enums)):
        if found[kind] != set(known):
            fail(f"{kind}s that were not understood: {sorted(found[kind] ^ set(known))}")


# ---- numbers -------------------------------------------------------------------------------------

PROGRAM = r"""
#include <inttypes.h>
#include <stdio.h>
static void print_text(const char *name, const char *value)
{
    printf("macro %s \"%s\"\n", name, value);
}
static void print_signed(const char *name, long long value)
{
    printf("macro %s %lld\n", name, value);
}
static void print_unsigned(const char *name, unsigned long long value)
{
    printf("macro %s %llu\n", name, value);
}
#define MACRO(name)                                                                                \
    _Generic((name), char *: print_text, unsigned long: print_unsigned,                            \
             unsigned long long: print_unsigned, default: print_signed)(#name, (name));
#define ENUM(name)           printf("enum %s size %zu\n", #name, sizeof(enum name));
#define CONSTANT(tag, name)  printf("constant %s.%s %lld\n", #tag, #name, (long long)name);
#define STRUCT(name)                                                                               \
    printf("struct %s size %zu align %zu\n", #name, sizeof(struct name), _Alignof(struct name));
#define FIELD(tag, name, text)                                                                     \
    printf("field %s.%s offset %zu size %zu : %s\n", #tag, #name, offsetof(struct tag, name),      \
           sizeof(((struct tag *)0)->name), text);
int main(void)
{
"""


def rows(interface):
    for name in interface.macros:
        yield f"MACRO({name})"
    for name, constants in sorted(interface.enums.items()):
        yield f"ENUM({name})"
        for constant in constants:
            yield f"CONSTANT({name}, {constant})"
    for name, fields in sorted(interface.structs.items()):
        yield f"STRUCT({name})"
        for field, text in fields:
            yield f'FIELD({name}, {field}, "{text}")'


def measure(interface, include, cc):
    """The lines about macros, enums and structs."""
    with tempfile.TemporaryDirectory() as scratch:
        source, program = os.path.join(scratch, "abi.c"), os.path.join(scratch, "abi")
        with open(source, "w", encoding="utf-8") as file:
            file.write(include_all(include) + PROGRAM + "\n".join(rows(interface)) + "\n}\n")
        run([cc, "-std=c17", "-Wall", "-Werror", "-Wno-unused-function", "-I", include, source,
             "-o", program])
        return run([program]).splitlines()


def check_by_value(functions, measured):
    """What is passed or returned by value fits into two registers."""
    sizes = {line.split(" ")[1]: size_of(line) for line in measured if line.startswith("struct ")}
    for name, text in functions.items():
        for struct in re.findall(r"struct (\w+)(?! ?\*)\b", text):
            if sizes.get(struct, 0) > 16:
                fail(f"{name} takes or returns struct {struct} by value")


def exported(library):
    """(soname, {symbol: what}) of the shared library, without the linker's own."""
    dynamic = run(["readelf", "-d", "-W", library])
    soname = re.search(r"\(SONAME\).*\[(.*)\]", dynamic)
    symbols = {}
    for line in run(["nm", "-D", "-P", "--defined-only", library]).splitlines():
        name, kind, _, *size = line.split()
        if name in ("_init", "_fini", "__bss_start", "_edata", "_end"):
            continue
        # The size of data counts: a program that is not position-independent has a copy of it.
        is_code = kind == "T"
        symbols[name] = "function" if is_code else f"object size {int(size[0], 16)}"
    return soname.group(1) if soname else "-", symbols


def dump(library, include, cc):
    interface = read_headers(include, cc)
    soname, symbols = exported(library)
    declared = set(interface.functions) | interface.objects
    if declared != set(symbols):
        fail(f"declared but not exported: {sorted(declared - set(symbols))}; "
             f"exported but not declared: {sorted(set(symbols) - declared)}")
    measured = measure(interface, include, cc)
    check_by_value(interface.functions, measured)
    lines = [f"soname {soname}"]
    lines += [f"symbol {name} {what}" for name, what in sorted(symbols.items())]
    lines += [f"function {name} {text}" for name, text in sorted(interface.functions.items())]
    lines += [f"typedef {name} {text}" for name, text in sorted(interface.typedefs.items())]
    return lines + measured


# ---- comparing -----------------------------------------------------------------------------------

def breaks(old, new):
    """The lines of `old` and `new` for which a program linked with `old` needs to be built anew."""
    def keyed(lines):
        return {tuple(line.split(" ")[:2]): line for line in lines}

    before, after = keyed(old), keyed(new)
    broken = []
    for key, line in before.items():
        kind, name = key
        if kind == "soname" or after.get(key) == line:
            continue
        may_grow = kind == "struct" and name in GROW_AT_THE_END and key in after
        if may_grow and align_of(line) == align_of(after[key]):
            continue
        broken.append("-" + line)
    for key, line in after.items():
        if key[0] != "field" or key in before:
            continue
        owner = key[1].split(".")[0]
        if ("struct", owner) in before and not (
                owner in GROW_AT_THE_END and offset_of(line) >= size_of(before["struct", owner])):
            broken.append("+" + line)
    return broken


def number(line, word):
    return int(re.search(rf" {word} (\d+)", line).group(1))


def align_of(line):
    return number(line, "align")


def size_of(line):
    return number(line, "size")


def offset_of(line):
    return number(line, "offset")


def judge(old, new):
    """True when programs linked with `old` go on working, or their soname says that they do not."""
    broken = breaks(old, new)
    if not broken:
        print("Compatible: programs linked with the old library work with the new one.")
        return True
    print("These changes break programs that are linked with the old library:")
    print("\n".join("  " + line for line in broken))
    if old[0] != new[0]:
        print(f"The soname says so: {old[0]} became {new[0]}.")
        return True
    print("They need a new soname (SOVERSION in CMakeLists.txt), once between two releases:")
    print("docs/embedding.md, \"Versions of the ABI\".")
    return False


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def check(library, include, cc, baseline):
    recorded, current = read_lines(baseline), dump(library, include, cc)
    if recorded == current:
        print(f"{len(current)} facts as recorded")
        return True
    print("\n".join(difflib.unified_diff(recorded, current, "recorded", "current", "", "", 1, "")))
    print()
    judge(recorded, current)
    print("If the change is meant, run scripts/update-abi and commit the record with the change.")
    return False


# ---- self-test -----------------------------------------------------------------------------------

# Text of a header, and what is expected: a line of the description, or the start of the complaint.
HEADERS = [
    ("struct smelt_a { int x; };", "struct smelt_a [('x', 'int x')]"),
    ("struct smelt_a { const char *const *x; };", "struct smelt_a [('x', 'const char *const *x')]"),
    ("struct smelt_a { _Bool x[4][2]; };", "struct smelt_a [('x', 'bool x[4][2]')]"),
    ("struct smelt_a { int (*f)(void *c, int n); };",
     "struct smelt_a [('f', 'int (*f)(void *c, int n)')]"),
    ("enum smelt_e { A = 1, B, C = (1u << 2), };", "enum smelt_e ['A', 'B', 'C']"),
    ('__attribute__((visibility("default"))) int smelt_f(struct smelt_a *a, int) '
     "__attribute__((warn_unused_result));", "function smelt_f int (struct smelt_a *, int)"),
    ("int smelt_f(void);", "function smelt_f int (void)"),
    ("int smelt_f(const unsigned char bytes, ...);",
     "function smelt_f int (const unsigned char, ...)"),
    ("typedef int (*smelt_f_fn)(void *c);", "typedef smelt_f_fn int (*smelt_f_fn)(void *c)"),
    ("extern const struct smelt_a smelt_o;", "object smelt_o"),
    ("struct smelt_opaque;", ""),
    ("struct smelt_a { int x : 3; };", "bit field"),
    ("struct smelt_a { struct { int y; }; };", "anonymous"),
    ("struct smelt_a { union { int y; } u; };", "anonymous"),
    ("struct smelt_a { int x, y; };", "two members"),
    ("struct smelt_a { int x; } smelt_o;", "declares more"),
    ("static inline int smelt_f(void) { return 1; }", "inline function"),
    ("union smelt_u { int x; };", "inline function, or a type"),
    ("typedef struct smelt_a smelt_b;", "not a function"),
    ("int smelt_f(int (*g)(void));", "parameter of a function type"),
]

OLD = """soname libsmelt.so.0
symbol smelt_f function
symbol smelt_o object size 8
function smelt_f int (void)
macro SMELT_M 1
enum smelt_e size 4
constant smelt_e.A 0
struct smelt_a size 8 align 4
field smelt_a.x offset 0 size 4 : int x
struct smelt_receipt size 8 align 8
field smelt_receipt.x offset 0 size 8 : uint64_t x""".splitlines()

# What is replaced by what in OLD, and how many lines of the difference break programs.
CHANGES = [
    ("", "", 0),
    ("symbol smelt_f function\n", "", 1),
    ("symbol smelt_f function\n", "symbol smelt_f function\nsymbol smelt_g function\n", 0),
    ("object size 8", "object size 16", 1),
    ("int (void)", "int (int)", 1),
    ("SMELT_M 1", "SMELT_M 2", 1),
    ("macro SMELT_M 1\n", "macro SMELT_M 1\nmacro SMELT_N 1\n", 0),
    ("smelt_e size 4", "smelt_e size 8", 1),
    ("smelt_e.A 0", "smelt_e.A 1", 1),
    ("smelt_e.A 0", "smelt_e.A 0\nconstant smelt_e.B 1", 0),
    ("constant smelt_e.A 0\n", "", 1),
    ("smelt_a size 8", "smelt_a size 12", 1),
    ("int x\n", "int x\nfield smelt_a.y offset 4 size 4 : int y\n", 1),  # into the padding
    ("x offset 0 size 4", "x offset 4 size 4", 1),
    (": int x", ": unsigned x", 1),
    ("macro SMELT_M 1\n", "macro SMELT_M 1\nstruct smelt_b size 4 align 4\n"
     "field smelt_b.x offset 0 size 4 : int x\n", 0),
    ("smelt_receipt size 8 align 8", "smelt_receipt size 16 align 8", 0),
    ("smelt_receipt size 8 align 8", "smelt_receipt size 16 align 16", 1),
    ("uint64_t x", "uint64_t x\nfield smelt_receipt.y offset 8 size 8 : uint64_t y", 0),
    ("uint64_t x", "uint64_t x\nfield smelt_receipt.y offset 4 size 4 : uint32_t y", 1),
    ("smelt_receipt.x offset 0", "smelt_receipt.x offset 8", 1),
]

# Prototypes, with a struct smelt_a of three words and smelt_b of two, and whether they are fine.
BY_VALUE = [
    ("int (struct smelt_a *, struct smelt_b)", True),
    ("const struct smelt_a * (struct smelt_b)", True),
    ("int (const struct smelt_a *, struct smelt_aa)", True),
    ("struct smelt_a (void)", False),
    ("int (struct smelt_b, struct smelt_a)", False),
    ("int (struct smelt_a, struct smelt_a *)", False),
]


def describe(text):
    """The one thing that a header declares, or what is wrong with it."""
    try:
        interface = Interface(declarations_of(f'# 1 "smelt/a.h"\n{text}', "smelt/"), [])
    except Unsupported as complaint:
        return str(complaint)
    for kind, found in (("struct", interface.structs), ("enum", interface.enums),
                        ("function", interface.functions), ("typedef", interface.typedefs)):
        for name, what in found.items():
            return f"{kind} {name} {what}"
    return "".join(f"object {name}" for name in interface.objects)


def self_test():
    failures = 0
    for text, expected in HEADERS:
        found = describe(text)
        if not found.startswith(expected) or (not expected and found):
            print(f"self-test: {text}\n  expected {expected}\n  found    {found}")
            failures += 1
    for old, new, expected in CHANGES:
        changed = "\n".join(OLD).replace(old, new) if old else "\n".join(OLD)
        if old and changed == "\n".join(OLD):
            print(f"self-test: {old!r} changes nothing")
            failures += 1
        found = breaks(OLD, changed.splitlines())
        if len(found) != expected:
            print(f"self-test: {old!r} -> {new!r}: expected {expected} broken, found {found}")
            failures += 1
    try:
        Interface([], [("SMELT_M", True)])
        print("self-test: a macro with parameters was accepted")
        failures += 1
    except Unsupported:
        pass
    for text, is_fine in BY_VALUE:
        try:
            check_by_value({"smelt_f": text}, ["struct smelt_a size 24 align 8",
                                               "struct smelt_b size 16 align 8"])
            found = True
        except Unsupported:
            found = False
        if found != is_fine:
            print(f"self-test: by value: {text}")
            failures += 1
    print(f"self-test: {len(HEADERS)} headers, {len(CHANGES)} changes, {failures} failures")
    return failures == 0


def main(arguments):
    command, *rest = arguments or [""]
    if command == "--self-test" and not rest:
        return self_test()
    if command == "dump" and len(rest) == 3:
        print("\n".join(dump(*rest)))
        return True
    if command == "check" and len(rest) == 4:
        return check(*rest)
    if command == "judge" and len(rest) == 2:
        return judge(read_lines(rest[0]), read_lines(rest[1]))
    print(__doc__, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    try:
        sys.exit(0 if main(sys.argv[1:]) else 1)
    except Unsupported as problem:
        sys.exit(f"abi: {problem}")
