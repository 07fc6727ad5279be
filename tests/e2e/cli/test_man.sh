#!/usr/bin/env bash
# The manual page knows every command, option and exit code of --help.
. "$(dirname "$0")/support.sh"

page=$(sed 's/\\-/-/g; s/\\fI//g; s/\\fB//g; s/\\fR//g' "$source_directory/docs/man/smelt.1")
mentions() { grep -qF -- "$1" <<<"$page" || fail "docs/man/smelt.1 does not mention $1"; }

mapfile -t commands < <("$smelt" --help | sed -n '/^commands:/,/^$/s/^  \([a-z-]*\( [a-z]*\)\?\)  .*/\1/p')
[ "${#commands[@]}" -ge 9 ] || fail "--help lists ${#commands[@]} commands"
for command in "${commands[@]}"; do
    mentions "smelt $command"
    # shellcheck disable=SC2086
    mapfile -t options < <("$smelt" $command --help | grep -oE -- '^  (-[a-z],|   ) --[a-z-]+' | grep -oE -- '--[a-z-]+')
    [ "${#options[@]}" -ge 2 ] || fail "smelt $command --help lists no options"
    for option in "${options[@]}"; do
        mentions "$option"
    done
done
"$smelt" --help | sed -n '/^exit codes:/,$s/^ *\([0-9]*\)  .*/\1/p' >codes
expect "exit codes" "$(tr '\n' ' ' <codes)" "0 1 2 3 10 11 12 "
while read -r code; do
    grep -qFx ".B $code" <<<"$page" || fail "docs/man/smelt.1 does not explain exit code $code"
done <codes
expect "version" "$(grep -o 'smelt [0-9.]*' <<<"$page" | head -1)" "$("$smelt" --version)"
if command -v groff >/dev/null; then
    expect "groff's complaints" "$(groff -man -Tutf8 -ww "$source_directory/docs/man/smelt.1" 2>&1 >/dev/null)" ""
fi
done_well
