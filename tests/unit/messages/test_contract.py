"""The contract that is checked in, against the models and against messages that they take."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from adapters.messages import MANY, NAMES
from adapters.messages.contract import contract
from tests.unit.messages.test_messages import WHOLE

WRITTEN = Path(__file__).parents[3] / "docs" / "asyncapi.yaml"


def schema_of(name: str) -> dict[str, Any]:
    document = contract()
    payload: dict[str, Any] = document["components"]["messages"][name]["payload"]
    return payload | {"$schema": "http://json-schema.org/draft-07/schema#", "components": document["components"]}


class TestTheContract:
    def test_is_the_one_that_is_written(self) -> None:
        assert yaml.safe_load(WRITTEN.read_text()) == contract(), (
            "python -m adapters.messages.contract > docs/asyncapi.yaml"
        )

    def test_has_every_message(self) -> None:
        document = contract()

        channels = document["channels"].items()
        of_channels = {name for _, channel in channels for name in channel["messages"]}
        assert set(document["components"]["messages"]) == of_channels == NAMES
        assert all(name.startswith(f"{queue}.") for queue, channel in channels for name in channel["messages"])

    @pytest.mark.parametrize("name", WHOLE)
    def test_allows_what_the_models_take(self, name: str) -> None:
        jsonschema.validate([[], dict(WHOLE[name]), None], schema_of(name))

    def test_allows_many_orders_without_a_merchant_of_their_own(self) -> None:
        order = {field: value for field, value in WHOLE["intake.register_order"].items() if field != "merchant"}

        jsonschema.validate([[], {"merchant": "shop", "orders": [order]}, {}], schema_of(MANY))

    @pytest.mark.parametrize(
        "wrong", [{"amount": 12.3}, {"amount": "1e3"}, {"order": ""}, {"kind": "x"}, {"checkout_timeout": 0}]
    )
    def test_forbids_what_they_refuse(self, wrong: dict[str, Any]) -> None:
        message = {**WHOLE["intake.register_order"], **wrong}

        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate([[], message, None], schema_of("intake.register_order"))
