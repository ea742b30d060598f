{{/* Beginning of every object's name. */}}
{{- define "magsentinel.name" -}}
{{- printf "%s-magsentinel" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels that select a role's pods. Takes a dict of root and role. */}}
{{- define "magsentinel.selector" -}}
app.kubernetes.io/name: magsentinel
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{/* All labels of a role's objects. Takes a dict of root and role. */}}
{{- define "magsentinel.labels" -}}
{{ include "magsentinel.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* The configuration file: what the user said, and on top what the chart must say. */}}
{{- define "magsentinel.config" -}}
{{- $bus := dict "url" .Values.nats.url "allow_plaintext" .Values.nats.allowPlaintext -}}
{{- if .Values.nats.credsSecret -}}
{{- $_ := set $bus "creds" "/etc/magsentinel/nats/user.creds" -}}
{{- end -}}
{{- $ours := dict
  "bus" $bus
  "health" (dict "listen" (printf "0.0.0.0:%v" .Values.healthPort))
  "sensor" (dict "state_dir" "/var/lib/magsentinel/sensor")
  "commander" (dict "knowledge" "/var/lib/magsentinel/knowledge.db")
  "responder" (dict "state_dir" "/var/lib/magsentinel/responder")
  "logbook" (dict "path" "/var/lib/magsentinel/logbook.db") -}}
{{- mergeOverwrite (deepCopy .Values.config) $ours | toYaml -}}
{{- end -}}
