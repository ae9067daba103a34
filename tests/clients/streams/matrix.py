"""Each stream by each client, each way to the daemon: `matrix.py [--paths …] [--clients …] [--idle S] [--table FILE]`."""

import argparse
import asyncio
import pathlib
import shutil
import sys

import proxies
import table
from clients import CLIENTS
from scenario import Scenario
from verdict import Verdict

PATHS = ["nothing", "nginx", "nginx!", "haproxy", "haproxy!", "caddy", "caddy!"]
# What is known not to work: nginx speaks HTTP/1.0 unless told otherwise.
CANNOT = ("nginx", "socket", "no")


async def main(options):
    work = options.tools / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "tls").mkdir()
    authority = proxies.Authority(work / "tls")
    docs = options.docs.joinpath("proxies.md").read_text()
    clients = [one for one in CLIENTS if not options.clients or any(word in one.name for word in options.clients)]
    turns = asyncio.Semaphore(options.at_once)
    results = {}

    async def play(name):
        async with turns:
            folder = work / name.replace("!", "-documented")
            folder.mkdir()
            scenario = Scenario(name, clients, options.tools, folder, authority, docs, options.program, options)
            followers, events = await scenario.play()
            for one in followers:
                results[name, one.client, one.form] = Verdict(one, events[one.form])

    await asyncio.gather(*map(play, options.paths))
    report(results)
    text = table.made(results, clients, options)
    print(text)
    if options.table:
        table.write(text, options.table)
    wrong = [(path, client, form) for (path, client, form), verdict in results.items()
             if verdict.word not in Verdict.FINE and (path, client.stream, verdict.word) != CANNOT]
    for path, client, form in wrong:
        print(f"clients: FAILED: {client.name}, {form}, {path}: {results[path, client, form].word}")
    return bool(wrong)


def report(results):
    """All that was seen, for who wants to know more than the table."""
    def order(item):
        (path, client, form), _ = item
        return client.stream, client.label, path, form

    for (path, client, form), verdict in sorted(results.items(), key=order):
        seen = f"{verdict.word}; {verdict.events} events, {verdict.hellos} connections"
        print(f"{client.stream:7} {client.name:26} {path:9} {form}: {seen}")
        for note in verdict.why():
            print(f"            {note}")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--tools", type=pathlib.Path, required=True)
    parser.add_argument("--docs", type=pathlib.Path, required=True)
    parser.add_argument("--paths", nargs="*", default=PATHS)
    parser.add_argument("--clients", nargs="*")
    parser.add_argument("--idle", type=float, default=65)
    parser.add_argument("--burst", type=int, default=800)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--plant", choices=["lost", "twice", "changed"])
    parser.add_argument("--table", type=pathlib.Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(arguments())))
