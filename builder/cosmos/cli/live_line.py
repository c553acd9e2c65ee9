"""The line of a terminal on which long work shows how far it is; each state is drawn over the one before.

    [#########...............] 12.3 MiB of 61.0 MiB  4.2 MiB/s  12 s left  zlib-1.3.1

It is drawn at most ten times a second, first a tenth of a second after the work began, and only if it differs. A thread
draws it once more while the work says nothing, so that the seconds count on. The rate is that of the last seconds. The
time that is left follows from this rate: it is not shown before there is a rate, and grows if the work stalls.

The line is never as wide as the terminal: a line that wraps cannot be drawn over. If the window becomes narrower than
the drawn line, a terminal may wrap it. The wrapped part stays, because to erase it could erase what was said before.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

from cosmos.model.home_settings import shown_size
from cosmos.model.reporter import Unit

_DRAWN_SECONDS: Final = 0.1  # between two drawings
_TICK_SECONDS: Final = 0.25  # between two looks of the thread
_BAR: Final = 24  # columns of the bar, where the terminal is wide enough
_LEAST_NAME: Final = 16  # columns for the name beside it
_WINDOW_SECONDS: Final = 10.0  # of which the rate is
_LEAST_SECONDS: Final = 2.0  # of work before a rate is told
_SAMPLE_SECONDS: Final = 0.25
_MINUTE: Final = 60
_HOUR: Final = 3600


class Pace:
    """How fast work goes, by what was done in the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, now: float, done: int) -> None:
        """Note how much was done `now`; less than before is other work."""
        seen = self._seen
        if seen and done < seen[-1][1]:
            seen.clear()
        if not seen or now - seen[-1][0] >= _SAMPLE_SECONDS:
            seen.append((now, done))
            while len(seen) > 2 and now - seen[1][0] > _WINDOW_SECONDS:
                seen.popleft()

    def rate(self, now: float, done: int) -> float:
        """Return how much is done in a second; 0 if that is not known."""
        if not self._seen:
            return 0.0
        begun, before = self._seen[0]
        return max(0.0, (done - before) / (now - begun)) if now - begun >= _LEAST_SECONDS else 0.0


class LiveLine:
    """The line of the work at hand. A caller that writes to the stream itself holds `lock`, and calls `erased` first.

    `ticks`: a thread draws while the work says nothing. A forked process has no thread, and draws nothing. A fork waits
    until the thread has drawn, because a child would keep the locks of a stream that the thread is writing to.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic, ticks: bool = False) -> None:
        self._stream, self._clock, self._ticks = stream, clock, ticks
        self._thread: threading.Thread | None = None
        self._is_over = threading.Event()
        self._is_left = False
        self.lock = threading.RLock()
        self._drawn, self._drawn_at = "", clock()
        self.rest()

    def rest(self) -> None:
        """Show nothing until the next work."""
        self._text: str | None = None
        self._figures: tuple[int, int, Unit] | None = None
        self._pace = Pace()

    def work(self, text: str) -> None:
        """Show `text`, the work that begins, and for how long it has gone on."""
        with self.lock:
            self.rest()
            self._text, self._since = text, self._clock()
            self._drawn_at = max(self._drawn_at, self._since)
            self._started()

    def progress(self, text: str, done: int, total: int, unit: Unit) -> None:
        """Show how far the work is."""
        with self.lock:
            now = self._clock()
            if self._text is None:
                self._since = now
            self._text, self._figures = text, (done, total, unit)
            self._pace.add(now, done)
            self.draw()
            self._started()

    def item(self, text: str) -> None:
        """Show which thing is in work."""
        with self.lock:
            self._figures, self._text, self._since = None, text, self._clock()
            self.draw()
            self._started()

    def draw(self) -> None:
        """Draw the line, unless it was drawn just now or would look the same."""
        now = self._clock()
        if self._text is None or self._is_left or now - self._drawn_at < _DRAWN_SECONDS:
            return
        columns = max(1, self._columns() - 1)
        line = self._line(now, columns)[:columns]
        if line == self._drawn:
            return
        self._stream.write(f"\r{line}\x1b[K")
        self._stream.flush()
        self._drawn, self._drawn_at = line, now

    def erased(self) -> str:
        """Return what erases the line, to be written before other text."""
        erasing = "\r\x1b[K" if self._drawn else ""
        self._drawn = ""
        return erasing

    def end(self) -> None:
        """Erase the line for good."""
        self._is_over.set()
        with self.lock:
            self.rest()
            if erasing := self.erased():
                self._stream.write(erasing)
                self._stream.flush()

    def _columns(self) -> int:
        """Return how wide the terminal is now; it is not asked for stdout, which may be a pipe."""
        try:
            found = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            found = 0
        return found or shutil.get_terminal_size().columns

    def _line(self, now: float, columns: int) -> str:
        text, seconds = self._text or "", now - self._since
        if self._figures is not None:
            done, total, unit = self._figures
            return progress_line(text, done, total, unit, self._pace.rate(now, done), seconds, columns)
        return f"{text}  {shown_seconds(seconds)}" if seconds >= 1 else text

    def _started(self) -> None:
        if self._ticks and self._thread is None and not self._is_left:
            os.register_at_fork(before=self.lock.acquire, after_in_parent=self.lock.release, after_in_child=self._leave)
            self._thread = threading.Thread(target=self._tick, daemon=True)
            self._thread.start()

    def _tick(self) -> None:
        while not self._is_over.wait(_TICK_SECONDS):
            with self.lock:
                try:
                    self.draw()
                except (OSError, ValueError):  # the terminal has gone, and the command itself will say so
                    return

    def _leave(self) -> None:
        """Draw nothing in a forked process. Its lock is a new one: the parent's thread took the old one."""
        self.lock, self._drawn, self._is_left = threading.RLock(), "", True


