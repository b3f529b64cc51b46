"""A run's training, put together: data, network, optimiser, state; then the loop."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from sv.augment.online import OnlineAugmenter
from sv.augment.online_config import OnlineAugmentation
from sv.data.datadir import write_dropped
from sv.data.tables import first_few, read_table
from sv.errors import ConfigError, DataError
from sv.losses.domain import DomainHead
from sv.models.build import build_head, build_model
from sv.models.device import pick_device
from sv.records import differences, forced
from sv.run import Run
from sv.source import Prepare, Reader, Source
from sv.systems.training import Training
from sv.training.checkpoint import Checkpoints, TrainingState, load_model
from sv.training.groups import SpeakerGroups
from sv.training.held_out import HeldOutChunks
from sv.training.loop import train
from sv.training.optimiser import build_optimiser
from sv.training.precision import Precision
from sv.training.progress import Sums, log_to
from sv.training.ranks import Ranks, Shard
from sv.training.sampler import BalancedChunks, Chunks, EveryRecording, speech
from sv.training.stream import StreamOfRecordings
from sv.training.unlabelled import WithUnlabelled


def train_network(
    this: Run,
    key: str,
    train_dir: Path,
    valid_dir: Path,
    ngpu: int | None,
    workers: int | None,
    stopped: Callable[[], bool],
    adapt_dir: Path | None = None,
    banks: Path | None = None,
) -> bool:
    """Train a run's network, from its last checkpoint if there is one of the same `key`; whether it came to the end.

    One of several processes if torchrun started this one.

    Args:
        train_dir, valid_dir: data directories; the speakers of the second are all among those of the first, or none.
        ngpu: 0 is the CPU, more a GPU for each process; None takes a GPU if there is one.
        workers: processes that read ahead; None chooses.
        stopped: whether to save and end after the step.
        adapt_dir: unlabelled speech, where `training.adversarial` asks for it.
        banks: the noises and responses that online augmentation draws from, where the system has it.
    """
    same_bytes_each_time()
    settings = this.system.training
    device = pick_device(ngpu)
    ranks = Ranks.join(device)
    log_to(this.path / "log" / "train.log" if ranks.leads else None)

    valid_source = Source(this, valid_dir)
    valid_reader, valid_utt2spk = read_set(valid_source)
    require_made_alike(Source(this, train_dir), valid_source)
    begun = begin(this, train_dir, device, ranks, adapt_dir, banks, key)
    sampler, state, unused, adapt_reader = begun.sampler, begun.state, begun.unused, begun.adapt_reader
    reasons = why_dropped(sampler, settings)
    if ranks.leads:
        write_dropped(this.path / "dropped.txt", {**unused, **reasons})
    known = set(begun.utt2spk.values())
    trained_on, classified = (sampler.speakers, known), state.head.classifier is not None
    held_out = HeldOutChunks.of(
        valid_reader,
        valid_utt2spk,
        *trained_on,
        sampler.chunk_frames[0],
        settings.batch_size,
        valid_source.folder,
        classified,
        settings.held_out_pairs and (settings.held_out_pairs, this.seed),
    )
    # All that can be refused is refused above: from here on checkpoints of another training are moved aside.
    checkpoints = Checkpoints(this.path / "checkpoints", settings)
    restored = ranks.told(checkpoints.restore(state, anew=forced()) if ranks.leads else None)
    if restored and not ranks.leads:
        state.load(restored)
        state.sums.become(Sums())  # the leader has those of all
    for line in this.lda_beyond(len(set(begun.utt2spk.values()))):
        logging.getLogger("train").info(f"train {this.name}  warning: {line}")
    or_few = f" or of speakers with fewer than {sampler.min_utts}" if sampler.too_few else ""
    left_out = f", {len(sampler.left_out)} speakers with them" if sampler.left_out else ""
    logging.getLogger("train").info(
        f"train {this.name}  {len(sampler.speakers)} speakers, {len(begun.utt2spk)} utterances"
        + (f" ({len(reasons)} too short{or_few}{left_out}: dropped.txt)" if reasons else "")
        + (f", {len(adapt_reader.num_frames)} unlabelled" if adapt_reader else "")
        + (f" ({len(unused)} too short: dropped.txt)" if unused else "")
        + f", {len(held_out)} held out"
        + (f" of {len(set(valid_utt2spk.values()))} other speakers" if held_out.of_strangers else "")
        + (f" (of {len(valid_utt2spk)})" if len(held_out) < len(valid_utt2spk) else "")
        + f", {len(sampler)} steps an epoch"
        + (f" (without {sampler.num_unplaced} utterances: a speaker is in each once)" if sampler.num_unplaced else "")
        + f", {sum(p.numel() for p in state.model.parameters()):,} parameters, {device}, {begun.precision.dtype}"
        + (f", {ranks.count} processes" if ranks.count > 1 else "")
        + (f", resumed after epoch {state.epoch}, step {state.step}" if state.epoch or state.step else "")
    )
    of = (this.path, begun.precision, workers_for(device, workers), this.name, stopped, ranks, adapt_reader)
    try:
        return train(state, settings, begun.shard, begun.reader, held_out, *of, begun.prepare, begun.augment)
    finally:
        ranks.leave()


@dataclass(frozen=True)
class Begun:
    """All that a training is made of, but for what it is judged by, before its first step.

    `sampler` draws the chunks of the speakers, `shard` is this process's part of its batches, in which unlabelled
    chunks stand beside them where `adapt_reader` reads some; `unused` says why some of these are not.
    """

    reader: Reader
    utt2spk: dict[str, str]
    sampler: Chunks
    shard: Shard
    adapt_reader: Reader | None
    unused: dict[str, str]
    precision: Precision
    state: TrainingState
    prepare: Prepare
    augment: OnlineAugmenter | None


def begin(
    this: Run,
    train_dir: Path,
    device: torch.device,
    ranks: Ranks,
    adapt_dir: Path | None = None,
    banks: Path | None = None,
    key: str = "",
) -> Begun:
    """A run's data, network and optimiser, as its seed says; a UserError if they do not go together.

    The arguments are as for `train_network`.
    """
    settings, source = this.system.training, Source(this, train_dir)
    reader, utt2spk = read_set(source)
    sampler = build_sampler(settings, reader, utt2spk, this.seed)
    both, adapt_reader, unused = beside(sampler, source, Source(this, adapt_dir)) if adapt_dir else (sampler, None, {})
    precision = Precision.of(settings.precision, device)
    state = build_state(this, source, reader, sampler, precision, key)
    if settings.start_from:
        begin_with(state.model, this.beside(settings.start_from))
    if this.system.pretrained:
        begin_with_pretrained(state.model, this.system.pretrained)
    shard = Shard(both, ranks)
    if this.system.compares:
        require_two_speakers(shard, sampler.together, ranks.count, settings.accumulate)
    of = (reader, utt2spk, sampler, shard, adapt_reader, unused)
    return Begun(*of, precision, state, source.prepare(device), augmenter(this, banks))


def require_two_speakers(shard: Shard, together: int, processes: int, parts: int) -> None:
    """Raise ConfigError if a part of some process's batch has not two speakers, of `together` utterances each."""
    groups = min(min(shard.sizes(index)) for index in range(len(shard))) // together
    if groups < 2 * parts:
        raise ConfigError(
            f"training.batch_size: the smallest batch has {groups} speakers"
            + (f" for each of {processes} processes" if processes > 1 else "")
            + (f" to be cut into {parts} parts" if parts > 1 else "")
            + "; the loss bce compares two or more"
        )


