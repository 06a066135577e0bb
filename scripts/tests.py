#!/usr/bin/env python3
"""Builds all test programs of the workspace and runs them, several side by side: most of the time they wait for the servers that they started.

Arguments go to `cargo test`. What a program prints is shown when it has ended, in one piece. The last run's times, kept beside what is built,
say which begin first. Examples in the documentation are not among them: `cargo test --doc`.
"""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

# Two programs of two tests each keep two cores busy without making what is timed in them late.
LANES = 2


def build(arguments):
    """The test programs: where each begins, its name as cargo tells it, its file."""
    command = ["cargo", "test", "--no-run", "--message-format=json-render-diagnostics", *arguments]
    programs = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cargo:
        for line in cargo.stdout:
            message = json.loads(line)
            if message["reason"] != "compiler-artifact" or not message["profile"]["test"] or not message["executable"]:
                continue
            folder = os.path.dirname(message["manifest_path"])
            source = os.path.relpath(message["target"]["src_path"], folder)
            programs.append((folder, source, message["executable"]))
    if cargo.returncode != 0:
        sys.exit(cargo.returncode)
    if not programs:
        sys.exit("cargo names no test programs")
    return programs


def main():
    programs = build(sys.argv[1:])
    kept = os.path.join(os.path.dirname(os.path.dirname(programs[0][2])), "test-times.json")
    try:
        with open(kept, encoding="utf-8") as file:
            times = json.load(file)
    except (OSError, ValueError):
        times = {}
    # What was never timed may be long.
    programs.sort(key=lambda it: -times.get(os.path.basename(it[0]) + "/" + it[1], 1e9))
    failed, printing = [], threading.Lock()

    def run(program):
        folder, source, executable = program
        name = os.path.basename(folder) + "/" + source
        began = time.monotonic()
        done = subprocess.run(
            [executable],
            cwd=folder,
            env={**os.environ, "CARGO_MANIFEST_DIR": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        times[name] = round(time.monotonic() - began, 1)
        with printing:
            print(f"     Running {name} ({times[name]} s)", flush=True)
            sys.stdout.buffer.write(done.stdout)
            sys.stdout.flush()
            if done.returncode != 0:
                failed.append(f"{name}: exit status {done.returncode}")

    with ThreadPoolExecutor(LANES) as lanes:
        list(lanes.map(run, programs))
    with open(kept, "w", encoding="utf-8") as file:
        json.dump(times, file)
    for line in failed:
        print(f"FAILED {line}")
    sys.exit(1 if failed else 0)


main()
