#!/usr/bin/env python3
"""Repeats a finished federation in plaintext PyTorch, all sites in one process, and compares the model with the one that every site holds.

Reads the run directories of all sites (charter.resolved.yaml, job.resolved.yaml, plan.h5, initial.safetensors, history.jsonl) and their data
files, and of a private federation also every site's secret and ledger (state/); uses none of the project's code. Who took part in each round is taken from history.jsonl. Exit 0 when the largest relative difference
max|a-b| / max|b| of a tensor is at most the tolerance, 7 when it is not, 2 when there is nothing to compare.
"""

import argparse
import json
import sys
from pathlib import Path

import h5py
import numpy as np
import torch
import yaml

import datafile
import finished
import objectives
import optimizers
from noise import ProviderNoise, SiteNoise
from perceptron import Perceptron
from replay import compare


class Site:
    """One site's rows under the charter, and its local work."""

    def __init__(self, run, charter, element):
        self.run, self.charter, self.class_weights = run, charter, None
        self.job = yaml.safe_load((run / "job.resolved.yaml").read_text())
        with h5py.File(run / "plan.h5") as plan:
            self.batches, self.rounds = plan["batches"][()], plan["rounds"][()]
            self.training, self.validation = plan["split/train"][()], plan["split/validation"][()]
        if "mlp" in self.job["model"]:
            self.model = Perceptron(run, self.job, self.training, element)
            with h5py.File(self.job["data"]["file"]) as file:
                self.table = self.aligned(file)
                if charter["task"] == "classification":
                    self.model.labels = torch.from_numpy(self.classes(file))
        else:
            from transformer import Transformer

            self.model = Transformer(run, self.job, self.training, element)
            self.table = None
        self.privacy = charter["federation"].get("privacy")
        if self.privacy:
            if self.table is None:
                raise finished.Unlike("the noise of a private federation is repeated for perceptrons only")
            provider = run / "state" / "provider" / "jobs.json"
            masking = json.loads(provider.read_text())["masking"] if self.privacy["unit"] == "record" and provider.exists() else None
            if masking and masking["strength"] != "none":
                raise finished.Unlike(f"{run.name} trained at a provider, which drew the noise on what it had masked: that cannot be repeated without its masks")
            # Columns of padding of the layer that reads the rows have noise too, which is drawn with the others'.
            self.padding = masking["padding"] if masking else 0 if charter["federation"]["masking"]["strength"] == "none" else 1
            self.noise = (ProviderNoise if masking else SiteNoise)(run)

    def aligned(self, file):
        """The columns of the charter in its order, in the file's own numbers."""
        table = datafile.features(file, self.job["data"]["features"]).astype(np.float64)
        wanted = columns(self.charter["data"])
        if not wanted:
            return table
        found = names(file, self.job["data"]["features"])
        return table[:, [found.index(name) for name in wanted]]

    def classes(self, file):
        ids, _ = datafile.classes(file, self.job["data"]["labels"])
        own = class_names(file, self.job["data"]["labels"])
        if own is None:
            wanted = self.charter["data"]["classes"]
            if not all(str(name).lstrip("+-").isdigit() for name in wanted):
                return ids
            place = {int(name): index for index, name in enumerate(wanted)}
            return np.array([place[label] for label in ids.tolist()])
        place = {name: index for index, name in enumerate(self.charter["data"]["classes"])}
        return np.array([place[own[index]] for index in ids])

    def standardize(self, statistics):
        mean, deviation = statistics
        self.model.rows = torch.from_numpy(((self.table - mean) / deviation).astype(np.float32))

    def load(self, weights):
        with torch.no_grad():
            for parameter, value in zip(self.model.trained, weights):
                parameter.copy_(value)

    def update(self, number, weights, correction):
        """Local steps of a round, and the sum of their learning rates."""
        self.load(weights)
        settings, trained = self.job["optimizer"], self.model.trained
        optimizer = optimizers.optimizer(settings, trained, self.model.joined)
        first, last = self.rounds[number]
        total, rates = int(self.rounds[-1][1]), 0.0
        for step in range(first, last):
            for parameter in trained:
                parameter.grad = None
            batch = self.batches[step]
            rows = torch.from_numpy(batch[batch >= 0])
            if self.privacy and self.privacy["unit"] == "record":
                self.private_backward(rows, number, step)
            else:
                self.backward(rows)
            with torch.no_grad():
                for index, parameter in enumerate(trained):
                    correction(index, parameter)
            limit = settings.get("clip_norm")
            optimizers.clip(trained, None if limit == "none" else limit)
            rate = optimizers.learning_rate(self.job, step, total)
            rates += rate
            optimizer.step(rate)
        return [parameter.detach().clone() for parameter in trained], rates

    def backward(self, rows):
        task = self.job["task"]
        count = objectives.count(task, self.model.targets(rows))
        parts = rows.split(self.job["train"]["batch"]) if task == "survival" else self.model.parts(rows)
        for part in parts:
            outputs = torch.cat([self.model.outputs(some) for some in self.model.parts(part)])
            (objectives.loss_sum(task, outputs, self.model.targets(part), self.class_weights) / count).backward()

    def private_backward(self, rows, number, step):
        """Gradients row by row, each clipped, and the noise of the step (Abadi et al., 2016, algorithm 1)."""
        trained, terms = self.model.trained, self.noise.terms
        sums = [torch.zeros_like(parameter) for parameter in trained]
        for row in rows.split(1):
            self.backward(row)
            norm = float(torch.sqrt(sum(parameter.grad.double().square().sum() for parameter in trained)))
            for sum_, parameter in zip(sums, trained):
                sum_.add_(parameter.grad, alpha=min(1.0, terms["clip_norm"] / max(norm, 1e-300)))
                parameter.grad = None
        first = self.rounds[number][0]
        drawn = self.drawn(lambda parameter, count: self.noise.of_step(number, step, int(first), parameter, count))
        batch, deviation = self.charter["train"]["batch"], terms["noise_multiplier"] * terms["clip_norm"]
        for sum_, noise, parameter in zip(sums, drawn, trained):
            parameter.grad = (sum_ + (deviation * noise).to(sum_.dtype)) / batch

    def drawn(self, numbers):
        """Noise for the model's tensors. The layer that reads the rows has weight, bias and a column of padding in one matrix."""
        weight, *rest = self.model.trained[0], *self.model.trained[2:]
        outputs, inputs = weight.shape
        first = torch.from_numpy(numbers(0, outputs * (inputs + 1 + self.padding)).reshape(outputs, -1))
        others = [torch.from_numpy(numbers(place, tensor.numel())).reshape(tensor.shape) for place, tensor in enumerate(rest, 1)]
        return [first[:, :inputs], first[:, inputs], *others]

    def sent(self, number, difference):
        """What of an update goes into the sum: under privacy of sites clipped as a whole, and this site's share of the noise on top."""
        if not self.privacy or self.privacy["unit"] != "site":
            return [delta.double() for delta in difference]
        terms = self.noise.terms
        norm = float(torch.sqrt(sum(delta.double().square().sum() for delta in difference)))
        sites = self.charter["federation"]["participation"]["minimum"] - self.privacy["colluders"]
        deviation = terms["noise_multiplier"] * terms["clip_norm"] / np.sqrt(sites)
        drawn = self.drawn(lambda parameter, count: self.noise.of_update(number, parameter, count))
        scale = min(1.0, terms["clip_norm"] / max(norm, 1e-300))
        return [scale * delta.double() + deviation * noise for delta, noise in zip(difference, drawn)]

    @torch.no_grad()
    def scores(self):
        if not len(self.validation):
            return None
        rows = torch.from_numpy(self.validation)
        outputs = torch.cat([self.model.outputs(part) for part in self.model.parts(rows)])
        return outputs, self.model.targets(rows)


