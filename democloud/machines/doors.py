"""Open a door for each machine that runs, on its own address, and shut it when it goes down."""

import asyncio
import logging
import socket
from collections.abc import Iterator

from democloud.machines import keys
from democloud.machines.boots import boot
from democloud.machines.machine import Machine
from democloud.machines.sshd import Line
from democloud.state import Cloud, Server

logger = logging.getLogger(__name__)

#: connections at a time: to all machines together, and to one
MOST, MOST_TO_ONE = 96, 24
OWN = "own"
RUNS = ("active", "rescued", "resized")


def runs(server: Server) -> bool:
    """Tell whether a server's machine is up: no task turns it off or builds it."""
    task = server.task_state
    return server.vm_state in RUNS and (task is None or task.startswith("image_"))


class Door:
    """The address of one machine, from its boot to its end."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.what = what_runs(server)
        self.machine: Machine | None = None
        self.listening: socket.socket | None = None
        self.lines: list[Line] = []

    def open(self, machine: Machine, port: int) -> socket.socket:
        """Listen."""
        self.machine = machine
        self.listening = socket.create_server((self.server.ssh_address, port), backlog=64)
        self.listening.setblocking(False)
        return self.listening

    def let_in(self, connection: socket.socket, machine: Machine) -> None:
        """Serve one connection."""
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = keys.host_key(self.server, rescued=self.what != OWN)
        line = Line(connection, machine, key)
        self.lines.append(line)
        line.serve()

    def living(self) -> list[Line]:
        """Return the connections that live, and cut those that nobody logs in on."""
        self.lines = [one for one in self.lines if one.is_alive()]
        for one in self.lines:
            if one.is_late:
                one.cut()
        return self.lines

    def shut(self) -> None:
        """Go down: nothing listens, nothing goes on."""
        if self.machine is not None:
            self.machine.over = True
        for line in self.lines:
            line.cut()
        if self.listening is not None:
            self.listening.close()


def what_runs(server: Server) -> str:
    """Name what a server's machine runs, so that another rescue is another machine."""
    return f"rescue {server.rescues}" if server.vm_state == "rescued" else OWN


class Doors:
    """All doors of a cloud. Lives on the event loop; each connection has threads of its own."""

    def __init__(self, cloud: Cloud, port: int) -> None:
        self._cloud, self._port = cloud, port
        self._doors: dict[str, Door] = {}
        self._complained = False

    def begin(self) -> None:
        """Shut all doors and boot, at once, what runs."""
        self.shut()
        self._cloud.on_filled = self.begin
        for region in self._cloud.regions.values():
            for server in region.servers.values():
                server.watch = self.tend
                self.tend(server, at_once=True)

    def tend(self, server: Server, *, at_once: bool = False) -> None:
        """See to it that a server's door is as its state is."""
        door = self._doors.get(server.id)
        up = runs(server) and bool(server.ssh_address)
        if door and up and door.what == what_runs(server):
            return
        if door:
            self._shut(self._doors.pop(server.id))
        if not up:
            return
        door = self._doors[server.id] = Door(server)
        if at_once:
            self._boot(door)
        else:
            seconds = self._cloud.knobs.boot_seconds
            self._cloud.agenda.later(seconds, lambda: self._boot(door))

    def _boot(self, door: Door) -> None:
        if self._doors.get(door.server.id) is not door:
            return  # it went down before it was up
        region = next(one for one in self._cloud.regions.values() if door.server.id in one.servers)
        machine = boot(door.server, region).machine
        if machine is None:
            return
        try:
            listening = door.open(machine, self._port)
        except OSError as problem:
            if not self._complained:
                logger.warning("No SSH on %s: %s", door.server.ssh_address, problem)
                self._complained = True
            return
        asyncio.get_running_loop().add_reader(listening, self._accept, door)

    def _accept(self, door: Door) -> None:
        if door.listening is None or door.machine is None:
            return
        try:
            connection, _ = door.listening.accept()
        except OSError:
            return
        own, everywhere = len(door.living()), sum(1 for _ in self._lines())
        if own >= MOST_TO_ONE or everywhere >= MOST:
            connection.close()
        else:
            door.let_in(connection, door.machine)

    def _lines(self) -> Iterator[Line]:
        return (line for door in self._doors.values() for line in door.living())

    def shut(self) -> None:
        """Shut all doors."""
        for door in self._doors.values():
            self._shut(door)
        self._doors.clear()

    def _shut(self, door: Door) -> None:
        if door.listening is not None:
            asyncio.get_running_loop().remove_reader(door.listening)
        door.shut()
