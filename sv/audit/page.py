"""The page of an audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

import numpy as np

from sv.audit.cards import Card
from sv.audit.drawings import histogram_svg
from sv.audit.levels import CLIP_FROM, CLIP_RUN
from sv.audit.measure import Measured
from sv.audit.problems import Found, Limits, kinds
from sv.data.datadir import DataDir
from sv.html_page import BADGE, document, duration, facts, figure

FEW_UTTERANCES = 8  # of a speaker; Kaldi's recipes train their networks without those who have fewer
EXAMPLES = 5  # of a problem, on the page; its list has all


@dataclass(frozen=True)
class Audit:
    """All that a page shows."""

    name: str  # of the data directory
    data: DataDir
    measured: Measured
    limits: Limits
    vad: str | None  # its name
    found: Sequence[Found]
    cards: Sequence[Card]


def page(audit: Audit) -> str:
    """The whole page; the same audit gives the same bytes."""
    title = f"Audit of {escape(audit.name)}"
    parts = [
        f"<header><h1>{title}{BADGE if audit.data.synthetic is not None else ''}</h1>",
        f"<p>{escape(str(audit.data.path))}</p>{_synthetic(audit.data)}{_facts(audit)}</header>",
        f"<section><h2>Problems</h2>{_problems(audit)}</section>",
        f"<section><h2>Distributions</h2>{_distributions(audit)}</section>",
        f"<section><h2>Speakers</h2>{_speakers(audit.data)}</section>",
        f"<section><h2>To look at</h2>{_cards(audit.cards)}</section>" if audit.cards else "",
        f"<section><h2>How it was measured</h2>{_method(audit)}</section>",
    ]
    return document(title, parts, _STYLE)


def _synthetic(data: DataDir) -> str:
    return f'<p class="note">{escape(data.synthetic)}</p>' if data.synthetic else ""


def _facts(audit: Audit) -> str:
    seconds = float(audit.measured.figures["seconds"].sum())
    figures = {
        "utterances": f"{len(audit.data):,}",
        "speakers": f"{audit.data.num_speakers:,}",
        "in all": duration(seconds),
        "with a problem": f"{len({utt for found in audit.found for utt in found.reasons}):,}",
    }
    if audit.vad:
        figures["of speech"] = duration(float(audit.measured.figures["speech_s"].sum()))
    return facts(figures)


def share(count: int, total: int) -> str:
    """`1.2 %`; what is more than nothing is never 0, what is less than all never 100."""
    percent = 100 * count / total
    if percent < 0.01:
        return "under 0.01 %"
    if 99.99 < percent < 100:
        return "over 99.99 %"
    return f"{percent:.2g} %" if percent < 99 else f"{percent:.4g} %"


def _problems(audit: Audit) -> str:
    blocks = []
    for found in audit.found:
        kind, count = found.problem, len(found.reasons)
        shown = found.worst[:EXAMPLES]
        examples = "".join(f"<li><code>{escape(utt)}</code> {escape(found.reasons[utt])}</li>" for utt in shown)
        blocks.append(
            f'<article class="problem" id="{kind.name}">'
            f'<div class="count">{count:,}<small>{share(count, len(audit.data))}</small></div>'
            f"<div><h3>{escape(kind.title)} <code>{kind.name}.txt</code></h3><p>{escape(kind.means)}</p>"
            f"<p><b>To do:</b> {escape(kind.advice)}</p>"
            f"<details><summary>{'The worst' if len(shown) < count else 'All'}</summary><ul>{examples}</ul></details>"
            "</div></article>"
        )
    names = {found.problem.name for found in audit.found} | (set() if audit.vad else {"no_speech"})
    if clean := [kind.title for name, kind in kinds(audit.limits, None).items() if name not in names]:
        blocks.append(f'<p class="note">Not found: {"; ".join(map(escape, clean))}.</p>')
    if audit.found:
        blocks.append(
            "<p>A set without those of a list, or of several: <code>steps/subset_data.sh --without LIST.txt"
            " [--without …] DATA NEW</code></p>"
        )
    return "".join(blocks)


def _distributions(audit: Audit) -> str:
    figures, limits = audit.measured.figures, audit.limits
    if not audit.measured.utts:
        return "<p>Nothing could be read.</p>"
    drawn = [
        figure(
            "Duration",
            _durations(figures["seconds"], limits.min_s),
            _quantiles(figures["seconds"], "s"),
        ),
        figure(
            "Level (RMS)",
            _levels(figures["rms_dbfs"], limits.silent_dbfs),
            _quantiles(figures["rms_dbfs"], "dBFS"),
        ),
    ]
    if audit.vad:
        speech = 100 * np.minimum(figures["speech_s"] / np.maximum(figures["seconds"], 1e-3), 1)
        counts, edges = np.histogram(speech, np.linspace(0, 100, 26))
        ticks = [(at, str(at)) for at in range(0, 101, 20)]
        drawn.append(
            figure(
                f"Speech (VAD {escape(audit.vad)})",
                histogram_svg(counts, edges, ticks, "% of the utterance", "Histogram of the part that is speech"),
                _quantiles(speech, "%"),
            )
        )
    return f'<div class="grid">{"".join(drawn)}</div>'


def _durations(seconds_M: np.ndarray, min_s: float) -> str:
    """On a logarithmic axis, from the quarter of a decade that holds the shortest to that of the longest."""
    logs = np.log10(np.maximum(seconds_M, 1e-3))
    low, high = np.floor(logs.min() * 4) / 4, np.ceil(logs.max() * 4) / 4
    counts, edges = np.histogram(logs, np.linspace(low, max(high, low + 0.5), 31))
    every = [m * 10.0**e for e in range(-3, 6) for m in ((1, 2, 5) if high - low < 2 else (1, 3))]
    ticks = [(log10(s), f"{s:g}") for s in every if edges[0] <= log10(s) <= edges[-1]]
    mark = (log10(min_s), f"at least {min_s:g} s") if min_s else None
    return histogram_svg(counts, edges, ticks, "seconds, logarithmic", "Histogram of durations", mark)


def _levels(rms_M: np.ndarray, silent_dbfs: float) -> str:
    """From -90 dBFS to 0; what is beyond, as floats may be, is in the outer bars."""
    counts, edges = np.histogram(np.clip(rms_M, -90, 0), np.linspace(-90, 0, 31))
    ticks = [(at, f"{'≤ ' if at == -90 else ''}{at}".replace("-", "−")) for at in range(-90, 1, 15)]
    mark = (silent_dbfs, "silent below")
    return histogram_svg(counts, edges, ticks, "dB below full scale", "Histogram of levels", mark)


def _quantiles(values_M: np.ndarray, unit: str) -> str:
    least, low, middle, high, most = np.quantile(values_M, [0, 0.01, 0.5, 0.99, 1], method="nearest")
    return (
        f"median {_number(middle)} {unit}; 98 % from {_number(low)} to {_number(high)};"
        f" least {_number(least)}, most {_number(most)}"
    )


def _number(value: float) -> str:
    text = f"{value:,.0f}" if 1000 <= abs(value) < np.inf else f"{value:.3g}"
    return text.replace("-", "−").replace("inf", "∞")


def _speakers(data: DataDir) -> str:
    counts = np.array(sorted(Counter(data.utt2spk.values()).values()))
    few = int((counts < FEW_UTTERANCES).sum())
    rows = {
        "speakers": f"{len(counts):,}",
        "utterances of a speaker, fewest": f"{counts[0]:,}",
        "median": f"{float(np.median(counts)):g}",
        "most": f"{counts[-1]:,}",
        f"speakers with fewer than {FEW_UTTERANCES}": f"{few:,} ({share(few, len(counts))})" if few else "none",
    }
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
    note = (
        f"<p>Networks are usually trained without speakers who have fewer than {FEW_UTTERANCES} utterances.</p>"
        if few
        else ""
    )
    return f"<table>{table}</table>{note}"


def _cards(cards: Iterable[Card]) -> str:
    shown = []
    for card in cards:
        picture = (
            f'{card.waveform}<img alt="Spectrogram of {escape(card.utt)}"'
            f' src="data:image/png;base64,{card.spectrogram}"/>'
            if card.spectrogram
            else '<p class="note">It could not be read again.</p>'
        )
        shown.append(
            f"<figure>{picture}<figcaption><b>{escape(card.problem)}</b>: {escape(card.reason)}<br/>"
            f"<code>{escape(card.utt)}</code> of {escape(card.speaker)}<br/>{escape(card.figures)}</figcaption>"
            "</figure>"
        )
    return (
        "<p>The worst of each problem. Above the waveform from −1 to 1 of full scale, below the spectrogram from 0 Hz"
        " to half the sampling rate, of the whole utterance; colours are the same levels in all.</p>"
        f'<div class="grid">{"".join(shown)}</div>'
    )


def _method(audit: Audit) -> str:
    limits = audit.limits
    said = [
        "Samples are those that training and extraction read. Levels are relative to full scale (32768 in 16 bits);"
        " the RMS level is that of the deviation from the mean, so a sine at full scale has −3 dBFS.",
        "Duplicates have the same samples, whatever file format they are in, as long as it is lossless. Silent ones are"
        " not compared. Copies that were resampled, cut, amplified or coded lossily are not found.",
        f"Clipped are {CLIP_RUN} or more samples in a row that are alike, at {CLIP_FROM:.0%} of full scale or above.",
        f"Speech is what the VAD {audit.vad} leaves of frames of 10 ms." if audit.vad else "No VAD was asked for.",
        "audit.tsv has all figures of every utterance.",
    ]
    options = {
        "--rate": "not given" if limits.rate is None else f"{limits.rate} Hz",
        "--min-s": f"{limits.min_s:g} s",
        "--silent-dbfs": f"{limits.silent_dbfs:g} dBFS",
        "--max-clipped": f"{limits.max_clipped:g} of the samples",
        "--min-speech-s": f"{limits.min_speech_s:g} s",
        "--max-dc": f"{limits.max_dc:g} of full scale",
    }
    table = "".join(f"<tr><th><code>{name}</code></th><td>{value}</td></tr>" for name, value in options.items())
    return "".join(f"<p>{escape(line)}</p>" for line in said) + f"<p>Limits:</p><table>{table}</table>"


_STYLE = """
h3 code { font-weight: 400; color: var(--soft); margin-left: .5rem; }
.problem { display: grid; grid-template-columns: 6.5rem 1fr; gap: 0 1rem; padding: .75rem 1rem; margin: .5rem 0;
  background: var(--panel); border-radius: .4rem; }
.count { font-size: 1.5rem; font-weight: 600; line-height: 1.2; font-variant-numeric: tabular-nums; }
.count small { display: block; font-size: .8rem; font-weight: 400; }
figure img { height: 9rem; image-rendering: auto; }
svg .bar { fill: var(--bar); }
svg.wave { height: 3.5rem; margin-bottom: .25rem; }
@media (max-width: 30rem) { .problem { grid-template-columns: 1fr; }
  .count small { display: inline; margin-left: .5rem; } }
"""
