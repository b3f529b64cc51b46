"""The figures of every utterance of a job's part, one line each, and what could not be read."""

from __future__ import annotations

import glob
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.audit.levels import content_hash, levels
from sv.audit.speech import speech_s
from sv.data.atomic import atomic_write
from sv.data.audio import read_part
from sv.data.datadir import DataDir
from sv.data.tables import read_lines, read_table, write_table
from sv.data.utterance_audio import UtteranceReader
from sv.errors import UserError
from sv.features.vad import EnergyVad, WebRtcVad

# Columns of a part and, between speaker and problems, of audit.tsv. Their text is what all else is decided by.
FIGURES = ("seconds", "rate", "channels", "peak_dbfs", "rms_dbfs", "dc", "clipped", "speech_s")
COLUMNS = (*FIGURES, "content")


def measure_part(data: DataDir, part: Path, vad: EnergyVad | WebRtcVad | None, allow_pipes: bool) -> tuple[int, int]:
    """Measure the utterances of `data` into PART.tsv and, of those that cannot be read, PART.unreadable.

    One is read at a time, once, and written before the next. A recording that cannot be read does not end it.

    Returns:
        How many were measured, and how many could not be read.
    """
    unreadable: dict[str, str] = {}
    with UtteranceReader(data, allow_pipes) as reader, atomic_write(f"{part}.tsv") as out:
        for utt in data.utterances:
            try:
                figures = _figures(reader, data, utt, vad)
            except UserError as error:
                unreadable[utt] = _one_line(str(error).removeprefix(f"{utt}: "))
            except (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
                # What a library says of a damaged file that it did not expect: one of a million must not end the job.
                unreadable[utt] = _one_line(f"{type(error).__name__}: {error}")
            else:
                out.write(f"{utt}\t{figures}\n")
    write_table(f"{part}.unreadable", unreadable)
    return len(data) - len(unreadable), len(unreadable)


def heard(reader: UtteranceReader, data: DataDir, utt: str) -> tuple[np.ndarray, int, int]:
    """Samples (N,) of an utterance, its rate, and its recording's channels; the first one where none is named.

    Raises AudioError as `UtteranceReader.read` does.
    """
    segment, recording = data.segment(utt), reader.open(utt)
    source = data.wav[segment.recording]
    wave_N = read_part(recording, source, segment.start_s, segment.end_s, segment.channel or 0)
    return wave_N, recording.rate, recording.num_channels


@dataclass
class Measured:
    """What the jobs wrote, of M measured utterances in C order.

    `figures` has `FIGURES` by name, float64 (M,), nan where not known; `content_M` the hashes, bytes (M,).
    """

    utts: list[str]
    figures: dict[str, np.ndarray]
    content_M: np.ndarray
    unreadable: dict[str, str]


def parts_there(parts: Path) -> list[Path]:
    """The parts that the jobs left as PARTS.JOB.tsv, without the suffix, in the order of the jobs."""
    numbers = [int(path.suffixes[-2][1:]) for path in parts.parent.glob(f"{glob.escape(parts.name)}.*.tsv")]
    return [Path(f"{parts}.{number}") for number in sorted(numbers)]


def read_measured(parts: list[Path]) -> Measured:
    """What the parts hold, in their order."""
    utts: list[str] = []
    figures = {name: array("d") for name in FIGURES}
    content = bytearray()
    unreadable: dict[str, str] = {}
    for part in parts:
        for utt, texts in lines_of(part):
            utts.append(utt)
            for name, text in zip(FIGURES, texts, strict=False):
                figures[name].append(float(text))
            content += texts[-1].encode()
        unreadable |= read_table(f"{part}.unreadable")
    as_arrays = {name: np.frombuffer(values) if values else np.empty(0) for name, values in figures.items()}
    return Measured(utts, as_arrays, np.frombuffer(content, "S32"), unreadable)


def lines_of(part: Path) -> Iterator[tuple[str, list[str]]]:
    """Of every utterance of a part, its `COLUMNS` as text."""
    for line in read_lines(f"{part}.tsv"):
        utt, *texts = line.rstrip("\n").split("\t")
        yield utt, texts


def _figures(reader: UtteranceReader, data: DataDir, utt: str, vad: EnergyVad | WebRtcVad | None) -> str:
    wave_N, rate, channels = heard(reader, data, utt)
    of = levels(wave_N)
    speech = "nan" if vad is None else f"{speech_s(wave_N, rate, vad):.2f}"
    return (
        f"{len(wave_N) / rate:.3f}\t{rate}\t{channels}\t{of.peak_dbfs:.2f}\t{of.rms_dbfs:.2f}\t{of.dc:.5f}"
        f"\t{of.clipped:.5f}\t{speech}\t{content_hash(wave_N)}"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "no reason given"
