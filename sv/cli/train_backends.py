"""Estimate a run's back ends on embeddings of the training set, and of one to adapt to: RUN/backend/NAME/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sv.backends.backend import train_backend
from sv.cli import Parser, run
from sv.data.tables import first_few, read_table
from sv.data.vectors import Vectors
from sv.errors import ConfigError, DataError
from sv.records import Step, record_of
from sv.run import Run
from sv.scoring.cohort import cohort_of, write_cohort
from sv.systems.normalisation import Normalisation


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--train", required=True, metavar="SET", help="set whose embeddings they learn from")
    parser.add_argument("--adapt", metavar="SET", help="set whose embeddings, without labels, some back ends adapt to")
    parser.add_argument(
        "--cohort", metavar="SET", help="set whose embeddings scores are normalised by (None: the training set)"
    )
    parser.add_argument(
        "--speakers-of",
        type=Path,
        metavar="DATA",
        help="learn from the speakers of this data directory alone; a classifier does so with `speakers: named`",
    )
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    args = parser.parse_args()
    this = Run.open(args.run)
    this.require_kind("backends")
    if this.system.compares:
        print(f"{this.path}: its network compares pairs itself; no back end learns")
        return
    folder = this.embeddings(args.train)
    if not args.adapt and (needs := this.needs_adapt()):
        raise ConfigError(
            f"{this.path}: back end {needs} adapts to unlabelled embeddings; name their set with --adapt SET"
        )
    adapt_to = [record_of("extract", this.embeddings(args.adapt))] if args.adapt else []
    speakers = [args.speakers_of / "utt2spk"] if args.speakers_of else []
    cohort = this.embeddings(args.cohort or args.train)
    steps = {
        name: Step(
            "train_backend",
            this.backend(name),
            inputs=[
                *([record_of("extract", folder), folder / "utt2spk"] if settings.learns else []),
                *(adapt_to if settings.needs_adapt else []),
                *(speakers if settings.learns and settings.some_speakers else []),
                *([record_of("extract", cohort), cohort / "utt2spk"] if settings.normalise else []),
            ],
            settings=settings.learnt_by,
        )
        for name, settings in this.system.backends.items()
    }
    waiting = {name: step for name, step in steps.items() if not step.skip()}
    if not waiting:
        return
    chosen = [this.system.backends[name] for name in waiting]
    everyone = labelled(folder) if any(settings.learns for settings in chosen) else NOBODY
    some = everyone
    if args.speakers_of and any(settings.learns and settings.some_speakers for settings in chosen):
        some = everyone.of(set(read_table(args.speakers_of / "utt2spk").values()))
    adapt_MD = None
    if any(settings.needs_adapt for settings in chosen):
        adapt_MD = Vectors.read(this.embeddings(args.adapt) / "xvector.scp").x_ND
    for name, step in waiting.items():
        settings = this.system.backends[name]
        train(this, name, step, some if settings.some_speakers else everyone, adapt_MD, cohort)


@dataclass(frozen=True)
class Labelled:
    """Embeddings (N, D) and the speaker of each, by name (N,)."""

    x_ND: np.ndarray
    speaker_N: np.ndarray

    def of(self, speakers: set[str]) -> Labelled:
        """Those of some speakers; DataError if there are none."""
        keep_N = np.isin(self.speaker_N, list(speakers))
        if not keep_N.any():
            raise DataError("no embedding is of the speakers asked for")
        return Labelled(self.x_ND[keep_N], self.speaker_N[keep_N])


NOBODY = Labelled(np.empty((0, 0)), np.empty(0, str))  # for back ends that learn nothing


def labelled(folder: Path) -> Labelled:
    """The embeddings of a set with their speakers."""
    vectors, utt2spk = Vectors.read(folder / "xvector.scp"), read_table(folder / "utt2spk")
    if unknown := set(vectors.keys) - utt2spk.keys():
        raise DataError(f"{folder}/utt2spk: no speaker for {len(unknown)} embeddings: {first_few(unknown)}")
    return Labelled(vectors.x_ND, np.array([utt2spk[key] for key in vectors.keys]))


def train(this: Run, name: str, step: Step, learnt: Labelled, adapt_MD: np.ndarray | None, cohort: Path) -> None:
    """Estimate one back end, keep its cohort beside it, and say of what."""
    settings, folder = this.system.backends[name], this.backend(name)
    speakers, speaker_N = np.unique(learnt.speaker_N, return_inverse=True)
    step.begin()
    for path in files_in(folder):  # of another form, perhaps
        path.unlink()
    try:
        backend = train_backend(
            settings, learnt.x_ND, speaker_N, adapt_MD, this.seed, log=lambda line: print(f"{folder}: {line}")
        )
    except DataError as error:
        raise DataError(f"{this.path}: back end {name}: {error}") from None
    backend.save(folder)
    normalised = keep_cohort(settings.normalise, labelled(cohort), folder) if settings.normalise else ""
    step.done(files_in(folder), embeddings=len(speaker_N), speakers=len(speakers))
    single = int((np.bincount(speaker_N) == 1).sum())
    counts = f"{len(speaker_N)} embeddings of {len(speakers)} speakers, {single} with a single one"
    adapted = f"adapted to {len(adapt_MD)}" if settings.needs_adapt else ""
    said = ", ".join(filter(None, [counts if settings.learns else "", adapted, normalised]))
    print(f"{folder}: {said or 'there is nothing to learn'}")


def keep_cohort(settings: Normalisation, labelled: Labelled, folder: Path) -> str:
    """Write a back end's cohort, and say what it is."""
    cohort = cohort_of(settings, labelled.x_ND, labelled.speaker_N)
    write_cohort(folder, cohort)
    what = f"a cohort of {len(cohort.keys)} {settings.cohort}"
    if not settings.top:
        return what
    return (
        f"{what}, the nearest {settings.top}"
        if settings.top < len(cohort.keys)
        else f"{what}, all (top: {settings.top})"
    )


def files_in(folder: Path) -> list[Path]:
    """A back end's parameters."""
    return [path for path in folder.iterdir() if path.is_file()]


if __name__ == "__main__":
    run(main, __file__)
