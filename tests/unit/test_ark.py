"""`sv.data.ark`: archives against kaldiio and against Kaldi's own arithmetic, value by value."""

import os
import pickle
import struct
import subprocess
import sys

import kaldiio
import numpy as np
import pytest

from sv.data.ark import ArkWriter, MatrixReader, read_scp, write_scp
from sv.errors import DataError

METHODS = {"plain": None, "CM": 2, "CM2": 3, "CM2-int": 4, "CM3": 5, "CM3-int": 6}


def matrix(rows=57, cols=13, seed=0, dtype=np.float32):
    return (np.random.default_rng(seed).normal(3, 20, (rows, cols))).astype(dtype)


def kaldiio_ark(folder, matrices, method=None):
    """Write matrices with kaldiio; returns key -> scp value."""
    kaldiio.save_ark(str(folder / "k.ark"), matrices, scp=str(folder / "k.scp"), compression_method=method)
    return read_scp(folder / "k.scp")


def write_ark(name, *pairs):
    with ArkWriter(name) as w:
        for key, array in pairs:
            w.write(key, array)


def kaldi_decoding(data):
    """A compressed matrix by Kaldi's compressed-matrix.cc, one value at a time, in its mixed precision."""
    kind = data[2:].split(b" ")[0].decode()
    at = 3 + len(kind)
    low, span, rows, cols = struct.unpack_from("<ffii", data, at)
    at += 16
    f4, f8 = np.float32, np.float64
    low, span = f4(low), f4(span)
    out = np.empty((rows, cols), f4)
    for c in range(cols):
        if kind == "CM":
            header = struct.unpack_from("<4H", data, at + 8 * c)
            p = [low + span * f4(1.52590218966964e-05) * f4(v) for v in header]
        for r in range(rows):
            if kind == "CM":
                v = data[at + 8 * cols + c * rows + r]
                if v <= 64:
                    out[r, c] = f8(p[0]) + f8((p[1] - p[0]) * f4(v)) * (1 / 64.0)
                elif v <= 192:
                    out[r, c] = f8(p[1]) + f8((p[2] - p[1]) * f4(v - 64)) * (1 / 128.0)
                else:
                    out[r, c] = f8(p[2]) + f8((p[3] - p[2]) * f4(v - 192)) * (1 / 63.0)
            elif kind == "CM2":
                v = struct.unpack_from("<H", data, at + 2 * (r * cols + c))[0]
                out[r, c] = low + f4(v) * f4(f8(span) * (1.0 / 65535.0))
            else:
                v = data[at + r * cols + c]
                out[r, c] = low + f4(v) * f4(f8(span) * (1.0 / 255.0))
    return out


@pytest.fixture
def reader():
    with_files = MatrixReader()
    yield with_files
    with_files.close()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("shape", [(57, 13), (300, 80), (9, 1)])
def test_read_equals_kaldiio(tmp_path, reader, method, shape):
    """Every kind: equal when plain; within float32 rounding when compressed, as kaldiio multiplies
    and divides in another order than Kaldi."""
    mats = {f"u{i}": matrix(*shape, seed=i) for i in range(3)}
    if method == 6:
        mats = {k: np.round(np.abs(m)) for k, m in mats.items()}
    scp = kaldiio_ark(tmp_path, mats, method)
    for key, value in scp.items():
        ours, theirs = reader.read(value), kaldiio.load_mat(value)
        assert ours.dtype == np.float32
        assert ours.shape == theirs.shape
        if method is None:
            np.testing.assert_array_equal(ours, mats[key])
        else:
            span = {4: 65535, 6: 255}.get(method, np.ptp(theirs))  # min + code * range / levels
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=2**-23 * (span + abs(theirs).max()))


@pytest.mark.parametrize("method", [2, 3, 5])
def test_decoding_equals_kaldi_bit_by_bit(tmp_path, reader, method):
    """Against a scalar transcription of Kaldi's formulas and precisions."""
    scp = kaldiio_ark(tmp_path, {"u": matrix(40, 5)}, method)
    offset = int(scp["u"].rpartition(":")[2])
    data = (tmp_path / "k.ark").read_bytes()[offset:]
    np.testing.assert_array_equal(reader.read(scp["u"]), kaldi_decoding(data))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_rows_of_the_whole(tmp_path, reader, method, dtype):
    """read_rows is a slice of read, at both ends, empty and whole, always float32 and in C order."""
    value = kaldiio_ark(tmp_path, {"a": matrix(20, 4), "u": matrix(dtype=dtype)}, method)["u"]
    whole = reader.read(value)
    for start, stop in [(0, 1), (0, 57), (56, 57), (10, 33), (57, 57)]:
        rows = reader.read_rows(value, start, stop)
        assert rows.dtype == np.float32
        assert rows.flags.c_contiguous
        assert rows.flags.writeable
        np.testing.assert_array_equal(rows, whole[start:stop].astype(np.float32))


