"""What was measured, row by row."""

import sys


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, measured, bar, passed, command, **values):
        """`passed` None: no bar; a row that was skipped has no figure either."""
        self.rows.append({"what": what, "measured": measured, "bar": bar, "passed": passed, "command": command, **values})
        print(f"  {what}: {measured}", file=sys.stderr, flush=True)

    def text(self):
        verdict = {True: "pass", False: "FAIL", None: "-"}
        lines = [("what", "measured", "bar", "", "command")]
        lines += [(row["what"], row["measured"], row["bar"], verdict[row["passed"]], row["command"]) for row in self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[4]]).rstrip() for line in lines)
