create table heartbeats (
    minute     timestamptz primary key,
    sequence   bigint      not null unique,
    written_at timestamptz not null,
    instance   text        not null,
    digest     text        not null
);

-- The chain's only definition: the writer and whoever checks a restored database both call it.
create function heartbeat_digest(
    previous text, sequence bigint, minute timestamptz, written_at timestamptz, instance text
) returns text language sql stable as $$
    select encode(sha256(convert_to(concat_ws('|',
        coalesce(previous, ''), sequence,
        to_char(minute at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        to_char(written_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        instance), 'UTF8')), 'hex')
$$;

create view heartbeat_chain as
select heartbeats.*,
       sequence = coalesce(lag(sequence) over chain + 1, sequence)
       and digest = heartbeat_digest(lag(digest) over chain, sequence, minute, written_at, instance)
       and minute > coalesce(lag(minute) over chain, '-infinity') as intact
from heartbeats
window chain as (order by sequence);