@pytest.mark.parametrize("method", [None, 3, 5])
def test_rows_read_only_their_bytes(tmp_path, reader, method, monkeypatch):
    """Bytes asked of the system for 3 rows: the rows and a header, no more."""
    value = kaldiio_ark(tmp_path, {"u": matrix(500, 10)}, method)["u"]
    read = []
    preadv, pread = os.preadv, os.pread
    monkeypatch.setattr(os, "preadv", lambda fd, b, at: read.append(len(b[0])) or preadv(fd, b, at))
    monkeypatch.setattr(os, "pread", lambda fd, n, at: read.append(n) or pread(fd, n, at))
    reader.read_rows(value, 100, 103)
    assert sum(read) == 3 * 10 * {None: 4, 3: 2, 5: 1}[method] + 22


def test_double_keeps_its_precision(tmp_path, reader):
    """`read` of a DM and `read_vector` of a DV give float64, bit for bit."""
    m, v = matrix(dtype=np.float64), matrix(1, 50, dtype=np.float64)[0]
    scp = kaldiio_ark(tmp_path, {"m": m, "v": v})
    np.testing.assert_array_equal(reader.read(scp["m"]), m)
    np.testing.assert_array_equal(reader.read_vector(scp["v"]), v)
    assert reader.read(scp["m"]).dtype == np.float64


def test_kaldi_ranges(tmp_path, reader):
    """[0:9] includes row 9; columns after a comma; read_rows counts within it; 3 rows over are clipped."""
    m = matrix(50, 6)
    value = kaldiio_ark(tmp_path, {"u": m})["u"]
    np.testing.assert_array_equal(reader.read(value + "[0:9]"), m[:10])
    np.testing.assert_array_equal(reader.read(value + "[5:9,1:2]"), m[5:10, 1:3])
    np.testing.assert_array_equal(reader.read(value + "[,1:2]"), m[:, 1:3])
    np.testing.assert_array_equal(reader.read(value + "[:,0:0]"), m[:, :1])
    np.testing.assert_array_equal(reader.read_rows(value + "[10:29]", 2, 5), m[12:15])
    np.testing.assert_array_equal(reader.read(value + "[40:52]"), m[40:])
    assert reader.num_rows(value + "[0:9]") == 10
    for bad in ["[40:53]", "[9:5]", "[50:50]", "[1]", "[0:9,0:6]"]:
        with pytest.raises(DataError, match="range"):
            reader.read(value + bad)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_shape_from_the_header(tmp_path, reader, method):
    value = kaldiio_ark(tmp_path, {"u": matrix(33, 7)}, method)["u"]
    assert reader.shape(value) == (33, 7)
    assert reader.num_rows(value) == 33


def test_open_files_are_bounded(tmp_path):
    """20 archives through a reader of 4: every value right, never more than 4 open."""
    reader = MatrixReader(max_open=4)
    before = len(os.listdir("/proc/self/fd"))
    values = []
    for i in range(20):
        with ArkWriter(tmp_path / str(i)) as w:
            w.write("u", np.full((2, 2), i + 1.0))
        values.append(f"{tmp_path}/{i}.ark:2")
    for i in [*range(20), 0, 7, 0]:
        assert reader.read(values[i])[0, 0] == i + 1
        assert len(os.listdir("/proc/self/fd")) <= before + 4
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_reader_pickles_and_forks(tmp_path, reader):
    """A copy by pickle reads; so does a child process that inherits the open files."""
    value = kaldiio_ark(tmp_path, {"u": matrix()})["u"]
    whole = reader.read(value)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reader)).read(value), whole)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(reader.read_rows(value, 3, 9), whole[3:9]) else 1)
    np.testing.assert_array_equal(reader.read_rows(value, 20, 30), whole[20:30])
    assert os.waitpid(child, 0)[1] == 0


def test_writer_equals_kaldiio_byte_for_byte(tmp_path):
    """The uncompressed archive and its scp against kaldiio.save_ark of the same arrays."""
    arrays = {"a": matrix(5, 3), "b": matrix(1, 9)[0], "c": matrix(700, 30)}
    kaldiio_ark(tmp_path, arrays)
    with ArkWriter(tmp_path / "ours") as w:
        for key, array in arrays.items():
            w.write(key, array)
    assert (tmp_path / "ours.ark").read_bytes() == (tmp_path / "k.ark").read_bytes()
    assert (tmp_path / "ours.scp").read_text() == (tmp_path / "k.scp").read_text().replace("/k.ark:", "/ours.ark:")


