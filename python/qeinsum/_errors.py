"""The exceptions of the library, made or worded anew in Python."""

from __future__ import annotations

from ._qeinsum import Error


def error_of(exception: type[Error], kind: str, text: str) -> Error:
    """An exception as the library raises it, of what Python finds wrong."""
    error = exception(text)
    error.kind, error.message, error.spans = kind, text, []
    return error


def reworded(error: Error, text: str) -> Error:
    """The same error in other words."""
    error.args, error.message = (text,), text
    return error
