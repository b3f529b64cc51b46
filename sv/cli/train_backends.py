"""Estimate a run's back ends on embeddings of the training set, and of one to adapt to: RUN/backend/NAME/."""

from pathlib import Path

import numpy as np

from sv.backends.backend import train_backend
from sv.cli import Parser, run
from sv.data.tables import first_few, read_table
from sv.data.vectors import Vectors
from sv.errors import ConfigError, DataError
from sv.records import Step, record_of
from sv.run import Run


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--train", required=True, metavar="SET", help="set whose embeddings they learn from")
    parser.add_argument("--adapt", metavar="SET", help="set whose embeddings, without labels, some back ends adapt to")
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
    folder = this.embeddings(args.train)
    if not args.adapt and (needs := this.needs_adapt()):
        raise ConfigError(
            f"{this.path}: back end {needs} adapts to unlabelled embeddings; name their set with --adapt SET"
        )
    adapt_to = [record_of("extract", this.embeddings(args.adapt))] if args.adapt else []
    speakers = [args.speakers_of / "utt2spk"] if args.speakers_of else []
    steps = {
        name: Step(
            "train_backend",
            this.backend(name),
            inputs=[
                record_of("extract", folder),
                folder / "utt2spk",
                *(adapt_to if settings.needs_adapt else []),
                *(speakers if settings.some_speakers else []),
            ],
            settings=settings.model_dump(mode="json"),
        )
        for name, settings in this.system.backends.items()
    }
    waiting = {name: step for name, step in steps.items() if not step.skip()}
    if not waiting:
        return
    vectors = Vectors.read(folder / "xvector.scp")
    utt2spk = read_table(folder / "utt2spk")
    if unknown := set(vectors.keys) - utt2spk.keys():
        raise DataError(f"{folder}/utt2spk: no speaker for {len(unknown)} embeddings: {first_few(unknown)}")
    some = vectors
    if args.speakers_of and any(this.system.backends[name].some_speakers for name in waiting):
        known = set(read_table(args.speakers_of / "utt2spk").values())
        some = vectors.only([key for key in vectors.keys if utt2spk[key] in known])
    adapt_MD = None
    if any(this.system.backends[name].needs_adapt for name in waiting):
        adapt_MD = Vectors.read(this.embeddings(args.adapt) / "xvector.scp").x_ND
    for name, step in waiting.items():
        settings, folder = this.system.backends[name], this.backend(name)
        learnt = some if settings.some_speakers else vectors
        speakers, speaker_N = np.unique([utt2spk[key] for key in learnt.keys], return_inverse=True)
        step.begin()
        for path in files_in(folder):  # of another form, perhaps
            path.unlink()
        try:
            backend = train_backend(
                settings,
                learnt.x_ND,
                speaker_N,
                adapt_MD,
                this.seed,
                log=lambda line, at=folder: print(f"{at}: {line}"),
            )
        except DataError as error:
            raise DataError(f"{this.path}: back end {name}: {error}") from None
        backend.save(folder)
        step.done(files_in(folder), embeddings=len(speaker_N), speakers=len(speakers))
        adapted = f", adapted to {len(adapt_MD)}" if settings.needs_adapt else ""
        single = int((np.bincount(speaker_N) == 1).sum())
        counts = f"{len(speaker_N)} embeddings of {len(speakers)} speakers, {single} with a single one"
        print(f"{folder}: {counts}{adapted}")


def files_in(folder: Path) -> list[Path]:
    """A back end's parameters."""
    return [path for path in folder.iterdir() if path.is_file()]


if __name__ == "__main__":
    run(main, __file__)
