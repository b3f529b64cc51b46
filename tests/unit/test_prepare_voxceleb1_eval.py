"""`local/prepare_voxceleb1_eval.py` on small trees written by hand, and the lists as published."""

import sys

import pytest
import voxceleb_trees
from data_dirs import write_lines
from kaldi_files import ROOT
from voxceleb_trees import ids, touch

from sv.data.datadir import DataDir
from sv.data.trials import Trials
from sv.data.validate import validate
from sv.systems.reading import find_systems, load_system

DEV = ["id10001/1zcIwhmdeo4/00001", "id10001/cd-bcdefghi/00001", "id10002/_0-ABCdefg_/00007"]
TEST = ["id10270/5r0dWxy17C8/00001", "id10270/-5r0dWxy17_/00002"]
CD = ["id10001/000912", "id10270/000001"]
O = ["1 id10270/5r0dWxy17C8/00001.wav id10270/-5r0dWxy17_/00002.wav"]  # noqa: E741
E = ["0 id10001/cd-bcdefghi/00001.wav id10270/5r0dWxy17C8/00001.wav", *O]
VOXSRC = [
    "1 voxceleb1/id10001/1zcIwhmdeo4/00001.wav voxceleb1_cd/id10001/000912.wav",
    "0 voxceleb1_cd/id10270/000001.wav voxceleb1_cd/id10001/000912.wav",
]
META = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
META += [f"{spk}\tA.B.\t{gender}\tUK\tdev" for spk, gender in (("id10001", "m"), ("id10002", "f"), ("id10270", "f"))]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "Vox Celeb 1"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def cd(tmp_path):
    for file in CD:
        touch(tmp_path / "a cd" / "voxceleb1_cd" / (file + ".wav"))
    return tmp_path / "a cd"


def split_tree(root, extension=".wav"):
    for part, files in (("dev", DEV), ("test", TEST)):
        for file in files:
            touch(root / part / "wav" / (file + extension))
    return root


def prepare(*arguments):
    return voxceleb_trees.prepare("prepare_voxceleb1_eval", *arguments)


def refused(*arguments):
    return voxceleb_trees.refused("prepare_voxceleb1_eval", *arguments)


@pytest.mark.parametrize("extension", [".wav", ".flac"])
def test_the_set_holds_what_lists_name(root, out, extension):
    """Of both parts, and nothing else, which is told."""
    write_lines(split_tree(root, extension) / "list_test_all2.txt", *E)
    code, stdout, stderr = prepare(root, out)
    assert (code, stderr) == (0, "")
    data = DataDir.read(out / "vox1_eval")
    assert data.utterances == ids([DEV[1], *TEST])
    assert data.wav["id10001-cd-bcdefghi-00001"] == f"{root}/dev/wav/{DEV[1]}{extension}"
    assert data.tables["utt2sess"]["id10001-cd-bcdefghi-00001"] == "id10001-cd-bcdefghi"
    assert stdout.splitlines()[0] == f"{out}/vox1_eval: 3 utterances of 2 speakers, those that lists name of 5 of 3"
    trials = Trials.read(out / "vox1_eval/trials_vox1_e_cleaned_other")
    assert trials.pairs()[0] == ("id10001-cd-bcdefghi-00001", "id10270-5r0dWxy17C8-00001")
    assert trials.is_target.tolist() == [False, True]
    assert list(validate(out / "vox1_eval")) == []


def test_parts_may_lack_that_no_list_names(root, out):
    """A merged tree, and a test part alone."""
    for file in TEST:
        touch(root / "merged/wav" / (file + ".wav"))
        touch(root / "test/wav" / (file + ".wav"))
    for tree, place in ((root / "merged", "wav"), (root, "test/wav")):
        write_lines(tree / "veri_test2.txt", *O)
        assert prepare(tree, out)[0] == 0
        assert set(DataDir.read(out / "vox1_eval").wav.values()) == {f"{tree}/{place}/{file}.wav" for file in TEST}


