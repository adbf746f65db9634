"""The workflow under its Slurm profile: what each job asks for, and jobs that a pretended cluster runs."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from difffeat import profiles
from difffeat.profiles import ROOT

EXTRACTIONS = ["10_extract_image", "11_extract_text"]
SLURM = yaml.safe_load((ROOT / "workflow" / "profiles" / "slurm" / "config.yaml").read_text())

# Notes every planned job: Snakemake's own lines leave resources out where a rule has a message.
LOGGER = """
import json

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent


class LogHandler(LogHandlerBase):
    writes_to_stream = writes_to_file = has_formatter = needs_rulegraph = False
    has_filter = True

    def emit(self, record):
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            resources = {name: str(value) for name, value in record.resources.items()}
            with open("planned.jsonl", "a") as planned:
                job = {"rule": record.rule_name, **record.wildcards, "resources": resources}
                print(json.dumps(job), file=planned)
"""

# Every command of Slurm's that the plugin calls, by its name. A job has ended when `sbatch` returns, so the
# first look at its state finds it, and nothing is left running.
COMMAND = """#!/usr/bin/env python3
import argparse, json, os, subprocess, sys
from pathlib import Path

here, name, given = Path(__file__).parent, Path(__file__).name, sys.argv[1:]
with (here / "calls.jsonl").open("a") as calls:
    print(json.dumps([name, *given]), file=calls)
if name == "sbatch":
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for option in ("--output", "--wrap", "-D"):
        parser.add_argument(option, required=True)
    job, number = parser.parse_known_args(given)[0], str(os.getpid())
    with open(job.output.replace("%j", number), "w") as log:
        environment = {**os.environ, "SLURM_JOB_ID": number}
        done = subprocess.run(["sh", "-c", job.wrap], cwd=job.D, env=environment, stdout=log, stderr=log)
    with (here / "ended").open("a") as ended:
        print(number, "FAILED" if done.returncode else "COMPLETED", sep="|", file=ended)
    print(number)
elif name == "srun":
    first = next(i for i, argument in enumerate(given) if not argument.startswith("-"))
    os.execvp(given[first], given[first:])
elif name == "sacct" and "--format=JobIdRaw,State" in given:
    print((here / "ended").read_text())
elif name == "sinfo":
    print("PARTITION", "cpu", "main*", sep="\\n")
elif name not in ("sacct", "scontrol"):  # these may know nothing
    sys.exit(f"{name} was not expected")
"""
COMMANDS = ["sbatch", "srun", "sacct", "squeue", "sinfo", "scontrol", "scancel", "sacctmgr", "sshare"]

# In place of papermill: the second shard fails until somebody has mended it.
PAPERMILL = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path

notebook, executed = map(Path, sys.argv[1:3])
given = [sys.argv[i + 1 : i + 3] for i, argument in enumerate(sys.argv) if argument == "-r"]
given = dict(given, job=os.environ.get("SLURM_JOB_ID"))
if given.get("shard") == "2/2" and not Path(__file__).with_name("mended").exists():
    sys.exit("ValueError: no such card")
executed.write_text("as it ran")
results = Path(os.environ["DIFFFEAT_RESULTS"], given["profile"], f"{notebook.stem}.json")
results.parent.mkdir(parents=True, exist_ok=True)
results.write_text(json.dumps(given))
"""

# In place of the compiler of the book: says in which job it ran.
COMPILER = """
import os
from pathlib import Path

page = Path("book/_build/html/index.html")
page.parent.mkdir(parents=True, exist_ok=True)
page.write_text(os.environ.get("SLURM_JOB_ID", "none"))
"""


