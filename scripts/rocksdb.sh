#!/usr/bin/env bash
# Compiles RocksDB's C++ where that has not been done: once a machine and version, whatever is built with it afterwards
# (ten minutes on two cores; its own build script would do it again for every profile and flag).
. "$(dirname "$0")/environment.sh"

archive="$ROCKSDB_LIB_DIR/librocksdb.a"
[ -e "$archive" ] && exit 0
echo "Compiling RocksDB, once on this machine: about ten minutes"
# With -O2, as its own makefile does: -O3 takes a tenth longer to compile.
optimised='profile.release.package.librocksdb-sys.opt-level=2'
built="$cache/rocksdb-build"
env -u ROCKSDB_LIB_DIR -u ROCKSDB_STATIC cargo build --release --manifest-path "$repo/Cargo.toml" "${locked[@]}" -p librocksdb-sys --config "$optimised" --target-dir "$built"
mkdir -p "$ROCKSDB_LIB_DIR"
found=$(find "$built/release/build" -name librocksdb.a -print -quit)
[ -n "$found" ] || die "librocksdb-sys left no librocksdb.a in $built/release/build: has its build script changed?"
cp "$found" "$archive.new"
mv "$archive.new" "$archive"
rm -rf "$built"
