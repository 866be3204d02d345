#!/usr/bin/env python3
"""More deployments than memory holds, and hostile frames at their host.

many: --deployments of one Llama of random weights (90 MB, each copy under keys of its own) at a host with --memory for all of them. A client asks
each of them in turn, twice; the logits are compared with those of `transformers` (1e-4). Loads and evictions are read from the metrics page.
frames: --frames messages of a client whose frames are random bytes, valid ones with bytes altered, or cut, at the same host. It must be
alive, have counted nothing, have written a bounded log, and answer another client. Exit 7 where one of these does not hold.

Example: serving_many.py --deployments 50 --frames 100000
"""

import argparse
import json
import subprocess
import sys
import time

import h5py
import numpy as np

from deployed import MeasuredTrainer, deploy, difference, make_clients, query_command, status
from frames import hostile_frames
from local import ROOT, STATE, environment, fresh, make_keys
from table import Table

# 22.4 million weights that the host has, 90 MB.
SIZES = ["--width", "512", "--blocks", "7", "--heads", "8", "--key-value-heads", "8", "--hidden", "1376"]
ROWS, LENGTH, VOCABULARY = 4, 32, 258


class Many:
    def __init__(self, options):
        self.options, self.table = options, Table()
        self.folder = fresh(STATE / "serving-many")
        make_keys(self.folder)
        self.client, self.hostile = make_clients(self.folder / "clients", 2)
        self.model = self.folder / "llama"
        subprocess.run(
            [sys.executable, ROOT / "jobs/prepare/random-llama.py", self.model, *SIZES], check=True, stdout=subprocess.DEVNULL)
        self.data = self.folder / "tokens.h5"
        self.ids = np.random.default_rng(3).integers(0, 256, (ROWS, LENGTH)).astype(np.int32)
        with h5py.File(self.data, "w") as file:
            file["input_ids"], file["attention_mask"] = self.ids, np.ones_like(self.ids)

    def run(self):
        with MeasuredTrainer(self.folder, self.folder / "store", options=["--deployment-memory", self.options.memory]) as trainer:
            self.trainer = trainer
            for number in range(self.options.deployments):
                deploy(self.model, self.folder, trainer.endpoint, self.deployment(number), [self.client, self.hostile],
                       ["--task", "causal-lm", "--max-tokens", str(LENGTH)])
            self.many()
            if self.options.frames:
                self.frames()
        return self.table

    def deployment(self, number):
        return self.folder / f"deployment-{number}"

    def many(self):
        expected, worst, start = self.expected(), 0.0, time.monotonic()
        for turn in range(2):
            for number in range(self.options.deployments):
                worst = max(worst, self.ask(number, f"{turn}-{number}", expected))
        seconds = time.monotonic() - start
        # Published once a second.
        time.sleep(2)
        metrics = self.trainer.metrics()
        loads, evictions, loaded, used, limit = (
            int(metrics[f"trainer_deployment_{name}"]) for name in (
                "loads_total", "evictions_total", "copies_loaded", "memory_bytes", "memory_limit_bytes"))
        count, command = self.options.deployments, "jobs/bench/serving_many.py"
        stored = sum(one["storedBytes"] for one in status(self.folder, self.trainer.endpoint))
        self.table.add(
            f"{count} deployments, {stored / count / 1e6:.0f} MB each in the store, {self.options.memory} of memory: {2 * count} queries, "
            "largest difference from transformers", f"{worst:.1e}", "≤ 1e-4", worst <= 1e-4, command, seconds=round(seconds, 1))
        self.table.add(
            "copies loaded, evicted, in memory", f"{loads}, {evictions}, {loaded}", "some evicted", evictions == loads - loaded > 0, command)
        self.table.add(
            "memory of deployments / limit; of the whole trainer at its peak",
            f"{used / 1e6:.0f} / {limit / 1e6:.0f} MB; {self.trainer.peak_memory() / 1e6:.0f} MB", "≤ limit", used <= limit, command)

    def ask(self, number, name, expected):
        out = self.folder / f"answers-{name}.h5"
        subprocess.run(
            query_command(self.deployment(number), self.client, self.folder, self.data, out), check=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=environment())
        return difference(out, expected)

    def expected(self):
        """Logits of all tokens, a row a sample."""
        import torch
        import transformers

        transformers.logging.disable_progress_bar()
        model = transformers.AutoModelForCausalLM.from_pretrained(self.model, dtype=torch.float32).eval()
        with torch.no_grad():
            return model(input_ids=torch.from_numpy(self.ids).long()).logits.numpy().reshape(ROWS, -1)

    def frames(self):
        deployment, count, log = self.deployment(0), self.options.frames, self.folder / "store.log"
        files = [log, self.folder / "store" / "audit.log"]
        before, rows = [file.stat().st_size for file in files], status(self.folder, self.trainer.endpoint)
        start = time.monotonic()
        answers = hostile_frames(
            json.loads((deployment / "clients" / self.hostile / "client.json").read_text()),
            self.folder / "clients" / self.hostile / "owner.key", count, self.options.seed)
        seconds = time.monotonic() - start
        written = [file.stat().st_size - size for file, size in zip(files, before)]
        worst = self.ask(0, "after", self.expected())
        asked = sum(one["rows"] for one in status(self.folder, self.trainer.endpoint)) - sum(one["rows"] for one in rows) - ROWS
        refusals = answers.get("refused", 0)
        self.table.add(
            f"{count:,} hostile messages: refused, dropped unread or unanswered; rows counted; another client's answer after them",
            f"{refusals:,}, {count - sum(answers.values()):,}; {asked}; off by {worst:.1e}", "host alive, no rows",
            self.trainer.process.poll() is None and worst <= 1e-4 and asked == 0, "jobs/bench/serving_many.py", answers=answers,
            seconds=round(seconds, 1))
        self.table.add(
            "bytes written meanwhile: log, event log", ", ".join(f"{size:,}" for size in written), "≤ 10 MB", max(written) <= 10e6,
            "jobs/bench/serving_many.py")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("--deployments", type=int, default=50)
    parser.add_argument("--memory", default="1G", help="the host's --deployment-memory")
    parser.add_argument("--frames", type=int, default=100_000, help="0: none")
    parser.add_argument("--seed", type=int, default=1, help="of the frames")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    return Many(options).run().end(options.json)


if __name__ == "__main__":
    sys.exit(main())
