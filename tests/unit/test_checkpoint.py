"""Checkpoints: read as data and never as code, fitting exactly or refused, whole or absent."""

import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from trainings import SMALL, small_run

from sv.errors import DataError
from sv.models.build import build_head, build_model
from sv.systems.reading import load_system
from sv.training.checkpoint import TrainingState, load_model, read_checkpoint
from sv.training.optimiser import build_optimiser

ROOT = Path(__file__).parents[2]


def state(run, speakers=3, seed=0, steps=2):
    """A state after a few steps, so that the optimiser has something to remember."""
    torch.manual_seed(seed)
    model, head = build_model(run.system, 4), build_head(run.system.loss, 8, speakers)
    optimiser = build_optimiser(run.system.training.optimiser, [*model.parameters(), *head.parameters()])
    for _ in range(steps):
        loss, *_ = head(model(torch.randn(6, 20, 4)), torch.arange(6) % speakers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    names = [f"spk{i}" for i in range(speakers)]
    return TrainingState(model, head, optimiser, torch.amp.GradScaler("cpu", enabled=False), names, 4)


@pytest.fixture
def run(tmp_path):
    return small_run(tmp_path)


@pytest.fixture
def saved(run):
    """A run with a checkpoint, and the state that it holds."""
    whole = state(run)
    whole.epoch, whole.best = 3, (0.5, 2)
    whole.save(run.checkpoint())
    return whole


def altered(run, change):
    """Rewrite the run's checkpoint with `change(content)` done to it."""
    stored = read_checkpoint(run.checkpoint())
    change(stored)
    torch.save(stored, run.checkpoint())


def flat(module_or_optimiser):
    return str(module_or_optimiser.state_dict())


def test_everything_comes_back(run, saved):
    other = state(run, seed=1)
    assert flat(other.model) != flat(saved.model)
    other.load(run.checkpoint())
    torch.set_printoptions(profile="full", precision=12)
    for part in ("model", "head", "optimiser"):
        assert flat(getattr(other, part)) == flat(getattr(saved, part))
    torch.set_printoptions(profile="default")
    assert (other.epoch, other.best) == (3, (0.5, 2))


def test_trained_network_is_that_of_the_checkpoint(run, saved):
    model = load_model(run).eval()
    x_BTF = torch.randn(2, 30, 4)
    assert torch.equal(model.embed(x_BTF), saved.model.eval().embed(x_BTF))


class Bomb:
    """Unpickling it runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("write", [torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb))])
def test_checkpoint_that_is_code_is_refused_and_not_run(run, saved, tmp_path, write):
    mark = tmp_path / "mark"
    write({"model": Bomb(f"touch {mark}")}, run.checkpoint())
    with pytest.raises(DataError, match=r"last\.pt: (not a whole checkpoint|cannot be loaded as numbers)") as caught:
        load_model(run)
    assert not mark.exists()
    assert "\n" not in str(caught.value)
    assert "weights_only=False" not in str(caught.value)  # torch's advice, which is not ours


def test_nothing_here_loads_anything_but_weights():
    """Every torch.load of the repository says weights_only=True, and nothing unpickles."""
    sources = [path for part in ("sv", "local", "steps") for path in (ROOT / part).rglob("*.py")]
    assert len(sources) > 40
    for path in sources:
        text = path.read_text()
        calls = re.findall(r"torch\.load\(.*", text)
        assert all("weights_only=True" in call for call in calls), path
        assert not re.search(r"\b(pickle|dill|joblib)\.loads?\b|allow_pickle=True", text), path


@pytest.mark.parametrize("keep", [0, 10, 0.5, -1])
def test_damaged_file_is_one_line(run, saved, keep):
    whole = run.checkpoint().read_bytes()
    run.checkpoint().write_bytes(whole[: int(keep * len(whole)) if 0 < keep < 1 else keep])
    with pytest.raises(DataError, match=r"last\.pt: not a whole checkpoint \(.+\); remove it") as caught:
        load_model(run)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_flipped_byte_in_the_weights_is_noticed(run, saved):
    """The zip's checksum; without it, the network would be another."""
    content = bytearray(run.checkpoint().read_bytes())
    weight = read_checkpoint(run.checkpoint())["model"]["embedding.weight"].numpy().tobytes()
    content[bytes(content).index(weight) + len(weight) // 2] ^= 0x40
    run.checkpoint().write_bytes(content)
    with pytest.raises(DataError, match=r"last\.pt: damaged \(.*data/\d+ is not what was written\)"):
        load_model(run)


def test_no_flipped_bit_goes_unnoticed(run, saved):
    """Anywhere in the file, 150 places: one line, or what was written (bits that mean nothing, as a time)."""
    whole, rng = run.checkpoint().read_bytes(), np.random.default_rng(0)
    expected, said = flat(saved.model), []
    for at, bit in zip(rng.integers(0, len(whole), 150), rng.integers(0, 8, 150), strict=True):
        content = bytearray(whole)
        content[at] ^= 1 << bit
        run.checkpoint().write_bytes(content)
        try:
            assert flat(load_model(run)) == expected
        except DataError as error:
            said.append(str(error))
    assert len(said) > 100
    assert not any("\n" in line for line in said)


def test_missing_checkpoint_says_what_makes_it(run):
    with pytest.raises(DataError, match=r"last\.pt is missing; train the system first \(stage 4\)"):
        load_model(run)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c["model"].pop("embedding.bias"), "1 of its tensors are missing: embedding.bias"),
        (lambda c: c["model"].update(extra=torch.ones(1)), "1 of its tensors are unknown: extra"),
        (
            lambda c: c["model"].update({"embedding.bias": torch.ones(9)}),
            "1 of its tensors are of another size: embedding.bias",
        ),
        (lambda c: c["model"].clear(), "tensors are missing: after_embedding.1.num_batches_tracked, "),
    ],
)
def test_weights_that_do_not_fit_are_one_line_naming_the_keys(run, saved, change, problem):
    altered(run, change)
    for load in (lambda: load_model(run), lambda: state(run).load(run.checkpoint())):
        with pytest.raises(DataError, match=r"last\.pt: model: does not fit this system") as caught:
            load()
        assert problem in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


