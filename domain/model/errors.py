"""The root of every broken rule."""


class DomainError(Exception):
    """A rule of the domain was broken; its subclasses are defined beside what raises them."""
