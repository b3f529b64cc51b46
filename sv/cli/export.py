"""A trained system as files for others: OUT/model.onnx from samples to embedding, model.json, README.md, back ends.

The model has all in it: front end, energy VAD, normalisation, network. It is written only if onnxruntime gives the
embeddings of the run with it, on recordings of --check or, without, on synthetic signals.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sv.backends.files import read_array
from sv.cli import Parser, run
from sv.data.atomic import atomic_write
from sv.data.datadir import DataDir, read_label, set_files
from sv.errors import ConfigError, DataError
from sv.export.known import BackEnd, back_ends, reported, trained_on
from sv.export.onnx_file import OPSET, require_packages
from sv.export.parity import (
    FULL_SCALE,
    OnnxModel,
    Parity,
    Recording,
    compared,
    pairs,
    recordings_of,
    synthetic_recordings,
)
from sv.export.refused import require_exportable
from sv.records import Step, content_of, record_of, settings_of, unfinished
from sv.report.behind import commit
from sv.run import Run
from sv.verifier import Verifier

if TYPE_CHECKING:
    from sv.export.embedding import Exportable

FILES = ("model.onnx", "model.json", "README.md")


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_argument("--check", type=Path, metavar="DATA", help="data directory to check the model on")
    parser.add_argument("--verify", type=int, default=10, metavar="N", help="check it on so many recordings")
    parser.add_argument(
        "--features", action="store_true", help="let the model take the frames that the network reads, not samples"
    )
    parser.add_argument("--allow-pipes", action="store_true", help="run the commands ('… |') that wav.scp names")
    parser.add_argument("--report", type=Path, metavar="DIR", help="report with the run's figures (None: EXP/report)")
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    parser.add_argument("out", type=Path, help="folder to write")
    args = parser.parse_args()
    if args.verify < 1:
        raise ConfigError(f"--verify is a number of recordings from 1, not {args.verify}")
    this = Run.open(args.run)
    verifier = Verifier(this, device="cpu")
    front_end = settings_of("train", this.embedder().path)["front_end"]
    require_exportable(this.embedder(), front_end, args.features)
    require_packages()
    if args.check:
        DataDir.read(args.check).require_readable(args.allow_pipes)
    trained = back_ends(this)
    step = step_of(args, this, trained)
    if not step.skip():
        require_ours(args.out, step)
        export(args, verifier, front_end, trained, step)


def step_of(args: argparse.Namespace, this: Run, trained: list[BackEnd]) -> Step:
    """The step that fills the folder."""
    report = report_of(args, this)
    settings = {
        "run": [this.name, this.seed],
        "system": this.system.model_dump(mode="json", include={"extraction", "backends"}),
        "extraction": this.embedder().system.extraction.model_dump(mode="json"),
        "features": args.features,
        "verify": args.verify,
        "reported": reported(this, report) is not None,
    }
    inputs = [
        this.embedder().training(),
        *(record_of("train_backend", each.folder) for each in trained),
        *(each.calibration for each in trained if each.calibration),
        *(set_files(args.check) if args.check else []),
        report / "results.json",
    ]
    return Step("export", args.out, inputs=inputs, settings=settings)


def require_ours(out: Path, step: Step) -> None:
    """Raise DataError if what would be written over was written by something else, as another's README.md."""
    record = record_of(step.name, out)
    if record.exists() or unfinished(record):
        return
    if there := [out / name for name in FILES if (out / name).exists()]:
        raise DataError(f"{there[0]} is there and is not of an export; name another folder")


def report_of(args: argparse.Namespace, this: Run) -> Path:
    """The folder of the report that may have the run's figures."""
    return args.report or this.path.parents[1] / "report"


def export(
    args: argparse.Namespace, verifier: Verifier, front_end: dict[str, Any], trained: list[BackEnd], step: Step
) -> None:
    """Make the model, compare it, and write all files."""
    from sv.export.card import Card, card_text
    from sv.export.embedding import exportable
    from sv.export.onnx_file import onnx_model

    this = verifier.run
    maker = this.embedder()
    whole = exportable(maker, front_end, args.features)
    print(f"{args.out}: the network is being traced; this takes a quarter of a minute or more")
    data = onnx_model(whole).SerializeToString()
    parity, checked_on = measure(args, verifier, front_end, whole, data)
    print(f"{args.out}: on {parity.recordings} {checked_on} {parity.said}")
    parity.require()
    about = about_of(verifier, front_end, whole, parity, checked_on)
    cosine = next((each for each in trained if plain_cosine(this, each)), None)
    text = card_text(
        Card(
            this,
            maker,
            about,
            trained_on(maker),
            reported(this, report_of(args, this)),
            trained,
            cosine,
            parity,
            checked_on,
            command_of(args),
            commit(),
        )
    )
    before = content_of(record_of(step.name, args.out))
    step.begin()
    for name in before["outputs"] if before else ():  # a back end that is no longer there, say
        (args.out / name).unlink(missing_ok=True)
    outputs = [args.out / name for name in FILES]
    with atomic_write(outputs[0], "wb") as out:
        out.write(data)
    with atomic_write(outputs[1]) as out:
        json.dump(about, out, indent=1, ensure_ascii=False)
        out.write("\n")
    with atomic_write(outputs[2]) as out:
        out.write(text)
    outputs += [path for each in trained for path in copied(each, args.out, each is cosine)]
    step.done(outputs, recordings=parity.recordings, least_cosine=parity.cosine)
    print(f"{args.out}: model.onnx, {len(data) / 1e6:.1f} MB; README.md says how it is used")


