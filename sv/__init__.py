"""Speaker verification: the library behind the recipes. Nothing here knows a stage number or a corpus."""

from __future__ import annotations

from typing import Any

__all__ = ["Verifier"]


def __getattr__(name: str) -> Any:
    """`sv.Verifier`, which is read when it is asked for: most of the library needs nothing of it."""
    if name != "Verifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sv.verifier import Verifier

    return Verifier
