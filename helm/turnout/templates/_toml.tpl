{{/*
Values as TOML. Helm's own toToml writes every whole number as 2.0, which a count must not be.
Strings are JSON's, whose escapes are TOML's too. Null is nothing: the key is left out.
*/}}

{{- define "turnout.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{- define "turnout.toml.number" -}}
{{- if and (kindIs "float64" .) (ne (floor .) .) -}}{{ . }}{{- else -}}{{ int64 . }}{{- end -}}
{{- end -}}

{{- define "turnout.toml.value" -}}
{{- if kindIs "string" . -}}
{{ toJson . }}
{{- else if kindIs "bool" . -}}
{{ . }}
{{- else if kindIs "slice" . -}}
{{- $parts := list -}}
{{- range . }}{{ $parts = append $parts (include "turnout.toml.value" .) }}{{ end -}}
[{{ join ", " $parts }}]
{{- else if kindIs "map" . -}}
{{- $parts := list -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $parts = append $parts (printf "%s = %s" (include "turnout.toml.key" $key) (include "turnout.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{ {{- if $parts }} {{ join ", " $parts }} {{ end -}} }
{{- else -}}
{{ include "turnout.toml.number" . }}
{{- end -}}
{{- end -}}

{{/* One table and all below it: takes "path" (empty at the top) and "table". */}}
{{- define "turnout.toml" -}}
{{- $path := .path -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ include "turnout.toml.key" $key }} = {{ include "turnout.toml.value" $value }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- if kindIs "map" $value }}
{{- $place := include "turnout.toml.key" $key }}
{{- if $path }}{{ $place = printf "%s.%s" $path $place }}{{ end }}

[{{ $place }}]
{{- include "turnout.toml" (dict "path" $place "table" $value) }}
{{- end }}
{{- end }}
{{- end -}}
