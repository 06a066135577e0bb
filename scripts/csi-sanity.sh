#!/usr/bin/env bash
# Builds csi-sanity, the standard's own conformance suite, once a machine (by Go), and prints the folder it is in.
. "$(dirname "$0")/environment.sh"

version=5.6.0
csi_sanity="$cache/csi-sanity-$version"
if [ ! -x "$csi_sanity/csi-sanity" ]; then
    command -v go >/dev/null || "$repo/scripts/install.sh" golang-go >&2
    new=$(mktemp -d)
    trap 'rm -rf "$new"' EXIT
    # A Go that is too old for it gets the one that it asks for.
    GOBIN="$new" GOTOOLCHAIN=auto GOFLAGS= go install "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity@v$version" >&2 ||
        die "Missing: csi-sanity $version, and go cannot get or build it."
    mkdir -p "$csi_sanity"
    mv "$new/csi-sanity" "$csi_sanity/csi-sanity"
fi
echo "$csi_sanity"
