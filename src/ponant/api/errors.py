"""The two shapes in which the API reports errors."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ponant.api.base import ResponseModel


class ErrorResponse(ResponseModel):
    """Every error other than a body that fails validation."""

    object: Literal["error"] = "error"
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ValidationError(BaseModel):
    """One reason why a request body was refused."""

    loc: list[str | int]
    msg: str
    type: str
    input: Any = None
    ctx: dict[str, Any] = {}


class HTTPValidationErrorData(BaseModel):
    """The body of a 422 answer."""

    model_config = ConfigDict(title="HTTPValidationError")

    detail: list[ValidationError] = []
