"""Writes transformers.json and transformers.safetensors beside this file: what Hugging Face's models compute in float64.

Run once with torch, transformers and peft; the tests read the files and need no Python. Each case is a tiny model with
weights from a formula (`noise`, the same in the tests), a padded batch, and what came of it: logits of the real tokens or
samples, the loss, the gradient of every trained parameter, and the losses of ten steps of plain SGD on that batch.

The published modelling code computes rotary angles, RMSNorm, the softmax and losses in float32 whatever the weights are; those
four are replaced by the same formulas in float64.
"""

import json
import pathlib

import peft
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from transformers.models.llama import modeling_llama

torch.set_default_dtype(torch.float64)
here = pathlib.Path(__file__).parent
LENGTHS = [7, 1, 12, 5]
CLASSES, VOCABULARY, STEPS, RATE = 3, 50, 10, 0.1
IGNORED = -100


def noise(count, seed):
    """Numbers in -1 ... 1 from Knuth's multiplicative generator; exact in double precision."""
    state = (seed * 0x9E3779B97F4A7C15 & (1 << 64) - 1) | 1
    values = []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        values.append((state >> 11) / (1 << 52) - 1)
    return values


def rotary(self, x, position_ids):
    angles = position_ids[:, :, None] * self.frequencies
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


softmax = F.softmax
F.softmax = lambda x, dim=None, dtype=None, **_: softmax(x, dim=dim)
modeling_llama.LlamaRotaryEmbedding.forward = rotary
modeling_llama.LlamaRMSNorm.forward = norm


def set_weights(model):
    """Sets every parameter by its formula; returns how, by name."""
    formulas = {}
    for seed, (name, parameter) in enumerate(sorted(model.named_parameters())):
        is_gain = "norm" in name.lower() and name.endswith("weight")
        if is_gain and model.config.model_type == "llama":
            formula = {"offset": 1, "scale": 0}
        elif is_gain:
            formula = {"offset": 1, "scale": 0.25}
        elif parameter.dim() == 1:
            formula = {"offset": 0, "scale": 0.25}
        else:
            formula = {"offset": 0, "scale": 1.5 / parameter.shape[1] ** 0.5}
        values = torch.tensor(noise(parameter.numel(), 1000 + seed)).reshape(parameter.shape)
        parameter.data = formula["offset"] + formula["scale"] * values
        formulas[name] = {"seed": 1000 + seed, **formula}
    return formulas


def plain(name):
    """PEFT's names without what it wraps around them."""
    for part in ["base_model.model.", ".base_layer", ".default", ".modules_to_save", ".original_module"]:
        name = name.replace(part, "")
    return name


