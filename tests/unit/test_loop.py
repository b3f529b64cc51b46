"""Training on a small separable set: that it learns, resumes to the same bits, stops where it must."""

import math
from collections import Counter

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainings import small_run, write_sets

import sv.training.loop
import sv.training.task
from sv.cli.train import train_run
from sv.errors import ConfigError, UserError
from sv.losses.margin import MarginHead
from sv.losses.softmax import SoftmaxHead
from sv.training.checkpoint import read_checkpoint
from sv.training.curves import HEADER

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture
def train(sets, tmp_path):
    """Trains a run of the settings; returns the run."""

    def do(exp="exp", *settings, workers=0, seed=1, valid=sets[1]):
        run = small_run(tmp_path / exp, *settings, seed=seed)
        train_run(run, sets[0], valid, ngpu=0, workers=workers)
        return run

    return do


def curves(run):
    header, *lines = (run.path / "curves.tsv").read_text().splitlines()
    assert header == HEADER
    return [dict(zip(header.split("\t"), map(float, line.split("\t")), strict=True)) for line in lines]


def left_by(run):
    """Everything that must not depend on how often a training was interrupted."""
    return {
        name: (run.path / name).read_bytes() for name in ("checkpoints/last.pt", "checkpoints/best.pt", "curves.tsv")
    }