def progress_line(text: str, done: int, total: int, unit: Unit, rate: float, seconds: float, columns: int) -> str:
    """Return the line in at most `columns`: what there is no room for is left out, the figures last.

    If nothing can be said of the time that is left, the line says for how long the work has gone on.

    >>> progress_line("zlib-1.3.1", 3 << 20, 6 << 20, "bytes", 1 << 20, 3, 79)
    '[############............] 3.0 MiB of 6.0 MiB  1.0 MiB/s  3 s left  zlib-1.3.1'
    >>> progress_line("zlib-1.3.1", 3, 6, "things", 0.5, 3, 40)
    '[####....] 3 of 6  6 s left  zlib-1.3.1'
    >>> progress_line("resolve packages", 1234, 0, "things", 0, 9, 12)
    '1234  9 s'
    """
    shown = shown_size if unit == "bytes" else str
    parts = [f"{shown(done)} of {shown(total)}" if total else shown(done)]
    if rate >= 1:
        parts.append(f"{shown(round(rate))}/s")
    if rate > 0 and total > done:
        parts.append(f"{shown_seconds((total - done) / rate)} left")
    elif seconds >= _LEAST_SECONDS and (done < total or not total):
        parts.append(shown_seconds(seconds))
    while len(parts) > 1 and len("  ".join(parts)) > columns:
        del parts[1]  # the rate, then the time
    figures = "  ".join(parts)
    name = text[: max(0, columns - len(figures) - 2)]
    if len(name) < min(len(text), _LEAST_NAME):
        return figures[:columns]
    room = min(_BAR, columns - len(figures) - len(name[:_LEAST_NAME]) - 5) if total else 0
    if room > 0:
        filled = room * min(done, total) // total
        figures = f"[{'#' * filled}{'.' * (room - filled)}] {figures}"
    return f"{figures}  {text}"[:columns]


def shown_seconds(seconds: float) -> str:
    """Return a time as people say it, no finer than it can be known.

    >>> shown_seconds(7.2), shown_seconds(83), shown_seconds(754), shown_seconds(7_500)
    ('7 s', '1 min 25 s', '13 min', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < 10 * _MINUTE:
        whole = 5 * round(seconds / 5)
        return f"{whole // _MINUTE} min {whole % _MINUTE} s" if whole % _MINUTE else f"{whole // _MINUTE} min"
    minutes = round(seconds / _MINUTE)
    if minutes < _HOUR // _MINUTE:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
