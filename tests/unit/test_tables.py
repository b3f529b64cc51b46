"""`sv.data.tables`: what a table may hold, and that a mistake is named."""

import pytest

from sv.data.tables import first_few, read_lines, read_table, write_lines, write_table
from sv.errors import DataError


def test_what_is_written_is_read(tmp_path):
    """Values with blanks inside, in the order of the file."""
    table = {"b": "2", "a": "sox in put.flac -t wav - |", "ä": "é"}
    write_table(tmp_path / "wav.scp", table)
    assert read_table(tmp_path / "wav.scp") == table
    assert list(read_table(tmp_path / "wav.scp")) == ["a", "b", "ä"]


def test_written_tables_are_in_c_order(tmp_path):
    """Bytes decide, as for `LC_ALL=C sort`: digits, capitals, '_', small letters, then what is not ASCII."""
    keys = ["a-1", "a1", "a_1", "A", "aa", "ä", "€", "𝄞", "z"]
    write_table(tmp_path / "t", dict.fromkeys(keys, "x"))
    lines = (tmp_path / "t").read_bytes().splitlines()
    assert lines == sorted(lines)


def test_order_of_the_file_is_kept(tmp_path):
    (tmp_path / "t").write_text("b 1\na 2\n")
    assert list(read_table(tmp_path / "t")) == ["b", "a"]


def test_blanks_and_line_ends_do_not_matter(tmp_path):
    """Tabs, several blanks, a CR, no end of line at the end."""
    (tmp_path / "t").write_bytes(b"a\t1\r\n b   2 3  \nc 4")
    assert read_table(tmp_path / "t") == {"a": "1", "b": "2 3", "c": "4"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a 1\nb\n", "t:2: key 'b' has no value"),
        (b"a 1\nb  \n", "t:2: key 'b' has no value"),
        (b"a 1\n\nb 2\n", "t:2: empty line"),
        (b"a 1\nb 2\na 1\n", "t:3: key 'a' comes twice"),
        (b"a \xff\n", "t is not UTF-8 text"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, content, said):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="none is missing"):
        read_table(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read"):
        list(read_lines(tmp_path))


def test_an_empty_table_is_empty(tmp_path):
    write_table(tmp_path / "t", {})
    assert read_table(tmp_path / "t") == {}


def test_lines_keep_their_order(tmp_path):
    write_lines(tmp_path / "t", ["b", "a"])
    assert (tmp_path / "t").read_text() == "b\na\n"


def test_first_few_says_whether_there_are_more():
    assert first_few({"c", "a", "b"}) == "a, b, c"
    assert first_few(["d", "c", "b", "a"]) == "a, b, c …"
