"""Interim."""
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
def drivers():
    return (Bubblewrap(),)
def choose(required, candidates):
    return candidates[0], candidates[0].probe()
def best(required, candidates):
    return candidates[0].probe()
