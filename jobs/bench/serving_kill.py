#!/usr/bin/env python3
"""Kills clients of a deployment and its host at random moments, and checks every answer.

A perceptron is deployed for --clients clients; --width of them ask at once with `encryptor query`, each about one of 32 files of 256 rows. Every
--every seconds either some of the clients at work are killed (-9), or the host is and starts again on its store. A killed client gives the same
command again, once. Then: every answer is right (against the written model in float64, 1e-4), each row is counted once, the deployment has all
its clients, and the host's memory has stayed level. Exit 7 where one of these does not hold.

Example: serving_kill.py --minutes 10 --seed 1
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from deployed import deploy, difference, encryptor, make_clients, perceptron_outputs, query_command, status, train_mlp, write_rows
from local import STATE, LocalTrainer, environment, free_port, fresh, make_keys

FILES, ROWS = 32, 256
TOLERANCE = 1e-4


class Disturbed:
    def __init__(self, options):
        self.options, self.random = options, random.Random(options.seed)
        self.folder = fresh(STATE / "serving-kill")
        make_keys(self.folder)
        self.names = make_clients(self.folder / "clients", options.clients)
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.idle, self.at_work, self.killed = list(self.names), {}, set()
        self.queries = self.retries = self.host_kills = self.client_kills = 0
        self.problems, self.memory, self.slowest = [], [], 0.0

    def run(self):
        port = free_port()
        values = [write_rows(self.folder / f"rows-{number}.h5", ROWS, 64, seed=number) for number in range(FILES)]
        with LocalTrainer(self.folder, self.folder / "store", port) as trainer:
            self.trainer = trainer
            run = train_mlp(self.folder, trainer.endpoint, self.folder / "rows-0.h5", epochs=3)
            self.expected = [perceptron_outputs(run, rows) for rows in values]
            self.deployment = self.folder / "deployment"
            deploy(run, self.folder, trainer.endpoint, self.deployment, self.names)
            workers = [threading.Thread(target=self.work) for _ in range(self.options.width)]
            watcher = threading.Thread(target=self.watch)
            for thread in [*workers, watcher]:
                thread.start()
            self.disturb()
            for thread in [*workers, watcher]:
                thread.join()
            [found] = status(self.folder, trainer.endpoint)
            return self.report(found)

    # Clients

    def work(self):
        while not self.stop.is_set():
            with self.lock:
                name = self.idle.pop(self.random.randrange(len(self.idle)))
                self.queries += 1
                number = self.queries
            try:
                self.query(name, number)
            except Exception as error:  # A thread that ends would be a client that is not counted.
                self.note(f"{name}: {error!r}")
            with self.lock:
                self.idle.append(name)

    def query(self, name, number):
        file, out = number % FILES, self.folder / f"answers-{number}.h5"
        command = query_command(self.deployment, name, self.folder, self.folder / f"rows-{file}.h5", out, "--patience", "60")
        start = time.monotonic()
        code, errors = self.attempt(name, command)
        if code == -9 and name in self.killed:
            self.killed.discard(name)
            # Killed after its last act: the result is whole and nothing is beside it, and would not be overwritten.
            code = 0
            if not out.exists() or Path(f"{out}.partial").exists():
                with self.lock:
                    self.retries += 1
                code, errors = self.attempt(name, command, may_be_killed=False)
        self.slowest = max(self.slowest, time.monotonic() - start)
        if code != 0:
            return self.note(f"{name}: query {number} ended with {code}: {errors}")
        wrong = difference(out, self.expected[file])
        out.unlink()
        if not wrong <= TOLERANCE:
            self.note(f"{name}: query {number} has answers that are wrong by {wrong:.1e}")

    def attempt(self, name, command, may_be_killed=True):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment())
        with self.lock:
            if may_be_killed:
                self.at_work[name] = process
        try:
            _, errors = process.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return "no end within 180 s", ""
        finally:
            with self.lock:
                self.at_work.pop(name, None)
        return process.returncode, " ".join(errors.strip().splitlines()[-1:])

    def note(self, problem):
        with self.lock:
            self.problems.append(problem)
        print(f"      {problem}", file=sys.stderr, flush=True)

    # Kills

    def disturb(self):
        end, turn = time.monotonic() + 60 * self.options.minutes, 0
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.random.uniform(0.75, 1.25) * self.options.every))
            if time.monotonic() >= end:
                break
            if turn % 2:
                self.kill_host()
            else:
                self.kill_clients()
            turn += 1
            if not self.options.json:
                print(f"{60 * self.options.minutes - (end - time.monotonic()):5.0f} s  {self.queries} queries, host killed {self.host_kills} "
                      f"times, clients {self.client_kills}, problems {len(self.problems)}", flush=True)
        self.stop.set()

    def kill_clients(self):
        with self.lock:
            victims = self.random.sample(sorted(self.at_work), min(len(self.at_work), self.random.randint(1, 16)))
            for name in victims:
                if self.at_work[name].poll() is None:
                    self.killed.add(name)
                    self.at_work[name].kill()
                    self.client_kills += 1

    def kill_host(self):
        self.trainer.kill()
        time.sleep(self.random.uniform(0, 3))
        self.trainer.start()
        self.host_kills += 1

    def watch(self):
        """Resident bytes of the host, with the number of its life, every second."""
        start = time.monotonic()
        while not self.stop.wait(1):
            try:
                for line in Path(f"/proc/{self.trainer.process.pid}/status").read_text().splitlines():
                    if line.startswith("VmRSS:"):
                        self.memory.append((round(time.monotonic() - start), self.host_kills, int(line.split()[1]) * 1024))
            except OSError:
                pass

    # The end

    def report(self, found):
        rows = found["rows"]
        # Where a query failed, how many of its rows were counted is not known.
        if not self.problems and rows != self.queries * ROWS:
            self.note(f"{rows} rows are counted, {self.queries * ROWS} were asked about")
        if found["clientCount"] != self.options.clients:
            self.note(f"the deployment has {found['clientCount']} clients, not {self.options.clients}")
        if len(encryptor("clients", self.deployment).splitlines()) != self.options.clients + 2:
            self.note("`encryptor clients` does not list them all")
        peaks = [max(bytes_ for _, life, bytes_ in self.memory if life == number) for number in sorted({life for _, life, _ in self.memory})]
        third = max(1, len(peaks) // 3)
        early, late = statistics.median(peaks[:third]), statistics.median(peaks[-third:])
        if late > 1.25 * early:
            self.note(f"the host's memory has grown from {early / 1e6:.0f} to {late / 1e6:.0f} MB")
        return {
            "seed": self.options.seed, "minutes": self.options.minutes, "clients": self.options.clients, "width": self.options.width,
            "queries": self.queries, "rows": rows, "clients killed": self.client_kills, "retries": self.retries,
            "host killed": self.host_kills, "slowest query, s": round(self.slowest, 1),
            "memory of the host, MB": {"early": round(early / 1e6), "late": round(late / 1e6), "lives": [round(peak / 1e6) for peak in peaks]},
            "problems": self.problems}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments and victims; printed")
    parser.add_argument("--clients", type=int, default=1000, help="that the deployment lists")
    parser.add_argument("--width", type=int, default=64, help="of them that ask at once")
    parser.add_argument("--every", type=float, default=20, help="seconds between kills")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    summary = Disturbed(options).run()
    print(json.dumps(summary) if options.json else "\n".join(f"{name}: {value}" for name, value in summary.items()))
    return 7 if summary["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
