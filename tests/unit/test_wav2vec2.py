"""wav2vec2 as a speaker network: torchaudio's when all of ours is off, and what ours adds."""

import math

import pytest
import torch
import torchaudio
from torch._subclasses.fake_tensor import FakeTensorMode

from sv.models.normalised import Normalised
from sv.models.sequence_pooling import pool
from sv.models.wav2vec2 import RECEPTIVE_FIELD, Wav2Vec2, num_tokens, stretches
from sv.systems.wav2vec2 import POOLINGS, SIZES, Mask
from sv.systems.wav2vec2 import Wav2Vec2 as Settings

pytestmark = pytest.mark.usefixtures("one_thread")

STILL = {"layer_drop": 0.0, "dropout": 0.0, "attention_dropout": 0.0, "projection_dropout": 0.0, "mask_time": Mask()}


def net(seed=0, **settings):
    torch.manual_seed(seed)
    return Wav2Vec2(Settings(trunk="wav2vec2", size="tiny", **settings))


def waves(count=2, samples=9000, seed=1):
    return torch.randn(count, samples, 1, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("size", "factory"), [("base", "wav2vec2_base"), ("large", "wav2vec2_large")])
def test_sizes_are_those_of_torchaudio(size, factory):
    """Names and shapes of all weights; made on no device, as they would take gigabytes."""
    with torch.device("meta"):
        want = getattr(torchaudio.models, factory)()
        ours = torchaudio.models.wav2vec2_model(**arguments(size))
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in want.state_dict().items()}


def test_the_size_of_lv60k_is_torchaudios():
    with torch.device("meta"):
        want, ours = (
            torchaudio.models.wav2vec2_large_lv60k(),
            torchaudio.models.wav2vec2_model(**arguments("large_lv60k")),
        )
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in want.state_dict().items()}
    assert ours.encoder.transformer.layer_norm_first == want.encoder.transformer.layer_norm_first


def arguments(size):
    """What our network hands to torchaudio's factory."""
    seen = {}
    with pytest.MonkeyPatch.context() as patch:

        class Seen(Exception):
            pass

        def model(**given):
            seen.update(given)
            raise Seen

        patch.setattr(torchaudio.models, "wav2vec2_model", model)
        with pytest.raises(Seen):
            Wav2Vec2(Settings(trunk="wav2vec2", size=size))
    return seen


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
def test_with_all_of_ours_off_the_sequence_is_torchaudios(training, norm_first, monkeypatch):
    """To the bit: of the whole model, and of its embedding the pooled one."""
    monkeypatch.setitem(SIZES, "tiny", SIZES["tiny"].__class__(**{**vars(SIZES["tiny"]), "norm_first": norm_first}))
    model = net(**STILL).train(training)
    x_BN1 = waves()
    want_BTC, _ = model.net(x_BN1[:, :, 0])
    assert torch.equal(model.encode(model.tokens(x_BN1)), want_BTC)
    assert torch.equal(model.embed(x_BN1), pool("mean+std", want_BTC))


