"""Waveforms as networks read them: whole utterances or crops, straight from the recordings."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from sv.data.audio import open_audio
from sv.data.datadir import DataDir
from sv.data.recordings import AUDIO_TABLES
from sv.data.tables import first_few, read_table
from sv.data.utterance_audio import channel_of
from sv.errors import AudioError, ConfigError, DataError
from sv.records import record_of, settings_of

COUNTS, PROBED, STEP = "utt2num_samples", "reco2probe", "measure_audio"


def inputs(data_dir: Path) -> list[Path]:
    """What decides what is read of a data directory, as inputs of a step (`sv.records`).

    The recordings themselves are among them by what `steps/measure_audio.sh` has seen of each (`probe`).
    """
    tables = (data_dir / name for name in ("utt2spk", *AUDIO_TABLES))
    return [record_of(STEP, data_dir), *filter(Path.exists, tables)]


class WaveReader:
    """The samples of a data directory's utterances: `sv.features.files.FeatureReader`, of samples in place of frames.

    >>> reader = WaveReader("data/voxceleb/vox1_train", rate=16000)
    >>> reader.chunk("id10001-1zcIwhmdeo4-00001", start=8000, length=32000).shape
    (32000,)

    A crop reads from disk no more than its own bytes of a 16-bit WAV, and of other codings what their decoder needs
    from the place on; it equals the same samples of the whole. No recording stays open.

    Args:
        data_dir: with `utt2num_samples`, which `steps/measure_audio.sh` writes. Durations in seconds, as in Kaldi's
            utt2dur, are not exact enough to cut by.
        rate: of the network, in Hz.

    `num_frames` says how many samples each utterance has, `frames_per_s` is the rate. Safe to hand to worker processes.
    Raises DataError if a table is missing or does not cover every utterance, AudioError naming the utterance for a
    recording that cannot be read, and ConfigError for one at another rate.
    """

    def __init__(self, data_dir: str | os.PathLike[str], rate: int) -> None:
        data_dir = Path(data_dir)
        self._data = DataDir.read(data_dir)
        refuse_commands(self._data)
        if not (data_dir / COUNTS).exists():
            raise DataError(
                f"{data_dir}: nobody has measured its recordings yet ({COUNTS} is missing); run stage 1, or"
                " steps/measure_audio.sh by hand"
            )
        measured = settings_of(STEP, data_dir)
        if measured and measured["rate"] != rate:
            raise ConfigError(other_rate(f"{data_dir} is", measured["rate"], rate))
        counts = read_table(data_dir / COUNTS)
        if missing := self._data.utt2spk.keys() - counts.keys():
            raise DataError(f"{data_dir}/{COUNTS}: {len(missing)} utterances lack: {first_few(missing)}; run stage 1")
        try:
            self.num_frames = {utt: int(counts[utt]) for utt in self._data.utt2spk}
        except ValueError as error:
            raise DataError(f"{data_dir}/{COUNTS}: a count is not a number ({error}); run stage 1") from None
        self.frames_per_s = self._rate = rate

    def whole(self, utt: str) -> np.ndarray:
        """All samples, float32 (N,), in the int16 range."""
        return self.chunk(utt, 0, self.num_frames[utt])

    def chunk(self, utt: str, start: int, length: int) -> np.ndarray:
        """Samples start .. start + length, float32 (length,), in the int16 range."""
        if start < 0 or length < 1 or start + length > self.num_frames[utt]:
            raise DataError(
                f"{utt}: samples {start}..{start + length} are not there (there are {self.num_frames[utt]})"
            )
        segment = self._data.segment(utt)
        source = self._data.wav[segment.recording]
        try:
            with open_audio(source) as recording:
                if recording.rate != self._rate:
                    raise ConfigError(other_rate(f"{utt} is", recording.rate, self._rate))
                first = int(segment.start_s * self._rate) + start
                wave_N = recording.read(first, first + length, channel_of(self._data, utt, recording))
        except AudioError as error:
            raise AudioError(f"{utt}: {error}; mend it, or take it out of the set: steps/subset_data.sh") from None
        if not np.isfinite(wave_N).all():
            raise AudioError(f"{utt}: {source}: holds NaN or infinite samples; convert it again")
        return wave_N


def refuse_commands(data: DataDir) -> None:
    """Raise DataError if wav.scp has commands that would run once a crop; those of ours are read without."""
    if pipes := data.pipes:
        raise DataError(
            f"{data.path}: wav.scp has commands ('… |') for {len(pipes)} recordings ({first_few(pipes)}), which would"
            " run anew for every crop; write what they print to files, or train on features: --set input=null"
        )


def other_rate(what: str, rate: int, wanted: int) -> str:
    """What the refusal of recordings says, as `what` begins to, that a network cannot take at their rate (Hz)."""
    return f"{what} sampled at {rate} Hz, the network takes {wanted}; resample the recordings"
