"""``ponant rpc-server``."""

import ipaddress

import click

from ponant.cli.errors import fail

_DEFAULT_PORT = 50052


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=_DEFAULT_PORT, show_default=True, type=click.IntRange(1, 65535), help="Port.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Compute threads.  [default: the physical cores]")
@click.option("--allow-remote", is_flag=True, help="Allow an address that other machines reach.")
def rpc_server(host: str, port: int, threads: int | None, *, allow_remote: bool) -> None:
    """Lend the GPUs of this machine, or else its processor, to a server on another machine.

    The other server names this one in its setting devices: rpc://HOST:PORT. Both need the same version of Ponant.

    This is an experiment. The protocol has neither authentication nor encryption: anybody that reaches the port can
    read and write the memory of this process. Use it in a private network only.
    """
    from ponant.errors import ModelLoadError
    from ponant.llamacpp.devices import serve_rpc
    from ponant.machine import default_threads

    if not allow_remote and not _is_loopback(host):
        fail(f"{host} can be reached by other machines, and the protocol has no authentication; add --allow-remote")
    click.echo(f"RPC server on rpc://{host}:{port}; stop it with Ctrl-C")
    try:
        serve_rpc(host, port, threads=threads or default_threads())
    except ModelLoadError as error:
        fail(str(error))
    fail(f"cannot listen on {host}:{port}; is the port in use?", code=1)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