def case(name, model, pooling, tensors, frequencies=None, adaptation=None):
    model = model.double().eval()
    formulas = set_weights(model)
    config = model.config
    trained = {}
    for parameter_name, parameter in model.named_parameters():
        is_embedding = "embed" in parameter_name
        is_folded = config.model_type == "llama" and "norm" in parameter_name
        is_frozen = adaptation is not None and not (
            "lora_" in parameter_name or ".modules_to_save." in parameter_name)
        parameter.requires_grad_(not (is_embedding or is_folded or is_frozen))
        if parameter.requires_grad:
            trained[parameter_name] = parameter
    base = model.get_base_model() if adaptation else model
    if frequencies is not None:
        base.model.rotary_emb.frequencies = torch.tensor(frequencies)
    width = max(LENGTHS)
    ids = torch.full((len(LENGTHS), width), config.pad_token_id)
    mask = torch.zeros(len(LENGTHS), width, dtype=torch.long)
    labels = torch.full((len(LENGTHS), width), IGNORED)
    for row, length in enumerate(LENGTHS):
        for position in range(length):
            # Never the padding id, 0, from which Hugging Face's Llama finds a sample's last token.
            ids[row, position] = 1 + (row * 31 + position * 17) % (VOCABULARY - 1)
            if (row + position) % 4 != 3:
                labels[row, position] = (row + 2 * position) % CLASSES
        mask[row, :length] = 1
    if name.startswith("llama-causal"):
        labels = torch.full_like(labels, IGNORED)
        for row, length in enumerate(LENGTHS):
            labels[row, :length - 1] = ids[row, 1:length]
    if pooling != "none":
        labels = torch.tensor([row % CLASSES for row in range(len(LENGTHS))])
    real = mask.bool()

    def run():
        if pooling == "mean":
            hidden = base.bert(input_ids=ids, attention_mask=mask).last_hidden_state
            average = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            logits = base.classifier(average)
        else:
            logits = model(input_ids=ids, attention_mask=mask).logits
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=IGNORED)
        return logits[real] if pooling == "none" else logits, loss

    with torch.no_grad():
        if config.model_type == "bert":
            embedded = base.bert.embeddings(input_ids=ids)
        else:
            embedded = base.model.embed_tokens(ids)
    tensors[f"{name}/inputs"] = embedded[real]
    losses = []
    for step in range(STEPS):
        model.zero_grad()
        logits, loss = run()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            tensors[f"{name}/logits"] = logits.detach().clone()
            for parameter_name, parameter in trained.items():
                if parameter.grad is not None:
                    tensors[f"{name}/{plain(parameter_name)}"] = parameter.grad.clone()
        with torch.no_grad():
            for parameter in trained.values():
                if parameter.grad is not None:
                    parameter -= RATE * parameter.grad
    return {
        "name": name,
        "lengths": LENGTHS,
        "labels": (labels[real] if pooling == "none" else labels).tolist(),
        "losses": losses,
        "rate": RATE,
        "weights": {plain(key): value for key, value in formulas.items() if ".original_module." not in key},
    }


def bert(width, hidden, **options):
    return transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=2, num_attention_heads=4, intermediate_size=hidden,
        max_position_embeddings=16, hidden_dropout_prob=0, attention_probs_dropout_prob=0, num_labels=CLASSES,
        attn_implementation="eager", pad_token_id=0, **options)


def llama(width, heads, groups, hidden, **options):
    return transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=width, num_hidden_layers=2, num_attention_heads=heads,
        num_key_value_heads=groups, intermediate_size=hidden, max_position_embeddings=16, num_labels=CLASSES,
        attn_implementation="eager", pad_token_id=0, tie_word_embeddings=False, rms_norm_eps=1e-5, **options)


def frequencies(head_width):
    return [10_000 ** (-2 * i / head_width) for i in range(head_width // 2)]


tensors = {}
adapter = peft.LoraConfig(task_type="SEQ_CLS", r=3, lora_alpha=6, target_modules=["query", "value"], lora_dropout=0)
wide = bert(32, 64)
cases = [
    case("bert-cls", transformers.BertForSequenceClassification(wide), "cls", tensors),
    case("bert-mean", transformers.BertForSequenceClassification(bert(16, 24)), "mean", tensors),
    case(
        "bert-tokens", transformers.BertForTokenClassification(bert(16, 24, hidden_act="gelu_new")), "none", tensors),
    case(
        "bert-lora", peft.get_peft_model(transformers.BertForSequenceClassification(bert(16, 24)), adapter), "cls",
        tensors, adaptation=True),
    case(
        "llama-causal", transformers.LlamaForCausalLM(llama(32, 4, 2, 48)), "none", tensors,
        frequencies=frequencies(8)),
    case(
        "llama-causal-biases",
        transformers.LlamaForCausalLM(llama(16, 4, 1, 24, attention_bias=True, mlp_bias=True)), "none", tensors,
        frequencies=frequencies(4)),
    case(
        "llama-last", transformers.LlamaForSequenceClassification(llama(16, 2, 2, 24)), "last", tensors,
        frequencies=frequencies(8)),
]
# A pooler that nothing reads has no gradient and is left out.
save_file({key: value.contiguous() for key, value in tensors.items()}, here / "transformers.safetensors")
(here / "transformers.json").write_text(json.dumps(cases) + "\n")
