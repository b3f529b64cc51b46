"""Scores of a trial list by a network that compares pairs itself, as `steps/score.sh` writes them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from sv import status
from sv.data.datadir import write_dropped
from sv.data.tables import first_few
from sv.data.trials import Trials, list_name
from sv.errors import ConfigError, DataError
from sv.models.device import pick_device, within_memory
from sv.models.extraction import wave_embeddings
from sv.models.wav2vec2 import RECEPTIVE_FIELD
from sv.records import Step, dry_run
from sv.run import Run
from sv.scoring.dropped import drop_records, recorded_drops
from sv.scoring.pairs import PairScorer, Tokens
from sv.scoring.score_files import bring_into_form
from sv.scoring.trials import write_scores
from sv.source import Source
from sv.training.checkpoint import load_model

TOO_SHORT = f"not in the set, or shorter than {RECEPTIVE_FIELD} samples"


def score_by_network(this: Run, args: argparse.Namespace) -> None:
    """Score `args.trials`; the recordings are those of the data directories beside the list's."""
    if args.models:
        raise ConfigError(f"{this.path}: its network compares two utterances, not models of several (--models)")
    name, (backend,) = list_name(args.trials), this.system.backends
    sources = {side: Source(this, args.trials.absolute().parents[1] / side) for side in (args.enrol, args.test)}
    inputs = [args.trials, this.training(), *(path for source in sources.values() for path in source.inputs())]
    if args.allow_dropped:
        inputs += [path for path in drop_records(this, args.trials, sources) if path.exists()]
    settings = {
        "allow_missing": args.allow_missing,
        "allow_dropped": args.allow_dropped,
        "extraction": this.system.extraction.model_dump(mode="json"),
    }
    step = Step(f"{name}.{backend}", this.path / "scores", inputs=inputs, settings=settings)
    if not dry_run():
        this.require_trained()
        for source in sources.values():
            this.require_front_end(source.front_end(), source.folder)
    out = this.scores(name, backend)
    if step.skip():
        bring_into_form(step, out, args.compress, [this.dropped(name)])
        return
    trials, readers = Trials.read(args.trials), {side: source.reader() for side, source in sources.items()}
    known = [
        {utt for utt, samples in readers[side].num_frames.items() if samples >= RECEPTIVE_FIELD}
        for side in (args.enrol, args.test)
    ]
    reasons = recorded_drops(this, args.trials, sources) if args.allow_dropped else {}
    missing = set(trials.enrol) - known[0] | set(trials.test) - known[1]
    if not args.allow_missing and (missing := missing - reasons.keys()):
        raise DataError(
            f"{args.trials}: {len(missing)} of its utterances are not in the set, or shorter than {RECEPTIVE_FIELD}"
            f" samples: {first_few(missing)}; leave such trials out with --allow-missing"
        )
    trials, dropped = trials.with_ids(*known)
    device = pick_device(args.ngpu)
    model = load_model(this).to(device).eval()

    def tokens_of(side: str) -> Tokens:
        def tokens(utts: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
            return wave_embeddings(model, readers[side], utts, device, sources[side].prepare(device))

        return tokens

    lengths = (readers[side].num_frames for side in (args.enrol, args.test))
    tokens = {side: tokens_of(side) for side in (args.enrol, args.test)}
    scorer = PairScorer(
        model.compare,
        this.system.model.widths,
        *(tokens[side] for side in (args.enrol, args.test)),
        *lengths,
        device,
        args.yes,
        lambda line: status.report(f"score {out}: {line}"),
    )
    with within_memory(f"{this.path}: score on the CPU (--ngpu 0)"), torch.inference_mode():
        scores_N = scorer.score(trials)
    step.begin()
    write_dropped(this.dropped(name), {utt: reasons.get(utt, TOO_SHORT) for utt in dropped})
    out = write_scores(out, trials, scores_N, args.compress)
    step.done([out, *([this.dropped(name)] if dropped else [])], trials=len(trials), dropped=len(dropped))
    print(f"{out}: {len(trials)} trials, each by the network")
