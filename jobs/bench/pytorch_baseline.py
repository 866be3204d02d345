#!/usr/bin/env python3
"""Plaintext fine-tuning of a BERT classifier in PyTorch as the thing to beat: one training step after another, timed.

`BertForSequenceClassification` of the `transformers` package with its default attention, embeddings frozen and no dropout as in the masked
job, SGD with momentum, clipping; batches in the file's order, padded to its columns, as many threads as the process may use cores.
Modes: fp32, bf16 (autocast), each also through torch.compile.

Reads lines `MODE DATA STEPS` (DATA: which of the files, counted from 0) and answers each with one JSON line: seconds of each step, real
tokens of each, peak memory. A mode's model is built, warmed up and compiled when it is first asked for, before its steps are timed.

Example: echo 'fp32 0 4' | pytorch_baseline.py .cache/minilm pubmed_sections_128.h5
"""

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path

import h5py
import torch
import transformers

from local import peak_memory
from plaintext import MODES


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a Hugging Face directory")
    parser.add_argument("data", type=Path, nargs="+", help="files with input_ids, attention_mask, token_type_ids, labels")
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    files = [Batches(path, options.batch) for path in options.data]
    trainings = {}
    for line in sys.stdin:
        mode, file, steps = line.split()
        batches = files[int(file)]
        try:
            if mode not in trainings:
                trainings[mode] = Training(mode, options.model, batches.classes)
            answer = trainings[mode].run(batches, int(steps))
        except Exception as error:  # torch.compile without a C++ compiler, a processor without bf16: whatever PyTorch says
            answer = {"problem": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), flush=True)


class Batches:
    """The whole batches of a file, in its order, again and again."""

    def __init__(self, path, batch):
        with h5py.File(path) as file:
            whole = len(file["labels"]) // batch * batch
            self.columns = {
                name: torch.from_numpy(file[name][:whole]).long()
                for name in ("input_ids", "attention_mask", "token_type_ids", "labels")}
        self.batch, self.whole, self.next = batch, whole, 0
        self.classes = int(self.columns["labels"].max()) + 1

    def take(self):
        first = self.next % self.whole
        self.next += self.batch
        return {name: values[first : first + self.batch] for name, values in self.columns.items()}


class Training:
    def __init__(self, mode, folder, classes):
        if mode not in MODES:
            raise ValueError(f"{mode} is none of {', '.join(MODES)}")
        self.mode = mode
        torch.manual_seed(0)
        model = transformers.BertForSequenceClassification.from_pretrained(
            folder, num_labels=classes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, dtype=torch.float32)
        model.bert.embeddings.requires_grad_(False)
        model.train()
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.SGD(self.parameters, lr=3e-2, momentum=0.9)
        self.model = torch.compile(model) if mode.endswith("compile") else model
        self.warm = set()

    def run(self, batches, steps):
        if batches not in self.warm:
            # Compilation, allocation of gradients and momentum.
            for _ in range(2):
                self.step(batches.take())
            self.warm.add(batches)
        seconds, tokens = [], []
        for _ in range(steps):
            batch = batches.take()
            tokens.append(int(batch["attention_mask"].sum()))
            start = time.perf_counter()
            self.step(batch)
            seconds.append(time.perf_counter() - start)
        return {"mode": self.mode, "seconds": seconds, "tokens": tokens, "peak_bytes": peak_memory(os.getpid())}

    def step(self, batch):
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if self.mode.startswith("bf16") else contextlib.nullcontext():
            loss = self.model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        # Read as a training loop does that reports its loss.
        loss.item()


if __name__ == "__main__":
    sys.exit(main())
