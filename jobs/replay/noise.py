"""The noise of a private federation or job, drawn again from a site's secret or a run's key as docs/files.md ("Noise and batches") has it; none
of the project's code."""

import hashlib
import hmac
import json

import numpy as np

MAGIC = b"privacy secret 1"
CHUNK = 4096


def derived(secret, info):
    """HKDF-SHA-256 without salt, 32 bytes."""
    key = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(key, info.encode() + b"\x01", "sha256")


def words(key, nonce, count):
    """The first 64-bit words of ChaCha20's key stream: 64-bit block counter from 0, 64-bit nonce."""
    blocks = -(-count // 8)
    state = np.zeros((16, blocks), np.uint32)
    state[0:4] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    state[4:12] = np.frombuffer(key, "<u4")[:, None]
    counters = np.arange(blocks, dtype=np.uint64)
    state[12], state[13] = counters & np.uint64(0xFFFFFFFF), counters >> np.uint64(32)
    state[14], state[15] = nonce & 0xFFFFFFFF, nonce >> 32
    x = state.copy()

    def quarter(a, b, c, d):
        for (target, other, source), turn in (((a, b, d), 16), ((c, d, b), 12), ((a, b, d), 8), ((c, d, b), 7)):
            x[target] += x[other]
            mixed = x[source] ^ x[target]
            x[source] = (mixed << np.uint32(turn)) | (mixed >> np.uint32(32 - turn))

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for column in range(4):
            quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return (x + state).T.copy().astype("<u4").reshape(-1).view("<u8")[:count]


def normals(key, label, count):
    """Standard normal numbers of a label, by Box and Muller."""
    stream, numbers = derived(key, label), []
    for chunk in range(-(-count // CHUNK)):
        size = min(CHUNK, count - chunk * CHUNK)
        drawn = words(stream, chunk + 1, 2 * -(-size // 2)).reshape(-1, 2)
        # A word and 1 may need 65 bits; a double has the word to 53 anyway.
        radius = np.sqrt(-2 * np.log((drawn[:, 0].astype(np.float64) + 1) * 2.0**-64))
        angle = 2 * np.pi * ((drawn[:, 1] >> np.uint64(11)).astype(np.float64) * 2.0**-53)
        numbers.append(np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:size])
    return np.concatenate(numbers)


class SiteNoise:
    """What one site has added, by round."""

    def __init__(self, run):
        kept = (run / "state" / "privacy.key").read_bytes()
        if len(kept) != len(MAGIC) + 32 or not kept.startswith(MAGIC):
            raise ValueError(f"{run}/state/privacy.key is no privacy secret")
        identity = json.loads((run / "state" / "site.json").read_text())
        lines = [json.loads(line) for line in (run / "state" / "ledger.jsonl").read_text().splitlines()]
        self.terms, self.models = lines[0], {entry["round"]: entry["model"] for entry in lines[1:]}
        self.secret = kept[len(MAGIC) :]
        self.context = f"privacy/charter {identity['charter']}/site {identity['site']}"

    def of_round(self, number):
        return derived(self.secret, f"{self.context}/round {number}/model {self.models[number]}")

    def of_update(self, number, parameter, count):
        return normals(self.of_round(number), f"noise/site update/parameter {parameter}", count)

    def of_step(self, number, step, first, parameter, count):
        """Of a local step, from the run's first; `first` is the round's."""
        return normals(self.of_round(number), f"noise/local steps/step {step}/parameter {parameter}", count)


class ProviderNoise(SiteNoise):
    """What a site's provider has added to the steps of each round, as it has the parameters."""

    def of_step(self, number, step, first, parameter, count):
        seed = derived(self.secret, f"{self.context}/round {number}/model {self.models[number]}/provider")
        return normals(seed, f"noise/job/step {step - first}/parameter {parameter}", count)


class JobNoise:
    """What the trainer has added to a private job's steps, as it has the parameters."""

    def __init__(self, run):
        kept = (run / "state" / "job.key").read_bytes()
        if len(kept) != 16 + 32 + 32 or not kept.startswith(b"job master key 1"):
            raise ValueError(f"{run}/state/job.key is no master key")
        # Ledgers of before do not say what the noise is for.
        with open(run / "ledger.jsonl") as ledger:
            subject = json.loads(ledger.readline()).get("noise_for")
        purpose = f"privacy/noise/{subject}" if subject else "privacy/noise"
        self.seed = derived(derived(kept[48:], f"{kept[16:48].decode()}/privacy"), purpose)

    def of_step(self, step, parameter, count):
        return normals(self.seed, f"noise/job/step {step}/parameter {parameter}", count)
