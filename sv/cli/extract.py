"""Embeddings of a data directory by a trained run: RUN/embeddings/SET/xvector.scp.

One vector an utterance, or a matrix of those of its crops.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sv.cli import Parser, jobs_for, run
from sv.data.datadir import DataDir, set_files, write_dropped
from sv.data.parts import join_parts
from sv.errors import ConfigError
from sv.records import Step, dry_run
from sv.run import Run
from sv.source import Reader, Source
from sv.step_jobs import part_done, run_jobs_of

if TYPE_CHECKING:
    import numpy as np
    import torch


def main() -> None:
    """The command line."""
    parser = Parser(__file__, __doc__)
    parser.add_array_options()
    parser.add_argument("--ngpu", type=int, help="0 is the CPU, N a job on each of N GPUs (None: a GPU if any)")
    parser.add_argument("run", type=Path, help="the run's folder: EXP/SYSTEM/seedN")
    parser.add_argument("data", type=Path, help="data directory; the embeddings' folder has its name")
    args = parser.parse_args()
    this = Run.open(args.run)
    this.require_kind("features")
    if this.system.compares:
        raise ConfigError(f"{this.path}: its network compares pairs itself and has no embeddings; go on to stage 7")
    source = Source(this, args.data)
    out = this.embeddings(args.data.name)
    if args.job is None:
        make_all(args, this, source, out)
    else:
        from sv.models.device import within_memory  # torch, which takes a second

        crops = " or fewer or shorter crops (extraction.crops)" if this.system.extraction.crops else ""
        with within_memory(f"{this.path}: extract on the CPU (--ngpu 0){crops}"):
            make_part(args, this, source, DataDir.read(source.folder).split(args.nj, args.job), out)
        part_done("extract", out, args, out / "arks" / "xvector")


def make_all(args: argparse.Namespace, this: Run, source: Source, out: Path) -> None:
    """Start the jobs whose parts are not there yet and join what they leave."""
    settings = {"extraction": this.system.extraction.model_dump(mode="json")}
    step = Step("extract", out, inputs=[*source.inputs(), this.training()], settings=settings)
    if not dry_run():
        this.require_trained()
        this.require_front_end(source.front_end(), source.folder)
    if step.skip():
        return
    feats = DataDir.read(source.folder)
    from sv.models.device import pick_device  # torch, which takes a second: after all that is told at once

    on_gpus = pick_device(args.ngpu).type == "cuda"
    jobs = min(args.ngpu or 1, len(feats)) if on_gpus else jobs_for(args, len(feats))  # a GPU for each job
    step.begin()
    (out / "xvector.scp").unlink(missing_ok=True)
    parts = out / "arks" / "xvector"
    names = run_jobs_of(step, "extract", jobs, parts)
    print(join_parts(feats, parts, jobs, out, "xvector.scp"))
    step.done([*set_files(out), out / "xvector.scp"], names, utterances=len(feats))


def make_part(args: argparse.Namespace, this: Run, source: Source, feats: DataDir, out: Path) -> None:
    """Extract one job's part into OUT/arks/xvector.JOB.{ark,scp}."""
    import torch

    from sv.data.ark import ArkWriter
    from sv.models.device import pick_device

    device = pick_device(args.ngpu, args.job - 1)
    if args.nj > 1:
        torch.set_num_threads(1)  # the jobs are the parallelism
    reader = source.reader()
    if this.system.ivector:
        what, fewest, extract = load_ivectors(this, device)
    else:
        what, fewest, extract = load_network(this, source, reader, device)
    num_frames = {utt: source.num_frames(reader.num_frames[utt]) for utt in feats.utterances}
    dropped = {
        utt: f"{frames} {'' if source.waveform else 'voiced '}{source.unit}, {what} needs {fewest}"
        for utt, frames in num_frames.items()
        if frames < fewest
    }
    name = out.resolve() / "arks" / f"xvector.{args.job}"
    with ArkWriter(name) as archive:
        for utt, vector in extract(reader, feats.utt2spk.keys() - dropped.keys()):
            archive.write(utt, vector)
    write_dropped(f"{name}.dropped", dropped)
    print(f"{len(feats) - len(dropped)} embeddings, {len(dropped)} dropped")


Extract = Callable[[Reader, Iterable[str]], Iterator[tuple[str, "np.ndarray"]]]


def load_network(this: Run, source: Source, reader: Reader, device: torch.device) -> tuple[str, int, Extract]:
    """What extracts, the fewest frames that it takes, and the extraction itself: a network's embeddings.

    Raises a UserError if the network is not there, or takes more frames than a crop has.
    """
    from sv.models.extraction import crop_embeddings, embeddings, wave_embeddings
    from sv.training.checkpoint import load_model

    model = load_model(this).to(device)
    crops, prepare = this.system.extraction.crops, source.prepare(device)
    length = round(crops.length_s * reader.frames_per_s) if crops else 0
    if crops and (frames := source.num_frames(length)) < model.min_frames:
        raise ConfigError(
            f"{this.path}: extraction.crops.length_s: {crops.length_s:g} s are {frames} {source.unit}, the network"
            f" needs {model.min_frames}"
        )

    def extract(reader: Reader, utts: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        if crops:
            return crop_embeddings(model, reader, utts, device, crops.count, length, prepare)
        if source.waveform:
            return wave_embeddings(model, reader, utts, device, prepare, this.seed, this.system.extraction.draws)
        return embeddings(model, reader, utts, device)

    return "the network", 1 if crops else model.min_frames, extract


def load_ivectors(this: Run, device: torch.device) -> tuple[str, int, Extract]:
    """As `load_network`, of i-vectors."""
    from sv.backends.ivector import StatsStream, extract, ubm_posteriors
    from sv.backends.kaldi_gmm import read_extractor, read_full_gmm

    settings = this.system.ivector
    full = read_full_gmm(this.path / "final.ubm")
    extractor = read_extractor(this.path / "final.ie").to(device)
    posteriors = ubm_posteriors(full, None, settings.num_gselect, settings.min_post)

    def ivectors(reader: Reader, utts: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        frames = ((utt, reader.whole(utt)) for utt in sorted(utts))
        stats = StatsStream(frames, posteriors, full.num_gauss, device=device)
        return extract(extractor, stats, this.system.extraction.acoustic_weight, this.system.extraction.max_count)

    return "an i-vector", 1, ivectors


if __name__ == "__main__":
    run(main, __file__)
