#!/usr/bin/env bash
# Installs what the build needs where it is missing: Debian packages as root or by sudo. What it may not install it
# names, with the one command that does.
. "$(dirname "$0")/environment.sh"

rust_minor_min=$(sed -n 's/^rust-version = "1\.\([0-9]*\)"/\1/p' "$repo/Cargo.toml")
rustup_install="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c rustfmt -c clippy"

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] || {
        compgen -G "/usr/lib/llvm-*/lib/clang/*/include/stddef.h" >/dev/null &&
            compgen -G "/usr/lib/llvm-*/lib/libclang*.so*" >/dev/null
    }
}

# A package is named beside the sign that it is there: what comes from elsewhere than Debian is as good.
missing_packages() {
    command -v g++ >/dev/null || echo g++
    # RocksDB's bindings are made by libclang, which needs its own headers (stddef.h) beside it.
    has_libclang || echo libclang-dev
    # Kerberos is the system's own library; its bindings too are made by libclang.
    [ -e /usr/include/gssapi/gssapi_krb5.h ] || echo libkrb5-dev
    command -v curl >/dev/null || echo curl
    [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
    command -v mount >/dev/null || echo mount
    for package in "$@"; do dpkg -s "$package" >/dev/null 2>&1 || echo "$package"; done
}

# Without a password where nobody can be asked for one.
can_sudo() {
    command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }
}

install_packages() {
    local as_root=()
    command -v apt-get >/dev/null || die "Missing: $* (Debian's names for it). There is no apt-get here: install it your way."
    if [ "$(id -u)" != 0 ]; then
        can_sudo || die "Missing: $*. Install it as root and try again:
    apt-get update && apt-get install -y --no-install-recommends $*"
        as_root=(sudo)
    fi
    echo "Installing $*"
    "${as_root[@]}" apt-get -qq update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

install_rust() {
    if ! command -v cargo >/dev/null && apt-cache show rustup >/dev/null 2>&1; then
        install_packages rustup
        rustup toolchain install stable --profile minimal -c rustfmt -c clippy
    fi
    command -v cargo >/dev/null || die "Rust is missing. Install it and try again:
    $rustup_install"
    local minor
    minor=$(cargo --version | sed 's/^cargo 1\.\([0-9]*\).*/\1/')
    if [ "$minor" -lt "$rust_minor_min" ]; then
        die "This is Rust 1.$minor, and 1.$rust_minor_min or later is needed. Install it and try again:
    rustup update stable    (or, without rustup: $rustup_install)"
    fi
    if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
        rustup component add rustfmt clippy || die "rustfmt or clippy is missing: add them to the Rust that is installed."
    fi
}

packages=$(missing_packages "$@")
# shellcheck disable=SC2086 # a list of words
[ -z "$packages" ] || install_packages $packages
install_rust
"$repo/scripts/rocksdb.sh"
