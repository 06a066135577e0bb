# Sourced by the Makefile's scripts: the one environment in which everything is built, so that nothing is built twice.
# shellcheck shell=bash
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export HOME="${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}"
cache="${MOONGATE_CACHE:-$HOME/.cache/moongate}"
# Outside the clone: RocksDB's C++ takes ten minutes, and a fresh clone finds it done.
export CARGO_TARGET_DIR="${MOONGATE_TARGET:-$cache/target}"
# RocksDB is linked from an archive that scripts/rocksdb.sh makes, named for the version in Cargo.lock.
rocksdb_version=$(sed -n '/^name = "librocksdb-sys"/{n;s/version = "\(.*\)"/\1/p}' "$repo/Cargo.lock")
export ROCKSDB_LIB_DIR="$cache/rocksdb-$rocksdb_version" ROCKSDB_STATIC=1
export PATH="$PATH:$HOME/.cargo/bin"
# What is in Cargo.lock is what is tested; at the desk a changed Cargo.toml may change it.
locked=()
if [ -n "${CI:-}" ]; then locked=(--locked); fi
moongate="$CARGO_TARGET_DIR/release/moongate"

die() {
    echo "$*" >&2
    exit 1
}
