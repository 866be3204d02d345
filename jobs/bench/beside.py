"""Training beside plaintext PyTorch, all in turns: MiniLM, a BERT of BERT-base's shape, a Llama with adapters; speed, memory, the owner's share.

Speeds exclude start-up on both sides: tokens of a step over its seconds, the median of all steps after the first of a run, which a
compiler or an allocator may still be busy with. A masked run's seconds are those of history.jsonl, from one applied step to the next: both
processes, the wire and its encryption, on the same cores as PyTorch has alone. Embeddings are frozen on both sides, dropout is off.
"""

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, replace

import h5py
import numpy as np

from local import ROOT, run_owner
from machine import OTHERS, at_least, at_most
from plaintext import Plaintext

MINILM = ROOT / ".cache" / "minilm"
SECTIONS = ROOT / "jobs" / "pubmed-minilm.yaml"
LANGUAGE = ROOT / "jobs" / "llama-lora.yaml"
TARGETS = {"bert": ["query", "value"], "llama": ["q_proj", "v_proj"]}
# Of random models, by the scripts that write them; small ones only show that everything runs.
BERT_BASE = ("random-bert.py", ())
LLAMA = ("random-llama.py", (
    "--width", 2048, "--blocks", 13, "--heads", 32, "--key-value-heads", 8, "--hidden", 5632, "--vocabulary", 32000))
SMALL_BERT = ("random-bert.py", ("--width", 96, "--blocks", 2, "--heads", 4, "--hidden", 192))
SMALL_LLAMA = ("random-llama.py", ("--width", 96, "--blocks", 2, "--heads", 4, "--hidden", 192, "--vocabulary", 2000))
BEST = {OTHERS: 1.2, "AMX": 1.5}


@dataclass
class Case:
    """A model and a batch. `best` is the bar against PyTorch at its best, `single` that of single precision against PyTorch's."""

    part: str
    name: str
    family: str
    model: object
    batch: int
    length: int
    lora: bool = False
    micro_batch: int = 8
    steps: int = 5
    baseline_steps: int = 3
    best: object = at_least(BEST)
    best_is_of: tuple = ("float32", "bfloat16")
    single: object = None
    memory: object = None

    @property
    def command(self):
        return f"jobs/bench/bench.py --only {self.part}"

    @property
    def title(self):
        return f"{self.name}, {self.batch} × {self.length} tokens"

    @property
    def job(self):
        return SECTIONS if self.family == "bert" else LANGUAGE

    def settings(self, file):
        """An epoch over the whole file, as one setting of the model: another part of it could contradict the job's own."""
        head = "head: {pool: cls, classes: 4}, " if self.family == "bert" else ""
        trained = f"lora, lora: {{rank: 8, alpha: 16, targets: [{', '.join(TARGETS[self.family])}]}}" if self.lora else "all"
        return [
            f"data.file={file}", "data.split={validation: 0}", "train.epochs=1", "train.keep=last", f"train.batch={self.batch}",
            f"train.micro_batch={self.micro_batch}", f"model={{huggingface: {json.dumps(str(self.model))}, {head}train: {trained}}}"]

    def plaintext(self, file, log):
        return Plaintext(self.model, [file], log, "--batch", self.batch, *(["--lora", *TARGETS[self.family]] if self.lora else []))


def minilm(bench):
    """All weights of a real checkpoint, 32 × 128 tokens a step."""
    if not has_model(bench, "MiniLM, masked / PyTorch", "jobs/bench/bench.py --only speed"):
        return
    compare(bench, Case(
        "speed", "MiniLM, all weights", "bert", MINILM, batch=32, length=128, steps=6,
        best=at_least({"AMX": 1.8, "AVX512-BF16": 1.3}), best_is_of=("bfloat16",),
        single=at_least({"AMX": 2.0, OTHERS: 1.4}), memory=at_most(0.6)))


def bert_base(bench):
    """Random weights of BERT-base's shape and vocabulary, 16 × 256 tokens a step, all of them and adapters."""
    model = random_model(bench, "bert-base", BERT_BASE, SMALL_BERT)
    for name, lora in (("all weights", False), ("LoRA", True)):
        compare(bench, Case("base", f"BERT-base shape, {name}", "bert", model, batch=16, length=256, lora=lora))


