"""New files that Python imports in place of what the test runner itself needs.

`python -m pytest` puts the folder it starts in first on the import path, and pytest each test's own
folder: an `argparse.py` there runs inside the runner, before any test.
"""

from __future__ import annotations

import sys

# Packages pytest imports, besides the standard library and those that nobody may add at the top.
_NEEDED = frozenset(
    (*sys.stdlib_module_names, "packaging", "exceptiongroup", "tomli", "pygments", "py", "colorama")
)
_RUNNERS = frozenset(("pytest", "_pytest", "pluggy", "iniconfig", "unittest", "xdist"))
_IMPORT_TOPS = frozenset(("src", "lib", "python", "test", "tests"))
_ENDS = (".py", ".so", ".pyd")


def shadowed(path: str) -> str | None:
    """The module whose place a new file takes, or None.

    At the top of an import path any module that runners need; elsewhere, which may be where a
    command starts, the runners alone: a `types.py` in a package is common.

    Args:
        path: in the tree, with slashes.
    """
    *folders, name = path.split("/")
    if not name.endswith(_ENDS):
        return None
    module = name.partition(".")[0]
    if module == "__init__" and folders:
        module = folders.pop()
    top = not folders or (len(folders) == 1 and folders[0] in _IMPORT_TOPS)
    return module if module in _RUNNERS or (top and module in _NEEDED) else None
