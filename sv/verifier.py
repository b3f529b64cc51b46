"""A trained run at work: embeddings of recordings, enrolled speakers, decisions."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sv.calibrated import HOW_TO, calibration_of, made_anew
from sv.data.audio import read_audio
from sv.data.tables import first_few
from sv.data.trials import Trials
from sv.enrolled import Model, read_models, write_models
from sv.errors import AudioError, ConfigError, DataError
from sv.metrics import bayes_threshold
from sv.records import fingerprint, record_of, require_whole, settings_of
from sv.run import Run
from sv.scoring.calibration import DEFAULT_PRIOR, Calibration
from sv.scoring.cohort import whole_backend
from sv.scoring.quality import Side, trial_quality
from sv.scoring.trials import score_trials
from sv.source import Source

if TYPE_CHECKING:
    import torch

    from sv.backends.backend import Backend
    from sv.extractor import Extractor
    from sv.features.heard import Ear, HeardUtterances
    from sv.models.wav2vec2 import Wav2Vec2

Audio = str | os.PathLike[str] | np.ndarray
LOUDEST = 16.0  # times full scale; floats beyond it are samples in the int16 range
_GPUS = {None: None, "cpu": 0, "cuda": 1}


class Decision(NamedTuple):
    """What is known of two recordings; without calibration no more than the score.

    `llr` is the score as a log-likelihood ratio in nats; `accepted` says whether it reaches `threshold`.
    """

    score: float
    llr: float | None
    threshold: float | None
    accepted: bool | None


class Verifier:
    """A trained run, of any kind but an ensemble, that hears recordings outside all data directories.

    >>> verifier = Verifier.from_exp("exp/mini/xvector-small/seed1", backend="plda")
    >>> verifier.embed("anna-01.wav").shape
    (128,)
    >>> verifier.enroll("anna", ["anna-01.wav", "anna-02.wav"])
    >>> verifier.verify("anna", "who.wav")
    Decision(score=11.2, llr=4.1, threshold=2.9, accepted=True)

    Features, VAD, crops, embeddings and scores are those of stages 1, 5 and 7, by the settings that the run was trained
    with; `conf/` is not looked at, and nothing is written to the run. Features are not rounded as `--compress` rounds
    them. What depends on an utterance's name, as dither and the draws of a random pooling, depends on the file's,
    without its suffix.

    Args:
        run: a run, as `Run.open` gives it.
        backend: name of the back end that scores; None for the only one.
        device: "cpu" or "cuda"; None for a GPU if there is one.
        resample: take recordings of other rates than the network's, too: of a lower one it lacks the highest bands.

    `models` are the enrolled speakers, by name.

    Raises a UserError, here, if the run is not trained or has no such back end, and before anything is heard if several
    are there and none is named. Torch is imported when the first recording comes.
    """

    def __init__(self, run: Run, backend: str | None = None, device: str | None = None, resample: bool = False) -> None:
        run.require_kind("backends")
        if device not in _GPUS:
            raise ConfigError(f"a device is cpu or cuda, not {device}")
        if backend is not None and backend not in run.system.backends:
            raise ConfigError(f"{run.path} has no back end {backend}; it has {', '.join(run.system.backends)}")
        self.run, self._embedder, self._named, self._device_name = run, run.embedder(), backend, device
        self._resample = resample
        self._embedder.require_trained()
        require_whole(self._embedder.training())
        self.models: dict[str, Model] = {}

    @classmethod
    def from_exp(
        cls,
        folder: str | os.PathLike[str],
        backend: str | None = None,
        device: str | None = None,
        resample: bool = False,
    ) -> Verifier:
        """That of a run's folder, EXP/SYSTEM/seedN."""
        return cls(Run.open(folder), backend, device, resample)

    @cached_property
    def backend(self) -> str:
        """The name of the back end that scores; a UserError if it is not trained, or several are and none is named."""
        names = self.run.system.backends
        if self._named is None and len(names) > 1:
            raise ConfigError(f"{self.run.path} has several back ends; name one of them: {', '.join(names)}")
        name = self._named or next(iter(names))
        if not self.run.system.compares:
            _require_backend(self.run, name)
        return name

    @cached_property
    def calibration(self) -> Calibration | None:
        """What turns the back end's scores into log-likelihood ratios; None where nobody has calibrated them."""
        return calibration_of(self.run, self.backend)

    @property
    def note(self) -> str:
        """Why there are no decisions and what to do about it; "" where there are."""
        if self.calibration:
            return ""
        return f"{self.run.path}: the scores of {self.backend} are not calibrated, so nothing is decided; {HOW_TO}"

    def embed(self, audio: Audio, rate: int | None = None, channel: int | None = None) -> np.ndarray:
        """The embedding of a recording, float32 (E,) or, of a run that takes crops or draws, (crops, E).

        Args:
            audio: a file of any kind that a `wav.scp` may name, or samples (N,): int16, or floats from -1 to 1.
            rate: of samples, Hz; a file knows its own.
            channel: of a file with several, from 0.
        Raises:
            AudioError: not there, not readable, empty, or of several channels and none is named.
            ConfigError: another rate than the network's, which nothing allows to resample; or a network that compares
                pairs itself, which has no embeddings.
            DataError: too short, or silence.
        """
        return self._embed(audio, rate, channel)[0]

    def enroll(self, name: str, files: Iterable[Audio], rate: int | None = None, channel: int | None = None) -> None:
        """Make a speaker's model of recordings, in place of one of the name; arguments and errors as of `embed`.

        DataError, too, if there are no recordings, or the name is not one word.
        """
        files = list(files)
        if len(name.split()) != 1 or not files:
            raise DataError(f"{name!r}: a speaker has a name of one word, and a recording or more")
        self.models[name] = self._model(files, rate, channel)

    def verify(
        self,
        a: Audio,
        b: Audio,
        prior: float = DEFAULT_PRIOR,
        c_miss: float = 1.0,
        c_fa: float = 1.0,
        *,
        rate: int | None = None,
        channel: int | None = None,
    ) -> Decision:
        """Whether two recordings are of one speaker: accepted where that costs least (`sv.metrics.bayes_threshold`).

        Args:
            a: an enrolled speaker's name, or a recording as in `embed`.
            b: a recording.
            prior: the probability that they are of one speaker before they are heard.
            c_miss, c_fa: what it costs to reject a speaker's own recording, and to accept another's.
            rate, channel: of the recordings.
        Raises:
            ConfigError: a prior not within (0, 1), a cost not positive; and all that `embed` raises.
            DataError: a name that is neither that of a speaker nor of a file.
        """
        threshold, calibration = bayes_threshold(prior, c_miss, c_fa), self.calibration
        if self.run.system.compares:
            score, quality_NQ = self._logit(a, b, rate, channel), None
        else:
            model = self.models.get(a) if isinstance(a, str) else None
            if model is None:
                self._require_there(a)
                model = self._model([a], rate, channel)
            score, quality_NQ = self._score(model, self._model([b], rate, channel))
        if calibration is None:
            return Decision(score, None, None, None)
        llr = float(calibration(np.array([score]), quality_NQ)[0])
        return Decision(score, llr, threshold, llr >= threshold)

    def save_models(self, name: str | os.PathLike[str]) -> None:
        """Write the enrolled speakers to NAME.ark, NAME.scp and NAME.json, in place of those that are there."""
        write_models(Path(name), self.models, str(self._embedder.path), self._made_by)

    def load_models(self, name: str | os.PathLike[str]) -> None:
        """Add the speakers that `save_models` wrote; DataError if they are missing or of another network."""
        self.models |= read_models(Path(name), self._made_by)

    @property
    def _made_by(self) -> str:
        """A digest of what decides embeddings: the trained network and how it extracts."""
        extraction = self._embedder.system.extraction.model_dump(mode="json")
        made_by = [extraction, fingerprint(self._embedder.training())[2:]]
        return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()

    def _require_there(self, a: Audio) -> None:
        if self.models and isinstance(a, str) and not Path(a).exists():
            raise DataError(f"{a}: no speaker of that name is enrolled ({first_few(self.models)}), nor is it a file")

    def _model(self, files: Iterable[Audio], rate: int | None, channel: int | None) -> Model:
        """Of one or several recordings."""
        return Model.of(*zip(*(self._embed(audio, rate, channel) for audio in files), strict=True))

    def _embed(self, audio: Audio, rate: int | None, channel: int | None) -> tuple[np.ndarray, float]:
        """The embedding of a recording, and how many seconds of it the network heard."""
        if self.run.system.compares:
            raise ConfigError(f"{self.run.path}: its network compares pairs itself and has no embeddings; verify pairs")
        heard = self._heard(audio, rate, channel, self._extractor.what, self._extractor.fewest)
        with self._within_memory():
            ((utt, x),) = self._extractor.extract(heard, heard.num_frames)
        return x.astype(np.float32), heard.num_frames[utt] / heard.frames_per_s  # as archives hold them

    def _heard(self, audio: Audio, rate: int | None, channel: int | None, what: str, fewest: int) -> HeardUtterances:
        """A recording as the network reads it, which takes so many frames at least."""
        from sv.features.heard import HeardUtterances

        if isinstance(audio, str | os.PathLike):
            name, key = str(audio), Path(audio).stem
            wave_N, rate = read_audio(name, channel=channel)
        else:
            name = key = "samples"
            wave_N, rate = _samples(audio, rate)
        x_T = self._ear(wave_N, rate, name, key)
        source = self._source
        if (frames := source.num_frames(len(x_T))) < fewest:
            kind = "" if source.waveform or not self._embedder.system.vad else "voiced "
            raise DataError(f"{name}: {frames} {kind}{source.unit}, {what} needs {fewest}; give a longer recording")
        return HeardUtterances({key: x_T}, self._ear.frames_per_s)

    def _score(self, model: Model, test: Model) -> tuple[float, np.ndarray | None]:
        """As stage 7 scores a list of one trial; and the trial's quality measures, (1, Q), where it has any."""
        settings, scoring = self.run.system.backends[self.backend], self._scoring
        row, trial = getattr(settings, "row", None), Trials(["the model"], ["the recording"], None)
        one, other = model.vectors("the model", row), test.vectors("the recording", row)
        score = float(score_trials(scoring, one, other, trial)[0])
        if not settings.quality:
            return score, None
        sides = ((one, model, "of_models"), (other, test, "of_tests"))
        measured = [
            Side.of(settings.quality, x, {x.keys[0]: of.seconds}, getattr(scoring, of_side, None))
            for x, of, of_side in sides
        ]
        return score, trial_quality(*measured, trial)

    def _logit(self, a: Audio, b: Audio, rate: int | None, channel: int | None) -> float:
        """As stage 7 scores a list of one trial by a network that compares pairs itself."""
        import torch

        from sv.models.extraction import wave_embeddings
        from sv.models.wav2vec2 import RECEPTIVE_FIELD
        from sv.scoring.pairs import PairScorer

        one, other = (self._heard(audio, rate, channel, "the network", RECEPTIVE_FIELD) for audio in (a, b))
        prepare = self._source.prepare(self._device)
        tokens = [
            partial(wave_embeddings, self._network, heard, device=self._device, prepare=prepare)
            for heard in (one, other)
        ]
        scorer = PairScorer(
            self._network.compare,
            self.run.system.model.widths,
            *tokens,
            one.num_frames,
            other.num_frames,
            self._device,
        )
        with self._within_memory(), torch.inference_mode():
            return float(scorer.score(Trials([*one.num_frames], [*other.num_frames], None))[0])

    @cached_property
    def _source(self) -> Source:
        return Source(self._embedder, self._embedder.path)

    @cached_property
    def _ear(self) -> Ear:
        from sv.features.heard import Ear

        return Ear(self._embedder.system, settings_of("train", self._embedder.path)["front_end"], self._resample)

    @cached_property
    def _device(self) -> torch.device:
        from sv.models.device import pick_device

        return pick_device(_GPUS[self._device_name])

    @cached_property
    def _extractor(self) -> Extractor:
        from sv.extractor import load_extractor

        return load_extractor(self._embedder, self._source, self._ear.frames_per_s, self._device)

    @cached_property
    def _network(self) -> Wav2Vec2:
        """Of a run whose network compares pairs."""
        from sv.training.checkpoint import load_model

        return load_model(self.run).to(self._device)

    @cached_property
    def _scoring(self) -> Backend:
        return whole_backend(self.run.system.backends[self.backend], self.run.backend(self.backend))

    def _within_memory(self) -> AbstractContextManager[None]:
        from sv.models.device import within_memory

        return within_memory(f"{self.run.path}: hear such a recording on the CPU")


