"""`local/prepare_sre16.py` on small trees written by hand."""

import os

import numpy as np
import pytest
from audio_files import mulaw_value
from data_dirs import write_lines
from ldc_trees import prepared, refused, write_sph

from sv.data.datadir import DataDir, Segment
from sv.data.partitions import read_partitions
from sv.data.tables import read_table
from sv.data.trials import Trials
from sv.data.utterance_audio import UtteranceReader
from sv.data.validate import validate

# 1001 has three segments, 1002 and 1003 one; 1001 and 1003 are one person, by target trials of tbb
ENROLMENT = ["modelid\tsegment\tside", "1001_sre16\teaa\ta", "1001_sre16\teab\ta", "1001_sre16\teac\ta"]
ENROLMENT += ["1002_sre16\tebb\tb", "1003_sre16\tecc\ta"]
KEY = ["modelid\tsegment\tside\ttargettype\tphone_num_match"]
KEY += [
    "1001_sre16\ttaa\ta\ttarget\tY",
    "1001_sre16\ttbb\ta\ttarget\tN",
    "1003_sre16\ttbb\ta\ttarget\tN",
    "1002_sre16\ttaa\ta\tnontarget\tN",
    "1002_sre16\ttcc\ta\ttarget\tN",
    "1001_sre16\ttdd\ta\tnontarget\tN",
]
SEGMENTS = ["segment\tcall_id\tx", "taa\t71\t1", "tbb\t72\t1", "tcc\t73\t1", "tdd\t73\t1"]
CALLS = ["call_id\tlanguage_id\tx", "71\ttgl\t1", "72\ttgl\t1", "73\tyue\t1", "81\ttgl\t1", "82\tyue\t1"]
ENROL_SEGMENTS = [
    "segment\tcall_id",
    *(f"{s}\t{c}" for s, c in zip(("eaa", "eab", "eac", "ebb", "ecc"), (81, 81, 81, 82, 81), strict=True)),
]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data"


def write_part(folder, part="eval", languages=("tgl", "yue")):
    def renamed(lines):
        return [
            line.replace("\ttgl\t", f"\t{languages[0]}\t").replace("\tyue\t", f"\t{languages[1]}\t") for line in lines
        ]

    write_lines(folder / f"docs/sre16_{part}_enrollment.tsv", *ENROLMENT)
    write_lines(folder / f"docs/sre16_{part}_trial_key.tsv", *KEY)
    write_lines(folder / f"docs/sre16_{part}_segment_key.tsv", *SEGMENTS)
    write_lines(folder / "metadata/calls.tsv", *renamed(CALLS))
    for segment in ("eaa", "eab", "eac", "ebb", "ecc"):
        write_sph(folder / f"data/enrollment/{segment}.sph", channels=2 if segment == "ebb" else 1)
    for segment in ("taa", "tbb", "tcc", "tdd"):
        write_sph(folder / f"data/test/{segment}.sph", channels=1)


def write_unlabelled(folder):
    for path in ("major/uaa", "major/ubb", "minor/ucc"):
        write_sph(folder / f"data/unlabeled/{path}.sph", channels=1)


@pytest.fixture
def root(tmp_path):
    """The evaluation alone."""
    write_part(tmp_path / "R149_0_1")
    return tmp_path / "R149_0_1"


def test_enrolment(root, out):
    """Models and their utterances; the side counts where there are two channels."""
    prepared("prepare_sre16", root, out)
    data = DataDir.read(out / "sre16_eval_enroll")
    assert data.utt2spk == {
        "1001_sre16-eaa": "1001_sre16",
        "1001_sre16-eab": "1001_sre16",
        "1001_sre16-eac": "1001_sre16",
        "1001_sre16-ecc": "1001_sre16",
        "1002_sre16-ebb": "1002_sre16",
    }
    assert read_table(out / "sre16_eval_enroll/models") == {
        "1001_sre16": "1001_sre16-eaa 1001_sre16-eab 1001_sre16-eac",
        "1002_sre16": "1002_sre16-ebb",
        "1003_sre16": "1001_sre16-ecc",
    }
    assert data.segments["1002_sre16-ebb"] == Segment("sre16-ebb", 0, -1, 1)
    assert data.segments["1001_sre16-eaa"] == Segment("sre16-eaa", 0, -1, None)
    with UtteranceReader(data) as reader:
        np.testing.assert_array_equal(reader.read("1002_sre16-ebb")[0], [mulaw_value(byte) for byte in (1, 3, 5, 7)])
    assert "utt2lang" not in data.tables
    assert list(validate(out / "sre16_eval_enroll", audio=True, rate=8000)) == []


