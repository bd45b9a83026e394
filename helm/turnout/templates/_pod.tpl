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
    checksum/process-settings: {{ include "turnout.processSettings" .root | sha256sum }}
    {{- with .own.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "turnout.serviceAccountName" .root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "turnout.graceSeconds" .root }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
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
        {{- include "turnout.environment" .root | nindent 8 }}
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
        {{- range $name, $ref := $values.secretFiles }}
        - name: {{ printf "secret-%s" $name }}
          mountPath: /run/secrets/{{ $name }}
          readOnly: true
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "turnout.fullname" .root }}
    - name: state
      {{- toYaml .state | nindent 6 }}
    - name: tmp
      emptyDir:
        sizeLimit: {{ $values.tmp.sizeLimit }}
    {{- range $name, $ref := $values.secretFiles }}
    - name: {{ printf "secret-%s" $name }}
      secret:
        secretName: {{ $ref.name }}
        defaultMode: 0440
    {{- end }}
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
      {{- toYaml .Values.secret | nindent 6 }}
{{- range $name, $ref := .Values.secretEnv }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      {{- toYaml $ref | nindent 6 }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes "ready", "live" and "port". Turnout starts its own processes again; a kubelet's restart is the last resort. */}}
{{- define "turnout.probes" -}}
startupProbe:
  httpGet: {path: {{ .ready }}, port: {{ .port }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: {{ .ready }}, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: {{ .live }}, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* The claim that holds what must not be lost. */}}
{{- define "turnout.stateClaim" -}}
{{- .Values.console.persistence.existingClaim | default (printf "%s-state" (include "turnout.fullname" .)) -}}
{{- end -}}
