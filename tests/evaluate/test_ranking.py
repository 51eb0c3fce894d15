import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from theatrum.evaluate import (
    average_precision_at,
    hit_rate_at,
    judge,
    ndcg_at,
    precision_at,
    prepare_judgements,
    ranking_report,
    recall_at,
    reciprocal_rank_at,
)

TREC_NAMES = {
    "ndcg_cut": ndcg_at,
    "recall": recall_at,
    "P": precision_at,
    "map_cut": average_precision_at,
    "success": hit_rate_at,
}
CUTS = (1, 3, 10, 100)


def random_case(seed, n_queries=40, n_documents=60, depth=100):
    """Graded, zero and negative judgements; rankings of 0 to depth documents; some queries without relevant ones."""
    rng = np.random.default_rng(seed)
    documents = [f"d{i}" for i in range(n_documents)]
    qrels, ranked, queries = {}, np.full((n_queries, depth), "", dtype=object), []
    for row in range(n_queries):
        queries.append(f"q{row}")
        judged = rng.choice(documents, rng.integers(1, n_documents), replace=False)
        top = 1 if row % 7 == 0 else 4
        qrels[queries[-1]] = {str(d): int(g) for d, g in zip(judged, rng.integers(-1, top, len(judged)), strict=True)}
        found = rng.permutation(documents)[: rng.integers(0, min(n_documents, depth) + 1)]
        ranked[row, : len(found)] = [str(d) for d in found]
    return ranked, queries, qrels


def trec(ranked, queries, qrels, measures):
    """pytrec_eval's numbers; scores fall by rank, so that it keeps the order."""
    run = {
        query: {d: float(len(row) - rank) for rank, d in enumerate(row) if d}
        for query, row in zip(queries, ranked.tolist(), strict=True)
    }
    answers = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate({q: docs for q, docs in run.items() if docs})
    zero = dict.fromkeys(next(iter(answers.values())), 0.0)  # it leaves out queries whose ranking is empty
    return [answers.get(query, zero) for query in queries]


@pytest.mark.parametrize("seed", range(8))
def test_equals_trec_eval(seed):
    ranked, queries, qrels = random_case(seed)
    judged = judge(ranked, queries, qrels)
    cuts = ",".join(map(str, CUTS))
    expected = trec(ranked, queries, qrels, {f"{name}.{cuts}" for name in TREC_NAMES} | {"recip_rank"})
    for name, metric in TREC_NAMES.items():
        for k in CUTS:
            peer = [row[f"{name}_{k}"] for row in expected]
            np.testing.assert_allclose(metric(judged, k), peer, rtol=0, atol=1e-9, err_msg=f"{name}_{k}")
    np.testing.assert_allclose(
        reciprocal_rank_at(judged, 100), [row["recip_rank"] for row in expected], rtol=0, atol=1e-9
    )


@settings(max_examples=150, deadline=None)
@given(
    ranking=st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1),
    # pytrec_eval 0.5.11 crashes (segmentation fault) on a query whose judgements are all below -1.
    grades=st.dictionaries(st.sampled_from("abcdefghij"), st.integers(-1, 5), min_size=1),
    k=st.integers(1, 12),
)
def test_equals_trec_eval_on_any_small_case(ranking, grades, k):
    judged = judge([ranking], ["q"], {"q": grades})
    (expected,) = trec(np.array([ranking], dtype=object), ["q"], {"q": grades}, {f"{n}.{k}" for n in TREC_NAMES})
    for name, metric in TREC_NAMES.items():
        assert metric(judged, k)[0] == pytest.approx(expected[f"{name}_{k}"], abs=1e-9), name


def test_values_by_hand():
    qrels = {"q": {"a": 3, "b": 1, "c": 2, "n": 0, "m": -1}}
    judged = judge([["n", "a", "x", "b", "m"]], ["q"], qrels)
    found = 3 / np.log2(3) + 1 / np.log2(5)
    ideal = 3 + 2 / np.log2(3) + 1 / np.log2(4)
    assert ndcg_at(judged, 5)[0] == pytest.approx(found / ideal)
    assert recall_at(judged, 5)[0] == pytest.approx(2 / 3)
    assert precision_at(judged, 5)[0] == pytest.approx(2 / 5)
    assert reciprocal_rank_at(judged, 5)[0] == 0.5
    assert reciprocal_rank_at(judged, 1)[0] == 0
    assert average_precision_at(judged, 5)[0] == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert hit_rate_at(judged, 1)[0] == 0 and hit_rate_at(judged, 2)[0] == 1
    assert all(metric(judged, 5).dtype == np.float64 for metric in TREC_NAMES.values())


