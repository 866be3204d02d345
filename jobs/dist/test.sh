#!/usr/bin/env bash
# Runs a job with both programs of a tarball inside a bare Debian 12: nothing but debootstrap's smallest variant, no network.
# Usage: test.sh TARBALL    as root; needs debootstrap.
set -euo pipefail
tarball=$(realpath "$1")
root=$(cd "$(dirname "$0")/../.." && pwd)
[ "$(id -u)" = 0 ] || { echo "debootstrap and chroot need root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "missing: debootstrap (make dist-test installs it)" >&2; exit 1; }
bare=$(mktemp -d)
finish() {
  local code=$?
  umount "$bare/proc" 2>/dev/null || true
  rm -rf --one-file-system "$bare" "$bare.log"
  exit $code
}
trap finish EXIT
debootstrap --variant=minbase bookworm "$bare" ${MIRROR:-} >"$bare.log" 2>&1 || { tail "$bare.log" >&2; exit 1; }
mount -t proc proc "$bare/proc"
mkdir -p "$bare/somewhere/else" "$bare/job"
tar -xzf "$tarball" -C "$bare/somewhere/else"
data=$root/.cache/10x_pbmc68k_reduced.h5ad
[ -e "$data" ] || "$root/jobs/prepare/fetch-pbmc.sh" "$data"
cp "$data" "$bare/job/data.h5ad"
sed "s|file: .*|file: data.h5ad|" "$root/jobs/pbmc.yaml" >"$bare/job/job.yaml"
cat >"$bare/job/run.sh" <<'RUN'
set -eu
cd /somewhere/else/*/ && sha256sum --quiet --check SHA256SUMS && echo "checksums hold"
PATH=$PWD/bin:$PATH
cd /job
encryptor keygen owner >/dev/null
trainer keygen trainer >/dev/null
cp owner/owner.pub owners.txt
trainer serve --keys trainer --authorized owners.txt --store store --bind tcp://127.0.0.1:0 >endpoint 2>trainer.log &
trainer=$!
trap 'kill $trainer; wait $trainer' EXIT
for _ in $(seq 100); do grep -q listening endpoint && break; sleep 0.1; done
endpoint=$(sed -n 's/^listening //p' endpoint)
[ -n "$endpoint" ] || { cat trainer.log >&2; echo "the trainer did not start" >&2; exit 70; }
encryptor run job.yaml --keys owner --trainer-key trainer/trainer.pub --out run --set trainer="$endpoint"
trainer status --store store
ls -l run/model/model.safetensors
RUN
# A network of its own without any interface but loopback.
unshare --net bash -c "ip link set lo up 2>/dev/null || true; chroot '$bare' /usr/bin/env -i PATH=/usr/bin:/bin HOME=/ sh /job/run.sh"
dpkg --root="$bare" -l 'libzmq*' 'libhdf5*' 'libopenblas*' 2>/dev/null | grep '^ii' && { echo "it was not bare" >&2; exit 1; }
echo "both programs ran in a bare Debian $(cat "$bare/etc/debian_version"): $(chroot "$bare" dpkg-query -f '.\n' -W | wc -l) packages, none of them a library of theirs"
