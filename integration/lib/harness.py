"""Tests, and the order and form in which they are run and reported.

A test is a function of one argument, the Run, marked with the requirements
that it is evidence for:

    @test('AC-17,T7', rigs=('ours', 'goagent'))
    def version_is_negotiated(run):
        ...

With rigs it runs once for each, with run.rig set. It fails by any exception;
Skip(reason) leaves it out.
"""

import fnmatch
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

from lib import engine, rig

TESTS = []


class Skip(Exception):
    """This test cannot be run here; the reason is its text."""


LIMIT_S = 180  # for one test; those that run every night have none


def give_up(number, _):
    """A signal ends the run, or the test that takes too long, in order: what
    was started is ended."""
    if number == signal.SIGALRM:
        raise AssertionError('the test takes more than %d s' % LIMIT_S)
    raise SystemExit('ended by signal %d' % number)


class Case:
    """One test on one rig."""

    def __init__(self, ids, function, rig_name, slow, nightly):
        self.ids = ids
        self.function = function
        self.rig_name = rig_name
        self.slow = slow
        self.nightly = nightly
        self.name = function.__name__
        if rig_name and rig_name != 'ours':
            self.name += '.' + rig_name


def test(ids, rigs=(None,), slow=False, nightly=False):
    """Marks a function as a test. A string of rigs means one rig."""
    names = (rigs,) if isinstance(rigs, str) else rigs

    def mark(function):
        for name in names:
            TESTS.append(Case(ids, function, name, slow, nightly))
        return function
    return mark


class Run:
    """What one run of the harness shares between its tests."""

    def __init__(self, options):
        self.options = options
        # Short: a unix socket's path may have 107 bytes.
        self.folder = tempfile.mkdtemp(prefix='oi')
        self.programs = rig.Programs(options.build_dir, options.peer)
        self.rig = None
        self._engine = None
        self._rigs = {}
        self._closers = []
        self._count = 0
        self.problems = []

    # ---- what tests ask for ------------------------------------------------

    def path(self, name):
        """A new path in the run's private folder."""
        self._count += 1
        return '%s/%d-%s' % (self.folder, self._count, name)

    def engine(self):
        """The engine that tests share, with two containers: t1 for any use,
        and still, which nobody touches, so that what the engine says of it
        does not change. A test that harms an engine makes its own."""
        if self._engine and not self._engine.process.alive():
            self._engine.close()
            self._engine = None
        if not self._engine:
            self.need_engine()
            self._engine = engine.Engine(self.path('e'))
            self._engine.container('t1')
            self._engine.container('still')
        return self._engine

    @staticmethod
    def need_engine():
        reason = engine.missing()
        if reason:
            raise Skip(reason)

    def own_engine(self):
        """An engine for this test alone."""
        self.need_engine()
        return self.later(engine.Engine(self.path('e')))

    def own_rig(self, name, **options):
        """A server and an agent for this test alone."""
        name = self.options.replace.get(name, name)
        return self.later(rig.make(self, name, **options))

    def own_server(self, options=()):
        """orthrusd for this test alone, without an agent."""
        if self.options.replace.get('server') == 'go':
            return self.later(rig.GoServer(self))
        return self.later(rig.OurServer(self, options))

    def own_agent(self, kind, server, key, docker, options=()):
        """One more agent, of a kind as in rig.PAIRS."""
        if kind == 'ours' and 'agent' in self.options.replace:
            kind, options = self.options.replace['agent'], ()
        return self.later(rig.Agent(self, kind, server.connect_url(), key,
                                    docker, options))

    def later(self, thing):
        """Has thing.close() called when the test ends."""
        self._closers.append(thing.close)
        return thing

    def only_with(self, part):
        """Skips a test that asks more of a server or an agent than the Go
        programs do."""
        kinds = rig.PAIRS[self.rig.name][:2]
        if kinds[part == 'agent'] != 'ours':
            raise Skip('the Go %s does not do this' % part)

    def note(self, text):
        """Prints a figure under the test's line."""
        for line in text.splitlines():
            print('# ' + line, flush=True)

    # ---- running -----------------------------------------------------------

    def shared_rig(self, name):
        name = self.options.replace.get(name, name)
        if name in self._rigs and not self._rigs[name].healthy():
            self._close(self._rigs.pop(name).close)
        if name not in self._rigs:
            self._rigs[name] = rig.make(self, name,
                                        docker=self.engine().path)
        return self._rigs[name]

    def _close(self, closer):
        try:
            closer()
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append('closing: %s' % error)

    def one(self, case):
        """Runs a case. Returns '' or what went wrong; Skip passes through."""
        try:
            self.rig = (self.shared_rig(case.rig_name)
                        if case.rig_name else None)
            signal.alarm(0 if case.nightly else LIMIT_S)
            case.function(self)
            return ''
        except Skip:
            raise
        except Exception:  # pylint: disable=broad-except
            return traceback.format_exc() + self.logs()
        finally:
            signal.alarm(0)
            while self._closers:
                self._close(self._closers.pop())

    def logs(self):
        text = ''
        if self.rig:
            for process in self.rig.processes():
                text += '--- %s\n%s\n' % (process.name, process.tail())
        return text

    def finish(self):
        """Ends everything; returns what was wrong with the ending."""
        for name in list(self._rigs):
            self._close(self._rigs.pop(name).close)
        if self._engine:
            self._close(self._engine.close)
        if self.options.keep:
            print('# kept: ' + self.folder)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        return self.problems


def chosen(options):
    for case in TESTS:
        if case.slow and options.fast:
            continue
        if options.only and (case.rig_name or 'none') != options.only:
            continue
        if not options.pattern or any(
                fnmatch.fnmatch(text, '*%s*' % options.pattern)
                for text in (case.name, case.ids)):
            yield case


def main(options):
    """Runs the chosen tests; the exit status is 0 when none failed."""
    cases = list(chosen(options))
    if options.list:
        for case in cases:
            print('%-24s %s%s' % (case.ids, case.name,
                                  '  slow' if case.slow else ''))
        return 0
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, give_up)
    run = Run(options)
    count = {'passed': 0, 'failed': 0, 'skipped': 0}
    number = 0

    def report(good, ids, name, text='', kind=None):
        print('%sok %d - %s %s%s' % ('' if good else 'not ', number, ids,
                                     name, text), flush=True)
        count[kind or ('passed' if good else 'failed')] += 1

    try:
        for case in cases:
            number += 1
            start = time.monotonic()
            try:
                if case.nightly and not options.nightly:
                    raise Skip('takes minutes: --nightly runs it')
                trouble = run.one(case)
                report(not trouble, case.ids, case.name)
                for line in trouble.splitlines():
                    print('#   ' + line, flush=True)
            except Skip as reason:
                report(True, case.ids, case.name, ' # SKIP %s' % reason,
                       'skipped')
            if options.times:
                print('# %.2f s' % (time.monotonic() - start), flush=True)
    finally:
        problems = run.finish()
        number += 1
        report(not problems, 'L-06,Q-02', 'every_process_ended_cleanly')
        for problem in problems:
            for line in problem.splitlines():
                print('#   ' + line, flush=True)
    print('%(passed)d passed, %(failed)d failed, %(skipped)d skipped' % count)
    sys.stdout.flush()
    return 0 if not count['failed'] else 1


def default_client():
    """The Docker CLI that tests use where any will do."""
    return engine.find('docker')


def clients():
    """Every Docker CLI here, oldest last: (name, path)."""
    found = []
    for path in ('/usr/local/bin/docker', '/usr/bin/docker'):
        if os.access(path, os.X_OK):
            found.append(path)
    return found