def test_writer_doubles(tmp_path, reader):
    with ArkWriter(tmp_path / "d", dtype=np.float64) as w:
        w.write("m", matrix(dtype=np.float64))
    value = read_scp(tmp_path / "d.scp")["m"]
    np.testing.assert_array_equal(kaldiio.load_mat(value), matrix(dtype=np.float64))
    np.testing.assert_array_equal(reader.read(value), matrix(dtype=np.float64))


@pytest.mark.parametrize(("rows", "kind"), [(1, b"CM2 "), (8, b"CM2 "), (9, b"CM "), (400, b"CM ")])
def test_writer_compresses_as_kaldi_chooses(tmp_path, reader, rows, kind):
    """Kaldi's automatic method by rows; the error is within a step of the code (CM: a 64th of a quartile)."""
    m = matrix(rows, 20)
    with ArkWriter(tmp_path / "c", compress=True) as w:
        w.write("u", m)
        w.write("v", m[0])
    data = (tmp_path / "c.ark").read_bytes()
    assert data[2:].startswith(b"\0B" + kind)
    scp = read_scp(tmp_path / "c.scp")
    step = np.ptp(m) / (65535 if kind == b"CM2 " else 63)
    np.testing.assert_allclose(reader.read(scp["u"]), m, rtol=0, atol=step)
    np.testing.assert_array_equal(reader.read_vector(scp["v"]), m[0])


def test_writer_sorts_the_scp(tmp_path, reader):
    """Any order in, C order (bytes, not locale) in the scp, each key with its own values."""
    keys = ["b", "B", "a-1", "a", "é", "a_1", "Z"]
    with ArkWriter(tmp_path / "s") as w:
        for i, key in enumerate(keys):
            w.write(key, np.full(3, i + 1.0))
    scp = read_scp(tmp_path / "s.scp")
    assert list(scp) == sorted(keys, key=str.encode)
    for i, key in enumerate(keys):
        assert reader.read_vector(scp[key])[0] == i + 1


def test_paths_with_spaces_and_colons(tmp_path, reader):
    with ArkWriter(tmp_path / "my data" / "feats:1.a") as w:
        w.write("u", matrix())
    assert sorted(os.listdir(tmp_path / "my data")) == ["feats:1.a.ark", "feats:1.a.scp"]
    scp = read_scp(tmp_path / "my data" / "feats:1.a.scp")
    np.testing.assert_array_equal(reader.read(scp["u"]), matrix())


