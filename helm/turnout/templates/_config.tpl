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

{{/* All of turnout.toml, as JSON: what the values say, and what only the chart can know. */}}
{{- define "turnout.config" -}}
{{- $server := dict "host" .Values.bindAddress "port" 8080 "console_host" .Values.bindAddress "console_port" 8081 -}}
{{- $_ := set $server "workers" .Values.gateway.workers -}}
{{- $_ := set $server "hosts" (include "turnout.hosts" . | fromJsonArray) -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config "server" (merge $server ($config.server | default dict)) -}}
{{- toJson $config -}}
{{- end -}}

{{/* The tables that a process reads once, at its start: a change of them restarts the pods, any other does not. */}}
{{- define "turnout.processSettings" -}}
{{- pick (include "turnout.config" . | fromJson) "server" "lake" "redis" | toJson -}}
{{- end -}}

{{/* The longest that a request may take, in whole seconds. */}}
{{- define "turnout.totalTimeoutSeconds" -}}
{{- $longest := 0 -}}
{{- range .Values.config.models -}}
{{- $longest = max $longest (ceil (.total_timeout_s | default 600.0) | int64) -}}
{{- end -}}
{{- $longest | default 600 -}}
{{- end -}}

{{/* preStop, the longest request, and a minute in which records reach the lake. */}}
{{- define "turnout.graceSeconds" -}}
{{- add .Values.preStopSeconds (include "turnout.totalTimeoutSeconds" . | int64) 60 -}}
{{- end -}}

{{/* The ports of all upstreams, as a JSON array. */}}
{{- define "turnout.upstreamPorts" -}}
{{- $ports := list -}}
{{- range .Values.config.upstreams -}}
{{- $url := urlParse .base_url -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $ports = append $ports ($port | default (ternary "80" "443" (eq $url.scheme "http")) | int) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end -}}
