"""What a training is judged by after each epoch: chunks held out of it, of its own speakers or of others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sv.data.tables import first_few
from sv.errors import DataError
from sv.losses.head import Head
from sv.losses.pairs import PairHead
from sv.metrics import eer_rocch
from sv.models.embedder import Embedder
from sv.roc import Roc
from sv.source import Prepare, Reader, as_they_are
from sv.training.loader import load_batch
from sv.training.pairs import Pairs, all_pairs, draw_pairs
from sv.training.precision import Precision
from sv.training.progress import Sums
from sv.training.sampler import Batch, Chunk, speech

MOST_PAIRED = 2000  # held-out chunks whose pairs make the EER: two million trials, half a second


@dataclass(frozen=True)
class HeldOutChunks:
    """The middle of each held-out utterance that is long enough: always the same chunks."""

    reader: Reader
    batches: list[Batch]
    paired: list[int]  # the places of those whose pairs make the EER, at most `MOST_PAIRED`, from each speaker alike
    of_strangers: bool  # whether their speakers are not trained on
    by_pairs: bool  # whether there is an EER only: of strangers, and where nothing tells the training speakers apart
    pairs: Pairs  # of those of `paired`, by their places in it

    @classmethod
    def of(
        cls,
        reader: Reader,
        utt2spk: Mapping[str, str],
        trained_on: list[str],
        known: Collection[str],
        length: int,
        batch_size: int,
        where: Path,
        classified: bool = True,
        drawn: tuple[int, int] | None = None,
    ) -> HeldOutChunks:
        """Chunks of `length` frames or samples of held-out utterances; where there is an EER only, those for it alone.

        Args:
            utt2spk: of the held-out set.
            trained_on: the training speakers, in the order of their indices; the set's other ones are passed over.
            known: all speakers of the training set, those that it left out too.
            where: the held-out set, for messages.
            classified: whether the head tells the training speakers apart.
            drawn: how many pairs of each kind make the EER, and the seed of their draw; None for all of a choice.
        Raises:
            DataError: some speakers are known and some not; none of the utterances is long enough; or, for an EER
                only, there are no two speakers, or none with two utterances.
        """
        speakers = set(utt2spk.values())
        strangers = speakers - set(known)
        if strangers and strangers != speakers:
            raise DataError(
                f"{where}: {len(strangers)} of its {len(speakers)} speakers are not trained on: {first_few(strangers)};"
                " hold out sessions of the training speakers, or other speakers, not both"
            )
        index = {speaker: i for i, speaker in enumerate(sorted(strangers) or trained_on)}
        num_frames = reader.num_frames
        chunks = [
            Chunk(utt, (num_frames[utt] - length) // 2, index[utt2spk[utt]])
            for utt in sorted(num_frames)
            if num_frames[utt] >= length and utt2spk[utt] in index
        ]
        if not chunks:
            raise DataError(
                f"{where}: no held-out utterance has {speech(length, reader.frames_per_s)}; lower training.chunk_s"
            )
        paired = _alike(chunks, MOST_PAIRED) if drawn is None else list(range(len(chunks)))
        by_pairs = bool(strangers) or not classified
        if by_pairs:
            chunks = [chunks[place] for place in paired]
            paired = list(range(len(chunks)))
            of_speaker = Counter(chunk.speaker for chunk in chunks)
            if len(of_speaker) < 2 or max(of_speaker.values()) < 2:
                raise DataError(
                    f"{where}: an error rate needs two held-out speakers, and two utterances of one, with"
                    f" {speech(length, reader.frames_per_s)} each; hold out more, or lower training.chunk_s"
                )
        speaker_N = np.array([chunks[place].speaker for place in paired])
        pairs = draw_pairs(speaker_N, *drawn) if drawn else all_pairs(speaker_N)
        batches = [Batch(length, chunks[i : i + batch_size]) for i in range(0, len(chunks), batch_size)]
        return cls(reader, batches, paired, bool(strangers), by_pairs, pairs)

    def __len__(self) -> int:
        return sum(len(batch.chunks) for batch in self.batches)


def _alike(chunks: list[Chunk], most: int) -> list[int]:
    """The places of at most so many: the first of every speaker, then the second of every one that has two, …

    With more speakers than that leaves room for pairs of, it is those who have two, evenly spaced.
    """
    counts = Counter(chunk.speaker for chunk in chunks)
    several = sorted(speaker for speaker, count in counts.items() if count > 1)
    room = most // 2
    if len(counts) > room and several:
        chosen = set(several[:: -(-len(several) // room)])
    else:
        chosen = set(counts)
    seen: Counter[int] = Counter()
    turns = []
    for place, chunk in enumerate(chunks):
        if chunk.speaker in chosen:
            turns.append((seen[chunk.speaker], chunk.speaker, place))
            seen[chunk.speaker] += 1
    return sorted(place for _, _, place in sorted(turns)[:most])


@dataclass
class HeldOut:
    """Of the held-out chunks: mean loss and accuracy, None where there is an EER only, and the EER.

    The EER is that of all pairs of `HeldOutChunks.paired`. It is None without a target pair, or when the network gives
    no numbers any more.
    """

    loss: float | None
    top1: float | None
    eer: float | None
    finite: bool = True

    @property
    def error(self) -> float:
        """What the best epoch has least of: the EER or, where there is none, the part misclassified."""
        return 1 - self.top1 if self.eer is None else self.eer


@torch.inference_mode()
def evaluate(
    model: Embedder,
    head: Head,
    held_out: HeldOutChunks,
    precision: Precision,
    prepare: Prepare = as_they_are,
) -> HeldOut:
    """What the held-out chunks say; the EER is that of cosines between embeddings, seen from their mean.

    Of a model that compares pairs itself it is that of its logits. Loss and accuracy are those of the head's
    classifier.
    """
    model.eval()
    head.eval()
    if isinstance(head, PairHead):
        return _compared(model, held_out, precision, prepare)
    total = Sums()
    embeddings = []
    for batch in held_out.batches:
        x_BTF, speaker_B = (tensor.to(precision.device) for tensor in load_batch(batch, held_out.reader))
        with precision.autocast():
            e_BE = model.embed(prepare(x_BTF))
            if not held_out.by_pairs:
                outcome = head.classifier(model.for_head(e_BE), speaker_B)
                total.add(outcome.loss, outcome.accuracy, len(speaker_B))
        embeddings.append(e_BE.float())
    e_NE = torch.cat(embeddings)[held_out.paired]
    means = total.means()
    finite = math.isfinite(means.loss) and bool(e_NE.isfinite().all())
    eer = pairs_eer(e_NE, held_out.pairs) if finite else None
    return HeldOut(None, None, eer, finite) if held_out.by_pairs else HeldOut(means.loss, means.top1, eer, finite)


def pairs_eer(e_NE: torch.Tensor, pairs: Pairs) -> float | None:
    """EER of the cosines of pairs of embeddings, seen from their mean; None if one kind of pair is not there."""
    x_NE = torch.nn.functional.normalize(e_NE.double() - e_NE.double().mean(0), dim=1)
    if 2 * len(pairs.same_P) > len(x_NE) ** 2 - len(x_NE) - 1:  # all of them: one product
        score_P = (x_NE @ x_NE.T).cpu().numpy()[pairs.one_P, pairs.two_P]
    else:
        score_P = (
            torch.cat([(x_NE[one] * x_NE[two]).sum(1) for one, two in _blocks(pairs, PAIRS_AT_ONCE)]).cpu().numpy()
        )
    return _eer(score_P, pairs.same_P)


PAIRS_AT_ONCE = 4096


def _compared(model: Embedder, held_out: HeldOutChunks, precision: Precision, prepare: Prepare) -> HeldOut:
    """As `evaluate`, of a model that compares pairs: each pair's chunks are read for it alone, as tokens take room."""
    chunks = [chunk for batch in held_out.batches for chunk in batch.chunks]
    length = held_out.batches[0].length
    size = max(1, len(held_out.batches[0].chunks) // 2)
    scores = []
    for places in _blocks(held_out.pairs, size):
        tokens = []
        for side_P in places:
            batch = Batch(length, [chunks[held_out.paired[place]] for place in side_P.tolist()])
            x_BTF, _ = load_batch(batch, held_out.reader)
            with precision.autocast():
                tokens.append(model.embed(prepare(x_BTF.to(precision.device))))
        with precision.autocast():
            scores.append(model.compare(*tokens))
    score_P = torch.cat(scores).cpu().numpy()
    finite = bool(np.isfinite(score_P).all())
    return HeldOut(None, None, _eer(score_P, held_out.pairs.same_P) if finite else None, finite)


def _blocks(pairs: Pairs, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The pairs' places, so many pairs at a time."""
    for start in range(0, len(pairs.same_P), size):
        yield pairs.one_P[start : start + size], pairs.two_P[start : start + size]


def _eer(score_P: np.ndarray, same_P: np.ndarray) -> float | None:
    if same_P.all() or not same_P.any():
        return None
    return eer_rocch(Roc.from_scores(score_P, same_P))
