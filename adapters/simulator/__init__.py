"""The simulated provider: a process of its own that shares no code with what it judges."""
