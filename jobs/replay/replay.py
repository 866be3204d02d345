#!/usr/bin/env python3
"""Repeats a finished run in plaintext PyTorch and compares the weights with those that masked training gave.

Reads RUN/initial.safetensors, RUN/plan.h5, RUN/job.resolved.yaml and the job's data file; uses none of the project's code.
Prints the relative difference max|a-b| / max|b| of every tensor (a: masked run, b: replay). Exit 0 when the largest is at most the
tolerance, 7 when it is not, 2 when there is nothing to compare.
"""

import argparse
import json
import sys
from pathlib import Path

import h5py
import numpy as np
import torch
import yaml
from safetensors.torch import load_file

import datafile
import training


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run directories, as `encryptor run --out` makes them")
    parser.add_argument("--float64", action="store_true", help="replay in double precision")
    parser.add_argument("--rounding", action="store_true", help="also compare PyTorch's float32 replay with its float64 replay")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--threads", type=int, help="PyTorch threads")
    parser.add_argument("--json", action="store_true", help="one JSON object a run instead of tables")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    # Masked runs round differently from this one, step by step; nothing else may differ.
    torch.use_deterministic_algorithms(True)
    codes = []
    if len(options.runs) > 1 and not options.json:
        print(f"{'run':<44} {'difference':<12} bar {options.tolerance:.0e}")
    for run in options.runs:
        report = replay(run, options)
        codes.append(2 if report is None else 0 if report["passed"] else 7)
        if report is None:
            print(f"{run}: model/model.safetensors does not exist: the run is not finished", file=sys.stderr)
        elif options.json:
            print(json.dumps(report), flush=True)
        elif len(options.runs) > 1:
            verdict = "pass" if report["passed"] else "FAIL"
            remarks = [report["remark"], rounding_text(report)]
            print(f"{run.name:<44} {report['largest']:<12.2e} {verdict}  {'; '.join(filter(None, remarks))}".rstrip(), flush=True)
        else:
            print(table(report))
    return max(codes)


def replay(run, options):
    """The comparison of one run; None when it is not finished."""
    finished = run / "model" / "model.safetensors"
    if not finished.exists():
        return None
    plaintext = Replay(run, torch.float64 if options.float64 else torch.float32)
    epochs = plaintext.train()
    epoch, remark = plaintext.choose(epochs, kept_epoch(run))
    report = compare(load_file(finished), plaintext.names, epochs[epoch]["weights"])
    report.update(
        run=str(run), epoch=epoch, metric=epochs[epoch]["metric"], metric_name=epochs[epoch]["name"],
        float64=options.float64, tolerance=options.tolerance, largest_loss_difference=plaintext.loss_difference(), remark=remark)
    report["passed"] = report["largest"] <= options.tolerance
    if options.rounding or not report["passed"]:
        # What rounding alone does to these weights in PyTorch: says whether a difference can mean anything at all.
        other = Replay(run, torch.float32 if options.float64 else torch.float64)
        report["rounding"] = compare(dict(zip(other.names, epochs[epoch]["weights"])), other.names, other.train()[epoch]["weights"])["largest"]
    return report


