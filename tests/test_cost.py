"""What a study costs, against formulas written out by hand; and the plan of a profile, without any data."""

import os
import subprocess
import sys

import pytest

from difffeat import cost
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.profiles import ROOT


def transformer_block(tokens, width):
    """Products of query, key, value, their projection and a fourfold MLP, and attention; times two."""
    return 2 * (12 * tokens * width**2 + 2 * tokens**2 * width)


def test_operations_of_a_block_are_those_of_its_matrices():
    assert cost.model("dit-xl-2-256").block == transformer_block(256, 1152) + 2 * 6 * 1152**2
    assert cost.model("plaid-1b", 60).block == transformer_block(60, 2048)
    assert cost.model("plaid-1b", 600).block == transformer_block(600, 2048)
    assert cost.model("plaid-scenes").block == transformer_block(48, 128)
    assert cost.model("dit-xl-2-256-random") == cost.model("dit-xl-2-256")
    with pytest.raises(ValueError, match="'dit-small' is not known; known: dit-xl-2-256, plaid-1b, dit-scen"):
        cost.model("dit-small")


def test_one_pass_serves_every_block():
    model = cost.Model(width=10, depth=24, block=3.0, encoder=100.0)
    points = dict(samples=7, blocks=[8, 12, 24], timesteps=[0, 30])
    ours, plain = cost.one_pass_per_timestep(model, **points), cost.one_pass_per_point(model, **points)
    assert ours == cost.Work(14, 7, 7 * 2 * 24 * 3.0, 7 * 100.0, 7 * 6 * 10 * 2)
    assert plain == cost.Work(42, 42, 7 * 2 * (8 + 12 + 24) * 3.0, 7 * 6 * 100.0, ours.bytes)
    assert ours.flops == 7 * (2 * 24 * 3.0 + 100.0)
    assert ours.hours(ours.flops / 3600) == pytest.approx(1)
    assert ours.hours_of_blocks(ours.blocks / 3600) == pytest.approx(1)
    assert cost.each_way(model, *points.values()) == {"plain": plain, "ours": ours}


def test_what_the_page_on_cost_says_in_words():
    """Blocks alone: samples and timesteps multiply either way, more blocks only the plain one."""
    model = cost.Model(width=10, depth=24, block=3.0, encoder=100.0)
    one = cost.each_way(model, 7, [24], [0])
    for way, work in cost.each_way(model, 14, [24], [0, 10, 20]).items():
        assert work.blocks == 6 * one[way].blocks
    many = cost.each_way(model, 7, range(1, 25), [0])
    assert many["ours"].blocks == one["ours"].blocks and many["ours"].encoder == one["ours"].encoder
    assert many["ours"].bytes == 24 * one["ours"].bytes
    assert many["plain"].blocks > one["plain"].blocks and many["plain"].encoder == 24 * one["plain"].encoder

    found = cost.speeds(paper.speed("image").value, paper.speed("text").value, 60)
    assert found["image"].share < 1 < found["image, encoded first"].share
    assert all(speed.most * speed.share == pytest.approx(speed.printed) for speed in found.values())


def test_studies_are_of_every_data_set_and_modality():
    sizes = {"A": (7, 60), "B": (5, 600)}
    found = cost.studies(sizes, image=([8, 12], [10]), text=([24], [0, 10]))
    assert len(found) == 8
    assert found["B", "text", "ours"] == cost.one_pass_per_timestep(
        cost.model("plaid-1b", 600), 5, [24], [0, 10]
    )
    assert found["A", "image", "plain"].passes == 7 * 2


def plan(*arguments, **variables):
    command = [sys.executable, "workflow/plan.py", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "COCO_ROOT"} | variables
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


def test_a_plan_names_what_is_missing_and_what_it_takes(tmp_path):
    done = plan("coco", "a100", DIFFFEAT_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    for line in (
        "123,287",
        "the environment variable COCO_ROOT",
        "python -m data_prep.fetch plaid-1b",
        "a100 at 50%",
        "1,479,444",
    ):
        assert line in done.stdout
    done = plan("coco", COCO_ROOT="/data", DIFFFEAT_CACHE=str(tmp_path))
    assert "COCO_ROOT" not in done.stdout
    for arguments, message in (
        (["coco", "abacus"], "known: rtx4090"),
        (["nowhere"], "unknown profile 'nowhere'"),
    ):
        done = plan(*arguments)
        assert done.returncode and message in done.stderr


def test_a_plan_counts_the_data_that_it_is_given(tmp_path):
    """And of a folder that is not there it says so, unless its size was published."""
    parts = ["train"] * 30 + ["val"] * 6 + ["test"] * 4
    lines = [f"a caption {place},cat,{part}" for place, part in enumerate(parts)]
    (tmp_path / "own.csv").write_text("\n".join(["text,tags,part", *lines]))
    columns = "{caption: text, labels: tags, part: part}"
    table = f"{{reader: table, folder: {tmp_path}, files: own.csv, columns: {columns}}}"
    coco = "{reader: coco, folder: /nowhere, parts: {train: train, test: test}}"
    for name, data, samples, expected in (
        ("all", table, [0, 0, 0], "11_extract_text  plaid-scenes            40"),
        ("some", table, [10, 0, 2], "11_extract_text  plaid-scenes            18"),
        ("absent", coco, [3, 2, 1], "10_extract_image    dit-scenes             6"),
    ):
        profile = tmp_path / f"{name}.yaml"
        profile.write_text(f"data: {data}\nparameters: {{samples: {samples}}}")
        done = plan(str(profile), DIFFFEAT_CACHE=str(tmp_path / "cache"))
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout and "fetch" not in done.stdout
    (tmp_path / "absent.yaml").write_text(f"data: {coco}\nparameters: {{samples: [0, 0, 0]}}")
    done = plan(str(tmp_path / "absent.yaml"), DIFFFEAT_CACHE=str(tmp_path / "cache"))
    assert done.returncode and "the data of profile absent cannot be counted: /nowhere" in done.stderr
