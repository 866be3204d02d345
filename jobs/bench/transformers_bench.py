"""The transformer rows of the table: speed beside PyTorch, what masking adds, memory, the section task.

Speeds exclude start-up on both sides: tokens of a step over its seconds, the median of all steps after the first two of a run, which a
compiler or an allocator may still be busy with. A masked run's seconds are those of history.jsonl, from one applied step to the next: both
processes, the wire and its encryption. Wall times of `masked / strength: none` are of whole runs, start-up and export included.
"""

import json
import statistics
import subprocess
import sys

import h5py
import numpy as np

from local import ROOT, run_owner
from plaintext import Plaintext

BATCH, LENGTH = 32, 128
MINILM = ROOT / ".cache" / "minilm"
JOB = ROOT / "jobs" / "pubmed-minilm.yaml"
TARGETS = {"bert": "[query, value]", "llama": "[q_proj, v_proj]"}


def speed(bench):
    """MiniLM, 32 samples of 128 real tokens a step, beside the same step in PyTorch, in turn."""
    command = "jobs/bench/bench.py --only speed"
    if not has_model(bench, "MiniLM, masked / PyTorch", command):
        return
    file = full_length(bench, rows=12 * BATCH)
    with bench.trainer("speed") as trainer, Plaintext(MINILM, [file], bench.folder / "speed-pytorch.log") as pytorch:
        modes = pytorch.ready()
        rates = {mode: [] for mode in ("masked", *modes)}
        for number in range(bench.options.transformer_rounds):
            order = list(rates)
            for mode in order[number % len(order) :] + order[: number % len(order)]:
                if mode == "masked":
                    run = bench.folder / "speed"
                    run_owner(JOB, run, bench.folder, trainer.endpoint, whole_file(file))
                    rates[mode].append(statistics.median(masked_rates(run, file)))
                else:
                    rates[mode].append(statistics.median(plaintext_rates(pytorch.steps(mode, 0, 6))))
    figures = {mode: statistics.median(values) for mode, values in rates.items()}
    best = max(modes, key=figures.get)
    bench.table.add(
        f"MiniLM, {BATCH} × {LENGTH} tokens, masked, both processes", f"{figures['masked']:,.0f} tokens/s", "", None, command, rates=rates)
    for what, mode, bar in (("fp32 eager", "fp32", 2.0), (f"its best, {best}", best, 1.0)):
        ratio = statistics.median(a / b for a, b in zip(rates["masked"], rates[mode]))
        bench.table.add(
            f"the same / PyTorch {what} ({figures[mode]:,.0f} tokens/s)", f"{ratio:.2f} ×", f"≥ {bar:.1f} ×", ratio >= bar, command)


def overhead(bench):
    """Wall time of whole masked runs over the same with strength none."""
    command = "jobs/bench/bench.py --only overhead"
    cases = {"llama": llama_case(bench)}
    if has_model(bench, "MiniLM, masked / strength: none", command) and has_pubmed(bench, "MiniLM, masked / strength: none", command):
        cases = {"bert": bert_case(bench)} | cases
    for family, (job, folder, settings) in cases.items():
        for part in ("all", "lora"):
            chosen = [*settings, model_setting(family, folder, part)]
            with bench.trainer(f"overhead-{family}-{part}") as trainer:
                runs = in_turn(bench, job, trainer, f"overhead-{family}-{part}", chosen)
            for strength in ("rotation", "permutation"):
                ratios = [a / b for (a, _), (b, _) in zip(runs[strength], runs["none"])]
                ratio = statistics.median(ratios)
                bench.table.add(
                    f"{family}, train {part}, {strength} / strength: none, wall time", f"{ratio:.3f}", "≤ 1.03", ratio <= 1.03, command,
                    ratios=ratios, **{f"{name}_seconds": [seconds for seconds, _ in runs[name]] for name in (strength, "none")},
                    owner_share=[owner_share(summary) for _, summary in runs[strength]])


def memory(bench):
    """Peaks of processes that did three steps and nothing else."""
    command = "jobs/bench/bench.py --only memory"
    if not has_model(bench, "peak memory, trainer / PyTorch", command):
        return
    file = full_length(bench, rows=3 * BATCH)
    with bench.trainer("memory") as trainer:
        run_owner(JOB, bench.folder / "memory", bench.folder, trainer.endpoint, whole_file(file))
        masked = trainer.peak_memory()
    peaks = {}
    for mode in ("fp32", "bf16"):
        with Plaintext(MINILM, [file], bench.folder / "memory-pytorch.log") as pytorch:
            peaks[mode] = pytorch.steps(mode, 0, 1)["peak_bytes"]
    ratio = masked / peaks["fp32"]
    bench.table.add(
        f"peak memory, {BATCH} × {LENGTH} tokens: trainer {masked / 1e6:.0f} MB / PyTorch fp32 {peaks['fp32'] / 1e6:.0f} MB",
        f"{ratio:.2f}", "≤ 0.6", ratio <= 0.6, command, trainer_bytes=masked, pytorch_bytes=peaks)


