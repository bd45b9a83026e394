{{/* The pod of every role: takes "root", "part" (its label), "args", "ports", "probes" (where it is asked) and "state". */}}

{{- define "turnout.pod" -}}
{{- $values := .root.Values -}}
metadata:
  labels:
    {{- include "turnout.labels" (dict "root" .root "part" .part) | nindent 4 }}
    {{- with .own.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/process-settings: {{ include "turnout.processSettings" . | sha256sum }}
    {{- with .own.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "turnout.serviceAccountName" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "turnout.graceSeconds" . }}
  securityContext:
    {{- include "turnout.podSecurity" . | nindent 4 }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .own.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" }}
  {{- with get $.own $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  containers:
    - name: turnout
      image: {{ include "turnout.image" (set (deepCopy $values.image) "tag" ($values.image.tag | default .root.Chart.AppVersion)) | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: {{ toJson .args }}
      env:
        {{- include "turnout.environment" . | nindent 8 }}
      ports:
        {{- range .ports }}
        - name: {{ .name }}
          containerPort: {{ .port }}
        {{- end }}
      {{- include "turnout.probes" .probes | nindent 6 }}
      {{- if $values.preStopSeconds }}
      lifecycle:
        preStop:
          exec:
            command: ["sleep", {{ toString $values.preStopSeconds | quote }}]
      {{- end }}
      resources:
        {{- toYaml .own.resources | nindent 8 }}
      securityContext:
        {{- include "turnout.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/turnout
          readOnly: true
        - name: state
          mountPath: /var/lib/turnout
        - name: tmp
          mountPath: /tmp
        {{- if eq (include "turnout.hasSharedLake" .root) "yes" }}
        - name: lake
          mountPath: /var/lib/turnout-lake
        {{- end }}
        {{- range $name, $ref := $values.secretFiles }}
        - name: {{ printf "secret-%s" $name }}
          mountPath: /run/secrets/{{ $name }}
          readOnly: true
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "turnout.partName" . }}
    - name: state
      {{- toYaml .state | nindent 6 }}
    - name: tmp
      emptyDir:
        sizeLimit: {{ $values.tmp.sizeLimit }}
    {{- if eq (include "turnout.hasSharedLake" .root) "yes" }}
    - name: lake
      persistentVolumeClaim:
        claimName: {{ include "turnout.lakeClaim" .root }}
    {{- end }}
    {{- range $name, $ref := $values.secretFiles }}
    - name: {{ printf "secret-%s" $name }}
      secret:
        secretName: {{ $ref.name }}
        defaultMode: 0440
    {{- end }}
{{- end -}}

{{- define "turnout.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "turnout.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "turnout.environment" -}}
- name: TURNOUT_CONFIG
  value: /etc/turnout/turnout.toml
- name: TURNOUT_STATE_DIR
  value: /var/lib/turnout/state
- name: HOME
  value: /tmp
- name: TURNOUT_SECRET
  valueFrom:
    secretKeyRef:
      {{- toYaml .root.Values.secret | nindent 6 }}
{{- if ne .part "single" }}
{{- with (get .root.Values.redis.users .part).password }}
{{- if .name }}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      {{- toYaml . | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $ref := .root.Values.secretEnv }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      {{- toYaml $ref | nindent 6 }}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Takes "ready", "live" and "port"; without "live" it is enough that the port is open. Turnout starts its own processes
again; a kubelet's restart is the last resort.
*/}}
{{- define "turnout.probes" -}}
{{- $open := dict "tcpSocket" (dict "port" .port) -}}
{{- $ready := dict "httpGet" (dict "path" .ready "port" .port) -}}
{{- $live := ternary (dict "httpGet" (dict "path" .live "port" .port)) $open (ne .live "") -}}
startupProbe:
  {{- toYaml (ternary $ready $open (ne .live "")) | nindent 2 }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
readinessProbe:
  {{- toYaml $ready | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  {{- toYaml $live | nindent 2 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* The claim that holds what must not be lost. */}}
{{- define "turnout.stateClaim" -}}
{{- .Values.console.persistence.existingClaim | default (printf "%s-state" (include "turnout.fullname" .)) -}}
{{- end -}}

{{/* The claim that the pods of a fleet share. */}}
{{- define "turnout.lakeClaim" -}}
{{- .Values.lake.persistence.existingClaim | default (printf "%s-lake" (include "turnout.fullname" .)) -}}
{{- end -}}

{{/* A claim that outlives the release: takes "root", "name", "part" and "persistence". */}}
{{- define "turnout.claim" -}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  labels:
    {{- include "turnout.labels" . | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  accessModes: {{ toJson .persistence.accessModes }}
  {{- with .persistence.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .persistence.size }}
{{- end -}}