def test_test_segments(root, out):
    """Speakers by target trials, nobody's are their own; calls and languages."""
    prepared("prepare_sre16", root, out)
    data = DataDir.read(out / "sre16_eval_test")
    assert data.utt2spk == {
        "1001_sre16-taa": "1001_sre16",
        "1001_sre16-tbb": "1001_sre16",
        "1002_sre16-tcc": "1002_sre16",
        "tdd": "tdd",
    }
    assert data.tables["utt2lang"] == dict(zip(data.utterances, ("tgl", "tgl", "yue", "yue"), strict=True))
    assert data.tables["utt2sess"] == dict(zip(data.utterances, ("71", "72", "73", "73"), strict=True))
    assert list(validate(out / "sre16_eval_test", True, 8000, enrol=out / "sre16_eval_enroll")) == []


def test_trials(root, out):
    """All and by language, in the key's order, with its labels."""
    said = prepared("prepare_sre16", root, out)
    assert f"{out}/sre16_eval_test/trials_pooled: 6 trials (4 target)\n" in said
    assert f"{out}/sre16_eval_enroll/models: 3 models, 1 of several segments\n" in said
    expected = {
        "pooled": [
            "1001_sre16 1001_sre16-taa target",
            "1001_sre16 1001_sre16-tbb target",
            "1003_sre16 1001_sre16-tbb target",
            "1002_sre16 1001_sre16-taa nontarget",
            "1002_sre16 1002_sre16-tcc target",
            "1001_sre16 tdd nontarget",
        ]
    }
    expected |= {"tgl": expected["pooled"][:4], "yue": expected["pooled"][4:]}
    for name, lines in expected.items():
        assert (out / f"sre16_eval_test/trials_{name}").read_text().splitlines() == lines
    assert sorted(path.name for path in out.rglob("trials*")) == ["trials_pooled", "trials_tgl", "trials_yue"]


# one non-target trial's phone is left empty, the other's is said to be the same
PARTS = ["modelid\tsegment\tside\ttargettype\tGender\tlanguage\tphone_num_match"]
PARTS += [
    "1001_sre16\ttaa\ta\ttarget\tmale\ttgl\tY",
    "1001_sre16\ttbb\ta\ttarget\tmale\ttgl\tN",
    "1003_sre16\ttbb\ta\ttarget\tmale\ttgl\tN",
    "1002_sre16\ttaa\ta\tnontarget\tmale\ttgl\t",
    "1002_sre16\ttcc\ta\ttarget\tfemale\tyue\tN",
    "1001_sre16\ttdd\ta\tnontarget\tfemale\tyue\tY",
]
CELLS = [
    "1001_sre16 1001_sre16-taa tgl-m-3-same",
    "1001_sre16 1001_sre16-tbb tgl-m-3-other",
    "1001_sre16 tdd -",
    "1002_sre16 1001_sre16-taa tgl-m-1",
    "1002_sre16 1002_sre16-tcc yue-f-1-other",
    "1003_sre16 1001_sre16-tbb tgl-m-1-other",
]


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 6, 5, 4)])
def test_partitions(root, out, order):
    """By the names of the key's columns, in whatever order; one file for all lists, each of which can be joined."""
    key = ["\t".join(line.split("\t")[n] for n in order) for line in PARTS]
    write_lines(root / "docs/sre16_eval_trial_key.tsv", *key)
    assert "no partitions" not in prepared("prepare_sre16", root, out)
    test = out / "sre16_eval_test"
    assert (test / "partitions").read_text().splitlines() == CELLS
    assert read_partitions(test / "partitions", Trials.read(test / "trials_yue")) == ["yue-f-1-other", "-"]
    assert list(validate(test, enrol=out / "sre16_eval_enroll")) == []
    assert "unchanged, skipped" in prepared("prepare_sre16", root, out)


