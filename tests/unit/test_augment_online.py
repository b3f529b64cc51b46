"""Crops augmented as they are read: what is drawn, ratios as drawn, banks against their files, the configuration."""

import pickle
from collections import Counter

import numpy as np
import pytest
import yaml
from audio_files import noise, wav_bytes
from augment_corpora import write_musan, write_rirs
from commands import refused, run_command
from data_dirs import write_data, write_lines
from kaldi_files import ROOT

from sv.augment.bank import Bank, index_file, write_bank
from sv.augment.online import OnlineAugmenter, inputs
from sv.augment.online_config import OnlineAugmentation, read_online_augmentation
from sv.augment.waves import power, reverberate, reverberate_unit_energy
from sv.data.audio import read_audio
from sv.data.datadir import DataDir
from sv.errors import AudioError, ConfigError, DataError
from sv.features.wave_reader import WaveReader
from sv.records import record_of
from sv.training.loader import batches
from sv.training.sampler import EveryRecording

CONF = ROOT / "conf/augment_online"
VOXSRC, PARTIAL, AUTHORS = (CONF / f"{name}.yaml" for name in ("voxsrc", "voxsrc_partial", "voxsrc_authors"))
RATE, LENGTH = 16000, 8000


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Synthetic corpora with the lists that local/prepare_{musan,rirs}.py make of them."""
    folder = tmp_path_factory.mktemp("a user's corpora")
    for kind in write_musan(folder / "musan").iterdir():
        files = {path.stem: path for path in sorted(kind.rglob("*.wav"))}
        write_lines(folder / "data/musan" / kind.name / "wav.scp", *(f"{i} {path}" for i, path in files.items()))
        write_lines(folder / "data/musan" / kind.name / "reco2dur", *(f"{i} 1" for i in files))
    for room in (write_rirs(folder / "rirs") / "simulated_rirs").iterdir():
        lines = [f"--rir-id {path.stem} --room-id {room.name} {path}" for path in sorted(room.rglob("*.wav"))]
        write_lines(folder / "data/rirs" / f"rir_list_{room.name}", *lines)
    return folder


@pytest.fixture
def make(monkeypatch, capsys):
    return lambda *words: run_command(monkeypatch, capsys, "make_noise_bank", "--rate", RATE, *words)


def materials(corpora):
    return "--musan", corpora / "data/musan", "--rirs", corpora / "data/rirs"


@pytest.fixture(scope="module")
def folder(corpora, tmp_path_factory):
    """Banks of all kinds."""
    out = tmp_path_factory.mktemp("bank")
    for kind in ("noise", "music", "speech"):
        write_bank(out, kind, RATE, [str(p) for p in sorted((corpora / "musan" / kind).rglob("*.wav"))])
    for room in ("smallroom", "mediumroom"):
        write_bank(out, room, RATE, [str(p) for p in sorted((corpora / "rirs").rglob(f"{room}/*/*.wav"))])
    return out


@pytest.fixture(scope="module")
def augment(folder):
    return OnlineAugmenter.of(read_online_augmentation(VOXSRC), folder, RATE)


def crop(seed=0, scale=1000.0, n=LENGTH):
    return (np.random.default_rng([1, seed]).normal(size=n) * scale).astype(np.float32)


def changed(conf, way, **values):
    """A configuration with some values of a way changed."""
    tree = conf.model_dump()
    tree["ways"][way] |= values
    return OnlineAugmentation.model_validate(tree)


def only(conf, way, **values):
    """A configuration of one way alone."""
    conf = changed(conf, way, **values)
    return conf.model_copy(update={"ways": {way: conf.ways[way]}})


def test_five_ways_are_as_likely_and_values_lie_where_they_should(augment):
    """4,000 draws: chi-squared within the 0.999 quantile of 4 degrees of freedom, and the paper's authors' limits."""
    drawn = [augment.draw(100, np.random.default_rng([7, place])) for place in range(4000)]
    counts = Counter(one.way for one in drawn)
    assert counts.keys() == {"clean", "reverb", "noise", "music", "babble"}
    assert sum((count - 800) ** 2 / 800 for count in counts.values()) < 18.5
    for way, files, (least, most) in (
        ("noise", {1}, (0, 15)),
        ("music", {1}, (5, 15)),
        ("babble", {*range(3, 8)}, (13, 20)),
    ):
        of_way = [one.noises for one in drawn if one.way == way]
        snrs = [noise.snr_db for noises in of_way for noise in noises]
        assert {len(noises) for noises in of_way} == files
        assert least <= min(snrs) < least + 0.5
        assert most - 0.5 < max(snrs) <= most
    assert all((one.response_M is not None) == (one.way == "reverb") for one in drawn)
    babble = next(one.noises for one in drawn if one.way == "babble")
    assert len({noise.snr_db for noise in babble}) == len(babble)


@pytest.mark.parametrize("scale", [8000.0, 100.0, 1.0, 0.01], ids=lambda s: f"{20 * np.log10(s / 32768):.0f} dBFS")
def test_the_ratio_is_the_one_drawn_however_soft_the_speech(augment, scale):
    """Speech in bursts with pauses, told apart from every noise by least squares; within 0.1 dB."""
    bursts_N = np.repeat(np.random.default_rng(3).random(20) > 0.5, LENGTH // 20)
    speech_N = crop(1, scale) * (bursts_N + np.float32(1e-3))
    for place in range(60):
        drawn = augment.draw(LENGTH, np.random.default_rng([5, place]))
        if not drawn.noises:
            continue
        mixed_N = augment(speech_N, np.random.default_rng([5, place]))
        parts_KN = np.stack([speech_N, *(noise.samples_M for noise in drawn.noises)]).astype(float)
        gains_K = np.linalg.lstsq(parts_KN.T / parts_KN.std(1), mixed_N, rcond=None)[0] / parts_KN.std(1)
        powers_K = gains_K**2 * np.square(parts_KN).mean(1)
        measured = 10 * np.log10(powers_K[0] / powers_K[1:])
        np.testing.assert_allclose(measured, [noise.snr_db for noise in drawn.noises], atol=0.1)
        assert power(mixed_N) == pytest.approx(power(speech_N), rel=1e-4)


def test_babble_of_a_total_ratio_has_it_as_a_whole(folder):
    """Speech power over that of all the babble together, within 0.1 dB; each utterance as strong as the others."""
    conf = only(read_online_augmentation(VOXSRC), "babble", snr_of="total")
    augment = OnlineAugmenter.of(conf, folder, RATE)
    speech_N = crop(2, 300)
    for place in range(10):
        (babble,) = augment.draw(LENGTH, np.random.default_rng([5, place])).noises
        mixed_N = augment(speech_N, np.random.default_rng([5, place]))
        a, b = np.linalg.lstsq(np.stack([speech_N, babble.samples_M], 1), mixed_N, rcond=None)[0]
        measured = 10 * np.log10(a**2 * power(speech_N) / (b**2 * power(babble.samples_M)))
        assert measured == pytest.approx(babble.snr_db, abs=0.1)
        assert 13 <= babble.snr_db <= 20


def test_silence_stays_silence_in_every_way(augment):
    """Digital silence has no ratio to anything: no noise is brought up to it, and nothing divides by its power."""
    silence_N = np.zeros(LENGTH, np.float32)
    for place in range(40):
        assert not augment(silence_N, np.random.default_rng([5, place])).any()


@pytest.mark.parametrize(("conf", "room"), [(VOXSRC, reverberate), (AUTHORS, reverberate_unit_energy)])
def test_rooms_are_those_of_the_offline_copies_or_the_authors(folder, conf, room):
    """The very function, given the response that is drawn; which is a file of one of the two sizes."""
    augment = OnlineAugmenter.of(only(read_online_augmentation(conf), "reverb"), folder, RATE)
    responses = [Bank(folder, size, RATE).whole(n) for size in ("smallroom", "mediumroom") for n in range(2)]
    for place in range(10):
        drawn = augment.draw(LENGTH, np.random.default_rng([5, place]))
        assert any(np.array_equal(drawn.response_M, response) for response in responses)
        wet_N = augment(crop(), np.random.default_rng([5, place]))
        np.testing.assert_array_equal(wet_N, room(crop(), drawn.response_M))


def test_a_draw_is_a_function_of_its_address(augment):
    """In any order, after any other, and from a copy in another process; the next place has another."""
    places = [[3, 6, 0, 1, place] for place in range(20)]
    forward = [augment(crop(), np.random.default_rng(place)) for place in places]
    assert len(pickle.dumps(augment)) < 10_000  # the samples stay in their files
    copied = pickle.loads(pickle.dumps(augment))
    backward = [copied(crop(), np.random.default_rng(place)) for place in reversed(places)]
    for one_N, other_N in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(one_N, other_N)
    noisy = [n for n, place in enumerate(places) if augment.draw(LENGTH, np.random.default_rng(place)).noises]
    assert len({forward[n].tobytes() for n in noisy}) == len(noisy) > 5


def test_batches_are_augmented_by_their_chunks_places(augment, tmp_path):
    """Two utterances of each of two speakers, by two workers; against the augmenter called by hand."""
    lengths = {f"s{n % 2}-{n}": LENGTH + 100 for n in range(4)}
    data = write_data(tmp_path / "train", lengths)
    write_lines(data / "utt2num_samples", *(f"{utt} {lengths[utt]}" for utt in sorted(lengths)))
    reader = WaveReader(data, RATE)
    limits = ((LENGTH, LENGTH), 4, 11)
    sampler = EveryRecording(reader.num_frames, DataDir.read(data).utt2spk, *limits, chunks_per_recording=1)
    for epoch, (x_BN, _) in enumerate(batches(sampler, reader, 0, 3, workers=2, augment=augment)):
        for place, (chunk, x_N) in enumerate(zip(sampler.batch(epoch, 0).chunks, x_BN.numpy(), strict=True)):
            crop_N = reader.chunk(chunk.utterance, chunk.start, LENGTH)
            np.testing.assert_array_equal(x_N, augment(crop_N, np.random.default_rng([11, 6, epoch, 0, place])))


def test_a_bank_gives_what_its_files_hold(corpora, folder):
    """Whole, in part, and around the end of a file that is too short."""
    bank = Bank(folder, "music", RATE)
    files = sorted((corpora / "musan/music").rglob("*.wav"))
    assert len(bank) == len(files)
    for which, path in enumerate(files):
        wave_M = read_audio(str(path))[0]
        np.testing.assert_array_equal(bank.whole(which), wave_M)
        np.testing.assert_array_equal(bank.part(which, 50, 700), wave_M[50:750])
        np.testing.assert_array_equal(bank.part(which, 11000, 40000), np.tile(wave_M, 5)[11000:51000])


def test_every_stretch_of_the_material_is_as_likely(tmp_path):
    """Files of 1, 2 and 7 s are drawn in these proportions, and all places in them, the shortest included."""
    files = [tmp_path / f"{n}.wav" for n in range(3)]
    for n, seconds in enumerate((1, 2, 7)):
        files[n].write_bytes(wav_bytes(noise(100 * seconds, n), RATE))
    write_bank(tmp_path, "noise", RATE, map(str, files))
    bank, rng = Bank(tmp_path, "noise", RATE), np.random.default_rng(0)
    drawn = [bank.draw(150, rng) for _ in range(5000)]
    counts = np.bincount([which for which, _ in drawn])
    expected = np.array([500, 1000, 3500])
    assert np.sum((counts - expected) ** 2 / expected) < 13.8  # chi-squared, 0.999
    starts = [{start for which, start in drawn if which == n} for n in range(3)]
    assert starts[0] <= set(range(100))
    assert starts[1] == set(range(51))
    assert starts[2] <= set(range(551))
    assert len(starts[0]) > 95


def test_other_rates_and_codings_are_brought_to_the_banks(tmp_path):
    """Half the rate gives twice the samples, as `sv.data.resample` computes them, rounded to int16."""
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(4000), 8000))
    write_bank(tmp_path, "noise", RATE, [str(tmp_path / "a.wav")])
    assert len(Bank(tmp_path, "noise", RATE).whole(0)) == 8000
    write_bank(tmp_path, "noise", 8000, [str(tmp_path / "a.wav")])
    assert len(Bank(tmp_path, "noise", 8000).whole(0)) == 4000


def test_a_damaged_bank_is_one_line(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(4000)))
    samples, index = write_bank(tmp_path, "noise", RATE, [str(tmp_path / "a.wav")])
    samples.write_bytes(samples.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"noise\.16000\.int16 is not as long as"):
        Bank(tmp_path, "noise", RATE)
    index.write_text("many a.wav\n")
    with pytest.raises(DataError, match=r"a line is not 'NUM_SAMPLES FILE'"):
        Bank(tmp_path, "noise", RATE)
    with pytest.raises(DataError, match=r"noise\.8000\.index is missing; run stage 2"):
        Bank(tmp_path, "noise", 8000)


def test_a_file_of_silence_is_refused(tmp_path):
    """And no index says that there is a bank."""
    (tmp_path / "a.wav").write_bytes(wav_bytes(np.zeros(4000, np.int16)))
    with pytest.raises(AudioError, match="silent throughout"):
        write_bank(tmp_path, "smallroom", RATE, [str(tmp_path / "a.wav")])
    assert not index_file(tmp_path, "smallroom", RATE).exists()


def test_stage_2_makes_the_banks_once(corpora, tmp_path, make):
    out = tmp_path / "bank"
    code, said, _ = make("--conf", VOXSRC, *materials(corpora), out)
    assert (code, said.count("files,")) == (0, 5)
    assert make("--conf", VOXSRC, *materials(corpora), out)[1].count("unchanged, skipped") == 5
    conf = read_online_augmentation(VOXSRC)
    assert not OnlineAugmenter.of(conf, out, RATE).left_out
    records = inputs(conf, out, RATE)
    assert len(records) == 5
    assert all(path.exists() for path in records)


def test_what_lacks_stops_or_is_said_and_left_out(corpora, tmp_path, make):
    """By the configuration; the other ways stay as likely to each other, and a bank of a MUSAN that had more goes."""
    out, rirs = tmp_path / "bank", materials(corpora)[2:]
    make("--conf", VOXSRC, *materials(corpora), out)
    (tmp_path / "nothing").mkdir()
    assert "voxsrc: noise: no MUSAN is given; give the whole corpus with --data-root musan=DIR" in refused(
        make("--conf", VOXSRC, *rirs, out)
    )
    code, said, _ = make("--conf", PARTIAL, *rirs, "--musan", tmp_path / "nothing", out)
    assert (code, said.count("; no crop is augmented that way")) == (0, 3)
    augment = OnlineAugmenter.of(read_online_augmentation(PARTIAL), out, RATE)
    assert augment.left_out == ("noise", "music", "babble")
    ways = Counter(augment.draw(100, np.random.default_rng(place)).way for place in range(400))
    assert ways.keys() == {"clean", "reverb"}
    assert 150 < ways["clean"] < 250
    with pytest.raises(DataError, match=r"music\.16000\.index is missing; run stage 2"):
        OnlineAugmenter.of(read_online_augmentation(VOXSRC), out, RATE)


def test_a_bank_of_a_corpus_that_is_not_given_stays(corpora, tmp_path, make):
    """Other systems draw from it; and where a way may lack its material, that of an earlier call is what it has."""
    out, musan, rirs = tmp_path / "bank", materials(corpora)[:2], materials(corpora)[2:]
    make("--conf", VOXSRC, *materials(corpora), out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    for given, lacking in ((rirs, "noise: no MUSAN is given"), (musan, "reverb: no impulse responses are given")):
        code, said, _ = make("--conf", PARTIAL, *given, out)
        assert code == 0
        assert f"voxsrc_partial: {lacking}; {out} has some of an earlier time, which is taken\n" in said
        assert "no crop is augmented that way" not in said
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert not OnlineAugmenter.of(read_online_augmentation(PARTIAL), out, RATE).left_out


def test_training_depends_on_all_the_banks_that_it_needs(corpora, tmp_path, make, monkeypatch):
    """One that is gone is an error before anything is concluded from it; in a dry run stage 2 may be yet to make it."""
    out = tmp_path / "bank"
    make("--conf", VOXSRC, *materials(corpora), out)
    stop, skip = read_online_augmentation(VOXSRC), read_online_augmentation(PARTIAL)
    whole = inputs(stop, out, RATE)
    index_file(out, "music", RATE).unlink()
    assert [path for path in whole if path not in inputs(skip, out, RATE)] == [record_of("bank_music_16000", out)]
    with pytest.raises(DataError, match=r"music\.16000\.index is missing; run stage 2"):
        inputs(stop, out, RATE)
    monkeypatch.setenv("SV_DRY_RUN", str(tmp_path))
    assert inputs(stop, out, RATE) == whole


def test_no_way_at_all_is_refused(tmp_path):
    conf = only(read_online_augmentation(PARTIAL), "noise")
    with pytest.raises(DataError, match="no way to augment has its material"):
        OnlineAugmenter.of(conf, tmp_path, RATE)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_is_valid_and_says_what_it_is(path):
    conf = read_online_augmentation(path)
    assert path.read_text().startswith("# ")
    assert conf.if_missing == ("skip" if path == PARTIAL else "stop")
    same = changed(conf, "reverb", response="aligned") if path == AUTHORS else conf
    assert same.ways == read_online_augmentation(VOXSRC).ways


@pytest.mark.parametrize(
    ("way", "key", "value", "said"),
    [
        ("noise", "snr_db", [15, 0], "ways.noise.snr_db: the least (15) is more than the most (0)"),
        ("babble", "files", [7, 3], "ways.babble.files: the least (7) is more than the most (3)"),
        ("noise", "snr_db", [0, 5, 15], "ways.noise.snr_db: too many values, 2 is right"),
        ("noise", "of", "tv", "ways.noise.of: 'tv' is not one of"),
        ("reverb", "response", "late", "ways.reverb.response: 'late' is not one of"),
        ("music", "weight", 0, "ways.music.weight: "),
        ("clean", "snr_db", [0, 1], "unknown key ways.clean.snr_db"),
        ("reverb", "name", "room", "ways.reverb.name: 'room' is not one of"),
        ("reverb", "rooms", {"smallroom": 1, "noise": 1}, "ways.reverb.rooms: noise is the name of a kind of"),
    ],
)
def test_mistakes_in_a_configuration_name_the_key(tmp_path, way, key, value, said):
    tree = yaml.safe_load(VOXSRC.read_text())
    tree["ways"][way][key] = value
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError) as caught:
        read_online_augmentation(tmp_path / "mine.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'mine.yaml'}: {said}")
    assert "\n" not in str(caught.value)
