"""`local/prepare_sre04_to_06.py`, `prepare_sre08.py` and `prepare_sre10.py` on small trees written by hand."""

import numpy as np
import pytest
from audio_files import mulaw_value
from data_dirs import write_lines
from ldc_trees import prepare, prepared, refused, write_sph

from sv.data.datadir import DataDir, Segment
from sv.data.tables import read_table
from sv.data.utterance_audio import UtteranceReader
from sv.data.validate import validate

LIST = [
    "1001 m sre2004 taaa A",
    "1002 f sre2004 taaa B",
    "1001 m sre2004 xbbb B",
    "1003 f sre2005 taaa A",
    "1004 f sre2004 gone A",
    "1005 m sre2004 mono A",
    "1006 m sre2004 mono B",
]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "LDC 2006"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def sre04(root):
    """Two discs, a mono file, a hidden file, an upper-case name; recordings of no known speaker."""
    write_sph(root / "r93_1_1/train/data/taaa.sph")
    write_sph(root / "r93_2_1/test/data/xbbb.SPH")
    write_sph(root / "r93_2_1/test/data/mono.sph", channels=1)
    write_sph(root / "r93_2_1/test/data/zzzz.sph")
    write_lines(root / "r93_2_1/test/data/._taaa.sph", "a note of a Mac")
    write_lines(root / "speaker_list", *LIST)
    return root


def run04(root, *more):
    return ["prepare_sre04_to_06", "--year", "2004", "--speakers", root, root, *more]


def sre08_tree(root, train):
    keys = root / "data/keys/NIST_SRE08_KEYS.v0.1"
    write_lines(
        keys / "model-keys/NIST_SRE08_short2.model.key",
        "modelid,gender,segment:channel,speaker",
        "10001,m,taab:a,104567",
        "10002,f,taac:b,104568",
        "10003,f,gone:a,104569",
    )
    write_lines(
        keys / "trial-keys/NIST_SRE08_short2-short3.trial.key",
        "modelid,segment,channel,type,language",
        "10001,fbbb,a,target,N",
        "10001,fccc,b,nontarget,N",
        "10002,fbbb,b,target,Y",
        "19999,fccc,a,target,Y",
    )
    write_sph(train / "data/short2/taab.sph")
    write_sph(train / "data/short2/taac.sph")
    write_sph(root / "data/short3/fbbb.sph")
    write_sph(root / "data/short3/fccc.sph")


def sre10_tree(root):
    write_lines(root / "keys/coreext.modelkey.csv", "20001,SPK01", "20002,NOT_SCORED", "20003,SPK02")
    write_lines(
        root / "train/coreext.trn",
        "20001 m data/core/tadd.sph:A",
        "20002 f data/core/taee.sph:B",
        "20003 f data/core/taff.sph:B",
        "20004 f data/core/tagg.sph:B",
    )
    write_lines(
        root / "keys/coreext-coreext.trialkey.csv",
        "20001,teee,a,target,4",
        "20003,teee,a,nontarget,4",
        "20002,teee,b,target,4",
        "20003,tfff,b,target,1",
    )
    for name in ("core/tadd", "core/taee", "core/taff", "core/tagg", "test/x/teee", "test/y/tfff"):
        write_sph(root / "data" / f"{name}.sph")


def test_sides_with_a_known_speaker(sre04, out):
    """Ids, channels, speakers, genders, sessions; the year of the list decides; the set is valid, audio and all."""
    prepared(*run04(sre04, out))
    data = DataDir.read(out / "sre2004")
    assert data.utt2spk == {
        "1001-sre04-taaa-a": "1001",
        "1001-sre04-xbbb-b": "1001",
        "1002-sre04-taaa-b": "1002",
        "1005-sre04-mono-a": "1005",
    }
    assert data.segments == {
        "1001-sre04-taaa-a": Segment("sre04-taaa", 0, -1, 0),
        "1001-sre04-xbbb-b": Segment("sre04-xbbb", 0, -1, 1),
        "1002-sre04-taaa-b": Segment("sre04-taaa", 0, -1, 1),
        "1005-sre04-mono-a": Segment("sre04-mono", 0, -1, None),
    }
    assert data.wav["sre04-xbbb"] == f"{sre04}/r93_2_1/test/data/xbbb.SPH"
    assert data.tables["spk2gender"] == {"1001": "m", "1002": "f", "1005": "m"}
    assert data.tables["utt2sess"]["1001-sre04-taaa-a"] == data.tables["utt2sess"]["1002-sre04-taaa-b"] == "sre04-taaa"
    assert list(validate(out / "sre2004", audio=True, rate=8000)) == []


