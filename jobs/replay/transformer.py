"""A transformer job's data, model and starting weights, with the classes of the `transformers` package."""

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig

import adapters
import finished
import objectives
from tokenfile import Tokens

# What pools the first token; of the others the last one is.
ENCODERS = {"bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra"}
# Whose positions are counted from the padding token's id.
COUNTING = {"roberta", "xlm-roberta", "camembert"}
# What the layers of a fresh head are called.
HEADS = ("classifier.", "pre_classifier.", "score.")

# Rows that go through the model at once: memory, not results, depends on it.
PART = 32


def class_for(task):
    """What of `transformers` holds the model of a task."""
    return {
        "token-classification": transformers.AutoModelForTokenClassification,
        "causal-lm": transformers.AutoModelForCausalLM,
    }.get(task, transformers.AutoModelForSequenceClassification)


def outputs(model, pooling, inputs):
    """[rows, outputs], or [rows, length, outputs] of a model with a per-token head (`pooling` None).

    Pooling that the class itself does is left to it; the rest is done here, on its own backbone and head.
    """
    backbone, family = model.base_model, model.config.model_type
    if family not in ENCODERS or getattr(model.config, "type_vocab_size", 1) == 1:
        inputs = {name: values for name, values in inputs.items() if name != "token_type_ids"}
    if pooling is None or (pooling == "cls" and (family != "bert" or backbone.pooler is not None)):
        return model(**inputs).logits
    hidden = backbone(**inputs).last_hidden_state
    mask = inputs["attention_mask"]
    if pooling == "mean":
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    else:
        pooled = hidden[torch.arange(len(hidden)), mask.sum(1) - 1 if pooling == "last" else 0]
    return head(model, pooled)


def head(model, pooled):
    """What the class makes of the row that it has pooled itself."""
    family = model.config.model_type
    if family == "bert":
        return model.classifier(pooled)
    if family == "distilbert":
        return model.classifier(torch.relu(model.pre_classifier(pooled)))
    # Its head takes all tokens and reads the first.
    return model.classifier(pooled[:, None]) if family in ENCODERS else model.score(pooled)


def default_pooling(config):
    return "cls" if config.model_type in ENCODERS else "last"


def tokens_of(job, element, config):
    """The job's tokens, with the positions that the model gives them."""
    tokens = Tokens(job, element)
    if config.model_type in COUNTING:
        tokens.count_positions(config.pad_token_id)
    return tokens


class Transformer:
    joined = False

    def __init__(self, run, job, training_rows, element):
        self.job, self.task = job, job["task"]
        settings = job["model"]
        initial = load_file(run / "initial.safetensors")
        self.model = build(settings, self.task, initial, element)
        self.tokens = tokens_of(job, element, self.model.config)
        # Sequence classifiers pool, whatever the head says or leaves to its default.
        default = default_pooling(self.model.config)
        self.pooling = None if self.task in objectives.PER_TOKEN else (settings.get("head") or {}).get("pool", default)
        self.part = settings.get("train", "all")
        self.trained = self.choose_trained()

    def choose_trained(self):
        """Marks what is trained: never the embeddings, never gains of RMSNorm, which the owner folded into the layers that read them."""
        chosen = []
        tables = {id(module.weight) for module in self.model.modules() if isinstance(module, torch.nn.Embedding)}
        for name, parameter in self.model.named_parameters():
            is_head = name.startswith((*HEADS, "lm_head."))
            if self.part == "all":
                # BERT's norm of the embeddings goes with them, and ELECTRA's layer after them.
                is_trained = id(parameter) not in tables and "embeddings" not in name
                is_trained = is_trained and not (self.model.config.model_type == "llama" and "norm." in name)
            elif self.part == "head":
                is_trained = is_head
            else:
                is_trained = ".lora_" in name or (is_head and not name.startswith("lm_head."))
            parameter.requires_grad_(is_trained)
            if is_trained:
                chosen.append(parameter)
        return chosen

    def parts(self, rows):
        return rows.split(PART)

    def targets(self, rows):
        # Part by part, as the outputs come.
        return torch.cat([self.tokens.targets(part) for part in self.parts(rows)])

    def outputs(self, rows):
        found = outputs(self.model, self.pooling, self.tokens.batch(rows))
        return found if self.pooling else found[self.tokens.counted(rows)]

    def weights(self):
        """What the run's model/ holds, by the names of the Hugging Face class; of LoRA the adapters and a fresh head."""
        found = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        if self.part != "lora":
            return found
        return adapters.exported(found, self.job["model"]["huggingface"], self.model.config.model_type)


def build(settings, task, initial, element):
    config = AutoConfig.from_pretrained(settings["huggingface"])
    # Llama's eager attention takes its softmax in float32 whatever the model's precision.
    config._attn_implementation = "sdpa" if element == torch.float64 else "eager"
    config.tie_word_embeddings = False
    if task != "causal-lm":
        names = ("classifier.out_proj.weight", "classifier.weight", "score.weight")
        config.num_labels = len(next(initial[name] for name in names if name in initial))
    model = class_for(task).from_config(config, dtype=element)
    if config.model_type == "bert" and "bert.pooler.dense.weight" not in initial:
        model.bert.pooler = None
    if settings.get("train") == "lora":
        adapters.insert(model, settings["lora"])
    if element == torch.float64:
        widen_norms(model)
    missing, unexpected = model.to(element).load_state_dict(initial, strict=False)
    # A pooler that the head does not use may be kept for the export.
    unexpected = [name for name in unexpected if not name.startswith("bert.pooler.")]
    if missing or unexpected:
        raise finished.Unlike(f"initial.safetensors lacks {missing} and has beside the model {unexpected}")
    # No dropout; the same as training otherwise.
    return model.eval()


def widen_norms(model):
    """RMSNorm of `transformers` rounds to float32; in a float64 replay it must not."""
    for module in model.modules():
        if type(module).__name__ == "LlamaRMSNorm":
            module.forward = lambda x, norm=module: norm.weight * x * (x.square().mean(-1, keepdim=True) + norm.variance_epsilon).rsqrt()
