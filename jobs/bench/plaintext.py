"""Asks a process of its own for steps of plaintext PyTorch; it waits, idle, in between."""

import json
import subprocess
import sys
from pathlib import Path

from local import environment

MODES = ("fp32", "bf16", "fp32-compile", "bf16-compile")


class Plaintext:
    """A context manager around pytorch_baseline.py."""

    def __init__(self, model, files, log):
        self.command = [sys.executable, Path(__file__).with_name("pytorch_baseline.py"), model, *files]
        self.log = log

    def __enter__(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment() | {"HF_HUB_OFFLINE": "1"})
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def ready(self):
        """The modes that work here, each compiled and warmed up."""
        working = []
        for mode in MODES:
            try:
                self.steps(mode, 0, 0)
                working.append(mode)
            except RuntimeError as error:
                print(f"  PyTorch {mode} is left out: {error}", file=sys.stderr)
        if not working:
            raise RuntimeError(f"PyTorch trains in no mode; see {self.log}")
        return working

    def steps(self, mode, file, count):
        """{"seconds": […], "tokens": […], "peak_bytes"} of `count` steps on the file of that number."""
        self.process.stdin.write(f"{mode} {file} {count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"PyTorch gave up on {mode}; see {self.log}")
        answer = json.loads(answer)
        if "problem" in answer:
            raise RuntimeError(answer["problem"])
        return answer