def test_every_published_list_is_found(root, out, cd):
    """By its name, below either root; a list found in both is that of VoxCeleb1's."""
    lists = ("veri_test", "voxceleb1_test_v2", "list_test_all", "list_test_all2", "list_test_hard", "list_test_hard2")
    for name in lists:
        write_lines(split_tree(root) / f"{name}.txt", *E)
    write_lines(cd / "list_test_all.txt", *O)
    write_lines(cd / "voxsrc2020_val.txt", *VOXSRC)
    assert prepare("--cd", cd, root, out)[0] == 0
    names = ["vox1_e", "vox1_e_cleaned", "vox1_h", "vox1_h_cleaned", "vox1_o", "vox1_o_cleaned", "voxsrc2020_val"]
    assert {path.name for path in (out / "vox1_eval").glob("trials_*")} == {f"trials_{name}_other" for name in names}
    assert len(Trials.read(out / "vox1_eval/trials_vox1_e_other")) == len(E)


def test_voxsrc_s_list_draws_on_both_trees(root, out, cd):
    """Speakers of voxceleb1_cd are VoxCeleb1's; it tells no video, so that each recording is a session of its own."""
    write_lines(split_tree(root) / "voxsrc2020_val.txt", *VOXSRC)
    write_lines(root / "vox1_meta.csv", *META)
    for folder in (cd, cd / "voxceleb1_cd"):
        assert prepare("--cd", folder, root, out)[0] == 0
        data = DataDir.read(out / "vox1_eval")
        of_cd = {"id10001-cd-000912": "id10001", "id10270-cd-000001": "id10270"}
        assert data.utt2spk == of_cd | {"id10001-1zcIwhmdeo4-00001": "id10001"}
        assert data.wav["id10001-cd-000912"] == f"{cd}/voxceleb1_cd/id10001/000912.wav"
        assert data.tables["utt2sess"] == {utt: utt for utt in of_cd} | {
            "id10001-1zcIwhmdeo4-00001": "id10001-1zcIwhmdeo4"
        }
        assert data.tables["spk2gender"] == {"id10001": "m", "id10270": "f"}
        trials = Trials.read(out / "vox1_eval/trials_voxsrc2020_val_other")
        assert trials.pairs() == [
            ("id10001-1zcIwhmdeo4-00001", "id10001-cd-000912"),
            ("id10270-cd-000001", "id10001-cd-000912"),
        ]


def test_voxsrc_s_list_without_its_tree_is_refused(root, out):
    """A video whose name begins with cd- is none of its recordings."""
    write_lines(split_tree(root) / "list_test_all.txt", *E)
    write_lines(root / "voxsrc2020_val.txt", *VOXSRC)
    said = refused(root, out)
    assert f"{root}/voxsrc2020_val.txt: names recordings of voxceleb1_cd; say where they are with --cd DIR" in said


def test_a_list_as_long_as_the_published_one_has_its_name(root, out, cd):
    """263,486 lines; one less is another list."""
    split_tree(root)
    for lines, name in ((263_486, "voxsrc2020_val"), (263_485, "voxsrc2020_val_other")):
        write_lines(cd / "voxsrc2020_val.txt", *(VOXSRC * 131_743)[:lines])
        code, stdout, _ = prepare("--cd", cd, root, out)
        assert (code, "another list" in stdout) == (0, name.endswith("_other"))
        assert [path.name for path in (out / "vox1_eval").glob("trials*")] == [f"trials_{name}"]


def test_sizes_are_those_of_the_papers_figures():
    """A published figure is shown beside a list of its size: the systems' files and our table say the same."""
    sys.path.insert(0, str(ROOT / "local"))
    from voxceleb_lists import PUBLISHED

    sizes = {name: count for name, count in PUBLISHED.values()}
    known = find_systems(ROOT / "conf")
    papers = {
        item
        for name in ("HA4", "w2v2-aam", "vox1-xvector")
        for item in load_system(known[name]).published.num_trials.items()
    }
    assert papers - sizes.items() == {("voxsrc2019", 208_008)}  # with recordings of its own, which nobody prepares


