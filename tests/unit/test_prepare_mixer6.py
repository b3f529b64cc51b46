"""`local/prepare_mixer6.py` on a small tree written by hand."""

import numpy as np
import pytest
import soundfile
from data_dirs import write_lines
from ldc_trees import prepared, refused, write_sph

from sv.data.datadir import DataDir, Segment
from sv.data.tables import read_table
from sv.data.utterance_audio import UtteranceReader
from sv.data.validate import validate

SESSIONS = ["20090728_143052_HRM_120291", "20090801_101010_LDC_120292"]
CALLS = [
    "call_id,date_time,lang,x,sid_a,b,c,d,e,f,g,h,sid_b,j",
    "101,20090714_134523,ENG,,120291,,,,,,,,120292,",
    "102,20090715_134523,ENG,,120292,,,,,,,,,",
    "103,20090716_134523,ENG,,120292,,,,,,,,120291,",
]
TIMES = [
    "session_id,rptq_bgn,rptq_end,intv_bgn,intv_end,rdtr_bgn,rdtr_end,call_bgn,call_end,call_type",
    f"{SESSIONS[0]},0,1,1,2,2,3,0.25,0.5,NML",
    f"{SESSIONS[1]},0,1,1,2,2,3,,,NML",
]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def root(tmp_path):
    """Three calls, one without its recording; two sessions, one without times, on channels 02 and 05."""
    speech = tmp_path / "Mixer 6/mx6_speech"
    write_lines(speech / "docs/mx6_calls.csv", *CALLS)
    write_lines(speech / "docs/mx6_ivcomponents.csv", *TIMES)
    subjects = "subjid,sex,city\n120291,M,Montr\u00e9al\n120292,F,Philadelphia\n"
    (speech / "docs/mx6_subjs.csv").write_bytes(subjects.encode("latin-1"))
    for call in (101, 102):
        write_sph(speech / f"data/ulaw_sphere/20090714_134523_{call}.sph")
    for session in SESSIONS:
        for channel in ("01", "02", "05"):
            path = speech / f"data/pcm_flac/CH{channel}/{session}_CH{channel}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.arange(16000, dtype=np.int16), 16000)
    return speech.parent


def test_calls_and_microphones(root, out):
    """Both sides of calls, parts of sessions; mics of one session are one session; a table in Latin-1 is read."""
    prepared("prepare_mixer6", root, out)
    data = DataDir.read(out / "mx6")
    assert data.utt2spk == {
        "120291-mx6-101-a": "120291",
        "120291-mx6-20090728_143052-02": "120291",
        "120291-mx6-20090728_143052-05": "120291",
        "120292-mx6-101-b": "120292",
        "120292-mx6-102-a": "120292",
    }
    assert data.segments["120292-mx6-101-b"] == Segment("mx6-101", 0, -1, 1)
    assert data.wav["mx6-101"] == f"{root}/mx6_speech/data/ulaw_sphere/20090714_134523_101.sph"
    recording = f"{SESSIONS[0]}_CH05"
    assert data.segments["120291-mx6-20090728_143052-05"] == Segment(f"mx6-{recording}", 0.25, 0.5, None)
    assert data.wav[f"mx6-{recording}"] == f"{root}/mx6_speech/data/pcm_flac/CH05/{recording}.flac"
    sessions = data.tables["utt2sess"]
    assert sessions["120291-mx6-20090728_143052-02"] == sessions["120291-mx6-20090728_143052-05"]
    assert data.tables["spk2gender"] == {"120291": "m", "120292": "f"}
    assert list(validate(out / "mx6", audio=True)) == []
    with UtteranceReader(data) as reader:
        wave_N, rate = reader.read("120291-mx6-20090728_143052-05")
    assert rate == 16000
    np.testing.assert_array_equal(wave_N, np.arange(4000, 8000))


