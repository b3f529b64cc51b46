"""What is wrong with measured utterances, by limits that a user can set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from sv.audit.measure import Measured
from sv.data.datadir import DataDir
from sv.errors import ConfigError

WORST = 12  # utterances of a problem that are kept in order of how bad they are


@dataclass(frozen=True)
class Limits:
    """What is still good; see the options of `sv.cli.audit`."""

    rate: int | None = None  # Hz; None: that of most recordings
    min_s: float = 1.0
    silent_dbfs: float = -60.0
    max_clipped: float = 0.001
    min_speech_s: float = 0.5
    max_dc: float = 0.01

    def __post_init__(self) -> None:
        if self.rate is not None and self.rate < 1:
            raise ConfigError(f"--rate is in Hz, not {self.rate}")
        for value, option in ((self.min_s, "--min-s"), (self.min_speech_s, "--min-speech-s")):
            if not 0 <= value < math.inf:
                raise ConfigError(f"{option} is in seconds from 0, not {value:g}")
        for value, option in ((self.max_clipped, "--max-clipped"), (self.max_dc, "--max-dc")):
            if not 0 <= value <= 1:
                raise ConfigError(f"{option} is a part of the whole, 0 to 1, not {value:g}")
        if not self.silent_dbfs <= 0:
            raise ConfigError(f"--silent-dbfs is in dB below full scale, 0 or less, not {self.silent_dbfs:g}")


@dataclass(frozen=True)
class Problem:
    """A kind of problem: the word in tables and file names, a title, what it means, what to do."""

    name: str
    title: str
    means: str
    advice: str


@dataclass
class Found:
    """The utterances that have a problem: {utterance: reason}, and the worst `WORST` of them, worst first."""

    problem: Problem
    reasons: dict[str, str]
    worst: list[str]


@dataclass
class Group:
    """Utterances of the same samples, in C order."""

    content: str
    utts: list[str]
    speakers: list[str]  # without repetition, in C order


def usual_rate(measured: Measured) -> int | None:
    """The rate in Hz that most utterances have, of several such the lowest; None if none was measured."""
    rates, counts = np.unique(measured.figures["rate"], return_counts=True)
    return int(rates[counts.argmax()]) if len(rates) else None


def kinds(limits: Limits, rate: int | None) -> dict[str, Problem]:
    """All problems that are looked for, by name, the worst first; `rate` is the wanted one in Hz."""
    all_kinds = (
        Problem(
            "unreadable",
            "Unreadable",
            "Missing, empty, truncated or damaged, so that every later stage would stop here.",
            "Get or convert them again, or leave them out.",
        ),
        Problem(
            "duplicate_speakers",
            "Same samples under different speakers",
            "One recording stands under two or more speakers, so at least one of the labels is wrong.",
            "Find out who speaks, or leave all of them out: they are wrong labels in training and wrong trials in a"
            " test. duplicate_groups.tsv has the groups.",
        ),
        Problem(
            "duplicates",
            "Same samples again",
            "One recording stands under two or more names of one speaker. The list has all but the first.",
            "Leave the copies out: they weigh twice in training, and in a test make trials of a recording against"
            " itself. duplicate_groups.tsv has the groups.",
        ),
        Problem(
            "silent",
            "Silent",
            f"Digital silence or little more: {limits.silent_dbfs:g} dBFS or less.",
            "Leave them out, or look for the channel or the file that has the speech.",
        ),
        Problem(
            "no_speech",
            "Hardly any speech",
            f"The VAD leaves less than {limits.min_speech_s:g} s of what is not silent.",
            "Listen to some of them. Leave them out, or try another VAD if speech is there.",
        ),
        Problem(
            "too_short",
            "Too short",
            f"Shorter than {limits.min_s:g} s.",
            "Leave them out, or join those of a session into one.",
        ),
        Problem(
            "clipped",
            "Clipped",
            f"More than {100 * limits.max_clipped:.3g} % of the samples stand at full scale, in runs of three or more.",
            "Look for a source with a lower gain. Leave the worst out; a little clipping does less harm than fewer"
            " speakers.",
        ),
        Problem(
            "rate",
            "Another sampling rate",
            f"Not sampled at {rate} Hz."
            + (" That is the rate which most have; --rate names another." if limits.rate is None else ""),
            "Resample them, and mind that what was 8 kHz once has no sound above 4 kHz at any rate.",
        ),
        Problem(
            "channels",
            "Several channels, none named",
            "More than one channel, and no segments file says which one is meant. Figures are of the first.",
            "Name the channel in a segments file ('utt recording 0 -1 CHANNEL'), or mix or split the recordings.",
        ),
        Problem(
            "dc_offset",
            "DC offset",
            f"The mean is more than {100 * limits.max_dc:.3g} % of full scale away from zero.",
            "Harmless to our fbank and MFCC, which take it out of every frame. Use a high-pass filter before a network"
            " that reads waveforms.",
        ),
    )
    return {kind.name: kind for kind in all_kinds}


def duplicate_groups(measured: Measured, data: DataDir, limits: Limits) -> list[Group]:
    """Groups of two and more utterances with the same samples, those of several speakers first, then the largest.

    Silent ones are not compared: all silence of a length is alike.
    """
    sounding = np.flatnonzero(measured.figures["rms_dbfs"] > limits.silent_dbfs)
    contents, first, counts = np.unique(measured.content_M[sounding], return_inverse=True, return_counts=True)
    members = np.flatnonzero(counts[first] > 1)
    utts_of: dict[int, list[str]] = {}
    for at in members:
        utts_of.setdefault(int(first[at]), []).append(measured.utts[sounding[at]])
    groups = [
        Group(contents[which].decode(), utts, sorted({data.utt2spk[utt] for utt in utts}))
        for which, utts in utts_of.items()
    ]
    return sorted(groups, key=lambda group: (-len(group.speakers), -len(group.utts), group.utts[0]))


def find(measured: Measured, data: DataDir, limits: Limits, groups: list[Group]) -> Iterator[Found]:
    """Every problem that some utterance has, the worst kind first.

    Args:
        measured: of all utterances.
        data: their directory.
        groups: `duplicate_groups` of these.
    """
    rate = limits.rate or usual_rate(measured)
    reasons: dict[str, dict[str, str]] = {"unreadable": measured.unreadable, "duplicate_speakers": {}, "duplicates": {}}
    for group in groups:
        if len(group.speakers) > 1:
            for utt in group.utts:
                other = next(u for u in group.utts if data.utt2spk[u] != data.utt2spk[utt])
                reasons["duplicate_speakers"][utt] = f"the same samples as {other} of speaker {data.utt2spk[other]}"
        else:
            reasons["duplicates"] |= dict.fromkeys(group.utts[1:], f"the same samples as {group.utts[0]}")
    worst = {
        "unreadable": sorted(measured.unreadable)[:WORST],
        "duplicate_speakers": [group.utts[0] for group in groups if len(group.speakers) > 1][:WORST],
        "duplicates": [group.utts[1] for group in groups if len(group.speakers) == 1][:WORST],
    }
    for name, (is_bad_M, badness_M, reason) in _rules(measured, data, limits, rate).items():
        bad = np.flatnonzero(is_bad_M)
        reasons[name] = {measured.utts[i]: reason(i) for i in bad}
        worst[name] = [measured.utts[i] for i in bad[np.argsort(-badness_M[bad], kind="stable")][:WORST]]
    for name, kind in kinds(limits, rate).items():
        if reasons[name]:
            yield Found(kind, reasons[name], worst[name])


_Rule = tuple[np.ndarray, np.ndarray, Callable[[int], str]]


def _rules(measured: Measured, data: DataDir, limits: Limits, rate: int | None) -> dict[str, _Rule]:
    """By problem: which utterances have it, bool (M,), how bad each is, (M,), and the reason for one, by its index."""
    of = measured.figures
    unnamed_M = of["channels"] > 1
    for i in np.flatnonzero(unnamed_M):
        unnamed_M[i] = data.segment(measured.utts[i]).channel is None
    off_M = np.abs(of["rate"] - (rate or 0))
    dc_M = np.abs(of["dc"])
    return {
        "silent": (
            of["rms_dbfs"] <= limits.silent_dbfs,
            -of["rms_dbfs"],
            lambda i: f"level {of['rms_dbfs'][i]:g} dBFS" if of["rms_dbfs"][i] > -np.inf else "all samples are alike",
        ),
        "no_speech": (
            (of["speech_s"] < limits.min_speech_s) & (of["rms_dbfs"] > limits.silent_dbfs),
            -of["speech_s"],
            lambda i: f"{of['speech_s'][i]:g} s of speech in {of['seconds'][i]:g} s",
        ),
        "too_short": (of["seconds"] < limits.min_s, -of["seconds"], lambda i: f"{of['seconds'][i]:g} s"),
        "clipped": (
            of["clipped"] > limits.max_clipped,
            of["clipped"],
            lambda i: f"{100 * of['clipped'][i]:.3g} % of its samples are clipped",
        ),
        "rate": (off_M > 0, off_M, lambda i: f"sampled at {of['rate'][i]:.0f} Hz"),
        "channels": (unnamed_M, of["channels"], lambda i: f"{of['channels'][i]:.0f} channels, and none is named"),
        "dc_offset": (dc_M > limits.max_dc, dc_M, lambda i: f"its mean is at {100 * of['dc'][i]:.3g} % of full scale"),
    }
