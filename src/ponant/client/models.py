"""``models``: what the server has."""

from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import quote

from ponant.api.models import BaseModelCard, DeleteModelOut, FTModelCard, ModelCard, ModelList
from ponant.client.call import Call, Options, fields
from ponant.client.resource import Resource, answered, answered_async
from ponant.client.retries import RetryConfig
from ponant.client.tolerance import tolerant, tolerant_adapter
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
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: int | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> Call[ModelList]:
        """List the models.

        Args:
            provider: Only those of this owner.
            model: Only those of this name or alias.
            retries: Whether and how a request that fails is sent again, in place of the client's setting.
            server_url: Address of the server, in place of the client's.
            timeout_ms: How long the answer may take, in place of the client's setting.
            http_headers: Further headers.

        Raises:
            SDKError: The server refused the request or failed.
            NoResponseError: The server cannot be reached, the connection broke, or the time is over.
        """
        query = fields(nullable={}, optional={"provider": provider, "model": model})
        options = Options(retries, server_url, timeout_ms, http_headers)
        return Call("GET", _PATH, _read_list, options, query=query)

    def _retrieve(
        self,
        *,
        model_id: str,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: int | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> Call[AnyModelCard]:
        """Describe a model.

        Args:
            model_id: Its name or alias.
            retries: Whether and how a request that fails is sent again, in place of the client's setting.
            server_url: Address of the server, in place of the client's.
            timeout_ms: How long the answer may take, in place of the client's setting.
            http_headers: Further headers.

        Raises:
            SDKError: There is no such model (404), or the server refused the request or failed.
            NoResponseError: The server cannot be reached, the connection broke, or the time is over.
        """
        options = Options(retries, server_url, timeout_ms, http_headers)
        return Call("GET", f"{_PATH}/{quote(model_id, safe='')}", _read_card, options)

    def _delete(
        self,
        *,
        model_id: str,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: int | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> Call[DeleteModelOut]:
        """Delete a fine-tuned model.

        Args:
            model_id: Its name or alias.
            retries: Whether and how a request that fails is sent again, in place of the client's setting.
            server_url: Address of the server, in place of the client's.
            timeout_ms: How long the answer may take, in place of the client's setting.
            http_headers: Further headers.

        Raises:
            SDKError: There is no such model (404), it is a base model (400), or the server failed.
            NoResponseError: The server cannot be reached, the connection broke, or the time is over.
        """
        options = Options(retries, server_url, timeout_ms, http_headers)
        return Call("DELETE", f"{_PATH}/{quote(model_id, safe='')}", _read_deletion, options)

    list = answered(_list)
    list_async = answered_async(_list)
    retrieve = answered(_retrieve)
    retrieve_async = answered_async(_retrieve)
    delete = answered(_delete)
    delete_async = answered_async(_delete)


def _read_list(body: str | bytes) -> ModelList:
    return tolerant(ModelList).model_validate_json(body)


def _read_card(body: str | bytes) -> AnyModelCard:
    card: AnyModelCard = tolerant_adapter(ModelCard).validate_json(body)
    return card


def _read_deletion(body: str | bytes) -> DeleteModelOut:
    return tolerant(DeleteModelOut).model_validate_json(body)
