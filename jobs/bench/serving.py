#!/usr/bin/env python3
"""Latency of deployed models: masked beside `strength: none`, at the same host, in turns of one run; and training beside questions.

latency: clients that ask one question at a time, a row of a perceptron (256 columns, 512 and 128 hidden units) or a sample of 128 tokens of the
MiniLM encoder, timed from the masking of the question to its unmasked answer. beside: rows trained and questions answered a second, each alone
and both at work, over one window each. Example: serving.py latency --clients 1 8
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

from deployed import (
    MINILM, MLP, MeasuredTrainer, deploy, make_clients, train_minilm, train_mlp, write_rows, write_tokens)
from local import BINARIES, ROOT, STATE, environment, fresh, make_keys, owner_command
from table import Table

# Questions of each client in a turn, by model and clients: turns of about a second.
QUESTIONS = {"MLP": {1: 3000, 8: 500, 64: 60}, "MiniLM": {1: 60, 8: 15, 64: 4}}


class Serving:
    def __init__(self, options):
        self.options, self.table = options, Table()
        self.folder = fresh(STATE / "serving")
        make_keys(self.folder)
        self.names = make_clients(self.folder / "clients", max(*options.clients, 8))
        write_rows(self.folder / "rows.h5", 2048, 256, seed=1)
        write_tokens(self.folder / "tokens.h5", 64)
        self.data = {"MLP": self.folder / "rows.h5", "MiniLM": self.folder / "tokens.h5"}

    def run(self):
        with MeasuredTrainer(self.folder, self.folder / "store") as trainer:
            runs = {"MLP": train_mlp(self.folder, trainer.endpoint, self.data["MLP"])}
            if (ROOT / ".cache/minilm/model.safetensors").exists():
                runs["MiniLM"] = train_minilm(self.folder, trainer.endpoint, self.data["MiniLM"])
            for model, run in runs.items():
                for strength in ("rotation", "none"):
                    deploy(run, self.folder, trainer.endpoint, self.deployment(model, strength), self.names, ["--strength", strength])
                for part in self.options.parts:
                    {"latency": self.latency, "beside": self.beside}[part](model, trainer)
        return self.table

    def deployment(self, model, strength):
        return self.folder / f"{model}-{strength}"

    def command(self, model, deployments, clients, questions, rounds):
        return [str(part) for part in [
            BINARIES / "benchmarks", "questions", *deployments, "--keys", self.folder / "clients", "--data", self.data[model], "--clients",
            clients, "--questions", questions, "--rounds", rounds]]

    def latency(self, model, trainer):
        masked, plain = (self.deployment(model, strength) for strength in ("rotation", "none"))
        for clients in self.options.clients:
            questions = QUESTIONS[model].get(clients, max(3, QUESTIONS[model][1] // clients))
            turns = json.loads(subprocess.run(
                self.command(model, [masked, plain], clients, questions, self.options.rounds), check=True, capture_output=True, text=True,
                env=environment()).stdout)
            for what, key in (("p50", "medianMilliseconds"), ("p95", "slowMilliseconds")):
                values = {
                    deployment.name: [turn[key] for turn in turns if turn["deployment"] == str(deployment)] for deployment in (masked, plain)}
                pairs = list(zip(values[masked.name], values[plain.name]))
                ratios = sorted(a / b for a, b in pairs)
                ratio = statistics.median(ratios)
                bar = what == "p95" and clients <= 8
                self.table.add(
                    f"{model}, {clients} client{'s' if clients > 1 else ''}, {what}: masked, none; ratio",
                    f"{statistics.median(a for a, _ in pairs):.2f}, {statistics.median(b for _, b in pairs):.2f} ms; {ratio:.2f} "
                    f"({ratios[0]:.2f}–{ratios[-1]:.2f})",
                    "≤ 1.10" if bar else "", ratio <= 1.10 if bar else None, "jobs/bench/serving.py latency", ratios=ratios,
                    questions=questions * clients, milliseconds=values)

    def beside(self, model, trainer):
        """Rates from the trainer's own counters."""
        training = self.train(model, trainer)
        try:
            self.await_growth(trainer, "trainer_rows_total")
            alone = self.rates(trainer)
            asking = self.ask(model)
            self.await_growth(trainer, "trainer_deployment_questions_total")
            both = self.rates(trainer)
        finally:
            training.terminate()
            training.wait()
        try:
            # Until the trainer has put the job aside.
            time.sleep(3)
            asked = self.rates(trainer)
        finally:
            asking.terminate()
            asking.wait()
        for what, together, single in (
            ("rows trained a second", both[0], alone[0]), ("questions a second", both[1], asked[1])):
            share = together / single if single else float("nan")
            self.table.add(
                f"{model}, {what} of training beside 8 clients: alone, both; share", f"{single:,.0f}, {together:,.0f}; {share:.2f}", "≥ 0.33",
                share >= 1 / 3, "jobs/bench/serving.py beside", alone=single, both=together)

    def train(self, model, trainer):
        """A job without end."""
        job = self.folder / f"{model}-endless.yaml"
        if model == "MLP":
            job.write_text(MLP.format(file=self.data[model], epochs=1000, standardize="false"))
        else:
            job.write_text(MINILM.format(file=self.data[model], model=ROOT / ".cache/minilm", train="all", epochs=1000))
        log = open(self.folder / f"{model}-endless.log", "wb")
        return subprocess.Popen(
            owner_command(job, self.folder / f"{model}-endless", self.folder, trainer.endpoint), stdout=log, stderr=log, env=environment())

    def ask(self, model):
        command = self.command(model, [self.deployment(model, "rotation")], 8, 1000, 1000)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(self.folder / f"{model}-asking.log", "wb"), env=environment())

    def await_growth(self, trainer, name):
        start, end = trainer.metrics().get(name, 0), time.monotonic() + 60
        while trainer.metrics().get(name, 0) <= start:
            if time.monotonic() > end:
                raise RuntimeError(f"{name} does not grow; see {self.folder}")
            time.sleep(0.2)
        time.sleep(2)

    def rates(self, trainer):
        """Rows trained and questions answered a second."""
        names = ("trainer_rows_total", "trainer_deployment_questions_total")
        before, start = trainer.metrics(), time.monotonic()
        time.sleep(self.options.seconds)
        after, seconds = trainer.metrics(), time.monotonic() - start
        return [(after.get(name, 0) - before.get(name, 0)) / seconds for name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("parts", nargs="*", default=["latency", "beside"], help="latency, beside (both)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=7, help="turns of each deployment; the median counts")
    parser.add_argument("--seconds", type=int, default=15, help="of each window of `beside`")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = Serving(options).run()
    print(json.dumps(table.rows, indent=2) if options.json else table.text())
    return 0 if all(row["passed"] is not False for row in table.rows) else 7


if __name__ == "__main__":
    sys.exit(main())
