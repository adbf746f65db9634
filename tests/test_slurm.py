"""The workflow on a real Slurm of one node: what it says to a refusal, and a run with a job cancelled in it.

The tests start the daemons in a folder of their own, as whoever runs them, and end them. This Slurm is as it
comes: it keeps no accounting.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from test_workflow import COMPILER, SLURM, copied, make_book

from difffeat.evidence.differences import differences
from difffeat.evidence.results import read_all

DAEMONS = ["munged", "slurmctld", "slurmd"]
SBIN = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])  # where daemons are, and not on every PATH
MISSING = [name for name in (*DAEMONS, "sbatch") if not shutil.which(name, path=SBIN)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no Slurm here: {', '.join(MISSING)} not installed")

MEMORY = 8000  # MB of the node, whatever the machine has
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SlurmdParameters=config_overrides
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory={memory}
PartitionName=main Nodes=ALL Default=YES
"""

SRUN = """#!/bin/sh
SLURM_CONF={SLURM_CONF} exec {srun} "$@"
"""

SMALL = {
    "shards": 2,
    "pages": ["10_extract_image", "20_probe_image_grid"],
    "parameters": {"samples": [0, 0, 0], "image_blocks": [4, 8], "image_timesteps": [50], "noise_seeds": [0]}
    | {"batch_size": 8, "shard_size": 8}  # files enough for both shards
    | {"floor_blocks": [4], "floor_timesteps": [50], "steps": 40, "resamples": 20},
}
SHARDS = [f"rule_10_extract_image_shard_wildcards_{i}_2" for i in (1, 2)]
PAGES = ["rule_10_extract_image", "rule_20_probe_image_grid"]
# The executor looks at a job a second after it is submitted, then after 11 more, 21 more, and so on.
OFTEN = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]


class Slurm:
    """A Slurm of one node in a folder, with two processors and `MEMORY`."""

    def __init__(self, folder):
        host, user = socket.gethostname().split(".")[0], pwd.getpwuid(os.getuid()).pw_name
        for name in ("state", "spool"):
            (folder / name).mkdir()
        (folder / "key").write_bytes(os.urandom(1024))
        (folder / "key").chmod(0o400)
        places = dict(host=host, user=user, ports=free_ports(2), folder=folder, memory=MEMORY)
        (folder / "slurm.conf").write_text(CONFIG.format(**places))
        self.variables = {"SLURM_CONF": str(folder / "slurm.conf")}
        # The executor's jobs start srun without that variable, as if every slurm.conf were in /etc.
        (folder / "bin").mkdir()
        (folder / "bin" / "srun").write_text(SRUN.format(**self.variables, srun=shutil.which("srun")))
        (folder / "bin" / "srun").chmod(0o755)
        self.folder, self.running = folder, []

    def start(self):
        """Start the daemons and wait until the node takes jobs."""
        own = {"socket": "munge.socket", "key-file": "key", "pid-file": "munged.pid"}
        own |= {"seed-file": "seed", "log-file": "munged.log"}
        options = [f"--{name}={self.folder / file}" for name, file in own.items()]
        # Forced, munged does not mind that others could move a folder above its own.
        self.daemon("munged", "--foreground", "--force", *options)
        until(lambda: (self.folder / "munge.socket").exists(), "munged makes its socket")
        self.daemon("slurmctld", "-D")
        self.daemon("slurmd", "-D")
        until(self.ready, "the node takes jobs")

    def daemon(self, name, *options):
        """Start a daemon that stays this process's child; what it says goes to a file."""
        with (self.folder / f"{name}.txt").open("w") as said:
            command = [shutil.which(name, path=SBIN), *options]
            environment = os.environ | self.variables
            self.running.append(subprocess.Popen(command, env=environment, stdout=said, stderr=said))

    def ready(self):
        """Whether the node takes jobs; an error with its last words if a daemon has ended."""
        for daemon in self.running:
            name = Path(daemon.args[0]).name
            assert daemon.poll() is None, f"{name}: {(self.folder / f'{name}.txt').read_text()[-2000:]}"
        return self.says("sinfo", "--noheader", "--format=%T") == ["idle"]

    def stop(self):
        """Cancel what still runs, then end the daemons, the last started first."""
        try:
            if len(self.running) == len(DAEMONS):
                self.says("scancel", "--partition=main")
                until(lambda: not self.says("squeue", "--noheader"), "no job runs")
        finally:
            for daemon in reversed(self.running):
                daemon.terminate()
                daemon.wait(timeout=30)

    def says(self, *command):
        """Lines that a command of Slurm's prints."""
        environment = os.environ | self.variables
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        return done.stdout.splitlines()

    def jobs(self):
        """(comment, state, number) of every job so far, in order; the comment names its rule."""
        lines = self.says("squeue", "--states=all", "--sort=i", "--noheader", "--format=%k|%T|%i")
        return [tuple(line.split("|")) for line in lines]

    def make_book(self, project):
        """Run the small profile here."""
        return make_book(project, "tiny", *OFTEN, path=[self.folder / "bin"], **self.variables)

    def cancel(self, comment, begun):
        """Cancel the job of this comment once something is in the file `begun`."""
        until(lambda: begun.exists() and begun.stat().st_size, f"{comment} runs", seconds=120)
        (number,) = [number for name, state, number in self.jobs() if (name, state) == (comment, "RUNNING")]
        self.says("scancel", number)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def until(happens, what, seconds=30):
    """Wait for something, looking five times a second."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def slurm():
    """A running Slurm, in a folder with a short name: that of a socket has 107 characters at most."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    node = Slurm(folder)
    try:
        node.start()
        yield node
    finally:
        node.stop()
        shutil.rmtree(folder)


