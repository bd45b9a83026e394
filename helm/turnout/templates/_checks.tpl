{{/* Mistakes that no schema can see, refused before anything is installed. */}}

{{- define "turnout.checks" -}}
{{- range $key := list "host" "port" "console_host" "console_port" "workers" "hosts" -}}
{{- if hasKey ($.Values.config.server | default dict) $key -}}
{{- $instead := dict "workers" "gateway.workers" "hosts" "hosts" "host" "bindAddress" "console_host" "bindAddress" -}}
{{- fail (printf "config.server.%s is set by the chart; %s" $key (ternary (printf "use the value %s" (get $instead $key)) "take it out" (hasKey $instead $key))) -}}
{{- end -}}
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
{{- end -}}

{{/* A variable or a file that the configuration names must come from somewhere. */}}
{{- define "turnout.checks.reference" -}}
{{- with .ref -}}
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
