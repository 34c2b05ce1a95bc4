#!/usr/bin/env bash
# Builds the program that the machine runs, from rollup/ and this folder: the same bytes from any checkout, for any user.
#
#   zkvm-adapter/guest/build.sh              build it, and replace what is committed: the ELF, its hash, the toolchain
#   zkvm-adapter/guest/build.sh --check      build it, and compare it with what is committed
#   zkvm-adapter/guest/build.sh --toolchain  print the toolchain that there is
#
# --check exits with 0 if they are the same, 1 if not, 3 if the toolchain is not the recorded one (toolchain.txt).
# The toolchain is Debian's (rustc-web, cargo-web, rust-web-src, lld), which regtest/setup.sh installs where it can.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${TRESTLE_GUEST_TARGET:-$root/target/guest}
rustc=/usr/bin/rustc cargo=/usr/bin/cargo lld=/usr/bin/ld.lld

say() { printf 'guest: %s\n' "$*" >&2; }
die() { say "$1"; exit "${2:-1}"; }

toolchain() {
    for tool in "$rustc" "$cargo" "$lld"; do
        if [ -x "$tool" ]; then "$tool" --version; else echo "no $tool"; fi
    done
    if [ ! -e "$("$rustc" --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/Cargo.lock" ]; then echo "no library sources"; fi
}

build() {
    # Nothing of the caller's may have a say in it.
    local name
    for name in ${!CARGO_BUILD_*} ${!CARGO_PROFILE_*} ${!CARGO_TARGET_*} ${!RUSTC_*} RUSTFLAGS RUSTUP_TOOLCHAIN; do unset "$name"; done
    local flags=(
        -Clinker="$lld" -Clinker-flavor=ld.lld -Clink-arg=-T"$here/link.ld" -Clink-arg=--no-relax
        # Schedule for few live registers: a quarter fewer steps, for field arithmetic then hardly spills.
        -Cllvm-args=-misched-prera-direction=bottomup
        --remap-path-prefix="$root=/trestle" --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=/cargo"
    )
    # The standard library's core and alloc are built, too: no toolchain ships them for this target. That is an unstable
    # option, hence RUSTC_BOOTSTRAP; the code itself uses none.
    (
        cd "$here"
        IFS=$'\x1f'
        CARGO_ENCODED_RUSTFLAGS="${flags[*]}" RUSTC_BOOTSTRAP=1 RUSTC="$rustc" CARGO_TARGET_DIR="$target" "$cargo" build \
            --locked --release -Zbuild-std=core,alloc --target riscv32im-unknown-none-elf >&2
    )
}

case ${1:-} in
    --toolchain) toolchain; exit ;;
    --check)
        if ! there=$(toolchain | diff "$here/toolchain.txt" - 2>&1); then
            say "the toolchain is not the recorded one, so the ELF is not rebuilt (<: recorded, >: here)"
            die "$there" 3
        fi
        ;;
    "") ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

build
built=$target/riscv32im-unknown-none-elf/release/trestle-guest
if [ "${1:-}" = --check ]; then
    (cd "$here" && sha256sum --quiet --check trestle-guest.elf.sha256) || die "trestle-guest.elf is not the file of trestle-guest.elf.sha256"
    cmp "$built" "$here/trestle-guest.elf" >&2 || die "what these sources build is not trestle-guest.elf; if it is meant so: make guest"
    say "trestle-guest.elf is what these sources build"
else
    if ! toolchain | cmp -s - "$here/toolchain.txt"; then say "the toolchain is another than before; it is recorded in toolchain.txt"; fi
    toolchain >"$here/toolchain.txt"
    cp "$built" "$here/trestle-guest.elf"
    (cd "$here" && sha256sum trestle-guest.elf >trestle-guest.elf.sha256)
    say "$(cat "$here/trestle-guest.elf.sha256")"
fi
