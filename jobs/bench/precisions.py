"""Which values of `train.precision` the programs know, and which of them are measured on this processor."""

import subprocess

from local import BINARIES, environment

# A job that the programs have always known, here only to ask whether they know one more key.
JOB = """name: asked
data: {file: none.h5, features: x, labels: y}
task: classification
model: {mlp: {hidden: [1]}}
optimizer: {name: sgd, lr: 0.1}
"""


class Precisions:
    """`usable`: those that are measured, float32 first. `missing`: of the others, why not."""

    def __init__(self, folder, kind):
        self.folder = folder
        self.usable, self.missing = ["float32"], {}
        job = folder / "asked.yaml"
        job.write_text(JOB)
        for name in ("bfloat16x3", "bfloat16"):
            if not self.is_known(job, name):
                self.missing[name] = "not built: the programs do not know train.precision"
            elif name == "bfloat16x3" and kind != "AMX":
                self.missing[name] = "computes float32 on this kind of processor"
            else:
                self.usable.append(name)

    def is_known(self, job, name):
        """The plan is refused for the file that is not there, or for the key before it."""
        done = subprocess.run(
            [BINARIES / "encryptor", "plan", job, "--set", f"train.precision={name}"], capture_output=True, text=True, env=environment())
        return "train.precision" not in done.stderr

    def setting(self, name):
        """Of a job, where it is not the default, which programs without the key have, too."""
        return [] if name == "float32" else [f"train.precision={name}"]

    def deployed(self, name):
        """Options of `encryptor deploy`; RuntimeError where it has none."""
        if name == "float32":
            return []
        text = subprocess.run([BINARIES / "encryptor", "deploy", "--help"], capture_output=True, text=True, env=environment()).stdout
        if "--precision" not in text:
            raise RuntimeError("not built: deploy has no --precision")
        return ["--precision", name]

    def single(self, kind):
        """What stands for single precision beside PyTorch's fp32: of tiles, three products of bfloat16 parts."""
        return "bfloat16x3" if kind == "AMX" and "bfloat16x3" in self.usable else "float32"
