#!/usr/bin/env bash
# smelt schedule and smelt policy: what they print is what they read, and the digest is of the values.
. "$(dirname "$0")/support.sh"

echo "== built in"
for what in schedule:engine-v1 schedule:unit policy:standard policy:standard-floats; do
    command=${what%%:*} name=${what##*:}
    file=$(ls "$source_directory"/{schedules,policies}/"$name".toml 2>/dev/null || true)
    run 0 "$command" "$name" --toml
    cmp "$answer" "$file" || fail "$name is not its file"
    cp "$answer" "$name.toml"
    run_json 0 "$command" "$name"
    holds ".name == \"$name\" and (.digest | test(\"^[0-9a-f]{64}$\"))"
    expect "text of $name" "$(field .text)" "$(cat "$file")"
    digest=$(field .digest)
    run_json 0 "$command" "./$name.toml"
    expect "digest of the file" "$(field .digest)" "$digest"
    run 0 "$command" "$name"
    grep -qF "$name" "$answer" && grep -qF "$digest" "$answer" || fail "human output"
done
expect "the default schedule" "$("$smelt" schedule --toml)" "$(cat engine-v1.toml)"
expect "the default policy" "$("$smelt" policy --toml)" "$(cat standard.toml)"
run_json 0 policy
holds 'keys == ["digest", "floats", "name", "text"] and .floats == "forbid"'
run_json 0 policy standard-floats
holds '.floats == "canonical-nan"'
run_json 0 schedule
holds 'keys == ["digest", "name", "text"]'

echo "== a file, standard input, a name that hides a file"
run_json 0 policy standard
digest=$(field .digest)
sed 's/^name = .*/name = "mine" # ours/' standard.toml >mine.toml
run_json 0 policy mine.toml
expect "digest of a renamed policy" "$(field .digest)" "$digest"
"$smelt" policy - --json <mine.toml >"$answer"
holds '.name == "mine"'
cp mine.toml standard
run_json 0 policy standard
holds '.name == "standard"'
run_json 0 policy ./standard
holds '.name == "mine"'
sed -i 's/^results = .*/results = 1/' mine.toml
run_json 0 policy mine.toml
[ "$(field .digest)" != "$digest" ] || fail "the digest is not of the values"

echo "== the other kind of file, and none"
refuses 2 policy_invalid policy engine-v1.toml
refuses 2 schedule_invalid schedule standard.toml
refuses 2 invalid_argument policy engine-v1
refuses 2 invalid_argument schedule standard-floats
refuses 2 invalid_argument policy missing.toml
refuses 2 invalid_argument policy mine.toml mine.toml
refuses 2 invalid_argument policy --toml=yes
head -c 1048576 /dev/zero | tr '\0' '#' >large.toml
refuses 2 policy_invalid policy large.toml
echo >>large.toml
refuses 2 invalid_argument policy large.toml
done_well
