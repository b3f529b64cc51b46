"""./run.sh from end to end, on a tiny synthetic corpus: every recipe, and what it says to mistakes."""

import json
import re
import shutil
from pathlib import Path

import pytest

TINY = [
    *("--set", "training.epochs=2", "--set", "training.chunks_per_speaker=4", "--set", "training.batch_size=8"),
    *("--set", "training.chunk_s=[1,2]", "--set", "backends.plda.lda_dim=4", "--nj", "2", "--ngpu", "0"),
]


@pytest.fixture(scope="module")
def finished(run_sh, corpus, tmp_path_factory):
    """A whole run of mini, started from another folder, with work in a path with a space."""
    work = tmp_path_factory.mktemp("some work")
    result = run_sh("--data-root", f"mini={corpus}", "--work", work, *SMALL_EMBEDDING, *TINY, cwd=corpus.parent)
    return result, work


SMALL_EMBEDDING = ["--set", "model.frame_channels=[32,32,32,32,64]", "--set", "model.embedding_dim=24"]


def last_line(result):
    return result.stderr.strip().splitlines()[-1]


def test_mini_runs_all_stages_and_ends_in_a_table(finished):
    """Exit code 0, every stage announced, and a row a back end that is labelled synthetic."""
    result, work = finished
    assert result.returncode == 0, result.stdout + result.stderr
    assert [f"== stage {n}:" in result.stdout for n in range(10)] == [True] * 10
    rows = json.loads((work / "exp/mini/report/results.json").read_text())
    assert {(row["system"], row["backend"], row["trials"]) for row in rows} == {
        ("xvector-small", "cosine", "mini_synthetic"),
        ("xvector-small", "plda", "mini_synthetic"),
    }
    for row in rows:
        assert 0 <= row["eer"] <= 0.6
        assert row["eer_interval"][0] <= row["eer"] <= row["eer_interval"][1]
    assert "Synthetic speech" in (work / "exp/mini/report/results.md").read_text()
    assert (work / "exp/mini/report/det_mini_synthetic.png").read_bytes()[:4] == b"\x89PNG"


def test_summary_says_where_the_results_are(finished):
    """The last line names the table, and the file is there."""
    result, work = finished
    last = result.stdout.strip().splitlines()[-1]
    assert f"{work}/exp/mini/report/results.md" in last


def test_every_file_of_the_run_is_where_the_design_says(finished):
    """Data directory, features, run folder."""
    _, work = finished
    feats = work / "data/mini/vox1_train/feats/mfcc30_16k"
    run = work / "exp/mini/xvector-small/seed1"
    for path in (
        *(feats / name for name in ("feats.scp", "vad.scp", "utt2num_frames", "utt2spk", "spk2utt")),
        *(work / "data/mini/vox1_test" / name for name in ("wav.scp", "utt2spk", "trials_mini_synthetic")),
        *(run / name for name in ("config.yaml", "checkpoints/last.pt", "curves.tsv", "log/train.log")),
        *(
            run / name
            for name in ("embeddings/vox1_test/xvector.scp", "backend/plda/plda", "scores/mini_synthetic.plda")
        ),
    ):
        assert path.is_file(), path


def test_one_stage_can_be_run_again_and_gives_the_same_bytes(run_sh, finished):
    """Stages 5 to 9, once more: scores to the byte."""
    _, work = finished
    scores = work / "exp/mini/xvector-small/seed1/scores/mini_synthetic.plda"
    before = scores.read_bytes()
    result = run_sh("--work", work, "--stage", "5", *SMALL_EMBEDDING, *TINY)
    assert result.returncode == 0, result.stderr
    assert "== stage 4" not in result.stdout
    assert scores.read_bytes() == before


def test_a_trained_run_refuses_another_configuration(run_sh, finished):
    """One line that names the setting and both values; nothing is run."""
    _, work = finished
    result = run_sh("--work", work, "--stage", "5", "--set", "training.batch_size=9", *SMALL_EMBEDDING)
    assert result.returncode == 1
    assert "training." in last_line(result)
    assert "== stage" not in result.stdout


