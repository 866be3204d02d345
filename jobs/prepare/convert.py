#!/usr/bin/env python3
"""A checkpoint of PyTorch's own files to one that encryptor reads: pytorch_model.bin, sharded too, to safetensors, with names of today and a
config.json that says which family it is.

No pickle is executed: files are read with `torch.load(weights_only=True)`, which takes tensors and plain containers and refuses everything else.
Shards are read one at a time. What else the directory holds (tokenizer, generation_config.json) is copied.

Example: convert.py biobert-base --out biobert-converted
"""

import argparse
import json
import pickle
import re
import shutil
import sys
from pathlib import Path

CODE, BAD_USE, BAD_INPUT = "holds more than tensors", 2, 3
# What stands at the beginning of a block's tensors, by family: only where no other family has the same.
SIGNS = [
    ("distilbert", r"^(distilbert\.)?transformer\.layer\.\d+\.attention\.q_lin\."),
    ("gpt2", r"^(transformer\.)?h\.\d+\.attn\.c_attn\."),
    ("biogpt", r"^biogpt\.layers\.\d+\."),
    ("opt", r"^(model\.)?decoder\.layers\.\d+\.self_attn\."),
    ("modernbert", r"^(model\.)?layers\.\d+\.attn\.Wqkv\."),
    ("roberta", r"^roberta\."),
    ("electra", r"^electra\."),
    ("esm", r"^esm\."),
    ("bert", r"^bert\."),
    ("bert", r"^encoder\.layer\.\d+\.attention\.self\.query\."),
]


class Problem(Exception):
    def __init__(self, text, code=BAD_INPUT):
        super().__init__(text)
        self.code = code


def read_json(path):
    try:
        found = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise Problem(f"{path}: {error}") from None
    if not isinstance(found, dict):
        raise Problem(f"{path}: is not a JSON object")
    return found


def modern(name):
    """Checkpoints that came from TensorFlow call a norm's gain gamma and its shift beta."""
    return re.sub(r"(LayerNorm|layer_norm)\.(gamma|beta)$", lambda m: f"{m[1]}.{'weight' if m[2] == 'gamma' else 'bias'}", name)


def shards(checkpoint):
    """The files with weights, and how they are read."""
    for stem, single, ending in (("model", "model.safetensors", "safetensors"), ("pytorch_model", "pytorch_model.bin", "bin")):
        index = checkpoint / f"{single}.index.json"
        if index.exists():
            places = read_json(index).get("weight_map")
            if not isinstance(places, dict) or not all(isinstance(place, str) for place in places.values()):
                raise Problem(f"{index}: `weight_map` must name a file for each tensor")
            names = sorted(set(places.values()))
            for name in names:
                if Path(name).name != name:
                    raise Problem(f"{index}: `{name}` is not a file beside it")
            return [checkpoint / name for name in names], ending
        if (checkpoint / single).exists():
            return [checkpoint / single], ending
    raise Problem(f"{checkpoint}: neither model.safetensors nor pytorch_model.bin is there, nor an index of several")


def load(path, ending):
    import torch

    if not path.exists():
        raise Problem(f"{path}: is missing")
    if ending == "safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise Problem(f"{path}: {error}") from None
    try:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, ValueError):
            # Files of before 2020 are no archives and cannot be mapped.
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch's own words go on to recommend reading it all the same.
        named = re.search(r"(?:GLOBAL|class|function|instruction) \S+", str(error))
        detail = f" ({named[0].rstrip('.')})" if named else ""
        raise Problem(
            f"{path}: {CODE}, or is damaged, and was refused; nothing of it was executed{detail}. Ask whoever made it for a safetensors file"
        ) from None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise Problem(f"{path}: cannot be read as weights of PyTorch: {str(error).splitlines()[0][:300]}") from None
    for key in ("state_dict", "model_state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)} if isinstance(found, dict) else {}
    if not tensors:
        raise Problem(f"{path}: no tensors by names are in it")
    return tensors


def written(tensors, seen):
    """Under names of today; of names that share one memory the first stays, as safetensors has no shared tensors."""
    chosen = {}
    for name, tensor in tensors.items():
        name = modern(name.removeprefix("module."))
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()))
        if place in chosen:
            print(f"  {name} is the same tensor as {chosen[place][0]}: written once", file=sys.stderr)
            continue
        if name in seen:
            raise Problem(f"two tensors would be called {name}")
        seen[name] = list(tensor.shape)
        chosen[place] = (name, tensor)
    return {name: tensor.contiguous().clone() for name, tensor in chosen.values()}


def family(configuration, names):
    found = configuration.get("model_type")
    if isinstance(found, str) and found:
        return found
    for name, sign in SIGNS:
        if any(re.match(sign, one) for one in names):
            return name
    raise Problem("config.json has no `model_type`, and the tensors' names fit no family alone: give --model-type", BAD_USE)


def convert(checkpoint, out, model_type):
    from safetensors.torch import save_file

    if not checkpoint.is_dir():
        raise Problem(f"{checkpoint}: is not a directory with a checkpoint", BAD_USE)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Problem(f"{out}: exists already", BAD_USE)
    configuration = read_json(checkpoint / "config.json")
    files, ending = shards(checkpoint)
    partial = out.with_name(out.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    try:
        seen, places, size = {}, {}, 0
        for number, path in enumerate(files, 1):
            print(f"{number}/{len(files)}  {path.name}", file=sys.stderr, flush=True)
            tensors = written(load(path, ending), seen)
            name = "model.safetensors" if len(files) == 1 else f"model-{number:05d}-of-{len(files):05d}.safetensors"
            save_file(tensors, partial / name, metadata={"format": "pt"})
            places.update(dict.fromkeys(tensors, name))
            size += sum(tensor.nbytes for tensor in tensors.values())
        if len(files) > 1:
            index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(places.items()))}
            (partial / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
        configuration["model_type"] = model_type or family(configuration, seen)
        (partial / "config.json").write_text(json.dumps(configuration, indent=2, ensure_ascii=False) + "\n")
        for path in sorted(checkpoint.iterdir()):
            is_weight = path.suffix in (".bin", ".safetensors", ".h5", ".msgpack", ".ckpt", ".pt", ".pth", ".onnx") or path.name.endswith(".index.json")
            if path.is_file() and path.name != "config.json" and not is_weight and not path.name.startswith("."):
                shutil.copyfile(path, partial / path.name)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    print(f"{out}: {configuration['model_type']}, {len(seen)} tensors, {size / 1e6:,.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a new directory")
    parser.add_argument("--model-type", help="where config.json does not say it and names do not tell")
    options = parser.parse_args()
    try:
        convert(options.checkpoint, options.out, options.model_type)
    except Problem as problem:
        print(f"convert: {problem}", file=sys.stderr)
        sys.exit(problem.code)
    except ImportError as error:
        print(f"convert: {error}: it needs the packages torch and safetensors", file=sys.stderr)
        sys.exit(BAD_USE)
    except OSError as error:
        print(f"convert: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
