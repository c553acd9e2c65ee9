"""The messages between Nova's workers and the trusted process, in the frames of `cosmos.sandbox.wire`.

| kind | from    | values |
|------|---------|--------|
| `J`  | trusted | "script", seconds of processor time, its text, its name, the function, the limits; |
|      |         | or "templates", the seconds |
| `C`  | worker  | a verb, then its arguments |
| `A`  | trusted | the answer: true, false or nil; and a value |
| `T`  | trusted | a template, and its variables as JSON |
| `A`  | worker  | of templates: true, the text; or false, what is wrong, and in which line |
| `O`  | worker  | how a script ended, and why; the last message |

A worker is not trusted: a message with any content can do no more than a script may do anyway.
"""

from __future__ import annotations

from cosmos.hints import Final

CALL: Final = b"C"
ANSWER: Final = b"A"
TEMPLATE: Final = b"T"
