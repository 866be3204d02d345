"""The processor that is measured on: its name, the kind of instructions that it multiplies by, and the bars that hold on that kind."""

import json
import os
import subprocess
from pathlib import Path

from local import BINARIES, environment

# Kinds are named as the programs name their kernel paths: AMX, AVX512-BF16, AVX-512, AVX2, portable. Of a bar: those it does not name.
OTHERS = "others"


class Machine:
    def __init__(self):
        found = json.loads(subprocess.run(
            [BINARIES / "benchmarks", "products", "--paths"], check=True, capture_output=True, text=True, env=environment()).stdout)
        self.kind, self.kernel = found["path"], found["kernel"]
        self.name = processor_name()
        self.load_at_start = os.getloadavg()[0]

    @property
    def facts(self):
        """For bench.json; the load at its end with that at its start tells whether other programs ran."""
        return {
            "processor": self.name, "kind": self.kind, "float32_kernel": self.kernel, "cores": len(os.sched_getaffinity(0)),
            "load_at_start": self.load_at_start, "load_at_end": os.getloadavg()[0]}

    @property
    def text(self):
        shared = "" if self.load_at_start < 0.5 else f", shared with other programs (load {self.load_at_start:.1f} before this began)"
        return f"{self.name}: {self.kind}, float32 by OpenBLAS's {self.kernel} kernel, {len(os.sched_getaffinity(0))} cores{shared}"


class Bar:
    """A bound of a figure: one number for every kind of processor, or numbers by kind, OTHERS for those that are not named."""

    def __init__(self, sign, bound, unit=""):
        self.sign, self.unit = sign, unit
        self.bounds = bound if isinstance(bound, dict) else {OTHERS: bound}

    def on(self, kind):
        return self.bounds.get(kind, self.bounds.get(OTHERS))

    def holds(self, value, kind):
        """None where there is no bar for this kind."""
        bound = self.on(kind)
        if bound is None:
            return None
        return value >= bound if self.sign == "≥" else value <= bound

    def text(self, kind):
        if self.on(kind) is not None:
            return self.said(self.on(kind))
        return "not this kind of processor: " + ", ".join(f"{name} {self.said(bound)}" for name, bound in self.bounds.items())

    def said(self, bound):
        return f"{self.sign} {bound:g}{self.unit}"


def at_least(bound, unit=" ×"):
    return Bar("≥", bound, unit)


def at_most(bound, unit=""):
    return Bar("≤", bound, unit)


def processor_name():
    """With family and model: virtual machines often hide more than the maker."""
    facts = {}
    for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    numbers = ", ".join(f"{what} {facts[key]}" for what, key in (("family", "cpu family"), ("model", "model")) if key in facts)
    return f"{facts.get('model name', 'unknown processor')} ({numbers})" if numbers else facts.get("model name", "unknown processor")
