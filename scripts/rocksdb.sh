#!/usr/bin/env bash
# Compiles RocksDB's C++ where that has not been done: once a machine and version, whatever is built with it afterwards
# (its own build script would do it again for every profile and flag).
#
# The crate's build script does it, with its own flags, from a copy of the crate in which each file to compile includes several of RocksDB's:
# that halves the time, for most of it goes into reading the same headers. RocksDB is kept fit for it (its `make unity`).
. "$(dirname "$0")/environment.sh"

archive="$ROCKSDB_LIB_DIR/librocksdb.a"
[ -e "$archive" ] && exit 0
echo "Compiling RocksDB, once on this machine: about eight minutes"
together=16
built="$cache/rocksdb-build"

cargo fetch --manifest-path "$repo/Cargo.toml" "${locked[@]}" --quiet
crate=$(cargo metadata --manifest-path "$repo/Cargo.toml" "${locked[@]}" --offline --format-version 1 |
    grep -o '"manifest_path":"[^"]*/librocksdb-sys-[^"]*"' | head -1 | cut -d'"' -f4)
[ -n "$crate" ] || die "cargo does not tell where librocksdb-sys is: has it left Cargo.lock?"
rm -rf "$built"
mkdir -p "$built"
cp -r "$(dirname "$crate")" "$built/crate"
(
    cd "$built/crate"
    # The list names the file of the version too, which the crate has elsewhere.
    grep -v build_version.cc rocksdb_lib_sources.txt | sed 's/.*/#include "&"/' |
        split -l "$together" -d --additional-suffix=.cc - rocksdb/together-
    (cd rocksdb && ls together-*.cc) >rocksdb_lib_sources.txt
    # Of another workspace than the folder in which the cache may lie.
    printf '\n[workspace]\n' >>Cargo.toml
)
# With -O2, as its own makefile does: -O3 takes a tenth longer to compile.
env -u ROCKSDB_LIB_DIR -u ROCKSDB_STATIC cargo build --release --manifest-path "$built/crate/Cargo.toml" \
    --no-default-features --features lz4,bindgen-runtime \
    --config 'profile.release.package.librocksdb-sys.opt-level=2' --target-dir "$built/target"
mkdir -p "$ROCKSDB_LIB_DIR"
found=$(find "$built/target/release/build" -name librocksdb.a -print -quit)
[ -n "$found" ] || die "librocksdb-sys left no librocksdb.a in $built/target/release/build: has its build script changed?"
cp "$found" "$archive.new"
mv "$archive.new" "$archive"
rm -rf "$built"
