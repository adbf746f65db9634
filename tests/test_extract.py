import errno
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tiny
import torch

from difffeat.features import cache, extract, recipe, schedule
from difffeat.features.cache import CacheError
from difffeat.features.datasets import BrokenImage
from difffeat.features.recipe import Recipe

RECIPE = Recipe(blocks=[0, 1, 3], timesteps=[0, 30])
HALF = {"rtol": 2e-3, "atol": 2e-3}  # float16 keeps 11 bits


@pytest.fixture(scope="module")
def dit():
    return tiny.dit()


@pytest.fixture(scope="module")
def plaid():
    return tiny.plaid()


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    return tiny.split(23, folder=tmp_path / "images")


@pytest.fixture
def calls(dit, monkeypatch):
    """What the backbone was asked: sizes of encoded batches, and (batch size, timestep, blocks) of passes."""
    asked = {"latents": [], "states": []}
    latents, activations = dit.latents, dit.activations

    def counted_latents(inputs):
        asked["latents"].append(len(inputs))
        return latents(inputs)

    def counted_passes(z, timestep, blocks, places, **options):
        asked["states"].append((len(z), timestep, list(blocks)))
        return activations(z, timestep, blocks, places, **options)

    monkeypatch.setattr(dit, "latents", counted_latents)
    monkeypatch.setattr(dit, "activations", counted_passes)
    return asked


def shards_in(folder):
    return sorted(path.name for path in Path(folder).glob("val/*.h5"))


def test_features_are_the_mean_tokens_of_the_noised_latents(images, dit, tmp_path):
    found = extract.features(images, dit, replace(RECIPE, seed=5), root=tmp_path, batch_size=4, shard_size=10)
    z = dit.latents([images.image(row) for row in range(len(images))]).z
    noise = schedule.noise(5, images.ids, z.shape[1:])
    for timestep in RECIPE.timesteps:
        states = dit.states(
            schedule.noised(z, timestep, "random", dit.schedule, noise=noise), timestep, [0, 1, 3]
        )
        for block in RECIPE.blocks:
            np.testing.assert_allclose(
                found.read((timestep, block)), states[block].mean(dim=1).numpy(), **HALF
            )
    assert found.ids.tolist() == images.ids.tolist()


def test_one_pass_per_timestep_and_latents_once(images, dit, calls, tmp_path):
    extract.features(images, dit, RECIPE, root=tmp_path, batch_size=8, shard_size=16)
    assert calls["latents"] == [8, 8, 7]
    passes = [(8, 0), (8, 0), (8, 30), (8, 30), (7, 0), (7, 30)]
    assert calls["states"] == [(size, timestep, [0, 1, 3]) for size, timestep in passes]


@pytest.mark.parametrize("noising", ["random", "mean", "ddim"])
def test_batch_size_does_not_matter(images, dit, tmp_path, noising):
    recipe = replace(RECIPE, noising=noising, blocks=[3])
    grids = [
        extract.features(images, dit, recipe, root=tmp_path / str(size), batch_size=size).stack()
        for size in (1, 7, 100)
    ]
    np.testing.assert_allclose(grids[0], grids[1], **HALF)
    np.testing.assert_allclose(grids[0], grids[2], **HALF)


def test_one_shard_and_four_machines_give_the_same_view(images, dit, tmp_path):
    extract.extract(images, dit, RECIPE, folder=tmp_path / "one", shard_size=len(images))
    written = []
    for machine in (3, 1, 4, 2):
        assert not (tmp_path / "four" / "val.h5").exists()
        share = {"shard": f"{machine}/4", "shard_size": 3}
        written += extract.extract(images, dit, RECIPE, folder=tmp_path / "four", **share)
    assert len(set(written)) == len(written) == 8
    one, four = cache.verify(tmp_path / "one" / "val.h5"), cache.verify(tmp_path / "four" / "val.h5")
    assert one.ids.tolist() == four.ids.tolist()
    np.testing.assert_allclose(one.stack(), four.stack(), **HALF)


