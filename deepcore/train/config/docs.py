"""The page on settings, written from the schema: ``python -m deepcore.train.config.docs [FILE]``.

`tests/test_config.py` says when the page has to be written again.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from deepcore.train.config.check import KINDS, MOST_FAULTS, choices_of, expected
from deepcore.train.config.settings import DATA_DEFAULTS, OPTIMIZER_DEFAULTS, SCHEDULE_DEFAULTS, TrainConfig

PAGE = Path("docs") / "config.md"

INTRODUCTION = f"""\
# Settings of a training

Written by `python -m deepcore.train.config.docs` from the schema; do not edit it by hand.

Settings stand in a TOML file, without tables:

```toml
data = "mnist"
epochs = 10
schedule = "cosine"
flip = false
```

```bash
deepcore train --config mine.toml --epochs 3 --set clip_norm=1.0
```

What the command line names wins over the file; what neither names has the default that suits the data set, the
optimizer and the schedule. `deepcore train --help` lists the settings that have an option of their own; `--set
KEY=VALUE` takes every setting, and may be repeated. Texts need no quotes there.

The run folder keeps all settings, the defaults too, in `config.toml`. `deepcore train --config RUN/config.toml` trains
the same once more, bit for bit on the same kind of device. In Python, `TrainConfig.resolve({{"epochs": 3}})` and
`TrainConfig.resolve(read_toml("mine.toml"))` of `deepcore.train.config` give the same settings.

A setting that is unknown, of a wrong type, impossible, or in conflict with another one is an error, and nothing is
begun. All of them are named at once (up to {MOST_FAULTS}), each with its line:

```
error: mine.toml:2: unknown setting 'epoch'. Did you mean 'epochs'?
mine.toml:5: lr: expected more than 0; got nan.
mine.toml:6: nesterov: expected true or false; got 1.
```

A whole number will do where a number with a fraction is expected; nothing else is turned into another type.
`nesterov` needs `optimizer = "sgd"` and a `momentum` of more than 0.

## All settings
"""


def page() -> str:
    """The page as Markdown."""
    lines = [INTRODUCTION, "| setting | type | default | may be | meaning |", "|---|---|---|---|---|"]
    lines += [_row(setting) for setting in fields(TrainConfig)]
    lines += ["", "## Defaults that differ", ""]
    lines += ["| where | settings |", "|---|---|"]
    tables = (("data", DATA_DEFAULTS), ("optimizer", OPTIMIZER_DEFAULTS), ("schedule", SCHEDULE_DEFAULTS))
    for name, choices in tables:
        lines += [f"| `{name} = {_toml(key)}` | {_settings(values)} |" for key, values in choices.items() if values]
    lines += ["", "Where several name a setting, the later in this table is taken."]
    return "\n".join(lines) + "\n"


def _row(setting: Field[Any]) -> str:
    kind = KINDS[str(setting.type)].removeprefix("a ")
    may_be = ", ".join(f"`{choice}`" for choice in choices_of(setting)) or expected(setting)
    return f"| `{setting.name}` | {kind} | `{_toml(setting.default)}` | {may_be} | {setting.metadata['meaning']} |"


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name} = {_toml(value)}`" for name, value in values.items())


def _toml(value: Any) -> str:
    """A value as it stands in a TOML file."""
    import tomli_w

    return tomli_w.dumps({"x": value}).partition("=")[2].strip()


def main(arguments: Sequence[str]) -> int:
    """Write the page; returns the exit status."""
    file = Path(arguments[0]) if arguments else PAGE
    if not file.parent.is_dir():
        print(f"deepcore.train.config.docs: there is no folder {file.parent}; give a file to write", file=sys.stderr)
        return 2
    file.write_text(page(), encoding="utf-8")
    print(f"written: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
