"""Tables of the records. Change them together with a migration in `migrations/`; a test compares the two.

`audited` is the noun under which changes to a table's rows stand in the audit log (`auditing.py`); `left_out` are
columns that don't, and `unless_by` is whose rows don't.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "audit",
    "dataset_cases",
    "dataset_versions",
    "datasets",
    "forgotten",
    "keys",
    "logins",
    "members",
    "memberships",
    "metadata",
    "model_hints",
    "model_stars",
    "playground_answers",
    "playground_drafts",
    "projects",
    "prompt_comments",
    "prompt_versions",
    "prompts",
    "providers",
    "releases",
    "revisions",
    "routes",
    "run_cases",
    "runs",
    "saved_views",
    "sign_in_links",
    "standings",
    "tokens",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

projects = Table(
    "projects",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("created", BigInteger, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("password_hash", String(200), nullable=True),
    Column("created", BigInteger, nullable=False),
    info={"audited": "member"},
)

memberships = Table(
    "memberships",
    metadata,
    Column("member_id", String(32), ForeignKey("members.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("role", Integer, nullable=False),
    info={"audited": "role"},
)

# One-time links: the first start's, invitations, forgotten passwords. `email` is empty for the first start's.
sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("email", String(320), nullable=False),
    Column("role", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    info={"audited": "sign_in_link"},
)

logins = Table(
    "logins",
    metadata,
    Column("secret_hash", String(64), primary_key=True),
    Column("member_id", String(32), ForeignKey("members.id", ondelete="CASCADE"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("ix_logins_member_id", "member_id"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("secret_hash", String(64), primary_key=True),
    Column("member_id", String(32), ForeignKey("members.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=True),
    Index("ix_tokens_member_id", "member_id"),
    info={"audited": "token"},
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("routes", JSON, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(320), nullable=False),
    Column("expires", BigInteger, nullable=True),
    Column("revoked", BigInteger, nullable=True),
    Column("publishable", Boolean, nullable=False),
    Column("origins", JSON, nullable=False),
    Column("signing_secret", String(64), nullable=False),
    Index("ix_keys_project_id", "project_id"),
    info={"audited": "key", "unless_by": "studio", "left_out": ("signing_secret",)},
)


standings = Table(
    "standings",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(300), nullable=False),
    Column("action", String(8), nullable=False),
    Column("factor", Float, nullable=False),
    Column("reason", String(500), nullable=False),
    Column("note", String(500), nullable=False),
    Column("until", BigInteger, nullable=True),
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(320), nullable=False),
    UniqueConstraint("project_id", "kind", "name"),
    info={"audited": "standing"},
)


forgotten = Table(
    "forgotten",
    metadata,
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("name_hash", String(32), primary_key=True),
    Column("time", BigInteger, nullable=False),
)


def _declared(name: str) -> Table:
    """What members declare in the studio. A name is taken once in all projects: gateways serve one list of names."""
    return Table(
        name,
        metadata,
        Column("name", String(100), primary_key=True),
        Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
        Column("settings", JSON, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("created_by", String(320), nullable=False),
        Column("updated", BigInteger, nullable=False),
        Column("updated_by", String(320), nullable=False),
        Index(f"ix_{name}_project_id", "project_id"),
        info={"audited": name.removesuffix("s")},
    )


providers = _declared("providers")
routes = _declared("routes")
limits = _declared("limits")
segments = _declared("segments")
budgets = _declared("budgets")

# Who changed what. Rows are added only: triggers refuse everything else. No row goes with a project or a member.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("project_id", String(64), nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("who", String(320), nullable=False),
    Column("via", String(16), nullable=False),
    Column("address", String(100), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(400), nullable=False),
    Column("before", JSON(none_as_null=True), nullable=True),
    Column("after", JSON(none_as_null=True), nullable=True),
    Index("ix_audit_project_id", "project_id", "time"),
)

# One row a topic; a writer adds one in its own transaction, and a gateway polls it to learn that something changed.
revisions = Table(
    "revisions",
    metadata,
    Column("topic", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# A list's filters under a name. `owner` is an e-mail address and no reference: what a member shared stays when they go.
saved_views = Table(
    "saved_views",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("page", String(100), nullable=False),
    Column("name", String(80), nullable=False),
    Column("query", Text, nullable=False),
    Column("owner", String(320), nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    UniqueConstraint("project_id", "page", "owner", "name"),
)

# What members think of the catalogue's models. `model` is the catalogue's name; no table holds the catalogue itself.
model_stars = Table(
    "model_stars",
    metadata,
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("member", String(320), primary_key=True),
    Column("stars", Integer, nullable=False),
    Column("comment", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

# Scores of public leaderboards, as hints: imported, never measured here.
model_hints = Table(
    "model_hints",
    metadata,
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("model", String(200), primary_key=True),
    Column("benchmark", String(150), primary_key=True),
    Column("source", String(200), primary_key=True),
    Column("score", Float, nullable=False),
    Column("date", String(10), nullable=False),
    Column("listed_as", String(200), nullable=False),
    Column("imported", BigInteger, nullable=False),
    Column("imported_by", String(320), nullable=False),
)

prompts = Table(
    "prompts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(320), nullable=False),
    UniqueConstraint("project_id", "name"),
    info={"audited": "prompt"},
)

# Never changed and never deleted but with the prompt: runs and spans name versions by their number.
prompt_versions = Table(
    "prompt_versions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("prompt_id", String(32), ForeignKey("prompts.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("template", JSON, nullable=False),
    Column("author", String(320), nullable=False),
    Column("message", Text, nullable=False),
    Column("parent", Integer, nullable=True),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("prompt_id", "number"),
    info={"audited": "prompt_version", "left_out": ("template",)},
)

prompt_comments = Table(
    "prompt_comments",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("prompt_id", String(32), ForeignKey("prompts.id", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("author", String(320), nullable=False),
    Column("text", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Index("ix_prompt_comments_prompt_id", "prompt_id"),
)

# What each label has ever served. The row with a label's highest number is in force; none is ever changed.
releases = Table(
    "releases",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("prompt_id", String(32), ForeignKey("prompts.id", ondelete="CASCADE"), nullable=False),
    Column("label", String(40), nullable=False),
    Column("number", Integer, nullable=False),
    Column("split", JSON, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(320), nullable=False),
    Column("message", Text, nullable=False),
    Column("gate_run_id", String(64), nullable=False),
    Column("restores", Integer, nullable=False),
    Column("canary", JSON(none_as_null=True)),
    UniqueConstraint("prompt_id", "label", "number"),
    info={"audited": "release"},
)

# Runs of suites. What came of them, case by case, lies with the spans; here is what a list shows.
runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("suite", String(200), nullable=False),
    Column("settings", JSON, nullable=False),
    Column("dataset", String(500), nullable=False),
    Column("dataset_version", String(100), nullable=False),
    Column("cases", Integer, nullable=False),
    Column("candidates", JSON, nullable=False),
    Column("scorers", JSON, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("status", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("author", String(320), nullable=False),
    Column("place", String(1000), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger, nullable=True),
    Column("ended", BigInteger, nullable=True),
    Column("touched", BigInteger, nullable=False),
    Column("progress", JSON, nullable=False),
    Column("summary", JSON, nullable=False),
    Index("ix_runs_project_id", "project_id", "created"),
)

# A run's cases as they were when it began, compressed: a file may change, and a resumed run must not notice.
run_cases = Table(
    "run_cases",
    metadata,
    Column("run_id", String(32), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# What a gate said of a run's candidate. Rows are never changed: asked again, it says so again.
gates = Table(
    "gates",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("run_id", String(32), nullable=False),
    Column("suite", String(200), nullable=False),
    Column("baseline", String(300), nullable=False),
    Column("candidate", String(300), nullable=False),
    Column("prompt", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(320), nullable=False),
    Index("ix_gates_project_id", "project_id", "created"),
    Index("ix_gates_run_id", "run_id"),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("description", Text, nullable=False),
    Column("version", Integer, nullable=False),  # the newest; 0 before there was a case
    Column("shares", Text, nullable=False),  # JSON: how large each split is to be; "" while it is not split
    Column("created", BigInteger, nullable=False),
    Column("created_by", String(320), nullable=False),
    UniqueConstraint("project_id", "name"),
)

dataset_versions = Table(
    "dataset_versions",
    metadata,
    Column("dataset_id", String(32), ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("author", String(320), nullable=False),
    Column("message", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("added", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("cases", Integer, nullable=False),  # how many it holds
)

# A row never changes but for `until`: it is part of every version from `since` on and before `until`. So a version
# costs what it changed. The columns after `hash` are there to be searched, and are made from `content`.
dataset_cases = Table(
    "dataset_cases",
    metadata,
    Column("dataset_id", String(32), ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column("case_id", String(200), primary_key=True),
    Column("since", Integer, primary_key=True),
    Column("until", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("split", String(8), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("referenced", String(8), nullable=False),  # whose reference it has: none, person, model
    Column("tags", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("sketch", LargeBinary, nullable=False),
    Index("ix_dataset_cases_dataset_id", "dataset_id", "until", "position"),
)

# What is tried in the playground. `owner` is an e-mail address and no reference, as with saved views.
playground_drafts = Table(
    "playground_drafts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project_id", String(64), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("owner", String(320), nullable=False),
    Column("title", String(200), nullable=False),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Index("ix_playground_drafts_project_id", "project_id"),
)

playground_answers = Table(
    "playground_answers",
    metadata,
    Column("draft_id", String(32), ForeignKey("playground_drafts.id", ondelete="CASCADE"), primary_key=True),
    Column("column_id", Integer, primary_key=True),
    Column("answer", Text, nullable=False),
)