def llama(bench):
    """Adapters on a Llama of random weights, 0.7 G parameters, 4 × 512 tokens a step."""
    model = random_model(bench, "llama-0.7G", LLAMA, SMALL_LLAMA)
    compare(bench, Case(
        "llama", "Llama of 0.7 G parameters, LoRA", "llama", model, batch=4, length=512, lora=True, micro_batch=2, steps=4,
        baseline_steps=2, memory=at_most(0.6)))


def compare(bench, case):
    """Every precision and every mode of PyTorch in turns, each a run of a few steps."""
    if bench.options.quick:
        case = replace(case, batch=4, length=32, micro_batch=2, steps=3, baseline_steps=1)
    file = full_length(bench, case)
    precisions = bench.precisions.usable
    rates = {f"masked {precision}": [] for precision in precisions}
    summaries = {precision: [] for precision in precisions}
    peaks = {}
    with contextlib.ExitStack() as stack:
        # One for each, idle while another is at work, so that each has its own peak of memory.
        trainers = {precision: stack.enter_context(bench.trainer(f"{case.part}-{precision}")) for precision in precisions}
        pytorch = stack.enter_context(case.plaintext(file, bench.folder / f"{case.part}-pytorch.log"))
        modes = pytorch.ready(bench.modes)
        rates |= {mode: [] for mode in modes}
        order = list(rates)
        for number in range(bench.options.transformer_rounds):
            for what in turned(order, number):
                if what in modes:
                    rates[what].append(statistics.median(plaintext_rates(pytorch.steps(what, 0, case.baseline_steps))))
                    continue
                precision = what.removeprefix("masked ")
                run = bench.folder / f"{case.part}-{precision}"
                settings = [*case.settings(file), *bench.precisions.setting(precision)]
                _, summary = run_owner(case.job, run, bench.folder, trainers[precision].endpoint, settings)
                rates[what].append(statistics.median(masked_rates(run, file)))
                summaries[precision].append(summary)
                # Of its first job: what PyTorch's process has done when it is looked at, too.
                peaks.setdefault(f"trainer {precision}", trainers[precision].peak_memory())
                shutil.rmtree(run)
        for precision in precisions:
            peaks[f"owner {precision}"] = max(summary["ownerPeakBytes"] for summary in summaries[precision])
        if pytorch.peak:
            peaks[f"PyTorch {pytorch.peak[0]}"] = pytorch.peak[1]
    report_speed(bench, case, rates, modes, pytorch.left_out)
    report_owner(bench, case, summaries)
    report_memory(bench, case, file, peaks, best_mode(rates, modes))


def report_speed(bench, case, rates, modes, left_out):
    figures = {what: statistics.median(values) for what, values in rates.items()}
    best = best_mode(rates, modes)
    bench.table.add(
        f"{case.title}: masked, both processes", said(figures, [what for what in figures if what not in modes], "masked "), "", None,
        case.command, rates=rates, picture={"kind": "speed", "group": case.title, "bars": figures})
    reasons = "".join(f"; {mode} not measured: {reason}" for mode, reason in left_out.items())
    bench.table.add(f"{case.title}: PyTorch", said(figures, modes) + reasons, "", None, case.command)
    for precision in bench.precisions.usable:
        pairs = rates[f"masked {precision}"]
        if "fp32" in modes:
            single = precision == bench.precisions.single(bench.machine.kind)
            bench.table.ratio(
                f"{case.title}: {precision} / PyTorch fp32 eager", [a / b for a, b in zip(pairs, rates["fp32"])],
                case.single if single else None, case.command)
    measured = [precision for precision in case.best_is_of if precision in bench.precisions.usable]
    ours = max(measured, key=lambda precision: figures[f"masked {precision}"], default=None)
    what = f"{case.title}: {ours or case.best_is_of[0]} / PyTorch at its best"
    if ours:
        bench.table.ratio(f"{what}, {best}", [a / b for a, b in zip(rates[f"masked {ours}"], rates[best])], case.best, case.command)
    else:
        bench.table.not_measured(what, bench.precisions.missing[case.best_is_of[0]], case.best, case.command)


