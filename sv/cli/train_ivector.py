"""Train a system's UBM and i-vector extractor: RUN/{final.dubm,final.ubm,final.ie}, as Kaldi's programs read them.

Diagonal UBM, full UBM and extractor are a step each: what is finished of them is not done again.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sv.cli import Parser, run
from sv.data.datadir import DataDir, write_dropped
from sv.errors import ConfigError
from sv.features.files import inputs
from sv.records import Step, record_of
from sv.run import Run
from sv.training.step import training_step

if TYPE_CHECKING:
    import torch

    from sv.features.files import VoicedUtterances

EXTRACTOR = ("dim", "iterations")  # what of the `ivector` block the UBM does not depend on


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--train", type=Path, required=True, help="data directory of the training set")
    parser.add_argument("--ubm", type=Path, metavar="DATA", help="train the UBM on this set instead")
    parser.add_argument("--ngpu", type=int, help="0 is the CPU, 1 a GPU (None: a GPU if there is one)")
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    args = parser.parse_args()
    this = Run.open(args.run)
    if this.system.ivector is None:
        raise ConfigError(f"{args.run}: {this.name} is no i-vector system; steps/train.sh trains networks")
    folders = (data / "feats" / this.system.features for data in (args.train, args.ubm or args.train))
    training = Training(this, *folders, args.ngpu)
    # One after the other: whether a step holds is asked when the one before it has left its record.
    training.diag_ubm()
    training.full_ubm()
    training.extractor()


class Training:
    """The three steps of a run; what they share is made when the first of them has something to do."""

    def __init__(self, this: Run, folder: Path, ubm_folder: Path, ngpu: int | None) -> None:
        self.this, self.folder, self.ubm_folder, self.ngpu = this, folder, ubm_folder, ngpu
        self.settings = this.system.ivector
        self.dubm, self.ubm, self.ie = (this.path / f"final.{kind}" for kind in ("dubm", "ubm", "ie"))

    def diag_ubm(self) -> None:
        """Leave final.dubm."""
        step = Step("train_diag_ubm", self.this.path, inputs=self._ubm_features(), settings=self._ubm_settings())
        if step.skip():
            return
        for line in self.this.lda_beyond(len(set(DataDir.read(self.folder).utt2spk.values()))):
            print(f"train_ivector: warning: {line}")
        from sv.backends.kaldi_gmm import write_diag_gmm
        from sv.backends.ubm_training import train_diag_ubm

        step.begin()
        diag = train_diag_ubm(
            self._ubm_frames,
            self.settings.num_gaussians,
            self.this.seed,
            self.settings.ubm_frames,
            iterations=self.settings.diag_iterations,
            device=self._device,
            log=self._tell,
        )
        write_diag_gmm(self.dubm, diag)
        step.done([self.dubm], gaussians=diag.num_gauss)

    def full_ubm(self) -> None:
        """Leave final.ubm, from final.dubm."""
        made_of = [*self._ubm_features(), record_of("train_diag_ubm", self.this.path)]
        step = Step("train_full_ubm", self.this.path, inputs=made_of, settings=self._ubm_settings())
        if step.skip():
            return
        from sv.backends.kaldi_gmm import read_diag_gmm, write_full_gmm
        from sv.backends.ubm_training import train_full_ubm

        step.begin()
        full = train_full_ubm(
            self._ubm_frames,
            read_diag_gmm(self.dubm),
            self.settings.full_iterations,
            self.settings.num_gselect,
            device=self._device,
            log=self._tell,
        )
        write_full_gmm(self.ubm, full)
        step.done([self.ubm], gaussians=full.num_gauss)

    def extractor(self) -> None:
        """Leave final.ie, from final.ubm; the record of the whole training."""
        step = training_step(self.this, self.folder.parents[1], after=(record_of("train_full_ubm", self.this.path),))
        if step.skip():
            return
        from sv.backends.ivector import Extractor, StatsStream, ubm_posteriors
        from sv.backends.ivector_training import train_extractor
        from sv.backends.kaldi_gmm import read_full_gmm, write_extractor

        step.begin()
        full = read_full_gmm(self.ubm)
        posteriors = ubm_posteriors(full, None, self.settings.num_gselect, self.settings.min_post)
        kept = self.this.path / ".posteriors.partial"
        try:
            stats = StatsStream(
                self._frames,
                posteriors,
                full.num_gauss,
                device=self._device,
                posteriors_file=kept,
                second_order=True,
            )
            initial = Extractor.initial(full, self.settings.dim, self.this.seed).to(self._device)
            write_extractor(self.ie, train_extractor(initial, stats, self.settings.iterations, self._tell))
        finally:
            kept.unlink(missing_ok=True)
        data = DataDir.read(self.folder)
        counts = {"utterances": len(data), "speakers": data.num_speakers}
        step.done([self.dubm, self.ubm, self.ie], epochs=self.settings.iterations, **counts)

    def _ubm_features(self) -> list[Path]:
        return inputs(self.ubm_folder, self.this.system.vad)

    def _ubm_settings(self) -> dict[str, Any]:
        system = self.this.trained_by()
        if self.ubm_folder != self.folder:
            del system["augment"]  # what copies the other set has
        system["ivector"] = {key: value for key, value in system["ivector"].items() if key not in EXTRACTOR}
        return {"system": system, "seed": self.this.seed}

    @cached_property
    def _device(self) -> torch.device:
        from sv.models.device import pick_device

        return pick_device(self.ngpu)

    @cached_property
    def _frames(self) -> VoicedUtterances:
        """The training utterances; those without a voiced frame go to dropped.txt."""
        voiced, silent = self._voiced(self.folder)
        write_dropped(self.this.path / "dropped.txt", silent)
        return voiced

    @cached_property
    def _ubm_frames(self) -> VoicedUtterances:
        """The utterances that the UBM is trained on."""
        return self._frames if self.ubm_folder == self.folder else self._voiced(self.ubm_folder)[0]

    def _voiced(self, folder: Path) -> tuple[VoicedUtterances, dict[str, str]]:
        """The utterances of a folder that have a voiced frame; why the others are left out."""
        from sv.features.files import FeatureReader
        from sv.training.progress import log_to

        reader = FeatureReader.of_system(folder, self.this.system)
        log_to(self.this.path / "log" / "train.log")
        silent = {utt: "no voiced frame" for utt, count in reader.num_frames.items() if count == 0}
        count = len(reader.num_frames) - len(silent)
        self._tell(f"{folder}: {count} utterances, {reader.dim}-dimensional features, {self._device}")
        return reader.voiced(), silent

    def _tell(self, line: str) -> None:
        from sv.training.progress import log

        log.info(f"train {self.this.name}  {line}")


if __name__ == "__main__":
    run(main, __file__)