@pytest.mark.parametrize("count", [0, 1, 5, 8])
@pytest.mark.parametrize("machines", [1, 3, 7])
def test_shares_are_contiguous_and_cover_everything_once(count, machines):
    shares = [list(range(count))[extract._share(f"{k}/{machines}", count)] for k in range(1, machines + 1)]
    assert sum(shares, []) == list(range(count))


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """(folder, lines printed) of the extractions that extract_apart.py runs in processes of their own."""
    folder, script = tmp_path_factory.mktemp("apart"), Path(__file__).parent / "extract_apart.py"
    paths = os.pathsep.join(map(str, (script.parent.parent, os.environ.get("PYTHONPATH", ""))))
    command, environment = [sys.executable, str(script), str(folder)], os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return folder, done.stdout.splitlines()


def test_killed_and_resumed_gives_equal_bytes(apart):
    """SIGKILL in a forward pass of the third shard, then in the write of the fourth, then to the end."""
    folder, printed = apart
    assert printed[:3] == [
        "in a forward pass: 2 shards, 0 unfinished",
        "in a write: 3 shards, 1 unfinished",
        "at the end: 4 shards, 0 unfinished",
    ]
    whole, resumed = (files_in(folder / name) for name in ("whole", "resumed"))
    assert len(whole) == 5 and whole == resumed


