"""The x-vector network: context, sizes, where the embedding is taken, and a twin in plain functions."""

import pytest
import torch
from torch.nn import functional

from sv.models.xvector import FRAME_LAYERS, XVectorNet

CONTEXTS = [{-2, -1, 0, 1, 2}, {-2, 0, 2}, {-3, 0, 3}, {0}, {0}]  # Snyder et al. 2018, table 1


def net(seed=0, **sizes):
    """A small network with every weight and statistic drawn, in double precision and evaluation mode."""
    torch.manual_seed(seed)
    model = XVectorNet(5, **{"frame_channels": (7, 6, 8, 9, 11), "embedding_dim": 10, "segment_channels": 4} | sizes)
    for name, buffer in model.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.uniform_(0.5, 1.5)
    return model.double().eval()


def changed_outputs(layer, x_BCT, frame):
    """Which output frames change with one input frame, in that frame's time."""
    other_BCT = x_BCT.clone()
    other_BCT[:, :, frame] += 1
    return set((layer(x_BCT) - layer(other_BCT)).abs().amax((0, 1)).nonzero().flatten().tolist())


@pytest.mark.parametrize("index", range(5))
def test_context_of_each_layer_is_the_papers(index):
    """One frame is changed, and the outputs that change must be those whose context holds it."""
    layer = net().frame_layers[index]
    x_BCT = torch.randn(1, layer[0].in_channels, 30, dtype=torch.double)
    lost_left = -min(CONTEXTS[index])  # unpadded: output t stands for frame t + lost_left
    with torch.no_grad():
        changed = changed_outputs(torch.nn.Sequential(layer[0]), x_BCT, 15)
    assert {15 - (t + lost_left) for t in changed} == CONTEXTS[index]


def test_context_of_all_layers_is_fifteen_frames():
    model = net(frame_channels=(32,) * 5)
    with torch.no_grad():
        x_BTF = torch.randn(1, 60, 5, dtype=torch.double)
        layers = torch.nn.Sequential(*(layer[0] for layer in model.frame_layers))  # ReLU could hide a change
        changed = changed_outputs(layers, x_BTF.transpose(1, 2), 30)
        assert model.frames(x_BTF).shape == (1, 60 - 14, 32)
    assert {30 - (t + 7) for t in changed} == set(range(-7, 8))


def test_number_of_parameters_by_hand():
    """Every affine has weights and biases; batch norm has neither scale nor offset."""
    frame = (23 * 5 + 1) * 512 + (512 * 3 + 1) * 512 + (512 * 3 + 1) * 512 + (512 + 1) * 512 + (512 + 1) * 1500
    segment = (3000 + 1) * 512 + (512 + 1) * 512
    assert sum(p.numel() for p in XVectorNet(23).parameters()) == frame + segment


def plain(model, x_TF):
    """The embedding and the output of one recording, written out with functions of weights and statistics."""
    w = dict(model.state_dict())

    def relu_norm(h, name):
        h = functional.relu(h)
        return (h - w[f"{name}.running_mean"]) / (w[f"{name}.running_var"] + 1e-3).sqrt()

    h_TC = x_TF
    for i, (width, dilation) in enumerate(FRAME_LAYERS):
        name = f"frame_layers.{i}"
        lost = (width - 1) * dilation
        taps = [h_TC[k * dilation : len(h_TC) - lost + k * dilation] for k in range(width)]
        weight = w[f"{name}.0.weight"]
        h_TC = sum(tap @ weight[:, :, k].T for k, tap in enumerate(taps)) + w[f"{name}.0.bias"]
        h_TC = relu_norm(h_TC, f"{name}.2")
    pooled = torch.cat([h_TC.mean(0), h_TC.std(0, correction=0).clamp_min(1e-5)])
    embedding = w["embedding.weight"] @ pooled + w["embedding.bias"]
    hidden = relu_norm(embedding, "after_embedding.1")
    return embedding, relu_norm(w["segment_layer.0.weight"] @ hidden + w["segment_layer.0.bias"], "segment_layer.2")


def test_network_equals_its_plain_twin():
    """The embedding is the first affine after pooling, before its nonlinearity; the output follows one layer on."""
    model = net()
    x_BTF = torch.randn(2, 40, 5, dtype=torch.double)
    with torch.no_grad():
        embedding, output = (torch.stack(part) for part in zip(*(plain(model, x_TF) for x_TF in x_BTF), strict=True))
        assert torch.allclose(model.embed(x_BTF), embedding, rtol=1e-10)
        assert torch.allclose(model(x_BTF), output, rtol=1e-10)
    assert (embedding < 0).any()  # no ReLU has touched it


@pytest.mark.parametrize("block", [1, 7, 15, 85, 86, 87, 1000])
def test_blocks_of_any_size_give_the_embedding_of_the_whole(block):
    """float32, as it is used, where sums in another order may differ by 1e-5 of the vector's length."""
    model = net(frame_channels=(32,) * 5).float()
    with torch.inference_mode():
        x_TF = 3 * torch.randn(100, 5) + 10
        whole, blocks = model.embed(x_TF[None])[0], model.embed_long(x_TF, block)
    assert (whole - blocks).norm() < 1e-5 * whole.norm()


def test_blocks_agree_where_channels_are_silent():
    """Channels that are constant over the recording must not turn rounding into a deviation."""
    model = net(frame_channels=(64,) * 5).float()
    with torch.inference_mode():
        model.frame_layers[-1][0].bias[:32] = -1e3
        model.frame_layers[-1][2].running_mean[:32] = 2e3
        x_TF = torch.randn(500, 5)
        whole, blocks = model.embed(x_TF[None])[0], model.embed_long(x_TF, 60)
        exact = model.double().embed(x_TF.double()[None])[0]
    assert (whole - exact).norm() < 1e-5 * exact.norm()
    assert (blocks - exact).norm() < 1e-5 * exact.norm()


def test_company_in_a_batch_does_not_change_an_embedding():
    """Alone, and padded among others of other lengths."""
    model = net().float()
    lengths = torch.tensor([15, 16, 40, 90])
    with torch.inference_mode():
        recordings = [torch.randn(n, 5) for n in lengths]
        x_BTF = torch.full((4, 90, 5), 1e3)
        for row, recording in zip(x_BTF, recordings, strict=True):
            row[: len(recording)] = recording
        together = model.embed(x_BTF, lengths)
        alone = torch.cat([model.embed(recording[None]) for recording in recordings])
    assert ((together - alone).norm(dim=1) < 1e-5 * alone.norm(dim=1)).all()


def test_fifteen_frames_are_enough_and_fourteen_are_refused():
    model = net().float()
    assert model.min_frames == 15
    with torch.inference_mode():
        assert model.embed(torch.randn(1, 15, 5)).shape == (1, 10)
        for call in (
            lambda: model.embed(torch.randn(1, 14, 5)),
            lambda: model(torch.randn(2, 14, 5)),
            lambda: model.embed(torch.randn(2, 50, 5), torch.tensor([50, 14])),
            lambda: model.embed_long(torch.randn(14, 5), 100),
        ):
            with pytest.raises(ValueError, match="14 frames are fewer than the network's 15"):
                call()


def test_statistics_of_batch_norm_are_those_of_training_only():
    """Evaluation leaves them; training moves them."""
    model = net().float()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(torch.randn(4, 30, 5))
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    model.train()(torch.randn(4, 30, 5))
    assert not any(torch.equal(b, before[n]) for n, b in model.named_buffers() if n.endswith("mean"))


def test_same_seed_gives_the_same_weights_and_another_seed_others():
    first, same, other = (net(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])