def workers_for(device: torch.device, workers: int | None) -> int:
    """Processes that read ahead, as asked for or, if None, chosen."""
    if workers is not None:
        return workers
    # Of arks a core reads some thousand chunks a second: a CPU trains on fewer, a GPU on more.
    return min(4, len(os.sched_getaffinity(0)) - 1) if device.type == "cuda" else 0


def augmenter(this: Run, banks: Path | None) -> OnlineAugmenter | None:
    """What changes the chunks of a system that is trained with online augmentation; says which ways lack material."""
    if not this.system.augment_online:
        return None
    conf = OnlineAugmentation.model_validate(this.waveform["augment_online"])
    augment = OnlineAugmenter.of(conf, banks, int(this.waveform["features"]["sample_frequency"]))
    if augment.left_out:
        logging.getLogger("train").info(f"train {this.name}  no crop gets {', '.join(augment.left_out)}: no material")
    return augment


def same_bytes_each_time() -> None:
    """Have torch compute the same each time where it can."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs for it
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads it


def read_set(source: Source) -> tuple[Reader, dict[str, str]]:
    """The reader of a set, and the speakers of what it reads. Raises DataError if they are not all known."""
    reader, utt2spk = source.reader(), read_table(source.folder / "utt2spk")
    if unknown := reader.num_frames.keys() - utt2spk.keys():
        raise DataError(f"{source.folder}/utt2spk: no speaker for {len(unknown)} utterances: {first_few(unknown)}")
    return reader, utt2spk


def require_made_alike(source: Source, other: Source) -> None:
    """Raise DataError if the features of another set were made in another way than those of the training set."""
    for key, was, now in differences(source.front_end(), other.front_end()):
        raise DataError(f"{other.folder} was made with {key} = {now}, {source.folder} with {was}; run stage 1")


def build_state(
    this: Run, source: Source, reader: Reader, sampler: Chunks, precision: Precision, key: str = ""
) -> TrainingState:
    """A run's network, head and optimiser before the first step.

    Raises ConfigError if the shortest chunk is shorter than the network takes.
    """
    settings, device, feature_dim = this.system.training, precision.device, source.dim(reader)
    torch.manual_seed(this.seed)
    model = build_model(this.system, feature_dim).to(device)
    if (frames := source.num_frames(sampler.chunk_frames[0])) < model.min_frames:
        raise ConfigError(
            f"{this.path}: training.chunk_s: {settings.chunk_s[0]:g} s are {frames} {source.unit}, the network needs"
            f" {model.min_frames}"
        )
    if settings.recompute:
        getattr(model, "trunk", model).recompute = True
    head = build_head(this.system.loss, model.output_dim, len(sampler.speakers), sampler.together).to(device)
    optimiser = build_optimiser(settings.optimiser, [*model.parameters(), *head.parameters()])
    state = TrainingState(model, head, optimiser, precision.scaler(), sampler.speakers, feature_dim, key)
    if settings.adversarial:  # made after the others, whose first weights are then what they are without it
        state.domain = DomainHead(model.embedding_dim, settings.adversarial.hidden_dim).to(device)
        optimiser.add_param_group({"params": list(state.domain.parameters())})
    return state


def build_sampler(settings: Training, reader: Reader, utt2spk: Mapping[str, str], seed: int) -> Chunks:
    """The epochs that the settings ask for; raises a UserError if the training set does not make any."""
    rate = reader.frames_per_s
    chunk_frames = tuple(round(seconds * rate) for seconds in settings.chunk_s)
    of = (reader.num_frames, utt2spk, chunk_frames, settings.batch_size, seed, round(settings.min_utt_s * rate))
    limits = {"min_utts": settings.min_speaker_utts, "frames_per_s": rate}
    if settings.groups:
        return SpeakerGroups(*of, **limits, **settings.groups.model_dump())
    if settings.steps_per_epoch:
        return StreamOfRecordings(*of, **limits, steps=settings.steps_per_epoch)
    if settings.chunks_per_recording:
        return EveryRecording(*of, **limits, chunks_per_recording=settings.chunks_per_recording)
    return BalancedChunks(*of, **limits, chunks_per_speaker=settings.chunks_per_speaker)


def why_dropped(sampler: Chunks, settings: Training) -> dict[str, str]:
    """By utterance, why it is not trained on: too short, or of a speaker with too few."""
    limit = (
        f"the shortest chunk has {settings.chunk_s[0]:g}"
        if settings.chunk_s[0] > settings.min_utt_s
        else f"training.min_utt_s asks for more than {settings.min_utt_s:g}"
    )
    reasons = {utt: f"{speech(n, sampler.frames_per_s)}, {limit}" for utt, n in sampler.too_short.items()}
    for utt, n in sampler.too_few.items():
        few = f"its speaker has {n} utterances that are long enough"
        reasons[utt] = f"{few}, {sampler.enough_utts} is {sampler.min_utts}"
    return reasons


def beside(sampler: Chunks, source: Source, other: Source) -> tuple[WithUnlabelled, Reader, dict[str, str]]:
    """Batches with unlabelled speech beside, the reader of it, and by utterance why it is not used.

    Raises DataError if its features were made in another way than those of the training set.
    """
    reader, rate = other.reader(), sampler.frames_per_s
    require_made_alike(source, other)
    both = WithUnlabelled(sampler, reader.num_frames)
    limit = f"the shortest chunk has {sampler.chunk_frames[0] / rate:g}"
    return both, reader, {utt: f"unlabelled, {speech(n, rate)}, {limit}" for utt, n in both.too_short.items()}


def begin_with_pretrained(model: torch.nn.Module, name: str) -> None:
    """Give a network pretrained weights, all of its trunk's but for the layer on top; see `find_pretrained`."""
    from sv.models.wav2vec2_weights import find_pretrained, load_pretrained  # torchaudio, which takes a second

    load_pretrained(getattr(model, "trunk", model).net, find_pretrained(name))


def begin_with(model: torch.nn.Module, other: Run) -> None:
    """Give a network the weights of another run's, trained to its end; only a layer on top keeps its own.

    Raises a UserError if that run is not trained or its network is another.
    """
    other.require_trained()
    trained = load_model(other).state_dict()
    own = model.state_dict()
    # The layer on top is `top` of the trunk, which stands behind normalisation in some networks (`Normalised.trunk`).
    wanted = {name for name in own if not name.removeprefix("trunk.").startswith("top.")}
    if trained.keys() != wanted or any(trained[name].shape != own[name].shape for name in wanted):
        differ = first_few(sorted(trained.keys() ^ wanted) or [n for n in wanted if trained[n].shape != own[n].shape])
        raise ConfigError(f"training.start_from: the network of {other.path} is another one ({differ} differ)")
    model.load_state_dict(own | trained)
