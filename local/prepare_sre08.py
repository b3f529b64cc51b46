"""NIST SRE 2008 on disk -> OUT/sre08, a data directory of the short2 models' and their target trials' sides.

ROOT is the test release (LDC2011S08), which holds the keys below data/keys/NIST_SRE08_KEYS.v0.1; --train is the
training release (LDC2011S05). ROOT/SYNTHETIC.txt goes into the set.
"""

from __future__ import annotations

from pathlib import Path

from sphere_calls import CallSet, Recordings, digests, read_rows, recordings_below, require_root, write_set

from sv.cli import Parser, run
from sv.data.datadir import LABEL
from sv.errors import DataError
from sv.records import Step

KEYS = Path("data/keys/NIST_SRE08_KEYS.v0.1")
MODELS = KEYS / "model-keys/NIST_SRE08_short2.model.key"
TRIALS = KEYS / "trial-keys/NIST_SRE08_short2-short3.trial.key"


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--train", type=Path, help="the training release")
    parser.add_argument("root", type=Path, help="the test release, which holds the keys")
    parser.add_argument("out", type=Path, help="folder of the data directory")
    args = parser.parse_args()
    prepare(args.root, args.train, args.out / "sre08")


def prepare(root: Path, train: Path | None, out: Path) -> None:
    """Write the set; DataError if a root or key is missing or malformed, or no listed recording is there."""
    require_root(root, "SRE 2008, test", KEYS.parts[0] + "/")
    if train is None:
        print(f"{out}: without the training release (--train), whose models' recordings are left out")
    else:
        require_root(train, "SRE 2008, training", "data/")
    recordings = recordings_below(*(folder / "data" for folder in (root, train) if folder is not None))
    models, trials = root / MODELS, root / TRIALS
    step = Step("prepare_sre08", out, inputs=[models, trials, root / LABEL], digests=digests([recordings]))
    if step.skip():
        return
    calls = listed_calls(models, trials, recordings)
    write_set(step, calls, out, root)


def listed_calls(models: Path, trials: Path, recordings: Recordings) -> CallSet:
    """The sides that models are trained on, and those of target trials, which are of their model's speaker."""
    calls = CallSet("sre08", recordings)
    speaker_of: dict[str, str] = {}

    def is_header(row: list[str]) -> bool:
        return ":" not in row[2] or row[1] not in ("m", "f")

    for number, row in read_rows(models, "model, gender, segment:channel, speaker", is_header=is_header):
        model, gender, place, speaker = row[:4]
        segment, colon, side = place.partition(":")
        if not colon or gender not in ("m", "f"):
            raise DataError(f"{models}:{number}: {','.join(row)!r} is not 'model,m|f,segment:channel,speaker'")
        speaker_of[model] = speaker
        add(calls, speaker, segment, side, gender)
    for _, (model, segment, side, kind, *_) in read_rows(trials, "model, segment, channel, target|nontarget"):
        if kind == "target" and model in speaker_of:
            add(calls, speaker_of[model], segment, side)
    return calls


def add(calls: CallSet, speaker: str, segment: str, side: str, gender: str = "") -> None:
    """Add a side under its utterance id."""
    calls.add(f"{speaker}-sre08-{segment}-{side.lower()}", speaker, segment, side.lower(), gender=gender)


if __name__ == "__main__":
    run(main, __file__)
