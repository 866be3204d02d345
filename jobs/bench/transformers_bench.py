"""The transformer rows of the table that need no PyTorch, or little: what masking adds, the section task, the wire, several ranks.

Wall times of `masked / strength: none` are of whole runs, start-up and export included.
"""

import json
import math
import re
import statistics
import subprocess

from beside import (
    MINILM, SECTIONS, TARGETS, Case, best_mode, full_length, has_model, masked_rates, owner_share, plaintext_rates, prepare)
from local import ROOT, fresh, kept_metric, make_keys, run_owner
from machine import at_least, at_most
from plaintext import Plaintext

# The 97.5 % quantile of Student's t with four degrees of freedom: for the mean of five owners' keys.
KEYS, QUANTILE = 5, 2.776


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
                SECTIONS, bench.folder / f"sections-{strength}", bench.folder, trainer.endpoint, [*settings, f"masking.strength={strength}"])
        peak = trainer.peak_memory()
        half = "bfloat16" in bench.precisions.usable and run_owner(
            SECTIONS, bench.folder / "sections-bfloat16", bench.folder, trainer.endpoint, [*settings, *bench.precisions.setting("bfloat16")])[1]
    masked, plain = found["rotation"][1], found["none"][1]
    bench.metric("section task, two epochs, accuracy", "accuracy", masked, plain, (0.88, 1), command)
    share = owner_share(masked)
    bench.table.add(
        "section task, owner CPU / trainer CPU", f"{share:.3f}", "≤ 0.05", share <= 0.05, command,
        owner_cpu_seconds=masked["ownerCPUSeconds"], trainer_cpu_seconds=masked["trainerCPUSeconds"], trainer_peak_bytes=peak)
    rates = masked_rates(bench.folder / "sections-rotation", bench.pubmed)
    with Plaintext(MINILM, [bench.pubmed], bench.folder / "sections-pytorch.log") as pytorch:
        modes = pytorch.ready(bench.modes)
        padded = {mode: plaintext_rates(pytorch.steps(mode, 0, 6)) for mode in modes}
    best = best_mode(padded, modes)
    rate, figures = statistics.median(rates), {mode: statistics.median(values) for mode, values in padded.items()}
    bench.table.add(
        "section task, real tokens only, masked", f"{rate:,.0f} tokens/s", "", None, command, pytorch_padded=figures)
    bench.table.add(
        f"the same / PyTorch on padded batches, its best, {best}", f"{rate / figures[best]:.2f} ×", "", None, command)
    what = "section task, bfloat16, owner CPU / trainer CPU"
    if half:
        bench.table.ratio(what, [owner_share(half)], at_most(0.05), command, unit="")
    else:
        bench.table.not_measured(what, bench.precisions.missing["bfloat16"], at_most(0.05), command)


def five_keys(bench):
    """The section task with the keys of five owners, which decide batches and starting weights, by precision, masked beside unmasked."""
    command = "PUBMED=FILE jobs/bench/bench.py --only five-keys"
    if not has_model(bench, "five owners' keys", command) or not has_pubmed(bench, "five owners' keys", command):
        return
    values = {}
    for number in range(KEYS):
        keys = fresh(bench.folder / f"keys-{number}")
        make_keys(keys)
        with bench.trainer(f"five-keys-{number}", keys) as trainer:
            for precision in bench.precisions.usable:
                for strength in ("rotation", "none"):
                    _, summary = run_owner(
                        SECTIONS, bench.folder / "five-keys", keys, trainer.endpoint,
                        [f"data.file={bench.pubmed}", f"masking.strength={strength}", *bench.precisions.setting(precision)])
                    values.setdefault((precision, strength), []).append(kept_metric(summary, "accuracy"))
    plain = statistics.mean(values["float32", "rotation"])
    for precision in ("float32", "bfloat16x3", "bfloat16"):
        what = f"section task, {precision}, accuracy, mean of {KEYS} owners' keys"
        if precision not in bench.precisions.usable:
            bench.table.not_measured(what, bench.precisions.missing[precision], None, command)
            continue
        masked, unmasked = values[precision, "rotation"], values[precision, "none"]
        mean = statistics.mean(masked)
        bench.table.add(
            what, f"{mean:.4f} ({min(masked):.4f}–{max(masked):.4f})", "" if precision == "float32" else "within 0.004 of float32's",
            None if precision == "float32" else abs(mean - plain) <= 0.004, command, masked=masked, unmasked=unmasked)
        differences = [a - b for a, b in zip(masked, unmasked)]
        interval = QUANTILE * statistics.stdev(differences) / math.sqrt(KEYS)
        difference = statistics.mean(differences)
        bench.table.add(
            f"{what}, masked − unmasked", f"{difference:+.4f} ± {interval:.4f}", "0 within its interval (95 %)", abs(difference) <= interval,
            command, differences=differences)


