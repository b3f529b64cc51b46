"""`local/prepare_switchboard.py` on small trees written by hand, one a part."""

import pytest
from data_dirs import write_lines
from ldc_trees import prepared, refused, write_sph

from sv.data.datadir import DataDir, Segment
from sv.data.tables import read_table
from sv.data.validate import validate

# the table of each part, in the columns that it has there
CELLULAR = [
    "40001,5001,5002,M,F,more,columns",
    "40019,5001,5003,M,M,more,columns",
    "40030,5003,5001,M,M,more,columns",
    "40031,5003,5002,M,F,more,columns",
]
PHASE_1 = ["sw_10001.sph,960101,1001,1002,x,M,F,y", "sw_10002.sph,960102,1002,1003,x,F,M,y"]
PHASE_2 = ["970101,x,2001,2002,F,M", "970102,x,2002,2003,M,F"]
CALLS_2 = ["20001,ignored", "sw_20001,970101", "20002,ignored", "sw_20002,970102"]
PHASE_3 = ["30001,x,y,3001,3002,M,F", "30002,x,y,3002,3003,F,F"]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "Switch board"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data"


def record(root, *calls, folder="data"):
    for call in calls:
        write_sph(root / folder / f"sw_{call}.sph")


def test_cellular(root, out):
    """Both sides, genders in small letters, speakers sw_N; bad and absent calls are listed with both sides."""
    write_lines(root / "docs/swb_callstats.tbl", *CELLULAR)
    record(root, 40001, 40019, 40030, 40099)
    said = prepared("prepare_switchboard", "cellular1", root, out)
    data = DataDir.read(out / "swbd_cellular1_train")
    assert data.utt2spk == {
        "sw_5001-swbd_cellular1-sw_40001-a": "sw_5001",
        "sw_5001-swbd_cellular1-sw_40030-b": "sw_5001",
        "sw_5002-swbd_cellular1-sw_40001-b": "sw_5002",
        "sw_5003-swbd_cellular1-sw_40030-a": "sw_5003",
    }
    assert data.segments["sw_5001-swbd_cellular1-sw_40030-b"] == Segment("swbd_cellular1-sw_40030", 0, -1, 1)
    assert data.wav["swbd_cellular1-sw_40001"] == f"{root}/data/sw_40001.sph"
    assert data.tables["spk2gender"] == {"sw_5001": "m", "sw_5002": "f", "sw_5003": "m"}
    absent = f"there is no recording sw_40031 below {root}"
    assert read_table(out / "swbd_cellular1_train/dropped.txt") == {
        "sw_5001-swbd_cellular1-sw_40019-a": "call 40019 is known to be bad",
        "sw_5003-swbd_cellular1-sw_40019-b": "call 40019 is known to be bad",
        "sw_5002-swbd_cellular1-sw_40031-b": absent,
        "sw_5003-swbd_cellular1-sw_40031-a": absent,
    }
    assert "4 left out, see dropped.txt" in said
    assert list(validate(out / "swbd_cellular1_train", audio=True, rate=8000)) == []


@pytest.mark.parametrize("docs", ["docs", "doc"])
@pytest.mark.parametrize(
    ("part", "table", "lines", "calls", "expected"),
    [
        ("cellular2", "swb_callstats.tbl", CELLULAR[:1], [40001], ["sw_5001:40001-a:m", "sw_5002:40001-b:f"]),
        (
            "phase1",
            "callstat.tbl",
            PHASE_1,
            [10001, 10002],
            ["sw_1001:10001-a:m", "sw_1002:10001-b:f", "sw_1002:10002-a:f", "sw_1003:10002-b:m"],
        ),
        (
            "phase3",
            "callstat.tbl",
            PHASE_3,
            [30001, 30002],
            ["sw_3001:30001-a:m", "sw_3002:30001-b:f", "sw_3002:30002-a:f", "sw_3003:30002-b:f"],
        ),
    ],
)
def test_columns_of_each_part(root, out, docs, part, table, lines, calls, expected):
    """Speaker, call, side and gender; tables in docs/ or doc/, recordings anywhere."""
    write_lines(root / docs / table, *lines)
    record(root, *calls, folder="disc2/data")
    prepared("prepare_switchboard", part, root, out)
    name = f"swbd_{part}" if part.startswith("cell") else f"swbd2_{part}"
    assert_is(DataDir.read(out / f"{name}_train"), name, expected)


@pytest.mark.parametrize("docs", ["DISC1/doc", "docs"])
def test_phase_2_takes_calls_from_a_second_table(root, out, docs):
    write_lines(root / docs / "callstat.tbl", *PHASE_2)
    write_lines(root / docs / "callinfo.tbl", *CALLS_2)
    record(root, 20001, 20002, folder="DISC2/swb2")
    prepared("prepare_switchboard", "phase2", root, out)
    expected = ["sw_2001:20001-a:f", "sw_2002:20001-b:m", "sw_2002:20002-a:m", "sw_2003:20002-b:f"]
    assert_is(DataDir.read(out / "swbd2_phase2_train"), "swbd2_phase2", expected)


def assert_is(data, name, expected):
    """The set has these sides, as 'speaker:call-side:gender'."""
    expected = [text.split(":") for text in expected]
    assert data.utt2spk == {f"{speaker}-{name}-sw_{side}": speaker for speaker, side, _ in expected}
    assert data.tables["spk2gender"] == {speaker: gender for speaker, _, gender in expected}


@pytest.mark.parametrize(
    ("part", "lines", "said"),
    [
        ("phase3", ["30001,x,y,3001,3002,M"], "callstat.tbl:1: '30001,x,y,3001,3002,M' has 6 columns, expected call"),
        (
            "phase3",
            ["30001,x,y,3001,3002,M,F", "30002,x,y,3001,,M,F"],
            ":2: '30002,x,y,3001,,M,F' does not say speaker",
        ),
        ("phase3", ["30001,x,y,3001,3002,M,U"], "does not say speaker and gender (M or F) of side b"),
        ("phase2", PHASE_2, "callinfo.tbl: has 3 lines; expected two for each of"),
    ],
)
def test_malformed_tables_are_named(root, out, part, lines, said):
    write_lines(root / "docs/callstat.tbl", *lines)
    write_lines(root / "docs/callinfo.tbl", *CALLS_2[:3])
    assert said in refused("prepare_switchboard", part, root, out, out=out)


def test_missing_tables_are_named(root, out):
    root.mkdir()
    said = refused("prepare_switchboard", "phase1", root, out, out=out)
    assert (
        f"Switchboard-2 phase 1 (LDC98S75): {root}/docs/callstat.tbl is missing (nor {root}/doc/callstat.tbl)" in said
    )
    write_lines(root / "docs/callstat.tbl", *PHASE_2)
    assert "docs/callinfo.tbl is missing" in refused("prepare_switchboard", "phase2", root, out, out=out)
