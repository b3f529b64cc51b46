"""NIST SRE 2010 on disk -> OUT/sre10, a data directory of the extended core models' and target trials' sides.

ROOT holds data/, keys/coreext.modelkey.csv, keys/coreext-coreext.trialkey.csv and train/coreext.trn, itself or in its
eval/. Models whose speaker is NOT_SCORED are left out and listed. ROOT/SYNTHETIC.txt goes into the set.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from sphere_calls import CallSet, Recordings, digests, first_there, read_rows, recordings_below, require_root, write_set

from sv.cli import Parser, run
from sv.data.datadir import LABEL
from sv.errors import DataError
from sv.records import Step

GENDERS = ("m", "f")


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("root", type=Path, help="SRE 2010, the folder that holds data/, keys/ and train/")
    parser.add_argument("out", type=Path, help="folder of the data directory")
    args = parser.parse_args()
    prepare(args.root, args.out / "sre10")


def prepare(root: Path, out: Path) -> None:
    """Write the set; DataError if the root or a key is missing or malformed, or no listed recording is there."""
    require_root(root, "SRE 2010", "data/, keys/ and train/")
    keys = first_there("SRE 2010", root / "keys", root / "eval/keys")
    tables = [
        keys / "coreext.modelkey.csv",
        keys.parent / "train/coreext.trn",
        keys / "coreext-coreext.trialkey.csv",
    ]
    recordings = recordings_below(keys.parent / "data")
    step = Step("prepare_sre10", out, inputs=[*tables, root / LABEL], digests=digests([recordings]))
    if step.skip():
        return
    calls = listed_calls(*tables, recordings)
    write_set(step, calls, out, root)


def listed_calls(models: Path, training: Path, trials: Path, recordings: Recordings) -> CallSet:
    """The sides that models are trained on, and those of target trials, which are of their model's speaker."""
    calls = CallSet("sre10", recordings)
    speaker_of = {model: speaker for _, (model, speaker, *_) in read_rows(models, "model, speaker")}
    for number, (model, gender, place, *_) in read_rows(training, "model, gender, path:channel", separator=None):
        path, colon, side = place.rpartition(":")
        if not colon or gender.lower() not in GENDERS:
            raise DataError(f"{training}:{number}: {model} {gender} {place!r} is not 'model m|f path:channel'")
        segment = PurePosixPath(path).name.partition(".")[0]
        speaker = speaker_of.get(model)
        if speaker is None or speaker == "NOT_SCORED":
            why = "is not in the model key" if speaker is None else "is NOT_SCORED: its speaker is not known"
            calls.drop(f"sre10-{segment}-{side.lower()}", f"its model {model} {why}")
        else:
            add(calls, speaker, segment, side, gender.lower())
    for _, (model, segment, side, kind, *_) in read_rows(trials, "model, segment, channel, target|nontarget"):
        if kind == "target" and speaker_of.get(model, "NOT_SCORED") != "NOT_SCORED":
            add(calls, speaker_of[model], segment, side)
    return calls


def add(calls: CallSet, speaker: str, segment: str, side: str, gender: str = "") -> None:
    """Add a side under its utterance id."""
    calls.add(f"{speaker}-sre10-{segment}-{side.lower()}", speaker, segment, side.lower(), gender=gender)


if __name__ == "__main__":
    run(main, __file__)
