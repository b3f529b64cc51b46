"""What a training is judged by: which chunks, what of them, of its own speakers and of others."""

import dataclasses
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_sets import speakers_frames, write_features
from trainings import small_run, write_sets

from sv.cli.train import train_run
from sv.errors import DataError
from sv.features.files import FeatureReader
from sv.metrics import eer_rocch
from sv.models.build import build_head, build_model
from sv.roc import Roc
from sv.training import held_out
from sv.training.held_out import HeldOutChunks, evaluate, pairs_eer
from sv.training.loader import load_batch
from sv.training.pairs import all_pairs, draw_pairs
from sv.training.precision import Precision

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_FRAMES = {f"s{s}-{u}": 30 + 11 * u + 7 * s for s in range(5) for u in range(4)} | {"s1-x": 19, "s3-x": 12}
UTT2SPK = {utt: utt.split("-")[0] for utt in NUM_FRAMES}
ALL = [f"s{s}" for s in range(5)]
FP32 = Precision.of("fp32", torch.device("cpu"))


class Reader:
    """A reader's lengths, which is all that is asked of it."""

    num_frames, frames_per_s = NUM_FRAMES, 100.0


def chunks(trained_on=ALL, known=ALL, length=35, utt2spk=UTT2SPK):
    return HeldOutChunks.of(Reader(), utt2spk, trained_on, known, length, 4, Path("valid"))


def all_of(held):
    return [chunk for batch in held.batches for chunk in batch.chunks]


def test_utterances_of_speakers_that_training_left_out_are_passed_over():
    found = all_of(chunks(["s0", "s4"]))
    assert {c.utterance.split("-")[0] for c in found} == {"s0", "s4"}
    assert {c.speaker for c in found if c.utterance.startswith("s4")} == {1}


def test_chunks_are_the_middles_of_all_long_enough():
    held = chunks()
    assert [c.utterance for c in all_of(held)] == sorted(u for u, n in NUM_FRAMES.items() if n >= 35)
    assert all(abs(c.start - (NUM_FRAMES[c.utterance] - 35 - c.start)) <= 1 for c in all_of(held))
    assert all(UTT2SPK[c.utterance] == f"s{c.speaker}" for c in all_of(held))
    assert {batch.length for batch in held.batches} == {35}
    assert max(len(batch.chunks) for batch in held.batches) == 4
    assert len(held) == len(all_of(held))
    assert not held.of_strangers


def test_a_set_without_a_long_enough_utterance_is_one_line():
    with pytest.raises(
        DataError, match=r"valid: no held-out utterance has 5 s of \(voiced\) speech; lower training\.chunk_s"
    ):
        chunks(length=500)


def test_strangers_have_numbers_of_their_own():
    held = chunks(["a", "b"], ["a", "b", "c"])
    assert held.of_strangers
    assert all(UTT2SPK[c.utterance] == ALL[c.speaker] for c in all_of(held))


def test_strangers_beside_known_speakers_are_refused():
    with pytest.raises(DataError, match=r"valid: 3 of its 5 speakers are not trained on: s2, s3, s4;"):
        chunks(["s0"], ["s0", "s1"])


@pytest.mark.parametrize("few", [["s0-3", "s0-2"], ["s0-3", "s1-3", "s2-3"]])
def test_strangers_that_make_no_error_rate_are_refused(few):
    with pytest.raises(DataError, match=r"two held-out speakers, and two utterances of one, with 1\.5 s of"):
        HeldOutChunks.of(
            type("Of", (), {"num_frames": dict.fromkeys(few, 200), "frames_per_s": 100})(),
            {utt: UTT2SPK[utt] for utt in few}, ["a"], ["a"], 150, 4, Path("valid"),
        )  # fmt: skip


@pytest.mark.parametrize(("most", "heard"), [(4, [0, 3]), (7, [0, 2, 4]), (11, range(5)), (17, range(5))])
def test_of_many_strangers_each_is_heard_alike(monkeypatch, most, heard):
    """By hand: take turns among the speakers that still have an utterance, until there are enough.

    Where not all can have two, it is every second or third speaker. Of training speakers all chunks stay, and the same
    ones are paired.
    """
    monkeypatch.setattr(held_out, "MOST_PAIRED", most)
    strangers, own = chunks(["a"], ["a"], length=45), chunks(length=45)
    found = Counter(c.speaker for c in all_of(strangers))
    assert strangers.paired == list(range(len(strangers)))
    assert len(own) == sum(n >= 45 for n in NUM_FRAMES.values())
    assert [all_of(own)[place] for place in own.paired] == all_of(strangers)
    queues = {s: sum(n >= 45 for u, n in NUM_FRAMES.items() if UTT2SPK[u] == ALL[s]) for s in heard}
    turns = [s for turn in range(max(queues.values())) for s, count in queues.items() if count > turn]
    assert found == Counter(turns[:most])


