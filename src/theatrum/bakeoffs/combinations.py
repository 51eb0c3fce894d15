"""Whether the judged answers combine documents in more ways than vectors of the field's dimensions can keep apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from theatrum.bakeoffs.questions import QuestionSet
from theatrum.bakeoffs.results import Measurement
from theatrum.evaluate import AnswerCombinations, answer_combinations
from theatrum.evaluate.embedding_capacity import DEFAULT_CURVE, PUBLISHED_CUBIC

# More different answers than documents. Collections of topics stay at half an answer a document and below, answers
# that overlap in a ring at one; all pairs of n documents are (n - 1) / 2.
_DENSE = 1.0


def combination_notes(questions: QuestionSet, ids: Sequence[str], field: Sequence[Measurement]) -> list[str]:
    """Say for every dimension in the field whether the corpus is inside its ceiling; nothing where nothing is at stake.

    Proxy questions, answers of single documents and answers that hardly overlap ask for no combinations, and are
    passed over in silence. The ceiling is that of vectors fitted to the answers themselves (all pairs of n documents,
    `DEFAULT_CURVE`), an extrapolation for the dimensions that people use. Patterns of pairs that were denser than the
    ceiling's could not be fitted in trials, and some sparser ones over more documents could not be either, so that
    only a corpus that is smaller than the ceiling is called inside.

    Parameters
    ----------
    questions : QuestionSet
        With judgements.
    ids : sequence of str
        Of the corpus; judged documents that are not in it do not count.
    field : sequence of Measurement
        The pipelines, with their dimensions.

    Returns
    -------
    list of str
        Paragraphs: what the answers ask for, one a dimension, what follows. Empty where there is nothing to say.
    """
    if questions.kind != "judged":
        return []
    dims: dict[int, list[str]] = {}
    for one in field:
        for dim in one.dims:
            dims.setdefault(dim, []).append(one.pipeline)
    known = set(ids)
    asked = answer_combinations(
        {
            query: {document: grade for document, grade in grades.items() if document in known}
            for query, grades in questions.qrels.items()
        }
    )
    if asked.density <= _DENSE or not dims:
        return []
    beyond = any(len(ids) > DEFAULT_CURVE.predict(dim) for dim in dims)
    longer = (
        f" The ceilings are for pairs, and these answers hold {asked.core_length:.1f} documents each: theirs are lower "
        "(in 8 dimensions all pairs of 29 documents were reached, but only all triples of 13)."
        if asked.core_length > 2
        else ""
    )
    return [
        f"The judged answers combine the same documents again and again: {asked.core_documents:,} documents make "
        f"{asked.core_answers:,} different answers, {asked.density:.1f} a document. One vector a document can keep "
        "only so many combinations apart. The ceilings below are those of vectors that were fitted to the answers "
        f"themselves, without any text to read (atlas 006).{longer}",
        *(_verdict(dim, dims[dim], len(ids), asked) for dim in sorted(dims)),
        _advice(beyond),
    ]


def _verdict(dim: int, pipelines: Sequence[str], n: int, asked: AnswerCombinations) -> str:
    others = f" and {len(pipelines) - 1} more" if len(pipelines) > 1 else ""
    ceiling, last = DEFAULT_CURVE.predict(dim), DEFAULT_CURVE.dims[-1]
    published = float(np.polynomial.polynomial.polyval(dim, PUBLISHED_CUBIC))
    source = (
        "measured"
        if dim <= last
        else f"extrapolated from at most {last} dimensions; the paper's own curve gives {_rounded(published)}"
    )
    start = f"{dim} dimensions (`{pipelines[0]}`{others})"
    holds = f"Fitted vectors hold every pair of about {_rounded(ceiling)} documents ({source}); the corpus has {n:,}."
    if n <= ceiling:
        return f"{start}: inside the ceiling. {holds}"
    share = f"{asked.density:.1f} answers a document against {(ceiling - 1) / 2:,.0f} at the ceiling"
    if asked.density > (ceiling - 1) / 2:
        return f"{start}: beyond the ceiling. {holds} The judged answers alone ask for more ({share})."
    return f"{start}: the corpus is beyond the ceiling. {holds} What was judged does not exhaust it yet ({share})."


def _advice(beyond: bool) -> str:
    remedies = "fuse vectors with BM25 (`rrf(bm25, ...)`) or keep several vectors a document"
    inside = (
        "Inside a ceiling means that such vectors exist, not that an encoder of texts makes them: on the test set of "
        "the same paper, far inside its ceiling, MiniLM put less than half as many answers first as BM25, and no more "
        "where the answers did not overlap (claim 006)."
    )
    if beyond:
        return (
            f"{inside} Beyond it, the paper's training did not fit even vectors that need no text: take more "
            f"dimensions, or {remedies}."
        )
    return f"{inside} Hold the dense pipelines against BM25 in the table; if they lose, {remedies}."


def _rounded(n: float) -> str:
    """Two digits: an extrapolation has no more."""
    return f"{float(f'{n:.2g}'):,.0f}"
