"""Which folders of a data set are its splits, in whatever case and spelling people use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from compressor.errors import InputError

WHERE = "task.data.folder"
TEST_SHARE = 0.2
_WORDS = {
    "train": "train(?:ing)?|trn",
    "test": "test(?:ing)?|tst",
    "validation": "val(?:id|idation|idate)?|dev(?:el|elopment)?|eval(?:uation)?|hold[ _-]?out",
}
_THINGS = "(?:data|data[ _-]?set|sets?|splits?|images?|imgs?|pictures?|pics?|photos?|samples?|folder|dir)"
_ROLES = {
    role: re.compile(rf"\d*[\W_]*(?:{_THINGS}[\W_]*)?(?:{words})[\W_]*{_THINGS}?[\W_]*\d*")
    for role, words in _WORDS.items()
}
_SHORT = {"train": ("tr",), "test": ("te", "ts"), "validation": ("va", "vl")}
"""Said only by a folder that holds nothing else: among others they may be classes, languages say."""
_TRAINING = re.compile("training|train|trn")
_COUNTERPARTS = {"test": ("test", "testing", "tst"), "validation": ("val", "valid", "validation", "dev", "eval")}
_SETS = {"train": "a training set", "test": "a test set"}


@dataclass(frozen=True)
class Splits:
    """The folders of training and of test pictures, and the names of the folders beside them that are not read."""

    train: Path
    test: Path
    unread: tuple[str, ...]


def role_of(name: str) -> str | None:
    """`train`, `test` or `validation` for a name that people give such a folder (`Training_Set`, `val2017`).

    >>> role_of("TEST-images"), role_of("trainer")
    ('test', None)
    """
    return next((role for role, words in _ROLES.items() if words.fullmatch(name.casefold())), None)


def find(folder: Path, names: Sequence[str], test: float | str | None, classes: Sequence[str] | None) -> Splits | None:
    """The splits among the folders `names` in `folder`; None where all of them are classes.

    test: `data.test`, a folder's name where it is text. classes: those that the file lists.

    Raises:
        InputError: names that could be either, a split without its counterpart, two of one kind, a wrong `test`.
    """
    plain = _by_role(names)
    roles = plain if any(plain.values()) else _paired(names)
    short = {role: [name for name in sorted(names) if name.casefold() in words] for role, words in _SHORT.items()}
    if short["train"] and len(names) > 1 and sum(map(len, short.values())) == len(names):
        roles = plain = short
    if isinstance(test, str):
        return _named(folder, names, roles["train"], test)
    taken = [name for role in roles.values() for name in role]
    if not taken or (classes is not None and set(taken) <= set(classes)):
        return None
    for role in ("train", "test"):
        if len(roles[role]) > 1:
            one, other = roles[role][:2]
            if roles is not plain:
                looks = f"has {one}/ and {other}/, which look like parts of {_SETS[role]}"
                todo = "put the class folders into one train/ and one test/; if they are classes, write "
                todo += _as_classes(names)
                raise InputError(WHERE, f"{str(folder)!r} {looks}", todo)
            todo = "leave one of them in the folder"
            raise InputError(WHERE, f"{str(folder)!r} has both {one}/ and {other}/, which mean the same", todo)
    if not (roles["train"] and roles["test"]):
        raise _half(folder, roles, [name for name in names if name not in taken], sorted(names))
    (train,), (tested,) = roles["train"], roles["test"]
    if test is not None:
        what = f"has no effect, since {str(folder)!r} has a {tested}/ of its own"
        raise InputError("task.data.test", what, "leave it out")
    return _beside(folder, train, tested, names)


def _paired(names: Sequence[str]) -> dict[str, list[str]]:
    """Names of training that stand there with `test` in its place too (`seg_train`, `seg_test`; `trainA`, `testA`)."""
    found: dict[str, list[str]] = {role: [] for role in _WORDS}
    folded = {name.casefold(): name for name in sorted(names)}
    for name, shown in folded.items():
        for word in _TRAINING.finditer(name):
            for role, others in _COUNTERPARTS.items():
                beside = (folded.get(name[: word.start()] + other + name[word.end() :]) for other in others)
                if one := next(filter(None, beside), None):
                    found["train"].append(shown)
                    found[role].append(one)
    return {role: list(dict.fromkeys(held)) for role, held in found.items()}


def _by_role(names: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {role: [] for role in _WORDS}
    for name in sorted(names):
        if role := role_of(name):
            found[role].append(name)
    return found


def _beside(folder: Path, train: str, test: str, names: Sequence[str]) -> Splits:
    return Splits(folder / train, folder / test, tuple(name for name in sorted(names) if name not in (train, test)))


def _named(folder: Path, names: Sequence[str], train: Sequence[str], test: str) -> Splits:
    where = "task.data.test"
    if test not in names:
        others = [name for name in names if name not in train]
        near = get_close_matches(test, others, n=1) or _by_role(others)[role_of(test) or "test"]
        todo = f"did you mean {near[0]}" if near else "write the name of a folder in it, a share, or a count"
        raise InputError(where, f"{str(folder)!r} holds no folder {test!r}", todo)
    others = [name for name in train if name != test]
    if len(others) != 1:
        what = f"names {test!r}, and {str(folder)!r} has {' and '.join(others) or 'no train/'} beside it"
        raise InputError(where, what, "put the training pictures into one folder, train/")
    return _beside(folder, others[0], test, names)


def _half(folder: Path, roles: dict[str, list[str]], others: Sequence[str], names: Sequence[str]) -> InputError:
    """A split whose counterpart is missing, or a class that is called like a split."""
    train, test, validation = (roles[role][:1] for role in ("train", "test", "validation"))
    there, missing = (train, "test") if train else (test or validation, "train")
    todo = f"add {missing}/"
    if train and validation:
        there = [train[0], validation[0]]
        todo = f"write data: {{folder: …, test: {validation[0]}}} to test on {validation[0]}/, or add test/"
    elif train and not others:
        todo += f", or name the folder of class folders itself and say test: {TEST_SHARE}"
    if others:
        todo += f"; if it is a class, write {_as_classes(names)}"
    return InputError(
        WHERE, f"{str(folder)!r} has {' and '.join(f'{name}/' for name in there)} but no {missing}/", todo
    )


def _as_classes(names: Sequence[str]) -> str:
    return f"classes: [{', '.join([*sorted(names)[:5], *(['…'] if len(names) > 5 else [])])}]"
