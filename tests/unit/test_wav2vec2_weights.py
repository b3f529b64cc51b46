"""Pretrained wav2vec 2.0: the three layouts of its weights, where they are found, and files that are refused."""

import argparse
import os
import sys
import types
import urllib.error

import pytest
import torch
import torchaudio

from sv.errors import ConfigError, DataError
from sv.models import wav2vec2_weights
from sv.models.wav2vec2_weights import ADDRESS, BUNDLES, find_pretrained, load_pretrained

pytestmark = pytest.mark.usefixtures("one_thread")

KINDS = ["group_norm", "layer_norm"]
CONVOLUTIONS = [(8, 10, 5), (8, 3, 2), (8, 2, 2)]
HEADS = {
    "torchaudio": ["aux.weight"],
    "fairseq": ["mask_emb", "quantizer.vars", "quantizer.weight_proj.weight", "project_q.bias", "final_proj.weight"],
}


def tiny(kind="group_norm", seed=1, layers=2, dim=16, convolutions=CONVOLUTIONS, ff=24):
    """A wav2vec 2.0 whose tensors all differ, those that begin as ones or zeros too; in eval mode."""
    torch.manual_seed(seed)
    last = kind == "layer_norm"
    model = torchaudio.models.wav2vec2_model(
        kind, convolutions, last, dim, 0.0, 6, 4, layers, 2, 0.0, ff, 0.0, 0.0, last, 0.0, None
    )  # fmt: skip
    return shaken(model)


