#!/bin/sh
# The smoke suite on the instance that runs the release against the restored database; `first`, `last` and `seconds`
# are set above. Of each answer it prints the status, and the fields that say nothing of people: SSM keeps it all.
set -u
app=http://localhost:5000
fields='"(id|next|price|created_at|updated_at|status|database|version|instance|reason|code)" ?: ?("([^"\]|\\.)*"|[0-9.]+|null)'

look() {
  : > /tmp/answer
  status=$(curl -sS -m 15 -o /tmp/answer -w '%{http_code}' "$@" 2> /tmp/trouble) || :
}

show() {
  echo "> $1 $status"
  grep -oE "$fields" /tmp/answer || :
}

# A 503 asks to come again: one of the server's processes may be ready before another.
ask() {
  what=$1
  shift
  for _ in 1 2 3 4 5; do
    look "$@"
    [ "$status" = 503 ] || break
    sleep 1
  done
  show "$what"
}

post() {
  ask "$1" -X "$2" -H 'Content-Type: application/json' -d "$3" "$app$4"
}

# The agent is online long before the container runs. What is wrong with the schema does not pass by itself.
end=$(($(date +%s) + seconds))
said=
while look "$app/ready" && [ "$status" != 200 ]; do
  now=$(show waiting)
  [ "$now" = "$said" ] || echo "$now"
  said=$now
  grep -qE 'schema version|migration' /tmp/answer && break
  [ "$(date +%s)" -lt "$end" ] || break
  sleep 1
done
show ready
[ "$status" = 200 ] || exit 1

ask health "$app/health"
ask first-page "$app/items?limit=2"
ask next-page "$app/items?limit=2&after=$first"
ask behind-the-last "$app/items?after=$last"
ask first-item "$app/items/$first"
ask last-item "$app/items/$last"
post create POST '{"name": "made by the verification of a backup", "price": 12.50}' /items
id=$(grep -oE '"id" ?: ?[0-9]+' /tmp/answer | head -n 1 | tr -dc 0-9)
ask read-created "$app/items/${id:-0}"
post update PUT '{"name": "made by the verification of a backup", "price": 7.25}' "/items/${id:-0}"
ask read-updated "$app/items/${id:-0}"
ask delete -X DELETE "$app/items/${id:-0}"
ask read-deleted "$app/items/${id:-0}"
ask no-such-item "$app/items/0"
ask bad-parameter "$app/items?limit=none"
post bad-body POST '{' /items
