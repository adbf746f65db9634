"""Parameters reach a notebook as they should: defaults, profile, papermill; and a wrong one is refused."""

import subprocess
import sys

import nbformat
import pytest

from difffeat import pages, profiles

DECLARED = """\
profile = "scenes"
blocks = [3, 6]   # how many blocks have run
rate = 0.5
shard = "1/1"
limit = None"""


def page(name, *, declared=DECLARED, **metadata):
    """Store a notebook beside the profiles of a test."""
    cell = nbformat.v4.new_code_cell(declared, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata=metadata)
    nbformat.write(notebook, profiles.FOLDER.parent / f"{name}.ipynb")


def run(*cells):
    """Parameters of a notebook whose cells are given, as IPython would have run them."""
    namespace = {"In": ["", *cells, 'p = profiles.parameters(vars(), "20_page")']}
    for cell in cells:
        exec(cell, namespace)
    return profiles.parameters(namespace, "20_page")


@pytest.fixture
def coco(tmp_path, monkeypatch):
    """A second profile beside scenes, and a page that takes what the one of `run` does not."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "scenes.yaml").write_text("shards: 2\n")
    (folder / "coco.yaml").write_text("parameters: {blocks: [8, 12], dim: 512}\ndata: {root: /data/coco}\n")
    monkeypatch.setattr(profiles, "FOLDER", folder)
    page("21_other", declared='profile = "scenes"\ndim = 512\nrate = 1.0')


def test_a_notebook_alone_has_its_defaults():
    p = run("import torch", DECLARED)
    assert (p.blocks, p.rate, p.shard, p.limit, p.notebook) == ([3, 6], 0.5, "1/1", None, "20_page")
    assert p.parameters == {"profile": "scenes", "blocks": [3, 6], "rate": 0.5, "shard": "1/1", "limit": None}


def test_papermill_wins_over_the_profile_and_the_profile_over_the_default(coco):
    p = run(DECLARED, '# Parameters\nprofile = "coco"\nrate = 2\n')
    assert (p.blocks, p.rate, p.data) == ([8, 12], 2, {"root": "/data/coco"})
    assert run(DECLARED, '# Parameters\nprofile = "coco"\nblocks = [1]\n').blocks == [1]


def test_a_notebook_takes_only_the_parameters_it_declares(coco):
    assert not hasattr(run(DECLARED, '# Parameters\nprofile = "coco"\n'), "dim")


def test_a_notebook_has_values_of_its_own_and_a_backbone_its_way_to_be_loaded(coco, monkeypatch):
    path = profiles.FOLDER / "coco.yaml"
    path.write_text(
        "parameters: {rate: 2.0}\n"
        "notebooks: {20_page: {rate: 3.0}, 21_other: {rate: 4.0}}\n"
        "data: {folder: $COCO_ROOT/images}\n"
        "models: {dit-xl-2-256: {device: cuda}}\n"
    )
    monkeypatch.setenv("COCO_ROOT", "/data/coco")
    p = run(DECLARED, '# Parameters\nprofile = "coco"\n')
    assert (p.rate, p.data, p.models["dit-xl-2-256"]) == (
        3.0,
        {"folder": "/data/coco/images"},
        {"device": "cuda"},
    )
    assert p.models["plaid-1b"] == {}
    monkeypatch.delenv("COCO_ROOT")
    with pytest.raises(ValueError, match="needs the environment variable COCO_ROOT.*PROFILE=coco COCO_ROOT="):
        run(DECLARED, '# Parameters\nprofile = "coco"\n')
    path.write_text("notebooks: {20_page: {dim: 3}}\n")
    with pytest.raises(ValueError, match="20_page does not take dim; it takes profile, blocks"):
        run(DECLARED, '# Parameters\nprofile = "coco"\n')


def test_a_profile_extends_another_and_may_lie_anywhere(coco, tmp_path):
    (profiles.FOLDER / "coco.yaml").write_text(
        "shards: 8\ndata: {folder: /data, parts: 3}\nmodels: {a: {length: 60, device: cuda}}\n"
        "parameters: {blocks: [8, 12]}\n"
    )
    own = tmp_path / "mine.yaml"
    own.write_text(
        "extends: coco\ndata: {folder: /mine}\nmodels: {a: {length: 600}}\nparameters: {rate: 2.0}\n"
    )
    profile = profiles.load(str(own))
    assert (profile.name, profile.shards, profile.files) == ("mine", 8, (own, profiles.FOLDER / "coco.yaml"))
    assert profile.data == {"folder": "/mine"}  # another data set: nothing of the first one's settings stays
    assert profile.models == {"a": {"length": 600, "device": "cuda"}}
    assert profile.parameters == {"blocks": [8, 12], "rate": 2.0}
    p = run(DECLARED, f'# Parameters\nprofile = "{own}"\n')
    assert (p.blocks, p.rate, p.results.name) == ([8, 12], 2.0, "mine")
    twin = tmp_path / "coco.yaml"
    twin.write_text("shards: 1\n")
    with pytest.raises(ValueError, match="would write where the profile coco does: give it another name"):
        profiles.load(str(twin))
    (profiles.FOLDER / "coco.yaml").write_text(f"extends: {own}\n")
    with pytest.raises(ValueError, match=r"mine.yaml extends itself, through mine.yaml and coco.yaml"):
        profiles.load(str(own))


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "a\0b", "{a}", "a}", "\udcff"])
def test_a_name_that_cannot_name_a_folder_of_results_is_refused(coco, name, tmp_path):
    for given in (name, f"{tmp_path}/{name}.yaml"):
        with pytest.raises(ValueError, match="may have any printable characters but { and }, and be neither"):
            profiles.load(given)


@pytest.mark.parametrize("name", ["it's", '"a" <b> & $c; `d`', "-p", "é ü", "v1.2", "1"])
def test_a_profile_of_another_name_is_found_by_it_and_by_its_path(coco, name, tmp_path, monkeypatch):
    own = tmp_path / f"{name}.yaml"
    own.write_text("shards: 3\n")
    assert (profiles.load(str(own)).name, profiles.load(str(own)).shards) == (name, 3)
    with pytest.raises(ValueError, match="unknown profile"):
        profiles.load(name)
    monkeypatch.setenv("DIFFFEAT_PROFILE", str(own))
    assert profiles.load(name).files == (own,)
    assert profiles.load("coco").files == (profiles.FOLDER / "coco.yaml",)


def test_a_page_knows_its_profile_by_name_and_says_by_path_what_it_lacks(coco, tmp_path):
    own = tmp_path / "my own.yaml"
    own.write_text("parameters: {rate: 2.0}\n")
    p = run(DECLARED, f'# Parameters\nprofile = "{own}"\n')
    assert p.profile == p.parameters["profile"] == p.results.name == "my own"
    own.write_text("data: {folder: $ABSENT}\n")
    with pytest.raises(ValueError, match=f"make book PROFILE='{own}' ABSENT=..."):
        run(DECLARED, f'# Parameters\nprofile = "{own}"\n')


def test_a_profile_that_papermill_read_as_a_number_is_refused_with_the_way_to_give_it(coco):
    (profiles.FOLDER / "1.yaml").write_text("shards: 3\n")
    with pytest.raises(ValueError, match="profile = 1: expected text, as by papermill -r profile"):
        run(DECLARED, "# Parameters\nprofile = 1\n")


def test_a_parameter_that_no_page_takes_is_refused_before_anything_runs(coco):
    path = profiles.FOLDER / "coco.yaml"
    path.write_text("parameters: {block: [8], dim: 512}\n")
    said = r"coco.yaml: no page takes block \(did you mean blocks\?\); there are blocks, dim, limit, profile"
    with pytest.raises(ValueError, match=said):
        run(DECLARED, '# Parameters\nprofile = "coco"\n')
    with pytest.raises(ValueError, match="no page takes block"):
        pages.runs(profiles.load("coco"), ["21_other"], set())
    path.write_text("notebooks: {21_othr: {dim: 3}}\n")
    with pytest.raises(ValueError, match=r"no page 21_othr \(did you mean 21_other\?\); there are 20"):
        run(DECLARED, '# Parameters\nprofile = "coco"\n')


@pytest.mark.parametrize("profile", ["parameters: {blocks: 8}", "notebooks: {20_page: {blocks: 8}}"])
def test_a_value_of_another_type_in_a_profile_is_refused_before_anything_runs(coco, profile):
    page("20_page")
    (profiles.FOLDER / "coco.yaml").write_text(profile)
    with pytest.raises(
        ValueError, match="coco.yaml, for 20_page: blocks = 8: expected list, as in blocks = "
    ):
        profiles.planned(profiles.load("coco"), "20_page")
    with pytest.raises(ValueError, match="coco.yaml, for 20_page: blocks = 8"):
        pages.runs(profiles.load("coco"), ["20_page", "21_other"], set())
    assert pages.runs(profiles.load("coco"), ["21_other"], set()) == ["21_other"]


def test_pages_that_the_data_cannot_serve_are_left_out_or_refused(coco):
    page("20_page", difffeat={"needs": ["images"]})
    page("21_other", declared=DECLARED + '\nmetric = "mAP"', difffeat={"needs": ["images", "captions"]})
    path, names = profiles.FOLDER / "coco.yaml", ["20_page", "21_other"]
    path.write_text("data: {reader: birds}")
    assert pages.runs(profiles.load("coco"), names, {"images", "captions"}) == names
    assert pages.runs(profiles.load("coco"), names, {"images"}) == ["20_page"]
    path.write_text("data: {reader: birds}\npages: [21_other, 20_page]")
    assert pages.runs(profiles.load("coco"), names, {"images", "captions"}) == names[::-1]
    said = r"coco.yaml names .*: 21_other needs captions. Reader 'birds' gives images; leave these pages out"
    with pytest.raises(ValueError, match=said):
        pages.runs(profiles.load("coco"), names, {"images"})
    path.write_text("data: {reader: birds}\npages: [21_other]\nparameters: {metric: top-5}")
    with pytest.raises(ValueError, match="21_other needs one class"):
        pages.runs(profiles.load("coco"), names, {"images", "captions"})
    path.write_text("pages: [22_another]")
    with pytest.raises(ValueError, match="there is no page 22_another; there are 20_page, 21_other"):
        pages.runs(profiles.load("coco"), names, {"images", "captions"})


def test_what_a_page_needs_goes_with_the_settings_of_its_data(coco):
    declared = DECLARED + '\nshown = 18\nsamples = [60, 0, 40]\nmetric = "top-1"'
    page("20_page", declared=declared, difffeat={"needs": ["images"], "samples": {"test": "shown", "val": 5}})
    p = run(declared, "# Parameters\nshown = 50\n")
    assert (p.data.page, p.data.needs) == ("20_page", ("images", "one class"))
    assert p.data.sizes == {"train": 60, "val": 5, "test": 50}
    page("20_page", declared=declared, difffeat={"needs": ["pictures"]})
    with pytest.raises(
        ValueError, match=r"20_page declares needs \['pictures'\]; there are images, captions"
    ):
        run(declared)


def test_the_last_run_of_an_edited_cell_counts():
    assert run(DECLARED, DECLARED.replace("[3, 6]", "[7]")).blocks == [7]


def test_lists_given_on_the_command_line_arrive_as_text_and_are_read():
    assert run(DECLARED, '# Parameters\nblocks = "[8, 12]"\n').blocks == [8, 12]


@pytest.mark.parametrize("value", ["8", '"8, 12"', '["eight"]', '"[8"'])
def test_a_value_of_another_type_is_refused(value):
    with pytest.raises(ValueError, match=r"blocks = .*: expected list, as in blocks = \[3, 6\]"):
        run(DECLARED, f"# Parameters\nblocks = {value}\n")


def test_an_injected_value_that_is_no_literal_is_still_checked():
    with pytest.raises(ValueError, match="does not take layers"):
        run(DECLARED, "# Parameters\nlayers = float('inf')\n")


def test_an_unknown_profile_names_those_there_are(coco):
    with pytest.raises(ValueError, match="unknown profile 'koko': there are coco, scenes"):
        run(DECLARED, '# Parameters\nprofile = "koko"\n')


def test_a_key_that_means_nothing_in_a_profile_is_refused(coco):
    (profiles.FOLDER / "coco.yaml").write_text("parameter: {blocks: [8]}\n")
    with pytest.raises(ValueError, match=r"coco.yaml: unknown keys \['parameter'\]"):
        profiles.load("coco")


def test_without_history_the_stored_notebook_says_what_it_declares(coco):
    """nbval runs cells without keeping them."""
    page("20_page")
    namespace = {"In": [""], "profile": "scenes", "blocks": [7], "rate": 0.5, "shard": "1/1", "limit": None}
    assert profiles.parameters(namespace, "20_page").blocks == [7]


def test_without_a_parameters_cell_the_error_says_what_one_is():
    with pytest.raises(ValueError, match="no parameters cell has run"):
        run("import torch", "blocks = [3]")


def test_folders_follow_the_profile_and_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("DIFFFEAT_CACHE", raising=False)
    monkeypatch.setenv("DIFFFEAT_RESULTS", str(tmp_path))
    p = run(DECLARED)
    assert (p.cache, p.results) == (profiles.ROOT / "cache" / "scenes", tmp_path / "scenes")


@pytest.mark.parametrize(
    ("data", "dataset"),
    [
        ("reader: scenes", "scenes"),
        ("reader: scenes\n  kind: scenes", "scenes"),
        ("reader: scenes\n  kind: single", "scenes-single"),
        ("reader: scenes\n  kind: single\n  dataset: own", "own"),
    ],
)
def test_a_data_set_is_called_by_its_reader_and_kind(tmp_path, data, dataset):
    (tmp_path / "some.yaml").write_text(f"data:\n  {data}\n")
    assert run(DECLARED, f'profile = "{tmp_path}/some.yaml"').dataset == dataset


def test_papermill_exits_with_the_names_that_a_notebook_takes(tmp_path):
    """Papermill itself only logs an unknown parameter and exits 0."""
    parameters = nbformat.v4.new_code_cell(DECLARED, metadata={"tags": ["parameters"]})
    body = nbformat.v4.new_code_cell('from difffeat import profiles\np = profiles.parameters(vars(), "page")')
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[parameters, body], metadata=kernel)
    nbformat.write(notebook, tmp_path / "page.ipynb")

    command = [sys.executable, "-m", "papermill", str(tmp_path / "page.ipynb"), str(tmp_path / "out.ipynb")]
    done = subprocess.run(
        [*command, "-p", "layers", "[8]"], capture_output=True, text=True, cwd=profiles.ROOT
    )
    assert done.returncode != 0
    assert "page does not take layers; it takes profile, blocks, rate, shard, limit" in done.stderr