def test_what_is_left_out_is_listed(root, out):
    prepared("prepare_mixer6", root, out)
    absent = (
        f"there is no recording 103 below {root}/mx6_speech/data/ulaw_sphere or {root}/mx6_speech/data/pcm_flac/CH02"
    )
    times = "mx6_ivcomponents.csv has no start and end of the session's part (columns 7 and 8)"
    assert read_table(out / "mx6/dropped.txt") == {
        "120291-mx6-103-b": absent,
        "120292-mx6-103-a": absent,
        "mx6-102-b": "mx6_calls.csv names no subject on side b",
        "120292-mx6-20090801_101010-02": times,
        "120292-mx6-20090801_101010-05": times,
    }


def test_of_far_microphones_a_draw_is_taken(root, out, monkeypatch):
    """All of channel 02 and as many of the others as asked for; 03 and 14 never."""
    import sys

    from kaldi_files import ROOT

    monkeypatch.syspath_prepend(ROOT / "local")
    sys.modules.pop("prepare_mixer6", None)
    import prepare_mixer6

    sessions = [f"20090728_1430{n:02d}_HRM_120291" for n in range(6)]
    write_lines(root / "mx6_speech/docs/mx6_ivcomponents.csv", *(f"{s},,,,,,,0.1,0.2" for s in sessions))
    for session in sessions:
        for channel in ("02", "03", "04", "13", "14"):
            path = root / f"mx6_speech/data/pcm_flac/CH{channel}/{session}_CH{channel}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.zeros(4000, np.int16), 16000)
    monkeypatch.setattr(prepare_mixer6, "NUM_FAR", 7)
    prepare_mixer6.prepare(root, out / "mx6")
    channels = [utt[-2:] for utt in DataDir.read(out / "mx6").utterances if "2009" in utt]
    assert channels.count("02") == 6
    assert len(channels) == 13
    assert set(channels) == {"02", "04", "13"}


@pytest.mark.parametrize(
    ("gone", "said", "left"),
    [
        ("pcm_flac", "without microphones, as", ["101-a", "101-b", "102-a"]),
        ("ulaw_sphere", "without telephone calls, as", ["20090728_143052-02", "20090728_143052-05"]),
    ],
)
def test_either_half_may_be_absent(root, out, gone, said, left):
    """With a line that says so; its table need not be there either."""
    (root / "mx6_speech/data" / gone).rename(root / "elsewhere")
    table = "mx6_ivcomponents.csv" if gone == "pcm_flac" else "mx6_calls.csv"
    (root / "mx6_speech/docs" / table).unlink()
    assert f"{out}/mx6: {said} {root}/mx6_speech/data/{gone} holds n" in prepared("prepare_mixer6", root, out)
    assert sorted(utt.partition("-mx6-")[2] for utt in DataDir.read(out / "mx6").utterances) == left


def test_a_subject_without_a_gender(root, out):
    """No spk2gender, as a part of one is none; told in a line."""
    write_lines(root / "mx6_speech/docs/mx6_subjs.csv", "subjid,sex,city", "120291,M,Philadelphia")
    said = prepared("prepare_mixer6", root, out)
    assert f"{out}/mx6: no spk2gender, as 1 speakers' is not known (120292)" in said
    assert "spk2gender" not in DataDir.read(out / "mx6").tables


def test_missing_and_malformed_tables_are_named(root, out):
    docs = root / "mx6_speech/docs"
    write_lines(docs / "mx6_ivcomponents.csv", TIMES[0], "HRM_120291,0,1,1,2,2,3,0.25,0.5")
    said = refused("prepare_mixer6", root, out, out=out)
    assert f"{docs}/mx6_ivcomponents.csv:2: session 'HRM_120291' is not DATE_TIME_ROOM_SUBJECT" in said
    write_lines(docs / "mx6_calls.csv", CALLS[0], "101,20090714_134523,ENG,,120291")
    assert f"{docs}/mx6_calls.csv:2: '101,20090714_134523,ENG,,120291' has 5 columns" in refused(
        "prepare_mixer6", root, out, out=out
    )
    (docs / "mx6_subjs.csv").unlink()
    assert f"{docs}/mx6_subjs.csv is missing" in refused("prepare_mixer6", root, out, out=out)
    docs.rename(root / "elsewhere")
    assert f"Mixer 6: {docs} is missing (nor {root}/docs)" in refused("prepare_mixer6", root, out, out=out)
