"""The claims: each paper's statement as a function that measures it, the runner, and the ledger.

A claim lives beside its method: atlas entry 89 has the symbol ``theatrum.refine.whitening:ZipfianWhitening``, so its
claim is the function ``claim_089(scale)`` of ``theatrum.claims.refine.whitening``.
"""
