#!/usr/bin/env bash
# Trains every combination that the interface promises to be exact, masked and over the wire, and replays each in plaintext PyTorch; of
# transformers also compares what `transformers` or `peft` predict with the written model and what `encryptor predict` does.
# Usage: [TOX21=FILE] [PUBMED=FILE] matrix.sh [perceptrons|transformers]
# Prints a line a run; exit 7 if a difference exceeds 1e-4 or a run fails. The files add the jobs on them.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$root/.build/release}
python=${PYTHON:-$root/.venv/bin/python}
tox21=${TOX21:-}
pubmed=${PUBMED:-}
state=$root/.cache/replay
rm -rf "$state"
mkdir -p "$state/runs"
. "$root/jobs/trainer.sh"
start_trainer "$state" "$bin/trainer"

failed=0
runs=()
predicted=()

# train NAME JOB [--set …]
train() {
  local name=$1 job=$2
  shift 2
  if "$bin/encryptor" run "$job" --keys "$state/owner" --trainer-key "$state/trainer/trainer.pub" --out "$state/runs/$name" \
    --set trainer="$endpoint" "$@" >"$state/runs/$name.log" 2>&1; then
    runs+=("$state/runs/$name")
  else
    echo "$name: the run failed: $(tail -n 1 "$state/runs/$name.log")" >&2
    failed=7
    return 0
  fi
}

# The same, and predictions for the rows of the job's own file.
train_and_predict() {
  local name=$1 before=${#runs[@]} file
  train "$@"
  [ ${#runs[@]} -gt "$before" ] || return 0
  file=$("$python" -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["data"]["file"])' "$state/runs/$name/job.resolved.yaml")
  if "$bin/encryptor" predict "$state/runs/$name" --data "$file" --out "$state/runs/$name.predictions.h5" \
    >"$state/runs/$name.predict.log" 2>&1; then
    predicted+=("$state/runs/$name")
  else
    echo "$name: predict failed: $(tail -n 1 "$state/runs/$name.predict.log")" >&2
    failed=7
  fi
}

# Replays and compares the runs since the last call. judge [replay.py options …]
judge() {
  [ ${#runs[@]} = 0 ] || "$python" "$root/jobs/replay/replay.py" "$@" "${runs[@]}" || failed=7
  if [ ${#predicted[@]} != 0 ]; then
    printf '%-44s %s\n' 'predictions by the libraries' 'difference'
    "$python" "$root/jobs/replay/predictions.py" "${predicted[@]}" || failed=7
  fi
  runs=()
  predicted=()
}

case ${1:-all} in
  perceptrons) parts=(perceptrons) ;;
  transformers) parts=(transformers) ;;
  all) parts=(perceptrons transformers) ;;
  *) sed -n 's/^# Usage: //p' "$0" >&2; exit 2 ;;
esac
for part in "${parts[@]}"; do
  . "$root/jobs/replay/matrix/$part.sh"
done
exit $failed
