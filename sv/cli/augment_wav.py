"""Reverberate a recording, or add noises to it: the commands of the copies' wav.scp, which Kaldi's programs run.

    augment_wav --reverb RESPONSE.wav IN OUT
    augment_wav --background SNR NOISE.wav … --foreground SNR START NOISE.wav … IN OUT

SNR in dB, START in seconds. A background noise is repeated over the whole recording, a foreground noise is heard once.
IN is a file, or a command in one argument ('… |'), which is run; OUT is a WAV file of 16 bits, or - for stdout. Our own
programs read such lines of a wav.scp without running them.
"""

import io
import sys
import wave
from pathlib import Path

import numpy as np

from sv.augment.recording import open_words
from sv.augment.spec import Spec
from sv.cli import Parser, run
from sv.data.atomic import atomic_write
from sv.errors import ConfigError


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.usage = "augment_wav (--reverb FILE | --background SNR FILE … --foreground SNR START FILE …) IN OUT"
    _, words = parser.parse_known_args()  # they are read as those of a wav.scp are
    try:
        _, out = Spec.parse(words)
    except ValueError as error:
        raise ConfigError(f"{error}; see --help") from None
    with open_words(words, allow_pipes=True) as recording:  # who writes a command on a command line means it
        samples_NC = np.stack([recording.read_all(channel) for channel in range(recording.num_channels)], 1)
        rate = recording.rate
    written = wav_bytes(samples_NC, rate)
    if out == "-":
        sys.stdout.buffer.write(written)
    else:
        with atomic_write(Path(out), "wb") as file:
            file.write(written)


def wav_bytes(samples_NC: np.ndarray, rate: int) -> bytes:
    """A WAV file of 16 bits: samples (N, C) in the int16 range."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((samples_NC.shape[1], 2, rate, len(samples_NC), "NONE", ""))
        file.writeframes(samples_NC.astype("<i2").tobytes())
    return out.getvalue()


if __name__ == "__main__":
    run(main, __file__)
