"""A socket client for i-PI: numpy and the standard library, any function for the energies.

The protocol (i-PI 3.3, doi:10.1063/5.0215869) in one table. Headers are 12 bytes, padded with
spaces; numbers are native-endian int32 and float64 in atomic units.

    STATUS      answered by NEEDINIT, READY or HAVEDATA
    INIT        int32 replica, int32 length, text; the text may hold ``batch_size:B``
    POSDATA     cell (9), inverse cell (9), int32 N, positions (3N)
      batched   int32 N, B × [cell (9), inverse cell (9)], positions (B × 3N)
      shared    int32 N, and the first time 6 × [int32 length, name of a memory segment]
    GETFORCE    answered by FORCEREADY, potential (B), int32 N, forces (B × 3N), virials (B × 9),
                B × [int32 length, extras]; in shared memory by FORCEREADY and the extras
    EXIT        ends the client

The server may put POSDATA and GETFORCE into one packet, or a message into many, so everything is
read as one stream.
"""

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ..errors import QuorumError
from .ipi_shared_memory import SharedArrays

HEADER_BYTES = 12
DEFAULT_PREFIX = "/tmp/ipi_"
# how often a client looks for a server that is not there yet
_KNOCK_S = 0.1
_KNOCK_TIMEOUT_S = 5.0
# how long to look for a GETFORCE behind POSDATA: at first, and where the server sends both together
_FIRST_LOOK_S = 0.02
_LATER_LOOK_S = 1.0
_PACKET_BYTES = 1 << 16
# how long a client that is asked to leave waits for i-PI to take notice
_FAREWELL_S = 5.0
# what names of i-PI's memory segments begin with; no cell does
_SEGMENT_MARK = b"ipi_shm_"

# (B cells (3, 3) with vectors as columns, B positions (N, 3), in Bohr)
#   -> B × (energy, forces (N, 3), virial (3, 3), extras), atomic units
Evaluate = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], Sequence[Sequence[Any]]]


class ConnectionLost(Exception):
    """The server closed the connection, or it broke."""


class Stopped(Exception):
    """A signal asked this client to leave."""


class Interrupt:
    """A signal handler that lets an evaluation in progress be answered before the client leaves.

    Work in hand would have to be done again by another client, so a first signal waits for the
    answer; while idle, and for a second signal, `Stopped` is raised at once.
    """

    def __init__(self) -> None:
        self.busy = False
        self.signal: int | None = None

    def __call__(self, signum: int, frame: object) -> None:
        again = self.signal is not None
        self.signal = signum
        if again or not self.busy:
            raise Stopped