def test_genders_and_phone_numbers_of_the_key(root, out):
    """Genders of both sets' speakers and of nobody's segments; phone numbers of target trials; gone with the key's."""
    write_lines(root / "docs/sre16_eval_trial_key.tsv", *PARTS)
    prepared("prepare_sre16", root, out)
    enrol, test = out / "sre16_eval_enroll", out / "sre16_eval_test"
    assert read_table(enrol / "spk2gender") == {"1001_sre16": "m", "1002_sre16": "f"}
    assert read_table(test / "spk2gender") == {"1001_sre16": "m", "1002_sre16": "f", "tdd": "f"}
    assert (test / "phone_numbers").read_text().splitlines() == [
        "1001_sre16 1001_sre16-taa same",
        "1001_sre16 1001_sre16-tbb other",
        "1002_sre16 1002_sre16-tcc other",
        "1003_sre16 1001_sre16-tbb other",
    ]
    for folder, options in ((enrol, {}), (test, {"enrol": enrol})):
        assert list(validate(folder, **options)) == []
    write_lines(root / "docs/sre16_eval_trial_key.tsv", *(line.rpartition("\t")[0] for line in KEY))
    prepared("prepare_sre16", root, out)
    assert not (test / "phone_numbers").exists()
    assert not (test / "spk2gender").exists()


@pytest.mark.parametrize(
    ("key", "lacks"),
    [
        (KEY, "no gender (m or f) of 1001_sre16 taa"),
        (KEY[1:], "no gender (m or f) of 1001_sre16 taa"),
        ([line.rpartition("\t")[0] for line in PARTS], "no phone_num_match (Y or N) of 1001_sre16 taa"),
        ([*PARTS[:5], PARTS[5].replace("\tN", "\t?"), PARTS[6]], "no phone_num_match (Y or N) of 1002_sre16 tcc"),
    ],
)
def test_a_key_that_does_not_tell_them_is_said(root, out, key, lacks):
    """The rest goes on, and partitions of an earlier key go."""
    write_lines(root / "docs/sre16_eval_trial_key.tsv", *PARTS)
    prepared("prepare_sre16", root, out)
    write_lines(root / "docs/sre16_eval_trial_key.tsv", *key)
    said = prepared("prepare_sre16", root, out)
    where = (
        f"{out}/sre16_eval_test: no partitions, so no equalised figures, as {root}/docs/sre16_eval_trial_key.tsv has"
    )
    assert f"{where} {lacks}\n" in said
    assert not (out / "sre16_eval_test/partitions").exists()
    assert len(Trials.read(out / "sre16_eval_test/trials_pooled")) == 6


def test_languages_of_enrolment_where_its_calls_are_known(root, out):
    write_lines(root / "docs/sre16_eval_enrollment_segment_key.tsv", *ENROL_SEGMENTS)
    prepared("prepare_sre16", root, out)
    tables = DataDir.read(out / "sre16_eval_enroll").tables
    assert tables["utt2lang"]["1002_sre16-ebb"] == "yue"
    assert tables["utt2sess"]["1001_sre16-eaa"] == tables["utt2sess"]["1001_sre16-eab"] == "81"


def test_absent_recordings_are_listed_and_their_trials_kept(root, out):
    """The list stays the published one; it is said how many of its trials lack a segment."""
    (root / "data/test/tbb.sph").unlink()
    (root / "data/enrollment/eab.sph").unlink()
    said = prepared("prepare_sre16", root, out)
    absent = f"there is no recording tbb below {root}/data/test"
    assert read_table(out / "sre16_eval_test/dropped.txt") == {"1001_sre16-tbb": absent}
    assert list(read_table(out / "sre16_eval_enroll/dropped.txt")) == ["1001_sre16-eab"]
    assert "trials_pooled: 6 trials (4 target), 2 of them with a segment that is left out\n" in said
    assert "trials_yue: 2 trials (1 target)\n" in said
    assert len(Trials.read(out / "sre16_eval_test/trials_pooled")) == 6
    assert list(validate(out / "sre16_eval_test", enrol=out / "sre16_eval_enroll")) == []


