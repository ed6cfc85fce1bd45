"""Files of settings and command lines at random: bytes, damaged files, wrong trees, very deep and very large things.

`python tests/config_fuzz.py CASES SEED` runs many and prints how they ended.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from deepcore.errors import ConfigError
from deepcore.train.config import Settings, TrainConfig, from_command_line, read_toml, setting_names
from deepcore.train.config.source import key_lines

LIMIT_S = 2.0  # of one case, on a machine that does other things as well; most take a millisecond
GOOD = TrainConfig().to_toml().encode()
NAMES = setting_names()


def random_bytes(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice([0, 1, 10, 200, 3000]))


def marks(rng: random.Random) -> bytes:
    """The marks of TOML's grammar in any order, which come further into a reader than bytes do."""
    pieces = [
        '"""',
        "'''",
        '"',
        "'",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "\r\n",
        "#",
        ".",
        ",",
        "\\",
        "a",
        "epochs",
        "1",
        " ",
    ]
    return "".join(rng.choices(pieces, k=rng.randrange(60))).encode()


def damaged(rng: random.Random) -> bytes:
    """A good file with a few bytes changed, taken out, put in or repeated."""
    text = bytearray(GOOD)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(text))
        how = rng.randrange(4)
        if how == 0:
            text[at] = rng.randrange(256)
        elif how == 1:
            del text[at : at + rng.randrange(1, 30)]
        elif how == 2:
            text[at:at] = rng.choice([b"=", b"[", b'"', b"'''", b"\n", b"#", b"nan", b"\xff", b"-", b"e9", b"{}"])
        else:
            text[at:at] = text[rng.randrange(at + 1) : at]
    return bytes(text)


def value(rng: random.Random, depth: int = 0) -> str:
    """A value of any type, as TOML writes it."""
    plain: list[Callable[[], str]] = [
        lambda: str(rng.randrange(-3, 100)),
        lambda: str(rng.choice([1, -1]) * rng.randrange(10 ** rng.choice([5, 18, 19, 20, 300, 309, 1800]))),
        lambda: "0x" + "F" * rng.choice([1, 15, 16, 17, 1900]),
        lambda: rng.choice(["nan", "-nan", "inf", "-inf", "-0.0", "1e308", "1e999", "-1e-999", "5e-324", "0.5", "1.0"]),
        lambda: rng.choice(["true", "false"]),
        lambda: '"' + rng.choice(["", "adam", "sgd", "mlp", "\\u0000", "\\U0001F600", "x" * 1500, "cosin", "1"]) + '"',
        lambda: "'''\nepochs = 3\n'''",
        lambda: rng.choice(["1979-05-27", "07:32:00", "1979-05-27T07:32:00Z"]),
        lambda: "[" * (n := rng.choice([5, 80, 400, 900])) + "]" * n,
        lambda: "{a=" * (n := rng.choice([5, 80, 300])) + "1" + "}" * n,
    ]
    nested: list[Callable[[], str]] = [
        lambda: "[" + ",\n".join(value(rng, depth + 1) for _ in range(rng.randrange(4))) + "]",
        lambda: "{" + ", ".join(f"k{i} = {value(rng, depth + 1)}" for i in range(rng.randrange(3))) + "}",
    ]
    return rng.choice(plain + nested if depth < 4 else plain)()


def key(rng: random.Random) -> str:
    kinds = [rng.choice(NAMES)] * 4 + [
        rng.choice(NAMES)[:-1] or "x",
        f'"{rng.choice(NAMES)}"',
        f"{rng.choice(NAMES)}.{rng.choice(NAMES)}",
        '""',
        '"a = b # c"',
        ".".join("a" * rng.choice([2, 500, 900])),
        "k" * rng.choice([1, 1500]),
    ]
    return rng.choice(kinds)


def tree(rng: random.Random) -> bytes:
    """A file whose statements are good TOML each, of any type and depth; some keys stand there twice."""
    lines = [f"{key(rng)} = {value(rng)}" for _ in range(rng.choice([1, 2, 5, 400]))]
    for _ in range(rng.randrange(3)):
        lines.insert(
            rng.randrange(len(lines) + 1), rng.choice(["", "# epochs = 3", "[table]", "[[a.b]]", '["x#"] # y'])
        )
    return "\n".join(lines).encode()


def good_settings(rng: random.Random) -> bytes:
    """Single settings of a good file, so that reading often succeeds."""
    lines = [line for line in GOOD.splitlines() if b"=" in line]
    return b"\n".join(rng.sample(lines, rng.randrange(len(lines)))) + rng.choice([b"", b"\nnesterov = true"])


def command_line(rng: random.Random) -> list[str]:
    if rng.randrange(3) == 0:  # what can be, which chance alone hardly finds
        return rng.sample(["epochs=3", "lr = 1e-3", "flip=true", "model=mlp", "keep=1_0"], 3)
    texts = ["1", "-1", "nan", "1e999", "true", "", "adam", "\udcff", "9" * 5000, "=", "1_0", "٣", "0x10", "[1]"]
    return [f"{rng.choice([*NAMES, 'x', ''])}{rng.choice(['=', ' = ', ''])}{rng.choice(texts)}" for _ in range(3)]


FILES = (random_bytes, marks, damaged, tree, tree, good_settings)


def run(seed: int, cases: int, folder: Path) -> Counter[str]:
    """How many of the cases were taken and refused; raises AssertionError where one ended in any other way."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    path = folder / "random.toml"
    for case in range(cases):
        where = f"seed {seed}, case {case}"
        if case % 7 == 6:
            texts = command_line(rng)
            outcomes["line " + _outcome(lambda texts=texts: from_command_line({}, texts), "--set", where)] += 1
            continue
        make = FILES[case % 7]
        content = make(rng)
        path.write_bytes(content)
        outcomes["file " + _outcome(lambda: read_toml(path), str(path), where)] += 1
        _check_lines(content, where)
    return outcomes


def _outcome(read: Callable[[], Settings], place: str, where: str) -> str:
    started = time.perf_counter()
    try:
        TrainConfig.resolve(read())
        return "taken"
    except ConfigError as error:
        lines = str(error).split("\n")
        for line in lines:
            assert line.startswith((place, "nesterov: ", "... and ")), f"{where}: {line!r}"
            assert len(line) < 500, f"{where}: {line!r}"
        return "refused"
    except Exception as error:
        raise AssertionError(f"{where}: {type(error).__name__}") from error
    finally:
        seconds = time.perf_counter() - started
        assert seconds < LIMIT_S, f"{where}: {seconds:.1f} s"


def _check_lines(content: bytes, where: str) -> None:
    """What stands before the line of a key is TOML without that key, and with the line's statement the key is there."""
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
        given = tomllib.loads(text)
    except (ValueError, RecursionError):
        return
    found = key_lines(text)
    assert set(found) == set(given), where
    lines = text.split("\n")
    for name, line in list(found.items())[:10]:
        assert name not in tomllib.loads("\n".join(lines[: line - 1])), f"{where}: {name!r}"


if __name__ == "__main__":
    cases, seed = map(int, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as home:
        print(dict(run(seed, cases, Path(home))))
