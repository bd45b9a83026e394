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
{{- include "turnout.checks.names" . -}}
{{- if eq .Values.mode "fleet" -}}
{{- include "turnout.checks.redis" .Values.redis -}}
{{- if and .Values.redis.bundled.enabled (.Values.config.redis | default dict).ca_file -}}
{{- fail "config.redis.ca_file is for rediss://, and the bundled Redis speaks redis:// inside the cluster; take one of them off" -}}
{{- end -}}
{{- include "turnout.checks.fleet" . -}}
{{- else -}}
{{- if .Values.redis.bundled.enabled -}}
{{- fail "redis.bundled.enabled is of a fleet; write mode: fleet, or take it off" -}}
{{- end -}}
{{- if gt (int (.Values.gateway.replicas | default 1)) 1 -}}
{{- fail (printf "mode single is one pod, and gateway.replicas is %d; write mode: fleet, or take it out" (int .Values.gateway.replicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Models lead to upstreams and rollouts to models; the installation's own secret has one way in. */}}
{{- define "turnout.checks.names" -}}
{{- range $name, $model := .Values.config.models -}}
{{- if not (hasKey ($.Values.config.upstreams | default dict) $model.upstream) -}}
{{- fail (printf "config.models.%s.upstream is %s, which is not in config.upstreams; add it there, or name another" $name $model.upstream) -}}
{{- end -}}
{{- end -}}
{{- range $name, $rollout := .Values.config.rollouts -}}
{{- range $arm := list "base" "candidate" -}}
{{- $model := get $rollout $arm -}}
{{- if not (hasKey ($.Values.config.models | default dict) $model) -}}
{{- fail (printf "config.rollouts.%s.%s is %s, which is not in config.models; add it there, or name another" $name $arm $model) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if eq .name "TURNOUT_SECRET" -}}
{{- fail "extraEnv sets TURNOUT_SECRET, which comes from the Secret of secret.name; take it out, and name the Secret there" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How many gateways there may be, and what they share. */}}
{{- define "turnout.checks.fleet" -}}
{{- $scaling := .Values.gateway.autoscaling -}}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- fail (printf "gateway.autoscaling.minReplicas (%d) is above maxReplicas (%d); lower it, or raise the other" (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- $most := ternary $scaling.maxReplicas (.Values.gateway.replicas | default 2) $scaling.enabled -}}
{{- $lake := .Values.lake.persistence -}}
{{- $isOurs := not (or (.Values.config.lake | default dict).url $lake.existingClaim) -}}
{{- if and $isOurs (gt (int $most) 1) (not (has "ReadWriteMany" $lake.accessModes)) -}}
{{- fail "lake.persistence.accessModes lacks ReadWriteMany, and several gateways share that volume; add it, or write config.lake.url: s3://BUCKET/PREFIX" -}}
{{- end -}}
{{- end -}}

{{/* Bytes of a quantity, of Kubernetes (256Mi) or of Redis (192mb): case is none of its matter. Of others, 0. */}}
{{- define "turnout.bytes" -}}
{{- $text := toString . | lower -}}
{{- $number := regexFind "^[0-9.]+" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- $times := dict "" 1 "b" 1 "k" 1000 "m" 1000000 "g" 1000000000 "t" 1000000000000 -}}
{{- $_ := merge $times (dict "ki" 1024 "kb" 1024 "mi" 1048576 "mb" 1048576 "gi" 1073741824 "gb" 1073741824 "ti" 1099511627776) -}}
{{- if and $number (hasKey $times $unit) -}}
{{- mulf (float64 $number) (get $times $unit) | int64 -}}
{{- else -}}
0
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
{{- $most := include "turnout.bytes" .bundled.maxmemory | int64 -}}
{{- $limit := include "turnout.bytes" (dig "limits" "memory" "" (.bundled.resources | default dict)) | int64 -}}
{{- if and $limit (or (not $most) (ge $most $limit)) -}}
{{- fail (printf "redis.bundled.maxmemory (%v) is not below its memory limit (%v), at which the kernel would kill it; lower it, or raise redis.bundled.resources.limits.memory" .bundled.maxmemory .bundled.resources.limits.memory) -}}
{{- end -}}
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
