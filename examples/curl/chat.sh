#!/usr/bin/env bash
# A question, a stream and a thumb with curl alone.
# Needs OPENAI_BASE_URL and OPENAI_API_KEY in the environment.
set -euo pipefail

send() {
  curl --silent --show-error --fail-with-body \
    -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" "$@"
}

headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

send "$OPENAI_BASE_URL/chat/completions" --dump-header "$headers" -d '{
  "model": "sales-companion",
  "safety_identifier": "alice",
  "messages": [{"role": "user", "content": "Which plan fits five people?"}]
}'
echo
grep -i '^x-turnout-' "$headers"

send "$OPENAI_BASE_URL/chat/completions" --no-buffer -d '{
  "model": "sales-companion",
  "safety_identifier": "alice",
  "stream": true,
  "messages": [{"role": "user", "content": "Write a reminder for an unpaid invoice."}]
}'

request_id=$(awk 'tolower($1) == "x-request-id:" { print $2 }' "$headers" | tr -d '\r')
send "$OPENAI_BASE_URL/feedback" -d '{"request_id": "'"$request_id"'", "thumb": "up"}'
echo
echo "feedback: sent"
