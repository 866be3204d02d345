#!/usr/bin/env bash
# Packs both programs with everything they need but glibc: one tarball that runs from any directory on Debian 12 and later of the same
# architecture, without root and without Swift.
# Usage: build.sh DIR     the tarball and its checksum go there. SCRATCH: the build directory. BUILD: more for `swift build`.
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=${SCRATCH:-$root/.build-dist}
cd "$root"
command -v patchelf >/dev/null || { echo "missing: patchelf (make dist installs it)" >&2; exit 1; }
for program in encryptor trainer; do
  # shellcheck disable=SC2086
  swift build -c release --static-swift-stdlib --scratch-path "$scratch" --product $program ${BUILD:-}
done
version=$("$scratch/release/trainer" --version)
name=equivariant-trainer-$version-$(uname -m)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
tree=$stage/$name
mkdir -p "$tree"/{bin,lib,licences,share/prepare}
install -m 755 jobs/prepare/convert.py "$tree/share/prepare/convert.py"

# What belongs to glibc must be the machine's own.
is_of_glibc() {
  case $1 in
  ld-linux*|libc.so*|libm.so*|libdl.so*|libpthread.so*|librt.so*|libresolv.so*|libutil.so*|libnsl.so*|libmvec.so*|libanl.so*) true ;;
  *) false ;;
  esac
}

# Packages may know a file by its place from before /lib was /usr/lib.
package_of() {
  { dpkg-query -S "$1" || dpkg-query -S "${1#/usr}"; } 2>/dev/null | sed 's/:.*//'
}

: >"$stage/packages"
for program in encryptor trainer; do
  install -m 755 "$scratch/release/$program" "$tree/bin/$program"
  strip --strip-unneeded "$tree/bin/$program"
  patchelf --set-rpath '$ORIGIN/../lib' "$tree/bin/$program"
  # ldd follows what the libraries need themselves.
  ldd "$scratch/release/$program" | awk '$2 == "=>" && $3 ~ /^\// {print $1, $3}' | while read -r library path; do
    is_of_glibc "$library" && continue
    [ -e "$tree/lib/$library" ] && continue
    install -m 644 "$path" "$tree/lib/$library"
    patchelf --set-rpath '$ORIGIN' "$tree/lib/$library"
    package_of "$(readlink -f "$path")" >>"$stage/packages" || { echo "no package knows $path" >&2; exit 1; }
  done
done
sort -u "$stage/packages" -o "$stage/packages"
if ldd "$tree/bin/encryptor" "$tree/bin/trainer" | grep 'not found'; then exit 1; fi

{
  echo "Third-party software in this archive, with its licence in licences/:"
  echo
  while read -r package; do
    cp -L "/usr/share/doc/$package/copyright" "$tree/licences/$package"
    echo "$package $(dpkg-query -W -f='${Version}' "$package")  (Debian; shared libraries in lib/)"
  done <"$stage/packages"
  for checkout in "$scratch"/checkouts/*; do
    package=$(basename "$checkout")
    licence=$(ls "$checkout"/LICENSE* | head -1)
    cp "$licence" "$tree/licences/$package"
    echo "$package $(git -C "$checkout" describe --tags 2>/dev/null || true)  (linked into the programs)"
  done
  echo "Swift runtime and Foundation $(swift --version 2>&1 | sed -n 's/.*Swift version \([^ ]*\).*/\1/p' | head -1)  (linked into the programs; Apache-2.0 with Runtime Library Exception)"
} >"$tree/NOTICE"
cp -r jobs/slurm "$tree/slurm"
rm -f "$tree"/slurm/{test,cluster}.sh
(cd "$tree" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
# Of other versions.
rm -f "$out"/equivariant-trainer-*.tar.gz "$out"/equivariant-trainer-*.tar.gz.sha256
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" -C "$stage" -cf - "$name" |
  gzip -9n >"$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$out/$name.tar.gz  $(du -h --apparent-size "$out/$name.tar.gz" | cut -f1) packed, $(du -sh --apparent-size "$tree" | cut -f1) unpacked, $(ls "$tree/lib" | wc -l) libraries"
