{{/* Redis: how each role reaches it, and who may do what in the bundled one. */}}

{{/* The table [redis] of a role, as JSON: takes "root" and "part". */}}
{{- define "turnout.redis" -}}
{{- $redis := .root.Values.redis -}}
{{- $user := get $redis.users .part -}}
{{- $table := dict -}}
{{- if $redis.bundled.enabled -}}
{{- $_ := set $table "url" (printf "redis://%s-redis:6379" (include "turnout.fullname" .root)) -}}
{{- else -}}
{{- $_ := set $table "url" $redis.url -}}
{{- end -}}
{{- if $user.password.name -}}
{{- with $user.username }}{{ $_ := set $table "username" . }}{{ end -}}
{{- $_ := set $table "password" (dict "env" "REDIS_PASSWORD") -}}
{{- end -}}
{{- $own := .root.Values.gateway -}}
{{- $gateways := ternary $own.autoscaling.maxReplicas ($own.replicas | default 2) $own.autoscaling.enabled -}}
{{- $_ := set $table "gateways" ((.root.Values.config.redis | default dict).gateways | default $gateways) -}}
{{- toJson (merge $table (.root.Values.config.redis | default dict)) -}}
{{- end -}}

{{/*
The bundled server's users, written where only it can read, from the passwords in its environment. Gateways read
snapshots and hear of new ones; limits are theirs to count. The console alone writes snapshots, and the
lease that says which console does.
*/}}
{{- define "turnout.redis.start" -}}
set -eu
case "$GATEWAY_PASSWORD$CONSOLE_PASSWORD" in
  *[!A-Za-z0-9_-]*) echo "A password of Redis may hold A-Z a-z 0-9 _ - alone; make others: openssl rand -hex 32" >&2; exit 1 ;;
esac
umask 077
{
  echo "user default off"
  echo "user {{ .Values.redis.users.gateway.username }} on >$GATEWAY_PASSWORD %R~turnout:snapshot ~turnout:limit* resetchannels &turnout:* -@all +@read +@write +@connection +@pubsub +@scripting +@transaction +time -@dangerous"
  echo "user {{ .Values.redis.users.console.username }} on >$CONSOLE_PASSWORD ~turnout:snapshot ~turnout:snapshot:console resetchannels &turnout:* -@all +@read +@write +@connection +@pubsub +@transaction -@dangerous"
} > /data/users.acl
unset GATEWAY_PASSWORD CONSOLE_PASSWORD
exec valkey-server --port 6379 --dir /data --aclfile /data/users.acl --save "" --appendonly no --maxmemory {{ .Values.redis.bundled.maxmemory }} --maxmemory-policy noeviction
{{- end -}}
