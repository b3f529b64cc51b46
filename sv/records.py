"""Records of finished steps: whether a step's outputs still stand, and if not, why it runs again.

A record lies in `.done/` in the folder that the step fills. It holds what went in (the settings that matter, a
fingerprint of every input), what came out (a fingerprint of every output, counts) and when; text that can be read.
Fingerprints are size, time and SHA-256: a file of the same size and time is taken as unchanged, one of another
time is read, so that a step which ran again with the same bytes does not make its dependants run.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sv.data.atomic import atomic_write
from sv.errors import DataError

Fingerprint = list[Any]  # size in bytes, modification time in ns, SHA-256; [] for a file that is not there
FOLDER = ".done"
_MOST_SAID = 100  # characters of a setting that has changed


class Step:
    """One step of a stage, with the record of its last run.

    >>> step = Step("hold_out", out, inputs=[data / "utt2spk"], settings={"fraction": 0.1})
    >>> if not step.skip():                  # says "unchanged, skipped", or why it runs again
    ...     step.begin()                     # from here until done() the outputs do not count
    ...     write(out)
    ...     step.done([out / "utt2spk"], utterances=100)

    Args:
        name: of the step, unique in `folder`.
        folder: that the step fills; its record is FOLDER/.done/NAME.json.
        inputs: files that decide the outputs. In place of the files that another step wrote, its record may be
            named (`record_of`): it stands for all of them. A file that is not what that step wrote is an error, and so
            is a damaged record or that of a step that was begun and has not ended.
        settings: of options and configuration, those that decide the outputs; numbers, text, lists and mappings.
        digests: of inputs that are no single file, by what they are, as {"recordings": …}.
        version: of the step's code; raise it when the same inputs give other outputs.
        also: other folders that it fills, which a dry run is to know of.

    In a forced run every step runs; in a dry run none does, and each says what it would do.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        inputs: Iterable[Path] = (),
        settings: Mapping[str, Any] | None = None,
        digests: Mapping[str, str] | None = None,
        version: int = 1,
        also: Iterable[Path] = (),
    ) -> None:
        self.name, self.folder, self.version = name, folder, version
        self._filled = [folder, *also]
        self.settings: dict[str, Any] = json.loads(json.dumps(settings or {}))  # as a record gives them back
        self._digests = dict(digests or {})
        self._inputs = list(dict.fromkeys(inputs))
        self._record = folder / FOLDER / f"{name}.json"
        self._begun = folder / FOLDER / f"{name}.begun.json"
        self._taken: dict[str, Fingerprint] | None = None
        self._since = time.time()

    def skip(self) -> bool:
        """Whether there is nothing to do: the last run's record still holds. Prints a line that says so, or why not."""
        stored, damaged = _read(self._record)
        if dry_run() and (earlier := self._changes_before()):
            why = f"after {earlier}"
        elif forced():
            why = "--force"
        elif damaged:
            why = "its record was damaged"
        else:
            why = "" if stored is None else self._changed(stored)
        if folder := dry_run():
            if why or stored is None:
                with (folder / "changes").open("a", encoding="utf-8") as out:
                    out.writelines(f"{self.name}\t{filled.absolute()}\n" for filled in self._filled)
            print(f"{self}: " + (f"would run: {why or 'not done yet'}" if why or stored is None else "unchanged"))
            return True
        if why and (stored is not None or damaged):
            print(f"{self}: runs again ({why})")
        elif stored is not None:
            print(f"{self}: unchanged, skipped")
            return True
        return False

    def begin(self) -> bool:
        """Take the record away and note what is being made; whether a run of the very same was cut short here.

        What such a run left may be taken up; what any other left must not.
        """
        begun, _ = _read(self._begun)
        self._record.unlink(missing_ok=True)
        if begun is not None and begun["key"] == self.key and not forced():
            return True
        _write(self._begun, self._content() | {"key": self.key})
        return False

    def done(self, outputs: Iterable[Path], jobs: Iterable[str] = (), **counts: int | float | str) -> None:
        """Record that the outputs are whole, those that `jobs` recorded among them, with counts worth knowing."""
        made = {self._relative(path): fingerprint(path) for path in outputs}
        for job in jobs:
            made |= (_read(_job_record(self.folder, self.name, job))[0] or {"outputs": {}})["outputs"]
        if missing := [path for path, found in made.items() if not found]:
            raise DataError(f"{self.folder}: {self.name} did not write {missing[0]}; run the stage again")
        _write(self._record, self._content() | {"outputs": made, "counts": counts})
        self._begun.unlink(missing_ok=True)

    def not_as_written(self) -> list[Path]:
        """The outputs of the last run that are not what it wrote; those that are gone are not among them."""
        stored, _ = _read(self._record)
        return [path for path in self._not_whole(stored) if path.exists()] if stored else []

    @property
    def key(self) -> str:
        """A digest of all that decides the outputs."""
        inputs = {path: found[2:] for path, found in self._fingerprints().items()}
        content = [self.version, self.settings, self._digests, inputs]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def job_holds(self, job: str) -> bool:
        """Whether a job's part (`job_done`), made of the same inputs and settings, is still there and whole."""
        stored, _ = _read(_job_record(self.folder, self.name, job))
        same = stored is not None and stored["key"] == self.key and not forced()
        return same and not any(self._not_whole(stored))

    def __str__(self) -> str:
        return f"{self.name} {self.folder}"

    def _content(self) -> dict[str, Any]:
        inputs = self._fingerprints()
        made_of = {"settings": self.settings, "digests": self._digests, "inputs": inputs}
        return {"version": self.version} | made_of | _circumstances(self._since)

    def _fingerprints(self) -> dict[str, Fingerprint]:
        if self._taken is None:
            self._taken = {self._relative(path): _of_input(path) for path in self._inputs}
        return self._taken

    def _relative(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)

    def _changed(self, stored: dict[str, Any]) -> str:
        """What is not as the record says; "" if all is. A file of another time and the same bytes is as it was."""
        if stored["version"] != self.version:
            return f"its code has changed (version {self.version}, was {stored['version']})"
        for name, was, now in differences(stored["settings"], self.settings):
            return f"{name} is {_said(now)}, was {_said(was)}"
        for name in {**self._digests, **stored["digests"]}:
            if self._digests.get(name) != stored["digests"].get(name):
                return f"the {name} have changed"
        known, paths = stored["inputs"], {self._relative(path): path for path in self._inputs}
        for name in {**paths, **known}:
            if name not in paths or name not in known:
                return f"{self._shown(name)} is {'a new' if name in paths else 'no longer an'} input"
        for name, path in paths.items():
            if not _same(path, known[name]):
                return f"{self._shown(name)} has changed"
        for path in self._not_whole(stored):
            return f"{self._shown(self._relative(path))} is {'not what was written' if path.exists() else 'missing'}"
        return ""

    def _not_whole(self, stored: dict[str, Any]) -> Iterator[Path]:
        """The outputs that a record names and that are missing or not what was written."""
        for name, was in stored["outputs"].items():
            path = self.folder / name
            if not path.exists() or not _same(path, was):
                yield path

    def _shown(self, relative: str) -> str:
        """A path as messages show it: from the current folder."""
        path = Path(os.path.normpath(self.folder / relative))
        return str(path.parent.parent / path.stem if path.parent.name == FOLDER else path)

    def _changes_before(self) -> str:
        """The step of this dry run that would write one of our inputs."""
        changes = (dry_run() or Path()) / "changes"
        if not changes.exists():
            return ""
        inputs = [str(path.absolute()) for path in self._inputs]
        lines = [line.split("\t") for line in changes.read_text(encoding="utf-8").splitlines()]
        writers = [(folder, name) for name, folder in lines if any(i.startswith(folder + os.sep) for i in inputs)]
        return max(writers, key=lambda writer: len(writer[0]), default=("", ""))[1]


