"""PyTorch's side of bench/ddp.mjs: DistributedDataParallel with gloo over processes of one thread each, on one machine.

`ddp.py export FOLDER MODEL...` writes the models for smlt's side and prints what they take. `ddp.py run MODEL BATCH STEPS
WORKERS PORT` trains MODEL with Adam on samples in memory, each process with its share of the global batch, and prints
wall milliseconds of the steps (after 10 that warm up) and the processes' CPU milliseconds in them.
"""
import json
import os
import pathlib
import sys
import time
import warnings

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from models import MODELS, export

SAMPLES, WARM_UP = 2048, 10


def train(rank, name, batch, steps, workers, port, results):
    warnings.filterwarnings("ignore")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    torch.manual_seed(1)
    dist.init_process_group("gloo", rank=rank, world_size=workers)
    make, _, shape = MODELS[name]
    model = DistributedDataParallel(make().train())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    share = SAMPLES // workers
    features, targets = torch.randn(share, *shape), torch.randint(0, 10, (share,))
    own = batch // workers

    def step():
        chosen = torch.randint(0, share, (own,))
        optimizer.zero_grad()
        F.cross_entropy(model(features[chosen]), targets[chosen]).backward()
        optimizer.step()

    for _ in range(WARM_UP):
        step()
    dist.barrier()
    before = (time.perf_counter(), time.process_time())
    for _ in range(steps):
        step()
    dist.barrier()
    results.put(((time.perf_counter() - before[0]) * 1e3, (time.process_time() - before[1]) * 1e3))
    dist.barrier()
    os._exit(0)  # gloo's threads may abort a process that ends in order


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    if sys.argv[1] == "export":
        folder = pathlib.Path(sys.argv[2])
        for name in sys.argv[3:]:
            make, _, shape = MODELS[name]
            export(make(), torch.randn(4, *shape), folder / f"{name}.onnx")
        print(json.dumps({"torch": torch.__version__, "shapes": {name: MODELS[name][2] for name in sys.argv[3:]}}))
    else:
        name, batch, steps, workers, port = sys.argv[2], *map(int, sys.argv[3:])
        context = mp.get_context("spawn")
        results = context.SimpleQueue()
        mp.start_processes(train, (name, batch, steps, workers, port, results), nprocs=workers, start_method="spawn")
        measured = [results.get() for _ in range(workers)]
        print(json.dumps({"wallMs": max(wall for wall, _ in measured), "cpuMs": sum(cpu for _, cpu in measured)}))
