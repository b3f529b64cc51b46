"""`local/prepare_voxceleb1.py` on small trees written by hand."""

import pytest
import voxceleb_trees
from data_dirs import write_lines
from voxceleb_trees import ids, touch

from sv.data.datadir import DataDir
from sv.data.trials import Trials
from sv.data.validate import validate

DEV = [
    "id10001/1zcIwhmdeo4/00001",
    "id10001/1zcIwhmdeo4/00002",
    "id10001/-x_abcdefg-/00001",
    "id10002/_0-ABCdefg_/00007",
]
TEST = ["id10270/5r0dWxy17C8/00001", "id10270/-5r0dWxy17_/00002", "id10271/__________-/00001"]
LIST = [
    "1 id10270/5r0dWxy17C8/00001.wav id10270/-5r0dWxy17_/00002.wav",
    "0 id10270/5r0dWxy17C8/00001.wav id10271/__________-/00001.wav",
]
META = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
META += [f"{spk}\tA.B.\t{gender}\tUK\tdev" for spk, gender in (("id10001", "m"), ("id10002", "f"))]
META += [f"{spk}\tA.B.\t{gender}\tUK\ttest" for spk, gender in (("id10270", "m"), ("id10271", "f"))]


def split_tree(root, extension=".wav"):
    for part, files in (("dev", DEV), ("test", TEST)):
        for file in files:
            touch(root / part / "wav" / (file + extension))
    return root


def merged_tree(root):
    for file in DEV + TEST:
        touch(root / "wav" / (file + ".wav"))
    return root


def prepare(root, out, *options):
    return voxceleb_trees.prepare("prepare_voxceleb1", *options, root, out)


def refused(root, out, *options):
    """The command's one line; nothing but that line, and nothing written."""
    code, stdout, stderr = prepare(root, out, *options)
    assert code == 1
    assert stderr.startswith("prepare_voxceleb1: ")
    assert stderr.count("\n") == 1
    assert not stdout
    assert not out.exists()
    return stderr


@pytest.fixture
def root(tmp_path):
    return tmp_path / "Vox Celeb 1"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data"


@pytest.mark.parametrize("extension", [".wav", ".flac"])
def test_split_tree(root, out, extension):
    """Sets, ids, speakers, sessions and absolute paths; both sets are valid and share no speaker."""
    write_lines(split_tree(root, extension) / "veri_test.txt", *LIST)
    code, _, stderr = prepare(root, out)
    assert (code, stderr) == (0, "")
    for name, files, part in (("vox1_dev", DEV, "dev"), ("vox1_test", TEST, "test")):
        data = DataDir.read(out / name)
        assert data.utterances == ids(files)
        for file in files:
            utt = file.replace("/", "-")
            assert data.utt2spk[utt] == file[:7]
            assert data.wav[utt] == f"{root}/{part}/wav/{file}{extension}"
            assert data.tables["utt2sess"][utt] == utt[:-6]
        assert "spk2gender" not in data.tables
    assert list(validate(out / "vox1_test", disjoint_from=[out / "vox1_dev"])) == []
    assert list(validate(out / "vox1_dev")) == []


def test_trials_name_utterances(root, out):
    """Published form to ours, in its order; extensions do not matter."""
    write_lines(split_tree(root) / "veri_test2.txt", LIST[0].replace(".wav", ".flac"), LIST[1])
    prepare(root, out)
    trials = Trials.read(out / "vox1_test/trials_vox1_o_cleaned_other")
    assert trials.enrol == ["id10270-5r0dWxy17C8-00001"] * 2
    assert trials.test == ["id10270--5r0dWxy17_-00002", "id10271-__________--00001"]
    assert trials.is_target.tolist() == [True, False]


def test_merged_tree_is_split_by_the_meta_file(root, out):
    """Test speakers as vox1_meta.csv says, even one that no list names; gender comes with it."""
    write_lines(merged_tree(root) / "veri_test.txt", LIST[0])
    write_lines(root / "vox1_meta.csv", *META)
    assert prepare(root, out)[0] == 0
    assert DataDir.read(out / "vox1_test").utterances == ids(TEST)
    dev = DataDir.read(out / "vox1_dev")
    assert dev.utterances == ids(DEV)
    assert dev.tables["spk2gender"] == {"id10001": "m", "id10002": "f"}


def test_merged_tree_is_split_by_the_list_without_a_meta_file(root, out):
    write_lines(merged_tree(root) / "veri_test.txt", *LIST)
    assert prepare(root, out)[0] == 0
    assert DataDir.read(out / "vox1_test").utterances == ids(TEST)
    assert DataDir.read(out / "vox1_dev").utterances == ids(DEV)


