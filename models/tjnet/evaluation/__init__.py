"""How far the network is off, and under what: scores, measures, stress test, report."""