def forced() -> bool:
    """Whether everything runs though nothing has changed: `run.sh --force` sets SV_FORCE."""
    return bool(os.environ.get("SV_FORCE"))


def dry_run() -> Path | None:
    """The folder in which a dry run keeps what it finds out: `run.sh --dry-run` sets SV_DRY_RUN; None in a real run."""
    folder = os.environ.get("SV_DRY_RUN")
    return Path(folder) if folder else None


def job_done(name: str, folder: Path, key: str, job: str, outputs: Iterable[Path]) -> None:
    """Record that a job of a step's array has left its part whole.

    Args:
        name, folder, key: of the step.
        job: the job's number and how many there are, as "1of4".
        outputs: the files of its part.
    """
    made = {os.path.relpath(path, folder): fingerprint(path) for path in outputs}
    _write(_job_record(folder, name, job), {"key": key, "outputs": made} | _circumstances(time.time()))


def record_of(name: str, folder: Path) -> Path:
    """The record of the step that filled a folder, as an input of another."""
    return folder / FOLDER / f"{name}.json"


def unfinished(record: Path) -> bool:
    """Whether the step of a record was begun and has not ended: what is there may be old or half new."""
    return not record.exists() and record.with_name(f"{record.stem}.begun.json").exists()


def require_whole(record: Path) -> None:
    """Raise DataError if the step of a record has not ended, or what it left is no longer as it left it.

    Of a step without a record, as of files that came from elsewhere, nothing is known and nothing required.
    """
    _of_input(record)


