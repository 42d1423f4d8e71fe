"""``/v1/models``."""

from fastapi import APIRouter
from fastapi.responses import Response

from ponant.api.errors import ErrorResponse
from ponant.api.models import BaseModelCard, ModelCapabilities, ModelCard, ModelList
from ponant.catalog.catalog import Catalog, LoadedModel, UnknownModelError
from ponant.server.errors import describe, error_response

OWNER = "ponant"
"""Owner of models that do not say whose they are."""


def models_routes(catalog: Catalog) -> APIRouter:
    """The routes of models, answered from ``catalog``."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/models", summary="List Models", response_model_exclude_unset=True)
    async def list_models(provider: str | None = None, model: str | None = None) -> ModelList:
        cards = [_card(catalog, loaded) for loaded in catalog.models]
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
            _, body = describe(error)
            return error_response(404, ErrorResponse.model_validate(body))

    return router


def _card(catalog: Catalog, model: LoadedModel) -> BaseModelCard:
    metadata = model.vocabulary.metadata
    return BaseModelCard(
        id=model.spec.id,
        object="model",
        created=model.created,
        owned_by=metadata.get("general.organization", OWNER),
        capabilities=ModelCapabilities(
            completion_chat=True,
            function_calling=True,
            completion_fim=model.fim.native,
            fine_tuning=False,
            vision=False,
            ocr=False,
            classification=False,
            moderation=False,
            audio=False,
            audio_transcription=False,
        ),
        name=metadata.get("general.name", model.spec.id),
        description=None,
        max_context_length=model.engine.info.context,
        aliases=catalog.aliases_of(model),
        deprecation=None,
        deprecation_replacement_model=None,
        default_model_temperature=model.spec.default_temperature,
        type="base",
    )
