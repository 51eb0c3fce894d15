"""A pipeline: built from its notation, fitted on a corpus, searched, printed back, saved and opened."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from theatrum import registry
from theatrum.checks import check_parameters
from theatrum.contracts import Attributes, Encoder, Fusion, Ids, Retriever, Scores, Where
from theatrum.persistence import fresh_folder, open_part, read_config, save_part, write_config
from theatrum.pipelines.notation import Call, Chain, PipelineError, parse
from theatrum.pipelines.retrievers import DenseRetriever, FusedRetriever, VectorSource
from theatrum.pipelines.token_retrievers import ReducedEncoder, TokenRetriever

# What may follow what; a refiner may follow a refiner.
_ORDER: dict[str, int] = {
    "encoder": 0,
    "token encoder": 0,
    "token reducer": 1,
    "refiner": 2,
    "quantizer": 3,
    "index": 4,
    "reranker": 5,
}
# The notation's short word for scikit-learn's; taken where the class itself has no such parameter. A class can bring
# further ones as ``short_names``.
_ALIASES = {"dim": "n_components"}


class Pipeline:
    """Text search made of parts; keeps the Retriever contract.

    Made by `pipeline`; a saved one is opened by `open_pipeline`.

    Parameters
    ----------
    chain : Chain
        Its notation.
    retriever : Retriever
        The parts at work.
    """

    def __init__(self, chain: Chain, retriever: Retriever) -> None:
        self.chain = chain
        self.retriever = retriever

    def __str__(self) -> str:
        """Write the pipeline in its notation."""
        return str(self.chain)

    def __repr__(self) -> str:
        """Show the call that makes it."""
        return f"pipeline({str(self)!r})"

    def fit(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        attributes: Attributes | None = None,
        *,
        source: VectorSource | None = None,
    ) -> Pipeline:
        """Index a corpus.

        Parameters
        ----------
        ids : sequence of str
            Unique, non-empty.
        texts : sequence of str
            One text an id.
        attributes : mapping of str to sequence, optional
            Columns to filter on later.
        source : VectorSource, optional
            A cache of vectors in front of the encoders.

        Returns
        -------
        Pipeline
            Itself.
        """
        if isinstance(self.retriever, (DenseRetriever, FusedRetriever)):
            self.retriever.fit(ids, texts, attributes, source=source)
        else:
            self.retriever.fit(ids, texts, attributes)
        return self

    def search(
        self, queries: Sequence[str], k: int = 10, where: Where | None = None, *, source: VectorSource | None = None
    ) -> tuple[Ids, Scores]:
        """Find the best k documents for every query.

        Returns
        -------
        ids : ndarray of str, shape (q, k)
            Best first; ``""`` where a ranking ended early. k is cut to the size of the corpus.
        scores : ndarray of float32, shape (q, k)
            Larger is better; ``-inf`` where a ranking ended early.
        """
        if isinstance(self.retriever, (DenseRetriever, FusedRetriever)):
            return self.retriever.search(queries, k, where, source=source)
        return self.retriever.search(queries, k, where)

    def __len__(self) -> int:
        """Documents held."""
        return len(self.retriever)

    @property
    def memory_bytes(self) -> int:
        """Bytes that must be in memory to search, without ids and texts."""
        return self.retriever.memory_bytes

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoders inside, by their notation; those of token vectors that are kept for reranking are none."""
        return dict(_encoders(self.chain, self.retriever))

    def save(self, path: str | Path) -> None:
        """Write the fitted pipeline as a folder; an older one at the same path is replaced at the very end."""
        with fresh_folder(path) as folder:
            self.write(folder)

    def write(self, folder: Path) -> None:
        """Write into an existing, empty folder (for callers that add files of their own)."""
        _save(self.retriever, folder / "parts")
        write_config(folder, {"pipeline": str(self)})


def _encoders(chain: Chain, retriever: Retriever) -> list[tuple[str, Encoder]]:
    if isinstance(retriever, DenseRetriever):
        stages = 2 if isinstance(retriever.encoder, ReducedEncoder) else 1
        return [(str(Chain(chain.calls[:stages])), retriever.encoder)]
    if isinstance(retriever, FusedRetriever):
        members = [arg for arg in chain.calls[0].args if isinstance(arg, Chain)]
        return [pair for arg, member in zip(members, retriever.members, strict=True) for pair in _encoders(arg, member)]
    return []


