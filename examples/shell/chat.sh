#!/usr/bin/env bash
# A client of Ringdial made of curl, websocat and jq: enough to try a cluster, to watch a topic, or to send from a script.
#
#   ./chat.sh http://127.0.0.1:7000/lookup alice bob       # to a user
#   ./chat.sh http://127.0.0.1:7000/lookup alice g:lobby   # in a group
#
# Each line of input is sent. Output: `TOPIC #OFFSET SENDER: TEXT` for a message, `sent #OFFSET` once one's own is stored; the
# rest on stderr. The application's token, if the service wants one, is in RINGDIAL_TOKEN.
#
# Everything that happens - a line of input, a frame, the end of a connection - is an event in one pipe, and one loop reads it.
# Connections are numbered; in a move there are two. websocat tells no close codes: the `error` frame before a close serves.
set -uo pipefail
lookup=${1:?the url of the lookup} me=${2:?who you are} to=${3:?a user, or g: and a group}

dir=$(mktemp -d)
trap 'for n in "${!fd[@]}"; do end_link "$n"; done; kill $(jobs -p) 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
mkfifo "$dir/events" && exec 3<>"$dir/events"
declare -A epoch=() offset=() unanswered=() fd=() node=() pending=() # by topic; by ref; by connection; topics that the log has not answered for
links=0 current=0 dialing=0 leaving=0 dialed_at=0 since=0 heard_at=0 silence=60000
session='' said='' temporary=true failures=0 retry_at=0 base_ms=500 max_ms=30000 spread_ms=500 ref=0 over='' avoid=()
# Where one's own inbox, and the group, are read from as long as there is no position: the beginning of the log.
topics=("u:$me") target=$(jq -nc --arg to "$to" '{user: $to}')
[[ $to == g:* ]] && topics+=("$to") target=$(jq -nc --arg to "${to#g:}" '{group: $to}')

tell() { printf '%s\n' "$*" >&2; }
event() { printf '%s\n' "$*" >&3; }
write() { printf '%s\n' "$2" >&"${fd[$1]}"; } # connection, frame
end_link() { kill "$(<"$dir/$1.pid")" 2>/dev/null; } # its end comes as an event
random() { echo $((RANDOM * 32768 + RANDOM)); }

# Step 1, after a wait that is over. Sets what the answer says, or when to try again.
look_up() {
  local query=(--data-urlencode "id=$me") auth=() answer status
  for name in "${avoid[@]}"; do query+=(--data-urlencode "avoid=$name"); done
  # On stdin, so that no list of processes shows it.
  [ -n "${RINGDIAL_TOKEN:-}" ] && auth=(--config -)
  answer=$(curl -sS --max-time 10 -G "$lookup" "${query[@]}" "${auth[@]}" -w '\n%{http_code}' <<<"header = \"Authorization: Bearer ${RINGDIAL_TOKEN:-}\"")
  status=${answer##*$'\n'} answer=${answer%$'\n'*}
  if [ "$status" != 200 ]; then
    tell "lookup refused: $status $(jq -r '"\(.code): \(.detail)"' <<<"$answer" 2>/dev/null)"
    [ "$(jq -r .temporary <<<"$answer" 2>/dev/null)" = false ] && exit 1
    back_off "$(jq -r '.retry_after_ms // 0' <<<"$answer" 2>/dev/null)"
    return
  fi
  read -r base_ms max_ms < <(jq -r '"\(.retry.base_ms) \(.retry.max_ms)"' <<<"$answer")
  dial "$answer"
}

# Full jitter: up to base * 2^failures, but no sooner than advised. Milliseconds.
back_off() {
  local window=$((base_ms << (failures < 10 ? failures : 10)))
  [ "$window" -gt "$max_ms" ] && window=$max_ms
  retry_at=$(($(now_ms) + ${1:-0} + $(random) % (window + 1)))
  failures=$((failures + 1))
}

now_ms() { local now=${EPOCHREALTIME/./}; echo $((now / 1000)); }

# Step 2: opens a connection by what a lookup, or `moved`, said, and says hello with the positions.
dial() {
  local n=$((++links)) url protocols in
  IFS=$'\t' read -r 'node[$n]' url protocols < <(jq -r '[.node, .url, (.protocols | join(", "))] | @tsv' <<<"$1")
  mkfifo "$dir/$n" && exec {in}<>"$dir/$n" && fd[$n]=$in
  dialing=$n dialed_at=$(now_ms) said=''
  {
    { websocat --text -E -B 1048576 --protocol "$protocols" "$url" <&"$in" & echo $! >"$dir/$n.pid"; wait; } | sed -u "s/^/frame $n /"
    event "closed $n"
  } >&3 2>/dev/null &
  local resume='{}'
  for topic in "${topics[@]}"; do
    resume=$(jq -c --arg t "$topic" --arg e "${epoch[$topic]:-}" --argjson o "${offset[$topic]:-0}" '.[$t] = (if $e == "" then {offset: 0} else {epoch: $e, offset: $o} end)' <<<"$resume")
  done
  write "$n" "$(jq -nc --argjson resume "$resume" --arg session "$session" '{op: "hello", resume: $resume} + (if $session == "" then {} else {replaces: $session} end)')"
}

on_frame() {
  local n=$1 frame=$2 op of e o id code text from _
  IFS=$'\x1f' read -r op of e o id code from text < <(jq -r '[.op, .topic, .epoch, (.offset // .before), .ref, .code, .from,
    (.data | if type == "object" and has("text") then .text else . end)] | map(if . == null then "" else tostring end | gsub("[\n\u001f]"; " ")) | join("\u001f")' <<<"$frame")
  heard_at=$(now_ms)
  case $op in
    welcome) welcomed "$n" "$frame" ;;
    recovered) stand "$of" "${e:--}" "$o"; let_go ;;
    message)
      # One that this connection has missed comes by its position; one that another has brought is dropped.
      [ "${epoch[$of]:-$e}" = "$e" ] && [ "${offset[$of]:-0}" -lt "${o:-0}" ] || { [ -n "$o" ] && return; }
      [ -n "$o" ] && epoch[$of]=$e offset[$of]=$o
      printf '%s #%s %s: %s\n' "$of" "${o:--}" "$from" "$text" ;;
    gap)
      epoch[$of]=$e offset[$of]=$((o - 1))
      printf '%s: messages up to %s are missing\n' "$of" "${offset[$of]}" ;;
    ack)
      [ -n "${unanswered[$id]:-}" ] && printf 'sent #%s\n' "$o"
      unset 'unanswered[$id]' ;;
    error)
      temporary=$(jq -r .temporary <<<"$frame")
      if [ -z "$id" ]; then said=$code; tell "error: $code"
      elif [ "$temporary" = true ]; then (sleep 1; event "again $id") &
      else printf 'not sent: %s\n' "$code"; unset 'unanswered[$id]'; fi ;;
    moved) [ "$dialing" = 0 ] && (sleep "$(($(random) % ($(jq -r .spread_ms <<<"$frame") + 1)))e-3"; event "move $frame") & ;;
    ping) write "$n" '{"op":"pong"}' ;;
  esac
}

