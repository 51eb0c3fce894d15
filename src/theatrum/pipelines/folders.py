"""Saving and opening anything this library makes: one part or a whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from theatrum.persistence import fresh_folder, open_part, read_config, save_part
from theatrum.pipelines.pipeline import Pipeline, open_pipeline


def save(thing: object, path: str | Path) -> None:
    """Write a fitted part or pipeline as a folder of ``config.json`` and safetensors.

    Parameters
    ----------
    thing : Pipeline or registered part
        What to keep.
    path : str or Path
        Folder to make; one that theatrum wrote before is replaced at the very end.

    Examples
    --------
    >>> import tempfile, theatrum
    >>> from theatrum.refine.truncation import Truncation
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     theatrum.save(Truncation(2).fit([[1.0, 2.0, 3.0]]), folder + "/cut")
    ...     theatrum.open(folder + "/cut")
    Truncation(n_components=2)
    """
    if isinstance(thing, Pipeline):
        thing.save(path)
        return
    with fresh_folder(path) as folder:
        save_part(thing, folder)


def open(path: str | Path) -> Any:
    """Open what `save` wrote.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    Pipeline or part
        With the same parameters and fitted state.

    Raises
    ------
    FileNotFoundError
        Nothing of ours is there.
    ValueError
        Damaged, or written by a newer version.
    """
    return open_pipeline(path) if "pipeline" in read_config(path) else open_part(Path(path))
