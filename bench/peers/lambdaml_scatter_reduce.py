"""LambdaML's scatter-reduce on Redis, written anew from its description: one worker of bench/sync.mjs.

Each worker cuts its gradient into n chunks, sends chunk j to worker j through a hash of the round, lists that hash again
and again until all are there, adds them, and sends the sum through a second hash, from which everybody takes all sums.
Differences from the published code: workers are started before the round and released by a line on stdin; keys carry the
round; values are float32 bytes; the listing is HKEYS, or with 'values' the HSCAN that the published code uses, which sends
every value at every poll.
usage: lambdaml_scatter_reduce.py HOST PORT RANK WORKERS FLOATS keys|values
"""
import json
import sys
import time

import numpy
import redis

host, port, rank, workers, floats, listing = sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6]
store = redis.Redis(host, port)
moved = {"bytes": 0, "requests": 0}
gradient = numpy.full(floats, rank + 1, dtype=numpy.float32)
borders = [floats * i // workers for i in range(workers + 1)]


def chunk(vector, i):
    return vector[borders[i] : borders[i + 1]]


def send(bucket, name, vector):
    value = vector.tobytes()
    moved["bytes"] += len(value)
    moved["requests"] += 1
    store.hset(bucket, name, value)


def names(bucket):
    moved["requests"] += 1
    if listing == "keys":
        return {name.decode() for name in store.hkeys(bucket)}
    listed = list(store.hscan_iter(bucket))
    moved["bytes"] += sum(len(value) for _, value in listed)
    return {name.decode() for name, _ in listed}


def take(bucket, wanted):
    taken = {}
    while len(taken) < len(wanted):
        for name in names(bucket) & (wanted - taken.keys()):
            taken[name] = numpy.frombuffer(store.hget(bucket, name), dtype=numpy.float32)
            moved["bytes"] += taken[name].nbytes
            moved["requests"] += 1
    return taken


print("ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    round_name = line.strip()
    print("computed", flush=True)
    sys.stdin.readline()
    moved.update(bytes=0, requests=0)
    cpu = time.process_time()
    for i in range(workers):
        if i != rank:
            send(f"{round_name}-merge-{i}", str(rank), chunk(gradient, i))
    total = chunk(gradient, rank).copy()
    for part in take(f"{round_name}-merge-{rank}", {str(i) for i in range(workers) if i != rank}).values():
        total += part
    send(f"{round_name}-merged", str(rank), total)
    result = numpy.empty(floats, dtype=numpy.float32)
    chunk(result, rank)[:] = total
    for name, part in take(f"{round_name}-merged", {str(i) for i in range(workers) if i != rank}).items():
        chunk(result, int(name))[:] = part
    spent = time.process_time() - cpu
    print("done", flush=True)
    right = bool((result == workers * (workers + 1) / 2).all())
    print(json.dumps({"cpuMs": spent * 1000, "right": right, **moved}), flush=True)
