"""Drawings for a page: histograms and waveforms as SVG in the page's own colours, spectrograms as PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.image import imsave

from sv.audit.levels import FULL_SCALE

COLUMNS = 400  # of a spectrogram and a waveform, however long the recording
_RANGE_DB = (-105.0, -20.0)  # of a spectrogram, a bin against a sine at full scale: black to white, the same for all
_STEP_DB = 2.5
_BANDS = 128  # of a spectrogram, at most
_WIDTH, _HEIGHT = 360, 170  # of a histogram; small, so that its text can be read on a phone
_LEFT, _RIGHT, _TOP, _BOTTOM = 6, 6, 20, 34


def histogram_svg(
    counts_B: np.ndarray,
    edges: Sequence[float],
    ticks: Sequence[tuple[float, str]],
    unit: str,
    what: str,
    mark: tuple[float, str] | None = None,
) -> str:
    """A histogram of B bins as SVG.

    Args:
        counts_B: int (B,).
        edges: of the bins, B + 1, rising, on the axis as it is drawn (of a logarithmic one, the logarithms).
        ticks: positions on this axis and their labels.
        unit: what stands below the axis.
        what: said to those who cannot see it.
        mark: a limit on this axis and its label.
    """
    low, high, most = edges[0], edges[-1], max(int(counts_B.max()), 1)
    floor = _HEIGHT - _BOTTOM

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    bars = []
    for count, left, right in zip(counts_B, edges[:-1], edges[1:], strict=True):
        if count:
            # One recording of a million must still be seen, so no bar is lower than a pixel.
            tall = max(1.5, count / most * (floor - _TOP))
            width = max(x(right) - x(left) - 1, 0.5)
            bars.append(
                f'<rect x="{x(left):.1f}" y="{floor - tall:.1f}" width="{width:.1f}" height="{tall:.1f}">'
                f"<title>{count:,}</title></rect>"
            )
    labels = [
        f'<text x="{x(at):.1f}" y="{floor + 14}" text-anchor="{_anchor(at, low, high)}">{escape(label)}</text>'
        for at, label in ticks
    ]
    drawn = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(what)}">',
        f'<g class="bar">{"".join(bars)}</g>',
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>',
        *labels,
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(unit)}</text>',
    ]
    if mark and low < mark[0] < high:
        at, side = x(mark[0]), "start" if mark[0] < (low + high) / 2 else "end"
        drawn.append(
            f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 3}" y2="{floor}"/>'
            f'<text class="mark" x="{at:.1f}" y="{_TOP - 7}" text-anchor="{side}">{escape(mark[1])}</text>'
        )
    return "".join([*drawn, "</svg>"])


def _anchor(at: float, low: float, high: float) -> str:
    part = (at - low) / (high - low)
    return "start" if part < 0.04 else "end" if part > 0.96 else "middle"


def waveform_svg(wave_N: np.ndarray, what: str) -> str:
    """The least and greatest sample of every stretch of a waveform, (N,) in the int16 range, within full scale."""
    starts = np.unique(np.linspace(0, len(wave_N), COLUMNS, endpoint=False).astype(int))
    least, most = (which.reduceat(wave_N, starts) / FULL_SCALE for which in (np.minimum, np.maximum))
    high, low = (np.clip(20 - 19 * value, 0.5, 39.5) for value in (most, least))
    step = COLUMNS / len(starts)
    outline = [f"{(i + 0.5) * step:.0f},{y:.1f}" for i, y in enumerate(high)]
    outline += [f"{(i + 0.5) * step:.0f},{y:.1f}" for i, y in reversed(list(enumerate(low)))]
    return (
        f'<svg class="wave" viewBox="0 0 {COLUMNS} 40" preserveAspectRatio="none" role="img"'
        f' aria-label="{escape(what)}"><line class="axis" x1="0" x2="{COLUMNS}" y1="20" y2="20"/>'
        f'<polygon class="bar" points="{" ".join(outline)}"/></svg>'
    )


def spectrogram_png(wave_N: np.ndarray, rate: int) -> str:
    """The log-power spectrogram of a waveform, (N,) in the int16 range, as the text of a PNG for a page.

    `COLUMNS` windows of 25 ms at most, spread evenly over the whole: of a short recording they overlap, of a long one
    they leave out what lies between, so that its length costs nothing. Each is freed of its mean, as our features are.
    """
    window = max(int(0.025 * rate), 2)
    wave_N = np.pad(wave_N, (0, max(0, window - len(wave_N))))
    starts = np.unique(np.linspace(0, len(wave_N) - window, COLUMNS).astype(int))
    frames_TW = wave_N[starts[:, None] + np.arange(window)] / FULL_SCALE
    frames_TW = frames_TW - frames_TW.mean(1, keepdims=True)
    weights_W = np.hanning(window + 2)[1:-1]
    spectrum_TK = np.fft.rfft(frames_TW * weights_W, 1 << (window - 1).bit_length()) * (2 / weights_W.sum())
    power_TK = (np.abs(spectrum_TK) ** 2)[:, 1:]
    bands = min(_BANDS, power_TK.shape[1])
    power_TB = power_TK.reshape(len(starts), bands, -1).max(2)  # both are powers of two
    # In steps that the eye does not see, which make the file half as large.
    db_BT = _STEP_DB * np.rint(10 * np.log10(np.maximum(power_TB, 1e-20)).T / _STEP_DB)
    out = io.BytesIO()
    low, high = _RANGE_DB
    imsave(out, db_BT, vmin=low, vmax=high, cmap="magma", origin="lower", format="png", metadata={"Software": None})
    return base64.b64encode(out.getvalue()).decode()
