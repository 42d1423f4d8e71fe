"""``/v1/models``."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ponant.api.models import BaseModelCard, DeleteModelOut, FTModelCard, ModelCapabilities, ModelCard, ModelList
from ponant.catalog.catalog import Catalog, UnknownModelError
from ponant.catalog.fine_tuned import FineTunedModel
from ponant.catalog.served import ServedModel
from ponant.errors import InvalidRequestError
from ponant.fine_tuning.registry import ModelRegistry
from ponant.server.abilities import can_be_trained
from ponant.server.callers import caller_of
from ponant.server.errors import describe, error_response

OWNER = "ponant"
"""Owner of models whose file names no organization."""


def models_routes(catalog: Catalog, registry: ModelRegistry) -> APIRouter:
    """Return the routes of the models in ``catalog``. Fine-tuned ones are deleted from ``registry``."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/models", summary="List Models", response_model_exclude_unset=True)
    async def list_models(provider: str | None = None, model: str | None = None) -> ModelList:
        cards = [
            *(_base_card(catalog, model) for model in catalog.models),
            *(_fine_tuned_card(catalog, model) for model in catalog.fine_tuned),
        ]
        return ModelList(
            object="list",
            data=[
                card
                for card in cards
                if (provider is None or card.owned_by == provider)
                and (model is None or model in (card.id, *card.aliases))
            ],
        )

    @router.get(
        "/v1/models/{model_id:path}",
        summary="Retrieve Model",
        response_model=ModelCard,
        response_model_exclude_unset=True,
    )
    async def retrieve_model(model_id: str) -> ModelCard | Response:
        try:
            return _card(catalog, catalog.find(model_id))
        except UnknownModelError as error:
            return unknown_model(error)

    @router.delete(
        "/v1/models/{model_id:path}",
        summary="Delete Model",
        response_model=DeleteModelOut,
        response_model_exclude_unset=True,
    )
    async def delete_model(request: Request, model_id: str) -> DeleteModelOut | Response:
        try:
            model = catalog.find(model_id)
        except UnknownModelError as error:
            return unknown_model(error)
        if isinstance(model, FineTunedModel):
            await registry.remove(model.spec.id, caller_of(request.scope))
            return DeleteModelOut(id=model.spec.id, object="model", deleted=True)
        raise InvalidRequestError(
            f"{model.spec.id} is a base model: only fine-tuned models can be deleted", param="model_id"
        )

    return router


def unknown_model(error: UnknownModelError) -> Response:
    """Return the response for a path with an unknown model."""
    return error_response(404, describe(error)[1])


def _card(catalog: Catalog, model: ServedModel | FineTunedModel) -> BaseModelCard | FTModelCard:
    return _fine_tuned_card(catalog, model) if isinstance(model, FineTunedModel) else _base_card(catalog, model)


def _base_card(catalog: Catalog, model: ServedModel) -> BaseModelCard:
    return BaseModelCard(
        id=model.spec.id,
        object="model",
        created=model.facts.created,
        owned_by=model.facts.owner or OWNER,
        capabilities=_capabilities(model, can_be_trained=can_be_trained(model)),
        name=model.facts.name,
        description=None,
        max_context_length=model.facts.context,
        aliases=catalog.aliases_of(model),
        deprecation=None,
        deprecation_replacement_model=None,
        default_model_temperature=None if model.spec.kind == "embed" else model.spec.default_temperature,
        type="base",
    )


def _fine_tuned_card(catalog: Catalog, model: FineTunedModel) -> FTModelCard:
    base = catalog.base_of(model)
    card = FTModelCard(
        id=model.spec.id,
        object="model",
        created=model.spec.created,
        owned_by=OWNER,
        capabilities=_capabilities(base),
        name=model.spec.name,
        description=model.spec.description,
        aliases=[],
        deprecation=None,
        deprecation_replacement_model=None,
        type="fine-tuned",
        job=model.spec.job,
        root=model.spec.root,
        archived=model.spec.archived,
    )
    if base:
        card.max_context_length = base.facts.context
        card.default_model_temperature = base.spec.default_temperature
    return card


def _capabilities(base: ServedModel | None, *, can_be_trained: bool = False) -> ModelCapabilities:
    """Return the capabilities of a model by its base model; without one, it has none."""
    return ModelCapabilities(
        completion_chat=base is not None and base.chats,
        function_calling=base is not None and base.calls_functions,
        completion_fim=base is not None and base.facts.native_fim,
        fine_tuning=can_be_trained,
        vision=False,
        ocr=False,
        classification=False,
        moderation=False,
        audio=False,
        audio_transcription=False,
    )
