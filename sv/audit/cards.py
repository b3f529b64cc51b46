"""The worst utterances of an audit, drawn to be looked at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan

from sv.audit.drawings import spectrogram_png, waveform_svg
from sv.audit.measure import Measured, heard
from sv.audit.problems import Found
from sv.data.datadir import DataDir
from sv.data.utterance_audio import UtteranceReader
from sv.errors import UserError


@dataclass(frozen=True)
class Card:
    """An utterance to look at: drawings (empty where it could not be read again) and what stands below them."""

    utt: str
    speaker: str
    problem: str  # its title
    reason: str
    figures: str
    waveform: str = ""  # SVG
    spectrogram: str = ""  # PNG, base64


def choose(found: Sequence[Found], most: int) -> list[tuple[Found, str]]:
    """Which utterances to show: in turn one of each problem, the worst first, none twice, `most` at most.

    Nothing can be shown of those that cannot be read. They come in the order of the problems.
    """
    chosen: dict[str, Found] = {}
    queues = [(of, iter(of.worst)) for of in found if of.problem.name != "unreadable"]
    while queues and len(chosen) < most:
        for of, worst in list(queues):
            utt = next((utt for utt in worst if utt not in chosen), None)
            if utt is None:
                queues.remove((of, worst))
            elif len(chosen) < most:
                chosen[utt] = of
    return [(of, utt) for of in found for utt in of.worst if chosen.get(utt) is of]


def draw(
    chosen: Iterable[tuple[Found, str]], data: DataDir, measured: Measured, allow_pipes: bool = False
) -> Iterator[Card]:
    """The cards of utterances, each read once more."""
    with UtteranceReader(data, allow_pipes) as reader:
        for found, utt in chosen:
            card = Card(utt, data.utt2spk[utt], found.problem.title, found.reasons[utt], _figures(measured, utt))
            try:
                wave_N, rate, _ = heard(reader, data, utt)
            except UserError:  # it was there when it was measured
                yield card
                continue
            waveform = waveform_svg(wave_N, f"Waveform of {utt}")
            yield replace(card, waveform=waveform, spectrogram=spectrogram_png(wave_N, rate))


def _figures(measured: Measured, utt: str) -> str:
    at = bisect_left(measured.utts, utt)
    of = {name: values_M[at] for name, values_M in measured.figures.items()}
    said = f"{of['seconds']:.2f} s at {of['rate']:.0f} Hz, peak {of['peak_dbfs']:.1f}, RMS {of['rms_dbfs']:.1f} dBFS"
    speech = "" if isnan(of["speech_s"]) else f", {of['speech_s']:.2f} s of speech"
    return (said + speech).replace("-", "−").replace("inf", "∞")
