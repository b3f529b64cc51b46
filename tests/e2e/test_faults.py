"""./run.sh on a bad day: killed anywhere, out of disk, damaged files, two at once; what is left, and what it says."""

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from fault_disk import PAGE, SmallDisk, written_by_stage
from fault_kills import moments, run_through
from fault_runs import RUN, Mini, alive, announced, end_by_force, ended, until


@dataclass(frozen=True)
class Undisturbed:
    """A whole run that nobody touched: itself, what it left, a copy of that, and how long each of its stages took."""

    mini: Mini
    left: dict[str, str]
    copy: Path
    took_s: dict[int, float]


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("some work").resolve()
    mini = Mini(corpus, folder / "w")
    run = mini.start()
    lines = [(time.monotonic(), line) for line in iter(run.stdout.readline, "")]
    result = ended(run)
    assert result.returncode == 0, result.stderr
    began = {int(line.split()[2][0]): at for at, line in lines if line.startswith("== stage ")}
    ends = [*list(began.values())[1:], lines[-1][0]]
    mini.work.rename(folder / "copy")
    took_s = {stage: end - at for (stage, at), end in zip(began.items(), ends, strict=True)}
    return Undisturbed(mini, Mini(corpus, folder / "copy").left(), folder / "copy", took_s)


@pytest.fixture
def nothing(undisturbed):
    """The run's place, empty: the same path, as scp files and what is trained on them hold it."""
    yield undisturbed.mini
    shutil.rmtree(undisturbed.mini.work)


@pytest.fixture
def finished(undisturbed, nothing):
    """The run's place with all that the undisturbed one left there, down to times and hard links."""
    subprocess.run(["cp", "-a", undisturbed.copy, nothing.work], check=True)
    return nothing


def unlike(mini, undisturbed):
    """The names of the files that are not as the undisturbed run left them, missing or too many ones among them."""
    left, found = undisturbed.left, mini.left()
    return sorted(name for name in left.keys() | found.keys() if left.get(name) != found.get(name))


def killed_through(undisturbed, mini, planned):
    """Run with these kills, every end with the bytes of the undisturbed run; how many there were."""

    def check():
        assert unlike(mini, undisturbed) == []

    return run_through(mini, planned, check)


def test_killed_at_random_moments_and_run_again_it_ends_with_the_same_bytes(undisturbed, nothing):
    """Two moments; every file as of the undisturbed run, and no step or job ran again whose record was written."""
    before_the_last = {stage: seconds for stage, seconds in undisturbed.took_s.items() if stage < 9}
    planned = moments(3, 2, before_the_last, every_stage=False)
    assert killed_through(undisturbed, nothing, planned) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_killed_at_more_random_moments_in_all_stages(undisturbed, nothing, seed):
    """Thirteen moments from each seed, every stage among them; some may find the run at its end, not many."""
    assert killed_through(undisturbed, nothing, moments(seed, 13, undisturbed.took_s)) >= 10


def test_a_finished_run_is_not_run_again(undisturbed, finished):
    """Every step says that it is skipped, in a few seconds; records and files stay as they were."""
    before = finished.records()
    result = finished.run()
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("unchanged, skipped") == len([path for path in before if ".job" not in path.name])
    assert "runs again" not in result.stdout
    assert finished.records() == before
    assert unlike(finished, undisturbed) == []


FEATS = "data/mini/vox1_train/feats/mfcc30_16k"
CHECKPOINTS = f"{RUN}/checkpoints"
LAST_EPOCH = f"{CHECKPOINTS}/epoch-0008.pt"  # of OPTIONS
# What is damaged, the later stage that is asked for alone, and what it says of it.
DAMAGED = {
    "features": ([f"{FEATS}/arks/feats.1.ark"], 4, "is not what make_feats wrote; run the stage that makes it again"),
    "VAD": ([f"{FEATS}/arks/vad_energy.2.ark"], 5, "is not what compute_vad_energy wrote"),
    "scp": ([f"{FEATS}/feats.scp"], 4, "is not what make_feats wrote"),
    "record of features": ([f"{FEATS}/.done/make_feats.json"], 4, "is damaged; run the stage that makes it again"),
    "checkpoint": ([f"{CHECKPOINTS}/last.pt"], 5, "is not what train wrote"),
    "newest epoch": ([f"{CHECKPOINTS}/last.pt", LAST_EPOCH], 5, "is not what train wrote"),
    "kept epoch": ([f"{CHECKPOINTS}/epoch-0007.pt"], 5, "is not what train wrote"),
    "best epoch": ([f"{CHECKPOINTS}/best.pt"], 5, "is not what train wrote"),
    "curves": ([f"{RUN}/curves.tsv"], 5, "is not what train wrote"),
    "record of training": ([f"{RUN}/.done/train.json"], 5, "is not trained to the end; stage 4 trains it"),
    "embeddings": ([f"{RUN}/embeddings/vox1_train/arks/xvector.1.ark"], 6, "is not what extract wrote"),
    "scp of embeddings": ([f"{RUN}/embeddings/vox1_test/xvector.scp"], 7, "is not what extract wrote"),
    "back end": ([f"{RUN}/backend/plda/plda"], 7, "is not what train_backend wrote"),
    "scores": ([f"{RUN}/scores/mini_synthetic.plda"], 9, "is not what mini_synthetic.plda wrote"),
    "calibration": ([f"{RUN}/calibration/plda.json"], 9, "is not what calibrate.plda wrote"),
    "calibrated scores": (
        *([f"{RUN}/scores/mini_synthetic.plda.calibrated"], 9, "is not what mini_synthetic.plda.calibrated wrote"),
    ),
}


