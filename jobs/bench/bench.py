#!/usr/bin/env python3
"""Measures what the project promises, prints one table and writes bench.json.

Every row names what was measured, the figure, the bar for this kind of processor, and the command that shows it alone. Ratios come from
measurements that alternate within one run: their median, beside it the least and the most. OPENBLAS_CORETYPE is unset: it would force other
kernels than the processor's best. What takes long runs with --large, or when it is named by --only.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

import answers_bench
import beside
import pictures
import transformers_bench
from local import BINARIES, ROOT, STATE, LocalTrainer, environment, fresh, kept_metric, make_keys, run_owner
from machine import Machine, at_most
from plaintext import EAGER, MODES
from precisions import Precisions
from table import Table

HEAD = """name: head
data: {{file: {file}, features: x, labels: y, split: {{validation: 0}}}}
task: classification
model:
  mlp: {{hidden: [], activation: relu}}
masking: {{strength: rotation, padding: 1}}
loss: {{where: owner}}
optimizer: {{name: sgd, lr: 0.1, momentum: 0.9}}
train: {{epochs: {epochs}, batch: 1024, seed: 1, keep: last}}
"""


class Bench:
    def __init__(self, options):
        self.options, self.machine = options, Machine()
        self.table = Table(self.machine.kind)
        print(self.machine.text, file=sys.stderr, flush=True)
        self.folder, self.models = fresh(STATE / "runs"), STATE / "models"
        # To compile takes minutes.
        self.modes = EAGER if options.quick else MODES
        self.precisions = Precisions(self.folder, self.machine.kind)
        make_keys(self.folder)
        self.tox21 = options.tox21 and Path(options.tox21).resolve()
        self.pubmed = options.pubmed and Path(options.pubmed).resolve()
        self.pbmc = ROOT / ".cache" / "10x_pbmc68k_reduced.h5ad"

    def run(self):
        chosen = self.options.only or [name for name in PARTS if name not in LONG or self.options.large]
        for name in chosen:
            print(name, file=sys.stderr, flush=True)
            try:
                PARTS[name](self)
            except (RuntimeError, subprocess.CalledProcessError, OSError) as error:
                self.table.add(name, f"did not run: {error}", "", False, "")
        return self.table

    def trainer(self, name, keys=None):
        return LocalTrainer(keys or self.folder, self.folder / f"store-{name}")

    # Parts

    def replay(self):
        """Every exact combination, replayed outside."""
        given = {name: str(path) for name, path in (("TOX21", self.tox21), ("PUBMED", self.pubmed)) if path}
        output = subprocess.run(
            [ROOT / "jobs/replay/matrix.sh"], capture_output=True, text=True,
            env=environment() | {"PYTHON": sys.executable, "BIN": str(BINARIES)} | given)
        kinds = {"run": {}, "predictions": {}, "questions": {}}
        kind = "run"
        for line in output.stdout.splitlines():
            if line.startswith(("run ", "predictions by", "questions ")):
                kind = line.split()[0]
            elif " pass" in line or " FAIL" in line:
                name, difference = line.split()[:2]
                kinds[kind][name] = float("nan") if difference == "FAIL" else float(difference)
        for kind, what in (
            ("run", "outside replay in PyTorch, largest of"), ("predictions", "predictions by transformers and peft, largest of"),
            ("questions", "answers of deployed models, by PyTorch, largest of")):
            found = kinds[kind]
            # Not max(): a NaN must fail the check.
            largest = float(np.max(list(found.values()))) if found else float("nan")
            self.table.add(
                f"{what} {len(found)} jobs", f"{largest:.1e}", "≤ 1e-4", output.returncode == 0 and largest <= 1e-4, "make replay-matrix",
                differences=found)

    def head(self):
        """52,500 × 768, ten classes, from HDF5 to unmasked weights; then masked beside unmasked."""
        job = self.head_job()
        with self.trainer("head") as trainer:
            runs = self.alternate(job, trainer, "head", rounds=self.options.rounds)
        masked, plain = runs["rotation"], runs["none"]
        seconds = statistics.median(seconds for seconds, _ in masked)
        command = "jobs/bench/bench.py --only head"
        self.table.add(
            "52,500 × 768 linear head, 7 epochs, whole run", f"{seconds:.2f} s", "< 3.4 s", seconds < 3.4, command,
            seconds=[seconds for seconds, _ in masked], phases=masked[-1][1]["seconds"],
            owner_cpu_seconds=masked[-1][1]["ownerCPUSeconds"], trainer_cpu_seconds=masked[-1][1]["trainerCPUSeconds"])
        self.ratio("the same, masked / strength: none, wall time", masked, plain, command, bar=1.10)
        self.expansion("the same, bytes sent / plain float32", masked[-1][1], command)
        self.head_by_precision(job, command)

    def head_by_precision(self, job, command):
        """1.5 s is wanted where single precision took 2.1."""
        what, bar = "the same, whole run, bfloat16 / float32", at_most(1.5 / 2.1)
        if "bfloat16" not in self.precisions.usable:
            self.table.not_measured(what, self.precisions.missing["bfloat16"], bar, command)
            return
        seconds = {"float32": [], "bfloat16": []}
        with self.trainer("head-precision") as trainer:
            for number in range(self.options.rounds + 1):
                for precision in beside.turned(list(seconds), number):
                    found, _ = run_owner(
                        job, self.folder / f"head-{precision}", self.folder, trainer.endpoint, self.precisions.setting(precision))
                    # One round ahead warms the file cache.
                    seconds[precision] += [found] if number else []
        self.table.ratio(
            what, [a / b for a, b in zip(seconds["bfloat16"], seconds["float32"])], bar, command, unit="", seconds=seconds)

    def perceptron(self):
        """The Tox21 job, masked beside unmasked."""
        command = "TOX21=FILE jobs/bench/bench.py --only perceptron"
        if not self.tox21:
            self.table.add("Tox21 job", "skipped: set TOX21=FILE", "", None, command)
            return
        with self.trainer("tox21") as trainer:
            runs = self.alternate(
                ROOT / "jobs/tox21.yaml", trainer, "tox21", [f"data.file={self.tox21}"], rounds=self.options.rounds)
        masked, plain = runs["rotation"], runs["none"]
        self.ratio("Tox21 job, masked / strength: none, wall time", masked, plain, command)
        self.expansion("Tox21 job, bytes sent / plain float32", masked[-1][1], command)
        self.metric("Tox21 job, mean ROC-AUC", "roc_auc", masked[-1][1], plain[-1][1], (0.79, 0.81), command)

    def cells(self):
        """The single-cell job, masked beside unmasked."""
        command = "jobs/bench/bench.py --only cells"
        if not self.pbmc.exists():
            self.table.add("single-cell job", "skipped: run `make run` first, which fetches the file", "", None, command)
            return
        with self.trainer("cells") as trainer:
            runs = self.alternate(ROOT / "jobs/pbmc.yaml", trainer, "cells", rounds=1)
        masked, plain = runs["rotation"][0][1], runs["none"][0][1]
        self.metric("single-cell job, accuracy", "accuracy", masked, plain, (0.82, 1), command)
        self.expansion("single-cell job, bytes sent / plain float32", masked, command)

    def products(self):
        found = benchmark("product-share", "--threads", str(self.options.threads))
        self.table.add(
            "step of 4 × 2048 MLP, batch 1024 / cblas_sgemm alone", f"{found['share']:.3f}", "≥ 0.80",
            found["share"] >= 0.8, f"benchmarks product-share --threads {self.options.threads}", **found)

        found = benchmark("products")
        for core in found["cores"]:
            self.table.add(
                f"products of packed bfloat16 in cache / the core's own peak, {core['path']}", f"{core['share']:.2f}", "≥ 0.70",
                core["share"] >= 0.7, "benchmarks products", **core)
        for shape in sorted({(p["rows"], p["outputs"], p["inputs"]) for p in found["products"]}):
            speeds = [p for p in found["products"] if (p["rows"], p["outputs"], p["inputs"]) == shape]
            self.table.add(
                f"{shape[0]} × {shape[1]} × {shape[2]}, GFLOP/s of one core",
                ", ".join(
                    f"{p['precision']} {p['path']}{' packed' if p['weightsPackedBefore'] else ''} {p['gigaflops']:.0f}"
                    for p in speeds), "", None, "benchmarks products", products=speeds)

    def keys(self):
        found = benchmark("keys", "--threads", str(self.options.threads))
        self.table.add(
            f"expanding an orthogonal key, n = {found['width']}", f"{found['expansionSeconds']:.2f} s", "", None,
            "benchmarks keys", **found)
        self.table.add(
            f"masking rows, d = {found['width'] - 2}", f"{found['maskedRowsPerSecond']:,.0f} rows/s", "", None, "benchmarks keys")

    def steps(self):
        found = benchmark("steps", "--threads", str(self.options.threads))
        self.table.add(
            "training alone, head / Tox21 model",
            f"{found['headRowsPerSecond']:,.0f} / {found['perceptronRowsPerSecond']:,.0f} rows/s", "", None, "benchmarks steps",
            **found)

    def reading(self):
        path, features = (self.tox21, "fingerprints") if self.tox21 else (self.compressed_file(), "x")
        found = benchmark("reading", str(path), features, "--rounds", "3")
        self.table.add(
            "gzip chunks: blocks in order / shuffled rows one by one", f"{found['ratio']:.0f} × as fast", "", None,
            f"benchmarks reading FILE {features}", **found)

    def kill(self):
        output = subprocess.run(
            [sys.executable, ROOT / "jobs/bench/kill.py", "--json", "--trials", str(self.options.trials)], stdout=subprocess.PIPE,
            text=True)
        found = json.loads(output.stdout) if output.stdout else {"identical": 0, "trials": self.options.trials}
        self.table.add(
            "kill -9 at random moments, either side: same bits", f"{found['identical']} of {found['trials']}",
            f"{found['trials']} of {found['trials']}", found["identical"] == found["trials"], "jobs/bench/kill.py", **found)

    def serving(self):
        """Deployed models: latency of questions, masked beside unmasked."""
        output = subprocess.run(
            [sys.executable, ROOT / "jobs/bench/serving.py", "latency", "--clients", "1", "8", "--json"], stdout=subprocess.PIPE, text=True)
        if not output.stdout:
            raise RuntimeError("jobs/bench/serving.py has measured nothing")
        self.table.rows += json.loads(output.stdout)

    def large(self):
        """A 4 GB file: peak memory of both processes."""
        path = self.folder / "large.h5"
        rows = write_head(path, 1_400_000)
        job = self.folder / "large.yaml"
        job.write_text(HEAD.format(file=path, epochs=1))
        run = self.folder / "large-run"
        try:
            with self.trainer("large") as trainer:
                _, summary = run_owner(job, run, self.folder, trainer.endpoint)
                at_trainer = trainer.peak_memory()
            size = path.stat().st_size
        finally:
            for leftover in (run, self.folder / "store-large"):
                shutil.rmtree(leftover, ignore_errors=True)
            path.unlink(missing_ok=True)
        command = "jobs/bench/bench.py --only large"
        for side, bytes_ in (("owner", summary["ownerPeakBytes"]), ("trainer", at_trainer)):
            self.table.add(
                f"{size / 1e9:.1f} GB file, {rows:,} rows: peak memory, {side}", f"{bytes_ / 1e6:.0f} MB", "< 500 MB",
                bytes_ < 500e6, command, bytes=bytes_)

    # What parts share

    def alternate(self, job, trainer, name, settings=(), rounds=1):
        """Runs masked and unmasked in turn, the first of a round changing; one round ahead warms the file cache."""
        runs = {"rotation": [], "none": []}
        for number in range(rounds + 1):
            for strength in list(runs)[:: 1 if number % 2 else -1]:
                found = run_owner(
                    job, self.folder / f"{name}-{strength}", self.folder, trainer.endpoint,
                    [*settings, f"masking.strength={strength}"])
                if number or rounds == 1:
                    runs[strength].append(found)
        return runs

    def ratio(self, what, masked, plain, command, bar=1.05):
        self.table.ratio(
            what, [a / b for (a, _), (b, _) in zip(masked, plain)], at_most(bar), command, unit="",
            masked_seconds=[seconds for seconds, _ in masked], unmasked_seconds=[seconds for seconds, _ in plain],
            masked_cpu_seconds=[cpu_seconds(summary) for _, summary in masked],
            unmasked_cpu_seconds=[cpu_seconds(summary) for _, summary in plain])

    def expansion(self, what, summary, command):
        self.table.add(what, f"{summary['expansion']:.4f}", "≤ 1.01", summary["expansion"] <= 1.01, command,
                       bytes_sent=summary["bytesSent"], bytes_received=summary["bytesReceived"])

    def metric(self, what, name, masked, plain, bounds, command):
        values = [kept_metric(summary, name) for summary in (masked, plain)]
        low, high = bounds
        self.table.add(what, f"{values[0]:.4f}", f"≥ {low}" if high == 1 else f"{low}–{high}", values[0] >= low, command)
        difference = abs(values[0] - values[1])
        self.table.add(
            f"{what}, masked − unmasked", f"{difference:.4f}", "0.000", difference < 5e-4, command, masked=values[0],
            unmasked=values[1])

    def head_job(self):
        path = self.folder / "head.h5"
        write_head(path, 52_500)
        job = self.folder / "head.yaml"
        job.write_text(HEAD.format(file=path, epochs=7))
        return job

    def compressed_file(self):
        path = self.folder / "compressed.h5"
        bits = np.random.default_rng(3).random((8000, 2048)) < 0.05
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=bits.astype(np.uint8), chunks=(256, 2048), compression="gzip", shuffle=True)
        return path


def write_head(path, rows, columns=768, classes=10):
    """Features of ten overlapping clusters, written block by block."""
    numbers = np.random.default_rng(11)
    centres = numbers.normal(size=(classes, columns)).astype(np.float32)
    with h5py.File(path, "w") as file:
        x = file.create_dataset("x", (rows, columns), np.float32, chunks=(512, columns))
        y = file.create_dataset("y", (rows,), np.int32)
        for first in range(0, rows, 16384):
            labels = numbers.integers(0, classes, min(16384, rows - first)).astype(np.int32)
            noise = numbers.standard_normal((len(labels), columns), dtype=np.float32)
            x[first : first + len(labels)] = centres[labels] + 3 * noise
            y[first : first + len(labels)] = labels
    return rows


def cpu_seconds(summary):
    """Of both processes."""
    return round(summary["ownerCPUSeconds"] + summary["trainerCPUSeconds"], 3)


def benchmark(*arguments):
    return json.loads(
        subprocess.run([BINARIES / "benchmarks", *arguments], check=True, capture_output=True, text=True, env=environment()).stdout)


PARTS = {
    "replay": Bench.replay, "head": Bench.head, "perceptron": Bench.perceptron, "cells": Bench.cells,
    "products": Bench.products, "keys": Bench.keys, "steps": Bench.steps, "reading": Bench.reading, "kill": Bench.kill,
    "serving": Bench.serving, "speed": beside.minilm, "wire": transformers_bench.wire, "overhead": transformers_bench.overhead,
    "sections": transformers_bench.sections, "inference": answers_bench.inference, "generation": answers_bench.generation,
    "base": beside.bert_base, "llama": beside.llama, "large-generation": answers_bench.large_generation,
    "five-keys": transformers_bench.five_keys, "ranks": transformers_bench.ranks, "large": Bench.large,
}
# Each of these takes ten minutes or more.
LONG = ("base", "llama", "large-generation", "five-keys", "ranks", "large")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="ROW", help=f"just these: {', '.join(PARTS)}")
    parser.add_argument("--large", action="store_true", help=f"also what takes long: {', '.join(LONG)} (14 GB of disk)")
    parser.add_argument("--quick", action="store_true", help="small models and one round: whether everything runs; the figures mean nothing")
    parser.add_argument("--rounds", type=int, default=7, help="of the ratios; the median counts")
    parser.add_argument("--transformer-rounds", type=int, default=3, help="the same for transformers")
    parser.add_argument("--trials", type=int, default=20, help="of kill -9")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--tox21", default=os.environ.get("TOX21"), help="the Tox21 file (or the variable TOX21)")
    parser.add_argument("--pubmed", default=os.environ.get("PUBMED"), help="the file of the section task (or the variable PUBMED)")
    parser.add_argument("--out", type=Path, help="(default: bench.json, or bench-quick.json; the pictures go beside it)")
    options = parser.parse_args()
    # The bars are for two cores, both processes together.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    options.out = options.out or ROOT / ("bench-quick.json" if options.quick else "bench.json")
    if options.quick:
        options.rounds = options.transformer_rounds = 1
        print("small models and one round: whether everything runs; the figures mean nothing", file=sys.stderr)
    bench = Bench(options)
    table = bench.run()
    options.out.write_text(json.dumps(bench.machine.facts | {"rows": table.rows}, indent=2) + "\n")
    pictures.write(bench.machine.facts, table.rows, options.out.parent, options.out.stem)
    print(bench.machine.text)
    print(table.text())
    return table.code


if __name__ == "__main__":
    sys.exit(main())
