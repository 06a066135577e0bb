"""A gateway of its own for the tests; MOONGATE_TEST_URL names one that is running already."""

import json
import os
import subprocess
import tempfile
import uuid

import pytest

from moongate import Client


@pytest.fixture(scope="session")
def url():
    """The address of a file port."""
    if "MOONGATE_TEST_URL" in os.environ:
        yield os.environ["MOONGATE_TEST_URL"]
        return
    binary = os.environ.get("MOONGATE_BIN")
    if not binary:
        pytest.fail("MOONGATE_BIN names the program to test; scripts/python.sh test sets it")
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryFile() as log:
        arguments = ["serve", "--data", data]
        for port in ("image", "file", "admin"):
            arguments += [f"--{port}-listen", "127.0.0.1:0"]
        gateway = subprocess.Popen([binary, *arguments], stdout=subprocess.PIPE, stderr=log)
        try:
            ready = gateway.stdout.readline()
            if not ready:
                log.seek(0)
                pytest.fail(f"the gateway did not start: {log.read().decode(errors='replace')}")
            yield f"moongate://{json.loads(ready)['file']}"
        finally:
            gateway.terminate()
            gateway.wait(60)


@pytest.fixture
def client(url):
    """A client of it."""
    with Client(url) as client:
        yield client


@pytest.fixture
def folder(client):
    """A folder that no other test uses."""
    path = f"/test-{uuid.uuid4().hex}"
    client.mkdir(path)
    yield path
    client.remove(path, recursive=True)
