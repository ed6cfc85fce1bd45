"""Where the time of a program goes: per op and per module, forward and backward, on the host and on a GPU.

    with dc.profiler.profile() as p:
        for images, labels in loader:
            with dc.profiler.record_function("forward"):
                loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            p.step()
    print(p.table())                        # by op
    print(p.table(by="module"))
    p.export_chrome_trace("trace.json")     # for https://ui.perfetto.dev or chrome://tracing

docs/profiling.md says what is measured, and what measuring costs.
"""

from __future__ import annotations

from deepcore.autograd.observer import record_function
from deepcore.profiler.averages import Averages, EventList
from deepcore.profiler.profile import profile

__all__ = ["Averages", "EventList", "profile", "record_function"]
