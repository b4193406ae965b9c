"""What every table is made of."""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Numeric, Sequence

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Every subject of due work draws its id here, so that one narrow key serves them all.
subject_ids: Final = Sequence("subject_ids", metadata=metadata)


def subject_id() -> "Column[int]":
    return Column("id", BigInteger, primary_key=True, server_default=subject_ids.next_value())


def money(name: str, **options: Any) -> "Column[Any]":
    return Column(name, Numeric(38, 18), **options)


def moment(name: str, **options: Any) -> "Column[Any]":
    return Column(name, DateTime(timezone=True), **options)
