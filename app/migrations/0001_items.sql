create table items (
    id          bigint generated always as identity primary key,
    name        text           not null check (length(name) between 1 and 200),
    description text           not null default '' check (length(description) <= 2000),
    price       numeric(12, 2) not null check (price >= 0),
    created_at  timestamptz    not null default now(),
    updated_at  timestamptz    not null default now()
);

create index idx_items_created_at on items (created_at);
