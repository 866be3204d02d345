#!/usr/bin/env bash
# Trains every combination that the interface promises to be exact, masked and over the wire, and replays each in plaintext PyTorch. Each
# model is then deployed, and a client's answers are compared with what PyTorch, `transformers` or `peft` make of the written model; of
# transformers what `encryptor predict` writes, too.
# Usage: [TOX21=FILE] [PUBMED=FILE] matrix.sh [perceptrons|transformers|minilm]
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
"$bin/encryptor" keygen "$state/client" >/dev/null

failed=0
runs=()
asked=()
directories=()
predicted=()

# train NAME JOB [--set …]
train() {
  local name=$1 job=$2
  shift 2
  if "$bin/encryptor" run "$job" --keys "$state/owner" --trainer-key "$state/trainer/trainer.pub" --out "$state/runs/$name" \
    --set trainer="$endpoint" "$@" >"$state/runs/$name.log" 2>&1; then
    runs+=("$state/runs/$name")
    if ask "$name" "$state/runs/$name" answers; then asked+=("$state/runs/$name"); fi
  else
    echo "$name: the run failed: $(tail -n 1 "$state/runs/$name.log")" >&2
    failed=7
    return 0
  fi
}

# Deploys a run or a model's directory and has a client ask about every row of the run's own file; its answers are RUN.KIND.h5.
# ask NAME MODEL KIND [deploy options …]
ask() {
  local name=$1 model=$2 kind=$3 deployment=$state/deployments/$1-$3 log=$state/runs/$1.$3.log
  shift 3
  {
    "$bin/encryptor" deploy "$model" --keys "$state/owner" --trainer-key "$state/trainer/trainer.pub" --out "$deployment" \
      --client "client=$state/client/owner.pub" "$@" &&
      "$bin/encryptor" query "$deployment/clients/client" --keys "$state/client" --data "$(data_of "$name")" \
        --out "$state/runs/$name.$kind.h5" && "$bin/encryptor" undeploy "$deployment"
  } >"$log" 2>&1 && return
  echo "$name: asking it failed: $(tail -n 1 "$log")" >&2
  failed=7
  return 1
}

# What the transformers or peft library would load of a run, deployed as a directory of theirs. ask_directory NAME TASK [deploy options …]
ask_directory() {
  local name=$1 task=$2
  shift 2
  if ask "$name" "$state/runs/$name/model" directory --trainer "$endpoint" --task "$task" "$@"; then
    directories+=("$state/runs/$name")
  fi
}

data_of() {
  "$python" -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["data"]["file"])' "$state/runs/$1/job.resolved.yaml"
}

# The same, and predictions for the rows of the job's own file.
train_and_predict() {
  local name=$1 before=${#runs[@]}
  train "$@"
  [ ${#runs[@]} -gt "$before" ] || return 0
  if "$bin/encryptor" predict "$state/runs/$name" --data "$(data_of "$name")" --out "$state/runs/$name.predictions.h5" \
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
  compare 'predictions by the libraries' predictions "${predicted[@]}"
  compare 'questions of a client, by PyTorch' answers "${asked[@]}"
  compare 'questions about a directory, by PyTorch' directory "${directories[@]}"
  runs=()
  asked=()
  directories=()
  predicted=()
}

# compare TITLE KIND [RUN …]
compare() {
  [ $# -gt 2 ] || return 0
  printf '%-44s %s\n' "$1" 'difference'
  "$python" "$root/jobs/replay/predictions.py" --kind "$2" "${@:3}" || failed=7
}

case ${1:-all} in
  perceptrons) parts=(perceptrons) ;;
  transformers) parts=(transformers minilm) ;;
  minilm) parts=(minilm) ;;
  all) parts=(perceptrons transformers minilm) ;;
  *) sed -n 's/^# Usage: //p' "$0" >&2; exit 2 ;;
esac
for part in "${parts[@]}"; do
  . "$root/jobs/replay/matrix/$part.sh"
done
exit $failed
