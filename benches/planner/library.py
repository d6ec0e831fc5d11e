"""A library in a process of its own, which is asked and answers; it is started again when it ends."""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

SERVER = Path(__file__).with_name("server.py")


class Library:
    def __init__(self, peer):
        self.peer = peer
        self.reason = None
        self.contestants = []
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-B", SERVER, self.peer],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1,
        )  # fmt: skip
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"reason": "not loaded"}
        self.reason = answer.get("reason")
        self.contestants = answer.get("contestants", self.contestants)

    def search(self, contestant, problem, seconds, size):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(asdict(problem), file)
            file.flush()
            asked = {"contestant": contestant, "file": file.name, "seconds": seconds, "bytes": size}
            self.process.stdin.write(json.dumps(asked) + "\n")
            line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.process.wait()
        self.start()
        return {"reason": "the library's process ended"}

    def close(self):
        self.process.stdin.close()
        self.process.wait()
