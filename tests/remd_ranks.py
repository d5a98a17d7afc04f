"""Which processes a launcher of MPI has started."""

import os


def ranks_of(launcher):
    """Process IDs of our Python under a launcher."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stream:
                    parent = int(stream.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found, todo = [], [launcher]
    while todo:
        for child in children.get(todo.pop(), []):
            todo.append(child)
            try:
                with open(f"/proc/{child}/cmdline") as stream:
                    if "quorum_md.cli" in stream.read().split("\0") and child != launcher:
                        found.append(child)
            except OSError:
                continue
    return [one for one in found if one not in children]
