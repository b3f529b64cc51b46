"""Q/SAP, H/ASP and ECAPA-TDNN against the authors' networks: sizes, embeddings, weights by their names."""

import numpy as np
import pytest
import torch
from model_reference import MODELS, WAVES, reference_state

from sv.errors import DataError
from sv.features.melspec import MelSpec
from sv.features.melspec_config import MelSpecConfig
from sv.models.ecapa import Ecapa
from sv.models.imported_weights import load_imported
from sv.models.resnet2d import ResNet2d

pytestmark = pytest.mark.usefixtures("one_thread")


def q_sap():
    return ResNet2d.q_sap(64)


def h_asp():
    return ResNet2d.h_asp(64)


def wide_ecapa():
    """The public network's attention is twice as wide as the paper's."""
    return Ecapa(80, attention_dim=256)


REFERENCES = {"q_sap": q_sap, "h_asp": h_asp, "ecapa1024_fbank80": wide_ecapa}
FRONT_ENDS = {
    "q_sap": MelSpecConfig(preemphasis_coefficient=0.0),
    "h_asp": MelSpecConfig(),
    "ecapa1024_fbank80": MelSpecConfig(num_mel_bins=80, low_freq=20, high_freq=7600),
}


def normalised(name, x_BTF):
    """Mean and variance over a recording for the ResNets, the mean alone for ECAPA."""
    if name.startswith("ecapa"):
        return x_BTF - x_BTF.mean(1, keepdim=True)
    return torch.nn.functional.instance_norm(x_BTF.transpose(1, 2)).transpose(1, 2)


@pytest.mark.parametrize("name", REFERENCES)
def test_embeddings_are_the_references(name):
    net = REFERENCES[name]().eval()
    load_imported(net, reference_state(name))
    x_BTF = normalised(name, MelSpec(FRONT_ENDS[name])(torch.from_numpy(WAVES) * 32768))
    with torch.no_grad():
        found = net.embed(x_BTF).numpy()
    wanted = np.loadtxt(MODELS / f"{name}.embedding.txt")
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("net", "millions"), [(ResNet2d.q_sap(64), 1.4), (ResNet2d.h_asp(64), 8.0), (Ecapa(80, embedding_norm=False), 14.7)]
)
def test_sizes_are_the_papers(net, millions):
    assert round(sum(parameter.numel() for parameter in net.parameters()) / 1e6, 1) == millions


@pytest.mark.parametrize("name", REFERENCES)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(name):
    net = REFERENCES[name]()
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    state = reference_state(name)
    first = "conv1.weight"
    for spoilt, said in (
        ({**state, "layer9.0.conv1.weight": torch.zeros(1)}, "1 tensors are not of this network: "),
        ({key: tensor for key, tensor in state.items() if key != first}, "missing: input.weight"),
        ({**state, first: state[first][:5]}, r"1 tensors have other shapes: input.weight is \(5, "),
    ):
        with pytest.raises(DataError, match=said):
            load_imported(net, spoilt)
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())


@pytest.mark.parametrize("name", REFERENCES)
def test_released_files_name_the_network_and_the_head(name):
    """Their checkpoints hold both, each under a prefix; batch counters are ours to keep."""
    prefix, head = ("speaker_encoder.", "speaker_loss.") if name.startswith("ecapa") else ("__S__.", "__L__.")
    state = {prefix + key: tensor for key, tensor in reference_state(name).items()}
    load_imported(
        REFERENCES[name](), {**state, prefix + "bn1.num_batches_tracked": torch.tensor(3), head + "w": torch.zeros(1)}
    )


@pytest.mark.parametrize("embedding_norm", [False, True])
@pytest.mark.parametrize("make", [ResNet2d.q_sap, ResNet2d.h_asp, Ecapa])
def test_batch_norm_after_the_embedding_is_an_option_and_part_of_it(make, embedding_norm):
    net = make(40, embedding_norm=embedding_norm).train()
    e_BE = net(torch.randn(16, 40, 40))
    is_normalised = torch.allclose(e_BE.mean(0), torch.zeros(net.embedding_dim), atol=1e-4)
    assert is_normalised == embedding_norm
    e_BE.square().mean().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize("make", [ResNet2d.q_sap, ResNet2d.h_asp, Ecapa])
def test_shortest_recording_is_embedded(make):
    net = make(40).eval()
    assert net.embed(torch.randn(1, net.min_frames, 40)).isfinite().all()
