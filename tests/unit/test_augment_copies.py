"""Which copies are made, and what of: Kaldi's lists, and choices that are functions of seed and name."""

from collections import Counter

import pytest
from data_dirs import full, plain, write_lines
from kaldi_files import ROOT

from sv.augment.config import read_augmentation
from sv.augment.copies import Noises, copies_of, read_rir_list
from sv.augment.spec import Spec
from sv.data.datadir import combine
from sv.data.own_commands import own_command
from sv.errors import ConfigError, DataError

KALDI = ROOT / "conf/augment/kaldi.yaml"
MATERIALS = {
    "reverb": [[f"small-{n}.wav" for n in range(50)], [f"medium-{n}.wav" for n in range(5)]],
    "noise": Noises([f"noise-{n}.wav" for n in range(9)], [0.5 + n for n in range(9)]),
    "music": Noises([f"music-{n}.wav" for n in range(9)], [60.0] * 9),
    "babble": Noises([f"speech-{n}.wav" for n in range(9)], [20.0] * 9),
}
UTTS = [f"s{s}-{n:03d}" for s in range(4) for n in range(100)]


def made(utts=UTTS, conf=KALDI, seed=0, materials=MATERIALS, seconds=7.5):
    return copies_of(plain(utts), read_augmentation(conf), materials, seed, lambda _: seconds)


def specs(copies, ending):
    lines = {utt: line for utt, line in copies.wav.items() if utt.endswith(f"-{ending}")}
    return {utt: Spec.parse(own_command(line).words)[0] for utt, line in lines.items()}


def test_kaldi_is_what_kaldis_recipe_says():
    """egs/voxceleb/v2: four copies, its ratios, numbers of files, rooms, interval and subset."""
    conf = read_augmentation(KALDI)
    assert conf.model_dump() == {
        "copies": {
            "reverb": {"name": "reverb", "rooms": {"smallroom": 0.5, "mediumroom": 0.5}},
            "noise": {"name": "foreground", "of": "noise", "interval_s": 1, "snrs_db": [15, 10, 5, 0]},
            "music": {"name": "background", "of": "music", "files": [1], "snrs_db": [15, 10, 8, 5]},
            "babble": {"name": "background", "of": "speech", "files": [3, 4, 5, 6, 7], "snrs_db": [20, 17, 15, 13]},
        },
        "subset": 1_000_000,
        "if_missing": "stop",
    }


@pytest.mark.parametrize("name", ["kaldi", "kaldi_sre16"])
def test_the_partial_one_is_the_same_without_what_lacks(name):
    conf, partial = (read_augmentation(KALDI.with_name(f"{each}.yaml")) for each in (name, f"{name}_partial"))
    assert conf.model_copy(update={"if_missing": "skip"}) == partial


def test_every_utterance_has_a_copy_of_each_kind():
    """Ids, speakers, and what each is a copy of; the clean source stands in every line."""
    copies = made()
    assert copies.utterances == sorted(f"{utt}-{e}" for utt in UTTS for e in ("reverb", "noise", "music", "babble"))
    assert all(speaker == utt.partition("-")[0] for utt, speaker in copies.utt2spk.items())
    assert all(f"{clean}-" == utt[: len(clean) + 1] for utt, clean in copies.tables["utt2uniq"].items())
    assert specs(copies, "music")["s2-017-music"].source == "s2-017.wav"


def test_rooms_are_drawn_by_their_weights_and_responses_alike():
    """400 draws: half of each size though one has ten times as many (4 sigma: 40), every medium one near 40."""
    drawn = Counter(spec.reverb for spec in specs(made(), "reverb").values())
    medium = {name: n for name, n in drawn.items() if name.startswith("medium")}
    assert abs(sum(medium.values()) - 200) < 40
    assert len(medium) == 5
    assert all(15 < n < 70 for n in medium.values())


@pytest.mark.parametrize(
    ("ending", "counts", "snrs"), [("music", {1}, {15, 10, 8, 5}), ("babble", {3, 4, 5, 6, 7}, {20, 17, 15, 13})]
)
def test_backgrounds_are_kaldis(ending, counts, snrs):
    """Every number of files and every ratio comes up, none else, each about as often (5 sigma)."""
    noises = [spec.background for spec in specs(made(), ending).values()]
    numbers = Counter(map(len, noises))
    assert numbers.keys() == counts
    assert all(abs(n - 400 / len(counts)) < 5 * (400 / len(counts)) ** 0.5 for n in numbers.values())
    ratios = Counter(snr for noise in noises for snr, _ in noise)
    assert ratios.keys() == snrs
    total = sum(ratios.values())
    assert all(abs(n - total / 4) < 5 * (total / 4) ** 0.5 for n in ratios.values())


def test_foregrounds_come_one_after_the_other_with_a_pause():
    """Each begins a second after the end of the one before; the last begins before the recording's end."""
    seconds = dict(zip(MATERIALS["noise"].files, MATERIALS["noise"].seconds, strict=True))
    ratios = set()
    for spec in specs(made(), "noise").values():
        at = 0.0
        for snr, start_s, file in spec.foreground:
            assert start_s == at < 7.5
            at += seconds[file] + 1
            ratios.add(snr)
        assert at >= 7.5
        assert not spec.background
    assert ratios == {15, 10, 5, 0}