def files_in(folder):
    """Path within the folder -> bytes, of every file there."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_memory_does_not_grow_with_the_number_of_samples(apart):
    _, printed = apart
    grew = float(printed[3].removeprefix("grew by ").removesuffix(" MB"))
    assert grew < 10  # where the features of the larger split are 25 MB


def test_ctrl_c_keeps_complete_shards_and_says_how_to_go_on(images, dit, calls, tmp_path, monkeypatch):
    passes = dit.activations

    def interrupted(*arguments, **options):
        if len(calls["states"]) == 5:
            signal.raise_signal(signal.SIGINT)
        return passes(*arguments, **options)

    how = {"folder": tmp_path / "out", "shard_size": 8}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as stopped:
        patch.setattr(dit, "activations", interrupted)
        extract.extract(images, dit, RECIPE, **how)
    assert "2 of 3 shards of 'val' are complete" in str(stopped.value)
    assert "run the same call again" in str(stopped.value)
    assert shards_in(tmp_path / "out") == ["00000000-00000008.h5", "00000008-00000016.h5"]
    assert not list((tmp_path / "out").rglob("*.part"))
    calls["states"].clear()
    extract.extract(images, dit, RECIPE, **how)
    assert [size for size, *_ in calls["states"]] == [7, 7]
    cache.verify(tmp_path / "out" / "val.h5")


def test_full_disk_keeps_complete_shards_and_says_how_to_go_on(images, dit, tmp_path):
    """The system refuses files above a limit that the first shard stays under and the second does not."""
    how = {"folder": tmp_path / "out", "shard_size": 8}
    extract.extract(images, dit, RECIPE, shard="1/3", **how)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(
            OSError, match=r"no room for .*00000008-00000016\.h5 .* make room or name another"
        ) as full:
            extract.extract(images, dit, RECIPE, **how)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.value.errno == errno.EFBIG
    assert shards_in(tmp_path / "out") == ["00000000-00000008.h5"]
    assert not list((tmp_path / "out").rglob("*.part"))
    extract.extract(images, dit, RECIPE, **how)
    cache.verify(tmp_path / "out" / "val.h5")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": [1, 4]}, r"block 4 is out of range: dit-tiny has blocks 0 \(embedding\) to 3"),
        ({"blocks": [-1]}, "block -1 is out of range"),
        ({"blocks": []}, "no blocks were asked for"),
        ({"timesteps": [0, 1000]}, "timestep 1000 is out of range: whole steps from 0 .* to 999"),
        ({"timesteps": [-5]}, "timestep -5 is out of range"),
        ({"timesteps": []}, "no timesteps were asked for"),
        ({"condition": 1000}, "timestep 1000 is out of range"),
        ({"noising": "gaussian"}, "noising 'gaussian' is unknown; known: random, mean, ddim"),
        ({"pooling": "max"}, "pooling 'max' is unknown; known: mean, real"),
        ({"pooling": "real"}, "padding, which only text has"),
        ({"shard": "5/4"}, "shard '5/4': expected k/n with k from 1 to n"),
        ({"shard": "0/4"}, "shard '0/4'"),
        ({"shard": "half"}, "shard 'half'"),
        ({"batch_size": 0}, "batch_size 0: expected at least 1"),
        ({"shard_size": -1}, "shard_size -1: expected at least 1"),
        ({"on_broken": "ignore"}, "on_broken 'ignore' is unknown; known: error, skip"),
    ],
)
def test_wrong_requests_are_refused_before_anything_starts(images, dit, calls, tmp_path, options, message):
    fields = {name: options.pop(name) for name in list(options) if hasattr(RECIPE, name)}
    with pytest.raises(ValueError, match=message):
        extract.extract(images, dit, replace(RECIPE, **fields), folder=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists() and not calls["latents"]


def test_inputs_and_weights_must_be_known(images, dit, plaid, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="'val' of 'tiny' has no image inputs"):
        extract.features(replace(images, images=()), dit, RECIPE, root=tmp_path)
    with pytest.raises(ValueError, match="'val' of 'tiny' has no text inputs"):
        extract.features(
            replace(images, captions=()), plaid, Recipe(blocks=[1], timesteps=[0]), root=tmp_path
        )
    monkeypatch.setattr(dit, "sha256", "none")
    with pytest.raises(ValueError, match="no hash of its weights"):
        extract.features(images, dit, RECIPE, root=tmp_path)


def break_images(split, rows):
    for row in rows:
        content = split.images[row].read_bytes()
        split.images[row].write_bytes(content[: len(content) // 3])


def test_broken_image_stops_with_its_name(images, dit, tmp_path):
    break_images(images, [12])
    named = rf"cannot decode image .*{images.images[12].name} \(id {images.ids[12]}\).*on_broken=\"skip\""
    with pytest.raises(BrokenImage, match=named):
        extract.features(images, dit, RECIPE, root=tmp_path, shard_size=8)
    assert len(list(tmp_path.rglob("*/val/*.h5"))) == 1


def test_broken_images_are_skipped_on_request_named_and_counted(images, dit, tmp_path):
    whole = extract.features(images, dit, RECIPE, root=tmp_path / "whole")
    break_images(images, [3, 12])
    names = f"2 of 23 images of 'val' cannot be decoded: {images.images[3].name}, {images.images[12].name}"
    how = {"root": tmp_path / "skipped", "on_broken": "skip", "shard_size": 8, "batch_size": 3}
    with pytest.warns(UserWarning, match=names):
        found = extract.features(images, dit, RECIPE, **how)
    assert found.skipped == tuple((int(images.ids[row]), images.images[row].name) for row in (3, 12))
    kept = np.delete(np.arange(23), [3, 12])
    assert np.array_equal(images.select(found.ids).labels, images.labels[kept])
    np.testing.assert_allclose(found.stack(), whole.stack()[:, kept], **HALF)
    with pytest.raises(BrokenImage, match=names):
        extract.features(images, dit, RECIPE, root=tmp_path / "skipped")


def test_a_shard_of_broken_images_only(images, dit, tmp_path):
    break_images(images, range(8, 16))
    with pytest.warns(UserWarning, match="8 of 23 images"):
        found = extract.features(images, dit, RECIPE, root=tmp_path, on_broken="skip", shard_size=8)
    assert len(cache.verify(found.path)) == 15 and found.stack().shape == (6, 15, 16)


def test_image_deleted_meanwhile_is_named(images, dit, tmp_path):
    images.images[4].unlink()
    with pytest.raises(FileNotFoundError, match=images.images[4].name):
        extract.features(images, dit, RECIPE, root=tmp_path)


def test_existing_features_are_found_and_nothing_runs(images, dit, calls, tmp_path):
    first = extract.features(images, dit, RECIPE, root=tmp_path)
    calls["latents"].clear()
    again = extract.features(images, dit, Recipe(blocks=[3, 0], timesteps=[30]), root=tmp_path, batch_size=5)
    assert not calls["latents"] and again.path == first.path
    assert (again.blocks, again.timesteps) == ((3, 0), (30,))
    assert np.array_equal(again.stack(), first.stack([3, 0], [30]))


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"noising": "mean"}, {"condition": 50}, {"blocks": [2]}, {"timesteps": [10]}]
)
def test_other_requests_are_extracted_anew(images, dit, calls, tmp_path, change):
    first = extract.features(images, dit, RECIPE, root=tmp_path)
    calls["latents"].clear()
    other = extract.features(images, dit, replace(RECIPE, **change), root=tmp_path)
    assert calls["latents"] and other.path != first.path
    assert not np.array_equal(other.stack(), first.stack())


def test_noise_seed_plays_no_role_without_noise(images, dit, calls, tmp_path):
    extract.features(images, dit, replace(RECIPE, noising="mean", seed=0), root=tmp_path)
    calls["latents"].clear()
    extract.features(images, dit, replace(RECIPE, noising="mean", seed=1), root=tmp_path)
    assert not calls["latents"]


def test_new_captions_keep_image_features_and_new_images_do_not(images, dit, calls, tmp_path):
    first = extract.features(images, dit, RECIPE, root=tmp_path)
    calls["latents"].clear()
    recaptioned = replace(images, captions=[caption + " here" for caption in images.captions])
    assert extract.features(recaptioned, dit, RECIPE, root=tmp_path).path == first.path
    tiny.Image.new("RGB", (16, 16)).save(images.images[0])
    assert extract.features(images, dit, RECIPE, root=tmp_path).path != first.path
    assert sum(calls["latents"]) == 23


def test_folder_of_another_model_is_refused_field_by_field(images, dit, tmp_path, monkeypatch):
    extract.extract(images, dit, RECIPE, folder=tmp_path / "out")
    monkeypatch.setattr(dit, "sha256", "other")
    with pytest.raises(
        CacheError, match="backbone_sha256: expected 'other', found 'random-0'\nuse another folder"
    ):
        extract.extract(images, dit, RECIPE, folder=tmp_path / "out")
    with pytest.raises(CacheError, match="seed: expected 3, found 0"):
        extract.extract(images, dit, replace(RECIPE, seed=3), folder=tmp_path / "out")


def test_folder_of_another_division_is_refused(images, dit, tmp_path):
    extract.extract(images, dit, RECIPE, folder=tmp_path / "out", shard_size=8)
    with pytest.raises(CacheError, match="holds 00000000-00000008.h5, which is no shard of this division"):
        extract.extract(images, dit, RECIPE, folder=tmp_path / "out", shard_size=10)


def test_damaged_cache_is_refused_and_mended_as_the_message_says(images, dit, tmp_path):
    found = extract.features(images, dit, RECIPE, root=tmp_path, shard_size=8)
    before = found.stack()
    shard = found.path.parent / "val" / "00000008-00000016.h5"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(CacheError, match=r"00000008-00000016\.h5 is truncated or replaced.*delete that file"):
        extract.features(images, dit, RECIPE, root=tmp_path, shard_size=8)
    shard.unlink()
    again = extract.features(images, dit, RECIPE, root=tmp_path, shard_size=8)
    assert np.array_equal(again.stack(), before)


def test_complete_cache_on_a_read_only_disk_serves_everything(images, dit, calls, tmp_path, monkeypatch):
    """No lock can be made there, and none is needed."""
    found = extract.features(images, dit, RECIPE, root=tmp_path, shard_size=8)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.h5")}
    calls["latents"].clear()

    def read_only(path):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(extract, "only_writer", read_only)
    again = extract.features(images, dit, RECIPE, root=tmp_path, shard_size=8)
    assert np.array_equal(again.stack(), found.stack())
    made = extract.extract(images, dit, RECIPE, folder=found.path.parent, shard_size=8)
    assert [path.name for path in made] == shards_in(found.path.parent)
    assert cache.verify(found.path).ids.tolist() == images.ids.tolist() and not cache.missing(found.path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.h5")} == files
    assert not calls["latents"] and not list(tmp_path.rglob(".*.lock"))


def test_damaged_view_is_written_anew(images, dit, calls, tmp_path):
    how = {"folder": tmp_path / "out", "shard_size": 8}
    extract.extract(images, dit, RECIPE, **how)
    view = tmp_path / "out" / "val.h5"
    whole = view.read_bytes()
    view.write_bytes(whole[:1000] + b"?" + whole[1001:])
    with pytest.raises(CacheError, match=r"val\.h5 is damaged"):
        cache.open(view)
    calls["latents"].clear()
    extract.extract(images, dit, RECIPE, **how)
    assert view.read_bytes() == whole and not calls["latents"]


def test_two_writers_share_the_work(images, dit, calls, tmp_path):
    how = {"folder": tmp_path / "out", "shard_size": 4, "batch_size": 4}
    writers = [
        threading.Thread(target=extract.extract, args=(images, dit, RECIPE), kwargs=how) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sum(calls["latents"]) == 23
    assert len(cache.verify(tmp_path / "out" / "val.h5")) == 23
    assert not list((tmp_path / "out").rglob(".*"))


def test_float32_where_values_leave_the_range_of_float16(images, dit, tmp_path, monkeypatch):
    passes = dit.activations

    def large(*asked, **options):
        for block, place, tokens in passes(*asked, **options):
            yield block, place, tokens * (1e6 if block == 3 else 1)

    monkeypatch.setattr(dit, "activations", large)
    found = extract.features(images, dit, RECIPE, root=tmp_path)
    assert np.abs(found.read((30, 3))).max() > np.finfo(np.float16).max
    with h5py.File(found.path) as view:
        assert view["b03/t0030"].dtype == np.float32 and view["b01/t0030"].dtype == np.float16


def test_text_pooled_over_all_tokens_or_the_real_ones(plaid, tmp_path):
    texts = tiny.split(9)
    z, mask = plaid.latents(list(texts.captions))
    tokens = plaid.states(schedule.noised(z, 10, "mean", plaid.schedule), 10, [2])[2]
    recipe = Recipe(blocks=[2], timesteps=[10], noising="mean")
    everywhere = extract.features(texts, plaid, recipe, root=tmp_path).read((10, 2))
    real = extract.features(texts, plaid, replace(recipe, pooling="real"), root=tmp_path).read((10, 2))
    np.testing.assert_allclose(everywhere, tokens.mean(dim=1).numpy(), **HALF)
    by_hand = [row[real_ones].mean(dim=0).numpy() for row, real_ones in zip(tokens, mask, strict=True)]
    np.testing.assert_allclose(real, by_hand, **HALF)


def test_unpadded_texts_run_as_if_alone(plaid, tmp_path):
    """What a text's tokens are does not depend on the batch, on the length cut to, or on padding."""
    texts = tiny.split(9)
    empty = replace(texts, captions=("", *texts.captions[1:]))
    recipe = Recipe(blocks=[1, 2], timesteps=[10], noising="mean", pooling="unpadded")
    found = extract.features(empty, plaid, recipe, root=tmp_path / "a")
    other = extract.features(empty, plaid, recipe, root=tmp_path / "b", batch_size=4)
    np.testing.assert_allclose(found.read((10, 2)), other.read((10, 2)), **HALF)
    assert not found.read((10, 2))[0].any()
    z, mask = plaid.latents(list(texts.captions))
    z = schedule.noised(z, 10, "mean", plaid.schedule)
    for row in range(1, 9):
        alone = plaid.states(z[row : row + 1, : int(mask[row].sum())], 10, [2])[2]
        np.testing.assert_allclose(found.read((10, 2))[row], alone.mean(dim=1)[0].numpy(), **HALF)
    padded = extract.features(empty, plaid, replace(recipe, pooling="real"), root=tmp_path / "c")
    assert np.abs(padded.read((10, 2))[1:] - found.read((10, 2))[1:]).max() > 0.01  # it does see padding
    with pytest.raises(ValueError, match="'ddim' runs the model on padded texts"):
        extract.features(texts, plaid, replace(recipe, noising="ddim"), root=tmp_path)


