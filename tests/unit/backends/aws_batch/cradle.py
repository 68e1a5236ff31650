"""What a container starts instead of a small worker; see nursery.py. Only what starts at once."""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as nursery:
    nursery.connect(sys.argv[1])
    told = json.dumps({"env": dict(os.environ), "cwd": os.getcwd()}).encode()  # noqa: TID251  a container's
    socket.send_fds(nursery, [len(told).to_bytes(4, "big")], [1])
    nursery.sendall(told)
    code = nursery.recv(1)
sys.exit(code[0] if code else 1)
