"""Measure signed callbacks beside pgbench, in turns, and say where the time goes."""

import argparse
import json
import os
import platform
import statistics
import sys
from pathlib import Path
from typing import Any

import django

EPILOG = """\
Run it as `make bench`, or over services that run already:
  python -m crm.local.run --fresh --migrate -- python -m bench --seconds 10

It needs DATABASE_URL and DATABASE_OWNER_URL of a database that it may fill (what it writes, it removes), and a broker
whose queue nobody reads. The exit status is 1 if callbacks come to less than --minimum of pgbench, or if one that
was answered 204 is not in the journal.
"""
PARTS = {"web": "web server", "worker": "worker", "postgres": "PostgreSQL", "valkey": "broker", "load": "load"}

QUIET = 0.15  # processors that other programs may keep busy in a round that counts
PATIENCE = 2  # so many times the rounds that were asked for, while too few were quiet


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="each turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each that count (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="connections of each (default: %(default)s)")
    parser.add_argument("--minimum", type=float, default=0.15, help="of pgbench (default: %(default)s)")
    parser.add_argument("--with-worker", action="store_true", help="a worker applies the callbacks meanwhile")
    parser.add_argument("--workers", type=int, help="processes of the web server (default: the demo's)")
    parser.add_argument("--threads", type=int, help="blocking threads of each (default: the demo's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="(default: .data/bench.json)")
    parser.add_argument("--no-breakdown", action="store_true", help="only the two rates")
    return parser.parse_args()


def main() -> int:
    """Measure, print, write; return the exit status."""
    options = arguments()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
    if not os.environ.get("DATABASE_OWNER_URL"):
        print("DATABASE_OWNER_URL is not set: run `make bench`.", file=sys.stderr)
        return 2
    django.setup()

    from bench import yardstick

    try:
        yardstick.program()
    except yardstick.NoPgbench as missing:
        print(missing, file=sys.stderr)
        return 2
    result = measure(options)
    show(result)
    file = options.json or Path(".data/bench.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nWritten to {file}")
    return verdict(result, minimum=options.minimum)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run everything; return what `--json` writes."""
    from bench import breakdown, yardstick
    from bench.stage import Broker, Company, Server
    from crm.tenancy import refuse_unsafe_role

    refuse_unsafe_role()
    company, broker = Company(), Broker()
    server = Server(workers=options.workers, threads=options.threads)
    turn = {"seconds": options.seconds, "clients": options.clients}
    try:
        with yardstick.table():
            server.serve("crm.wsgi:application")
            if options.with_worker:
                server.launch("worker")
                server.wait_ready("worker")
            result: dict[str, Any] = {
                "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
                "database": yardstick.durability(),
                "web": server.web_options,
                "worker": options.with_worker,
                **turn,
            }
            warm_up = callbacks_turn(server, company, broker, options, guess=4000.0, seconds=min(2.0, options.seconds))
            rounds, fastest = [], warm_up["per_second"]
            inserts = server.beside(lambda: yardstick.insert_rows(**turn))
            while len(quiet(rounds)) < options.rounds and len(rounds) < PATIENCE * options.rounds:
                print(f"Quiet round {len(quiet(rounds)) + 1} of {options.rounds} …", file=sys.stderr, flush=True)
                callbacks = callbacks_turn(server, company, broker, options, guess=fastest * 2 + 1000)
                fastest = max(fastest, callbacks["per_second"])
                before, inserts = inserts, server.beside(lambda: yardstick.insert_rows(**turn))
                # The machine may be shared: each turn is held against the pgbench right before and right after it.
                beside = (before["per_second"] + inserts["per_second"]) / 2
                ratio = callbacks["per_second"] / beside
                others = max(one["others_cpu"] for one in (before, callbacks, inserts))
                rounds.append({"pgbench": inserts, "callbacks": callbacks, "ratio": ratio, "others_cpu": others})
            counted = quiet(rounds) or rounds
            result |= {"rounds": rounds, "quiet_rounds": len(quiet(rounds))}
            result |= {"pgbench": medians(counted, "pgbench"), "callbacks": medians(counted, "callbacks")}
            result["ratio"] = statistics.median(one["ratio"] for one in counted)
            result["cpu_microseconds"] = cpu_per_callback(counted)
            result["checks"] = checks(rounds)
            if not options.no_breakdown:
                print("Where the time goes …", file=sys.stderr, flush=True)
                result["alone"] = breakdown.measure(company, callbacks=min(2000, max(80, int(400 * options.seconds))))
                result["ladder"] = ladder(server, company, result, seconds=min(3.0, options.seconds), options=options)
            return result
    finally:
        server.stop()
        broker.take_wakeups()
        company.remove()


def callbacks_turn(
    server: Any, company: Any, broker: Any, options: argparse.Namespace, *, guess: float, seconds: float | None = None
) -> dict[str, Any]:
    """Fire callbacks of new calls for one turn; then look for every one in the journal, and for its wake-up."""
    seconds = seconds or options.seconds
    calls = company.ring(max(1, int(guess * seconds / 8)))
    if not options.with_worker:
        broker.take_wakeups()  # what the turn before sent last
    told: dict[str, Any] = server.fire(company.order(calls), seconds=seconds, clients=options.clients)
    told |= {"stored": company.stored(calls), "forgotten": company.forgotten(calls)}
    if not options.with_worker:
        told["messages"] = broker.take_wakeups(within=5)
    return told


def ladder(
    server: Any, company: Any, result: dict[str, Any], *, seconds: float, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Measure from both ends: the database with less and more SQL, the web server with less and more of Django."""
    from bench import yardstick

    calls = company.ring(yardstick.CALLS)
    function = yardstick.call_function(
        organization_id=company.id, first_call=calls[0], calls=len(calls), seconds=seconds, clients=options.clients
    )
    django_only = server.fire({}, path="/healthz", expect=200, seconds=seconds, clients=options.clients)
    server.serve("bench.empty:application")
    nothing = server.fire({}, path="/", seconds=seconds, clients=options.clients)
    return [
        {"what": "pgbench: the single-row insert", "per_second": result["pgbench"]["per_second"]},
        {"what": "pgbench: the webhook's SQL function", "per_second": function["per_second"]},
        {"what": "web server: an application that does nothing", "per_second": nothing["per_second"]},
        {"what": "web server: Django's smallest page, all middleware", "per_second": django_only["per_second"]},
        {"what": "web server: the callback, everything on", "per_second": result["callbacks"]["per_second"]},
    ]


def quiet(rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rounds in which next to nobody else computed here: a busy machine flatters the ratio."""
    return [one for one in rounds if one["others_cpu"] <= QUIET]


def medians(rounds: list[dict[str, Any]], name: str) -> dict[str, float]:
    """Return each figure's median over the rounds."""
    figures = ("per_second", "p50", "p95", "p99")
    return {figure: statistics.median(one[name][figure] for one in rounds) for figure in figures}


def cpu_per_callback(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Return the processor time that each part of the system takes for one callback, the median over the rounds."""
    spent: dict[str, list[float]] = {}
    for one in rounds:
        for name, seconds in one["callbacks"]["cpu"].items():
            spent.setdefault(name, []).append(1e6 * seconds / max(1, one["callbacks"]["answered"]))
    return {name: statistics.median(each) for name, each in spent.items()}


def checks(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what must hold in every round, and what was counted for it."""
    turns = [one["callbacks"] for one in rounds]
    answered, stored = sum(turn["answered"] for turn in turns), sum(turn["stored"] for turn in turns)
    others = sum(sum(turn["statuses"].values()) - turn["answered"] for turn in turns)
    return {
        "answered": answered,
        "other_answers": others,
        "stored": stored,
        "messages": sum(turn.get("messages") or 0 for turn in turns),
        "turns_without_message": sum(turn.get("messages") == 0 for turn in turns),
        "forgotten": sum(turn["forgotten"] for turn in turns),
        "ran_dry": any(turn["ran_dry"] for turn in turns),
    }


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    found, database = result["checks"], result["database"]
    print(f"\n{result['machine']['cores']} cores, Python {result['machine']['python']}, {database['version']}")
    print("Both sides: " + ", ".join(f"{name} {database[name]}" for name in database if name != "version"))
    print(f"Web: {result['web']}; {'a worker applies meanwhile' if result['worker'] else 'no worker'}")
    print("On: signature, account and SID check, row-level security, journal row, due row, commit, wake-up published")
    print(f"{result['clients']} connections; medians of rounds of {result['seconds']:g} s each\n")
    print(f"{'':30}{'per second':>12}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}")
    for name, label in (("pgbench", "pgbench, single-row insert"), ("callbacks", "signed callbacks, all on")):
        row = result[name]
        print(f"{label:30}{row['per_second']:12,.0f}{row['p50']:9.2f}{row['p95']:9.2f}{row['p99']:9.2f}")
    print(f"{'ratio':30}{result['ratio']:12.3f}")
    ratios = ", ".join(f"{one['ratio']:.3f}" for one in quiet(result["rounds"]))
    print(f"Quiet rounds: {ratios or 'none, so that every round counts'}")
    if loud := [one for one in result["rounds"] if one not in quiet(result["rounds"])]:
        said = ", ".join(f"{one['ratio']:.3f} ({one['others_cpu']:.1f})" for one in loud)
        print(f"Others (so many processors were busy with other programs): {said}")
    print()
    others = found["other_answers"]
    print(f"{found['answered']:,} answered 204, {found['stored']:,} in the journal; {others} other answers")
    print(f"{found['messages']:,} wake-ups published; {found['forgotten']} calls that no worker would find")
    print("\nProcessor time per callback, µs")
    spent = result["cpu_microseconds"]
    for name, label in PARTS.items():
        if name in spent:
            print(f"  {label:48}{spent[name]:8.0f}{spent[name] / sum(spent.values()):7.0%}")
    if "alone" in result:
        alone = result["alone"]
        print("\nOf it in Python, one callback after another, without HTTP, µs")
        for label, microseconds in alone["parts"].items():
            print(f"  {label:48}{microseconds:8.0f}{microseconds / alone['microseconds']:7.0%}")
        print(f"  {'all':48}{alone['microseconds']:8.0f}")
        print(f"  {'and waits for PostgreSQL and its disk':48}{alone['waiting']:8.0f}")
        print("\nFrom both ends, per second")
        for rung in result["ladder"]:
            print(f"  {rung['what']:52}{rung['per_second']:10,.0f}")


def verdict(result: dict[str, Any], *, minimum: float) -> int:
    """Say what is wrong, if anything; return the exit status."""
    found, wrong = result["checks"], []
    if found["stored"] != found["answered"]:
        wrong.append(f"{found['answered']} callbacks were answered 204, {found['stored']} are in the journal.")
    if found["other_answers"]:
        wrong.append(f"{found['other_answers']} callbacks were answered with something else than 204.")
    if found["forgotten"]:
        wrong.append(f"{found['forgotten']} calls have callbacks that no worker would find.")
    if found["turns_without_message"]:
        wrong.append(f"In {found['turns_without_message']} turns no worker was woken.")
    if found["ran_dry"]:
        wrong.append("The load ran out of callbacks before the time was over.")
    if result["ratio"] < minimum:
        wrong.append(f"{result['ratio']:.3f} of pgbench, less than {minimum:g}.")
    if minimum and not result["database"]["durable"]:
        wrong.append("The database does not wait for the disk: these figures are no promise.")
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
