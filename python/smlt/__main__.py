"""`python -m smlt`: looks at a program outside of a run, in the same way as the functions of a run load it."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from . import determinism

determinism.apply_environment()

import numpy as np  # noqa: E402

from .data import DataSet  # noqa: E402
from .errors import SmltError  # noqa: E402
from .host import Session  # noqa: E402
from .loading import used_packages  # noqa: E402
from .program import LaneStep, Spec, spec_of  # noqa: E402


def describe(arguments: argparse.Namespace) -> None:
    """One JSON object on the last line: what the program trains, or what is wrong with it."""
    try:
        spec = spec_of(json.loads(arguments.spec))
        session = Session(arguments.program.resolve().parent, arguments.program.name, spec)
        if arguments.data is not None:
            batch = DataSet(arguments.data).lane(seed=spec.seed, step=0, lane=0, lanes=arguments.lanes, batch_size=arguments.batch_size)
            session.compute(batch, LaneStep(spec.seed, 0, 0))
    except SmltError as error:
        print(json.dumps({"error": {"code": error.code, "message": str(error)}}))
        return
    print(
        json.dumps(
            {
                "paramCount": int(session.memory.params.size),
                "peakMemoryMib": _peak_mib(),
                "notes": list(session.parameters.notes),
            }
        )
    )


def check(arguments: argparse.Namespace) -> None:
    """Loads the program, computes one lane's gradient twice, and says what a run would see."""
    data = DataSet(arguments.data)
    spec = Spec(data.feature_shape, data.target, arguments.loss, arguments.seed)
    session = Session(arguments.program.resolve().parent, arguments.program.name, spec)
    trained, statistics = session.parameters.trained, session.parameters.statistics
    for name, value in trained.items():
        print(f"  {name:40} {list(np.shape(value))}")
    for name, statistic in statistics.items():
        print(f"  {name:40} {list(np.shape(statistic.value))}  running, momentum {statistic.momentum}")
    batch = data.lane(
        seed=arguments.seed,
        step=arguments.step,
        lane=arguments.lane,
        lanes=arguments.lanes,
        batch_size=arguments.batch_size,
    )
    at = LaneStep(arguments.seed, arguments.step, arguments.lane)
    losses, seconds, same = [], [], True
    gradients: dict[str, Any] = {}
    for _ in range(2):
        started = time.perf_counter()
        found = session.program.gradient(session.weights, batch, at)
        seconds.append(time.perf_counter() - started)
        losses.append(found.loss)
        copied = {name: np.array(value, np.float32) for name, value in found.gradients.items()}
        same = same and all(np.array_equal(copied[name], gradients.get(name, copied[name]), equal_nan=True) for name in copied)
        gradients = copied
    print(f"{sum(np.size(value) for value in trained.values()):,} parameters; step {arguments.step}, lane {arguments.lane}: {batch.samples} samples")
    print(f"loss {losses[-1] / batch.samples:.6f} a sample; {seconds[-1] * 1_000:.1f} ms a gradient; {_peak_mib():.0f} MiB")
    print("two gradients of the same samples are the same bits" if same else "two gradients of the same samples DIFFER: not reproducible bit for bit")
    for note in session.parameters.notes:
        print(f"note: {note}")
    print(f"packages: {', '.join(used_packages())}")


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m smlt", description=__doc__)
    commands = parser.add_subparsers(required=True)
    described = commands.add_parser("describe", help="what a program trains, as JSON (smlt itself asks)")
    described.add_argument("program", type=Path)
    described.add_argument("--spec", required=True, help="JSON: featureShape, target, loss, seed")
    described.add_argument("--data", type=Path, help="folder of a data set: compute a lane's gradient as well")
    described.add_argument("--lanes", type=int, default=16)
    described.add_argument("--batch-size", type=int, default=256)
    described.set_defaults(run=describe)
    checked = commands.add_parser("check", help="load a program and compute a gradient as a run would")
    checked.add_argument("program", type=Path)
    checked.add_argument("--data", type=Path, required=True, help="folder of a data set")
    checked.add_argument("--loss", default="program", help="the job's loss")
    for name, default in (("seed", 1), ("step", 0), ("lane", 0), ("lanes", 16), ("batch-size", 256)):
        checked.add_argument(f"--{name}", type=int, default=default)
    checked.set_defaults(run=check)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except SmltError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