def test_writer_leaves_nothing_on_an_exception(tmp_path):
    """The earlier ark and scp stay, no partial file is left."""
    with ArkWriter(tmp_path / "x") as w:
        w.write("u", matrix())
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    with pytest.raises(DataError, match="NaN"):
        write_ark(tmp_path / "x", ("v", matrix(seed=1)), ("w", np.array([np.nan])))
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_killed_writer_leaves_the_old_archive(tmp_path):
    """SIGKILL in the middle: old ark and scp still agree; the next run ends with only its own two files."""
    with ArkWriter(tmp_path / "x") as w:
        w.write("u", np.ones(3))
    code = (
        "import os, numpy as np; from sv.data.ark import ArkWriter\n"
        f"with ArkWriter({str(tmp_path / 'x')!r}) as w:\n"
        "    w.write('u', np.zeros((1000, 1000))); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert MatrixReader().read_vector(read_scp(tmp_path / "x.scp")["u"]).tolist() == [1, 1, 1]
    with ArkWriter(tmp_path / "x") as w:
        w.write("u", np.full(3, 2.0))
    assert sorted(os.listdir(tmp_path)) == ["x.ark", "x.scp"]
    assert MatrixReader().read_vector(read_scp(tmp_path / "x.scp")["u"]).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("key", "array", "says"),
    [
        ("utt7", np.array([1.0, np.nan]), "utt7 holds a NaN"),
        ("utt7", np.full((2, 2), np.inf), "utt7 holds a NaN or infinite"),
        ("utt7", np.array([[1e39]]), "utt7 holds a NaN or infinite"),
        ("utt7", np.zeros((0, 5)), r"utt7 has the shape \(0, 5\)"),
        ("utt7", np.zeros((2, 2, 2)), "utt7 has the shape"),
        ("again", np.ones(2), "'again' is written a second time"),
        ("two words", np.ones(2), "'two words' is not one word"),
        ("", np.ones(2), "not one word"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_writer_refuses(tmp_path, key, array, says):
    """What no later stage could use is an error that names the key; no file is left."""
    with pytest.raises(DataError, match=says):
        write_ark(tmp_path / "x", ("again", np.ones(2)), (key, array))
    assert os.listdir(tmp_path) == []


def test_missing_archive_is_named(tmp_path, reader):
    with pytest.raises(DataError, match=r"gone\.ark: cannot read the archive \(No such file"):
        reader.read(f"{tmp_path}/gone.ark:5")


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("keep", [-1, -400, 30, 12, 4])
def test_truncated_archive_is_named(tmp_path, method, keep):
    """Cut in the data, in the column headers and in the header: read, read_rows and num_rows all say so."""
    value = kaldiio_ark(tmp_path, {"u": matrix()}, method)["u"]
    data = (tmp_path / "k.ark").read_bytes()
    (tmp_path / "k.ark").write_bytes(data[:keep])
    for ask in ("read", "num_rows"):
        with pytest.raises(DataError, match=r"k\.ark:2: .*(truncated|type)"):
            getattr(MatrixReader(), ask)(value)
    with pytest.raises(DataError, match=r"k\.ark:2: .*(truncated|type)"):
        MatrixReader().read_rows(value, 0, 1)


def test_offset_past_the_end_is_named(tmp_path, reader):
    kaldiio_ark(tmp_path, {"u": matrix()})
    with pytest.raises(DataError, match=r"k\.ark:99999: the archive ends at byte \d+"):
        reader.read(f"{tmp_path}/k.ark:99999")


def test_offset_to_something_else_is_named(tmp_path, reader):
    kaldiio_ark(tmp_path, {"u": matrix()})
    with pytest.raises(DataError, match=r"k\.ark:9: is not a Kaldi matrix"):
        reader.read(f"{tmp_path}/k.ark:9")


def test_text_archive_is_recognised(tmp_path, reader):
    (tmp_path / "t.ark").write_text("u  [ 1 2 3 ]\n")
    with pytest.raises(DataError, match=r"t\.ark:2: is in text form; convert"):
        reader.read(f"{tmp_path}/t.ark:2")


def test_command_is_not_run(tmp_path, reader):
    with pytest.raises(DataError, match="commands are not run"):
        reader.read(f"touch {tmp_path}/ran |")
    assert os.listdir(tmp_path) == []


def test_rows_out_of_range_are_refused(tmp_path, reader):
    value = kaldiio_ark(tmp_path, {"u": matrix(57)})["u"]
    for start, stop in [(0, 58), (-1, 3), (5, 4)]:
        with pytest.raises(DataError, match=r"k\.ark:2: rows .* wanted, it has 57"):
            reader.read_rows(value, start, stop)


def test_matrix_is_no_vector(tmp_path, reader):
    value = kaldiio_ark(tmp_path, {"u": matrix()})["u"]
    with pytest.raises(DataError, match="is a matrix of 57 rows"):
        reader.read_vector(value)


def test_check_finite_is_an_option(tmp_path, reader):
    m = matrix()
    m[30, 2] = np.nan
    value = kaldiio_ark(tmp_path, {"u": m})["u"]
    assert np.isnan(reader.read(value)[30, 2])
    with pytest.raises(DataError, match=r"k\.ark:2: holds a NaN"):
        MatrixReader(check_finite=True).read(value)
    assert MatrixReader(check_finite=True).read_rows(value, 0, 30).shape == (30, 13)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a x\nb y\na z\n", r"l\.scp:3: .*'a'"),
        ("a x\nb\n", r"l\.scp:2: .*'b' has no value"),
        ("a x\nb   \n", r"l\.scp:2: .*'b' has no value"),
        ("a x\n\nb y\n", r"l\.scp:2: empty line"),
    ],
)
def test_malformed_scp_names_file_and_line(tmp_path, text, says):
    (tmp_path / "l.scp").write_text(text)
    with pytest.raises(DataError, match=says):
        read_scp(tmp_path / "l.scp")


def test_missing_scp_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no\.scp"):
        read_scp(tmp_path / "no.scp")


def test_archive_taken_for_a_scp(tmp_path):
    (tmp_path / "x.scp").write_bytes(b"u \0BFM \4\xff\xfe\0\0")
    with pytest.raises(DataError, match=r"x\.scp"):
        read_scp(tmp_path / "x.scp")


def test_scp_round_trip(tmp_path):
    """Order is kept, values hold spaces and pipes, a tab may follow the key; written sorted."""
    (tmp_path / "l.scp").write_text("b /a dir/x.wav\na\tsph2pipe -f wav 'x y.sph' |  \n")
    table = read_scp(tmp_path / "l.scp")
    assert list(table.items()) == [("b", "/a dir/x.wav"), ("a", "sph2pipe -f wav 'x y.sph' |")]
    write_scp(tmp_path / "m.scp", table)
    assert (tmp_path / "m.scp").read_text() == "a sph2pipe -f wav 'x y.sph' |\nb /a dir/x.wav\n"
