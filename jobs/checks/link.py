#!/usr/bin/env python3
"""Carries packets between two TUN devices with a delay and a loss, for kernels without `tc netem`.

Usage: link.py NAME1 NAME2 MILLISECONDS PERCENT. Prints "ready" when both devices are there (move them to their name spaces then). SIGUSR1 cuts
the link, SIGUSR2 joins it again. Each direction waits the whole delay, as one netem on each end does; losses are drawn with a fixed seed.
"""
import collections, fcntl, os, random, select, signal, struct, sys, time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def device(name):
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return descriptor


def main():
    ends = [device(name) for name in sys.argv[1:3]]
    delay, loss = float(sys.argv[3]) / 1000, float(sys.argv[4]) / 100
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    is_cut = False
    lost = random.Random(1)
    under_way = collections.deque()  # (due, device, packet): one delay for all, so the first to come is the first due

    def cut(number, _):
        nonlocal is_cut
        is_cut = number == signal.SIGUSR1

    signal.signal(signal.SIGUSR1, cut)
    signal.signal(signal.SIGUSR2, cut)
    print("ready", flush=True)
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        for end in select.select(ends, [], [], wait)[0]:
            try:
                while True:
                    packet = os.read(end, 65536)
                    if not is_cut and lost.random() >= loss:
                        under_way.append((time.monotonic() + delay, other[end], packet))
            except BlockingIOError:
                pass
            except OSError:
                time.sleep(0.01)  # the device is not up yet
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, end, packet = under_way.popleft()
            try:
                os.write(end, packet)
            except OSError:
                pass  # a full or absent device loses packets, as any link does


main()