def test_ideal_ranking_scores_one():
    judged = judge([["a", "b", "c", ""]], ["q"], {"q": {"c": 1, "b": 2, "a": 3}})
    for metric in (ndcg_at, recall_at, average_precision_at, reciprocal_rank_at, hit_rate_at):
        assert metric(judged, 4)[0] == pytest.approx(1)


def test_query_without_relevant_documents_is_zero_and_left_out_of_means():
    judged = judge([["a"], ["a"], ["a"]], ["q1", "q2", "unknown"], {"q1": {"a": 1}, "q2": {"a": 0}})
    assert judged.has_relevant.tolist() == [True, False, False]
    assert ndcg_at(judged, 10).tolist() == [1.0, 0.0, 0.0]
    report = ranking_report(judged)
    assert (report.ndcg_at_10, report.recall_at_100, report.mrr_at_10, report.map_at_100) == (1, 1, 1, 1)
    assert report.n_queries == 1
    with pytest.raises(ValueError, match="no query has a relevant document"):
        ranking_report(judge([["a"]], ["q"], {}))
    assert ndcg_at(judge([["a"]], ["q"], {}), 10).tolist() == [0.0]


def test_prepared_judgements_give_the_same_as_judging_alone():
    ranked, queries, qrels = random_case(3)
    judgements = prepare_judgements(queries, qrels)
    for system in (ranked, ranked[:, ::-1]):
        np.testing.assert_array_equal(judgements.judge(system).gains, judge(system, queries, qrels).gains)


def test_arrays_of_fixed_width_strings_are_taken():
    ranked, queries, qrels = random_case(4)
    np.testing.assert_array_equal(judge(ranked.astype(str), queries, qrels).gains, judge(ranked, queries, qrels).gains)


def test_negative_grades_are_like_zero():
    ranked, queries, qrels = random_case(5)
    lower = {q: {d: g if g > 0 else -9 for d, g in grades.items()} for q, grades in qrels.items()}
    zero = {q: {d: max(g, 0) for d, g in grades.items()} for q, grades in qrels.items()}
    for metric in TREC_NAMES.values():
        a, b = (metric(judge(ranked, queries, one), 10) for one in (lower, zero))
        np.testing.assert_array_equal(a, b)


def test_a_gap_counts_as_a_rank():
    assert reciprocal_rank_at(judge([["", "", "a"]], ["q"], {"q": {"a": 1}}), 3)[0] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("ranked", "queries", "qrels", "message"),
    [
        ([["a", "b"], ["c", "c"]], ["q1", "q2"], {}, "query 'q2' has document 'c' a second time at rank 2"),
        ([["c", "", "", "c"]], ["q1"], {}, "query 'q1' has document 'c' a second time at rank 4"),
        ([["a"], ["b"]], ["q1"], {}, "2 rankings for 1 queries"),
        ([["a"], ["b"]], ["q", "q"], {}, r"'q' \(row 1\) is there already"),
        ([], [], {}, "no queries"),
        ([["a", "b"], ["c"]], ["q1", "q2"], {}, "pad short rankings"),
        (["a", "b"], ["q1", "q2"], {}, "pad short rankings"),
        ([[]], ["q1"], {}, "expected a matrix of ids"),
        ([["a"], [7]], ["q1", "q2"], {}, "row 1 holds 7, not a string"),
        (np.array([[1, 2]]), ["q1"], {}, "not a string"),
        ([["a"]], ["q"], {"q": {"a": "1"}}, "query 'q', document 'a': the grade must be a finite number, got '1'"),
        ([["a"]], ["q"], {"q": {"a": float("nan")}}, "finite number"),
        ([["a"]], ["q"], {"q": {"": 1}}, "empty id"),
    ],
)
def test_bad_input_is_refused(ranked, queries, qrels, message):
    with pytest.raises(ValueError, match=message):
        judge(ranked, queries, qrels)


def test_k_below_one_is_refused():
    judged = judge([["a"]], ["q"], {"q": {"a": 1}})
    for metric in (*TREC_NAMES.values(), reciprocal_rank_at):
        with pytest.raises(ValueError, match="k must be at least 1"):
            metric(judged, 0)
