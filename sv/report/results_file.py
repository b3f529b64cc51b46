"""A recipe's RESULTS.md: words that people write, and between marks the tables of reports, which a command writes.

A place for the report NAME is the lines between `<!-- results: NAME -->` and `<!-- end of NAME, DIGEST -->`. The digest
is of what stands there, so that a figure that somebody changed by hand is found. What figures mean is said once, in the
place `definitions` at the end.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from sv.data.tables import first_few
from sv.errors import DataError
from sv.report.tables import DEFINITIONS, FEW_DEFINITION, INTERVALS

DEFINED = "definitions"
_ABOVE = re.compile(r"(?<![^\s=,'\"`])/(?:[^\s/'\"`]+/)+")  # the folders of an absolute path
_PLACE = re.compile(
    r"<!-- results: (?P<name>\S+) -->\n(?P<body>.*?)<!-- end of (?P=name)(?:, (?P<digest>\w+))? -->", re.S
)


def with_reports(text: str, reports: Mapping[str, str]) -> str:
    """The text of a RESULTS.md with reports in their places; one that has none gets a section at the end.

    Args:
        text: as it is; "" for a new file.
        reports: what `body_of` makes of each, by name.
    Raises:
        DataError: a place was changed by hand, or begins and does not end.
    """
    if changed := changed_by_hand(text):
        raise DataError(
            f"the figures of {first_few(changed)} were changed by hand; take that back, or empty the place to have it"
            " written anew"
        )
    bodies = {found["name"]: found["body"] for found in _PLACE.finditer(text)} | dict(reports)
    if missing := [name for name in bodies if f"<!-- results: {name} -->" not in text and name != DEFINED]:
        text = text.rstrip("\n") + "".join(f"\n\n## {name}\n\n{_place(name, '')}\n" for name in missing)
        text = text.lstrip("\n")
    if f"<!-- results: {DEFINED} -->" not in text:
        text = f"{text.rstrip()}\n\n## What the figures are\n\n{_place(DEFINED, '')}\n"
    used = [paragraph for name, body in bodies.items() if name != DEFINED for paragraph in body.split("\n\n")]
    shown = {
        name: "\n\n".join(part for part in body.split("\n\n") if part.strip() not in DEFINITIONS)
        for name, body in reports.items()
    }
    kept = {part.strip() for part in bodies.get(DEFINED, "").split("\n\n")} | {part.strip() for part in used}
    shown[DEFINED] = "\n\n".join(part for part in DEFINITIONS if part in kept)
    return _PLACE.sub(lambda found: _place(found["name"], shown.get(found["name"], found["body"])), text)


def changed_by_hand(text: str) -> list[str]:
    """The names of places whose text is not what was written there; DataError if one does not end."""
    begun = re.findall(r"<!-- results: (\S+) -->", text)
    places = {found["name"]: found for found in _PLACE.finditer(text)}
    if lost := [name for name in begun if name not in places or begun.count(name) > 1]:
        raise DataError(f"the place of {first_few(set(lost))} does not end, or is there twice")
    return [
        name for name, found in places.items() if found["body"].strip() and found["digest"] != _digest(found["body"])
    ]


def body_of(report: Path) -> str:
    """What of a report's results.md goes into a recipe's: what stands below its title, up to the tables by conditions.

    The table of intervals stays behind, but for those of EERs, which stand in the first table as well. Of the paths in
    the command that made it the last name is left: those of one machine tell others nothing. Raises DataError if the
    file is missing.
    """
    path = report / "results.md"
    if not path.exists():
        raise DataError(f"{path} is missing; make the report first (stage 9)")
    _, *parts = [part.strip("\n") for part in path.read_text().split("\n\n") if part.strip()]
    parts = list(takewhile(lambda part: not part.startswith(("## ", "![")), parts))
    if INTERVALS in parts:
        at = parts.index(INTERVALS)
        parts = [part for part in parts[:at] + parts[at + 2 :] if part != FEW_DEFINITION]
    return "\n\n".join(_ABOVE.sub("…/", part) if part.startswith("Made by") else part for part in parts)


def _place(name: str, body: str) -> str:
    body = f"{body.strip()}\n" if body.strip() else ""
    return f"<!-- results: {name} -->\n{body}<!-- end of {name}, {_digest(body)} -->"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:12]
