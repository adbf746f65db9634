"""What all tests share: a cache of their own, so that none reads or leaves anything in the project's; and the
usual folder of results, whatever that of the pages that are tested beside them is."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """The environment variable DIFFFEAT_CACHE names an empty folder, one for each module of tests."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFFEAT_CACHE", str(folder))
        patch.delenv("DIFFFEAT_RESULTS", raising=False)
        yield folder
