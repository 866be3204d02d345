"""Asks a process of its own for work in plaintext PyTorch; it waits, idle, in between."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from local import environment

EAGER = ("fp32", "bf16")
MODES = (*EAGER, "fp32-compile", "bf16-compile")
# A mode that takes longer than so many times what fp32 does is not measured: on a processor without bfloat16 instructions PyTorch can be a
# hundred times as slow in it.
HOPELESS = 4


class Plaintext:
    """A context manager around pytorch_baseline.py. `left_out`: why a mode is not measured, by its name. `peak`: a mode, and the most memory
    of the process when it had worked in that mode alone."""

    def __init__(self, model, files, log, *options):
        self.command = [sys.executable, Path(__file__).with_name("pytorch_baseline.py"), model, *files, *map(str, options)]
        self.log = log
        self.left_out, self.peak = {}, None

    def __enter__(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment() | {"HF_HUB_OFFLINE": "1"})
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()

    def ready(self, modes):
        """The modes that work here, each compiled and warmed up."""
        working = []
        for mode in modes:
            try:
                self.refuse_hopeless(mode)
                answer = self.steps(mode, 0, 0)
                self.peak = self.peak or (mode, answer["peak_bytes"])
                working.append(mode)
            except RuntimeError as error:
                self.left_out[mode] = str(error)
                print(f"  PyTorch {mode} is left out: {error}", file=sys.stderr)
        if not working:
            raise RuntimeError(f"PyTorch works in no mode; see {self.log}")
        return working

    def refuse_hopeless(self, mode):
        """By a small piece of work, and of the uncompiled mode, which has the same products."""
        if mode.endswith("compile") and not shutil.which("g++"):
            raise RuntimeError("torch.compile needs g++, which is missing")
        eager = mode.removesuffix("-compile")
        if eager == "fp32":
            return
        reason = self.left_out.get(eager)
        if reason is None:
            share = self.probe(eager) / self.probe("fp32")
            reason = f"{share:.1f} × as slow as fp32 in a small step" if share > HOPELESS else None
        if reason:
            raise RuntimeError(reason)

    def probe(self, mode):
        """Seconds of a step with few samples, which is enough to tell slow from hopeless."""
        return min(self.steps(mode, 0, 2, rows=2)["seconds"])

    def steps(self, mode, file, count, rows=None):
        """{"seconds": […], "tokens": […], "peak_bytes"} of `count` steps on the file of that number, of its whole batches or of so many rows."""
        try:
            self.process.stdin.write(f"{mode} {file} {count} {rows or 0}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"PyTorch gave up on {mode}; see {self.log}")
        answer = json.loads(answer)
        if "problem" in answer:
            raise RuntimeError(answer["problem"])
        return answer
