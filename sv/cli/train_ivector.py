"""Train a system's UBM and i-vector extractor: RUN/{final.dubm,final.ubm,final.ie}, as Kaldi's programs read them.

Diagonal UBM, full UBM and extractor are a step each: what is finished of them is not done again.
"""

from __future__ import annotations

from pathlib import Path

from sv.cli import Parser, run
from sv.data.datadir import DataDir, write_dropped
from sv.errors import ConfigError
from sv.features.files import inputs
from sv.records import Step, record_of
from sv.run import Run
from sv.training.step import training_step

EXTRACTOR = ("dim", "iterations")  # what of the `ivector` block the UBM does not depend on


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--train", type=Path, required=True, help="data directory of the training set")
    parser.add_argument("--ngpu", type=int, help="0 is the CPU, 1 a GPU (None: a GPU if there is one)")
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    args = parser.parse_args()
    this = Run.open(args.run)
    if this.system.ivector is None:
        raise ConfigError(f"{args.run}: {this.name} is no i-vector system; steps/train.sh trains networks")
    folder = args.train / "feats" / this.system.features
    diag, full, extractor = steps_of(this, folder)
    if extractor.skip():
        return
    train(this, folder, args.ngpu, diag, full, extractor)


def steps_of(this: Run, folder: Path) -> tuple[Step, Step, Step]:
    """The three steps."""
    settings = this.trained_by()
    settings["ivector"] = {key: value for key, value in settings["ivector"].items() if key not in EXTRACTOR}
    ubm = {"system": settings, "seed": this.seed}
    diag = Step("train_diag_ubm", this.path, inputs=inputs(folder, this.system.vad), settings=ubm)
    full = Step("train_full_ubm", this.path, inputs=[record_of("train_diag_ubm", this.path)], settings=ubm)
    return diag, full, training_step(this, folder, after=(record_of("train_full_ubm", this.path),))


def train(this: Run, folder: Path, ngpu: int | None, diag_step: Step, full_step: Step, step: Step) -> None:
    """Train what is not there yet, one after the other."""
    from sv.backends.ivector import Extractor, StatsStream, ubm_posteriors
    from sv.backends.ivector_training import train_extractor
    from sv.backends.kaldi_gmm import read_diag_gmm, read_full_gmm, write_diag_gmm, write_extractor, write_full_gmm
    from sv.backends.ubm_training import train_diag_ubm, train_full_ubm
    from sv.features.files import FeatureReader
    from sv.models.device import pick_device
    from sv.training.progress import log, log_to

    settings, device = this.system.ivector, pick_device(ngpu)
    reader = FeatureReader.of_system(folder, this.system)
    log_to(this.path / "log" / "train.log")

    def tell(line: str) -> None:
        log.info(f"train {this.name}  {line}")

    silent = {utt: "no voiced frame" for utt, count in reader.num_frames.items() if count == 0}
    write_dropped(this.path / "dropped.txt", silent)
    tell(f"{len(reader.num_frames) - len(silent)} utterances, {reader.dim}-dimensional features, {device}")
    frames = reader.voiced()
    paths = {name: this.path / f"final.{name}" for name in ("dubm", "ubm", "ie")}
    if not diag_step.skip():
        diag_step.begin()
        diag = train_diag_ubm(
            frames,
            settings.num_gaussians,
            this.seed,
            settings.ubm_frames,
            iterations=settings.diag_iterations,
            device=device,
            log=tell,
        )
        write_diag_gmm(paths["dubm"], diag)
        diag_step.done([paths["dubm"]], gaussians=diag.num_gauss)
    diag = read_diag_gmm(paths["dubm"])  # what is on disk counts, however it came there
    _, full_step, step = steps_of(this, folder)  # with the record that is there now
    if not full_step.skip():
        full_step.begin()
        full = train_full_ubm(frames, diag, settings.full_iterations, settings.num_gselect, device=device, log=tell)
        write_full_gmm(paths["ubm"], full)
        full_step.done([paths["ubm"]], gaussians=full.num_gauss)
    full = read_full_gmm(paths["ubm"])
    *_, step = steps_of(this, folder)
    step.begin()
    posteriors = ubm_posteriors(full, None, settings.num_gselect, settings.min_post)
    kept = this.path / ".posteriors.partial"
    try:
        stats = StatsStream(frames, posteriors, full.num_gauss, device=device, posteriors_file=kept, second_order=True)
        extractor = Extractor.initial(full, settings.dim, this.seed).to(device)
        extractor = train_extractor(extractor, stats, settings.iterations, tell)
    finally:
        kept.unlink(missing_ok=True)
    write_extractor(paths["ie"], extractor)
    utt2spk = DataDir.read(folder).utt2spk
    step.done(paths.values(), epochs=settings.iterations, utterances=len(utt2spk), speakers=len(set(utt2spk.values())))


if __name__ == "__main__":
    run(main, __file__)