def test_choices_are_functions_of_seed_utterance_and_kind():
    """Fewer utterances, fewer kinds or another order change no line; another seed does, and so does another kind."""
    copies = made()
    few = made(list(reversed(UTTS[::7])), materials={"noise": MATERIALS["noise"], "reverb": MATERIALS["reverb"]})
    assert few.wav.items() <= copies.wav.items()
    assert sum(copies.wav[utt] == line for utt, line in made(seed=1).wav.items()) < 300  # of 1,600, by chance
    noise = {utt.rpartition("-")[0]: s.foreground[0][2][-5] for utt, s in specs(copies, "noise").items()}
    music = {utt.rpartition("-")[0]: s.background[0][1][-5] for utt, s in specs(copies, "music").items()}
    assert sum(noise[utt] == music[utt] for utt in UTTS) < 100  # 44 by chance


def test_the_subset_is_drawn_of_all_copies(tmp_path):
    """As many as asked for, of every kind, the same as without the draw; more than there are is all."""
    conf = tmp_path / "some.yaml"
    conf.write_text(KALDI.read_text().replace("1000000", "600"))
    some = made(conf=conf)
    assert len(some) == len(some.wav) == 600
    assert some.wav.items() <= made().wav.items()
    assert all(n > 100 for n in Counter(utt.rpartition("-")[2] for utt in some.utterances).values())
    conf.write_text(KALDI.read_text().replace("1000000", "1601"))
    assert made(conf=conf) == made()


def test_recordings_with_segments_are_copied_whole():
    """The copies of a recording's segments are cut out of one copy; every table that says the same goes along."""
    clean = full()
    copies = copies_of(clean, read_augmentation(KALDI), {"reverb": MATERIALS["reverb"]}, 0, lambda _: 3.0)
    assert sorted(copies.wav) == sorted(f"{recording}-reverb" for recording in clean.wav)
    for utt, segment in clean.segments.items():
        assert copies.segments[f"{utt}-reverb"] == segment._replace(recording=f"{segment.recording}-reverb")
        assert copies.tables["utt2sess"][f"{utt}-reverb"] == clean.tables["utt2sess"][utt]
        assert copies.tables["reco2dur"][f"{segment.recording}-reverb"] == "3.0"
    assert copies.tables["spk2gender"] == clean.tables["spk2gender"]
    together = combine([clean, copies])
    assert len(together) == 2 * len(clean)
    assert together.tables.keys() == clean.tables.keys()


def test_features_and_decisions_of_the_clean_set_do_not_go_along():
    """A copy has features of its own."""
    clean = plain(UTTS[:2])
    clean.tables |= {"feats.scp": dict.fromkeys(UTTS[:2], "a.ark:1"), "vad.scp": dict.fromkeys(UTTS[:2], "b.ark:1")}
    copies = copies_of(clean, read_augmentation(KALDI), MATERIALS, 0, lambda _: 3.0)
    assert copies.tables.keys() == {"utt2uniq"}


def test_how_long_a_recording_is_is_asked_only_where_it_matters():
    """150,000 headers take a while: not for rooms and backgrounds."""
    asked = []
    copies_of(plain(UTTS[:3]), read_augmentation(KALDI), MATERIALS, 0, lambda r: asked.append(r) or 2.0)
    assert asked == UTTS[:3]


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("if_missing: stop", "if_missing: ask", "if_missing: 'ask' is not one of 'stop' or 'skip'"),
        ("subset: 1000000", "subset: 0", "subset: "),
        ("subset", "subsets", "unknown key subsets; did you mean subset?"),
        ("of: music", "of: musik", "copies.music.of: 'musik' is not one of"),
        ("name: foreground", "name: front", "copies.noise.name: 'front' is not one of"),
        ("interval_s", "interval", "unknown key copies.noise.interval; did you mean interval_s?"),
        ("[15, 10, 8, 5]", "[]", "copies.music.snrs_db: "),
        ("snrs_db: [15, 10, 8, 5]", "snrs_db: [loud]", "expected a number (is 'loud')"),
        ("files: [1]", "files: [0]", "copies.music.files"),
        ("smallroom: 0.5", "smallroom: -1", "copies.reverb.rooms.smallroom"),
        ("  babble:", "  bab-ble:", "copies.bab-ble: it ends utterance ids"),
    ],
)
def test_a_wrong_configuration_is_one_line_naming_the_key(tmp_path, was, now, says):
    """As the systems' YAML."""
    path = tmp_path / "kaldi.yaml"
    assert was in KALDI.read_text()
    path.write_text(KALDI.read_text().replace(was, now))
    with pytest.raises(ConfigError) as caught:
        read_augmentation(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_kaldis_list_of_impulse_responses_is_read(tmp_path):
    """Paths with blanks stay whole; another form is refused."""
    path = tmp_path / "rir_list"
    write_lines(path, "--rir-id a --room-id b /r i r/a.wav", "--rir-id c --room-id b c.wav")
    assert read_rir_list(path) == ["/r i r/a.wav", "c.wav"]
    for lines in (["a.wav"], ["--rir-id a --room-id b"], []):
        write_lines(path, *lines)
        with pytest.raises(DataError, match="rir_list"):
            read_rir_list(path)
