"""Interim."""
from mcp_cloud_agents.domain.result import *
def explain(head, code, command):
    if code==127: return Cause(kind=CauseKind.COMMAND_NOT_FOUND,message="not found",hint="x",excerpt=tuple(head.splitlines()[:20]))
