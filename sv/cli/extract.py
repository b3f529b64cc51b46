"""Embeddings of a data directory by a trained run: RUN/embeddings/SET/xvector.scp.

One vector an utterance, or a matrix of those of its crops. `utt2dur` beside it has the seconds that the network heard.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sv.cli import Parser, jobs_for, run
from sv.data.datadir import DataDir, set_files, write_dropped
from sv.data.parts import join_parts
from sv.data.tables import write_table
from sv.errors import ConfigError
from sv.extractor import load_extractor
from sv.records import Step, dry_run
from sv.run import Run
from sv.source import Source
from sv.step_jobs import part_done, run_jobs_of


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
    print(join_parts(feats, parts, jobs, out, "xvector.scp", ["utt2dur"]))
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
    what, fewest, extract = load_extractor(this, source, reader.frames_per_s, device)
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
    heard = {utt: f"{reader.num_frames[utt] / reader.frames_per_s:.4f}" for utt in num_frames.keys() - dropped.keys()}
    write_table(f"{name}.utt2dur", heard)
    write_dropped(f"{name}.dropped", dropped)
    print(f"{len(feats) - len(dropped)} embeddings, {len(dropped)} dropped")


if __name__ == "__main__":
    run(main, __file__)
