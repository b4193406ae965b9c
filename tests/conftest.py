"""Fixtures that every test may ask for: a database of its own, and the brokers."""

pytest_plugins = ("tests.database", "tests.servers", "tests.integration.command_line", "tests.integration.mail_server")