def test_padded_tokens_do_not_matter():
    model = net(pooling="first").eval()
    x_BTC = model.tokens(waves(3))
    short_TC = x_BTC[1:2, :17]
    alone_TC = model.encode(short_TC)
    x_BTC = x_BTC.clone()
    x_BTC[1, 17:] = 99.0
    counts = torch.tensor([x_BTC.shape[1], 17, 20])
    together_BTC = model.encode(x_BTC, counts)
    torch.testing.assert_close(together_BTC[1, :17], alone_TC[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together_BTC[0], model.encode(x_BTC[:1])[0], atol=1e-5, rtol=1e-5)


def test_a_start_token_of_ones_begins_the_sequence():
    model = net(pooling="first+cls").eval()
    x_BN1 = waves()
    tokens_BTC = model.tokens(x_BN1)
    with_start = torch.cat([torch.ones(2, 1, 64), tokens_BTC], 1)
    assert torch.equal(model.embed(x_BN1), model.encode(with_start)[:, 0])


def test_pairs_are_one_sequence_of_tokens_with_three_of_constants():
    model = net(pooling=None).eval()
    one_PTC, other_PTC = model.tokens(waves(2)), model.tokens(waves(2, 7000, seed=3))
    assert torch.equal(one_PTC, model.embed(waves(2)))  # what there is in place of an embedding
    rows = []
    for one_TC, other_TC in zip(one_PTC, other_PTC, strict=True):
        token = torch.ones(1, 64)
        sequence_TC = torch.cat([token, one_TC, -token, other_TC, -token])
        rows.append(model.top(model.encode(sequence_TC[None])[0, 0])[0])
    torch.testing.assert_close(model.compare(one_PTC, other_PTC), torch.stack(rows))


def test_pairs_of_several_lengths_are_compared_as_if_alone():
    model = net(pooling=None).eval()
    one = [model.tokens(waves(1, n, n))[0] for n in (4000, 9000, 6000)]
    other = [model.tokens(waves(1, n, n + 1))[0] for n in (8000, 3000, 6000)]
    padded = [torch.nn.utils.rnn.pad_sequence(side, batch_first=True, padding_value=7.0) for side in (one, other)]
    counts = [torch.tensor([len(x) for x in side]) for side in (one, other)]
    found_P = Normalised(model, variance=True).compare(*padded, *counts)
    want_P = torch.cat([model.compare(a[None], b[None]) for a, b in zip(one, other, strict=True)])
    torch.testing.assert_close(found_P, want_P, atol=1e-5, rtol=1e-5)


def test_logits_are_not_rounded_to_halves():
    """In bf16 thousands of trials would share a few hundred scores; the last layer is in float32, as it is cheap."""
    model = net(pooling=None).eval()
    with torch.autocast("cpu", torch.bfloat16):
        tokens_PTC = model.embed(waves(6))
        logit_P = model.compare(tokens_PTC, tokens_PTC.flip(0))
    assert tokens_PTC.dtype == torch.bfloat16
    assert logit_P.dtype == torch.float32
    assert not torch.equal(logit_P, logit_P.bfloat16().float())


@pytest.mark.parametrize("pooling", [*POOLINGS, None])
def test_a_network_on_a_gpu_meets_no_tensor_of_the_cpu(pooling):
    """By torch's tensors without content, of a device that need not be there."""
    with FakeTensorMode():
        with torch.device("cuda"):
            model = net(pooling=pooling, **STILL)
            x_BN1, counts_B = torch.zeros(3, 9000, 1), torch.ones(3, dtype=torch.long)
        tokens_BTC = model.train().tokens(x_BN1)
        found = [model.eval().embed(x_BN1), model.encode(tokens_BTC, counts_B)]
        found.append(pool(pooling, tokens_BTC, counts_B) if pooling else model.compare(tokens_BTC, tokens_BTC))
    assert {each.device.type for each in found} == {"cuda"}


def test_frozen_convolutions_get_no_gradient_and_the_others_do():
    for freeze in (True, False):
        model = net(freeze_cnn=freeze, pooling="mean").train()
        model.embed(waves()).sum().backward()
        touched = {name for name, p in model.named_parameters() if p.grad is not None}
        assert any(name.startswith("net.feature_extractor") for name in touched) is not freeze
        assert "net.encoder.feature_projection.projection.weight" in touched


def test_masked_tokens_and_channels_are_zero_and_only_in_training():
    settings = {
        "mask_time": Mask(prob=0.4, length=3),
        "mask_channel": Mask(prob=0.3, length=5),
        "projection_dropout": 0.0,
    }
    model = net(**settings)
    x_BN1 = waves(4)
    whole_BTC = model.eval().tokens(x_BN1)
    torch.manual_seed(5)
    masked_BTC = model.train().tokens(x_BN1)
    torch.manual_seed(5)
    time_BT, channel_BC = (
        stretches(4, whole_BTC.shape[1], Mask(prob=0.4, length=3)),
        stretches(4, 64, Mask(prob=0.3, length=5)),
    )
    zero_BTC = time_BT[:, :, None] | channel_BC[:, None]
    assert zero_BTC.any()
    assert torch.equal(masked_BTC, whole_BTC.masked_fill(zero_BTC, 0))
    torch.manual_seed(5)
    assert torch.equal(masked_BTC, model.tokens(x_BN1))


def test_as_much_is_masked_as_asked_for():
    """Many stretches leave exp(-.05) of the places; of 2.25 a quarter of the sequences has three, which may overlap."""
    torch.manual_seed(0)
    many_B = stretches(500, 100_000, Mask(prob=0.05, length=10)).float().mean(1)
    assert (many_B - (1 - math.exp(-0.05))).abs().max() < 0.003
    masked_BL = stretches(4000, 45, Mask(prob=0.5, length=10))  # 2.25 stretches, which may overlap
    runs = masked_BL.sum(1)
    assert runs.max() <= 30
    assert runs.min() >= 11
    assert (runs > 20).float().mean() == pytest.approx(0.25 * 0.85, abs=0.06)
    assert not stretches(10, 50, Mask()).any()
    assert stretches(3, 4, Mask(prob=0.9, length=10)).shape == (3, 4)  # shorter than a stretch


def test_dropped_layers_are_left_out_and_get_no_gradient():
    model = net(**{**STILL, "layer_drop": 0.5}, pooling="mean")
    left = set()
    for seed in range(12):
        model.zero_grad(set_to_none=True)
        torch.manual_seed(seed)
        model.train().embed(waves()).sum().backward()
        layers = model.net.encoder.transformer.layers
        left.add(tuple(layer.attention.k_proj.weight.grad is None for layer in layers))
    assert len(left) > 3
    assert model.drops_layers
    assert not net(layer_drop=0.0).drops_layers
    with torch.no_grad():
        assert torch.equal(model.eval().embed(waves()), model.embed(waves()))


def test_recomputed_layers_give_the_same_gradients():
    """With dropout, masks and dropped layers, from one seed."""
    gradients = []
    for recompute in (False, True):
        model = net(layer_drop=0.3, pooling="mean").train()
        model.recompute = recompute
        torch.manual_seed(3)
        model.embed(waves()).square().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("samples", [399, 400, 401, 719, 720, 16_000, 48_000])
def test_tokens_are_counted(samples):
    """Against the convolutions themselves."""
    if samples < RECEPTIVE_FIELD:
        assert num_tokens(samples) == 0
        return
    assert num_tokens(samples) == net().eval().tokens(waves(1, samples)).shape[1]


def test_another_seed_begins_with_other_weights_of_the_same_scale():
    one, other = net(0).state_dict(), net(1).state_dict()
    assert all(torch.equal(one[k], net(0).state_dict()[k]) for k in one)
    name = "net.encoder.transformer.layers.0.attention.k_proj.weight"
    assert not torch.equal(one[name], other[name])
    assert one[name].std() == pytest.approx(SIZES["tiny"].std, rel=0.1)
    assert {SIZES[size].std for size in ("base", "large", "large_lv60k")} == {0.02}
