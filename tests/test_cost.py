"""What a study costs, against formulas written out by hand; and the plan of a profile, without any data."""

import os
import re
import runpy
import subprocess
import sys
import traceback
from dataclasses import replace

import pytest

from difffeat import cost, extractions, profiles
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
    """The command, as it is called."""
    command = [sys.executable, "workflow/plan.py", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "COCO_ROOT"} | variables
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


@pytest.fixture
def plan_here(monkeypatch, capsys):
    """The same in this process, which has loaded the libraries: that takes the command most of its time."""

    def run(*arguments, **variables):
        with monkeypatch.context() as patch:
            patch.delenv("COCO_ROOT", raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.chdir(ROOT)
            patch.setattr(sys, "argv", ["workflow/plan.py", *arguments])
            patch.setattr(sys, "path", [str(ROOT / "workflow"), *sys.path])
            said = 0
            try:
                runpy.run_path("workflow/plan.py", run_name="__main__")
            except SystemExit as end:
                said = end.code
            except Exception:
                said = traceback.format_exc()
        shown = capsys.readouterr()
        stderr = shown.err + (said if isinstance(said, str) else "")
        return subprocess.CompletedProcess(arguments, bool(said), shown.out, stderr)

    return run


def rows_of(printed):
    """The table of a plan: text, and whole numbers of samples, sets and passes."""
    lines = [re.split(r"  +", line.strip()) for line in printed.splitlines()]
    start = next(place for place, cells in enumerate(lines) if cells[0] == "page")
    return [
        dict(page=cells[0], model=cells[1] if cells[0] != "all" else "")
        | dict(zip(("samples", "sets", "passes"), (int(n.replace(",", "")) for n in numbers), strict=True))
        for cells in lines[start + 1 :]
        for numbers in [cells[2:5] if cells[0] != "all" else cells[1:4]]
    ]


def test_a_plan_counts_what_pages_extract_themselves(tmp_path):
    """Of scenes, by hand from the parameters: 4,000 samples, 24 or fewer, 700 and 2,000; DDIM runs the model
    once a step before it is read."""
    done = plan("scenes", DIFFFEAT_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = {(row["page"], row["model"]): (row["sets"], row["passes"]) for row in rows_of(done.stdout)}
    assert found["10_extract_image", "dit-scenes"] == (2, 2 * 4 * 4000)
    assert found["11_extract_text", "plaid-scenes"] == (5, (3 + 2 * 3 + 3 + 1) * 4000)
    steps = 1 + 5 + 10 + 50
    assert found["23_noising", "plaid-scenes"] == (6 + 2, 24 * (6 + steps) + 700 * (1 + 1 + 1))
    assert found["23_noising", "dit-scenes"] == (6 + 1, 24 * (6 + steps) + 2000 * 2)
    assert not [page for page, _ in found if page in ("24_token_length", "52_joined")], "they are recorded"
    assert found["36_leakage", "plaid-scenes"] == (1, 4000)
    assert found["92_open_choices", "plaid-scenes"] == (1, 4000)


def test_what_a_page_declares_is_read_with_its_parameters(monkeypatch):
    declared = [
        {"of": "text", "samples": "few", "noising": ["mean", "kinds"], "times": [["kinds", 1], "seeds"]},
        {"of": "image", "blocks": "image_blocks[-1:]", "timesteps": [0], "samples": "one", "if": "told"},
    ]
    monkeypatch.setattr(extractions, "declared", lambda _: {"extracts": declared})
    taken = dict(text_backbone="t", text_blocks=[8, 4], text_timesteps=[100, 0], deterministic="mean")
    taken |= dict(few=[10, 0], kinds=["ddim-10", "random"], seeds=[0, 1], told=False)
    taken |= dict(image_backbone="i", image_blocks=[2, 6], one=9)
    found = extractions.of_page("page", taken, [100, 50, 7])
    about = "text", "t", 17, (4, 8), (0, 100)
    assert found == [extractions.Extraction(*about, kind, 6) for kind in ("mean", "ddim", "random")]
    (last,) = extractions.of_page("page", taken | {"told": True}, [100, 50, 7])[3:]
    assert last == extractions.Extraction("image", "i", 7, (6,), (0,), "random", 1)
    for wrong, message in (({"blocs": "text_blocks"}, "blocs"), ({"blocks": "seeds_"}, "seeds_")):
        monkeypatch.setattr(extractions, "declared", lambda _, w=wrong: {"extracts": [{"of": "text"} | w]})
        with pytest.raises(ValueError, match=message):
            extractions.of_page("page", taken, [100, 50, 7])


def test_inversion_runs_the_whole_model_at_every_step():
    """At t = 3 of 5 steps there are 3; at t = 0 none; read once more at either."""
    extraction = extractions.Extraction("text", "plaid-scenes", 7, (2, 4), (0, 3), "ddim-5", 2)
    model, found = cost.model("plaid-scenes"), cost.of_extraction(extraction, 60)
    assert found["ours"].passes == 14 * (2 + 3) and found["plain"].passes == 14 * (4 + 2 * 3)
    assert found["ours"].blocks == 14 * (2 * 4 + 3 * model.depth) * model.block
    still = cost.of_extraction(replace(extraction, noising="mean"), 60)
    assert still["ours"].passes == 14 * 2 and still["ours"].bytes == found["ours"].bytes


def test_places_count_by_their_width_and_tokens_in_memory_take_no_disk():
    outputs = extractions.Extraction("image", "dit-scenes", 7, (2, 4), (50,), "random", 2)
    held = {
        name: cost.of_extraction(replace(outputs, **changes), 60)["ours"]
        for name, changes in {
            "outputs": {},
            "inside": {"places": ("q", "hidden", "out")},
            "memory": {"kept": False},
        }.items()
    }
    assert held["inside"].bytes == (1 + 4 + 1) * held["outputs"].bytes > 0 == held["memory"].bytes
    assert len({work.passes for work in held.values()}) == 1
    (found, _) = extractions.of_page(
        "52_joined", profiles.planned(profiles.load("scenes"), "52_joined"), [3, 2, 1]
    )
    assert {"hidden", "out"} < set(found.places) and found.kept
    scarce = profiles.planned(profiles.load("scenes"), "54_label_scarce")
    assert [(one.sets, one.kept) for one in extractions.of_page("54_label_scarce", scarce, [3, 2, 1])] == [
        (2, False)
    ]


def test_a_plan_names_what_is_missing_and_what_it_takes(tmp_path, plan_here):
    done = plan_here("coco", "a100", DIFFFEAT_CACHE=str(tmp_path))
    assert done.returncode == 0, done.stderr
    for line in (
        "123,287",
        "the environment variable COCO_ROOT",
        "python -m data_prep.fetch plaid-1b",
        "a100 at 50%",
        "1,479,444",
    ):
        assert line in done.stdout
    everything = sum(row["passes"] for row in rows_of(done.stdout) if row["page"] != "all")
    assert rows_of(done.stdout)[-1]["page"] == "all" and rows_of(done.stdout)[-1]["passes"] == everything
    done = plan_here("coco", COCO_ROOT="/data", DIFFFEAT_CACHE=str(tmp_path))
    assert "COCO_ROOT" not in done.stdout
    for arguments, message in (
        (["coco", "abacus"], "known: rtx4090"),
        (["nowhere"], "unknown profile 'nowhere'"),
    ):
        done = plan_here(*arguments)
        assert done.returncode and message in done.stderr


def test_a_plan_counts_the_data_that_it_is_given(tmp_path, plan_here):
    """And of a folder that is not there it says so, unless its size was published."""
    parts = ["train"] * 30 + ["val"] * 6 + ["test"] * 4
    lines = [f"a caption {place},cat,{part}" for place, part in enumerate(parts)]
    (tmp_path / "own.csv").write_text("\n".join(["text,tags,part", *lines]))
    columns = "{caption: text, labels: tags, part: part}"
    table = f"{{reader: table, folder: {tmp_path}, files: own.csv, columns: {columns}}}"
    coco = "{reader: coco, folder: /nowhere, parts: {train: train, test: test}}"
    for name, data, samples, expected in (
        ("all", table, [0, 0, 0], ("11_extract_text", "plaid-scenes", 40)),
        ("some", table, [10, 0, 2], ("11_extract_text", "plaid-scenes", 18)),
        ("absent", coco, [3, 2, 1], ("10_extract_image", "dit-scenes", 6)),
    ):
        profile = tmp_path / f"{name}.yaml"
        profile.write_text(f"data: {data}\nparameters: {{samples: {samples}}}")
        done = plan_here(str(profile), DIFFFEAT_CACHE=str(tmp_path / "cache"))
        assert done.returncode == 0, done.stderr
        found = [(row["page"], row["model"], row["samples"]) for row in rows_of(done.stdout)]
        assert expected in found and "fetch" not in done.stdout
    (tmp_path / "absent.yaml").write_text(f"data: {coco}\nparameters: {{samples: [0, 0, 0]}}")
    done = plan_here(str(tmp_path / "absent.yaml"), DIFFFEAT_CACHE=str(tmp_path / "cache"))
    assert done.returncode and "the data of profile absent cannot be counted: /nowhere" in done.stderr
