#!/usr/bin/env bash
# Builds the gateway, starts it in the foreground, and prints the first commands to try. Arguments go to `moongate serve`.
. "$(dirname "$0")/environment.sh"
cd "$repo"

"$repo/scripts/install.sh"
"$repo/scripts/sources.sh"
cargo build --release "${locked[@]}" --workspace --bins

data=(--data ./moongate-data)
for argument in "$@"; do
    case $argument in --data | --data=* | --config | --config=*) data=() ;; esac
done

# A local folder is mounted, so that the cache and WebHDFS can be tried at once; what was mounted before stays.
mounts=$PWD/moongate-data/mounts.json
if [ "${#data[@]}" -gt 0 ] && [ ! -e "$mounts" ]; then
    mkdir -p moongate-data
    printf '{"mounts":[{"path":"/local","store":"file://%s"}]}' "$repo/docs" >"$mounts"
fi

# Its standard output is one line, when it is ready; its log goes to standard error.
exec 3< <(exec "$moongate" serve "${data[@]}" "$@")
gateway=$!
stopping=
trap 'stopping=1; kill -TERM "$gateway" 2>/dev/null || true' INT TERM

finish() {
    local status=0
    wait "$gateway" || status=$?
    # A signal ends the first wait at once; the second lasts as long as the gateway drains.
    if [ -n "$stopping" ]; then
        status=0
        wait "$gateway" || status=$?
        [ "$status" != 127 ] || status=0
    fi
    exit "$status"
}

IFS= read -r ready <&3 || finish
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" <<<"$ready"; }
image=$(field image) file=$(field file) admin=$(field admin)
fid=$(curl -sS --max-time 10 "http://$image/dir/assign" | sed -n 's/.*"fid":"\([^"]*\)".*/\1/p') || true

echo "$ready"
cat <<TEXT

Moongate listens on
    http://$image    images, and a status page for the browser
    http://$file    files and folders by path
    http://$admin    for the operator: /healthz, /readyz, /status, /metrics

Try first, in another terminal: store an image, read it, read a thumbnail

    curl -F file=@$(printf %q "$repo/docs/moon.jpg") http://$image/${fid:-FID}
    curl http://$image/${fid:-FID} -o /tmp/moon.jpg
    curl 'http://$image/${fid:-FID}?width=200' -o /tmp/thumb.jpg

The folder docs/ is mounted at /local: read it through the cache, as a path and by WebHDFS

    curl http://$file/local/moon.jpg -o /tmp/moon.jpg
    curl 'http://$file/webhdfs/v1/local?op=LISTSTATUS'
    moongate mount --admin $admin ls

TEXT
[ -n "$fid" ] || echo "No file id could be had (FID above): curl http://$image/dir/assign says why."
echo "Ctrl-C stops it."
finish