def sections(bench):
    """The section task as written, two epochs, masked beside unmasked; what the owner spends; real lengths beside padded PyTorch."""
    command = "PUBMED=FILE jobs/bench/bench.py --only sections"
    if not has_model(bench, "section task", command) or not has_pubmed(bench, "section task", command):
        return
    settings = [f"data.file={bench.pubmed}"]
    found = {}
    with bench.trainer("sections") as trainer:
        for strength in ("rotation", "none"):
            found[strength] = run_owner(
                JOB, bench.folder / f"sections-{strength}", bench.folder, trainer.endpoint, [*settings, f"masking.strength={strength}"])
        peak = trainer.peak_memory()
    masked, plain = found["rotation"][1], found["none"][1]
    bench.metric("section task, two epochs, accuracy", "accuracy", masked, plain, (0.88, 1), command)
    share = owner_share(masked)
    bench.table.add(
        "section task, owner CPU / trainer CPU", f"{share:.3f}", "≤ 0.05", share <= 0.05, command,
        owner_cpu_seconds=masked["ownerCPUSeconds"], trainer_cpu_seconds=masked["trainerCPUSeconds"], trainer_peak_bytes=peak)
    rates = masked_rates(bench.folder / "sections-rotation", bench.pubmed)
    with Plaintext(MINILM, [bench.pubmed], bench.folder / "sections-pytorch.log") as pytorch:
        padded = {mode: statistics.median(plaintext_rates(pytorch.steps(mode, 0, 6))) for mode in pytorch.ready()}
    best = max(padded, key=padded.get)
    rate = statistics.median(rates)
    bench.table.add(
        "section task, real tokens only, masked", f"{rate:,.0f} tokens/s", "", None, command, pytorch_padded=padded)
    bench.table.add(
        f"the same / PyTorch on padded batches, fp32 and its best, {best}", f"{rate / padded['fp32']:.2f} ×, {rate / padded[best]:.2f} ×",
        "", None, command)


# What they share


def masked_rates(run, file):
    """Real tokens a second of each step after the first two."""
    with h5py.File(run / "plan.h5") as plan, h5py.File(file) as data:
        lengths = data["attention_mask"][()].sum(1)
        tokens = [int(lengths[batch[batch >= 0]].sum()) for batch in plan["batches"][()]]
    steps = [line for line in map(json.loads, (run / "history.jsonl").read_text().splitlines()) if line["kind"] == "step"]
    if len(steps) != len(tokens):
        raise RuntimeError(f"{run}: {len(steps)} steps in the history, {len(tokens)} in the plan")
    return [count / step["seconds"] for count, step in zip(tokens, steps)][2:]


def plaintext_rates(answer):
    return [tokens / seconds for tokens, seconds in zip(answer["tokens"], answer["seconds"])]


def owner_share(summary):
    return summary["ownerCPUSeconds"] / summary["trainerCPUSeconds"]


def in_turn(bench, job, trainer, name, settings):
    """Runs of each strength, another one first each round; one round ahead warms the file cache."""
    runs = {"rotation": [], "permutation": [], "none": []}
    for number in range(bench.options.transformer_rounds + 1):
        order = list(runs)
        for strength in order[number % 3 :] + order[: number % 3]:
            found = run_owner(
                job, bench.folder / f"{name}-{strength}", bench.folder, trainer.endpoint, [*settings, f"masking.strength={strength}"])
            if number:
                runs[strength].append(found)
    return runs


def bert_case(bench):
    """Forty steps of the section task."""
    file = bench.folder / "pubmed-640.h5"
    prepare("replay/subset.py", bench.pubmed, file, "--by", "abstract", "--modulo", "5", "--equals", "4", "--training", "640")
    return JOB, MINILM, [f"data.file={file}"]


def llama_case(bench):
    """A random Llama of a size where its layers count, on bytes of the documents."""
    model, file = bench.folder / "llama", bench.folder / "bytes.h5"
    prepare(
        "prepare/random-llama.py", model, "--width", "384", "--blocks", "6", "--heads", "12", "--key-value-heads", "4", "--hidden", "1024")
    texts = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("keys-and-privacy", "transformers", "operations", "cluster"))]
    prepare("prepare/byte-tokens.py", *texts, file, "--length", "128")
    return ROOT / "jobs" / "llama-lora.yaml", model, [f"data.file={file}", "train.epochs=6", "train.batch=16", "train.micro_batch=8"]


def model_setting(family, folder, part):
    """The job's whole section on the model: one key of it could contradict what another run of the case wants."""
    head = "head: {pool: cls, classes: 4}, " if family == "bert" else ""
    lora = f", lora: {{rank: 8, alpha: 16, targets: {TARGETS[family]}}}" if part == "lora" else ""
    return f"model={{huggingface: {json.dumps(str(folder))}, {head}train: {part}{lora}}}"


def prepare(script, *arguments):
    subprocess.run([sys.executable, ROOT / "jobs" / script, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def full_length(bench, rows):
    """Samples without padding: no token is wasted on either side."""
    path = bench.folder / f"full-{rows}.h5"
    numbers = np.random.default_rng(17)
    with h5py.File(path, "w") as file:
        file["input_ids"] = numbers.integers(1000, 30000, (rows, LENGTH)).astype(np.int32)
        file["attention_mask"] = np.ones((rows, LENGTH), np.int32)
        file["token_type_ids"] = np.zeros((rows, LENGTH), np.int32)
        file["labels"] = np.arange(rows) % 4
    return path


def whole_file(path):
    """Settings that make the section task's job an epoch over all rows of another file."""
    return [f"data.file={path}", "data.split={validation: 0}", "train.epochs=1", "train.keep=last"]


def has_model(bench, what, command):
    if not (MINILM / "model.safetensors").exists():
        bench.table.add(what, "skipped: `make .cache/minilm/model.safetensors` fetches the model", "", None, command)
        return False
    return True


def has_pubmed(bench, what, command):
    if not bench.pubmed:
        bench.table.add(what, "skipped: set PUBMED=FILE", "", None, command)
    return bool(bench.pubmed)