def holds(record: Path) -> bool:
    """Whether a step's record is there and its inputs are still those that it names.

    Raises DataError if an input that is itself another step's is not as that step left it.
    """
    stored, _ = _read(record)
    folder = record.parent.parent
    # Inputs are named by their paths from the folder, which are to be read as they were made, whatever is a link.
    return stored is not None and all(
        _same(Path(os.path.normpath(folder / name)), was) for name, was in stored["inputs"].items()
    )


def superseded(record: Path, within: Iterable[Path]) -> Path | None:
    """The first of the records that a step's outputs go back to which is another one now; None if all are the same.

    Records alone are looked at, those in the folders `within`, not the files that they name: these may have been taken
    away. What is not there counts as unchanged.
    """
    stored, _ = _read(record)
    folders = [Path(os.path.abspath(folder)) for folder in within]
    for name, was in stored["inputs"].items() if stored else ():
        path = Path(os.path.abspath(record.parent.parent / name))
        if path.parent.name != FOLDER or not any(map(path.is_relative_to, folders)):
            continue
        now, _ = _read(path)
        if now is not None and _of_outputs(now)[2:] != was[2:]:
            return path
        if earlier := superseded(path, folders):
            return earlier
    return None


def settings_of(name: str, folder: Path) -> dict[str, Any] | None:
    """The settings that a folder was made with; None if it has no record."""
    stored, _ = _read(record_of(name, folder))
    return None if stored is None else stored["settings"]


def counts_of(name: str, folder: Path) -> dict[str, Any] | None:
    """The counts that a step recorded; None if it has no record."""
    stored, _ = _read(record_of(name, folder))
    return None if stored is None else stored["counts"]


def content_of(record: Path) -> dict[str, Any] | None:
    """All that a finished step's record holds; None if there is none, or none that is whole."""
    return _read(record)[0]


def fingerprint(path: Path) -> Fingerprint:
    """Size, time and digest of a file; [] if there is none."""
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            return [stat.st_size, stat.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()]
    except FileNotFoundError:
        return []


def differences(was: Any, now: Any, above: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The settings that two trees differ in, as (path.to.key, was, now), in the order of the new one."""
    for key in {**now, **was}:
        a, b = was.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differences(a, b, f"{above}{key}.")
        elif a != b:
            yield above + key, a, b


def _job_record(folder: Path, name: str, job: str) -> Path:
    return folder / FOLDER / f"{name}.job{job}.json"


def _of_input(path: Path) -> Fingerprint:
    """The fingerprint of an input file or, of a step's record, that of all outputs of the step."""
    if path.parent.name != FOLDER:
        return fingerprint(path)
    stored, damaged = _read(path)
    folder = path.parent.parent
    if damaged:
        raise DataError(f"{path} is damaged; run the stage that makes it again")
    if unfinished(path):
        raise DataError(f"{folder}: {path.stem} was begun and has not ended; run its stage again")
    if stored is None:
        return []
    for name, was in stored["outputs"].items():
        if not _same(folder / name, was):
            raise DataError(
                f"{folder / name} is not what {path.stem} wrote; run the stage that makes it again"
                if (folder / name).exists()
                else f"{folder / name} is missing; run the stage that makes it again"
            )
    return _of_outputs(stored)


def _of_outputs(stored: dict[str, Any]) -> Fingerprint:
    """The fingerprint of all outputs that a record names, as it has them."""
    digests = {name: was[2] for name, was in stored["outputs"].items()}
    return [len(digests), 0, hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()]


def _same(path: Path, was: Fingerprint) -> bool:
    """Whether a file is the one of a fingerprint: by size and time, else by its content."""
    if path.parent.name == FOLDER:
        return _of_input(path)[2:] == was[2:]
    try:
        stat = path.stat()
    except FileNotFoundError:
        return not was
    if not was or stat.st_size != was[0]:
        return False
    return stat.st_mtime_ns == was[1] or fingerprint(path)[2] == was[2]


def _circumstances(since: float) -> dict[str, Any]:
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    return {"began": began, "seconds": round(time.time() - since, 2), "host": socket.gethostname(), "argv": sys.argv}


def _said(value: Any) -> str:
    """A setting for a line that a person reads; of a whole block its beginning."""
    text = "not set" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SAID else f"{text[:_MOST_SAID]}…"


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as out:
        json.dump({"sha256": _digest(content), "record": content}, out, indent=1, ensure_ascii=False)
        out.write("\n")


def _read(path: Path) -> tuple[dict[str, Any] | None, bool]:
    """A record's content, None if there is none, and whether there is one that is not what was written."""
    try:
        stored = json.loads(path.read_bytes())
        whole = stored["sha256"] == _digest(stored["record"])
    except FileNotFoundError:
        return None, False
    except (ValueError, KeyError, TypeError):
        return None, True
    return (stored["record"], False) if whole else (None, True)


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
