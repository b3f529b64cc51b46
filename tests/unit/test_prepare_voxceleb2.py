"""`local/prepare_voxceleb2.py` on small trees written by hand."""

import sys

import pytest
import voxceleb_trees
from data_dirs import write_lines
from kaldi_files import ROOT
from voxceleb_trees import ids, touch

from sv.data.datadir import DataDir
from sv.data.validate import validate
from sv.errors import DataError

DEV = [
    "id00012/21Uxsk56VDQ/00001",
    "id00012/21Uxsk56VDQ/00002",
    "id00012/-cd-efghijk/00001",
    "id00015/_0-ABCdefg_/00007",
]
TEST = ["id00017/01dfn2spqyE/00001", "id00017/01dfn2spqyE/00002"]
META = ["VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set "]  # as published, stray spaces and all
META += ["id00012 ,n000012 ,m ,dev", "id00015 ,n000015 ,f ,dev", "id00017 ,n000017 ,m ,test"]
WHOLE = "(VoxCeleb2 has 1092009 of 5994: this is a part of it)"


def write_tree(folder, files=DEV, extension=".m4a"):
    for file in files:
        touch(folder / (file + extension))


def prepare(*arguments):
    return voxceleb_trees.prepare("prepare_voxceleb2", *arguments)


def refused(*arguments):
    return voxceleb_trees.refused("prepare_voxceleb2", *arguments)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "Vox Celeb 2"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("place", "extension"),
    [("dev/aac", ".m4a"), ("dev/wav", ".wav"), ("dev/flac", ".flac"), ("dev/aac", ".wav"), ("dev", ".m4a")],
)
def test_a_development_part(root, out, place, extension):
    """Ids, speakers, sessions and absolute paths; also converted beside the originals' place, or without a folder of
    the coding. The test part and what a merged tree would be are left out, and a line says so."""
    write_tree(root / place, extension=extension)
    write_tree(root / "test/aac", TEST)
    write_tree(root / "wav", TEST, ".wav")
    code, stdout, stderr = prepare(root, out)
    assert (code, stderr) == (0, "")
    assert stdout.splitlines() == [
        f"{root}/test: left out, as nothing is trained on the test part"
        " (VoxCeleb2 has 36237 utterances of 118 speakers there)",
        f"{root}/wav: left out, as {root}/dev is the development part",
        f"{out}/vox2_dev: 4 utterances of 2 speakers {WHOLE}",
    ]
    data = DataDir.read(out / "vox2_dev")
    assert data.utterances == ids(DEV)
    for file in DEV:
        utt = file.replace("/", "-")
        assert data.utt2spk[utt] == file[:7]
        assert data.wav[utt] == f"{root}/{place}/{file}{extension}"
        assert data.tables["utt2sess"][utt] == utt[:-6]
    assert "spk2gender" not in data.tables
    assert list(validate(out / "vox2_dev")) == []


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_merged_tree_is_split_by_the_meta_file(root, out, separator):
    """Either separator; genders come with it."""
    write_tree(root / "aac", DEV + TEST)
    write_lines(root / "vox2_meta.csv", *(line.replace(",", separator) for line in META))
    code, stdout, _ = prepare(root, out)
    assert code == 0
    assert f"{root}: 2 utterances left out, as nothing is trained on the test part" in stdout
    data = DataDir.read(out / "vox2_dev")
    assert data.utterances == ids(DEV)
    assert data.tables["spk2gender"] == {"id00012": "m", "id00015": "f"}


def test_a_merged_tree_without_a_meta_file_is_refused(root, out):
    write_tree(root / "aac")
    assert f"{root}: there is no vox2_meta.csv, which says whose recordings" in refused(root, out)


def test_a_speaker_of_a_merged_tree_whom_the_meta_file_does_not_know_is_named(root, out):
    write_tree(root / "aac")
    write_lines(root / "vox2_meta.csv", *META[:2])
    assert f"{root}/vox2_meta.csv: 1 speakers of the tree are not in it: id00015" in refused(root, out)


def test_an_utterance_in_two_codings_is_refused_unless_one_is_chosen(root, out, tmp_path):
    """m4a and, of one recording, a converted copy; beside it or in a folder of its own."""
    write_tree(root / "dev/aac")
    for place in ("dev/aac", "dev/wav"):
        touch(root / place / (DEV[0] + ".wav"))
        said = refused(root, out)
        assert "1 utterances are there as .m4a and as .wav: id00012-21Uxsk56VDQ-00001; keep one" in said
        assert said.endswith("keep one, or name the folder of one as the root, DIR/dev/wav\n")
        for audio, files in (("aac", DEV), ("wav", DEV[:1])):
            chosen = tmp_path / place / audio
            assert prepare("--audio", audio, root, chosen)[0] == 0
            assert DataDir.read(chosen / "vox2_dev").utterances == ids(files)
        (root / place / (DEV[0] + ".wav")).unlink()


