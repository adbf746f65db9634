"""Get published weights and data sets: download, verify, unpack.

Nothing here runs by itself: the book and its tests need none of it. A download that stops, for whatever
reason, goes on where it was when the same command is given again. In the folder, <name>/ is what the book
reads and files/<name>/ the files as they came. Those can be removed when all is complete, and a file that you
have already can be put there: it is verified like any other.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep.fetch import fetch
from data_prep.fetch.room import show_size
from data_prep.fetch.sources import chosen, known
from difffeat.base.files import downloads


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: `python -m data_prep.fetch --help`."""
    options = _parser().parse_args(arguments)
    try:
        if not options.names:
            _overview()
        for source in chosen(options.names):
            _describe(source, options.folder)
            if not options.list:
                fetch(source, options.folder)
                print("  complete")
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.fetch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="name", help="what to get; without a name, a list of what there is")
    add(
        "--list",
        action="store_true",
        help="only say what these names need: files, sizes, licences, addresses",
    )
    add("--folder", type=Path, default=downloads(), help="where it goes (default: %(default)s)")
    return parser


def _overview():
    sources, profiles = known()
    for name, source in sources.items():
        print(f"{name:<21}{show_size(source.size):>9}  {source.what}")
    print("\nSeveral at once:")
    for name, names in profiles.items():
        print(f"{name:<21}{', '.join(names)}")
    print("\nFiles, licences and addresses: --list and names. To get them: names.")


def _describe(source, folder):
    print(f"{source.name}: {source.what}\n  licence: {source.licence}\n  page: {source.page}")
    for file in source.files:
        print(f"  {show_size(file.size):>10}  {file.url}")
    there = "there already" if (folder / source.name).is_dir() else "not there yet"
    print(f"  folder: {folder / source.name} ({there})")


if __name__ == "__main__":
    main()
