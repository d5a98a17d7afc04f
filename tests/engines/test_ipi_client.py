"""The socket client against a server that is a list of bytes: no i-PI, no model, no threads.

The client only reacts, so a test writes everything that the server will say, lets the client serve,
and reads what it answered.
"""

import signal
import socket
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

from quorum_md.engines import ipi_client
from quorum_md.engines.ipi_client import Address, Interrupt, Served, connect, run_client, serve
from quorum_md.errors import QuorumError

N = 3
CELL = np.array([[9.0, 1.0, 2.0], [0.0, 8.0, 3.0], [0.0, 0.0, 7.0]])


def message(word):
    return word.ljust(12).encode()


def init(text=""):
    return message("INIT") + np.array([7, len(text)], np.int32).tobytes() + text.encode()


def posdata(positions):
    return (
        message("POSDATA")
        + CELL.tobytes()
        + np.linalg.inv(CELL).tobytes()
        + np.int32(len(positions)).tobytes()
        + positions.tobytes()
    )


def batched_posdata(batch):
    return (
        message("POSDATA")
        + np.int32(batch.shape[1]).tobytes()
        + (CELL.tobytes() + np.linalg.inv(CELL).tobytes()) * len(batch)
        + batch.tobytes()
    )


class Recorder:
    """An energy function with a simple law: E = Σx, F = 2x, W = cell / 2."""

    def __init__(self, extras='{"å": 1}'):
        self.calls = []
        self.extras = extras

    def __call__(self, cells, positions):
        self.calls.append((np.array(cells), np.array(positions)))
        return [
            (x.sum(), 2 * x, cell / 2, self.extras)
            for cell, x in zip(cells, positions, strict=True)
        ]


class Wire:
    """The client's end of a conversation: bytes to read, in pieces of *chunk*; answers recorded."""

    def __init__(self, *messages, chunk=1 << 20):
        self.inbox = b"".join(messages)
        self.outbox = b""
        self.chunk = chunk
        self.half_closed = False

    def recv(self, count):
        piece = self.inbox[: min(self.chunk, count)]
        self.inbox = self.inbox[len(piece) :]
        return piece

    def settimeout(self, seconds):
        pass

    def shutdown(self, how):
        assert how == socket.SHUT_WR
        self.half_closed = True

    def sendall(self, data):
        self.outbox += data

    def take(self, count):
        taken, self.outbox = self.outbox[:count], self.outbox[count:]
        assert len(taken) == count
        return taken

    def numbers(self, dtype, count):
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)

    def word(self):
        return self.take(12).decode().strip()


@pytest.fixture
def positions():
    return np.random.default_rng(0).normal(size=(N, 3))


def read_reply(wire, n_batch=1):
    assert wire.word() == "FORCEREADY"
    energies = wire.numbers(np.float64, n_batch)
    assert wire.numbers(np.int32, 1) == N
    forces = wire.numbers(np.float64, n_batch * 3 * N).reshape(n_batch, N, 3)
    virials = wire.numbers(np.float64, n_batch * 9).reshape(n_batch, 3, 3)
    extras = [wire.take(wire.numbers(np.int32, 1)[0]).decode() for _ in range(n_batch)]
    return energies, forces, virials, extras


@pytest.mark.parametrize("chunk", [1, 5, 1 << 20], ids=["bytewise", "pieces", "at once"])
def test_conversation(positions, chunk):
    status = message("STATUS")
    wire = Wire(
        *(status, init(), status, posdata(positions), status, message("GETFORCE"), status),
        *(posdata(2 * positions) + message("GETFORCE"), message("EXIT")),
        chunk=chunk,
    )
    evaluate = Recorder()
    served = serve(evaluate, wire)
    assert [wire.word() for _ in range(3)] == ["NEEDINIT", "READY", "HAVEDATA"]
    energies, forces, virials, extras = read_reply(wire)
    assert energies[0] == positions.sum()
    np.testing.assert_array_equal(forces[0], 2 * positions)
    np.testing.assert_array_equal(virials[0], CELL / 2)
    assert extras == ['{"å": 1}']
    assert wire.word() == "READY"
    np.testing.assert_array_equal(read_reply(wire)[1][0], 4 * positions)
    assert wire.outbox == b""
    assert (served.ended, served.evaluations, served.structures) == ("exit", 2, 2)
    np.testing.assert_array_equal(evaluate.calls[0][0][0], CELL)


