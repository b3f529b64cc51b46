"""Recordings through FFmpeg's libraries (PyAV): AAC in m4a, shortened SPHERE, and whatever else they decode."""

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from sv.data.bytes_source import ByteSource
from sv.errors import AudioError

_SEEK_FROM_S = 2.0  # nearer to the start, decoding from it is as fast, and exact by construction
_PREROLL = 4096  # samples decoded before the wanted ones and dropped: AAC overlaps frames of 1024 or 2048
_FULL_SCALE = {"flt": 32768.0, "dbl": 32768.0, "s16": 1.0, "s32": 1 / 65536}  # to the int16 range; u8: below


class LibavRecording:
    """A recording that PyAV opens; every `read` decodes what it needs.

    Positions are in the samples that ffmpeg's own decoding of the file gives: the encoder's priming samples are
    skipped where the file says so, and in MP4 the padding of the last frame is cut to the duration of its packet.
    A part of an MP4 file is read by seeking to before it. It then equals that part of the whole file, but for
    bands that an AAC encoder replaced by noise (PNS), where the decoder draws other noise of the same level.

    Attributes: rate (Hz), num_channels, num_samples (a channel; MP4: from the packet times, others: by decoding).

    Args:
        source: the bytes.
        num_samples: where another header has said how many there are; another number is an error.
    """

    def __init__(self, source: ByteSource, num_samples: int | None = None) -> None:
        self._source = source
        self._fresh: av.container.InputContainer | None = self._open()
        if not self._fresh.streams.audio:
            raise AudioError(f"{source.name}: has no audio track")
        stream = self._fresh.streams.audio[0]
        if stream.codec_context is None or not (stream.rate and stream.channels):
            raise AudioError(f"{source.name}: cannot be decoded (coding not known to ffmpeg)")
        self.rate, self.num_channels = stream.rate, stream.channels
        in_samples = stream.time_base == Fraction(1, self.rate)
        self._timed = "mp4" in self._fresh.format.name and in_samples and stream.start_time == 0
        ends = [entry.pos + entry.size for entry in stream.index_entries]
        if self._timed and ends and max(ends) > source.size:
            raise AudioError(f"{source.name}: truncated, has {source.size} of at least {max(ends)} bytes; get it again")
        self._promised = self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        if self._num_samples is None:
            self._num_samples = self._end_of_packets() if self._timed else self._decode(0, None).shape[1]
        return self._num_samples

    def read(self, start: int, stop: int, channel: int) -> np.ndarray:
        """Samples start <= n < stop of a channel, float32 (stop - start,), in the int16 range."""
        wave_CN = None
        if self._timed and start > _SEEK_FROM_S * self.rate:
            wave_CN = self._decode_near(start, stop)
        if wave_CN is None:
            wave_CN = self._decode(start, stop)
        if wave_CN.shape[1] != stop - start:
            raise AudioError(f"{self._source.name}: truncated, ends at sample {start + wave_CN.shape[1]} of {stop}")
        return wave_CN[channel]

    def read_all(self, channel: int) -> np.ndarray:
        """All samples of a channel, decoded once without asking for their number before."""
        wave_CN = self._decode(0, self._promised)
        if self._promised is not None and wave_CN.shape[1] != self._promised:
            has = wave_CN.shape[1]
            raise AudioError(f"{self._source.name}: truncated, has {has} of {self._promised} samples; get it again")
        if wave_CN.shape[1] == 0:
            raise AudioError(f"{self._source.name}: a header only, no samples")
        self._num_samples = wave_CN.shape[1]
        return wave_CN[channel]

    def close(self) -> None:
        if self._fresh is not None:
            self._fresh.close()
            self._fresh = None

    def _open(self) -> av.container.InputContainer:
        file = self._source.as_file()
        if isinstance(file, str):
            file = f"file:{file}"  # else what stands before a colon in the path would be a protocol
        try:
            return av.open(file, options={"protocol_whitelist": "file"})  # a playlist may not fetch
        except (av.FFmpegError, OSError, ValueError) as e:
            reason = getattr(e, "strerror", None) or str(e)
            raise AudioError(f"{self._source.name}: cannot be decoded ({reason})") from None

    def _packets(self, container: av.container.InputContainer) -> Iterator[av.Packet]:
        try:
            yield from container.demux(container.streams.audio[0])
        except (av.FFmpegError, OSError, ValueError) as e:
            raise AudioError(f"{self._source.name}: damaged or truncated ({e})") from None

    def _frames(self, packet: av.Packet) -> list[av.AudioFrame]:
        try:
            return packet.decode()
        except (av.FFmpegError, ValueError) as e:
            raise AudioError(f"{self._source.name}: damaged or truncated ({e})") from None

    def _decode(self, start: int, stop: int | None) -> np.ndarray:
        """Samples from `start` to `stop` or the end, decoding from the first on: float32 (C, <= stop - start)."""
        container, self._fresh = self._fresh or self._open(), None
        parts, at, end = [np.empty((self.num_channels, 0), np.float32)], 0, 0
        with container:
            for packet in self._packets(container):
                if packet.pts is not None and packet.duration:
                    end = max(end, packet.pts + packet.duration)
                for frame in self._frames(packet):
                    if at + frame.samples > start:
                        parts.append(self._values(frame)[:, max(0, start - at) :])
                    at += frame.samples
                if stop is not None and at >= stop:
                    break
        wave_CN = np.concatenate(parts, axis=1)
        if stop is None and self._timed:
            stop = end
        return wave_CN if stop is None else wave_CN[:, : max(0, stop - start)]

    def _decode_near(self, start: int, stop: int) -> np.ndarray | None:
        """The same by seeking; None where the frames after the seek have no gapless times."""
        parts, first, at = [], None, None
        with self._open() as container:
            container.seek(start - _PREROLL, stream=container.streams.audio[0], backward=True)
            for packet in self._packets(container):
                for frame in self._frames(packet):
                    if first is None:
                        first = at = frame.pts
                        if first is None or first > start - _PREROLL // 2:
                            return None
                    if frame.pts != at:
                        return None
                    parts.append(self._values(frame))
                    at += frame.samples
                if at is not None and at >= stop:
                    break
        return np.concatenate(parts, axis=1)[:, start - first : stop - first] if parts else None

    def _end_of_packets(self) -> int:
        """The last packet's end, in samples, from its time and duration."""
        end = 0
        with self._open() as container:
            stream = container.streams.audio[0]
            if len(stream.index_entries):
                container.seek(stream.index_entries[-1].timestamp, stream=stream, backward=True)
            for packet in self._packets(container):
                if packet.pts is not None and packet.duration:
                    end = max(end, packet.pts + packet.duration)
        return end

    def _values(self, frame: av.AudioFrame) -> np.ndarray:
        """A frame as float32 (C, N) in the int16 range."""
        kind = frame.format.name.removesuffix("p")
        values = frame.to_ndarray()
        if not frame.format.is_planar:
            values = values.reshape(-1, self.num_channels).T
        if kind == "u8":
            return (values.astype(np.float32) - 128) * 256
        if kind not in _FULL_SCALE or len(values) != self.num_channels:
            raise AudioError(f"{self._source.name}: cannot be decoded (samples of format {frame.format.name})")
        return (values * _FULL_SCALE[kind]).astype(np.float32)
