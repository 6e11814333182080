"""The network and its arithmetic: channel configs, search spaces, MACs, params, weights."""
