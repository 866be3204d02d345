"""What was measured, row by row."""

import json
import statistics
import sys


class Table:
    def __init__(self, kind=None):
        """`kind` of processor: decides which bars hold."""
        self.kind, self.rows = kind, []

    def add(self, what, measured, bar, passed, command, **values):
        """`passed` None: no bar; a row that was skipped has no figure either."""
        self.rows.append({"what": what, "measured": measured, "bar": bar, "passed": passed, "command": command, **values})
        print(f"  {what}: {measured}", file=sys.stderr, flush=True)

    def ratio(self, what, ratios, bar, command, unit=" ×", **values):
        """Ratios measured in turns: their median, beside it the least and the most. `bar`: a machine.Bar, or None."""
        ratio = statistics.median(ratios)
        spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
        self.add(
            what, f"{ratio:.2f}{unit}{spread}", bar.text(self.kind) if bar else "", bar.holds(ratio, self.kind) if bar else None, command,
            ratio=ratio, ratios=list(ratios), **values)

    def not_measured(self, what, reason, bar, command):
        self.add(what, reason, bar.text(self.kind) if bar else "", None, command)

    def text(self):
        verdict = {True: "pass", False: "FAIL", None: "-"}
        lines = [("what", "measured", "bar", "", "command")]
        lines += [(row["what"], row["measured"], row["bar"], verdict[row["passed"]], row["command"]) for row in self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[4]]).rstrip() for line in lines)

    @property
    def code(self):
        """Of a program's exit: 7 where a bar is missed."""
        return 0 if all(row["passed"] is not False for row in self.rows) else 7

    def end(self, as_json):
        """Prints the table, or its rows as JSON; the exit code."""
        print(json.dumps(self.rows, indent=2) if as_json else self.text())
        return self.code
