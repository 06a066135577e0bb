#!/usr/bin/env bash
# Everything that must hold, each stage with its time. The last lines are the test runner's own.
. "$(dirname "$0")/environment.sh"
cd "$repo"

times=()
stage() {
    local name=$1 started=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@" || die "FAILED: $name"
    times+=("$(printf '%6d s  %s' $((SECONDS - started)) "$name")")
}

# One test fills a small disk of its own, and mounting needs root: its own user namespace will do where that is allowed.
as_root=()
if [ "$(id -u)" != 0 ] && unshare --user --map-root-user --mount true 2>/dev/null; then
    as_root=(unshare --user --map-root-user --mount)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
tests() {
    # The large folders as large as they are meant to be: about a minute and a half.
    MOONGATE_TEST_SCALE=${MOONGATE_TEST_SCALE:-full} \
    "${as_root[@]}" scripts/tests.py --release "${locked[@]}" --workspace 2>&1 | tee "$log"
}
examples() {
    "$moongate" check-config deploy/moongate.toml && scripts/check-readme.sh
}

# Batches are read and written by other programs too, and under stores are servers of other makes.
needed() {
    scripts/install.sh python3 python3-venv tar unzip libarchive-tools krb5-kdc krb5-admin-server krb5-user faketime python3-requests-kerberos slapd &&
        scripts/hadoop.sh >/dev/null && scripts/versitygw.sh >/dev/null
}
stage "what is needed" needed
scripts/sources.sh
stage "format" cargo fmt --all --check
stage "spelling, licenses, bans, sources" scripts/lint.sh
stage "build" cargo build --release "${locked[@]}" --workspace --bins
stage "lints" cargo clippy --release "${locked[@]}" --workspace --all-targets -- -D warnings
stage "examples of the README and of deploy/" examples
stage "tests: unit, property, model, simulation, end to end" tests

stage "tests: examples in the documentation" cargo test --release "${locked[@]}" --workspace --doc

printf '\n== Time\n'
printf '%s\n' "${times[@]}"
printf '\n== Tests\n'
grep -E '^ +Running |^test result:' "$log"
