"""Run the clients of this folder against ``ponant serve``, and compare docs/compatibility.md with the results."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from compat.environments import Client, CommandError, all_clients
from compat.page import PAGE, with_results
from compat.results import Case, read_report
from ponant.weights.bundled import BUNDLED
from ponant.weights.locate import locate
from tests.serving import serving

LEFT_OUT = 3
"""Exit status of a run without failures in which some clients could not run on this machine."""


def main() -> int:
    """Run the named clients. Returns 1 on a failure or a difference from the page, ``LEFT_OUT``, or 0."""
    clients = all_clients()
    parser = argparse.ArgumentParser(prog="python -m compat.run", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="CLIENT", help=f"{', '.join(c.name for c in clients)}; default: all"
    )
    parser.add_argument("--write", action="store_true", help="write what was measured into the page")
    parser.add_argument("--check", action="store_true", help="fail if the page says something else (the default)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - {client.name for client in clients}:
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    chosen = [client for client in clients if not arguments.names or client.name in arguments.names]
    measured = measure([client for client in chosen if not client.missing])
    failed = [name for name, cases in measured.items() if not cases or any(case.outcome == "failed" for case in cases)]
    passed = {name: cases for name, cases in measured.items() if name not in failed}
    status = write(clients, passed) if arguments.write else check(clients, passed)
    left_out = [client for client in chosen if client.missing]
    for client in left_out:
        print(f"Not run: {client.name}. {client.missing}.")
    if failed:
        print(f"Failed: {', '.join(failed)}")
    return 1 if failed or status else LEFT_OUT if left_out else 0


def measure(clients: Sequence[Client]) -> dict[str, list[Case]]:
    """Run the tests and examples of clients, while the next environments are set up."""
    measured: dict[str, list[Case]] = {}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(max_workers=1) as background:
        set_ups = {client.name: background.submit(client.set_up) for client in clients}
        with serving("--deterministic", cwd=folder) as server:
            for client in clients:
                print(f"{client.name}: {client.package} {client.version}", flush=True)
                report = Path(folder) / f"{client.name}.xml"
                measured[client.name] = _measure(client, set_ups[client.name], server.url, report)
    return measured


def write(clients: Sequence[Client], measured: dict[str, list[Case]]) -> int:
    """Write the results into the page."""
    PAGE.write_text(with_results(PAGE.read_text(), clients, measured))
    print(f"Written: {PAGE}")
    return 0


def check(clients: Sequence[Client], measured: dict[str, list[Case]]) -> int:
    """Return 1 if the page differs from the results, else 0."""
    text = PAGE.read_text()
    found = with_results(text, clients, measured)
    for line in sorted(set(found.splitlines()) - set(text.splitlines())):
        print(f"Not in {PAGE.name}: {line}")
    if found != text:
        print("docs/compatibility.md says something else. See that this is meant, then: make compat ARGS=--write")
        return 1
    print("docs/compatibility.md says the same.")
    return 0


def _measure(client: Client, set_up: Future[None], url: str, report: Path) -> list[Case]:
    try:
        set_up.result()
        client.run_example(url)
    except CommandError as error:
        print(error, flush=True)
        return []
    printed = client.run_tests(url, locate(BUNDLED, report.parent), report)
    cases = read_report(report)
    if not cases or any(case.outcome == "failed" for case in cases):
        print(printed, flush=True)
    return cases


if __name__ == "__main__":
    sys.exit(main())
