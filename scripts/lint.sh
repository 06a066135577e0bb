#!/usr/bin/env bash
# Spelling, and what may be depended on. Advisories are not looked up: they need a database from the network.
. "$(dirname "$0")/environment.sh"
cd "$repo"

if [ "${MOONGATE_LINT_TOOLS:-yes}" = no ]; then
    echo "LEFT OUT as MOONGATE_LINT_TOOLS=no says: typos, cargo-deny"
    exit 0
fi
tools=$(scripts/tools.sh)
"$tools/typos"
"$tools/cargo-deny" --locked check --hide-inclusion-graph licenses bans sources
