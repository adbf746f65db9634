"""Inputs of each kind, drawn with a seed of their own: read right, or refused with a clear error."""

import runpy

import pytest

from difffeat.profiles import ROOT

HARNESS = runpy.run_path(str(ROOT / "benchmarks" / "hostile_inputs.py"))


@pytest.mark.parametrize("kind", HARNESS["KINDS"], ids=lambda kind: kind.__name__)
def test_what_comes_of_hostile_inputs(kind, capsys):
    counts = HARNESS["tried"](kind, each=15, seed=7, show=True)
    wrong = {name: counts[name] for name in HARNESS["OUTCOMES"][2:] if counts[name]}
    assert counts.total() == 15 and not wrong, capsys.readouterr().err


def test_the_harness_prints_a_line_for_each_kind(capsys):
    assert HARNESS["main"](["--each", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["kind", "tried", "right"]
    assert [line.split()[0] for line in lines[1:-2]] == [kind.__name__ for kind in HARNESS["KINDS"]]
    assert lines[-2].split()[:2] == ["all", str(len(HARNESS["KINDS"]))]