@pytest.mark.parametrize("chunk", [1, 1 << 20], ids=["bytewise", "at once"])
def test_batch_with_padding(chunk):
    batch = np.random.default_rng(1).normal(size=(4, N, 3))
    batch[3] = batch[2]  # i-PI fills up with copies of the last
    wire = Wire(
        init(" k : v , , batch_size:4"),
        batched_posdata(batch) + message("GETFORCE"),
        message("EXIT"),
        chunk=chunk,
    )
    evaluate = Recorder()
    served = serve(evaluate, wire)
    energies, forces, virials, extras = read_reply(wire, 4)
    np.testing.assert_array_equal(energies, [x.sum() for x in batch])
    np.testing.assert_array_equal(forces, 2 * batch)
    np.testing.assert_array_equal(virials, [CELL / 2] * 4)
    assert len(extras) == 4
    assert [len(call[1]) for call in evaluate.calls] == [3], "a copy is not computed again"
    assert (served.evaluations, served.structures) == (1, 3)


@pytest.mark.parametrize("n_batch", [1, 2])
def test_shared_memory(n_batch):
    batch = np.random.default_rng(2).normal(size=(n_batch, N, 3))
    shapes = {"pos": (3 * N,), "h": (9,), "ih": (9,), "pot": (1,), "force": (3 * N,), "vir": (9,)}
    segments = {}
    try:
        for kind, shape in shapes.items():
            size = 8 * n_batch * int(np.prod(shape))
            segments[kind] = SharedMemory(f"ipi_shm_test_{n_batch}_{kind}", True, size)
        views = {
            kind: np.ndarray((n_batch, *shape), np.float64, segments[kind].buf)
            for kind, shape in shapes.items()
        }
        views["pos"][:] = batch.reshape(n_batch, -1)
        views["h"][:] = CELL.ravel()
        names = b"".join(
            np.int32(len(s.name)).tobytes() + s.name.encode() for s in segments.values()
        )
        first = message("POSDATA") + np.int32(N).tobytes() + names + message("GETFORCE")
        later = message("POSDATA") + np.int32(N).tobytes() + message("GETFORCE")
        text = f"batch_size:{n_batch}" if n_batch > 1 else ""
        wire = Wire(init(text), first, later, message("EXIT"), chunk=3)
        served = serve(Recorder(), wire)
        for _ in range(2):
            assert wire.word() == "FORCEREADY"
            for _ in range(n_batch):
                assert wire.take(wire.numbers(np.int32, 1)[0]).decode() == '{"å": 1}'
        assert wire.outbox == b"" and served.ended == "exit"
        np.testing.assert_array_equal(views["force"].reshape(batch.shape), 2 * batch)
        np.testing.assert_array_equal(views["pot"][:, 0], [x.sum() for x in batch])
        np.testing.assert_array_equal(views["vir"], [CELL.ravel() / 2] * n_batch)
        del views
    finally:
        for segment in segments.values():
            segment.close()
            segment.unlink()


class Slow(Wire):
    """Messages that come one by one, and only when somebody waits for them without limit."""

    def __init__(self, *messages):
        super().__init__()
        self.messages = list(messages)
        self.limits = []
        self.limit = None

    def settimeout(self, seconds):
        self.limit = seconds
        if seconds is not None:
            self.limits.append(seconds)

    def recv(self, count):
        if self.limit is not None:
            raise TimeoutError
        self.inbox = self.inbox or (self.messages.pop(0) if self.messages else b"")
        return super().recv(count)


