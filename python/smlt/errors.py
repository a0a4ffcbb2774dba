"""Errors that smlt understands: the same codes as in contracts/errors.ts."""


class SmltError(Exception):
    """What is wrong, with what, and what to do. The code says whether trying again can help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