def copied(copy, *without):
    """Make a folder with what the workflow needs of the project, and return it."""
    ignored = shutil.ignore_patterns("__pycache__", "_build", "mathjax", "notebooks", *without)
    for folder in ("book", "data_prep", "difffeat", "notebooks", "workflow"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    return copy


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project without weights, build and cache: a run leaves nothing in the project itself."""
    copy = copied(tmp_path_factory.mktemp("workflow") / "project", "weights")
    (copy / "snakemake_logger_plugin_jobs").mkdir()
    (copy / "snakemake_logger_plugin_jobs" / "__init__.py").write_text(LOGGER)
    return copy


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A folder for PATH, with Slurm's commands."""
    folder = tmp_path_factory.mktemp("slurm")
    for name, content in {**dict.fromkeys(COMMANDS, COMMAND), "papermill": PAPERMILL}.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    return folder


def make_book(project, profile, *options, run="slurm", path=(), **variables):
    """What `make book PROFILE=<profile> RUN=<run>` runs, in a copy of the project."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    (line,) = [line.strip(" \t\\") for line in lines if "DIFFFEAT_PROFILE=" in line]
    command = ["bash", "-c", line.replace("$$", "$") + ' "$@"', "make", *options]
    own = ("DIFFFEAT_", "SBATCH_", "SLURM_", "SNAKEMAKE_", "XDG_")  # of whoever runs the tests
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment["PATH"] = os.pathsep.join(map(str, [*path, Path(sys.executable).parent, os.environ["PATH"]]))
    environment |= {"PYTHONPATH": str(project), "HOME": str(project.parent)} | variables
    environment |= {"PROFILE": profile, "RUN": run}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)


def planned(project, profile):
    """The jobs of a dry run, as LOGGER notes them."""
    notes = project / "planned.jsonl"
    notes.unlink(missing_ok=True)
    done = make_book(project, profile, "--dry-run", "--logger", "jobs")
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in notes.read_text().splitlines()]


def asked(job):
    """What a planned job asks for."""
    return {name: int(job["resources"].get(name, 0)) for name in ("gpu", "runtime", "mem_mb")}


def calls(cluster, name):
    """How a command of Slurm's was called so far, each time as {option: value}."""
    lines = map(json.loads, (cluster / "calls.jsonl").read_text().splitlines())
    return [by_option(arguments) for called, *arguments in lines if called == name]


def by_option(arguments):
    """{option: value} of a command line, `--option=value` and `--option value` alike."""
    found, waiting = {}, None
    for argument in arguments:
        if argument.startswith("-"):
            waiting, equals, value = argument.partition("=")
            found[waiting] = value
        elif waiting and not found[waiting]:
            found[waiting] = argument
    return found


@pytest.mark.parametrize(("profile", "gpu"), [("coco", 1), ("scenes", 0), ("coco-smoke", 0)])
def test_each_shard_is_a_job_of_its_own_and_what_needs_a_gpu_asks_for_one(project, profile, gpu):
    """A model that the profile puts on a GPU is loaded there by every page that takes it."""
    jobs, n = planned(project, profile), profiles.load(profile).shards
    for page in EXTRACTIONS:
        shards = [job for job in jobs if job["rule"] == f"{page}_shard"]
        assert sorted(int(job["i"]) for job in shards) == list(range(1, n + 1))
        assert {job["n"] for job in shards} == {str(n)}
        assert all(asked(job) == SLURM["default-resources"] | {"gpu": gpu} for job in shards)

    others = {job["rule"]: asked(job) for job in jobs if not job["rule"].endswith("_shard")}
    assert {"book", *EXTRACTIONS, "31_search"} <= others.keys()
    for rule, resources in others.items():
        page = ROOT / "notebooks" / f"{rule}.ipynb"
        source = page.read_text(encoding="utf-8") if page.is_file() else ""
        loads = bool(re.search(r"page\.(model|images|texts|clean|fill)\(", source))
        own = SLURM["set-resources"].get(rule, {})
        assert resources == SLURM["default-resources"] | {"gpu": gpu * loads} | own, rule


def test_settings_of_a_rule_that_a_profile_does_not_have_do_no_harm(project):
    pages = profiles.load("voc2007").pages
    assert "11_extract_text" not in pages
    rules = {job["rule"] for job in planned(project, "voc2007")}
    assert rules == {*pages, "10_extract_image_shard", "book"}


def test_what_cannot_run_is_left_out_or_refused_before_any_job(project):
    own = project / "notebooks" / "profiles" / "own.yaml"
    data = "data: {reader: coco, folder: /none, captions: false}\n"
    own.write_text(data)
    rules = {job["rule"].removesuffix("_shard") for job in planned(project, "own")}
    assert {"10_extract_image", "20_probe_image_grid", "40_cost", "90_claims", "book"} <= rules
    assert not rules & {"00_data", "05_backbones", "11_extract_text", "30_fusion", "31_search"}
    for wrong, said in (
        ("pages: [10_extract_image, 30_fusion]", "30_fusion needs captions. Reader 'coco' gives images"),
        ("parameters: {samples: 60}", "own.yaml, for 10_extract_image: samples = 60: expected list"),
        ("parameters: {sample: [6, 6, 6]}", "own.yaml: no page takes sample (did you mean samples"),
    ):
        own.write_text(data + wrong)
        done = make_book(project, "own", "--dry-run")
        assert done.returncode and said in done.stdout + done.stderr, done.stdout
    own.unlink()


def test_a_failed_shard_is_said_and_is_all_that_runs_again(project, cluster):
    (project / "notebooks" / "profiles" / "tiny.yaml").write_text(
        "shards: 2\ndata: {reader: scenes}\npages: [10_extract_image]\nmodels: {dit-scenes: {device: cuda}}"
    )
    (project / "workflow" / "compile_book.py").write_text(COMPILER)
    often = ["--slurm-init-seconds-before-status-checks", "1"]
    first = make_book(project, "tiny", *often, path=[cluster])

    # Slurm is asked for what the profile says, once for each shard.
    shards = [f"rule_10_extract_image_shard_wildcards_{i}_2" for i in (1, 2)]
    jobs = calls(cluster, "sbatch")
    assert sorted(job["--comment"] for job in jobs) == shards, first.stderr
    for job in jobs:
        assert job["-t"] == str(SLURM["default-resources"]["runtime"])
        assert job["--mem"] == str(SLURM["default-resources"]["mem_mb"])
        assert (job["--gpus"], job["--cpus-per-task"]) == ("1", "1")
        assert (job["-p"], job["-D"], job["--export"]) == ("main", str(project), "ALL")
    assert [step["--gpus"] for step in calls(cluster, "srun")] == ["1", "1"]

    # The failure is said with what papermill said; what the other shard made stays.
    assert first.returncode == 1
    for said in (
        *["Error in rule 10_extract_image_shard", "SLURM status is: 'FAILED'"],
        *["Logfile build/log/tiny/10_extract_image_2-of-2.txt", "ValueError: no such card"],
    ):
        assert said in first.stderr
    build = project / "build"
    executed = build / "notebooks" / "tiny"
    made = sorted(str(path.relative_to(executed)) for path in executed.rglob("*.ipynb"))
    assert made == ["shards/10_extract_image_1-of-2.ipynb"]

    # Only what is missing is submitted; the book is compiled where make was called.
    (cluster / "mended").touch()
    second = make_book(project, "tiny", *often, path=[cluster])
    assert second.returncode == 0, second.stderr
    jobs = calls(cluster, "sbatch")[2:]
    assert [job["--comment"] for job in jobs] == [shards[1], "rule_10_extract_image"]
    assert [job["--gpus"] for job in jobs] == ["1", "1"]
    assert (project / "book" / "_build" / "html" / "index.html").read_text() == "none"

    # Each ran in a job of its own, and wrote where no other writes.
    results = [build / "shards" / "tiny" / f"{i}-of-2" / "tiny" for i in (1, 2)]
    results = [folder / "10_extract_image.json" for folder in [*results, build / "results" / "tiny"]]
    told = [json.loads(path.read_text()) for path in results]
    assert [given.get("shard") for given in told] == ["1/2", "2/2", None]
    assert len({given["job"] for given in told}) == 3


@pytest.mark.parametrize(
    ("accounting", "remembered", "asked"), [(True, 300, "sacct"), (False, 300, "squeue"), (False, 60, None)]
)
def test_squeue_is_asked_how_jobs_end_where_slurm_keeps_no_accounting(
    accounting, remembered, asked, tmp_path, monkeypatch
):
    """A run that could not see how its jobs end is refused: it would wait for ever."""
    said = {"sacct": f"exit {int(not accounting)}", "scontrol": f"echo 'MinJobAge = {remembered} sec'"}
    for name, line in said.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    see_ends = runpy.run_path(str(ROOT / "workflow" / "slurm.py"))["see_ends"]
    settings = SimpleNamespace(status_command="sacct")
    if asked:
        see_ends(settings)
        assert settings.status_command == asked
    else:
        with pytest.raises(
            RuntimeError, match="no accounting .* forgets a job 60 s after .* MinJobAge to 200"
        ):
            see_ends(settings)
    see_ends(SimpleNamespace())  # of another executor
    see_ends(None)  # of one machine


def test_what_sbatch_refused_is_summed_up_by_rule():
    options = "-p main -t 240 --mem 32000 --cpus-per-task=16"
    log = ""
    for rule in ("31_search", *(f"10_extract_image_shard_wildcards_{i}_2" for i in (1, 2))):
        said = "sbatch: error: Too much\nsbatch: error: Failed"
        call = f"sbatch --parsable --output a/%j.log --comment rule_{rule}  {options} -D /x"
        log += (
            f"SLURM sbatch failed. The error message was '{said}'.\n    sbatch call:\n  {call} --wrap=\"y\"\n"
        )
    refused = runpy.run_path(str(ROOT / "workflow" / "slurm.py"))["refused"]
    assert refused(log).splitlines()[:-1] == [
        "Slurm refused jobs:",
        f"  10_extract_image_shard, with {options}: Too much; Failed",
        f"  31_search, with {options}: Too much; Failed",
    ]
    assert refused("Error in rule 31_search") == ""
