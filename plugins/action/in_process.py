# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action behind every module of ours: it runs the module's ``main()`` inside the Ansible worker.

An ordinary task builds a zip of the module and its imports, starts a shell and a second Python, and imports everything anew. Here the worker calls
``main()`` itself, with the parameters, the AnsibleModule and the JSON between them that an ordinary module has, so validation, check mode, no_log,
warnings and exceptions are AnsibleModule's own. meta/runtime.yml sends the modules' actions here (``plugin_routing.action.NAME.redirect``), and
``plugin_routing.modules.NAME.action_plugin`` keeps ``module_defaults`` apart for each module.

A task runs the ordinary way when this worker is not the place that it asks for: see ``_ordinary_because``.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible import constants
from ansible.executor.module_common import _apply_action_arg_defaults
from ansible.module_utils import basic
from ansible.module_utils._internal._ansiballz import _loader
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader, filter_loader, lookup_loader, test_loader
from ansible.template import Templar, trust_as_template
from ansible.utils.display import Display

from ansible_collections.trinode.platform.plugins import modules
from ansible_collections.trinode.platform.plugins.module_utils import command, progress

_NEW_OBJECTS = 50_000

# How core writes parameters for and reads results of modules that name no other way; ours do not.
_PROFILE = "legacy"

display = Display()


def _watched() -> bool:
    """Whether somebody watches: standard output is a terminal, or TRINODE_PROGRESS=1 says so (0: never)."""
    wanted = os.environ.get("TRINODE_PROGRESS", "")
    return boolean(wanted) if wanted else sys.stdout.isatty()


# Libraries that modules import when they need them, and that cost half a second each time.
_LIBRARIES = ("kubernetes.client.rest", "kubernetes.config")
# Plugins that our tasks' templates use. The first one that is asked for has core load all of its kind.
_FILTERS = ("ansible.builtin.default", "trinode.platform.machine_addresses")
_TESTS = ("ansible.builtin.defined",)
_LOOKUPS = (*(f"trinode.platform.{name}" for name in ("run_directory", "template", "vault_password")), "ansible.builtin.env", "ansible.builtin.file")


def _import_modules() -> None:
    """Import every module of ours, and the libraries that they need."""
    for name in (*(f"{modules.__name__}.{module.name}" for module in pkgutil.iter_modules(modules.__path__)), *_LIBRARIES):
        # What is missing is reported by the task that needs it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _rehearse() -> None:
    """What core does in a worker's first template and first result, and then remembers: it finds plugins, reads their options and compiles lexers."""
    plugins = [(filter_loader, name) for name in _FILTERS] + [(test_loader, name) for name in _TESTS] + [(lookup_loader, name) for name in _LOOKUPS]
    steps: list[Callable[[], object]] = [functools.partial(loader.get, name) for loader, name in plugins]
    steps += [
        lambda: connection_loader.get("ansible.builtin.local", class_only=True),
        lambda: Templar(loader=DataLoader()).template(trust_as_template("{{ 1 }}")),
        lambda: get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE),
        lambda: ActionModule.__new__(ActionModule)._parse_returned_data({"stdout": "{}", "stderr": "", "rc": 0}, _PROFILE),
    ]
    for step in steps:
        # What does not work is reported by the task that needs it.
        with contextlib.suppress(Exception):
            step()


def _collect_seldom() -> None:
    """Python looks for cycles of garbage after every 2000 new objects; nearly all of a playbook's stay, so that cost a tenth of a run with many tasks."""
    # What is there now is there for good, and is not looked at again, which also leaves its memory shared with the workers.
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


