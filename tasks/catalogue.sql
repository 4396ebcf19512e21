-- What this database is made of, but for its rows: kind, name and definition of each thing, a line for each fact.
-- Nothing here may differ after a dump and a restore: no OIDs, no gaps of dropped columns, no order of a locale's.
with schemas as (
    select oid, nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
),
of_extensions as (
    select classid, objid from pg_depend where deptype = 'e'
),
relations as (
    select pg_class.*, pg_class.oid::regclass::text as name
    from pg_class join schemas on schemas.oid = relnamespace
    where not exists (select from of_extensions where classid = 'pg_class'::regclass and objid = pg_class.oid)
),
columns as (
    select relations.name, relations.relkind, pg_attribute.*, row_number() over (partition by attrelid order by attnum) as position
    from relations join pg_attribute on attrelid = relations.oid
    where attnum > 0 and not attisdropped and relkind in ('r', 'p', 'v', 'm', 'f', 'c')
),
functions as (
    select pg_proc.*, pg_proc.oid::regprocedure::text as name
    from pg_proc join schemas on schemas.oid = pronamespace
    where not exists (select from of_extensions where classid = 'pg_proc'::regclass and objid = pg_proc.oid)
),
types as (
    select pg_type.*, pg_type.oid::regtype::text as name
    from pg_type join schemas on schemas.oid = typnamespace
    where (typrelid = 0 or exists (select from pg_class where oid = typrelid and relkind = 'c'))
      and typtype <> 'm' and not exists (select from pg_type as element where element.typarray = pg_type.oid)
      and not exists (select from of_extensions where classid = 'pg_type'::regclass and objid = pg_type.oid)
),
-- Those of PostgreSQL and of RDS are the platform's. A password is no fact: a restored copy has another one.
roles as (
    select * from pg_roles where rolname !~ '^(pg_|rds)'
),
owned as (
    select 'pg_class'::regclass as class, oid, 0 as part, relowner as owner,
           coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)) as acl
    from relations where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    union all select 'pg_class'::regclass, attrelid, attnum, null, attacl from columns
    union all select 'pg_proc'::regclass, oid, 0, proowner, coalesce(proacl, acldefault('f', proowner)) from functions
    union all select 'pg_type'::regclass, oid, 0, typowner, coalesce(typacl, acldefault('T', typowner)) from types
    union all
    select 'pg_namespace'::regclass, oid, 0, nspowner, coalesce(nspacl, acldefault('n', nspowner))
    from pg_namespace join schemas using (oid)
),
named as (
    select coalesce(nullif(type, 'table column'), 'column') || ' ' || identity as name, owner, acl
    from owned cross join lateral pg_identify_object(class, owned.oid, part)
    union all
    select 'database', datdba, coalesce(datacl, acldefault('d', datdba)) from pg_database where datname = current_database()
)

select 'schema' as kind, quote_ident(nspname) as name, 'there'::text as definition from schemas

union all
select 'owner', 'of ' || name, pg_get_userbyid(owner)::text from named where owner is not null

union all
select 'privileges', format('of %s on %s', coalesce(quote_ident(rolname), 'everybody'), named.name),
       string_agg(distinct privilege_type || case when is_grantable then ' with grant option' else '' end collate "C", E'\n')
from named cross join lateral aclexplode(acl) left join pg_roles on pg_roles.oid = grantee
group by rolname, named.name

union all
select 'default privileges',
       format('of %s on %s made by %s%s', coalesce(quote_ident(grantees.rolname), 'everybody'),
              case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                                 when 'T' then 'types' when 'n' then 'schemas' else 'large objects' end,
              quote_ident(pg_get_userbyid(defaclrole)), ' in ' || nullif(defaclnamespace, 0)::regnamespace),
       string_agg(distinct privilege_type || case when is_grantable then ' with grant option' else '' end collate "C", E'\n')
from pg_default_acl cross join lateral aclexplode(defaclacl) left join pg_roles as grantees on grantees.oid = grantee
group by grantees.rolname, defaclobjtype, defaclrole, defaclnamespace

