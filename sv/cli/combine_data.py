"""One data directory of several that have no utterance in common. Trials stay behind."""

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir, combine, set_files
from sv.data.subsets import refuse_same
from sv.features.combine import combine_feats, combine_vad
from sv.records import Step


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument(
        "--feats", action="append", default=[], metavar="NAME", help="put the features of that name together as well"
    )
    parser.add_argument(
        "--vad", action="append", default=[], metavar="NAME/VAD", help="and a VAD of these features; no ark is copied"
    )
    parser.add_argument("out", type=Path, help="data directory to write")
    parser.add_argument("parts", type=Path, nargs="+", help="data directories to put together")
    args = parser.parse_args()
    refuse_same(args.out, *args.parts)
    combine_tables(args.out, args.parts)
    for name in args.feats:
        combine_feats(args.out / "feats" / name, [part / "feats" / name for part in args.parts])
    for name, _, vad in (text.partition("/") for text in args.vad):
        combine_vad(args.out / "feats" / name, [part / "feats" / name for part in args.parts], vad)


def combine_tables(out: Path, paths: list[Path]) -> None:
    """The data directory itself."""
    files = [file for path in paths for file in set_files(path) or [path / "utt2spk"]]
    step = Step("combine_data", out, inputs=[file for file in files if not file.name.startswith("trials_")])
    if step.skip():
        return
    parts = [DataDir.read(path) for path in paths]
    whole = combine(parts)
    step.begin()
    whole.write(out)
    step.done(set_files(out), utterances=len(whole), speakers=whole.num_speakers)
    lost = sorted({name for part in parts for name in part.tables} - whole.tables.keys())
    print(
        f"{out}: {len(whole)} utterances of {whole.num_speakers} speakers, from {len(parts)} directories"
        + (f"; left out, as not all of them have it: {', '.join(lost)}" if lost else "")
    )


if __name__ == "__main__":
    run(main, __file__)
