#!/usr/bin/env python3
"""Plaintext PyTorch as the thing to beat: one piece of work after another, timed.

--work train: a training step of a BERT classifier or a Llama language model of the `transformers` package with its default attention,
embeddings frozen and no dropout as in the masked job, SGD with momentum, clipping; with --lora the adapters of the `peft` package.
--work infer: outputs of a batch. --work generate: --tokens greedy tokens after each prompt of a batch, by `generate`.
Batches are in the file's order, padded to its columns, on as many threads as the process may use cores. Modes: fp32, bf16 (autocast; for
generate: weights in bfloat16), each also through torch.compile.

Reads lines `MODE DATA STEPS ROWS` (DATA: which of the files, counted from 0; ROWS: of a batch, 0 for --batch) and answers each with one JSON
line: seconds of each step, real tokens of each, peak memory of the process. A mode is warmed up and compiled when it is first asked for,
before its steps are timed; all modes work on the same weights.

Example: echo 'fp32 0 4 0' | pytorch_baseline.py .cache/minilm pubmed_sections_128.h5
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

# Seconds.
LONG_STEP = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a Hugging Face directory")
    parser.add_argument("data", type=Path, nargs="+", help="files with input_ids, attention_mask, for a BERT token_type_ids, labels")
    parser.add_argument("--work", choices=WORK, default="train")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lora", nargs="+", metavar="TARGET", help="train adapters of rank 8 on these layers and the head alone")
    parser.add_argument("--tokens", type=int, default=32, help="to generate")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    files = [Batches(path, options.batch) for path in options.data]
    work = None
    for line in sys.stdin:
        mode, file, steps, rows = line.split()
        try:
            if mode not in MODES:
                raise ValueError(f"{mode} is none of {', '.join(MODES)}")
            work = work or WORK[options.work](options, files[0])
            answer = work.run(mode, files[int(file)], int(steps), int(rows) or options.batch)
        except Exception as error:  # torch.compile without a C++ compiler, a processor without bf16: whatever PyTorch says
            answer = {"problem": f"{type(error).__name__}: {error}"[:200]}
        print(json.dumps(answer), flush=True)


class Batches:
    """The whole batches of a file, in its order, again and again."""

    def __init__(self, path, batch):
        with h5py.File(path) as file:
            whole = len(file["input_ids"]) // batch * batch
            self.columns = {
                name: torch.from_numpy(file[name][:whole]).long()
                for name in ("input_ids", "attention_mask", "token_type_ids", "labels") if name in file}
        self.batch, self.whole, self.next = batch, whole, 0
        self.classes = int(self.columns["labels"].max()) + 1 if "labels" in self.columns else None

    def take(self, rows):
        first = self.next % self.whole
        self.next += self.batch
        return {name: values[first : first + rows] for name, values in self.columns.items()}


class Work:
    """One piece of work after another on one model."""

    def __init__(self, options, batches):
        torch.manual_seed(0)
        self.options = options
        self.model = self.load(options.model, batches)
        self.modes, self.warm = {}, set()

    def load(self, folder, batches):
        """The class that the masked job's task has: a classifier on an encoder, a language model."""
        if batches.classes:
            return transformers.AutoModelForSequenceClassification.from_pretrained(
                folder, num_labels=batches.classes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, dtype=torch.float32)
        return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def run(self, mode, batches, steps, rows):
        if mode not in self.modes:
            self.modes[mode] = torch.compile(self.model) if mode.endswith("compile") else self.model
        if (mode, batches, rows) not in self.warm:
            # Compilation, allocation of gradients and momentum; of long steps one is warm-up enough.
            start = time.perf_counter()
            self.step(mode, batches.take(rows))
            if time.perf_counter() - start < LONG_STEP:
                self.step(mode, batches.take(rows))
            self.warm.add((mode, batches, rows))
        seconds, tokens = [], []
        for _ in range(steps):
            batch = batches.take(rows)
            start = time.perf_counter()
            tokens.append(self.step(mode, batch))
            seconds.append(time.perf_counter() - start)
        return {"mode": mode, "seconds": seconds, "tokens": tokens, "peak_bytes": peak_memory(os.getpid())}

    @staticmethod
    def precision(mode):
        return torch.autocast("cpu", torch.bfloat16) if mode.startswith("bf16") else contextlib.nullcontext()


class Training(Work):
    def load(self, folder, batches):
        model = super().load(folder, batches)
        model.base_model.get_input_embeddings().requires_grad_(False)
        if batches.classes:
            model.bert.embeddings.requires_grad_(False)
        if self.options.lora:
            model = self.adapted(model, batches)
        model.train()
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.SGD(self.parameters, lr=3e-2, momentum=0.9)
        return model

    def adapted(self, model, batches):
        import peft

        return peft.get_peft_model(model, peft.LoraConfig(
            r=8, lora_alpha=16, lora_dropout=0.0, target_modules=self.options.lora, task_type="SEQ_CLS" if batches.classes else "CAUSAL_LM"))

    def step(self, mode, batch):
        labels = batch if "labels" in batch else batch | {"labels": batch["input_ids"]}
        self.optimizer.zero_grad()
        with self.precision(mode):
            loss = self.modes[mode](**labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        # Read as a training loop does that reports its loss.
        loss.item()
        return int(batch["attention_mask"].sum())


class Inference(Work):
    def load(self, folder, batches):
        return super().load(folder, batches).eval()

    def step(self, mode, batch):
        with torch.inference_mode(), self.precision(mode):
            self.modes[mode](**{name: values for name, values in batch.items() if name != "labels"}).logits.float().sum().item()
        return int(batch["attention_mask"].sum())


class Generation(Inference):
    def run(self, mode, batches, steps, rows):
        if mode.endswith("compile"):
            raise ValueError("generation is measured uncompiled")
        self.model.to(torch.bfloat16 if mode.startswith("bf16") else torch.float32)
        return super().run(mode, batches, steps, rows)

    def step(self, mode, batch):
        prompts = batch["input_ids"]
        with torch.inference_mode():
            texts = self.model.generate(
                prompts, attention_mask=batch["attention_mask"], do_sample=False, max_new_tokens=self.options.tokens,
                min_new_tokens=self.options.tokens)
        return int(texts.numel() - prompts.numel())


WORK = {"train": Training, "infer": Inference, "generate": Generation}

if __name__ == "__main__":
    sys.exit(main())
