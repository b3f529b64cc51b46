"""The line below run.sh's that says what a run is doing."""

import os

from sv import status


def test_line_is_put_below_the_two_of_run_sh_and_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a place" / "status"
    path.parent.mkdir()
    path.write_text("recipe mini, process 1\nstage 4 since now\n")
    monkeypatch.setenv("SV_STATUS", str(path))
    for line in ("train x  step 1/5", "train x  step 2/5"):
        status.report(line)
    *head, last = path.read_text().splitlines()
    assert head == ["recipe mini, process 1", "stage 4 since now"]
    assert last.endswith("  train x  step 2/5")


def test_without_run_sh_and_without_a_place_nothing_happens(tmp_path, monkeypatch):
    monkeypatch.delenv("SV_STATUS", raising=False)
    status.report("x")
    monkeypatch.setenv("SV_STATUS", os.devnull + "/no/such/place")
    status.report("x")
    assert list(tmp_path.iterdir()) == []
