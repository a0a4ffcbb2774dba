"""PyTorch's side of bench/training.mjs: exports the models, then answers `MODEL MODE STEPS` lines with measured times.

One thread, eager. Modes: `gradient` is forward and backward, `step` is that and Adam. Times are process CPU and wall
milliseconds of every step.
"""
import json
import pathlib
import sys
import time

import torch
import torch.nn.functional as F

from models import MODELS, export

torch.set_num_threads(1)
torch.manual_seed(1)
folder = pathlib.Path(sys.argv[1])


def compute(name, make, batch, shape):
    model = make().train()
    if name == "gpt":
        x = torch.randint(0, 512, (batch, *shape))
        loss = lambda: F.cross_entropy(model(x)[:, :-1].reshape(-1, 512), x[:, 1:].reshape(-1))
    else:
        x, y = torch.randn(batch, *shape), torch.randint(0, 10, (batch,))
        loss = lambda: F.cross_entropy(model(x), y)
    export(make(), x, folder / f"{name}.onnx")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def run(mode):
        optimizer.zero_grad()
        loss().backward()
        if mode == "step":
            optimizer.step()

    return run


runs = {name: compute(name, *rest) for name, rest in MODELS.items()}
shapes = {name: {"batch": batch, "shape": shape} for name, (_, batch, shape) in MODELS.items()}
print(json.dumps({"torch": torch.__version__, "models": shapes}), flush=True)
for line in sys.stdin:
    name, mode, steps = line.split()
    cpu, wall = [], []
    for _ in range(int(steps)):
        before = (time.process_time(), time.perf_counter())
        runs[name](mode)
        cpu.append((time.process_time() - before[0]) * 1e3)
        wall.append((time.perf_counter() - before[1]) * 1e3)
    print(json.dumps({"cpu": cpu, "wall": wall}), flush=True)
