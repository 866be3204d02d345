#!/usr/bin/env python3
"""Repeats a finished run in plaintext PyTorch and compares the weights with those that masked training gave.

Reads RUN/initial.safetensors, RUN/plan.h5, RUN/job.resolved.yaml and the job's data file; uses none of the project's code.
Prints the relative difference max|a-b| / max|b| of every tensor (a: masked run, b: replay). Exit 0 when the largest is at most the
tolerance (of the float64 replay, where the float32 one misses that by more than the tolerance), 7 when it is not, 2 when there is nothing to compare or the run cannot be repeated (masking.noise). Every file is read and every step repeated with numpy, h5py, PyTorch and,
for transformers, the classes of the `transformers` package.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

import finished
from repetition import Repetition


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run directories, as `encryptor run --out` makes them")
    parser.add_argument("--float64", action="store_true", help="replay in double precision")
    parser.add_argument("--rounding", action="store_true", help="also compare PyTorch's float32 replay with its float64 replay")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--steps", type=int, help="a run of fewer steps than this fails")
    parser.add_argument("--threads", type=int, help="PyTorch threads")
    parser.add_argument("--json", action="store_true", help="one JSON object a run instead of tables")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    # Masked runs round differently from this one, step by step; nothing else may differ.
    torch.use_deterministic_algorithms(True)
    codes = []
    if len(options.runs) > 1 and not options.json:
        print(f"{'run':<44} {'weights':<10} {'losses':<10} bar {options.tolerance:.0e}")
    for run in options.runs:
        try:
            report = replay(run, options)
        except finished.Noised as error:
            print(f"{run}: {error}", file=sys.stderr)
            codes.append(2)
            continue
        except finished.Unlike as error:
            report = {"run": str(run), "passed": False, "problem": str(error)}
        codes.append(2 if report is None else 0 if report["passed"] else 7)
        if report is None:
            print(f"{run}: there are no weights in model/: the run is not finished", file=sys.stderr)
        elif options.json:
            print(json.dumps(report), flush=True)
        else:
            print(line(report) if len(options.runs) > 1 else table(report), flush=True)
    return max(codes)


def replay(run, options):
    """The comparison of one run; None when it is not finished."""
    found = finished.weights(run / "model")
    if found is None:
        return None
    element = torch.float64 if options.float64 else torch.float32
    plaintext = Repetition(run, element)
    if len(plaintext.batches) < (options.steps or 0):
        raise finished.Unlike(f"{len(plaintext.batches)} steps, fewer than {options.steps}")
    epochs = plaintext.train()
    epoch, remark = plaintext.choose(epochs, finished.kept_epoch(run))
    report = compare(found, epochs[epoch]["weights"])
    report.update(
        run=str(run), epoch=epoch, metric=epochs[epoch]["metric"], metric_name=epochs[epoch]["name"],
        float64=options.float64, tolerance=options.tolerance, largest_loss_difference=plaintext.loss_difference(), remark=remark,
        steps=len(plaintext.batches))
    report["passed"] = report["largest"] <= options.tolerance
    if plaintext.precision == "bfloat16":
        # Another arithmetic than this one's: how far it has come is said, and is no failure.
        report["passed"] = bool(np.isfinite(report["largest"]))
        report["remark"] = "; ".join(filter(None, ["a bfloat16 run against float32 PyTorch: a distance, not a check", report["remark"]]))
        return report
    if options.rounding or not report["passed"]:
        # What rounding alone does to these weights in PyTorch: says whether a difference can mean anything at all.
        other = Repetition(run, torch.float32 if options.float64 else torch.float64).train()[epoch]["weights"]
        report["rounding"] = compare(epochs[epoch]["weights"], other)
        # Where PyTorch's own float32 misses its float64 by more than the bar, it cannot judge, and float64 does. AdamW, for one, makes whole
        # steps of the rounding noise in the gradient of BERT's key biases, which is 0.
        if not options.float64 and report["rounding"]["largest"] > options.tolerance:
            report["against_float64"] = compare(found, other)
            report["passed"] = report["against_float64"]["largest"] <= options.tolerance
    return report


def compare(found, expected):
    """The relative difference of every tensor, by name; both must hold the same."""
    if sorted(found) != sorted(expected):
        extra, lacking = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
        raise finished.Unlike(f"model/ lacks {lacking} and has beside {extra}")
    differences = {}
    for name, wanted in expected.items():
        if found[name].shape != wanted.shape:
            raise finished.Unlike(f"{name} has shape {tuple(found[name].shape)}, not {tuple(wanted.shape)}")
        wanted = wanted.double()
        # Of a tensor that is all zeros, only zeros are near.
        differences[name] = float((found[name].double() - wanted).abs().max() / wanted.abs().max().clamp(min=1e-30))
    # Not max(): a NaN must fail the check.
    return {"tensors": differences, "largest": float(np.max(list(differences.values())))}


def rounding_text(report):
    if "rounding" not in report:
        return None
    worst = max(report["rounding"]["tensors"], key=report["rounding"]["tensors"].get)
    text = f"PyTorch float32 against PyTorch float64: {report['rounding']['largest']:.2e} ({worst})"
    return text + (f"; the run against float64: {report['against_float64']['largest']:.2e}" if "against_float64" in report else "")


def line(report):
    name = Path(report["run"]).name
    if "problem" in report:
        return f"{name:<44} {'':<21} FAIL  {report['problem']}"
    losses = report["largest_loss_difference"]
    losses = "" if losses is None else f"{losses:.2e}"
    remarks = "; ".join(filter(None, [report["remark"], rounding_text(report)]))
    return f"{name:<44} {report['largest']:<10.2e} {losses:<10} {'pass' if report['passed'] else 'FAIL'}  {remarks}".rstrip()


def table(report):
    if "problem" in report:
        return report["problem"]
    width = max(map(len, report["tensors"])) + 2
    lines = [f"{name:<{width}} {difference:.2e}" for name, difference in report["tensors"].items()]
    verdict = "pass" if report["passed"] else "FAIL"
    lines.append(f"{'largest':<{width}} {report['largest']:.2e}   (bar {report['tolerance']:.0e}: {verdict}; {report['steps']} steps)")
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
