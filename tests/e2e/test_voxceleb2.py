"""The voxceleb2 recipe from end to end, on a tiny synthetic corpus in the layouts of VoxCeleb2, 1 and VoxSRC's."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from audio_files import write_m4a

from sv.data.audio import read_audio

NARROW = ("model.channels=[8,8,8,8]", "model.embedding_dim=16", "training.epochs=1", "training.batch_size=8")
CROPS = ("training.chunk_s=[1,1]", "extraction.crops.length_s=1.0", "training.groups.max_per_speaker=4")
OPTIONS = (
    *("--recipe", "voxceleb2", "--budget", "short", "--held-out", ".2", "--nj", "1", "--ngpu", "0"),
    *("--systems", "H4,F1", "--set", "ensemble.members={H4: 2}"),
    *(word for setting in (*NARROW, *CROPS) for word in ("--set", setting)),
)


@pytest.fixture(scope="module")
def roots(corpus, tmp_path_factory):
    """VoxCeleb2 of m4a, made of the corpus's development part; VoxCeleb1 is its test part, and so are the two
    recordings a speaker of voxceleb1_cd. The list of VoxSRC is that of VoxCeleb1-O with one side from there."""
    folder = tmp_path_factory.mktemp("vox roots")
    for wav in (corpus / "dev/wav").glob("*/*/*.wav"):
        m4a = folder / "two/dev/aac" / wav.relative_to(corpus / "dev/wav").with_suffix(".m4a")
        m4a.parent.mkdir(parents=True, exist_ok=True)
        write_m4a(m4a, read_audio(str(wav))[0].astype(np.int16))
    (folder / "two/SYNTHETIC.txt").symlink_to(corpus / "SYNTHETIC.txt")
    one, cd = folder / "one", folder / "cd"
    (one / "test").mkdir(parents=True)
    (one / "test/wav").symlink_to(corpus / "test/wav")
    (one / "SYNTHETIC.txt").symlink_to(corpus / "SYNTHETIC.txt")
    (one / "veri_test2.txt").symlink_to(corpus / "veri_test2.txt")
    lines = [line.split() for line in (corpus / "veri_test2.txt").read_text().splitlines()]
    numbers: dict[str, str] = {}
    with (one / "voxsrc2020_val.txt").open("w") as voxsrc:
        for label, enrol, test in lines:
            speaker, number = test.split("/")[0], numbers.setdefault(test, f"{len(numbers):06d}")
            voxsrc.write(f"{label} voxceleb1/{enrol} voxceleb1_cd/{speaker}/{number}.wav\n")
    for test, number in numbers.items():
        link = cd / test.split("/")[0] / f"{number}.wav"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(corpus / "test/wav" / test)
    return (
        *("--data-root", f"voxceleb1={one}", "--data-root", f"voxceleb2={folder / 'two'}"),
        *("--data-root", f"voxceleb1_cd={cd}"),
    )


@pytest.fixture(scope="module")
def finished(run_sh, roots, tmp_path_factory):
    work = tmp_path_factory.mktemp("vox2 work")
    return run_sh(*roots, *OPTIONS, "--work", work), work


def test_all_stages_run_on_m4a_and_end_in_a_table_of_all_lists(finished):
    """A row a system and list, labelled synthetic and without the paper's figure; networks have read the m4a."""
    result, work = finished
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads((work / "exp/voxceleb2/report/results.json").read_text())
    lists = ("vox1_o_cleaned_other", "voxsrc2020_val_other")
    assert {(row["system"], row["trials"]) for row in rows} == {(s, t) for s in ("H4+short", "F1+short") for t in lists}
    assert all(row["is_synthetic"] and row["published_eer"] is None for row in rows)
    data = work / "data/voxceleb2"
    assert not list(data.glob("*/feats"))
    wav = dict(line.split(maxsplit=1) for line in (data / "vox2_train/wav.scp").open())
    assert all(re.search(r"/two/dev/aac/id7\d{4}/[^/]{11}/\d{5}\.m4a$", path) for path in wav.values())


def test_weights_are_searched_on_voxsrc_s_list(finished):
    """And the report marks the ensemble's figures on that list, and on no other, as tuned there."""
    _, work = finished
    tuned = json.loads((work / "exp/voxceleb2/F1+short/seed1/fusion/weights.json").read_text())
    assert tuned["trials"] == "voxsrc2020_val_other"
    rows = json.loads((work / "exp/voxceleb2/report/results.json").read_text())
    marked = {(row["system"], row["trials"]) for row in rows if row["tuned_for"]}
    assert marked == {("F1+short", "voxsrc2020_val_other")}


def test_a_second_time_nothing_is_done(run_sh, roots, finished):
    """With the roots, and from stage 8 on without them, where the list to tune on is that of the set."""
    _, work = finished
    for options in (roots, ("--stage", "8")):
        dry = run_sh(*options, *OPTIONS, "--work", work, "--dry-run")
        assert (dry.returncode, dry.stderr) == (0, "")
        assert "would run" not in dry.stdout
        assert re.search(r"^fuse .*/fusion: unchanged$", dry.stdout, re.M)


def test_calibration_speakers_are_held_out_of_voxceleb2(run_sh, roots, tmp_path):
    """They are in no other set; the sessions held out are of training speakers."""
    options = (*roots, "--recipe", "voxceleb2", "--systems", "H4", "--calibration-speakers", "2", "--stop-stage", "0")
    result = run_sh(*options, "--work", tmp_path)
    assert result.returncode == 0, result.stderr
    sets = ("vox2_train", "vox2_calibration", "vox1_eval", "vox2_valid")
    tables = [(tmp_path / "data/voxceleb2" / name / "utt2spk").read_text().splitlines() for name in sets]
    train, calibration, test, valid = ({line.split()[1] for line in lines} for lines in tables)
    assert [len(speakers) for speakers in (train, calibration, test)] == [10, 2, 6]
    assert not train & calibration
    assert not test & (train | calibration)
    assert valid <= train
    assert (tmp_path / "data/voxceleb2/vox2_calibration/trials_calibration").is_file()


def test_a_training_speaker_in_a_trial_list_is_refused(run_sh, roots, corpus, tmp_path):
    """VoxCeleb1 with one of VoxCeleb2's speakers: his id is the same here."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one/wav").symlink_to(corpus / "dev/wav")
    first, second = sorted((corpus / "dev/wav").glob("*/*/*.wav"))[:2]
    files = [str(Path(*wav.parts[-3:])) for wav in (first, second)]
    (tmp_path / "one/list_test_all.txt").write_text(f"1 {files[0]} {files[1]}\n")
    result = run_sh(
        *("--recipe", "voxceleb2", *roots[2:4], "--data-root", f"voxceleb1={tmp_path / 'one'}"),
        *("--systems", "H4", "--work", tmp_path / "w", "--stop-stage", "0"),
    )
    assert result.returncode == 1
    assert f"{first.parts[-3]}: is a speaker of {tmp_path / 'w'}/data/voxceleb2/vox2_train too" in result.stderr


def test_without_voxsrc_s_list_no_weights_can_be_searched(run_sh, corpus, tmp_path):
    """One line before any work."""
    roots = ("--data-root", f"voxceleb1={corpus}", "--data-root", f"voxceleb2={corpus}")
    search = ("--systems", "F1", "--set", "ensemble.members={H4: 2}")
    result = run_sh("--recipe", "voxceleb2", *roots, *search, "--work", tmp_path / "w")
    assert result.returncode == 1
    assert "this recipe has no validation list to search weights on" in result.stderr
    assert not (tmp_path / "w").exists()
