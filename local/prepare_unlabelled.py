"""Speech of unknown speakers -> a data directory to adapt to, in which every utterance is a speaker of its own.

ROOT is a Kaldi data directory (it has a wav.scp), whose speakers are not looked at, or a folder in which every .wav,
.flac and .sph, at any depth, is an utterance named by its path.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import LABEL, DataDir, read_label, set_files
from sv.data.tables import read_table
from sv.errors import DataError
from sv.records import Step

ENDINGS = {".wav", ".flac", ".sph"}


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("root", type=Path, help="Kaldi data directory, or folder of recordings")
    parser.add_argument("out", type=Path, help="data directory to write")
    args = parser.parse_args()
    if not args.root.is_dir():
        raise DataError(f"{args.root} is not a folder; give one of recordings, or a Kaldi data directory")
    is_data_dir = (args.root / "wav.scp").exists()
    data = unlabelled(args.root) if is_data_dir else found_below(args.root)
    step = Step(
        "prepare_unlabelled",
        args.out,
        inputs=[args.root / name for name in ("wav.scp", "segments", LABEL)],
        digests={"names of the recordings": hashlib.sha256("\n".join(data.utterances).encode()).hexdigest()},
        settings={"root": os.path.abspath(args.root)},
    )
    if step.skip():
        return
    step.begin()
    data.write(args.out)
    step.done(set_files(args.out), utterances=len(data))
    print(f"{args.out}: {len(data)} utterances of unknown speakers")


def unlabelled(root: Path) -> DataDir:
    """A Kaldi data directory without its speakers; it may lack utt2spk."""
    if (root / "utt2spk").exists():
        data = DataDir.read(root)
        return DataDir({utt: utt for utt in data.utt2spk}, data.wav, data.segments, {}, root, data.synthetic)
    if (root / "segments").exists():
        raise DataError(f"{root}: segments without an utt2spk; write one of 'utterance utterance' a line")
    wav = read_table(root / "wav.scp")
    return DataDir({utt: utt for utt in wav}, wav, path=root, synthetic=read_label(root))


def found_below(root: Path) -> DataDir:
    """Every recording below a folder; DataError if there is none or two would have one name."""
    wav: dict[str, str] = {}
    for folder, _, names in os.walk(os.path.abspath(root), followlinks=True):
        for name in names:
            path = Path(folder, name)
            if path.suffix.lower() not in ENDINGS:
                continue
            utt = re.sub(r"[^\w.]+", "-", str(path.relative_to(root.absolute()).with_suffix("")), flags=re.ASCII)
            if utt in wav:
                raise DataError(f"{root}: {path} and {wav[utt]} would both be called {utt}; rename one")
            wav[utt] = str(path)
    if not wav:
        raise DataError(f"{root}: no .wav, .flac or .sph below it, and no wav.scp in it")
    return DataDir({utt: utt for utt in wav}, wav, path=root, synthetic=read_label(root))


if __name__ == "__main__":
    run(main, __file__)
