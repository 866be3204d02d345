#!/usr/bin/env python3
"""kill -9 at random moments: whatever side dies, the resumed run must end in the same bits.

One run directory is prepared (its keys made) and copied for each trial, so that all trials have the same masks. The first copy runs to
its end undisturbed. In each trial one side is killed at a random moment and started again: the owner with --resume, the
trainer on the same store, while the other side lives on. Then model.safetensors must be equal byte for byte, and history.jsonl line for
line but for the seconds: no gap, no repeat. Loss at the owner and at the trainer alternate. Exit 0 only if every trial is equal.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time

import h5py
import numpy as np

from local import STATE, LocalTrainer, environment, free_port, fresh, make_keys, owner_command

JOB = """name: kill
data: {{file: kill.h5, features: x, labels: y, split: {{validation: 0.2, seed: 7}}, standardize: true}}
task: classification
model:
  mlp: {{hidden: [256, 128], activation: relu}}
masking: {{strength: rotation, padding: 1}}
loss: {{where: {side}}}
optimizer: {{name: sgd, lr: 0.05, momentum: 0.9, clip_norm: 1.0}}
schedule: {{warmup: 0.06, decay: linear}}
train: {{epochs: 8, batch: 64, micro_batch: 16, seed: 1, keep: best}}
checkpoint: {{every_steps: 25}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments and victims; printed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    random.seed(options.seed)
    folder = fresh(STATE / "kill")
    make_keys(folder)
    write_data(folder / "kill.h5")
    references = {side: Reference(folder, side) for side in ("owner", "trainer")}
    results = []
    for number in range(options.trials):
        side = ("owner", "trainer")[number % 2]
        victim = ("owner", "trainer")[number // 2 % 2]
        result = Trial(folder, references[side], number, victim).run()
        results.append(result)
        if not options.json:
            print(
                f"{number:>3}  loss at {side:<8} killed {victim:<8} after {result['moment']:5.2f} s of {references[side].seconds:.2f}"
                f"  {'identical' if result['passed'] else result['problem']}", flush=True)
        if result["passed"]:
            shutil.rmtree(folder / f"trial{number}")
    passed = sum(result["passed"] for result in results)
    summary = {"seed": options.seed, "trials": options.trials, "identical": passed, "results": results}
    print(json.dumps(summary) if options.json else f"{passed} of {options.trials} bit-identical (seed {options.seed})")
    return 0 if passed == options.trials else 7


def write_data(path):
    numbers = np.random.default_rng(5)
    centres = numbers.normal(size=(10, 300))
    labels = numbers.integers(0, 10, 6000)
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "x", data=(centres[labels] + 4 * numbers.normal(size=(6000, 300))).astype(np.float32), chunks=(256, 300),
            compression="gzip")
        file["y"] = labels


class Reference:
    """A prepared run directory, and what it comes to undisturbed."""

    def __init__(self, folder, side):
        self.side, self.job = side, folder / f"{side}.yaml"
        self.job.write_text(JOB.format(side=side))
        self.port = free_port()
        self.prepared = folder / f"prepared-{side}"
        # Nobody listens yet: the run is laid out, waits for nobody and stops with exit 5.
        done = subprocess.run(
            owner_command(self.job, self.prepared, folder, self.endpoint, options=["--patience", "0"]),
            capture_output=True, env=environment())
        if done.returncode != 5:
            raise RuntimeError(f"a run without a trainer exited with {done.returncode}, not 5: {done.stderr.decode()[-300:]}")
        run = folder / f"reference-{side}"
        shutil.copytree(self.prepared, run)
        with LocalTrainer(folder, folder / f"reference-{side}-store", self.port):
            start = time.perf_counter()
            subprocess.run(
                owner_command(self.job, run, folder, self.endpoint, resume=True), check=True, capture_output=True,
                env=environment())
            self.seconds = time.perf_counter() - start
        self.model = (run / "model" / "model.safetensors").read_bytes()
        self.history = history(run)

    @property
    def endpoint(self):
        return f"tcp://127.0.0.1:{self.port}"


class Trial:
    def __init__(self, folder, reference, number, victim):
        self.folder, self.reference, self.victim = folder, reference, victim
        self.home = fresh(folder / f"trial{number}")
        self.run_directory = self.home / "run"

    def run(self):
        moment = 0.0
        for _ in range(5):
            shutil.rmtree(self.home)
            self.home.mkdir()
            shutil.copytree(self.reference.prepared, self.run_directory)
            moment = random.uniform(0.02, 0.95 * self.reference.seconds)
            with LocalTrainer(self.folder, self.home / "store", self.reference.port) as trainer:
                problem = self.disturb(trainer, moment)
            # Faster this time than the undisturbed run: it was over before the kill.
            if problem != "over":
                break
        return {
            "side": self.reference.side, "victim": self.victim, "moment": round(moment, 3), "passed": problem is None,
            "problem": problem}

    def owner(self):
        self.log = open(self.home / "owner.log", "ab")
        return subprocess.Popen(
            owner_command(self.reference.job, self.run_directory, self.folder, self.reference.endpoint, resume=True),
            stdout=self.log, stderr=self.log, env=environment())

    def disturb(self, trainer, moment):
        owner = self.owner()
        time.sleep(moment)
        if owner.poll() is not None:
            return "over" if owner.returncode == 0 else f"the owner exited with {owner.returncode} undisturbed"
        if self.victim == "owner":
            owner.kill()
            owner.wait()
            owner = self.owner()
        else:
            trainer.kill()
            trainer.start()
        try:
            code = owner.wait(120)
        except subprocess.TimeoutExpired:
            owner.kill()
            owner.wait()
            return "not finished 120 s after the kill"
        return f"the owner exited with {code}" if code else self.difference()

    def difference(self):
        if (self.run_directory / "model" / "model.safetensors").read_bytes() != self.reference.model:
            return "other weights"
        return None if history(self.run_directory) == self.reference.history else "another history"


def history(run):
    """Everything but the seconds, which are of the day."""
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


if __name__ == "__main__":
    sys.exit(main())
