"""Black-box tests of orthrus-agent, reported as TAP: the registry and the runner."""
import os
import sys
import traceback

from peer import World

TESTS = []


def test(ids):
    """A test and the requirements that it is evidence for."""
    def register(function):
        TESTS.append((ids, function))
        return function
    return register


def main():
    """Run what was asked for; TAP."""
    program, words = os.path.abspath(sys.argv[1]), sys.argv[2:]
    chosen = [(ids, function) for ids, function in TESTS
              if not words or any(word in ids + " " + function.__name__ for word in words)]
    print("1..%d" % len(chosen), flush=True)
    failed = 0
    for number, (ids, function) in enumerate(chosen, 1):
        world = World(program)
        problem = None
        for step in (lambda: function(world), world.close):
            try:
                step()
            except Exception:  # pylint: disable=broad-except
                problem = problem or traceback.format_exc()
        if problem:
            logs = [text for thing in world.things if hasattr(thing, "lines") for text in thing.lines[-20:]]
            print("# " + "\n# ".join(problem.rstrip().split("\n") + [text.rstrip() for text in logs]))
        line, failed = ("not ok", failed + 1) if problem else ("ok", failed)
        print("%s %d - %s %s" % (line, number, ids, function.__name__), flush=True)
    return 1 if failed else 0

