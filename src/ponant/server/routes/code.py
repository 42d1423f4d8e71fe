"""``POST /pages/code``: a request as a program in each language."""

import asyncio
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, JsonValue

from ponant.api.base import RequestModel
from ponant.errors import InvalidRequestError
from ponant.samples.call import ApiCall, Method, Target, UploadForm
from ponant.samples.samples import CodeSample, samples_of
from ponant.server.code_samples import KEY_VARIABLE
from ponant.server.json_body import StrictJsonRoute

CODE_PATH = "/pages/code"
LARGEST_CODE_REQUEST = 2**17
"""Size limit of a request for code, in bytes."""

_Scalar: TypeAlias = bool | int | float | str


class CodeForm(RequestModel):
    """Upload form of a request: the name of its file, and its other fields."""

    file_name: str = Field(min_length=1, max_length=255)
    fields: dict[str, _Scalar] = Field(default_factory=dict)


class CodeRequest(RequestModel):
    """Body of a request for code.

    Attributes:
        method: HTTP method.
        path: path, with the ids in it percent-encoded.
        query: query parameters.
        body: JSON body.
        form: upload form, in place of a body.
        stream: value of the body's field ``stream``.
        address: address of the server to call; by default, the one that this request was sent to.
    """

    method: Method
    path: str
    query: dict[str, _Scalar | list[_Scalar]] = Field(default_factory=dict)
    body: dict[str, JsonValue] | None = None
    form: CodeForm | None = None
    stream: bool | None = None
    address: str | None = None


class Code(BaseModel):
    """Body of the response: the programs, without those of clients that cannot make the request."""

    samples: list[CodeSample]


def code_routes(*, has_keys: bool) -> APIRouter:
    """Return the route. It needs no key: it only writes text.

    Args:
        has_keys: True if the server has keys, so that the programs send one.
    """
    router = APIRouter(include_in_schema=False, route_class=StrictJsonRoute)
    writing = asyncio.Lock()  # one at a time: anyone may ask for them

    @router.post(CODE_PATH)
    async def code(request: Request, body: CodeRequest) -> Code:
        own = str(request.base_url)
        async with writing:
            return Code(samples=await asyncio.to_thread(_samples, body, own, has_keys))

    return router


def _samples(request: CodeRequest, own: str, has_keys: bool) -> list[CodeSample]:
    fields = request.body
    if request.stream is not None:
        fields = (fields or {}) | {"stream": request.stream}
    form = UploadForm(request.form.file_name, request.form.fields) if request.form else None
    try:
        target = Target(request.address or own)
        if has_keys or not _is_same_server(target.address, own):
            target = replace(target, key=KEY_VARIABLE)
        return samples_of(ApiCall(request.method, request.path, request.query, fields, form), target)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None


def _is_same_server(address: str, own: str) -> bool:
    return urlsplit(address).netloc == urlsplit(own).netloc
