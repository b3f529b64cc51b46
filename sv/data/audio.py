"""Recordings in, by the values of a `wav.scp`: files of any common kind, also in archives, and commands if allowed.

Samples are float32 in the value range of int16 (+-32768), as in Kaldi; files of floats, and of 24 or 32 bits, are
scaled to it (1.0 becomes 32768) and keep their fraction. Nothing is dithered, clipped or resampled here.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import soundfile

from sv.data import sphere
from sv.data.audio_ark import open_bytes
from sv.data.bytes_source import ByteSource, MemoryBytes
from sv.data.own_commands import own_command
from sv.data.wav import Pcm16Wav, read_wav_header, with_true_size
from sv.errors import AudioError

MAX_OVERSHOOT_S = 0.5  # how far a segment may pass the end of its recording, as in Kaldi's extract-segments
_UNKNOWN_LENGTH = 1 << 60  # libsndfile's frames for a FLAC that was written to a pipe are near 2**63


class AudioInfo(NamedTuple):
    """What a recording's header says."""

    rate: int  # Hz
    num_samples: int  # a channel
    num_channels: int


class Recording(Protocol):
    """An open recording."""

    rate: int
    num_channels: int

    @property
    def num_samples(self) -> int: ...

    def read(self, start: int, stop: int, channel: int) -> np.ndarray:
        """Samples start <= n < stop of a channel, float32 (stop - start,), in the int16 range."""

    def close(self) -> None: ...


def read_audio(
    source: str,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    channel: int | None = None,
    allow_pipes: bool = False,
) -> tuple[np.ndarray, int]:
    """One channel of a recording, or of a segment of it, which is reached by seeking.

    >>> wave, rate = read_audio("voxceleb1/dev/wav/id10001/1zcIwhmdeo4/00001.wav")
    >>> wave, rate = read_audio("sre/tabc.sph", start_s=12.5, end_s=31.0, channel=1)

    Args:
        source: a path, `archive:offset`, or with `allow_pipes` a command that ends in `|` and prints a recording.
        start_s: start of the segment in seconds; the sample is int(start_s * rate), as in Kaldi.
        end_s: its end, exclusive; None or -1 is the end of the recording. Up to 0.5 s too late is clipped.
        channel: from 0 (0 is A, 1 is B); needed where there is more than one.
        allow_pipes: whether a command may be run.
    Returns:
        Samples in the int16 value range, float32 (N,) with N >= 1, and the rate in Hz.
    Raises:
        AudioError: missing, empty, truncated, not decodable, NaN, a channel or a part that is not there, a
            command that is not allowed or fails; one line with file and reason.
    """
    with open_audio(source, allow_pipes=allow_pipes) as recording:
        return read_part(recording, source, start_s, end_s, channel), recording.rate


def audio_info(source: str, *, allow_pipes: bool = False) -> AudioInfo:
    """Rate, samples a channel and channels, from headers (and, of formats that do not say, by decoding).

    Raises AudioError as `read_audio` does, for all that a header shows, a truncated file included.
    """
    with open_audio(source, allow_pipes=allow_pipes) as recording:
        return AudioInfo(recording.rate, recording.num_samples, recording.num_channels)


@contextmanager
def open_audio(source: str, *, allow_pipes: bool = False) -> Iterator[Recording]:
    """Open a recording once for several `read_part`s of it; a command runs once.

    A command of ours (`sv.data.own_commands`) is not run: what it would print is computed here, allowed or not.
    Raises AudioError as `read_audio` does.
    """
    if own := own_command(source):
        with own.open(allow_pipes) as recording:
            yield recording
        return
    data = _bytes_of(source, allow_pipes)
    try:
        recording = _recording(data)
        try:
            yield recording
        finally:
            recording.close()
    finally:
        data.close()


def read_part(
    recording: Recording,
    name: str,
    start_s: float = 0.0,
    end_s: float | None = None,
    channel: int | None = None,
) -> np.ndarray:
    """A segment of an open recording, float32 (N,); arguments and errors as in `read_audio`."""
    channels = recording.num_channels
    if channel is None and channels > 1:
        raise AudioError(f"{name}: has {channels} channels; name one of them, from 0 (0 is A, 1 is B): --channel")
    if not 0 <= (channel or 0) < channels:
        raise AudioError(f"{name}: there is no channel {channel}; it has {channels}, counted from 0")
    whole = start_s == 0 and end_s in (None, -1)
    if whole and hasattr(recording, "read_all"):
        wave = recording.read_all(channel or 0)
    else:
        start, stop = bounds(recording, name, start_s, end_s)
        wave = recording.read(start, stop, channel or 0)
    if not isinstance(recording, Pcm16Wav) and not np.isfinite(wave).all():
        raise AudioError(f"{name}: holds NaN or infinite samples; convert it again")
    return wave


