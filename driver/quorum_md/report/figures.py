"""What all figures share: a check before the work, colours, a file that is complete or not there.

Figures are made without pyplot: no display, no global state of the caller's matplotlib.
"""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import write_atomically
from ..errors import QuorumError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".pdf", ".svg")
# blue and orange differ for every kind of colour blindness, and in lightness on grey paper
BLUE, ORANGE, GREY, DARK = "#1f5f99", "#e69f00", "0.6", "0.25"
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": True,
    "legend.framealpha": 0.75,
    "legend.edgecolor": "none",
    "legend.fontsize": 7.5,
    "svg.hashsalt": "quorum",  # the same numbers, the same file
    "svg.fonttype": "none",
    "text.usetex": False,
    "axes.formatter.useoffset": False,
}


def check_figure_path(path: str | Path) -> None:
    """Before any work: is there a matplotlib, and can the file be written?

    Raises:
        QuorumError: no matplotlib, an unknown kind of file, no such folder.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise QuorumError(
            f"--plot: got {path}, expected a file name that ends in {', '.join(SUFFIXES)}"
        )
    if not target.resolve().parent.is_dir():
        raise QuorumError(f"--plot: the folder of {path} does not exist; make it, or give another")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise QuorumError(
            "--plot: figures need matplotlib, which is not installed; pip install 'quorum-md[plot]'"
        ) from error


def style() -> AbstractContextManager[Any]:
    """The look of all figures, while in this context."""
    from matplotlib import rc_context

    return rc_context(_STYLE)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format of its suffix, atomically and without a date."""
    kind = Path(path).suffix.lower().lstrip(".")
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    write_atomically(path, buffer.getvalue())
