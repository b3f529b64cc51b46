"""NIST SPHERE headers, and `sph2pipe` for the one coding that neither library here decodes."""

import shutil
import subprocess
from typing import NamedTuple

from sv.data.bytes_source import ByteSource, MemoryBytes
from sv.data.wav import read_wav_header
from sv.errors import AudioError

MAGIC = b"NIST_1A\n"
_SHORTENED = "embedded-shorten"


class SphereHeader(NamedTuple):
    """What decides how the samples are read, and how many there must be."""

    coding: str  # "pcm", "ulaw", "alaw", or one with ",embedded-shorten-v2.00"
    num_samples: int  # a channel
    num_channels: int

    @property
    def needs_sph2pipe(self) -> bool:
        return _SHORTENED in self.coding and not self.coding.startswith("pcm")

    @property
    def is_compressed(self) -> bool:
        return "," in self.coding


def read_sphere_header(source: ByteSource) -> SphereHeader:
    """Parse the text header and hold the number of samples against the size of the file.

    Raises:
        AudioError: damaged header, no samples, or (where not compressed) fewer bytes than the samples need.
    """
    try:
        header_bytes = int(source.read_at(8, 8))
        text = source.read_at(0, header_bytes).decode("ascii", errors="replace")
        fields = {}
        for line in text.splitlines()[2:]:
            if line.strip() == "end_head":
                break
            key, _, rest = line.partition(" ")
            fields[key] = rest.partition(" ")[2].strip()
        num_samples, num_channels = int(fields["sample_count"]), int(fields.get("channel_count", 1))
        coding = fields.get("sample_coding", "pcm").lower()
        width = int(fields.get("sample_n_bytes", 1 if "law" in coding else 2))
    except (ValueError, KeyError) as e:
        raise AudioError(f"{source.name}: damaged SPHERE header ({e})") from None
    header = SphereHeader("ulaw" + coding[5:] if coding.startswith("mu-law") else coding, num_samples, num_channels)
    there = max(0, source.size - header_bytes)
    if num_samples <= 0 or there == 0:
        raise AudioError(f"{source.name}: a header only, no samples")
    if not header.is_compressed and there < num_samples * num_channels * width:
        has = there // (num_channels * width)
        raise AudioError(f"{source.name}: truncated, has {has} of {num_samples} samples; get it again")
    return header


def expand_with_sph2pipe(source: ByteSource, header: SphereHeader) -> MemoryBytes:
    """The recording as a 16-bit WAV in memory, all channels.

    Raises:
        AudioError: `sph2pipe` is not on PATH, fails, or the bytes are not a file's.
    """
    program = shutil.which("sph2pipe")
    if program is None or source.is_stream:
        raise AudioError(
            f"{source.name}: SPHERE coding '{header.coding}' needs sph2pipe, which is "
            + ("not on PATH; install it (LDC, or Kaldi's tools) or " if program is None else "for files; ")
            + "convert the file to WAV"
        )
    run = subprocess.run([program, "-p", "-f", "wav", source.name], capture_output=True, check=False)
    if run.returncode != 0 or not run.stdout:
        said = run.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
        raise AudioError(f"{source.name}: sph2pipe failed (exit code {run.returncode}): {said[0]}")
    wav = MemoryBytes(source.name, run.stdout)
    written = read_wav_header(wav)
    has = written.data_bytes // written.frame_bytes
    if written.coding != 1 or written.bits != 16 or written.num_channels != header.num_channels:
        raise AudioError(f"{source.name}: sph2pipe printed something else than its 16-bit WAV")
    if has < header.num_samples:
        raise AudioError(f"{source.name}: truncated, has {has} of {header.num_samples} samples; get it again")
    return wav
