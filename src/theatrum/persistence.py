"""Saving and opening parts as folders: ``config.json`` and ``arrays.safetensors``, never pickle.

A folder names its part by the registered name, so opening one imports nothing that was not installed on purpose.
Every write goes to a temporary sibling that is renamed at the end: a reader sees the old folder or the new one.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from theatrum import registry
from theatrum.contracts import Stateful

FORMAT = 1
CONFIG = "config.json"
ARRAYS = "arrays.safetensors"
PARTS = "parts"  # folder of the parameters that are parts themselves
FITTED = "fitted.json"  # of parts that write their state by themselves
_STRINGS = "array of strings"  # safetensors holds numbers only
_SELF_SAVED = "self_saved_parameters"  # optional class attribute of stateful parts


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def fresh_folder(path: str | Path) -> Iterator[Path]:
    """Give a temporary folder that becomes ``path`` when the block ends well and vanishes when it does not.

    Parameters
    ----------
    path : str or Path
        The folder to make. A folder that is there already is replaced only if it has a ``config.json`` (one of
        ours) or is empty; anything else is refused, so that a slip of the keyboard loses nothing.

    Yields
    ------
    Path
        The temporary folder, beside the target.

    Raises
    ------
    FileExistsError
        The target holds something that this library did not write.
    """
    target = Path(path)
    check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.tmp"
    staging.mkdir()
    try:
        yield staging
        for entry in [*staging.rglob("*"), staging]:
            _fsync(entry)
        if target.exists():
            retired = staging.with_suffix(".old")
            target.rename(retired)
            staging.rename(target)
            shutil.rmtree(retired)
        else:
            staging.rename(target)
        _fsync(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def fresh_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path that becomes ``path`` when the block ends well and vanishes when it does not.

    Raises
    ------
    FileExistsError
        The target is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise FileExistsError(f"{target} is a folder; choose the path of a file")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        yield staging
        _fsync(staging)
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that never changes a second path; copied where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def check_replaceable(target: Path) -> None:
    """Refuse to write over a file, or over a folder that this library did not write."""
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / CONFIG).is_file())):
        raise FileExistsError(f"{target} exists and was not written by theatrum; choose another path or remove it")


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write ``config.json`` with the format number first."""
    content = {"format": FORMAT, **config}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=_listed)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def _listed(value: object) -> Any:
    """Arrays among parameters become lists; nothing else that JSON cannot hold is accepted."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain value")


def read_config(folder: str | Path) -> dict[str, Any]:
    """Read ``config.json`` and check that this version can open the folder.

    Raises
    ------
    FileNotFoundError
        No such folder, or no ``config.json`` in it.
    ValueError
        Broken JSON, or a format that is newer than this library.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a saved part: it has no {CONFIG}")
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); the folder was damaged or edited") from None
    version = config.get("format") if isinstance(config, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise ValueError(f"{path} has no format number; it was not written by theatrum")
    if version > FORMAT:
        raise ValueError(f"{path} has format {version}, this theatrum reads up to {FORMAT}; install a newer theatrum")
    return dict(config)


def parameters(part: object) -> dict[str, Any]:
    """Return the constructor parameters of a part that differ from their defaults, by name.

    Examples
    --------
    >>> class Cut:
    ...     def __init__(self, dim=8, *, axis=0):
    ...         self.dim, self.axis = dim, axis
    >>> parameters(Cut(dim=4))
    {'dim': 4}
    """
    signature = inspect.signature(type(part)).parameters
    values = {name: getattr(part, name) for name in signature}
    return {name: value for name, value in values.items() if not _same(value, signature[name].default)}


def _same(value: object, default: object) -> bool:
    return type(value) is type(default) and bool(np.array_equal(np.asarray(value), np.asarray(default)))


def _fitted(part: object, leave: Sequence[str] = ()) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Split fitted attributes (``name_``) into plain values and arrays."""
    values: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, value in vars(part).items():
        if name.endswith("_") and not name.startswith("_") and name not in leave:
            if isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
                values[name] = {_STRINGS: value.tolist()}
            elif isinstance(value, np.ndarray):
                arrays[name] = value
            elif isinstance(value, np.generic):
                values[name] = value.item()
            else:
                values[name] = value
    return values, arrays


def write_fitted(part: object, folder: Path, *, leave: Sequence[str] = ()) -> None:
    """Write fitted attributes, for parts that keep more than those; ``leave`` names what they write by themselves."""
    values, arrays = _fitted(part, leave)
    if arrays:
        save_arrays(arrays, folder / ARRAYS)
    (folder / FITTED).write_text(json.dumps(values, allow_nan=False, default=_listed) + "\n", encoding="utf-8")


def read_fitted(part: object, folder: Path) -> None:
    """Set the fitted attributes that `write_fitted` wrote."""
    path = folder / FITTED
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); the folder was damaged or edited") from None
    _set_fitted(part, values, folder, path)


def _set_fitted(part: object, values: dict[str, Any], folder: Path, origin: Path) -> None:
    arrays = load_arrays(folder / ARRAYS) if (folder / ARRAYS).is_file() else {}
    for name, value in {**values, **arrays}.items():
        # Only fitted state may be set from a file: a foreign config must not be able to replace a method.
        if not name.endswith("_") or name.startswith("_"):
            raise ValueError(f"{origin}: {name!r} is not a fitted attribute")
        is_strings = isinstance(value, dict) and set(value) == {_STRINGS}
        setattr(part, name, np.array(value[_STRINGS]) if is_strings else value)


def _is_part(value: object) -> bool:
    try:
        registry.name_of(value)
    except ValueError:
        return False
    return True


def save_part(part: object, folder: Path) -> None:
    """Write a part into an existing, empty folder; see `save` for the safe way to a final path."""
    # A part may write a parameter by itself, in `save_state`: an estimator of another library.
    given = {key: value for key, value in parameters(part).items() if key not in getattr(part, _SELF_SAVED, ())}
    # A parameter may be a part itself (an encoder, a wrapped predictor): it gets a folder of its own.
    inner = [name for name, value in given.items() if _is_part(value)]
    plain = {name: value for name, value in given.items() if name not in inner}
    config: dict[str, Any] = {"part": registry.name_of(part), "parameters": plain}
    if isinstance(part, Stateful):
        part.save_state(folder)
    else:
        config["fitted"], arrays = _fitted(part)
        if arrays:
            save_arrays(arrays, folder / ARRAYS)
    for name in inner:
        (folder / PARTS / name).mkdir(parents=True)
        save_part(given[name], folder / PARTS / name)
    if inner:
        config["parts"] = inner
    try:
        write_config(folder, config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{config['part']}: its parameters or fitted values cannot be kept as JSON: {error}") from None


def _part_names(config: dict[str, Any], folder: Path) -> list[str]:
    # Names of parameters become names of folders: a foreign config must not be able to point elsewhere.
    names: list[str] = config.get("parts", [])
    if any(not isinstance(name, str) or not name.isidentifier() for name in names):
        raise ValueError(f"{folder / CONFIG}: 'parts' must list names of parameters, got {names!r}")
    return names


def open_part(folder: Path) -> Any:
    """Make the part again from what `save_part` wrote."""
    config = read_config(folder)
    try:
        entry = registry.part(config["part"])
        inner = {name: open_part(folder / PARTS / name) for name in _part_names(config, folder)}
        part = entry.load()(**config["parameters"], **inner)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG}: the part cannot be made again: {error}") from None
    if isinstance(part, Stateful):
        part.open_state(folder)
        return part
    _set_fitted(part, config.get("fitted", {}), folder, folder / CONFIG)
    return part


def save_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write named arrays as safetensors."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read named arrays from safetensors.

    Raises
    ------
    ValueError
        The file is not safetensors or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays: dict[str, np.ndarray] = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file ({error}); it was damaged or cut short") from None
    return arrays


def save_table(table: Any, path: Path) -> None:
    """Write an Arrow table as an Arrow file."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def load_table(path: Path) -> Any:
    """Read an Arrow table, mapped into memory: its bytes are read when they are looked at.

    Raises
    ------
    ValueError
        The file is missing, not an Arrow file, or damaged.
    """
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path} is missing, damaged or cut short: {error}") from None
