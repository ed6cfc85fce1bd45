"""A check for readers: a table and the failures in the terminal, a JSON file for programs, one HTML page.

- `numbers`: how errors and times are written, alike in all of them;
- `table`: the terminal;
- `as_json`: the file, whose schema stands at its top;
- `page`, `picture`, `style`: the HTML page.
"""

from __future__ import annotations
