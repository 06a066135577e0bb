#!/usr/bin/env bash
# Cargo tells by a source's time whether what was built of it is still good, and in a fresh clone every file is new. Here each file gets the time at
# which its content was first seen by this target folder: a fresh clone finds done what was built of the same contents, and where another
# clone has built from others, what it left is built again.
. "$(dirname "$0")/environment.sh"
cd "$repo"

# Without git (a source tarball) files keep the times that they have.
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || exit 0
mkdir -p "$CARGO_TARGET_DIR"
known="$CARGO_TARGET_DIR/sources"
files=$(mktemp) seen=$(mktemp)
trap 'rm -f "$files" "$seen"' EXIT

git -c core.quotePath=false ls-files --cached --others --exclude-standard | while IFS= read -r file; do
    [ ! -f "$file" ] || printf '%s\n' "$file"
done >"$files"
# Content, time, path.
paste -d' ' <(git hash-object --stdin-paths <"$files") <(xargs -d '\n' stat -c %.Y <"$files") "$files" >"$seen"

now=$(date +%s.%N)
last=$(stat -c %.Y "$known" 2>/dev/null || echo 0)
touch "$known"
# What is known keeps its time; what is new and older than the last look was not seen by it, and counts from now.
awk -v now="$now" -v last="$last" '
    { path = $0; sub(/^[^ ]+ [^ ]+ /, "", path) }
    FILENAME == ARGV[1] { content[path] = $1; time[path] = $2; next }
    {
        wanted = content[path] == $1 ? time[path] : ($2 "" < last "" ? now : $2)
        print $1, wanted, path
        if (wanted != $2) print wanted, path >"/dev/stderr"
    }' "$known" "$seen" >"$known.new" 2>"$files"
while read -r time file; do touch -d "@$time" "$file"; done <"$files"
mv "$known.new" "$known"
