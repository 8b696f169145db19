-- A role that reads the Terraform state of the schema llama-cpp and writes nothing, for CI.
-- Run it as a superuser of the state's database, after the first deploy; then set its password:
--   psql "$PG_CONN_STR" -f docs/ci/plan-reader.sql -c '\password plan_reader'
-- Terraform looks for schema, table and index before it reads, which takes rights that this role
-- does not have: set PG_SKIP_SCHEMA_CREATION, PG_SKIP_TABLE_CREATION, PG_SKIP_INDEX_CREATION=true.

do $$
begin
  if not exists (select from pg_roles where rolname = 'plan_reader') then
    create role plan_reader login;
  end if;
end $$;

grant usage on schema "llama-cpp" to plan_reader;
grant select on all tables in schema "llama-cpp" to plan_reader;

-- What the deploying role adds later is readable too.
do $$
declare
  owner name := (select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'llama-cpp');
begin
  execute format(
    'alter default privileges for role %I in schema "llama-cpp" grant select on tables to plan_reader',
    owner
  );
end $$;
