"""Every address of the studio, and the role it takes. What is not listed here does not exist."""

from __future__ import annotations

from ratchet.domain.access import Role
from ratchet.domain.cases import Case
from ratchet.domain.datasets import DatasetVersion
from ratchet.domain.prompts import PromptComment, PromptVersion, Release
from ratchet.domain.releases import GateResult
from ratchet.domain.runs import Result
from ratchet.domain.spans import Event, Score
from ratchet.domain.standings import Standing
from ratchet.domain.stars import Star
from ratchet.prompts.difference import Difference
from ratchet.store.spans import Overview, OwnerPage, PromptUses, SessionPage, Summary, TracePage, TraceTree
from ratchet.studio.access import Endpoint
from ratchet.studio.budgeting import BudgetState
from ratchet.studio.case_views import PutView
from ratchet.studio.choosing import Known, ModelView, Recommended
from ratchet.studio.dependability import ReliabilityView
from ratchet.studio.exports import FORMAT
from ratchet.studio.guarding import CALLERS_QUERY, Callers
from ratchet.studio.looking_up import CALLER_QUERY, CallerView
from ratchet.studio.needs import NEEDS_QUERY
from ratchet.studio.pages import (
    audit,
    budgets,
    cache,
    case_pages,
    cases,
    dataset_pages,
    datasets,
    design,
    harvest,
    keys,
    limits,
    members,
    models,
    overview,
    owners,
    palette,
    playground,
    policies,
    prompt_api,
    prompt_editor,
    prompts,
    providers,
    recommending,
    releases,
    reliability,
    routes,
    run_api,
    runs,
    scores,
    sessions,
    settings,
    sign_in,
    standings,
    trace,
    traces,
    views,
)
from ratchet.studio.prompting import PromptLine, PromptView, PushedPrompt
from ratchet.studio.releasing import ReleaseView
from ratchet.studio.reusing import CacheState
from ratchet.studio.sides import ComparisonView

__all__ = ["ENDPOINTS"]

_EVERYONE = None
_DATASET = "/api/datasets/{name}"
_PROMPT = "/prompts/{name}"
_LARGE = 16 << 20  # bytes
_SPAN = "/traces/{trace_id}/spans/{span_id}"


def _pages_of(own: policies.Pages) -> tuple[Endpoint, ...]:
    """Making one, and each with its form. The list is a page of its own."""
    one = f"/{own.many}/{{name}}"
    return (
        Endpoint("POST", f"/{own.many}", Role.DEVELOPER, own.create),
        Endpoint("GET", one, Role.VIEWER, own.one_page),
        Endpoint("POST", one, Role.DEVELOPER, own.save),
        Endpoint("POST", f"{one}/delete", Role.DEVELOPER, own.delete),
    )


def _api_of(own: policies.Pages) -> tuple[Endpoint, ...]:
    """The same for programs."""
    one = f"/api/{own.many}/{{name}}"
    return (
        Endpoint("GET", f"/api/{own.many}", Role.VIEWER, own.list_json),
        Endpoint("POST", f"/api/{own.many}", Role.DEVELOPER, own.add, status=201),
        Endpoint("GET", one, Role.VIEWER, own.one_json),
        Endpoint("PATCH", one, Role.DEVELOPER, own.change),
        Endpoint("DELETE", one, Role.DEVELOPER, own.drop),
    )


