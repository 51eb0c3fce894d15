"""Building, fitting, searching, saving and opening pipelines."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import theatrum
from theatrum.pipelines.notation import PipelineError

FIELD = [
    "bm25",
    "tfidf",
    "lsa(dim=16)",
    "lsa(dim=16) | int8 | hnsw(ef=64)",
    "lsa(dim=16) | pca(dim=8) | pq(m=4) | ivf",
    "lsa(dim=16) | zipf_whiten(dim=8) | binary | flat(rescore='int8')",
    "lsa(dim=16) | whiten | truncate(4)",
    "rrf(bm25, lsa(dim=16) | int8 | flat)",
    "rrf(rrf(bm25, tfidf), lsa(dim=16), k=30)",
]


@pytest.mark.parametrize("text", FIELD)
def test_search_finds_the_topic(text, corpus):
    ids, texts = corpus
    found, scores = theatrum.pipeline(text).fit(ids, texts).search(["supersonic shock waves at mach 3"], 5)
    assert found.shape == scores.shape == (1, 5)
    assert sum(name.startswith("shock") for name in found[0]) >= 3
    assert (np.diff(scores[0]) <= 0).all()


@pytest.mark.parametrize("text", FIELD)
def test_opened_pipeline_is_bit_identical_in_a_fresh_process(text, corpus, tmp_path):
    ids, texts = corpus
    built = theatrum.pipeline(text).fit(ids, texts)
    queries = ["buckling of thin shells", "heat flux", "unheard zzz"]
    found, scores = built.search(queries, 7)
    built.save(tmp_path / "saved")
    code = (
        "import sys, numpy as np, theatrum\n"
        f"p = theatrum.open({str(tmp_path / 'saved')!r})\n"
        f"ids, scores = p.search({queries!r}, 7)\n"
        f"assert str(p) == {str(built)!r}\n"
        f"np.savez({str(tmp_path / 'out.npz')!r}, ids=ids.astype('U'), scores=scores, memory=p.memory_bytes, n=len(p))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    opened = np.load(tmp_path / "out.npz")
    assert (opened["ids"] == found.astype("U")).all()
    assert opened["scores"].tobytes() == scores.tobytes()
    assert opened["memory"] == built.memory_bytes
    assert opened["n"] == len(built) == 300


def test_equal_notation_gives_equal_results(corpus):
    ids, texts = corpus
    one = theatrum.pipeline("lsa(dim=16)|pca(dim=8)").fit(ids, texts)
    two = theatrum.pipeline("lsa(16) | pca(n_components=8) | flat()").fit(ids, texts)
    assert (one.search(["heat"], 9)[0] == two.search(["heat"], 9)[0]).all()


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("lsa | zipf_whitten", 6, "did you mean 'zipf_whiten'"),
        ("lsa | pca(dimm=3)", 6, "no parameter 'dimm'; did you mean 'dim'"),
        ("lsa | pca(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)", 6, "'pca'"),
        ("lsa | int8 | pca(2)", 13, "out of order"),
        ("lsa | flat | int8", 13, "out of order"),
        ("lsa | flat | hnsw", 13, "out of order"),
        ("lsa | int8 | binary", 13, "out of order"),
        ("lsa | lsa", 6, "out of order"),
        ("lsa | bm25", 6, "out of order"),
        ("pca(2)", 0, "a pipeline starts with an encoder"),
        ("bm25 | int8", 7, "makes rankings"),
        ("rrf(bm25)", 0, "at least two"),
        ("rrf(bm25, lsa | int8 | pca(3))", 23, "out of order"),
        ("lsa | pca(dim=three)", 6, "quote mark"),
        ("lsa | flat(metric='dot')", 6, "metric must be"),
    ],
)
def test_building_mistakes_are_pointed_at(text, column, reason):
    with pytest.raises(PipelineError, match=reason) as caught:
        theatrum.pipeline(text)
    assert caught.value.column == column


def test_empty_corpus_single_row_and_large_k(corpus):
    with pytest.raises(ValueError, match="empty"):
        theatrum.pipeline("lsa").fit([], [])
    ids, texts = corpus
    one = theatrum.pipeline("bm25").fit(ids[:1], texts[:1])
    assert one.search([texts[0]], 50)[0].tolist() == [ids[:1]]


def test_bad_rows_are_named(corpus):
    ids, texts = corpus
    with pytest.raises(ValueError, match=r"'wing-0' .row 300. is there already"):
        theatrum.pipeline("lsa").fit([*ids, "wing-0"], [*texts, "again"])
    with pytest.raises(ValueError, match="row 1 is int, expected a text"):
        theatrum.pipeline("lsa").fit(["a", "b"], ["a", 3])
    built = theatrum.pipeline("lsa(dim=8)").fit(ids, texts)
    with pytest.raises(ValueError, match="got one text"):
        built.search("heat", 3)
    with pytest.raises(ValueError, match="k must be"):
        built.search(["heat"], 0)
    assert built.search([], 3)[0].shape == (0, 3)


def test_shared_encoders_are_made_once():
    encoders = {}
    one = theatrum.pipeline("lsa(dim=8) | int8", encoders=encoders)
    two = theatrum.pipeline("rrf(bm25, lsa(dim=8))", encoders=encoders)
    assert one.encoders["lsa(dim=8)"] is two.encoders["lsa(dim=8)"]


def test_filters_reach_every_member(corpus):
    ids, texts = corpus
    rows = {"case": list(range(300))}
    built = theatrum.pipeline("rrf(bm25, lsa(dim=16) | int8 | hnsw)").fit(ids, texts, rows)
    found, _ = built.search(["shock waves"], 10, where={"case": {"gte": 290}})
    assert {int(name.rpartition("-")[2]) for name in found[0] if name} == set(range(290, 300))


def test_saved_part_is_not_a_pipeline(tmp_path):
    from theatrum.pipelines.pipeline import open_pipeline
    from theatrum.refine.truncation import Truncation

    theatrum.save(Truncation(2).fit(np.eye(3)), tmp_path / "cut")
    with pytest.raises(ValueError, match=r"open it with theatrum\.open"):
        open_pipeline(tmp_path / "cut")


def test_a_folder_holds_no_pickle(corpus, tmp_path):
    ids, texts = corpus
    theatrum.pipeline(FIELD[-1]).fit(ids, texts).save(tmp_path / "saved")
    for path in (tmp_path / "saved").rglob("*"):
        assert path.is_dir() or (path.suffix != ".pkl" and not path.read_bytes().startswith(b"\x80\x04"))
