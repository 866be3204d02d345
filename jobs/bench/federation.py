#!/usr/bin/env python3
"""Wall time of a federation with and without the masks of its sums, and of the same FedAvg in Flower's simulation, in turns in one run.

Ours is `encryptor simulate`: aggregator and sites in one process, with the messages of the real ones. Flower's needs a Python with flwr:

    python3 -m venv .cache/flower && .cache/flower/bin/pip install "flwr[simulation]" h5py
    .venv/bin/python jobs/bench/federation.py --flower .cache/flower/bin/python
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BENCH = Path(__file__).resolve().parent


def seconds(command):
    began = time.monotonic()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=ROOT / ".build/release")
    parser.add_argument("--charter", type=Path, default=ROOT / "jobs/federation/tcga-brca.yaml")
    parser.add_argument("--trials", type=int, default=7)
    parser.add_argument("--flower", type=Path, help="a Python that has flwr; for the charter of TCGA-BRCA alone")
    parser.add_argument("--set", action="append", default=[], help="an override of the charter, for ours")
    options = parser.parse_args()
    names = [site["name"] for site in yaml.safe_load(options.charter.read_text())["sites"]]
    sites = [options.charter.with_name(f"{options.charter.stem}-{name}.yaml") for name in names]
    ways = {"secure": [], "plain": []}
    if options.flower:
        ways["flower"] = []
    with tempfile.TemporaryDirectory() as scratch:
        for trial in range(options.trials):
            for way, times in ways.items():
                if way == "flower":
                    command = [options.flower, BENCH / "flower_fedavg.py", ROOT / ".cache/tcga_brca"]
                else:
                    command = [options.bin / "encryptor", "simulate", options.charter, *sites, "--out", f"{scratch}/{way}-{trial}",
                               "--set", f"federation.aggregation={way}"]
                    for override in options.set:
                        command += ["--set", override]
                times.append(seconds(command))
    for way, times in ways.items():
        print(f"{way:<7} median {statistics.median(times):7.2f} s of {options.trials}")
    print(f"secure / plain   {statistics.median(a / b for a, b in zip(ways['secure'], ways['plain'])):.2f}  (median of pairs)")
    if options.flower:
        print(f"secure / flower  {statistics.median(a / b for a, b in zip(ways['secure'], ways['flower'])):.3f}  (median of pairs)")


if __name__ == "__main__":
    sys.exit(main())
