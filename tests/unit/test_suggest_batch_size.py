"""How large a batch may be: the line through two measurements, against a third; what is said and what refused."""

import re
import shutil

import pytest
import torch
from commands import refused, run_command
from trainings import small_run, write_sets

from sv.errors import UserError
from sv.training.memory import Fit, Measured, _measure, measure


def measured(chunks, peak, most=None):
    return Measured(chunks, 50, peak, 4_000_000_000, "cpu", most)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


def test_largest_is_the_last_on_the_line_within_the_limit():
    """By hand: 100 bytes and 7 a chunk."""
    fit = Fit.of(measured(10, 170), measured(30, 310))
    assert (fit.fixed, fit.per_chunk) == (100, 7)
    assert [fit.largest(limit) for limit in (50, 100, 169, 170, 176.9, 177)] == [0, 0, 9, 10, 10, 11]
    assert [fit.largest(177, together) for together in (2, 3, 12)] == [10, 9, 0]


def test_no_growth_is_no_line():
    with pytest.raises(UserError, match="30 chunks took no more memory than 10; measure larger batches by --measure"):
        Fit.of(measured(10, 170), measured(30, 170))


@pytest.mark.slow
def test_a_third_size_lies_on_the_line(sets, tmp_path, monkeypatch):
    """On the CPU, each size in a process of its own: what 4200 chunks more add, but for what malloc keeps."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = small_run(tmp_path, "training.chunk_s=[0.4, 0.4]", "model.frame_channels=[64, 64, 64, 64, 64]")
    small, large, third = (measure(run.path, sets[0], 0, chunks) for chunks in (600, 1800, 4800))
    assert (small.length, small.most_chunks) == (40, None)
    fit = Fit.of(small, large)
    assert 4200 * fit.per_chunk == pytest.approx(third.peak - small.peak, rel=0.3)


def suggested(monkeypatch, capsys, run, sets, *options):
    return run_command(monkeypatch, capsys, "suggest_batch_size", *options, "--train", sets[0], "--ngpu", 0, run.path)


def test_what_is_said_adds_up(sets, tmp_path, monkeypatch, capsys):
    """Pairs: whole groups, within the limit that is given; without one, nine tenths of what is free."""
    sizes = []

    def measured_here(path, data_dir, ngpu, chunks):
        sizes.append(chunks)
        return measured(chunks, 500_000_000 + 1_000_000 * chunks, most=3000)

    monkeypatch.setattr("sv.training.memory.measure", measured_here)
    pairs = ("training.chunks_per_speaker=null", "training.groups={utterances: 2}")
    run = small_run(tmp_path, *pairs)
    code, out, _ = suggested(monkeypatch, capsys, run, sets, "--limit-gb", 0.7515, "--measure", 9, 20)
    assert (code, sizes) == (0, [10, 20])
    assert out.startswith(f"{run.path}: training.batch_size=250\n")
    assert "0.51 GB with 10, 0.52 GB with 20" in out
    assert "0.50 GB and 1.00 MB a chunk; 250 chunks reach 0.75 GB, as --limit-gb says" in out
    _, out, _ = suggested(monkeypatch, capsys, run, sets)
    assert "training.batch_size=3000\n" in out
    assert "3100 chunks reach 3.60 GB, nine tenths of the 4.00 GB that are free" in out
    assert "3000 are all speakers, 2 of each" in out
    said = refused(suggested(monkeypatch, capsys, run, sets, "--limit-gb", 0.5))
    assert "no three chunks fit into 0.50 GB; shorten training.chunk_s" in said
    assert "training.batch_size=4\n" in suggested(monkeypatch, capsys, run, sets, "--limit-gb", 0.505)[1]
    compared = small_run(tmp_path, "loss={name: ap}", *pairs)  # whose settings take six chunks or more
    assert "training.batch_size=6\n" in suggested(monkeypatch, capsys, compared, sets, "--limit-gb", 0.506)[1]
    said = refused(suggested(monkeypatch, capsys, compared, sets, "--limit-gb", 0.505))
    assert "no three groups of 2 chunks fit into 0.51 GB; shorten training.chunk_s" in said


@pytest.mark.slow
def test_a_batch_larger_than_the_speakers_can_be_asked_about(sets, tmp_path, monkeypatch, capsys):
    """The size that the run has is not used: six speakers, and a batch of two hundred."""
    pairs = ("training.chunks_per_speaker=null", "training.groups={utterances: 2}", "training.batch_size=400")
    run = small_run(tmp_path, "loss={name: ap}", *pairs)
    _, out, _ = suggested(monkeypatch, capsys, run, sets, "--measure", 1000, 4000)
    assert re.search(r"batch_size=12\n  measured on cpu, chunks of 50 frames: [\d.]+ GB with 1000", out)
    assert "but 12 are all speakers, 2 of each" in out


def test_an_utterance_without_a_speaker_is_one_line_as_in_training(sets, tmp_path, monkeypatch, capsys):
    train = shutil.copytree(sets[0], tmp_path / "train")
    table = train / "feats" / "mfcc23_8k" / "utt2spk"
    first, *others = table.read_text().splitlines(keepends=True)
    table.write_text("".join(others))
    said = refused(suggested(monkeypatch, capsys, small_run(tmp_path), [train]))
    assert f"{table}: no speaker for 1 utterances: {first.split()[0]}" in said


def test_a_network_that_does_not_fit_is_as_a_step_that_does_not(sets, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("sv.training.memory.build_state", full)
    with pytest.raises(MemoryError):
        _measure(small_run(tmp_path).path, sets[0], 0, 8)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--measure", 8, 8], "--measure takes two numbers of chunks, 3 or more and then a larger one, not 8 and 8"),
        (["--limit-gb", 0], "--limit-gb is an amount of memory, not 0.0"),
    ],
)
def test_options_that_make_no_sense_are_one_line(sets, tmp_path, monkeypatch, capsys, options, problem):
    assert problem in refused(suggested(monkeypatch, capsys, small_run(tmp_path), sets, *options))
