#!/usr/bin/env python3
"""`encryptor convert` on checkpoints that it must take, and on those that it must refuse without executing anything.

Usage: convert.py ENCRYPTOR     by the Python that has torch, transformers and safetensors; exit 1 where one is not as it should be
"""

import copy
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModel, BertConfig, BertForMaskedLM

CONFIGURATION = BertConfig(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=30, max_position_embeddings=16)


class Payload:
    """What a hostile pickle does when it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch '{self.mark}'",)


def old_names(tensors):
    for name, tensor in tensors.items():
        for new, old in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
            name = name.replace(new, old)
        yield name, tensor


def directory(parent, name, configuration):
    folder = parent / name
    folder.mkdir()
    (folder / "config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(configuration).encode())
    (folder / "vocab.txt").write_text("[PAD]\n")
    return folder


def main():
    encryptor, failures = sys.argv[1], []
    environment = dict(os.environ, EQUIVARIANT_PYTHON=sys.executable)

    def convert(checkpoint, *more):
        out = checkpoint.with_name(checkpoint.name + "-new")
        ended = subprocess.run(
            [encryptor, "convert", checkpoint, "--out", out, *more], capture_output=True, text=True, env=environment)
        return ended, out

    def expect(condition, what):
        print(("ok      " if condition else "FAILED  ") + what)
        if not condition:
            failures.append(what)

    with tempfile.TemporaryDirectory() as scratch:
        scratch, torch_model = Path(scratch), BertForMaskedLM(CONFIGURATION)
        configuration = {key: value for key, value in CONFIGURATION.to_dict().items() if key != "model_type"}
        tensors = dict(old_names(torch_model.state_dict()))

        for name, archive in (("archive", True), ("legacy", False)):
            folder = directory(scratch, name, configuration)
            torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=archive)
            ended, out = convert(folder)
            expect(ended.returncode == 0, f"{name}: taken {ended.stderr if ended.returncode else ''}")
            found = load_file(out / "model.safetensors")
            expect(all(torch.equal(tensor, torch_model.state_dict()[key]) for key, tensor in found.items()), f"{name}: the same numbers")
            expect(json.loads((out / "config.json").read_text())["model_type"] == "bert" and (out / "vocab.txt").exists(), f"{name}: config, tokenizer")
            ids = torch.arange(8)[None]
            with torch.no_grad():
                same = torch.equal(AutoModel.from_pretrained(out).eval()(ids)[0], torch_model.bert.eval()(ids)[0])
            expect(same, f"{name}: transformers computes the same of it")

        folder, names = directory(scratch, "shards", configuration), list(tensors)
        parts = {"a.bin": names[:7], "b.bin": names[7:]}
        for file, part in parts.items():
            torch.save({name: tensors[name].half() for name in part}, folder / file)
        (folder / "pytorch_model.bin.index.json").write_text(
            json.dumps({"weight_map": {name: file for file, part in parts.items() for name in part}}))
        ended, out = convert(folder)
        places = json.loads((out / "model.safetensors.index.json").read_text())["weight_map"] if ended.returncode == 0 else {}
        types = {tensor.dtype for file in set(places.values()) for tensor in load_file(out / file).values()}
        expect(len(set(places.values())) == 2 and types == {torch.float16}, "shards: two files, in their type")

        for name, file in (("outside", "../a.bin"), ("missing", "c.bin")):
            folder = directory(scratch, name, configuration)
            (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"x": file}}))
            ended, out = convert(folder)
            expect(ended.returncode == 3 and not out.exists(), f"{name}: refused ({ended.stderr.strip()})")

        mark = scratch / "executed"
        for name, content in (("payload", {"x": Payload(mark)}), ("hidden", {**copy.copy(tensors), "x": [Payload(mark)]})):
            folder = directory(scratch, name, configuration)
            torch.save(content, folder / "pytorch_model.bin")
            ended, out = convert(folder)
            expect(ended.returncode == 3 and not mark.exists() and not out.exists(), f"{name}: refused ({ended.stderr.strip().splitlines()[-1]})")
        torch.load(scratch / "payload/pytorch_model.bin", weights_only=False)
        expect(mark.exists(), "the payload works where pickles are executed")

        folder = directory(scratch, "noise", configuration)
        (folder / "pytorch_model.bin").write_bytes(os.urandom(4096))
        ended, out = convert(folder)
        expect(ended.returncode == 3 and not out.exists(), "noise: refused")
        folder = directory(scratch, "nameless", configuration)
        torch.save({"w": torch.zeros(2)}, folder / "pytorch_model.bin")
        expect(convert(folder)[0].returncode == 2, "no family by its names: asked for --model-type")
        ended, out = convert(folder, "--model-type", "bert")
        expect(ended.returncode == 0, "with --model-type it is taken")
        expect(convert(folder)[0].returncode == 2, "an existing directory is left alone")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
