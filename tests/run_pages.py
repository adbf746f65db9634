"""Run notebooks one after the other in this process: `python tests/run_pages.py jobs.json`.

For tests of many pages: a kernel for each would spend nearly all its time on imports. Cells run in IPython as
in a kernel, with the cell that papermill would add. `jobs.json` lists [notebook, profile, path of the copy as
it ran]; a page that fails leaves the traceback in place of its copy, as text, and the next one runs.
"""

import json
import sys
from pathlib import Path

import nbformat
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config


class Shown(DisplayHook):
    """Publishes the value of a cell's last line, as a kernel does."""

    def write_output_prompt(self):
        pass

    def write_format_data(self, format_dict, md_dict=None):
        self.shell.display_pub.publish(format_dict, md_dict)


class Shell(InteractiveShell):
    displayhook_class = Shown


def main(jobs):
    plain = {"colors": "nocolor", "xmode": "Plain"}
    shell = Shell.instance(config=Config({"HistoryManager": {"hist_file": ":memory:"}, "Shell": plain}))
    for source, profile, executed in json.loads(Path(jobs).read_text()):
        shell.reset(new_session=True)
        notebook = nbformat.read(source, 4)
        Path(executed).parent.mkdir(parents=True, exist_ok=True)
        failed = run(shell, notebook, profile)
        if failed:
            Path(executed).with_suffix(".txt").write_text(failed)
        else:
            nbformat.write(notebook, executed)


def run(shell, notebook, profile):
    """Run the cells and keep what they show; what the first that fails raised and said, or nothing."""
    for count, cell in enumerate([c for c in notebook.cells if c.cell_type == "code"], start=1):
        sources = [cell.source]
        if "parameters" in cell.metadata.get("tags", []):
            sources.append(f"# Parameters\nprofile = {profile!r}\n")
        with capture_output() as shown:
            results = [shell.run_cell(source, store_history=True) for source in sources]
        if not all(result.success for result in results):
            return f"{notebook.cells[0].source}\n{cell.source}\n{shown.stdout}{shown.stderr}"
        cell.execution_count = count
        cell.outputs = [*printed(shown), *displayed(shown)]
    return ""


def printed(shown):
    if shown.stdout:
        yield nbformat.v4.new_output("stream", name="stdout", text=shown.stdout)


def displayed(shown):
    for output in shown.outputs:
        yield nbformat.v4.new_output("display_data", data=output.data, metadata=output.metadata or {})


if __name__ == "__main__":
    main(sys.argv[1])