def shaken(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def same_sequences(model, other):
    wave_BN = torch.randn(2, 1600, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return torch.equal(model(wave_BN)[0], other(wave_BN)[0])


def fairseq_state(model):
    """The model's tensors under fairseq's names, which are written out here, module by module."""
    state = {}

    def put(name, module):
        state.update({f"{name}.{part}": tensor for part, tensor in module.state_dict().items()})

    blocks = model.feature_extractor.conv_layers
    for n, block in enumerate(blocks):
        put(f"feature_extractor.conv_layers.{n}.0", block.conv)
        if isinstance(block.layer_norm, torch.nn.LayerNorm):
            put(f"feature_extractor.conv_layers.{n}.2.1", block.layer_norm)
        elif block.layer_norm is not None:
            put(f"feature_extractor.conv_layers.{n}.2", block.layer_norm)
    encoder = model.encoder.transformer
    put("layer_norm", model.encoder.feature_projection.layer_norm)
    put("post_extract_proj", model.encoder.feature_projection.projection)
    put("encoder.layer_norm", encoder.layer_norm)
    convolution = encoder.pos_conv_embed.conv
    state["encoder.pos_conv.0.bias"] = convolution.bias.detach()
    state["encoder.pos_conv.0.weight_g"] = convolution.parametrizations.weight.original0.detach()
    state["encoder.pos_conv.0.weight_v"] = convolution.parametrizations.weight.original1.detach()
    for n, layer in enumerate(encoder.layers):
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            put(f"encoder.layers.{n}.self_attn.{name}", getattr(layer.attention, name))
        put(f"encoder.layers.{n}.self_attn_layer_norm", layer.layer_norm)
        put(f"encoder.layers.{n}.fc1", layer.feed_forward.intermediate_dense)
        put(f"encoder.layers.{n}.fc2", layer.feed_forward.output_dense)
        put(f"encoder.layers.{n}.final_layer_norm", layer.final_layer_norm)
    return state


def with_heads(state, layout):
    return {**state, **{name: torch.zeros(3) for name in HEADS[layout]}}


@pytest.fixture
def saved(tmp_path):
    """Save what is given; returns the path."""

    def save(content, name="weights.pt", **options):
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A torch.hub cache of its own, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch/hub/checkpoints"


def refused(path, model=None):
    """The one line with which a file is refused; the model is as it was."""
    model = model or tiny()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(DataError) as error:
        load_pretrained(model, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith(str(path))
    return line


# torchaudio's layout


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names", [("parametrizations.weight.original0", "parametrizations.weight.original1"), ("weight_g", "weight_v")]
)
def test_torchaudios_weights(saved, kind, names):
    """Its own state dict, and as the bundles' files name the positional convolution."""
    source, model = tiny(kind), tiny(kind, seed=2)
    state = {
        name.replace("parametrizations.weight.original0", names[0]).replace(
            "parametrizations.weight.original1", names[1]
        ): t
        for name, t in source.state_dict().items()
    }
    assert not same_sequences(source, model)
    load_pretrained(model, saved(with_heads(state, "torchaudio")))
    assert same_sequences(source, model)


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles_are_torchaudios(monkeypatch, name):
    """The address that torchaudio itself asks for."""
    asked = []
    monkeypatch.setattr(torchaudio.pipelines._wav2vec2.utils, "load_state_dict_from_url", lambda url: asked.append(url))
    getattr(torchaudio.pipelines, name)._get_state_dict(None)
    assert asked == [f"{ADDRESS}/{BUNDLES[name]}"]


# fairseq's


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["", "w2v_encoder.w2v_model."])
@pytest.mark.parametrize("new_form", [True, False])
def test_fairseqs_weights(saved, kind, prefix, new_form):
    """Pretrained and fine-tuned, its settings beside, in both forms of torch.save."""
    source, model = tiny(kind), tiny(kind, seed=2)
    state = {f"{prefix}{name}": tensor for name, tensor in with_heads(fairseq_state(source), "fairseq").items()}
    if prefix:
        state["w2v_encoder.proj.weight"] = torch.zeros(3)
    content = {"args": argparse.Namespace(arch="wav2vec2", encoder_layers=2), "model": state, "best_loss": 1.5}
    load_pretrained(model, saved(content, _use_new_zipfile_serialization=new_form))
    assert same_sequences(source, model)


@pytest.mark.parametrize("new_form", [True, False])
def test_settings_of_a_class_that_is_not_installed(saved, monkeypatch, new_form):
    """Objects in the ways that omegaconf pickles its own: by state, by call, and builtin types as values."""
    module = types.ModuleType("config_of_fairseq")
    made = []

    class Settings:
        def __getstate__(self):
            return {"content": {"dim": 16}, "type": dict, "parent": argparse.Namespace()}

        def __setstate__(self, state):
            made.append(state)

    class Choice:
        def __init__(self, value):
            made.append(value)
            self.value = value

        def __reduce__(self):
            return Choice, (self.value,)

    for cls in (Settings, Choice):
        cls.__module__, cls.__qualname__ = module.__name__, cls.__name__
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source, model = tiny(), tiny(seed=2)
    content = {"cfg": [Settings(), Choice("static"), int], "model": fairseq_state(source)}
    path = saved(content, _use_new_zipfile_serialization=new_form)
    monkeypatch.delitem(sys.modules, module.__name__)
    made.clear()
    load_pretrained(model, path)
    assert same_sequences(source, model)
    assert made == []


# Hugging Face's


@pytest.fixture(scope="module")
def transformers():
    import transformers

    return transformers


def hugging_face(transformers, kind, name):
    """A tiny model of that class, of the same shape as `tiny`."""
    torch.manual_seed(4)
    sizes, kernels, strides = zip(*CONVOLUTIONS, strict=True)
    last = kind == "layer_norm"
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, conv_dim=sizes,
        conv_kernel=kernels, conv_stride=strides, conv_bias=last, feat_extract_norm=kind.removesuffix("_norm"),
        do_stable_layer_norm=last, num_conv_pos_embeddings=6, num_conv_pos_embedding_groups=4, layerdrop=0.0,
        codevector_dim=8, proj_codevector_dim=8, num_codevectors_per_group=4, vocab_size=5,
    )  # fmt: skip
    return shaken(getattr(transformers, name)(config))