class ActionModule(ActionBase):
    """Runs the module that the task names."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        module = self._module_name()
        arguments = _apply_action_arg_defaults(module, self._task, dict(self._task.args), self._templar)
        if reason := self._ordinary_because(variables):
            display.vvv(f"{module} runs the ordinary way: {reason}", host=self._task.delegate_to or variables.get("inventory_hostname"))
            return {**result, **self._run_ordinary(arguments, variables)}
        return {**result, **self._run_here(module, arguments, variables)}

    def _module_name(self) -> str:
        """The module's full name. The task has it as the user wrote it, which may be the short name under ``collections:``."""
        found = self._shared_loader_obj.module_loader.find_plugin_with_context(self._task.action, collection_list=self._task.collections)
        return str(found.resolved_fqcn)

    def _ordinary_because(self, variables: Mapping[str, Any]) -> str:
        """Why the task cannot or shall not run in this worker; empty when it can."""
        wanted = variables.get("trinode_in_process", os.environ.get("TRINODE_IN_PROCESS") or True)
        if not boolean(self._templar.template(wanted)):
            return "trinode_in_process is false"
        if self._task.async_val:
            return "it is asynchronous"
        if self._connection.transport not in ("local", "ansible.builtin.local"):
            return f"its connection is {self._connection.transport}"
        if self._connection.become:
            return "it becomes another user"
        interpreter = self._interpreter(variables)
        if interpreter and not _is_this_python(interpreter):
            return f"its Python is {interpreter}"
        return ""

    def _interpreter(self, variables: Mapping[str, Any]) -> str:
        """The Python that the user asks for on this host; empty when Ansible may choose."""
        if self._task.delegate_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        interpreter = str(self._templar.template(variables.get("ansible_python_interpreter") or ""))
        return "" if interpreter.startswith("auto") else interpreter

    def _run_ordinary(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        wrap_async = bool(self._task.async_val and not self._connection.has_native_async)
        result: dict[str, Any] = self._execute_module(module_args=arguments, task_vars=variables, wrap_async=wrap_async)
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _run_here(self, module: str, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        self._update_module_args(self._task.action, arguments, variables)
        encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
        parameters = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, cls=encoder).encode()
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)

        collection, name = module.rsplit(".", 1)
        program = f"ansible_collections.{collection}.plugins.modules.{name}"
        with _listening(str(variables.get("inventory_hostname", ""))), _surroundings(environment, self._loader.get_basedir()):
            output = _call_main(program, parameters)

        parsed = self._parse_returned_data(output, _PROFILE)
        if isinstance(parsed, dict):  # before core 2.21
            from ansible.vars.clean import remove_internal_keys  # noqa: PLC0415  later cores do not have it

            remove_internal_keys(parsed)
            return parsed
        parsed.remove_internal_keys()
        return dict(parsed.as_result_dict(for_round_trip=True))


def _is_this_python(interpreter: str) -> bool:
    """Whether ``interpreter`` is the Python that runs Ansible, in the same environment (all environments' Pythons may be links to one file)."""
    path = shutil.which(os.path.expanduser(interpreter)) or interpreter
    return all(os.path.realpath(part(path)) == os.path.realpath(part(sys.executable)) for part in (os.path.dirname, str))


@contextlib.contextmanager
def _listening(host: str) -> Iterator[None]:
    """Show the module's progress lines to the person who watches, each with its host, and end with the playbook when that is killed."""

    def show(line: str) -> None:
        display.display(f"  {host} │ {line}", color=constants.COLOR_VERBOSE)

    command.end_with_parent()
    progress.listen(show if _WATCHED else None)
    try:
        yield
    finally:
        progress.listen(None)


@contextlib.contextmanager
def _surroundings(environment: Mapping[str, Any], directory: str) -> Iterator[None]:
    """The task's ``environment`` and the playbook's directory for the call, as the local connection has them; afterwards all is as before."""
    saved_environment = dict(os.environ)
    saved_globals = {name: getattr(basic, name) for name in ("_ANSIBLE_ARGS", "_ANSIBLE_PROFILE", "_PARSED_MODULE_ARGS", "atexit")}
    saved_directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    endings = _Endings()
    os.environ.update({name: str(value) for name, value in environment.items()})
    basic.atexit = endings
    try:
        os.chdir(directory)
        yield
    finally:
        endings.run()
        for name, value in saved_globals.items():
            setattr(basic, name, value)
        os.fchdir(saved_directory)
        os.close(saved_directory)
        if os.environ != saved_environment:
            os.environ.clear()
            os.environ.update(saved_environment)


class _Endings:
    """AnsibleModule's ``atexit`` during a call. A worker leaves without running exit handlers, so its temporary directories would stay."""

    def __init__(self) -> None:
        self._calls: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = []

    def register(self, function: Callable[..., object], *arguments: Any, **keywords: Any) -> None:
        self._calls.append((function, arguments, keywords))

    def run(self) -> None:
        while self._calls:
            function, arguments, keywords = self._calls.pop()
            with contextlib.suppress(OSError):
                function(*arguments, **keywords)


def _call_main(program: str, parameters: bytes) -> dict[str, Any]:
    """Call a module's ``main()`` and return what a process would have left: stdout and stderr as text, and the exit code."""
    basic._ANSIBLE_ARGS = parameters
    basic._ANSIBLE_PROFILE = _PROFILE
    stdout, stderr = io.StringIO(), io.StringIO()
    code: object = None
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            try:
                importlib.import_module(program).main()
                raise RuntimeError("New-style module did not handle its own exit.")  # noqa: TRY301  the words of an ordinary module's failure
            except Exception as error:  # noqa: BLE001  whatever a module raises becomes its failure
                _loader._handle_exception(error, _PROFILE)
        except SystemExit as ending:
            code = ending.code
    return {"stdout": stdout.getvalue(), "stderr": stderr.getvalue(), "rc": code if isinstance(code, int) else int(code is not None)}


# Strategies load this file in the parent process, before they fork a worker for a task. So these happen once in a playbook: the parent still has
# the terminal, and what it imports and remembers, all workers have.
_WATCHED = _watched()
_import_modules()
_rehearse()
_collect_seldom()
