"""Every claim holds of the gates, and not of the same gates with a fault in them."""

import os

import pytest

from .catalogue import PAGE, PROOFS, QUICK, written
from .sby import check


def name(proof):
    return proof.subject


def holds(proof, folder):
    outcome = check(proof.build(), folder, mode=proof.method, depth=proof.depth)
    assert outcome.status == "PASS", outcome.log[-2000:]


def fails(proof, folder, monkeypatch):
    proof.fault(monkeypatch)
    spec = proof.build()
    spec.helped = False
    # induction that does not go through would be no counterexample
    mode, depth = ("bmc", proof.reach) if proof.method == "prove" else (proof.method, proof.depth)
    outcome = check(spec, folder, mode=mode, depth=depth)
    assert outcome.status == "FAIL", outcome.log[-2000:]


@pytest.mark.formal
@pytest.mark.parametrize("proof", PROOFS, ids=name)
def test_holds(proof, tmp_path):
    holds(proof, tmp_path)


@pytest.mark.formal
@pytest.mark.parametrize("proof", PROOFS, ids=name)
def test_a_fault_is_found(proof, tmp_path, monkeypatch):
    fails(proof, tmp_path, monkeypatch)


@pytest.mark.parametrize("proof", QUICK, ids=name)
def test_quick_ones_hold(proof, tmp_path):
    holds(proof, tmp_path)


@pytest.mark.parametrize("proof", QUICK, ids=name)
def test_a_fault_of_quick_ones_is_found(proof, tmp_path, monkeypatch):
    fails(proof, tmp_path, monkeypatch)


def test_names_are_different():
    assert len({proof.subject for proof in PROOFS}) == len(PROOFS)


def test_the_page_lists_every_proof():
    page = PAGE.read_text(encoding="utf-8")
    current = written(page)
    if os.environ.get("WRITE_PROOFS"):
        PAGE.write_text(current, encoding="utf-8")
    assert page == current, "docs/proofs.md: run this test once with WRITE_PROOFS=1"
