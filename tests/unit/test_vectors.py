"""`sv.data.vectors`: embeddings by key, and enrolment means."""

import doctest

import numpy as np
import pytest

import sv.data.vectors
from sv.data.ark import ArkWriter
from sv.data.tables import read_table, write_table
from sv.data.vectors import Vectors
from sv.errors import DataError


def write_vectors(folder, vectors):
    folder.mkdir(parents=True, exist_ok=True)
    with ArkWriter(folder / "xvector") as archive:
        for key, vector in vectors.items():
            archive.write(key, np.array(vector))
    return folder / "xvector.scp"


def test_vectors_are_read_by_key(tmp_path):
    """Rows in C order of the keys, whatever the order in the archive, float64."""
    vectors = Vectors.read(write_vectors(tmp_path, {"b": [3, 4], "a": [1, 2]}))
    assert vectors.keys == ["a", "b"]
    assert vectors.index() == {"a": 0, "b": 1}
    np.testing.assert_array_equal(vectors.x_ND, [[1, 2], [3, 4]])
    assert vectors.x_ND.dtype == np.float64
    assert vectors.num_utts_N.tolist() == [1, 1]


def test_models_are_means_of_their_utterances(tmp_path):
    """By hand, with the number of utterances; models in C order."""
    vectors = Vectors.read(write_vectors(tmp_path, {"a": [1, 2], "b": [3, 4], "c": [8, 0]}))
    models = vectors.means({"y": ["a", "b", "c"], "x": ["b"]})
    assert models.keys == ["x", "y"]
    np.testing.assert_allclose(models.x_ND, [[3, 4], [4, 2]])
    assert models.num_utts_N.tolist() == [1, 3]


def test_an_utterance_without_a_vector_is_named(tmp_path):
    vectors = Vectors.read(write_vectors(tmp_path, {"a": [1, 2]}))
    with pytest.raises(DataError, match="2 enrolment utterances have no embedding: b, c; rerun stage 5"):
        vectors.means({"x": ["a", "b"], "y": ["c", "b"]})


def test_a_missing_or_empty_list_is_named(tmp_path):
    with pytest.raises(DataError, match=r"xvector\.scp is missing; extract embeddings first \(stage 5\)"):
        Vectors.read(tmp_path / "xvector.scp")
    write_table(tmp_path / "xvector.scp", {})
    with pytest.raises(DataError, match=r"xvector\.scp holds no vectors"):
        Vectors.read(tmp_path / "xvector.scp")


def test_vectors_of_another_size_are_named(tmp_path):
    with pytest.raises(DataError, match="b has 3 dimensions, a has 2"):
        Vectors.read(write_vectors(tmp_path, {"a": [1, 2], "b": [1, 2, 3]}))


def test_a_nan_is_named_by_key(tmp_path):
    """A NaN put into the archive's bytes."""
    scp = write_vectors(tmp_path, {"a": [1, 2], "b": [3, 4]})
    ark, at = read_table(scp)["b"].split(":")
    with open(ark, "r+b") as file:
        file.seek(int(at) + 10)
        file.write(np.float32(np.nan).tobytes())
    with pytest.raises(DataError, match=r"^b: .*holds a NaN"):
        Vectors.read(scp)


def test_examples_run(tmp_path, monkeypatch):
    """The docstring's example, on a file of the name that it uses."""
    folder = tmp_path / "exp/mini/xvector-small/seed1/embeddings/vox1_test"
    write_vectors(folder, {"utt1": [1, 2], "utt2": [3, 4]})
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(sv.data.vectors)
    assert result.attempted > 0
    assert result.failed == 0