def test_accuracy_is_of_single_chunks_in_evaluation_mode(tmp_path):
    """Chunk by chunk, the mode set by hand; batch statistics would make a batch of one impossible."""
    _, valid = write_sets(tmp_path)
    system = small_run(tmp_path).system
    reader = FeatureReader.of_system(valid / "feats" / system.features, system)
    utt2spk = {utt: utt.split("-")[0] for utt in reader.num_frames}
    speakers = sorted(set(utt2spk.values()))
    held = HeldOutChunks.of(reader, utt2spk, speakers, speakers, 40, 5, valid)
    torch.manual_seed(0)
    model, head = build_model(system, reader.dim), build_head(system.loss, 8, 6)
    for _, buffer in model.named_buffers():
        if buffer.dtype == torch.float32:
            buffer.uniform_(0.5, 1.5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    means = evaluate(model.train(), head.train(), held, FP32)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    losses, correct = [], []
    model.eval()
    with torch.no_grad():
        for batch in held.batches:
            for x_TF, speaker in zip(*load_batch(batch, reader), strict=True):
                loss, logits_1S, _ = head(model(x_TF[None]), speaker[None])
                losses.append(loss.item())
                correct.append(int(logits_1S.argmax()) == speaker)
    assert means.loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    places = [1, 4, 5, 8, 9, 10]
    some = [all_of(held)[place] for place in places]
    with torch.no_grad():
        e_NE = torch.cat([model.embed(torch.from_numpy(reader.chunk(c.utterance, c.start, 40))[None]) for c in some])
    pairs = all_pairs(np.array([c.speaker for c in some]))
    eer = evaluate(model, head, dataclasses.replace(held, paired=places, pairs=pairs), FP32).eer
    assert eer == pytest.approx(pairs_eer(e_NE, pairs))
    assert means.top1 == pytest.approx(sum(correct) / len(correct))


def test_error_rate_of_pairs_is_that_of_all_cosines_from_the_mean():
    """A threshold between every two scores; the hull's EER lies within the staircase's two rates there."""
    rng = np.random.default_rng(3)
    speaker_N = np.repeat(np.arange(6), 5)
    x_NE = rng.normal(size=(6, 4))[speaker_N] + rng.normal(size=(30, 4)) + 3.0
    centred = x_NE - x_NE.mean(0)
    pairs = [
        (one @ two / np.linalg.norm(one) / np.linalg.norm(two), a == b)
        for (one, a), (two, b) in itertools.combinations(list(zip(centred, speaker_N, strict=True)), 2)
    ]
    rates = [
        (
            np.mean([score < at for score, target in pairs if target]),
            np.mean([score >= at for score, target in pairs if not target]),
        )
        for at in sorted(score for score, _ in pairs)
    ]
    crossing = min(rates, key=lambda rate: abs(rate[0] - rate[1]))
    found = pairs_eer(torch.tensor(x_NE), all_pairs(np.array(speaker_N)))
    assert min(crossing) - 0.05 < found < max(crossing) + 0.01


def test_error_rate_of_drawn_pairs_is_that_of_their_cosines(monkeypatch):
    """Against one cosine after another; a few pairs are not taken from a product of all."""
    monkeypatch.setattr(held_out, "PAIRS_AT_ONCE", 7)
    rng = np.random.default_rng(4)
    speaker_N = np.repeat(np.arange(8), 6)
    x_NE = rng.normal(size=(8, 4))[speaker_N] + rng.normal(size=(48, 4))
    pairs = draw_pairs(speaker_N, 30, seed=2)
    centred = x_NE - x_NE.mean(0)
    cosines = [
        centred[i] @ centred[j] / np.linalg.norm(centred[i]) / np.linalg.norm(centred[j])
        for i, j in zip(pairs.one_P, pairs.two_P, strict=True)
    ]
    want = eer_rocch(Roc.from_scores(np.array(cosines), pairs.same_P))
    assert pairs_eer(torch.tensor(x_NE), pairs) == pytest.approx(want)


@pytest.mark.parametrize("count", [1, 9, 20, 1000])
def test_drawn_pairs_are_as_many_of_one_speaker_as_of_two_and_none_comes_twice(count):
    """All of a kind where fewer exist, here 3 + 1 + 6 + 10 = 20 of one speaker; another seed draws others."""
    speaker_N = np.random.default_rng(1).permutation(np.repeat([0, 1, 2, 3, 9], [3, 2, 4, 1, 5]))
    pairs = draw_pairs(speaker_N, count, seed=5)
    np.testing.assert_array_equal(pairs.same_P, speaker_N[pairs.one_P] == speaker_N[pairs.two_P])
    found = {frozenset(pair) for pair in zip(pairs.one_P.tolist(), pairs.two_P.tolist(), strict=True)}
    assert len(found) == len(pairs.same_P)
    assert all(len(pair) == 2 for pair in found)
    assert (pairs.same_P.sum(), (~pairs.same_P).sum()) == (min(count, 20), min(count, 15 * 14 // 2 - 20))
    assert all(np.array_equal(*each) for each in zip(pairs, draw_pairs(speaker_N, count, seed=5), strict=True))
    if count == 9:
        assert not np.array_equal(pairs.one_P, draw_pairs(speaker_N, count, seed=6).one_P)


def test_no_more_pairs_are_kept_than_were_asked_for_where_no_speaker_has_two():
    """Of a thousand chunks all pairs would be half a million, and say nothing."""
    utt2spk = {utt: utt for utt in NUM_FRAMES}
    held = HeldOutChunks.of(Reader(), utt2spk, sorted(utt2spk), set(utt2spk), 35, 4, Path("valid"), drawn=(2, 1))
    assert len(held) > 3
    assert held.pairs.same_P.tolist() == [False, False]


def test_every_pair_of_a_kind_is_drawn_alike():
    """2,000 draws of one of each kind: within four deviations of the mean."""
    speaker_N = np.array([0, 1, 0, 1, 2, 0])  # 3 + 1 + 0 of one speaker, 11 of two
    draws = [draw_pairs(speaker_N, 1, seed) for seed in range(2000)]
    targets, others = (
        Counter(tuple(sorted((int(one_P[place]), int(two_P[place])))) for one_P, two_P, _ in draws) for place in (0, 1)
    )
    for found, kinds in ((targets, 4), (others, 11)):
        assert len(found) == kinds
        mean = 2000 / kinds
        assert all(abs(count - mean) < 4 * (mean * (1 - 1 / kinds)) ** 0.5 for count in found.values())


def curves(run):
    header, *lines = (run.path / "curves.tsv").read_text().splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def test_training_is_judged_on_other_speakers(tmp_path):
    """EER alone; it decides the best epoch, and its line is told."""
    train, _ = write_sets(tmp_path)
    frames = {f"new{utt}": n for utt, n in speakers_frames(5, 3, (60, 120), seed=9).items()}
    write_features(tmp_path / "others", frames)
    run = small_run(tmp_path / "exp")
    train_run(run, train, tmp_path / "others", ngpu=0, workers=0)
    lines = curves(run)
    assert {(line["held_out_loss"], line["held_out_top1"]) for line in lines} == {("", "")}
    eers = [float(line["held_out_eer"]) for line in lines]
    assert all(0 <= eer < 0.6 for eer in eers)
    best = torch.load(run.path / "checkpoints" / "best.pt", weights_only=True)
    assert best["epoch"] == eers.index(min(eers)) + 1
    log = (run.path / "log" / "train.log").read_text()
    assert "held out of 5 other speakers" in log
    assert f"held-out EER {100 * eers[-1]:.2f} %" in log


def test_held_out_set_with_some_speakers_that_are_not_trained_is_refused(tmp_path):
    train, _ = write_sets(tmp_path)
    _, strangers = write_sets(tmp_path / "more", speakers=7)
    with pytest.raises(DataError, match=r"1 of its 7 speakers are not trained on: spk06"):
        train_run(small_run(tmp_path / "exp"), train, strangers, ngpu=0, workers=0)
