"""./run.sh from end to end, on a tiny synthetic corpus: every recipe, reruns, and systems made of others."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from augment_corpora import write_musan, write_rirs
from corpora import first_wav

from sv.data.datadir import DataDir

ROOT = Path(__file__).parents[2]
SMALL = [
    *("--set", "training.epochs=2", "--set", "training.chunks_per_speaker=4", "--set", "training.batch_size=8"),
    *("--set", "training.chunk_s=[1,2]", "--set", "backends.plda.lda_dim=4", "--nj", "2", "--ngpu", "0"),
]
TINY = [*SMALL, "--calibration-speakers", "3"]


@pytest.fixture(scope="module")
def finished(run_sh, corpus, tmp_path_factory):
    """A whole run of mini, started from another folder, with work in a path with a space."""
    work = tmp_path_factory.mktemp("some work")
    result = run_sh(
        "--data-root", f"mini={corpus}", "--work", work, *SMALL_IVECTOR, *SMALL_EMBEDDING, *TINY, cwd=corpus.parent
    )
    return result, work


SMALL_IVECTOR = ["--set", "ivector.num_gaussians=4", "--set", "ivector.dim=8", "--set", "ivector.ubm_frames=20000"]
SMALL_EMBEDDING = ["--set", "model.frame_channels=[32,32,32,32,64]", "--set", "model.embedding_dim=24"]


def test_mini_runs_all_stages_and_ends_in_a_table(finished):
    """Exit code 0, every stage announced, and a row a back end that is labelled synthetic."""
    result, work = finished
    assert result.returncode == 0, result.stdout + result.stderr
    assert [f"== stage {n}:" in result.stdout for n in range(10)] == [True] * 10
    rows = json.loads((work / "exp/mini/report/results.json").read_text())
    assert {(row["system"], row["backend"], row["trials"]) for row in rows} == {
        (system, backend, "mini_synthetic")
        for system in ("xvector-small", "ivector-small")
        for backend in ("cosine", "plda")
    }
    for row in rows:
        assert 0 <= row["eer"] <= 0.6
        assert row["intervals"].keys() >= {"eer", "min_dcf_05", "min_cllr", "act_dcf_05", "act_cprimary", "cllr"}
        low, high = row["intervals"]["eer"]
        assert low <= row["eer"] <= high
        assert row["act_dcf_05"] >= row["min_dcf_05"] - 1e-4  # calibrated scores are rounded, and may tie
        assert row["cllr"] >= row["min_cllr"] - 1e-4
        assert "on the list calibration (" in row["calibrated"]
        assert "of 3 speakers) at prior 0.05" in row["calibrated"]
    text = (work / "exp/mini/report/results.md").read_text()
    assert "Synthetic speech" in text
    for picture in ("det_mini_synthetic.png", "tsne_vox1_test.png"):
        assert f"]({picture})" in text
        assert (work / "exp/mini/report" / picture).read_bytes()[:4] == b"\x89PNG"


def test_summary_says_where_the_results_are(finished):
    """The last line names the table and the page, and the files are there."""
    result, work = finished
    last = result.stdout.strip().splitlines()[-1]
    assert f"{work}/exp/mini/report/results.md" in last
    assert f"{work}/exp/mini/report/report.html" in last


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
        *(run / name for name in ("calibration/plda.json", "scores/mini_synthetic.plda.calibrated")),
    ):
        assert path.is_file(), path


def test_calibration_speakers_are_apart_from_training_and_test(finished):
    """In none of the other sets; what it is learnt on are their trials, and no row of the report is."""
    _, work = finished
    speakers = {
        name: {line.split()[1] for line in (work / f"data/mini/vox1_{name}/utt2spk").read_text().splitlines()}
        for name in ("train", "valid", "test", "calibration")
    }
    held_out = speakers.pop("calibration")
    assert len(held_out) == 3
    assert not held_out & set().union(*speakers.values())
    assert len(speakers["train"]) == 12 - 3
    trials = (work / "data/mini/vox1_calibration/trials_calibration").read_text().split()
    assert {word.partition("-")[0] for word in trials} - {"target", "nontarget"} == held_out


def test_a_trained_network_leaves_as_a_model_whose_card_has_the_reports_figures(finished, tmp_path):
    """Compared with the run on its test set; the card's rows are the report's of this system."""
    _, work = finished
    run = work / "exp/mini/xvector-small/seed1"
    export = [ROOT / "steps/export.sh", "--check", work / "data/mini/vox1_test", run, tmp_path / "to share"]
    result = subprocess.run(export, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "on 10 synthetic recordings of `vox1_test`" in result.stdout
    card = (tmp_path / "to share/README.md").read_text()
    table = (work / "exp/mini/report/results.md").read_text().splitlines()
    rows = [line for line in table if line.startswith("| xvector-small |")]
    assert len(rows) == 4  # figures, and their intervals
    assert all(row in card for row in rows)
    for name in ("cosine", "plda"):
        copy = tmp_path / f"to share/calibration/{name}.json"
        assert copy.read_bytes() == (run / f"calibration/{name}.json").read_bytes()


@pytest.mark.slow
def test_another_number_of_calibration_speakers_makes_anew_what_depends_on_it(run_sh, corpus, finished):
    """As dry runs tell: with the same number nothing, with four all from the sets on, with none no calibration."""
    _, work = finished
    options = ("--work", work, "--data-root", f"mini={corpus}", *SMALL_IVECTOR, *SMALL_EMBEDDING, *TINY, "--dry-run")
    same, four, none = (run_sh(*options, *(["--calibration-speakers", n] if n else [])) for n in ("", "4", "0"))
    assert [result.returncode for result in (same, four, none)] == [0, 0, 0], none.stderr
    assert "would run" not in same.stdout
    assert re.search(r"^hold_out .*/vox1_rest: would run: speakers is 4, was 3$", four.stdout, re.M)
    assert re.search(r"^mini_synthetic.plda.calibrated .*: would run: after calibrate", four.stdout, re.M)
    assert re.search(r"^hold_out .*/vox1_train: would run: .*/vox1_dev/\S+ is a new input$", none.stdout, re.M)
    assert "nothing is calibrated; --calibration-speakers N" in none.stdout
    assert "calibrate." not in none.stdout


def test_too_many_calibration_speakers_are_refused(run_sh, corpus, tmp_path):
    """One line before anything is trained, with the number that there may be."""
    options = ("--data-root", f"mini={corpus}", "--work", tmp_path / "w", "--stop-stage", "0")
    result = run_sh(*options)
    assert result.returncode == 1
    assert "20 of its 12 speakers cannot be held out: two or more must be left; ask for 1 to 10\n" in result.stderr
    assert not (tmp_path / "w/data/mini/vox1_train").exists()


def test_one_stage_can_be_run_again_and_gives_the_same_bytes(run_sh, finished):
    """Stages 5 to 9, once more: scores to the byte."""
    _, work = finished
    scores = work / "exp/mini/xvector-small/seed1/scores/mini_synthetic.plda"
    before = scores.read_bytes()
    result = run_sh("--work", work, "--stage", "5", *SMALL_IVECTOR, *SMALL_EMBEDDING, *TINY)
    assert result.returncode == 0, result.stderr
    assert "== stage 4" not in result.stdout
    assert scores.read_bytes() == before


@pytest.mark.slow
def test_another_seed_is_another_run_and_the_table_has_the_mean_of_both(run_sh, finished):
    """Two seeds from stage 3 on, of systems named by a pattern: seed 1 stays as it was, seed 2 is trained by itself.

    A dry run of three has the third to do.
    """
    _, work = finished
    options = ("--work", work, "--systems", "?vector-small", "--stage", "3", *SMALL_IVECTOR, *SMALL_EMBEDDING, *TINY)
    first, second = (work / f"exp/mini/xvector-small/seed{seed}" for seed in (1, 2))

    def of_first():
        return {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file() and path.suffix != ".yaml"}

    before, config = of_first(), (first / "config.yaml").read_bytes()
    result = run_sh(*options, "--seeds", "2")
    assert result.returncode == 0, result.stderr
    assert of_first() == before
    assert (first / "config.yaml").read_bytes() == config
    scores = "scores/mini_synthetic.cosine"
    assert (first / scores).read_text().count("\n") == (second / scores).read_text().count("\n")
    assert (first / scores).read_bytes() != (second / scores).read_bytes()
    rows = json.loads((work / "exp/mini/report/results.json").read_text())
    assert len(rows) == 8
    for system in ("xvector-small", "ivector-small"):
        for backend in ("cosine", "plda"):
            found = {row["seed"]: row["eer"] for row in rows if (row["system"], row["backend"]) == (system, backend)}
            assert set(found) == {1, 2}
            mean, deviation = sum(found.values()) / 2, abs(found[1] - found[2]) / 2**0.5
            line = f"{system} +2 seeds +{backend} +mini_synthetic +{100 * mean:.2f} ± {100 * deviation:.2f} "
            assert re.search(line, result.stdout)
    dry = run_sh(*options, "--seeds", "3", "--stop-stage", "4", "--dry-run")
    assert "train " + str(second) + ": unchanged\n" in dry.stdout
    assert f"train {second.with_name('seed3')}: would run: not done yet\n" in dry.stdout


def test_a_file_that_a_pattern_matches_is_no_system(tmp_path):
    """In the folder of run.sh, which bash would put in the pattern's place."""
    for path in ROOT.iterdir():
        if path.name not in (".git", ".venv", "data", "exp"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "zvector-small").touch()
    plan = ("--systems", "?vector-small,xvector-small", "--stage", "9", "--dry-run", "--work", tmp_path / "w")
    done = subprocess.run(
        [tmp_path / "run.sh", *plan],
        env={**os.environ, "SV_PYTHON": sys.executable}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    runs = re.findall(r"^runs:  .*/exp/mini/(.*)$", done.stdout, re.M)
    assert runs == ["ivector-small/seed1", "xvector-small/seed1"]


def test_a_back_end_can_be_added_to_runs_that_are_there(run_sh, finished):
    """From stage 6 on: the others are left alone, and it has its row of both systems, calibrated as theirs."""
    _, work = finished
    steps = ("--backend", "modular", "--set", "backends.modular.steps=20")
    steps += ("--backend", "qmf", "--set", "backends.qmf.normalise.top=4")
    result = run_sh("--work", work, "--stage", "6", *SMALL_IVECTOR, *SMALL_EMBEDDING, *TINY, *steps)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("backend/plda: unchanged, skipped") == 2
    rows = json.loads((work / "exp/mini/report/results.json").read_text())
    for backend in ("modular", "qmf"):
        found = {row["system"]: row for row in rows if row["backend"] == backend and row["seed"] == 1}
        assert set(found) == {"xvector-small", "ivector-small"}
        assert all("on the list calibration (" in row["calibrated"] for row in found.values())


MADE_OF_OTHERS = [
    *("--systems", "modular,R28-ensemble-aam", "--set", "embeddings_of=xvector-small"),
    *("--set", "backends.identity.centre=train", "--set", "ensemble.backend=plda"),
    *("--set", "ensemble.members={xvector-small: 2}"),
    *(f"--set=backends.{name}.{key}" for name in ("softmax", "am") for key in ("centre=train", "steps=20")),
]


@pytest.mark.slow
def test_systems_made_of_others_take_what_is_there_and_what_they_lack_is_made_on_the_way(run_sh, finished):
    """An ensemble of seeds 1 and 2, and cosines of seed 1's embeddings; only seed 2 is trained, if it is not there.

    Another back end of the members makes the ensemble run again, as a dry run tells, and nothing else.
    """
    _, work = finished
    options = ("--work", work, "--stage", "3", *MADE_OF_OTHERS, *SMALL_EMBEDDING, *TINY)
    result = run_sh(*options)
    assert result.returncode == 0, result.stdout + result.stderr
    exp = work / "exp/mini"
    assert f"train {exp}/xvector-small/seed1: unchanged, skipped" in result.stdout
    assert f"{exp}/modular/seed1/backend/identity: " in result.stdout
    assert not (exp / "modular/seed1/embeddings").exists()
    scores = ("xvector-small/seed1/scores/LIST.plda", "xvector-small/seed2/scores/LIST.plda")
    one, two, mean = (
        (exp / path.replace("LIST", "mini_synthetic")).read_text().split()
        for path in (*scores, "R28-ensemble-aam/seed1/scores/LIST.mean")
    )
    assert mean[::3] == one[::3]
    means = [(float(a) + float(b)) / 2 for a, b in zip(one[2::3], two[2::3], strict=True)]
    assert [float(score) for score in mean[2::3]] == pytest.approx(means, abs=2e-6)
    rows = json.loads((exp / "report/results.json").read_text())
    asked = [row for row in rows if row["system"] in ("modular", "R28-ensemble-aam")]
    wanted = {("modular", name) for name in ("identity", "softmax", "am")} | {("R28-ensemble-aam", "mean of 2")}
    assert {(row["system"], row["backend"]) for row in asked} == wanted
    ours = {row["system"]: row for row in asked}
    assert all(row["calibrated"] and row["published_eer"] is None for row in ours.values())
    assert ours["R28-ensemble-aam"]["trained"] == (
        "mean of the plda scores of xvector-small seed 1, xvector-small seed 2"
    )
    assert ours["modular"]["trained"].startswith("embeddings of xvector-small, 2 epochs on ")
    dry = run_sh(*options, "--dry-run", "--set", "backends.plda.iterations=3")
    assert re.search(r"^mini_synthetic.mean .*: would run: after calibration.plda$", dry.stdout, re.M)
    assert re.search(r"^mini_synthetic.identity .*: unchanged$", dry.stdout, re.M)


def test_a_trained_run_refuses_another_configuration(run_sh, finished):
    """One line that names the setting and both values, and what to repeat; no embedding is made or taken."""
    _, work = finished
    result = run_sh(
        "--work", work, "--stage", "5", *SMALL_IVECTOR, *SMALL_EMBEDDING, *TINY, "--set", "training.batch_size=9"
    )
    assert result.returncode == 1
    assert "training.batch_size = 8, which is now 9; repeat the --set" in result.stderr
    assert "Traceback" not in result.stderr
    assert "== stage 6" not in result.stdout


def test_voxceleb_runs_on_the_same_layout(run_sh, corpus, tmp_path):
    """The recipe for real speech reads the generated tree by itself, finds its list and says that it is another.

    Its system is augmented, here with synthetic noises and rooms: four copies of each utterance are trained on, and a
    second time nothing is done.
    """
    musan, rirs = write_musan(tmp_path / "a musan"), write_rirs(tmp_path / "rirs")
    voxceleb = (
        *("--recipe", "voxceleb", "--data-root", f"voxceleb1={corpus}", "--work", tmp_path, "--budget", "short"),
        *("--data-root", f"musan={musan}", "--data-root", f"rirs={rirs}"),
        *SMALL_EMBEDDING,
        *TINY,
    )
    dry = run_sh(*voxceleb, "--dry-run")
    assert "vox1_train_combined_kaldi/feats/mfcc23_8k: would run" in dry.stdout, dry.stderr
    result = run_sh(*voxceleb)
    assert result.returncode == 0, result.stdout + result.stderr
    clean, combined = (tmp_path / "data/voxceleb" / name for name in ("vox1_train", "vox1_train_combined_kaldi"))
    num_utts = len((clean / "utt2spk").read_text().splitlines())
    assert len((combined / "utt2spk").read_text().splitlines()) == 5 * num_utts
    assert f", {5 * num_utts} utterances" in result.stdout
    stage_2 = run_sh(*voxceleb, "--stage", "2", "--stop-stage", "4")
    steps = [line for line in stage_2.stdout.splitlines() if str(tmp_path) in line and ": " in line][2:]
    assert len(steps) == 2 + 3 + 3 + 1
    assert all(line.endswith("unchanged, skipped") for line in steps), stage_2.stdout
    assert "this is another list" in result.stdout
    rows = json.loads((tmp_path / "exp/voxceleb/report/results.json").read_text())
    assert {row["trials"] for row in rows} == {"vox1_o_cleaned_other"}
    assert {row["published_eer"] for row in rows} == {None}
    assert {row["system"] for row in rows} == {"vox1-xvector+short"}


def test_own_directories_are_trained_and_tested_on_without_a_line_of_code(run_sh, finished, tmp_path):
    """Those of another run: they are copied, sessions and speakers held out; the rest is planned, list by list."""
    _, work = finished
    roots = [f"--data-root={name}={work}/data/mini/{of}" for name, of in (("train", "vox1_dev"), ("test", "vox1_test"))]
    own = ("--recipe", "own", *roots, "--work", tmp_path / "w w", *SMALL_EMBEDDING, *TINY)
    dry = run_sh(*own, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert f"mini_synthetic.plda {tmp_path}/w w/exp/own/xvector-small/seed1/scores: would run" in dry.stdout
    result = run_sh(*own, "--stop-stage", "1")
    assert result.returncode == 0, result.stderr
    data = tmp_path / "w w/data/own"
    sets = {name: DataDir.read(data / name) for name in ("all", "train", "valid", "calibration", "test")}
    assert sum(len(sets[name]) for name in ("train", "valid", "calibration")) == len(sets["all"])
    assert all(each.synthetic for each in sets.values())
    assert (data / "test/trials_mini_synthetic").exists()
    roots[1] = f"--data-root=test={work}/data/mini/vox1_dev"
    result = run_sh("--recipe", "own", *roots, "--work", tmp_path / "x")
    assert result.returncode == 1
    assert "vox1_dev has no trials_NAME; write one ('enrol test target|nontarget' a line), or let" in result.stderr


def test_help_names_every_option(run_sh):
    """Every option that the parser knows stands in --help."""
    script = (ROOT / "run.sh").read_text()
    known = {option for line in re.findall(r"^    (--[a-z][^)]*)\)", script, re.M) for option in line.split(" | ")}
    assert len(known) > 15
    assert known - set(run_sh("--help").stdout.replace("=", " ").split()) <= {"-h"}


def test_list_names_recipes_systems_back_ends_and_stages(run_sh):
    """--list prints all four kinds."""
    out = run_sh("--list").stdout
    for file in (*(ROOT / "conf" / "systems").glob("*/*.yaml"), *(ROOT / "conf" / "backends").glob("*.yaml")):
        assert re.search(rf"^  {re.escape(file.stem)} +{re.escape(file.read_text().splitlines()[0][2:])}$", out, re.M)
    assert all(f"\n  {file.parent.name} " in out for file in (ROOT / "recipes").glob("*/recipe.sh"))
    assert "stages: 0 data lists" in out


@pytest.fixture(scope="module")
def lenient(run_sh, corpus, tmp_path_factory):
    """A whole run that forgives bad audio, a wav of either part being cut: two systems, features and scores compressed.

    Returns what it said, its work folder (with a space in its name) and the two.
    """
    folder = tmp_path_factory.mktemp("lenient")
    tree = Path(shutil.copytree(corpus, folder / "broken"))
    tested = (tree / "veri_test2.txt").read_text().split()[1]
    cut = [first_wav(tree), tree / "test" / "wav" / tested]
    for wav in cut:
        wav.write_bytes(wav.read_bytes()[:5000])
    result = run_sh(
        *("--data-root", f"mini={tree}", "--work", folder / "a work", "--systems", "xvector-small,vox1-xvector"),
        *("--compress", "--compress-scores", "--drop-bad-audio", *SMALL_EMBEDDING, *TINY),
        *("--set", "augment=null", "--set", "training.min_utt_s=0", "--set", "training.min_speaker_utts=1"),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result, folder / "a work", cut


def test_bad_recordings_are_dropped_and_listed_if_asked(lenient):
    """With --drop-bad-audio the sets go on without them, dropped.txt has their lines, and so have their trials'."""
    _, work, cut = lenient
    dropped = "".join(path.read_text() for path in (work / "data/mini").glob("*/dropped.txt"))
    assert all(str(wav) in dropped for wav in cut)
    listed = (work / "data/mini/vox1_test/trials_mini_synthetic").read_text().count("\n")
    utt = "-".join(cut[1].with_suffix("").parts[-3:])
    for row in json.loads((work / "exp/mini/report/results.json").read_text()):
        folder = work / f"exp/mini/{row['system']}/seed1/scores"
        scores = gzip.decompress((folder / f"mini_synthetic.{row['backend']}.gz").read_bytes()).decode()
        assert 0 < scores.count("\n") < listed
        assert utt not in scores


def test_two_systems_share_a_table_and_each_has_its_features(lenient):
    """A row a system and back end; two sets of features with their VAD, archives in Kaldi's compressed form."""
    result, work, _ = lenient
    rows = json.loads((work / "exp/mini/report/results.json").read_text())
    systems = ("xvector-small", "vox1-xvector")
    assert sorted((row["system"], row["backend"]) for row in rows) == sorted(
        (system, backend) for system in systems for backend in ("cosine", "plda")
    )
    assert all(f"{work}/exp/mini/{system}/seed1" in result.stdout for system in systems)
    for features in ("mfcc30_16k", "mfcc23_8k"):
        folder = work / "data/mini/vox1_train/feats" / features
        assert (folder / "vad.scp").is_file()
        arks = list((folder / "arks").glob("feats.*.ark"))
        assert len(arks) == 2
        assert all(re.search(rb"\0BCM[23]? ", ark.read_bytes()[:200]) for ark in arks)


def test_an_interrupt_is_no_failure_and_says_how_to_go_on(run_sh, tmp_path):
    """Ctrl-C, which every process of the terminal gets, in stage 0."""
    run = subprocess.Popen(
        [ROOT / "run.sh", "--work", tmp_path / "w", "--nj", "2"],
        env={**os.environ, "SV_PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while "== stage 0" not in run.stdout.readline():
        assert run.poll() is None
    time.sleep(1)
    os.killpg(run.pid, signal.SIGINT)
    _, said = run.communicate(timeout=120)
    assert run.returncode in (130, -signal.SIGINT)
    assert said.splitlines()[-1] == "run.sh: interrupted in stage 0 of mini; go on with --stage 0"
    assert "Traceback" not in said
    assert "failed" not in said


def test_run_sh_may_be_edited_while_it_runs(tmp_path):
    """Bash reads a script bit by bit: what it had not read yet would be taken from the new text."""
    for path in ROOT.iterdir():
        if path.name not in ("run.sh", "recipes", ".git", ".venv", "data", "exp"):
            (tmp_path / path.name).symlink_to(path)
    shutil.copy(ROOT / "run.sh", tmp_path)
    (tmp_path / "recipes/edits").mkdir(parents=True)
    (tmp_path / "recipes/edits/recipe.sh").write_text(
        "title=Edits default_systems=xvector-small data_roots=() optional_roots=()\n"
        "run_stages() { printf ') fi done (' >>run.sh; }\n"
    )
    done = subprocess.run(
        ["bash", tmp_path / "run.sh", "--recipe", "edits", "--work", tmp_path / "w"],
        env={**os.environ, "SV_PYTHON": sys.executable}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "done in 0:0" in done.stdout


@pytest.fixture
def reading(corpus, tmp_path):
    """A network that reads recordings, small, augmented online by synthetic noises and rooms: options of run.sh."""
    musan, rirs = write_musan(tmp_path / "a musan"), write_rirs(tmp_path / "rirs")
    narrow = ("model.channels=[8,8,8,8]", "model.embedding_dim=16", "training.epochs=2", "training.batch_size=8")
    crops = ("training.chunk_s=[1,1]", "extraction.crops.length_s=1.0", "training.groups.max_per_speaker=4")
    return (
        *("--systems", "QA4", "--budget", "short", "--data-root", f"mini={corpus}", "--calibration-speakers", "3"),
        *("--data-root", f"musan={musan}", "--data-root", f"rirs={rirs}", "--nj", "2", "--ngpu", "0"),
        *(word for setting in (*narrow, *crops) for word in ("--set", setting)),
    )


def test_a_network_that_reads_recordings_goes_through_all_stages(run_sh, reading, tmp_path):
    """Augmented online, ten crops an utterance; no features are made, and of the training set no embeddings."""
    result = run_sh(*reading, "--work", tmp_path / "some work")
    assert result.returncode == 0, result.stdout + result.stderr
    data, run = tmp_path / "some work/data/mini", tmp_path / "some work/exp/mini/QA4+short/seed1"
    assert not list(data.glob("*/feats"))
    assert sorted(path.name for path in (run / "embeddings").iterdir()) == ["vox1_calibration", "vox1_test"]
    (row,) = json.loads((run.parents[1] / "report/results.json").read_text())
    assert (row["system"], row["backend"]) == ("QA4+short", "cosine")
    assert row["cllr"] > 0
    again = run_sh(*reading, "--work", tmp_path / "some work")
    assert "runs again" not in again.stdout
    assert "train QA4+short  epoch" not in again.stdout


@pytest.mark.slow
def test_recordings_that_were_stored_anew_train_the_same_network(run_sh, reading, tmp_path):
    """Archives of FLAC against the corpus's files: the same crops, so the same curves to the byte."""
    stored, plain = tmp_path / "stored", tmp_path / "some work"
    for work, more in ((stored, ("--store", "flac.ark")), (plain, ())):
        result = run_sh(*reading, *more, "--stop-stage", "4", "--work", work)
        assert result.returncode == 0, result.stdout + result.stderr
    assert len(list((stored / "data/mini/vox1_dev_stored").rglob("*.ark"))) == 2
    assert ".ark:" in (stored / "data/mini/vox1_train/wav.scp").read_text()
    curves = [(work / "exp/mini/QA4+short/seed1/curves.tsv").read_text() for work in (stored, plain)]
    assert curves[0] == curves[1]


def test_a_network_that_compares_pairs_goes_through_all_stages(run_sh, corpus, tmp_path):
    """It has no embeddings, its scores are calibrated as others are. Of every speaker a session is held out."""
    small = (
        "training.epochs=1",
        "training.batch_size=12",
        "training.groups.max_per_speaker=4",
        "training.chunk_s=[1,1]",
    )
    options = (
        *("--systems", "w2v2-bce", "--budget", "short", "--data-root", f"mini={corpus}", "--calibration-speakers", "3"),
        *("--held-out", ".05", "--nj", "2", "--ngpu", "0", "--yes"),
        *(word for setting in small for word in ("--set", setting)),
    )
    result = run_sh(*options, "--work", tmp_path / "some work")
    assert result.returncode == 0, result.stdout + result.stderr
    data, run = tmp_path / "some work/data/mini", tmp_path / "some work/exp/mini/w2v2-bce+short/seed1"
    assert not (run / "embeddings").exists()
    speakers = [{line.split()[1] for line in (data / s / "utt2spk").open()} for s in ("vox1_train", "vox1_valid")]
    assert speakers[0] == speakers[1]
    (row,) = json.loads((run.parents[1] / "report/results.json").read_text())
    assert (row["system"], row["backend"]) == ("w2v2-bce+short", "network")
    assert row["cllr"] > 0
    again = run_sh(*options, "--work", tmp_path / "some work")
    assert "runs again" not in again.stdout
    assert again.stdout.count("unchanged, skipped") > 8


def test_recipes_in_one_place_leave_each_other_alone(run_sh, corpus, finished):
    """Another recipe's first stages touch no file of this one's."""
    _, work = finished

    def of_mini():
        files = [path for top in ("data/mini", "exp/mini") for path in (work / top).rglob("*") if path.is_file()]
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}

    before = of_mini()
    other = ("--recipe", "voxceleb", "--data-root", f"voxceleb1={corpus}", "--set", "augment=null", *SMALL)
    result = run_sh(*other, "--work", work, "--budget", "short", "--stop-stage", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert of_mini() == before


def test_unlabelled_speech_of_an_earlier_run_is_left_alone_where_nothing_adapts(run_sh, tmp_path):
    """It may be of another rate; a back end that adapts has its features and embeddings made."""
    adapt = tmp_path / "w" / "data" / "mini" / "adapt"
    adapt.mkdir(parents=True)
    for options, stages in (((), 0), (("--set", "backends.new={name: cosine, centre: adapt}"), 2)):
        result = run_sh("--work", tmp_path / "w", "--dry-run", "--systems", "xvector-small", *options)
        assert result.returncode == 0, result.stderr
        made = ("make_feats", f"{adapt}/feats/"), ("extract", "/embeddings/adapt:")
        found = [any(line.startswith(name) and at in line for line in result.stdout.splitlines()) for name, at in made]
        assert sum(found) == stages


def test_a_dry_run_of_a_fresh_clone_says_what_would_be_done(run_sh, tmp_path):
    """There is not even a corpus; every stage is told, and nothing is made."""
    result = run_sh("--work", tmp_path / "w", "--dry-run")
    assert (result.returncode, result.stderr) == (0, "")
    assert all(f"== stage {number}: " in result.stdout for number in range(10))
    assert result.stdout.endswith("This was a dry run: nothing has been done.\n")
    assert not (tmp_path / "w").exists()
