"""``models``: what the server has."""

from typing import TypeAlias
from urllib.parse import quote

from typing_extensions import Unpack

from ponant.api.models import BaseModelCard, DeleteModelOut, FTModelCard, ModelCard, ModelList
from ponant.client.call import Call, OptionParameters, Options, fields
from ponant.client.resource import Resource, answered, answered_async
from ponant.client.tolerance import reader, tolerant_adapter
from ponant.client.unset import UNSET, OptionalNullable

AnyModelCard: TypeAlias = BaseModelCard | FTModelCard

_PATH = "/v1/models"


class Models(Resource):
    """The models that a server has."""

    def _list(
        self,
        *,
        provider: OptionalNullable[str] = UNSET,
        model: OptionalNullable[str] = UNSET,
        **options: Unpack[OptionParameters],
    ) -> Call[ModelList]:
        """List the models.

        Args:
            provider: Only those of this owner.
            model: Only those of this name or alias.

        Raises:
            SDKError: The server refused the request or failed.
        """
        query = fields(nullable={}, optional={"provider": provider, "model": model})
        return Call("GET", _PATH, reader(ModelList), Options(**options), query=query)

    def _retrieve(self, *, model_id: str, **options: Unpack[OptionParameters]) -> Call[AnyModelCard]:
        """Describe a model.

        Args:
            model_id: Its name or alias.

        Raises:
            SDKError: There is no such model (404), or the server refused the request or failed.
        """
        return Call("GET", f"{_PATH}/{quote(model_id, safe='')}", _read_card, Options(**options))

    def _delete(self, *, model_id: str, **options: Unpack[OptionParameters]) -> Call[DeleteModelOut]:
        """Delete a fine-tuned model.

        Args:
            model_id: Its name or alias.

        Raises:
            SDKError: There is no such model (404), it is a base model (400), or the server failed.
        """
        return Call("DELETE", f"{_PATH}/{quote(model_id, safe='')}", reader(DeleteModelOut), Options(**options))

    list = answered(_list)
    list_async = answered_async(_list)
    retrieve = answered(_retrieve)
    retrieve_async = answered_async(_retrieve)
    delete = answered(_delete)
    delete_async = answered_async(_delete)


def _read_card(body: str | bytes) -> AnyModelCard:
    card: AnyModelCard = tolerant_adapter(ModelCard).validate_json(body)
    return card
