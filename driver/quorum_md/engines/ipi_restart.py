"""What this package adds to i-PI's inputs and checkpoints, as XML processing instructions.

``<?quorum-… …?>`` may stand anywhere in an input, and i-PI's parser passes over it: an input with
options of ours still runs with stock i-PI, and a RESTART holds our state beside i-PI's own, in one
file that cannot be parted from it.
"""

import json
import xml.sax
from collections.abc import Callable
from typing import Any
from xml.sax.handler import ContentHandler

from ipi.engine.outputs import CheckpointOutput, get_identification_info_xml
from ipi.utils.io import NumpyEncoder, open_backup

from ..atomic import write_atomically
from ..errors import QuorumError

PREFIX = "quorum-"


class OtherState(QuorumError):
    """A checkpoint whose state belongs to another input than the one that it stands in."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: [?{PREFIX}state] belongs to other swaps or exchanges: systems, numbers of "
            "atoms or pairs of elements differ from the input's; undo the change, or remove the "
            "line to start a new chain"
        )


class _Collector(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def processingInstruction(self, target: str, data: str) -> None:
        """What the parser calls; the name is its own."""
        if target.startswith(PREFIX):
            self.found.append((target.removeprefix(PREFIX), data))


def read_instructions(text: str) -> list[tuple[str, str]]:
    """Names, without ``quorum-``, and contents of our instructions in an input; none in JSON."""
    if not text.lstrip().startswith("<"):
        return []
    collector = _Collector()
    xml.sax.parseString(text.encode(), collector)
    return collector.found


def read_state(path: str, text: str, name: str) -> dict[str, Any] | None:
    """What `keep_state` wrote under *name*, or None; raises `QuorumError` if it is damaged."""
    for target, data in read_instructions(text):
        if target == name:
            try:
                return dict(json.loads(data))
            except (ValueError, TypeError) as error:
                raise QuorumError(
                    f"{path}: [?{PREFIX}{name}] is damaged ({error}); remove it to start anew, or "
                    "go back to an earlier checkpoint"
                ) from error
    return None


def instruction(name: str, content: str) -> str:
    """``<?quorum-name content?>``, one line; *content* is JSON or holds no ``?>``."""
    return f"<?{PREFIX}{name} {content}?>\n"


def keep_state(simulation: Any, name: str, collect: Callable[[], Any], more: str = "") -> None:
    """Let every checkpoint of a bound *simulation* hold ``collect()`` as JSON, and *more* as it is.

    It is collected when i-PI collects its own state. Checkpoints are then complete or not there:
    i-PI's own writing leaves half a file if it is killed.
    """
    for checkpoint in [simulation.chk, *simulation.outputs]:
        if type(checkpoint) is CheckpointOutput:
            _extend(checkpoint, name, collect, more)


def _extend(checkpoint: Any, name: str, collect: Callable[[], Any], more: str) -> None:
    status = checkpoint.status
    store_stock = status.store
    state = collect()

    def store(simulation: Any) -> None:
        nonlocal state
        store_stock(simulation)
        state = collect()

    def write(store: bool = True) -> None:
        # as in i-PI, but for the last lines
        if not checkpoint.active():
            return
        path = checkpoint.filename
        if not checkpoint.overwrite:
            path += f"_{checkpoint.step}"
        if store:
            checkpoint.step += 1
            checkpoint.store()
            status.step.store(checkpoint.simul.step + 1)
        if not (checkpoint.overwrite and checkpoint._continued):
            open_backup(path, "w").close()
        # "?>" would end the instruction
        text = json.dumps(state, cls=NumpyEncoder).replace(">", "\\u003e")
        write_atomically(
            path,
            f"{get_identification_info_xml()}\n{status.write(name='simulation')}"
            + more
            + instruction(name, text),
        )
        checkpoint._continued = True

    status.store = store
    checkpoint.write = write