def interrupted(train, monkeypatch, epoch, **options):
    """Train until the held-out set would be looked at the epoch-th time."""
    calls = []
    honest = sv.training.loop.evaluate

    def evaluate(*arguments):
        calls.append(arguments)
        if len(calls) == epoch:
            raise KeyboardInterrupt
        return honest(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("sv.training.loop.evaluate", evaluate)
        with pytest.raises(KeyboardInterrupt):
            train(**options)


def test_small_set_is_learnt(train):
    """Speakers by the mean of their frames: from chance (1 in 6) to nearly all, on chunks never trained on."""
    run = train("exp", "training.epochs=12", "training.chunks_per_speaker=32", "training.batch_size=32")
    first, last = curves(run)[0], curves(run)[-1]
    assert last["train_loss"] < 0.5 * first["train_loss"]
    assert last["train_top1"] > 0.95
    assert last["held_out_top1"] > 0.9


def test_training_twice_gives_the_same_bytes(train):
    assert left_by(train("a")) == left_by(train("b"))


def test_workers_do_not_change_what_is_learnt(train):
    assert left_by(train("a")) == left_by(train("b", workers=2))


def test_seed_changes_weights_and_batches(train):
    one, two = (read_checkpoint(train(seed=seed).checkpoint())["model"] for seed in (1, 2))
    assert not any(torch.equal(one[name], two[name]) for name in one if name.endswith(("weight", "mean")))


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_resumed_training_equals_the_uninterrupted(train, monkeypatch, epoch):
    """Interrupted after the epoch's last step, before its checkpoint: bit for bit, with the curves."""
    whole = left_by(train("whole"))
    interrupted(train, monkeypatch, epoch, exp="cut")
    assert left_by(train("cut")) == whole


def test_two_interruptions_are_as_none(train, monkeypatch):
    whole = left_by(train("whole"))
    interrupted(train, monkeypatch, 2, exp="cut")
    interrupted(train, monkeypatch, 2, exp="cut")
    assert left_by(train("cut")) == whole


def test_finished_training_is_left_alone(train):
    before = left_by(train())
    assert left_by(train()) == before


def test_curves_have_a_line_an_epoch_with_the_rate_of_the_schedule(train, monkeypatch):
    """The rate falls by the same factor each step, from lr towards lr times the schedule's final_ratio."""
    interrupted(train, monkeypatch, 3)
    run = train()
    steps_an_epoch, steps = 5, 20  # 36 chunks by 8, 4 epochs
    assert [line["epoch"] for line in curves(run)] == [1, 2, 3, 4]
    for line in curves(run):
        step = line["epoch"] * steps_an_epoch - 1
        assert math.isclose(line["lr"], 5e-3 * 0.1 ** (step / steps), rel_tol=1e-5)


def test_log_says_where_it_resumed(train, monkeypatch):
    interrupted(train, monkeypatch, 3)
    log = (train().path / "log" / "train.log").read_text()
    assert "resumed after epoch 2" in log
    assert log.count("epoch 3/4  loss") == 1


def test_tensorboard_has_the_curves(train):
    run = train()
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {
        f"{part}/{what}" for part in ("train", "held_out") for what in ("loss", "top1")
    } | {"train/lr", "held_out/eer"}
    held = [event.value for event in events.Scalars("held_out/loss")]
    assert held == pytest.approx([line["held_out_loss"] for line in curves(run)], abs=1e-5)


def test_best_checkpoint_is_that_of_the_lowest_held_out_eer(train):
    run = train()
    eers = [line["held_out_eer"] for line in curves(run)]
    best = read_checkpoint(run.path / "checkpoints" / "best.pt")
    assert best["epoch"] == eers.index(min(eers)) + 1
    assert read_checkpoint(run.checkpoint())["epoch"] == 4


def test_loss_that_is_no_number_stops_with_its_step_utterances_and_last_good_checkpoint(train, monkeypatch):
    """Step 3 of epoch 2; steps after it are bad too, and are not to be blamed."""
    honest, calls = SoftmaxHead.forward, []

    def forward(self, x_BE, speaker_B):
        outcome = honest(self, x_BE, speaker_B)
        calls.append(speaker_B) if self.training else None
        return outcome._replace(loss=outcome.loss * (float("nan") if len(calls) >= 5 + 3 else 1))

    sampled = []
    monkeypatch.setattr(SoftmaxHead, "forward", forward)
    batch = sv.training.task.BalancedChunks.batch
    monkeypatch.setattr(
        sv.training.task.BalancedChunks,
        "batch",
        lambda self, epoch, index: sampled.append((epoch, index)) or batch(self, epoch, index),
    )
    with pytest.raises(UserError) as caught:
        train()
    said = str(caught.value)
    assert "(epoch 2, step 3, batch of spk" in said
    assert sampled[-1] == (1, 2)
    assert said.endswith("checkpoints/last.pt; lower the learning rate or set clip_norm")
    assert "\n" not in said


def test_no_checkpoint_is_left_of_weights_that_are_no_numbers(train, monkeypatch):
    """The epoch's last step spoils the weights, its loss was still fine."""
    honest, steps = torch.optim.Adam.step, []

    def step(self, *arguments, **options):
        done = honest(self, *arguments, **options)
        steps.append(1)
        if len(steps) == 10:
            self.param_groups[0]["params"][0].data.fill_(float("nan"))
        return done

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    with pytest.raises(UserError, match="held-out loss is no longer a number after epoch 2; the last good checkpoint"):
        train()
    monkeypatch.undo()
    assert len(curves(train())) == 4  # and it can be resumed from there


def test_bf16_trains_on_the_cpu_where_asked(train):
    """Less exact than float32, and not the same; the weights stay float32."""
    exact, rough = (train(name, f"training.precision={name}") for name in ("fp32", "bf16"))
    assert curves(rough)[-1]["train_loss"] == pytest.approx(curves(exact)[-1]["train_loss"], rel=0.1)
    one, other = (read_checkpoint(run.checkpoint())["model"] for run in (exact, rough))
    assert other["embedding.weight"].dtype == torch.float32
    assert not torch.equal(one["embedding.weight"], other["embedding.weight"])


def test_gradients_are_clipped_to_the_norm_asked_for(train, monkeypatch):
    """SGD without momentum at rate 1: the first step's change of all weights is the clipped gradient."""
    before = {}
    honest = torch.optim.SGD.step

    def step(self, *arguments, **options):
        parameters = self.param_groups[0]["params"]
        old = [p.detach().clone() for p in parameters]
        done = honest(self, *arguments, **options)
        moved = torch.cat([(p.detach() - o).flatten() for p, o in zip(parameters, old, strict=True)]).norm()
        before.setdefault("norm", moved.item() / self.param_groups[0]["lr"])
        return done

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    train("exp", "training.optimiser={name: sgd, lr: 1.0}", "training.clip_norm=0.01", "training.epochs=1")
    assert before["norm"] == pytest.approx(0.01, rel=1e-3)


def test_chunks_shorter_than_the_network_needs_are_refused(train):
    with pytest.raises(ConfigError, match=r"training\.chunk_s: 0\.1 s are 10 frames, the network needs 15"):
        train("exp", "training.chunk_s=[0.1, 0.5]")


def test_utterances_too_short_for_a_chunk_are_listed(train, sets):
    """60 to 120 frames with four in five voiced: some have fewer than 60 voiced ones."""
    run = train("exp", "training.chunk_s=[0.6, 0.7]", "training.epochs=1")
    dropped = dict(line.split(" ", 1) for line in (run.path / "dropped.txt").read_text().splitlines())
    voiced = dict(
        line.split() for line in (sets[0] / "feats" / "mfcc23_8k" / "utt2num_voiced").read_text().splitlines()
    )
    why = "{:g} s of (voiced) speech, the shortest chunk has 0.6"
    assert dropped == {utt: why.format(int(n) / 100) for utt, n in voiced.items() if int(n) < 60}
    assert dropped


def test_limits_on_utterances_and_speakers_are_obeyed_and_listed(train, sets):
    """More than 0.7 s, and 3 of these a speaker: spk01 has none, spk05 two; each line of dropped.txt says why."""
    table = (sets[0] / "feats" / "mfcc23_8k" / "utt2num_voiced").read_text().splitlines()
    voiced = {utt: int(n) for utt, n in map(str.split, table)}
    left = Counter(utt.split("-")[0] for utt, n in voiced.items() if n > 70)
    assert (left["spk01"], left["spk05"], min(left[f"spk0{s}"] for s in (0, 2, 3, 4))) == (0, 2, 3)
    run = train("exp", "training.min_utt_s=0.7", "training.min_speaker_utts=3", "training.epochs=1")
    why = "{:g} s of (voiced) speech, training.min_utt_s asks for more than 0.7"
    want = {utt: why.format(n / 100) for utt, n in voiced.items() if n <= 70}
    few = "its speaker has 2 utterances that are long enough, training.min_speaker_utts is 3"
    want |= {utt: few for utt, n in voiced.items() if n > 70 and utt.startswith("spk05")}
    assert dict(line.split(" ", 1) for line in (run.path / "dropped.txt").read_text().splitlines()) == want
    said = f"4 speakers, 24 utterances ({len(want)} too short or of speakers with fewer than 3, 2 speakers with them:"
    assert said in (run.path / "log" / "train.log").read_text()


def test_margin_rises_step_by_step_also_after_a_resume(train, monkeypatch):
    """Four epochs of five steps, two of them below the whole margin; interrupted after the first of them."""
    parts = []
    honest = MarginHead.forward

    def forward(self, x_BE, speaker_B):
        if self.training:
            parts.append(self.margin_part)
        return honest(self, x_BE, speaker_B)

    monkeypatch.setattr(MarginHead, "forward", forward)
    settings = ("loss={name: am, margin: 0.2}", "training.margin_epochs=2")
    whole = left_by(train("whole", *settings))
    assert parts == pytest.approx([step / 10 for step in range(10)] + [1] * 10)
    interrupted(lambda: train("cut", *settings), monkeypatch, 2)
    assert left_by(train("cut", *settings)) == whole
