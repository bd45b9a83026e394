{{/* Upstreams by their ports, wherever they are but for link-local addresses, where clouds keep credentials. */}}
{{- define "turnout.egressToUpstreams" -}}
- to:
    - namespaceSelector: {}
    - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
    - ipBlock: {cidr: "::/0", except: ["fe80::/10", "fd00:ec2::/32"]}
  ports:
    {{- range include "turnout.upstreamPorts" . | fromJsonArray }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}
