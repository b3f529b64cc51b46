"""Give a run a public network's weights in place of a training: RUN/checkpoints/last.pt.

The run is there once ./run.sh has planned it, as with --stop-stage 1; afterwards go on with --stage 5. Its system must
have that network's front end and sizes, or nothing is written. Of the file only numbers are read, never code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sv.cli import Parser, run
from sv.errors import ConfigError, DataError
from sv.features.front_ends import feature_config
from sv.records import Step, settings_of
from sv.run import Run
from sv.source import Source
from sv.systems.models import Ecapa, HAsp, QSap

KNOWN = (QSap, HAsp, Ecapa)


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("weights", type=Path, help="a state dict, as torch.save writes it")
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    args = parser.parse_args()
    this = Run.open(args.run)
    if not this.waveform or not isinstance(this.system.model, KNOWN):
        raise ConfigError(
            f"{this.path}: only the public networks of VoxSRC 2020 are known here (Q/SAP, H/ASP, ECAPA-TDNN, which read"
            " recordings themselves), and this run's system is another one"
        )
    trained = settings_of("train", this.path)
    if "imported" not in trained if trained else this.checkpoint().exists():
        raise ConfigError(f"{this.path} has a network of its own; give the imported one another run, with --seed N")
    settings = {
        "system": this.trained_by(),
        "front_end": Source(this, this.path).front_end(),
        "imported": args.weights.name,
    }
    step = Step("train", this.path, inputs=[args.weights], settings=settings)
    if not step.skip():
        import_weights(args.weights, this, step)


def import_weights(path: Path, this: Run, step: Step) -> None:
    """Write the checkpoint that extraction reads; DataError, and nothing written, if the weights do not fit."""
    import torch

    from sv.models.build import build_head, build_trunk
    from sv.models.imported_weights import load_imported
    from sv.models.normalised import Normalised
    from sv.training.checkpoint import TrainingState
    from sv.training.optimiser import build_optimiser

    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is none fails in many ways, none of which is a bug of ours
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: cannot be read as a state dict ({why[:100]})") from None
    if not isinstance(stored, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in stored.values()):
        raise DataError(f"{path}: not a state dict, a tensor by each name; save the network's state_dict() alone")
    feature_dim = feature_config(this.waveform["features"]).dim
    trunk = build_trunk(this.system.model, feature_dim)
    try:
        load_imported(trunk, stored)
    except DataError as error:
        raise DataError(f"{path}: does not fit {this.path}: {error}") from None
    model = Normalised(trunk, this.system.normalise.variance) if this.system.normalise else trunk
    head = build_head(this.system.loss, model.output_dim, num_speakers=1, utterances=2)  # of nobody: none are known
    optimiser = build_optimiser(this.system.training.optimiser, [*model.parameters(), *head.parameters()])
    scaler = torch.amp.GradScaler(enabled=False)
    step.begin()
    TrainingState(model, head, optimiser, scaler, [], feature_dim).save(this.checkpoint())
    step.done([this.checkpoint()], parameters=sum(p.numel() for p in model.parameters()))
    print(f"{this.checkpoint()}: the weights of {path}; go on with ./run.sh --stage 5")


if __name__ == "__main__":
    run(main, __file__)
