"""Kaldi's files of mixtures and extractors: its own, both forms there and back, and files that are something else."""

import struct

import numpy as np
import pytest
import torch
from ivector_reference import IVECTOR

from sv.backends.kaldi_gmm import (
    read_diag_gmm,
    read_extractor,
    read_full_gmm,
    write_diag_gmm,
    write_extractor,
    write_full_gmm,
)
from sv.errors import DataError

FILES = [
    ("4.dubm.txt", read_diag_gmm, write_diag_gmm, 1e-6),
    ("final.ubm.txt", read_full_gmm, write_full_gmm, 1e-6),
    ("5.ie.txt", read_extractor, write_extractor, 0.0),  # float64, as Kaldi has them
]


def tensors(model):
    return {name: torch.as_tensor(value) for name, value in vars(model).items() if name[0] != "_"}


def tokens_and_numbers(path):
    """What stands in a text file: its words, numbers as numbers."""
    words = path.read_text().replace("[", " [ ").replace("]", " ] ").split()
    return [word if word[0] in "<[]" else float(word) for word in words]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("name", "read", "write", "tolerance"), FILES)
def test_what_is_written_is_read(tmp_path, name, read, write, tolerance, binary):
    model = read(IVECTOR / name)
    write(tmp_path / "model", model, binary=binary)
    found = tensors(read(tmp_path / "model"))
    for key, value in tensors(model).items():
        assert (found[key] - value).abs().max() <= tolerance * value.abs().max(), key


@pytest.mark.parametrize(("name", "read", "write", "tolerance"), FILES)
def test_text_is_kaldis(tmp_path, name, read, write, tolerance):
    """Word for word what Kaldi wrote: tokens, brackets, and numbers to the digits that it prints."""
    write(tmp_path / "model", read(IVECTOR / name), binary=False)
    ours, kaldis = tokens_and_numbers(tmp_path / "model"), tokens_and_numbers(IVECTOR / name)
    assert [word for word in ours if isinstance(word, str)] == [word for word in kaldis if isinstance(word, str)]
    numbers = [[word for word in words if isinstance(word, float)] for words in (ours, kaldis)]
    assert np.allclose(*numbers, rtol=2e-5, atol=1e-5)


def test_binary_is_as_kaldis_code_says(tmp_path):
    """Byte by byte, a mixture of one Gaussian of two dimensions: WriteToken, WriteBasicType, and the packed matrix."""
    model = read_full_gmm(IVECTOR / "final.ubm.txt")
    write_full_gmm(tmp_path / "model", model)
    data = (tmp_path / "model").read_bytes()
    assert data.startswith(b"\0B<FullGMM> <GCONSTS> FV \4" + struct.pack("<i", 4))
    at = data.index(b"<INV_COVARS> ") + len(b"<INV_COVARS> ")
    assert data[at : at + 8] == b"FP \4" + struct.pack("<i", 6)
    packed = np.frombuffer(data, "<f4", 21, at + 8)
    precision_DD = np.linalg.inv(model.covariances_IDD[0].numpy())
    assert np.allclose(packed, precision_DD[np.tril_indices(6)], atol=1e-6)
    assert data.endswith(b"</FullGMM> ")
    write_extractor(tmp_path / "extractor", read_extractor(IVECTOR / "0.ie.txt"))
    data = (tmp_path / "extractor").read_bytes()
    empty = b"DM " + 2 * (b"\4" + bytes(4))
    assert data.startswith(b"\0B<IvectorExtractor> <w> " + empty + b"<w_vec> DV \4" + struct.pack("<i", 4))
    assert b"<M> \4" + struct.pack("<i", 4) + b"DM " in data
    assert data.endswith(b"<IvectorOffset> \x08" + struct.pack("<d", 100.0) + b"</IvectorExtractor> ")


def test_gmm_without_constants_is_read(tmp_path):
    """They follow from the rest; Kaldi's older files lack them."""
    text = (IVECTOR / "4.dubm.txt").read_text()
    (tmp_path / "old").write_text("\n".join(line for line in text.split("\n") if "GCONSTS" not in line))
    assert torch.equal(read_diag_gmm(tmp_path / "old").means_ID, read_diag_gmm(IVECTOR / "4.dubm.txt").means_ID)


def test_float64_gmm_is_read(tmp_path):
    """As a Kaldi of double precision writes it."""
    write_diag_gmm(tmp_path / "single", read_diag_gmm(IVECTOR / "4.dubm.txt"))
    data = (tmp_path / "single").read_bytes()
    weights = np.frombuffer(data, "<f4", 4, data.index(b"<WEIGHTS> ") + len("<WEIGHTS> FV ") + 5)
    double = data.replace(
        b"FV \4" + struct.pack("<i", 4) + weights.tobytes(),
        b"DV \4" + struct.pack("<i", 4) + weights.astype("<f8").tobytes(),
    )
    assert len(double) == len(data) + 16
    (tmp_path / "double").write_bytes(double)
    assert np.array_equal(read_diag_gmm(tmp_path / "double").weights_I, weights)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("name", "read", "write", "tolerance"), FILES)
def test_truncated_files_are_one_line(tmp_path, name, read, write, tolerance, binary):
    """Cut anywhere: a DataError that names the file, nothing else."""
    write(tmp_path / "whole", read(IVECTOR / name), binary=binary)
    data = (tmp_path / "whole").read_bytes()
    end = len(data.rstrip()) - 1
    for cut in [0, 1, 2, 3, *range(10, end, max(1, end // 60)), end]:
        (tmp_path / "cut").write_bytes(data[:cut])
        with pytest.raises(DataError, match="cut: "):
            read(tmp_path / "cut")


@pytest.mark.parametrize(("name", "read", "write", "tolerance"), FILES)
def test_files_of_another_kind_are_one_line(tmp_path, name, read, write, tolerance):
    for other, _, _, _ in FILES:
        if other != name:
            with pytest.raises(DataError, match="not a Kaldi file of the kind expected"):
                read(IVECTOR / other)
    (tmp_path / "image").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    for path in (tmp_path / "image", IVECTOR.parent / "plda" / "plda.bin"):
        with pytest.raises(DataError, match="not a Kaldi file of the kind expected"):
            read(path)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "nothing")


def test_damaged_sizes_are_one_line(tmp_path):
    text = (IVECTOR / "final.ubm.txt").read_text()
    (tmp_path / "three").write_text(text.replace("0.4103324 0.2750924", "0.6854248"))
    with pytest.raises(DataError, match="three: "):
        read_full_gmm(tmp_path / "three")
    (tmp_path / "word").write_text(text.replace("0.4103324", "oops"))
    with pytest.raises(DataError, match="word: damaged, a number is expected"):
        read_full_gmm(tmp_path / "word")
    (tmp_path / "negative").write_text(text.replace("0.7478137", "-0.7478137"))
    with pytest.raises(DataError, match="negative: an inverse covariance is not positive definite"):
        read_full_gmm(tmp_path / "negative")


def test_extractor_with_weight_projections_is_refused(tmp_path):
    text = (IVECTOR / "0.ie.txt").read_text().replace("<w>  [ ]", "<w>  [\n  1 2 3 4 5 \n  1 2 3 4 5 ]")
    (tmp_path / "weights.ie").write_text(text)
    with pytest.raises(DataError, match=r"weights.ie: the mixture weights .* train it with --use-weights=false"):
        read_extractor(tmp_path / "weights.ie")
