{{/* Mistakes that no schema can see, refused before anything is installed. */}}

{{- define "turnout.checks" -}}
{{- range $key := list "host" "port" "console_host" "console_port" "metrics_host" "metrics_port" "workers" "hosts" -}}
{{- if hasKey ($.Values.config.server | default dict) $key -}}
{{- $instead := dict "workers" "gateway.workers" "hosts" "hosts" "host" "bindAddress" "console_host" "bindAddress" "metrics_host" "metrics.enabled" -}}
{{- fail (printf "config.server.%s is set by the chart; %s" $key (ternary (printf "use the value %s" (get $instead $key)) "take it out" (hasKey $instead $key))) -}}
{{- end -}}
{{- end -}}
{{- $lake := (.Values.config.lake | default dict).url | default "s3://" -}}
{{- if not (hasPrefix "s3://" $lake) -}}
{{- fail "config.lake.url names a directory, and a pod has none that lasts; leave it out, or write s3://BUCKET/PREFIX" -}}
{{- end -}}
{{- $known := keys .Values.secretEnv -}}
{{- range .Values.extraEnv }}{{ $known = append $known .name }}{{ end -}}
{{- range $name, $upstream := .Values.config.upstreams -}}
{{- include "turnout.checks.reference" (dict "place" (printf "config.upstreams.%s.api_key" $name) "ref" $upstream.api_key "known" $known "root" $) -}}
{{- end -}}
{{- range $name, $application := .Values.config.applications -}}
{{- range $at, $ref := ($application | default dict).accept -}}
{{- include "turnout.checks.reference" (dict "place" (printf "config.applications.%s.accept[%d]" $name $at) "ref" $ref "known" $known "root" $) -}}
{{- end -}}
{{- end -}}
{{- range $table, $names := dict "lake" (list "access_key_id" "secret_access_key") "redis" (list "password" "sentinel_password") -}}
{{- range $name := $names -}}
{{- $ref := get (get $.Values.config $table | default dict) $name -}}
{{- include "turnout.checks.reference" (dict "place" (printf "config.%s.%s" $table $name) "ref" $ref "known" $known "root" $) -}}
{{- end -}}
{{- end -}}
{{- range $name, $ref := (.Values.config.telemetry | default dict).otlp_headers -}}
{{- include "turnout.checks.reference" (dict "place" (printf "config.telemetry.otlp_headers.%s" $name) "ref" $ref "known" $known "root" $) -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "metrics.serviceMonitor has nothing to scrape; set metrics.enabled" -}}
{{- end -}}
{{- if eq .Values.mode "fleet" -}}
{{- include "turnout.checks.redis" .Values.redis -}}
{{- end -}}
{{- end -}}

{{/* A fleet has one Redis, and the bundled one lets nobody in without a password. */}}
{{- define "turnout.checks.redis" -}}
{{- if and (not .url) (not .bundled.enabled) -}}
{{- fail "mode fleet works through Redis; set redis.url, or redis.bundled.enabled" -}}
{{- end -}}
{{- if contains "@" .url -}}
{{- fail "redis.url carries a user or a password; take them out and write them to redis.users" -}}
{{- end -}}
{{- if not (regexMatch "^((redis|rediss|redis\\+sentinel|rediss\\+sentinel)://.+)?$" .url) -}}
{{- fail "redis.url is no address of a Redis; write redis://, rediss://, redis+sentinel:// or rediss+sentinel://, and a host" -}}
{{- end -}}
{{- if and .url .bundled.enabled -}}
{{- fail "redis.url and redis.bundled.enabled name two of them; take one off" -}}
{{- end -}}
{{- if .bundled.enabled -}}
{{- range $part := list "gateway" "console" -}}
{{- $user := get $.users $part -}}
{{- if not (and $user.username $user.password.name) -}}
{{- fail (printf "the bundled Redis lets nobody in without a password; set redis.users.%s.password.name to a Secret" $part) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A variable or a file that the configuration names must come from somewhere. */}}
{{- define "turnout.checks.reference" -}}
{{- with .ref -}}
{{- if and .env (not (regexMatch "^[A-Z_][A-Z0-9_]*$" .env)) -}}
{{- fail (printf "%s names no variable (A-Z, 0-9, _); write its name, never the secret" $.place) -}}
{{- end -}}
{{- if and .env (not (has .env $.known)) -}}
{{- fail (printf "%s names the variable %s, which nothing sets; add it to secretEnv" $.place .env) -}}
{{- end -}}
{{- if .file -}}
{{- $folder := regexFind "^/run/secrets/[^/]+/" .file | trimPrefix "/run/secrets/" | trimSuffix "/" -}}
{{- if not (hasKey $.root.Values.secretFiles $folder) -}}
{{- fail (printf "%s names the file %s, which nothing mounts; add its Secret to secretFiles and write /run/secrets/NAME/KEY" $.place .file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