union all
select case relkind when 'f' then 'foreign table' else 'table' end, name,
       concat_ws(E'\n', case relpersistence when 'p' then 'logged' else 'unlogged' end,
                 case when relrowsecurity then 'row security' else 'no row security' end,
                 case when relforcerowsecurity then 'row security for its owner too' end,
                 case relreplident when 'd' then null when 'n' then 'no replica identity'
                                   when 'f' then 'full replica identity' else 'an index as replica identity' end,
                 'partitioned by ' || pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid),
                 (select string_agg('inherits ' || inhparent::regclass, E'\n' order by inhseqno)
                  from pg_inherits where inhrelid = relations.oid),
                 (select string_agg('with ' || option, E'\n' order by option collate "C") from unnest(reloptions) as option),
                 (select nullif(count(*), 0) || ' foreign key triggers not enabled'
                  from pg_trigger where tgrelid = relations.oid and tgisinternal and tgenabled <> 'O'))
from relations where relkind in ('r', 'p', 'f')

union all
select 'column', format('%s.%I', name, attname),
       concat_ws(E'\n', format_type(atttypid, atttypmod), case when attnotnull then 'not null' else 'nullable' end,
                 'collation ' || (select attcollation::regcollation from pg_type
                                  where pg_type.oid = atttypid and attcollation <> typcollation),
                 case attgenerated when '' then 'default ' else 'generated ' || attgenerated::text || ' as ' end
                     || pg_get_expr(adbin, adrelid),
                 case attidentity when 'a' then 'generated always as identity'
                                  when 'd' then 'generated by default as identity' end,
                 'position ' || position)
from columns left join pg_attrdef on adrelid = attrelid and adnum = attnum

union all
select 'constraint', format('%I on %s', conname, coalesce(relations.name, types.name)),
       concat_ws(E'\n', case when convalidated then 'validated' else 'not validated' end,
                 regexp_replace(pg_get_constraintdef(pg_constraint.oid), ' NOT VALID$', ''))
from pg_constraint left join relations on conrelid = relations.oid left join types on contypid = types.oid
-- Since PostgreSQL 18 each NOT NULL is a constraint too; the columns say that already.
where coalesce(relations.name, types.name) is not null and (contype <> 'n' or not convalidated)

union all
select 'index', indexrelid::regclass::text,
       concat_ws(E'\n', case when indisvalid then 'valid' else 'invalid' end,
                 case when indisready then 'ready' else 'not ready' end,
                 case when indisreplident then 'replica identity' end, pg_get_indexdef(indexrelid))
from pg_index join relations on indrelid = relations.oid

union all
select 'sequence', name,
       concat_ws(E'\n', format_type(seqtypid, null), 'start ' || seqstart, 'increment ' || seqincrement,
                 format('from %s to %s', seqmin, seqmax), 'cache ' || seqcache, case when seqcycle then 'cycle' end,
                 (select format('of %s.%I', attrelid::regclass, attname)
                  from pg_depend join pg_attribute on attrelid = refobjid and attnum = refobjsubid
                  where classid = 'pg_class'::regclass and objid = relations.oid and deptype in ('a', 'i')
                    and refclassid = 'pg_class'::regclass))
from relations join pg_sequence on seqrelid = relations.oid

union all
select case relkind when 'm' then 'materialized view' else 'view' end, name,
       concat_ws(E'\n', case when not relispopulated then 'not populated' end,
                 (select string_agg('with ' || option, E'\n' order by option collate "C") from unnest(reloptions) as option),
                 pg_get_viewdef(oid))
from relations where relkind in ('v', 'm')

union all
select 'trigger', format('%I on %s', tgname, name),
       concat_ws(E'\n', case tgenabled when 'O' then 'enabled' when 'D' then 'disabled'
                                       when 'A' then 'enabled always' else 'enabled on replicas' end,
                 pg_get_triggerdef(pg_trigger.oid))
from pg_trigger join relations on tgrelid = relations.oid where not tgisinternal

union all
select 'event trigger', quote_ident(evtname),
       concat_ws(E'\n', 'state ' || evtenabled::text, evtevent, evtfoid::regprocedure, array_to_string(evttags, ' '))
from pg_event_trigger

union all
select 'rule', format('%I on %s', rulename, name), concat_ws(E'\n', 'state ' || ev_enabled::text, pg_get_ruledef(pg_rewrite.oid))
from pg_rewrite join relations on ev_class = relations.oid where rulename <> '_RETURN'

union all
select 'function', name, case prokind when 'a' then 'an aggregate' else rtrim(pg_get_functiondef(oid), E'\n') end from functions

union all
select 'type', name,
       concat_ws(E'\n', case typtype when 'e' then 'enum' when 'd' then 'domain over ' || format_type(typbasetype, typtypmod)
                                     when 'c' then 'composite' when 'r' then 'range' else 'base' end,
                 case when typnotnull then 'not null' end, 'default ' || typdefault,
                 (select string_agg(quote_literal(enumlabel), E'\n' order by enumsortorder) from pg_enum where enumtypid = types.oid),
                 (select 'of ' || rngsubtype::regtype from pg_range where rngtypid = types.oid))
