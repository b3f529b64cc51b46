"""Embeddings of a set: those of each recording alone, whatever is batched with it, in bounded memory."""

import itertools

import numpy as np
import pytest
import torch
from feature_sets import DIM, write_features

from sv.errors import AudioError
from sv.features.files import FeatureReader
from sv.models.extraction import READ_AHEAD, batches_by_length, crop_embeddings, embeddings, read_ahead
from sv.models.normalised import Normalised
from sv.models.resnet2d import ResNet2d
from sv.models.xvector import CONTEXT, XVectorNet

CPU = torch.device("cpu")
FRAMES = {f"s-{n:04d}": n for n in (15, 16, 16, 30, 61, 62, 99, 100, 101, 250, 999)}


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return FeatureReader(write_features(tmp_path_factory.mktemp("data") / "set", FRAMES))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return XVectorNet(DIM, (16, 16, 16, 16, 24), 12, 8).eval()


def alone(model, reader, utt):
    with torch.inference_mode():
        return model.embed(torch.from_numpy(reader.whole(utt))[None])[0].numpy()


@pytest.mark.parametrize("batch_frames", [20, 100, 130, 6000])
def test_embedding_is_that_of_the_recording_alone(model, reader, batch_frames):
    """Whether padded in a batch or cut in blocks, within 1e-5 of its length."""
    found = dict(embeddings(model, reader, FRAMES, CPU, batch_frames))
    assert found.keys() == FRAMES.keys()
    for utt, vector in found.items():
        expected = alone(model, reader, utt)
        assert np.linalg.norm(vector - expected) < 1e-5 * np.linalg.norm(expected)
        assert vector.dtype == np.float32


@pytest.mark.parametrize("batch_frames", [20, 130])
def test_no_pass_holds_more_frames_than_asked(model, reader, batch_frames):
    """Counted at the network's entrance; a block brings the context of its convolutions with it."""
    seen = []
    hook = model.frame_layers.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    try:
        list(embeddings(model, reader, FRAMES, CPU, batch_frames))
    finally:
        hook.remove()
    assert max(len_b * frames for len_b, _, frames in seen) <= batch_frames + CONTEXT
    assert len(seen) > 3


def test_network_is_put_into_evaluation_mode(model, reader):
    """Batch norm by the statistics of a batch would make an embedding depend on its company."""
    expected = dict(embeddings(model, reader, FRAMES, CPU))
    for utt, vector in embeddings(model.train(), reader, FRAMES, CPU):
        assert np.array_equal(vector, expected[utt])
    assert not model.training


def test_batches_hold_every_utterance_once_in_order_of_length():
    rng = np.random.default_rng(0)
    num_frames = {f"u{i}": int(n) for i, n in enumerate(rng.integers(15, 400, 60))}
    batches = list(batches_by_length(num_frames, num_frames, 500))
    assert sorted(utt for batch in batches for utt in batch) == sorted(num_frames)
    lengths = [num_frames[utt] for batch in batches for utt in batch]
    assert lengths == sorted(lengths)
    assert all(len(batch) == 1 or len(batch) * num_frames[batch[-1]] <= 500 for batch in batches)
    # And none could have taken the next one's first.
    for batch, following in itertools.pairwise(batches):
        assert (len(batch) + 1) * num_frames[following[0]] > 500


def test_order_of_asking_does_not_change_the_batches():
    num_frames = {"b": 20, "a": 20, "c": 10}
    assert list(batches_by_length(num_frames, ["a", "c", "b"], 45)) == [["c", "a"], ["b"]]


def test_networks_that_need_it_are_given_recordings_of_one_length(reader):
    """Squeeze and excitation looks at all of a recording: padding would be heard."""
    net = Normalised(ResNet2d.q_sap(DIM, (8, 8, 8, 8), 6), variance=True).eval()
    long_enough = [utt for utt, frames in FRAMES.items() if frames > 15]
    found = dict(embeddings(net, reader, long_enough, CPU, 150))
    assert found.keys() == set(long_enough)
    for utt, vector in found.items():
        np.testing.assert_allclose(vector, alone(net, reader, utt), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("count", "length"), [(10, 40), (3, 99), (1, 30)])
def test_crops_are_at_regular_intervals_from_end_to_end(model, reader, count, length):
    """Each as a chunk of its own; a recording that is too short goes round."""
    found = dict(crop_embeddings(model, reader, ["s-0250", "s-0030"], CPU, count, length))
    assert list(found) == ["s-0030", "s-0250"]
    frames_TF = {utt: reader.whole(utt) for utt in found}
    frames_TF["s-0030"] = np.tile(frames_TF["s-0030"], (4, 1))[: max(length, 30)]
    for utt, x_TF in frames_TF.items():
        assert found[utt].shape == (count, 12)
        for row, vector in enumerate(found[utt]):
            start = int(row * (len(x_TF) - length) / (count - 1)) if count > 1 else 0
            crop_TF = torch.from_numpy(x_TF[start : start + length])
            with torch.inference_mode():
                np.testing.assert_allclose(vector, model.embed(crop_TF[None])[0].numpy(), rtol=1e-4, atol=1e-5)


class Counted:
    """A reader that notes what it was asked for, and cannot read one utterance."""

    def __init__(self):
        self.asked = []

    def whole(self, utt):
        self.asked.append(utt)
        if utt == "bad":
            raise AudioError("bad: truncated")
        return np.full(3, int(utt))


def test_utterances_are_read_ahead_in_their_order_and_only_so_far():
    reader, given = Counted(), []
    for utt, x_T in read_ahead(reader, map(str, range(100))):
        given.append(utt)
        assert x_T.tolist() == [int(utt)] * 3
        assert len(reader.asked) <= len(given) + READ_AHEAD
    assert given == reader.asked == [str(n) for n in range(100)]


def test_what_cannot_be_read_is_told_in_its_turn():
    """Whoever stops early has nothing more read."""
    reader = Counted()
    ahead = read_ahead(reader, ["1", "2", "bad", *map(str, range(3, 100))])
    assert [next(ahead)[0], next(ahead)[0]] == ["1", "2"]
    with pytest.raises(AudioError, match="bad: truncated"):
        next(ahead)
    assert len(reader.asked) <= 3 + READ_AHEAD
