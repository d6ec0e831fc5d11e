"""The program that times crates, as a process that is asked and answers."""

import json
import subprocess


class Refused(Exception):
    """A contestant cannot do a workload, and why."""


class Server:
    def __init__(self, program, threads):
        self.process = subprocess.Popen(
            [program, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, do, **arguments):
        """What is under the answer's only key."""
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the server ended with {self.process.wait()} when it was asked to {do}")
        answer = json.loads(answer)
        if answer == "ready":
            return None
        ((kind, value),) = answer.items()
        if kind == "error":
            raise Refused(value)
        return value

    def close(self):
        self.process.stdin.close()
        self.process.wait()
