"""Searchers side by side: the same space, limits, frozen oracle and number of evaluations."""