def test_a_server_that_asks_later(positions):
    """Without a GETFORCE behind POSDATA the client looks for one only once."""
    ask = [message("STATUS"), message("GETFORCE")]
    wire = Slow(init(), posdata(positions), *ask, posdata(positions), *ask, message("EXIT"))
    assert serve(Recorder(), wire).ended == "exit"
    for _ in range(2):
        assert wire.word() == "HAVEDATA"
        assert read_reply(wire)[0][0] == positions.sum()
    assert len(wire.limits) == 1 and wire.limits[0] < 0.1


def test_nothing_is_left_unread_while_computing(positions):
    """A client killed then closes its connection properly, which i-PI survives."""

    def evaluate(cells, batch):
        assert not wire.inbox
        return Recorder()(cells, batch)

    wire = Wire(init())
    wire.inbox += posdata(positions) + message("GETFORCE")
    assert serve(evaluate, wire).evaluations == 1


def test_shared_memory_of_another_machine():
    names = b"".join(np.int32(11).tobytes() + b"ipi_shm_not" for _ in range(6))
    wire = Wire(init(), message("POSDATA"), np.int32(N).tobytes() + names)
    with pytest.raises(QuorumError, match="one machine; use mode='unix'"):
        serve(Recorder(), wire)


@pytest.mark.parametrize("cut", [0, 5, 12, 100, 230])
def test_server_that_goes_away(positions, cut):
    served = serve(Recorder(), Wire(init(), posdata(positions)[:cut]))
    assert served.ended == "lost"


def test_server_that_goes_away_during_the_evaluation(positions):
    class Broken(Wire):
        def sendall(self, data):
            raise BrokenPipeError

    wire = Broken(init(), posdata(positions), message("GETFORCE"))
    assert serve(Recorder(), wire).ended == "lost"


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([b"GET / HTTP/1.1\r\n"], "not i-PI's protocol"),
        ([init(), message("GETFORCE")], "before it sent positions"),
        ([message("POSDATA"), CELL.tobytes() * 2, np.int32(-4).tobytes()], "-4 atoms"),
        ([message("INIT"), np.array([1, -1], np.int32).tobytes()], "initialisation of -1 bytes"),
    ],
)
def test_what_is_not_the_protocol(messages, words):
    with pytest.raises(QuorumError, match=words):
        serve(Recorder(), Wire(*messages))


def test_a_signal_while_computing_waits_for_the_answer(positions):
    interrupt = Interrupt()

    def evaluate(cells, batch):
        interrupt(signal.SIGTERM, None)
        return Recorder()(cells, batch)

    wire = Wire(init(), posdata(positions), message("GETFORCE"), posdata(positions))
    served = serve(evaluate, wire, interrupt)
    assert served.ended == "stopped" and interrupt.signal == signal.SIGTERM
    assert read_reply(wire)[0][0] == positions.sum()
    assert wire.outbox == b"" and served.evaluations == 1


def test_a_signal_while_idle_stops_at_once():
    interrupt = Interrupt()

    class Idle(Wire):
        def recv(self, count):
            if not self.inbox:
                interrupt(signal.SIGINT, None)
            return super().recv(count)

    wire = Idle(init())
    assert serve(Recorder(), wire, interrupt).ended == "stopped"
    assert wire.half_closed


def test_what_arrives_during_a_farewell_is_read(positions):
    """Closing with unread data would reset the connection, which i-PI does not survive."""
    interrupt = Interrupt()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(init() + posdata(positions) + message("GETFORCE"))

        def evaluate(cells, batch):
            interrupt(signal.SIGTERM, None)
            theirs.sendall(message("STATUS") + posdata(positions))
            theirs.shutdown(socket.SHUT_WR)
            return Recorder()(cells, batch)

        assert serve(evaluate, ours, interrupt).ended == "stopped"
        ours.close()
        received = b""
        while piece := theirs.recv(1 << 16):  # to the end, without a reset
            received += piece
        assert received.startswith(message("FORCEREADY"))


def test_a_second_signal_does_not_wait(positions):
    interrupt = Interrupt()

    def evaluate(cells, batch):
        interrupt(signal.SIGTERM, None)
        interrupt(signal.SIGTERM, None)
        raise AssertionError("not reached")

    wire = Wire(init(), posdata(positions), message("GETFORCE"))
    assert serve(evaluate, wire, interrupt).ended == "stopped"
    assert wire.outbox == b""