def _require_backend(run: Run, name: str) -> None:
    """Raise a UserError unless a back end is there, as its settings are now, and of the network that is there."""
    folder = run.backend(name)
    if settings_of("train_backend", folder) is None:
        raise DataError(f"{folder}: the back end is not trained; stages 5 and 6 train it")
    run.require_backend(name)
    record = record_of("train_backend", folder)
    require_whole(record)
    if other := made_anew(record, run):
        raise DataError(f"{folder}: {record.stem} was made before {other} was made anew; begin at stage 5")


def _samples(samples: np.ndarray, rate: int | None) -> tuple[np.ndarray, int]:
    """Samples given by hand as those of a file, float32 (N,) in the int16 range, and their rate."""
    wave_N = np.asarray(samples)
    if rate is None:
        raise AudioError("samples: their rate is missing; give it in Hz")
    if wave_N.ndim != 1 or not len(wave_N):
        raise AudioError(f"samples: of the shape {wave_N.shape}; those of one channel are needed, (N,)")
    if wave_N.dtype == np.int16:
        return wave_N.astype(np.float32), rate
    if not np.issubdtype(wave_N.dtype, np.floating) or not np.isfinite(wave_N).all() or abs(wave_N).max() > LOUDEST:
        raise AudioError(
            f"samples: {wave_N.dtype}, up to {abs(wave_N).max():g}; int16 is needed, or floats from -1 to 1"
        )
    return wave_N.astype(np.float32) * np.float32(32768), rate
