"""`sv.data.atomic`: the file appears whole or not at all."""

import errno
import os

import pytest

from sv.data.atomic import atomic_write


def test_text_and_bytes_arrive(tmp_path):
    """Both modes, in a directory that did not exist, and nothing else is left there."""
    with atomic_write(tmp_path / "new dir" / "a.txt", "w") as f:
        f.write("é\n")
    with atomic_write(str(tmp_path / "new dir" / "b.bin"), "wb") as f:
        f.write(b"\0\1")
    assert (tmp_path / "new dir" / "a.txt").read_bytes() == "é\n".encode()
    assert (tmp_path / "new dir" / "b.bin").read_bytes() == b"\0\1"
    assert sorted(os.listdir(tmp_path / "new dir")) == ["a.txt", "b.bin"]


def test_exception_leaves_the_old_file(tmp_path):
    """An exception in the block passes through; the earlier content stays and no partial file is left."""
    path = tmp_path / "list"
    path.write_text("old\n")

    def interrupted():
        with atomic_write(path) as f:
            f.write("new\n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["list"]


def test_not_visible_before_the_end(tmp_path):
    """Inside the block the target has its old content, even after a flush."""
    path = tmp_path / "list"
    path.write_text("old\n")
    with atomic_write(path) as f:
        f.write("new\n")
        f.flush()
        assert path.read_text() == "old\n"
    assert path.read_text() == "new\n"


def test_mode_follows_umask(tmp_path):
    """Colleagues can read it: permissions are those of a plain open, not of a temporary file."""
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "atomic") as f:
        f.write("")
    assert os.stat(tmp_path / "atomic").st_mode == os.stat(tmp_path / "plain").st_mode


def test_what_a_killed_writer_left_goes_with_the_next_and_a_living_writers_stays(tmp_path):
    """Two writers of one file at once: each ends well; what a third left, who is no more, is removed."""
    left = tmp_path / ".[a] list.0123abcd.partial"
    left.write_text("half a l")
    with atomic_write(tmp_path / "[a] list") as one:
        assert not left.exists()
        with atomic_write(tmp_path / "[a] list") as two:
            two.write("two\n")
        one.write("one\n")
    assert (tmp_path / "[a] list").read_text() == "one\n"
    assert os.listdir(tmp_path) == ["[a] list"]


def test_a_full_disk_names_the_file(tmp_path):
    """An error of write() has no name by itself; another error stays as it is."""
    with pytest.raises(OSError, match="No space left on device: '") as caught, atomic_write(tmp_path / "list"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "list"))
    with pytest.raises(OSError, match="elsewhere"), atomic_write(tmp_path / "list"):
        raise OSError(errno.ENOSPC, "No space left on device", "elsewhere")
    assert os.listdir(tmp_path) == []
