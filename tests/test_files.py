"""Files are whole or not there."""

from difffeat.base.files import write_whole


def test_a_link_where_the_unfinished_file_goes_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / ".note.json.part").symlink_to(tmp_path / "elsewhere")
    write_whole(tmp_path / "note.json", b"new")
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert (tmp_path / "note.json").read_bytes() == b"new" and not (tmp_path / "note.json").is_symlink()


def test_what_a_killed_run_left_is_no_obstacle(tmp_path):
    (tmp_path / ".note.json.part").write_bytes(b"half")
    assert write_whole(tmp_path / "note.json", b"whole").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["note.json"]
