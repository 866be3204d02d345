"""Writes families/CASE beside this file: a small checkpoint as transformers saves it, and what transformers computes of it in float64.

Run once with torch and transformers: write_family_fixtures.py [CASE …]. The tests read the files and need no Python. CASE/config.json and
CASE/model.safetensors are the checkpoint, with its head. CASE/reference.json has the padded batch and the losses of ten steps of plain SGD on
it; CASE/reference.safetensors the logits of the samples or of the real tokens, and the gradient of every trained parameter in the first step.

Rows: the first is as long as there is room for, one has a single token, one has the padding id in the middle of its text.
"""

import json
import pathlib
import shutil
import sys

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent / "families"
LENGTHS = [8, 1, 5]
CLASSES, VOCABULARY, STEPS, RATE = 3, 20, 10, 0.1
IGNORED = -100
SIZES = {"vocab_size": VOCABULARY, "num_labels": CLASSES, "tie_word_embeddings": True}
BERT = {
    "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 12,
    "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}
# Name: family, task, settings.
CASES = {
    "bert": ("bert", "classification", BERT),
    "roberta": ("roberta", "classification", {**BERT, "type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    "xlm-roberta-tokens": ("xlm-roberta", "token-classification", {**BERT, "type_vocab_size": 1, "pad_token_id": 2}),
    "camembert": ("camembert", "classification", {**BERT, "type_vocab_size": 1, "hidden_act": "relu"}),
    "distilbert": ("distilbert", "classification", {
        "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12, "max_position_embeddings": 12, "dropout": 0, "attention_dropout": 0,
        "seq_classif_dropout": 0}),
    "distilbert-tokens": ("distilbert", "token-classification", {
        "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 12, "max_position_embeddings": 12, "dropout": 0, "attention_dropout": 0,
        "sinusoidal_pos_embds": True}),
    "electra": ("electra", "classification", {**BERT, "embedding_size": 6}),
    "electra-tokens": ("electra", "token-classification", {**BERT, "num_hidden_layers": 1, "embedding_size": 8}),
}
CLASS = {
    "classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "causal-lm": transformers.AutoModelForCausalLM,
}


def batch(config, task):
    padding = config.pad_token_id
    ids = torch.full((len(LENGTHS), max(LENGTHS)), padding)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, length in enumerate(LENGTHS):
        mask[row, :length] = 1
        for column in range(length):
            id = (3 + row * 7 + column * 5) % VOCABULARY
            ids[row, column] = (id + 1) % VOCABULARY if id == padding else id
            if (row + column) % 4 != 3:
                labels[row, column] = (row + 2 * column) % CLASSES
    if not is_decoder(config):
        ids[2, 2] = padding
    if task == "causal-lm":
        labels = torch.full_like(labels, IGNORED)
        for row, length in enumerate(LENGTHS):
            labels[row, : length - 1] = ids[row, 1:length]
    elif task == "classification":
        labels = torch.tensor([row % CLASSES for row in range(len(LENGTHS))])
    return ids, mask, labels


def is_decoder(config):
    return config.model_type in ("gpt2", "opt", "biogpt")


def randomized(model, seed):
    """Every parameter drawn, so that nothing is 0 or 1 by custom; gains near 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        values = torch.rand(parameter.shape, generator=generator) * 2 - 1
        is_gain = parameter.dim() == 1 and name.endswith("weight")
        scale = 0.3 if parameter.dim() == 1 else 1.2 / parameter.shape[-1] ** 0.5
        parameter.data = (values * scale + is_gain).float()


def trained(model):
    tables = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    return {
        name: parameter for name, parameter in model.named_parameters()
        if id(parameter) not in tables and "embeddings" not in name}


def write(name):
    family, task, settings = CASES[name]
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = transformers.AutoConfig.for_model(family, **{**SIZES, **settings})
    config._attn_implementation = "eager"
    model = CLASS[task].from_config(config)
    randomized(model, seed=list(CASES).index(name))
    model.save_pretrained(folder)
    model = model.double().eval()
    tensors, reference = compute(model, task)
    save_file(tensors, folder / "reference.safetensors")
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")


def compute(model, task):
    ids, mask, labels = batch(model.config, task)
    real = mask.bool()
    parameters = trained(model)
    tensors, losses = {}, []
    for step in range(STEPS):
        model.zero_grad()
        logits = model(input_ids=ids, attention_mask=mask).logits
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            tensors["logits"] = (logits if task == "classification" else logits[real]).detach().clone().contiguous()
            for name, parameter in parameters.items():
                if parameter.grad is not None:
                    tensors[f"gradient/{name}"] = parameter.grad.clone().contiguous()
        with torch.no_grad():
            for parameter in parameters.values():
                if parameter.grad is not None:
                    parameter -= RATE * parameter.grad
    reference = {
        "task": task, "outputs": logits.shape[-1], "ids": ids.tolist(), "mask": mask.tolist(),
        "labels": (labels if task == "classification" else labels[real]).tolist(), "losses": losses, "rate": RATE}
    return tensors, reference


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        write(case)
