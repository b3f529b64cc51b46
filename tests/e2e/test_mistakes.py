"""What ./run.sh says to mistakes, in the request and in the corpus: one line, before any work that they spoil."""

import shutil
from pathlib import Path

import pytest
from corpora import first_wav


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bogus"], "unknown option --bogus"),
        (["--recipe", "sre61"], "unknown recipe sre61; there is mini own sre16 voxceleb voxceleb2"),
        (["--recipe", "../recipes/mini"], "unknown recipe ../recipes/mini"),
        (["--recipe", "mini/"], "unknown recipe mini/"),
        (["--systems", "xvector-smal"], "did you mean xvector-small?"),
        (["--systems", "xvektor-*"], "no system is called xvektor-*; did you mean xvector?"),
        (["--stage", "12"], "--stage takes a stage from 0 to 9"),
        (["--stage", "5", "--stop-stage", "3"], "comes after"),
        (["--stage"], "--stage needs a value"),
        (["--systems="], "--systems needs a value"),
        (["--systems", "xvector-small,,vox1-xvector"], "--systems takes names with a comma between two"),
        (["--systems", "xvector-small vox1-xvector"], "--systems takes names with a comma between two"),
        (["--work", ""], "--work needs a value"),
        (["--work", "two\nlines"], "--work: the value holds a tab, a line break or the like: $'two\\nlines'"),
        (["--work=a\ttab"], "--work: the value holds a tab"),
        (["--systems", "xvector-small\nvox1-xvector"], "--systems: the value holds a tab, a line break"),
        (["--set", "training.epoch=3"], "did you mean epochs?"),
        (["--set", "epochs=3"], "did you mean training.epochs?"),
        (["--set", "training.epochs=many"], "training.epochs"),
        (["--set", "backends.new={name: cosine, centre: adapt}"], "the back end new learns from unlabelled speech"),
        (["--systems", "xvector-small", "--set", "ivector.dim=9"], "none of the systems has a block ivector"),
        (["--backend", "moduler"], "--backend: there is no conf/backends/moduler.yaml; did you mean modular?"),
        (["--backend", "plda"], "--backend plda: the system xvector-small has a back end plda of its own"),
        (["--budget", "shrt"], "did you mean short?"),
        (["--recipe", "voxceleb"], "--data-root voxceleb1=DIR"),
        (["--recipe", "voxceleb", "--data-root", "voxceleb1=/nowhere"], "/nowhere: no such folder"),
        (["--recipe", "voxceleb2", "--data-root", "voxceleb1=/tmp"], "--data-root voxceleb2=DIR"),
        (["--data-root", "museum=/tmp"], "has no data root museum; it has: mini musan rirs adapt\n"),
        (["--systems", "vox1-xvector"], "give --data-root rirs=DIR and --data-root musan=DIR, or leave out"),
        (["--systems", "vox1-xvector", "--data-root", "musan=/tmp"], "give --data-root rirs=DIR, or leave out"),
        (["--data-root", "musan"], "--data-root takes NAME=DIR"),
        (["--nj", "0"], "--nj takes a number from 1"),
        (["--seed", "99999999999999999999"], "--seed takes a number of at most nine digits"),
        (["--seeds", "0"], "--seeds takes a number from 1 to 999, not 0"),
        (["--seeds", "two"], "--seeds takes a number from 1 to 999, not two"),
        (["--held-out", "2"], "--held-out takes a part between 0 and 1, as .02, not 2"),
        (["--recipe", "sre16", "--held-out", ".1"], "does not know --held-out; it holds speakers out"),
        (["--calibration-speakers", "-3"], "--calibration-speakers takes a number of at most nine digits, not -3"),
        (["--ngpu", "2"], "--ngpu 2, but torch sees 0 GPUs here"),
    ],
)
def test_a_mistake_in_the_request_is_one_line_and_nothing_is_done(run_sh, tmp_path, arguments, says):
    """Exit code 1, one line on stderr, no traceback, nothing written."""
    result = run_sh("--work", tmp_path / "w", *arguments)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert not (tmp_path / "w").exists()


def test_work_is_refused_where_its_path_cannot_be_told_apart_in_a_list(run_sh, tmp_path):
    """A relative --work from a folder with a line break in its name."""
    folder = tmp_path / "two\nlines"
    folder.mkdir()
    result = run_sh("--work", "w", cwd=folder)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("run.sh: --work: ")
    assert not (folder / "w").exists()


def last_line(result):
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture
def broken_tree(corpus, tmp_path):
    """A copy of the corpus to break."""
    return Path(shutil.copytree(corpus, tmp_path / "broken"))


def start(run_sh, tree, tmp_path, *more):
    small = ("--stop-stage", "1", "--nj", "2", "--calibration-speakers", "3")
    return run_sh("--data-root", f"mini={tree}", "--work", tmp_path / "w", *small, *more)


def test_a_truncated_recording_is_named_before_training(run_sh, broken_tree, tmp_path):
    """Stage 0 fails with the file's name and the reason; no traceback."""
    wav = first_wav(broken_tree)
    wav.write_bytes(wav.read_bytes()[:5000])
    result = start(run_sh, broken_tree, tmp_path)
    assert result.returncode == 1
    assert str(wav) in result.stderr
    assert "Traceback" not in result.stderr
    assert "--stage 0" in last_line(result)


def test_a_zero_length_file_is_named(run_sh, broken_tree, tmp_path):
    """An empty test recording stops stage 0."""
    wav = first_wav(broken_tree, "test")
    wav.write_bytes(b"")
    result = start(run_sh, broken_tree, tmp_path)
    assert result.returncode == 1
    assert str(wav) in result.stderr


def test_speakers_shared_by_train_and_test_are_refused(run_sh, broken_tree, tmp_path):
    """A training speaker copied into the test part is named."""
    speaker = first_wav(broken_tree).parents[1]
    shutil.copytree(speaker, broken_tree / "test" / "wav" / speaker.name)
    result = start(run_sh, broken_tree, tmp_path)
    assert result.returncode == 1
    assert speaker.name in result.stderr
    assert "must not share speakers" in result.stderr


def test_a_trial_that_names_an_unknown_recording_is_refused(run_sh, broken_tree, tmp_path):
    """A line added to the list names a file that is not there."""
    with (broken_tree / "veri_test2.txt").open("a") as trials:
        trials.write("1 id90001/nothere0000/00001.wav id90001/nothere0000/00002.wav\n")
    result = start(run_sh, broken_tree, tmp_path)
    assert result.returncode == 1
    assert "id90001-nothere0000-00001" in result.stderr


def test_an_environment_without_the_packages_is_refused_by_name(run_sh, tmp_path):
    """SV_PYTHON names a python that lacks them all."""
    bare = tmp_path / "bare python"
    bare.write_text('#!/bin/sh\nexec python3 -S -I "$@"\n')
    bare.chmod(0o755)
    result = run_sh("--list", SV_PYTHON=str(bare))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "lacks: torch" in result.stderr
