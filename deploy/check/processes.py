"""Processes of a check, and calls to them. Everything listens on 127.0.0.1."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_S = 60


def fail(what):
    sys.exit(f"deploy/check: {what}")


def ask(url, body=None, method=None, headers=None):
    """Status and text of an answer, whatever the status."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until(what, holds):
    began = time.monotonic()
    while True:
        try:
            found = holds()
        except (OSError, ValueError):
            found = None
        if found:
            return found
        if time.monotonic() - began > PATIENCE_S:
            fail(f"waited {PATIENCE_S} s for {what}")
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Processes:
    """Ends what it started."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def start(self, *command, stdout=None, env=None):
        log = open(self.folder / f"{pathlib.Path(command[0]).name}.log", "wb")
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=stdout or log,
            stderr=log,
            env={**os.environ, **(env or {})},
        )
        self.running.append(process)
        return process

    def end(self):
        for process in reversed(self.running):
            process.stdin.close()
            process.terminate()
        for process in reversed(self.running):
            process.wait(timeout=PATIENCE_S)


def first_line(processes, *command, env=None):
    process = processes.start(*command, stdout=subprocess.PIPE, env=env)
    return process.stdout.readline().decode().strip()


def start_muster(processes, binary, env=None):
    serve = [binary, "serve", "--listen", "127.0.0.1:0", "--data", "data"]
    url = first_line(processes, *serve, env=env).removeprefix("listening on ")
    until("the server", lambda: ask(f"{url}/readyz")[0] == 200)
    return url
