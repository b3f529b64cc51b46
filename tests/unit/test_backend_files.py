"""Kaldi's binary files of one object: byte for byte, there and back, and what is refused."""

import numpy as np
import pytest
from kaldi_text import PLDA as REFERENCE
from kaldi_text import read_matrices

from sv.backends.files import read_array, read_plda, write_array, write_plda
from sv.backends.plda import Plda
from sv.errors import DataError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", ["plda", "plda_lda_ln"])
def test_kaldis_model_is_written_again_byte_for_byte(tmp_path, name):
    write_plda(tmp_path / "plda", read_plda(REFERENCE / f"{name}.bin"))
    assert (tmp_path / "plda").read_bytes() == (REFERENCE / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("name", ["plda", "plda_lda_ln"])
def test_kaldis_binary_model_is_its_text(name):
    """Seven digits are printed."""
    plda = read_plda(REFERENCE / f"{name}.bin")
    for binary, text in zip((plda.mean_D, plda.transform_DD, plda.psi_D), read_matrices(f"{name}.txt"), strict=True):
        assert binary.dtype == np.float64
        assert np.allclose(binary, text, rtol=1e-6, atol=1e-7)


def test_model_comes_back_exactly(tmp_path):
    plda = Plda(RNG.normal(size=3), RNG.normal(size=(3, 3)), RNG.random(3))
    write_plda(tmp_path / "plda", plda)
    again = read_plda(tmp_path / "plda")
    for part in ("mean_D", "transform_DD", "psi_D"):
        assert np.array_equal(getattr(again, part), getattr(plda, part))


@pytest.mark.parametrize("shape", [(5,), (3, 4), (1, 1), (2, 0)])
def test_arrays_come_back_exactly(tmp_path, shape):
    array = RNG.normal(size=shape)
    write_array(tmp_path / "x", array)
    assert np.array_equal(read_array(tmp_path / "x"), array)


def test_single_precision_is_read_too():
    """Kaldi's lda.mat is a float matrix."""
    assert (REFERENCE / "lda.mat").read_bytes()[2:5] == b"FM "
    assert read_array(REFERENCE / "lda.mat").shape == (8, 13)


@pytest.mark.parametrize("keep", [0, 1, 9, 20, 100, 1000, -1])
def test_cut_model_is_one_line_naming_the_file(tmp_path, keep):
    (tmp_path / "plda").write_bytes((REFERENCE / "plda.bin").read_bytes()[:keep])
    with pytest.raises(DataError, match=r"/plda: ") as caught:
        read_plda(tmp_path / "plda")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 8, 20, 100, -1])
def test_cut_matrix_is_one_line_naming_the_file(tmp_path, keep):
    (tmp_path / "x").write_bytes((REFERENCE / "lda.mat").read_bytes()[:keep])
    with pytest.raises(DataError, match=r"/x: ") as caught:
        read_array(tmp_path / "x")
    assert "\n" not in str(caught.value)


def test_other_objects_are_refused(tmp_path):
    """A model as a matrix, a matrix as a model, a text form, two matrices in a file, a missing file, a folder."""
    two = (REFERENCE / "lda.mat").read_bytes() * 2
    (tmp_path / "two").write_bytes(two)
    for read, path in (
        (read_array, REFERENCE / "plda.bin"),
        (read_plda, REFERENCE / "lda.mat"),
        (read_array, REFERENCE / "lda.mat.txt"),
        (read_plda, REFERENCE / "plda.txt"),
        (read_array, tmp_path / "two"),
        (read_array, tmp_path / "none"),
        (read_plda, tmp_path),
    ):
        with pytest.raises(DataError, match=str(path)) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_model_whose_parts_do_not_fit_is_refused(tmp_path):
    write_plda(tmp_path / "plda", Plda(np.zeros(3), np.zeros((2, 2)), np.zeros(3)))
    with pytest.raises(DataError, match=r"not a whole PLDA model \(mean \(3,\), transform \(2, 2\)\)"):
        read_plda(tmp_path / "plda")
