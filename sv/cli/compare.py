"""Whether one run is better than others on trial lists: differences of EER and minDCF, paired, over speakers.

The first run's figures minus those of each other, with their 95 % intervals and p-values: bootstrap replicates of the
list's speakers, the same for both (`sv.bootstrap`). A run is EXP/SYSTEM/seedN or, with one of several back ends,
EXP/SYSTEM/seedN:BACKEND. Trials that a run has not scored are left out for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sv.cli import Parser, run
from sv.data.tables import first_few
from sv.data.trials import Trials, list_name, speakers_of
from sv.errors import ConfigError, DataError
from sv.run import Run
from sv.scoring.score_files import score_file
from sv.scoring.trials import read_scores, scored_trials
from sv.yaml_errors import nearest


class Scored(NamedTuple):
    """A run and one of its back ends."""

    run: Run
    backend: str

    def scores(self, name: str) -> Path:
        """Those of a list that figures are of: calibrated ones where these weigh quality measures."""
        calibrated = self.run.calibrated(name, self.backend)
        reordered = self.run.system.measures(self.backend) and score_file(calibrated).exists()
        return calibrated if reordered else self.run.scores(name, self.backend)

    @property
    def called(self) -> tuple[str, str, str]:
        """System, seed and back end."""
        return self.run.name, f"seed {self.run.seed}", self.backend


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--trials", type=Path, action="append", required=True, help="DATA/trials_NAME; may be repeated")
    parser.add_argument("--enrol", type=Path, metavar="DATA", help="set of the trials' models, where that is another")
    parser.add_argument("--seed", type=int, default=0, help="of the replicates")
    parser.add_argument("runs", nargs="+", metavar="RUN[:BACKEND]", help="the first is compared with each other")
    args = parser.parse_args()
    if len(args.runs) < 2:
        raise ConfigError("name two runs or more: the first is compared with each other")
    runs = [scored_by(text) for text in args.runs]
    if twice := {" ".join(of.called) for of in runs if [other.called for other in runs].count(of.called) > 1}:
        raise ConfigError(f"{first_few(twice)}: is named twice; compare it with another")
    for path in args.trials:
        compare(path, runs, speakers_of(path.parent, *([args.enrol] if args.enrol else [])), args.seed)


def scored_by(text: str) -> Scored:
    """The run and back end of RUN or RUN:BACKEND; ConfigError if there is none, or several and none is named."""
    folder, colon, backend = text.rpartition(":")
    this = Run.open(Path(folder if colon else text))
    there = this.system.scored_by
    if colon and backend not in there:
        raise ConfigError(f"{folder} has no back end {backend}{nearest(backend, there)}")
    if not colon and len(there) > 1:
        raise ConfigError(f"{text} has the back ends {', '.join(there)}; name one: {text}:{there[0]}")
    return Scored(this, backend if colon else there[0])


def compare(path: Path, runs: list[Scored], speaker: dict[str, str], seed: int) -> None:
    """Print what the first run and each other differ by on a list, and what it is too small for."""
    from sv.report.comparison import compared, lines_of, too_small_for  # scipy, which takes half a second

    name, trials = list_name(path), Trials.read(path)
    if trials.is_target is None:
        raise DataError(f"{path}: its trials have no labels, target or nontarget: nothing to compare")
    for of in runs:
        if not score_file(of.scores(name)).exists():
            raise DataError(f"{of.scores(name)} is missing; score the list with this run first (stage 7)")
        trials = scored_trials(trials, of.run.dropped(name))
    ids = {*trials.enrol, *trials.test}
    if unknown := ids - speaker.keys():
        raise DataError(
            f"{path}: {len(unknown)} ids have no speaker ({first_few(unknown)}), and without them there is no interval;"
            " name the set of the models with --enrol"
        )
    names, alike = told_apart([of.called for of in runs])
    scores = {shown: read_scores(of.scores(name), trials) for shown, of in zip(names, runs, strict=True)}
    first, *others = scores
    num_speakers = len({speaker[i] for i in ids})
    found = compared(trials, scores[first], {other: scores[other] for other in others}, speaker, seed)
    size = f"{len(trials):,} trials ({trials.num_targets:,} target) of {num_speakers} speakers"
    print("; ".join([f"{name}: {size}", *alike]) + "\n")
    print("\n".join([*lines_of(first, found), *too_small_for(trials, scores, num_speakers), ""]))


def told_apart(called: list[tuple[str, ...]]) -> tuple[list[str], list[str]]:
    """Names of runs by the system and what else they differ in, and what they have in common besides."""
    columns = list(zip(*called, strict=True))
    same = [len(set(column)) == 1 for column in columns]
    names = [" ".join(word for i, word in enumerate(words) if i == 0 or not same[i]) for words in called]
    return names, [columns[i][0] for i in (1, 2) if same[i]]


if __name__ == "__main__":
    run(main, __file__)