def test_one_of_two_folders_of_the_development_part_may_be_the_root(root, out):
    """The table and the label are still the corpus's; a recording of another coding beside it is not looked at."""
    write_tree(root / "dev/aac")
    write_tree(root / "dev/wav", DEV[:3], ".wav")
    write_lines(root / "vox2_meta.csv", *META)
    (root / "SYNTHETIC.txt").write_text("made by a test\n")
    assert prepare(root / "dev/wav", out)[1] == (
        f"{out}/vox2_dev: 3 utterances of 1 speakers {WHOLE}, synthetic speech\n"
    )
    data = DataDir.read(out / "vox2_dev")
    assert set(data.wav.values()) == {f"{root}/dev/wav/{file}.wav" for file in DEV[:3]}
    assert data.tables["spk2gender"] == {"id00012": "m"}


def test_an_utterance_in_two_places_is_refused(root, out):
    write_tree(root / "dev/aac")
    write_tree(root / "dev/wav", DEV[:1])
    assert "1 utterances are there in two places as .m4a: id00012-21Uxsk56VDQ-00001" in refused(root, out)


def test_codings_may_be_mixed_where_each_utterance_is_there_once(root, out):
    write_tree(root / "dev/aac", DEV[:1])
    write_tree(root / "dev/wav", DEV[1:], ".wav")
    assert prepare(root, out)[0] == 0
    assert DataDir.read(out / "vox2_dev").utterances == ids(DEV)


def test_an_unchanged_tree_is_not_prepared_again(root, out):
    """A recording more, or another choice of coding, makes the set anew, and leaves nothing of the old one."""
    write_tree(root / "dev/aac")
    write_lines(root / "vox2_meta.csv", *META)
    prepare(root, out)
    assert prepare(root, out)[1] == f"prepare_voxceleb2 {out}/vox2_dev: unchanged, skipped\n"
    (root / "dev/aac" / (DEV[0] + ".m4a")).with_name("99999.wav").touch()
    assert "runs again (the names of the recordings have changed)" in prepare(root, out)[1]
    (root / "vox2_meta.csv").unlink()
    assert "runs again (audio is " in prepare("--audio", "wav", root, out)[1]
    data = DataDir.read(out / "vox2_dev")
    assert data.utterances == ["id00012-21Uxsk56VDQ-99999"]
    assert "spk2gender" not in data.tables


def test_notes_of_a_mac_are_no_recordings(root, out):
    """`._00001.m4a` beside 00001.m4a, and other files."""
    write_tree(root / "dev/aac")
    for name in ("._00001.m4a", ".DS_Store", "00001.txt"):
        touch(root / "dev/aac/id00012/21Uxsk56VDQ" / name)
    prepare(root, out)
    assert DataDir.read(out / "vox2_dev").utterances == ids(DEV)


def test_synthetic_speech_stays_labelled(root, out):
    write_tree(root / "dev/aac")
    (root / "SYNTHETIC.txt").write_text("made by a test\n")
    assert prepare(root, out)[1].endswith(f" {WHOLE}, synthetic speech\n")
    assert (out / "vox2_dev/SYNTHETIC.txt").read_text() == "made by a test\n"


def test_more_than_the_corpus_has_is_an_error(root):
    """Of speakers and of utterances; as many as published are right."""
    sys.path.insert(0, str(ROOT / "local"))
    from prepare_voxceleb2 import SPEAKERS, UTTERANCES, require_possible

    def data(speakers, utterances):
        return DataDir({f"{n % speakers}-{n}": str(n % speakers) for n in range(utterances)})

    assert (SPEAKERS, UTTERANCES) == (5_994, 1_092_009)
    require_possible(root, data(5_994, 1_092_009))
    for speakers, utterances, said in ((5_995, 6_000, "5995 speakers"), (7, 1_092_010, "1092010 utterances")):
        with pytest.raises(DataError, match=f"{said} in the development part, and VoxCeleb2's has "):
            require_possible(root, data(speakers, utterances))


def test_a_missing_root_is_named(root, out):
    assert f"{root} is not a folder; give its root, the folder that holds dev/ (or aac/)" in refused(root, out)


def test_a_tree_of_another_form_is_named(root, out):
    write_tree(root / "test/aac", TEST)
    assert f"{root}: neither dev/ nor aac/, wav/ or flac/ is there" in refused(root, out)


def test_an_empty_part_is_named(root, out):
    """Without any recording, or without one of the coding that was chosen."""
    write_tree(root / "dev/aac", extension=".mp4")
    assert f"{root}: the development part holds no .m4a, .wav, .flac file" in refused(root, out)
    write_tree(root / "dev/aac")
    assert f"{root}: the development part holds no .flac file" in refused("--audio", "flac", root, out)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([META[0].replace("Set", "Part")], "column 'Set' is missing; expected comma-separated or tab-separated"),
        ([*META, "id00018 ,n000018"], "'id00018 n000018' has 2 columns, the header 4"),
        ([*META, "id00018 ,n000018 ,m ,train"], "the Set of id00018 is 'train', not dev or test"),
        ([], "is empty; expected a header"),
    ],
)
def test_malformed_meta_files_are_named(root, out, lines, said):
    write_tree(root / "aac")
    write_lines(root / "vox2_meta.csv", *lines)
    assert said in (message := refused(root, out))
    assert f"{root}/vox2_meta.csv" in message