def test_a_side_is_read_from_its_channel(sre04, out):
    """Interleaved mu-law bytes 0 to 7: A has the even ones, B the odd ones, by G.711's definition."""
    prepared(*run04(sre04, out))
    with UtteranceReader(DataDir.read(out / "sre2004")) as reader:
        for utt, samples in (
            ("1001-sre04-taaa-a", [0, 2, 4, 6]),
            ("1002-sre04-taaa-b", [1, 3, 5, 7]),
            ("1005-sre04-mono-a", [0, 1, 2, 3]),
        ):
            wave_N, rate = reader.read(utt)
            assert rate == 8000
            np.testing.assert_array_equal(wave_N, [mulaw_value(byte) for byte in samples])


def test_pcm_and_converted_recordings(sre04, out):
    """16-bit SPHERE of two channels; a two-channel WAV under the old name: read by what is in the file."""
    from audio_files import wav_bytes

    samples = np.arange(8, dtype="<i2") * 100
    write_sph(sre04 / "r93_1_1/train/data/taaa.sph", coding="pcm", data=samples.tobytes())
    (sre04 / "r93_2_1/test/data/xbbb.SPH").write_bytes(wav_bytes(samples, 8000, channels=2))
    prepared(*run04(sre04, out))
    with UtteranceReader(DataDir.read(out / "sre2004")) as reader:
        np.testing.assert_array_equal(reader.read("1002-sre04-taaa-b")[0], samples[1::2])
        np.testing.assert_array_equal(reader.read("1001-sre04-xbbb-b")[0], samples[1::2])


def test_what_is_listed_and_cannot_be_used_is_left_out(sre04, out):
    """An absent recording, B of a mono one, a truncated one, a channel x; told in a line."""
    write_sph(sre04 / "r93_2_1/test/data/short.sph", data=bytes(3))
    write_lines(sre04 / "speaker_list", *LIST, "1007 f sre2004 short A", "1008 f sre2004 taaa x")
    said = prepared(*run04(sre04, out))
    dropped = read_table(out / "sre2004/dropped.txt")
    assert dropped == {
        "1004-sre04-gone-a": f"there is no recording gone below {sre04}",
        "1006-sre04-mono-b": "side b of mono is listed, and the recording has one channel",
        "1007-sre04-short-a": f"{sre04}/r93_2_1/test/data/short.sph: truncated, has 1 of 4 samples; get it again",
        "1008-sre04-taaa-x": "side x of taaa is neither A nor B",
    }
    assert f"{out}/sre2004: 4 utterances of 3 speakers\n" in said
    assert f"{out}/sre2004: 4 left out, see dropped.txt (first: 1004-sre04-gone-a: there is no recording gone" in said


def test_a_side_of_two_speakers_is_nobodys(sre04, out):
    """Left out for each of them; a line that comes twice is one utterance."""
    write_lines(sre04 / "speaker_list", *LIST, *LIST, "1009 f sre2004 taaa B")
    prepared(*run04(sre04, out))
    assert "1002" not in DataDir.read(out / "sre2004").spk2utt
    dropped = read_table(out / "sre2004/dropped.txt")
    reason = "side b of taaa is listed as two speakers', 1002 and 1009"
    assert (dropped["1002-sre04-taaa-b"], dropped["1009-sre04-taaa-b"]) == (reason, reason)


