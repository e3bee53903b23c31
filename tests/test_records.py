"""Records on SQLite, and on PostgreSQL where RATCHET_TEST_POSTGRES says where one is."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from argon2 import PasswordHasher

from ratchet.domain.access import Role
from ratchet.domain.declarations import DeclaredKind
from ratchet.errors import Conflict, InvalidRequest, Misconfigured, NotFound, Unauthenticated, Unavailable
from ratchet.store.records import Records, declarations, keys, members
from ratchet.store.records.migrate import migrate
from ratchet.store.records.schema import metadata

NOW = 1_700_000_000 * 10**9
HOUR = 3600 * 10**9
PASSWORD = "correct horse battery"


def test_migrations_make_exactly_the_declared_tables(records: Records) -> None:
    with records.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_changes_nothing(records: Records) -> None:
    before = records.revision("gateway")
    migrate(records)
    assert records.revision("gateway") == before


def test_a_newer_ratchets_records_are_left_alone(records: Records) -> None:
    with records.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match="newer ratchet"):
        migrate(records)


def test_a_key_is_shown_once_and_kept_as_a_hash(records: Records) -> None:
    key, secret = keys.create_key(records, project_id="default", name="app", now=NOW, created_by="cli")
    assert secret.startswith("rk-")
    assert key.prefix == secret[:9]
    with records.read() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM keys").mappings().all()
    assert secret not in str(rows)
    assert keys.live_keys(records) == [key]


def test_revoking_a_key_moves_the_revision_and_takes_it_from_the_live_ones(records: Records) -> None:
    key, _ = keys.create_key(records, project_id="default", name="app", now=NOW, created_by="cli")
    before = records.revision(keys.GATEWAY_TOPIC)
    revoked = keys.revoke_key(records, project_id="default", name_or_id="app", now=NOW + 5)
    assert revoked.id == key.id
    assert revoked.state(NOW + 6) == "revoked"
    assert records.revision(keys.GATEWAY_TOPIC) == before + 1
    assert keys.live_keys(records) == []
    assert keys.revoke_key(records, project_id="default", name_or_id=key.id, now=NOW + 9).revoked == NOW + 5


def test_bad_keys_are_refused_and_leave_nothing(records: Records) -> None:
    keys.create_key(records, project_id="default", name="app", now=NOW, created_by="cli")
    with pytest.raises(Conflict, match="'app'"):
        keys.create_key(records, project_id="default", name="app", now=NOW, created_by="cli")
    with pytest.raises(InvalidRequest, match="name"):
        keys.create_key(records, project_id="default", name="  ", now=NOW, created_by="cli")
    with pytest.raises(InvalidRequest, match="expired"):
        keys.create_key(records, project_id="default", name="old", now=NOW, created_by="cli", expires=NOW)
    with pytest.raises(NotFound, match="elsewhere"):
        keys.create_key(records, project_id="elsewhere", name="b", now=NOW, created_by="cli")
    with pytest.raises(NotFound, match="nope"):
        keys.revoke_key(records, project_id="default", name_or_id="nope", now=NOW)
    assert [key.name for key in keys.list_keys(records, project_id="default")] == ["app"]


def test_a_key_that_the_studio_lends_itself(records: Records) -> None:
    secret = keys.lend_key(records, project_id="default", name="studio: try it", now=NOW, expires=NOW + HOUR)
    again = keys.lend_key(
        records, project_id="default", name="studio: try it", now=NOW + 1, expires=NOW + HOUR
    )
    assert secret != again
    assert {key.created_by for key in keys.live_keys(records)} == {keys.STUDIO}
    before = records.revision(keys.GATEWAY_TOPIC)
    keys.lend_key(
        records, project_id="default", name="studio: try it", now=NOW + HOUR, expires=NOW + 2 * HOUR
    )
    assert len(keys.live_keys(records)) == 1, "what has expired is revoked on the way"
    assert records.revision(keys.GATEWAY_TOPIC) == before + 1


def test_providers_and_routes_are_declared_changed_and_dropped(records: Records) -> None:
    def add(kind: DeclaredKind, name: str, **settings: object) -> None:
        declarations.add_declared(
            records, kind, project_id="default", name=name, settings=settings, now=NOW, by="ada@example.org"
        )

    before = records.revision(keys.GATEWAY_TOPIC)
    add("provider", "vllm", base_url="http://10.0.0.5/v1", drop_fields=["user"])
    add("route", "cheap", targets=["vllm/llama"])
    add("route", "a-first", targets=["vllm/llama"])
    assert records.revision(keys.GATEWAY_TOPIC) == before + 3
    found = declarations.declared(records, project_id="default")
    assert [route.name for route in found.routes] == ["a-first", "cheap"]
    assert found.providers[0].settings == {"base_url": "http://10.0.0.5/v1", "drop_fields": ["user"]}
    assert declarations.all_declared(records) == found
    with pytest.raises(Conflict, match="provider 'vllm' already"):
        add("provider", "vllm")
    changed = declarations.change_declared(
        records,
        "provider",
        project_id="default",
        name="vllm",
        settings={"timeout": 3},
        now=NOW,
        by="bob@example.org",
        seen=found.providers[0].updated,
    )
    assert changed.settings == {"timeout": 3}
    assert (changed.created_by, changed.updated_by) == ("ada@example.org", "bob@example.org")
    assert changed.updated > found.providers[0].updated
    assert records.revision(keys.GATEWAY_TOPIC) == before + 4, "what was refused has changed nothing"
    assert declarations.drop_declared(records, "provider", project_id="default", name="vllm") == changed
    with pytest.raises(NotFound, match="'vllm'"):
        declarations.drop_declared(records, "provider", project_id="default", name="vllm")
    assert declarations.declared(records, project_id="default").providers == ()
    assert records.revision(keys.GATEWAY_TOPIC) == before + 5


def test_a_change_made_from_an_old_version_is_refused(records: Records) -> None:
    first = declarations.add_declared(
        records, "route", project_id="default", name="r", settings={"targets": ["a/b"]}, now=NOW, by="ada"
    )

    def change(target: str, by: str, seen: int | None) -> None:
        declarations.change_declared(
            records,
            "route",
            project_id="default",
            name="r",
            settings={"targets": [target]},
            now=NOW,
            by=by,
            seen=seen,
        )

    change("a/c", "bob", first.updated)
    with pytest.raises(Conflict, match="bob has changed"):
        change("a/d", "ada", first.updated)
    change("a/e", "ada", None)
    with pytest.raises(NotFound, match="'nope'"):
        declarations.change_declared(
            records, "route", project_id="default", name="nope", settings={}, now=NOW, by="ada"
        )
    assert declarations.declared(records, project_id="default").routes[0].settings == {"targets": ["a/e"]}


def test_another_projects_declarations_are_not_ones_own(records: Records) -> None:
    with records.write() as connection:
        connection.exec_driver_sql("INSERT INTO projects (id, name, created) VALUES ('other', 'Other', 0)")
    declarations.add_declared(
        records, "route", project_id="other", name="r", settings={"targets": ["a/b"]}, now=NOW, by="eve"
    )
    assert declarations.declared(records, project_id="default").routes == ()
    assert len(declarations.all_declared(records).routes) == 1
    with pytest.raises(NotFound):
        declarations.drop_declared(records, "route", project_id="default", name="r")
    with pytest.raises(Conflict):  # gateways serve one list of names
        declarations.add_declared(
            records, "route", project_id="default", name="r", settings={}, now=NOW, by="ada"
        )


def test_the_first_link_makes_an_admin_once(records: Records) -> None:
    assert not members.has_members(records)
    link = members.create_link(records, project_id="default", email="", role=Role.ADMIN, now=NOW)
    assert members.peek_link(records, link, now=NOW) == ""
    member = members.accept_link(records, link, email="Ada@Example.org", password=PASSWORD, now=NOW)
    assert (member.email, member.role) == ("ada@example.org", Role.ADMIN)
    assert members.has_members(records)
    with pytest.raises(NotFound, match="used or has expired"):
        members.accept_link(records, link, email="eve@example.org", password=PASSWORD, now=NOW)


def test_an_unknown_account_costs_a_stranger_what_a_known_one_does() -> None:
    assert not PasswordHasher().check_needs_rehash(members._DECOY)


def test_an_expired_link_and_a_weak_password_are_refused(records: Records) -> None:
    link = members.create_link(records, project_id="default", email="", role=Role.ADMIN, now=NOW)
    with pytest.raises(InvalidRequest, match="characters"):
        members.accept_link(records, link, email="ada@example.org", password="short", now=NOW)
    with pytest.raises(InvalidRequest, match="not an e-mail"):
        members.accept_link(records, link, email="ada", password=PASSWORD, now=NOW)
    with pytest.raises(NotFound):
        members.accept_link(records, link, email="ada@example.org", password=PASSWORD, now=NOW + 25 * HOUR)
    assert not members.has_members(records)


def test_passwords_logins_and_tokens(records: Records) -> None:
    link = members.create_link(records, project_id="default", email="", role=Role.ADMIN, now=NOW)
    ada = members.accept_link(records, link, email="ada@example.org", password=PASSWORD, now=NOW)
    assert (
        members.verify_password(records, project_id="default", email="ADA@example.org", password=PASSWORD)
        == ada
    )
    for email, password in [("ada@example.org", "wrong"), ("nobody@example.org", PASSWORD)]:
        with pytest.raises(Unauthenticated, match="address or the password"):
            members.verify_password(records, project_id="default", email=email, password=password)
    session = members.start_login(records, ada, now=NOW)
    token = members.create_token(records, ada, name="ci", now=NOW, expires=NOW + HOUR)
    assert members.member_of_login(records, session, project_id="default", now=NOW) == ada
    assert members.member_of_token(records, token, project_id="default", now=NOW) == ada
    assert members.member_of_token(records, token, project_id="default", now=NOW + HOUR) is None
    assert members.member_of_login(records, token, project_id="default", now=NOW) is None
    assert members.member_of_login(records, session, project_id="default", now=NOW + 400 * HOUR) is None
    members.end_login(records, session)
    assert members.member_of_login(records, session, project_id="default", now=NOW) is None


def test_invited_members_and_the_last_admin(records: Records) -> None:
    link = members.create_link(records, project_id="default", email="", role=Role.ADMIN, now=NOW)
    members.accept_link(records, link, email="ada@example.org", password=PASSWORD, now=NOW)
    bob, invitation = members.invite_member(
        records, project_id="default", email="bob@example.org", role=Role.ANNOTATOR, now=NOW
    )
    assert not bob.has_password
    assert members.peek_link(records, invitation, now=NOW) == "bob@example.org"
    joined = members.accept_link(records, invitation, email="eve@example.org", password=PASSWORD, now=NOW)
    assert (joined.email, joined.role) == ("bob@example.org", Role.ANNOTATOR)
    with pytest.raises(Conflict, match="member already"):
        members.invite_member(
            records, project_id="default", email="bob@example.org", role=Role.VIEWER, now=NOW
        )
    with pytest.raises(Conflict, match="only admin"):
        members.remove_member(records, project_id="default", email="ada@example.org")
    with pytest.raises(Conflict, match="only admin"):
        members.set_role(records, project_id="default", email="ada@example.org", role=Role.VIEWER)
    members.set_role(records, project_id="default", email="bob@example.org", role=Role.ADMIN)
    members.remove_member(records, project_id="default", email="ada@example.org")
    assert [member.email for member in members.list_members(records, project_id="default")] == [
        "bob@example.org"
    ]


def test_an_unreachable_database_says_so() -> None:
    records = Records.open("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(Unavailable, match="can't be reached"):
        records.revision("gateway")
    records.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "not a url"])
def test_an_impossible_address_is_named(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"store\.records"):
        Records.open(url)