class Clock:
    """Time that passes only while somebody sleeps, and a plan of what happens then."""

    def __init__(self, *events):
        self.now = 0.0
        self.events = list(events)  # (time, function)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        while self.events and self.events[0][0] <= self.now:
            self.events.pop(0)[1]()

    def perf_counter(self):
        return self.now


@pytest.fixture
def listener(tmp_path):
    """A function that opens a listening UNIX socket and returns it; all are closed at the end."""
    made = []

    def make():
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(tmp_path / "ipi_x"))
        server.listen()
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()


@pytest.mark.parametrize("address", [Address(unix="/nowhere/ipi_x"), Address(port=1)])
def test_no_server_in_time(monkeypatch, address):
    clock = Clock()
    monkeypatch.setattr(ipi_client, "time", clock)
    with pytest.raises(QuorumError, match=f"no i-PI server at {address} after 3 s .*--wait"):
        connect(address, 3.0)
    assert clock.now == pytest.approx(3.0)


def test_address_that_cannot_be():
    with pytest.raises(QuorumError, match="cannot connect to .*no-such-host.invalid"):
        connect(Address(host="no-such-host.invalid", port=4), 3.0)
    with pytest.raises(QuorumError, match="cannot connect to"):
        connect(Address(unix="/tmp/" + "x" * 300), 3.0)


def test_server_that_comes_late(monkeypatch, tmp_path, listener):
    clock = Clock((2.0, listener))
    monkeypatch.setattr(ipi_client, "time", clock)
    connect(Address(unix=str(tmp_path / "ipi_x")), 3.0).close()
    assert clock.now == pytest.approx(2.0, abs=0.2)


def test_inet():
    with socket.create_server(("localhost", 0)) as server:
        connection = connect(Address(host="localhost", port=server.getsockname()[1]), 1.0)
        accepted, _ = server.accept()
        with connection, accepted:
            accepted.sendall(init() + message("EXIT"))
            assert serve(Recorder(), connection).ended == "exit"


class Servers:
    """Each connection of the client is answered by the next of some prepared conversations."""

    def __init__(self, monkeypatch, *conversations):
        self.conversations = list(conversations)
        self.theirs = []
        monkeypatch.setattr(ipi_client, "connect", self.connect)

    def connect(self, address, wait_s):
        if not self.conversations:
            raise QuorumError("no i-PI server")
        ours, theirs = socket.socketpair()
        theirs.sendall(self.conversations.pop(0))
        theirs.shutdown(socket.SHUT_WR)
        self.theirs.append(theirs)
        return ours

    @property
    def connections(self):
        return len(self.theirs)

    def close(self):
        for theirs in self.theirs:
            theirs.close()


CRASH, END = init(), init() + message("EXIT")


@pytest.mark.parametrize(
    ("reconnect", "conversations", "connections", "ended"),
    [
        ("never", [CRASH, END], 1, "lost"),
        ("never", [END, END], 1, "exit"),
        ("lost", [CRASH, CRASH, END, END], 3, "exit"),
        ("always", [END, CRASH, END], 3, "exit"),
    ],
)
def test_reconnect(monkeypatch, reconnect, conversations, connections, ended):
    servers = Servers(monkeypatch, *conversations)
    served = run_client(Recorder(), Address(unix="x"), 1.0, reconnect)
    assert (servers.connections, served.ended) == (connections, ended)
    servers.close()


def test_server_that_does_not_come_back(monkeypatch):
    servers = Servers(monkeypatch, CRASH)
    with pytest.raises(QuorumError, match="no i-PI server"):
        run_client(Recorder(), Address(unix="x"), 1.0, "lost")
    servers.close()


def test_counts_go_on_over_a_restart(monkeypatch, positions):
    one = init() + posdata(positions) + message("GETFORCE")
    servers = Servers(monkeypatch, one, one + message("EXIT"))
    served = run_client(Recorder(), Address(unix="x"), 1.0, "lost")
    assert isinstance(served, Served) and served.evaluations == 2
    servers.close()
