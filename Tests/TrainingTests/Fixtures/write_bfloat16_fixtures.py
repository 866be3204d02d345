"""Writes bfloat16.json beside this file: how far PyTorch's bfloat16 autocast strays from its own float64 twin.

Run once with torch, transformers and peft; the tests read the file and need no Python. Each run is a small model with weights
from a formula (`noise`, the same in the tests), trained for 50 steps on one padded batch whose embeddings are `noise`, too:
once with weights and arithmetic in float64, once with float32 weights under `torch.autocast("cpu", torch.bfloat16)`, the loss
in float32. Attention is PyTorch's own (`scaled_dot_product_attention`), which keeps scores in float32.

Recorded is sqrt(sum |w - w64|^2) over all trained parameters, and how far w64 itself has moved.
"""

import json
import math
import pathlib

import peft
import torch
import torch.nn.functional as F
import transformers
from transformers.models.llama import modeling_llama

torch.set_num_threads(1)
here = pathlib.Path(__file__).parent
LENGTHS = [7, 1, 12, 5, 9, 12, 3, 10]
CLASSES, VOCABULARY, STEPS, WIDTH = 3, 50, 50, 64
SETTINGS = {
    "sgd": {"learningRate": 0.02, "momentum": 0.9, "weightDecay": 0.01},
    "adamw": {"learningRate": 0.001, "momentum": 0.0, "weightDecay": 0.01},
    "muon": {"learningRate": 0.005, "momentum": 0.95, "weightDecay": 0.01},
}


def noise(count, seed):
    """Numbers in -1 ... 1 from Knuth's multiplicative generator; exact in double precision."""
    state = (seed * 0x9E3779B97F4A7C15 & (1 << 64) - 1) | 1
    values = []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        values.append((state >> 11) / (1 << 52) - 1)
    return values


# The published code computes some steps in float32 whatever the weights are; the float64 twin does not.
plain_rotary, plain_norm = modeling_llama.LlamaRotaryEmbedding.forward, modeling_llama.LlamaRMSNorm.forward


def rotary(self, x, position_ids):
    if x.dtype != torch.float64:
        return plain_rotary(self, x, position_ids)
    frequencies = torch.tensor([10_000 ** (-2 * i / 16) for i in range(8)], dtype=torch.float64)
    angles = position_ids[:, :, None] * frequencies
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def norm(self, x):
    if x.dtype != torch.float64:
        return plain_norm(self, x)
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


modeling_llama.LlamaRotaryEmbedding.forward = rotary
modeling_llama.LlamaRMSNorm.forward = norm


def plain(name):
    """PEFT's names without what it wraps around them."""
    for part in ["base_model.model.", ".base_layer", ".default", ".modules_to_save", ".original_module"]:
        name = name.replace(part, "")
    return name


def formulas(model, first_seed):
    result = {}
    for seed, name in enumerate(sorted({plain(name) for name, _ in model.named_parameters()})):
        parameter = next(p for n, p in model.named_parameters() if plain(n) == name)
        is_gain = "norm" in name.lower() and name.endswith("weight")
        if is_gain:
            formula = {"offset": 1, "scale": 0 if model.config.model_type == "llama" else 0.25}
        elif parameter.dim() == 1:
            formula = {"offset": 0, "scale": 0.25}
        else:
            formula = {"offset": 0, "scale": 1.5 / parameter.shape[1] ** 0.5}
        result[name] = {"seed": first_seed + seed, **formula}
    return result


def newton_schulz(u):
    x = u / (u.norm() + 1e-7)
    if u.shape[0] > u.shape[1]:
        x = x.T
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if u.shape[0] > u.shape[1] else x


class Muon:
    """As in write_fixtures.py; vectors take the direction as it is."""

    def __init__(self, parameters, lr, momentum, weight_decay):
        self.parameters, self.lr, self.mu, self.decay, self.buffers = parameters, lr, momentum, weight_decay, {}

    @torch.no_grad()
    def step(self):
        for number, w in enumerate(self.parameters):
            buffer = self.mu * self.buffers.get(number, torch.zeros_like(w)) + w.grad
            self.buffers[number] = buffer
            u, scale = w.grad + self.mu * buffer, 1.0
            if w.dim() == 2:
                u, scale = newton_schulz(u), 0.2 * math.sqrt(max(w.shape))
            w -= self.lr * (scale * u + self.decay * w)