def sphere(before, after):
    return lambda whole: whole.replace(before, after, 1)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda whole: whole[:-2], "truncated, has 2 of 4 samples; get it again"),
        (lambda whole: whole[:1024], "a header only, no samples"),
        (lambda whole: whole[:20], "damaged SPHERE header ("),
        (lambda whole: b"", "the file is empty (0 bytes)"),
        (lambda whole: b"<html>not found</html>", "cannot be decoded ("),
        (sphere(b"sample_count -i 4", b"sample_count -i x"), "damaged SPHERE header ("),
        (sphere(b"-s4 ulaw", b"-s4 mp99"), "cannot be decoded ("),
    ],
)
def test_broken_recordings_are_listed_with_the_reason(root, out, broken, reason):
    """Of enrolment and test alike; the program goes on, and what it wrote is valid."""
    for path in (root / "data/test/tbb.sph", root / "data/enrollment/ecc.sph"):
        path.write_bytes(broken(path.read_bytes()))
    said = prepared("prepare_sre16", root, out)
    for name, utt, path in (("test", "1001_sre16-tbb", "test/tbb"), ("enroll", "1001_sre16-ecc", "enrollment/ecc")):
        dropped = read_table(out / f"sre16_eval_{name}/dropped.txt")
        assert list(dropped) == [utt]
        assert dropped[utt].startswith(f"{root}/data/{path}.sph: {reason}")
        assert f"sre16_eval_{name}: 1 left out, see dropped.txt (first: {utt}: {dropped[utt]})\n" in said
    assert list(validate(out / "sre16_eval_test", True, 8000, enrol=out / "sre16_eval_enroll")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_recording_that_may_not_be_read_is_listed(root, out):
    (root / "data/test/tbb.sph").chmod(0)
    prepared("prepare_sre16", root, out)
    assert "ermission denied" in read_table(out / "sre16_eval_test/dropped.txt")["1001_sre16-tbb"]


def test_other_parts_may_be_absent(root, out):
    """A line for each."""
    said = prepared("prepare_sre16", root, out)
    no_table = f"no docs/sre16_dev_enrollment.tsv in {root} (nor below data/dev/R148_0_0)"
    assert f"{out}: no development sets, as there is {no_table}\n" in said
    for kind in ("major", "minor"):
        assert f"{out}: no sre16_{kind}, as there is no data/unlabeled/{kind} in {root}\n" in said
    assert sorted(path.name for path in out.iterdir() if path.name != ".done") == [
        "sre16_eval_enroll",
        "sre16_eval_test",
    ]


@pytest.mark.parametrize("release", ["2019", "2016"])
def test_development_and_unlabelled(root, out, tmp_path, release):
    """In the release of 2019 with the evaluation, or in their own; calls of nobody, minor languages apart."""
    if release == "2019":
        whole = tmp_path / "LDC2019S20"
        (whole / "data/eval").mkdir(parents=True)
        root.rename(whole / "data/eval/R149_0_1")
        dev, words = whole / "data/dev/R148_0_0", [whole]
    else:
        dev = tmp_path / "LDC2016E46"
        words = ["--dev", dev, root]
    write_part(dev, "dev", ("ceb", "cmn"))
    write_unlabelled(dev)
    prepared("prepare_sre16", *words, out)
    assert DataDir.read(out / "sre16_major").utt2spk == {"uaa": "uaa", "ubb": "ubb"}
    assert DataDir.read(out / "sre16_minor").utt2spk == {"ucc": "ucc"}
    assert list(validate(out / "sre16_major", audio=True, rate=8000)) == []
    names = sorted(path.name for path in (out / "sre16_dev_test").glob("trials*"))
    assert names == ["trials_ceb", "trials_cmn", "trials_dev"]
    evaluation, development = (DataDir.read(out / f"sre16_{part}_test") for part in ("eval", "dev"))
    assert len(evaluation) == len(development) == 4
    assert set(evaluation.utt2spk.values()).isdisjoint(set(development.utt2spk.values()) - {"tdd"})
    assert development.utt2spk["dev-1001_sre16-taa"] == "dev-1001_sre16"
    assert list(validate(out / "sre16_dev_test", True, 8000, enrol=out / "sre16_dev_enroll")) == []


def test_an_unchanged_tree_is_not_prepared_again(root, out):
    """A changed key makes the evaluation anew, and lists that it no longer has go; the label is carried."""
    write_unlabelled(root)
    prepared("prepare_sre16", root, out)
    said = prepared("prepare_sre16", root, out)
    assert f"prepare_sre16_eval {out}: unchanged, skipped\n" in said
    assert f"prepare_sre16_unlabelled {out}/sre16_major: unchanged, skipped\n" in said
    write_lines(root / "docs/sre16_eval_trial_key.tsv", *KEY[:5])
    (root / "SYNTHETIC.txt").write_text("made by a test\n")
    prepared("prepare_sre16", root, out)
    assert sorted(path.name for path in out.rglob("trials*")) == ["trials_pooled", "trials_tgl"]
    for name in ("sre16_eval_enroll", "sre16_eval_test", "sre16_major", "sre16_minor"):
        assert (out / name / "SYNTHETIC.txt").read_text() == "made by a test\n"


def test_models_that_share_an_enrolment_segment_are_one_speaker(root, out):
    write_lines(root / "docs/sre16_eval_enrollment.tsv", *ENROLMENT, "1000_sre16\tebb\tb")
    prepared("prepare_sre16", root, out)
    models = read_table(out / "sre16_eval_enroll/models")
    assert models["1000_sre16"] == models["1002_sre16"] == "1000_sre16-ebb"
    assert DataDir.read(out / "sre16_eval_test").utt2spk["1000_sre16-tcc"] == "1000_sre16"


def test_a_missing_evaluation_is_named(tmp_path, out):
    assert "SRE 2016: " in (said := refused("prepare_sre16", tmp_path / "none", out, out=out))
    assert "none is not a folder; give its root, the folder that holds data/ and docs/" in said
    said = refused("prepare_sre16", tmp_path, out, out=out)
    assert f"no docs/sre16_eval_enrollment.tsv in {tmp_path} (nor below data/eval/R149_0_1)" in said


@pytest.mark.parametrize(
    ("table", "lines", "said"),
    [
        ("docs/sre16_eval_trial_key.tsv", None, "docs/sre16_eval_trial_key.tsv"),
        ("docs/sre16_eval_segment_key.tsv", None, "docs/sre16_eval_segment_key.tsv"),
        ("metadata/calls.tsv", None, "metadata/calls.tsv"),
        ("docs/sre16_eval_trial_key.tsv", [*KEY, "1001_sre16\ttaa\ta\tmaybe"], ":8: 'maybe' is neither target nor"),
        ("docs/sre16_eval_trial_key.tsv", [*KEY, "1009_sre16\ttaa\ta\ttarget"], ":8: model 1009_sre16 is not in"),
        ("docs/sre16_eval_trial_key.tsv", [*KEY, "1001_sre16\ttaa"], "has 2 columns, expected modelid, segment, side"),
        (
            "docs/sre16_eval_trial_key.tsv",
            [*KEY, "1003_sre16\ttaa\ta\tnontarget"],
            "1003_sre16 taa is a nontarget trial, while target trials make both the same speaker, 1001_sre16",
        ),
        ("docs/sre16_eval_segment_key.tsv", SEGMENTS[:-1], "test segment tdd has no call with a language"),
        ("metadata/calls.tsv", [*CALLS, "73\teng\t1"], "test segment tcc is in 'eng'; expected tgl or yue"),
    ],
)
def test_missing_and_malformed_tables_are_named(root, out, table, lines, said):
    """Before anything is written, of the unlabelled recordings too."""
    write_unlabelled(root)
    (root / table).unlink()
    if lines is not None:
        write_lines(root / table, *lines)
    message = refused("prepare_sre16", root, out, out=out)
    assert (said if lines is not None else f"SRE 2016: there is no {root}/{said}\n") in message


def test_a_development_part_without_its_key_is_none(root, out, tmp_path):
    """The rest can do without."""
    write_part(tmp_path / "dev", "dev", ("ceb", "cmn"))
    write_unlabelled(tmp_path / "dev")
    (tmp_path / "dev/docs/sre16_dev_trial_key.tsv").unlink()
    said = prepared("prepare_sre16", "--dev", tmp_path / "dev", root, out)
    assert f"{out}: no development sets, as there is no {tmp_path}/dev/docs/sre16_dev_trial_key.tsv\n" in said
    assert not (out / "sre16_dev_test").exists()
    assert (out / "sre16_major/utt2spk").exists()
