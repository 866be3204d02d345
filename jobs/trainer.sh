# To be sourced: a trainer of one's own on this machine.
#
# start_trainer STATE COMMAND … [-- OPTIONS …]: makes owner's and trainer's keys in STATE where there are none, runs `COMMAND … serve` with
# them and OPTIONS on a free port (PORT: on that one), and waits until it listens. Sets `trainer`, its process, and `endpoint`;
# ends the shell with 70 and the trainer's log when it does not start. It is stopped when the shell ends.
start_trainer() {
  local state=$1 encryptor=${ENCRYPTOR:-$bin/encryptor} command=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    command+=("$1")
    shift
  done
  [ $# = 0 ] || shift
  mkdir -p "$state"
  chmod 700 "$state"
  [ -e "$state/owner/owner.key" ] || "$encryptor" keygen "$state/owner" >/dev/null
  [ -e "$state/trainer/trainer.key" ] || "$bin/trainer" keygen "$state/trainer" >/dev/null
  # Else what an earlier one wrote might be read before this one begins.
  : >"$state/endpoint"
  "${command[@]}" serve --keys "$state/trainer" --authorized "$state/owner/owner.pub" --store "$state/store" \
    --bind "tcp://127.0.0.1:${PORT:-0}" "$@" >"$state/endpoint" 2>"$state/trainer.log" &
  trainer=$!
  trap 'kill "$trainer" 2>/dev/null || true; wait "$trainer" 2>/dev/null || true' EXIT
  for _ in $(seq 300); do
    grep -q '^listening ' "$state/endpoint" && break
    kill -0 "$trainer" 2>/dev/null || break
    sleep 0.1
  done
  endpoint=$(sed -n 's/^listening //p' "$state/endpoint")
  [ -n "$endpoint" ] || {
    cat "$state/trainer.log" >&2
    echo "the trainer did not start" >&2
    exit 70
  }
}

# start_ranks RANKS STATE [OPTIONS …]: the same with so many MPI processes; 0: without mpirun.
start_ranks() {
  local ranks=$1 state=$2 launch=()
  shift 2
  # Open MPI refuses root, and more ranks than cores, unless it is told; it binds each rank to a core where it can. When a
  # rank dies the others are told by SIGCONT, after so many seconds by SIGTERM, and after as many again killed: time to miss it (5 s)
  # and to save.
  if [ "$ranks" -gt 0 ]; then
    launch=(mpirun -n "$ranks")
    if mpirun --version 2>/dev/null | grep -q 'Open MPI'; then
      [ "$(id -u)" != 0 ] || launch+=(--allow-run-as-root)
      launch+=(--oversubscribe --bind-to none --mca odls_base_sigkill_timeout 15)
    fi
  fi
  start_trainer "$state" "${launch[@]}" "$bin/trainer" -- "$@"
}
