"""The claim of row 032: its data, its baselines, and a smoke run."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from theatrum.claims.predict import frechet_mean as claim


def test_ten_domains_of_fifteen_intents():
    named = [name for domain in claim._DOMAINS.values() for name in domain.split()]
    assert len(claim._DOMAINS) == 10 and len(set(named)) == len(named) == 150
    assert all(len(domain.split()) == 15 for domain in claim._DOMAINS.values())
    told = claim.domain_tree()
    place = {name: code for code, name in enumerate(told.names)}
    D = told.distances
    assert len(place) == 161 and D.max() == 4
    assert D[place["apr"], place["new_card"]] == 2 and D[place["apr"], place["recipe"]] == 4
    assert D[place["apr"], place["credit cards"]] == 1


def test_digits_are_turned_and_never_shared():
    train, test = claim.rotated_digits(0, 100)
    assert train.shape == (37, 100, 64) and test.shape == (37, 1697, 64)
    upright = claim._DEGREES.index(0)
    assert not (set(map(bytes, train[upright])) & set(map(bytes, test[upright])))
    turned = train[-1].reshape(-1, 8, 8)  # 90 degrees
    assert np.allclose(np.rot90(train[upright].reshape(-1, 8, 8), -1, axes=(2, 1)), turned, atol=1e-9)


def test_selections_grow_from_one_start():
    tree = claim.random_tree(30, np.random.default_rng(1))
    assert nx.is_tree(tree)
    grown = claim.selections(tree, 30, np.random.default_rng(2))
    for sizes in grown.values():
        assert len(sizes) == 31 and (np.diff(sizes) >= 0).all() and sizes[-1] == 30
    assert grown["active"][0] == grown["random"][0]
    assert grown["active"].sum() >= grown["random"].sum()


def test_mammals_are_a_tree(monkeypatch):
    lines = ["child\tparent", "b\ta", "c\ta", "d\tb", "d\tc"]
    monkeypatch.setattr(claim, "load", lambda name: type("Rows", (), {"lines": {"mammals": lines}}))
    tree = claim.mammals()
    assert nx.is_tree(tree) and set(tree.edges) == {("a", "b"), ("a", "c"), ("b", "d")}


def test_the_smoke_run():
    outcome = claim.claim_032("smoke")
    assert len(outcome.inequalities) == 7
    exact = [one for one in outcome.inequalities if one.says.startswith(("linear programs", "random trees are"))]
    assert len(exact) == 2 and all(one.holds for one in exact)
    assert outcome.measurements["angles, 4 observed, logistic, argmax"]["hits on unseen"] == [0.0, 0.0]


def test_the_inequalities_of_the_card():
    found: claim.Found = {}
    for space in ("names", "tree"):
        for count in claim._OBSERVED_INTENTS:
            for rule, value in (("argmax", 1.0), ("mean", 0.9), ("mean, tuned temperature", 0.8)):
                for seed in range(5):
                    arm = f"intents, {space}, {count} observed, {rule}"
                    claim.keep(found, arm, squared_distance=value + 0.001 * seed)
    inequalities = claim._intent_inequalities(found)
    assert len(inequalities) == 14 and all(one.holds for one in inequalities)
    assert sum(one.margin == -0.005 for one in inequalities) == 6
    assert inequalities[0].mean == pytest.approx(0.1, rel=0.01)
