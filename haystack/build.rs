//! Names the C++ library where RocksDB is linked from an archive that was built before (`ROCKSDB_LIB_DIR` with
//! `ROCKSDB_STATIC`): the build script of librocksdb-sys does so only where it compiles RocksDB itself.

fn main() {
    println!("cargo:rerun-if-env-changed=ROCKSDB_STATIC");
    if std::env::var_os("ROCKSDB_STATIC").is_some() {
        println!("cargo:rustc-link-lib=dylib=stdc++");
    }
}