@dataclass(frozen=True)
class Address:
    """Where i-PI listens: the file of a UNIX socket, or a host and a port."""

    unix: str | None = None
    host: str = "localhost"
    port: int = 0

    def __str__(self) -> str:
        return self.unix if self.unix is not None else f"{self.host}:{self.port}"

    def open(self) -> socket.socket:
        """One attempt to connect; raises OSError."""
        if self.unix is None:
            connection = socket.create_connection((self.host, self.port), _KNOCK_TIMEOUT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(_KNOCK_TIMEOUT_S)
            try:
                connection.connect(self.unix)
            except OSError:
                connection.close()
                raise
        connection.settimeout(None)
        return connection


@dataclass
class Served:
    """What a client did: evaluations answered, seconds spent in them, and how it ended."""

    evaluations: int = 0
    structures: int = 0
    evaluation_s: float = 0.0
    ended: str = ""  # "exit", "lost" or "stopped"


def connect(address: Address, wait_s: float) -> socket.socket:
    """A connection to i-PI, for which it waits up to *wait_s* seconds.

    Raises `QuorumError` after that time, or at once where waiting cannot help.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return address.open()
        except (FileNotFoundError, ConnectionError, TimeoutError) as error:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise QuorumError(
                    f"no i-PI server at {address} after {wait_s:g} s ({error.strerror or error}); "
                    "start i-PI, compare the address with its <ffsocket>, or raise --wait"
                ) from error
            time.sleep(min(_KNOCK_S, left_s))
        except OSError as error:
            raise QuorumError(
                f"cannot connect to {address}: {error.strerror or error}; compare the address with "
                "i-PI's <ffsocket>"
            ) from error


def serve(
    evaluate: Evaluate,
    connection: socket.socket,
    interrupt: Interrupt | None = None,
    served: Served | None = None,
) -> Served:
    """Answer i-PI on *connection* until it says EXIT, goes away, or *interrupt* has a signal.

    Returns *served* (or a new one), with its counts advanced and `ended` set. Raises `QuorumError`
    for a message that is not i-PI's, and whatever *evaluate* raises.
    """
    session = _Session(evaluate, connection, interrupt or Interrupt(), served or Served())
    try:
        session.served.ended = session.run()
    except ConnectionLost:
        session.served.ended = "lost"
    except Stopped:
        session.served.ended = "stopped"
    finally:
        session.shared.close()
    if session.served.ended == "stopped":
        _say_farewell(connection)
    return session.served


def run_client(
    evaluate: Evaluate,
    address: Address,
    wait_s: float = 60.0,
    reconnect: str = "never",
    interrupt: Interrupt | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Served:
    """Connect, serve, and come back to a server that restarts if asked.

    *reconnect*: "never"; "lost": after a connection that broke without EXIT; "always": after EXIT
    too. Each time the server has *wait_s* seconds to appear; `QuorumError` if it does not, except
    after EXIT, which was a proper end.
    """
    served = Served()
    interrupt = interrupt or Interrupt()
    while True:
        try:
            connection = connect(address, wait_s)
        except Stopped:
            served.ended = "stopped"
            return served
        except QuorumError:
            if served.ended == "exit":
                return served
            raise
        with connection:
            log(f"connected to {address}")
            serve(evaluate, connection, interrupt, served)
        again = {"never": (), "lost": ("lost",), "always": ("lost", "exit")}[reconnect]
        if served.ended not in again:
            return served
        log(f"i-PI at {address} has gone; waiting up to {wait_s:g} s for it to come back")


class _Session:
    """One connection: what has been announced, and the result that waits to be fetched."""

    def __init__(
        self, evaluate: Evaluate, connection: socket.socket, interrupt: Interrupt, served: Served
    ) -> None:
        self.evaluate = evaluate
        self.connection = connection
        self.interrupt = interrupt
        self.served = served
        self.shared = SharedArrays()
        self.batch_size: int | None = None  # None: not initialised; 1: structures come singly
        self.answer: bytes | None = None
        self.unread = bytearray()
        self.fused: bool | None = None  # whether GETFORCE comes with POSDATA; None: not known yet

    def run(self) -> str:
        while True:
            header = self._read(HEADER_BYTES).rstrip()
            if header == b"STATUS":
                if self.batch_size is None:
                    self._send(_header("NEEDINIT"))
                else:
                    self._send(_header("READY" if self.answer is None else "HAVEDATA"))
            elif header == b"INIT":
                self._initialise()
            elif header == b"POSDATA":
                self.interrupt.busy = True
                self._evaluate()
            elif header == b"GETFORCE":
                if self.answer is None:
                    raise QuorumError("i-PI asked for forces before it sent positions")
                self._send(self.answer)
                self.answer = None
                self.interrupt.busy = False
                if self.interrupt.signal is not None:
                    return "stopped"
            elif header == b"EXIT":
                return "exit"
            else:
                _not_ipi(f"message {header!r}")

    def _initialise(self) -> None:
        _, length = np.frombuffer(self._read(8), np.int32)
        if not 0 <= length < 1 << 24:
            _not_ipi(f"an initialisation of {length} bytes")
        text = self._read(int(length)).decode(errors="replace")
        self.batch_size = 1
        for item in text.split(","):
            key, _, value = item.partition(":")
            if key.strip() == "batch_size" and value.strip().isdigit():
                self.batch_size = max(1, int(value))

    def _evaluate(self) -> None:
        batch = self.batch_size or 1
        cells, positions = self._structures(batch)
        self._look_ahead()
        # i-PI fills its last batch with copies of the last structure
        distinct = len(positions)
        while distinct > 1 and all(
            np.array_equal(a[distinct - 1], a[distinct - 2]) for a in (positions, cells)
        ):
            distinct -= 1
        start_s = time.perf_counter()
        results = list(self.evaluate(list(cells[:distinct]), list(positions[:distinct])))
        self.served.evaluation_s += time.perf_counter() - start_s
        self.served.evaluations += 1
        self.served.structures += distinct
        results += [results[-1]] * (batch - distinct)
        self.answer = self._pack(results, positions.shape[1])

    def _structures(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Cells (B, 3, 3) and positions (B, N, 3) from the stream or from shared memory."""
        if self.shared.attached:
            self.shared.check_atoms(self._atom_count(self._read(4)))
            return self.shared.structures()
        # the first 16 bytes of any form of POSDATA, by which they are told apart
        start = self._read(16)
        if start[8:16] == _SEGMENT_MARK:
            return self._attach(batch, start)
        if batch == 1:
            cell = np.frombuffer(start + self._read(144 - 16), np.float64)[:9].reshape(1, 3, 3)
            n_atoms = self._atom_count(self._read(4))
            positions = self._numbers(3 * n_atoms)
        else:
            n_atoms = self._atom_count(start[:4])
            rest = self._read(batch * 144 - 12)
            cell = np.frombuffer(start[4:] + rest, np.float64).reshape(batch, 2, 3, 3)[:, 0]
            positions = self._numbers(batch * 3 * n_atoms)
        return cell, positions.reshape(batch, n_atoms, 3)

    def _attach(self, batch: int, start: bytes) -> tuple[np.ndarray, np.ndarray]:
        n_atoms = self._atom_count(start[:4])
        names = []
        pending = start[4:]
        for _ in range(6):
            length = int(np.frombuffer((pending or self._read(4))[:4], np.int32)[0])
            if not 0 < length < 256:
                _not_ipi(f"a segment name of {length} bytes")
            pending = pending[4:]
            names.append((pending + self._read(length - len(pending))).decode())
            pending = b""
        self.shared.attach(names, batch, n_atoms)
        return self.shared.structures()

    def _pack(self, results: Sequence[Sequence[Any]], n_atoms: int) -> bytes:
        energies = np.array([r[0] for r in results], np.float64)
        forces = np.array([np.reshape(r[1], 3 * n_atoms) for r in results], np.float64)
        virials = np.array([np.reshape(r[2], (3, 3)) for r in results], np.float64)
        parts = [_header("FORCEREADY")]
        if self.shared.attached:
            self.shared.write(energies, forces, virials)
        else:
            parts += [energies.tobytes(), np.int32(n_atoms).tobytes()]
            parts += [forces.tobytes(), virials.tobytes()]
        for result in results:
            extras = str(result[3]).encode()
            parts += [np.int32(len(extras)).tobytes(), extras]
        return b"".join(parts)

    def _atom_count(self, data: bytes) -> int:
        count = int(np.frombuffer(data[:4], np.int32)[0])
        if not 0 < count < 1 << 28:
            _not_ipi(f"{count} atoms")
        return count

    def _numbers(self, count: int) -> np.ndarray:
        return np.frombuffer(self._read(8 * count), np.float64)

    def _look_ahead(self) -> None:
        """Take GETFORCE off the socket before the evaluation.

        If a process dies with unread data in its socket, the other side sees a connection that was
        reset, not one that was closed. i-PI 3.3 expects the latter only: its polling thread would
        end, and the run would hang, whatever its <timeout>.
        """
        if self.unread:
            self.fused = True
        if self.unread or self.fused is False:
            return
        self.connection.settimeout(_FIRST_LOOK_S if self.fused is None else _LATER_LOOK_S)
        try:
            self._receive()
            self.fused = True
        except TimeoutError:
            self.fused = False
        finally:
            self.connection.settimeout(None)

    def _read(self, count: int) -> bytes:
        while len(self.unread) < count:
            self._receive(count - len(self.unread))
        data = bytes(self.unread[:count])
        del self.unread[:count]
        return data

    def _receive(self, at_least: int = 0) -> None:
        try:
            data = self.connection.recv(max(at_least, _PACKET_BYTES))
        except TimeoutError:
            raise
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        if not data:
            raise ConnectionLost("closed by the server")
        self.unread += data

    def _send(self, data: bytes) -> None:
        try:
            self.connection.sendall(data)
        except OSError as error:
            raise ConnectionLost(str(error)) from error


def _say_farewell(connection: socket.socket) -> None:
    """Close our direction and read on until i-PI closes its own, or a time limit.

    To close at once while i-PI is sending would reset the connection, see `_Session._look_ahead`.
    """
    deadline = time.monotonic() + _FAREWELL_S
    try:
        connection.shutdown(socket.SHUT_WR)
        while (left_s := deadline - time.monotonic()) > 0:
            connection.settimeout(left_s)
            if not connection.recv(_PACKET_BYTES):
                return
    except (OSError, Stopped):
        return  # it has gone already, or the user is in a hurry


def _header(word: str) -> bytes:
    return word.ljust(HEADER_BYTES).encode()


def _not_ipi(what: str) -> NoReturn:
    raise QuorumError(
        f"the server sent {what}, which is not i-PI's protocol; check that i-PI 3.3 listens there"
    )