def test_condition_is_what_the_model_is_told(images, dit, tmp_path):
    recipe = Recipe(blocks=[3], timesteps=[0], noising="mean")
    told = extract.features(images, dit, replace(recipe, condition=50), root=tmp_path).read((0, 3))
    z = dit.latents([images.image(row) for row in range(len(images))]).z
    z = schedule.noised(z, 0, "mean", dit.schedule)
    np.testing.assert_allclose(told, dit.states(z, 50, [3])[3].mean(dim=1).numpy(), **HALF)


def test_provenance_says_what_decided_the_features(images, dit, tmp_path):
    found = extract.features(images, dit, replace(RECIPE, seed=4), root=tmp_path)
    assert found.provenance == {
        "schema": cache.SCHEMA, "version": recipe.VERSION,
        "backbone": "dit-tiny", "backbone_sha256": "random-0",
        "dataset": "tiny", "split": "val", "samples": 23, "inputs": images.input_digest("image"),
        "blocks": [0, 1, 3], "timesteps": [0, 30],
        "noising": "random", "seed": 4, "pooling": "mean", "condition": None,
    }  # fmt: skip
    recorded, public = found.environment["torch"], torch.__version__.partition("+")[0]
    assert recorded in (public, torch.__version__), "a build's own mark is not in every package's metadata"


