"""Starts the program in `runner/`, the folder beside this file: `python run.py --help` tells what it does.

Nothing else that lies beside this file, in the bundle or in the current folder is imported: those folders are taken off
the import path before the first import (so there is no `from __future__`, which is one), and of `runner/` only source
files are read, never compiled ones. What Python itself imports before it reads this file (`sitecustomize`, and with
`-m` the modules that find this one) is beyond it.
"""

import sys

if __name__ == "__main__":
    _path = sys.path[:]
    sys.path[:] = [entry for entry in _path[1:] if entry not in ("", ".")]
    import os

    def _real(folder: str) -> str:
        try:
            return os.path.normcase(os.path.realpath(folder))
        except OSError:  # the current folder is gone
            return folder

    _words = [word.partition("=") for word in sys.argv[1:]]
    _bundles = [
        value or after[0]
        for (name, _, value), after in zip(_words, [*_words[1:], ("", "", "")])  # noqa: B905  # strict= is Python 3.10
        if len(name) > 3 and "--bundle".startswith(name)
    ]
    _here = os.path.dirname(_real(__file__))
    _own = {_real(folder) for folder in (os.path.dirname(__file__) or ".", _here, *_bundles)}
    if os.path.basename(_real(".")) not in ("site-packages", "dist-packages"):
        _own.add(_real("."))
    sys.path[:] = [entry for entry in _path if os.path.isabs(entry) and _real(entry) not in _own]

    def _last_words(kind: type, error: BaseException, trace: object) -> None:
        if issubclass(kind, KeyboardInterrupt) and sys.stderr is not None:
            sys.stderr.write("run.py: interrupted before anything was begun\n")
        else:
            sys.__excepthook__(kind, error, trace)

    sys.excepthook = _last_words

    from importlib.machinery import ModuleSpec, SourceFileLoader
    from importlib.util import spec_from_file_location

    class _Source(SourceFileLoader):
        """Compiles a file each time: a compiled one that lies there need not be of this source."""

        def get_code(self, fullname: str):  # type: ignore[no-untyped-def]
            try:
                return self.source_to_code(self.get_data(self.path), self.path)
            except (OSError, SyntaxError, ValueError):
                if sys.stderr is not None:
                    problem = "is missing or damaged; copy the bundle again, the folder runner/ with run.py"
                    sys.stderr.write(f"run.py: {ascii(self.path)[1:-1]}: {problem}\n")
                sys.exit(4)

    class _Runner:
        """Finds `runner` and its files, and nothing else, in the folder beside this file."""

        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
            package, _, file = name.partition(".")
            if package != "runner":
                return None
            place = os.path.join(_here, package, f"{file or '__init__'}.py")
            return spec_from_file_location(
                name, place, loader=_Source(name, place), submodule_search_locations=None if file else []
            )

    sys.meta_path.insert(0, _Runner)
    from runner.start import start

    sys.exit(start(_real(__file__)))
