"""The engine: smlt's own functions in a Node process beside this one. It owns ranges, names, stores; this process computes.

They talk over a socket, one JSON object a line: a call goes out, then the engine asks and this process answers, until the
engine answers the call. Vectors go through shared memory (memory.py).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .host import Host

ENGINE = Path(__file__).with_name("engine.js")


class EngineLostError(Exception):
    """The engine ended. So does this instance: the next one starts fresh."""


class Engine:
    def __init__(self, program: Path = ENGINE) -> None:
        node = os.environ.get("SMLT_NODE") or shutil.which("node")
        if node is None:
            raise RuntimeError("smlt needs Node beside Python: expected `node` on the PATH, or SMLT_NODE to name it")
        if not program.exists():
            raise RuntimeError(f"{program} is missing: this package was built without smlt's engine; run `npm run build`")
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [node, str(program), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        theirs.close()
        self._lines = ours.makefile("rwb")
        self._host = Host()

    def call(self, role: str, event: Any, remaining_ms: float) -> Any:
        """Runs one function. @raises EngineLostError, or RuntimeError with what the engine did not expect"""
        self._send({"call": role, "event": event, "deadlineAtMs": time.time() * 1_000 + remaining_ms})
        while True:
            message = self._receive()
            if "answer" in message:
                return message["answer"]
            if "failure" in message:
                raise RuntimeError(message["failure"])
            self._send(self._host.answer(message))

    def _send(self, message: Any) -> None:
        try:
            self._lines.write(json.dumps(message).encode() + b"\n")
            self._lines.flush()
        except OSError as error:
            raise EngineLostError(f"smlt's engine has ended: {error}") from error

    def _receive(self) -> Any:
        line = self._lines.readline()
        if not line:
            raise EngineLostError(f"smlt's engine ended with exit code {self._process.wait()}")
        return json.loads(line)
