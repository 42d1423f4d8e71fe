"""The two error formats of the API."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ponant.api.base import ResponseModel


class ErrorResponse(ResponseModel):
    """Body of all errors except failed validation."""

    object: Literal["error"] = "error"
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ValidationError(BaseModel):
    """One validation error of a request body."""

    loc: list[str | int]
    msg: str
    type: str
    input: Any = None
    ctx: dict[str, Any] = {}


class HTTPValidationErrorData(BaseModel):
    """Body of a 422 response."""

    model_config = ConfigDict(title="HTTPValidationError")

    detail: list[ValidationError] = []