def test_a_name_that_is_there_twice(sre04, out):
    """The first in C order is taken, and that is said."""
    write_sph(sre04 / "r93_3_1/taaa.sph")
    said = prepared(*run04(sre04, out))
    assert DataDir.read(out / "sre2004").wav["sre04-taaa"] == f"{sre04}/r93_1_1/train/data/taaa.sph"
    assert (
        f"1 files have the name of another, which comes before and is taken (first: {sre04}/r93_3_1/taaa.sph)" in said
    )


def test_a_year_may_be_of_several_roots(sre04, out, tmp_path):
    """As 2005 and 2006 are; the list may lie elsewhere."""
    write_sph(tmp_path / "more/gone.sph")
    (sre04 / "speaker_list").rename(tmp_path / "list.txt")
    words = ["--year", "2004", "--speakers", tmp_path / "list.txt", sre04, tmp_path / "more", out]
    prepared("prepare_sre04_to_06", *words)
    assert DataDir.read(out / "sre2004").wav["sre04-gone"] == f"{tmp_path}/more/gone.sph"


def test_links_are_followed_and_loops_are_not(sre04, out, tmp_path):
    """A disc that is a link, and one that leads back to the root."""
    (sre04 / "r93_1_1").rename(tmp_path / "disc 1")
    (sre04 / "r93_1_1").symlink_to(tmp_path / "disc 1")
    (sre04 / "loop").symlink_to(sre04)
    prepared(*run04(sre04, out))
    assert DataDir.read(out / "sre2004").wav["sre04-taaa"] == f"{sre04}/r93_1_1/train/data/taaa.sph"


def test_an_unchanged_tree_is_not_prepared_again(sre04, out):
    """A recording of another size, or another list, makes the set anew; label and old notes follow."""
    prepared(*run04(sre04, out))
    assert prepared(*run04(sre04, out)) == f"prepare_sre04_to_06 {out}/sre2004: unchanged, skipped\n"
    write_sph(sre04 / "gone.sph")
    assert "runs again (the names and sizes of the recordings have changed)" in prepared(*run04(sre04, out))
    write_lines(sre04 / "speaker_list", *LIST[:-1])
    (sre04 / "SYNTHETIC.txt").write_text("made by a test\n")
    assert "speakers, synthetic speech\n" in prepared(*run04(sre04, out))
    assert (out / "sre2004/SYNTHETIC.txt").read_text() == "made by a test\n"
    assert not (out / "sre2004/dropped.txt").exists()


def test_mu_law_by_shorten_needs_sph2pipe(sre04, out, tmp_path):
    """Told before anything is written, for all recordings at once; with the program there it is prepared."""
    write_sph(sre04 / "r93_1_1/train/data/taaa.sph", coding="ulaw,embedded-shorten-v2.00", data=b"ajkg\2....")
    code, _, said = prepare(*run04(sre04, out), path=tmp_path)
    assert code == 1
    assert f"{sre04}: 1 of 4 recordings have a SPHERE coding such as 'ulaw,embedded-shorten-v2.00' (taaa)" in said
    assert "sph2pipe must be on PATH" in said
    assert not out.exists()
    program = tmp_path / "sph2pipe"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert prepare(*run04(sre04, out), path=tmp_path)[0] == 0


def test_two_genders_of_a_speaker(sre04, out):
    write_lines(sre04 / "speaker_list", *LIST, "1001 f sre2004 zzzz A")
    assert "1 speakers are listed as m and f (1001)" in prepared(*run04(sre04, out))
    assert DataDir.read(out / "sre2004").tables["spk2gender"]["1001"] == "m"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1001 m sre2004 taaa"], ":1: '1001 m sre2004 taaa' has 4 columns, expected speaker, gender, sre20YY"),
        ([LIST[0], "1001 x sre2004 taaa A"], ":2: gender 'x' is neither m nor f"),
        ([LIST[3]], "has no line of sre2004"),
        ([], "is empty; expected speaker, gender"),
        ([LIST[4]], "none of the recordings that the tables list can be used (first: 1004-sre04-gone-a: there is"),
    ],
)
def test_malformed_lists_are_named(sre04, out, lines, said):
    write_lines(sre04 / "speaker_list", *lines)
    assert said in refused(*run04(sre04, out), out=out)


