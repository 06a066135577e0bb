#!/usr/bin/env bash
# Runs the README's first minute against a gateway on free ports, then its check of the volumes. A command that fails, and
# any answer but 2xx, fails this.
. "$(dirname "$0")/environment.sh"

work=$(mktemp -d)
gateway=
stop() {
    if [ -n "$gateway" ]; then
        kill -TERM "$gateway" 2>/dev/null || true
        wait "$gateway" || true
        gateway=
    fi
}
trap 'stop; rm -rf "$work"' EXIT
cp -r "$repo/docs" "$work/docs"
cd "$work"

# The shell blocks of a section of the README.
blocks() {
    awk -v title="## $1" '
        /^## / { inside = ($0 == title) }
        /^```/ { code = inside && !code && $0 == "```sh"; next }
        inside && code' "$repo/README.md"
}

exec 3< <(exec "$moongate" serve --image-listen 127.0.0.1:0 --file-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 2>"$work/log")
gateway=$!
IFS= read -r ready <&3 || die "the gateway did not start: $(cat "$work/log")"
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" <<<"$ready"; }
here=(sed -e "s/127\.0\.0\.1:9333/$(field image)/g" -e "s/127\.0\.0\.1:8888/$(field file)/g" -e "s/127\.0\.0\.1:9320/$(field admin)/g")

cat >prelude <<'PRELUDE'
set -euo pipefail
curl() { command curl -sS --fail-with-body --max-time 30 --write-out '%{stderr}%{http_code} %{url_effective}\n' "$@" 2>>answers; }
PRELUDE
printf 'moongate() { %q "$@"; }\nexport MOONGATE_URL=%q\n' "$moongate" "$(field file)" >>prelude

run() {
    local title=$1 count
    { cat prelude && blocks "$title" | "${here[@]}"; } >script
    count=$(blocks "$title" | grep -cE '(^|\$\()(curl|moongate) ' || true)
    [ "$count" -ge "$2" ] || die "README.md, $title: only $count commands found, $2 or more expected"
    bash script >output 2>&1 || die "README.md, $title: a command failed
$(cat answers output 2>/dev/null)"
    echo "README.md, $title: $count commands work"
}

: >answers
run "A first minute" 16
if grep -vE '^2[0-9][0-9] ' answers; then die "README.md: answers that are not 2xx"; fi
cmp -s docs/moon.jpg moon.jpg || die "README.md: the image that was read is not the image that was stored"
stop
run "Looking after it" 1
