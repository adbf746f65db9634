"""Weights are read as data: what is damaged or holds code is refused, and the code does not run."""

import os
import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from difffeat._checkpoint import read_checkpoint

STATE = OrderedDict(weight=torch.arange(600.0).view(20, 30), bias=torch.tensor([1, 2]))


class Malicious:
    """A pickle of it makes the file `ran` when a reader follows the pickle."""

    def __init__(self, folder):
        self.command = f"touch {folder / 'ran'}"

    def __reduce__(self):
        return os.system, (self.command,)


def write(path, value=STATE, old=False):
    if path.suffix == ".safetensors":
        save_file(dict(value), path)
    else:
        torch.save(value, path, _use_new_zipfile_serialization=not old)
    return path


@pytest.mark.parametrize(("name", "old"), [("a.pt", False), ("a.pt", True), ("a.safetensors", False)])
def test_tensors_come_back(tmp_path, name, old):
    state = read_checkpoint(write(tmp_path / name, old=old))
    assert {name: value.tolist() for name, value in state.items()} == {
        name: value.tolist() for name, value in STATE.items()
    }


@pytest.mark.parametrize(("name", "old"), [("a.pt", False), ("a.pt", True), ("a.safetensors", False)])
@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.5, 0.9999])
def test_a_file_that_ends_early_is_refused(tmp_path, name, old, share):
    path = write(tmp_path / name, old=old)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_page_saved_in_its_place_is_refused(tmp_path, name):
    (tmp_path / name).write_text("<!doctype html><html>not found</html>")
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        read_checkpoint(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="lost.pt does not exist"):
        read_checkpoint(tmp_path / "lost.pt")


@pytest.mark.parametrize("way", ["zip", "old", 2, 4])
def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path, way):
    path, content = tmp_path / "model.pt", {"weight": torch.zeros(2), "extra": Malicious(tmp_path)}
    if isinstance(way, int):
        path.write_bytes(pickle.dumps(content["extra"], protocol=way))
    else:
        write(path, content, old=way == "old")
    # Of newer pickles PyTorch does not say what they name.
    refusal = (
        r"was not read: it is a pickle that names \w+\.system" if way != 4 else "other things than tensors"
    )
    with pytest.raises(ValueError, match=rf"model\.pt .*{refusal}"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    if isinstance(way, int):  # the pickle is one that does what it is refused for
        pickle.loads(path.read_bytes())
        assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([torch.zeros(1)], "holds a list, expected tensors by name"),
        (
            {"a": torch.zeros(1), "model": {"b": torch.zeros(1)}},
            "'model' is a dict, expected a tensor; 1 of 2",
        ),
    ],
)
def test_other_things_than_tensors_are_refused(tmp_path, value, message):
    with pytest.raises(ValueError, match=message):
        read_checkpoint(write(tmp_path / "a.pt", value))
