"""``/health`` and ``/ready``, which need no key."""

from collections.abc import Callable

from fastapi import APIRouter, Response
from pydantic import BaseModel

from ponant.catalog.catalog import Catalog
from ponant.server.readiness import readiness, trouble_of


class Health(BaseModel):
    """Body of ``/health``: the process runs."""

    status: str


class ModelHealth(BaseModel):
    """State of a model, and the reason if it is not ready."""

    state: str
    error: str | None = None


class Readiness(BaseModel):
    """Body of ``/ready``."""

    status: str
    models: dict[str, ModelHealth]


def health_routes(catalog: Catalog, stopping: Callable[[], bool]) -> APIRouter:
    """Return the routes for service managers and load balancers.

    Args:
        catalog: the models.
        stopping: returns True while the server shuts down.
    """
    router = APIRouter(tags=["health"], include_in_schema=False)

    @router.get("/health")
    async def health() -> Health:
        return Health(status="ok")

    @router.get("/ready")
    async def ready(response: Response) -> Readiness:
        models = {model.spec.id: ModelHealth(state=model.state, error=trouble_of(model)) for model in catalog.models}
        status = readiness(catalog, stopping)
        response.status_code = 200 if status == "ready" else 503
        return Readiness(status=status, models=models)

    return router