@pytest.fixture
def project(tmp_path):
    return small(tmp_path / "project", pictures(tmp_path / "pictures"))


def pictures(folder):
    """A table of pictures, the odd ones brighter and labelled so."""
    folder.mkdir()
    random, rows = np.random.default_rng(0), ["image,labels,part"]
    for number in range(90):
        pixels = random.integers(0, 156, (64, 64, 3)) + number % 2 * 100
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
        label, part = ["dark", "bright"][number % 2], "test" if number >= 60 else "train"
        rows.append(f"{number}.png,any|{label},{part}" if number % 3 else f"{number}.png,{label},{part}")
    (folder / "table.csv").write_text("\n".join(rows))
    columns = dict(image="image", labels="labels", part="part")
    return dict(reader="table", folder=str(folder), files="table.csv", columns=columns, validation=20)


def small(folder, data):
    """A copy of the project with a small profile on these data, and a stand-in that compiles its book."""
    copied(folder)
    (folder / "notebooks" / "profiles" / "tiny.yaml").write_text(yaml.safe_dump(SMALL | {"data": data}))
    (folder / "workflow" / "compile_book.py").write_text(COMPILER)
    return folder


def fit(project):
    """Have jobs ask for what the node has, as the book tells its readers to."""
    fitting = {"default-resources": {"runtime": 10, "mem_mb": MEMORY // 2}}
    fitting["set-threads"] = dict.fromkeys(SLURM["set-threads"], 1)
    path = project / "workflow" / "profiles" / "slurm" / "config.yaml"
    path.write_text(yaml.safe_dump(SLURM | fitting))


def features(project):
    """{name: bytes} of the files of features that a run left."""
    folder = project / "cache" / "tiny" / "features"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.h5")}


def test_a_refusal_ends_the_run_with_what_slurm_said_and_where_to_change_it(slurm, project):
    done = slurm.make_book(project)
    assert done.returncode == 1
    last = "\n".join(done.stderr.splitlines()[-10:])
    jobs = "10_extract_image_shard, with -p main -t 240 --mem 32000 --cpus-per-task=1"
    for said in (f"{jobs}: Memory specification can not be satisfied;", "config.yaml", "mem_mb"):
        assert said in last, done.stderr


def test_a_cancelled_job_is_said_and_a_second_run_ends_equal_to_one_without_slurm(slurm, project):
    fit(project)
    local = project.with_name("local")
    shutil.copytree(project, local)
    before = len(slurm.jobs())
    log = project / "build" / "log" / "tiny" / "10_extract_image_2-of-2.txt"
    with ThreadPoolExecutor() as threads:
        cancelling = threads.submit(slurm.cancel, SHARDS[1], begun=log)
        first = slurm.make_book(project)
        cancelling.result()
        running = threads.submit(make_book, local, "tiny", "--cores", "1", run="default")  # beside the second
        jobs = slurm.jobs()[before:]
        executed = project / "build" / "notebooks" / "tiny"
        made = sorted(str(path.relative_to(executed)) for path in executed.rglob("*.ipynb"))
        second = slurm.make_book(project)
        without = running.result()

    # What was cancelled is said; what the other shard made stays.
    assert first.returncode == 1
    assert "Error in rule 10_extract_image_shard" in first.stderr, first.stderr
    assert "SLURM status is: 'CANCELLED'" in first.stderr
    assert "Slurm refused" not in first.stderr
    assert sorted(job[:2] for job in jobs) == [(SHARDS[0], "COMPLETED"), (SHARDS[1], "CANCELLED")]
    assert made == ["shards/10_extract_image_1-of-2.ipynb"]

    # The second run ends by itself and has run only what was missing; the book is compiled in no job.
    assert second.returncode == 0, second.stderr
    jobs = [job[:2] for job in slurm.jobs()[before + 2 :]]
    assert jobs == [(name, "COMPLETED") for name in (SHARDS[1], *PAGES)]
    assert (project / "book" / "_build" / "html" / "index.html").read_text() == "none"

    # Its results are those of a run without Slurm, its features too, to the byte.
    assert without.returncode == 0, without.stderr
    stored, measured = (folder / "build" / "results" / "tiny" for folder in (local, project))
    assert len(read_all(stored)) == len(PAGES)
    assert not differences(stored, measured)
    assert len(features(local)) > len(SHARDS) and features(project) == features(local)
