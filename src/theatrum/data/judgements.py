"""Users' queries and relevance judgements."""

from __future__ import annotations

from pathlib import Path

from theatrum.data.corpus import read_corpus
from theatrum.data.rows import open_bytes


def read_queries(path: str | Path) -> dict[str, str]:
    """Read queries: any format of `read_corpus` with an id and a text; the column may also be called ``query``.

    Raises
    ------
    ValueError
        A row that cannot be used; queries are few and precious, so none is left out silently.
    """
    columns = [None, "query", "question"]
    for column in columns:
        reader = read_corpus(path, text_column=column)
        try:
            queries = {document.id: document.content for document in reader}
        except ValueError as error:
            if "column" in str(error) and column != columns[-1]:
                continue
            raise
        if reader.summary.rejected:
            reasons = ", ".join(f"{count} {reason}" for reason, count in reader.summary.reasons.items())
            raise ValueError(f"{path}: {reader.summary.rejected} queries cannot be used ({reasons}); mend them first")
        return queries
    raise AssertionError("the last column is tried without a way on")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Read judgements: query, document and grade, or TREC's four columns; tabs, commas or spaces between them.

    Parameters
    ----------
    path : str or Path
        A header is recognised by its last column not being a number.

    Returns
    -------
    dict of str to dict of str to int
        Query id -> document id -> grade.

    Raises
    ------
    ValueError
        A line with another number of columns, or a grade that is no whole number (with the line).
    """
    qrels: dict[str, dict[str, int]] = {}
    with open_bytes(str(path)) as file:
        for number, raw in enumerate(file, start=1):
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip("\r\n")
            if not line.strip():
                continue
            cells = line.split("\t") if "\t" in line else line.split(",") if "," in line else line.split()
            if len(cells) not in (3, 4):
                raise ValueError(f"{path}, line {number}: {len(cells)} columns; expected query, document and grade")
            try:
                grade = int(float(cells[-1]))
            except ValueError:
                if number == 1:
                    continue
                raise ValueError(f"{path}, line {number}: the grade {cells[-1]!r} is not a whole number") from None
            qrels.setdefault(cells[0], {})[cells[-2]] = grade
    if not qrels:
        raise ValueError(f"{path}: there are no judgements in it")
    return qrels
