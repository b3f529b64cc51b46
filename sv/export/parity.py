"""Whether an ONNX model gives the embeddings of the run that it was made of, by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sv.data.datadir import DataDir, shuffled
from sv.data.utterance_audio import UtteranceReader
from sv.errors import DataError

TOLERANCE = 1e-4  # cosine distance: EERs do not see it, and a wrong frame or a missing constant is far above it
FULL_SCALE = 32768.0
SEED = 0  # of the choice of utterances, and of synthetic signals
SPREAD = (1.0, 10.0)  # the shortest and the longest synthetic signal, in seconds


class Recording(NamedTuple):
    """Samples, float32 (N,) in the int16 range, their rate in Hz, and a name for messages."""

    wave_N: NDArray
    rate: int
    name: str


class Parity(NamedTuple):
    """What embeddings of some recordings differ by.

    `difference` is the largest of any number, beside `largest`, the largest number; `cosine` the smallest of all
    embeddings, of matrices of all rows, and `name` the recording that has it.
    """

    recordings: int
    difference: float
    largest: float
    cosine: float
    name: str

    @property
    def said(self) -> str:
        """As a person wants to read it."""
        return (
            f"embeddings differ by {self.difference:.1e} at most (their largest number is {self.largest:.3g}), their"
            f" smallest cosine is 1 - {max(1 - self.cosine, 0):.1e}"
        )

    def require(self) -> None:
        """Raise DataError unless the least cosine is within TOLERANCE of 1."""
        if not 1 - self.cosine <= TOLERANCE:  # of what is no number, too
            raise DataError(
                f"the ONNX model is not the network: on {self.name} the cosine of their embeddings is"
                f" {self.cosine:.6f}, more than {TOLERANCE:g} from 1; nothing is written"
            )


def compared(recordings: Iterable[tuple[str, NDArray, NDArray]]) -> Parity:
    """Parity of the names, the embeddings and those of the model, (E,) or (C, E) each."""
    count, difference, largest, cosine, name = 0, 0.0, 0.0, np.inf, ""
    for each, expected, found in recordings:
        if found.shape != expected.shape:
            raise DataError(f"the ONNX model gives {found.shape} of {each}, the network {expected.shape}")
        x, y = (array.astype(np.float64) for array in (expected, found))
        least = np.min((x * y).sum(-1) / (np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)))
        if not least >= cosine:
            cosine, name = float(least), each
        count += 1
        difference, largest = max(difference, float(abs(x - y).max())), max(largest, float(abs(x).max()))
    return Parity(count, difference, largest, cosine, name)


def recordings_of(
    data_dir: Path, count: int, usable: Callable[[Recording], bool], allow_pipes: bool = False
) -> list[Recording]:
    """Recordings of a data directory, of different lengths, in an order that is a function of its utterance ids.

    As many as asked for or, of a small set, as there are.

    Args:
        usable: whether the system can embed it.
        allow_pipes: whether the commands of wav.scp may be run.
    Raises:
        DataError: none is.
    """
    data, found = DataDir.read(data_dir), {}
    with UtteranceReader(data, allow_pipes) as reader:
        for utt in shuffled(data.utterances, SEED):
            each = Recording(*reader.read(utt), utt)
            if len(each.wave_N) not in found and usable(each):
                found[len(each.wave_N)] = each
            if len(found) == count:
                break
    if not found:
        raise DataError(f"{data_dir}: no utterance of it can be embedded; name another set with --check")
    return list(found.values())


def synthetic_recordings(count: int, rate: int, fewest: int) -> list[Recording]:
    """Signals of different lengths: bursts of coloured noise with near silence between, each of (SEED, its number).

    Args:
        fewest: samples of the shortest that the system takes, if all of it were speech.
    """
    first, last = (max(seconds * rate, 4 * fewest) for seconds in SPREAD)
    lengths = np.linspace(first, max(last, first + 100 * count), count).astype(int)
    return [Recording(signal(i, n, rate), rate, f"signal {i}") for i, n in enumerate(lengths)]


def signal(index: int, num_samples: int, rate: int) -> NDArray:
    """A synthetic signal, float32 (N,), whole numbers in the int16 range."""
    rng = np.random.default_rng([SEED, index])
    noise_N = np.convolve(rng.normal(size=num_samples), rng.normal(size=12), "same")
    stretch = rate // 10
    level_N = np.repeat(rng.choice([3.0, 300.0, 3000.0], size=num_samples // stretch + 1), stretch)[:num_samples]
    return np.clip(np.rint(level_N * noise_N / noise_N.std()), -32768, 32767).astype(np.float32)


class OnnxModel:
    """A model's bytes at work in onnxruntime, on the CPU.

    >>> OnnxModel(data)(samples_N).shape
    (512,)
    """

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._given = self._session.get_inputs()[0].name

    def __call__(self, x: NDArray) -> NDArray:
        """The embedding of samples (N,) in -1 … 1, or of frames (T, D)."""
        return self._session.run(None, {self._given: x})[0]


def pairs(
    recordings: Iterable[Recording],
    embed: Callable[[Recording], NDArray],
    given: Callable[[Recording], NDArray],
    model: OnnxModel,
) -> Iterator[tuple[str, NDArray, NDArray]]:
    """For `compared`: names, what `embed` gives, and what the model gives of what it is `given`."""
    for each in recordings:
        yield each.name, embed(each), model(given(each))
