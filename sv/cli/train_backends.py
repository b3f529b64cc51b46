"""Estimate a run's back ends on the embeddings of the training set: RUN/backend/NAME/."""

from pathlib import Path

import numpy as np

from sv.backends.backend import train_backend
from sv.cli import Parser, run
from sv.data.tables import first_few, read_table
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.records import Step, record_of
from sv.run import Run


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--train", required=True, metavar="SET", help="set whose embeddings they learn from")
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    args = parser.parse_args()
    this = Run.open(args.run)
    folder = this.embeddings(args.train)
    steps = {
        name: Step(
            "train_backend",
            this.backend(name),
            inputs=[record_of("extract", folder), folder / "utt2spk"],
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
    speakers, speaker_N = np.unique([utt2spk[key] for key in vectors.keys], return_inverse=True)
    single = int((np.bincount(speaker_N) == 1).sum())
    for name, step in waiting.items():
        step.begin()
        try:
            backend = train_backend(this.system.backends[name], vectors.x_ND, speaker_N)
        except DataError as error:
            raise DataError(f"{this.path}: back end {name}: {error}") from None
        backend.save(this.backend(name))
        step.done(
            [path for path in this.backend(name).iterdir() if path.is_file()],
            embeddings=len(vectors.keys),
            speakers=len(speakers),
        )
        counts = f"{len(vectors.keys)} embeddings of {len(speakers)} speakers, {single} with a single one"
        print(f"{this.backend(name)}: {counts}")


if __name__ == "__main__":
    run(main, __file__)
