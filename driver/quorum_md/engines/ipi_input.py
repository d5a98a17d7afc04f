"""The text of an i-PI input, and what i-PI raises on one that it cannot use."""

import os
import re
from pathlib import Path
from xml.sax import SAXException, SAXParseException

from ..errors import QuorumError

PES_FILE = Path(__file__).with_name("quorum_ipi_pes.py")
BIAS_FILE = Path(__file__).with_name("quorum_ipi_bias.py")

# what i-PI 3.3 raises on input that it cannot use
IPI_INPUT_ERRORS = (
    ValueError,
    KeyError,
    TypeError,
    NameError,
    IndexError,
    AttributeError,
    AssertionError,
    EOFError,
    OSError,
    RuntimeError,
    StopIteration,
    ZeroDivisionError,
    ImportError,
    SAXException,
)


def read_input(path: str) -> str:
    """The text of the input *path*, with the bare file names of drivers made full paths.

    ``<pes_path>quorum_ipi_pes.py</pes_path>`` (or ``quorum_ipi_bias.py``) stands for the driver of
    the package that runs, so that an input is not bound to one installation. Raises `QuorumError`
    if it cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ipi_error(path, error) from error

    def full(match: re.Match[str]) -> str:
        before, name, after = match.groups()
        ours = next(file for file in (BIAS_FILE, PES_FILE) if name.endswith(file.name))
        return match.group() if os.path.isfile(name) else f"{before}{ours}{after}"

    files = "|".join(re.escape(file.name) for file in (PES_FILE, BIAS_FILE))
    return re.sub(rf"(<pes_path>\s*)([^<]*(?:{files}))(\s*</pes_path>)", full, text)


def ipi_error(path: str, error: BaseException) -> QuorumError:
    """What i-PI says about its input, as one sentence."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, SAXParseException):
        reason = f"line {error.getLineNumber()}, {error.getMessage()}"
    if isinstance(error, KeyError):
        reason = f"{reason} is not known"
    return QuorumError(f"{path}: i-PI cannot use this input: {reason}")
