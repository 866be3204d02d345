#!/usr/bin/env python3
"""Kills the aggregator or a site of a federation at random moments, starts it again, and compares the models with the undisturbed run's.

Prints one line a trial; exit 7 when a byte of a model differs or a party ends otherwise than with 0. Keys, charter and group key are the same
in all trials, so that the bits must be. Under `federation.privacy` each trial has secrets of its own: it is compared with `encryptor simulate` from
these, and no ledger may have lost a round or counted one twice.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


class Federation:
    """Aggregator and sites as processes, in a directory of their own."""

    def __init__(self, options, names, where):
        self.options, self.names, self.where, self.processes = options, names, where, {}
        where.mkdir(parents=True)

    def start(self, name, resume=False):
        options, keys = self.options, self.options.keys
        if name == "aggregator":
            command = [options.bin / "aggregator", "serve", "--keys", keys / "aggregator", "--charter", options.charter,
                       "--store", self.where / "aggregator"]
        else:
            site = options.sites.with_name(f"{options.sites.stem}-{name}.yaml")
            command = [options.bin / "encryptor", "join", site, "--charter", options.charter, "--keys", keys / name,
                       "--group-key", keys / "group.key", "--out", self.where / name, "--threads", "1"]
            # Killed before it made its directory, a site begins anew.
            if resume and (self.where / name / "state" / "site.json").exists():
                command.append("--resume")
            elif resume and (self.where / name).exists():
                (self.where / name).rename(self.where / f"{name}.{time.monotonic_ns()}")
        log = open(self.where / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)

    def begin(self):
        self.start("aggregator")
        for name in self.names:
            self.start(name)

    def wait(self, seconds):
        """The first party that did not end with 0, or None."""
        end = time.monotonic() + seconds
        for name, process in self.processes.items():
            try:
                if process.wait(max(0.1, end - time.monotonic())) != 0:
                    return f"{name} ended with {process.returncode}"
            except subprocess.TimeoutExpired:
                return f"{name} does not end"
        return None

    def stop(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def models(self):
        files = {name: (self.where / name / "model" / "model.safetensors").read_bytes() for name in self.names}
        for path in sorted((self.where / "aggregator" / "jobs").glob("*/model-*.f32")):
            files[path.name] = path.read_bytes()
        return files

    def simulated(self):
        """The models of an undisturbed federation with this one's secrets, in one process."""
        options, root = self.options, self.where / "simulated"
        sites = [options.sites.with_name(f"{options.sites.stem}-{name}.yaml") for name in self.names]
        command = [options.bin / "encryptor", "simulate", options.charter, *sites, "--group-key", options.keys / "group.key",
                   "--secrets-of", self.where, "--out", root, "--threads", "1"]
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
        other = Federation.__new__(Federation)
        other.names, other.where = self.names, root
        return other.models()

    def miscounted(self, rounds):
        """The first site whose ledger has not each round once, or None."""
        for name in self.names:
            lines = (self.where / name / "state" / "ledger.jsonl").read_text().splitlines()
            report = json.loads((self.where / name / "privacy.json").read_text())
            if [json.loads(line)["round"] for line in lines[1:]] != list(range(rounds)) or report["rounds"] != rounds:
                return f"the ledger of {name}"
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=ROOT / ".build/release")
    parser.add_argument("--charter", type=Path, default=ROOT / "jobs/federation/tcga-brca.yaml")
    parser.add_argument("--sites", type=Path, help="the site files are SITES-NAME.yaml; without it, the charter's name is in place of SITES")
    parser.add_argument("--keys", type=Path, default=ROOT / ".cache/federation/keys", help="as jobs/federation/run-local.sh makes them")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=20260101)
    options = parser.parse_args()
    options.sites = options.sites or options.charter
    charter = yaml.safe_load(options.charter.read_text())
    names, federation = [site["name"] for site in charter["sites"]], charter["federation"]
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        whole = Federation(options, names, scratch / "whole")
        began = time.monotonic()
        whole.begin()
        problem = whole.wait(600)
        whole.stop()
        if problem:
            print(f"the undisturbed run: {problem}", file=sys.stderr)
            return 2
        length, wanted = time.monotonic() - began, whole.models()
        failures = 0
        for trial in range(options.trials):
            victim = "aggregator" if trial % 2 == 0 else generator.choice(names)
            moment = generator.uniform(0.05, length)
            run = Federation(options, names, scratch / f"trial-{trial}")
            run.begin()
            time.sleep(moment)
            ended = run.processes[victim].poll() is not None
            if not ended:
                run.processes[victim].kill()
                run.processes[victim].wait()
                run.start(victim, resume=True)
            problem = run.wait(600)
            run.stop()
            if problem is None and run.models() != (run.simulated() if "privacy" in federation else wanted):
                problem = "other bits"
            if problem is None and "privacy" in federation:
                problem = run.miscounted(federation["rounds"])
            failures += problem is not None
            print(f"{trial:3}  {'not killed, it had ended:' if ended else 'killed'} {victim:<12} after {moment:5.2f} s of {length:.2f}  "
                  f"{problem or 'identical'}", flush=True)
            if problem:
                print("\n".join(run.where.joinpath(f"{victim}.log").read_text(errors="replace").splitlines()[-5:]), file=sys.stderr)
        print(f"{options.trials - failures} of {options.trials} bit-identical (seed {options.seed})")
    return 7 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
