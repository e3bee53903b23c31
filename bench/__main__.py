"""Run the bench: `python -m bench [PART …] [--json FILE] [--quick] [--no-rivals]`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench.figures import Part, missed, part_table
from bench.machine import this_machine
from bench.plan import PARTS
from bench.processes import BenchError
from bench.setting import Setting, cores


def main(argv: list[str]) -> int:
    """0 when every target was met, 1 when one was missed, 2 when a part could not be measured, 130 after Ctrl-C."""
    options = _options(argv)
    machine = this_machine()
    print(f"{machine}\n", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="ratchet-bench-", dir=options.folder))
    parts: list[Part] = []
    broken: list[str] = []
    began = time.monotonic()
    try:
        first, second = cores()
        setting = Setting(folder, first, second, options.quick, options.rivals)
        for name in options.parts or list(PARTS):
            print(f"== {name}: {PARTS[name].says}", flush=True)
            try:
                found = PARTS[name].run(setting)
            except BenchError as error:
                broken.append(name)
                print(f"  NOT MEASURED: {error}\n", flush=True)
                continue
            for part in found:
                print("\n" + part_table(part), flush=True)
            parts += found
    except KeyboardInterrupt:
        print("\nStopped; every process that was started has been ended.", file=sys.stderr)
        return 130
    finally:
        if options.keep:
            print(f"Logs and data are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    short = missed(parts)
    if options.json:
        report = {
            "machine": machine,
            "parts": parts,
            "not_measured": broken,
            "seconds": round(time.monotonic() - began),
        }
        Path(options.json).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    for part, figure in short:
        print(
            f"MISSED  {part.title}: {figure.name} is {figure.shown} {figure.unit}, the target is {figure.target}"
        )
    for name in broken:
        print(f"NOT MEASURED  {name}")
    if not short and not broken:
        print("Every target was met.")
    return 2 if broken else 1 if short else 0


def _options(argv: list[str]) -> argparse.Namespace:
    listing = "\n".join(f"  {name:<10} {part.says}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        epilog=f"parts:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="which parts (all by default)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--quick", action="store_true", help="short rounds: to see that it works, not to quote"
    )
    parser.add_argument(
        "--no-rivals", dest="rivals", action="store_false", help="leave the other gateways out"
    )
    parser.add_argument("--keep", action="store_true", help="keep logs and data, and say where they are")
    parser.add_argument("--folder", metavar="DIR", help="where to put them (a temporary folder by default)")
    options = parser.parse_args(argv)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
