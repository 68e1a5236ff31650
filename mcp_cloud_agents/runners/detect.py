"""Interim."""
DETECTION_FILES=frozenset(); RUNNERS=frozenset({"pytest"})
class C: command="pytest"; runner="pytest"; problem=""
def choose(c,n,f): return C
def runner_named(n): ...