def bounds(recording: Recording, where: str, start_s: float, end_s: float | None) -> tuple[int, int]:
    """A segment's first sample and the one after its last; Kaldi's truncation of seconds * rate.

    `where` is for messages; raises AudioError as `read_audio` does.
    """
    total, rate = recording.num_samples, recording.rate
    start = int(start_s * rate)
    stop = total if end_s is None or end_s == -1 else int(end_s * rate)
    if start < 0 or stop <= start or start >= total or stop > total + int(MAX_OVERSHOOT_S * rate):
        end_text = "the end" if end_s is None or end_s == -1 else f"{end_s:g} s"
        raise AudioError(f"{where}: {start_s:g} s to {end_text} is not within its {total / rate:.2f} s")
    return start, min(stop, total)


def _bytes_of(source: str, allow_pipes: bool) -> ByteSource:
    if not source.rstrip().endswith("|"):
        return open_bytes(source)
    command = source.rstrip()[:-1].strip()
    if not allow_pipes:
        raise AudioError(
            f"{source}: is a command; a data directory from elsewhere must not run commands, so pass "
            "--allow-pipes if you trust it"
        )
    # pipefail: a decoder that fails in front of a `sox` must not pass as a short recording
    run = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False)
    said = run.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it says nothing on stderr"]
    if run.returncode != 0:
        raise AudioError(f"{source}: the command failed (exit code {run.returncode}): {said[0]}")
    if not run.stdout:
        raise AudioError(f"{source}: the command printed no audio: {said[0]}")
    return MemoryBytes(source, run.stdout)


def _recording(data: ByteSource) -> Recording:
    """The reader for these bytes, chosen by how they begin, not by the file's name."""
    magic = data.read_at(0, 12)
    if magic[:4] in (b"RIFF", b"RF64") and magic[8:] == b"WAVE":
        header = read_wav_header(data)
        return Pcm16Wav(data, header) if Pcm16Wav.reads(header) else _library(with_true_size(data, header))
    if magic.startswith(sphere.MAGIC):
        header = sphere.read_sphere_header(data)
        if header.needs_sph2pipe:
            wav = sphere.expand_with_sph2pipe(data, header)
            return Pcm16Wav(wav, read_wav_header(wav))
        return _library(data, header.num_samples, sndfile_first=not header.is_compressed)
    return _library(data)


def _library(data: ByteSource, num_samples: int | None = None, sndfile_first: bool = True) -> Recording:
    if sndfile_first:
        try:
            recording = _SndfileRecording(data, num_samples)
            if recording.num_samples < _UNKNOWN_LENGTH:
                return recording
            recording.close()
        except (soundfile.LibsndfileError, TypeError):
            pass  # not one of its formats, or a name that it takes for one without a header (.raw)
    from sv.data.libav import LibavRecording  # here, as it takes 0.1 s to import and most corpora do not need it

    return LibavRecording(data, num_samples)


class _SndfileRecording:
    """FLAC, SPHERE (PCM, mu-law, A-law), WAV other than 16-bit PCM, Ogg, MP3 and more through libsndfile."""

    def __init__(self, data: ByteSource, num_samples: int | None = None) -> None:
        self._name = data.name
        self._file = soundfile.SoundFile(data.as_file())
        self.rate, self.num_channels = self._file.samplerate, self._file.channels
        self.num_samples = self._file.frames if num_samples is None else num_samples  # SPHERE's header knows
        self._seeks_exactly = self._file.format not in ("OGG", "MP3")  # those land beside, near the end
        self._is_int16 = self._file.subtype in ("PCM_16", "ULAW", "ALAW")
        if self.num_samples == 0:
            raise AudioError(f"{self._name}: a header only, no samples")

    def read(self, start: int, stop: int, channel: int) -> np.ndarray:
        dtype, skip = "int16" if self._is_int16 else "float32", 0 if self._seeks_exactly else start
        try:
            self._file.seek(start - skip)
            wave = self._file.read(skip + stop - start, dtype=dtype, always_2d=True)[skip:]
        except soundfile.LibsndfileError as e:
            raise AudioError(f"{self._name}: damaged or truncated ({str(e) or 'the decoder stops in it'})") from None
        if len(wave) != stop - start:
            raise AudioError(f"{self._name}: truncated, ends at sample {start + len(wave)} of {self.num_samples}")
        wave = wave[:, channel].astype(np.float32)
        return wave if self._is_int16 else wave * np.float32(32768)

    def close(self) -> None:
        self._file.close()
