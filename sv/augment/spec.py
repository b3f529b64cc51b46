"""How a recording is augmented, as the words of a command: complete, so that reading is a function of the line."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass

PROGRAM = '"$SV_PYTHON" -m sv.cli.augment_wav'  # path.sh exports SV_PYTHON: Kaldi's programs can run the line as well


@dataclass(frozen=True, slots=True)
class Spec:
    """One source and what is done to it, as the options of `sv.cli.augment_wav`.

    >>> Spec("a.wav", foreground=((5.0, 1.5, "door.wav"),)).line()
    '"$SV_PYTHON" -m sv.cli.augment_wav --foreground 5 1.5 door.wav a.wav - |'

    Fields: `source`, a value of wav.scp; `reverb`, an impulse response's file; `background`, noises (SNR in dB, file)
    over the whole recording; `foreground`, noises (SNR in dB, start in s, file) at their places.
    """

    source: str
    reverb: str | None = None
    background: tuple[tuple[float, str], ...] = ()
    foreground: tuple[tuple[float, float, str], ...] = ()

    @classmethod
    def parse(cls, words: list[str]) -> tuple[Spec, str]:
        """The spec of a command's words and where its output goes (`-` is stdout); ValueError if they are none."""
        reverb, background, foreground, at = None, [], [], 0
        while len(words) - at > 2:
            option = words[at]
            if option == "--reverb" and reverb is None:
                reverb = words[at + 1]
                at += 2
            elif option == "--background":
                background.append((_number(words[at + 1]), words[at + 2]))
                at += 3
            elif option == "--foreground" and len(words) - at > 3:
                foreground.append((_number(words[at + 1]), _number(words[at + 2]), words[at + 3]))
                if foreground[-1][1] < 0:
                    raise ValueError(f"a noise cannot begin at {words[at + 2]} s")
                at += 4
            else:
                raise ValueError(f"{option} is not expected")
        if len(words) - at != 2:
            raise ValueError("SOURCE and OUT are wanted at the end")
        if (reverb is None) == (not background and not foreground):
            raise ValueError("either --reverb or noises are wanted")
        return cls(words[at], reverb, tuple(background), tuple(foreground)), words[at + 1]

    def line(self) -> str:
        """The value of wav.scp."""
        words = [] if self.reverb is None else ["--reverb", self.reverb]
        for snr_db, file in self.background:
            words += ["--background", f"{snr_db:.10g}", file]
        for snr_db, start_s, file in self.foreground:
            words += ["--foreground", f"{snr_db:.10g}", f"{start_s:.10g}", file]
        return f"{PROGRAM} {shlex.join([*words, self.source])} - |"

    @property
    def material(self) -> list[str]:
        """The impulse response or the noises, files all of them."""
        return [*filter(None, [self.reverb]), *(noise[-1] for noise in (*self.background, *self.foreground))]


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a number")
    return value