class Replay:
    def __init__(self, run, element):
        self.run, self.element = run, element
        self.job = yaml.safe_load((run / "job.resolved.yaml").read_text())
        with h5py.File(run / "plan.h5") as plan:
            self.batches = plan["batches"][()]
            self.training, self.validation = plan["split/train"][()], plan["split/validation"][()]
        task, data = self.job["task"], self.job["data"]
        with h5py.File(data["file"]) as file:
            rows = datafile.features(file, data["features"])
            if task == "classification":
                labels, _ = datafile.classes(file, data["labels"])
                self.labels = torch.from_numpy(labels)
            else:
                self.labels = torch.from_numpy(datafile.values(file, data["labels"])).to(element)
        if data.get("standardize"):
            rows = datafile.standardized(rows, self.training)
        self.rows = torch.from_numpy(rows)
        initial = load_file(run / "initial.safetensors")
        layers = len(initial) // 2
        self.names = [f"layers.{layer}.{kind}" for layer in range(layers) for kind in ("weight", "bias")]
        self.parameters = [initial[name].to(element).requires_grad_() for name in self.names]
        self.activation = self.job["model"]["mlp"]["activation"]
        self.losses = []

    def outputs(self, rows):
        return training.forward(self.parameters, self.activation, self.rows[rows].to(self.element))

    def train(self):
        """Every step of the plan; weights and validation metric after each epoch that may be asked for."""
        steps, epochs = len(self.batches), self.job["train"]["epochs"]
        steps_per_epoch = steps // epochs
        optimizer = training.optimizer(self.job["optimizer"], self.parameters)
        ends = []
        for step, batch in enumerate(self.batches):
            rows = torch.from_numpy(batch[batch >= 0])
            for parameter in self.parameters:
                parameter.grad = None
            loss = training.loss(self.job["task"], self.outputs(rows), self.labels[rows])
            loss.backward()
            self.losses.append(float(loss.detach()))
            training.clip(self.parameters, self.job["optimizer"].get("clip_norm"))
            optimizer.step(training.learning_rate(self.job, step, steps))
            if (step + 1) % steps_per_epoch == 0:
                ends.append(self.end_of_epoch())
        return ends

    @torch.no_grad()
    def end_of_epoch(self):
        name, value, higher = None, None, True
        if len(self.validation):
            outputs = torch.cat(
                [self.outputs(torch.from_numpy(part)) for part in np.array_split(self.validation, -(-len(self.validation) // 4096))])
            name, value, higher = training.metric(self.job["task"], outputs, self.labels[torch.from_numpy(self.validation)])
        return {
            "name": name, "metric": value, "higher": higher,
            "weights": [parameter.detach().clone() for parameter in self.parameters],
        }

    def choose(self, epochs, kept):
        """The epoch whose weights count, and a remark where rounding alone made this differ from what the run kept."""
        if self.job["train"]["keep"] == "last":
            return len(epochs) - 1, None
        best = 0
        for index, epoch in enumerate(epochs):
            better = epoch["metric"] > epochs[best]["metric"] if epoch["higher"] else epoch["metric"] < epochs[best]["metric"]
            if better:
                best = index
        if kept is None or kept == best or kept >= len(epochs):
            return best, None
        # Near ties turn on the last digit: two pairs of a ranking exchanged, or one row at the boundary of two classes.
        gap = abs(epochs[kept]["metric"] - epochs[best]["metric"])
        allowed = 1.5 / len(self.validation) if self.job["task"] == "classification" else 1e-4 * abs(epochs[best]["metric"])
        if gap <= allowed:
            return kept, f"the run kept epoch {kept}, best here is {best} by {gap:.2g}: a tie within rounding"
        return best, f"the run kept epoch {kept}, best here is {best} by {gap:.2g}"

    def loss_difference(self):
        """The largest relative difference between the run's recorded losses and these."""
        recorded = [
            line["loss"] for line in map(json.loads, (self.run / "history.jsonl").read_text().splitlines()) if line["kind"] == "step"]
        if len(recorded) != len(self.losses):
            return None
        scale = max(map(abs, self.losses))
        return max(abs(a - b) for a, b in zip(recorded, self.losses)) / scale


def kept_epoch(run):
    """The last epoch that history.jsonl marks as kept."""
    kept = None
    for line in (run / "history.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] == "evaluation" and entry.get("kept"):
            kept = entry["epoch"]
    return kept


def compare(found, names, expected):
    if sorted(found) != sorted(names):
        raise SystemExit(f"model.safetensors holds {sorted(found)}, not {sorted(names)}")
    differences = {}
    for name, wanted in zip(names, expected):
        if found[name].shape != wanted.shape:
            raise SystemExit(f"{name} has shape {tuple(found[name].shape)}, not {tuple(wanted.shape)}")
        wanted = wanted.double()
        differences[name] = float((found[name].double() - wanted).abs().max() / wanted.abs().max())
    # Not max(): a NaN must fail the check.
    return {"tensors": differences, "largest": float(np.max(list(differences.values())))}


def rounding_text(report):
    return f"PyTorch float32 against PyTorch float64: {report['rounding']:.2e}" if "rounding" in report else None


def table(report):
    lines = [f"{name:<24} {difference:.2e}" for name, difference in report["tensors"].items()]
    lines.append(f"{'largest':<24} {report['largest']:.2e}   (bar {report['tolerance']:.0e}: {'pass' if report['passed'] else 'FAIL'})")
    if report["metric"] is not None:
        lines.append(f"plaintext {report['metric_name']} after epoch {report['epoch']}: {report['metric']:.4f}")
    if report["largest_loss_difference"] is not None:
        lines.append(f"losses of the history, largest relative difference: {report['largest_loss_difference']:.2e}")
    if "rounding" in report:
        lines.append(rounding_text(report))
    if report["remark"]:
        lines.append(report["remark"])
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
