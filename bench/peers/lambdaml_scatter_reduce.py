"""LambdaML's scatter-reduce on Redis or S3, written anew from its description: one worker of bench/sync.mjs.

Each worker cuts its gradient into n chunks, sends chunk j to worker j through a bucket of the round (a hash in Redis), lists
that bucket again and again until all are there, adds them, and sends the sum through a second bucket, from which everybody
takes all sums. Differences from the published code: workers are started before the round and released by a line on stdin;
names carry the round, and all S3 buckets are prefixes of one; values are float32 bytes; Redis lists by HKEYS, or with
'values' by the HSCAN that the published code uses, which sends every value at every poll.
usage: lambdaml_scatter_reduce.py redis://HOST:PORT|http://S3-ENDPOINT RANK WORKERS FLOATS keys|values
"""
import json
import sys
import time

import numpy

place, rank, workers, floats, listing = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
moved = {"bytes": 0, "requests": 0}
gradient = numpy.full(floats, rank + 1, dtype=numpy.float32)
borders = [floats * i // workers for i in range(workers + 1)]


class Redis:
    def __init__(self):
        import redis

        self.client = redis.Redis.from_url(place)

    def put(self, bucket, name, value):
        self.client.hset(bucket, name, value)

    def get(self, bucket, name):
        return self.client.hget(bucket, name)

    def names(self, bucket):
        if listing == "keys":
            return {name.decode() for name in self.client.hkeys(bucket)}
        listed = list(self.client.hscan_iter(bucket))
        moved["bytes"] += sum(len(value) for _, value in listed)
        return {name.decode() for name, _ in listed}


class S3:
    def __init__(self):
        import boto3

        self.client = boto3.client("s3", endpoint_url=place)

    def put(self, bucket, name, value):
        self.client.put_object(Bucket="bench", Key=f"{bucket}/{name}", Body=value)

    def get(self, bucket, name):
        return self.client.get_object(Bucket="bench", Key=f"{bucket}/{name}")["Body"].read()

    def names(self, bucket):
        listed = self.client.list_objects_v2(Bucket="bench", Prefix=f"{bucket}/")
        return {entry["Key"].split("/")[1] for entry in listed.get("Contents", [])}


store = Redis() if place.startswith("redis:") else S3()


def chunk(vector, i):
    return vector[borders[i] : borders[i + 1]]


def send(bucket, name, vector):
    value = vector.tobytes()
    moved["bytes"] += len(value)
    moved["requests"] += 1
    store.put(bucket, name, value)


def names(bucket):
    moved["requests"] += 1
    return store.names(bucket)


def take(bucket, wanted):
    taken = {}
    while len(taken) < len(wanted):
        for name in names(bucket) & (wanted - taken.keys()):
            taken[name] = numpy.frombuffer(store.get(bucket, name), dtype=numpy.float32)
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
