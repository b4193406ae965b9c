"""Secrets that are made at the first start and kept for their owner's eyes."""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

ADMIN_KEY: Final = "admin.key"
FLOWER_PASSWORD: Final = "flower.password"  # noqa: S105 - a file's name


def kept_secret(home: Path, name: str) -> str:
    """Return the secret in this file, made if it is not there yet.

    Whoever comes second finds it whole: it gets its name only when it has been written.
    """
    file = home / name
    if not file.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=home, prefix=f"{name}.")  # with mode 0600
        try:
            with os.fdopen(descriptor, "w") as kept:
                kept.write(secrets.token_urlsafe(24))
            file.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
    return file.read_text().strip()
