"""Where a model lies on disk, and a digest of what in its folder decides the vectors."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from theatrum.extras import require

# Read by the libraries when they load a model. Readmes and other exports of the same weights change no vector.
_DECIDING = (".json", ".safetensors", ".bin", ".txt", ".model", ".jinja")
_ASIDE = ("onnx", "openvino")
_NOT_FETCHED = ["onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack", "*.onnx", "pytorch_model*.bin"]


@lru_cache(maxsize=4096)
def _sha256(path: str, modified_ns: int, size: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """Digest one file, streamed; read again only when its time or size has changed.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        SHA-256 in hexadecimal.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "empty"
    ...     _ = path.write_bytes(b"")
    ...     file_digest(path)[:16]
    'e3b0c44298fc1c14'
    """
    state = path.stat()
    return _sha256(str(path.resolve()), state.st_mtime_ns, state.st_size)


def folder_digest(folder: Path) -> str:
    """Digest the files of a model folder that decide its vectors: weights, configuration, tokenizer.

    Parameters
    ----------
    folder : Path
        The model folder.

    Returns
    -------
    str
        SHA-256 in hexadecimal over names and contents; independent of where the folder lies.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") or part in _ASIDE for part in name.parts)
        if path.suffix in _DECIDING and path.is_file() and not hidden:
            digest.update(f"{name.as_posix()}\0{file_digest(path)}\n".encode())
    return digest.hexdigest()


def model_folder(model: str) -> Path:
    """Find the folder of a model: a path as it is, a name in the Hugging Face cache, or downloaded into it.

    Parameters
    ----------
    model : str
        Folder, or name such as ``"BAAI/bge-small-en-v1.5"``; a name without owner is one of sentence-transformers.

    Returns
    -------
    Path
        The folder. For a folder, or a name whose weights are in the cache, the network is not touched.

    Raises
    ------
    FileNotFoundError
        A path that is not there.
    ImportError
        The extra for transformers is missing.
    OSError
        A name that is neither in the cache nor can be downloaded.

    Examples
    --------
    >>> model_folder("./no/such/folder")
    Traceback (most recent call last):
    ...
    FileNotFoundError: the model folder './no/such/folder' does not exist
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise FileNotFoundError(f"the model folder {model!r} does not exist")
    hub = require("huggingface_hub", "torch")
    name = model if "/" in model else f"sentence-transformers/{model}"
    try:
        folder = Path(hub.snapshot_download(name, local_files_only=True))
        if any(folder.rglob("*.safetensors")):
            return folder
    except hub.errors.LocalEntryNotFoundError:
        pass  # not in the cache: fetch it
    try:
        return Path(hub.snapshot_download(name, ignore_patterns=_NOT_FETCHED))
    except (OSError, ValueError) as error:
        raise OSError(
            f"the model {model!r} is not a folder, is not in the Hugging Face cache and cannot be downloaded: {error}"
        ) from error
