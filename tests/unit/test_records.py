"""Records of steps: what makes a finished step run again and what it says, dry runs, force, jobs, damaged records."""

import os

import pytest

from sv.errors import DataError
from sv.records import Step, holds, job_done, record_of, settings_of

SETTINGS = {"fraction": 0.1, "model": {"width": 512, "layers": [1, 2]}, "name": None}


@pytest.fixture(autouse=True)
def _no_options(monkeypatch, tmp_path):
    monkeypatch.delenv("SV_FORCE", raising=False)
    monkeypatch.delenv("SV_DRY_RUN", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in put").mkdir()
    (tmp_path / "in put" / "utt2spk").write_text("a s\n")
    (tmp_path / "in put" / "wav.scp").write_text("a a.wav\n")


@pytest.fixture
def source(tmp_path):
    return (tmp_path / "in put").relative_to(tmp_path)


@pytest.fixture
def out(tmp_path):
    return (tmp_path / "out").relative_to(tmp_path)


def step(source, out, settings=SETTINGS, version=1, digests=None):
    return Step(
        "copy",
        out,
        inputs=[source / "utt2spk", source / "wav.scp"],
        settings=settings,
        digests=digests,
        version=version,
    )


def run(this):
    """What a command does; True if it worked."""
    if this.skip():
        return False
    this.begin()
    this.folder.mkdir(exist_ok=True)
    for name in ("list", "table"):
        (this.folder / name).write_text(f"{name}\n")
    this.done([this.folder / "list", this.folder / "table"], utterances=1)
    return True


def test_a_finished_step_is_skipped_with_a_line(source, out, capsys):
    assert run(step(source, out))
    assert capsys.readouterr().out == ""
    assert not run(step(source, out))
    assert capsys.readouterr().out == "copy out: unchanged, skipped\n"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"settings": {**SETTINGS, "fraction": 0.2}}, "fraction is 0.2, was 0.1"),
        ({"settings": {**SETTINGS, "model": {"width": 256, "layers": [1, 2]}}}, "model.width is 256, was 512"),
        ({"settings": {"fraction": 0.1, "model": SETTINGS["model"], "name": "x"}}, 'name is "x", was not set'),
        ({"settings": {**SETTINGS, "name": "y" * 500}}, f'name is "{"y" * 99}…, was not set'),
        ({"version": 2}, "its code has changed (version 2, was 1)"),
        ({"digests": {"recordings": "0"}}, "the recordings have changed"),
    ],
)
def test_another_setting_or_code_runs_it_again_and_says_which(source, out, capsys, change, why):
    run(step(source, out))
    assert run(step(source, out, **change))
    assert capsys.readouterr().out == f"copy out: runs again ({why})\n"
    assert not run(step(source, out, **change))


def test_a_changed_input_runs_it_again_a_touched_one_does_not(source, out, capsys):
    run(step(source, out))
    os.utime(source / "utt2spk", ns=(1, 1))
    assert not run(step(source, out))
    capsys.readouterr()
    (source / "utt2spk").write_text("b s\n")  # of the same size
    assert run(step(source, out))
    assert capsys.readouterr().out == "copy out: runs again (in put/utt2spk has changed)\n"


def test_a_new_and_a_lost_input_are_named(source, out, capsys):
    run(step(source, out))
    assert run(Step("copy", out, inputs=[source / "utt2spk"], settings=SETTINGS))
    assert run(step(source, out))
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("(in put/wav.scp is no longer an input)")
    assert second.endswith("(in put/wav.scp is a new input)")


@pytest.mark.parametrize("damage", ["missing", "flipped", "truncated"])
def test_an_output_that_is_not_as_written_runs_it_again(source, out, capsys, damage):
    run(step(source, out))
    if damage == "missing":
        (out / "list").unlink()
    else:
        (out / "list").write_text("lisp\n" if damage == "flipped" else "li")
    assert run(step(source, out))
    what = "is missing" if damage == "missing" else "is not what was written"
    assert capsys.readouterr().out == f"copy out: runs again (out/list {what})\n"
    assert (out / "list").read_text() == "list\n"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", None])
def test_a_damaged_record_runs_it_again(source, out, capsys, damage):
    run(step(source, out))
    record = record_of("copy", out)
    whole = record.read_bytes()
    record.write_bytes(whole.replace(b'"fraction": 0.1', b'"fraction": 0.2') if damage is None else damage)
    assert run(step(source, out, settings={**SETTINGS, "fraction": 0.2} if damage is None else SETTINGS))
    assert capsys.readouterr().out == "copy out: runs again (its record was damaged)\n"


def test_a_step_cut_short_has_no_record(source, out):
    run(step(source, out))
    (source / "utt2spk").write_text("c s\n")
    cut = step(source, out)
    assert not cut.skip()
    assert cut.begin() is False
    assert not record_of("copy", out).exists()
    again = step(source, out)
    assert not again.skip()
    assert again.begin() is True  # of the very same: what is there may be taken up
    changed = step(source, out, version=2)
    assert not changed.skip()
    assert changed.begin() is False


def test_an_output_that_was_not_written_is_no_success(source, out):
    this = step(source, out)
    this.begin()
    with pytest.raises(DataError, match=r"out: copy did not write list; run the stage again"):
        this.done([out / "list"])
    assert not record_of("copy", out).exists()