def columns(data):
    """The charter's columns in the model's order, written in it or one a line in a file; None where it names none."""
    if "columns_file" in data:
        lines = (line.strip() for line in Path(data["columns_file"]).read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line]
    return data.get("columns")


def names(file, path):
    """Names of columns: an AnnData file's, or a data set `columns` beside the features."""
    if "var" in file:
        node = file["var"]
        if isinstance(node, h5py.Group):
            values = node[node.attrs.get("_index", "_index")][()]
        else:
            field = next(name for name in node.dtype.names if name in ("index", "_index"))
            values = node[()][field]
    else:
        parent = path.rpartition("/")[0]
        values = file[f"{parent}/columns" if parent else "columns"][()]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def class_names(file, path):
    where, field = datafile.split_field(path)
    node = file[where]
    if isinstance(node, h5py.Group) and field is not None:
        node = node[field]
    if isinstance(node, h5py.Group):
        values = node["categories"][()]
    else:
        codes = np.asarray(datafile.column(file, path)).reshape(-1)
        if codes.dtype.kind in "SOU":
            values = sorted({code if isinstance(code, bytes) else code.encode() for code in codes.tolist()})
        elif field is not None and f"uns/{field}_categories" in file:
            values = file[f"uns/{field}_categories"][()]
        else:
            return None
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def statistics(sites):
    """Mean and population deviation of every column over the training rows of all sites."""
    rows = np.concatenate([site.table[site.training] for site in sites])
    deviation = rows.std(0)
    deviation[deviation == 0] = 1
    return rows.mean(0), deviation