def report_owner(bench, case, summaries):
    """Of whole runs, in which the owner draws keys, masks weights and unmasks them for a few steps only."""
    for precision, found in summaries.items():
        bench.table.ratio(
            f"{case.title}: {precision}, owner CPU / trainer CPU, whole runs of {case.steps} steps", [owner_share(summary) for summary in found],
            None, case.command, unit="")


def report_memory(bench, case, file, peaks, best):
    """PyTorch's peaks are of processes that worked in one mode alone."""
    if f"PyTorch {best}" not in peaks:
        with case.plaintext(file, bench.folder / f"{case.part}-memory.log") as pytorch:
            peaks[f"PyTorch {best}"] = pytorch.steps(best, 0, 0)["peak_bytes"]
    least = min(peak for what, peak in peaks.items() if what.startswith("PyTorch"))
    trainers = {what: peak for what, peak in peaks.items() if what.startswith("trainer")}
    bench.table.add(
        f"{case.title}: peak memory", ", ".join(f"{what} {peak / 1e6:,.0f} MB" for what, peak in peaks.items()), "", None, case.command,
        bytes=peaks, picture={"kind": "memory", "group": case.title, "bars": peaks})
    for what, peak in trainers.items():
        bench.table.ratio(
            f"{case.title}: peak memory, {what} / PyTorch's least of its modes", [peak / least], case.memory, case.command, unit="")


# What they share


def said(figures, names, prefix=""):
    return ", ".join(f"{name.removeprefix(prefix)} {figures[name]:,.0f}" for name in names) + " tokens/s"


def best_mode(rates, modes):
    return max(modes, key=lambda mode: statistics.median(rates[mode]))


def turned(order, number):
    """Another one first each round."""
    first = number % len(order)
    return order[first:] + order[:first]


def masked_rates(run, file):
    """Real tokens a second of each step after the first, or the first two where there are many."""
    with h5py.File(run / "plan.h5") as plan, h5py.File(file) as data:
        lengths = data["attention_mask"][()].sum(1)
        tokens = [int(lengths[batch[batch >= 0]].sum()) for batch in plan["batches"][()]]
    steps = [line for line in map(json.loads, (run / "history.jsonl").read_text().splitlines()) if line["kind"] == "step"]
    if len(steps) != len(tokens):
        raise RuntimeError(f"{run}: {len(steps)} steps in the history, {len(tokens)} in the plan")
    rates = [count / step["seconds"] for count, step in zip(tokens, steps)]
    return rates[2:] if len(rates) > 8 else rates[1:]


def plaintext_rates(answer):
    return [tokens / seconds for tokens, seconds in zip(answer["tokens"], answer["seconds"])]


def owner_share(summary):
    return summary["ownerCPUSeconds"] / summary["trainerCPUSeconds"]


def full_length(bench, case):
    """Samples without padding: no token is wasted on either side."""
    rows = case.batch * case.steps
    path = bench.folder / f"full-{case.family}-{rows}-{case.length}.h5"
    numbers = np.random.default_rng(17)
    with h5py.File(path, "w") as file:
        file["input_ids"] = numbers.integers(1000, vocabulary(case.model), (rows, case.length)).astype(np.int32)
        file["attention_mask"] = np.ones((rows, case.length), np.int32)
        if case.family == "bert":
            file["token_type_ids"] = np.zeros((rows, case.length), np.int32)
            file["labels"] = np.arange(rows) % 4
    return path


def vocabulary(model):
    return json.loads((model / "config.json").read_text())["vocab_size"]


def random_model(bench, name, full, small):
    """Written once and kept: a large one takes a minute."""
    script, options = small if bench.options.quick else full
    folder = bench.models / (f"{name}-small" if bench.options.quick else name)
    if not (folder / "model.safetensors").exists():
        prepare(f"prepare/{script}", folder, *options)
    return folder


def prepare(script, *arguments):
    subprocess.run([sys.executable, ROOT / "jobs" / script, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def has_model(bench, what, command):
    if not (MINILM / "model.safetensors").exists():
        bench.table.add(what, "skipped: `make .cache/minilm/model.safetensors` fetches the model", "", None, command)
        return False
    return True