def wire(bench):
    """Bytes of rows, outputs and gradients: what a second epoch of the same rows adds to both directions. An encoder's tokens go anew each
    epoch, in another order."""
    command = "jobs/bench/bench.py --only wire"
    bar = at_most(0.51)
    if not has_model(bench, "rows, outputs and gradients on the wire", command):
        return
    case = Case("wire", "MiniLM", "bert", MINILM, batch=8, length=128, steps=2)
    file = full_length(bench, case)
    added = {}
    with bench.trainer("wire") as trainer:
        for precision in bench.precisions.usable:
            found = []
            for epochs in (1, 2):
                settings = [*case.settings(file), f"train.epochs={epochs}", *bench.precisions.setting(precision)]
                _, summary = run_owner(SECTIONS, bench.folder / "wire", bench.folder, trainer.endpoint, settings)
                found.append(summary["bytesSent"] + summary["bytesReceived"])
            added[precision] = found[1] - found[0]
    rows = case.batch * case.steps
    bench.table.add(
        f"MiniLM, {rows} samples of {case.length} tokens: rows, outputs and gradients on the wire",
        ", ".join(f"{precision} {bytes_ / 1e6:.2f} MB" for precision, bytes_ in added.items())
        + f"; rows as plain float32 {rows * case.length * 384 * 4 / 1e6:.2f} MB", "", None, command, bytes=added)
    if "bfloat16" in added:
        bench.table.ratio("the same, bfloat16 / float32", [added["bfloat16"] / added["float32"]], bar, command, unit="")
    else:
        bench.table.not_measured("the same, bfloat16 / float32", bench.precisions.missing["bfloat16"], bar, command)


def ranks(bench):
    """Two ranks of a thread beside one, and beside what two jobs that share nothing would have left if they waited for each other."""
    command = "PUBMED=FILE jobs/bench/bench.py --only ranks   (jobs/bench/ranks.sh FILE 2 3)"
    if not has_model(bench, "two ranks / one", command) or not has_pubmed(bench, "two ranks / one", command):
        return
    if not (ROOT / ".build-mpi" / "release" / "trainer").exists():
        bench.table.not_measured("two ranks / one", "skipped: `make mpi` builds the trainer for it", at_least(0.97, ""), command)
        return
    output = subprocess.run(
        [ROOT / "jobs/bench/ranks.sh", bench.pubmed, "2", str(bench.options.transformer_rounds)], check=True, stdout=subprocess.PIPE,
        text=True).stdout
    found = [tuple(map(float, match)) for match in re.findall(r"1 x 1: ([\d.]+);.*?at once / 1: ([\d.]+), in lockstep ([\d.]+)", output)]
    bench.table.ratio("MiniLM, 2 ranks × 1 thread / 1 rank × 1 thread", [across for across, _, _ in found], None, command)
    bench.table.ratio(
        "the same / what two jobs at once would have in lockstep", [across / lockstep for across, _, lockstep in found], at_least(0.97, ""),
        command, unit="", lines=output.splitlines())


# What they share


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
    return SECTIONS, MINILM, [f"data.file={file}"]


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
    lora = f", lora: {{rank: 8, alpha: 16, targets: [{', '.join(TARGETS[family])}]}}" if part == "lora" else ""
    return f"model={{huggingface: {json.dumps(str(folder))}, {head}train: {part}{lora}}}"


def has_pubmed(bench, what, command):
    if not bench.pubmed:
        bench.table.add(what, "skipped: set PUBMED=FILE", "", None, command)
    return bool(bench.pubmed)
