# A cluster of one node in a directory, for tests: munged, slurmctld and slurmd as processes of this shell. Sourced.
# Needs root and Debian's slurm-wlm and munge. No systemd, no cgroups, no accounting.

# start_cluster DIR: exports what Slurm's commands need to speak to it.
start_cluster() {
  cluster=$1
  mkdir -p "$cluster"/{state,spool,munge,log}
  chmod 755 "$cluster"
  chmod 700 "$cluster/munge"
  local host controller node
  host=$(hostname -s)
  read -r controller node < <(free_ports)
  (umask 077 && dd if=/dev/urandom of="$cluster/munge/key" bs=128 count=1 status=none)
  munged --force --foreground --key-file="$cluster/munge/key" --socket="$cluster/munge/socket" \
    --pid-file="$cluster/munge/pid" --log-file="$cluster/log/munged" --seed-file="$cluster/munge/seed" &
  daemons=("$!")
  cat >"$cluster/slurm.conf" <<CONF
ClusterName=scratch
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller
SlurmdPort=$node
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$cluster/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.pid
SlurmctldLogFile=$cluster/log/slurmctld
SlurmdLogFile=$cluster/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=10
MinJobAge=3600
SchedulerParameters=sched_interval=2,batch_sched_delay=0
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF=$cluster/slurm.conf
  slurmctld -D &
  daemons+=("$!")
  slurmd -D -N "$host" &
  daemons+=("$!")
  for _ in $(seq 120); do
    [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ] && return
    sleep 0.5
  done
  echo "the cluster did not come up:" >&2
  tail -20 "$cluster"/log/* >&2
  return 1
}

stop_cluster() {
  scancel --quiet --state=RUNNING,PENDING --user=root 2>/dev/null || true
  sleep 1
  local daemon
  # The last one started first: jobs end with the node's daemon.
  for ((daemon = ${#daemons[@]} - 1; daemon >= 0; daemon--)); do
    kill "${daemons[daemon]}" 2>/dev/null || true
    wait "${daemons[daemon]}" 2>/dev/null || true
  done
}

free_ports() {
  python3 -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))'
}
