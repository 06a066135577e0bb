#!/usr/bin/env bash
# Builds versitygw, an S3 server of another make, once a machine (some minutes, by Go), and prints the folder it is in. The tests start it: see
# tests/src/beds/s3.rs.
. "$(dirname "$0")/environment.sh"

version=1.8.0
versitygw="$cache/versitygw-$version"
if [ ! -x "$versitygw/versitygw" ]; then
    command -v go >/dev/null || "$repo/scripts/install.sh" golang-go >&2
    new=$(mktemp -d)
    trap 'rm -rf "$new"' EXIT
    # A Go that is too old for it gets the one that it asks for.
    GOBIN="$new" GOTOOLCHAIN=auto GOFLAGS= go install "github.com/versity/versitygw/cmd/versitygw@v$version" >&2 ||
        die "Missing: versitygw $version, and go cannot get or build it."
    mkdir -p "$versitygw"
    mv "$new/versitygw" "$versitygw/versitygw"
fi
echo "$versitygw"
