"""What can be fetched, read from `sources.yaml`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

LIST = Path(__file__).with_name("sources.yaml")
ARCHIVE = re.compile(r"(?P<whole>.+\.(zip|tar|tar\.gz|tgz))(\.(\d+|[a-z]{2}))?")


@dataclass(frozen=True)
class File:
    """One download; `size` in bytes and the two checksums (hexadecimal) are None where none is documented.

    `path` is where it goes in the folder of its source, with folders of its own.
    """

    url: str
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None
    path: str | None = None

    @property
    def name(self) -> str:
        """What it is called as it came: the last part of its address, or its path in one word."""
        return self.url.rsplit("/", 1)[1] if self.path is None else self.path.replace("/", "-")

    @property
    def target(self) -> str:
        """Where it goes in the folder of its source."""
        return self.path or self.name

    @property
    def archive(self) -> str | None:
        """The archive that it is, or is a part of (x.tar.gz for x.tar.gz.01); None for any other file."""
        match = ARCHIVE.fullmatch(self.name)
        return match and match["whole"]


@dataclass(frozen=True)
class Source:
    """Files that belong together; unpacked, they make one folder.

    `by_hand` says what a person has to do where no program may get them.
    """

    name: str
    what: str
    licence: str
    page: str
    files: tuple[File, ...]
    by_hand: str = ""

    @property
    def size(self) -> int | None:
        """Bytes of all files, None if that of one is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(sizes)

    @property
    def archives(self) -> dict[str, list[str]]:
        """{archive: names of its parts in order}; an archive in one piece has one part, itself."""
        parts = {}
        for file in self.files:
            if file.archive:
                parts.setdefault(file.archive, []).append(file.name)
        return {archive: sorted(names) for archive, names in parts.items()}


def known() -> tuple[dict[str, Source], dict[str, list[str]]]:
    """The list, as `LIST` has it.

    Returns
    -------
    dict of name to Source, and dict of profile to the names (of sources or other profiles) that it stands for
    """
    content = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    sources = {}
    for name, entry in content["sources"].items():
        folder = entry.pop("folder", None)  # the address that the files' paths follow
        files = tuple(_file(file, folder) for file in entry.pop("files"))
        sources[name] = Source(name=name, files=files, **entry)
    return sources, content.get("profiles", {})


def _file(entry, folder):
    address = {} if folder is None else {"url": f"{folder}/{entry['path']}"}
    return File(size=entry.pop("bytes", None), **address | entry)


def chosen(names: Sequence[str]) -> list[Source]:
    """The sources that these names stand for, each once, in order.

    Parameters
    ----------
    names : sequence of str, sources or profiles

    Returns
    -------
    list of Source

    Raises
    ------
    ValueError
        If a name is unknown; the message gives the known ones.
    """
    sources, profiles = known()
    unknown = [name for name in names if name not in sources and name not in profiles]
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join([*sources, *profiles])}")
    found = {}
    for name in names:
        inner = [sources[name]] if name in sources else chosen(profiles[name])
        found |= {source.name: source for source in inner}
    return list(found.values())