# The new connection takes over; the one before, if this is a move, is let go.
welcomed() {
  local n=$1 sends topic code e o
  while read -r topic code e o; do
    case $code in
      true | false) stand "$topic" "$e" "$o" ;;
      pending) pending[$topic]=1 ;;
      *) tell "refused: $topic: $code" ;;
    esac
  done < <(jq -r '.topics | to_entries[] | "\(.key) \(.value.error // (.value.recovered | tostring)) \(.value.epoch // "-") \(.value.offset // 0)"' <<<"$2")
  read -r session spread_ms silence < <(jq -r '"\(.session) \(.retry_spread_ms) \(.heartbeat_ms * 2 + 10000)"' <<<"$2")
  if [ "$current" = 0 ]; then tell "connected: ${node[$n]}"; else tell "moved: ${node[$n]}"; fi
  leaving=$current current=$n dialing=0 avoid=() since=$(now_ms)
  for sends in $(printf '%s\n' "${!unanswered[@]}" | sort -n); do write "$n" "${unanswered[$sends]}"; done
  let_go
}

# Where a topic stands, by `welcome` or `recovered`: the position, if there is none and nothing else was asked for, as for a group of the token.
stand() {
  unset 'pending[$1]'
  [[ " ${topics[*]} " == *" $1 "* ]] && return
  topics+=("$1")
  [ "$2" = - ] || epoch[$1]=$2 offset[$1]=$3
}

let_go() {
  [ "$leaving" = 0 ] || [ ${#pending[@]} -gt 0 ] && return
  write "$leaving" '{"op":"detach"}'
  leaving=0
}

on_closed() {
  local n=$1 in=${fd[$1]}
  exec {in}>&-
  unset "fd[$n]"
  [ "$n" = "$leaving" ] && leaving=0
  [ "$n" = "$dialing" ] && dialing=0 && [ -z "$said" ] && [ "$current" = 0 ] && avoid+=("${node[$n]}")
  [ "$n" = "$current" ] && current=0 && pending=() && [ $(($(now_ms) - since)) -gt 30000 ] && failures=0
  [ "$current" = 0 ] && [ "$dialing" = 0 ] || return
  tell "reconnecting: ${said:-lost}"
  [ -n "$said" ] && [ "$temporary" = false ] && exit 1
  if [ "$failures" != 0 ]; then back_off
  elif [ "$said" = draining ]; then failures=1
  elif [ -z "$said" ]; then failures=1 retry_at=$(($(now_ms) + $(random) % (spread_ms + 1)))
  else back_off; fi
}

on_line() {
  ref=$((ref + 1))
  unanswered[$ref]=$(jq -nc --argjson to "$target" --arg text "$1" --argjson ref "$ref" --arg key "$(random)-$(random)-$ref" '{op: "send", ref: $ref, to: $to, data: {text: $text}, key: $key}')
  [ "$current" != 0 ] && write "$current" "${unanswered[$ref]}"
}

{ while IFS= read -r line; do event "line $line"; done; event over; } <&0 &

rest=''
while :; do
  if IFS= read -r -t 0.5 happened <&3; then
    happened=$rest$happened rest=''
    case $happened in
      frame\ *) happened=${happened#frame }; on_frame "${happened%% *}" "${happened#* }" ;;
      closed\ *) on_closed "${happened#closed }" ;;
      line\ *) on_line "${happened#line }" ;;
      again\ *) [ "$current" != 0 ] && [ -n "${unanswered[${happened#again }]:-}" ] && write "$current" "${unanswered[${happened#again }]}" ;;
      move\ *) [ "$dialing" = 0 ] && [ "$current" != 0 ] && dial "${happened#move }" ;;
      over) over=1 ;;
    esac
  else
    rest+=$happened # a part of something long
  fi
  [ -n "$over" ] && [ ${#unanswered[@]} = 0 ] && exit 0
  now=$(now_ms)
  [ "$current" = 0 ] && [ "$dialing" = 0 ] && [ "$now" -ge "$retry_at" ] && look_up
  # Nothing heard: ends the connection, which comes back as an event.
  [ "$dialing" != 0 ] && [ $((now - dialed_at)) -gt 8000 ] && end_link "$dialing"
  [ "$current" != 0 ] && [ $((now - heard_at)) -gt "$silence" ] && end_link "$current"
done
