#!/usr/bin/env bash
# Installs what Trestle's regtest and tests need and is missing: Debian packages, bitcoind, an Electrum server.
# Everything but the Debian packages is cached outside the checkout, keyed by version, in
# ${TRESTLE_CACHE:-~/.cache/trestle}. What is there already is left alone, so a warm run takes no time.
#
#   regtest/setup.sh            install; progress on stderr
#   regtest/setup.sh --env      print `export BITCOIND_EXE=… ELECTRUMX_EXE=…` for a shell to eval
#
# An existing bitcoind is taken from $BITCOIND_EXE or from PATH before one is built.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${TRESTLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/trestle}
core_version=31.99-kernel-sys-0.4.1-a
electrumx_version=2.0

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Debian packages that $@ names as COMMAND-OR-FILE=PACKAGE, installed where they are missing.
need() {
    local missing=() pair what
    for pair in "$@"; do
        what=${pair%%=*}
        case $what in
            /*) [ -e "$what" ] || missing+=("${pair#*=}") ;;
            *) command -v "$what" >/dev/null || missing+=("${pair#*=}") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo -n)
    local line="apt-get install -y --no-install-recommends ${missing[*]}"
    say "installing Debian packages: ${missing[*]}"
    if ! command -v apt-get >/dev/null || ! { "${sudo[@]}" apt-get update -qq && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive $line -qq; } >&2; then
        die "cannot install them here. Run this as root, then try again:  $line"
    fi
}

bitcoind_exe() {
    if [ -n "${BITCOIND_EXE:-}" ]; then echo "$BITCOIND_EXE"
    elif command -v bitcoind >/dev/null; then command -v bitcoind
    else echo "$cache/bitcoind-$core_version/bitcoind"; fi
}
electrumx_exe() { echo "${ELECTRUMX_EXE:-$cache/electrumx-$electrumx_version/bin/electrumx_server}"; }

# Bitcoin Core's source is vendored whole in a crates.io package; Cargo.lock pins it by checksum.
build_bitcoind() {
    local out=$1 dir source build
    need cmake=cmake ninja=ninja-build c++=g++ pkg-config=pkg-config \
        /usr/include/event2/event.h=libevent-dev /usr/include/boost/version.hpp=libboost-dev
    say "building Bitcoin Core once, about 7 minutes on 2 cores, into $(dirname "$out")"
    cargo fetch --locked --manifest-path "$here/setup/Cargo.toml" >&2
    dir=$(cargo metadata --locked --offline --format-version 1 --manifest-path "$here/setup/Cargo.toml" |
        grep -o '"manifest_path":"[^"]*libbitcoinkernel-sys[^"]*"' | cut -d'"' -f4)
    source=$(dirname "$dir")/bitcoin
    build=$(mktemp -d)
    trap 'rm -rf "$build"' EXIT
    local off option
    for option in BUILD_BITCOIN_BIN BUILD_CLI BUILD_TESTS BUILD_TX BUILD_UTIL BUILD_BENCH BUILD_GUI ENABLE_WALLET \
        ENABLE_IPC WITH_EMBEDDED_ASMAP WITH_ZMQ ENABLE_EXTERNAL_SIGNER ENABLE_HARDENING WITH_CCACHE INSTALL_MAN; do
        off+=("-D$option=OFF")
    done
    cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-O1 -DCMAKE_C_FLAGS=-O1 \
        -DBUILD_DAEMON=ON "${off[@]}" >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; die "cmake failed"; }
    # One line a 25 steps: enough to see it move, few enough to read.
    ninja -C "$build" bitcoind 2>&1 | awk '
        /^\[[0-9]+\/[0-9]+\]/ { if (++n % 25 == 0) print "setup:   bitcoind " $1; last = last $0 "\n"; next }
        { print }' >&2
    strip "$build/bin/bitcoind"
    mkdir -p "$(dirname "$out")"
    mv "$build/bin/bitcoind" "$out.part" && mv "$out.part" "$out"
}

install_electrumx() {
    local out=$1 venv; venv=$(dirname "$(dirname "$out")")
    need python3=python3 c++=g++
    say "installing ElectrumX $electrumx_version into $venv"
    rm -rf "$venv"
    if ! python3 -m venv "$venv" >&2; then
        need /usr/lib/python3/dist-packages/venv=python3-venv
        rm -rf "$venv"; python3 -m venv "$venv" >&2
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check "e-x==$electrumx_version" plyvel >&2 ||
        { rm -rf "$venv"; die "pip could not install ElectrumX"; }
}

# What the machine's guest is built with (zkvm-adapter/guest): Debian's Rust, of the version that its committed ELF was built
# with. Nothing needs it but the check that the ELF is what its sources build, so it is installed only where that is easy.
install_guest_toolchain() {
    local guest=$here/../zkvm-adapter/guest recorded candidate sudo=()
    if "$guest/build.sh" --toolchain 2>/dev/null | cmp -s - "$guest/toolchain.txt"; then return; fi
    recorded=$(sed -n 's/^rustc \([^ ]*\) .*/\1/p' "$guest/toolchain.txt")
    [ ! -e "$cache/no-guest-toolchain-$recorded" ] || return 0
    command -v apt-get >/dev/null || { say "not Debian: the guest's ELF is not rebuilt here"; return; }
    [ "$(id -u)" = 0 ] || sudo=(sudo -n)
    "${sudo[@]}" apt-get update -qq >&2 || true
    candidate=$(apt-cache policy rustc-web | sed -n 's/^ *Candidate: //p')
    case $candidate in
        "$recorded"+*)
            say "installing Debian's Rust $recorded, for the machine's guest"
            "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
                rustc-web cargo-web rust-web-src lld >&2 || { say "that failed: the guest's ELF is not rebuilt here"; return; }
            "$guest/build.sh" --toolchain | cmp -s - "$guest/toolchain.txt" || touch "$cache/no-guest-toolchain-$recorded"
            ;;
        *)
            say "the guest's ELF was built by Debian's Rust $recorded, and there is ${candidate:-none} here: it is not rebuilt"
            touch "$cache/no-guest-toolchain-$recorded"
            ;;
    esac
}

bitcoind=$(bitcoind_exe) electrumx=$(electrumx_exe)
if [ "${1:-}" = --env ]; then
    printf 'export BITCOIND_EXE=%q ELECTRUMX_EXE=%q\n' "$bitcoind" "$electrumx"
    exit 0
fi
mkdir -p "$cache"
# Two set-ups at once (a demo and a test) wait for one another.
exec 9>"$cache/lock"; flock 9
[ -x "$bitcoind" ] || build_bitcoind "$bitcoind"
[ -x "$electrumx" ] || install_electrumx "$electrumx"
install_guest_toolchain
# The other implementation that the tests compare the machine with, and a compiler for both. Nothing else needs them.
(need qemu-riscv32=qemu-user riscv64-unknown-elf-gcc=gcc-riscv64-unknown-elf) || say "going on; the machine's tests will fail"
say "bitcoind: $("$bitcoind" --version | sed -n 1p) at $bitcoind"