def damage(path, how):
    """Flip a bit in the middle, or cut the file in two; under this name alone, where it has others."""
    content = bytearray(path.read_bytes())
    path.unlink()
    if how == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[: len(content) // (2 if how == "truncated" else 1)])


def named_by_a_step(name, said):
    """Whether a step says that it runs again because of a file, or because of its own damaged record."""
    if ".done" in name:
        return "runs again (its record was damaged)" in said
    return re.search(rf"runs again \(.*{re.escape(Path(name).name)} is not what was written\)", said) is not None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["flipped", "truncated"])
@pytest.mark.parametrize(
    "what",
    DAMAGED,
)
def test_a_damaged_file_is_refused_by_later_stages_and_made_again_by_its_own(undisturbed, finished, what, how):
    """With a later stage alone it is named and nothing is made of it; the whole run names it and makes it as it was."""
    names, stage, says = DAMAGED[what]
    for name in names:
        damage(finished.work / name, how)
    before = finished.left()
    refused = finished.run("--stage", str(stage))
    assert refused.returncode == 1, refused.stdout
    first, *rest = refused.stderr.splitlines()
    assert says in first
    assert Path(names[0]).name.removesuffix(".json") in first or "network" in first
    assert [line.startswith(f"run.sh: stage {stage} of mini failed") for line in rest] == [True]
    assert finished.left() == before
    result = finished.run()
    assert result.returncode == 0, result.stdout + result.stderr
    assert named_by_a_step(names[0], result.stdout)
    assert "Traceback" not in result.stderr
    assert unlike(finished, undisturbed) == []


def test_much_that_is_damaged_at_once_is_named_and_made_again(undisturbed, finished):
    """A file of every kind; one run names all of them and ends with the bytes of the undisturbed one."""
    names = [DAMAGED[what][0][0] for what in ("features", "scp of embeddings", "embeddings", "back end", "scores")]
    names += [f"{FEATS}/.done/compute_vad_energy.json", "data/mini/vox1_test/trials_mini_synthetic", LAST_EPOCH]
    for n, name in enumerate(names):
        damage(finished.work / name, "truncated" if n % 2 else "flipped")
    (finished.work / CHECKPOINTS / "last.pt").unlink()
    result = finished.run()
    assert result.returncode == 0, result.stdout + result.stderr
    said = result.stdout + f"{RUN}: runs again (epoch-0008.pt is not what was written)"  # it names the first, last.pt
    assert [name for name in names if not named_by_a_step(name, said)] == []
    assert re.search(r"^train .*: runs again \(.*last\.pt is missing\)$", result.stdout, re.M)
    assert unlike(finished, undisturbed) == []


def test_a_changed_trial_list_is_named_where_it_is_used(finished):
    """A list may be edited; scores of the old one do not pass for those of the new."""
    trials = finished.work / "data/mini/vox1_test/trials_mini_synthetic"
    trials.write_text("".join(sorted(trials.read_text().splitlines(True))[2:]))
    result = finished.run("--stage", "7")
    assert result.returncode == 0, result.stderr
    assert (
        result.stdout.count("trials_mini_synthetic has changed") == 5
    )  # two back ends, calibrated too, and the report
    scores = (finished.work / RUN / "scores/mini_synthetic.plda").read_text()
    assert scores.count("\n") == trials.read_text().count("\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "folder", "step"), [(6, "backend/plda", "train_backend"), (7, "scores", "mini_synthetic.plda")]
)
def test_what_was_begun_and_has_not_ended_is_refused(undisturbed, finished, stage, folder, step):
    """As a kill leaves a step that made anew what was there: the next stage, alone, does not take what it finds."""
    record = finished.work / RUN / folder / ".done" / f"{step}.json"
    record.unlink()
    record.with_name(f"{step}.begun.json").touch()  # the step takes milliseconds, too few to be killed in
    refused = finished.run("--stage", {6: "7", 7: "9"}[stage])
    assert refused.returncode == 1, refused.stdout
    assert f"{folder}: {step} was begun and has not ended; run its stage again" in refused.stderr
    assert refused.stderr.count("\n") == 2
    looked = finished.run("--dry-run")
    assert looked.returncode == 0, looked.stderr
    assert re.search(rf"^{re.escape(step)} .*{folder}: would run: not done yet$", looked.stdout, re.M)
    result = finished.run()
    assert result.returncode == 0, result.stderr
    assert unlike(finished, undisturbed) == []