def measure(
    args: argparse.Namespace, verifier: Verifier, front_end: dict[str, Any], whole: Exportable, data: bytes
) -> tuple[Parity, str]:
    """How far the model is from the run, and what that was measured on."""
    from sv.features.heard import Ear
    from sv.features.waves import at_rate

    ear = Ear(verifier.run.embedder().system, front_end)

    def embed(each: Recording) -> np.ndarray:
        return verifier.embed(each.wave_N / np.float32(FULL_SCALE), each.rate)

    def given(each: Recording) -> np.ndarray:
        if args.features:
            return ear(*each)
        return at_rate(each.wave_N, each.rate, whole.config, each.name) / np.float32(FULL_SCALE)

    def usable(each: Recording) -> bool:
        try:
            embed(each)
        except DataError as error:
            print(f"{args.check}: {each.name} is not among those compared: {error}")
            return False
        return True

    if args.check:
        recordings = recordings_of(args.check, args.verify, usable, args.allow_pipes)
        kind = "recordings" if read_label(args.check) is None else "synthetic recordings"
        what = f"{kind} of `{args.check.name}`"
    else:
        recordings = synthetic_recordings(args.verify, whole.rate, whole.fewest if whole.given == "samples" else 0)
        what = "synthetic signals (noise in bursts, no speech)"
    return compared(pairs(recordings, embed, given, OnnxModel(data))), what


def about_of(
    verifier: Verifier, front_end: dict[str, Any], whole: Exportable, parity: Parity, checked_on: str
) -> dict[str, Any]:
    """The content of model.json."""
    this, dim = verifier.run, whole.network.embedding_dim
    samples = whole.given == "samples"
    return {
        "system": this.name,
        "seed": this.seed,
        "sample_rate": whole.rate,
        "input": {
            "name": whole.given,
            "type": "float32",
            "shape": ["num_samples"] if samples else ["num_frames", whole.dim],
            "scale": "-1 to 1 (16-bit samples / 32768)" if samples else "as the network reads them",
        },
        "output": {"name": "embedding", "type": "float32", "shape": [whole.rows, dim] if whole.rows else [dim]},
        "embedding_dim": dim,
        "fewest": whole.fewest,
        "fewest_must_be_voiced": bool(this.embedder().system.vad and samples),
        "opset": OPSET,
        "parameters": sum(each.numel() for each in whole.network.parameters()),
        "front_end": front_end,
        "back_ends": {name: settings.model_dump(mode="json") for name, settings in this.system.backends.items()},
        "compared": {**parity._asdict(), "with": "PyTorch", "on": checked_on},
    }


def plain_cosine(this: Run, each: BackEnd) -> bool:
    """Whether the card's example can score by a back end: cosines of all crops, not normalised by a cohort."""
    settings = this.system.backends[each.name]
    return settings.name == "cosine" and settings.row is None and settings.normalise is None


def copied(each: BackEnd, out: Path, for_numpy: bool) -> list[Path]:
    """Copy a back end's files and its calibration, and write what numpy reads; the files."""
    folder, made = out / "backend" / each.name, []
    pairs = [(path, folder / path.name) for path in each.files]
    pairs += [(each.calibration, out / "calibration" / f"{each.name}.json")] if each.calibration else []
    for source, target in pairs:
        with atomic_write(target, "wb") as file:
            file.write(source.read_bytes())
        made.append(target)
    for path in each.files if for_numpy else ():
        made.append((folder / path.name).with_suffix(".npy"))
        with atomic_write(made[-1], "wb") as file:
            np.save(file, read_array(path))
    return made


def command_of(args: argparse.Namespace) -> str:
    """The command, with the options that were given."""
    words = ["steps/export.sh"]
    words += ["--check", str(args.check)] if args.check else []
    words += ["--allow-pipes"] if args.allow_pipes else []
    words += ["--verify", str(args.verify)]
    words += ["--features"] if args.features else []
    words += ["--report", str(args.report)] if args.report else []
    return shlex.join([*words, str(args.run), str(args.out)])


if __name__ == "__main__":
    run(main, __file__)
