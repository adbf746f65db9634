"""Weights are read as data: what is damaged or holds code is refused, and the code does not run."""

import os
import pickle
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from difffeat.base.checkpoint import axes_of, check_tensors, depth_of, read_checkpoint

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


def test_a_tensor_without_a_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a.pt: a tensor is filed under 0, expected its name"):
        read_checkpoint(write(tmp_path / "a.pt", {0: torch.zeros(1)}))


SHAPES = {"weight": (2, 3), "bias": (2,)}


def sound():
    return {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


def test_the_tensors_of_a_model_are_accepted():
    check_tensors(sound(), SHAPES, "a.pt")
    check_tensors({name: value.half() for name, value in sound().items()}, SHAPES, "a.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": None}, r"a\.pt lacks bias: expected bias of shape \(2,\) among 2 tensors, 1 came"),
        ({"more": torch.ones(1)}, r"a\.pt holds more: the model has no such tensor; expected 2, 3 came"),
        ({"bias": torch.ones(3)}, r"a\.pt: bias is of shape \(3,\), expected \(2,\)"),
        (
            {"bias": torch.ones(2, dtype=torch.int8)},
            r"a\.pt: bias is of type torch\.int8 .*expected plain floats",
        ),
        ({"bias": torch.ones(2).to_sparse()}, r"a\.pt: bias is of type .*sparse.*expected plain floats"),
        (
            {"weight": torch.tensor([[1, 2, 3], [4, 5, float("nan")]])},
            r"a\.pt: weight has 1 of 6 values .*NaN",
        ),
        ({"bias": torch.tensor([-float("inf")] * 2).half()}, r"a\.pt: bias has 2 of 2 values .*infinite"),
    ],
    ids=["missing", "extra", "shape", "integers", "sparse", "nan", "infinity"],
)
def test_tensors_that_are_not_the_models_are_named(change, message):
    state = {name: value for name, value in (sound() | change).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        check_tensors(state, SHAPES, "a.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "a.pt lacks weight, which tells the size of the model; it holds bias"),
        (torch.ones(6), r"a.pt: weight is of shape \(6,\), expected 2 axes"),
        (torch.ones(0, 6), r"a.pt: weight is of shape \(0, 6\), expected 2 axes and none of them empty"),
    ],
)
def test_a_tensor_that_tells_no_size_is_named(change, message):
    state = {name: value for name, value in (sound() | {"weight": change}).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        axes_of(state, "weight", 2, "a.pt")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], r"a.pt lacks every tensor of blocks\.0; it has no blocks at all"),
        (["blocks.0.a", "blocks.2.a"], r"lacks every tensor of blocks\.1; the last of its blocks is 2"),
        (["blocks.0.a", "blocks.999999.a"], r"lacks every tensor of blocks\.1"),
        (["blocks.zero.a"], r"lacks every tensor of blocks\.0"),
    ],
)
def test_blocks_with_a_gap_are_named(names, message):
    with pytest.raises(ValueError, match=message):
        depth_of(dict.fromkeys(names), "a.pt")
    assert depth_of(dict.fromkeys(["blocks.1.a", "blocks.0.a", "blocks.0.b"]), "a.pt") == 2