def balanced_weights(sites, classes, element):
    """N / (C N_c), N_c of all N training rows of the sites being of class c; 0 for a class without rows."""
    rows = torch.cat([site.model.targets(torch.from_numpy(site.training)) for site in sites])
    counts = torch.bincount(rows, minlength=classes).double()
    return torch.where(counts > 0, len(rows) / (classes * counts), 0.0).to(element)


class Server:
    """The aggregator's rule on the mean update, in float64 (federation.md, "A round, exactly")."""

    def __init__(self, strategy, weights):
        self.strategy, self.name = strategy, strategy["name"]
        zeros = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights]
        self.m = zeros
        tau = strategy.get("tau", 0.0)
        self.v = [torch.full_like(zero, tau * tau) for zero in zeros]

    def step(self, weights, mean):
        rate = self.strategy["server_lr"]
        if self.name in ("fedavg", "fedprox", "scaffold"):
            change = [rate * delta for delta in mean]
        elif self.name == "fedavgm":
            self.m = [self.strategy["momentum"] * m + delta for m, delta in zip(self.m, mean)]
            change = [rate * m for m in self.m]
        else:
            beta1, beta2 = self.strategy["betas"] if "betas" in self.strategy else (self.strategy.get("momentum", 0.0), 0.0)
            tau = self.strategy["tau"]
            self.m = [beta1 * m + (1 - beta1) * delta for m, delta in zip(self.m, mean)]
            squares = [delta * delta for delta in mean]
            if self.name == "fedadagrad":
                self.v = [v + square for v, square in zip(self.v, squares)]
            elif self.name == "fedadam":
                self.v = [beta2 * v + (1 - beta2) * square for v, square in zip(self.v, squares)]
            else:
                self.v = [v - (1 - beta2) * square * torch.sign(v - square) for v, square in zip(self.v, squares)]
            change = [rate * m / (v.sqrt() + tau) for m, v in zip(self.m, self.v)]
        return [(weight.double() + delta).to(weight.dtype) for weight, delta in zip(weights, change)]