def test_lists_are_found_by_their_published_names(root, out):
    """Both cleaned names are one list; E and H are left out with a line each."""
    split_tree(root)
    for name in (
        "veri_test.txt",
        "voxceleb1_test_v2.txt",
        "veri_test2.txt",
        "list_test_all2.txt",
        "list_test_hard.txt",
    ):
        write_lines(root / name, *LIST)
    code, stdout, _ = prepare(root, out)
    assert code == 0
    names = sorted(path.name for path in (out / "vox1_test").glob("trials*"))
    assert names == ["trials_vox1_o_cleaned_other", "trials_vox1_o_other"]
    for left_out in ("list_test_all2.txt", "list_test_hard.txt"):
        assert f"{root}/{left_out}: left out, as it draws on speakers" in stdout


def test_lists_may_be_given(root, out, tmp_path):
    """Below the root or anywhere; the published ones are then not taken; those of an earlier run go."""
    split_tree(root)
    for path in (root / "veri_test.txt", root / "lists" / "mine.txt", tmp_path / "other.txt"):
        write_lines(path, *LIST)
    prepare(root, out)
    assert prepare(root, out, "--trials", "a=lists/mine.txt", "--trials", f"b_2={tmp_path}/other.txt")[0] == 0
    assert sorted(path.name for path in (out / "vox1_test").glob("trials*")) == ["trials_a", "trials_b_2"]


def test_counts_are_told(root, out):
    """Of sets and lists, with the official numbers where they differ."""
    write_lines(split_tree(root) / "veri_test.txt", *LIST)
    _, stdout, _ = prepare(root, out)
    assert stdout.splitlines() == [
        f"{out}/vox1_dev: 4 utterances of 2 speakers (VoxCeleb1 has 148642 of 1211)",
        f"{out}/vox1_test: 3 utterances of 2 speakers (VoxCeleb1 has 4874 of 40)",
        f"{out}/vox1_test/trials_vox1_o_other: 2 trials (1 target) on 3 utterances;"
        " the published vox1_o has 37720: this is another list, so it has another name",
    ]


def test_a_list_as_long_as_the_published_one_has_its_name(root, out):
    """37,720 lines; one less is another list, found by name or given by it."""
    split_tree(root)
    for lines, name in ((37_720, "vox1_o"), (37_719, "vox1_o_other")):
        write_lines(root / "veri_test.txt", *(LIST * 18_860)[:lines])
        for sets, options in ((out / "found", []), (out / "given", ["--trials", "vox1_o=veri_test.txt"])):
            code, stdout, _ = prepare(root, sets, *options)
            assert (code, "another list" in stdout) == (0, name != "vox1_o")
            assert [path.name for path in (sets / "vox1_test").glob("trials*")] == [f"trials_{name}"]


def test_an_unchanged_tree_is_not_prepared_again(root, out):
    """A recording more, or another list, makes the sets anew."""
    split_tree(root)
    write_lines(root / "veri_test.txt", *LIST)
    prepare(root, out)
    assert prepare(root, out)[1] == f"prepare_voxceleb1 {out}: unchanged, skipped\n"
    (root / "dev/wav" / DEV[0]).with_name("99999.wav").touch()
    assert "runs again (the names of the recordings have changed)" in prepare(root, out)[1]
    write_lines(root / "veri_test.txt", *LIST[:-1])
    assert "veri_test.txt has changed)" in prepare(root, out)[1]


def test_two_lists_of_one_name_are_refused(root, out):
    """vox1_o gets its new name where somebody has given it to another."""
    write_lines(split_tree(root) / "mine.txt", *LIST)
    said = refused(root, out, "--trials", "vox1_o=mine.txt", "--trials", "vox1_o_other=mine.txt")
    assert "vox1_o, vox1_o_other would be called the same; give one another name" in said


def test_synthetic_speech_stays_labelled(root, out):
    """The generator's label goes into both sets and is told; without it, on a rerun, neither has it."""
    write_lines(split_tree(root) / "veri_test.txt", *LIST)
    (root / "SYNTHETIC.txt").write_text("made by a test\n")
    _, stdout, _ = prepare(root, out)
    assert "3 utterances of 2 speakers (VoxCeleb1 has 4874 of 40), synthetic speech\n" in stdout
    for name in ("vox1_dev", "vox1_test"):
        assert (out / name / "SYNTHETIC.txt").read_text() == "made by a test\n"
    (root / "SYNTHETIC.txt").unlink()
    prepare(root, out)
    assert not list(out.glob("*/SYNTHETIC.txt"))


