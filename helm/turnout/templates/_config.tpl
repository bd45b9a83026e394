{{/* What the release makes of its values: turnout.toml, the names it answers to, times and ports. */}}

{{- define "turnout.hosts" -}}
{{- $hosts := list -}}
{{- range list "gateway" -}}
{{- $name := printf "%s-%s" (include "turnout.fullname" $) . -}}
{{- $named := printf "%s.%s" $name $.Release.Namespace -}}
{{- $hosts = concat $hosts (list $name $named (printf "%s.svc" $named) (printf "%s.svc.%s" $named $.Values.clusterDomain)) -}}
{{- end -}}
{{- toJson (concat $hosts .Values.hosts) -}}
{{- end -}}

{{/* All of turnout.toml, as JSON: what the values say, and what only the chart can know. Takes "root" and "part". */}}
{{- define "turnout.config" -}}
{{- $values := .root.Values -}}
{{- $server := dict "host" $values.bindAddress "port" 8080 "console_host" $values.bindAddress "console_port" 8081 -}}
{{- $_ := set $server "workers" $values.gateway.workers -}}
{{- $_ := set $server "metrics_port" 9464 -}}
{{- $_ := set $server "metrics_host" (ternary $values.bindAddress "127.0.0.1" $values.metrics.enabled) -}}
{{- $_ := set $server "hosts" (include "turnout.hosts" .root | fromJsonArray) -}}
{{- $config := deepCopy $values.config -}}
{{- $_ := set $config "server" (merge $server ($config.server | default dict)) -}}
{{- if eq (include "turnout.hasSharedLake" .root) "yes" -}}
{{- $_ := set $config "lake" (merge (dict "url" "file:///var/lib/turnout-lake") ($config.lake | default dict)) -}}
{{- end -}}
{{- if ne .part "single" -}}
{{- $_ := set $config "redis" (include "turnout.redis" . | fromJson) -}}
{{- end -}}
{{- if eq .part "gateway" -}}
{{- $config = pick $config "server" "lake" "redis" "logs" "telemetry" -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{/* The tables that a process reads once, at its start: a change of them restarts the pods, any other does not. */}}
{{- define "turnout.processSettings" -}}
{{- pick (include "turnout.config" . | fromJson) "server" "lake" "redis" "telemetry" | toJson -}}
{{- end -}}

{{/* Whether the pods of a fleet share a volume as their lake, because the configuration names no other place. */}}
{{- define "turnout.hasSharedLake" -}}
{{- ternary "yes" "no" (and (eq .Values.mode "fleet") (not (.Values.config.lake | default dict).url)) -}}
{{- end -}}

{{/* The longest that a request may take, in whole seconds. */}}
{{- define "turnout.totalTimeoutSeconds" -}}
{{- $longest := 0 -}}
{{- range .Values.config.models -}}
{{- $longest = max $longest (ceil (.total_timeout_s | default 600.0) | int64) -}}
{{- end -}}
{{- $longest | default 600 -}}
{{- end -}}

{{/* preStop, the longest request where there are any, and a minute in which records reach the lake. */}}
{{- define "turnout.graceSeconds" -}}
{{- $longest := ternary 0 (include "turnout.totalTimeoutSeconds" .root | int64) (eq .part "console") -}}
{{- add .root.Values.preStopSeconds $longest 60 -}}
{{- end -}}

{{/* The port of an address. */}}
{{- define "turnout.port" -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "80" "443" (eq $url.scheme "http")) -}}
{{- end -}}

{{/* The ports that a role calls outside the release, as a JSON array: takes "root" and "part". */}}
{{- define "turnout.portsOutside" -}}
{{- $config := .root.Values.config -}}
{{- $ports := list -}}
{{- if ne .part "console" -}}
{{- range $config.upstreams }}{{ $ports = append $ports (include "turnout.port" .base_url | int) }}{{ end -}}
{{- end -}}
{{- if ne .part "console" -}}
{{- with ($config.telemetry | default dict).otlp_url }}{{ $ports = append $ports (include "turnout.port" . | int) }}{{ end -}}
{{- end -}}
{{- with $config.lake -}}
{{- if hasPrefix "s3://" (.url | default "") -}}
{{- $ports = append $ports (include "turnout.port" (.endpoint_url | default "https://s3") | int) -}}
{{- end -}}
{{- end -}}
{{- if and (ne .part "single") (not .root.Values.redis.bundled.enabled) -}}
{{- $url := urlParse .root.Values.redis.url -}}
{{- $standard := ternary 26379 6379 (contains "sentinel" $url.scheme) -}}
{{- range regexFindAll ":[0-9]+" $url.host -1 }}{{ $ports = append $ports (trimPrefix ":" . | int) }}{{ else }}{{ $ports = append $ports $standard }}{{ end -}}
{{- if contains "sentinel" $url.scheme }}{{ $ports = append $ports 6379 }}{{ end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