def test_missing_things_are_named(sre04, out):
    (sre04 / "speaker_list").unlink()
    assert f"{sre04}/speaker_list is missing" in refused(*run04(sre04, out), out=out)
    said = refused(*run04(sre04, sre04 / "none", out), out=out)
    assert f"SRE 2004: {sre04}/none is not a folder; give its root" in said


def test_sre08(root, out, tmp_path):
    """Models' sides and target trials'; nothing of non-target trials or unknown models; what is absent is listed."""
    sre08_tree(root, tmp_path / "train")
    prepared("prepare_sre08", "--train", tmp_path / "train", root, out)
    data = DataDir.read(out / "sre08")
    assert data.utt2spk == {
        "104567-sre08-fbbb-a": "104567",
        "104567-sre08-taab-a": "104567",
        "104568-sre08-fbbb-b": "104568",
        "104568-sre08-taac-b": "104568",
    }
    assert data.segments["104568-sre08-taac-b"] == Segment("sre08-taac", 0, -1, 1)
    assert data.tables["spk2gender"] == {"104567": "m", "104568": "f"}
    assert list(read_table(out / "sre08/dropped.txt")) == ["104569-sre08-gone-a"]
    assert list(validate(out / "sre08", audio=True, rate=8000)) == []


def test_sre08_without_its_training_release(root, out, tmp_path):
    sre08_tree(root, tmp_path / "train")
    said = prepared("prepare_sre08", root, out)
    assert f"{out}/sre08: without the training release (--train), whose models' recordings are left out\n" in said
    assert DataDir.read(out / "sre08").utterances == ["104567-sre08-fbbb-a", "104568-sre08-fbbb-b"]


def test_sre08_missing_and_malformed_keys_are_named(root, out, tmp_path):
    sre08_tree(root, tmp_path / "train")
    key = root / "data/keys/NIST_SRE08_KEYS.v0.1/model-keys/NIST_SRE08_short2.model.key"
    write_lines(key, "10001,m,taab:a,104567", "10002,f,taac,104568")
    assert f"{key}:2: '10002,f,taac,104568' is not 'model,m|f,segment:channel" in refused(
        "prepare_sre08", root, out, out=out
    )
    key.unlink()
    assert f"{key} is missing" in refused("prepare_sre08", root, out, out=out)


@pytest.mark.parametrize("below", ["", "eval"])
def test_sre10(root, out, below):
    """Speakers of models; NOT_SCORED ones and models without a speaker are listed, their target trials are not used."""
    sre10_tree(root / below)
    prepared("prepare_sre10", root, out)
    data = DataDir.read(out / "sre10")
    assert data.utt2spk == {
        "SPK01-sre10-tadd-a": "SPK01",
        "SPK01-sre10-teee-a": "SPK01",
        "SPK02-sre10-taff-b": "SPK02",
        "SPK02-sre10-tfff-b": "SPK02",
    }
    assert data.segments["SPK02-sre10-tfff-b"] == Segment("sre10-tfff", 0, -1, 1)
    assert data.tables["spk2gender"] == {"SPK01": "m", "SPK02": "f"}
    assert read_table(out / "sre10/dropped.txt") == {
        "sre10-taee-b": "its model 20002 is NOT_SCORED: its speaker is not known",
        "sre10-tagg-b": "its model 20004 is not in the model key",
    }
    assert list(validate(out / "sre10", audio=True, rate=8000)) == []


def test_sre10_missing_and_malformed_tables_are_named(root, out):
    sre10_tree(root)
    write_lines(root / "train/coreext.trn", "20001 m data/core/tadd.sph")
    said = refused("prepare_sre10", root, out, out=out)
    assert f"{root}/train/coreext.trn:1: 20001 m 'data/core/tadd.sph' is not 'model m|f path:channel'" in said
    (root / "train/coreext.trn").unlink()
    assert f"{root}/train/coreext.trn is missing" in refused("prepare_sre10", root, out, out=out)
    (root / "keys").rename(root / "elsewhere")
    assert f"SRE 2010: {root}/keys is missing (nor {root}/eval/keys)" in refused("prepare_sre10", root, out, out=out)