from types

union all
select 'policy', format('%I on %s', polname, name),
       concat_ws(E'\n', case when polpermissive then 'permissive' else 'restrictive' end, 'for ' || polcmd::text,
                 (select string_agg('to ' || coalesce(nullif(role, 0)::regrole::text, 'everybody'), E'\n'
                                    order by nullif(role, 0)::regrole::text collate "C") from unnest(polroles) as role),
                 'using ' || pg_get_expr(polqual, polrelid), 'with check ' || pg_get_expr(polwithcheck, polrelid))
from pg_policy join relations on polrelid = relations.oid

union all
select 'statistics', format('%I.%I', nspname, stxname), pg_get_statisticsobjdef(pg_statistic_ext.oid)
from pg_statistic_ext join schemas on schemas.oid = stxnamespace

union all
select 'publication', quote_ident(pubname),
       concat_ws(E'\n', case when puballtables then 'all tables' end, case when pubinsert then 'insert' end,
                 case when pubupdate then 'update' end, case when pubdelete then 'delete' end,
                 case when pubtruncate then 'truncate' end,
                 (select string_agg(format('%I.%I %s %s', schemaname, tablename, attnames, rowfilter), E'\n'
                                    order by format('%I.%I', schemaname, tablename) collate "C")
                  from pg_publication_tables where pg_publication_tables.pubname = pg_publication.pubname))
from pg_publication

union all
select 'extension', quote_ident(extname), concat_ws(E'\n', 'version ' || extversion, 'in ' || extnamespace::regnamespace)
from pg_extension

union all
select 'role', quote_ident(rolname),
       concat_ws(E'\n', case when rolcanlogin then 'login' else 'no login' end, case when rolsuper then 'superuser' end,
                 case when rolcreaterole then 'create role' end, case when rolcreatedb then 'create database' end,
                 case when rolreplication then 'replication' end, case when rolbypassrls then 'bypass row security' end,
                 case when not rolinherit then 'no inherit' end, 'connection limit ' || nullif(rolconnlimit, -1),
                 'valid until ' || case when isfinite(rolvaliduntil) then (rolvaliduntil at time zone 'UTC')::text end,
                 (select string_agg(distinct format('member of %I%s%s%s', pg_get_userbyid(roleid),
                                                    case when admin_option then ' with admin option' end,
                                                    ', inherit ' || (to_jsonb(pg_auth_members) ->> 'inherit_option'),
                                                    ', set ' || (to_jsonb(pg_auth_members) ->> 'set_option')) collate "C", E'\n')
                  from pg_auth_members where member = roles.oid))
from roles

union all
select 'settings',
       format('of %s in %s', coalesce(nullif(setrole, 0)::regrole::text, 'every role'),
              case setdatabase when 0 then 'every database' else 'this database' end),
       (select string_agg(setting, E'\n' order by setting collate "C") from unnest(setconfig) as setting)
from pg_db_role_setting left join pg_roles on pg_roles.oid = setrole
where setdatabase in (0, (select oid from pg_database where datname = current_database()))
  and coalesce(rolname, '') !~ '^(pg_|rds)'

union all
select 'database', 'itself',
       concat_ws(E'\n', 'encoding ' || pg_encoding_to_char(encoding), 'connection limit ' || nullif(datconnlimit, -1))
from pg_database where datname = current_database()

union all
select type, identity, 'there'
from (
    select 'pg_operator'::regclass as class, oid from pg_operator
    union all select 'pg_cast'::regclass, oid from pg_cast
    union all select 'pg_collation'::regclass, oid from pg_collation
    union all select 'pg_opclass'::regclass, oid from pg_opclass
    union all select 'pg_ts_config'::regclass, oid from pg_ts_config
    union all select 'pg_ts_dict'::regclass, oid from pg_ts_dict
    union all select 'pg_foreign_server'::regclass, oid from pg_foreign_server
) as rare cross join lateral pg_identify_object(class, rare.oid, 0)
where rare.oid >= 16384 and not exists (select from of_extensions where classid = class and objid = rare.oid)

union all
select 'comment', 'on ' || type || ' ' || identity, description
from pg_description cross join lateral pg_identify_object(classoid, objoid, objsubid)
where objoid >= 16384 and classoid <> 'pg_extension'::regclass
  and not exists (select from of_extensions where classid = classoid and objid = objoid)
