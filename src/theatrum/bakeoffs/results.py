"""What a bake-off finds out, as plain data: the measurements, the judgement, and the whole result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

Questions: TypeAlias = Literal["judged", "titles", "sentences"]


@dataclass(frozen=True)
class Budget:
    """Limits that a recommended pipeline must keep; None is no limit.

    Parameters
    ----------
    bytes : float or None
        Bytes a vector that must be in memory to search.
    ms : float or None
        95th percentile of the time of one query, milliseconds, encoding included.
    """

    bytes: float | None = None
    ms: float | None = None

    def __str__(self) -> str:
        """Write the budget as it is typed."""
        limits = [("bytes", self.bytes), ("ms", self.ms)]
        return ",".join(f"{name}={limit:g}" for name, limit in limits if limit is not None) or "no limit"

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.bytes is not None or self.ms is not None


@dataclass(frozen=True)
class Measurement:
    """One pipeline, measured.

    Parameters
    ----------
    pipeline : str
        Its notation.
    dev, test : mapping of str to float
        nDCG@10 of every query of the dev half and of the test half.
    recall_at_100 : float
        Mean over test queries.
    memory_bytes : float
        Bytes a document that must be in memory to search.
    disk_bytes : float
        Bytes a document of the saved pipeline folder.
    documents_per_second : float
        Rate of encoding when the vectors were first made; NaN where all came from the store.
    build_seconds : float
        From vectors (or texts, for lexical retrievers) to an index that can be searched.
    queries_per_second, p95_ms : float
        One query at a time, encoding included.
    search_ms : float
        Median time of one query without its encoding.
    peak_memory : int
        Growth of the process in bytes while building and searching; -1 where it cannot be measured.
    dims : tuple of int, default=()
        Dimensions of the vectors that are compared, one an encoder; none for lexical retrievers.
    """

    pipeline: str
    dev: Mapping[str, float]
    test: Mapping[str, float]
    recall_at_100: float
    memory_bytes: float
    disk_bytes: float
    documents_per_second: float
    build_seconds: float
    queries_per_second: float
    p95_ms: float
    search_ms: float
    peak_memory: int
    dims: tuple[int, ...] = ()

    @property
    def dev_ndcg(self) -> float:
        """Mean nDCG@10 of the dev half."""
        return sum(self.dev.values()) / len(self.dev)

    @property
    def test_ndcg(self) -> float:
        """Mean nDCG@10 of the test half."""
        return sum(self.test.values()) / len(self.test)


@dataclass(frozen=True)
class EncoderReport:
    """What encoding the corpus with one encoder took.

    Parameters
    ----------
    encoder : str
        Its notation.
    dim : int
        Dimensions.
    encoded, cached : int
        Texts encoded in this run, and texts whose vectors were in the store.
    seconds : float
        Time in the encoder, fitting included.
    cut : int
        Documents longer than the encoder reads.
    max_tokens : int or None
        That limit.
    documents_per_second : float
        NaN where nothing was encoded.
    """

    encoder: str
    dim: int
    encoded: int
    cached: int
    seconds: float
    cut: int
    max_tokens: int | None
    documents_per_second: float


@dataclass(frozen=True)
class Verdict:
    """One pipeline against the recommended one, on the test half.

    Parameters
    ----------
    pipeline : str
        Its notation.
    difference : float
        Its mean nDCG@10 minus the recommended one's.
    p_adjusted : float
        Paired randomisation test, two-sided, Holm-corrected over the field.
    tied : bool
        No difference was shown (p at least 0.05).
    fits_budget : bool
        Whether it keeps the budget.
    on_front : bool
        Whether no other pipeline is at least as good in quality, memory and speed and better in one.
    """

    pipeline: str
    difference: float
    p_adjusted: float
    tied: bool
    fits_budget: bool
    on_front: bool


@dataclass(frozen=True)
class Smallest:
    """The fewest bytes in memory for which an encoder stays as good as it is.

    Parameters
    ----------
    encoder : str
        The pipeline of full precision.
    pipeline : str
        Chosen on the dev half among pipelines of this encoder that keep 99% of its nDCG@10 there.
    keeps : float
        Share of the encoder's nDCG@10 that it keeps on the test half.
    on_test : str
        The smallest pipeline of this encoder that keeps 99% on the test half. It was looked up there, not chosen on
        dev, so its share flatters it a little.
    on_test_keeps : float
        That share.
    """

    encoder: str
    pipeline: str
    keeps: float
    on_test: str
    on_test_keeps: float


@dataclass(frozen=True)
class Judgement:
    """Which pipeline to take, and why.

    Parameters
    ----------
    recommended : str
        Chosen on the dev half among those that keep the budget (the nearest to it if none does).
    budget_met : bool
        Whether any pipeline keeps the budget.
    reason : str
        Two sentences for the top of the report.
    smallest : sequence of Smallest
        For each encoder that takes part in full precision, the smallest pipeline of it that is as good.
    verdicts : sequence of Verdict
        The whole field in order of test nDCG@10.
    """

    recommended: str
    budget_met: bool
    reason: str
    smallest: Sequence[Smallest]
    verdicts: Sequence[Verdict]


@dataclass(frozen=True)
class BakeoffResult:
    """Everything that a bake-off found out; what the report shows.

    Parameters
    ----------
    name : str
        Of the collection.
    n_documents, n_dev, n_test : int
        Documents, and queries of each half.
    questions : {"judged", "titles", "sentences"}
        Where the queries come from; the last two are proxies.
    rejected : int
        Rows of the source that could not be used (listed in ``rejects.jsonl``).
    budget : Budget
        As asked for.
    measurements : sequence of Measurement
        The field, in the order of running.
    encoders : sequence of EncoderReport
        One an encoder.
    left_out : mapping of str to str
        Pipelines that could not take part, with the reason.
    judgement : Judgement
        The outcome.
    queries : mapping of str to str
        Texts of the test queries.
    seconds : float
        Whole run.
    out : Path or None
        Folder of ``report.html``, ``results.parquet`` and ``winner``.
    combinations : sequence of str
        What the judged answers ask of the field's dimensions, a paragraph each; empty where that is nothing special.
    """

    name: str
    n_documents: int
    n_dev: int
    n_test: int
    questions: Questions
    rejected: int
    budget: Budget
    measurements: Sequence[Measurement]
    encoders: Sequence[EncoderReport]
    left_out: Mapping[str, str]
    judgement: Judgement
    queries: Mapping[str, str] = field(repr=False)
    seconds: float = 0.0
    out: Path | None = None
    combinations: Sequence[str] = ()

    def measurement(self, pipeline: str) -> Measurement:
        """Return the measurement of one pipeline."""
        for one in self.measurements:
            if one.pipeline == pipeline:
                return one
        raise KeyError(pipeline)