def test_checkpoint_of_other_speakers_or_features_is_refused(run, saved):
    with pytest.raises(DataError, match=r"its speakers \(3\) differ from the training data's \(4\)"):
        state(run, speakers=4).load(run.checkpoint())
    altered(run, lambda c: c.update(feature_dim=5))
    with pytest.raises(DataError, match=r"its feature_dim \(5\) differ from .* \(4\)"):
        state(run).load(run.checkpoint())


def test_head_of_another_number_of_classes_is_refused(run, saved):
    altered(run, lambda c: c["head"].update({"linear.bias": torch.zeros(5), "linear.weight": torch.zeros(5, 8)}))
    with pytest.raises(DataError, match=r"last\.pt: head: .* 2 of its tensors are of another size: linear\.") as caught:
        state(run).load(run.checkpoint())
    assert "\n" not in str(caught.value)


def test_optimiser_state_that_does_not_fit_is_one_line(run, saved):
    altered(run, lambda c: c["optimiser"]["param_groups"][0]["params"].pop())
    with pytest.raises(DataError, match=r"last\.pt: optimiser: does not fit") as caught:
        state(run).load(run.checkpoint())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [{"model": {}}, {}, [1, 2], torch.ones(3)])
def test_other_content_is_one_line_saying_what_it_holds(run, saved, content):
    torch.save(content, run.checkpoint())
    with pytest.raises(
        DataError, match=r"not a checkpoint of a training here \(it holds (model|nothing|a list|a Tensor)"
    ):
        load_model(run)


def test_same_state_gives_the_same_bytes(run, tmp_path):
    for name in ("a.pt", "b.pt"):
        state(run).save(tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_failed_write_leaves_the_old_checkpoint(run, saved, monkeypatch):
    before = run.checkpoint().read_bytes()
    monkeypatch.setattr("torch.save", lambda _, out: out.write(b"half") and (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        saved.save(run.checkpoint())
    assert run.checkpoint().read_bytes() == before
    assert [path.name for path in run.checkpoint().parent.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    ("setting", "kind", "values"),
    [
        ("{name: adam, lr: 0.5, weight_decay: 0.1}", torch.optim.Adam, {"lr": 0.5, "weight_decay": 0.1}),
        ("{name: sgd, lr: 0.5, momentum: 0.9}", torch.optim.SGD, {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.0}),
    ],
)
def test_optimiser_is_what_the_yaml_asks_for(setting, kind, values):
    settings = load_system(SMALL, sets=[f"training.optimiser={setting}"]).training.optimiser
    optimiser = build_optimiser(settings, [torch.nn.Parameter(torch.ones(1))])
    assert type(optimiser) is kind
    assert {name: optimiser.param_groups[0][name] for name in values} == values
