#!/usr/bin/env bash
# Fetches the single-cell file that the scanpy package carries, by name from PyPI, and checks it.
# Usage: fetch-pbmc.sh TARGET
set -euo pipefail
target=$1
version=1.11.5
member=scanpy/datasets/10x_pbmc68k_reduced.h5ad
sha256=e71d41e737c941559b7c57c9243bdb3d2c889c2adfdf00e3422ac6b46783676f

mkdir -p "$(dirname "$target")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "fetching $member from scanpy $version (PyPI)"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "scanpy==$version"
unzip -q -o "$work"/scanpy-*.whl "$member" -d "$work"
echo "$sha256  $work/$member" | sha256sum --check --quiet || { echo "the file is not the one this job was written for" >&2; exit 1; }
mv "$work/$member" "$target"