# A long line breaks where it reads best, not where the formatter would break it.
# fmt: off
ENDPOINTS: tuple[Endpoint, ...] = (
    # signing in
    Endpoint("GET", "/sign-in", _EVERYONE, sign_in.sign_in_page),
    Endpoint("POST", "/sign-in", _EVERYONE, sign_in.sign_in),
    Endpoint("POST", "/sign-out", _EVERYONE, sign_in.sign_out),
    Endpoint("GET", "/welcome/{token}", _EVERYONE, sign_in.welcome_page),
    Endpoint("POST", "/welcome/{token}", _EVERYONE, sign_in.welcome),
    Endpoint("GET", "/healthz", _EVERYONE, overview.health),
    # pages
    Endpoint("GET", "/", Role.VIEWER, overview.home),
    Endpoint("GET", "/overview", Role.VIEWER, overview.overview_page),
    Endpoint("GET", "/reliability", Role.VIEWER, reliability.reliability_page),
    Endpoint("GET", "/sessions", Role.VIEWER, sessions.sessions_page),
    Endpoint("GET", "/sessions/{session_id}", Role.VIEWER, sessions.session_page),
    Endpoint("POST", "/sessions/{session_id}/scores", Role.ANNOTATOR, sessions.score_turn),
    Endpoint("GET", "/users", Role.VIEWER, owners.users_page),
    Endpoint("GET", "/users/{user_id}", Role.VIEWER, owners.user_page),
    Endpoint("GET", "/organisations", Role.VIEWER, owners.organisations_page),
    Endpoint("GET", "/organisations/{organisation_id}", Role.VIEWER, owners.organisation_page),
    Endpoint("GET", "/design", Role.VIEWER, design.design_page),
    Endpoint("GET", "/traces", Role.VIEWER, traces.traces_page),
    Endpoint("GET", "/traces/new", Role.VIEWER, traces.new_traces_fragment),
    Endpoint("GET", "/traces/{trace_id}", Role.VIEWER, trace.trace_page),
    Endpoint("GET", "/traces/{trace_id}/tree", Role.VIEWER, trace.trace_tree),
    Endpoint("POST", "/traces/{trace_id}/scores", Role.ANNOTATOR, scores.add_score_from_page),
    Endpoint("GET", _SPAN, Role.VIEWER, trace.span_fragment),
    Endpoint("POST", _SPAN + "/case", Role.ANNOTATOR, harvest.add_span_from_page),
    Endpoint("POST", "/traces/cases", Role.ANNOTATOR, harvest.add_traces_from_page),
    Endpoint("GET", _SPAN + "/messages", Role.VIEWER, trace.span_messages),
    Endpoint("GET", _SPAN + "/raw", Role.VIEWER, trace.span_raw),
    Endpoint("GET", _SPAN + "/parts/{direction}/{message}/{part}", Role.VIEWER, trace.part_content),
    Endpoint("GET", "/keys", Role.DEVELOPER, keys.keys_page),
    Endpoint("POST", "/keys", Role.DEVELOPER, keys.create_key_from_page),
    Endpoint("POST", "/keys/{key_id}/revoke", Role.DEVELOPER, keys.revoke_key_from_page),
    Endpoint("GET", "/providers", Role.VIEWER, providers.providers_page),
    Endpoint("POST", "/providers", Role.DEVELOPER, providers.create_provider_from_page),
    Endpoint("GET", "/providers/{name}", Role.VIEWER, providers.provider_page),
    Endpoint("POST", "/providers/{name}", Role.DEVELOPER, providers.save_provider_from_page),
    Endpoint("POST", "/providers/{name}/delete", Role.DEVELOPER, providers.drop_provider_from_page),
    Endpoint("POST", "/providers/{name}/try", Role.DEVELOPER, providers.try_provider_from_page),
    Endpoint("GET", "/routes", Role.VIEWER, routes.routes_page),
    Endpoint("POST", "/routes", Role.DEVELOPER, routes.create_route_from_page),
    Endpoint("GET", "/routes/{name}", Role.VIEWER, routes.route_page),
    Endpoint("POST", "/routes/{name}", Role.DEVELOPER, routes.save_route_from_page),
    Endpoint("POST", "/routes/{name}/delete", Role.DEVELOPER, routes.drop_route_from_page),
    Endpoint("POST", "/routes/{name}/try", Role.DEVELOPER, routes.try_route_from_page),
    *_pages_of(policies.LIMITS),
    Endpoint("GET", "/segments", Role.VIEWER, policies.SEGMENTS.list_page), *_pages_of(policies.SEGMENTS),
    *_pages_of(policies.BUDGETS),
    Endpoint("GET", "/models", Role.VIEWER, models.models_page),
    Endpoint("GET", "/models/compare", Role.VIEWER, models.compare_page),
    Endpoint("GET", "/models/recommend", Role.VIEWER, recommending.recommend_page),
    Endpoint("POST", "/models/scores", Role.DEVELOPER, models.import_scores_from_page),
    Endpoint("GET", "/models/{name}", Role.VIEWER, models.model_page),
    Endpoint("POST", "/models/{name}/stars", Role.ANNOTATOR, models.give_stars_from_page),
    Endpoint("GET", "/playground", Role.DEVELOPER, playground.start_page),
    Endpoint("POST", "/playground", Role.DEVELOPER, playground.new_playground),
    Endpoint("GET", "/playground/{draft_id}", Role.DEVELOPER, playground.playground_page),
    Endpoint("POST", "/playground/{draft_id}", Role.DEVELOPER, playground.change_playground),
    Endpoint("POST", "/playground/{draft_id}/delete", Role.DEVELOPER, playground.drop_draft_from_page),
    Endpoint("POST", "/playground/{draft_id}/columns/{column_id}/run", Role.DEVELOPER, playground.run_column),
    Endpoint("GET", "/prompts", Role.VIEWER, prompts.prompts_page),
    Endpoint("POST", "/prompts", Role.DEVELOPER, prompt_editor.save_from_page, max_body=_LARGE),
    Endpoint("GET", _PROMPT, Role.VIEWER, prompts.prompt_page),
    Endpoint("POST", _PROMPT, Role.DEVELOPER, prompt_editor.save_from_page, max_body=_LARGE),
    Endpoint("GET", _PROMPT + "/edit", Role.DEVELOPER, prompt_editor.edit_page),
    Endpoint("GET", _PROMPT + "/difference", Role.VIEWER, prompts.difference_page),
    Endpoint("GET", _PROMPT + "/versions/{number}", Role.VIEWER, prompts.version_page),
    Endpoint("POST", _PROMPT + "/versions/{number}/comments", Role.ANNOTATOR, prompts.comment_from_page),
    Endpoint("POST", _PROMPT + "/labels", Role.DEVELOPER, prompts.set_label_from_page),
    Endpoint("POST", _PROMPT + "/labels/{label}/roll-back", Role.DEVELOPER, prompts.roll_back_from_page),
    Endpoint("POST", _PROMPT + "/labels/{label}/remove", Role.DEVELOPER, prompts.drop_label_from_page),
    Endpoint("GET", "/members", Role.ADMIN, members.members_page),
    Endpoint("POST", "/members", Role.ADMIN, members.invite_from_page),
    Endpoint("POST", "/members/{email}/role", Role.ADMIN, members.change_role_from_page),
    Endpoint("POST", "/members/{email}/remove", Role.ADMIN, members.drop_member_from_page),
    Endpoint("POST", "/members/{email}/link", Role.ADMIN, members.link_from_page),
    Endpoint("POST", "/members/{email}/token", Role.ADMIN, members.token_from_page),
    Endpoint("GET", "/limits", Role.VIEWER, limits.limits_page),
    Endpoint("POST", "/standings", Role.DEVELOPER, limits.decide_from_page),
    Endpoint("POST", "/standings/{standing_id}/delete", Role.DEVELOPER, limits.take_back_from_page),
    Endpoint("GET", "/budgets", Role.VIEWER, budgets.budgets_page),
    Endpoint("GET", "/cache", Role.VIEWER, cache.cache_page),
    Endpoint("POST", "/cache/forget", Role.DEVELOPER, cache.forget_from_page),
    Endpoint("GET", "/audit", Role.ADMIN, audit.audit_page),
    Endpoint("GET", "/datasets", Role.VIEWER, dataset_pages.datasets_page),
    Endpoint("POST", "/datasets", Role.ANNOTATOR, dataset_pages.create_dataset_from_page),
    Endpoint("GET", "/datasets/{name}", Role.VIEWER, dataset_pages.dataset_page),
    Endpoint("POST", "/datasets/{name}/cases", Role.ANNOTATOR, dataset_pages.add_case_from_page),
    Endpoint(
        "POST", "/datasets/{name}/import", Role.ANNOTATOR, dataset_pages.import_from_page,
        max_body=dataset_pages.MAX_UPLOAD,
    ),
    Endpoint("POST", "/datasets/{name}/split", Role.DEVELOPER, dataset_pages.split_from_page),
    Endpoint("GET", "/datasets/{name}/export", Role.VIEWER, cases.export_cases),
    Endpoint("GET", "/datasets/{name}/case", Role.VIEWER, case_pages.case_page),
    Endpoint("POST", "/datasets/{name}/case", Role.ANNOTATOR, case_pages.save_case_from_page),
    Endpoint("POST", "/datasets/{name}/case/remove", Role.ANNOTATOR, case_pages.remove_case_from_page),
    Endpoint("GET", "/datasets/{name}/review", Role.VIEWER, case_pages.review_page),
    Endpoint("POST", "/datasets/{name}/review", Role.ANNOTATOR, case_pages.review_from_page),
    Endpoint("GET", "/datasets/{name}/versions", Role.VIEWER, dataset_pages.versions_page),
    Endpoint("GET", "/datasets/{name}/versions/{number}", Role.VIEWER, dataset_pages.version_page),
    Endpoint("GET", "/releases", Role.VIEWER, releases.releases_page),
    Endpoint("POST", "/releases", Role.DEVELOPER, releases.promote_from_page),
    Endpoint("POST", "/releases/{prompt}/{label}/roll-back", Role.DEVELOPER, releases.roll_back_from_page),
    Endpoint("GET", "/settings", Role.VIEWER, settings.settings_page),
    Endpoint("POST", "/views", Role.VIEWER, views.add_view_from_page),
    Endpoint("POST", "/views/{view_id}", Role.VIEWER, views.rename_view_from_page),
    Endpoint("POST", "/views/{view_id}/delete", Role.VIEWER, views.drop_view_from_page),
    Endpoint("GET", "/runs", Role.VIEWER, runs.runs_page),
    Endpoint("POST", "/runs", Role.DEVELOPER, runs.begin_from_page),
    Endpoint("GET", "/runs/{run_id}", Role.VIEWER, runs.run_page),
    Endpoint("GET", "/runs/{run_id}/progress", Role.VIEWER, runs.progress_fragment),
    Endpoint("GET", "/runs/{run_id}/case", Role.VIEWER, runs.case_page),
    Endpoint("GET", "/runs/{run_id}/compare", Role.VIEWER, runs.comparison_page),
    Endpoint("POST", "/runs/{run_id}/cancel", Role.DEVELOPER, runs.cancel_from_page),
    Endpoint("POST", "/runs/{run_id}/resume", Role.DEVELOPER, runs.resume_from_page),
    # API
    Endpoint(
        "GET", "/api/traces", Role.VIEWER, traces.traces_json,
        query=traces.TRACES_QUERY, answers=TracePage, exports=True,
    ),
    Endpoint(
        "GET", "/api/traces/{trace_id}", Role.VIEWER, trace.trace_json,
        query=(FORMAT,), answers=TraceTree, exports=True,
    ),
    Endpoint("GET", "/api/traces/{trace_id}/spans/{span_id}", Role.VIEWER, trace.span_json),
    Endpoint(
        "GET", "/api/scores", Role.VIEWER, scores.scores_json,
        query=(FORMAT,), answers=list[Score], exports=True,
    ),
    Endpoint("POST", "/api/scores", Role.ANNOTATOR, scores.add_score, status=201, answers=Score),
    Endpoint(
        "GET", "/api/overview", Role.VIEWER, overview.overview_json,
        query=overview.OVERVIEW_QUERY, answers=Overview, exports=True,
    ),
    Endpoint(
        "GET", "/api/reliability", Role.VIEWER, reliability.reliability_json,
        query=reliability.RELIABILITY_QUERY, answers=ReliabilityView, exports=True,
    ),
    Endpoint(
        "GET", "/api/sessions", Role.VIEWER, sessions.sessions_json,
        query=sessions.SESSIONS_QUERY, answers=SessionPage, exports=True,
    ),
    Endpoint(
        "GET", "/api/sessions/{session_id}", Role.VIEWER, sessions.session_json,
        query=sessions.SESSION_QUERY, answers=sessions.SessionView,
    ),
    Endpoint(
        "GET", "/api/users", Role.VIEWER, owners.users_json,
        query=owners.OWNERS_QUERY, answers=OwnerPage, exports=True,
    ),
    Endpoint(
        "GET", "/api/users/{user_id}", Role.VIEWER, owners.user_json,
        query=owners.OWNER_QUERY, answers=owners.OwnerView,
    ),
    Endpoint(
        "GET", "/api/organisations", Role.VIEWER, owners.organisations_json,
        query=owners.OWNERS_QUERY, answers=OwnerPage, exports=True,
    ),
    Endpoint(
        "GET", "/api/organisations/{organisation_id}", Role.VIEWER, owners.organisation_json,
        query=owners.OWNER_QUERY, answers=owners.OwnerView,
    ),
    Endpoint("GET", "/api/summary", Role.VIEWER, overview.summary_json, answers=Summary),
    Endpoint(
        "GET", "/api/events", Role.VIEWER, overview.events_json,
        query=(FORMAT,), answers=list[Event], exports=True,
    ),
    Endpoint(
        "GET", "/api/audit", Role.ADMIN, audit.audit_json,
        query=audit.AUDIT_QUERY, answers=audit.AuditPage, exports=True,
    ),
    Endpoint(
        "GET", "/api/spending", Role.VIEWER, budgets.budgets_json,
        query=(FORMAT,), answers=list[BudgetState], exports=True,
    ),
    Endpoint(
        "GET", "/api/cache", Role.VIEWER, cache.cache_json,
        query=(FORMAT,), answers=CacheState, exports=True,
    ),
    Endpoint(
        "POST", "/api/cache/forget", Role.DEVELOPER, cache.forget_somebody, status=201, answers=cache.Forgot,
    ),
    Endpoint("GET", "/api/palette", Role.VIEWER, palette.palette_json, answers=list[palette.Choice]),
    Endpoint("GET", "/api/find", Role.VIEWER, palette.find_json, answers=list[palette.Choice]),
    Endpoint("GET", "/api/views", Role.VIEWER, views.views_json, answers=list[views.SavedView]),
    Endpoint("POST", "/api/views", Role.VIEWER, views.add_view, status=201, answers=views.SavedView),
    Endpoint("PATCH", "/api/views/{view_id}", Role.VIEWER, views.alter_view, answers=views.SavedView),
    Endpoint("DELETE", "/api/views/{view_id}", Role.VIEWER, views.drop_view, answers=views.SavedView),
    Endpoint("GET", "/api/keys", Role.DEVELOPER, keys.keys_json, query=(FORMAT,), exports=True),
    Endpoint("POST", "/api/keys", Role.DEVELOPER, keys.add_key, status=201),
    Endpoint("DELETE", "/api/keys/{key_id}", Role.DEVELOPER, keys.remove_key),
    Endpoint(
        "GET", "/api/callers", Role.VIEWER, limits.callers_json, query=CALLERS_QUERY, answers=Callers,
    ),
    Endpoint(
        "GET", "/api/caller", Role.VIEWER, limits.caller_json, query=CALLER_QUERY, answers=CallerView,
    ),
    Endpoint("GET", "/api/standings", Role.DEVELOPER, standings.standings_json, answers=list[Standing]),
    Endpoint("POST", "/api/standings", Role.DEVELOPER, standings.add_standing, status=201, answers=Standing),
    Endpoint(
        "DELETE", "/api/standings/{standing_id}", Role.DEVELOPER, standings.remove_standing, answers=Standing
    ),
    Endpoint("GET", "/api/providers", Role.VIEWER, providers.providers_json, query=(FORMAT,), exports=True),
    Endpoint("POST", "/api/providers", Role.DEVELOPER, providers.add_provider, status=201),
    Endpoint("GET", "/api/providers/{name}", Role.VIEWER, providers.provider_json),
    Endpoint("PATCH", "/api/providers/{name}", Role.DEVELOPER, providers.change_provider),
    Endpoint("DELETE", "/api/providers/{name}", Role.DEVELOPER, providers.drop_provider),
    Endpoint("POST", "/api/providers/{name}/try", Role.DEVELOPER, providers.try_provider),
    Endpoint("GET", "/api/routes", Role.VIEWER, routes.routes_json, query=(FORMAT,), exports=True),
    Endpoint("POST", "/api/routes", Role.DEVELOPER, routes.add_route, status=201),
    Endpoint("GET", "/api/routes/{name}", Role.VIEWER, routes.route_json),
    Endpoint("PATCH", "/api/routes/{name}", Role.DEVELOPER, routes.change_route),
    Endpoint("DELETE", "/api/routes/{name}", Role.DEVELOPER, routes.drop_route),
    Endpoint("POST", "/api/routes/{name}/try", Role.DEVELOPER, routes.try_route),
    *_api_of(policies.LIMITS), *_api_of(policies.SEGMENTS), *_api_of(policies.BUDGETS),
    Endpoint(
        "GET", "/api/models", Role.VIEWER, models.models_json,
        query=models.MODELS_QUERY, answers=list[Known], exports=True,
    ),
    Endpoint(
        "GET", "/api/models/recommend", Role.VIEWER, recommending.recommend_json,
        query=NEEDS_QUERY, answers=Recommended,
    ),
    Endpoint(
        "POST", "/api/models/scores", Role.DEVELOPER, models.import_scores,
        status=201, answers=models.Imported,
    ),
    Endpoint("GET", "/api/models/{name}", Role.VIEWER, models.model_json, answers=ModelView),
    Endpoint("POST", "/api/models/{name}/stars", Role.ANNOTATOR, models.set_stars, status=201, answers=Star),
    Endpoint("DELETE", "/api/models/{name}/stars", Role.ANNOTATOR, models.drop_stars),
    Endpoint(
        "GET", "/api/runs", Role.VIEWER, run_api.runs_json, query=run_api.RUNS_QUERY, answers=list[run_api.RunView],
    ),
    Endpoint("POST", "/api/runs", Role.DEVELOPER, run_api.begin_run, status=201, answers=run_api.RunView),
    Endpoint("GET", "/api/runs/{run_id}", Role.VIEWER, run_api.run_json, answers=run_api.RunView),
    Endpoint("GET", "/api/runs/{run_id}/cases", Role.VIEWER, run_api.cases_json, answers=list[Case]),
    Endpoint(
        "GET", "/api/runs/{run_id}/comparison", Role.VIEWER, run_api.comparison_json,
        query=run_api.COMPARISON_QUERY, answers=ComparisonView,
    ),
    Endpoint(
        "GET", "/api/runs/{run_id}/downsize", Role.VIEWER, run_api.downsize_json, query=run_api.DOWNSIZE_QUERY,
    ),
    Endpoint("POST", "/api/runs/{run_id}/cancel", Role.DEVELOPER, run_api.cancel_run, answers=run_api.RunView),
    Endpoint(
        "GET", "/api/runs/{run_id}/results", Role.VIEWER, run_api.results_json,
        query=run_api.RESULTS_QUERY, answers=list[Result],
    ),
    Endpoint(
        "GET", "/api/datasets", Role.VIEWER, datasets.datasets_json,
        query=(FORMAT,), answers=list[datasets.DatasetRow], exports=True,
    ),
    Endpoint(
        "POST", "/api/datasets", Role.ANNOTATOR, datasets.add_dataset, status=201, answers=datasets.DatasetRow
    ),
    Endpoint("GET", _DATASET, Role.VIEWER, datasets.dataset_json, answers=datasets.DatasetView),
    Endpoint("PATCH", _DATASET, Role.ANNOTATOR, datasets.alter_dataset, answers=datasets.DatasetView),
    Endpoint(
        "GET", _DATASET + "/cases", Role.VIEWER, cases.cases_json,
        query=cases.CASES_QUERY, answers=cases.CasePage,
    ),
    Endpoint(
        "POST", _DATASET + "/cases", Role.ANNOTATOR, cases.put_cases_json,
        answers=PutView, max_body=cases.MAX_CASES_BODY,
    ),
    Endpoint("POST", _DATASET + "/traces", Role.ANNOTATOR, harvest.add_traces, answers=PutView),
    Endpoint("GET", _DATASET + "/case", Role.VIEWER, cases.case_json, answers=cases.CaseView),
    Endpoint("PATCH", _DATASET + "/case", Role.ANNOTATOR, cases.edit_case, answers=PutView),
    Endpoint("DELETE", _DATASET + "/case", Role.ANNOTATOR, cases.drop_case, answers=PutView),
    Endpoint("POST", _DATASET + "/accept", Role.ANNOTATOR, cases.judge_cases, answers=PutView),
    Endpoint(
        "POST", _DATASET + "/references", Role.ANNOTATOR, cases.add_references_json,
        answers=cases.ReferencesView, max_body=cases.MAX_CASES_BODY,
    ),
    Endpoint("GET", _DATASET + "/versions", Role.VIEWER, datasets.versions_json, answers=list[DatasetVersion]),
    Endpoint(
        "GET", _DATASET + "/versions/{number}", Role.VIEWER, datasets.version_json, answers=datasets.VersionView
    ),
    Endpoint("POST", _DATASET + "/split", Role.DEVELOPER, datasets.divide_dataset, answers=datasets.SplitView),
    Endpoint(
        "GET", _DATASET + "/export", Role.VIEWER, cases.export_cases,
        query=cases.EXPORT_QUERY, answers=cases.ExportedCases, media=cases.MEDIA,
    ),
    Endpoint(
        "GET", "/api/drafts", Role.DEVELOPER, playground.drafts_json, answers=list[playground.DraftLine],
    ),
    Endpoint("GET", "/api/prompts", Role.VIEWER, prompt_api.prompts_json, answers=list[PromptLine]),
    Endpoint(
        "POST", "/api/prompts", Role.DEVELOPER, prompt_api.push_prompts,
        answers=list[PushedPrompt], max_body=_LARGE,
    ),
    Endpoint("GET", "/api/prompts/{name}", Role.VIEWER, prompt_api.prompt_json, answers=PromptView),
    Endpoint(
        "GET", "/api/prompts/{name}/versions/{version}", Role.VIEWER, prompt_api.version_json,
        answers=PromptVersion,
    ),
    Endpoint(
        "GET", "/api/prompts/{name}/difference", Role.VIEWER, prompt_api.difference_json, answers=Difference,
    ),
    Endpoint(
        "POST", "/api/prompts/{name}/render", Role.ANNOTATOR, prompt_api.render_prompt,
        answers=prompt_api.Rendered, max_body=_LARGE,
    ),
    Endpoint(
        "PUT", "/api/prompts/{name}/labels/{label}", Role.DEVELOPER, prompt_api.set_label, answers=Release,
    ),
    Endpoint(
        "DELETE", "/api/prompts/{name}/labels/{label}", Role.DEVELOPER, prompt_api.drop_label, answers=Release,
    ),
    Endpoint(
        "POST", "/api/prompts/{name}/labels/{label}/roll-back", Role.DEVELOPER, prompt_api.roll_back_label,
        answers=Release,
    ),
    Endpoint(
        "GET", "/api/prompts/{name}/uses", Role.VIEWER, prompts.prompt_uses_json,
        query=prompts.USES_QUERY, answers=PromptUses,
    ),
    Endpoint(
        "GET", "/api/prompts/{name}/comments", Role.VIEWER, prompt_api.prompt_comments_json,
        answers=list[PromptComment],
    ),
    Endpoint(
        "POST", "/api/prompts/{name}/comments", Role.ANNOTATOR, prompt_api.comment_version,
        status=201, answers=PromptComment,
    ),
    Endpoint(
        "GET", "/api/releases", Role.VIEWER, releases.releases_json,
        query=(FORMAT,), answers=list[ReleaseView], exports=True,
    ),
    Endpoint("POST", "/api/releases", Role.DEVELOPER, releases.add_release, status=201, answers=Release),
    Endpoint(
        "GET", "/api/releases/{prompt}/{label}", Role.VIEWER, releases.release_json,
        answers=releases.ReleaseHistory,
    ),
    Endpoint("GET", "/api/gates", Role.VIEWER, releases.gates_json, answers=list[GateResult]),
    Endpoint("GET", "/api/settings", Role.VIEWER, settings.settings_json),
    Endpoint("GET", "/api/members", Role.ADMIN, members.members_json, query=(FORMAT,), exports=True),
    Endpoint("POST", "/api/members", Role.ADMIN, members.add_member, status=201),
    Endpoint("PATCH", "/api/members/{email}", Role.ADMIN, members.change_role),
    Endpoint("DELETE", "/api/members/{email}", Role.ADMIN, members.drop_member),
    Endpoint("POST", "/api/members/{email}/link", Role.ADMIN, members.add_link, status=201),
    Endpoint("POST", "/api/members/{email}/token", Role.ADMIN, members.add_token, status=201),
    Endpoint("GET", "/api/openapi.json", Role.VIEWER, overview.openapi_json),
)
# fmt: on
