"""The table of docs/clients.md, made of what was seen."""

import datetime

import proxies

STREAMS = {"events": "SSE", "socket": "WebSocket", "lines": "NDJSON"}
FROM, TO = "<!-- what `make clients` measured -->\n", "<!-- end of it -->\n"
# From good to bad; what is in none of them is worst.
ORDER = ["itself", "loop", "late", "no end", "no"]


def worst(verdicts):
    """Of one run's stream and that of all runs the worse."""
    return max((one.word for one in verdicts), key=lambda word: ORDER.index(word) if word in ORDER else len(ORDER))


def heading(path):
    return path.rstrip("!") + (", documented" if path.endswith("!") else ", default" if path != "nothing" else "")


def made(results, clients, options):
    paths = options.paths
    events = max(verdict.events for verdict in results.values())
    versions = {name: proxies.version(name) for name in dict.fromkeys(path.rstrip("!") for path in paths) if name != "nothing"}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    today = datetime.date.today()
    lines = [
        f"Seen on {today.day} {today:%B %Y} with {named}; {len(results)} readers, each of up to {events:,} events.",
        "",
        f"| client | version | stream | {' | '.join(map(heading, paths))} |",
        f"|{' --- |' * (len(paths) + 3)}",
    ]
    for client in clients:
        cells = [worst([results[path, client, form] for form in ("run", "all")]) for path in paths]
        lines.append(f"| {client.label} | {client.version(options.tools)} | {STREAMS[client.stream]} | {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def write(text, file):
    """Puts a table in the place of the one that is there."""
    page = file.read_text()
    before, rest = page.split(FROM)
    _, after = rest.split(TO)
    file.write_text(f"{before}{FROM}\n{text}\n{TO}{after}")