@pytest.mark.parametrize(("setting", "progress", "bars"), [(None, True, 0), ("1", True, 1), ("1", False, 0)])
def test_bars_stay_out_of_notebooks(images, dit, tmp_path, monkeypatch, capsys, setting, progress, bars):
    monkeypatch.delenv("DIFFFEAT_PROGRESS", raising=False)
    if setting:
        monkeypatch.setenv("DIFFFEAT_PROGRESS", setting)
    extract.extract(images, dit, RECIPE, folder=tmp_path / "out", progress=progress)
    output = capsys.readouterr()
    assert not output.out and ("dit-tiny: 100%" in output.err) == bars
    assert not bars or "samples/s" in output.err


def test_existing_shards_count_as_done_in_the_bar(images, dit, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DIFFFEAT_PROGRESS", "1")
    extract.extract(images, dit, RECIPE, folder=tmp_path / "out", shard_size=8, shard="1/2")
    capsys.readouterr()
    extract.extract(images, dit, RECIPE, folder=tmp_path / "out", shard_size=8)
    assert "8.00/23.0" in capsys.readouterr().err


def test_nothing_warns_when_nothing_is_wrong(images, dit, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extract.features(images, dit, RECIPE, root=tmp_path)


def test_extractions_killed_at_any_moment_end_byte_equal(tmp_path):
    """A few of what the harness does; by hand it kills 200."""
    script = Path(__file__).parent / "killed_extractions.py"
    done = subprocess.run(
        [sys.executable, script, "--each", "3"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills, equal, runs = map(int, re.findall(r"\d+", done.stdout))
    assert kills >= 3 and equal == runs
