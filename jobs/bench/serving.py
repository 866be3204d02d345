#!/usr/bin/env python3
"""Latency of deployed models: masked beside `strength: none`, at the same host, in turns of one run; and training beside questions.

latency: clients that ask one question at a time, a row of a perceptron (256 columns, 512 and 128 hidden units) or a sample of 128 tokens of the
MiniLM encoder, timed from the masking of the question to its unmasked answer. beside: rows trained (--loss: where) and questions
answered a second, each alone and both at work. Example: serving.py latency --clients 1 8
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

from deployed import (
    MINILM, MLP, MeasuredTrainer, deploy, encryptor, make_clients, train_minilm, train_mlp, write_rows, write_tokens)
from local import BINARIES, ROOT, STATE, environment, fresh, make_keys, owner_command
from table import Table

# Questions of each client in a turn, by model and clients, and turns: many short ones, because neighbours come and go within seconds.
QUESTIONS = {"MLP": {1: 400, 8: 80, 64: 20}, "MiniLM": {1: 20, 8: 5, 64: 2}}
ROUNDS = {"MLP": 101, "MiniLM": 41}


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
                if model not in self.options.models:
                    continue
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
            rounds = self.options.rounds or ROUNDS[model]
            questions = QUESTIONS[model].get(clients, max(3, QUESTIONS[model][1] // clients))
            turns = json.loads(subprocess.run(
                self.command(model, [masked, plain], clients, questions, rounds), check=True, capture_output=True, text=True,
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
                    f"({ratios[len(ratios) // 4]:.2f}–{ratios[3 * len(ratios) // 4]:.2f})",
                    "≤ 1.10" if bar else "", ratio <= 1.10 if bar else None, "jobs/bench/serving.py latency", ratios=ratios,
                    questions=questions * clients, milliseconds=values)

    def beside(self, model, trainer):
        """Rates from the trainer's own counters, three windows a round: training, both, questions."""
        shares = {"rows trained a second": [], "questions a second": []}
        for number in range(self.options.rounds or 3):
            training = self.train(model, trainer, number)
            try:
                self.await_growth(trainer, "trainer_rows_total")
                trained = self.rates(trainer)[0]
                asking = self.ask(model)
                self.await_growth(trainer, "trainer_deployment_questions_total")
                both = self.rates(trainer)
            finally:
                training.terminate()
                training.wait()
                # It would go on without its owner.
                encryptor("cancel", self.folder / f"{model}-endless-{number}")
            try:
                # Until the trainer has put the job aside.
                time.sleep(3)
                asked = self.rates(trainer)[1]
            finally:
                asking.terminate()
                asking.wait()
            for found, together, alone in zip(shares.values(), both, (trained, asked)):
                found.append((alone, together, together / alone if alone else float("nan")))
        for what, found in shares.items():
            share = statistics.median(one[2] for one in found)
            self.table.add(
                f"{model}, {what}, training (loss at the {self.options.loss}, {self.options.batch} rows an update) beside 8 clients: alone, both; share",
                f"{statistics.median(one[0] for one in found):,.0f}, {statistics.median(one[1] for one in found):,.0f}; {share:.2f} "
                f"({min(one[2] for one in found):.2f}–{max(one[2] for one in found):.2f})",
                "≥ 0.33", share >= 1 / 3, "jobs/bench/serving.py beside", rates=found)

    def train(self, model, trainer, number):
        """A job without end."""
        job = self.folder / f"{model}-endless.yaml"
        if model == "MLP":
            job.write_text(MLP.format(file=self.data[model], epochs=1000, standardize="false"))
        else:
            job.write_text(MINILM.format(file=self.data[model], model=ROOT / ".cache/minilm", train="all", epochs=1000))
        log = open(self.folder / f"{model}-endless.log", "wb")
        run = self.folder / f"{model}-endless-{number}"
        return subprocess.Popen(
            owner_command(job, run, self.folder, trainer.endpoint, [f"loss.where={self.options.loss}", f"train.batch={self.options.batch}"]),
            stdout=log, stderr=log, env=environment())

    def ask(self, model):
        command = self.command(model, [self.deployment(model, "rotation")], 8, 1000, 1000)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(self.folder / f"{model}-asking.log", "wb"), env=environment())

    def await_growth(self, trainer, name):
        start, end = trainer.metrics().get(name, 0), time.monotonic() + 120
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
    parser.add_argument("--rounds", type=int, help="turns of each deployment, or rounds of windows; the median counts, with its quartiles")
    parser.add_argument("--seconds", type=int, default=15, help="of each window of `beside`")
    parser.add_argument("--batch", type=int, default=16, help="rows of an update in the training of `beside`")
    parser.add_argument("--loss", choices=["trainer", "owner"], default="trainer", help="of the training of `beside`")
    parser.add_argument("--models", nargs="+", choices=["MLP", "MiniLM"], default=["MLP", "MiniLM"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    return Serving(options).run().end(options.json)


if __name__ == "__main__":
    sys.exit(main())