def test_voxceleb_runs_on_the_same_layout(run_sh, corpus, tmp_path):
    """The recipe for real speech reads the generated tree by itself, finds its list and says that it is another."""
    result = run_sh(
        *("--recipe", "voxceleb", "--data-root", f"voxceleb1={corpus}", "--work", tmp_path, "--budget", "short"),
        *SMALL_EMBEDDING,
        *TINY,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "this is another list" in result.stdout
    rows = json.loads((tmp_path / "exp/voxceleb/report/results.json").read_text())
    assert {row["trials"] for row in rows} == {"vox1_o_cleaned"}
    assert {row["published_eer"] for row in rows} == {None}
    assert {row["system"] for row in rows} == {"vox1-xvector+short"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bogus"], "unknown option --bogus"),
        (["--recipe", "sre61"], "unknown recipe sre61"),
        (["--systems", "xvector-smal"], "did you mean xvector-small?"),
        (["--stage", "12"], "--stage takes a stage from 0 to 9"),
        (["--stage", "5", "--stop-stage", "3"], "comes after"),
        (["--stage"], "--stage needs a value"),
        (["--set", "training.epoch=3"], "did you mean epochs?"),
        (["--set", "training.epochs=many"], "training.epochs"),
        (["--budget", "shrt"], "did you mean short?"),
        (["--recipe", "voxceleb"], "--data-root voxceleb1=DIR"),
        (["--recipe", "voxceleb", "--data-root", "voxceleb1=/nowhere"], "/nowhere: no such folder"),
        (["--data-root", "musan=/tmp"], "has no data root musan"),
        (["--data-root", "mini"], "--data-root takes NAME=DIR"),
        (["--nj", "0"], "--nj takes a number from 1"),
    ],
)
def test_a_mistake_in_the_request_is_one_line_and_nothing_is_done(run_sh, tmp_path, arguments, says):
    """Exit code 1, one line on stderr, no traceback, nothing written."""
    result = run_sh("--work", tmp_path / "w", *arguments)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert not (tmp_path / "w").exists()


def test_help_names_every_option(run_sh):
    """Every option that the parser knows stands in --help."""
    script = (Path(__file__).parents[2] / "run.sh").read_text()
    known = {option for line in re.findall(r"^    (--[a-z][^)]*)\)", script, re.M) for option in line.split(" | ")}
    assert len(known) > 15
    assert known - set(run_sh("--help").stdout.replace("=", " ").split()) <= {"-h"}


def test_list_names_recipes_systems_and_stages(run_sh):
    """--list prints all three kinds."""
    out = run_sh("--list").stdout
    assert all(word in out for word in ("mini", "voxceleb", "vox1-xvector", "xvector-small", "stages: 0 data lists"))


@pytest.fixture
def broken_tree(corpus, tmp_path):
    """A copy of the corpus to break."""
    return Path(shutil.copytree(corpus, tmp_path / "broken"))


def start(run_sh, tree, tmp_path, *more):
    return run_sh("--data-root", f"mini={tree}", "--work", tmp_path / "w", "--stop-stage", "1", "--nj", "2", *more)


def first_wav(tree, part="dev"):
    return sorted((tree / part / "wav").glob("*/*/*.wav"))[0]


def test_a_truncated_recording_is_named_before_training(run_sh, broken_tree, tmp_path):
    """Stage 0 fails with the file's name and the reason; no traceback."""
    wav = first_wav(broken_tree)
    wav.write_bytes(wav.read_bytes()[:5000])
    result = start(run_sh, broken_tree, tmp_path)
    assert result.returncode == 1
    assert str(wav) in result.stderr
    assert "Traceback" not in result.stderr
    assert "--stage 0" in last_line(result)


def test_a_truncated_recording_is_dropped_and_listed_if_asked(run_sh, broken_tree, tmp_path):
    """With --drop-bad-audio the set goes on without it, and dropped.txt has its line."""
    wav = first_wav(broken_tree)
    wav.write_bytes(wav.read_bytes()[:5000])
    result = start(run_sh, broken_tree, tmp_path, "--drop-bad-audio")
    assert result.returncode == 0, result.stderr
    dropped = "".join(path.read_text() for path in (tmp_path / "w/data/mini").glob("*/dropped.txt"))
    assert str(wav) in dropped


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
