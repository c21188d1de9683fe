# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says at once what failed and what took long, so that a run that is cut short tells it too."""

from __future__ import annotations

import pytest
from _pytest.terminal import TerminalReporter

LONG_SECONDS = 10


class AtOnce:
    """Prints a failure when it happens, and each part of a test (setup, call, teardown) that takes more than ten seconds."""

    def __init__(self, terminal: TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.duration >= LONG_SECONDS:
            self._terminal.write_line(f"  {report.duration:.0f} s: {report.when} of {report.nodeid}")
        if report.failed:
            self._terminal.write_line(f"  failed: {report.when} of {report.nodeid}\n{report.longreprtext}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        config.pluginmanager.register(AtOnce(terminal), "at-once")
