"""Reports through Python's own channels: warnings and the loops' exception handlers."""


def install():
    """Switch the reports on."""


def remove():
    """Switch the reports off."""
