"""Loads a user's program.py and finds out what it is."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from contextlib import contextmanager
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from . import determinism
from .adapters import adapt
from .errors import SmltError
from .program import Program, Spec

if TYPE_CHECKING:
    from collections.abc import Iterator


def load_program(folder: Path, entry: str, spec: Spec) -> Program:
    """Imports the program and adapts what it defines. @raises SmltError `ProgramFailed`, `InvalidSpec`"""
    with blamed_on(folder, entry):
        seeded = determinism.seed_everything(spec.seed)
        module = _import(folder, entry)
        if determinism.seed_everything(spec.seed) != seeded:
            # The framework came with the program, which may have made its model already, from an unseeded generator.
            module = _import(folder, entry)
            determinism.seed_everything(spec.seed)
        return adapt(module, entry, spec)


def _import(folder: Path, entry: str) -> ModuleType:
    # Files beside the program are found by their own names; two programs in one process must not share theirs.
    for name in [name for name, module in sys.modules.items() if _is_inside(module, _loaded_folders)]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(path for path in sys.path if path not in _loaded_folders and path != str(folder))]
    _loaded_folders.add(str(folder))
    name = f"smlt_program_{sha256(str(folder).encode()).hexdigest()[:12]}"
    found = importlib.util.spec_from_file_location(name, folder / entry)
    if found is None or found.loader is None:
        raise SmltError("InvalidSpec", f"model.python: {entry}: expected a Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


_loaded_folders: set[str] = set()


def _is_inside(module: ModuleType | None, folders: set[str]) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and any(file.startswith(f"{folder}/") for folder in folders)


@contextmanager
def blamed_on(folder: Path, entry: str) -> Iterator[None]:
    """Whatever the program raises is told with its own lines: it would raise the same again, so nobody tries again."""
    try:
        yield
    except SmltError:
        raise
    except MemoryError:
        raise
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))]
        if isinstance(error, SyntaxError) and error.filename:
            where = f"{Path(error.filename).name}, line {error.lineno}"
        elif frames:
            where = f"{Path(frames[-1].filename).relative_to(folder)}, line {frames[-1].lineno}: {frames[-1].line}"
        else:
            where = entry
        hint = " (is it in model.requirements?)" if isinstance(error, ModuleNotFoundError) else ""
        raise SmltError("ProgramFailed", f"{where}: {type(error).__name__}: {error}{hint}") from error


#: What was there before any program: the runtime's own packages, no part of what a program computes.
_RUNTIMES = frozenset(sys.modules) - {"numpy"}


def used_packages() -> list[str]:
    """Distributions whose modules the program has loaded, as `name==version`: what its gradients depend on."""
    distributions = metadata.packages_distributions()
    loaded = {module.partition(".")[0] for module in list(sys.modules) if module not in _RUNTIMES}
    used = {name for module in loaded for name in distributions.get(module, ()) if name != "smlt"}
    return sorted(f"{name}=={metadata.version(name)}" for name in used)


def check_packages(lock: list[str]) -> None:
    """@raises SmltError `VersionSkew` where a package differs from the one that the program was prepared with"""
    for pinned in lock:
        name, _, version = pinned.partition("==")
        found = _version(name)
        if found != version:
            raise SmltError(
                "VersionSkew",
                f"the program was prepared with {pinned}, and this function has {found or 'none'}: use the same requirements, or start another run",
            )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