def older(state):
    """Under the names that torch gave before parametrizations."""
    ends = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
    return {next((n.removesuffix(e) + ends[e] for e in ends if n.endswith(e)), n): t for n, t in state.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["Wav2Vec2Model", "Wav2Vec2ForPreTraining", "Wav2Vec2ForCTC"])
@pytest.mark.parametrize("form", ["safetensors", "bin", "older bin"])
def test_hugging_faces_weights_give_its_sequences(tmp_path, transformers, kind, name, form):
    """torchaudio's network with the folder's weights, against the network of transformers that wrote it."""
    reference, model = hugging_face(transformers, kind, name), tiny(kind)
    if form == "safetensors":
        reference.save_pretrained(tmp_path)
        assert (tmp_path / "model.safetensors").is_file()
    else:
        state = reference.state_dict()
        torch.save(older(state) if form == "older bin" else state, tmp_path / "pytorch_model.bin")
    load_pretrained(model, find_pretrained(str(tmp_path)))
    wave_BN = torch.randn(2, 1600, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected_BTD = getattr(reference, "wav2vec2", reference)(wave_BN).last_hidden_state
        torch.testing.assert_close(model(wave_BN)[0], expected_BTD, atol=1e-5, rtol=1e-5)


# Where weights are found


def test_a_bundle_in_torchs_cache_is_found(hub, monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("a download"))
    path = hub / "wav2vec2_fairseq_base_ls960.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert find_pretrained("WAV2VEC2_BASE") == path


def test_a_bundle_is_downloaded_once(hub, saved, tmp_path, monkeypatch):
    source, model = tiny(), tiny(seed=2)
    there = saved(source.state_dict(), BUNDLES["WAV2VEC2_BASE"])
    monkeypatch.setattr(wav2vec2_weights, "ADDRESS", tmp_path.as_uri())
    path = find_pretrained("WAV2VEC2_BASE")
    assert path.parent == hub
    load_pretrained(model, path)
    assert same_sequences(source, model)
    there.unlink()
    assert find_pretrained("WAV2VEC2_BASE") == path
    assert os.listdir(hub) == [path.name]


def test_half_a_download_is_none(hub, saved, tmp_path, monkeypatch):
    there = saved(tiny().state_dict(), BUNDLES["WAV2VEC2_BASE"])
    there.write_bytes(there.read_bytes()[:-500])
    monkeypatch.setattr(wav2vec2_weights, "ADDRESS", tmp_path.as_uri())
    with pytest.raises(DataError, match="what came is not whole"):
        find_pretrained("WAV2VEC2_BASE")
    assert os.listdir(hub) == []


def test_without_a_network_the_line_says_what_to_fetch(hub, monkeypatch):
    def fail(*_, **__):
        raise urllib.error.URLError(OSError("no\nroute"))

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(DataError) as error:
        find_pretrained("WAV2VEC2_XLSR53")
    file = "wav2vec2_fairseq_large_xlsr53.pth"
    assert str(error.value) == (
        "WAV2VEC2_XLSR53: could not be downloaded (<urlopen error no route>); fetch"
        f" https://download.pytorch.org/torchaudio/models/{file} and put it at {hub / file}, or name another"
        " file with --set model.pretrained=FILE"
    )
    assert os.listdir(hub) == []


def test_a_cache_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "torch").write_text("a file")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(DataError, match="could not be downloaded"):
        find_pretrained("WAV2VEC2_BASE")


def test_a_file_is_found_by_its_path(saved):
    path = saved({})
    assert find_pretrained(str(path)) == path


def test_names_that_are_nothing():
    with pytest.raises(ConfigError, match=r"^WAV2VEC_BASE: no such file .*; did you mean WAV2VEC2_BASE\?$"):
        find_pretrained("WAV2VEC_BASE")
    with pytest.raises(ConfigError, match=r"^/no/such.pt: .*; there is WAV2VEC2_BASE, .*$"):
        find_pretrained("/no/such.pt")


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(DataError, match=r"has neither model\.safetensors nor pytorch_model\.bin$"):
        find_pretrained(str(tmp_path))


# Files that are refused


