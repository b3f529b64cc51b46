"""Draw a trial list from a data directory: DATA/trials_NAME, lines 'enrol test target|nontarget'."""

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir
from sv.data.draw_trials import draw_trials
from sv.errors import ConfigError
from sv.records import Step


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--targets", type=int, required=True, metavar="N", help="target trials; all if fewer exist")
    parser.add_argument("--nontargets", type=int, required=True, metavar="N", help="non-target trials, likewise")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--name", required=True, help="of the list")
    parser.add_argument("data", type=Path, help="data directory")
    args = parser.parse_args()
    if not args.name or any(c.isspace() or c == "/" for c in args.name):
        raise ConfigError(f"--name {args.name!r} cannot be part of a file's name; take letters, digits, _ and -")
    step = Step(
        f"trials_{args.name}",
        args.data,
        inputs=[args.data / name for name in ("utt2spk", "utt2sess", "spk2gender")],
        settings={name: getattr(args, name) for name in ("targets", "nontargets", "seed")},
    )
    if step.skip():
        return
    trials = draw_trials(DataDir.read(args.data), args.targets, args.nontargets, args.seed)
    step.begin()
    out = args.data / f"trials_{args.name}"
    trials.write(out)
    found = {"target": trials.num_targets, "non-target": len(trials) - trials.num_targets}
    step.done([out], targets=found["target"], nontargets=found["non-target"])
    fewer = [
        f"no more {kind} trials exist ({wanted} were asked for)"
        for kind, wanted in zip(found, (args.targets, args.nontargets), strict=True)
        if found[kind] < wanted
    ]
    print("; ".join([f"{out}: {found['target']} target and {found['non-target']} non-target trials", *fewer]))


if __name__ == "__main__":
    run(main, __file__)
