"""Score files in their two forms, SCORES and, compressed, SCORES.gz: never both, and every reader takes either."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path

from sv.data.atomic import atomic_write
from sv.errors import DataError
from sv.records import Step, counts_of, dry_run

LEVEL = 6  # of gzip: the higher ones take twice as long for a hundredth less


def score_file(path: Path) -> Path:
    """The file of a run's scores (`Run.scores`): compressed where that is there, else the plain one."""
    packed = _packed(path)
    return packed if packed.exists() and not path.exists() else path


def is_compressed(path: Path) -> bool:
    """Whether a run's scores are there, and compressed."""
    return score_file(path) != path


def write_score_lines(path: Path, lines: Iterable[str], compress: bool = False) -> Path:
    """Write scores in one form and remove them in the other; the file written, whose bytes say no name and no time."""
    file, other = (_packed(path), path) if compress else (path, _packed(path))
    other.unlink(missing_ok=True)
    if not compress:
        with atomic_write(file) as out:
            out.writelines(lines)
        return file
    with (
        atomic_write(file, "wb") as out,
        gzip.GzipFile("", "wb", LEVEL, out, mtime=0) as packed,
        io.TextIOWrapper(packed, "utf-8", newline="\n") as text,
    ):
        text.writelines(lines)
    return file


def read_score_text(path: Path) -> str:
    """The text of scores in either form. Raises DataError, in one line, if it cannot be read."""
    file = score_file(path)
    try:
        content = file.read_bytes()
        return (gzip.decompress(content) if file != path else content).decode()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{file}: not a whole gzip file ({error}); remove it and score again (stage 7)") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); score first (stage 7)") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def bring_into_form(step: Step, path: Path, compress: bool, beside: Iterable[Path] = ()) -> None:
    """Give the scores of a step that holds the form that is asked for, if they have the other; nothing is scored again.

    Args:
        step: which wrote them; its record then names the new file.
        beside: other files that it wrote.
    """
    counts = counts_of(step.name, step.folder)
    if dry_run() or counts is None or is_compressed(path) == compress:
        return
    text = read_score_text(path)
    step.begin()
    file = write_score_lines(path, [text], compress)
    step.done([file, *filter(Path.exists, beside)], **counts)
    print(f"{file}: the same scores, {'compressed' if compress else 'plain'}")


def _packed(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz")