def train(build, kind, first_seed, dtype, autocast):
    model = build().to(dtype).eval()
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    is_bert, is_adapted = base.config.model_type == "bert", base is not model
    recipe = formulas(model, first_seed)
    trained = {}
    for name, parameter in model.named_parameters():
        formula = recipe[plain(name)]
        values = torch.tensor(noise(parameter.numel(), formula["seed"]), dtype=torch.float64).reshape(parameter.shape)
        parameter.data = (formula["offset"] + formula["scale"] * values).to(dtype)
        is_outside = "embed" in name or (not is_bert and "norm" in name)
        is_frozen = is_adapted and not ("lora_" in name or ".modules_to_save." in name)
        parameter.requires_grad_(not (is_outside or is_frozen))
        if parameter.requires_grad:
            trained[plain(name)] = parameter
    start = {name: parameter.detach().double().clone() for name, parameter in trained.items()}
    width = max(LENGTHS)
    rows = torch.tensor(noise(sum(LENGTHS) * WIDTH, first_seed + 500), dtype=torch.float64).reshape(-1, WIDTH) * 1.7
    embedded, mask, row = torch.zeros(len(LENGTHS), width, WIDTH, dtype=dtype), torch.zeros(len(LENGTHS), width), 0
    for sample, length in enumerate(LENGTHS):
        embedded[sample, :length] = rows[row:row + length].to(dtype)
        mask[sample, :length] = 1
        row += length
    # Llama finds a sample's last token by the padding id.
    ids = torch.where(mask.bool(), 1, 0)
    labels = torch.tensor([sample % CLASSES for sample in range(len(LENGTHS))])
    if is_bert:
        base.bert.embeddings.forward = lambda *_, **__: embedded
    else:
        base.model.embed_tokens.forward = lambda *_: embedded
    parameters, settings = list(trained.values()), SETTINGS[kind]
    if kind == "sgd":
        optimizer = torch.optim.SGD(
            parameters, lr=settings["learningRate"], momentum=settings["momentum"],
            weight_decay=settings["weightDecay"])
    elif kind == "adamw":
        optimizer = torch.optim.AdamW(
            parameters, lr=settings["learningRate"], weight_decay=settings["weightDecay"])
    else:
        optimizer = Muon(parameters, settings["learningRate"], settings["momentum"], settings["weightDecay"])
    losses = []
    for _ in range(STEPS):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            logits = model(input_ids=ids, attention_mask=mask.long()).logits
        loss = F.cross_entropy(logits if dtype == torch.float64 else logits.float(), labels)
        loss.backward()
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        losses.append(loss.item())
    return {name: parameter.detach().double() for name, parameter in trained.items()}, start, losses, recipe


def distance(left, right):
    return math.sqrt(sum(float(((left[name] - right[name]) ** 2).sum()) for name in left))


def bert():
    return transformers.BertForSequenceClassification(transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=16, hidden_dropout_prob=0, attention_probs_dropout_prob=0, num_labels=CLASSES,
        pad_token_id=0, attn_implementation="sdpa"))


def llama():
    return transformers.LlamaForSequenceClassification(transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=96, max_position_embeddings=16, num_labels=CLASSES, pad_token_id=0, rms_norm_eps=1e-5,
        tie_word_embeddings=False, attn_implementation="sdpa"))


def adapted():
    return peft.get_peft_model(bert(), peft.LoraConfig(
        task_type="SEQ_CLS", r=4, lora_alpha=8, target_modules=["query", "value"], lora_dropout=0))


runs = []
for name, build in [("bert", bert), ("llama", llama), ("lora", adapted)]:
    for kind in SETTINGS:
        for first_seed in [2000, 4000, 6000]:
            exact, start, losses, recipe = train(build, kind, first_seed, torch.float64, False)
            half, _, half_losses, _ = train(build, kind, first_seed, torch.float32, True)
            single, _, _, _ = train(build, kind, first_seed, torch.float32, False)
            runs.append({
                "name": name, "kind": kind, "inputSeed": first_seed + 500, **SETTINGS[kind], "losses": losses,
                "movement": distance(exact, start), "distance": distance(half, exact),
                "singleDistance": distance(single, exact), "weights": recipe,
            })
            last = runs[-1]
            print(name, kind, first_seed, losses[0], losses[-1], half_losses[-1], last["movement"], last["distance"],
                  last["singleDistance"], flush=True)
(here / "bfloat16.json").write_text(
    json.dumps({"lengths": LENGTHS, "classes": CLASSES, "width": WIDTH, "runs": runs}) + "\n")
