{{/* Names and labels. Every template takes them from here. */}}

{{- define "turnout.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name, with the chart's where the release is called otherwise. Room is left for "-gateway-headless". */}}
{{- define "turnout.fullname" -}}
{{- $name := include "turnout.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 44 | trimSuffix "-" -}}
{{- end -}}

{{/* What never changes of a workload's labels: takes "root" and "part". */}}
{{- define "turnout.selector" -}}
app.kubernetes.io/name: {{ include "turnout.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end -}}

{{- define "turnout.labels" -}}
{{ include "turnout.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The roles that pods play, as a JSON array. */}}
{{- define "turnout.roles" -}}
{{- ternary (list "single") (list "gateway" "console") (eq .Values.mode "single") | toJson -}}
{{- end -}}

{{/* What a role's workload, configuration and wall are called: takes "root" and "part". */}}
{{- define "turnout.partName" -}}
{{- include "turnout.fullname" .root }}{{ if ne .part "single" }}-{{ .part }}{{ end -}}
{{- end -}}

{{/* The workload whose pods hold the ledger, as kubectl names it. */}}
{{- define "turnout.keeper" -}}
statefulset/{{ include "turnout.partName" (dict "root" . "part" (ternary "single" "console" (eq .Values.mode "single"))) }}
{{- end -}}

{{- define "turnout.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "turnout.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "turnout.image" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end -}}