def test_a_record_stands_for_what_its_step_wrote(source, out, capsys):
    """Written again with the same bytes, the dependant is skipped; with others it runs; damaged, that is an error."""

    def dependant():
        return Step("use", out / "used", inputs=[record_of("copy", out)])

    def use():
        this = dependant()
        if this.skip():
            return False
        this.begin()
        this.done([])
        return True

    run(step(source, out))
    assert use()
    run(step(source, out, version=2))
    assert not use()
    (out / "list").write_text("lisp\n")
    with pytest.raises(DataError, match=r"out/list is not what copy wrote; run the stage that makes it again"):
        use()
    this = step(source, out, version=3)
    this.begin()
    this.done([out / "list", out / "table"])
    capsys.readouterr()
    assert use()
    assert capsys.readouterr().out == "use out/used: runs again (out/copy has changed)\n"


def test_a_record_that_is_damaged_or_of_a_step_that_has_not_ended_is_no_input(source, out):
    """What its step wrote cannot be told from what is half new: the dependant is refused by name."""
    run(step(source, out))
    whole = record_of("copy", out).read_bytes()
    record_of("copy", out).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"out/\.done/copy\.json is damaged; run the stage that makes it again"):
        Step("use", out / "used", inputs=[record_of("copy", out)]).begin()
    cut = step(source, out, version=2)
    cut.begin()
    with pytest.raises(DataError, match="out: copy was begun and has not ended; run its stage again"):
        Step("use", out / "used", inputs=[record_of("copy", out)]).begin()
    cut.done([out / "list", out / "table"])
    assert not Step("use", out / "used", inputs=[record_of("copy", out)]).skip()


def test_force_runs_everything(source, out, capsys, monkeypatch):
    run(step(source, out))
    this = step(source, out)
    job_done("copy", out, this.key, "1of2", [])
    assert this.job_holds("1of2")
    monkeypatch.setenv("SV_FORCE", "1")
    assert run(step(source, out))
    assert capsys.readouterr().out == "copy out: runs again (--force)\n"
    assert not step(source, out).job_holds("1of2")


def test_a_dry_run_says_what_would_run_and_changes_nothing(source, out, capsys, monkeypatch, tmp_path):
    run(step(source, out))
    before = sorted((p, p.stat().st_mtime_ns) for p in out.rglob("*"))
    (tmp_path / "dry").mkdir()
    monkeypatch.setenv("SV_DRY_RUN", str(tmp_path / "dry"))
    third = Step("third", out / "b", inputs=[record_of("use", out / "a")])
    assert step(source, out).skip()
    assert step(source, out, version=2).skip()
    assert Step("use", out / "a", inputs=[record_of("copy", out)]).skip()
    assert third.skip()
    assert Step("other", tmp_path / "elsewhere", inputs=[source / "utt2spk"]).skip()
    assert capsys.readouterr().out.splitlines() == [
        "copy out: unchanged",
        "copy out: would run: its code has changed (version 2, was 1)",
        "use out/a: would run: after copy",
        "third out/b: would run: after use",
        f"other {tmp_path}/elsewhere: would run: not done yet",
    ]
    assert sorted((p, p.stat().st_mtime_ns) for p in out.rglob("*")) == before


def test_jobs_hold_for_the_same_inputs_and_whole_parts(source, out):
    this = step(source, out)
    this.begin()
    out.mkdir(exist_ok=True)
    part = out / "part.1"
    part.write_text("x")
    job_done("copy", out, this.key, "1of2", [part])
    assert step(source, out).job_holds("1of2")
    assert not step(source, out).job_holds("2of2")
    assert not step(source, out).job_holds("1of3")
    assert not step(source, out, version=2).job_holds("1of2")
    this.done([], ["1of2"])
    assert not run(step(source, out))  # its output is the part
    part.write_text("y")
    assert not step(source, out).job_holds("1of2")
    assert run(step(source, out))


def test_settings_can_be_asked_for(source, out):
    assert settings_of("copy", out) is None
    run(step(source, out))
    assert settings_of("copy", out) == SETTINGS


def test_a_moved_tree_keeps_its_records(source, out, tmp_path, monkeypatch):
    run(step(source, out))
    (tmp_path / "moved").mkdir()
    os.rename(source, tmp_path / "moved" / "in put")
    os.rename(out, tmp_path / "moved" / "out")
    monkeypatch.chdir(tmp_path / "moved")
    assert not run(step(source, out))


def test_a_record_holds_while_its_inputs_are_as_they_were(source, out, tmp_path):
    """Not before there is one, nor when an input is another; one that another step is making is told."""
    record, after = record_of("copy", out), record_of("after", tmp_path / "last")
    assert not holds(record)
    assert run(step(source, out))
    os.utime(source / "utt2spk", (1, 1))
    assert holds(record)
    last = Step("after", tmp_path / "last", inputs=[record])
    last.begin()
    assert not holds(after)
    last.done([])
    assert holds(after)
    step(source, out).begin()
    assert not holds(record)
    with pytest.raises(DataError, match="copy was begun and has not ended"):
        holds(after)
    assert run(step(source, out))
    (source / "utt2spk").write_text("b s\n")
    assert not holds(record)


def test_an_output_in_json_is_told_by_its_whole_name(source, out, capsys):
    """As no record is, which is told by its step's."""
    this = Step("learn", out, inputs=[source / "utt2spk"])
    this.begin()
    (out / "plda.json").write_text("{}\n")
    this.done([out / "plda.json"])
    (out / "plda.json").unlink()
    assert not Step("learn", out, inputs=[source / "utt2spk"]).skip()
    assert capsys.readouterr().out == "learn out: runs again (out/plda.json is missing)\n"
