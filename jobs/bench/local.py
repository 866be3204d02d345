"""Starts the project's two programs on this machine for measurements: keys, a trainer on a free port, owners' runs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARIES = Path(os.environ.get("BIN", ROOT / ".build" / "release"))
STATE = ROOT / ".cache" / "bench"


def environment():
    """The caller's, without the variable that would force OpenBLAS to slower kernels."""
    return {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}


def fresh(path):
    """An empty private directory."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True, mode=0o700)
    return path


def make_keys(folder):
    for program, name in (("encryptor", "owner"), ("trainer", "trainer")):
        if not (folder / name / f"{name}.key").exists():
            subprocess.run([BINARIES / program, "keygen", folder / name], check=True, stdout=subprocess.DEVNULL)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LocalTrainer:
    """`trainer serve` with a store of its own; a context manager that stops it."""

    def __init__(self, keys, store, port=0, options=()):
        self.keys, self.store, self.port, self.options = keys, store, port, options
        self.process = self.endpoint = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.log = open(f"{self.store}.log", "ab")
        self.process = subprocess.Popen(
            [BINARIES / "trainer", "serve", "--keys", self.keys / "trainer", "--authorized", self.keys / "owner" / "owner.pub",
             "--store", self.store, "--bind", f"tcp://127.0.0.1:{self.port}", *self.options],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment())
        line = self.process.stdout.readline()
        if not line.startswith("listening "):
            raise RuntimeError(f"the trainer did not start; see {self.store}.log")
        self.endpoint = line.split()[1]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()

    def peak_memory(self):
        return peak_memory(self.process.pid)


def owner_command(job, run, keys, endpoint, settings=(), resume=False, options=()):
    command = [
        BINARIES / "encryptor", "run", job, "--keys", keys / "owner", "--trainer-key", keys / "trainer" / "trainer.pub",
        "--out", run, "--set", f"trainer={endpoint}", *options]
    for setting in settings:
        command += ["--set", setting]
    return [str(part) for part in command + (["--resume"] if resume else [])]


def run_owner(job, run, keys, endpoint, settings=(), **more):
    """Runs a job to its end in a new run directory; (wall seconds, summary.json with ownerPeakBytes)."""
    shutil.rmtree(run, ignore_errors=True)
    start = time.perf_counter()
    owner = subprocess.Popen(
        owner_command(job, run, keys, endpoint, settings, **more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=environment())
    with PeakMemory(owner.pid) as peak:
        _, errors = owner.communicate()
        seconds = time.perf_counter() - start
    if owner.returncode != 0:
        raise RuntimeError(f"encryptor exited with {owner.returncode}: {errors.strip().splitlines()[-1:]}")
    return seconds, json.loads((run / "summary.json").read_text()) | {"ownerPeakBytes": peak.bytes}


def kept_metric(summary, name):
    """The metric of the epoch whose weights the model holds."""
    for record in summary["evaluations"]:
        if record["evaluation"]["epoch"] == summary["keptEpoch"]:
            return record["evaluation"]["metrics"][name]
    raise RuntimeError(f"no evaluation of epoch {summary['keptEpoch']}")


class PeakMemory:
    """Looks at a process twenty times a second until it is left: `bytes`, the most memory that was seen of it."""

    def __init__(self, process):
        self.process, self.bytes = process, 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def watch(self):
        while not self.done.wait(0.05):
            self.bytes = max(self.bytes, peak_memory(self.process))


def peak_memory(process):
    """VmHWM of a process in bytes: the most physical memory it ever held; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
