"""Law: a file is there whole or as it was, and like any other that the user makes."""

import pytest

from sciencegen.files import replacing


def test_a_file_is_new_at_the_end_and_as_it_was_until_then(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as new:
        new.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_what_was_there(tmp_path, there):
    path = tmp_path / "a.txt"
    if there:
        path.write_text("old")

    def fail():
        with replacing(path) as new:
            new.write_text("half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert [file.read_text() for file in tmp_path.iterdir()] == (["old"] if there else [])


def test_others_may_read_it_where_they_may_read_any(tmp_path):
    (tmp_path / "plain").touch()
    with replacing(tmp_path / "a") as new:
        new.touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got a directory; expected the name of the file"), replacing(tmp_path):
        pass
