#!/usr/bin/env python3
"""The functions in which a trainer spends most of its time, by `perf` (Debian: linux-perf): MiniLM, all weights, 32 × 128 tokens a step.

perf looks at the trainer alone from its first step to the end of the job, by the clock, which works in a virtual machine without counters. Names
of Swift functions are demangled where `swift` is on PATH. Example: hot_functions.py --precision float32 --top 10
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from beside import MINILM, Case, full_length
from local import STATE, LocalTrainer, environment, fresh, make_keys, owner_command

LINE = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+\[[.k]\]\s+(.+?)\s*$")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="float32", help="train.precision of the job")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--top", type=int, default=10)
    options = parser.parse_args()
    if not shutil.which("perf"):
        parser.error("perf is not on PATH; Debian has it as linux-perf")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    folder = fresh(STATE / "hot-functions")
    make_keys(folder)
    case = Case("hot-functions", "MiniLM", "bert", MINILM, batch=32, length=128, steps=options.steps)
    file = full_length(SimpleNamespace(folder=folder), case)
    settings = case.settings(file) + ([] if options.precision == "float32" else [f"train.precision={options.precision}"])
    with LocalTrainer(folder, folder / "store") as trainer:
        record(case, trainer, folder, settings)
    text = subprocess.run(
        ["perf", "report", "--input", folder / "perf.data", "--stdio", "--no-children", "--fields", "overhead,dso,sym"], check=True,
        capture_output=True, text=True).stdout
    found = [match.groups() for match in map(LINE.match, text.splitlines()) if match]
    if not found:
        raise SystemExit(f"perf has seen nothing; see {folder}/perf.log")
    names = demangled([name for _, _, name in found[: options.top]])
    for (share, program, _), name in zip(found, names):
        print(f"{share:>6} %  {Path(program).name.split('.so')[0]:<24} {name}")
    rest = sum(float(share) for share, _, _ in found[options.top :])
    print(f"{rest:6.2f} %  in {len(found) - min(len(found), options.top)} others")


def record(case, trainer, folder, settings):
    """perf is attached when the first step is done, and told to end while the trainer still runs."""
    run = folder / "run"
    with open(folder / "owner.log", "wb") as log:
        owner = subprocess.Popen(
            owner_command(case.job, run, folder, trainer.endpoint, settings), stdout=log, stderr=log, env=environment())
    history = run / "history.jsonl"
    while owner.poll() is None and not (history.exists() and history.stat().st_size):
        time.sleep(0.02)
    with open(folder / "perf.log", "wb") as log:
        perf = subprocess.Popen(
            ["perf", "record", "--event", "cpu-clock", "--freq", "499", "--output", folder / "perf.data", "--pid", str(trainer.process.pid)],
            stdout=log, stderr=log)
    owner.wait()
    perf.send_signal(signal.SIGINT)
    perf.wait()
    if owner.returncode:
        raise SystemExit(f"encryptor exited with {owner.returncode}; see {folder}/owner.log")


def demangled(names):
    """Without the types, which would fill the line."""
    if not shutil.which("swift"):
        return names
    text = subprocess.run(
        ["swift", "demangle", "--compact", "--simplified"], input="\n".join(names), capture_output=True, text=True).stdout
    return [line[:110] for line in text.splitlines()] or names


if __name__ == "__main__":
    sys.exit(main())