def test_no_checkpoint(tmp_path, saved):
    for name in ("text.pt", "text.safetensors"):
        (tmp_path / name).write_text("not weights\n")
        assert "cannot be read as tensors alone" in refused(tmp_path / name)
    assert refused(tmp_path / "absent.pt").endswith("absent.pt: no such file")
    assert "named tensors; it should be a network's state_dict" in refused(saved(torch.nn.Linear(2, 2), "network.pt"))
    assert "named tensors; it should be a network's state_dict" in refused(saved({}, "empty.pt"))
    assert "not a set of named tensors ('epoch' is none)" in refused(saved({"epoch": 3}, "numbers.pt"))
    assert refused(saved({"a": torch.ones(1), "b": torch.ones(1)}, "other.pt")).endswith(
        ": not the weights of a wav2vec 2.0 (it holds a, b)"
    )
    assert "not a set of named tensors (3 is none)" in refused(saved({3: torch.ones(1)}, "numbered.pt"))


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_damaged(tmp_path, name):
    from safetensors.torch import save_file

    path, save = tmp_path / name, torch.save if name.endswith("pt") else save_file
    save({n: t.contiguous() for n, t in tiny().state_dict().items()}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-500])
    assert "cannot be read as tensors alone" in refused(path)
    if name.endswith("pt"):
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        assert "is not what was written" in refused(path)


def test_another_size_is_named(saved):
    path = saved({"args": None, "model": fairseq_state(tiny("layer_norm", layers=3, dim=32))})
    assert refused(path).removeprefix(str(path)) == (
        ": has 3 layers of 32 over 3 layer_norm convolutions of 8; this system has 2 layers of 16 over 3 group_norm"
        " convolutions of 8; give weights of that size"
    )
    path = saved(tiny(ff=32).state_dict())
    name = "encoder.transformer.layers.0.feed_forward.intermediate_dense.bias"
    assert refused(path).endswith(
        f": does not fit this wav2vec 2.0: 6 tensors are of another size: {name}, {name.replace('bias', 'weight')},"
        " encoder.transformer.layers.0.feed_forward.output_dense.weight …"
    )


def test_tensors_too_many_or_too_few(saved):
    state = fairseq_state(tiny())
    refusal = ": does not fit this wav2vec 2.0: 1 tensors are "
    assert refused(saved({"model": {**state, "encoder.layers.1.adapter": torch.ones(2)}})).endswith(
        f"{refusal}unknown: encoder.layers.1.adapter"
    )
    del state["encoder.layers.1.fc2.bias"]
    assert refused(saved({"model": state})).endswith(
        f"{refusal}missing: encoder.transformer.layers.1.feed_forward.output_dense.bias"
    )
    del state["post_extract_proj.weight"]
    assert "2 tensors are missing: encoder.feature_projection.projection.weight" in refused(saved({"model": state}))


# Files that would run code


class Harmful:
    def __init__(self, call, *given):
        self.call, self.given = call, given

    def __reduce__(self):
        return self.call, self.given


@pytest.mark.parametrize("new_form", [True, False])
def test_no_code_of_a_file_runs(tmp_path, saved, new_form):
    """A call that a plain load does make: it is passed over, or the file is refused."""
    sign = tmp_path / "sign"
    state = fairseq_state(tiny())
    path = saved({"args": Harmful(open, str(sign), "w"), "model": state}, _use_new_zipfile_serialization=new_form)
    torch.load(path, weights_only=False)
    assert sign.exists()
    sign.unlink()
    load_pretrained(tiny(), path)
    assert not sign.exists()

    path = saved({"args": Harmful(os.mkdir, str(sign)), "model": state}, _use_new_zipfile_serialization=new_form)
    assert "cannot be read as tensors alone (Trying to load unsupported GLOBAL posix.mkdir" in refused(path)
    path = saved(Harmful(open, str(sign), "w"), _use_new_zipfile_serialization=new_form)
    assert "not a set of named tensors" in refused(path)
    assert not sign.exists()