def replay(runs, element):
    """The sites, the federation's models after each round, and the rounds that the result has had."""
    charter = yaml.safe_load((runs[0] / "charter.resolved.yaml").read_text())
    order = [site["name"] for site in charter["sites"]]
    by_name = {json.loads((run / "state" / "site.json").read_text())["site"]: run for run in runs}
    missing = [name for name in order if name not in by_name]
    if missing:
        raise finished.Unlike(f"the run directories of {', '.join(missing)} are missing")
    sites = {name: Site(by_name[name], charter, element) for name in order}
    mode = charter["data"].get("standardize", "none")
    if next(iter(sites.values())).table is not None:
        for site in sites.values():
            if mode == "pooled":
                site.standardize(statistics(list(sites.values())))
            elif mode == "site":
                site.standardize(statistics([site]))
            else:
                site.standardize((0.0, 1.0))
    if charter["federation"].get("class_weights") == "balanced":
        weights = balanced_weights(list(sites.values()), len(charter["data"]["classes"]), element)
        for site in sites.values():
            site.class_weights = weights
    history = [json.loads(line) for line in (runs[0] / "history.jsonl").read_text().splitlines()]
    updates = [record for record in history if record["purpose"].startswith("update ")]
    strategy = charter["federation"]["strategy"]
    weights = [parameter.detach().clone() for parameter in sites[order[0]].model.trained]
    server = Server(strategy, weights)
    zeros = [torch.zeros_like(weight) for weight in weights]
    controls = {name: zeros for name in order}
    shared = zeros
    models = [weights]
    for record in updates:
        number = int(record["purpose"].split()[1])
        total, mean, changes = 0.0, [torch.zeros_like(weight, dtype=torch.float64) for weight in weights], []
        for name in (name for name in order if name in record["survivors"]):
            site = sites[name]

            def correction(index, parameter):
                if strategy["name"] == "fedprox":
                    parameter.grad.add_(strategy["mu"] * (parameter - weights[index]))
                elif strategy["name"] == "scaffold":
                    parameter.grad.add_(shared[index] - controls[name][index])

            after, rates = site.update(number, weights, correction)
            weight = len(site.training) if strategy["weighting"] == "rows" else 1
            total += weight
            difference = [new - old for new, old in zip(after, weights)]
            mean = [sum + weight * delta for sum, delta in zip(mean, site.sent(number, difference))]
            if strategy["name"] == "scaffold":
                change = [-delta / rates - c for delta, c in zip(difference, shared)]
                controls[name] = [own + delta for own, delta in zip(controls[name], change)]
                changes.append(change)
        if strategy["name"] == "scaffold":
            shared = [c + sum(change[index] for change in changes) / len(order) for index, c in enumerate(shared)]
        weights = server.step(weights, [delta / total for delta in mean])
        models.append(weights)
    rounds = json.loads((runs[0] / "summary.json").read_text())["rounds"]
    return sites, order, models, rounds


def pooled_metric(sites, order):
    """The metric, over the validation rows of all sites together, of the model that they have loaded."""
    scores = [score for score in (sites[name].scores() for name in order) if score]
    if not scores:
        return None
    outputs, targets = (torch.cat(parts) for parts in zip(*scores))
    name, value, _ = objectives.metric(sites[order[0]].job["task"], outputs, targets)
    return name, float(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="the run directories of all sites, or one directory that holds them")
    parser.add_argument("--float64", action="store_true", help="replay in double precision")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = options.runs
    if len(runs) == 1 and not (runs[0] / "plan.h5").exists():
        runs = sorted(path.parent for path in runs[0].glob("*/plan.h5"))
    if not runs:
        print("no run directory of a site there", file=sys.stderr)
        return 2
    torch.use_deterministic_algorithms(True)
    element = torch.float64 if options.float64 else torch.float32
    try:
        sites, order, models, rounds = replay(runs, element)
        worst = 0.0
        for name in order:
            site = sites[name]
            found = finished.weights(site.run / "model")
            if found is None:
                print(f"{site.run}: there are no weights in model/", file=sys.stderr)
                return 2
            site.load(models[rounds])
            report = compare(found, site.model.weights())
            worst = float(np.max([worst, report["largest"]]))
    except finished.Unlike as error:
        print(error, file=sys.stderr)
        return 2
    metric = pooled_metric(sites, order)
    own = None
    if metric and all(hasattr(site.model, "take") for site in sites.values()):
        for site in sites.values():
            site.model.take(finished.weights(site.run / "model"))
        own = pooled_metric(sites, order)[1]
    # Another arithmetic than this one's: how far it has come is said, and is no failure.
    is_narrow = any(site.job["train"].get("precision") == "bfloat16" for site in sites.values())
    passed = worst <= options.tolerance or is_narrow and bool(np.isfinite(worst))
    if options.json:
        print(json.dumps({"largest": worst, "passed": passed, "rounds": rounds, "metric": metric, "own_metric": own, "sites": len(order)}))
    else:
        print(f"{len(order)} sites, {len(models) - 1} rounds, the model after {rounds}: largest relative difference {worst:.2e} "
              + ("(sites in bfloat16 against float32 PyTorch: a distance, not a check)" if is_narrow else
                 f"(bar {options.tolerance:.0e}: {'pass' if passed else 'FAIL'})"))
        if metric:
            print(f"{metric[0]} over the validation rows of all sites together: {metric[1]:.4f}"
                  + (f"; of the run's own model: {own:.4f}" if own is not None else ""))
    return 0 if passed else 7


if __name__ == "__main__":
    sys.exit(main())
