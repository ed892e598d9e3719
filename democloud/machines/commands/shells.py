"""Run a line as another shell would: sh -c, setsid."""

from democloud.machines import shell
from democloud.machines.run import Fail, Run, command, dispatch


@command("sh")
def sh(run: Run, args: list[str]) -> int:
    """Run a line; there is no other kind of script here."""
    if len(args) != 2 or args[0] != "-c":
        raise Fail("only this works here: -c LINE")
    streams = shell.Streams(run.stdin, run.write, run.complain)
    with run.unlocked():
        return shell.run_line(run.session, args[1], streams)


@command("setsid")
def setsid(run: Run, args: list[str]) -> int:
    """Run a command apart from the terminal, of which there is none."""
    if not args:
        raise Fail("no command specified")
    run.name = args[0]
    return dispatch(run, args[1:])
