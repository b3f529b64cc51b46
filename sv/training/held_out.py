"""What a training is judged by after each epoch: chunks held out of it, of its own speakers or of others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from sv.data.tables import first_few
from sv.errors import DataError
from sv.losses.head import Head
from sv.metrics import eer_rocch
from sv.models.embedder import Embedder
from sv.roc import Roc
from sv.source import Prepare, Reader, as_they_are
from sv.training.loader import load_batch
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
    ) -> HeldOutChunks:
        """Chunks of `length` frames or samples of held-out utterances; where there is an EER only, those for it alone.

        Args:
            utt2spk: of the held-out set.
            trained_on: the training speakers, in the order of their indices; the set's other ones are passed over.
            known: all speakers of the training set, those that it left out too.
            where: the held-out set, for messages.
            classified: whether the head tells the training speakers apart.
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
        paired = _alike(chunks, MOST_PAIRED)
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
        batches = [Batch(length, chunks[i : i + batch_size]) for i in range(0, len(chunks), batch_size)]
        return cls(reader, batches, paired, bool(strangers), by_pairs)

    def __len__(self) -> int:
        return sum(len(batch.chunks) for batch in self.batches)


def _alike(chunks: list[Chunk], most: int) -> list[int]:
    """The places of at most so many: the first of every speaker, then the second of every one that has two, …"""
    seen: Counter[int] = Counter()
    turns = []
    for place, chunk in enumerate(chunks):
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

    Loss and accuracy are those of the head's classifier.
    """
    model.eval()
    head.eval()
    total = Sums()
    embeddings, speakers = [], []
    for batch in held_out.batches:
        x_BTF, speaker_B = (tensor.to(precision.device) for tensor in load_batch(batch, held_out.reader))
        with precision.autocast():
            e_BE = model.embed(prepare(x_BTF))
            if not held_out.by_pairs:
                outcome = head.classifier(model.for_head(e_BE), speaker_B)
                total.add(outcome.loss, outcome.accuracy, len(speaker_B))
        embeddings.append(e_BE.float())
        speakers.append(speaker_B)
    e_NE, speaker_N = torch.cat(embeddings)[held_out.paired], torch.cat(speakers)[held_out.paired]
    means = total.means()
    finite = math.isfinite(means.loss) and bool(e_NE.isfinite().all())
    eer = pairs_eer(e_NE, speaker_N) if finite else None
    return HeldOut(None, None, eer, finite) if held_out.by_pairs else HeldOut(means.loss, means.top1, eer, finite)


def pairs_eer(e_NE: torch.Tensor, speaker_N: torch.Tensor) -> float | None:
    """EER of the cosines of all pairs of embeddings, seen from their mean; None if one kind of trial is not there."""
    x_NE = torch.nn.functional.normalize(e_NE.double() - e_NE.double().mean(0), dim=1)
    one, two = torch.triu_indices(len(x_NE), len(x_NE), 1, device=x_NE.device)
    is_target = (speaker_N[one] == speaker_N[two]).cpu().numpy()
    if is_target.all() or not is_target.any():
        return None
    scores = (x_NE @ x_NE.T)[one, two].cpu().numpy()
    return eer_rocch(Roc.from_scores(scores, is_target))
