"""Models of a server."""

from typing import TypeAlias
from urllib.parse import quote

from typing_extensions import Unpack

from ponant.api.fine_tuning import ArchiveFTModelOut, CompletionFTModelOut, UnarchiveFTModelOut
from ponant.api.models import BaseModelCard, DeleteModelOut, FTModelCard, ModelCard, ModelList
from ponant.client.call import Call, OptionParameters, Options, fields
from ponant.client.lenient import lenient_adapter, reader
from ponant.client.resource import Resource, answered, answered_async
from ponant.client.unset import UNSET, OptionalNullable

AnyModelCard: TypeAlias = BaseModelCard | FTModelCard

_PATH = "/v1/models"


class Models(Resource):
    """Models of a server."""

    def _list(
        self,
        *,
        provider: OptionalNullable[str] = UNSET,
        model: OptionalNullable[str] = UNSET,
        **options: Unpack[OptionParameters],
    ) -> Call[ModelList]:
        """List the models.

        Args:
            provider: Owner of the models to list.
            model: Name or alias of the models to list.

        Returns:
            The list of models.

        Raises:
            SDKError: The server refused the request or failed.
        """
        query = fields(nullable={}, optional={"provider": provider, "model": model})
        return Call("GET", _PATH, reader(ModelList), Options(**options), query=query)

    def _retrieve(self, *, model_id: str, **options: Unpack[OptionParameters]) -> Call[AnyModelCard]:
        """Describe a model.

        Args:
            model_id: Name or alias of the model.

        Returns:
            The model's card.

        Raises:
            SDKError: The model does not exist (404), or the server refused the request or failed.
        """
        return Call("GET", _path(model_id), _read_card, Options(**options))

    def _delete(self, *, model_id: str, **options: Unpack[OptionParameters]) -> Call[DeleteModelOut]:
        """Delete a fine-tuned model.

        Args:
            model_id: Name or alias of the model.

        Raises:
            SDKError: The model does not exist (404), it is a base model (400), or the server failed.
        """
        return Call("DELETE", _path(model_id), reader(DeleteModelOut), Options(**options))

    def _update(
        self,
        *,
        model_id: str,
        name: OptionalNullable[str] = UNSET,
        description: OptionalNullable[str] = UNSET,
        **options: Unpack[OptionParameters],
    ) -> Call[CompletionFTModelOut]:
        """Change the name or the description of a fine-tuned model.

        Args:
            model_id: Id of the model.
            name: New name.
            description: New description.

        Returns:
            The changed model.

        Raises:
            SDKError: The model does not exist (404), it is a base model (400), or the server failed.
        """
        body = fields(nullable={"name": name, "description": description}, optional={})
        return Call("PATCH", _fine_tuned_path(model_id), reader(CompletionFTModelOut), Options(**options), body)

    def _archive(self, *, model_id: str, **options: Unpack[OptionParameters]) -> Call[ArchiveFTModelOut]:
        """Archive a fine-tuned model, which is kept and answers no more requests.

        Args:
            model_id: Id of the model.

        Raises:
            SDKError: The model does not exist (404), it is a base model (400), or the server failed.
        """
        path = f"{_fine_tuned_path(model_id)}/archive"
        return Call("POST", path, reader(ArchiveFTModelOut), Options(**options))

    def _unarchive(self, *, model_id: str, **options: Unpack[OptionParameters]) -> Call[UnarchiveFTModelOut]:
        """Restore an archived model, which answers requests again.

        Args:
            model_id: Id of the model.

        Raises:
            SDKError: The model does not exist (404), it is a base model (400), or the server failed.
        """
        path = f"{_fine_tuned_path(model_id)}/archive"
        return Call("DELETE", path, reader(UnarchiveFTModelOut), Options(**options))

    list = answered(_list)
    list_async = answered_async(_list)
    retrieve = answered(_retrieve)
    retrieve_async = answered_async(_retrieve)
    delete = answered(_delete)
    delete_async = answered_async(_delete)
    update = answered(_update)
    update_async = answered_async(_update)
    archive = answered(_archive)
    archive_async = answered_async(_archive)
    unarchive = answered(_unarchive)
    unarchive_async = answered_async(_unarchive)


def _path(model_id: str) -> str:
    return f"{_PATH}/{quote(model_id, safe='')}"


def _fine_tuned_path(model_id: str) -> str:
    return f"/v1/fine_tuning/models/{quote(model_id, safe='')}"


def _read_card(body: str | bytes) -> AnyModelCard:
    card: AnyModelCard = lenient_adapter(ModelCard).validate_json(body)
    return card
