"""The peers' figures of an earlier run, from its `--json` file. Times are taken over, costs computed anew."""

import json

from contest import Entry, weigh


class Earlier:
    def __init__(self, file, ours):
        self.entries = {}
        for problem in json.loads(file.read_text())["problems"] if file else ():
            for entry in problem["entries"]:
                if entry["peer"] != ours:
                    # A problem that has changed is another one.
                    key = problem["name"], problem["digest"]
                    self.entries.setdefault(key, []).append(Entry(**entry | {"reused": True}))

    def of(self, problem, peers):
        """The entries of these peers, or of all where none is named."""
        found = self.entries.get((problem.name, problem.digest), [])
        chosen = [entry for entry in found if not peers or entry.peer in peers]
        for entry in chosen:
            if entry.path is not None and entry.reason is None:
                weigh(problem, entry)
        return chosen
