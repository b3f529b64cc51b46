"""`sv.data.vectors`: embeddings by key, of utterances and of their crops, and enrolment means."""

import doctest
import struct
import tracemalloc

import numpy as np
import pytest
from embedding_sets import write_set

import sv.data.vectors
from sv.data.ark import ArkWriter
from sv.data.crops import ArchivedRows
from sv.data.tables import read_table, write_table
from sv.data.vectors import Vectors
from sv.errors import DataError

RNG = np.random.default_rng(0)


def test_vectors_are_read_by_key(tmp_path):
    """Rows in C order of the keys, whatever the order in the archive, float64."""
    vectors = Vectors.read(write_set(tmp_path, {"b": [3, 4], "a": [1, 2]}))
    assert vectors.keys == ["a", "b"]
    assert vectors.index() == {"a": 0, "b": 1}
    np.testing.assert_array_equal(vectors.x_ND, [[1, 2], [3, 4]])
    assert vectors.x_ND.dtype == np.float64
    assert vectors.num_utts_N.tolist() == [1, 1]


def test_vectors_are_read_without_a_second_copy_of_all(tmp_path):
    """The float64 array, one vector, and what keys and scp take: less than half as much again."""
    rng = np.random.default_rng(0)
    scp = write_set(tmp_path, {f"utt{n:04d}": rng.normal(size=1024).astype(np.float32) for n in range(1500)})
    tracemalloc.start()
    vectors = Vectors.read(scp)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.4 * vectors.x_ND.nbytes


def test_models_are_means_of_their_utterances(tmp_path):
    """By hand, with the number of utterances; models in C order."""
    vectors = Vectors.read(write_set(tmp_path, {"a": [1, 2], "b": [3, 4], "c": [8, 0]}))
    models = vectors.means({"y": ["a", "b", "c"], "x": ["b"]})
    assert models.keys == ["x", "y"]
    np.testing.assert_allclose(models.x_ND, [[3, 4], [4, 2]])
    assert models.num_utts_N.tolist() == [1, 3]


def test_an_utterance_without_a_vector_is_named(tmp_path):
    vectors = Vectors.read(write_set(tmp_path, {"a": [1, 2]}))
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
        Vectors.read(write_set(tmp_path, {"a": [1, 2], "b": [1, 2, 3]}))


def test_a_nan_is_named_by_key(tmp_path):
    """A NaN put into the archive's bytes."""
    scp = write_set(tmp_path, {"a": [1, 2], "b": [3, 4]})
    ark, at = read_table(scp)["b"].split(":")
    with open(ark, "r+b") as file:
        file.seek(int(at) + 10)
        file.write(np.float32(np.nan).tobytes())
    with pytest.raises(DataError, match=r"^b: .*holds a NaN"):
        Vectors.read(scp)


MATRICES = {"b": [[3, 4], [5, 8]], "a": [[1, 2]], "c": [[0, 1], [1, 0], [2, 2]]}


