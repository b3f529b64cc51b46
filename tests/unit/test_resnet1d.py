"""1-D ResNets: layers as the paper counts them, a plain twin, blocks and batches that change nothing."""

import pytest
import torch
from torch.nn import functional

from sv.models.resnet1d import ResNet1d

SMALL = {"blocks": (2, 1, 2), "channels": (8, 12, 16), "hidden_dim": 9, "embedding_dim": 10}


def net(seed=0, **sizes):
    """A small network with every weight and statistic drawn, in double precision and evaluation mode."""
    torch.manual_seed(seed)
    model = ResNet1d(5, **{**SMALL, **sizes})
    for name, buffer in model.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.uniform_(0.5, 1.5)
    for name, parameter in model.named_parameters():
        if "norm" in name or "shortcut.1" in name:
            parameter.data.uniform_(0.5, 1.5)
    return model.double().eval()


@pytest.mark.parametrize(("blocks", "layers"), [((3, 4, 6, 3), 52), ((2, 2, 2, 2), 28)])
def test_layers_are_counted_as_in_the_paper(blocks, layers):
    """Input, three in each block, pooling, two fully connected; projections of shortcuts do not count."""
    model = ResNet1d(23, blocks)
    counted = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv1d | torch.nn.Linear) and "shortcut" not in name and "pooling" not in name
    ]
    assert len(counted) + 1 == layers
    assert model.stride == 8


def plain(model, x_TF):
    """The embedding of one recording in functions of weights and statistics, without padding or batches."""
    w = dict(model.state_dict())

    def norm(h_CT, name):
        mean, var, scale, offset = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        shape = (-1, 1) if h_CT.dim() == 2 else (-1,)
        normed = (h_CT - mean.view(shape)) / (var.view(shape) + 1e-5).sqrt()
        return normed * scale.view(shape) + offset.view(shape)

    def conv(h_CT, name, stride=1):
        weight_OCK = w[f"{name}.weight"]
        half = weight_OCK.shape[2] // 2
        padded = functional.pad(h_CT, (half, half))
        frames = range(0, h_CT.shape[1], stride)
        return torch.stack(
            [torch.einsum("ock,ck->o", weight_OCK, padded[:, t : t + 2 * half + 1]) for t in frames], dim=1
        )

    h_CT = functional.relu(norm(conv(x_TF.T, "input"), "input_norm"))
    number = 0
    for stage, count in enumerate(SMALL["blocks"]):
        for i in range(count):
            name, stride = f"blocks.{number}", 2 if stage > 0 and i == 0 else 1
            inner = functional.relu(norm(conv(h_CT, f"{name}.reduce"), f"{name}.reduce_norm"))
            inner = functional.relu(norm(conv(inner, f"{name}.middle", stride), f"{name}.middle_norm"))
            inner = norm(conv(inner, f"{name}.expand"), f"{name}.expand_norm")
            if f"{name}.shortcut.0.weight" in w:
                h_CT = norm(conv(h_CT, f"{name}.shortcut.0", stride), f"{name}.shortcut.1")
            h_CT = functional.relu(inner + h_CT)
            number += 1
    energy_T = (
        torch.tanh(h_CT.T @ w["pooling.hidden.weight"].T + w["pooling.hidden.bias"]) @ w["pooling.energy.weight"][0]
    )
    weight_T = energy_T.exp() / energy_T.exp().sum()
    mean_C = h_CT @ weight_T
    deviation_C = (h_CT.square() @ weight_T - mean_C.square()).clamp_min(1e-10).sqrt()
    hidden = w["hidden.weight"] @ torch.cat([mean_C, deviation_C]) + w["hidden.bias"]
    embedding = w["embedding.weight"] @ norm(functional.relu(hidden), "hidden_norm") + w["embedding.bias"]
    after = norm(functional.relu(embedding), "embedding_norm")
    if "top.weight" in w:
        return (top := w["top.weight"] @ after + w["top.bias"]), top
    return embedding, after


@pytest.mark.parametrize("top_dim", [None, 4])
@pytest.mark.parametrize("frames", [1, 7, 40])
def test_network_equals_its_plain_twin(frames, top_dim):
    """Embedding and what the head takes; of one frame, too."""
    model = net(top_dim=top_dim)
    x_BTF = torch.randn(2, frames, 5, dtype=torch.double)
    with torch.no_grad():
        embedding, output = (torch.stack(part) for part in zip(*(plain(model, x_TF) for x_TF in x_BTF), strict=True))
        assert torch.allclose(model.embed(x_BTF), embedding, rtol=1e-6, atol=1e-9)
        assert torch.allclose(model(x_BTF), output, rtol=1e-6, atol=1e-9)
    assert embedding.shape[1] == model.embedding_dim == (top_dim or 10)
    assert output.shape[1] == model.output_dim


@pytest.mark.parametrize("block", [1, 3, 4, 15, 64, 99, 100, 1000])
def test_blocks_of_any_size_give_the_embedding_of_the_whole(block):
    model = net().float()
    with torch.inference_mode():
        x_TF = 3 * torch.randn(101, 5) + 1
        whole, blocks = model.embed(x_TF[None])[0], model.embed_long(x_TF, block)
    assert (whole - blocks).norm() < 1e-5 * whole.norm()


def test_company_in_a_batch_does_not_change_an_embedding():
    """Alone, and padded among others of other lengths."""
    model = net().float()
    lengths = torch.tensor([1, 2, 5, 40, 90])
    with torch.inference_mode():
        recordings = [torch.randn(n, 5) for n in lengths]
        x_BTF = torch.full((5, 90, 5), 1e3)
        for row, recording in enumerate(recordings):
            x_BTF[row, : len(recording)] = recording
        together = model.embed(x_BTF, lengths)
        alone = torch.stack([model.embed(recording[None])[0] for recording in recordings])
    assert ((together - alone).norm(dim=1) < 1e-5 * alone.norm(dim=1)).all()


def test_context_is_what_a_frame_depends_on():
    """Changing an input frame changes the outputs within `context` of it, and none beyond."""
    model = net(channels=(64, 64, 64))
    x_BTF = torch.randn(1, 160, 5, dtype=torch.double)
    other_BTF = x_BTF.clone()
    other_BTF[:, 80] += 5
    with torch.no_grad():
        changed = (model.frames(x_BTF) - model.frames(other_BTF)).abs().amax((0, 2)).nonzero().flatten() * model.stride
    assert changed.min() >= 80 - model.context
    assert changed.max() <= 80 + model.context
    assert changed.min() - model.stride < 80 - model.context
