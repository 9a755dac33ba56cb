"""A database of the first version, whose comments and notifications have to be there afterwards."""

from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.postgres import Address, migrate
from tests.engine.kit.tokens import bearer

AT_REVISION_0002 = """
    create table streams (name varchar(300) primary key, last_seq bigint not null) with (fillfactor = 50);
    create table comments (
        id bigint generated always as identity primary key, post_id bigint not null, seq bigint not null,
        author_id varchar(255) not null, client_id varchar(128), connection_id varchar(32), body text not null,
        created_at timestamptz not null default now(),
        unique (post_id, seq), constraint comments_are_idempotent unique (post_id, author_id, client_id)
    );
    create table notifications (
        id bigint generated always as identity primary key, user_id varchar(255) not null, seq bigint not null,
        data json not null, created_at timestamptz not null default now(), read_at timestamptz, unique (user_id, seq)
    );
    create table tickets (
        digest bytea primary key, user_id varchar(255) not null, scopes text not null, issued_at timestamptz not null,
        expires_at timestamptz not null, valid_until timestamptz not null
    );
    create index ix_tickets_valid_until on tickets (valid_until);
    create table revocations (user_id varchar(255) primary key, revoked_at timestamptz not null);
    create index ix_revocations_revoked_at on revocations (revoked_at);
    create table alembic_version (version_num varchar(32) primary key);
    insert into alembic_version values ('0002');
    insert into streams values ('comments:7', 2), ('notifications:1', 1);
    insert into comments (post_id, seq, author_id, client_id, connection_id, body)
        values (7, 1, '1', 'a1', 'abcd', 'first'), (7, 2, 'alice', null, null, 'second');
    insert into notifications (user_id, seq, data) values ('1', 1, '{"text": "hello"}');
"""


async def test_a_database_of_the_first_version_is_taken_along(
    postgres: Address, start_service: StartService, connect: Connect
) -> None:
    database = postgres.create_database(migrated=False)
    database.execute(AT_REVISION_0002)
    migrate(database)
    service = start_service(database=database)
    client = await connect(service, "/ws/live-comments/7", user=1, after=0)
    missed = await client.receive_until("caught_up")
    assert [(one["seq"], one.get("author_id"), one.get("body")) for one in missed] == [
        (1, 1, "first"),
        (2, "alice", "second"),
        (2, None, None),
    ]
    again = {"type": "new_comment", "body": "first", "client_id": "a1"}
    assert (await client.ask(again))["seq"] == 1
    assert (await client.ask(again | {"client_id": "a2"}))["seq"] == 3
    kept = service.get("/api/notifications", headers=bearer(1)).json()
    assert ([one["data"] for one in kept["notifications"]], kept["last_seq"]) == ([{"text": "hello"}], 1)
