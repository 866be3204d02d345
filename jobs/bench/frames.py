"""Hostile messages of a client of a deployment, from docs/protocol.md alone. Needs pyzmq."""

import random
import struct
from collections import Counter

import zmq

KINDS = {101: "welcome", 103: "refused", 116: "pong", 120: "opened", 121: "answered", 122: "extended", 123: "session lost", 124: "rekeyed"}
FLOAT32, INT32, UINT8 = 1, 3, 5


def hostile_frames(client, key_file, count, seed):
    """Sends so many messages; counts what is answered by its kind.

    `client` is a client.json, `key_file` the client's owner.key. None of the messages is a whole question, so that no row of them may be counted.
    """
    generator = random.Random(seed)
    secret = [line for line in key_file.read_text().splitlines() if line and line[0] != "#"][-1].encode()
    job, width = bytes.fromhex(client["deployment"]), client["shape"]["input"]["width"]
    answers = Counter()
    context = zmq.Context()
    socket = None
    try:
        for number in range(count):
            if socket is None or number % 5000 == 0:
                socket = connect(context, client, secret, socket)
            socket.send_multipart(message(generator, job, width))
            drain(socket, answers, 0)
        drain(socket, answers, 2000)
    finally:
        context.destroy(linger=0)
    return dict(answers)


def connect(context, client, secret, before):
    if before is not None:
        before.close()
    socket = context.socket(zmq.DEALER)
    socket.curve_secretkey, socket.curve_publickey = secret, client["client"].encode()
    socket.curve_serverkey = client["hostKey"].encode()
    socket.linger, socket.sndhwm = 10_000, 1000
    socket.connect(client["host"])
    socket.send_multipart(envelope([header(1, bytes(16), [], struct.pack("<I", 7) + b"hostile")]))
    return socket


def drain(socket, answers, patience):
    """Counts what has come, and what comes until nothing has for so many milliseconds."""
    while socket.poll(patience):
        table, *pieces = socket.recv_multipart()
        kind = pieces[0][6] if pieces and len(pieces[0]) >= 8 else None
        if KINDS.get(kind) != "welcome":
            answers[KINDS.get(kind, str(kind))] += 1


def message(generator, job, width):
    choice = generator.random()
    if choice < 0.3:
        # Anything at all.
        return [generator.randbytes(generator.randrange(200)) for _ in range(generator.randint(1, 6))]
    if choice < 0.5:
        # Whole envelopes around anything.
        return envelope([generator.randbytes(generator.randrange(200)) for _ in range(generator.randint(1, 6))])
    if choice < 0.7:
        # Good headers of any kind before fields and tensors of another.
        tensors = [(generator.choice([0, 1, 2, 3, 4, 5, 99]), [generator.choice([0, 1, 2, width, 1 << 40, 1 << 63]) for _ in range(
            generator.randrange(6))]) for _ in range(generator.randrange(6))]
        kind = generator.choice([*range(2, 20), *range(21, 33), 0, 200])
        bodies = [generator.randbytes(generator.randrange(100)) for _ in tensors]
        return envelope([header(kind, job, tensors, generator.randbytes(generator.randrange(64))), *bodies])
    # Questions with numbers that are none, values that are not finite, lengths that do not fit; then a byte changed or the end cut off.
    frames = question(generator, job, width)
    if generator.random() < 0.7:
        place = generator.randrange(len(frames))
        altered = bytearray(frames[place])
        if altered and generator.random() < 0.5:
            altered[generator.randrange(len(altered))] ^= 1 << generator.randrange(8)
        else:
            altered = altered[: generator.randrange(len(altered) + 1)]
        frames[place] = bytes(altered)
    return frames if generator.random() < 0.1 else envelope(frames)


def question(generator, job, width):
    """A question, or tokens of a session, with two values that are not finite: refused even when one of them is altered."""
    tokens = generator.randint(1, 3)
    values = bytearray(generator.randbytes(4 * width * tokens))
    for place in generator.sample(range(width * tokens), 2):
        struct.pack_into("<f", values, 4 * place, float("nan"))
    largest = generator.choice([0, 1, 1 << 61, (1 << 64) - 1])
    if generator.random() < 0.5:
        return [header(31, job, [(FLOAT32, [tokens, width])], struct.pack("<4Q", generator.choice([1, largest]), 1, 0, largest)), bytes(values)]
    shapes = [(INT32, [1]), (UINT8, [1]), (FLOAT32, [tokens, width]), (INT32, [1]), (INT32, [1])]
    bodies = [bytes(4), b"\x01", bytes(values), struct.pack("<i", tokens), struct.pack("<i", 0)]
    return [header(30, job, shapes, struct.pack("<2Q", generator.choice([1, largest]), generator.choice([1, largest]))), *bodies]


def header(kind, job, tensors, fields):
    head = b"EQTR" + struct.pack("<HBB", 5, kind, len(tensors)) + job
    for number, shape in tensors:
        head += struct.pack(f"<BB{len(shape)}Q", number, len(shape), *shape)
    return head + fields


def envelope(frames):
    """In one piece each: none is as long as a piece."""
    return [b"EqTr" + bytes([1, 0, 0, 0]) + b"".join(struct.pack("<Q", len(frame)) for frame in frames), *(frame for frame in frames if frame)]