def pipeline(text: str | Chain, *, encoders: dict[str, Encoder] | None = None) -> Pipeline:
    """Build a pipeline from its notation; nothing is loaded or fitted yet.

    Parameters
    ----------
    text : str or Chain
        Such as ``"minilm | pca(dim=128) | int8 | hnsw(ef=64)"``, ``"bm25"`` or ``"rrf(bm25, minilm)"``.
    encoders : dict of str to Encoder, optional
        Encoders made before, by their notation; those found here are shared, new ones are put in.

    Returns
    -------
    Pipeline
        Ready for ``fit``.

    Raises
    ------
    PipelineError
        With the column of an unknown name (and the nearest known one), a wrong argument or a part out of order.

    Examples
    --------
    >>> import theatrum
    >>> wings = theatrum.pipeline("bm25").fit(["a", "b"], ["swept wings in shock waves", "heat in thin plates"])
    >>> ids, scores = wings.search(["shock waves"], k=1)
    >>> ids.tolist()
    [['a']]
    """
    chain = parse(text) if isinstance(text, str) else text
    return Pipeline(chain, _Builder(text if isinstance(text, str) else str(chain), encoders).build(chain))


class _Builder:
    def __init__(self, text: str, encoders: dict[str, Encoder] | None) -> None:
        self.text = " ".join(text.splitlines())
        self.encoders: dict[str, Encoder] = {} if encoders is None else encoders

    def error(self, call: Call, reason: str) -> PipelineError:
        return PipelineError(self.text, call.column, reason)

    def build(self, chain: Chain) -> Retriever:
        entries = [self.look_up(call) for call in chain.calls]
        first, head = chain.calls[0], entries[0]
        if head.kind in ("retriever", "fusion"):
            if len(chain.calls) > 1:
                raise self.error(chain.calls[1], f"nothing can follow {first.name!r}: it makes rankings, not vectors")
            if head.kind == "fusion":
                return self.fuse(first, head)
            retriever: Retriever = self.make(first, head)
            return retriever
        if head.kind not in ("encoder", "token encoder"):
            raise self.error(
                first, f"a pipeline starts with an encoder or a retriever; {first.name!r} is a {head.kind}"
            )
        self.check_order(chain, entries)
        return self.connect(chain, entries)

    def look_up(self, call: Call) -> registry.Part:
        try:
            return registry.part(call.name)
        except ValueError as error:
            raise self.error(call, str(error)) from None

    def check_order(self, chain: Chain, entries: Sequence[registry.Part]) -> None:
        """Refuse stages out of order, and stages that cannot take what comes before them."""
        tokens = entries[0].kind == "token encoder"
        order = "token encoder | token reducer | refiner ... | quantizer | index | reranker"
        order = order if tokens else "encoder | refiner ... | quantizer | index"
        rank = -1
        for call, entry in zip(chain.calls, entries, strict=True):
            place = _ORDER.get(entry.kind, -1)
            said = f"{call.name!r} ({entry.kind})"
            if place < rank or (place == rank and entry.kind != "refiner"):
                raise self.error(call, f"{said} is out of order: {order}")
            if not tokens and entry.kind in ("token reducer", "reranker"):
                raise self.error(call, f"{said} takes token vectors, {chain.calls[0].name!r} makes one vector a text")
            if tokens and rank == 0 and entry.kind in ("refiner", "quantizer", "index"):
                raise self.error(call, f"{said} takes one vector a text; put a token reducer before it, such as fde")
            rank = place

    def connect(self, chain: Chain, entries: Sequence[registry.Part]) -> Retriever:
        stages: dict[str, list[Any]] = {kind: [] for kind in _ORDER}
        defaults: dict[str, Any] = {}
        for call, entry in zip(chain.calls, entries, strict=True):
            if entry.kind in ("encoder", "token encoder"):
                key = str(call)
                if key not in self.encoders:
                    self.encoders[key] = self.make(call, entry)
                stages[entry.kind].append(self.encoders[key])
            else:
                stages[entry.kind].append(self.make(call, entry, defaults if entry.kind == "index" else {}))
            if entry.kind == "token reducer":
                defaults = {"metric": stages[entry.kind][0].metric}

        def only(kind: str, otherwise: str = "", **settings: Any) -> Any:
            if stages[kind] or not otherwise:
                return next(iter(stages[kind]), None)
            return registry.part(otherwise).load()(**settings)

        tokens, reducer, reranker = only("token encoder"), only("token reducer"), only("reranker")
        if tokens is not None and reducer is None:
            return TokenRetriever(tokens, only("reranker", "maxsim"))
        encoder = only("encoder") if tokens is None else self.shared(chain, ReducedEncoder(tokens, reducer))
        index = only("index", "flat", **defaults)
        dense = DenseRetriever(encoder, stages["refiner"], only("quantizer"), index)
        return dense if reranker is None else TokenRetriever(tokens, reranker, dense)

    def shared(self, chain: Chain, encoder: ReducedEncoder) -> Encoder:
        """Return the encoder of the first two stages, the one made before if there is one."""
        return self.encoders.setdefault(str(Chain(chain.calls[:2])), encoder)

    def fuse(self, call: Call, entry: registry.Part) -> FusedRetriever:
        members = [arg for arg in call.args if isinstance(arg, Chain)]
        if len(members) < 2:
            raise self.error(call, f"{call.name!r} merges at least two pipelines: {call.name}(bm25, minilm | int8)")
        literals = tuple(arg for arg in call.args if not isinstance(arg, Chain))
        fusion: Fusion = self.make(Call(call.name, literals, call.kwargs, call.column), entry)
        return FusedRetriever(fusion, [self.build(member) for member in members])

    def make(self, call: Call, entry: registry.Part, defaults: Mapping[str, Any] | None = None) -> Any:
        """Import the class and call it, with errors that say where in the text and what would be right.

        ``defaults`` stand in for parameters that the class has and the text does not give.
        """
        try:
            cls = entry.load()
        except ImportError as error:
            raise ImportError(f"{call.name!r} cannot be used: {error}") from error
        if any(isinstance(arg, Chain) for arg in (*call.args, *dict(call.kwargs).values())):
            raise self.error(call, f"{call.name!r} takes literals, not names or pipelines; is a quote mark missing?")
        known = [name for name in inspect.signature(cls).parameters]
        kwargs = {name: value for name, value in (defaults or {}).items() if name in known}
        aliases = {**_ALIASES, **getattr(cls, "short_names", {})}
        for key, value in call.kwargs:
            name = key if key in known else aliases.get(key, key)
            if name not in known:
                near = difflib.get_close_matches(key, [*known, *aliases], n=1)
                hint = f"did you mean {near[0]!r}?" if near else "it takes " + (", ".join(known) or "none")
                raise self.error(call, f"{call.name!r} has no parameter {key!r}; {hint}")
            kwargs[name] = value
        try:
            part = cls(*call.args, **kwargs)
            check_parameters(part, getattr(cls, "constraints", {}))
        except (TypeError, ValueError) as error:
            raise self.error(call, f"{call.name!r}: {error}") from None
        return part


