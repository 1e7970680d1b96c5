"""What a test has failed, for fixtures that show then what is needed to understand it: `request.node.stash.get(FAILED,
False)`."""

import pytest

FAILED = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A hook of pytest, for a conftest.py to import."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