def test_two_at_once_in_one_place(undisturbed, finished):
    """The second stops at once and says who is there and since when; a dry run may look; the first is not disturbed."""
    first = finished.start("--stage", "5", "--stop-stage", "5", "--force")
    try:
        announced(first, 5)
        began = time.monotonic()
        second = finished.run()
        assert time.monotonic() - began < 10
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert re.search(
            rf"exp/mini is in use: \S+@\S+, process {first.pid}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d; wait for it",
            second.stderr,
        )
        assert second.stdout == ""
        status = (finished.work / "exp/mini/status").read_text()
        looking = finished.run("--dry-run")
        assert looking.returncode == 0, looking.stderr
        assert "This was a dry run: nothing has been done." in looking.stdout
        assert f"process {first.pid} on" in status
        assert f"process {first.pid} on" in (finished.work / "exp/mini/status").read_text()
        assert first.poll() is None
        out, err = first.communicate()
    finally:
        end_by_force(first)
    assert first.returncode == 0, err
    assert "Traceback" not in out + err
    assert unlike(finished, undisturbed) == []
    assert finished.run("--stage", "8", "--stop-stage", "8").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 4, 5])
def test_run_sh_killed_alone_takes_its_steps_with_it_and_gives_the_place_back(undisturbed, finished, stage):
    """kill -9 of run.sh while a step and its jobs run: they end in seconds; until then the next run says who it was."""
    run = finished.start("--stage", str(stage), "--stop-stage", str(stage), "--force")
    try:
        announced(run, stage)
        until(lambda: len(alive(run.pid)) >= (2 if stage == 4 else 4), 10, "run.sh, its step and two jobs")
        time.sleep(0.5)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        at_once = finished.run("--stage", "8", "--stop-stage", "8")
        assert at_once.returncode == 0 or f"process {run.pid}, since" in at_once.stderr
        until(lambda: not alive(run.pid), 10, "all have ended")
    finally:
        end_by_force(run)
    result = finished.run()
    assert result.returncode == 0, result.stderr
    assert unlike(finished, undisturbed) == []


@pytest.fixture
def disk(undisturbed):
    """A small disk where the undisturbed run had its place."""
    try:
        small = SmallDisk(undisturbed.mini.work, "64m")
    except OSError as error:
        pytest.skip(f"no tmpfs for this user: {error}")
    yield small
    small.remove()


def told_of_a_full_disk(result):
    """The one line that a run says of a full disk, before run.sh's own on how to go on; no traceback anywhere."""
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert "Traceback" not in said, said
    first, *rest = result.stderr.splitlines()
    assert "No space left on device; make room or choose another place" in first, said
    assert all(line.startswith("run.sh: stage ") for line in rest), said
    assert len(rest) <= 1, said
    return first


@pytest.mark.slow
def test_a_full_disk_at_any_stage_is_told_in_one_line_and_loses_nothing(undisturbed, disk):
    """Three pages are left, or half of what the stage writes: it fails and names a file; what was there holds.

    With room the same stage goes on, and in the end all is as the undisturbed run left it.
    """
    mini = undisturbed.mini
    need = written_by_stage(undisturbed.copy, undisturbed.left)
    assert sorted(need) == [0, 1, 4, 5, 6, 7, 9]
    for stage, size in sorted(need.items()):
        for leave in sorted({3 * PAGE, size // 2} if size > 8 * PAGE else {3 * PAGE}):
            before, records = mini.left(), mini.records()
            disk.fill(leave)
            said = told_of_a_full_disk(mini.run("--stage", str(stage), "--stop-stage", str(stage)))
            assert str(mini.work) in said or stage == 4  # TensorBoard does not say which file
            disk.free()
            assert mini.left().items() >= before.items()
            assert mini.records().items() >= records.items()
        result = mini.run("--stop-stage", str(stage))
        assert result.returncode == 0, result.stderr
        assert "runs again" not in result.stdout
        assert mini.records().items() >= records.items()
    result = mini.run()
    assert result.returncode == 0, result.stderr
    assert unlike(mini, undisturbed) == []


def test_a_disk_without_any_room_is_told_before_the_first_stage(undisturbed, disk):
    """Not a page is left: run.sh cannot even write its lock."""
    disk.fill(0)
    result = undisturbed.mini.run()
    assert str(undisturbed.mini.work) in told_of_a_full_disk(result)
    assert result.stderr.count("\n") == 1
    disk.free()
    assert undisturbed.mini.run("--stop-stage", "0").returncode == 0