def _save(retriever: Retriever, folder: Path) -> None:
    folder.mkdir()
    if isinstance(retriever, FusedRetriever):
        save_part(retriever.fusion, _made(folder / "fusion"))
        for number, member in enumerate(retriever.members):
            _save(member, folder / f"member-{number}")
    elif isinstance(retriever, TokenRetriever):
        if retriever.dense is None:
            save_part(retriever.tokens, _made(folder / "encoder"))
        else:
            _save_dense(retriever.dense, folder)
        save_part(retriever.reranker, _made(folder / "reranker"))
    elif isinstance(retriever, DenseRetriever):
        _save_dense(retriever, folder)
    else:
        save_part(retriever, _made(folder / "retriever"))


def _save_dense(retriever: DenseRetriever, folder: Path) -> None:
    encoder: Any = retriever.encoder
    if isinstance(encoder, ReducedEncoder):
        save_part(encoder.reducer, _made(folder / "reducer"))
        encoder = encoder.tokens
    save_part(encoder, _made(folder / "encoder"))
    for number, refiner in enumerate(retriever.refiners):
        save_part(refiner, _made(folder / f"refiner-{number}"))
    if retriever.quantizer is not None:
        save_part(retriever.quantizer, _made(folder / "quantizer"))
    save_part(retriever.index, _made(folder / "index"))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _open(folder: Path) -> Retriever:
    if (folder / "fusion").is_dir():
        members = sorted(folder.glob("member-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        return FusedRetriever(open_part(folder / "fusion"), [_open(member) for member in members])
    if (folder / "encoder").is_dir():
        encoder = open_part(folder / "encoder")
        dense = _open_dense(encoder, folder) if (folder / "index").is_dir() else None
        if (folder / "reranker").is_dir():
            return TokenRetriever(encoder, open_part(folder / "reranker"), dense)
        if dense is not None:
            return dense
    if not (folder / "retriever").is_dir():
        raise ValueError(f"{folder} holds no fusion, retriever, or encoder with an index; the folder is incomplete")
    retriever: Retriever = open_part(folder / "retriever")
    return retriever


def _open_dense(encoder: Any, folder: Path) -> DenseRetriever:
    if (folder / "reducer").is_dir():
        encoder = ReducedEncoder(encoder, open_part(folder / "reducer"))
    refiners = sorted(folder.glob("refiner-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    quantizer = open_part(folder / "quantizer") if (folder / "quantizer").is_dir() else None
    index = open_part(folder / "index")
    if quantizer is not None:
        index.attach(quantizer)
    return DenseRetriever(encoder, [open_part(path) for path in refiners], quantizer, index)


def open_pipeline(path: str | Path) -> Pipeline:
    """Open a saved pipeline; results are bit-identical to those before saving.

    Parameters
    ----------
    path : str or Path
        A folder written by `Pipeline.save`, or the ``winner`` folder of a bake-off.

    Raises
    ------
    FileNotFoundError
        Not a saved pipeline.
    ValueError
        Damaged, written by a newer version, or its encoder is not the one that made the vectors.
    """
    config: Mapping[str, Any] = read_config(path)
    if not isinstance(config.get("pipeline"), str):
        raise ValueError(f"{path} is a saved part, not a pipeline; open it with theatrum.open")
    return Pipeline(parse(config["pipeline"]), _open(Path(path) / "parts"))
