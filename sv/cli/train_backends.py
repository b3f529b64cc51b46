"""Estimate a run's back ends on the embeddings of the training set: RUN/backend/NAME/."""

from pathlib import Path

import numpy as np

from sv.backends.backend import train_backend
from sv.cli import Parser, run
from sv.data.tables import read_table
from sv.data.vectors import Vectors
from sv.errors import DataError
from sv.run import Run


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--train", required=True, metavar="SET", help="set whose embeddings they learn from")
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    args = parser.parse_args()
    this = Run.open(args.run)
    folder = this.embeddings(args.train)
    vectors = Vectors.read(folder / "xvector.scp")
    utt2spk = read_table(folder / "utt2spk")
    speakers, speaker_N = np.unique([utt2spk[key] for key in vectors.keys], return_inverse=True)
    single = int((np.bincount(speaker_N) == 1).sum())
    for name, settings in this.system.backends.items():
        try:
            backend = train_backend(settings, vectors.x_ND, speaker_N)
        except DataError as error:
            raise DataError(f"{this.path}: back end {name}: {error}") from None
        backend.save(this.backend(name))
        counts = f"{len(vectors.keys)} embeddings of {len(speakers)} speakers, {single} with a single one"
        print(f"{this.backend(name)}: {counts}")


if __name__ == "__main__":
    run(main, __file__)
