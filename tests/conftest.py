"""What all tests share: a cache of their own, so that none reads or leaves anything in the project's; and the
usual folder of results, whatever that of the pages that are tested beside them is."""

import signal

import pytest

# Minutes each.
LONGEST = ("test_profiles_run.py", "test_reruns.py", "book_checks.py", "test_workflow.py", "test_slurm.py")


def pytest_configure():
    """Ctrl-C is heard: a shell that starts a job in the background has it ignored, and tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """The longest files first: of several processes none is left alone with one of them at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory, request):
    """The environment variable DIFFFEAT_CACHE names an empty folder, one for each module of tests.

    DIFFFEAT_RESULTS is unset, but for the checks of what pages have just measured there.
    """
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFFEAT_CACHE", str(folder))
        if request.path.name.startswith("test_"):
            patch.delenv("DIFFFEAT_RESULTS", raising=False)
        yield folder
