"""``/healthz`` (this process), ``/readyz`` (the station), ``/metrics``, ``/openapi.json``."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST

from broadcaster.api.openapi import openapi_document
from broadcaster.api.readiness import judge
from broadcaster.api.station import stat_url, station_view

health = Blueprint("health", __name__)


@health.get("/healthz")
def healthz() -> Response:
    """This process answers."""
    return jsonify(status="ok")


@health.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Whether the station is on air."""
    view = station_view()
    air = view.air()
    verdict = judge(air.playout, air.relay, bool(stat_url(view.settings)))
    return jsonify(ready=verdict.ready, reason=verdict.reason), 200 if verdict.ready else 503


@health.get("/metrics")
def metrics() -> Response:
    """The sum of every process's metrics, in Prometheus's text format."""
    return Response(station_view().metrics.get(), content_type=CONTENT_TYPE_LATEST)


@health.get("/openapi.json")
def openapi() -> Response:
    """The contract."""
    return jsonify(openapi_document())