def test_a_matrix_is_read_as_the_mean_over_its_crops_and_keeps_them_where_asked(tmp_path):
    """Whatever their number; the crops in the archive's precision, in C order of the keys."""
    scp = write_set(tmp_path, MATRICES)
    means, kept = Vectors.read(scp), Vectors.read(scp, crops=True)
    for vectors in (means, kept):
        np.testing.assert_array_equal(vectors.x_ND, [[1, 2], [4, 6], [1, 1]])
        assert vectors.num_utts_N.tolist() == [1, 1, 1]
    assert means.crops is None
    assert kept.crops.x_CD.dtype == np.float32
    assert [kept.crops.x_CD[kept.crops.take([n]).rows()].tolist() for n in range(3)] == [
        MATRICES[key] for key in kept.keys
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_in_archives_are_those_of_the_matrices_below_each_other(tmp_path, dtype):
    """By slices, by numbers in any order, some twice, and of two dimensions; in the archive's precision."""
    matrices = [RNG.normal(size=(size, 3)).astype(dtype) for size in (2, 1, 4, 3)]
    with ArkWriter(tmp_path / "x", dtype=dtype) as archive:
        for number, matrix in enumerate(matrices):
            archive.write(f"{number}", matrix)
    values = list(read_table(tmp_path / "x.scp").values())
    rows, expected = ArchivedRows(values, np.array([2, 1, 4, 3]), 3, dtype), np.concatenate(matrices)
    assert (len(rows), rows.shape, rows.dtype, rows.nbytes) == (10, (10, 3), expected.dtype, expected.nbytes)
    for which in (slice(None), slice(3, 9), slice(9, 40), [9, 0, 0, 5, 4, 2], RNG.integers(0, 10, (4, 5)), []):
        np.testing.assert_array_equal(rows[which], expected[which], strict=True)


def test_many_crops_stay_in_the_archive_and_are_the_same(tmp_path, monkeypatch):
    scp = write_set(tmp_path, MATRICES)
    few = Vectors.read(scp, crops=True)
    monkeypatch.setattr(sv.data.vectors, "CROPS_IN_MEMORY", few.crops.x_CD.nbytes - 1)
    many = Vectors.read(scp, crops=True)
    assert isinstance(few.crops.x_CD, np.ndarray)
    assert isinstance(many.crops.x_CD, ArchivedRows)
    np.testing.assert_array_equal(many.crops.x_CD[:], few.crops.x_CD, strict=True)
    np.testing.assert_array_equal(many.take([2, 0]).of_row(1).x_ND, few.take([2, 0]).of_row(1).x_ND, strict=True)


def test_only_the_keys_asked_for_are_read_where_they_are_there(tmp_path):
    """Whatever their order, and though another one is damaged."""
    scp = write_set(tmp_path, {"a": [1, 2], "b": [3, 4], "c": [5, 6]})
    write_table(scp, {**read_table(scp), "b": "nowhere.ark:5"})
    vectors = Vectors.read(scp, only=["c", "a", "gone"])
    assert vectors.keys == ["a", "c"]
    assert vectors.x_ND.tolist() == [[1, 2], [5, 6]]


def test_all_of_a_set_in_its_order_are_not_copied(tmp_path):
    vectors = Vectors.read(write_set(tmp_path, MATRICES))
    assert vectors.take(np.arange(3)).x_ND is vectors.x_ND
    assert vectors.take([0, 2, 1]).keys == ["a", "c", "b"]
    assert vectors.take([0, 1]).keys == ["a", "b"]


def test_a_vector_is_its_own_crop(tmp_path):
    vectors = Vectors.read(write_set(tmp_path, {"a": [1, 2], "b": [3, 4]}), crops=True)
    assert vectors.crops is None
    assert vectors.own_crops().x_CD.tolist() == [[1, 2], [3, 4]]
    assert vectors.own_crops().size_N.tolist() == [1, 1]


def test_some_of_a_set_keep_their_own_crops(tmp_path):
    """In the order asked for, and from them again some."""
    vectors = Vectors.read(write_set(tmp_path, MATRICES), crops=True)
    some = vectors.take([2, 0, 1]).take([0, 2])
    assert some.keys == ["c", "b"]
    assert some.crops.x_CD[some.crops.rows()].tolist() == MATRICES["c"] + MATRICES["b"]


def test_a_model_is_the_mean_of_its_utterances_means_with_all_their_crops(tmp_path):
    """An utterance counts as one however many crops it has."""
    models = Vectors.read(write_set(tmp_path, MATRICES), crops=True).means({"y": ["c", "a"], "x": ["b"]})
    np.testing.assert_array_equal(models.x_ND, [[4, 6], [1, 1.5]])
    assert models.num_utts_N.tolist() == [1, 2]
    assert models.crops.size_N.tolist() == [2, 4]
    assert models.crops.x_CD[models.crops.take([1]).rows()].tolist() == MATRICES["c"] + MATRICES["a"]


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"a": [1, 2], "b": [[3, 4]]}, "b is a matrix of crops, a is a vector; extract anew"),
        ({"a": [[1, 2]], "b": [3, 4]}, "b is a vector, a is a matrix of crops; extract anew"),
        ({"a": [[1, 2]], "b": [[3, 4, 5]]}, "b has 3 dimensions, a has 2"),
    ],
)
def test_a_set_of_two_kinds_or_sizes_is_refused(tmp_path, arrays, problem):
    with pytest.raises(DataError, match=f"^{tmp_path}/xvector.scp: {problem}$"):
        Vectors.read(write_set(tmp_path, arrays))


def test_an_utterance_without_crops_is_refused(tmp_path):
    """A matrix of no rows, which we do not write and others may."""
    (tmp_path / "x.ark").write_bytes(b"\0BFM " + struct.pack("<bibi", 4, 0, 4, 2))
    write_table(tmp_path / "x.scp", {"a": f"{tmp_path}/x.ark:0"})
    with pytest.raises(DataError, match=r"x\.scp: a has no crops; extract anew"):
        Vectors.read(tmp_path / "x.scp")


def test_examples_run(tmp_path, monkeypatch):
    """The docstring's example, on a file of the name that it uses."""
    folder = tmp_path / "exp/mini/xvector-small/seed1/embeddings/vox1_test"
    write_set(folder, {"utt1": [1, 2], "utt2": [3, 4]})
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(sv.data.vectors)
    assert result.attempted > 0
    assert result.failed == 0
