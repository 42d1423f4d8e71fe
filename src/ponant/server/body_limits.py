"""Limits of JSON bodies: their parsed size, and the lengths of their lists."""

from dataclasses import dataclass

from fastapi import FastAPI

from ponant.api.limits import RequestLimits
from ponant.server.json_size import JsonSize
from ponant.settings import Settings


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits of JSON bodies."""

    size: JsonSize
    lists: RequestLimits


def read_body_limits(settings: Settings) -> BodyLimits:
    """Return the limits of the settings."""
    return BodyLimits(
        JsonSize(settings.max_json_values, settings.max_json_parts),
        RequestLimits(
            messages=settings.max_messages,
            chunks=settings.max_chunks,
            tools=settings.max_tools,
            stops=settings.max_stops,
            inputs=settings.max_inputs,
            items=settings.max_items,
        ),
    )


def set_body_limits(app: FastAPI, limits: BodyLimits) -> None:
    """Set the limits of an application."""
    app.state.body_limits = limits


def body_limits_of(app: FastAPI) -> BodyLimits:
    """Return the limits of an application."""
    limits: BodyLimits = app.state.body_limits
    return limits
