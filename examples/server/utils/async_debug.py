from async_trace.debug import *  # noqa: F403
