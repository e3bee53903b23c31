"""Every address of the studio, and the role it takes. What is not listed here does not exist."""

from __future__ import annotations

from ratchet.domain.access import Role
from ratchet.studio.access import Endpoint
from ratchet.studio.pages import design, keys, members, overview, scores, sign_in, trace, traces

__all__ = ["ENDPOINTS"]

_EVERYONE = None
_SPAN = "/traces/{trace_id}/spans/{span_id}"

ENDPOINTS: tuple[Endpoint, ...] = (
    # signing in
    Endpoint("GET", "/sign-in", _EVERYONE, sign_in.sign_in_page),
    Endpoint("POST", "/sign-in", _EVERYONE, sign_in.sign_in),
    Endpoint("POST", "/sign-out", _EVERYONE, sign_in.sign_out),
    Endpoint("GET", "/welcome/{token}", _EVERYONE, sign_in.welcome_page),
    Endpoint("POST", "/welcome/{token}", _EVERYONE, sign_in.welcome),
    Endpoint("GET", "/healthz", _EVERYONE, overview.health),
    # pages
    Endpoint("GET", "/", Role.VIEWER, traces.home),
    Endpoint("GET", "/design", Role.VIEWER, design.design_page),
    Endpoint("GET", "/traces", Role.VIEWER, traces.traces_page),
    Endpoint("GET", "/traces/new", Role.VIEWER, traces.new_traces_fragment),
    Endpoint("GET", "/traces/{trace_id}", Role.VIEWER, trace.trace_page),
    Endpoint("GET", "/traces/{trace_id}/tree", Role.VIEWER, trace.trace_tree),
    Endpoint("POST", "/traces/{trace_id}/scores", Role.ANNOTATOR, scores.add_score_from_page),
    Endpoint("GET", _SPAN, Role.VIEWER, trace.span_fragment),
    Endpoint("GET", _SPAN + "/messages", Role.VIEWER, trace.span_messages),
    Endpoint("GET", _SPAN + "/raw", Role.VIEWER, trace.span_raw),
    Endpoint("GET", _SPAN + "/parts/{direction}/{message}/{part}", Role.VIEWER, trace.part_content),
    # API
    Endpoint("GET", "/api/traces", Role.VIEWER, traces.traces_json),
    Endpoint("GET", "/api/traces/{trace_id}", Role.VIEWER, trace.trace_json),
    Endpoint("GET", "/api/traces/{trace_id}/spans/{span_id}", Role.VIEWER, trace.span_json),
    Endpoint("GET", "/api/scores", Role.VIEWER, scores.scores_json),
    Endpoint("POST", "/api/scores", Role.ANNOTATOR, scores.add_score, status=201),
    Endpoint("GET", "/api/summary", Role.VIEWER, overview.summary_json),
    Endpoint("GET", "/api/events", Role.VIEWER, overview.events_json),
    Endpoint("GET", "/api/keys", Role.DEVELOPER, keys.keys_json),
    Endpoint("POST", "/api/keys", Role.DEVELOPER, keys.add_key, status=201),
    Endpoint("DELETE", "/api/keys/{key_id}", Role.DEVELOPER, keys.remove_key),
    Endpoint("GET", "/api/members", Role.ADMIN, members.members_json),
    Endpoint("POST", "/api/members", Role.ADMIN, members.add_member, status=201),
    Endpoint("PATCH", "/api/members/{email}", Role.ADMIN, members.change_role),
    Endpoint("DELETE", "/api/members/{email}", Role.ADMIN, members.drop_member),
    Endpoint("POST", "/api/members/{email}/link", Role.ADMIN, members.add_link, status=201),
    Endpoint("POST", "/api/members/{email}/token", Role.ADMIN, members.add_token, status=201),
    Endpoint("GET", "/api/openapi.json", Role.VIEWER, overview.openapi_json),
)
