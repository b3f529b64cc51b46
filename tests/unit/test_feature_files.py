"""`sv.features.files`: what networks read from a feature folder."""

import doctest
import pickle

import numpy as np
import pytest

import sv.features.files
from sv.data.ark import ArkWriter, MatrixReader
from sv.data.tables import read_table, write_table
from sv.errors import DataError
from sv.features.cmvn import sliding_cmvn
from sv.features.deltas import add_deltas
from sv.features.files import FeatureReader

LENGTHS = {"a-1": 900, "a-2": 37, "b-1": 301, "b-2": 1}


def write_folder(folder, lengths, dim=3, seed=0):
    """A feature folder with features and an energy VAD of random runs; returns both by utterance."""
    rng = np.random.default_rng(seed)
    features, voiced = {}, {}
    with ArkWriter(folder / "feats.1") as feats_ark, ArkWriter(folder / "vad.1") as vad_ark:
        for utt, num_frames in lengths.items():
            features[utt] = rng.normal(10, 3, (num_frames, dim)).astype(np.float32)
            voiced[utt] = np.repeat(rng.random(num_frames // 8 + 1) < 0.7, 8)[:num_frames]
            voiced[utt][0] = True
            feats_ark.write(utt, features[utt])
            vad_ark.write(utt, voiced[utt])
    (folder / "feats.1.scp").rename(folder / "feats.scp")
    (folder / "vad.1.scp").rename(folder / "vad.scp")
    write_table(folder / "utt2num_frames", lengths)
    write_table(folder / "utt2num_voiced", {utt: int(decisions_T.sum()) for utt, decisions_T in voiced.items()})
    (folder / "feats.conf").write_text("--dither=0\n")
    return features, voiced


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "mfcc3"
    path.mkdir()
    path.joinpath("truth.pickle").write_bytes(pickle.dumps(write_folder(path, LENGTHS)))
    return path


def truth(folder):
    return pickle.loads((folder / "truth.pickle").read_bytes())


@pytest.mark.parametrize("vad", [None, "energy"])
@pytest.mark.parametrize("window", [None, 30, 300])
@pytest.mark.parametrize("deltas", [(2, 3), (1, 2), (3, 1)])
def test_deltas_come_before_cmn_in_chunks_as_in_the_whole(folder, deltas, window, vad):
    features, voiced = truth(folder)
    reader = FeatureReader(folder, vad, window, deltas=deltas)
    assert reader.dim == 3 * (1 + deltas[0])
    for utt, features_TD in features.items():
        expected_TD = add_deltas(features_TD, *deltas)
        expected_TD = sliding_cmvn(expected_TD, window) if window else expected_TD
        expected_TD = expected_TD[voiced[utt]] if vad else expected_TD
        np.testing.assert_allclose(reader.whole(utt), expected_TD, atol=1e-5)
        third = len(expected_TD) // 3
        if third:
            np.testing.assert_allclose(reader.chunk(utt, third, third), expected_TD[third : 2 * third], atol=1e-5)


@pytest.mark.parametrize("vad", [None, "energy"])
@pytest.mark.parametrize("norm_vars", [True, False])
@pytest.mark.parametrize("window", [None, 30, 300, 2000])
def test_whole_is_cmn_over_all_frames_and_then_the_voiced(folder, window, norm_vars, vad):
    """Against the steps in Kaldi's order on the matrices that were written."""
    features, voiced = truth(folder)
    reader = FeatureReader(folder, vad, window, norm_vars)
    for utt, features_TD in features.items():
        expected_TD = sliding_cmvn(features_TD, window, norm_vars=norm_vars) if window else features_TD
        expected_TD = expected_TD[voiced[utt]] if vad else expected_TD
        np.testing.assert_allclose(reader.whole(utt), expected_TD, atol=1e-5)
        assert reader.num_frames[utt] == len(expected_TD)


@pytest.mark.parametrize("vad", [None, "energy"])
@pytest.mark.parametrize("window", [None, 30, 301, 2000])
def test_a_chunk_equals_rows_of_the_whole(folder, window, vad):
    """Random spans, the first and the last frame and the whole among them; windows longer than the recording too."""
    reader = FeatureReader(folder, vad, window, norm_vars=True)
    rng = np.random.default_rng(0)
    for utt, total in reader.num_frames.items():
        whole_TD = reader.whole(utt)
        spans = [(0, 1), (total - 1, total), (0, total)]
        spans += [tuple(sorted(rng.choice(total + 1, 2, replace=False))) for _ in range(60)]
        for start, stop in spans:
            chunk_TD = reader.chunk(utt, int(start), int(stop - start))
            np.testing.assert_allclose(chunk_TD, whole_TD[start:stop], atol=1e-5)
            assert chunk_TD.dtype == np.float32


@pytest.mark.parametrize(
    ("window", "start", "read"),
    [
        (None, 400, (400, 500)),
        (100, 400, (350, 549)),  # the first frame's window begins 50 before it, the last one's ends 49 after it
        (100, 0, (0, 149)),
        (300, 20, (0, 300)),  # shifted inwards: 0..300 serves frames 20 to 150
        (300, 800, (600, 900)),
        (2000, 400, (0, 900)),
    ],
)
def test_a_chunk_reads_the_rows_that_it_needs(folder, monkeypatch, window, start, read):
    """100 frames of 900: the rows that the archive's reader is asked for."""
    asked = []
    read_rows = MatrixReader.read_rows
    monkeypatch.setattr(MatrixReader, "read", None)
    monkeypatch.setattr(
        MatrixReader, "read_rows", lambda self, value, *rows: asked.append(rows) or read_rows(self, value, *rows)
    )
    FeatureReader(folder, None, window).chunk("a-1", start, 100)
    assert asked == [read]


@pytest.mark.parametrize("vad", [None, "energy"])
@pytest.mark.parametrize(("start", "length"), [(-1, 3), (0, 0), (0, 902), (899, 2), (5000, 1)])
def test_frames_that_are_not_there_are_an_error(folder, start, length, vad):
    """Named by utterance; a negative start does not count from the end."""
    with pytest.raises(DataError, match=f"a-1: frames {start}..{start + length} are not there"):
        FeatureReader(folder, vad).chunk("a-1", start, length)


def test_a_nan_is_named_by_utterance(folder):
    """A NaN put into the archive's bytes: reading that utterance says so, the others still read."""
    ark, at = read_table(folder / "feats.scp")["b-1"].split(":")
    with open(ark, "r+b") as file:
        file.seek(int(at) + 15 + 4 * 3 * 200)
        file.write(np.float32(np.nan).tobytes())
    reader = FeatureReader(folder, cmn_window=30)
    with pytest.raises(DataError, match=r"^b-1: .*feats\.1\.ark:\d+: holds a NaN"):
        reader.whole("b-1")
    reader.whole("a-1")


def test_a_missing_archive_is_named_with_the_utterance(folder):
    (folder / "feats.1.ark").unlink()
    with pytest.raises(DataError, match=r"^a-1: .*feats\.1\.ark: cannot read"):
        FeatureReader(folder).whole("a-1")


def test_tables_that_do_not_cover_an_utterance_are_an_error(folder):
    table = read_table(folder / "vad.scp")
    del table["a-2"]
    write_table(folder / "vad.scp", table)
    with pytest.raises(DataError, match=r"1 utterances of feats\.scp lack a VAD or a count: a-2; run stage 1"):
        FeatureReader(folder, "energy")


def test_counts_that_are_no_numbers_are_an_error(folder):
    write_table(folder / "utt2num_frames", dict.fromkeys(LENGTHS, "many"))
    with pytest.raises(DataError, match=r"mfcc3: a count of frames is not a number.*'many'"):
        FeatureReader(folder)


@pytest.mark.parametrize(("file", "vad"), [("feats.scp", None), ("vad_webrtc.scp", "webrtc"), ("feats.conf", None)])
def test_a_missing_table_is_named(folder, file, vad):
    (folder / file).unlink(missing_ok=True)
    with pytest.raises(Exception, match=file) as caught:
        FeatureReader(folder, vad)
    assert "\n" not in str(caught.value)


def test_a_reader_goes_to_other_processes(folder):
    """Pickled as loaders of batches do, after a file was opened."""
    reader = FeatureReader(folder, "energy", 30)
    expected_TD = reader.whole("a-1")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reader)).whole("a-1"), expected_TD)


def test_dim_and_rate(folder):
    reader = FeatureReader(folder)
    assert (reader.dim, reader.frames_per_s) == (3, 100)


def test_examples_run(tmp_path, monkeypatch):
    """The docstring's example, on a folder of the name that it uses."""
    path = tmp_path / "data/mini/vox1_train/feats/mfcc23_8k"
    path.mkdir(parents=True)
    write_folder(path, {"id00001-abc-00001": 500}, dim=23)
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(sv.features.files)
    assert result.attempted > 0
    assert result.failed == 0
