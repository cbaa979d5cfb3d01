{{/* What all objects of a release are called. */}}
{{- define "vedette.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* By which the DaemonSet knows its pods: never changed. */}}
{{- define "vedette.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "vedette.labels" -}}
{{ include "vedette.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: sensor
{{- end -}}

{{/*
What the sensor reads: the user's configuration over what running in a pod takes.
A pod's clock and name are the node's; its address is not, so the metrics listen on all.
*/}}
{{- define "vedette.config" -}}
{{- $pod := dict "respond" (dict "enabled" .Values.respond) "stdout" (dict "format" "json") -}}
{{- if .Values.metrics.enabled -}}
{{- $_ := set $pod "metrics" (dict "listen" (printf "0.0.0.0:%d" (int .Values.metrics.port))) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $pod (deepCopy .Values.config)) -}}
{{- end -}}

{{/* What of it takes a restart: running sensors take over the rest. */}}
{{- define "vedette.restart" -}}
{{- omit (include "vedette.config" . | fromYaml) "rules" | toJson | sha256sum -}}
{{- end -}}