def test_notes_of_a_mac_are_no_recordings(root, out):
    """`._00001.wav` beside 00001.wav, and other files."""
    write_lines(split_tree(root) / "veri_test.txt", *LIST)
    for name in ("._00001.wav", ".DS_Store", "00001.txt"):
        touch(root / "dev/wav/id10001/1zcIwhmdeo4" / name)
    prepare(root, out)
    assert DataDir.read(out / "vox1_dev").utterances == ids(DEV)


def test_a_rerun_leaves_nothing_of_the_first(root, out):
    """Genders and a speaker that are no longer there."""
    write_lines(split_tree(root) / "veri_test.txt", *LIST)
    write_lines(root / "vox1_meta.csv", *META)
    prepare(root, out)
    (root / "vox1_meta.csv").unlink()
    (root / "dev/wav" / (DEV[3] + ".wav")).unlink()
    prepare(root, out)
    data = DataDir.read(out / "vox1_dev")
    assert data.utterances == ids(DEV[:3])
    assert "spk2gender" not in data.tables


def test_a_missing_root_is_named(root, out):
    said = refused(root, out)
    assert f"{root} is not a folder; give its root, the folder that holds dev/ and test/ (or wav/)" in said


def test_a_tree_of_another_form_is_named(root, out):
    """dev/ without test/."""
    touch(root / "dev/wav" / (DEV[0] + ".wav"))
    write_lines(root / "veri_test.txt", *LIST)
    assert f"{root}: neither dev/wav and test/wav nor wav/ is there" in refused(root, out)


def test_an_empty_part_is_named(root, out):
    write_lines(split_tree(root, ".m4a") / "veri_test.txt", *LIST)
    assert f"{root}: the development part holds no .wav or .flac file" in refused(root, out)


def test_no_list_is_an_error_that_says_which_names_are_known(root, out):
    said = refused(split_tree(root), out)
    assert f"{root}: no trial list; put one of veri_test.txt, veri_test2.txt" in said
    assert "--trials NAME=FILE" in said


def test_a_given_list_that_is_not_there_is_named(root, out):
    assert f"{root}/none.txt is missing" in refused(split_tree(root), out, "--trials", "a=none.txt")


@pytest.mark.parametrize("option", ["veri_test.txt", "=veri_test.txt", "a b=veri_test.txt", "a/b=veri_test.txt"])
def test_a_list_without_a_name_is_refused(root, out, option):
    assert "expected NAME=FILE" in refused(split_tree(root), out, "--trials", option)


def test_a_list_that_names_a_missing_file_is_an_error_before_anything_is_written(root, out):
    write_lines(split_tree(root) / "veri_test.txt", *LIST, "0 id10270/5r0dWxy17C8/00001.wav id10271/gone/00009.wav")
    said = refused(root, out)
    assert f"{root}/veri_test.txt: 1 of 3 trials name a test utterance without a recording below {root}" in said
    assert "(first: id10271-gone-00009)" in said


def test_an_utterance_as_wav_and_flac_is_an_error(root, out):
    write_lines(split_tree(root) / "veri_test.txt", *LIST)
    touch(root / "dev/wav" / (DEV[0] + ".flac"))
    assert "1 utterances are there as .wav and as .flac: id10001-1zcIwhmdeo4-00001; keep one" in refused(root, out)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["id10270/a/1.wav id10270/a/2.wav"], ":1: 'id10270/a/1.wav id10270/a/2.wav' is not '1|0 FILE FILE'"),
        (["target a b"], ":1: 'target a b' is not"),
        ([LIST[0], "1 id10270/1.wav id10270/a/2.wav"], ":2: id10270/1.wav is not <speaker>/<video>/<n>.wav"),
        ([], "holds no trials"),
    ],
)
def test_malformed_lists_are_named(root, out, lines, said):
    write_lines(split_tree(root) / "veri_test.txt", *lines)
    assert f"{root}/veri_test.txt" in (message := refused(root, out))
    assert said in message


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["VoxCeleb1 ID,Gender,Set"], "column 'VoxCeleb1 ID' is missing; expected tab-separated"),
        ([*META, "id10272\tA.B."], "'id10272 A.B.' has 2 columns, the header 5"),
        ([], "is empty; expected a header"),
    ],
)
def test_malformed_meta_files_are_named(root, out, lines, said):
    write_lines(merged_tree(root) / "veri_test.txt", *LIST)
    write_lines(root / "vox1_meta.csv", *lines)
    assert said in refused(root, out)
