from __future__ import annotations

import numpy as np
import pytest

from theatrum.serve.highlighting import (
    matched_spans,
    nearest_sentence,
    query_words,
    sentence_spans,
    sentence_texts,
    word_reason,
)


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("wing flow", "Wings and a wing; FLOW.", ["wing", "FLOW"]),
        ("Überschall", "Im Überschall.", ["Überschall"]),
        ("cafe\u0301", "the caf\u00e9 and the cafe\u0301", ["caf\u00e9", "cafe\u0301"]),
        ("空気", "空気の流れ", ["空", "気"]),
        ("1965", "In 1965, 19650.", ["1965"]),
        ("\U0001d412wing", "\U0001f642 wing", []),
        ("the of", "the wing of", ["the", "of"]),
        ("the wing", "the wing of", ["wing"]),
    ],
)
def test_words_are_found_where_they_stand(query, text, expected):
    assert [text[start:end] for start, end in matched_spans(text, query_words(query))] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "no." Then left.', ['He said "no."', "Then left."]),
        ("Line one\n\n  Line two ", ["Line one", "Line two"]),
        ("It is Y. pestis. It is approx. half.", ["It is Y. pestis.", "It is approx. half."]),
        ("It grew 3.5 times. Then no more", ["It grew 3.5 times.", "Then no more"]),
        ("空気。流れ。", ["空気。", "流れ。"]),
        ("a wing . the flow, approx. half . no 3.5 .", ["a wing .", "the flow, approx. half .", "no 3.5 ."]),
        ("", []),
        ("   ", []),
    ],
)
def test_texts_are_cut_into_sentences(text, expected):
    assert [text[start:end] for start, end in sentence_spans(text)] == expected


def test_very_long_texts_are_looked_at_in_part():
    assert len(sentence_texts("A plate bends. " * 500)) == 40
    assert len(sentence_texts("x" * 5000)[0]) == 1000


def test_by_words_the_sentence_with_most_of_them_is_taken():
    text = "A wing. A wing in a flow with heat. The flow."
    reason = word_reason("wing flow heat", "On flow", text)
    assert text[slice(*reason.sentence)] == "A wing in a flow with heat."
    assert reason.matched == ["flow", "heat", "wing"]
    assert reason.title_words == [(3, 7)]
    assert word_reason("orbit", "", text).sentence is None
    assert word_reason("orbit", "", "").text_words == []


def test_by_vectors_the_nearest_sentence_is_taken():
    text = "A wing. Hot plates. The flow."
    reason = word_reason("wing", "", text)
    vectors = np.array([[1, 0], [0, 1], [0.8, 0.6]], dtype=np.float32)
    found = nearest_sentence(reason, text, np.array([0, 1], dtype=np.float32), vectors)
    assert (text[slice(*found.sentence)], found.similarity) == ("Hot plates.", 1.0)
    assert found.text_words == reason.text_words
    assert nearest_sentence(reason, text, np.zeros(2, dtype=np.float32), vectors) == reason
