"""Optional dependencies: imported where they are used, with one clear error when they are missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Parameters
    ----------
    module : str
        Name to import, such as ``"sentence_transformers"``.
    extra : str
        The extra of this package that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        Naming the extra and the command that installs it.

    Examples
    --------
    >>> require("json", "torch").__name__
    'json'
    >>> require("no_such_module", "torch")
    Traceback (most recent call last):
    ...
    ImportError: this needs no_such_module, which is not installed; install it with: pip install "theatrum[torch]"
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'this needs {error.name}, which is not installed; install it with: pip install "theatrum[{extra}]"'
        ) from error
