"""Which config: constraints, searchers, the Pareto front."""
