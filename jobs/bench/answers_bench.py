"""Deployed models beside plaintext PyTorch, in turns: answers of an encoder to many clients, tokens that a language model generates.

Both are measured at the client, with masking, wire, encryption and unmasking, all on the cores that PyTorch has alone.
"""

import json
import shutil
import statistics
import subprocess

import h5py
import numpy as np

from beside import LLAMA, MINILM, SMALL_LLAMA, best_mode, has_model, plaintext_rates, random_model, turned, vocabulary
from deployed import deploy, encryptor, make_clients, train_minilm, write_tokens
from local import BINARIES, environment
from machine import at_least
from plaintext import EAGER, Plaintext

TOKENS, CLIENTS = 128, 64
PROMPTS, PROMPT_TOKENS, NEW_TOKENS = 8, 64, 32
# A Llama of BERT-base's width, and the larger one that jobs are measured on.
LLAMAS = {
    "0.1 G": ("llama-0.1G", ("random-llama.py", (
        "--width", 768, "--blocks", 12, "--heads", 12, "--key-value-heads", 4, "--hidden", 2048, "--vocabulary", 32000))),
    "0.7 G": ("llama-0.7G", LLAMA),
}


def inference(bench):
    """MiniLM, samples of 128 tokens: 64 clients of one deployment, each with one sample at a time, beside PyTorch, eager, in batches of
    32."""
    command = "jobs/bench/bench.py --only inference"
    if not has_model(bench, "inference, MiniLM / PyTorch", command):
        return
    clients, questions = (4, 1) if bench.options.quick else (CLIENTS, 2)
    names = make_clients(bench.folder / "clients", clients)
    data = bench.folder / "samples.h5"
    write_tokens(data, 64, TOKENS)
    title = f"MiniLM, samples of {TOKENS} tokens, {clients} clients at once"
    with bench.trainer("inference") as trainer, Plaintext(
            MINILM, [baseline_file(bench, data)], bench.folder / "inference-pytorch.log", "--work", "infer") as pytorch:
        deployments = hosted(bench, train_minilm(bench.folder, trainer.endpoint, data), trainer, names, [])

        def ask(folder):
            turns = json.loads(subprocess.run(
                [BINARIES / "benchmarks", "questions", folder, "--keys", bench.folder / "clients", "--data", data, "--clients", str(clients),
                 "--questions", str(questions), "--rounds", "1"], check=True, capture_output=True, text=True, env=environment()).stdout)
            return turns[0]["questions"] * TOKENS / turns[0]["seconds"]

        in_turns(bench, command, title, deployments, ask, pytorch, {"float32": at_least(1.2), "bfloat16": at_least(1.5)})


def generation(bench):
    generate(bench, "0.1 G", "generation")


def large_generation(bench):
    generate(bench, "0.7 G", "large-generation")


def generate(bench, size, part):
    """A Llama of random weights goes on with one prompt, and with eight at once; greedy on both sides, as many tokens."""
    command = f"jobs/bench/bench.py --only {part}"
    name, script = LLAMAS[size]
    model = random_model(bench, name, script, SMALL_LLAMA)
    names = make_clients(bench.folder / "clients", 1)
    with bench.trainer(part) as trainer:
        deployments = hosted(
            bench, model, trainer, names, ["--task", "causal-lm", "--max-tokens", PROMPT_TOKENS + NEW_TOKENS])
        for prompts in (1, PROMPTS):
            data = prompts_file(bench, model, prompts)

            def go_on(folder):
                out = bench.folder / "texts.h5"
                out.unlink(missing_ok=True)
                report = json.loads(encryptor(
                    "generate", folder / "clients" / names[0], "--keys", bench.folder / "clients" / names[0], "--prompts", data, "--out", out,
                    "--max-tokens", NEW_TOKENS, "--temperature", 0, "--json"))
                return report["tokensGenerated"] / report["seconds"]

            title = f"Llama of {size} parameters, {prompts} prompt{'s' if prompts > 1 else ''} of {PROMPT_TOKENS} tokens, {NEW_TOKENS} generated"
            log = bench.folder / f"{part}-pytorch.log"
            with Plaintext(model, [data], log, "--work", "generate", "--batch", prompts, "--tokens", NEW_TOKENS) as pytorch:
                in_turns(
                    bench, command, title, deployments, go_on, pytorch, {"float32": at_least(1), "bfloat16": at_least(1)}, same_type=True)
    # Copies of the model.
    shutil.rmtree(bench.folder / f"store-{part}", ignore_errors=True)


def in_turns(bench, command, title, deployments, ask, pytorch, bars, same_type=False):
    """`ask` returns the tokens a second of a deployment. Beside PyTorch's fp32, and for bfloat16 its best, or its bf16 where the types are
    to be the same."""
    modes = pytorch.ready(EAGER)
    rates = {f"masked {precision}": [] for precision in deployments} | {mode: [] for mode in modes}
    for number in range(bench.options.transformer_rounds):
        for what in turned(list(rates), number):
            if what in modes:
                rates[what].append(statistics.median(plaintext_rates(pytorch.steps(what, 0, 2))))
            else:
                rates[what].append(ask(deployments[what.removeprefix("masked ")]))
    figures = {what: statistics.median(values) for what, values in rates.items()}
    reasons = "".join(f"; {mode} not measured: {reason}" for mode, reason in pytorch.left_out.items())
    bench.table.add(
        f"{title}", ", ".join(f"{what} {figure:,.0f}" for what, figure in figures.items()) + " tokens/s" + reasons, "", None, command,
        rates=rates, picture={"kind": "speed", "group": title, "bars": figures})
    for precision, bar in bars.items():
        other = "fp32" if precision == "float32" else "bf16" if same_type else best_mode(rates, modes)
        what = f"{title}: {precision} / PyTorch {other}"
        if precision not in deployments:
            bench.table.not_measured(what, bench.precisions.missing.get(precision, "not built: deploy has no --precision"), bar, command)
        elif other not in rates:
            bench.table.not_measured(what, f"PyTorch {other}: {pytorch.left_out[other]}", bar, command)
        else:
            bench.table.ratio(what, [a / b for a, b in zip(rates[f"masked {precision}"], rates[other])], bar, command)


def hosted(bench, model, trainer, names, options):
    """A deployment for each precision that deployments have."""
    found = {}
    for precision in bench.precisions.usable:
        try:
            chosen = bench.precisions.deployed(precision)
        except RuntimeError:
            continue
        folder = bench.folder / f"deployment-{model.name}-{precision}"
        shutil.rmtree(folder, ignore_errors=True)
        deploy(model, bench.folder, trainer.endpoint, folder, names, [str(option) for option in (*options, *chosen)])
        found[precision] = folder
    return found


def baseline_file(bench, data):
    """The same samples with the column of labels named as PyTorch's side reads it."""
    path = bench.folder / "samples-labelled.h5"
    with h5py.File(data) as source, h5py.File(path, "w") as file:
        for name in ("input_ids", "attention_mask", "token_type_ids"):
            file[name] = source[name][()]
        file["labels"] = source["y"][()]
    return path


def prompts_file(bench, model, prompts):
    path = bench.folder / f"prompts-{prompts}.h5"
    ids = np.random.default_rng(23).integers(1000, vocabulary(model), (prompts, PROMPT_TOKENS)).astype(np.int32)
    with h5py.File(path, "w") as file:
        file["input_ids"], file["attention_mask"] = ids, np.ones_like(ids)
    return path
