"""Switches tracing on in a Python process that ``async-trace run`` started.

Python imports this by itself when it starts. It costs a program that does not use asyncio nothing
more than this file: the package is loaded when asyncio is.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))


def _load_package() -> None:
    """Import ``async_trace`` from beside this file, wherever the interpreter looks for packages."""
    if "async_trace" not in sys.modules:
        directory = os.path.dirname(_HERE)
        spec: Any = importlib.util.spec_from_file_location(
            "async_trace", os.path.join(directory, "__init__.py"), submodule_search_locations=[directory]
        )
        package = importlib.util.module_from_spec(spec)
        sys.modules["async_trace"] = package
        spec.loader.exec_module(package)
    import async_trace.debug  # noqa: F401


class _AfterAsyncio:
    """Finds asyncio as usual, and loads the package once it has been imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "asyncio":
            return None
        sys.meta_path.remove(self)
        spec: Any = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            del spec.loader.exec_module
            execute(module)
            _load_package()

        spec.loader.exec_module = exec_module
        return spec


def _import_next() -> None:
    """Import the ``sitecustomize`` that we stand in front of, if there is one."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if os.environ.get("ASYNC_TRACE", "0") not in ("", "0"):
    if "asyncio" in sys.modules:
        _load_package()
    else:
        sys.meta_path.insert(0, _AfterAsyncio())
_import_next()