def test_an_unchanged_tree_is_not_prepared_again(root, out, cd):
    """A recording more in either tree, or another list, makes the set anew; what no list names any more goes."""
    write_lines(split_tree(root) / "list_test_all.txt", *E)
    prepare("--cd", cd, root, out)
    assert prepare("--cd", cd, root, out)[1] == f"prepare_voxceleb1_eval {out}/vox1_eval: unchanged, skipped\n"
    (cd / "voxceleb1_cd/id10001/99999.wav").touch()
    assert "runs again (the names in voxceleb1_cd have changed)" in prepare("--cd", cd, root, out)[1]
    (root / "dev/wav" / (DEV[0] + ".wav")).with_name("99999.wav").touch()
    assert "runs again (the names of the recordings have changed)" in prepare("--cd", cd, root, out)[1]
    write_lines(root / "list_test_all.txt", *O)
    assert "list_test_all.txt has changed)" in prepare("--cd", cd, root, out)[1]
    assert DataDir.read(out / "vox1_eval").utterances == ids(TEST)


def test_lists_may_be_given(root, out):
    """The published ones are then not taken; those of an earlier run go."""
    for path in (split_tree(root) / "veri_test.txt", root / "mine.txt"):
        write_lines(path, *E)
    prepare(root, out)
    assert prepare("--trials", "a=mine.txt", root, out)[0] == 0
    assert [path.name for path in (out / "vox1_eval").glob("trials*")] == ["trials_a"]


def test_synthetic_speech_stays_labelled(root, out):
    write_lines(split_tree(root) / "veri_test.txt", *O)
    (root / "SYNTHETIC.txt").write_text("made by a test\n")
    assert ", synthetic speech\n" in prepare(root, out)[1]
    assert (out / "vox1_eval/SYNTHETIC.txt").read_text() == "made by a test\n"


def test_a_missing_root_is_named(root, out, cd):
    assert f"{root} is not a folder; give the root of VoxCeleb1" in refused(root, out)
    write_lines(split_tree(root) / "veri_test.txt", *O)
    assert f"{cd}/gone is not a folder" in refused("--cd", cd / "gone", root, out)


def test_trees_without_a_recording_are_named(root, out):
    """Of another form, or with other files."""
    write_lines(root / "veri_test.txt", *O)
    assert f"{root}: none of dev/wav, test/wav and wav/ is there" in refused(root, out)
    split_tree(root, ".m4a")
    assert f"{root}: dev/wav, test/wav hold no .wav or .flac file" in refused(root, out)


def test_no_list_is_an_error_that_says_which_names_are_known(root, out):
    said = refused(split_tree(root), out)
    assert "no trial list; put one of veri_test.txt, " in said
    assert "list_test_hard2.txt, voxsrc2020_val.txt there" in said


def test_a_list_that_names_a_missing_file_is_an_error_before_anything_is_written(root, out, cd):
    """In either tree."""
    missing = (
        ("list_test_hard.txt", "id10001/gone/00009.wav", "id10001-gone-00009"),
        ("voxsrc2020_val.txt", "voxceleb1_cd/id10001/000913.wav", "id10001-cd-000913"),
    )
    split_tree(root)
    for name, file, utt in missing:
        write_lines(root / name, *E, f"0 id10270/5r0dWxy17C8/00001.wav {file}")
        said = refused("--cd", cd, root, out)
        assert f"{root}/{name}: 1 of 3 trials name a test utterance without a recording below {root} or {cd}" in said
        assert f"(first: {utt})" in said
        (root / name).unlink()


def test_an_utterance_as_wav_and_flac_is_an_error(root, out):
    write_lines(split_tree(root) / "veri_test.txt", *O)
    touch(root / "dev/wav" / (DEV[0] + ".flac"))
    assert "1 utterances are there as .wav and as .flac: id10001-1zcIwhmdeo4-00001; keep one" in refused(root, out)


@pytest.mark.parametrize(
    "file",
    ["voxceleb1/id10270/1.wav", "voxceleb1_cd/id10270/a/1.wav", "voxceleb2/id10270/a/1.wav", "id10270//1.wav", "/"],
)
def test_files_of_another_form_are_named(root, out, file):
    write_lines(split_tree(root) / "veri_test.txt", *O, f"1 {TEST[0]}.wav {file}")
    assert f"{root}/veri_test.txt:2: {file} is not <speaker>/<video>/<n>.wav" in refused(root, out)
